"""Activations against Keras."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from models import check_model
from oracle import check

import kerastorch as kt

X = (np.random.default_rng(0).normal(size=(3, 4, 6)) * 3).astype("float32")
PLAIN = ("relu", "relu6", "selu", "sigmoid", "log_sigmoid", "hard_sigmoid", "sparse_sigmoid",
         "hard_tanh", "softsign", "softplus", "sparse_plus", "silu", "swish", "hard_silu",
         "hard_swish", "tanh_shrink")  # fmt: skip
WITH_OPTIONS: list[tuple[str, dict[str, Any]]] = [
    ("leaky_relu", {}), ("leaky_relu", {"negative_slope": 0.5}), ("elu", {}), ("elu", {"alpha": 2.0}),
    ("celu", {"alpha": 0.5}), ("threshold", {"threshold": 1.0, "default_value": -2.0}),
    ("squareplus", {}), ("squareplus", {"b": 1.5}), ("gelu", {}), ("gelu", {"approximate": False}),
    ("glu", {}), ("glu", {"axis": 1}), ("hard_shrink", {}), ("soft_shrink", {"threshold": 1.5}),
    ("softmax", {}), ("softmax", {"axis": 1}), ("softmax", {"axis": None}), ("log_softmax", {"axis": 0}),
    ("log_softmax", {"axis": None}),
]  # fmt: skip


@pytest.mark.parametrize("name", PLAIN)
def test_without_options(name: str) -> None:
    check(name, X)
    check(name, X.astype("float64"), symbolic=False, gradients=False)


@pytest.mark.parametrize(("name", "options"), WITH_OPTIONS, ids=str)
def test_with_options(name: str, options: dict[str, Any]) -> None:
    check(name, X, **options)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("axis", [(0, 2), (1, 2)])
def test_several_axes(name: str, axis: tuple[int, ...]) -> None:
    check(name, X, axis=axis, symbolic=False)  # Keras's own model of it does not run
    x = kt.Input(batch_shape=X.shape)
    model = kt.Model(x, getattr(kt.ops, name)(x, axis=axis))
    wanted = getattr(kt.ops, name)(X, axis=axis)
    torch.testing.assert_close(kt.models.model_from_json(model.to_json())(X), wanted)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [(name, ()) for name in PLAIN]
    + [("elu", ()), ("gelu", ()), ("threshold", (1.0, 0.0)), ("softmax", ()), ("sparsemax", ())],
)
def test_integers(name: str, arguments: tuple[Any, ...]) -> None:
    """Results are integers where all of them are, else `floatx`."""
    x = np.arange(-4, 8, dtype="int32")
    function = getattr(kt.ops, name)
    result = function(x, *arguments)
    whole = name in ("relu", "relu6", "hard_tanh", "threshold")
    assert result.dtype is (torch.int32 if whole else torch.float32)
    np.testing.assert_array_equal(result, function(x.astype("float32"), *arguments))


@pytest.mark.parametrize("name", ["relu", "sigmoid", "gelu", "softplus", "softmax", "log_softmax"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(name: str, dtype: torch.dtype) -> None:
    x = torch.from_numpy(X).to(dtype)
    function = getattr(kt.ops, name)
    result = function(x)
    assert result.dtype is dtype
    unit = torch.finfo(dtype).eps  # results of half precision can be off by one of these
    torch.testing.assert_close(result.float(), function(x.float()), rtol=unit, atol=unit)


def test_aliases_are_the_same() -> None:
    assert kt.ops.swish is kt.ops.silu
    assert kt.ops.hard_swish is kt.ops.hard_silu


def test_lists_and_numbers() -> None:
    check("log_softmax", [0.5, 1.5, -1.0])
    check("sigmoid", 0.5)
    check("relu", [-1, 2])


@pytest.mark.parametrize("axis", [-1, 1])
def test_sparsemax_is_the_nearest_distribution(axis: int) -> None:
    """Keras's does not add up to 1."""
    lower, upper = X.min(axis, keepdims=True) - 1, X.max(axis, keepdims=True)
    for _ in range(60):  # halve the interval of what is to be taken away
        tau = (lower + upper) / 2
        enough = np.maximum(X - tau, 0).sum(axis, keepdims=True) <= 1
        lower, upper = np.where(enough, lower, tau), np.where(enough, tau, upper)
    wanted = np.maximum(X - tau, 0)
    np.testing.assert_allclose(kt.ops.sparsemax(X, axis), wanted, rtol=1e-4, atol=1e-5)
    check_model("sparsemax", X, axis=axis)
