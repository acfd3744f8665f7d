"""What Keras on torch cannot do, or does in another order: normalizations, masked merges, errors."""

from typing import Any

import keras
import numpy as np
import pytest
import torch

import kerastorch as kt
from kerastorch import layers


def close(found: Any, expected: Any) -> None:
    torch.testing.assert_close(found, torch.as_tensor(expected), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("axis", [1, (1, 3), [-1, 1], (2, 3)])
def test_rms_normalization_over_any_axes(axis: Any) -> None:
    """Keras on torch fails where axes are not the last."""
    layer = layers.RMSNormalization(axis=axis, epsilon=1e-3)
    x = torch.randn(2, 4, 3, 5)
    layer.build(x.shape)
    layer.scale.assign(torch.rand(layer.scale.shape))
    axes = sorted(a % 4 for a in ([axis] if isinstance(axis, int) else axis))
    array = x.double().numpy()
    scale = np.ones(4, int)
    scale[axes] = [x.shape[a] for a in axes]
    expected = array / np.sqrt((array**2).mean(tuple(axes), keepdims=True) + 1e-3)
    expected = expected * layer.scale.detach().double().numpy().reshape(scale)
    close(layer(x).double(), expected)


@pytest.mark.parametrize("axis", [1, 2])
def test_layer_normalization_over_one_axis_that_is_not_last(axis: int) -> None:
    layer = layers.LayerNormalization(axis=axis)
    x = torch.randn(2, 4, 3, 5)
    close(
        layer(x).detach(),
        torch.nn.functional.layer_norm(x.movedim(axis, -1), (x.shape[axis],), eps=1e-3).movedim(
            -1, axis
        ),
    )


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("inner", ["Dense", "Conv2D", "Embedding"])
def test_spectral_normalization_is_keras(inner: str, steps: int) -> None:
    config: dict[str, Any] = {
        "Dense": {"units": 4},
        "Conv2D": {"filters": 4, "kernel_size": 2},
        "Embedding": {"input_dim": 7, "output_dim": 4},
    }[inner]
    ours, theirs = (
        library.layers.SpectralNormalization(getattr(library.layers, inner)(**config), steps)
        for library in (kt, keras)
    )
    x = (
        torch.randint(0, 7, (3, 2))
        if inner == "Embedding"
        else torch.rand(3, *(5, 5)[: 2 * (inner != "Dense")], 3)
    )
    for layer in (ours, theirs):
        layer.build(tuple(x.shape))
    name = "embeddings" if inner == "Embedding" else "kernel"
    getattr(theirs.layer, name).assign(getattr(ours.layer, name))
    theirs.vector_u.assign(ours.vector_u)
    for _ in range(3):
        y, expected = ours(x, training=True), theirs(x, training=True)
        close(y, expected.to(y.dtype) if inner != "Embedding" else theirs.layer(x))
        close(getattr(ours.layer, name).detach(), getattr(theirs.layer, name).value.detach())
        close(ours.vector_u.detach(), theirs.vector_u.value.detach())
    kernel = getattr(ours.layer, name).detach().clone()
    close(ours(x), ours.layer(x))
    assert torch.equal(getattr(ours.layer, name), kernel)
    assert {*ours.state_dict()} == {
        "vector_u",
        *(f"layer.{key}" for key in ours.layer.state_dict()),
    }


def test_spectral_normalization_leaves_a_kernel_of_zeros() -> None:
    layer = layers.SpectralNormalization(layers.Dense(2, kernel_initializer="zeros"))
    assert torch.equal(layer(torch.ones(1, 3), training=True), torch.zeros(1, 2))
    with pytest.raises(ValueError, match="has no `kernel` and no `embeddings`"):
        layers.SpectralNormalization(layers.Activation("relu")).build((2, 3))


@pytest.mark.parametrize("name", ["Multiply", "Maximum", "Minimum"])
@pytest.mark.parametrize("masked", [(True, True), (True, False), (False, True)])
def test_masked_merges_are_keras(name: str, masked: tuple[bool, bool]) -> None:
    masks = [torch.tensor([[1, 1, 0, 0]]).bool(), torch.tensor([[1, 0, 1, 0]]).bool()]
    results = []
    for library in (kt, keras):
        inputs = []
        for at in range(2):
            x = torch.linspace(-1 - at, 2, 12).view(1, 4, 3) * (-1) ** at
            x._keras_mask = masks[at] if masked[at] else None  # type: ignore[attr-defined]
            inputs.append(x)
        results.append(getattr(library.layers, name)()(inputs))
    close(*results)
    found, expected = (getattr(y, "_keras_mask", None) for y in results)
    assert (found is None) == (expected is None)
    assert found is None or torch.equal(found, expected)


@pytest.mark.parametrize(
    ("function", "layer"),
    [
        (layers.add, layers.Add()),
        (layers.subtract, layers.Subtract()),
        (layers.multiply, layers.Multiply()),
        (layers.average, layers.Average()),
        (layers.maximum, layers.Maximum()),
        (layers.minimum, layers.Minimum()),
        (layers.dot, layers.Dot(axes=-1)),
        (layers.concatenate, layers.Concatenate()),
    ],
)
def test_functional_forms(function: Any, layer: layers.Layer) -> None:
    x, y = torch.rand(2, 3), torch.rand(2, 3)
    assert torch.equal(function([x, y]), layer([x, y]))
    symbols = [kt.Input((3,)), kt.Input((3,))]
    assert function(symbols, name="mine").shape == layer(symbols).shape


@pytest.mark.parametrize("training", [False, True])
def test_batch_normalization_of_one_sample_is_keras(training: bool) -> None:
    x = torch.rand(1, 3)
    ours, theirs = layers.BatchNormalization(), keras.layers.BatchNormalization()
    close(ours(x, training=training), theirs(x, training=training))
    close(ours.moving_variance.detach(), theirs.moving_variance.value.detach())


def test_batch_normalization_twice_before_backward() -> None:
    layer = layers.BatchNormalization()
    x = torch.rand(4, 3, requires_grad=True)
    loss = layer(x, training=True).square().sum() + layer(2 * x, training=True).pow(3).sum()
    assert torch.autograd.grad(loss, x)[0].isfinite().all()


def test_softmax_with_a_mask_is_keras() -> None:
    x, mask = torch.rand(2, 3, 4), torch.rand(2, 3, 4) > 0.5
    mask[0, 0] = False
    for axis in (-1, 1, (1, 2)):
        expected = keras.layers.Softmax(axis)(x, mask=mask)
        close(layers.Softmax(axis)(x, mask=mask), expected)
        close(layers.Softmax(axis)(x, mask=mask.float()), expected)


ARGUMENTS: list[tuple[str, dict[str, Any], str]] = [
    ("Conv2DTranspose", {"filters": 2, "kernel_size": 3, "output_padding": 1}, "smaller than"),
    ("Conv1DTranspose", {"filters": 2, "kernel_size": 3, "padding": "causal"}, "`padding` must be"),
    ("DepthwiseConv2D", {"kernel_size": 3, "depth_multiplier": 0}, "`depth_multiplier` must be"),
    ("SeparableConv1D", {"filters": 0, "kernel_size": 3}, "`filters` must be a positive"),
    ("AveragePooling1D", {"pool_size": 0}, "`pool_size` must be an integer >= 1"),
    ("AdaptiveMaxPooling2D", {"output_size": (2, 2, 2)}, "`output_size` must be an integer >= 1"),
    ("Reshape", {"target_shape": (-1, -1)}, "-1 at most once, received (-1, -1)"),
    ("Permute", {"dims": (0, 1)}, "the numbers from 1 to 2 in some order, received (0, 1)"),
    ("RepeatVector", {"n": 0}, "`n` must be a positive integer"),
    ("ZeroPadding2D", {"padding": (1, -1)}, "`padding` must be an integer >= 0, 2 of them"),
    ("ZeroPadding1D", {"padding": (1, 2, 3)}, "`padding` must be an integer >= 0 or a pair"),
    ("Cropping3D", {"cropping": "a"}, "`cropping` must be an integer >= 0, 3 of them"),
    ("UpSampling2D", {"interpolation": "area"}, "`interpolation` must be one of"),
    ("Dot", {"axes": 0}, "must not hold the batch axis 0"),
    ("Dot", {"axes": (1, 2, 3)}, "`axes` must be an integer or two"),
    ("ReLU", {"negative_slope": -1.0}, "`negative_slope` must not be negative"),
    ("LeakyReLU", {"negative_slope": None}, "`negative_slope` must not be negative"),
    ("GroupNormalization", {"groups": 0}, "`groups` must be a positive integer"),
]


@pytest.mark.parametrize(("layer", "arguments", "message"), ARGUMENTS)
def test_arguments(layer: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError)) as caught:
        getattr(layers, layer)(**arguments)
    assert str(caught.value).startswith(f"{layer}: ")
    assert message in str(caught.value)


SHAPES: list[tuple[layers.Layer, Any, str]] = [
    (layers.Conv3D(2, 3), (2, 8, 8, 3), "input must have 5 axes"),
    (layers.Conv2DTranspose(2, 3), (2, 8, 3), "input must have 4 axes"),
    (layers.AveragePooling2D(3), (2, 2, 2, 3), "each pooled axis at least (3, 3) long"),
    (layers.Cropping1D(4), (2, 8, 3), "longer than `cropping` (4, 4)"),
    (layers.Reshape((5,)), (2, 6), "entries for `target_shape` (5,)"),
    (layers.Permute((2, 1)), (2, 6), "expected 3 axes"),
    (layers.RepeatVector(2), (2, 6, 3), "expected 2 axes"),
    (layers.Subtract(), [(2, 3)] * 3, "expected a list of two tensors"),
    (layers.Dot(axes=1), [(2, 3), (2, 4)], "two tensors with axes 1 of one size"),
    (layers.GroupNormalization(4), (2, 6), "`groups` (4) must divide the 6 channels"),
    (layers.LayerNormalization(axis=[1, 1]), (2, 6), "axis [1, 1] of the input must exist"),
]


@pytest.mark.parametrize(("layer", "shape", "message"), SHAPES, ids=lambda v: str(v)[:30])
def test_shapes(layer: layers.Layer, shape: Any, message: str) -> None:
    several = isinstance(shape, list)
    given = [torch.rand(s) for s in shape] if several else torch.rand(shape)
    with pytest.raises((ValueError, RuntimeError, IndexError)) as caught:
        layer(given)
    assert layer.name in str(caught.value)
    assert message in str(caught.value)


def test_aliases() -> None:
    for name, thing in vars(layers).items():
        if isinstance(thing, type) and thing.__name__ != name:
            theirs = getattr(keras.layers, name)
            assert theirs is getattr(keras.layers, thing.__name__)
