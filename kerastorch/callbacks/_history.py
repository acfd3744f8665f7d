"""The record that `fit` returns."""

from __future__ import annotations

from typing import Any

from kerastorch.callbacks._callback import Callback, Logs


class History(Callback):
    """Every epoch's values: `history` maps names to lists of floats, `epoch` lists the epochs.

    Part of every `fit`, which returns it; also found as ``model.history``, from the start of
    training on, so that an interrupted run keeps its record. Keras: ``keras.callbacks.History``.

    >>> import kerastorch as keras
    >>> history = keras.callbacks.History()
    >>> history.on_train_begin()
    >>> history.on_epoch_end(0, {"loss": 0.5, "val_loss": 0.75})
    >>> history.history, history.epoch
    ({'loss': [0.5], 'val_loss': [0.75]}, [0])
    """

    def __init__(self) -> None:
        super().__init__()
        self.history: dict[str, list[Any]] = {}
        self.epoch: list[int] = []

    def set_model(self, model: Any) -> None:
        """Become ``model.history``."""
        super().set_model(model)
        model.history = self

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Start an empty record."""
        self.history, self.epoch = {}, []

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Append the values of the epoch."""
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(as_plain(value))


def as_plain(value: Any) -> Any:
    """Tensors, arrays and numbers as Python floats, nested lists of them for several values."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    return float(value) if isinstance(value, (bool, int)) else value
