"""Colours against Keras and Python's `colorsys`."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
from oracle import check

import kerastorch as kt

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.uniform(size=(2, 4, 5, 3)).astype("float32")
FIRST = np.ascontiguousarray(np.moveaxis(IMAGES, -1, 1))
NAMES = ("rgb_to_grayscale", "rgb_to_hsv", "hsv_to_rgb")


@pytest.mark.parametrize("name", NAMES)
def test_colors(name: str) -> None:
    check(f"image.{name}", IMAGES)
    check(f"image.{name}", FIRST, data_format="channels_first")
    check(f"image.{name}", IMAGES[0], symbolic=False)
    check(f"image.{name}", IMAGES.astype("float64"), symbolic=False, gradients=False)


def test_grayscale_of_bytes_and_of_gray() -> None:
    check("image.rgb_to_grayscale", (IMAGES * 255).astype("uint8"), symbolic=False)
    check("image.rgb_to_grayscale", IMAGES[..., :1])


def test_gray_black_and_pure_colors() -> None:
    colors = np.array(
        [[0, 0, 0], [0.5, 0.5, 0.5], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0.5]], "float32"
    )
    check("image.rgb_to_hsv", colors[None], symbolic=False, gradients=False)


def test_colors_are_those_of_colorsys() -> None:
    pixels = IMAGES[0].reshape(-1, 3)
    hsv = kt.ops.image.rgb_to_hsv(IMAGES[0]).reshape(-1, 3)
    np.testing.assert_allclose(hsv, [colorsys.rgb_to_hsv(*p) for p in pixels], rtol=1e-5, atol=1e-6)
    rgb = kt.ops.image.hsv_to_rgb(IMAGES[0]).reshape(-1, 3)
    np.testing.assert_allclose(rgb, [colorsys.hsv_to_rgb(*p) for p in pixels], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_errors(name: str) -> None:
    function = getattr(kt.ops.image, name)
    with pytest.raises(ValueError, match="`images` must have 3 axes"):
        function(IMAGES[0, 0])
    with pytest.raises(ValueError, match="channels on axis -1"):
        function(IMAGES[..., :2])
    if name != "rgb_to_grayscale":
        with pytest.raises(ValueError, match="must be floating point"):
            function(IMAGES.astype("uint8"))
