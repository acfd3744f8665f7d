"""Weights: names, order and shapes are Keras's, memory is torch's, and copies are equal."""

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from layer_table import FEW, Case, over

import kerastorch as kt

WITH_WEIGHTS = [case for case in FEW if case.ours().weights]
WITH_KERNEL = [case for case in WITH_WEIGHTS if hasattr(case.ours(), "kernel")]


def assert_equal(layer: Any, twin: Any, case: Case) -> None:
    assert list(twin.state_dict()) == list(layer.state_dict())
    for a, b in zip(twin.weights, layer.weights, strict=True):
        assert a is not b
        assert type(a) is type(b)
        assert (a.name, a.path, a.stride()) == (b.name, b.path, b.stride())
        assert torch.equal(a, b)
        assert a.data_ptr() != b.data_ptr()
    x = case.packed(case.tensors())
    assert torch.equal(layer(*x), twin(*x))


def assert_layout(layer: Any, of: torch.Tensor | None = None) -> None:
    """Filters outermost, then the window, then channels, as torch's kernels read them; matrices as
    torch's tools (``view(-1)``) want them."""
    kernel = layer.kernel
    *window, into, out = range(kernel.dim())
    memory = (out, *window, into)
    if isinstance(layer, (kt.layers.Dense, kt.layers.EinsumDense)):
        memory = tuple(range(kernel.dim()))
    elif type(layer).__name__.startswith("Depthwise"):
        memory = (into, out, *window)
    assert kernel.permute(memory).is_contiguous()
    assert of is None or kernel.stride() == of.stride()


@over(
    [case for case in WITH_WEIGHTS if case.layer != "SpectralNormalization"]
)  # the kernel is first
def test_names_order_and_shapes_are_keras(case: Case) -> None:
    layer, theirs = case.ours(), case.oracle()
    names = [weight.name for weight in theirs.weights]
    assert [weight.name for weight in layer.weights] == names
    assert [key.rpartition(".")[2] for key in layer.state_dict()] == names
    if not list(layer.children()):
        paths = [f"{layer.name}/{name}" for name in names]
        assert [weight.path for weight in layer.weights] == paths
        assert list(layer.state_dict()) == names
    for kind in ("trainable_weights", "non_trainable_weights"):
        ours, expected = getattr(layer, kind), getattr(theirs, kind)
        assert [weight.name for weight in ours] == [weight.name for weight in expected]
    shapes = [array.shape for array in theirs.get_weights()]
    assert [array.shape for array in layer.get_weights()] == shapes
    assert layer.count_params() == theirs.count_params()


COPIES: dict[str, Callable[[Any], Any]] = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda layer: pickle.loads(pickle.dumps(layer)),
    "torch.save": lambda layer: torch.load(_saved(layer), weights_only=False),
}


def _saved(thing: Any) -> io.BytesIO:
    buffer = io.BytesIO()
    torch.save(thing, buffer)
    buffer.seek(0)
    return buffer


@over(FEW)
@pytest.mark.parametrize("copied", COPIES)
def test_copies_are_equal_and_apart(case: Case, copied: str) -> None:
    layer = case.ours()
    twin = COPIES[copied](layer)
    assert_equal(layer, twin, case)
    assert twin.get_config() == layer.get_config()
    for weight in twin.weights:
        weight.assign_add(torch.ones_like(weight))
    assert all(not torch.equal(a, b) for a, b in zip(layer.weights, twin.weights, strict=True))


@over(WITH_WEIGHTS)
def test_state_dict_loads_into_another_instance(case: Case) -> None:
    layer, twin = case.ours(name="mine"), case.new(name="mine")
    twin.build(*case.packed(case.shapes))
    saved = _saved(layer.state_dict())
    assert twin.load_state_dict(torch.load(saved, weights_only=True), strict=True)
    assert_equal(layer, twin, case)


@over(WITH_WEIGHTS)
def test_get_weights_are_copies(case: Case) -> None:
    layer = case.ours()
    arrays = layer.get_weights()
    kept = [array.copy() for array in arrays]
    for weight in layer.weights:
        weight.assign(torch.zeros_like(weight))
    for array, before in zip(arrays, kept, strict=True):
        np.testing.assert_array_equal(array, before)


@over(WITH_KERNEL)
def test_memory_layout_of_kernels(case: Case) -> None:
    layer = case.ours()
    assert_layout(layer)
    for make in COPIES.values():
        assert_layout(make(layer), of=layer.kernel)
    before = layer.kernel.stride()
    layer.double().float()
    assert layer.kernel.stride() == before
    layer.set_weights(layer.get_weights())
    layer.load_state_dict(torch.load(_saved(layer.state_dict()), weights_only=True))
    assert layer.kernel.stride() == before


@over(WITH_KERNEL)
def test_gradients_have_the_strides_of_kernels(case: Case) -> None:
    layer = case.ours()
    optimizer = torch.optim.Adam(layer.parameters(), foreach=True)
    for _ in range(2):
        layer(*case.packed(case.tensors())).square().sum().backward()
        assert layer.kernel.grad.stride() == layer.kernel.stride()
        optimizer.step()
    assert_layout(layer)
    slot = optimizer.state[layer.kernel]["exp_avg"]
    assert slot.stride() == layer.kernel.stride()
