"""Batch normalization as one operator of a compiled graph gives what the layer gives."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

import kerastorch as keras


@pytest.mark.parametrize("axis", [1, -1])
@pytest.mark.parametrize("shape", [(5, 3, 3), (4, 3, 6, 3), (2, 3, 2, 4, 3)], ids=str)
@pytest.mark.parametrize(
    "options", [{}, {"scale": False}, {"center": False, "momentum": 0.5}], ids=str
)
def test_compiled_is_eager(axis: int, shape: tuple[int, ...], options: dict[str, Any]) -> None:
    torch._dynamo.reset()
    eager = keras.layers.BatchNormalization(axis=axis, **options)
    eager.build(shape)
    other = copy.deepcopy(eager)
    seen: list[str] = []

    def run(layer: Any, x: torch.Tensor) -> Any:
        return layer(x, training=True)

    def backend(graph: Any, inputs: Any) -> Any:
        seen.extend(str(node.target) for node in graph.graph.nodes)
        return torch._dynamo.lookup_backend("aot_eager")(graph, inputs)

    compiled = torch.compile(run, fullgraph=True, backend=backend)
    x = torch.randn(shape).mul_(3).add_(1).requires_grad_()
    ours, theirs = compiled(other, x), run(eager, x)
    assert any("kerastorch" in name and "batch_norm" in name for name in seen)
    torch.testing.assert_close(ours, theirs)
    weights = torch.randn(shape)
    wanted = [x, *eager.trainable_variables]
    found = torch.autograd.grad(ours, [x, *other.trainable_variables], weights)
    for mine, expected in zip(found, torch.autograd.grad(theirs, wanted, weights), strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-4, atol=1e-5)
    for mine, expected in zip(other.weights, eager.weights, strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-5, atol=1e-6)
