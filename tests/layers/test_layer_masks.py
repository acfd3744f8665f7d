"""Masks: where they are made, how they travel, and who receives them. Keras is the oracle."""

from typing import Any

import keras
import pytest
import torch
from layer_table import FEW, Case, over

import kerastorch as kt
from kerastorch import layers

IDS = torch.tensor([[1, 2, 0, 0], [3, 0, 4, 0]])
MASK = IDS != 0


class Seen(layers.Layer):
    """The mean over the steps that are not masked; keeps the mask that it was given."""

    def call(self, inputs: torch.Tensor, mask: Any = None) -> torch.Tensor:
        self.seen = mask
        if mask is None:
            return inputs.mean(1)
        weight = mask.unsqueeze(-1).to(inputs.dtype)
        return (inputs * weight).sum(1) / weight.sum(1)


class NonZero(layers.Layer):
    """A layer that makes a mask of its own: it only writes `compute_mask`."""

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs * 1

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return (inputs != 0).any(-1)


def chain() -> list[layers.Layer]:
    return [
        layers.Embedding(5, 3, mask_zero=True),
        layers.Dense(3, activation="relu"),
        layers.Dropout(0.5),
        layers.Activation("tanh"),
        layers.Identity(),
        layers.BatchNormalization(),
        Seen(),
    ]


def functional(steps: list[layers.Layer]) -> kt.Model:
    inputs = x = kt.Input((4,), dtype="int64")
    for step in steps:
        x = step(x)
    return kt.Model(inputs, x)


class Subclassed(kt.Model):
    def __init__(self, steps: list[layers.Layer]) -> None:
        super().__init__()
        self.steps = steps

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        for step in self.steps:
            inputs = step(inputs)
        return inputs


MODELS = pytest.mark.parametrize("make", [functional, Subclassed, kt.Sequential])


@MODELS
def test_mask_of_an_embedding_arrives(make: Any) -> None:
    steps = chain()
    model = make(steps)
    expected = IDS
    for step in steps[:-1]:
        expected = step(expected)
    assert torch.equal(expected._keras_mask, MASK)
    found = model(IDS)
    assert torch.equal(steps[-1].seen, MASK)
    weight = MASK.unsqueeze(-1).float()
    torch.testing.assert_close(found, (expected * weight).sum(1) / weight.sum(1))


@MODELS
def test_masked_model_is_one_graph_with_gradients(make: Any) -> None:
    model = make(chain())
    expected = model(IDS)
    torch._dynamo.reset()
    found = torch.compile(model, fullgraph=True, backend="eager")(IDS)
    torch.testing.assert_close(found, expected)
    found.sum().backward()
    dense = next(layer for layer in model.layers if isinstance(layer, layers.Dense))
    assert dense.kernel.grad.abs().sum() > 0
    torch._dynamo.reset()


@MODELS
def test_a_layer_that_writes_compute_mask_makes_masks(make: Any) -> None:
    seen = Seen()
    model = make([layers.Embedding(5, 3, weights=torch.eye(5)[:, 1:4]), NonZero(), seen])
    model(IDS)
    assert torch.equal(seen.seen, (IDS != 0) & (IDS != 4))


@MODELS
def test_a_layer_without_support_ends_the_mask(make: Any) -> None:
    seen = Seen()
    model = make([layers.Embedding(5, 3, mask_zero=True), layers.Conv1D(2, 1), seen])
    model(IDS)
    assert seen.seen is None


def test_a_layer_that_takes_a_mask_does_not_pass_it_on() -> None:
    x = layers.Embedding(5, 3, mask_zero=True)(IDS)
    assert getattr(Seen()(x), "_keras_mask", None) is None
    symbol = layers.Embedding(5, 3, mask_zero=True)(kt.Input((4,), dtype="int64"))
    assert Seen()(symbol)._keras_mask is None


def test_explicit_mask_comes_before_that_of_the_input() -> None:
    other = torch.tensor([[True, False, True, True]] * 2)
    x = layers.Embedding(5, 3, mask_zero=True)(IDS)
    seen = Seen()
    seen(x, mask=other)
    assert torch.equal(seen.seen, other)
    y = layers.BatchNormalization()(x, mask=other)
    assert torch.equal(y._keras_mask, other)


def merged(library: Any, layer: Any, masked: tuple[bool, bool]) -> Any:
    """The mask of the merge of two embeddings."""
    inputs = [IDS, IDS.flip(1).contiguous()]
    vectors = []
    for ids, mask_zero in zip(inputs, masked, strict=True):
        vectors.append(library.layers.Embedding(5, 3, mask_zero=mask_zero)(ids))
    return getattr(layer(vectors), "_keras_mask", None)


@pytest.mark.parametrize(
    ("name", "config"), [("Add", {}), ("Concatenate", {}), ("Concatenate", {"axis": 1})]
)
@pytest.mark.parametrize("masked", [(True, True), (True, False), (False, True), (False, False)])
def test_masks_of_merges_are_keras(
    name: str, config: dict[str, Any], masked: tuple[bool, bool]
) -> None:
    found = merged(kt, getattr(layers, name)(**config), masked)
    expected = merged(keras, getattr(keras.layers, name)(**config), masked)
    assert (found is None) == (expected is None)
    assert found is None or torch.equal(found, expected)
    # The same in a graph.
    inputs = [kt.Input((4,), dtype="int64") for _ in range(2)]
    vectors = [layers.Embedding(5, 3, mask_zero=m)(x) for m, x in zip(masked, inputs, strict=True)]
    seen = Seen()
    model = kt.Model(inputs, seen(getattr(layers, name)(**config)(vectors)))
    model([IDS, IDS.flip(1)])
    assert (seen.seen is None) == (found is None)
    assert found is None or torch.equal(seen.seen, found)


def takes_mask_of_steps(case: Case) -> bool:
    """Whether a mask of the shape (batch, steps, ...) is for this case."""
    several, first = isinstance(case.shape, list), "data_format" in case.config
    averages_steps_last = case.layer == "GlobalAveragePooling1D" and first
    steps_alone = case.layer.startswith(("ConvLSTM", "Softmax"))  # or no axis of steps
    return not (several or len(case.shape) < 3 or steps_alone or averages_steps_last)


@over([case for case in FEW if takes_mask_of_steps(case)])
@pytest.mark.filterwarnings("ignore:Layer .* does not support masking")  # Keras warns
def test_masks_travel_as_in_keras(case: Case) -> None:
    mask = torch.rand(case.shape[:-1]) > 0.5
    masks = []
    for layer in (case.ours(), case.oracle()):
        x = case.tensors()[0].detach().clone()
        x._keras_mask = mask
        masks.append(getattr(layer(x), "_keras_mask", None))
    found, expected = masks
    assert (found is None) == (expected is None)
    assert found is None or torch.equal(found, expected)


def test_lambda_makes_and_takes_masks() -> None:
    given = layers.Lambda(lambda x, mask: mask)
    x = layers.Embedding(5, 3, mask_zero=True)(IDS)
    assert torch.equal(given(x), MASK)
    made = layers.Lambda(lambda x: x + 1, mask=lambda inputs, mask: inputs[..., 0] > 0)
    assert made(torch.ones(2, 4, 3))._keras_mask.all()
    assert getattr(layers.Lambda(lambda x: x + 1)(x), "_keras_mask", None) is None
