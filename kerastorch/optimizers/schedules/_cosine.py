"""Cosine schedules: one half wave after a warm-up, or half waves that restart."""

from __future__ import annotations

import math

import torch

from kerastorch.optimizers.schedules._base import (
    LearningRateSchedule,
    Step,
    as_float,
    at_least_one,
    registry,
)


class CosineDecay(LearningRateSchedule):
    """Half a cosine wave down to ``alpha`` times the peak, after an optional linear warm-up.

    Without `warmup_target` the peak is `initial_learning_rate`. With it, the rate first climbs in
    `warmup_steps` steps from `initial_learning_rate` to `warmup_target`, which is then the peak.
    After that: ``peak * ((1 - alpha) * (1 + cos(pi * t / decay_steps)) / 2 + alpha)``.
    Loshchilov & Hutter, https://arxiv.org/abs/1608.03983.

    >>> from kerastorch.optimizers.schedules import CosineDecay
    >>> schedule = CosineDecay(0.0, 10, warmup_target=1.0, warmup_steps=4)
    >>> [round(float(schedule(step)), 4) for step in (0, 2, 4, 9, 14, 20)]
    [0.0, 0.5, 1.0, 0.5, 0.0, 0.0]
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: float = 0,
    ) -> None:
        at_least_one(self, decay_steps=decay_steps)
        if warmup_steps < 0:
            raise ValueError(
                f"CosineDecay: `warmup_steps` must be 0 or more, received {warmup_steps!r}."
            )
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.alpha = alpha
        self.name = name
        self.warmup_target = warmup_target
        self.warmup_steps = warmup_steps

    def __call__(self, step: Step) -> torch.Tensor:
        t = as_float(step)
        start, target, warmup = self.initial_learning_rate, self.warmup_target, self.warmup_steps
        if target is None:
            return self._decayed(t, start)
        decayed = self._decayed(t - warmup, target)
        if warmup == 0:
            return decayed
        return torch.where(t < warmup, start + (target - start) * (t / warmup), decayed)

    def _decayed(self, t: torch.Tensor, peak: float) -> torch.Tensor:
        wave = 0.5 * (1 + torch.cos(math.pi * (t.clamp(max=self.decay_steps) / self.decay_steps)))
        return peak * ((1 - self.alpha) * wave + self.alpha)


class CosineDecayRestarts(LearningRateSchedule):
    """Half cosine waves, each `t_mul` times as long and `m_mul` times as high as the one before.

    The first takes `first_decay_steps` steps; every wave ends at ``alpha * initial_learning_rate``.
    Loshchilov & Hutter, https://arxiv.org/abs/1608.03983.

    >>> import kerastorch as keras
    >>> schedule = keras.optimizers.schedules.CosineDecayRestarts(1.0, 10, t_mul=2.0, m_mul=0.5)
    >>> [round(float(schedule(step)), 4) for step in (0, 5, 10, 20, 30)]
    [1.0, 0.5, 0.5, 0.25, 0.25]
    """

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: float,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ) -> None:
        at_least_one(self, first_decay_steps=first_decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.first_decay_steps = first_decay_steps
        self.t_mul = t_mul
        self.m_mul = m_mul
        self.alpha = alpha
        self.name = name

    def __call__(self, step: Step) -> torch.Tensor:
        p = as_float(step) / self.first_decay_steps
        if self.t_mul == 1.0:
            restarts = p.floor()
            p = p - restarts
        else:  # the waves end at 1, 1 + t_mul, 1 + t_mul + t_mul**2, ... first waves
            restarts = (torch.log(1 - p * (1 - self.t_mul)) / math.log(self.t_mul)).floor()
            length = self.t_mul**restarts
            p = (p - (1 - length) / (1 - self.t_mul)) / length
        wave = 0.5 * self.m_mul**restarts * (1 + torch.cos(math.pi * p))
        return self.initial_learning_rate * ((1 - self.alpha) * wave + self.alpha)


registry.add(CosineDecay, CosineDecayRestarts)
