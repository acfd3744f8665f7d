"""Parts of images against Keras."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from oracle import check

import kerastorch as kt

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.uniform(size=(2, 9, 8, 3)).astype("float32")
FIRST = np.ascontiguousarray(np.moveaxis(IMAGES, -1, 1))


def part(kind: str, *values: int | None) -> dict[str, Any]:
    sides = [f"{side}_{kind}" for side in ("top", "left", "bottom", "right")]
    return dict(zip([*sides, "target_height", "target_width"], values, strict=True))


CROPS = [
    (1, 2, 3, 1, None, None),
    (1, 2, None, None, 4, 5),
    (None, None, 2, 0, 4, 5),
    (0, None, 0, 1, None, 2),
]
PADS = [(1, 2, 3, 1, None, None), (1, 2, None, None, 14, 15), (None, None, 2, 0, 14, 15)]


@pytest.mark.parametrize("values", CROPS, ids=str)
def test_crop_images(values: tuple[int | None, ...]) -> None:
    options = part("cropping", *values)
    check("image.crop_images", IMAGES, **options)
    check("image.crop_images", FIRST, data_format="channels_first", symbolic=False, **options)
    check("image.crop_images", IMAGES[0].astype("int32"), symbolic=False, **options)


@pytest.mark.parametrize("values", PADS, ids=str)
def test_pad_images(values: tuple[int | None, ...]) -> None:
    options = part("padding", *values)
    check("image.pad_images", IMAGES, **options)
    check("image.pad_images", FIRST, data_format="channels_first", symbolic=False, **options)
    check("image.pad_images", (IMAGES[0] * 9).astype("uint8"), symbolic=False, **options)


def test_images_of_unknown_size() -> None:
    x = kt.Input(batch_shape=(None, None, None, 3))
    cut = kt.ops.image.crop_images(x, 1, 2, target_height=4, target_width=5)
    padded = kt.ops.image.pad_images(x, 1, 2, target_height=14, target_width=15)
    model = kt.Model(x, [cut, padded])
    assert [y.shape for y in model.outputs] == [(None, 4, 5, 3), (None, 14, 15, 3)]
    found = model(torch.from_numpy(IMAGES))
    torch.testing.assert_close(found[0], torch.from_numpy(IMAGES[:, 1:5, 2:7]))
    assert torch.equal(found[1][:, 1:10, 2:10], torch.from_numpy(IMAGES))


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("crop", (1, 2, 3, 1, 5, None), "exactly two of top_cropping, bottom_cropping"),
        ("crop", (1, 2, 3, None, None, None), "exactly two of left_cropping, right_cropping"),
        ("crop", (5, 0, 5, 0, None, None), "nor take more than the 9 entries"),
        ("crop", (0, None, 0, 5, None, 5), "must not be negative"),
        ("pad", (1, 2, None, 1, None, None), "exactly two of top_padding, bottom_padding"),
        ("pad", (1, 2, None, 1, 5, None), "must not be negative"),
    ],
)
def test_errors(name: str, values: tuple[int | None, ...], message: str) -> None:
    options = part(f"{name}ping" if name == "crop" else "padding", *values)
    with pytest.raises(ValueError, match=message):
        getattr(kt.ops.image, f"{name}_images")(IMAGES, **options)


# -- patches -----------------------------------------------------------------------------------------

PATCHES: list[dict[str, Any]] = [
    {"size": 3}, {"size": (3, 2), "strides": 2}, {"size": 3, "strides": (1, 2), "padding": "same"},
    {"size": 2, "strides": 1, "dilation_rate": 2}, {"size": 4, "strides": 3, "padding": "same"},
]  # fmt: skip


@pytest.mark.parametrize("options", PATCHES, ids=str)
def test_extract_patches(options: dict[str, Any]) -> None:
    check("image.extract_patches", IMAGES, **options)
    check("image.extract_patches", FIRST, data_format="channels_first", symbolic=False, **options)
    check("image.extract_patches", IMAGES[0], symbolic=False, **options)


VOLUMES = RANDOM.uniform(size=(2, 5, 6, 4, 3)).astype("float32")


@pytest.mark.parametrize(
    "options", [{"size": 2}, {"size": (2, 3, 1), "strides": 2, "padding": "same"}], ids=str
)
def test_extract_patches_of_volumes(options: dict[str, Any]) -> None:
    check("image.extract_patches_3d", VOLUMES, **options)
    check("image.extract_patches_3d", VOLUMES[0], symbolic=False, **options)
    first = np.ascontiguousarray(np.moveaxis(VOLUMES, -1, 1))
    check(
        "image.extract_patches_3d", first, data_format="channels_first", symbolic=False, **options
    )
    if options["size"] != 2:
        check("image.extract_patches", VOLUMES, symbolic=False, **options)


def test_patches_of_integers_and_errors() -> None:
    x = torch.arange(16, dtype=torch.uint8).reshape(4, 4, 1)
    patches = kt.ops.image.extract_patches(x, 2)
    assert patches.dtype is torch.uint8
    assert patches[0, 1].tolist() == [2, 3, 6, 7]
    with pytest.raises(ValueError, match="`size` must be an integer, or two or three"):
        kt.ops.image.extract_patches(x, (2, 2, 2, 2))
    with pytest.raises(ValueError, match="takes images of 3 or 4 axes"):
        kt.ops.image.extract_patches(x[..., 0], 2)
