"""Entries by their place, and the places of entries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from kerastorch._graph import KerasTensor
from kerastorch.ops._op import Array, Arrays, Operand, as_tensor, axes_of, op, promoted
from kerastorch.ops._shapes import pad, sizes


def get_item(x: Any, key: Any) -> Any:
    """``x[key]``.

    >>> import kerastorch as keras
    >>> keras.ops.get_item([[1.0, 2.0], [3.0, 4.0]], (0, 1))
    tensor(2.)
    """
    return (x if isinstance(x, KerasTensor) else as_tensor(x))[key]


@op
def take(x: Array, indices: Array, axis: int | None = None) -> torch.Tensor:
    """The entries of `x` at `indices` along `axis`, or of the flat `x`; negative ones count from the end.

    The axes of `indices` stand in the place of `axis`.

    >>> import kerastorch as keras
    >>> keras.ops.take([10.0, 20.0, 30.0], [[0, -1]])
    tensor([[10., 30.]])
    """
    if axis is None:
        x, axis = x.reshape(-1), 0
    (axis,) = axes_of(x, axis)
    taken = x.index_select(axis, _from_front(indices, x.shape[axis]).reshape(-1))
    return taken.reshape((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))


@op
def take_along_axis(x: Array, indices: Array, axis: int | None = None) -> torch.Tensor:
    """One entry of `x` along `axis` for each of the `indices`: what `argsort` and `argmax` point at.

    >>> import kerastorch as keras
    >>> keras.ops.take_along_axis([[10.0, 20.0], [30.0, 40.0]], [[1], [0]], axis=1)
    tensor([[20.],
            [30.]])
    """
    if axis is None:
        x, indices, axis = x.reshape(-1), indices.reshape(-1), 0
    return torch.take_along_dim(x, _from_front(indices, x.shape[axis]), axis)


def _from_front(indices: torch.Tensor, size: int) -> torch.Tensor:
    indices = indices.long()
    return torch.where(indices < 0, indices + size, indices)


@op
def where(condition: Array, x1: Operand = None, x2: Operand = None) -> torch.Tensor:
    """`x1` where the condition holds, `x2` elsewhere; without both the places where it holds,
    one row of indices for each axis.

    >>> import kerastorch as keras
    >>> keras.ops.where([True, False], [1.0, 2.0], 0)
    tensor([1., 0.])
    """
    if (x1 is None) is not (x2 is None):
        raise ValueError(f"`x1` and `x2` must be given both, or neither; received {x1} and {x2}.")
    if x1 is None:
        return torch.nonzero(condition).T
    return torch.where(condition.bool(), x1, x2)


@op
def select(condlist: Arrays, choicelist: Arrays, default: Array = 0) -> torch.Tensor:
    """The choice of the first condition that holds, `default` where none does.

    >>> import torch, kerastorch as keras
    >>> x = torch.arange(4.0)
    >>> keras.ops.select([x < 1, x > 2], [x - 1, x + 1], 0)
    tensor([-1.,  0.,  0.,  4.])
    """
    if len(condlist) != len(choicelist) or not len(condlist):
        raise ValueError(
            "`condlist` and `choicelist` must have as many entries as each other, at least one; "
            f"received {len(condlist)} and {len(choicelist)}."
        )
    chosen = default
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        chosen = torch.where(condition.bool(), choice, chosen)
    return chosen


@op
def nonzero(x: Array) -> torch.Tensor:
    """The places of the entries that are not zero: one row of indices for each axis.

    >>> import kerastorch as keras
    >>> keras.ops.nonzero([3.0, 0.0, 5.0])
    tensor([[0, 2]], dtype=torch.int32)
    """
    return torch.nonzero(x).T.int()


@op
def isin(
    x1: Operand, x2: Operand, assume_unique: bool = False, invert: bool = False
) -> torch.Tensor:
    """Whether each entry of `x1` is one of `x2`, or with `invert` is not.

    >>> import kerastorch as keras
    >>> keras.ops.isin([1, 2, 3], [3, 1])
    tensor([ True, False,  True])
    """
    x1, x2 = promoted(x1, x2)
    if x1.dtype is torch.bool:
        x1, x2 = x1.byte(), x2.byte()
    return torch.isin(x1, x2, assume_unique=assume_unique, invert=invert)


@op
def searchsorted(sorted_sequence: Array, values: Array, side: str = "left") -> torch.Tensor:
    """Where `values` belong in an ascending sequence: before (``"left"``) or behind equal entries.

    >>> import kerastorch as keras
    >>> keras.ops.searchsorted([1.0, 3.0, 5.0], [3.0, 4.0])
    tensor([1, 2], dtype=torch.int32)
    """
    if sorted_sequence.ndim != 1:
        raise ValueError(
            f"`sorted_sequence` must have one axis, received shape {tuple(sorted_sequence.shape)}. "
            "vectorized_map takes one row after the other."
        )
    if side not in ("left", "right"):
        raise ValueError(f"`side` must be 'left' or 'right', received {side!r}.")
    sorted_sequence, values = promoted(sorted_sequence, values)
    small = sorted_sequence.shape[0] < 2**31
    return torch.searchsorted(sorted_sequence, values, side=side, out_int32=small)


@op
def digitize(x: Array, bins: Array) -> torch.Tensor:
    """The number of the bin of each entry: i if ``bins[i - 1] <= x < bins[i]``, with ascending `bins`.

    >>> import kerastorch as keras
    >>> keras.ops.digitize([0.5, 1.0, 9.0], [0.0, 1.0, 2.0])
    tensor([1, 2, 3], dtype=torch.int32)
    """
    if bins.ndim != 1:
        raise ValueError(f"`bins` must have one axis, received shape {tuple(bins.shape)}.")
    x, bins = promoted(x, bins)
    if x.dtype is torch.bool:
        x, bins = x.byte(), bins.byte()
    return torch.bucketize(x, bins, right=True, out_int32=True)


@op
def unravel_index(indices: Array, shape: int | Sequence[int]) -> tuple[torch.Tensor, ...]:
    """Indices into a flat tensor as indices into `shape`, one tensor for each axis.

    >>> import kerastorch as keras
    >>> keras.ops.unravel_index([4, 1], (2, 3))
    (tensor([1, 0], dtype=torch.int32), tensor([1, 1], dtype=torch.int32))
    """
    places = []
    rest = indices
    for n in reversed(sizes(shape)):
        places.append((rest % n).to(indices.dtype))
        rest = rest // n
    return tuple(reversed(places))


@op
def unique(
    x: Array,
    sorted: bool = True,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    size: int | None = None,
    fill_value: float | None = None,
) -> torch.Tensor | tuple[torch.Tensor, ...]:
    """The different entries, or slices along `axis`, ascending.

    Behind them, if asked for: the place of the first of each, the place of each entry's value among the
    results, and how many there are of each. With `size` the results are cut to it or filled up.

    >>> import kerastorch as keras
    >>> keras.ops.unique([3.0, 1.0, 3.0], return_counts=True)
    (tensor([1., 3.]), tensor([1, 2]))
    """
    dim = 0 if axis is None else axes_of(x, axis)[0]
    values, inverse, counts = torch.unique(
        x, sorted=sorted, return_inverse=True, return_counts=True, dim=axis
    )
    flat = inverse.reshape(-1)
    places = torch.arange(flat.numel(), device=x.device)
    first = torch.zeros_like(counts).scatter_reduce(0, flat, places, "amin", include_self=False)
    if size is not None:
        values = _of_size(values, size, dim, 0 if fill_value is None else fill_value)
        first, counts = _of_size(first, size, 0, 1), _of_size(counts, size, 0, 0)
    asked = zip(
        (return_index, return_inverse, return_counts), (first, inverse, counts), strict=True
    )
    results = (values, *(result for wanted, result in asked if wanted))
    return results if len(results) > 1 else values


def _of_size(x: torch.Tensor, size: int, dim: int, fill: float) -> torch.Tensor:
    """Cut to `size` along an axis, or filled up."""
    x = x.narrow(dim, 0, min(size, x.shape[dim]))
    widths = [(0, size - x.shape[dim] if a == dim else 0) for a in range(x.ndim)]
    return pad(x, widths, constant_values=fill)


# -- diagonals -----------------------------------------------------------------------------------------


@op
def diag(x: Array, k: int = 0) -> torch.Tensor:
    """A vector as the diagonal of a matrix, or the diagonal of a matrix: the k-th above the main one.

    >>> import kerastorch as keras
    >>> keras.ops.diag([1.0, 2.0])
    tensor([[1., 0.],
            [0., 2.]])
    """
    if x.ndim not in (1, 2):
        raise ValueError(f"`x` must have one or two axes, received shape {tuple(x.shape)}.")
    return torch.diag(x, k)


@op
def diagflat(x: Array, k: int = 0) -> torch.Tensor:
    """All entries as the k-th diagonal of a matrix.

    >>> import kerastorch as keras
    >>> keras.ops.diagflat([[1.0], [2.0]])
    tensor([[1., 0.],
            [0., 2.]])
    """
    return torch.diagflat(x, k)


@op
def diagonal(x: Array, offset: int = 0, axis1: int = 0, axis2: int = 1) -> torch.Tensor:
    """The diagonals of the matrices in two axes, along a last axis.

    >>> import kerastorch as keras
    >>> keras.ops.diagonal([[1.0, 2.0], [3.0, 4.0]])
    tensor([1., 4.])
    """
    return torch.diagonal(x, offset, *axes_of(x, (axis1, axis2)))


@op
def trace(x: Array, offset: int = 0, axis1: int = 0, axis2: int = 1) -> torch.Tensor:
    """The sums of the diagonals of the matrices in two axes.

    >>> import kerastorch as keras
    >>> keras.ops.trace([[1.0, 2.0], [3.0, 4.0]])
    tensor(5.)
    """
    small = x.dtype in (torch.bool, torch.int8, torch.int16, torch.uint8)
    return torch.sum(
        torch.diagonal(x, offset, *axes_of(x, (axis1, axis2))),
        -1,
        dtype=torch.int32 if small else x.dtype,
    )


@op
def tril(x: Array, k: int = 0) -> torch.Tensor:
    """Matrices with zeros above the k-th diagonal.

    >>> import kerastorch as keras
    >>> keras.ops.tril([[1.0, 2.0], [3.0, 4.0]])
    tensor([[1., 0.],
            [3., 4.]])
    """
    return torch.tril(x, k)


@op
def triu(x: Array, k: int = 0) -> torch.Tensor:
    """Matrices with zeros below the k-th diagonal.

    >>> import kerastorch as keras
    >>> keras.ops.triu([[1.0, 2.0], [3.0, 4.0]])
    tensor([[1., 2.],
            [0., 4.]])
    """
    return torch.triu(x, k)
