"""A layer is one graph of torch.compile: without breaks, with the eager result and gradients."""

import inspect
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from layer_table import FEW, Case, leaves, over
from torch import nn


@pytest.fixture(autouse=True)
def _fresh_compiler() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def gradients(layer: Any, run: Any, case: Case) -> list[torch.Tensor]:
    inputs = case.tensors()
    loss = sum(y.square().sum() for y in leaves(run(*case.packed(inputs))))
    taken = [x for x in inputs if x.requires_grad] + layer.trainable_weights
    return list(torch.autograd.grad(loss, taken)) if taken else []


def check(case: Case, training: bool, **options: Any) -> None:
    eager, compiled = case.ours().train(training), case.ours().train(training)
    run = torch.compile(compiled, fullgraph=True, **options)
    torch.manual_seed(0)
    expected = eager(*case.packed(case.tensors()))
    torch.manual_seed(0)
    found = run(*case.packed(case.tensors()))
    if not (case.random and training and options["backend"] == "inductor"):
        torch.testing.assert_close(found, expected)
        taken = zip(gradients(compiled, run, case), gradients(eager, eager, case), strict=True)
        for a, b in taken if not (case.random and training) else ():
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)
    for a, b in zip(compiled.weights, eager.weights, strict=True):
        torch.testing.assert_close(a.detach(), b.detach())


def acts_in_training(case: Case) -> bool:
    return "training" in inspect.signature(case.new().call).parameters


@over(FEW)
def test_one_graph_equals_eager(case: Case) -> None:
    check(case, training=acts_in_training(case), backend="eager")


@over([case for case in FEW if acts_in_training(case)])
def test_one_graph_equals_eager_in_evaluation(case: Case) -> None:
    check(case, training=False, backend="eager")


REPRESENTATIVE = {
    "Dense": lambda c: c.config.get("activation") == "relu",
    "Conv2D": lambda c: c.config.get("activation") == "relu",
    "BatchNormalization": lambda c: len(c.shape) == 2,
}


@pytest.mark.parametrize("layer", REPRESENTATIVE)
def test_inductor_equals_eager(layer: str) -> None:
    case = next(c for c in FEW if c.layer == layer and REPRESENTATIVE[layer](c))
    check(case, training=True, backend="inductor")


def test_one_graph_for_batches_of_any_size() -> None:
    """A layer that is built beforehand compiles once for batches of any size."""
    case = next(c for c in FEW if c.layer == "Dense")
    counter = torch._dynamo.testing.CompileCounter()
    stack = nn.Sequential(case.ours(), nn.ReLU())
    run = torch.compile(stack, fullgraph=True, dynamic=True, backend=counter)
    for rows in (2, 3, 7):
        x = torch.rand(rows, 3)
        torch.testing.assert_close(run(x), stack(x))
    assert counter.frame_count == 1


def test_activity_penalty_leaves_the_graph_and_is_of_the_last_batch() -> None:
    case = Case("Dense", (2, 3), {"units": 4, "activity_regularizer": "l2"})
    layer = case.ours()
    run = torch.compile(layer, fullgraph=True, backend="eager")
    for _ in range(3):
        x = torch.rand(2, 3)
        penalty = 0.01 * run(x).square().sum() / 2
        assert len(layer.losses) == 1
        torch.testing.assert_close(layer.losses[0], penalty)
    taken = [
        torch.autograd.grad(p, [layer.kernel], retain_graph=True) for p in (penalty, *layer.losses)
    ]
    torch.testing.assert_close(*taken)
