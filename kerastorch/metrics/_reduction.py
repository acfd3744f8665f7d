"""Sums and means: of values, or of a function of targets and predictions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch

from kerastorch.losses._base import (
    HALF,
    Array,
    Tensor,
    as_tensor,
    as_weight,
    divide_or_zero,
    is_ours,
)
from kerastorch.losses._base import registry as losses
from kerastorch.metrics._base import Metric, registry


class Sum(Metric):
    """``sum(values * sample_weight)`` over all batches.

    `values` may have any shape; `sample_weight` has its leading axes.

    >>> import kerastorch as keras
    >>> metric = keras.metrics.Sum()
    >>> metric.update_state([1, 3, 5, 7], sample_weight=[1, 1, 0, 0])
    >>> metric.result()
    tensor(4.)
    """

    def __init__(self, name: str | None = "sum", dtype: Any = None):
        super().__init__(dtype, name)
        self.total = self.add_variable((), dtype=self.dtype, name="total")

    def update_state(self, values: Array, sample_weight: Array = None) -> None:
        """Add values."""
        (values,) = self._inputs(values)
        with torch.no_grad():
            weight = as_weight(sample_weight, values, self.total.dtype)
            if weight is not None:
                values = values * weight
            self.total.add_(values.sum(dtype=self.total.dtype))

    def result(self) -> Tensor:
        """The sum."""
        return self.total.clone()


class Mean(Metric):
    """``sum(values * sample_weight) / sum(sample_weight)`` over all batches; 0 before the first.

    Values of one sample (all axes but the first) are averaged before, so each sample counts by its
    weight whatever the batch size. `sample_weight` has the leading axes of `values`.

    >>> import kerastorch as keras
    >>> metric = keras.metrics.Mean()
    >>> metric.update_state([1, 3, 5, 7], sample_weight=[1, 1, 0, 0])
    >>> metric.result()
    tensor(2.)
    """

    def __init__(self, name: str | None = "mean", dtype: Any = None):
        super().__init__(dtype, name)
        self.total = self.add_variable((), dtype=self.dtype, name="total")
        self.count = self.add_variable((), dtype=self.dtype, name="count")

    def update_state(self, values: Array, sample_weight: Array = None) -> None:
        """Add values."""
        (values,) = self._inputs(values)
        self._add(values, sample_weight)

    def _add(self, values: Tensor, sample_weight: Array) -> None:
        total, count = self._buffers["total"], self._buffers["count"]
        assert total is not None
        assert count is not None
        dtype = total.dtype
        if values.requires_grad:
            values = values.detach()
        samples = values.shape[0] if values.ndim else 1
        # Sums over everything, divided by the number of values that a sample has.
        share: float = samples / max(values.numel(), 1) if values.ndim > 1 else 1
        if not isinstance(sample_weight, _NUMBERS):
            weight = as_weight(sample_weight, values, dtype).detach()
            values, weight = torch.broadcast_tensors(values, weight)
            total.add_((values * weight).sum(dtype=dtype), alpha=share)
            count.add_(weight.sum(dtype=dtype), alpha=share)
            return
        weight = 1 if sample_weight is None else sample_weight
        total.add_(values.sum(dtype=dtype) if values.ndim else values, alpha=share * weight)
        count.add_(samples * weight)

    def result(self) -> Tensor:
        """The mean."""
        return divide_or_zero(self.total, self.count)


class MeanMetricWrapper(Mean):
    """The mean of ``fn(y_true, y_pred, **kwargs)``, a function with one value per sample (or more).

    A mask that rides on the predictions (``y_pred._keras_mask``) multiplies the weights.

    >>> import kerastorch as keras
    >>> metric = keras.metrics.MeanMetricWrapper(keras.losses.mean_squared_error, name="mse")
    >>> metric([[0.0], [0.0]], [[1.0], [3.0]])
    tensor(5.)
    """

    # A value in half precision would be rounded before it is added up.
    _raises_half: ClassVar[bool] = True

    def __init__(
        self,
        fn: Callable[..., Any] | str,
        name: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ):
        super().__init__(name, dtype)
        self._fn: Callable[..., Any] = _function(fn) if isinstance(fn, str) else fn
        self._fn_kwargs = kwargs
        self.takes_raw_targets = is_ours(self._fn)
        if self._fn in losses.classes.values() or type(self._fn) in losses.classes.values():
            self._direction = "down"
        vars(self).update(kwargs)

    def update_state(  # type: ignore[override]
        self, y_true: Array, y_pred: Array, sample_weight: Array = None
    ) -> None:
        """Add a batch."""
        mask = getattr(y_pred, "_keras_mask", None)
        y_true, y_pred = self._inputs(y_true, y_pred)
        if self._raises_half and getattr(y_pred, "dtype", None) in HALF:
            y_pred = y_pred.float()
        values = as_tensor(self._fn(y_true, y_pred, **self._fn_kwargs))
        if mask is not None:
            valid = as_weight(mask, values, self.total.dtype)
            weight = as_weight(sample_weight, values, self.total.dtype)
            sample_weight = valid if weight is None else weight * valid
        own_mask = getattr(values, "_keras_mask", None)
        if own_mask is not None and sample_weight is not None:
            sample_weight = as_weight(sample_weight, values, self.total.dtype) * own_mask
        self._add(values, sample_weight)


_NUMBERS = (int, float, type(None))


def _function(name: str) -> Any:
    return losses.classes.get(name) or registry.classes.get(name) or registry.get(name)


registry.add(Sum, Mean, MeanMetricWrapper)
