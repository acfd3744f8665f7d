"""With Keras's weights a layer gives Keras's outputs, gradients and moving statistics."""

import keras
import numpy as np
import pytest
import torch
from layer_table import CASES, Case, leaves, modes, over

import kerastorch as kt

#: Where weights have Keras's order.
ALIKE = [case for case in CASES if case.layer != "SpectralNormalization"]


def close(ours, theirs) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def outputs_and_gradients(case: Case, layer, weights, training) -> tuple[list, list, list]:
    """What the layer gives, and gradients of a fixed random projection of it."""
    inputs = case.tensors()
    outputs = leaves(layer(*case.packed(inputs), training=training))
    generator = torch.Generator().manual_seed(2)
    loss = sum((y * torch.randn(y.shape, generator=generator)).sum() for y in outputs)
    floating = [x for x in inputs if x.is_floating_point()]
    gradients = torch.autograd.grad(loss, [*floating, *weights])
    return [y.detach() for y in outputs], gradients[: len(floating)], gradients[len(floating) :]


@pytest.mark.parametrize(
    ("case", "training"), [pytest.param(c, t, id=f"{c}-{t}") for c in ALIKE for t in modes(c)]
)
def test_outputs_and_gradients_are_keras(case: Case, training: bool) -> None:
    layer, theirs = case.ours(), case.oracle()
    ours = outputs_and_gradients(case, layer, layer.trainable_weights, training)
    variables = [variable.value for variable in theirs.trainable_weights]
    expected = outputs_and_gradients(case, theirs, variables, training)
    for found, wanted in zip(ours, expected, strict=True):
        for a, b in zip(found, wanted, strict=True):
            close(a, b)
    for a, b in zip(layer.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


@over([case for case in CASES if any("regularizer" in key for key in case.config)])
def test_penalties_are_keras(case: Case) -> None:
    layer, theirs = case.ours(), case.oracle()
    for one in (layer, theirs):
        one(*case.packed(case.arrays()))
    assert len(layer.losses) == len(theirs.losses) > 0
    close(sum(layer.losses), sum(theirs.losses))


@over([case for case in CASES if case.layer == "BatchNormalization"])
def test_moving_statistics_follow_keras_over_steps(case: Case) -> None:
    layer, theirs = case.ours(), case.oracle()
    for seed in range(4):
        (x,) = case.arrays(seed)
        close(layer(x, training=True), theirs(x, training=True))
    close(layer.moving_mean.detach(), theirs.moving_mean.value.detach())
    close(layer.moving_variance.detach(), theirs.moving_variance.value.detach())
    close(layer(x), theirs(x, training=False))


def test_frozen_batch_normalization_is_keras() -> None:
    x = torch.rand(8, 3)
    layer, theirs = kt.layers.BatchNormalization(), keras.layers.BatchNormalization()
    layer.trainable = theirs.trainable = False
    close(layer(x, training=True), theirs(x, training=True))
    assert torch.equal(layer.moving_mean, torch.zeros(3))


def test_masked_batch_normalization_is_keras() -> None:
    x = torch.rand(4, 5, 3)
    mask = torch.rand(4, 5) > 0.4
    layer, theirs = kt.layers.BatchNormalization(), keras.layers.BatchNormalization()
    y, expected = (one(x, training=True, mask=mask) for one in (layer, theirs))
    close(y, expected)
    close(layer.moving_mean.detach(), theirs.moving_mean.value.detach())
    close(layer.moving_variance.detach(), theirs.moving_variance.value.detach())


@over([case for case in CASES if case.random and case.layer == "Dropout"])
def test_dropout_keeps_or_scales(case: Case) -> None:
    layer, rate = case.new(), case.config["rate"]
    x = torch.rand(400, *case.shape[1:]) + 1
    y = layer(x, training=True)
    kept = y != 0
    close(y[kept], (x / (1 - rate))[kept])
    assert kept.float().mean().item() == pytest.approx(1 - rate, abs=0.05)
    if case.config.get("noise_shape"):
        assert torch.equal(kept, kept[:, :1].expand_as(kept))
    assert torch.equal(layer(x, training=False), x)
    again = case.new()
    assert torch.equal(again(x, training=True), y) == ("seed" in case.config)


@pytest.mark.parametrize("layer", ["Conv1D", "Conv2D"])
@pytest.mark.parametrize("channels", [1, 2, 3, 8])
@pytest.mark.parametrize("strides", [2, 3])
def test_strided_windows_of_one_have_right_gradients(layer, channels: int, strides: int) -> None:
    # In float32 oneDNN gets them wrong (uxlfoundation/oneDNN#6035), so Keras is asked in float64.
    shape = (2, *(8,) * int(layer[4]), channels)
    config = {"filters": 4, "kernel_size": 1, "strides": strides}
    ours = Case(layer, shape, config)
    expected = Case(layer, shape, {**config, "dtype": "float64"}).oracle()
    x, layer = ours.tensors()[0], ours.ours()
    y, wanted = layer(x), expected(x)
    close(y.double(), wanted)
    found = torch.autograd.grad(y.square().sum(), [x, *layer.trainable_weights])
    weights = [variable.value for variable in expected.trainable_weights]
    for a, b in zip(found, torch.autograd.grad(wanted.square().sum(), [x, *weights]), strict=True):
        close(a.double(), b.double())
