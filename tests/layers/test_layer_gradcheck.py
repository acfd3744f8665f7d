"""Gradients in double precision are those of finite differences, first and second."""

import pytest
import torch
from layer_table import FEW, Case, leaves, modes

SMOOTH = [case for case in FEW if not case.random]
TWICE = ("Dense", "BatchNormalization", "Conv2D")


@pytest.mark.parametrize(
    ("case", "training"),
    [
        pytest.param(c, t, id=f"{c}-{t}")
        for c in SMOOTH
        for t in modes(c)
        if not (t and c.layer == "SpectralNormalization")  # which changes its weights
    ],
)
def test_gradients_are_finite_differences(case: Case, training: bool) -> None:
    layer = case.ours().double()
    statistics = {name: buffer.clone() for name, buffer in layer.named_buffers()}
    inputs = case.tensors(torch.float64)
    floating = [x for x in inputs if x.requires_grad]
    names = [name for name, _ in layer.named_parameters()]

    def run(*tensors: torch.Tensor) -> list[torch.Tensor]:
        given = list(tensors[: len(floating)]) or inputs
        weights = dict(zip(names, tensors[len(floating) :], strict=True))
        state = {name: buffer.clone() for name, buffer in statistics.items()}
        call = (*case.packed(given),), {"training": training}
        return leaves(torch.func.functional_call(layer, weights | state, *call))

    taken = (*floating, *layer.parameters())
    if not taken:
        pytest.skip("nothing to take gradients of")
    assert torch.autograd.gradcheck(run, taken, fast_mode=True)
    # torch's batch_norm with a bias and no weight forgets the bias in second gradients.
    if case.layer in TWICE and case.config.get("scale", True):
        assert torch.autograd.gradgradcheck(run, taken, fast_mode=True)
