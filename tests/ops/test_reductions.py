"""Reductions against Keras, and against NumPy where Keras differs from it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from oracle import array, check

import kerastorch as kt

X = np.random.default_rng(0).normal(size=(3, 4, 5)).astype("float32")
N = np.where(np.random.default_rng(1).random((3, 4, 5)) < 0.3, np.nan, X).astype("float32")

MANY_AXES = (
    "all",
    "any",
    "amax",
    "amin",
    "max",
    "min",
    "sum",
    "prod",
    "mean",
    "median",
    "std",
    "var",
    "ptp",
)
WITHOUT_NAN = ("nansum", "nanprod", "nanmax", "nanmin", "nanmean", "nanmedian", "nanstd", "nanvar")
ONE_AXIS = ("argmax", "argmin", "nanargmax", "nanargmin")
RUNNING = ("cumsum", "cumprod", "nancumsum", "nancumprod")
REDUCTIONS = (*MANY_AXES, *WITHOUT_NAN)

#: The sign of what Keras leaves out: without an axis it forgets `keepdims`.
FORGETS_KEEPDIMS = ("amax", "amin", "max", "min", "sum", "prod", "nanprod", "ptp")

#: Keras's `count_nonzero` transposes results, of which torch warns.
transposed = pytest.mark.filterwarnings("ignore:.*T` on tensors|Tensor.T is:UserWarning")


def data(name: str) -> np.ndarray:
    return N if name.startswith("nan") else X


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"axis": 1},
        {"axis": -1, "keepdims": True},
        {"axis": (0, -1)},
        {"axis": [2, 1], "keepdims": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("name", REDUCTIONS)
def test_axes(name: str, options: dict[str, Any]) -> None:
    check(name, data(name), symbolic=options not in ({"axis": 1}, {"axis": (0, -1)}), **options)


@pytest.mark.parametrize("name", [*REDUCTIONS, "quantile", "nanpercentile"])
def test_keepdims_of_all_axes(name: str) -> None:
    q = (0.5,) if "ile" in name else ()
    result = array(getattr(kt.ops, name)(data(name), *q, keepdims=True))
    assert result.shape == (1, 1, 1)
    np.testing.assert_allclose(
        result, getattr(np, name)(data(name).astype("float64"), *q, keepdims=True), rtol=1e-4
    )  # sums of 60 float32 numbers, products of 60
    if name not in FORGETS_KEEPDIMS:
        check(name, data(name), *q, keepdims=True, symbolic=False)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "bool", "float16"])
@pytest.mark.parametrize("name", REDUCTIONS)
def test_dtypes(name: str, dtype: str) -> None:
    if name == "ptp" and dtype == "bool":
        pytest.skip("Nobody subtracts truth values.")
    x = (np.abs(X) * 1.5).astype(dtype)
    check(name, x, axis=1, symbolic=False, gradients=False)


@pytest.mark.parametrize("dtype", ["int64", "float64"])
@pytest.mark.parametrize("name", [*REDUCTIONS, *RUNNING])
def test_64_bits_stay(name: str, dtype: str) -> None:
    x = (np.abs(X) * 3).astype(dtype)
    result = getattr(kt.ops, name)(x, axis=1)
    expected = getattr(np, name)(x, axis=1)
    np.testing.assert_allclose(result, expected, rtol=1e-6 if dtype == "int64" else 1e-12)
    if expected.dtype == np.int64:
        assert result.dtype is torch.int64
    elif dtype == "float64" and name not in ("all", "any"):
        assert result.dtype is torch.float64


@pytest.mark.parametrize("name", REDUCTIONS)
def test_no_axis_is_every_entry(name: str) -> None:
    x = data(name)
    result = getattr(kt.ops, name)(x, axis=())
    with np.errstate(all="ignore"):
        expected = {
            "median": x, "nanmedian": x, "nanmax": x, "nanmin": x, "nanmean": x,
            "nanvar": x - x, "nanstd": x - x,
        }.get(name)  # fmt: skip
        if expected is None:
            expected = getattr(np, name)(x, axis=())
    np.testing.assert_array_equal(array(result), expected)


@transposed
@pytest.mark.parametrize("name", [*REDUCTIONS, "cumsum", "argmax", "count_nonzero", "average"])
def test_numbers_and_lists(name: str) -> None:
    check(name, [1.0, 3.0, 2.0], symbolic=False)
    check(name, [[1, 3], [2, 0]], symbolic=False)
    check(name, 2.5, symbolic=False)


@transposed
def test_sums_of_nothing() -> None:
    x = np.zeros((0, 3), "float32")
    for name in ("sum", "prod", "all", "any", "nansum", "nanprod", "count_nonzero"):
        check(name, x, axis=0, symbolic=False)
        check(name, x, symbolic=False)
    check("cumsum", x, symbolic=False)


def test_lists_of_symbolic_tensors() -> None:
    a, b = kt.Input((2,)), kt.Input((2,))
    model = kt.Model([a, b], kt.ops.sum([a, b], axis=0))
    x = torch.ones(3, 2)
    assert torch.equal(model([x, 2 * x]), 3 * x)


def test_numpy_axes() -> None:
    assert torch.equal(kt.ops.sum(X, np.int64(-1)), kt.ops.sum(X, (np.int64(2),)))


def test_axes_that_are_not_there() -> None:
    for name in ("sum", "mean", "prod", "median", "nanvar", "max"):
        with pytest.raises(ValueError, match="`axis` must be between -3 and 2, received 3"):
            getattr(kt.ops, name)(X, axis=3)
        with pytest.raises(ValueError, match=r"names an axis twice, received \(0, -3\)"):
            getattr(kt.ops, name)(X, axis=(0, -3))


@pytest.mark.parametrize("name", ["sum", "prod", "max", "all", "mean", "median", "std", "nansum"])
def test_the_axis_of_a_number(name: str) -> None:
    """NumPy's reductions take 0 and -1 there."""
    for axis in (0, -1):
        assert getattr(kt.ops, name)(2.5, axis=axis).shape == ()
        assert getattr(kt.ops, name)(2.5, axis=axis, keepdims=True).shape == ()


# -- indices and counts ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options", [{}, {"axis": 1}, {"axis": -1, "keepdims": True}, {"axis": 0}], ids=str
)
@pytest.mark.parametrize("name", ONE_AXIS)
def test_arg(name: str, options: dict[str, Any]) -> None:
    check(name, data(name), **options)


@pytest.mark.parametrize("dtype", ["int32", "bool", "float16", "uint8"])
@pytest.mark.parametrize("name", ONE_AXIS)
def test_arg_dtypes(name: str, dtype: str) -> None:
    check(name, (np.abs(X) * 2).astype(dtype), axis=1, symbolic=False)
    check(name, (np.abs(X) * 2).astype(dtype), keepdims=True, symbolic=False)


@pytest.mark.parametrize("name", ONE_AXIS[2:])
def test_arg_of_nothing_but_nan(name: str) -> None:
    x = np.array([[np.nan, np.nan], [1.0, np.nan]], "float32")
    assert check(name, x, axis=1).tolist() == [-1, 0]
    assert getattr(kt.ops, name)([np.nan, np.nan]) == -1


@transposed
@pytest.mark.parametrize("axis", [None, 1, (0, 2), -1], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "int32", "bool"])
def test_count_nonzero(axis: Any, dtype: str) -> None:
    x = X.astype("int32").astype(dtype)
    result = kt.ops.count_nonzero(x, axis)
    np.testing.assert_array_equal(result, np.count_nonzero(x, axis))
    assert result.dtype is torch.int32
    if np.ndim(result) < 2:  # Keras transposes what has more axes
        check("count_nonzero", x, axis=axis)
    np.testing.assert_array_equal(kt.ops.count_nonzero(x, ()), x != 0)


# -- running sums ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [{}, {"axis": 1}, {"axis": -1, "dtype": "float16"}, {"axis": 0, "dtype": "int32"}],
    ids=str,
)
@pytest.mark.parametrize("name", RUNNING)
def test_running(name: str, options: dict[str, Any]) -> None:
    exact = options.get("dtype") == "int32"  # without gradients, which Keras refuses to say
    check(name, data(name), gradients=not exact, **options)


def test_sums_in_whole_numbers_have_no_gradient() -> None:
    x = torch.ones(3, requires_grad=True)
    for name in ("cumsum", "cumprod", "prod"):
        assert not getattr(kt.ops, name)(x, dtype="int32").requires_grad


@pytest.mark.parametrize("dtype", ["int8", "int32", "bool", "float16", "uint8"])
@pytest.mark.parametrize("name", RUNNING)
def test_running_dtypes(name: str, dtype: str) -> None:
    check(name, (np.abs(X) * 1.5).astype(dtype), axis=1, symbolic=False, gradients=False)


@pytest.mark.parametrize("dtype", ["float64", torch.int64, "int16"], ids=str)
def test_the_dtype_of_sums_is_the_one_asked_for(dtype: Any) -> None:
    for name in ("cumsum", "cumprod", "prod"):
        result = getattr(kt.ops, name)(np.arange(1, 5, dtype="int32"), dtype=dtype)
        assert result.dtype is kt.config.standardize_dtype(dtype)
        np.testing.assert_array_equal(result, getattr(np, name)(np.arange(1, 5)))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_short_floats_are_added_up_in_long_ones(dtype: torch.dtype) -> None:
    x = torch.full((1000,), 3.0, dtype=dtype)
    for name, expected in (("cumsum", 3000), ("sum", 3000), ("mean", 3), ("nancumsum", 3000)):
        result = getattr(kt.ops, name)(x)
        assert result.dtype is dtype
        assert result.flatten()[-1] == torch.tensor(expected, dtype=dtype)
    grown = torch.full((100,), 1.01, dtype=dtype)
    expected = torch.prod(grown.double()).to(dtype)
    assert kt.ops.prod(grown) == kt.ops.cumprod(grown)[-1] == expected


def test_only_nan_is_left_out_of_running_sums() -> None:
    x = np.array([1.0, np.nan, np.inf, 2.0], "float32")
    np.testing.assert_array_equal(kt.ops.nancumsum(x), np.nancumsum(x))
    np.testing.assert_array_equal(kt.ops.nancumprod(x), np.nancumprod(x))


@pytest.mark.parametrize(
    "options", [{"axis": (0, 2)}, {"dtype": "float64"}, {"axis": 1, "dtype": "int32"}], ids=str
)
def test_prod(options: dict[str, Any]) -> None:
    check("prod", X, gradients=options.get("dtype") != "int32", **options)


# -- the greatest and the least --------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"initial": 1.5},
        {"initial": -0.5, "axis": 1},
        {"initial": 0, "axis": (0, 1), "keepdims": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["max", "min"])
def test_initial(name: str, options: dict[str, Any]) -> None:
    check(name, X, **options)
    check(name, (X * 3).astype("int32"), **options, symbolic=False)


@pytest.mark.parametrize("name", ["max", "min"])
def test_the_greatest_of_nothing(name: str) -> None:
    x = np.zeros((0, 3), "float32")
    function, other = getattr(kt.ops, name), getattr(np, name)
    for options in ({}, {"axis": 0}, {"axis": 0, "keepdims": True}, {"axis": (0, 1)}):
        result = function(x, initial=2.0, **options)
        np.testing.assert_array_equal(result, other(x, initial=2.0, **options))
        assert result.dtype is torch.float32
        with pytest.raises(ValueError, match="Give `initial` to max or min"):
            function(x, **options)
    assert function(x, axis=1).shape == (0,)
    with pytest.raises(ValueError, match=r"need an entry, received shape \(0, 3\) with `axis` 0"):
        getattr(kt.ops, "a" + name)(x, axis=0)


@pytest.mark.parametrize(
    "name", ["nanmax", "nanmin", "nanmean", "nanmedian", "nanvar", "nansum", "nanprod"]
)
def test_nothing_but_nan(name: str) -> None:
    x = np.array([[np.nan, np.nan], [1.0, np.nan], [np.inf, -2.0]], "float32")
    check(name, x, axis=1, symbolic=False)
    check(name, x[:1], symbolic=False)


@pytest.mark.parametrize("name", ["max", "min", "sum", "mean", "median", "std", "argmax"])
def test_nan_is_passed_on(name: str) -> None:
    check(name, N, axis=1, symbolic=False, gradients=False)


# -- statistics ------------------------------------------------------------------------------------


def test_float16_means_do_not_overflow() -> None:
    x = np.full((4, 100), 60000, "float16")
    for name in ("mean", "median", "quantile", "average"):
        check(name, x, *((0.5,) if name == "quantile" else ()), axis=1, symbolic=False, dtypes=True)


@pytest.mark.parametrize(
    "weights", [None, np.arange(1, 6, dtype="float32")], ids=["equal", "last axis"]
)
def test_average(weights: Any) -> None:
    check("average", X, axis=-1, weights=weights, symbolic=weights is None)
    check("average", X[0, 0], weights=weights, symbolic=weights is None)


@pytest.mark.parametrize(
    ("axis", "shape"),
    [
        (0, (3,)),
        (1, (4,)),
        (None, (3, 4, 5)),
        (1, (3, 4, 5)),
        ((0, 2), (3, 5)),
        ((2, 0), (5, 3)),
        ((0, 1), (3, 4, 5)),
    ],
    ids=str,
)
def test_weighted_average(axis: Any, shape: tuple[int, ...]) -> None:
    weights = np.random.default_rng(2).uniform(0.5, 1, shape).astype("float32")
    full = weights
    if len(shape) < 3:
        axes = (axis,) if isinstance(axis, int) else axis
        full = np.zeros_like(X) + np.moveaxis(
            weights.reshape(shape + (1,) * (3 - len(shape))), range(len(axes)), axes
        )
    expected = np.average(X, axis=axis, weights=full)
    np.testing.assert_allclose(kt.ops.average(X, axis, weights), expected, rtol=1e-5, atol=1e-6)


def test_weighted_average_in_models() -> None:
    x, w = kt.Input(batch_shape=(3, 4)), kt.Input(batch_shape=(4,))
    model = kt.Model([x, w], kt.ops.average(x, axis=1, weights=w))
    again = kt.models.model_from_json(model.to_json())
    weights = np.arange(1, 5, dtype="float32")
    expected = np.average(X[:, :, 0], 1, weights)
    result = again([torch.from_numpy(X[:, :, 0].copy()), torch.from_numpy(weights)])
    np.testing.assert_allclose(result, expected, rtol=1e-5)


def test_average_says_what_weights_it_takes() -> None:
    with pytest.raises(
        ValueError, match=r"\(3, 4, 5\), or that of the axes in `axis`, \(4,\); received \(3,\)"
    ):
        kt.ops.average(X, 1, np.ones(3))


@pytest.mark.parametrize("name", ["quantile", "percentile", "nanquantile", "nanpercentile"])
@pytest.mark.parametrize("options", [{}, {"axis": 1}, {"axis": (0, 2), "keepdims": True}], ids=str)
@pytest.mark.parametrize("q", [0.3, [0.0, 0.25, 1.0]], ids=["one", "several"])
def test_quantiles(name: str, options: dict[str, Any], q: Any) -> None:
    scale = 100 if "percentile" in name else 1
    # A list is a constant of the model, as Keras cannot read them.
    shares = np.multiply(q, scale).tolist()
    check(name, data(name), shares, interchange=isinstance(q, float), **options)


@pytest.mark.parametrize("method", ["linear", "lower", "higher", "midpoint", "nearest"])
@pytest.mark.parametrize("name", ["quantile", "percentile", "nanquantile", "nanpercentile"])
def test_methods(name: str, method: str) -> None:
    q = np.array([30, 70] if "percentile" in name else [0.3, 0.7], "float32")
    # In a model Keras's quantile forgets the method.
    in_models = name != "quantile" and method == "higher"
    check(name, data(name), q, axis=1, method=method, symbolic=in_models, gradients=False)


def test_quantile_knows_its_methods() -> None:
    with pytest.raises(ValueError, match=r"`method` must be one of .*, received 'cubic'"):
        kt.ops.quantile(X, 0.5, method="cubic")


@pytest.mark.parametrize("dtype", ["int32", "float16", "bool", "float64"])
def test_quantile_dtypes(dtype: str) -> None:
    x = (X * 4).astype(dtype)
    check("quantile", x, 0.4, axis=1, symbolic=False, gradients=False, dtypes=dtype != "float64")
    check("percentile", x, 40, axis=1, symbolic=False, gradients=False, dtypes=dtype != "float64")
    assert kt.ops.quantile(X.astype("float64"), 0.4).dtype is torch.float64


@pytest.mark.parametrize("name", ["mean", "var", "std", "prod", "nanvar", "average", "median"])
def test_second_derivatives(name: str) -> None:
    x = torch.from_numpy(np.random.default_rng(3).uniform(1, 2, (2, 3))).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda x: getattr(kt.ops, name)(x, axis=1), x)


def test_one_graph() -> None:
    def function(x: torch.Tensor) -> torch.Tensor:
        best = kt.ops.argmax(x, axis=1) + kt.ops.count_nonzero(x, axis=1)
        spread = kt.ops.nanstd(x, axis=(1, -1)) + kt.ops.quantile(x, 0.3, axis=(0, 1)).mean()
        return best.sum() + spread + kt.ops.max(x, axis=(0, 2), initial=0.5).sum()

    x = torch.from_numpy(X)
    compiled = torch.compile(function, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(x), function(x))
