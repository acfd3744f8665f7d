"""What all operations share: conversion of arguments, symbolic calls, names, and Keras's table of them."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import keras
import numpy as np
import pytest
import torch

import kerastorch as kt
from kerastorch.models._operations import find
from kerastorch.ops._op import as_tensor

SPACES = ("", "nn", "numpy", "linalg", "image")


def functions(library: Any, space: str) -> dict[str, Any]:
    where = getattr(library.ops, space) if space else library.ops
    return {k: f for k, f in vars(where).items() if k[0] != "_" and inspect.isfunction(f)}


@pytest.mark.parametrize("space", SPACES)
def test_every_name_of_keras_with_its_arguments(space: str) -> None:
    ours, theirs = functions(kt, space), functions(keras, space)
    assert sorted(ours) == sorted(theirs)
    for name, function in theirs.items():
        mine, other = inspect.signature(ours[name]), inspect.signature(function)
        assert list(mine.parameters) == list(other.parameters), name
        for mine_one, other_one in zip(
            mine.parameters.values(), other.parameters.values(), strict=True
        ):
            assert mine_one.default == other_one.default, name
            assert mine_one.kind == other_one.kind, name


def _classes() -> list[type]:
    found: list[type] = []
    for space in ("numpy", "nn", "math", "linalg", "core", "image"):
        module = importlib.import_module(f"keras.src.ops.{space}")
        classes = filter(inspect.isclass, vars(module).values())
        found += [cls for cls in classes if cls.__module__ == module.__name__]
    return [cls for cls in found if cls.__name__ not in _NOT_FOR_FILES]


#: An abstract class, one that takes sizes, and operations that call functions: put them into a layer.
_NOT_FOR_FILES = (
    "SegmentReduction", "Arange", "AssociativeScan", "Cond", "ForiLoop", "Map", "Scan", "Switch",
    "VectorizedMap", "WhileLoop", "JVP", "Vectorize", "CustomGradient",
)  # fmt: skip


@pytest.mark.parametrize("cls", _classes(), ids=lambda cls: cls.__name__)
def test_every_operation_of_model_files_is_known(cls: type) -> None:
    """Its tensors are the arguments of Keras's `call`, its options those of the constructor."""
    function = find(cls.__module__, cls.__name__)
    assert function is not None
    if not hasattr(function, "arrays"):  # one of Python's or torch's
        return
    call = [p for p in inspect.signature(cls.call).parameters if p != "self"]
    assert list(function.arrays) == [name for name in call if name != "kwargs"]
    made = [p for p in inspect.signature(cls.__init__).parameters if p not in ("self", "name")]
    options = [p for p in inspect.signature(function).parameters if p not in function.arrays]
    assert set(made) - {"kwargs"} <= set(options) | {"rms_scaling"}


# -- conversion ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b", "dtype"),
    [
        (torch.ones(2, dtype=torch.int16), 1, torch.int16),
        (torch.ones(2, dtype=torch.int64), 1.5, torch.float32),
        (torch.ones((), dtype=torch.float16), 0.5, torch.float16),
        (torch.ones((), dtype=torch.bfloat16), 2, torch.bfloat16),
        (True, torch.ones(2, dtype=torch.uint8), torch.uint8),
        (np.ones(2, "float64"), 1, torch.float64),
        ([1, 2], 3, torch.int32),
        ([1.0, 2], 3, torch.float32),
        (1, 2, torch.int32),
        (np.float32(1), np.int64(2), torch.float32),
    ],
)
def test_numbers_take_the_dtype_beside_them(a: Any, b: Any, dtype: torch.dtype) -> None:
    result = kt.ops.add(a, b)
    assert result.dtype is dtype
    whole = [torch.as_tensor(x).float() for x in (a, b)]
    np.testing.assert_allclose(result.float(), whole[0] + whole[1])


def test_floatx_decides_for_python_numbers() -> None:
    kt.config.set_floatx("float64")
    try:
        assert as_tensor([1.0, 2.0]).dtype is torch.float64
        assert kt.ops.add(torch.ones(2, dtype=torch.int32), 0.5).dtype is torch.float64
    finally:
        kt.config.set_floatx("float32")


def test_lists_of_tensors_keep_gradients() -> None:
    x = torch.tensor(2.0, requires_grad=True)
    kt.ops.sum(kt.ops.add([x, x * x], 1)).backward()
    assert x.grad == 1 + 2 * 2


def test_arrays_share_memory_unless_they_are_read_only() -> None:
    array = np.ones(3, "float32")
    assert as_tensor(array).data_ptr() == array.ctypes.data
    array.flags.writeable = False
    tensor = as_tensor(array)
    tensor += 1  # without a warning
    assert array.sum() == 3


def test_what_stands_beside_a_tensor_goes_to_its_device() -> None:
    x = torch.ones(2, device="meta")
    for other in (1, [1, 2], np.ones(2)):
        assert kt.ops.add(x, other).is_meta


def test_weights_are_tensors() -> None:
    layer = kt.layers.Dense(2)
    layer.build((None, 3))
    kt.ops.sum(layer.kernel).backward()
    assert torch.equal(layer.kernel.grad, torch.ones(3, 2))


# -- symbolic calls --------------------------------------------------------------------------------


def test_a_call_is_one_line_of_the_graph() -> None:
    x = kt.Input((3,))
    model = kt.Model(x, kt.ops.sum(kt.ops.add(x, 1), axis=-1))
    assert [n.op for n in model.graph.nodes] == ["placeholder", *["call_function"] * 2, "output"]
    assert torch.equal(model(torch.ones(2, 3)), torch.full((2,), 6.0))


def test_constants_move_with_the_model() -> None:
    x = kt.Input((3,))
    model = kt.Model(x, kt.ops.add(x, np.arange(3, dtype="float32")))
    assert torch.equal(model(torch.zeros(1, 3)), torch.tensor([[0.0, 1.0, 2.0]]))
    assert model.to("meta")(torch.ones(2, 3, device="meta")).is_meta


def test_one_graph() -> None:
    def function(x: torch.Tensor) -> torch.Tensor:
        return kt.ops.sum(kt.ops.concatenate([kt.ops.add(x, 1.5), x], axis=1), axis=-1)

    x = torch.ones(2, 3)
    compiled = torch.compile(function, fullgraph=True, backend="eager")
    assert torch.equal(compiled(x), function(x))


def test_in_a_layer_of_ones_own() -> None:
    class Scaled(kt.layers.Layer):
        def call(self, inputs: torch.Tensor) -> torch.Tensor:
            return kt.ops.add(inputs, inputs)

    x = kt.Input((3,))
    model = kt.Model(x, kt.layers.Dense(1)(Scaled()(x)))
    model.compile("sgd", "mse")
    data = np.random.default_rng(0).normal(size=(64, 3)).astype("float32")
    history = model.fit(data, data.sum(1, keepdims=True), epochs=5, verbose=0).history["loss"]
    assert history[-1] < history[0] / 2
