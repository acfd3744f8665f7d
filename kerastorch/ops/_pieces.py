"""Several tensors as one, and one as several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import torch

from kerastorch.ops._op import Array, Arrays, Operand, axes_of, op, promoted

Sections: TypeAlias = "int | Sequence[int]"


@op
def concatenate(xs: Arrays, axis: int = 0) -> torch.Tensor:
    """Tensors one after the other along `axis`.

    >>> import kerastorch as keras
    >>> keras.ops.concatenate([[1, 2], [3]])
    tensor([1, 2, 3], dtype=torch.int32)
    """
    return torch.cat(promoted(*xs), axis)


@op
def append(x1: Operand, x2: Operand, axis: int | None = None) -> torch.Tensor:
    """`x2` behind `x1` along `axis`, or both without axes.

    >>> import kerastorch as keras
    >>> keras.ops.append([1.0, 2.0], 3)
    tensor([1., 2., 3.])
    """
    x1, x2 = promoted(x1, x2)
    return torch.cat((x1.reshape(-1), x2.reshape(-1)) if axis is None else (x1, x2), axis or 0)


@op
def stack(x: Arrays, axis: int = 0) -> torch.Tensor:
    """Tensors of one shape along a new `axis`.

    >>> import kerastorch as keras
    >>> keras.ops.stack([[1, 2], [3, 4]], axis=1)
    tensor([[1, 3],
            [2, 4]], dtype=torch.int32)
    """
    return torch.stack(promoted(*x), axis)


@op
def hstack(xs: Arrays) -> torch.Tensor:
    """Tensors side by side: along axis 1, or 0 if they have no other.

    >>> import kerastorch as keras
    >>> keras.ops.hstack([[1, 2], [3]])
    tensor([1, 2, 3], dtype=torch.int32)
    """
    return torch.hstack(promoted(*xs))


@op
def vstack(xs: Arrays) -> torch.Tensor:
    """Tensors below each other: vectors as rows.

    >>> import kerastorch as keras
    >>> keras.ops.vstack([[1, 2], [3, 4]])
    tensor([[1, 2],
            [3, 4]], dtype=torch.int32)
    """
    return torch.vstack(promoted(*xs))


@op
def dstack(xs: Arrays) -> torch.Tensor:
    """Tensors behind each other, along axis 2.

    >>> import kerastorch as keras
    >>> keras.ops.dstack([[1, 2], [3, 4]])
    tensor([[[1, 3],
             [2, 4]]], dtype=torch.int32)
    """
    return torch.dstack(promoted(*xs))


@op
def meshgrid(*x: Array, indexing: str = "xy") -> tuple[torch.Tensor, ...]:
    """The coordinates of all points of a grid: one tensor for each of the axes.

    ``"xy"``: the first axis of the results belongs to the second vector, as in pictures. ``"ij"``: to the first.

    >>> import kerastorch as keras
    >>> keras.ops.meshgrid([1, 2], [3])[0]
    tensor([[1, 2]], dtype=torch.int32)
    """
    if indexing not in ("xy", "ij"):
        raise ValueError(f"`indexing` must be 'xy' or 'ij', received {indexing!r}.")
    return torch.meshgrid([v.reshape(-1) for v in x], indexing=indexing)


# -- one tensor as several --------------------------------------------------------------------------------


@op
def array_split(x: Array, indices_or_sections: Sections, axis: int = 0) -> list[torch.Tensor]:
    """Parts along `axis`, as equal as can be; or cut at indices.

    >>> import kerastorch as keras
    >>> keras.ops.array_split([1.0, 2.0, 3.0], 2)
    [tensor([1., 2.]), tensor([3.])]
    """
    if isinstance(indices_or_sections, int) and indices_or_sections < 1:
        raise ValueError(f"`indices_or_sections` must be positive, received {indices_or_sections}.")
    return list(torch.tensor_split(x, _cuts(indices_or_sections), axis))


@op
def split(x: Array, indices_or_sections: Sections, axis: int = 0) -> list[torch.Tensor]:
    """So many equal parts along `axis`, or parts that begin at the indices given.

    >>> import kerastorch as keras
    >>> keras.ops.split([1.0, 2.0, 3.0], [1])
    [tensor([1.]), tensor([2., 3.])]
    """
    return _split(x, indices_or_sections, axis)


@op
def hsplit(x: Array, indices_or_sections: Sections) -> list[torch.Tensor]:
    """`split` along axis 1, or 0 of a vector: what `hstack` puts together.

    >>> import kerastorch as keras
    >>> keras.ops.hsplit([[1.0, 2.0]], 2)
    [tensor([[1.]]), tensor([[2.]])]
    """
    return _split(x, indices_or_sections, 0 if x.ndim == 1 else 1)


@op
def vsplit(x: Array, indices_or_sections: Sections) -> list[torch.Tensor]:
    """`split` along axis 0 of a matrix or more.

    >>> import kerastorch as keras
    >>> keras.ops.vsplit([[1.0], [2.0]], 2)
    [tensor([[1.]]), tensor([[2.]])]
    """
    return _split(_of_rank(x, 2), indices_or_sections, 0)


@op
def dsplit(x: Array, indices_or_sections: Sections) -> list[torch.Tensor]:
    """`split` along axis 2.

    >>> import kerastorch as keras
    >>> keras.ops.dsplit([[[1.0, 2.0]]], 2)
    [tensor([[[1.]]]), tensor([[[2.]]])]
    """
    return _split(_of_rank(x, 3), indices_or_sections, 2)


def _split(x: torch.Tensor, sections: Sections, axis: int) -> list[torch.Tensor]:
    (axis,) = axes_of(x, axis)
    # A meta tensor may have the stand-in of an unknown size, which any number may divide.
    if isinstance(sections, int) and not x.is_meta and (sections < 1 or x.shape[axis] % sections):
        raise ValueError(
            f"`indices_or_sections` must divide the size {x.shape[axis]} of axis {axis}, received "
            f"{sections}. array_split makes parts of different sizes."
        )
    return list(torch.tensor_split(x, _cuts(sections), axis))


def _cuts(sections: Sections) -> Any:
    return sections if isinstance(sections, int) else tuple(int(i) for i in sections)


def _of_rank(x: torch.Tensor, rank: int) -> torch.Tensor:
    if x.ndim < rank:
        raise ValueError(f"`x` must have at least {rank} axes, received shape {tuple(x.shape)}.")
    return x
