"""Half, double and mixed precision: by torch's conversions, by autocast and by Keras's policies."""

from typing import Any

import pytest
import torch
from layer_table import FEW, Case, leaves, over
from torch import nn

import kerastorch as kt

FLOATS = [case for case in FEW if not case.indices]
#: Keras cannot average volumes in half precision on the CPU, and orders these weights differently.
NOT_COMPARED = ("AveragePooling3D", "SpectralNormalization")
COMPUTES = ("Dense", "Conv1D", "Conv2D")
POLICIES = ("bfloat16", "float64", "mixed_bfloat16", "mixed_float16")


def run(layer: Any, case: Case, inputs: list[torch.Tensor], training: bool = False) -> Any:
    """Forward and backward; the first output."""
    outputs = leaves(layer(*case.packed(inputs), training=training))
    taken = [x for x in inputs if x.requires_grad] + layer.trainable_weights
    for tensor, gradient in zip(
        taken, torch.autograd.grad(sum(y.float().sum() for y in outputs), taken), strict=True
    ):
        assert gradient.dtype is tensor.dtype
    return outputs[0]


@over(FEW)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
def test_conversion_of_the_module(case: Case, dtype: torch.dtype) -> None:
    layer = case.ours().to(dtype)
    assert all(weight.dtype is dtype for weight in layer.weights)
    assert layer.compute_dtype == str(dtype).removeprefix("torch.")
    exact = case.ours()(*case.packed(case.tensors()))
    found = layer(*case.packed(case.tensors(dtype)))
    coarse = 1e-6 if dtype is torch.float64 else 2e-2
    torch.testing.assert_close(found.float(), exact, rtol=coarse, atol=coarse)
    for inputs in (case.tensors(dtype), case.tensors()):  # float32 is cast
        for training in (False, True):
            assert run(layer, case, inputs, training).dtype is dtype


@over(FEW)
@pytest.mark.parametrize("policy", POLICIES)
def test_policy(case: Case, policy: str) -> None:
    layer = case.ours(dtype=policy)
    theirs = case.theirs(dtype=policy)
    inputs = case.tensors()
    found = run(layer, case, inputs)
    if case.layer in NOT_COMPARED:
        assert found.dtype is getattr(torch, layer.compute_dtype)
        return
    expected = leaves(theirs(*case.packed(inputs)))[0]
    assert found.dtype is getattr(torch, layer.compute_dtype)
    assert found.dtype is expected.dtype or policy == "float64"  # which Keras keeps now and then
    assert {w.dtype for w in layer.weights} == {w.value.dtype for w in theirs.weights}
    assert layer.compute_dtype == theirs.compute_dtype
    assert layer.variable_dtype == theirs.variable_dtype
    theirs.set_weights(layer.get_weights())
    coarse = 1e-6 if policy == "float64" else 2e-2
    again = leaves(theirs(*case.packed(inputs)))[0]
    torch.testing.assert_close(found.double(), again.double(), rtol=coarse, atol=coarse)


@over(FEW)
@pytest.mark.parametrize("policy", ["float16", "mixed_bfloat16"])
def test_symbolic_dtype_is_the_dtype_of_data(case: Case, policy: str) -> None:
    layer = case.ours(dtype=policy)
    dtype = "int64" if case.indices else "float32"
    symbols = [kt.Input(shape[1:], dtype=dtype) for shape in case.shapes]
    symbolic = layer(*case.packed(symbols))
    assert symbolic.dtype is layer(*case.packed(case.tensors())).dtype
    assert case.ours(dtype=policy).to("meta")(*case.packed(case.tensors(device="meta"))).is_meta


@over([case for case in FEW if case.layer in COMPUTES])
def test_autocast_is_honoured(case: Case) -> None:
    layer = case.ours()
    (x,) = case.tensors()
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x).dtype is torch.bfloat16
        assert layer(x.double()).dtype is torch.bfloat16
        assert layer(x.detach().numpy()).dtype is torch.bfloat16
        run(layer, case, [x], training=True)
    assert layer(x).dtype is torch.float32


#: Keras rounds their results to integers, or makes int32 of int64.
ROUNDED = (
    "Activation",
    "Average",
    "LayerN",
    "GroupN",
    "RMSN",
    "Spectral",
    "Maximum",
    "Minimum",
    "Dot",
    "UpSampling2D",
)


@over([case for case in FLOATS if not case.layer.startswith(ROUNDED)])
def test_integers_are_taken_where_keras_takes_them(case: Case) -> None:
    inputs = [(10 * x).detach().long() for x in case.tensors()]
    try:
        expected = case.oracle()(*case.packed(inputs))
    except Exception:
        expected = case.oracle()(*case.packed([x.float() for x in inputs]))  # convolutions
    found = case.ours()(*case.packed(inputs))
    assert found.dtype is expected.dtype
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_mixed_precision_model_is_one_graph() -> None:
    kt.dtype_policies.set_dtype_policy("mixed_bfloat16")
    try:
        inputs = kt.Input((8, 8, 3))
        x = kt.layers.Conv2D(4, 3, activation="relu")(inputs)
        x = kt.layers.Concatenate()([kt.layers.BatchNormalization()(x), x])
        x = kt.layers.Flatten()(kt.layers.MaxPooling2D()(x))
        model = kt.Model(inputs, kt.layers.Dense(2, activation="softmax", dtype="float32")(x))
    finally:
        kt.dtype_policies.set_dtype_policy(None)
    torch._dynamo.reset()
    run = torch.compile(model.train(), fullgraph=True, backend="eager")
    y = run(torch.rand(2, 8, 8, 3))
    assert y.dtype is torch.float32
    y.square().sum().backward()
    assert {p.grad.dtype for p in model.parameters()} == {torch.float32}
    torch._dynamo.reset()


def test_layer_of_its_own_policy_inside_a_mixed_layer() -> None:
    class Block(kt.layers.Layer):
        def __init__(self) -> None:
            super().__init__(dtype="mixed_bfloat16")
            self.inner = kt.layers.Dense(3, dtype="mixed_bfloat16")
            self.stock = nn.Linear(3, 3)
            self.exact = kt.layers.Dense(3, dtype="float32")

        def call(self, inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
            x = self.inner(inputs)
            return x, self.stock(x), self.exact(x)

    block = Block()
    found = block(torch.rand(2, 4))
    assert [y.dtype for y in found] == [torch.bfloat16, torch.bfloat16, torch.float32]
