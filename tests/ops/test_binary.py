"""Functions of two tensors against Keras, and against NumPy where Keras differs from it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from oracle import check

import kerastorch as kt

_random = np.random.default_rng(0)
X = (_random.normal(size=(3, 4)) * 2).astype("float32")
Y = (_random.uniform(0.5, 3, size=(3, 4))).astype("float32")
I = _random.integers(-9, 9, (3, 4)).astype("int32")  # noqa: E741
J = _random.integers(1, 9, (3, 4)).astype("int32")
B = X > 0
NAN = np.array([[1.0, np.nan, np.inf], [-np.inf, 0.0, 2.0]], "float32")

ARITHMETIC = (
    "add",
    "subtract",
    "multiply",
    "divide",
    "true_divide",
    "divide_no_nan",
    "mod",
    "fmod",
)
ORDER = ("maximum", "minimum", "fmax", "fmin")
COMPARISONS = ("equal", "not_equal", "greater", "greater_equal", "less", "less_equal")
REAL = ("arctan2", "hypot", "logaddexp", "logaddexp2", "heaviside")
LOGIC = ("logical_and", "logical_or", "logical_xor")
BITS = ("bitwise_and", "bitwise_or", "bitwise_xor")
SHIFTS = ("bitwise_left_shift", "left_shift", "bitwise_right_shift", "right_shift")
#: Whole numbers, without gradients.
STEPS = ("floor_divide",)
NUMBERS = (*ARITHMETIC, *ORDER, *COMPARISONS, *REAL, *LOGIC, *STEPS)


@pytest.mark.parametrize("name", NUMBERS)
def test_values_gradients_and_model_files(name: str) -> None:
    check(name, X, Y, gradients=name not in ("heaviside", "floor_divide"))  # Keras has none of them


@pytest.mark.parametrize(
    "other", [Y[:1], Y[:, :1], 2.5, 2, J], ids=["row", "column", "float", "int", "ints"]
)
@pytest.mark.parametrize("name", ["add", "divide", "maximum", "greater", "logical_and", "arctan2"])
def test_broadcasting_and_numbers(name: str, other: Any) -> None:
    check(name, X, other)


@pytest.mark.parametrize("name", ["subtract", "divide", "power", "maximum", "less", "floor_divide"])
def test_a_number_comes_first(name: str) -> None:
    check(name, 2.0, Y, gradients=name != "floor_divide")


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize(
    ("a", "b"),
    [
        (I, J), (I.astype("int8"), J), (I, Y), (B, J), (X.astype("float16"), Y.astype("float16")),
        (X.astype("float16"), Y), (I, 2.5), (I.astype("int16"), 3), (Y.astype("float16"), 3),
        ([1, 2], [3, 4]), (3, 2), (np.zeros((0, 2), "float32"), np.zeros((1, 2), "float32")),
    ],
    ids=["int32", "int8", "int32, float32", "bool, int32", "float16", "float16, float32",
         "int32, float", "int16, int", "float16, int", "lists", "numbers", "nothing"],
)  # fmt: skip
def test_dtypes(name: str, a: Any, b: Any) -> None:
    if name == "divide_no_nan" and isinstance(a, list):
        assert kt.ops.divide_no_nan(a, b).tolist() == pytest.approx([1 / 3, 0.5])
        return  # Keras on torch refuses lists
    check(name, a, b, gradients=False, symbolic=False)


@pytest.mark.parametrize("name", [*ORDER, *COMPARISONS, *LOGIC, "add", "multiply", "mod", "fmod"])
def test_truth_values(name: str) -> None:
    if "mod" not in name:  # which cannot divide by False
        check(name, B, B[::-1].copy(), symbolic=False)
    check(name, np.array(True), np.array([True, True]), symbolic=False)


def test_a_truth_value_and_a_number() -> None:
    assert kt.ops.add(torch.tensor([True]), 1).dtype is torch.int32
    assert kt.ops.maximum(torch.tensor([True]), 0.5).dtype is torch.float32


@pytest.mark.parametrize("name", [*ORDER, *COMPARISONS, "add", "divide_no_nan", "hypot"])
def test_infinities_and_nan(name: str) -> None:
    check(name, NAN, NAN[::-1].copy(), symbolic=False, gradients=False)


@pytest.mark.parametrize(
    "name",
    ["add", "maximum", "fmin", "floor_divide", "arctan2", "hypot", "logaddexp", "divide_no_nan"],
)
def test_64_bits_stay(name: str) -> None:
    a, b = X.astype("float64"), Y.astype("float64")
    assert check(name, a, b, symbolic=False, dtypes=False).dtype is torch.float64


@pytest.mark.parametrize("name", ["maximum", "minimum", "fmax", "fmin"])
def test_large_integers_stay(name: str) -> None:
    a, b = np.array([2**40, 1]), np.array([3, 2**41])
    np.testing.assert_array_equal(getattr(kt.ops, name)(a, b), getattr(np, name)(a, b))


# -- single functions ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b"), [(Y, X), (Y, 2), (Y, 0.5), (J, J), (J, 2), (J, 0.5), (J, X), (2.0, X)],
    ids=["tensors", "square", "root", "ints", "int square", "int root", "int, float", "base"],
)  # fmt: skip
def test_power(a: Any, b: Any) -> None:
    check("power", a, b)


@pytest.mark.parametrize("name", [*BITS, *SHIFTS])
@pytest.mark.parametrize("dtype", ["int32", "int64", "int8", "uint8"])
def test_bits(name: str, dtype: str) -> None:
    x, y = np.abs(I).astype(dtype), (J % 4).astype(dtype)
    check(name, x, y, symbolic=dtype == "int32")
    check(name, x, 2, symbolic=dtype == "int32" and name in SHIFTS)  # elsewhere Keras wants tensors


@pytest.mark.parametrize("name", BITS)
def test_bits_of_truth_values(name: str) -> None:
    check(name, B, B[::-1].copy(), symbolic=False)


@pytest.mark.parametrize("name", ["bitwise_invert", "bitwise_not"])
@pytest.mark.parametrize("dtype", ["int32", "uint8", "bool"])
def test_bits_of_one(name: str, dtype: str) -> None:
    check(name, np.abs(I).astype(dtype))


@pytest.mark.parametrize("name", ["gcd", "lcm"])
@pytest.mark.parametrize("dtype", ["int32", "int64", "int8"])
def test_divisors(name: str, dtype: str) -> None:
    check(name, I.astype(dtype), J.astype(dtype), symbolic=dtype == "int32")
    check(name, I.astype(dtype), 6, symbolic=dtype == "int32")


def test_division_by_zero() -> None:
    x = np.array([1.0, 0.0, -2.0], "float32")
    zeros = np.array([0.0, 0.0, 4.0], "float32")
    check("divide_no_nan", x, zeros)
    check("divide", x, zeros, gradients=False)  # infinite in both
    check("divide_no_nan", x, 0)


@pytest.mark.parametrize(
    ("x1", "x2"), [(X, I % 5), (X.astype("float16"), I % 5), (I, J), (X, 3)],
    ids=["float32", "float16", "int32", "number"],
)  # fmt: skip
def test_ldexp(x1: Any, x2: Any) -> None:
    check("ldexp", x1, x2)


def test_ldexp_broadcasts_and_has_dtypes() -> None:
    np.testing.assert_array_equal(kt.ops.ldexp(2.5, J), np.ldexp(np.float32(2.5), J))
    assert kt.ops.ldexp(X.astype("float64"), 3).dtype is torch.float64
    assert kt.ops.ldexp(np.array([1.0]), 200).item() == 2.0**200
    assert kt.ops.ldexp(X.astype("float16"), 3).dtype is torch.float16


def test_floor_divide_has_the_gradient_of_a_step() -> None:
    x = torch.tensor([3.5], requires_grad=True)
    (x + kt.ops.floor_divide(x, 2)).backward()
    assert x.grad == 1


def test_ldexp_takes_whole_exponents() -> None:
    with pytest.raises(
        TypeError, match=r"`x2` must be of an integer dtype, received torch\.float32"
    ):
        kt.ops.ldexp(X, Y)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nextafter(dtype: str) -> None:
    a, b = X.astype(dtype), X[::-1].astype(dtype)
    result = kt.ops.nextafter(a, b)
    np.testing.assert_array_equal(result, np.nextafter(a, b))
    assert result.dtype is getattr(torch, dtype)
    assert kt.ops.nextafter([0.0], -1) < 0


def test_nextafter_in_models() -> None:
    check("nextafter", X, Y, gradients=False)  # torch has none


@pytest.mark.parametrize("name", ["isclose", "allclose"])
@pytest.mark.parametrize(
    "options", [{}, {"equal_nan": True}, {"rtol": 0.1}, {"rtol": 0.0, "atol": 0.05}], ids=str
)
def test_close(name: str, options: dict[str, Any]) -> None:
    near = NAN + np.array([1e-6, 0, 0], "float32")
    check(name, NAN, near, **options)
    for other in (NAN, NAN + np.float32(0.04), NAN * np.float32(1.05)):
        check(name, NAN, other, symbolic=False, **options)


def test_close_of_whole_numbers_and_dtypes() -> None:
    check("isclose", I, I + 1)
    check("isclose", 10**6 + I, 10**6 + J, symbolic=False)
    check("isclose", X.astype("float16"), Y.astype("float16"), symbolic=False)
    check("isclose", X, 1, symbolic=False)
    check("allclose", X, X.astype("float64"), symbolic=False)
    check("allclose", I, X, symbolic=False)


def test_close_of_complex_numbers() -> None:
    a, b = np.array([1 + 1j, 2]), np.array([1 + 1.000001j, 2.1])
    np.testing.assert_array_equal(kt.ops.isclose(a, b), np.isclose(a, b))


@pytest.mark.parametrize("name", ["add", "multiply", "divide", "power", "subtract", "equal"])
def test_complex_numbers(name: str) -> None:
    a = (X + 1j * Y).astype("complex64")
    check(name, a, a[::-1].copy(), symbolic=False)
    check(name, a, 2.0, symbolic=False)


@pytest.mark.parametrize("name", ["divide", "arctan2", "hypot", "heaviside", "logaddexp"])
def test_integers_become_floatx(name: str) -> None:
    kt.config.set_floatx("float64")
    try:
        assert (
            getattr(kt.ops, name)(torch.from_numpy(I), torch.from_numpy(J)).dtype is torch.float64
        )
        assert getattr(kt.ops, name)(I, Y).dtype is torch.float32
    finally:
        kt.config.set_floatx("float32")


def test_one_graph() -> None:
    def function(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        near = kt.ops.isclose(x, y, rtol=0.1)
        return kt.ops.ldexp(kt.ops.divide_no_nan(kt.ops.maximum(x, 0.5), y), near.int())

    x, y = torch.from_numpy(X), torch.from_numpy(Y)
    compiled = torch.compile(function, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(x, y), function(x, y))
