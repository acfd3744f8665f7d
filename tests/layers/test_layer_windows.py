"""Windows and pixels against numpy, torch and Pillow, where Keras on torch is no oracle."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from layer_table import Case
from PIL import Image

from kerastorch import layers


def close(found: torch.Tensor, expected: Any) -> None:
    torch.testing.assert_close(found, torch.as_tensor(expected), rtol=1e-5, atol=1e-5)


def convolved(x: np.ndarray, kernel: np.ndarray, strides: int, before: int) -> np.ndarray:
    """A "same" convolution of sequences, entry by entry: (B, n, in) -> (B, ceil(n / strides), out)."""
    batch, n, _ = x.shape
    steps = -(-n // strides)
    y = np.zeros((batch, steps, kernel.shape[-1]))
    for step in range(steps):
        for at in range(len(kernel)):
            place = step * strides + at - before
            if 0 <= place < n:
                y[:, step] += x[:, place] @ kernel[at]
    return y


@pytest.mark.parametrize("window", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("strides", [1, 2, 3])
def test_transposed_convolution_is_the_gradient_of_a_convolution(window: int, strides: int) -> None:
    """<conv(x), y> = <x, transposed(y)> for all x: the alignment of TensorFlow's "same"."""
    layer = layers.Conv1DTranspose(2, window, strides, "same", use_bias=False)
    y = np.random.default_rng(0).normal(size=(1, 4, 3))
    found = layer.double()(torch.from_numpy(y)).detach().numpy()
    kernel = layer.kernel.detach().numpy()  # (window, 2, 3): of a convolution from 2 to 3 channels
    before = max(window - strides, 0) // 2
    expected = np.zeros((1, 4 * strides, 2))
    for place in np.ndindex(4 * strides, 2):
        x = np.zeros((1, 4 * strides, 2))
        x[0][place] = 1
        expected[0][place] = (convolved(x, kernel, strides, before) * y).sum()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_transposed_convolution_gives_back_the_input_of_our_own(rank: int, padding: str) -> None:
    forward = getattr(layers, f"Conv{rank}D")(3, 3, 2, padding, use_bias=False)
    back = getattr(layers, f"Conv{rank}DTranspose")(2, 3, 2, padding, use_bias=False)
    sizes = (4 if padding == "same" else 5,) * rank
    x = torch.rand(1, *sizes, 2, dtype=torch.float64, requires_grad=True)
    y = forward.double()(x)
    back.build(y.shape)
    back.double().set_weights(forward.get_weights())
    weight = torch.rand_like(y)
    (expected,) = torch.autograd.grad((y * weight).sum(), x)
    close(back(weight), expected)


@pytest.mark.parametrize("layer", ["DepthwiseConv1D", "SeparableConv2D", "Conv2DTranspose"])
@pytest.mark.parametrize("channels", [1, 3])
def test_strided_windows_of_one_have_right_gradients(layer: str, channels: int) -> None:
    """In float32 as in float64: oneDNN gets some of them wrong (uxlfoundation/oneDNN#6035)."""
    filters = {} if layer.startswith("Depthwise") else {"filters": 4}
    rank = 1 if "1D" in layer else 2
    case = Case(layer, (2, *(8,) * rank, channels), {**filters, "kernel_size": 1, "strides": 3})
    gradients = []
    for dtype in (torch.float32, torch.float64):
        made, (x,) = case.ours().to(dtype), case.tensors(dtype)
        loss = made(x).square().sum()
        gradients.append(torch.autograd.grad(loss, [x, *made.trainable_weights]))
    for a, b in zip(*gradients, strict=True):
        close(a.double(), b)


@pytest.mark.parametrize("window", [2, 3, 4, 5])
@pytest.mark.parametrize("strides", [1, 2, 3])
@pytest.mark.parametrize("size", [7, 8, 9])
def test_padding_does_not_count_in_averages(window: int, strides: int, size: int) -> None:
    """As in TensorFlow. Keras on torch repeats the edge, which is the same for windows of two."""
    x = np.random.default_rng(0).normal(size=(1, size, 2))
    total = max(window - (size % strides or strides), 0)
    expected = []
    for step in range(-(-size // strides)):
        first = step * strides - total // 2
        expected.append(x[:, max(first, 0) : first + window].mean(1))
    layer = layers.AveragePooling1D(window, strides, "same")
    close(
        layer(torch.from_numpy(x)).double(), np.stack(expected, 1).astype("float32").astype(float)
    )
    x2 = np.stack([x, 2 * x], 1)  # two rows
    wide = layers.AveragePooling2D((1, window), (1, strides), "same")
    close(wide(torch.from_numpy(x2))[:, 0].double(), layer(torch.from_numpy(x)).double())


@pytest.mark.parametrize("layer", ["MaxPooling2D", "AveragePooling2D"])
def test_pooling_copies_no_channels_last_data(layer: str) -> None:
    for padding in ("valid", "same"):
        y = getattr(layers, layer)(3, 2, padding)(torch.rand(2, 8, 8, 3))
        assert y.is_contiguous()


def test_lanczos_is_that_of_pillow() -> None:
    x = np.random.default_rng(0).uniform(size=(5, 4)).astype("float32")
    expected = np.array(Image.fromarray(x).resize((12, 10), Image.Resampling.LANCZOS))
    layer = layers.UpSampling2D((2, 3), interpolation="lanczos3")
    close(layer(torch.from_numpy(x)[None, :, :, None])[0, :, :, 0], expected)
    first = layers.UpSampling2D((2, 3), "channels_first", "lanczos3")
    close(first(torch.from_numpy(x)[None, None])[0, 0], expected)


def test_lanczos_of_a_constant_is_constant() -> None:
    layer = layers.UpSampling2D(3, interpolation="lanczos5")
    close(layer(torch.full((1, 4, 4, 2), 0.7)), torch.full((1, 12, 12, 2), 0.7))


def test_interpolation_is_torch_s() -> None:
    x = torch.rand(1, 4, 4, 2)
    y = layers.UpSampling2D(2, interpolation="bicubic")(x)
    expected = F.interpolate(x.permute(0, 3, 1, 2), scale_factor=2, mode="bicubic")
    close(y, expected.permute(0, 2, 3, 1))


def test_masked_mean_of_steps_is_keras_formula() -> None:
    x, mask = torch.rand(2, 4, 3), torch.tensor([[1, 1, 0, 0], [0, 1, 1, 1]]).bool()
    expected = torch.stack([row[keep].mean(0) for row, keep in zip(x, mask, strict=True)])
    close(layers.GlobalAveragePooling1D()(x, mask=mask), expected)
    close(layers.GlobalAveragePooling1D("channels_first")(x.mT, mask=mask), expected)
    close(layers.GlobalAveragePooling1D(keepdims=True)(x, mask=mask), expected[:, None])
    embedded = layers.Embedding(5, 3, mask_zero=True)(torch.tensor([[1, 2, 0, 0]]))
    pooled = layers.GlobalAveragePooling1D()(embedded)
    close(pooled, embedded[:, :2].mean(1))
    assert getattr(pooled, "_keras_mask", None) is None


def test_views_where_nothing_has_to_move() -> None:
    x = torch.rand(2, 6, 6, 3)
    for layer in (layers.Cropping2D(1), layers.Permute((3, 1, 2)), layers.Reshape((36, 3))):
        assert layer(x).untyped_storage().data_ptr() == x.untyped_storage().data_ptr()
