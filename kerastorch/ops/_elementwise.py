"""Functions of single entries: signs, powers, roundings, logarithms, parts of complex numbers, bounds."""

from __future__ import annotations

from typing import Any

import torch

from kerastorch.ops._op import Array, as_tensor, floating, op


def numeric(x: torch.Tensor) -> torch.Tensor:
    """Truth values as int32, where there is nothing to compute with them; the rest as it is."""
    return x.to(torch.int32) if x.dtype is torch.bool else x


def wide(x: torch.Tensor) -> torch.Tensor:
    """As `floating`, but int64 as float64, which holds more of its numbers."""
    return x.to(torch.float64) if x.dtype is torch.int64 else floating(x)


# -- signs -----------------------------------------------------------------------------------------


@op
def absolute(x: Array) -> torch.Tensor:
    """``|x|``; real for complex numbers. Integers stay integers.

    >>> import kerastorch as keras
    >>> keras.ops.absolute([-1, 2])
    tensor([1, 2], dtype=torch.int32)
    """
    return x if x.dtype is torch.bool else torch.abs(x)


abs = absolute


@op
def fabs(x: Array) -> torch.Tensor:
    """``|x|`` in floating point.

    >>> import kerastorch as keras
    >>> keras.ops.fabs([-1, 2])
    tensor([1., 2.])
    """
    return torch.abs(floating(x))


@op
def negative(x: Array) -> torch.Tensor:
    """``-x``.

    >>> import kerastorch as keras
    >>> keras.ops.negative([-1.0, 2.0])
    tensor([ 1., -2.])
    """
    return torch.neg(x)


@op
def sign(x: Array) -> torch.Tensor:
    """-1, 0 or 1.

    >>> import kerastorch as keras
    >>> keras.ops.sign([-3.0, 0.0, 2.0])
    tensor([-1.,  0.,  1.])
    """
    return torch.sign(x)


# -- powers and roots ------------------------------------------------------------------------------


@op
def square(x: Array) -> torch.Tensor:
    """``x * x``.

    >>> import kerastorch as keras
    >>> keras.ops.square([-3.0, 2.0])
    tensor([9., 4.])
    """
    return torch.square(numeric(x))


@op
def sqrt(x: Array) -> torch.Tensor:
    """The square root.

    >>> import kerastorch as keras
    >>> keras.ops.sqrt([4, 9])
    tensor([2., 3.])
    """
    return torch.sqrt(floating(x))


@op
def cbrt(x: Array) -> torch.Tensor:
    """The real cube root, of negative numbers too.

    >>> import kerastorch as keras
    >>> keras.ops.cbrt([-8.0, 1.0])
    tensor([-2.,  1.])
    """
    x = wide(x)
    return torch.sign(x) * torch.abs(x) ** (1 / 3)


@op
def reciprocal(x: Array) -> torch.Tensor:
    """``1 / x``.

    >>> import kerastorch as keras
    >>> keras.ops.reciprocal([2, 4])
    tensor([0.5000, 0.2500])
    """
    return torch.reciprocal(floating(x))


# -- exponentials and logarithms -------------------------------------------------------------------


@op
def exp(x: Array) -> torch.Tensor:
    """``e ** x``.

    >>> import kerastorch as keras
    >>> keras.ops.exp([0, 1])
    tensor([1.0000, 2.7183])
    """
    return torch.exp(floating(x))


@op
def exp2(x: Array) -> torch.Tensor:
    """``2 ** x``.

    >>> import kerastorch as keras
    >>> keras.ops.exp2([0, 3])
    tensor([1., 8.])
    """
    return torch.exp2(floating(x))


@op
def expm1(x: Array) -> torch.Tensor:
    """``exp(x) - 1``, exact for small `x`.

    >>> import kerastorch as keras
    >>> keras.ops.expm1([0.0, 1.0])
    tensor([0.0000, 1.7183])
    """
    return torch.expm1(floating(x))


@op
def log(x: Array) -> torch.Tensor:
    """The natural logarithm.

    >>> import kerastorch as keras
    >>> keras.ops.log([1.0, 10.0])
    tensor([0.0000, 2.3026])
    """
    return torch.log(floating(x))


@op
def log2(x: Array) -> torch.Tensor:
    """The logarithm to base 2.

    >>> import kerastorch as keras
    >>> keras.ops.log2([1, 8])
    tensor([0., 3.])
    """
    return torch.log2(floating(x))


@op
def log10(x: Array) -> torch.Tensor:
    """The logarithm to base 10.

    >>> import kerastorch as keras
    >>> keras.ops.log10([1, 100])
    tensor([0., 2.])
    """
    return torch.log10(floating(x))


@op
def log1p(x: Array) -> torch.Tensor:
    """``log(1 + x)``, exact for small `x`.

    >>> import kerastorch as keras
    >>> keras.ops.log1p([0.0, 1.0])
    tensor([0.0000, 0.6931])
    """
    return torch.log1p(floating(x))


@op
def i0(x: Array) -> torch.Tensor:
    """The modified Bessel function of the first kind, order 0 (Abramowitz and Stegun, 9.6.16).

    >>> import kerastorch as keras
    >>> keras.ops.i0([0.0, 1.0])
    tensor([1.0000, 1.2661])
    """
    return torch.i0(wide(x))


# -- rounding --------------------------------------------------------------------------------------


@op
def floor(x: Array) -> torch.Tensor:
    """The greatest whole number not above `x`, in floating point.

    >>> import kerastorch as keras
    >>> keras.ops.floor([-1.5, 1.5])
    tensor([-2.,  1.])
    """
    return torch.floor(floating(x))


@op
def ceil(x: Array) -> torch.Tensor:
    """The smallest whole number not below `x`, in floating point.

    >>> import kerastorch as keras
    >>> keras.ops.ceil([-1.5, 1.5])
    tensor([-1.,  2.])
    """
    return torch.ceil(floating(x))


@op
def trunc(x: Array) -> torch.Tensor:
    """`x` without its fraction. Integers stay integers.

    >>> import kerastorch as keras
    >>> keras.ops.trunc([-1.5, 1.5])
    tensor([-1.,  1.])
    """
    return x if x.dtype is torch.bool else torch.trunc(x)


@op
def round(x: Array, decimals: int = 0) -> torch.Tensor:
    """`x` to so many `decimals`, halves to the even neighbour. Integers stay integers; with negative
    `decimals` they lose their last digits.

    >>> import kerastorch as keras
    >>> keras.ops.round([0.5, 1.5, 2.345])
    tensor([0., 2., 2.])
    """
    if x.is_floating_point():
        return torch.round(x, decimals=decimals)
    return x if decimals >= 0 else torch.round(floating(x), decimals=decimals).to(x.dtype)


# -- complex numbers -------------------------------------------------------------------------------


@op
def real(x: Array) -> torch.Tensor:
    """The real part.

    >>> import kerastorch as keras
    >>> keras.ops.real([1 + 2j, 3.0])
    tensor([1., 3.])
    """
    return torch.real(x)


@op
def imag(x: Array) -> torch.Tensor:
    """The imaginary part, 0 for real numbers.

    >>> import kerastorch as keras
    >>> keras.ops.imag([1 + 2j, 3.0])
    tensor([2., 0.])
    """
    return torch.imag(x) if x.is_complex() else torch.zeros_like(x)


@op
def conjugate(x: Array) -> torch.Tensor:
    """The complex conjugate: the imaginary part with the other sign.

    >>> import kerastorch as keras
    >>> keras.ops.conjugate([1 + 2j])
    tensor([1.-2.j])
    """
    return torch.conj(x).resolve_conj()


conj = conjugate


@op
def angle(x: Array) -> torch.Tensor:
    """The angle of a complex number in radians, between -pi and pi; of real ones 0 or pi.

    >>> import kerastorch as keras
    >>> keras.ops.angle([1j, -1.0])
    tensor([1.5708, 3.1416])
    """
    return torch.angle(floating(x))


# -- bounds ----------------------------------------------------------------------------------------


@op
def clip(x: Array, x_min: Any, x_max: Any) -> torch.Tensor:
    """`x` between `x_min` and `x_max`: numbers or tensors, shapes broadcast; None is no bound.

    >>> import kerastorch as keras
    >>> keras.ops.clip([-2.0, 0.5, 2.0], -1, 1)
    tensor([-1.0000,  0.5000,  1.0000])
    """
    bounds = [x_min, x_max]
    if not isinstance(x_min, (int, float)) or not isinstance(x_max, (int, float)):
        bounds = [None if b is None else as_tensor(b, device=x.device) for b in bounds]
    return torch.clip(numeric(x), *bounds) if bounds != [None, None] else numeric(x)


@op
def nan_to_num(
    x: Array, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> torch.Tensor:
    """Numbers instead of NaN and infinities: by default 0 and the largest of the dtype.

    >>> import kerastorch as keras
    >>> keras.ops.nan_to_num([float("nan"), 1.0, float("inf")], posinf=9.0)
    tensor([0., 1., 9.])
    """
    return torch.nan_to_num(x, nan=nan, posinf=posinf, neginf=neginf)
