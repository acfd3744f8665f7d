"""Distances between numbers: one value per sample, a mean or sum over the last axis."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch.nn.functional as F

from kerastorch import config
from kerastorch.losses._base import (
    FUSED_MEANS,
    MEAN,
    Array,
    LossFunctionWrapper,
    Tensor,
    paired,
    registry,
)


def mean_squared_error(y_true: Array, y_pred: Array) -> Tensor:
    """``mean((y_true - y_pred)**2, axis=-1)``.

    Shapes: ``(..., D)`` and ``(..., D)`` -> ``(...)``; ``(N,)`` and ``(N, 1)`` go together.

    >>> import kerastorch as keras
    >>> keras.losses.mean_squared_error([[0.0, 1.0]], [[1.0, 3.0]])
    tensor([2.5000])
    """
    y_true, y_pred = paired(y_true, y_pred)
    return (y_pred - y_true).square().mean(-1)


def mean_absolute_error(y_true: Array, y_pred: Array) -> Tensor:
    """``mean(|y_true - y_pred|, axis=-1)``.

    Shapes: ``(..., D)`` and ``(..., D)`` -> ``(...)``; ``(N,)`` and ``(N, 1)`` go together.

    >>> import kerastorch as keras
    >>> keras.losses.mean_absolute_error([[0.0, 1.0]], [[1.0, 3.0]])
    tensor([1.5000])
    """
    y_true, y_pred = paired(y_true, y_pred)
    return (y_pred - y_true).abs().mean(-1)


def mean_absolute_percentage_error(y_true: Array, y_pred: Array) -> Tensor:
    """``100 * mean(|y_true - y_pred| / max(|y_true|, epsilon), axis=-1)``, in percent.

    Shapes: ``(..., D)`` and ``(..., D)`` -> ``(...)``; ``(N,)`` and ``(N, 1)`` go together.
    A target of 0 gives a huge value: epsilon is ``keras.config.epsilon()``.

    >>> import kerastorch as keras
    >>> keras.losses.mean_absolute_percentage_error([[2.0, 4.0]], [[1.0, 5.0]])
    tensor([37.5000])
    """
    y_true, y_pred = paired(y_true, y_pred)
    scale = y_true.abs().clamp(min=config.epsilon())
    return 100.0 * ((y_true - y_pred) / scale).abs().mean(-1)


def mean_squared_logarithmic_error(y_true: Array, y_pred: Array) -> Tensor:
    """``mean((log(y_true + 1) - log(y_pred + 1))**2, axis=-1)``.

    Values below ``keras.config.epsilon()``, negative ones included, count as epsilon.
    Shapes: ``(..., D)`` and ``(..., D)`` -> ``(...)``; ``(N,)`` and ``(N, 1)`` go together.

    >>> import kerastorch as keras
    >>> keras.losses.mean_squared_logarithmic_error([[0.0]], [[1.0]])
    tensor([0.4805])
    """
    y_true, y_pred = paired(y_true, y_pred)
    low = config.epsilon()
    return (y_pred.clamp(min=low).log1p() - y_true.clamp(min=low).log1p()).square().mean(-1)


def huber(y_true: Array, y_pred: Array, delta: float = 1.0) -> Tensor:
    """Squared error near 0, absolute error beyond `delta`, averaged over the last axis.

    ``e**2 / 2`` if ``|e| <= delta``, else ``delta (|e| - delta / 2)``; ``e = y_pred - y_true``.
    Shapes: ``(..., D)`` and ``(..., D)`` -> ``(...)``. Huber, 1964.

    >>> import kerastorch as keras
    >>> keras.losses.huber([[0.0], [0.0]], [[1.0], [3.0]])
    tensor([0.5000, 2.5000])
    """
    y_true, y_pred = paired(y_true, y_pred)
    return F.huber_loss(y_pred, y_true, reduction="none", delta=delta).mean(-1)


def log_cosh(y_true: Array, y_pred: Array) -> Tensor:
    """``mean(log(cosh(y_pred - y_true)), axis=-1)``: squared near 0, absolute far from it.

    Shapes: ``(..., D)`` and ``(..., D)`` -> ``(...)``. Does not overflow.

    >>> import kerastorch as keras
    >>> keras.losses.log_cosh([[0.0], [0.0]], [[0.0], [100.0]])
    tensor([ 0.0000, 99.3069])
    """
    y_true, y_pred = paired(y_true, y_pred)
    error = y_pred - y_true
    return (error + F.softplus(-2.0 * error) - math.log(2.0)).mean(-1)


def cosine_similarity(y_true: Array, y_pred: Array, axis: int = -1) -> Tensor:
    """``-cos`` of the angle between the vectors along `axis`: -1 same direction, 1 opposite.

    The sign makes it a loss; the metric of this name is positive. A zero vector gives 0.
    Shapes: ``(..., D)`` and ``(..., D)`` -> ``(...)`` for ``axis=-1``.

    >>> import kerastorch as keras
    >>> keras.losses.cosine_similarity([[1.0, 0.0], [1.0, 0.0]], [[3.0, 0.0], [0.0, 1.0]])
    tensor([-1., -0.])
    """
    y_true, y_pred = paired(y_true, y_pred)
    return -F.cosine_similarity(y_true, y_pred, dim=axis, eps=config.epsilon())


class MeanSquaredError(LossFunctionWrapper):
    __doc__ = mean_squared_error.__doc__

    def __init__(
        self, reduction: str | None = MEAN, name: str = "mean_squared_error", dtype: Any = None
    ):
        super().__init__(mean_squared_error, reduction, name, dtype)


class MeanAbsoluteError(LossFunctionWrapper):
    __doc__ = mean_absolute_error.__doc__

    def __init__(
        self, reduction: str | None = MEAN, name: str = "mean_absolute_error", dtype: Any = None
    ):
        super().__init__(mean_absolute_error, reduction, name, dtype)


class MeanAbsolutePercentageError(LossFunctionWrapper):
    __doc__ = mean_absolute_percentage_error.__doc__

    def __init__(
        self,
        reduction: str | None = MEAN,
        name: str = "mean_absolute_percentage_error",
        dtype: Any = None,
    ):
        super().__init__(mean_absolute_percentage_error, reduction, name, dtype)


class MeanSquaredLogarithmicError(LossFunctionWrapper):
    __doc__ = mean_squared_logarithmic_error.__doc__

    def __init__(
        self,
        reduction: str | None = MEAN,
        name: str = "mean_squared_logarithmic_error",
        dtype: Any = None,
    ):
        super().__init__(mean_squared_logarithmic_error, reduction, name, dtype)


class Huber(LossFunctionWrapper):
    __doc__ = huber.__doc__

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = MEAN,
        name: str = "huber_loss",
        dtype: Any = None,
    ):
        super().__init__(huber, reduction, name, dtype, delta=delta)


class LogCosh(LossFunctionWrapper):
    __doc__ = log_cosh.__doc__

    def __init__(self, reduction: str | None = MEAN, name: str = "log_cosh", dtype: Any = None):
        super().__init__(log_cosh, reduction, name, dtype)


class CosineSimilarity(LossFunctionWrapper):
    __doc__ = cosine_similarity.__doc__

    def __init__(
        self,
        axis: int = -1,
        reduction: str | None = MEAN,
        name: str = "cosine_similarity",
        dtype: Any = None,
    ):
        super().__init__(cosine_similarity, reduction, name, dtype, axis=axis)


def _mean_of(kernel: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def mean(y_true: Array, y_pred: Array, **options: float) -> Tensor:
        y_true, y_pred = paired(y_true, y_pred)
        return kernel(y_pred, y_true, **options)

    return mean


FUSED_MEANS[mean_squared_error] = _mean_of(F.mse_loss)
FUSED_MEANS[mean_absolute_error] = _mean_of(F.l1_loss)
FUSED_MEANS[huber] = _mean_of(F.huber_loss)

# Functions first: "mean_squared_error" names the function, "MeanSquaredError" the class.
registry.add(
    mean_squared_error,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_logarithmic_error,
    huber,
    log_cosh,
    cosine_similarity,
    MeanSquaredError,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredLogarithmicError,
    Huber,
    LogCosh,
    CosineSimilarity,
    mse=mean_squared_error,
    MSE=mean_squared_error,
    mae=mean_absolute_error,
    MAE=mean_absolute_error,
    mape=mean_absolute_percentage_error,
    MAPE=mean_absolute_percentage_error,
    msle=mean_squared_logarithmic_error,
    MSLE=mean_squared_logarithmic_error,
    huber_loss=huber,
    logcosh=log_cosh,
)
