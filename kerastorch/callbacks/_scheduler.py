"""Learning rates by a function of the epoch, or by any scheduler of torch."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable as Function
from typing import Any

from torch.optim import lr_scheduler

from kerastorch.callbacks._callback import Callback, Logs
from kerastorch.callbacks._learning_rate import (
    check_adjustable,
    get_learning_rate,
    set_learning_rate,
)
from kerastorch.callbacks._monitor import value_in


class LearningRateScheduler(Callback):
    """Set the learning rate before each epoch to ``schedule(epoch, rate)`` or ``schedule(epoch)``.

    Or let a scheduler of `torch.optim.lr_scheduler` set it, after each epoch or, with
    ``interval="batch"``, after each batch. Then `schedule` is

    - a scheduler on the optimizer that the model is compiled with, or
    - its class, a ``functools.partial`` of it, or a function whose first parameter is called
      ``optimizer``: called with the optimizer when training begins. The scheduler is `scheduler`.

    A scheduler goes on in the next `fit` where it stopped, until the model has another optimizer.
    torch's ``ReduceLROnPlateau`` gets the value `monitor`.

    Epochs count from 0. The rate of the epoch is added to the logs as ``learning_rate``. An
    optimizer that already follows a `LearningRateSchedule` is a TypeError when training begins.
    Keras: ``keras.callbacks.LearningRateScheduler``, with functions of the epoch only.

    >>> import kerastorch as keras
    >>> from types import SimpleNamespace
    >>> halve = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2, verbose=1)
    >>> halve.set_model(SimpleNamespace(optimizer=SimpleNamespace(learning_rate=0.1)))
    >>> halve.on_epoch_begin(0)
    <BLANKLINE>
    Epoch 00001: LearningRateScheduler setting learning rate to 0.05.

    >>> from functools import partial
    >>> from torch.optim import lr_scheduler
    >>> cosine = keras.callbacks.LearningRateScheduler(
    ...     partial(lr_scheduler.CosineAnnealingLR, T_max=1000), interval="batch"
    ... )
    """

    def __init__(
        self,
        schedule: Any,
        verbose: int = 0,
        interval: str = "epoch",
        monitor: str = "val_loss",
    ) -> None:
        super().__init__()
        given = isinstance(schedule, lr_scheduler.LRScheduler)
        self._makes = not given and _makes_scheduler(schedule)
        if interval not in ("epoch", "batch"):
            raise ValueError(f"interval: expected 'epoch' or 'batch', received {interval!r}.")
        if interval == "batch":
            if not given and not self._makes:
                raise ValueError(
                    f"LearningRateScheduler: schedule={schedule!r} is a function of the epoch. "
                    "interval='batch' is for schedulers of torch; a function of the step is a "
                    "LearningRateSchedule, for the optimizer's learning_rate."
                )
            self.__dict__["on_train_batch_end"] = self._after_batch
        self.schedule = schedule
        self.verbose = verbose
        self.interval = interval
        self.monitor = monitor
        self.scheduler: Any = schedule if given else None
        self._takes_rate = _takes_two(schedule)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Refuse an optimizer with a schedule, or another one than the scheduler's."""
        optimizer = self.model.optimizer
        check_adjustable(optimizer, self)
        inner = getattr(optimizer, "inner_optimizer", optimizer)  # of a LossScaleOptimizer
        fits = self.scheduler is not None and self.scheduler.optimizer in (optimizer, inner)
        if self._makes and not fits:
            made = self.schedule(inner)
            if not isinstance(made, lr_scheduler.LRScheduler):
                raise TypeError(
                    f"LearningRateScheduler: schedule={self.schedule!r} was called with the "
                    f"optimizer and gave {made!r}, expected a torch.optim.lr_scheduler.LRScheduler."
                )
            self.scheduler = made
        elif self.scheduler is not None and not fits:
            raise ValueError(
                f"LearningRateScheduler: this {type(self.scheduler).__name__} is on another optimizer "
                "than the model's. Pass its class or a functools.partial of it: "
                "it is made on the model's optimizer when training begins."
            )

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Set the rate of this epoch."""
        optimizer = self.model.optimizer
        if self.scheduler is None:
            set_learning_rate(optimizer, self._of_epoch(epoch, optimizer))
        if self.verbose:
            print(
                f"\nEpoch {epoch + 1:05d}: LearningRateScheduler "
                f"setting learning rate to {get_learning_rate(optimizer):.6g}."
            )

    def _of_epoch(self, epoch: int, optimizer: Any) -> float:
        arguments = (epoch, get_learning_rate(optimizer)) if self._takes_rate else (epoch,)
        value = self.schedule(*arguments)
        try:
            return float(value)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"LearningRateScheduler: schedule{arguments} gave {value!r}, expected a number."
            ) from error

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Add the rate to the logs, and step the scheduler."""
        logs = {} if logs is None else logs
        logs["learning_rate"] = get_learning_rate(self.model.optimizer)
        if self.scheduler is not None and self.interval == "epoch":
            self._step(logs)

    def _after_batch(self, batch: int, logs: Logs | None = None) -> None:
        self._step(logs or {})

    def _step(self, logs: Logs) -> None:
        if not isinstance(self.scheduler, lr_scheduler.ReduceLROnPlateau):
            self.scheduler.step()
            return
        value = value_in(logs, self.monitor, self)
        if value is not None:
            self.scheduler.step(value)


def _makes_scheduler(schedule: Any) -> bool:
    """Whether it is to be called with the optimizer."""
    target = schedule.func if isinstance(schedule, functools.partial) else schedule
    if isinstance(target, type):
        return issubclass(target, lr_scheduler.LRScheduler)
    try:
        names = list(inspect.signature(schedule).parameters)
    except (TypeError, ValueError):  # ValueError: a builtin without a signature
        return False
    return names[:1] == ["optimizer"]


def _takes_two(function: Function[..., Any]) -> bool:
    """Whether ``function(epoch, rate)`` is a legal call."""
    try:
        inspect.signature(function).bind(0, 0.0)
    except (TypeError, ValueError):
        return False
    return True
