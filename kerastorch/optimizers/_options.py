"""Hyper-parameters: the options every optimizer takes, where they live, and what they may be."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from typing import Any, TypeAlias, TypedDict

import torch

from kerastorch.optimizers.schedules import LearningRateSchedule

Rate: TypeAlias = float | torch.Tensor | LearningRateSchedule | Callable[[], Any]


class CommonOptions(TypedDict, total=False):
    """Keyword arguments of every optimizer, `weight_decay` aside."""

    clipnorm: float | None
    clipvalue: float | None
    global_clipnorm: float | None
    use_ema: bool
    ema_momentum: float
    ema_overwrite_frequency: int | None
    loss_scale_factor: float | None
    gradient_accumulation_steps: int | None
    name: str | None


class Options(CommonOptions, total=False):
    """Keyword arguments of every optimizer."""

    weight_decay: float | None


class Option:
    """A hyper-parameter of a rule: an attribute of the optimizer, kept in every parameter group.

    Writing the attribute changes all groups, reading it gives the default of new ones. `key` is
    its name in the group if it is another, `item` the place in a tuple: ``Option("betas", 0)``.
    """

    def __init__(self, key: str = "", item: int | None = None) -> None:
        self.key, self.item = key, item

    def __set_name__(self, owner: type, name: str) -> None:
        self.key = self.key or name

    def __get__(self, optimizer: Any, owner: type | None = None) -> Any:
        if optimizer is None:
            return self
        value = optimizer.defaults[self.key]
        return value if self.item is None else value[self.item]

    def __set__(self, optimizer: Any, value: Any) -> None:
        if self.item is not None:
            pair = list(optimizer.defaults[self.key])
            pair[self.item] = value
            value = tuple(pair)
        for options in (optimizer.defaults, *optimizer.param_groups):
            options[self.key] = value


def is_number(value: Any) -> bool:
    """Whether `value` is a real number of Python, numpy or a 0-d tensor."""
    if isinstance(value, torch.Tensor):
        return value.ndim == 0
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def checked_rate(optimizer: Any, value: Any) -> Any:
    """A learning rate: a callable as it is, a number as a 0-d float32 tensor."""
    if callable(value) and not isinstance(value, torch.Tensor):
        return value
    if not is_number(value) or (not isinstance(value, torch.Tensor) and not 0 <= value < math.inf):
        raise ValueError(
            f"{type(optimizer).__name__}: `learning_rate` must be a number of 0 or more, a "
            f"LearningRateSchedule or a callable, received {value!r}."
        )
    if isinstance(value, torch.Tensor):
        return value.detach().to(torch.float32, copy=True)
    return torch.tensor(float(value), dtype=torch.float32, device="cpu")


def reduced_rate(rate: float, factor: float, minimum: float) -> float:
    """``rate * factor`` but not below `minimum`; `rate` itself where it is there already.

    >>> reduced_rate(1.0, 0.5, 0.0), reduced_rate(1.0, 0.5, 0.75), reduced_rate(0.5, 0.5, 0.75)
    (0.5, 0.75, 0.5)
    """
    new = max(rate * factor, minimum)
    close = math.isclose(new, rate, rel_tol=1e-6)  # a float32 rate at the minimum
    return rate if new >= rate or close else new


def in_range(
    optimizer: Any, name: str, value: Any, low: float = 0.0, high: float = math.inf
) -> float:
    """A number from `low` to `high`, both included."""
    if not is_number(value) or not low <= value <= high:
        wanted = f"from {low:g} to {high:g}" if high < math.inf else f"of {low:g} or more"
        raise ValueError(
            f"{type(optimizer).__name__}: `{name}` must be a number {wanted}, received {value!r}."
        )
    return value


def below_one(optimizer: Any, name: str, value: Any) -> float:
    """A decay rate: a number in ``[0, 1)``."""
    if not is_number(value) or not 0 <= value < 1:
        raise ValueError(
            f"{type(optimizer).__name__}: `{name}` must be a number from 0 to below 1, "
            f"received {value!r}."
        )
    return value
