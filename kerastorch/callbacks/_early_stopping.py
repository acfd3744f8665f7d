"""Stop when a value no longer improves."""

from __future__ import annotations

import copy
from typing import Any

from torch import nn

from kerastorch.callbacks._callback import Logs
from kerastorch.callbacks._monitor import MonitorCallback


class EarlyStopping(MonitorCallback):
    """Stop after `patience` epochs in which `monitor` did not improve by more than `min_delta`.

    - `baseline`: patience runs out unless the value becomes better than this.
    - `restore_best_weights`: when training ends, for whatever reason, the weights of the best epoch
      come back; a copy of them is kept on the model's device. Watch a ``val_...`` value for this:
      a training value is a mean over the epoch, and the weights at its end score differently.
    - `start_from_epoch`: epochs before it are not looked at.
    - `verbose=1` prints ``Epoch 00005: early stopping``.

    State is reset at each `fit`. Keras: ``keras.callbacks.EarlyStopping``.

    >>> import kerastorch as keras
    >>> from types import SimpleNamespace
    >>> stop = keras.callbacks.EarlyStopping("val_loss", min_delta=1e-2, patience=2, verbose=1)
    >>> stop.set_model(SimpleNamespace(stop_training=False))
    >>> stop.on_train_begin()
    >>> for epoch, loss in enumerate([0.2323, 0.1828, 0.1580, 0.1681, 0.1482]):
    ...     stop.on_epoch_end(epoch, {"val_loss": loss})
    >>> stop.on_train_end()
    Epoch 00005: early stopping
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience = patience
        self.verbose = verbose
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        self._reset()

    def _reset(self) -> None:
        self.best = None
        self.best_epoch = 0
        self.best_weights: Any = None
        self.wait = 0
        self.stopped_epoch = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Forget the training before."""
        self._reset()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Compare, remember, and ask to stop when patience has run out."""
        current = self.get_monitor_value(logs)
        if current is None or epoch < self.start_from_epoch:
            return
        self.wait += 1
        improved = self._is_improvement(current, self.best)
        if improved:
            self.best, self.best_epoch = current, epoch
            if self.baseline is None or self._is_improvement(current, self.baseline):
                self.wait = 0
        if self.restore_best_weights and (improved or self.best_weights is None):
            self.best_weights, self.best_epoch = _copy_of_weights(self.model), epoch
        if not improved and self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Tell why training stopped, and put the best weights back if asked to."""
        if self.stopped_epoch and self.verbose:
            print(f"Epoch {self.stopped_epoch + 1:05d}: early stopping")
        if self.best_weights is not None:
            if self.verbose:
                print(f"Restoring the weights of the best epoch: {self.best_epoch + 1}.")
            _put_weights(self.model, self.best_weights)


def _copy_of_weights(model: Any) -> Any:
    """The state of a module, copied on its device; of any other kind of model its `get_weights`."""
    state = model.state_dict() if isinstance(model, nn.Module) else model.get_weights()
    return copy.deepcopy(state)


def _put_weights(model: Any, weights: Any) -> None:
    if isinstance(model, nn.Module):
        model.load_state_dict(weights)
    else:
        model.set_weights(weights)
