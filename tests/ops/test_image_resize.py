"""Images in other sizes against Keras; Lanczos filters and areas, which its torch backend lacks, against PIL."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from oracle import check
from PIL import Image

import kerastorch as kt

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.uniform(size=(2, 9, 7, 3)).astype("float32")
BYTES = RANDOM.integers(0, 256, size=(2, 9, 7, 3)).astype("uint8")


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(4, 5), (12, 15)], ids=str)
@pytest.mark.parametrize("antialias", [False, True])
def test_resize(interpolation: str, size: tuple[int, int], antialias: bool) -> None:
    options = {"interpolation": interpolation, "antialias": antialias}
    check("image.resize", IMAGES, size, symbolic=size == (4, 5), **options)
    check("image.resize", BYTES, size, symbolic=False, **options)


def test_one_image_and_channels_first() -> None:
    check("image.resize", IMAGES[0], [5, 5])
    first = np.ascontiguousarray(np.moveaxis(IMAGES, -1, 1))
    check("image.resize", first, (5, 5), data_format="channels_first")


def test_images_of_unknown_size() -> None:
    x = kt.Input(batch_shape=(None, None, None, 3))
    model = kt.Model(x, kt.ops.image.resize(x, (4, 6), "area", pad_to_aspect_ratio=True))
    assert model.output.shape == (None, 4, 6, 3)
    wanted = kt.ops.image.resize(IMAGES, (4, 6), "area", pad_to_aspect_ratio=True)
    assert torch.equal(model(torch.from_numpy(IMAGES)), wanted)


@pytest.mark.parametrize("size", [(4, 4), (6, 3), (3, 12), (20, 20)], ids=str)
@pytest.mark.parametrize("keep", ["crop_to_aspect_ratio", "pad_to_aspect_ratio"])
def test_aspect_ratio(size: tuple[int, int], keep: str) -> None:
    check("image.resize", IMAGES, size, symbolic=size == (4, 4), fill_value=0.5, **{keep: True})


@pytest.mark.parametrize("dtype", ["int32", "int64", "int16", "float64", "float16"])
def test_dtypes(dtype: str) -> None:
    check("image.resize", (IMAGES * 100).astype(dtype), (4, 5), symbolic=False, gradients=False)


def test_large_integers_stay_exact() -> None:
    x = torch.tensor([[[2**24 + 1], [2**31 - 1]]], dtype=torch.int32)
    assert torch.equal(kt.ops.image.resize(x, (2, 2), "nearest"), x.expand(2, 2, 1))


@pytest.mark.parametrize("size", [(4, 5), (12, 15)], ids=str)
def test_lanczos_is_that_of_pil(size: tuple[int, int]) -> None:
    image = Image.fromarray(IMAGES[0, ..., 0])
    wanted = np.asarray(image.resize(size[::-1], Image.Resampling.LANCZOS))
    result = kt.ops.image.resize(IMAGES[0, ..., :1], size, "lanczos3", antialias=True)
    np.testing.assert_allclose(
        result[..., 0], wanted, rtol=1e-4, atol=1e-4
    )  # PIL's weights are rounded


@pytest.mark.parametrize("size", [(3, 7), (4, 5), (2, 3)], ids=str)
def test_areas_are_those_of_pil(size: tuple[int, int]) -> None:
    wanted = _areas(_areas(IMAGES, 1, size[0]), 2, size[1])
    result = kt.ops.image.resize(IMAGES, size, "area")
    np.testing.assert_allclose(result, wanted, rtol=1e-5, atol=1e-6)


def _areas(x: np.ndarray, axis: int, n: int) -> np.ndarray:
    """Means of n equal parts, by repeating each entry n times."""
    parts = np.split(np.repeat(x, n, axis), n, axis)
    return np.concatenate([part.mean(axis, keepdims=True) for part in parts], axis)


def test_lanczos5_keeps_what_is_constant() -> None:
    result = kt.ops.image.resize(torch.full((5, 5, 1), 3.0), (8, 3), "lanczos5")
    torch.testing.assert_close(result, torch.full((8, 3, 1), 3.0))


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((IMAGES[0, 0], (3, 3)), {}, "`images` must have 3 axes"),
        ((IMAGES, (3,)), {}, "`size` must be"),
        ((IMAGES, (3, 0)), {}, "`size` must be"),
        ((IMAGES, (3, 3), "cubic"), {}, "`interpolation` must be one of"),
        ((IMAGES, (3, 3)), {"fill_mode": "nearest"}, "`fill_mode` must be 'constant'"),
        (
            (IMAGES, (3, 3)),
            {"crop_to_aspect_ratio": True, "pad_to_aspect_ratio": True},
            "only one can be True",
        ),
    ],
)
def test_errors(arguments: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kt.ops.image.resize(*arguments, **options)


# -- scale and translate -----------------------------------------------------------------------------

SCALE, SHIFT = np.array([1.31, 0.61], "float32"), np.array([0.7, -0.43], "float32")


@pytest.mark.parametrize("method", ["linear", "bilinear", "cubic", "lanczos3", "lanczos5"])
@pytest.mark.parametrize("antialias", [False, True])
def test_scale_and_translate(method: str, antialias: bool) -> None:
    arguments = (2, 8, 6, 3), SCALE, SHIFT, (1, 2), method, antialias
    # the first arrays are the images: what is of their first size is not a batch
    check("image.scale_and_translate", IMAGES, *arguments, unknown=False)


def test_scale_and_translate_integers_and_one_axis() -> None:
    options = {"symbolic": False, "gradients": False}
    check(
        "image.scale_and_translate", BYTES, (2, 8, 6, 3), SCALE, SHIFT, (1, -2), "cubic", **options
    )
    check(
        "image.scale_and_translate", IMAGES, (2, 5, 7, 3), [0.5], [0.0], (1,), "linear", **options
    )
    with pytest.raises(ValueError, match="`method` must be one of"):
        kt.ops.image.scale_and_translate(IMAGES, (2, 5, 7, 3), [0.5], [0.0], (1,), "nearest")
