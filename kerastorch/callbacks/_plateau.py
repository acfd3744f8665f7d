"""Lower the learning rate when a value no longer improves."""

from __future__ import annotations

from kerastorch.callbacks._callback import Logs
from kerastorch.callbacks._learning_rate import get_learning_rate, reduce_learning_rate
from kerastorch.callbacks._monitor import MonitorCallback


class ReduceLROnPlateau(MonitorCallback):
    """Multiply the learning rate by `factor` after `patience` epochs without improvement.

    For `cooldown` epochs after a reduction nothing is counted, and the rate never goes below
    `min_lr`. A `LearningRateSchedule` of the optimizer goes on, times the factors so far; its own
    decay may go below `min_lr`. The rate is added to the logs as ``learning_rate``.
    State is reset at each `fit`. Keras: ``keras.callbacks.ReduceLROnPlateau``.

    >>> import kerastorch as keras
    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    >>> model.compile(keras.optimizers.SGD(0.1), "mse")
    >>> model.optimizer.build(model.trainable_variables)
    >>> reduce = keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.5, patience=1, verbose=1)
    >>> reduce.set_model(model)
    >>> reduce.on_train_begin()
    >>> for epoch in range(2):
    ...     reduce.on_epoch_end(epoch, {"val_loss": 1.0})
    <BLANKLINE>
    Epoch 00002: ReduceLROnPlateau reducing learning rate to 0.05.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        if not 0 < factor < 1:
            raise ValueError(f"factor: expected a number between 0 and 1, received {factor!r}.")
        super().__init__(monitor, mode, min_delta)
        self.factor = factor
        self.patience = patience
        self.verbose = verbose
        self.cooldown = cooldown
        self.min_lr = min_lr
        self._reset()

    def _reset(self) -> None:
        self.best = None
        self.wait = 0
        self.cooldown_counter = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Forget the training before."""
        self._reset()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Compare, and reduce the rate when patience has run out."""
        logs = {} if logs is None else logs
        logs["learning_rate"] = get_learning_rate(self.model.optimizer)
        current = self.get_monitor_value(logs)
        if current is None:
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self._is_improvement(current, self.best):
            self.best = current
            self.wait = 0
        elif not self.in_cooldown():
            self.wait += 1
            if self.wait >= self.patience and self._reduce(epoch):
                self.cooldown_counter = self.cooldown
                self.wait = 0

    def in_cooldown(self) -> bool:
        """Whether a reduction is too recent to count epochs."""
        return self.cooldown_counter > 0

    def _reduce(self, epoch: int) -> bool:
        optimizer = self.model.optimizer
        reduced = reduce_learning_rate(optimizer, self.factor, self.min_lr)
        if reduced and self.verbose:
            print(
                f"\nEpoch {epoch + 1:05d}: ReduceLROnPlateau reducing learning rate "
                f"to {get_learning_rate(optimizer):.6g}."
            )
        return reduced
