"""The learning rate of any optimizer: read, set, reduce."""

from __future__ import annotations

from typing import Any

import torch

from kerastorch.callbacks._callback import Callback
from kerastorch.optimizers._options import reduced_rate


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
        _set(group, value)


def reduce_learning_rate(optimizer: Any, factor: float, minimum: float) -> bool:
    """Multiply every group's rate by `factor`, down to `minimum`; False if all are there."""
    if hasattr(optimizer, "reduce_learning_rate"):
        return bool(optimizer.reduce_learning_rate(factor, minimum))
    changed = False
    for group in optimizer.param_groups:
        rate = float(group["lr"])
        reduced = reduced_rate(rate, factor, minimum)
        if reduced != rate:
            _set(group, reduced)
            changed = True
    return changed


def _set(group: dict[str, Any], value: float) -> None:
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
