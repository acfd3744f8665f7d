"""Functions of single entries against Keras, and against NumPy where Keras differs from it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from oracle import array, check

import kerastorch as kt

X = (np.random.default_rng(0).normal(size=(3, 4)) * 2).astype("float32")
SHARE = np.linspace(-0.9, 0.9, 12, dtype="float32").reshape(3, 4)
POSITIVE = np.abs(X) + 0.1
Z = (X + 1j * X[::-1]).astype("complex64")
SPECIAL = np.array([[1.5, np.nan, np.inf], [-np.inf, -0.0, 0.0]], "float32")

DOMAINS: dict[str, np.ndarray] = {
    **dict.fromkeys(
        ("abs", "absolute", "fabs", "negative", "sign", "square", "cbrt", "exp", "exp2", "expm1", "i0",
         "floor", "ceil", "trunc", "round", "real", "conj", "conjugate", "angle", "nan_to_num",
         "sin", "cos", "tan", "arctan", "sinh", "cosh", "tanh", "arcsinh", "sinc", "deg2rad",
         "rad2deg", "logical_not", "isfinite", "isinf", "isnan", "isneginf", "isposinf", "isreal",
         "signbit"), X),
    **dict.fromkeys(("sqrt", "reciprocal", "log", "log2", "log10", "log1p"), POSITIVE),
    **dict.fromkeys(("arcsin", "arccos", "arctanh"), SHARE),
    "arccosh": POSITIVE + 1,
}  # fmt: skip


@pytest.mark.parametrize("name", DOMAINS)
def test_values_gradients_and_model_files(name: str) -> None:
    check(name, DOMAINS[name])


@pytest.mark.parametrize(
    ("alias", "name"),
    [("abs", "absolute"), ("conj", "conjugate"), ("bitwise_not", "bitwise_invert"),
     ("left_shift", "bitwise_left_shift"), ("right_shift", "bitwise_right_shift"),
     ("true_divide", "divide")],
)  # fmt: skip
def test_two_names_are_one_function(alias: str, name: str) -> None:
    assert getattr(kt.ops, alias) is getattr(kt.ops, name)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64", "bool", "float16"])
@pytest.mark.parametrize("name", DOMAINS)
def test_dtypes(name: str, dtype: str) -> None:
    if (name, dtype) in NOT_IN_KERAS:
        pytest.skip("Keras on torch refuses it.")
    x = (np.abs(DOMAINS[name]) if dtype == "uint8" else DOMAINS[name]).astype(dtype)
    check(name, x, gradients=False, symbolic=False)


#: torch has no negative truth values; rounding them is nothing.
NOT_IN_KERAS = {("negative", "bool"), ("round", "bool")}


@pytest.mark.parametrize("name", ["floor", "ceil", "sqrt", "exp", "cbrt", "sin", "i0", "round"])
def test_float64_stays(name: str) -> None:
    x = DOMAINS[name].astype("float64")
    result = check(name, x, symbolic=False, dtypes=False)
    assert result.dtype is torch.float64


@pytest.mark.parametrize(
    "name",
    ["absolute", "negative", "square", "exp", "log", "sqrt", "sin", "tanh", "reciprocal",
     "real", "imag", "conjugate", "angle", "isreal", "isfinite"],
)  # fmt: skip
def test_complex_numbers(name: str) -> None:
    check(name, Z, symbolic=False)


@pytest.mark.parametrize("name", ["real", "imag", "conjugate"])
def test_complex_numbers_in_models(name: str) -> None:
    x = kt.Input(batch_shape=(3, 4), dtype="complex64")
    model = kt.Model(x, getattr(kt.ops, name)(x))
    again = kt.models.model_from_json(model.to_json())
    np.testing.assert_array_equal(array(again(torch.from_numpy(Z))), getattr(np, name)(Z))


def test_real_numbers_have_imaginary_parts() -> None:
    np.testing.assert_array_equal(kt.ops.imag(X), np.imag(X))


@pytest.mark.parametrize(
    "name",
    ["isfinite", "isinf", "isnan", "isneginf", "isposinf", "signbit", "sign", "nan_to_num", "floor",
     "trunc", "absolute", "exp", "log1p"],
)  # fmt: skip
def test_infinities_and_nan(name: str) -> None:
    check(name, SPECIAL, symbolic=False, gradients=False)


@pytest.mark.parametrize(
    "x", [2, 2.5, True, [1, 2], [[0.5, 2.0]], np.zeros((0, 3), "float32")], ids=repr
)
@pytest.mark.parametrize("name", ["sqrt", "sin", "square", "isnan", "floor", "absolute"])
def test_numbers_lists_and_nothing(name: str, x: Any) -> None:
    check(name, x, symbolic=False)


@pytest.mark.parametrize("floatx", ["float16", "float64"])
def test_integers_become_floatx(floatx: str) -> None:
    kt.config.set_floatx(floatx)
    try:
        for name in ("exp", "sin", "sqrt", "floor", "fabs", "deg2rad"):
            result = getattr(kt.ops, name)(torch.arange(3, dtype=torch.int32))
            assert result.dtype is getattr(torch, floatx), name
    finally:
        kt.config.set_floatx("float32")


# -- options ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("decimals", [0, 1, 2, -1])
@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_round(decimals: int, dtype: str) -> None:
    check("round", (X * 10).astype(dtype), decimals=decimals)


def test_round_to_even_and_exact_integers() -> None:
    halves = np.array([-1.5, -0.5, 0.5, 1.5, 2.5], "float32")
    np.testing.assert_array_equal(kt.ops.round(halves), np.round(halves))
    assert kt.ops.round([2**31 - 1]).tolist() == [2**31 - 1]
    assert kt.ops.round([15, 25, -34], decimals=-1).tolist() == [20, 20, -30]
    assert kt.ops.round([True]).tolist() == [True]


@pytest.mark.parametrize("bounds", [(-1, 1), (-0.5, 2), (0.25, 0.75)], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "int32", "bool"])
def test_clip(bounds: Any, dtype: str) -> None:
    check("clip", X.astype(dtype), *bounds)


@pytest.mark.parametrize("dtype", ["float16", "int64", "uint8"])
def test_clip_dtypes(dtype: str) -> None:
    check("clip", np.abs(X).astype(dtype), 1, 2, symbolic=False)
    check("clip", np.abs(X).astype(dtype), 0.5, 1.5, symbolic=False)


@pytest.mark.parametrize(
    ("low", "high"),
    [
        (X[0] - 0.5, X[0] + 0.5),
        (X[:, :1] - 1, 1.0),
        (-1, X[:, :1] + 1),
        (None, 0.5),
        (-0.5, None),
        (None, X[0]),
        ([-1.0, -0.5, 0.0, 0.5], 2),
    ],
    ids=["two arrays", "array, number", "number, array", "above", "below", "array above", "list"],
)
def test_clip_takes_arrays_and_open_ends(low: Any, high: Any) -> None:
    np.testing.assert_array_equal(kt.ops.clip(X, low, high), np.clip(X, low, high))


def test_bounds_of_arrays_are_in_model_files() -> None:
    x = kt.Input(batch_shape=(3, 4))
    model = kt.Model(x, kt.ops.clip(x, X[0], 0.5))
    again = kt.models.model_from_json(model.to_json())
    np.testing.assert_array_equal(again(torch.from_numpy(X)), np.clip(X, X[0], 0.5))


def test_clip_without_bounds_is_the_tensor() -> None:
    np.testing.assert_array_equal(kt.ops.clip(X, None, None), X)


@pytest.mark.parametrize(
    "options",
    [{}, {"nan": 1.0}, {"posinf": 2.0, "neginf": -3.0}, {"nan": -1.0, "posinf": 7}],
    ids=str,
)
def test_nan_to_num(options: dict[str, float]) -> None:
    check("nan_to_num", SPECIAL, **options)


def test_minus_zero() -> None:
    assert kt.ops.signbit([-0.0, 0.0]).tolist() == [True, False]


def test_gradient_of_a_clipped_entry_is_zero() -> None:
    x = torch.tensor([-2.0, 0.5, 2.0], requires_grad=True)
    kt.ops.clip(x, -1, 1).sum().backward()
    assert x.grad.tolist() == [0.0, 1.0, 0.0]


@pytest.mark.parametrize("name", ["sin", "log1p", "sinc", "cbrt", "i0"])
def test_second_derivatives(name: str) -> None:
    x = torch.from_numpy(POSITIVE[0].astype("float64")).requires_grad_()
    assert torch.autograd.gradgradcheck(getattr(kt.ops, name), x)


def test_one_graph() -> None:
    def function(x: torch.Tensor) -> torch.Tensor:
        whole = kt.ops.round(kt.ops.clip(x, -1, kt.ops.cbrt(x)), decimals=1)
        return kt.ops.nan_to_num(kt.ops.log(kt.ops.sinc(whole)))

    x = torch.from_numpy(X)
    compiled = torch.compile(function, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(x), function(x))
