"""`utils.bounding_boxes` gives what Keras gives."""

import itertools

import numpy as np
import pytest
import torch
from keras.utils import bounding_boxes as oracle

from kerastorch.utils import bounding_boxes as ours
from kerastorch.utils._boxes import FORMATS as ALL

FORMATS = [name for name in ALL if name != "rel_center_yxhw"]  # Keras has none
rng = np.random.default_rng(0)


def boxes(*shape: int, size: float = 40.0) -> np.ndarray:
    """Some of them stick out."""
    start = rng.uniform(-5, size, (*shape, 2))
    return np.concatenate([start, start + rng.uniform(1, 20, (*shape, 2))], -1).astype("float32")


def close(mine: torch.Tensor, theirs: object) -> None:
    expected = torch.as_tensor(np.array(theirs))
    torch.testing.assert_close(mine, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("source", "target"), list(itertools.product(FORMATS, FORMATS)))
def test_formats(source: str, target: str) -> None:
    x, size = boxes(2, 3) / (50 if source.startswith("rel_") else 1), {"height": 30, "width": 50}
    found = ours.convert_format(x, source, target, **size)
    close(found, oracle.convert_format(x, source, target, **size))
    close(ours.convert_format(found, target, source, **size), x)


def test_formats_of_dicts_and_wrong_ones() -> None:
    data = {"boxes": boxes(3), "labels": [1, 2, 3]}
    found = ours.convert_format(data, "XYXY", "xywh")
    assert found["labels"] == [1, 2, 3]
    assert isinstance(data["boxes"], np.ndarray)
    assert found["boxes"].shape == (3, 4)
    with pytest.raises(ValueError, match="received 'xyz'"):
        ours.convert_format(data, "xyz", "xyxy")
    with pytest.raises(ValueError, match="`height` and the `width`"):
        ours.convert_format(data, "xyxy", "rel_xyxy")
    with pytest.raises(ValueError, match=r"\(B, N, 4\), received \(3, 3\)"):
        ours.convert_format(np.ones((3, 3)), "xyxy", "xywh")


@pytest.mark.parametrize("name", ["xyxy", "rel_xyxy"])
def test_clipping(name: str) -> None:
    x = boxes(2, 5) / (30 if name == "rel_xyxy" else 1)
    data = {"boxes": torch.from_numpy(x), "labels": torch.arange(10).view(2, 5)}
    found = ours.clip_to_image_size(data, 30, 25, name)
    theirs = oracle.clip_to_image_size(data, 30, 25, name)
    close(found["boxes"], theirs["boxes"])
    assert found["labels"].tolist() == theirs["labels"].tolist()
    assert -1 in found["labels"]
    several = {**data, "labels": torch.ones(2, 5, 3)}
    several = ours.clip_to_image_size(several, 30, 25, name)
    assert torch.equal(several["labels"][..., 0] == -1, found["labels"] == -1)


def test_clipping_in_another_format() -> None:
    x = boxes(5)
    other = {"boxes": ours.convert_format(x, "xyxy", "center_xywh")}
    found = ours.clip_to_image_size(other, 30, 25, "center_xywh")["boxes"]
    expected = ours.clip_to_image_size({"boxes": x}, 30, 25)["boxes"]
    close(ours.convert_format(found, "center_xywh", "xyxy"), expected)


def test_crop_and_pad() -> None:
    x = torch.from_numpy(boxes(2, 5))
    close(ours.crop(x, 3, 4, 20, 15), oracle.crop(x, 3, 4, 20, 15))
    close(ours.pad(x, 3, 4), oracle.pad(x, 3, 4))
    wide = ours.convert_format(x, "xyxy", "xywh")
    close(
        ours.convert_format(ours.pad(wide, 3, 4, bounding_box_format="xywh"), "xywh", "xyxy"),
        x + torch.tensor([4, 3, 4, 3]),
    )
    with pytest.raises(ValueError, match="crop works on pixels"):
        ours.crop(x, 1, 1, 2, 2, "rel_xyxy")


def test_affine_transform() -> None:
    x = torch.from_numpy(boxes(3, 4))
    numbers = [torch.from_numpy(rng.uniform(-a, a, 3).astype("float32")) for a in (90, 0.3, 0.3)]
    scale, shears = torch.tensor([0.5, 1.0, 2.0]), [torch.tensor([3.0, -8.0, 0.0])] * 2
    more = {"center_x": torch.tensor([0.2, 0.5, 0.6]), "center_y": 0.4}
    for options in ({}, more):
        arguments = (x, *numbers, scale, *shears, 30, 50)
        close(
            ours.affine_transform(*arguments, **options),
            oracle.affine_transform(*arguments, **options),
        )
    single = ours.affine_transform(x[1], *(n[1] for n in numbers), 1.0, 3.0, 3.0, 30, 50)
    assert single.shape == (4, 4)


@pytest.mark.parametrize("variance", [None, [0.1, 0.1, 0.2, 0.2]])
@pytest.mark.parametrize("name", ["xywh", "rel_xyxy"])
def test_deltas(name: str, variance: list[float] | None) -> None:
    anchors, x = boxes(6), boxes(2, 6)
    shape = (30, 50, 3)
    x = np.array(ours.convert_format(x, "xyxy", name, *shape[:2]))
    rest = "xyxy", name, "center_xywh", variance, shape
    deltas = ours.encode_box_to_deltas(anchors, x, *rest)
    close(deltas, oracle.encode_box_to_deltas(anchors, x, *rest))
    close(ours.decode_deltas_to_boxes(anchors, deltas, *rest), x)
    levels = ours.decode_deltas_to_boxes({"p": anchors}, {"p": deltas}, *rest)
    close(levels["p"], x)
    with pytest.raises(ValueError, match="four numbers"):
        ours.encode_box_to_deltas(anchors, x, "xyxy", name, variance=[1.0])
    with pytest.raises(ValueError, match="received 'xyxy'"):
        ours.decode_deltas_to_boxes(anchors, deltas, "xyxy", name, "xyxy")


SHAPES = [((4,), (3,)), ((2, 4), (2, 3)), ((2, 4), (3,)), ((4,), (2, 3))]


@pytest.mark.parametrize(("first", "second"), SHAPES)
@pytest.mark.parametrize("masking", [False, True])
def test_iou(first: tuple[int, ...], second: tuple[int, ...], masking: bool) -> None:
    a, b = boxes(*first), boxes(*second)
    a[..., 0, :] = -1
    found = ours.compute_iou(a, b, "xyxy", use_masking=masking, mask_val=-7)
    if len(first) != len(second):  # then Keras cannot mask
        a, b = (np.broadcast_to(x, (2, *x.shape[-2:])) for x in (a, b))
    close(found, oracle.compute_iou(a, b, "xyxy", use_masking=masking, mask_val=-7))
    assert (found == -7).any() == masking


def test_iou_of_fractions_and_ciou() -> None:
    a, b = boxes(2, 4), boxes(2, 4) + 3
    found = ours.compute_ciou(a, b, "xyxy")
    close(found, oracle.compute_ciou(a, b, "xyxy"))
    relative = [ours.convert_format(x, "xyxy", "rel_yxyx", 30, 50) for x in (a, b)]
    close(ours.compute_ciou(*relative, "rel_yxyx", (30, 50, 3)), found)
    close(
        ours.compute_iou(*relative, "rel_yxyx", image_shape=(30, 50, 3)),
        ours.compute_iou(a, b, "xyxy"),
    )
    with pytest.raises(ValueError, match="`image_shape`"):
        ours.compute_ciou(*relative, "rel_yxyx")
    close(ours.compute_ciou(a, a, "xyxy"), np.ones((2, 4), "float32"))
