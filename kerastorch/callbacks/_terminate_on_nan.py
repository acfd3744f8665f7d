"""Stop at the first loss that is not a finite number."""

from __future__ import annotations

import math

from kerastorch.callbacks._callback import Callback, Logs


class TerminateOnNaN(Callback):
    """End training when the running loss is NaN or infinite: gently, or with a RuntimeError.

    Reads the loss after every batch, so the host waits for the device at each step.
    Keras: ``keras.callbacks.TerminateOnNaN``.

    >>> import kerastorch as keras
    >>> from types import SimpleNamespace
    >>> guard = keras.callbacks.TerminateOnNaN()
    >>> guard.set_model(SimpleNamespace(stop_training=False))
    >>> guard.on_batch_end(7, {"loss": float("nan")})
    Batch 7: Invalid loss, terminating training
    >>> guard.model.stop_training
    True
    """

    def __init__(self, raise_error: bool = False) -> None:
        super().__init__()
        self.raise_error = raise_error

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Look at the loss."""
        loss = (logs or {}).get("loss")
        if loss is None or math.isfinite(float(loss)):
            return
        if self.raise_error:
            raise RuntimeError(f"NaN or Inf loss encountered at batch {batch}: {float(loss)}.")
        print(f"Batch {batch}: Invalid loss, terminating training")
        self.model.stop_training = True
