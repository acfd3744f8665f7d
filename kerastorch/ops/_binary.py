"""Arithmetic of two tensors, entry by entry. Shapes broadcast, dtypes meet in one that holds both."""

from __future__ import annotations

import torch

from kerastorch.ops._elementwise import numeric
from kerastorch.ops._op import Array, Operand, floating, op, promoted


def real_numbers(*tensors: torch.Tensor) -> list[torch.Tensor]:
    """Tensors as the one floating-point dtype that can hold them all."""
    return [floating(x) for x in promoted(*tensors)]


@op
def add(x1: Operand, x2: Operand) -> torch.Tensor:
    """``x1 + x2``.

    >>> import kerastorch as keras
    >>> keras.ops.add([1, 2], 3)
    tensor([4, 5], dtype=torch.int32)
    """
    return torch.add(x1, x2)


@op
def subtract(x1: Operand, x2: Operand) -> torch.Tensor:
    """``x1 - x2``.

    >>> import kerastorch as keras
    >>> keras.ops.subtract([1, 2], 3)
    tensor([-2, -1], dtype=torch.int32)
    """
    if x1.dtype is torch.bool:
        x1 = x1.to(x2.dtype)
    elif x2.dtype is torch.bool:
        x2 = x2.to(x1.dtype)
    return torch.subtract(x1, x2)


@op
def multiply(x1: Operand, x2: Operand) -> torch.Tensor:
    """``x1 * x2``.

    >>> import kerastorch as keras
    >>> keras.ops.multiply([1, 2], 3)
    tensor([3, 6], dtype=torch.int32)
    """
    return torch.multiply(x1, x2)


@op
def divide(x1: Operand, x2: Operand) -> torch.Tensor:
    """``x1 / x2``, in floating point.

    >>> import kerastorch as keras
    >>> keras.ops.divide([1, 2], 4)
    tensor([0.2500, 0.5000])
    """
    return torch.divide(x1 if x2.is_floating_point() else floating(x1), x2)


true_divide = divide


@op
def divide_no_nan(x1: Operand, x2: Operand) -> torch.Tensor:
    """``x1 / x2``, and 0 where `x2` is 0.

    >>> import kerastorch as keras
    >>> keras.ops.divide_no_nan([1.0, 2.0], [4.0, 0.0])
    tensor([0.2500, 0.0000])
    """
    x1, x2 = real_numbers(x1, x2)
    zero = x2 == 0
    return torch.where(zero, 0, x1 / torch.where(zero, 1, x2))  # no NaN in the gradient either


@op
def floor_divide(x1: Operand, x2: Operand) -> torch.Tensor:
    """The greatest whole number not above ``x1 / x2``. Integers stay integers.

    >>> import kerastorch as keras
    >>> keras.ops.floor_divide([-7, 7], 2)
    tensor([-4,  3], dtype=torch.int32)
    """
    return torch.div(x1, x2, rounding_mode="floor")


@op
def mod(x1: Operand, x2: Operand) -> torch.Tensor:
    """The remainder of `floor_divide`, with the sign of `x2`.

    >>> import kerastorch as keras
    >>> keras.ops.mod([-7, 7], 4)
    tensor([1, 3], dtype=torch.int32)
    """
    return torch.remainder(numeric(x1), numeric(x2))


@op
def fmod(x1: Operand, x2: Operand) -> torch.Tensor:
    """The remainder of a division rounded towards 0, with the sign of `x1`, as C's ``fmod``.

    >>> import kerastorch as keras
    >>> keras.ops.fmod([-7, 7], 4)
    tensor([-3,  3], dtype=torch.int32)
    """
    return torch.fmod(numeric(x1), numeric(x2))


@op
def power(x1: Operand, x2: Operand) -> torch.Tensor:
    """``x1 ** x2``.

    >>> import kerastorch as keras
    >>> keras.ops.power([2.0, 3.0], 2)
    tensor([4., 9.])
    """
    return torch.pow(x1, x2)


# -- the greater and the less ----------------------------------------------------------------------


@op
def maximum(x1: Operand, x2: Operand) -> torch.Tensor:
    """The greater of two; NaN where one of them is.

    >>> import kerastorch as keras
    >>> keras.ops.maximum([1.0, 4.0], 2)
    tensor([2., 4.])
    """
    return torch.maximum(x1, x2)


@op
def minimum(x1: Operand, x2: Operand) -> torch.Tensor:
    """The less of two; NaN where one of them is.

    >>> import kerastorch as keras
    >>> keras.ops.minimum([1.0, 4.0], 2)
    tensor([1., 2.])
    """
    return torch.minimum(x1, x2)


@op
def fmax(x1: Operand, x2: Operand) -> torch.Tensor:
    """The greater of two; the other one where one is NaN.

    >>> import kerastorch as keras
    >>> keras.ops.fmax([1.0, float("nan")], 2)
    tensor([2., 2.])
    """
    return torch.fmax(x1, x2)


@op
def fmin(x1: Operand, x2: Operand) -> torch.Tensor:
    """The less of two; the other one where one is NaN.

    >>> import kerastorch as keras
    >>> keras.ops.fmin([1.0, float("nan")], 2)
    tensor([1., 2.])
    """
    return torch.fmin(x1, x2)


# -- functions of two real numbers -----------------------------------------------------------------


@op
def arctan2(x1: Operand, x2: Operand) -> torch.Tensor:
    """The angle of the point ``(x2, x1)`` in radians, between -pi and pi.

    >>> import kerastorch as keras
    >>> keras.ops.arctan2([1.0, -1.0], [1.0, -1.0])
    tensor([ 0.7854, -2.3562])
    """
    return torch.arctan2(*real_numbers(x1, x2))


@op
def hypot(x1: Operand, x2: Operand) -> torch.Tensor:
    """``sqrt(x1**2 + x2**2)``, without overflow in between.

    >>> import kerastorch as keras
    >>> keras.ops.hypot([3, 5], [4, 12])
    tensor([ 5., 13.])
    """
    return torch.hypot(*real_numbers(x1, x2))


@op
def logaddexp(x1: Operand, x2: Operand) -> torch.Tensor:
    """``log(exp(x1) + exp(x2))``, without overflow in between.

    >>> import kerastorch as keras
    >>> keras.ops.logaddexp([0.0, 1000.0], [0.0, 1000.0])
    tensor([6.9315e-01, 1.0007e+03])
    """
    return torch.logaddexp(*real_numbers(x1, x2))


@op
def logaddexp2(x1: Operand, x2: Operand) -> torch.Tensor:
    """``log2(2**x1 + 2**x2)``, without overflow in between.

    >>> import kerastorch as keras
    >>> keras.ops.logaddexp2([0.0, 1000.0], [0.0, 1000.0])
    tensor([1.0000e+00, 1.0010e+03])
    """
    return torch.logaddexp2(*real_numbers(x1, x2))


@op
def heaviside(x1: Operand, x2: Operand) -> torch.Tensor:
    """The step: 0 where `x1` is below 0, 1 where it is above, `x2` where it is 0.

    >>> import kerastorch as keras
    >>> keras.ops.heaviside([-2.0, 0.0, 3.0], 0.5)
    tensor([0.0000, 0.5000, 1.0000])
    """
    return torch.heaviside(*real_numbers(x1, x2))


@op
def ldexp(x1: Array, x2: Array) -> torch.Tensor:
    """``x1 * 2 ** x2`` for whole numbers `x2`.

    >>> import kerastorch as keras
    >>> keras.ops.ldexp([0.5, 1.5], [3, 1])
    tensor([4., 3.])
    """
    if x2.is_floating_point() or x2.is_complex() or x2.dtype is torch.bool:
        raise TypeError(
            f"ldexp: `x2` must be of an integer dtype, received {x2.dtype}. "
            "Write x1 * exp2(x2), or cast `x2`."
        )
    factor = floating(x1)
    power = torch.exp2(x2.to(torch.promote_types(factor.dtype, torch.float32)))
    return torch.mul(factor, power).to(factor.dtype)  # torch.ldexp's power is always float32


@op
def nextafter(x1: Operand, x2: Operand) -> torch.Tensor:
    """The number that follows `x1` in its dtype on the way to `x2`.

    >>> import kerastorch as keras
    >>> keras.ops.nextafter([1.0], 2) - 1
    tensor([1.1921e-07])
    """
    return torch.nextafter(*real_numbers(x1, x2))


# -- whole numbers ---------------------------------------------------------------------------------


@op
def gcd(x1: Operand, x2: Operand) -> torch.Tensor:
    """The greatest common divisor of whole numbers, never negative.

    >>> import kerastorch as keras
    >>> keras.ops.gcd([12, 18], 8)
    tensor([4, 2], dtype=torch.int32)
    """
    return torch.gcd(x1, x2)


@op
def lcm(x1: Operand, x2: Operand) -> torch.Tensor:
    """The least common multiple of whole numbers, never negative.

    >>> import kerastorch as keras
    >>> keras.ops.lcm([4, 6], 10)
    tensor([20, 30], dtype=torch.int32)
    """
    return torch.lcm(x1, x2)
