"""`clone_model` keeps the architecture and makes new weights."""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np
import pytest
import torch

import kerastorch as kt

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "saving"))
from test_interchange import KINDS, Make, arithmetic, data, named, own_classes, words


def assert_clone(model: Any, inputs: Any) -> None:
    model.set_weights([np.random.default_rng(0).uniform(size=w.shape) for w in model.weights])
    clone = kt.models.clone_model(model)
    assert not {id(w) for w in model.weights} & {id(w) for w in clone.weights}
    assert list(clone.state_dict()) == list(model.state_dict())
    clone.set_weights(model.get_weights())
    a, b = (torch.utils._pytree.tree_leaves(m(inputs)) for m in (model, clone))
    assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize(("make", "shapes"), KINDS, ids=lambda x: getattr(x, "__name__", ""))
def test_kinds(make: Make, shapes: Any) -> None:
    inputs = data(shapes) if make is not words else [np.array([[1, 2, 0, 0, 0]])]
    model = make(kt)
    inputs = inputs if len(inputs) > 1 else inputs[0]
    model(inputs)
    assert_clone(model, inputs)


def test_dicts() -> None:
    a, b = data([(2, 3), (2, 4)])
    assert_clone(named(kt), {"a": a, "b": b})


def test_subclassed() -> None:
    model = own_classes(kt)[0](width=4)
    x = data([(2, 3)])[0]
    model(x)
    clone = kt.models.clone_model(model)
    clone(x)
    clone.set_weights(model.get_weights())
    assert torch.equal(clone(x), model(x))
    with pytest.raises(ValueError, match="subclassed model"):
        kt.models.clone_model(model, clone_function=lambda layer: layer)


def test_input_tensors_and_functions() -> None:
    model = arithmetic(kt)
    a, b = kt.Input((3,)), kt.Input((3,))
    called: list[str] = []

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        called.append(layer.name)
        return layer(*args, **kwargs)

    shared = kt.models.clone_model(model, [a, b], lambda layer: layer, call)
    assert shared.inputs[0] is a
    assert {id(w) for w in shared.weights} == {id(w) for w in model.weights}
    assert len(called) == 3
    with pytest.raises(ValueError, match="2 inputs"):
        kt.models.clone_model(model, a)
    with pytest.raises(ValueError, match="symbolic"):
        kt.models.clone_model(model, torch.zeros(2, 3))


def test_recursive() -> None:
    inner = kt.Sequential([kt.Input((3,)), kt.layers.Dense(3)], name="inner")
    model = kt.Sequential([kt.Input((3,)), inner, kt.layers.Dense(1)])
    seen: list[str] = []

    def clone(layer: Any) -> Any:
        seen.append(type(layer).__name__)
        return type(layer).from_config(layer.get_config())

    kt.models.clone_model(model, clone_function=clone)
    assert seen == ["Sequential", "Dense"]
    seen.clear()
    kt.models.clone_model(model, clone_function=clone, recursive=True)
    assert seen == ["Dense", "Dense"]
    with pytest.raises(ValueError, match="functional models"):
        kt.models.clone_model(model, call_function=lambda layer, x: layer(x))


def test_losses_and_stock_modules() -> None:
    inputs = kt.Input((3,))
    hidden = torch.nn.Linear(3, 4)(inputs)
    model = kt.Model(inputs, kt.layers.Dense(1)(hidden) * torch.nn.Parameter(torch.ones(1)))
    model.add_loss(hidden.mean())
    clone = kt.models.clone_model(model)
    clone(torch.ones(2, 3))
    assert len(clone.losses) == 1
    assert not {id(w) for w in model.parameters()} & {id(w) for w in clone.parameters()}
    assert not torch.equal(clone.linear.weight, model.linear.weight)
