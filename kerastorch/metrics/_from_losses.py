"""Metrics that are the mean of a loss function: regression, probability and margin."""

from __future__ import annotations

from typing import Any

import torch

from kerastorch import losses
from kerastorch.losses._base import Array, Tensor, paired
from kerastorch.metrics._base import registry
from kerastorch.metrics._reduction import Mean, MeanMetricWrapper

# -- regression --------------------------------------------------------------------------------------


class MeanSquaredError(MeanMetricWrapper):
    __doc__ = losses.mean_squared_error.__doc__

    def __init__(self, name: str | None = "mean_squared_error", dtype: Any = None):
        super().__init__(losses.mean_squared_error, name, dtype)


class RootMeanSquaredError(Mean):
    """``sqrt(mean((y_true - y_pred)**2))`` over all samples.

    >>> import kerastorch as keras
    >>> keras.metrics.RootMeanSquaredError()([[0.0], [0.0]], [[1.0], [7.0]])
    tensor(5.)
    """

    _direction = "down"

    def __init__(self, name: str | None = "root_mean_squared_error", dtype: Any = None):
        super().__init__(name, dtype)

    @torch.no_grad()
    def update_state(  # type: ignore[override]
        self, y_true: Array, y_pred: Array, sample_weight: Array = None
    ) -> None:
        """Add a batch."""
        y_true, y_pred = self._inputs(y_true, y_pred)
        y_true, y_pred = paired(y_true, y_pred.to(self.total.dtype))
        self._add((y_pred - y_true).square(), sample_weight)

    def result(self) -> Tensor:
        """The root of the mean."""
        return super().result().sqrt()


class MeanAbsoluteError(MeanMetricWrapper):
    __doc__ = losses.mean_absolute_error.__doc__

    def __init__(self, name: str | None = "mean_absolute_error", dtype: Any = None):
        super().__init__(losses.mean_absolute_error, name, dtype)


class MeanAbsolutePercentageError(MeanMetricWrapper):
    __doc__ = losses.mean_absolute_percentage_error.__doc__

    def __init__(self, name: str | None = "mean_absolute_percentage_error", dtype: Any = None):
        super().__init__(losses.mean_absolute_percentage_error, name, dtype)


class MeanSquaredLogarithmicError(MeanMetricWrapper):
    __doc__ = losses.mean_squared_logarithmic_error.__doc__

    def __init__(self, name: str | None = "mean_squared_logarithmic_error", dtype: Any = None):
        super().__init__(losses.mean_squared_logarithmic_error, name, dtype)


class LogCoshError(MeanMetricWrapper):
    __doc__ = losses.log_cosh.__doc__

    def __init__(self, name: str | None = "logcosh", dtype: Any = None):
        super().__init__(losses.log_cosh, name, dtype)


def _cosine(y_true: Array, y_pred: Array, axis: int = -1) -> Tensor:
    return -losses.cosine_similarity(y_true, y_pred, axis)


class CosineSimilarity(MeanMetricWrapper):
    """Mean cosine of the angle between the vectors along `axis`: 1 same direction, -1 opposite.

    The loss of this name has the other sign.

    >>> import kerastorch as keras
    >>> keras.metrics.CosineSimilarity()([[1.0, 0.0], [1.0, 1.0]], [[3.0, 0.0], [1.0, -1.0]])
    tensor(0.5000)
    """

    _direction = "up"

    def __init__(self, name: str | None = "cosine_similarity", dtype: Any = None, axis: int = -1):
        super().__init__(_cosine, name, dtype, axis=axis)


# -- probability -------------------------------------------------------------------------------------


class KLDivergence(MeanMetricWrapper):
    __doc__ = losses.kl_divergence.__doc__

    def __init__(self, name: str | None = "kl_divergence", dtype: Any = None):
        super().__init__(losses.kl_divergence, name, dtype)


class Poisson(MeanMetricWrapper):
    __doc__ = losses.poisson.__doc__

    def __init__(self, name: str | None = "poisson", dtype: Any = None):
        super().__init__(losses.poisson, name, dtype)


class BinaryCrossentropy(MeanMetricWrapper):
    __doc__ = losses.binary_crossentropy.__doc__

    def __init__(
        self,
        name: str | None = "binary_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
    ):
        kwargs = {"from_logits": from_logits, "label_smoothing": label_smoothing}
        super().__init__(losses.binary_crossentropy, name, dtype, **kwargs)


class CategoricalCrossentropy(MeanMetricWrapper):
    __doc__ = losses.categorical_crossentropy.__doc__

    def __init__(
        self,
        name: str | None = "categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
        axis: int = -1,
    ):
        kwargs = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(losses.categorical_crossentropy, name, dtype, **kwargs)


class SparseCategoricalCrossentropy(MeanMetricWrapper):
    """Mean of ``-log(p[y])`` for targets that are class numbers.

    Arguments as for the loss. Targets of `ignore_class` count as 0, and are left out of the mean
    where there are sample weights or a mask (as in Keras).

    >>> import kerastorch as keras
    >>> keras.metrics.SparseCategoricalCrossentropy()([0, 1], [[0.5, 0.5], [0.75, 0.25]])
    tensor(1.0397)
    """

    def __init__(
        self,
        name: str | None = "sparse_categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
    ):
        kwargs = {"from_logits": from_logits, "ignore_class": ignore_class, "axis": axis}
        super().__init__(losses.sparse_categorical_crossentropy, name, dtype, **kwargs)


# -- margin ------------------------------------------------------------------------------------------


class Hinge(MeanMetricWrapper):
    __doc__ = losses.hinge.__doc__

    def __init__(self, name: str | None = "hinge", dtype: Any = None):
        super().__init__(losses.hinge, name, dtype)


class SquaredHinge(MeanMetricWrapper):
    __doc__ = losses.squared_hinge.__doc__

    def __init__(self, name: str | None = "squared_hinge", dtype: Any = None):
        super().__init__(losses.squared_hinge, name, dtype)


class CategoricalHinge(MeanMetricWrapper):
    __doc__ = losses.categorical_hinge.__doc__

    def __init__(self, name: str | None = "categorical_hinge", dtype: Any = None):
        super().__init__(losses.categorical_hinge, name, dtype)


registry.add(
    MeanSquaredError,
    RootMeanSquaredError,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredLogarithmicError,
    LogCoshError,
    CosineSimilarity,
    KLDivergence,
    Poisson,
    BinaryCrossentropy,
    CategoricalCrossentropy,
    SparseCategoricalCrossentropy,
    Hinge,
    SquaredHinge,
    CategoricalHinge,
    mse=MeanSquaredError,
    MSE=MeanSquaredError,
    rmse=RootMeanSquaredError,
    RMSE=RootMeanSquaredError,
    mae=MeanAbsoluteError,
    MAE=MeanAbsoluteError,
    mape=MeanAbsolutePercentageError,
    MAPE=MeanAbsolutePercentageError,
    msle=MeanSquaredLogarithmicError,
    MSLE=MeanSquaredLogarithmicError,
    logcosh=LogCoshError,
    log_cosh=LogCoshError,
    kld=KLDivergence,
    KLD=KLDivergence,
    bce=BinaryCrossentropy,
    BCE=BinaryCrossentropy,
)
# Loss functions without a metric of their own: the mean of their values.
for _function in (
    losses.huber,
    losses.binary_focal_crossentropy,
    losses.categorical_focal_crossentropy,
):
    registry.names.setdefault(_function.__name__, _function)
