"""Functions that take axes away: whether, how many, the sum, the greatest; and what adds up on the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from kerastorch.config import standardize_dtype
from kerastorch.ops._elementwise import numeric
from kerastorch.ops._op import Array, Axis, as_tensor, axes_of, op


def reduced(
    kernel: Callable[..., torch.Tensor], x: torch.Tensor, axis: Axis, keepdims: bool
) -> torch.Tensor:
    """One of torch's reductions over `axis`; without any axis each entry is its own result."""
    axes = axes_of(x, axis)
    return kernel(x, axes, keepdim=keepdims) if axes else x


def merged(x: torch.Tensor, axes: tuple[int, ...]) -> torch.Tensor:
    """`axes` as one, the last: for kernels that take one axis."""
    rest = [a for a in range(x.ndim) if a not in axes]
    return x.permute([*rest, *axes]).unsqueeze(-1).flatten(len(rest))


def restored(y: torch.Tensor, axes: tuple[int, ...]) -> torch.Tensor:
    """`axes` again in a result, of length 1."""
    for axis in sorted(axes):
        y = y.unsqueeze(axis)
    return y


def _total(x: torch.Tensor) -> torch.dtype:
    """What sums and products are made in: small integers and truth values as int32."""
    small = (torch.bool, torch.int8, torch.int16, torch.uint8)
    return torch.int32 if x.dtype in small else x.dtype


def _precise(x: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """As `dtype`, where that is a short one of floating point as float32: long sums lose less."""
    short = dtype in (torch.float16, torch.bfloat16)
    return x.to(torch.float32 if short else dtype)


# -- truth values ----------------------------------------------------------------------------------


@op
def all(x: Array, axis: Axis = None, keepdims: bool = False) -> torch.Tensor:
    """Whether all entries along `axis` are true, that is not 0.

    >>> import kerastorch as keras
    >>> keras.ops.all([[True, False], [True, True]], axis=1)
    tensor([False,  True])
    """
    return reduced(torch.all, x.bool(), axis, keepdims)


@op
def any(x: Array, axis: Axis = None, keepdims: bool = False) -> torch.Tensor:
    """Whether some entry along `axis` is true, that is not 0.

    >>> import kerastorch as keras
    >>> keras.ops.any([[True, False], [False, False]], axis=1)
    tensor([ True, False])
    """
    return reduced(torch.any, x.bool(), axis, keepdims)


@op
def count_nonzero(x: Array, axis: Axis = None) -> torch.Tensor:
    """How many entries along `axis` are not 0.

    >>> import kerastorch as keras
    >>> keras.ops.count_nonzero([[0, 1], [2, 3]], axis=0)
    tensor([1, 2], dtype=torch.int32)
    """
    axes = axes_of(x, axis)
    return (torch.count_nonzero(x, axes) if axes else x != 0).to(torch.int32)


# -- sums and products -----------------------------------------------------------------------------


@op
def sum(x: Array, axis: Axis = None, keepdims: bool = False) -> torch.Tensor:
    """The sum over `axis`, or over all entries. Small integers become int32, truth values are counted.

    >>> import kerastorch as keras
    >>> keras.ops.sum([[1.0, 2.0], [3.0, 4.0]], axis=0)
    tensor([4., 6.])
    """
    axes, dtype = axes_of(x, axis), _total(x)
    return torch.sum(x, axes, keepdim=keepdims, dtype=dtype) if axes else x.to(dtype)


@op
def prod(x: Array, axis: Axis = None, keepdims: bool = False, dtype: Any = None) -> torch.Tensor:
    """The product over `axis`, or of all entries; computed in `dtype`, if given.

    >>> import kerastorch as keras
    >>> keras.ops.prod([[1.0, 2.0], [3.0, 4.0]], axis=0)
    tensor([3., 8.])
    """
    axes = axes_of(x, axis)
    kind = _total(x) if dtype is None else standardize_dtype(dtype)
    values = _precise(merged(x, axes), kind)
    y = torch.prod(values, -1, dtype=values.dtype).to(kind)
    return restored(y, axes) if keepdims else y


@op
def cumsum(x: Array, axis: int | None = None, dtype: Any = None) -> torch.Tensor:
    """The sums of the first entries along `axis`; of all entries in one row, if it is None.

    >>> import kerastorch as keras
    >>> keras.ops.cumsum([1.0, 2.0, 3.0])
    tensor([1., 3., 6.])
    """
    return _accumulated(torch.cumsum, x, axis, dtype)


@op
def cumprod(x: Array, axis: int | None = None, dtype: Any = None) -> torch.Tensor:
    """The products of the first entries along `axis`; of all entries in one row, if it is None.

    >>> import kerastorch as keras
    >>> keras.ops.cumprod([1.0, 2.0, 3.0])
    tensor([1., 2., 6.])
    """
    return _accumulated(torch.cumprod, x, axis, dtype)


def _accumulated(
    kernel: Callable[..., torch.Tensor], x: torch.Tensor, axis: int | None, dtype: Any
) -> torch.Tensor:
    if axis is None:
        x, axis = x.flatten(), 0
    kind = numeric(x).dtype if dtype is None else standardize_dtype(dtype)
    values = _precise(x, kind)
    return kernel(values, axis, dtype=values.dtype).to(kind)


# -- the greatest and the least --------------------------------------------------------------------


@op
def amax(x: Array, axis: Axis = None, keepdims: bool = False) -> torch.Tensor:
    """The greatest entry along `axis`; NaN where there is one.

    >>> import kerastorch as keras
    >>> keras.ops.amax([[1.0, 5.0], [3.0, 2.0]], axis=1)
    tensor([5., 3.])
    """
    return _extreme(torch.amax, torch.maximum, x, axis, keepdims, None)


@op
def amin(x: Array, axis: Axis = None, keepdims: bool = False) -> torch.Tensor:
    """The least entry along `axis`; NaN where there is one.

    >>> import kerastorch as keras
    >>> keras.ops.amin([[1.0, 5.0], [3.0, 2.0]], axis=1)
    tensor([1., 2.])
    """
    return _extreme(torch.amin, torch.minimum, x, axis, keepdims, None)


@op
def max(
    x: Array, axis: Axis = None, keepdims: bool = False, initial: float | None = None
) -> torch.Tensor:
    """The greatest entry along `axis`, and not less than `initial`, which stands for it where there
    is none; NaN where there is one.

    >>> import kerastorch as keras
    >>> keras.ops.max([[1.0, 5.0], [3.0, 2.0]], axis=1, initial=4.0)
    tensor([5., 4.])
    """
    return _extreme(torch.amax, torch.maximum, x, axis, keepdims, initial)


@op
def min(
    x: Array, axis: Axis = None, keepdims: bool = False, initial: float | None = None
) -> torch.Tensor:
    """The least entry along `axis`, and not more than `initial`, which stands for it where there is
    none; NaN where there is one.

    >>> import kerastorch as keras
    >>> keras.ops.min([[1.0, 5.0], [3.0, 2.0]], axis=1, initial=1.5)
    tensor([1.0000, 1.5000])
    """
    return _extreme(torch.amin, torch.minimum, x, axis, keepdims, initial)


def _extreme(
    kernel: Callable[..., torch.Tensor],
    of_two: Callable[..., torch.Tensor],
    x: torch.Tensor,
    axis: Axis,
    keepdims: bool,
    initial: float | None,
) -> torch.Tensor:
    axes = axes_of(x, axis)
    empty = 0 in [x.shape[a] for a in axes if x.ndim]
    if initial is None:
        if empty:
            raise ValueError(
                f"The greatest and the least need an entry, received shape {tuple(x.shape)} with `axis` {axis}. "
                "Give `initial` to max or min, the result for no entries."
            )
        return reduced(kernel, x, axes, keepdims)
    start = as_tensor(initial, x.dtype, x.device)
    if empty:
        x = start.expand([1 if a in axes else size for a, size in enumerate(x.shape)])
    return of_two(reduced(kernel, x, axes, keepdims), start)


@op
def ptp(x: Array, axis: Axis = None, keepdims: bool = False) -> torch.Tensor:
    """The greatest less the least entry along `axis`: "peak to peak".

    >>> import kerastorch as keras
    >>> keras.ops.ptp([[1.0, 5.0], [3.0, 2.0]], axis=1)
    tensor([4., 1.])
    """
    return reduced(torch.amax, x, axis, keepdims) - reduced(torch.amin, x, axis, keepdims)


@op
def argmax(x: Array, axis: int | None = None, keepdims: bool = False) -> torch.Tensor:
    """The index of the first greatest entry along `axis`; in the flattened tensor, if it is None.

    >>> import kerastorch as keras
    >>> keras.ops.argmax([[1.0, 5.0], [3.0, 2.0]], axis=1)
    tensor([1, 0], dtype=torch.int32)
    """
    return torch.argmax(_ordered(x), axis, keepdims).to(torch.int32)


@op
def argmin(x: Array, axis: int | None = None, keepdims: bool = False) -> torch.Tensor:
    """The index of the first least entry along `axis`; in the flattened tensor, if it is None.

    >>> import kerastorch as keras
    >>> keras.ops.argmin([[1.0, 5.0], [3.0, 2.0]], axis=1)
    tensor([0, 1], dtype=torch.int32)
    """
    return torch.argmin(_ordered(x), axis, keepdims).to(torch.int32)


def _ordered(x: torch.Tensor) -> torch.Tensor:
    """Truth values as bytes: torch ranks no others."""
    return x.to(torch.uint8) if x.dtype is torch.bool else x
