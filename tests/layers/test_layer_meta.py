"""Forward and backward on the meta device: no tensor is made elsewhere and no value is read."""

import pytest
import torch
from layer_table import FEW, Case, leaves, modes, over


def check(case: Case, layer, training: bool) -> None:
    real = case.ours().to(next(iter(layer.weights), torch.empty(0)).dtype)
    inputs = case.tensors(device="meta")
    outputs = layer(*case.packed(inputs), training=training)
    for y, expected in zip(
        leaves(outputs), leaves(real(*case.packed(case.tensors()))), strict=True
    ):
        assert y.is_meta
        assert (y.shape, y.dtype) == (expected.shape, expected.dtype)
    taken = [x for x in inputs if x.requires_grad] + layer.trainable_weights
    gradients = torch.autograd.grad(sum(y.sum() for y in leaves(outputs)), taken)
    for gradient, tensor in zip(gradients, taken, strict=True):
        assert gradient.is_meta
        assert gradient.shape == tensor.shape


@pytest.mark.parametrize(
    ("case", "training"), [pytest.param(c, t, id=f"{c}-{t}") for c in FEW for t in modes(c)]
)
def test_moved_layer(case: Case, training: bool) -> None:
    layer = case.ours().to("meta")
    assert all(weight.is_meta for weight in layer.weights)
    check(case, layer, training)


@over(FEW)
def test_layer_made_on_the_device(case: Case) -> None:
    with torch.device("meta"):
        layer = case.new()
        layer(*case.packed(case.tensors(device="meta")))
    assert all(weight.is_meta for weight in layer.weights)
    check(case, layer, True)
    layer.to_empty(device="cpu")
    layer(*case.packed(case.tensors()))


@over(FEW)
def test_built_by_data_on_the_device(case: Case) -> None:
    """Weights are made where the first input is."""
    layer = case.new()
    layer(*case.packed(case.tensors(device="meta")))
    assert all(weight.is_meta for weight in layer.weights)
