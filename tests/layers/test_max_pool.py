"""Max pooling as one operator of a compiled graph gives what torch's own gives."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

import kerastorch as keras
from kerastorch.ops._max_pool import max_pool2d


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize(
    "options",
    [
        {"size": (2, 2), "strides": (2, 2)},
        {"size": (3, 2), "strides": (1, 2)},
        {"size": (3, 3), "strides": (2, 2), "padding": (1, 1), "ceil_mode": True},
    ],
    ids=str,
)
def test_opaque_pooling(layout: Any, options: dict[str, Any]) -> None:
    torch._dynamo.reset()
    compiled = torch.compile(max_pool2d, fullgraph=True, backend="aot_eager")
    x = torch.randn(2, 3, 8, 9).to(memory_format=layout).requires_grad_()
    y = compiled(x, **options)
    expected = F.max_pool2d(
        x,
        options["size"],
        options["strides"],
        options.get("padding", 0),
        ceil_mode=options.get("ceil_mode", False),
    )
    assert y.grad_fn is not None
    assert torch.equal(y, expected)
    assert y.stride() == expected.stride()
    weights = torch.randn_like(expected)
    ours, theirs = (torch.autograd.grad(v, x, weights)[0] for v in (y, expected))
    torch.testing.assert_close(ours, theirs)
    assert ours.stride() == theirs.stride()


def test_one_operator_in_the_graph_and_none_outside() -> None:
    torch._dynamo.reset()
    seen: list[str] = []

    def backend(graph: Any, inputs: Any) -> Any:
        seen.extend(str(node.target) for node in graph.graph.nodes if node.op == "call_function")
        return graph.forward

    torch.compile(max_pool2d, fullgraph=True, backend=backend)(
        torch.randn(1, 1, 4, 4), (2, 2), (2, 2)
    )
    assert any("kerastorch" in name for name in seen)
    layer = keras.layers.MaxPooling2D()
    exported = torch.export.export(layer, (torch.randn(1, 4, 4, 1),))
    assert "max_pool2d" in exported.graph_module.code
    assert "kerastorch" not in exported.graph_module.code
