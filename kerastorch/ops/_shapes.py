"""Axes and shapes: what moves entries and computes nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from kerastorch.config import standardize_dtype
from kerastorch.ops._op import Array, Axis, Given, as_tensor, axes_of, op


def sizes(value: Any) -> tuple[Any, ...]:
    """A size, or several, as a tuple."""
    if isinstance(value, (torch.Tensor, np.ndarray)):
        value = value.tolist()
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)


@op
def ndim(x: Array) -> int:
    """The number of axes.

    >>> import kerastorch as keras
    >>> keras.ops.ndim([[1, 2], [3, 4]])
    2
    """
    return x.ndim


@op
def size(x: Array) -> torch.Tensor:
    """The number of entries, as a tensor.

    >>> import kerastorch as keras
    >>> keras.ops.size([[1, 2], [3, 4]])
    tensor(4)
    """
    return torch.full((), math.prod(x.shape), dtype=torch.int64, device=x.device)


@op
def copy(x: Array) -> torch.Tensor:
    """The same entries in memory of their own.

    >>> import kerastorch as keras
    >>> keras.ops.copy([1.0, 2.0])
    tensor([1., 2.])
    """
    return x.clone()


@op
def view(x: Array, dtype: Any = None) -> torch.Tensor:
    """The same memory read as another dtype; the last axis takes the difference in size.

    >>> import torch, kerastorch as keras
    >>> keras.ops.view(torch.ones(2), "int32")
    tensor([1065353216, 1065353216], dtype=torch.int32)
    """
    return x if dtype is None else x.view(standardize_dtype(dtype))


# -- new shapes --------------------------------------------------------------------------------------


@op
def reshape(x: Array, newshape: int | Sequence[int | None]) -> torch.Tensor:
    """The same entries in another shape; one size may be -1 or None: what remains.

    >>> import kerastorch as keras
    >>> keras.ops.reshape([1.0, 2.0, 3.0, 4.0], (2, -1))
    tensor([[1., 2.],
            [3., 4.]])
    """
    shape = [-1 if n is None else n for n in sizes(newshape)]
    if shape.count(-1) > 1 or any(n < -1 for n in shape):
        raise ValueError(
            f"`newshape` must have sizes >= 0 and at most one -1, received {newshape!r}."
        )
    return x.reshape(shape)


@op
def ravel(x: Array) -> torch.Tensor:
    """All entries along one axis.

    >>> import kerastorch as keras
    >>> keras.ops.ravel([[1.0, 2.0], [3.0, 4.0]])
    tensor([1., 2., 3., 4.])
    """
    return x.reshape(-1)


@op
def expand_dims(x: Array, axis: int | Sequence[int]) -> torch.Tensor:
    """New axes of size one, at the places `axis` of the result.

    >>> import kerastorch as keras
    >>> keras.ops.expand_dims([1.0, 2.0], (0, -1)).shape
    torch.Size([1, 2, 1])
    """
    added = sizes(axis)
    rank = x.ndim + len(added)
    if any(not -rank <= a < rank for a in added) or len({a % rank for a in added}) < len(added):
        raise ValueError(
            f"`axis` must be different numbers between {-rank} and {rank - 1}, received {axis!r}."
        )
    for a in sorted(a % rank for a in added):
        x = x.unsqueeze(a)
    return x


@op
def squeeze(x: Array, axis: Axis = None) -> torch.Tensor:
    """Without the axes of size one, or without those in `axis`.

    >>> import kerastorch as keras
    >>> keras.ops.squeeze([[1.0], [2.0]], axis=1)
    tensor([1., 2.])
    """
    if axis is None:
        return x.squeeze()
    axes = axes_of(x, axis)
    if any(x.shape[a] != 1 for a in axes):
        raise ValueError(
            f"`axis` must name axes of size 1, received {axis!r} for shape {tuple(x.shape)}."
        )
    return x.squeeze(axes)


@op
def broadcast_to(x: Array, shape: Sequence[int]) -> torch.Tensor:
    """`x` repeated, without copies, to `shape`.

    >>> import kerastorch as keras
    >>> keras.ops.broadcast_to([1.0, 2.0], (2, 2))
    tensor([[1., 2.],
            [1., 2.]])
    """
    return torch.broadcast_to(x, sizes(shape))


@op
def tile(x: Array, repeats: int | Sequence[int]) -> torch.Tensor:
    """Copies of `x` side by side, ``repeats[i]`` along axis i, counted from the last.

    >>> import kerastorch as keras
    >>> keras.ops.tile([1.0, 2.0], 2)
    tensor([1., 2., 1., 2.])
    """
    return torch.tile(x, sizes(repeats))


@op
def repeat(
    x: Array, repeats: int | Sequence[int] | torch.Tensor, axis: int | None = None
) -> torch.Tensor:
    """Each entry along `axis`, or of all, `repeats` times; a sequence has one count for each.

    >>> import kerastorch as keras
    >>> keras.ops.repeat([1.0, 2.0], [1, 2], axis=0)
    tensor([1., 2., 2.])
    """
    if axis is None:
        x, axis = x.reshape(-1), 0
    if isinstance(repeats, (list, tuple)):
        if len(repeats) > 1:
            if len(repeats) != x.shape[axis] and not x.is_meta:  # of maybe unknown size
                raise ValueError(
                    f"`repeats` must have one count for each of the {x.shape[axis]} entries along "
                    f"axis {axis}, received {len(repeats)} counts."
                )
            places = [i for i, count in enumerate(repeats) for _ in range(count)]
            return x.index_select(axis, torch.tensor(places, dtype=torch.int64, device=x.device))
        repeats = repeats[0]
    return torch.repeat_interleave(x, repeats, dim=axis)  # type: ignore[arg-type]


# -- the order of axes and of entries -----------------------------------------------------------------


@op
def transpose(x: Array, axes: Sequence[int] | None = None) -> torch.Tensor:
    """The axes in the order `axes`, or reversed.

    >>> import kerastorch as keras
    >>> keras.ops.transpose([[1.0, 2.0], [3.0, 4.0]])
    tensor([[1., 3.],
            [2., 4.]])
    """
    return x.permute(tuple(range(x.ndim))[::-1] if axes is None else tuple(axes))


@op
def moveaxis(
    x: Array, source: int | Sequence[int], destination: int | Sequence[int]
) -> torch.Tensor:
    """The axes `source` at the places `destination`, the others in their order.

    >>> import torch, kerastorch as keras
    >>> keras.ops.moveaxis(torch.ones(2, 3, 4), 0, -1).shape
    torch.Size([3, 4, 2])
    """
    return torch.moveaxis(x, source, destination)  # type: ignore[arg-type]


@op
def swapaxes(x: Array, axis1: int, axis2: int) -> torch.Tensor:
    """Two axes in each other's place.

    >>> import torch, kerastorch as keras
    >>> keras.ops.swapaxes(torch.ones(2, 3, 4), 0, 2).shape
    torch.Size([4, 3, 2])
    """
    return x.transpose(axis1, axis2)


@op
def flip(x: Array, axis: Axis = None) -> torch.Tensor:
    """The entries along `axis`, or along all axes, from the last to the first.

    >>> import kerastorch as keras
    >>> keras.ops.flip([1.0, 2.0, 3.0])
    tensor([3., 2., 1.])
    """
    return torch.flip(x, axes_of(x, axis))


@op
def fliplr(x: Array) -> torch.Tensor:
    """``flip(x, axis=1)``: left to right.

    >>> import kerastorch as keras
    >>> keras.ops.fliplr([[1.0, 2.0]])
    tensor([[2., 1.]])
    """
    return torch.fliplr(x)


@op
def flipud(x: Array) -> torch.Tensor:
    """``flip(x, axis=0)``: up to down.

    >>> import kerastorch as keras
    >>> keras.ops.flipud([[1.0], [2.0]])
    tensor([[2.],
            [1.]])
    """
    return torch.flipud(x)


@op
def roll(x: Array, shift: int | Sequence[int], axis: Axis = None) -> torch.Tensor:
    """The entries `shift` places further along `axis`, or along all of them in a row, the last ones
    first.

    >>> import kerastorch as keras
    >>> keras.ops.roll([1.0, 2.0, 3.0], 1)
    tensor([3., 1., 2.])
    """
    return torch.roll(x, shift, axis)  # type: ignore[arg-type]


@op
def rot90(array: Array, k: int = 1, axes: Sequence[int] = (0, 1)) -> torch.Tensor:
    """A turn by `k` right angles from the first of the two axes to the second.

    >>> import kerastorch as keras
    >>> keras.ops.rot90([[1.0, 2.0], [3.0, 4.0]])
    tensor([[2., 4.],
            [1., 3.]])
    """
    if array.ndim < 2:
        raise ValueError(
            f"`array` must have at least two axes, received shape {tuple(array.shape)}."
        )
    if len(axes) != 2:
        raise ValueError(f"`axes` must be two axes, received {axes!r}.")
    return torch.rot90(array, k, axes_of(array, axes))


# -- more at the ends ----------------------------------------------------------------------------------------


@op
def pad(
    x: Array, pad_width: Any, mode: str = "constant", constant_values: Given = None
) -> torch.Tensor:
    """More entries before and after those along each axis.

    `pad_width`: a number, ``(before, after)``, or one such pair for each axis. `mode`: ``"constant"`` (zeros or
    `constant_values`), ``"edge"`` (the last entry), ``"reflect"`` (mirrored at the last entry), ``"symmetric"``
    (mirrored behind it), or ``"wrap"``, also called ``"circular"``.

    >>> import kerastorch as keras
    >>> keras.ops.pad([1.0, 2.0, 3.0], (1, 2), mode="reflect")
    tensor([2., 1., 2., 3., 2., 1.])
    """
    widths = _widths(pad_width, x.ndim)
    if mode != "constant":
        if mode not in _PLACES:
            raise ValueError(f"`mode` must be 'constant' or in {[*_PLACES]}, received {mode!r}.")
        if constant_values is not None:
            raise ValueError(
                f"`constant_values` goes with mode='constant', received mode={mode!r}."
            )
        for axis, (before, after) in enumerate(widths):
            if before or after:
                n = x.shape[axis]
                places = torch.arange(-before, n + after, device=x.device)
                x = x.index_select(axis, _PLACES[mode](places, n))
        return x
    if constant_values is None or isinstance(constant_values, (bool, int, float, complex)):
        ends = [n for pair in widths[::-1] for n in pair]
        return torch.nn.functional.pad(x, ends, value=constant_values)  # type: ignore[arg-type]
    shape = [n + before + after for n, (before, after) in zip(x.shape, widths, strict=True)]
    padded = as_tensor(constant_values, x.dtype, x.device).expand(shape).clone()
    padded[tuple(slice(b, b + n) for n, (b, _) in zip(x.shape, widths, strict=True))] = x
    return padded


#: Where the entry at place `i`, counted from the first one and maybe negative, comes from among `n`.
_PLACES: dict[str, Callable[[torch.Tensor, int], torch.Tensor]] = {
    "edge": lambda i, n: i.clamp(0, n - 1),
    "reflect": lambda i, n: (n - 1) - ((i % max(2 * n - 2, 1)) - (n - 1)).abs(),
    "symmetric": lambda i, n: torch.minimum(i % (2 * n), (-1 - i) % (2 * n)),
    "wrap": lambda i, n: i % n,
    "circular": lambda i, n: i % n,
}


def _widths(pad_width: Any, rank: int) -> list[tuple[int, int]]:
    """``(before, after)`` for each of the axes."""
    given = sizes(pad_width)
    if given and all(isinstance(n, int) for n in given):
        given = (given,)
    pairs = [tuple(pair) * (2 if len(pair) == 1 else 1) for pair in given]
    if len(pairs) == 1:
        pairs *= rank
    if len(pairs) != rank or any(len(pair) != 2 for pair in pairs):
        raise ValueError(
            f"`pad_width` must be a number, (before, after), or such a pair for each of the {rank} axes, "
            f"received {pad_width!r}."
        )
    return pairs
