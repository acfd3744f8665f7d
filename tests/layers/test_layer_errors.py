"""Bad input and bad arguments: the message names the layer, what it was given and what it expects."""

from typing import Any

import pytest
import torch

import kerastorch as kt
from kerastorch import layers as L

# A layer, the shape that it is built for (None: it is not), a shape that it refuses, what it says.
SHAPES: list[tuple[L.Layer, Any, Any, str]] = [
    (L.Dense(3), None, (4,), "must have a batch axis and a last axis of known size"),
    (L.Dense(3), (2, 4), (2, 5), "but the kernel was built for 4 features"),
    (L.Conv1D(2, 3), None, (2, 8), "input must have 3 axes"),
    (L.Conv1D(2, 3), (2, 8, 3), (2, 8, 4), "but expected 3 axes (batch, ..., channels) with 3"),
    (L.Conv2D(2, 3), None, (2, 8, 3), "input must have 4 axes"),
    (
        L.Conv2D(2, 3),
        (2, 8, 8, 3),
        (2, 8, 8, 4),
        "but expected 4 axes (batch, ..., channels) with 3",
    ),
    (L.Conv2D(2, 3), (2, 8, 8, 3), (2, 3, 8), "but expected 4 axes (batch, ..., channels) with 3"),
    (L.Conv2D(2, (3, 5)), None, (2, 4, 4, 3), "the others at least [3, 5] long"),
    (L.Conv2D(2, 3, groups=2), None, (2, 8, 8, 3), "a multiple of groups=2"),
    (L.MaxPooling2D(), None, (2, 8, 3), "but expected 4 axes"),
    (L.MaxPooling2D(3), None, (2, 2, 2, 3), "each pooled axis at least (3, 3) long"),
    (L.GlobalMaxPooling1D(), None, (2, 4), "but expected 3 axes"),
    (L.GlobalMaxPooling2D(), None, (2, 4, 3), "but expected 4 axes"),
    (L.BatchNormalization(), (2, 3), (2, 4), "but axis -1 was built for 3 channels"),
    (L.BatchNormalization(axis=3), None, (2, 4), "axis 3 of the input must exist"),
    (
        L.Concatenate(),
        None,
        [(2, 3, 4), (2, 4, 4)],
        "a list of tensors that agree in all axes but -1",
    ),
    (L.Concatenate(), None, (2, 3), "but expected a list of tensors"),
    (L.Add(), None, [(2, 3), (2, 4)], "but expected a list of tensors that broadcast"),
    (L.Add(), [(2, 3), (2, 3)], (2, 3), "but expected a list of tensors"),
    (L.Lambda(lambda x: x.unflatten(1, (2, 2))), None, (2, 3), "input has shape"),
]


def data(shape: tuple[int, ...]) -> torch.Tensor:
    return torch.rand(shape)


def symbol(shape: tuple[int, ...]) -> Any:
    return kt.Input(shape[1:])


@pytest.mark.parametrize(
    ("layer", "built_for", "refused", "expects"),
    [pytest.param(*row, id=f"{row[0].name}-{row[2]}") for row in SHAPES],
)
@pytest.mark.parametrize("kind", [data, symbol])
def test_shapes(layer: L.Layer, built_for: Any, refused: Any, expects: str, kind: Any) -> None:
    def given(shape: Any) -> Any:
        return [kind(s) for s in shape] if isinstance(shape, list) else kind(shape)

    layer = (
        type(layer).from_config(layer.get_config()) if not isinstance(layer, L.Lambda) else layer
    )
    if built_for is not None:
        layer(given(built_for))
    before = [weight.clone() for weight in layer.weights]
    with pytest.raises((ValueError, IndexError, RuntimeError)) as caught:
        layer(given(refused))
    message = str(caught.value)
    assert f"{type(layer).__name__} '{layer.name}'" in message
    assert expects in message
    for shape in refused if isinstance(refused, list) else [refused]:
        assert str(shape if kind is data else (None, *shape[1:])) in message
    assert all(torch.equal(a, b) for a, b in zip(before, layer.weights, strict=False))


ONE_TENSOR = [
    *(L.Dense(2), L.Conv1D(2, 3), L.Conv2D(2, 3), L.MaxPooling2D(), L.GlobalMaxPooling1D()),
    *(L.GlobalMaxPooling2D(), L.BatchNormalization(), L.Dropout(0.5), L.Flatten()),
    *(L.Activation("relu"), L.Embedding(3, 2)),
]


@pytest.mark.parametrize("layer", ONE_TENSOR, ids=lambda layer: layer.name)
def test_lists_where_one_tensor_is_taken(layer: L.Layer) -> None:
    title = f"{type(layer).__name__} '{layer.name}' takes one tensor, received"
    with pytest.raises(TypeError, match=f"{title} list of 2: call it on each"):
        layer([torch.rand(2, 3), torch.rand(2, 3)])
    with pytest.raises(TypeError, match=f"{title} list of 2: call it on each"):
        layer([kt.Input((3,)), kt.Input((3,))])
    with pytest.raises(TypeError, match=f"{title} NoneType"):
        layer(None)
    with pytest.raises(TypeError, match=f"{title} str"):
        layer("a")
    assert not layer.weights


ARGUMENTS: list[tuple[type, dict[str, Any], str]] = [
    (L.Dense, {"units": -1}, "Dense: `units` must be a positive integer, received -1"),
    (L.Dense, {"units": 2.5}, "received 2.5"),
    (L.Dense, {"units": 2, "activation": "reluu"}, "Did you mean 'relu'"),
    (L.Dense, {"units": 2, "unit": 3}, "Dense: unknown argument 'unit'"),
    (L.Dense, {"units": 2, "name": 3}, "`name` must be a string, received 3"),
    (L.Conv2D, {"filters": 3, "kernel_size": 3, "groups": 2}, "`filters` (3) must be a multiple"),
    (L.Conv2D, {"filters": 3, "kernel_size": (3, 3, 3)}, "`kernel_size` must be an integer >= 1"),
    (L.Conv2D, {"filters": 3, "kernel_size": 0}, "`kernel_size` must be an integer >= 1"),
    (
        L.Conv2D,
        {"filters": 3, "kernel_size": 3, "padding": "causal"},
        "('valid', 'same'), received",
    ),
    (L.Conv1D, {"filters": 3, "kernel_size": 3, "padding": 1}, "('valid', 'same', 'causal')"),
    (L.Conv2D, {"filters": 3, "kernel_size": 3, "data_format": "NCHW"}, "expected 'channels_last'"),
    (
        *(L.Conv1D, {"filters": 3, "kernel_size": 3, "strides": 2, "dilation_rate": 2}),
        "cannot be combined, received 2 and 2",
    ),
    (L.MaxPooling2D, {"pool_size": (2,)}, "`pool_size` must be an integer >= 1 or 2 of them"),
    (L.MaxPooling2D, {"padding": "causal"}, "`padding` must be 'valid' or 'same', received"),
    (L.BatchNormalization, {"axis": "last"}, "`axis` must be an integer, received 'last'"),
    (L.Dropout, {"rate": 1.5}, "`rate` must be in [0, 1], received 1.5"),
    (L.Dropout, {"rate": 0.5, "noise_shape": "ab"}, "`noise_shape` must hold sizes or None"),
    (L.Embedding, {"input_dim": 0, "output_dim": 2}, "`input_dim` must be a positive integer"),
    (L.Lambda, {"function": 3}, "`function` must be callable, received 3"),
]


@pytest.mark.parametrize(("layer", "arguments", "message"), ARGUMENTS, ids=lambda v: str(v)[-40:])
def test_arguments(layer: type, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError)) as caught:
        layer(**arguments)
    assert message in str(caught.value)


def test_indices_out_of_the_table() -> None:
    with pytest.raises(IndexError, match=r"'words'.* indices must be integers in \[0, 3\)"):
        L.Embedding(3, 2, name="words")(torch.tensor([5]))


def test_noise_shape_of_another_rank() -> None:
    with pytest.raises(ValueError, match=r"'thin'.*`noise_shape` \(1,\) needs one entry for each"):
        L.Dropout(0.5, noise_shape=(1,), name="thin")(torch.rand(2, 3), training=True)
