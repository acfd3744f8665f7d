"""Correlation between targets and predictions, along an axis of each sample."""

from __future__ import annotations

from typing import Any

from kerastorch import config
from kerastorch.losses._base import Array, Tensor, paired
from kerastorch.metrics._base import registry
from kerastorch.metrics._reduction import MeanMetricWrapper


def pearson_correlation(y_true: Array, y_pred: Array, axis: int = -1) -> Tensor:
    """``cov(y, p) / (std(y) std(p))`` along `axis`: 1 for ``p = a y + b`` with ``a > 0``.

    Shapes: ``(..., D)`` and ``(..., D)`` -> ``(...)``. Constant vectors give NaN.

    >>> import kerastorch as keras
    >>> keras.metrics.pearson_correlation([[0.0, 1.0, 0.5]], [[1.0, 3.0, 2.0]])
    tensor([1.])
    """
    y_true, y_pred = (y - y.mean(axis, keepdim=True) for y in paired(y_true, y_pred))
    norm = y_true.square().mean(axis) * y_pred.square().mean(axis)
    return (y_true * y_pred).mean(axis) / norm.sqrt()


def concordance_correlation(y_true: Array, y_pred: Array, axis: int = -1) -> Tensor:
    """``2 cov(y, p) / (var(y) + var(p) + (mean(y) - mean(p))**2)`` along `axis`: 1 for ``p = y``.

    Shapes: ``(..., D)`` and ``(..., D)`` -> ``(...)``. Lin, 1989.

    >>> import kerastorch as keras
    >>> keras.metrics.concordance_correlation([[0.0, 1.0, 0.5]], [[1.0, 2.0, 1.5]])
    tensor([0.2500])
    """
    y_true, y_pred = paired(y_true, y_pred)
    mean_true, mean_pred = y_true.mean(axis, keepdim=True), y_pred.mean(axis, keepdim=True)
    y_true, y_pred = y_true - mean_true, y_pred - mean_pred
    spread = y_true.square().mean(axis) + y_pred.square().mean(axis)
    shift = (mean_true - mean_pred).square().squeeze(axis)
    return 2.0 * (y_true * y_pred).mean(axis) / (spread + shift + config.epsilon())


class PearsonCorrelation(MeanMetricWrapper):
    __doc__ = pearson_correlation.__doc__
    _direction = "up"

    def __init__(self, name: str | None = "pearson_correlation", dtype: Any = None, axis: int = -1):
        super().__init__(pearson_correlation, name, dtype, axis=axis)


class ConcordanceCorrelation(MeanMetricWrapper):
    __doc__ = concordance_correlation.__doc__
    _direction = "up"

    def __init__(
        self, name: str | None = "concordance_correlation", dtype: Any = None, axis: int = -1
    ):
        super().__init__(concordance_correlation, name, dtype, axis=axis)


registry.add(
    PearsonCorrelation, ConcordanceCorrelation, pearson_correlation, concordance_correlation
)
