"""Products of vectors and matrices, and sums and differences of neighbours.

Products of integers are computed in float64, for which every device has kernels: they are exact up
to 2**53.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch

from kerastorch.ops._op import Array, Operand, as_tensor, floating, op, promoted


def _product(
    function: Callable[..., torch.Tensor], *factors: torch.Tensor, widened: bool = False
) -> torch.Tensor:
    """`function` of tensors of any dtypes, in the one that holds them all; `widened` is int8 to int32."""
    dtype = functools.reduce(torch.promote_types, (x.dtype for x in factors))
    if dtype.is_floating_point or dtype.is_complex:
        return function(*(x.to(dtype) for x in factors))
    exact = function(*(x.double() for x in factors))
    if dtype is torch.bool:
        return exact.bool()
    return exact.long().to(torch.int32 if widened and dtype is torch.int8 else dtype)


@op
def matmul(x1: Operand, x2: Operand) -> torch.Tensor:
    """``x1 @ x2``: products of matrices in the last two axes, the others broadcast. int8 gives int32.

    >>> import kerastorch as keras
    >>> keras.ops.matmul([[1.0, 2.0]], [[3.0], [4.0]])
    tensor([[11.]])
    """
    return _product(torch.matmul, x1, x2, widened=True)


@op
def dot(x1: Operand, x2: Operand) -> torch.Tensor:
    """Sums of products over the last axis of `x1` and the second last of `x2`, or its only one.

    >>> import kerastorch as keras
    >>> keras.ops.dot([1.0, 2.0], [3.0, 4.0])
    tensor(11.)
    """
    if not x1.ndim or not x2.ndim:
        return _product(torch.mul, x1, x2)
    if x2.ndim <= 2:
        return _product(torch.matmul, x1, x2)
    return _product(functools.partial(torch.tensordot, dims=([-1], [-2])), x1, x2)


@op
def inner(x1: Operand, x2: Operand) -> torch.Tensor:
    """Sums of products over the last axes of both.

    >>> import kerastorch as keras
    >>> keras.ops.inner([1.0, 2.0], [[3.0, 4.0], [5.0, 6.0]])
    tensor([11., 17.])
    """
    return _product(torch.inner, x1, x2)


@op
def vdot(x1: Operand, x2: Operand) -> torch.Tensor:
    """The sum of ``conj(x1) * x2`` over all entries.

    >>> import kerastorch as keras
    >>> keras.ops.vdot([[1.0], [2.0]], [[3.0], [4.0]])
    tensor(11.)
    """
    return _product(torch.vdot, x1.reshape(-1), x2.reshape(-1))


@op
def outer(x1: Operand, x2: Operand) -> torch.Tensor:
    """The products of every entry of `x1`, one row for each, with every entry of `x2`.

    >>> import kerastorch as keras
    >>> keras.ops.outer([1.0, 2.0], [3.0, 4.0])
    tensor([[3., 4.],
            [6., 8.]])
    """
    x1, x2 = promoted(x1, x2)
    return torch.outer(x1.reshape(-1), x2.reshape(-1))


@op
def kron(x1: Operand, x2: Operand) -> torch.Tensor:
    """`x2` times every entry of `x1`, as blocks at that entry's place (Kronecker).

    >>> import kerastorch as keras
    >>> keras.ops.kron([1.0, 10.0], [1.0, 2.0])
    tensor([ 1.,  2., 10., 20.])
    """
    x1, x2 = promoted(x1, x2)
    return torch.kron(x1.contiguous(), x2.contiguous())


@op
def tensordot(
    x1: Operand, x2: Operand, axes: int | Sequence[int | Sequence[int]] = 2
) -> torch.Tensor:
    """Sums of products over the last `axes` of `x1` and the first ones of `x2`, or over the pairs of
    axes ``axes[0]`` of the one and ``axes[1]`` of the other.

    >>> import torch, kerastorch as keras
    >>> keras.ops.tensordot(torch.ones(2, 3), torch.ones(4, 3), axes=(1, 1)).shape
    torch.Size([2, 4])
    """
    if isinstance(axes, int):
        return _product(functools.partial(torch.tensordot, dims=axes), x1, x2)
    if len(axes) != 2:
        raise ValueError(f"`axes` must be a number or a pair of axes, received {axes!r}.")
    first, second = ([a] if isinstance(a, int) else list(a) for a in axes)
    return _product(functools.partial(torch.tensordot, dims=(first, second)), x1, x2)


@op
def einsum(subscripts: str, *operands: Array, **kwargs: Any) -> torch.Tensor:
    """Sums of products as Einstein writes them: equal letters are one axis, those that the result does
    not have are summed over. int8 gives int32; `kwargs` are NumPy's, and not needed.

    >>> import kerastorch as keras
    >>> keras.ops.einsum("ij,j->i", [[1.0, 2.0], [3.0, 4.0]], [1.0, 10.0])
    tensor([21., 43.])
    """
    return _product(functools.partial(torch.einsum, subscripts), *operands, widened=True)


@op
def cross(
    x1: Operand,
    x2: Operand,
    axisa: int = -1,
    axisb: int = -1,
    axisc: int = -1,
    axis: int | None = None,
) -> torch.Tensor:
    """The vectors perpendicular to those along `axisa` of `x1` and `axisb` of `x2`, along `axisc`.

    Vectors of two entries lie in a plane; of two such only the third entry of the product is the result. `axis` is
    for all three.

    >>> import kerastorch as keras
    >>> keras.ops.cross([1.0, 0.0, 0.0], [0.0, 1.0, 0.0])
    tensor([0., 0., 1.])
    """
    if axis is not None:
        axisa = axisb = axisc = axis
    lengths = x1.shape[axisa], x2.shape[axisb]
    if not {2, 3}.issuperset(lengths):
        raise ValueError(
            f"`x1` and `x2` must have 2 or 3 entries along `axisa` and `axisb`, received {lengths}."
        )
    a, b = (
        torch.nn.functional.pad(x, (0, 3 - x.shape[-1]))
        for x in promoted(x1.movedim(axisa, -1), x2.movedim(axisb, -1))
    )
    if lengths == (2, 2):
        return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    return torch.linalg.cross(*torch.broadcast_tensors(a, b)).movedim(-1, axisc)


# -- neighbours ------------------------------------------------------------------------------------------


@op
def diff(a: Array, n: int = 1, axis: int = -1) -> torch.Tensor:
    """The differences of neighbours along `axis`, taken `n` times.

    >>> import kerastorch as keras
    >>> keras.ops.diff([1.0, 4.0, 9.0])
    tensor([3., 5.])
    """
    return torch.diff(a, n, axis)


@op
def trapezoid(y: Array, x: Any = None, dx: float = 1.0, axis: int = -1) -> torch.Tensor:
    """The integral along `axis` by the trapezoidal rule, over points `x` or at distances `dx`.

    >>> import kerastorch as keras
    >>> keras.ops.trapezoid([1.0, 2.0, 3.0])
    tensor(4.)
    """
    y = floating(y)
    if x is None:
        return torch.trapezoid(y, dim=axis) * dx
    return torch.trapezoid(y, as_tensor(x, device=y.device), dim=axis)


@op
def correlate(x1: Operand, x2: Operand, mode: str = "valid") -> torch.Tensor:
    """``sum(x1[k + i] * x2[i])`` for the shifts k of two vectors.

    `mode`: ``"full"`` for all shifts, ``"valid"`` for those without gaps, ``"same"`` for as many in the middle as
    the longer vector has entries.

    >>> import kerastorch as keras
    >>> keras.ops.correlate([1.0, 2.0, 3.0], [1.0, 1.0])
    tensor([3., 5.])
    """
    if x1.ndim != 1 or x2.ndim != 1:
        raise ValueError(
            "`x1` and `x2` must have one axis, received shapes "
            f"{tuple(x1.shape)} and {tuple(x2.shape)}."
        )
    x1, x2 = map(floating, promoted(x1, x2))
    shorter, longer = sorted((x1.shape[0], x2.shape[0]))
    shifts = torch.nn.functional.conv1d(x1[None], x2[None, None], padding=x2.shape[0] - 1)[0]
    if mode == "full":
        return shifts
    if mode == "valid":
        return shifts.narrow(0, shorter - 1, longer - shorter + 1)
    if mode == "same":
        first = (shorter - 1) // 2 if x1.shape[0] == longer else shorter // 2
        return shifts.narrow(0, first, longer)
    raise ValueError(f"`mode` must be 'valid', 'same' or 'full', received {mode!r}.")


@op
def corrcoef(x: Array) -> torch.Tensor:
    """Pearson's correlations of the rows of a matrix with each other.

    >>> import kerastorch as keras
    >>> keras.ops.corrcoef([[1.0, 2.0], [4.0, 3.0]]).round()
    tensor([[ 1., -1.],
            [-1.,  1.]])
    """
    x = x.double() if x.dtype is torch.int64 else floating(x)
    rows = torch.atleast_2d(x)
    centered = rows - rows.mean(-1, keepdim=True)
    units = centered / torch.linalg.vector_norm(centered, dim=-1, keepdim=True)
    found = units @ units.mH
    found = found if found.is_complex() else found.clamp(-1, 1)  # what rounding put beyond
    return found if x.ndim > 1 else found[0, 0]


@op
def slogdet(x: Array) -> tuple[torch.Tensor, torch.Tensor]:
    """Signs of the determinants of ``(..., n, n)``, and the logarithms of their absolute values.

    >>> import kerastorch as keras
    >>> keras.ops.slogdet([[0.0, 2.0], [1.0, 0.0]])
    (tensor(-1.), tensor(0.6931))
    """
    sign, logarithm = torch.linalg.slogdet(floating(x))
    return sign, logarithm
