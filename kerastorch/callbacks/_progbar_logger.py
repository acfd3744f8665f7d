"""The progress bar of `fit`, `evaluate` and `predict`."""

from __future__ import annotations

from typing import Any

from kerastorch import config
from kerastorch.callbacks._callback import Callback, Logs
from kerastorch.utils._progbar import Progbar


class ProgbarLogger(Callback):
    """Prints ``Epoch 1/2`` and a bar per epoch, or one bar for `evaluate` and `predict`.

    Part of every run unless ``verbose=0``; ``verbose=2`` prints one line per epoch without a bar,
    "auto" is 1, or 2 after `config.disable_interactive_logging`. In `fit` the line ends with the epoch's own
    values, validation included, and validation draws no bar of its own. Values are read only when the line is
    refreshed, which goes by time. Keras: ``keras.callbacks.ProgbarLogger``.

    >>> import kerastorch as keras
    >>> bar = keras.callbacks.CallbackList(keras.callbacks.ProgbarLogger(), verbose=1, steps=2)
    >>> bar.on_test_begin()
    >>> for step in range(2):
    ...     bar.on_test_batch_end(step, {"loss": 0.5})
    >>> bar.on_test_end({"loss": 0.5})
    2/2 [==============================] - 0s ...us/step - loss: 0.5000
    """

    def __init__(self) -> None:
        super().__init__()
        self._in_fit = False
        self._seen = 0
        self._steps: int | None = None  # of the epoch before: what to expect of the next one
        self._progbar: Progbar | None = None

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the bar of a continued run is a new one."""
        return {}

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """From here on validation is silent."""
        self._in_fit = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        """From here on `evaluate` draws a bar again."""
        self._in_fit = False

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Print the header and start a bar."""
        epochs = self.params.get("epochs", 1)
        if self._verbose and epochs > 1:
            print(f"Epoch {epoch + 1}/{epochs}", flush=True)
        self._begin()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Move the bar."""
        self._advance(batch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Print the last line of the epoch."""
        self._end(logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Start a bar, unless this is validation."""
        if not self._in_fit:
            self._begin()

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Move the bar, unless this is validation."""
        if not self._in_fit:
            self._advance(batch, logs)

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Print the last line, unless this is validation."""
        if not self._in_fit:
            self._end(logs)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Start a bar."""
        self._begin()

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Move the bar; the outputs in `logs` are not shown."""
        self._advance(batch, None)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Print the last line."""
        self._end(None)

    @property
    def _verbose(self) -> int:
        verbose: Any = self.params.get("verbose", 1)
        return int(config._verbosity(verbose))

    def _begin(self) -> None:
        self._seen = 0
        steps = self.params.get("steps") or self._steps
        self._progbar = Progbar(steps, verbose=self._verbose, stateless_metrics=())

    def _advance(self, batch: int, logs: Logs | None) -> None:
        self._seen = batch + 1
        if self._progbar is not None:
            self._progbar.update(self._seen, logs, finalize=False)

    def _end(self, logs: Logs | None) -> None:
        if self._progbar is not None:
            self._progbar.update(self._seen, logs, finalize=True)
            self._progbar, self._steps = None, self._seen
