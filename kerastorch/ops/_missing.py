"""Reductions that leave out what is NaN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from kerastorch.ops._op import Array, Axis, floating, op
from kerastorch.ops._reductions import argmax, argmin, cumprod, cumsum, prod, reduced, sum
from kerastorch.ops._statistics import half, quantiles


def _filled(x: torch.Tensor, value: float) -> torch.Tensor:
    """`value` in the place of NaN."""
    exact = not (x.is_floating_point() or x.is_complex())
    return x if exact else torch.where(torch.isnan(x), value, x)


# -- sums and products -----------------------------------------------------------------------------


@op
def nansum(x: Array, axis: Axis = None, keepdims: bool = False) -> torch.Tensor:
    """`sum` with 0 for NaN.

    >>> import kerastorch as keras
    >>> keras.ops.nansum([1.0, float("nan"), 3.0])
    tensor(4.)
    """
    return sum(_filled(x, 0), axis, keepdims)


@op
def nanprod(x: Array, axis: Axis = None, keepdims: bool = False) -> torch.Tensor:
    """`prod` with 1 for NaN.

    >>> import kerastorch as keras
    >>> keras.ops.nanprod([2.0, float("nan"), 3.0])
    tensor(6.)
    """
    return prod(_filled(x, 1), axis, keepdims)


@op
def nancumsum(x: Array, axis: int | None = None, dtype: Any = None) -> torch.Tensor:
    """`cumsum` with 0 for NaN.

    >>> import kerastorch as keras
    >>> keras.ops.nancumsum([1.0, float("nan"), 3.0])
    tensor([1., 1., 4.])
    """
    return cumsum(_filled(x, 0), axis, dtype)


@op
def nancumprod(x: Array, axis: int | None = None, dtype: Any = None) -> torch.Tensor:
    """`cumprod` with 1 for NaN.

    >>> import kerastorch as keras
    >>> keras.ops.nancumprod([2.0, float("nan"), 3.0])
    tensor([2., 2., 6.])
    """
    return cumprod(_filled(x, 1), axis, dtype)


# -- the greatest and the least --------------------------------------------------------------------


@op
def nanmax(x: Array, axis: Axis = None, keepdims: bool = False) -> torch.Tensor:
    """The greatest entry that is not NaN; NaN where all are.

    >>> import kerastorch as keras
    >>> keras.ops.nanmax([1.0, float("nan"), 3.0])
    tensor(3.)
    """
    return _extreme(torch.amax, float("-inf"), x, axis, keepdims)


@op
def nanmin(x: Array, axis: Axis = None, keepdims: bool = False) -> torch.Tensor:
    """The least entry that is not NaN; NaN where all are.

    >>> import kerastorch as keras
    >>> keras.ops.nanmin([1.0, float("nan"), 3.0])
    tensor(1.)
    """
    return _extreme(torch.amin, float("inf"), x, axis, keepdims)


def _extreme(
    kernel: Callable[..., torch.Tensor], last: float, x: torch.Tensor, axis: Axis, keepdims: bool
) -> torch.Tensor:
    found = reduced(kernel, _filled(x, last), axis, keepdims)
    if not x.is_floating_point():
        return found
    nothing = reduced(torch.all, torch.isnan(x), axis, keepdims)
    return found.masked_fill(nothing, float("nan"))


@op
def nanargmax(x: Array, axis: int | None = None, keepdims: bool = False) -> torch.Tensor:
    """The index of the first greatest entry that is not NaN; -1 where all are.

    >>> import kerastorch as keras
    >>> keras.ops.nanargmax([1.0, float("nan"), 3.0])
    tensor(2, dtype=torch.int32)
    """
    found = argmax(_filled(x, float("-inf")), axis, keepdims)
    return found.masked_fill(reduced(torch.all, torch.isnan(x), axis, keepdims), -1)


@op
def nanargmin(x: Array, axis: int | None = None, keepdims: bool = False) -> torch.Tensor:
    """The index of the first least entry that is not NaN; -1 where all are.

    >>> import kerastorch as keras
    >>> keras.ops.nanargmin([1.0, float("nan"), 3.0])
    tensor(0, dtype=torch.int32)
    """
    found = argmin(_filled(x, float("inf")), axis, keepdims)
    return found.masked_fill(reduced(torch.all, torch.isnan(x), axis, keepdims), -1)


# -- statistics ------------------------------------------------------------------------------------


@op
def nanmean(x: Array, axis: Axis = None, keepdims: bool = False) -> torch.Tensor:
    """The mean of what is not NaN; NaN where all are.

    >>> import kerastorch as keras
    >>> keras.ops.nanmean([1.0, float("nan"), 3.0])
    tensor(2.)
    """
    return reduced(torch.nanmean, floating(x), axis, keepdims)


@op
def nanvar(x: Array, axis: Axis = None, keepdims: bool = False) -> torch.Tensor:
    """The variance of what is not NaN; NaN where all are.

    >>> import kerastorch as keras
    >>> keras.ops.nanvar([1.0, float("nan"), 3.0])
    tensor(1.)
    """
    x = floating(x)
    present = ~torch.isnan(x)
    distance = torch.where(present, x - reduced(torch.nanmean, x, axis, True), 0)
    squares = torch.real(distance * distance.conj())
    return sum(squares, axis, keepdims) / sum(present, axis, keepdims)


@op
def nanstd(x: Array, axis: Axis = None, keepdims: bool = False) -> torch.Tensor:
    """The standard deviation of what is not NaN; NaN where all are.

    >>> import kerastorch as keras
    >>> keras.ops.nanstd([1.0, float("nan"), 3.0])
    tensor(1.)
    """
    return torch.sqrt(nanvar(x, axis, keepdims))


@op
def nanquantile(
    x: Array, q: Array, axis: Axis = None, method: str = "linear", keepdims: bool = False
) -> torch.Tensor:
    """`quantile` of what is not NaN; NaN where all are.

    >>> import kerastorch as keras
    >>> keras.ops.nanquantile([1.0, float("nan"), 3.0], 0.25)
    tensor(1.5000)
    """
    return quantiles(torch.nanquantile, x, q, axis, method, keepdims)


@op
def nanpercentile(
    x: Array, q: Array, axis: Axis = None, method: str = "linear", keepdims: bool = False
) -> torch.Tensor:
    """`percentile` of what is not NaN; NaN where all are.

    >>> import kerastorch as keras
    >>> keras.ops.nanpercentile([1.0, float("nan"), 3.0], 25)
    tensor(1.5000)
    """
    return quantiles(torch.nanquantile, x, q, axis, method, keepdims, parts=100)


@op
def nanmedian(x: Array, axis: Axis = None, keepdims: bool = False) -> torch.Tensor:
    """The median of what is not NaN; NaN where all are.

    >>> import kerastorch as keras
    >>> keras.ops.nanmedian([1.0, float("nan"), 3.0])
    tensor(2.)
    """
    return quantiles(torch.nanquantile, x, half(x), axis, "linear", keepdims)
