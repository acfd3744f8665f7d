"""What every schedule is: a function of the step with a recorded configuration."""

from __future__ import annotations

from typing import Any

import torch

from kerastorch._registry import Recorded, Registry
from kerastorch._registry import serialize as serialize_any

Step = int | float | torch.Tensor

registry = Registry("learning rate schedule", "optimizers.schedules")


class LearningRateSchedule(Recorded):
    """A learning rate as a function of the step, counted from 0. Subclass it and write `__call__`.

    `__call__(step)` is given the optimizer's step, a 0-d integer tensor, and returns the rate as a
    0-d tensor. Written with torch operations it runs on the device, inside `torch.compile` too.

    >>> import kerastorch as keras, torch
    >>> class Warmup(keras.optimizers.schedules.LearningRateSchedule):
    ...     def __init__(self, target, steps):
    ...         self.target, self.steps = target, steps
    ...     def __call__(self, step):
    ...         return self.target * torch.clamp((step + 1) / self.steps, max=1.0)
    >>> optimizer = keras.optimizers.Adam(Warmup(0.01, 10))
    >>> float(optimizer.learning_rate)
    0.0010000000474974513
    """

    def __call__(self, step: Step) -> torch.Tensor:
        raise NotImplementedError(f"{type(self).__name__} must define __call__(self, step).")


def as_float(step: Step) -> torch.Tensor:
    """The step as a float32 scalar, where it is."""
    if isinstance(step, torch.Tensor):
        return step.to(torch.float32)
    return torch.tensor(step, dtype=torch.float32)


def at_least_one(schedule: LearningRateSchedule, **steps: float) -> None:
    """Refuse a number of steps that is not positive."""
    for name, value in steps.items():
        if not value > 0:
            raise ValueError(
                f"{type(schedule).__name__}: `{name}` must be a number of steps above 0, "
                f"received {value!r}."
            )


def get(identifier: Any) -> Any:
    """A schedule from a schedule, a class or a serialized config.

    >>> import kerastorch as keras
    >>> schedules = keras.optimizers.schedules
    >>> config = schedules.serialize(schedules.InverseTimeDecay(0.1, 10, 0.5))
    >>> float(schedules.get(config)(0))
    0.10000000149011612
    """
    return registry.get(identifier)


def serialize(learning_rate_schedule: LearningRateSchedule) -> dict[str, Any]:
    """The schedule as plain data that `deserialize` turns back."""
    return serialize_any(learning_rate_schedule)


def deserialize(config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
    """A schedule from what `serialize` gave."""
    return registry.deserialize(config, custom_objects)
