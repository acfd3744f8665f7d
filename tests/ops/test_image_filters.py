"""Blur, edges and similarity of images, against Keras; blurs of uneven shape against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from oracle import check

import kerastorch as kt

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.uniform(size=(2, 13, 12, 3)).astype("float32")
FIRST = np.ascontiguousarray(np.moveaxis(IMAGES, -1, 1))
BYTES = RANDOM.integers(0, 256, size=(2, 13, 12, 3)).astype("uint8")


@pytest.mark.parametrize("options", [{}, {"kernel_size": (5, 5), "sigma": (2.0, 2.0)}], ids=str)
def test_gaussian_blur(options: dict[str, Any]) -> None:
    # without a data format Keras's function takes the channels to be first, its models last
    check("image.gaussian_blur", IMAGES, data_format="channels_last", **options)
    check("image.gaussian_blur", FIRST, data_format="channels_first", symbolic=False, **options)
    check("image.gaussian_blur", IMAGES[0], data_format="channels_last", symbolic=False, **options)


@pytest.mark.parametrize("size", [(3, 5), (7, 1)], ids=str)
def test_blur_by_height_and_width(size: tuple[int, int]) -> None:
    sigma = (0.8, 2.0)
    wanted = IMAGES[..., 0].astype("float64")
    for axis in (0, 1):
        at = np.arange(size[axis]) - (size[axis] - 1) / 2
        weights = np.exp(-0.5 * (at / sigma[axis]) ** 2)
        weights = weights / weights.sum()
        wanted = np.apply_along_axis(np.convolve, axis + 1, wanted, weights, "same")
    result = kt.ops.image.gaussian_blur(IMAGES, size, sigma)[..., 0]
    np.testing.assert_allclose(result, wanted, rtol=1e-5, atol=1e-6)


def test_blur_of_bytes_and_even_sizes() -> None:
    wanted = kt.ops.image.gaussian_blur(BYTES.astype("float32")).round()
    result = kt.ops.image.gaussian_blur(BYTES)
    assert result.dtype is torch.uint8
    np.testing.assert_array_equal(result, wanted)
    assert kt.ops.image.gaussian_blur(IMAGES, (4, 2)).shape == IMAGES.shape


def test_sobel_edges() -> None:
    check("image.sobel_edges", IMAGES)
    check("image.sobel_edges", FIRST, data_format="channels_first")
    result = kt.ops.image.sobel_edges(BYTES)
    np.testing.assert_array_equal(result, kt.ops.image.sobel_edges(BYTES.astype("float32")))
    with pytest.raises(ValueError, match="must have 4 axes"):
        kt.ops.image.sobel_edges(IMAGES[0])


@pytest.mark.parametrize(
    "options",
    [{}, {"max_val": 2.0, "filter_size": 7, "filter_sigma": 1.0, "k1": 0.02, "k2": 0.05}],
    ids=str,
)
def test_ssim(options: dict[str, Any]) -> None:
    other = (IMAGES * 0.7 + 0.3 * RANDOM.uniform(size=IMAGES.shape)).astype("float32")
    check("image.ssim", IMAGES, other, **options)
    moved = np.ascontiguousarray(np.moveaxis(other, -1, 1))
    check("image.ssim", FIRST, moved, data_format="channels_first", symbolic=False, **options)
    check("image.ssim", IMAGES[0], other[0], symbolic=False, **options)


def test_ssim_of_bytes_and_of_itself() -> None:
    same = kt.ops.image.ssim(BYTES, BYTES, max_val=255)
    assert same.dtype is torch.float32
    np.testing.assert_allclose(same, [1, 1], rtol=1e-5)
    with pytest.raises(ValueError, match="must have one shape"):
        kt.ops.image.ssim(IMAGES, IMAGES[0])
    with pytest.raises(ValueError, match="`filter_size` must fit into the images"):
        kt.ops.image.ssim(IMAGES, IMAGES, filter_size=13)
