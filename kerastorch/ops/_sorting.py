"""Entries in order, and how many there are of each."""

from __future__ import annotations

from typing import Any

import torch

from kerastorch.ops._op import Array, as_tensor, axes_of, floating, op


@op
def sort(x: Array, axis: int | None = -1) -> torch.Tensor:
    """The entries along `axis`, or all, in ascending order.

    >>> import kerastorch as keras
    >>> keras.ops.sort([3.0, 1.0, 2.0])
    tensor([1., 2., 3.])
    """
    x, axis = _along(x, axis)
    if x.dtype is torch.bool:  # which not every device sorts
        return x.byte().sort(axis).values.bool()
    return x.sort(axis).values


@op
def argsort(x: Array, axis: int | None = -1) -> torch.Tensor:
    """The indices that put the entries along `axis`, or all, in ascending order; equal ones keep theirs.

    >>> import kerastorch as keras
    >>> keras.ops.argsort([3.0, 1.0, 2.0])
    tensor([1, 2, 0], dtype=torch.int32)
    """
    x, axis = _along(x, axis)
    return torch.argsort(x.byte() if x.dtype is torch.bool else x, dim=axis, stable=True).int()


@op
def argpartition(x: Array, kth: int, axis: int | None = -1) -> torch.Tensor:
    """Indices that put the `kth` smallest entry along `axis` at its place, what is smaller before it
    and what is larger behind it. (They put all in order: that is one kernel.)

    >>> import kerastorch as keras
    >>> keras.ops.argpartition([3.0, 1.0, 2.0], 1)
    tensor([1, 2, 0], dtype=torch.int32)
    """
    x, axis = _along(x, axis)
    if not -x.shape[axis] <= kth < x.shape[axis]:
        raise ValueError(
            f"`kth` must be below the {x.shape[axis]} entries along the axis, received {kth!r}."
        )
    return argsort(x, axis)


def _along(x: torch.Tensor, axis: int | None) -> tuple[torch.Tensor, int]:
    """Flat, and its axis, if there is no `axis`."""
    return (x.reshape(-1), 0) if axis is None else (x, axes_of(x, axis)[0])


@op
def bincount(
    x: Array, weights: Any = None, minlength: int = 0, sparse: bool = False
) -> torch.Tensor:
    """How often 0, 1, 2, ... stand in a vector, or in each row of a matrix; with `weights` the sums of
    theirs.

    The result is as long as the largest entry asks for, and at least `minlength`.

    >>> import kerastorch as keras
    >>> keras.ops.bincount([1, 1, 3])
    tensor([0, 2, 0, 1], dtype=torch.int32)
    """
    if sparse:
        raise ValueError("`sparse` must be False: there are no sparse results.")
    if x.ndim not in (1, 2):
        raise ValueError(f"`x` must have one or two axes, received shape {tuple(x.shape)}.")
    dtype = torch.int32
    if weights is not None:
        weights = as_tensor(weights, device=x.device)
        dtype = torch.promote_types(x.dtype, weights.dtype)
        weights = weights.reshape(-1)
    if x.ndim == 1:
        return torch.bincount(x, weights, minlength).to(dtype)
    rows = x.shape[0]
    length = max(minlength, int(x.max()) + 1 if x.numel() else 0)
    places = x.long() + torch.arange(rows, device=x.device)[:, None] * length
    counts = torch.bincount(places.reshape(-1), weights, rows * length)
    return counts.reshape(rows, length).to(dtype)


@op
def histogram(
    x: Array, bins: int = 10, range: tuple[float, float] | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """How many entries of a vector are in each of so many equal bins, and the edges of those.

    The bins span `range`, or from the smallest entry to the largest. The last one has its right edge too.

    >>> import kerastorch as keras
    >>> keras.ops.histogram([1.0, 2.0, 2.0, 3.0], bins=2)
    (tensor([1., 3.]), tensor([1., 2., 3.]))
    """
    if not isinstance(bins, int) or bins < 1:
        raise ValueError(f"`bins` must be a whole number >= 1, received {bins!r}.")
    if range is not None and (len(range) != 2 or range[1] < range[0]):
        raise ValueError(f"`range` must be (lowest, highest), received {range!r}.")
    if x.ndim > 1:
        raise ValueError(f"`x` must have one axis, received shape {tuple(x.shape)}.")
    x = floating(x).reshape(-1)
    if range is None:
        low, high = x.aminmax()
    else:
        low, high = (torch.full((), end, dtype=x.dtype, device=x.device) for end in range)
    flat = low == high
    low, high = torch.where(flat, low - 0.5, low), torch.where(flat, high + 0.5, high)
    weights = torch.arange(bins + 1, dtype=x.dtype, device=x.device) / bins
    edges = torch.lerp(low, high, weights)
    place = torch.bucketize(x, edges, right=True).clamp(1, bins) - 1
    inside = ((x >= low) & (x <= high)).to(x.dtype)
    return x.new_zeros(bins).index_add(0, place, inside), edges
