"""Bounding boxes in layers for pictures: they stay around what they were around."""

from __future__ import annotations

import keras as oracle
import numpy as np
import pytest
import torch
from image_layers import ALL

import kerastorch as keras
from kerastorch.utils.bounding_boxes import convert_format

H, W = 48, 64
rng = np.random.default_rng(0)


def made(name: str, **arguments: object) -> keras.layers.Layer:
    options = {"seed": 3, "bounding_box_format": "xyxy", **arguments}
    if name in ("Resizing", "CenterCrop"):
        del options["seed"]
    return getattr(keras.layers, name)(**options)


def scene(count: int = 8) -> dict[str, object]:
    """One rectangle of ones in each picture, and the box around it."""
    corner = torch.from_numpy(rng.integers((10, 8), (30, 22), (count, 2)))
    end = corner + torch.from_numpy(rng.integers(8, 16, (count, 2)))
    box = torch.cat([corner, end], 1).float()
    y, x = torch.arange(H).view(1, H, 1), torch.arange(W).view(1, 1, W)
    left, top, right, bottom = (n.view(-1, 1, 1) for n in box.unbind(1))
    inside = (x >= left) & (x < right) & (y >= top) & (y < bottom)
    boxes = {"boxes": box.unsqueeze(1), "labels": torch.arange(count).unsqueeze(1)}
    return {"images": inside.float().unsqueeze(-1), "bounding_boxes": boxes}


def seen(images: torch.Tensor) -> torch.Tensor:
    """The boxes around all that is one: (B, 4)."""
    found = []
    for picture in images[..., 0] > 0.5:
        ys, xs = picture.nonzero().unbind(1)
        found.append([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1] if len(xs) else [0] * 4)
    return torch.tensor(found).float()


AFFINE = {"interpolation": "nearest", "fill_mode": "constant"}
#: Layer, arguments, and how far pixels may be from the exact corners: a pixel counts by its middle.
MOVES = {
    "RandomFlip": ({}, 0),
    "RandomCrop": ({"height": 36, "width": 40}, 0),
    "RandomTranslation": ({"height_factor": 0.3, "width_factor": (-0.5, 0.4), **AFFINE}, 0.5),
    "RandomZoom": ({"height_factor": 0.4, "width_factor": (-0.4, 0.2), **AFFINE}, 0.5),
    "RandomRotation": ({"factor": 0.15, **AFFINE}, 1.0),
    "RandomShear": ({"x_factor": 0.3, "y_factor": 0.2, **AFFINE}, 1.0),
    "RandomPerspective": ({"scale": 0.4, "interpolation": "nearest", "factor": (0.7, 0.7)}, 1.0),
    "RandAugment": ({"num_ops": 1, "value_range": (0, 1), "interpolation": "nearest"}, 1.0),
}


@pytest.mark.parametrize("name", MOVES)
def test_boxes_follow_what_they_are_around(name: str) -> None:
    arguments, tolerance = MOVES[name]
    layer, data = made(name, **arguments), scene()
    if name == "RandAugment":  # tools that change colours as well would be seen as things
        layer._tools = [t for t in layer._tools if t.name in ("shear", "translation", "rotation")]
        for tool in layer._tools:
            tool.fill_mode = "constant"
    result = layer(data, training=True)
    boxes = result["bounding_boxes"]
    expected = seen(result["images"])
    gone = expected.amax(1) == 0
    found = boxes["boxes"][:, 0]
    assert (found - expected).abs().amax(1)[~gone].max() <= tolerance + 1e-4
    assert not torch.equal(found, data["bounding_boxes"]["boxes"][:, 0])
    assert (boxes["labels"][~gone, 0] == torch.arange(8)[~gone]).all()
    assert gone.sum() <= 4
    outside = layer(data)["bounding_boxes"]["boxes"]
    assert name == "RandomCrop" or torch.equal(outside, data["bounding_boxes"]["boxes"])


SIZES = {
    "stretched": ("Resizing", {"height": 20, "width": 60}),
    "padded": ("Resizing", {"height": 48, "width": 48, "pad_to_aspect_ratio": True}),
    "cut off": ("Resizing", {"height": 24, "width": 24, "crop_to_aspect_ratio": True}),
    "middle": ("CenterCrop", {"height": 30, "width": 41}),
    "too small": ("CenterCrop", {"height": 96, "width": 96}),
}


@pytest.mark.parametrize("name", ["xyxy", "rel_center_xywh"])
@pytest.mark.parametrize("case", SIZES)
def test_sizes_as_in_keras(case: str, name: str) -> None:
    kind, arguments = SIZES[case]
    data = scene()
    corners = data["bounding_boxes"]["boxes"]
    data["bounding_boxes"]["boxes"] = convert_format(corners, "xyxy", name, H, W)
    mine = made(kind, **arguments, bounding_box_format=name)(data)["bounding_boxes"]
    layer = getattr(oracle.layers, kind)(**arguments, bounding_box_format=name)
    theirs = layer(data)["bounding_boxes"]
    torch.testing.assert_close(mine["boxes"], theirs["boxes"], rtol=1e-5, atol=1e-5)
    assert mine["labels"].tolist() == theirs["labels"].tolist()


def test_random_crop_outside_training_resizes_the_middle() -> None:
    data = scene()
    crop = made("RandomCrop", height=24, width=24)(data)["bounding_boxes"]["boxes"]
    same = made("Resizing", height=24, width=24, crop_to_aspect_ratio=True)(data)
    assert torch.equal(crop, same["bounding_boxes"]["boxes"])


def test_boxes_out_of_the_picture_and_boxes_that_stand_for_none() -> None:
    boxes = {
        "boxes": torch.tensor([[0.0, 0, 5, 5], [-1.0, -1, -1, -1], [50.0, 40, 60, 47]]),
        "labels": torch.tensor([1, -1, 3]),
        "more": "kept",
    }
    layer = made("RandomTranslation", height_factor=(-0.5, -0.5), width_factor=(-0.5, -0.5))
    data = {"images": np.ones((H, W, 3), "float32"), "bounding_boxes": boxes}
    result = layer(data, training=True)["bounding_boxes"]
    assert result["labels"].tolist() == [-1, -1, 3]
    assert result["boxes"][2].tolist() == [18.0, 16.0, 28.0, 23.0]
    assert not result["boxes"][:2].any()
    assert result["more"] == "kept"
    assert boxes["labels"].tolist() == [1, -1, 3]


@pytest.mark.parametrize("name", sorted(set(ALL) - set(MOVES) - {"MaxNumBoundingBoxes", "MixUp"}))
def test_all_others_leave_boxes_or_say_why_not(name: str) -> None:
    layer = getattr(keras.layers, name)(**ALL[name])
    data = scene()
    data["images"] = data["images"].expand(-1, -1, -1, 3)
    boxes = data["bounding_boxes"]
    if name in ("Resizing", "CenterCrop"):
        with pytest.raises(ValueError, match=f"{name} .*`bounding_box_format="):
            layer(data)
    elif name in ("CutMix", "AugMix", "RandomElasticTransform"):
        assert torch.equal(layer(data)["bounding_boxes"]["boxes"], boxes["boxes"])
        with pytest.raises(NotImplementedError, match=f"{name} .*'bounding_boxes' cannot"):
            layer(data, training=True)
    else:
        result = layer(data, training=True)["bounding_boxes"]
        assert torch.equal(result["boxes"], boxes["boxes"])


def test_mixed_pictures_have_the_boxes_of_both() -> None:
    data = scene()
    result = made("MixUp", alpha=5.0)(data, training=True)
    boxes = result["bounding_boxes"]
    assert boxes["boxes"].shape == (8, 2, 4)
    for picture, pair, labels in zip(
        result["images"], boxes["boxes"], boxes["labels"], strict=True
    ):
        both = torch.zeros(H, W, dtype=torch.bool)
        for left, top, right, bottom in pair.long().tolist():
            both[top:bottom, left:right] = True
        assert torch.equal(picture[..., 0] > 0, both)
        assert torch.equal(pair, data["bounding_boxes"]["boxes"][labels, 0])


@pytest.mark.parametrize("number", [1, 2, 4])
@pytest.mark.parametrize("count", [1, 3])
def test_max_num_bounding_boxes(number: int, count: int) -> None:
    boxes = {"boxes": np.ones((2, count, 4), "float32"), "labels": np.ones((2, count), "float32")}
    data = {"images": np.zeros((2, 4, 4, 3), "float32"), "bounding_boxes": boxes}
    mine = keras.layers.MaxNumBoundingBoxes(number, fill_value=-2)(data)["bounding_boxes"]
    layer = oracle.layers.MaxNumBoundingBoxes(number, -2, bounding_box_format="xyxy")
    theirs = layer(data)["bounding_boxes"]
    for key in boxes:
        np.testing.assert_array_equal(np.array(mine[key]), np.array(theirs[key]))


def test_in_data() -> None:
    data = keras.data.Dataset.from_tensor_slices(scene()).batch(4)
    layer = made("RandomFlip")
    (first, *_) = data.map(lambda batch: layer(batch, training=True))
    torch.testing.assert_close(
        seen(first["images"]), first["bounding_boxes"]["boxes"][:, 0], rtol=0, atol=0
    )


def test_file_round_trip() -> None:
    layer = made("RandomFlip", bounding_box_format="rel_xywh")
    assert layer.get_config()["bounding_box_format"] == "rel_xywh"
    assert oracle.layers.RandomFlip(bounding_box_format="xywh").bounding_box_format == "xywh"
    assert keras.layers.RandomFlip.from_config(layer.get_config()).bounding_box_format == "rel_xywh"
