"""Windows as columns and blocks as depth, and named axes, against Keras."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import torch
from oracle import _check_gradients, _check_models, assert_same, check, operation

import kerastorch as kt

X = np.random.default_rng(0).normal(size=(2, 4, 6, 8)).astype("float32")


def check_tensors(name: str, x: np.ndarray, **options: Any) -> None:
    """`check`, for functions of Keras that take nothing but tensors."""
    mine, other = (operation(library, name) for library in (kt, keras))
    assert_same(mine(x, **options), other(torch.from_numpy(x), **options))
    _check_gradients(mine, other, (x,), options, 1e-5)
    _check_models(mine, other, (x,), options, 1e-5, True, True)


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 2},
        {"kernel_size": (2, 3), "stride": 2},
        {"kernel_size": 2, "dilation": 2, "padding": 1},
    ],
    ids=str,
)
def test_unfold(options: dict[str, Any]) -> None:
    check_tensors("unfold", X, **options)


@pytest.mark.parametrize(
    ("windows", "options"),
    [
        (12, {"output_size": (6, 8), "kernel_size": 2, "stride": 2}),
        (35, {"output_size": (6, 8), "kernel_size": (2, 2)}),
        (63, {"output_size": (6, 8), "kernel_size": 2, "padding": 1}),
    ],
    ids=str,
)
def test_fold(windows: int, options: dict[str, Any]) -> None:
    x = np.random.default_rng(0).normal(size=(2, 8, windows)).astype("float32")
    check_tensors("fold", x, **options)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("name", ["depth_to_space", "space_to_depth"])
def test_depth_and_space(name: str, data_format: str) -> None:
    check(name, X, 2, data_format=data_format)
    check(name, X.astype("int32"), 2, data_format=data_format, symbolic=False)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_each_undoes_the_other(data_format: str) -> None:
    there = kt.ops.space_to_depth(X, 2, data_format)
    np.testing.assert_array_equal(kt.ops.depth_to_space(there, 2, data_format), X)


def test_errors() -> None:
    with pytest.raises(ValueError, match=r"`x` must have 4 axes \(N, C, H, W\)"):
        kt.ops.unfold(X[0], 2)
    with pytest.raises(ValueError, match=r"`x` must have 3 axes \(N, C \* window, windows\)"):
        kt.ops.fold(X, 4, 2)
    with pytest.raises(ValueError, match="`x` must have 4 axes"):
        kt.ops.depth_to_space(X[0], 2)


# -- named axes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "lengths"),
    [
        ("b h w c -> b c h w", {}), ("b h w c -> (b h) w c", {}), ("b h w c -> b (c h w)", {}),
        ("b (h1 h) (w1 w) c -> (b h1 w1) h w c", {"h1": 2, "w1": 2}),
        ("b (h s) w c -> b h (w s c)", {"s": 2}),
    ],
)  # fmt: skip
def test_rearrange(pattern: str, lengths: dict[str, int]) -> None:
    # Keras's shapes of symbolic tensors fail where lengths are inferred
    check("rearrange", X, pattern, symbolic=not lengths, **lengths)


def test_rearrange_in_a_model() -> None:
    x = kt.Input(batch_shape=(None, 4, 6, 8))
    model = kt.Model(x, kt.ops.rearrange(x, "b (h s) w c -> (b h) w (s c)", s=2))
    assert model.output.shape == (None, 6, 16)
    wanted = kt.ops.rearrange(X, "b (h s) w c -> (b h) w (s c)", s=2)
    again = kt.models.model_from_json(model.to_json())
    assert torch.equal(again(X), wanted)


@pytest.mark.parametrize(
    ("pattern", "lengths", "message"),
    [
        ("b h w c", {}, "must be 'axes -> axes'"),
        ("b h w c -> b h w", {}, "must name every axis once on both sides"),
        ("b h h c -> b h h c", {}, "must name every axis once on both sides"),
        ("b h w -> w h b", {}, "begins with 3 axes"),
        ("b h ... -> ... h b", {}, "must hold names"),
        ("b (h s) w c -> b h s w c", {}, "give all lengths but one"),
        ("b (h s) w c -> b h s w c", {"s": 3}, "cannot be split"),
        ("b (h s) w c -> b h s w c", {"s": 3, "h": 3}, "cannot be split"),
    ],
)
def test_rearrange_errors(pattern: str, lengths: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kt.ops.rearrange(X, pattern, **lengths)
