"""Channels first and channels last are one layer on the same data, transposed."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from layer_table import CASES, Case, over

import kerastorch as kt

FIRST = [case for case in CASES if case.config.get("data_format") == "channels_first"]


def moved(case: Case) -> Case:
    """The case with channels last."""
    batch, channels, *window = case.shape
    config = {**case.config, "data_format": "channels_last"}
    return replace(case, shape=(batch, *window, channels), config=config)


def run(case: Case, layer: Any, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
    y = layer(x)
    ordered = y.movedim(1, -1) if case in FIRST and y.dim() > 2 else y
    weight = torch.linspace(-1, 1, ordered.numel()).view(ordered.shape)
    return ordered, list(torch.autograd.grad((ordered * weight).sum(), [x, *layer.weights]))


@over(FIRST)
def test_formats_agree(case: Case) -> None:
    last = moved(case)
    (x,) = case.tensors()
    x = x.detach().movedim(1, -1).contiguous().requires_grad_()
    expected, (want_x, *want_weights) = run(last, last.ours(), x)
    view = x.detach().movedim(-1, 1)  # channels first in shape, last in memory
    for given in (view, view.contiguous()):
        y, (to_x, *to_weights) = run(case, case.ours(), given.requires_grad_())
        torch.testing.assert_close(y, expected, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(to_x.movedim(1, -1), want_x, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(to_weights, want_weights, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("training", [False, True])
def test_axis_of_batch_normalization(training: bool) -> None:
    first, last = kt.layers.BatchNormalization(axis=1), kt.layers.BatchNormalization()
    x = torch.rand(2, 3, 4, 5)
    y, expected = first(x, training=training), last(x.movedim(1, -1), training=training)
    torch.testing.assert_close(y.movedim(1, -1), expected)
    torch.testing.assert_close(first.moving_variance.detach(), last.moving_variance.detach())


def test_default_is_taken_when_the_layer_is_made() -> None:
    kt.config.set_image_data_format("channels_first")
    try:
        layer = kt.layers.Conv2D(2, 3)
    finally:
        kt.config.set_image_data_format("channels_last")
    assert layer(torch.rand(1, 3, 8, 8)).shape == (1, 2, 6, 6)


@pytest.mark.parametrize("name", ["Conv2D", "MaxPooling2D"])
def test_no_copy_between_layers_of_channels_last_data(name: str) -> None:
    """Data that is channels-last in memory stays so: a stack of layers transposes nothing."""
    config = {"filters": 4, "kernel_size": 3} if name == "Conv2D" else {}
    y = getattr(kt.layers, name)(**config)(torch.rand(2, 8, 8, 3))
    assert y.is_contiguous()
