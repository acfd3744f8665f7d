"""What is true of entries: comparisons, tests, logic; and the same on the bits of whole numbers."""

from __future__ import annotations

import torch

from kerastorch.ops._op import Array, Operand, op, promoted


@op
def equal(x1: Operand, x2: Operand) -> torch.Tensor:
    """``x1 == x2``.

    >>> import kerastorch as keras
    >>> keras.ops.equal([1, 2, 3], 2)
    tensor([False,  True, False])
    """
    return torch.eq(x1, x2)


@op
def not_equal(x1: Operand, x2: Operand) -> torch.Tensor:
    """``x1 != x2``.

    >>> import kerastorch as keras
    >>> keras.ops.not_equal([1, 2, 3], 2)
    tensor([ True, False,  True])
    """
    return torch.ne(x1, x2)


@op
def greater(x1: Operand, x2: Operand) -> torch.Tensor:
    """``x1 > x2``.

    >>> import kerastorch as keras
    >>> keras.ops.greater([1, 2, 3], 2)
    tensor([False, False,  True])
    """
    return torch.gt(x1, x2)


@op
def greater_equal(x1: Operand, x2: Operand) -> torch.Tensor:
    """``x1 >= x2``.

    >>> import kerastorch as keras
    >>> keras.ops.greater_equal([1, 2, 3], 2)
    tensor([False,  True,  True])
    """
    return torch.ge(x1, x2)


@op
def less(x1: Operand, x2: Operand) -> torch.Tensor:
    """``x1 < x2``.

    >>> import kerastorch as keras
    >>> keras.ops.less([1, 2, 3], 2)
    tensor([ True, False, False])
    """
    return torch.lt(x1, x2)


@op
def less_equal(x1: Operand, x2: Operand) -> torch.Tensor:
    """``x1 <= x2``.

    >>> import kerastorch as keras
    >>> keras.ops.less_equal([1, 2, 3], 2)
    tensor([ True,  True, False])
    """
    return torch.le(x1, x2)


@op
def isclose(
    x1: Operand, x2: Operand, rtol: Array = 1e-5, atol: Array = 1e-8, equal_nan: bool = False
) -> torch.Tensor:
    """``|x1 - x2| <= atol + rtol * |x2|``; whole numbers must be equal.

    >>> import kerastorch as keras
    >>> keras.ops.isclose([1.0, 2.0], [1.000001, 2.1])
    tensor([ True, False])
    """
    a, b = promoted(x1, x2)
    close = torch.eq(a, b)
    if a.is_floating_point() or a.is_complex():
        distance = torch.abs(a - b)
        close = close | (distance.isfinite() & (distance <= atol + rtol * torch.abs(b)))
    if equal_nan:
        close = close | (a.isnan() & b.isnan())
    return close


@op
def allclose(
    x1: Operand, x2: Operand, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> torch.Tensor:
    """Whether all entries are close, see `isclose`. Result: shape ``()``.

    >>> import kerastorch as keras
    >>> keras.ops.allclose([1.0, 2.0], [1.000001, 2.1])
    tensor(False)
    """
    return torch.all(isclose(x1, x2, rtol, atol, equal_nan))


# -- tests of single entries -----------------------------------------------------------------------


@op
def isfinite(x: Array) -> torch.Tensor:
    """Whether an entry is neither infinite nor NaN.

    >>> import kerastorch as keras
    >>> keras.ops.isfinite([1.0, float("inf"), float("nan")])
    tensor([ True, False, False])
    """
    return torch.isfinite(x)


@op
def isinf(x: Array) -> torch.Tensor:
    """Whether an entry is infinite.

    >>> import kerastorch as keras
    >>> keras.ops.isinf([1.0, float("inf"), float("nan")])
    tensor([False,  True, False])
    """
    return torch.isinf(x)


@op
def isnan(x: Array) -> torch.Tensor:
    """Whether an entry is NaN.

    >>> import kerastorch as keras
    >>> keras.ops.isnan([1.0, float("inf"), float("nan")])
    tensor([False, False,  True])
    """
    return torch.isnan(x)


@op
def isneginf(x: Array) -> torch.Tensor:
    """Whether an entry is minus infinity.

    >>> import kerastorch as keras
    >>> keras.ops.isneginf([float("-inf"), float("inf")])
    tensor([ True, False])
    """
    return torch.isneginf(x)


@op
def isposinf(x: Array) -> torch.Tensor:
    """Whether an entry is plus infinity.

    >>> import kerastorch as keras
    >>> keras.ops.isposinf([float("-inf"), float("inf")])
    tensor([False,  True])
    """
    return torch.isposinf(x)


@op
def isreal(x: Array) -> torch.Tensor:
    """Whether the imaginary part is 0.

    >>> import kerastorch as keras
    >>> keras.ops.isreal([1 + 2j, 3.0])
    tensor([False,  True])
    """
    return torch.isreal(x)


@op
def signbit(x: Array) -> torch.Tensor:
    """Whether the sign is set: of negative numbers, and of ``-0.0``.

    >>> import kerastorch as keras
    >>> keras.ops.signbit([-0.0, 0.0, -1.0])
    tensor([ True, False,  True])
    """
    return torch.signbit(x)


# -- logic: what is not 0 is true ------------------------------------------------------------------


@op
def logical_and(x1: Operand, x2: Operand) -> torch.Tensor:
    """Whether both are true.

    >>> import kerastorch as keras
    >>> keras.ops.logical_and([True, True, False], [True, False, False])
    tensor([ True, False, False])
    """
    return torch.logical_and(x1, x2)


@op
def logical_or(x1: Operand, x2: Operand) -> torch.Tensor:
    """Whether at least one is true.

    >>> import kerastorch as keras
    >>> keras.ops.logical_or([True, True, False], [True, False, False])
    tensor([ True,  True, False])
    """
    return torch.logical_or(x1, x2)


@op
def logical_xor(x1: Operand, x2: Operand) -> torch.Tensor:
    """Whether exactly one is true.

    >>> import kerastorch as keras
    >>> keras.ops.logical_xor([True, True, False], [True, False, False])
    tensor([False,  True, False])
    """
    return torch.logical_xor(x1, x2)


@op
def logical_not(x: Array) -> torch.Tensor:
    """Whether it is false.

    >>> import kerastorch as keras
    >>> keras.ops.logical_not([True, False])
    tensor([False,  True])
    """
    return torch.logical_not(x)


# -- bits ------------------------------------------------------------------------------------------


@op
def bitwise_and(x: Operand, y: Operand) -> torch.Tensor:
    """The bits set in both.

    >>> import kerastorch as keras
    >>> keras.ops.bitwise_and([0b1100], 0b1010)
    tensor([8], dtype=torch.int32)
    """
    return torch.bitwise_and(x, y)


@op
def bitwise_or(x: Operand, y: Operand) -> torch.Tensor:
    """The bits set in at least one.

    >>> import kerastorch as keras
    >>> keras.ops.bitwise_or([0b1100], 0b1010)
    tensor([14], dtype=torch.int32)
    """
    return torch.bitwise_or(x, y)


@op
def bitwise_xor(x: Operand, y: Operand) -> torch.Tensor:
    """The bits set in exactly one.

    >>> import kerastorch as keras
    >>> keras.ops.bitwise_xor([0b1100], 0b1010)
    tensor([6], dtype=torch.int32)
    """
    return torch.bitwise_xor(x, y)


@op
def bitwise_invert(x: Array) -> torch.Tensor:
    """The bits not set: ``-x - 1`` of signed whole numbers, the opposite of truth values.

    >>> import kerastorch as keras
    >>> keras.ops.bitwise_invert([0, 5])
    tensor([-1, -6], dtype=torch.int32)
    """
    return torch.bitwise_not(x)


bitwise_not = bitwise_invert


@op
def bitwise_left_shift(x: Operand, y: Operand) -> torch.Tensor:
    """The bits moved up `y` places: ``x * 2 ** y``.

    >>> import kerastorch as keras
    >>> keras.ops.bitwise_left_shift([1, 5], 2)
    tensor([ 4, 20], dtype=torch.int32)
    """
    return torch.bitwise_left_shift(x, y)


left_shift = bitwise_left_shift


@op
def bitwise_right_shift(x: Operand, y: Operand) -> torch.Tensor:
    """The bits moved down `y` places: ``floor(x / 2 ** y)``.

    >>> import kerastorch as keras
    >>> keras.ops.bitwise_right_shift([-5, 20], 2)
    tensor([-2,  5], dtype=torch.int32)
    """
    return torch.bitwise_right_shift(x, y)


right_shift = bitwise_right_shift
