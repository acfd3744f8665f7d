"""The mean of a loss in one kernel is the mean of its values: same numbers, same gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F

import kerastorch as keras
from kerastorch.losses._base import FUSED_MEANS

losses = keras.losses


def labels(*shape: int) -> torch.Tensor:
    return torch.randint(0, 5, shape)


def one_hot(*shape: int) -> torch.Tensor:
    return F.one_hot(labels(*shape), 5).float()


def logits(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, 5)


def softmax(*shape: int) -> torch.Tensor:
    return logits(*shape).softmax(-1)


def positive(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, 5) + 0.1


CASES: list[tuple[Any, Any, Any]] = [
    *((losses.MeanSquaredError(), one_hot(*n), logits(*n)) for n in ((7,), (7, 3))),
    (losses.MeanSquaredError(), torch.rand(7), torch.rand(7, 1)),
    (losses.MeanAbsoluteError(), one_hot(7), logits(7)),
    (losses.Huber(delta=0.3), one_hot(7), logits(7)),
    *((losses.SparseCategoricalCrossentropy(), labels(*n), softmax(*n)) for n in ((7,), (7, 3))),
    (losses.SparseCategoricalCrossentropy(), labels(7, 1), positive(7)),
    (losses.SparseCategoricalCrossentropy(from_logits=True), labels(7, 3), logits(7, 3)),
    (losses.SparseCategoricalCrossentropy(axis=1), labels(7), softmax(7)),
    (losses.CategoricalCrossentropy(from_logits=True), one_hot(7), logits(7)),
    (losses.CategoricalCrossentropy(True, label_smoothing=0.1), one_hot(7), logits(7)),
    (losses.BinaryCrossentropy(from_logits=True), one_hot(7), logits(7)),
    (losses.BinaryCrossentropy(True, label_smoothing=0.1), one_hot(7, 2), logits(7, 2)),
]


@pytest.mark.parametrize(("loss", "y", "p"), CASES, ids=lambda v: getattr(v, "name", ""))
def test_fused_mean_is_the_mean(loss: Any, y: Any, p: torch.Tensor) -> None:
    assert loss._mean(y, p) is not None, "this case is computed the long way"
    p = p.requires_grad_()
    fused = loss(y, p)
    whole = loss.fn(y, p, **loss.kwargs).mean()
    torch.testing.assert_close(fused, whole, rtol=1e-6, atol=1e-6)
    for ours, theirs in zip(
        torch.autograd.grad(fused, p), torch.autograd.grad(whole, p), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-7)


def test_every_fused_mean_has_a_case() -> None:
    assert {loss.fn for loss, _, _ in CASES} == set(FUSED_MEANS)


@pytest.mark.parametrize(
    "options", [{"reduction": "sum"}, {"reduction": "none"}, {"ignore_class": 2}], ids=str
)
def test_long_way_where_the_kernel_does_not_fit(options: dict[str, Any]) -> None:
    loss = losses.SparseCategoricalCrossentropy(**options)
    y, p = labels(7), softmax(7)
    value = -p.gather(1, y[:, None]).squeeze(1).log()
    if "ignore_class" in options:
        expected = value[y != 2].mean()
    else:
        expected = value if options["reduction"] == "none" else value.sum()
    torch.testing.assert_close(loss(y, p), expected)


def test_own_call_of_a_subclass_is_called() -> None:
    class Twice(losses.MeanSquaredError):
        def call(self, y_true: Any, y_pred: Any) -> Any:
            return 2 * super().call(y_true, y_pred)

    assert Twice()([0.0], [3.0]).item() == 18.0


def test_empty_batch_gives_zero() -> None:
    assert losses.MeanSquaredError()(torch.zeros(0, 2), torch.zeros(0, 2)).item() == 0.0


@pytest.mark.parametrize("axis", [-1, 1])
def test_softmax_needs_no_division(axis: int) -> None:
    """Straight from a softmax: what is left out changes neither value nor gradient."""
    x = logits(7).requires_grad_()
    y = labels(7)
    loss = losses.SparseCategoricalCrossentropy()
    value = loss(y, x.softmax(axis))
    names, todo = set(), [value.grad_fn]
    while todo:
        node = todo.pop()
        names.add(node.name())
        todo += [inner for inner, _ in node.next_functions if inner is not None]
    assert "SoftmaxBackward0" in names
    assert not any(name.startswith("Div") for name in names)
    p = x.softmax(axis)
    divided = loss(y, p / p.sum(-1, keepdim=True))
    torch.testing.assert_close(value, divided, rtol=1e-6, atol=1e-7)
    gradients = (torch.autograd.grad(v, x)[0] for v in (value, divided))
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-7)


def test_what_only_was_a_softmax_is_divided() -> None:
    x, y = logits(7).requires_grad_(), labels(7)
    loss = losses.SparseCategoricalCrossentropy()
    changed = x.softmax(-1)
    changed.mul_(torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0]))
    expected = loss(y, changed.detach().clone())
    torch.testing.assert_close(loss(y, changed), expected)
    other_axis = x.softmax(0)
    torch.testing.assert_close(loss(y, other_axis), loss(y, other_axis.detach().clone()))
