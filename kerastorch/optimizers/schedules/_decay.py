"""Schedules with a closed form: steps, powers, inverse time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch

from kerastorch.optimizers.schedules._base import (
    LearningRateSchedule,
    Step,
    as_float,
    at_least_one,
    registry,
)


class PiecewiseConstantDecay(LearningRateSchedule):
    """``values[0]`` while ``step <= boundaries[0]``, then ``values[1]`` up to ``boundaries[1]``, ...

    `boundaries` are increasing steps, `values` has one entry more.

    >>> import kerastorch as keras
    >>> schedule = keras.optimizers.schedules.PiecewiseConstantDecay([10, 20], [1.0, 0.5, 0.25])
    >>> [float(schedule(step)) for step in (0, 10, 11, 20, 21)]
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """

    def __init__(
        self,
        boundaries: Sequence[float],
        values: Sequence[float],
        name: str = "PiecewiseConstant",
    ) -> None:
        if len(boundaries) != len(values) - 1:
            raise ValueError(
                "PiecewiseConstantDecay: `values` must have one entry more than `boundaries`, "
                f"received {len(values)} values and {len(boundaries)} boundaries."
            )
        if any(b <= a for a, b in pairwise(boundaries)):
            raise ValueError(
                f"PiecewiseConstantDecay: `boundaries` must increase, received {list(boundaries)}."
            )
        self.boundaries, self.values, self.name = boundaries, values, name

    def __call__(self, step: Step) -> torch.Tensor:
        t = as_float(step)
        rate = torch.full_like(t, self.values[0])
        for boundary, value in zip(self.boundaries, self.values[1:], strict=True):
            rate = torch.where(t > boundary, value, rate)
        return rate


class ExponentialDecay(LearningRateSchedule):
    """``initial_learning_rate * decay_rate ** (step / decay_steps)``.

    With `staircase` the power is rounded down: the rate falls every `decay_steps` steps.

    >>> import kerastorch as keras
    >>> schedule = keras.optimizers.schedules.ExponentialDecay(1.0, 10, 0.5, staircase=True)
    >>> [float(schedule(step)) for step in (0, 9, 10, 20)]
    [1.0, 1.0, 0.5, 0.25]
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ) -> None:
        at_least_one(self, decay_steps=decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name

    def __call__(self, step: Step) -> torch.Tensor:
        p = as_float(step) / self.decay_steps
        return self.initial_learning_rate * self.decay_rate ** (p.floor() if self.staircase else p)


class InverseTimeDecay(LearningRateSchedule):
    """``initial_learning_rate / (1 + decay_rate * step / decay_steps)``.

    With `staircase` the quotient ``step / decay_steps`` is rounded down.

    >>> import kerastorch as keras
    >>> schedule = keras.optimizers.schedules.InverseTimeDecay(1.0, decay_steps=10, decay_rate=1.0)
    >>> [float(schedule(step)) for step in (0, 10, 30)]
    [1.0, 0.5, 0.25]
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ) -> None:
        at_least_one(self, decay_steps=decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name

    def __call__(self, step: Step) -> torch.Tensor:
        p = as_float(step) / self.decay_steps
        return self.initial_learning_rate / (
            1 + self.decay_rate * (p.floor() if self.staircase else p)
        )


class PolynomialDecay(LearningRateSchedule):
    """From `initial_learning_rate` to `end_learning_rate` along ``(1 - step / decay_steps) ** power``.

    After `decay_steps` the rate stays at its end. With `cycle`, `decay_steps` grows to the next
    multiple that is not below the step, so that the rate jumps up and falls again.

    >>> import kerastorch as keras
    >>> schedule = keras.optimizers.schedules.PolynomialDecay(1.0, 10, end_learning_rate=0.0)
    >>> [float(schedule(step)) for step in (0, 5, 10, 15)]
    [1.0, 0.5, 0.0, 0.0]
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ) -> None:
        at_least_one(self, decay_steps=decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.end_learning_rate = end_learning_rate
        self.power = power
        self.cycle = cycle
        self.name = name

    def __call__(self, step: Step) -> torch.Tensor:
        p = as_float(step) / self.decay_steps
        p = p / p.ceil().clamp(min=1.0) if self.cycle else p.clamp(max=1.0)
        span = self.initial_learning_rate - self.end_learning_rate
        return span * (1 - p) ** self.power + self.end_learning_rate


registry.add(PiecewiseConstantDecay, ExponentialDecay, InverseTimeDecay, PolynomialDecay)
