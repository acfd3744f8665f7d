"""Moments and normalisations against Keras, and against NumPy where Keras's torch backend fails."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from oracle import check

import kerastorch as kt

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(3, 4, 5)).astype("float32")


def normal(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype("float32")


@pytest.mark.parametrize(
    "options",
    [{"axes": [0]}, {"axes": (0, 1)}, {"axes": [-1], "keepdims": True}, {"axes": [0, 1, 2]}],
    ids=str,
)
def test_moments(options: dict[str, Any]) -> None:
    check("moments", X, **options)


def test_moments_of_half_precision_stay_finite() -> None:
    x = np.array([-60000.0, 60000.0, 60000.0], "float16")
    check("moments", x, [0], symbolic=False, gradients=False)


def test_moments_far_from_zero() -> None:
    """Keras's difference of squares gives 0 or worse here."""
    _, variance = kt.ops.moments(torch.tensor([10000.0, 10001.0]), [0])
    assert variance == 0.25


def test_moments_of_integers() -> None:
    assert [float(m) for m in kt.ops.moments([1, 3], [0])] == [2.0, 1.0]


def test_moments_on_several_devices() -> None:
    with pytest.raises(NotImplementedError, match="synchronized=True"):
        kt.ops.moments(X, [0], synchronized=True)


@pytest.mark.parametrize("axis", [-1, 1])
@pytest.mark.parametrize("scaled", [True, False])
def test_batch_normalization(axis: int, scaled: bool) -> None:
    n = X.shape[axis]
    arrays = [normal(n), np.abs(normal(n))]
    check("batch_normalization", X, *arrays, axis)
    if scaled:
        options = {"epsilon": 0.1}
        check("batch_normalization", X, *arrays, axis, normal(n), normal(n), **options)
        check("batch_normalization", X, *arrays, axis, normal(n), None, symbolic=False)
        check("batch_normalization", X, *arrays, axis, None, normal(n), symbolic=False)


def test_batch_normalization_checks_shapes() -> None:
    with pytest.raises(ValueError, match=r"`variance` must have shape \(5,\)"):
        kt.ops.batch_normalization(X, normal(5), normal(4), -1)


@pytest.mark.parametrize("axis", [-1, 2, (1, 2), [-2, -1]], ids=str)
def test_layer_normalization(axis: Any) -> None:
    shape = (5,) if isinstance(axis, int) else (4, 5)
    check("layer_normalization", X, axis=axis)
    check("layer_normalization", X, normal(*shape), normal(*shape), axis=axis, epsilon=0.1)
    check("layer_normalization", X, normal(*shape), axis=axis, symbolic=False)
    check("layer_normalization", X, None, normal(*shape), axis=axis, symbolic=False)


@pytest.mark.parametrize("axis", [0, 1, (0, 1), (0, 2)], ids=str)
@pytest.mark.parametrize("name", ["layer_normalization", "rms_normalization"])
def test_other_axes(name: str, axis: Any) -> None:
    """Keras's torch backend gives an error for most of these."""
    axes = (axis,) if isinstance(axis, int) else axis
    shape = [n if d in axes else 1 for d, n in enumerate(X.shape)]
    gamma, beta = normal(*(X.shape[a] for a in axes)), normal(*(X.shape[a] for a in axes))
    centred = X - X.mean(axes, keepdims=True) if name == "layer_normalization" else X
    wanted = centred / np.sqrt((centred**2).mean(axes, keepdims=True) + 1e-3) * gamma.reshape(shape)
    more = (gamma,)
    if name == "layer_normalization":
        wanted, more = wanted + beta.reshape(shape), (gamma, beta)
    result = getattr(kt.ops, name)(X, *more, axis=axis, epsilon=1e-3)
    np.testing.assert_allclose(result, wanted, rtol=1e-5, atol=1e-5)


def test_layer_normalization_by_rms_scaling() -> None:
    with pytest.warns(UserWarning, match="rms_scaling"):  # it is Keras that warns
        check("layer_normalization", X, normal(5), rms_scaling=True)


@pytest.mark.parametrize("axis", [-1, (1, 2)], ids=str)
def test_rms_normalization(axis: Any) -> None:
    shape = (5,) if isinstance(axis, int) else (4, 5)
    check("rms_normalization", X, axis=axis)
    check("rms_normalization", X, normal(*shape), axis=axis, epsilon=0.1)


@pytest.mark.parametrize("name", ["layer_normalization", "rms_normalization"])
def test_half_precision_and_mixed_weights(name: str) -> None:
    x = X.astype("float16")
    check(name, x, symbolic=False)
    check(name, x, normal(5), symbolic=False)
    assert getattr(kt.ops, name)([1, 2, 4]).dtype is torch.float32


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"axis": 0},
        {"axis": (1, 2)},
        {"axis": None},
        {"order": 1},
        {"order": 3, "axis": 1},
        {"epsilon": 5.0},
    ],
    ids=str,
)
def test_normalize(options: dict[str, Any]) -> None:
    check("normalize", X, **options)


def test_normalize_of_other_things() -> None:
    check(
        "normalize", np.zeros((2, 3), "float32"), gradients=False, symbolic=False
    )  # Keras's are NaN
    check("normalize", np.array([3, 4], "int32"), symbolic=False)
    check("normalize", 3.0)
    x = torch.zeros(3, requires_grad=True)
    kt.ops.normalize(x).sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    wanted = X / np.abs(X).sum((1, 2), keepdims=True)
    np.testing.assert_allclose(kt.ops.normalize(X, (1, 2), 1), wanted, rtol=1e-5)
    with pytest.raises(ValueError, match="`order` must be an integer >= 1"):
        kt.ops.normalize(X, order=0)
