"""Callbacks that change the optimizer's learning rate."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable as Function
from typing import Any

import torch

from kerastorch.callbacks._callback import Callback, Logs
from kerastorch.callbacks._monitor import MonitorCallback


def get_learning_rate(optimizer: Any) -> float:
    """The rate of a Keras optimizer, or of the first group of a plain torch one."""
    if hasattr(optimizer, "learning_rate"):
        return float(optimizer.learning_rate)
    return float(optimizer.param_groups[0]["lr"])


def set_learning_rate(optimizer: Any, value: float) -> None:
    """Set the rate of a Keras optimizer, or of every group of a plain torch one."""
    if hasattr(optimizer, "learning_rate"):
        optimizer.learning_rate = value
        return
    for group in optimizer.param_groups:
        if isinstance(group["lr"], torch.Tensor):
            group["lr"].fill_(value)
        else:
            group["lr"] = value


def check_adjustable(optimizer: Any, callback: Callback) -> None:
    """Raise a TypeError, before training, if a schedule sets the rate at every step."""
    rate = getattr(optimizer, "defaults", {}).get("lr")
    if callable(rate) and not isinstance(rate, torch.Tensor):
        raise TypeError(
            f"This optimizer was created with a `LearningRateSchedule` ({rate!r}), which sets the "
            f"rate at every step. Use either the schedule or {type(callback).__name__}."
        )


class LearningRateScheduler(Callback):
    """Set the learning rate before each epoch to ``schedule(epoch, rate)`` or ``schedule(epoch)``.

    Epochs count from 0. The rate is added to the logs as ``learning_rate``. An optimizer that
    already follows a `LearningRateSchedule` is a TypeError when training begins.
    Keras: ``keras.callbacks.LearningRateScheduler``.

    >>> import kerastorch as keras
    >>> from types import SimpleNamespace
    >>> halve = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2, verbose=1)
    >>> halve.set_model(SimpleNamespace(optimizer=SimpleNamespace(learning_rate=0.1)))
    >>> halve.on_epoch_begin(0)
    <BLANKLINE>
    Epoch 00001: LearningRateScheduler setting learning rate to 0.05.
    """

    def __init__(self, schedule: Function[..., float], verbose: int = 0) -> None:
        super().__init__()
        self.schedule = schedule
        self.verbose = verbose
        self._takes_rate = _takes_two(schedule)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Refuse an optimizer with a schedule."""
        check_adjustable(self.model.optimizer, self)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Set the rate of this epoch."""
        optimizer = self.model.optimizer
        arguments = (epoch, get_learning_rate(optimizer)) if self._takes_rate else (epoch,)
        value = self.schedule(*arguments)
        try:
            rate = float(value)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"LearningRateScheduler: schedule{arguments} gave {value!r}, expected a number."
            ) from error
        set_learning_rate(optimizer, rate)
        if self.verbose:
            print(
                f"\nEpoch {epoch + 1:05d}: LearningRateScheduler "
                f"setting learning rate to {rate:.6g}."
            )

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Add the rate to the logs."""
        if logs is not None:
            logs["learning_rate"] = get_learning_rate(self.model.optimizer)


def _takes_two(function: Function[..., Any]) -> bool:
    """Whether ``function(epoch, rate)`` is a legal call."""
    try:
        inspect.signature(function).bind(0, 0.0)
    except (TypeError, ValueError):  # ValueError: a builtin without a signature
        return False
    return True


class ReduceLROnPlateau(MonitorCallback):
    """Multiply the learning rate by `factor` after `patience` epochs without improvement.

    For `cooldown` epochs after a reduction nothing is counted, and the rate never goes below
    `min_lr`. The rate is added to the logs as ``learning_rate``. An optimizer that follows a
    `LearningRateSchedule` is a TypeError when training begins.
    State is reset at each `fit`. Keras: ``keras.callbacks.ReduceLROnPlateau``.

    >>> import kerastorch as keras
    >>> from types import SimpleNamespace
    >>> reduce = keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.5, patience=1, verbose=1)
    >>> reduce.set_model(SimpleNamespace(optimizer=SimpleNamespace(learning_rate=0.1)))
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
        check_adjustable(self.model.optimizer, self)
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
        old = get_learning_rate(self.model.optimizer)
        new = max(old * self.factor, self.min_lr)
        if new >= old or math.isclose(new, old, rel_tol=1e-6):  # a float32 rate is at min_lr
            return False
        set_learning_rate(self.model.optimizer, new)
        if self.verbose:
            print(
                f"\nEpoch {epoch + 1:05d}: ReduceLROnPlateau reducing learning rate to {new:.6g}."
            )
        return True
