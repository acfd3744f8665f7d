"""Watching one value of the logs: which direction is better, and by how much."""

from __future__ import annotations

import math
import operator
import re
import warnings
from collections.abc import Callable as Function
from typing import Any

from kerastorch.callbacks._callback import Callback, Logs

# What a value's name says about it. The first pattern that is found decides.
_DIRECTIONS = [
    (r"loss|error|false_|hinge|entropy|divergence|perplexity|poisson|log_?cosh", "min"),
    (r"(^|_)(mse|mae|mape|msle|rmse|kld?)$", "min"),
    (r"acc|auc|precision|recall|true_|sensitivity|specificity|similarity|correlation", "max"),
    (r"(^|_)(f1|fbeta|r2)(_score)?$|(^|_)m?io_?u$|(^|_)(dice|map|ndcg|mrr|psnr|ssim|bleu)$", "max"),
]


def improvement_direction(monitor: str) -> str:
    """ "min" or "max", from the name of a loss or metric.

    >>> improvement_direction("val_loss"), improvement_direction("val_f1_score")
    ('min', 'max')
    """
    # Two metrics of one name are reported as "mse" and "mse_1".
    name = re.sub(r"_\d+$", "", monitor.removeprefix("val_").lower())
    for pattern, direction in _DIRECTIONS:
        if re.search(pattern, name):
            return direction
    raise ValueError(
        f"monitor: it is not known whether {monitor!r} should grow or shrink. "
        'Pass mode="max" or mode="min".'
    )


class MonitorCallback(Callback):
    """Base of callbacks that act on the value called `monitor`; `best` is the best so far.

    A value is better if it beats the best by more than `min_delta`; NaN never does. With
    ``mode="auto"`` the name tells the direction; a name that does not is an error at construction.
    Keras: ``keras.callbacks.MonitorCallback``.
    """

    def __init__(self, monitor: str = "val_loss", mode: str = "auto", min_delta: float = 0) -> None:
        super().__init__()
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"mode: expected 'auto', 'min' or 'max', received {mode!r}.")
        direction = improvement_direction(monitor) if mode == "auto" else mode
        self.monitor = monitor
        self.mode = mode
        self.min_delta = abs(min_delta) if direction == "max" else -abs(min_delta)
        self.monitor_op: Function[[Any, Any], bool] = (
            operator.gt if direction == "max" else operator.lt
        )
        self.best: float | None = None

    def get_monitor_value(self, logs: Logs | None) -> float | None:
        """The watched value, or None and a warning when the logs lack it."""
        return value_in(logs or {}, self.monitor, self)

    def _is_improvement(self, value: float, reference: float | None) -> bool:
        if reference is None:
            return not math.isnan(value)
        return self.monitor_op(value - self.min_delta, reference)


def value_in(logs: Logs, name: str, callback: Callback) -> float | None:
    """The value of that name, or None and a warning when the logs lack it."""
    if name in logs:
        return float(logs[name])
    warnings.warn(
        f"{type(callback).__name__} watches {name!r}, which is not available. "
        f"Available: {', '.join(logs)}.",
        stacklevel=4,
    )
    return None
