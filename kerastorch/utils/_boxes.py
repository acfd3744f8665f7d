"""Boxes in other formats, and moved; the formats are told in `utils.bounding_boxes`."""

from __future__ import annotations

from typing import Any

import torch

from kerastorch.config import standardize_dtype

FORMATS = tuple(
    relative + name
    for relative in ("", "rel_")
    for name in ("xyxy", "yxyx", "xywh", "center_xywh", "center_yxhw")
)


# -- formats -----------------------------------------------------------------------------------------


def convert_format(
    boxes: Any,
    source: str,
    target: str,
    height: Any = None,
    width: Any = None,
    dtype: Any = "float32",
) -> Any:
    """Boxes in another format: a tensor, or a dict with such boxes under ``"boxes"``.

    `height` and `width` of the picture are needed between pixels and fractions.

    >>> from kerastorch.utils import bounding_boxes
    >>> bounding_boxes.convert_format([[10, 20, 30, 60]], "xyxy", "center_xywh")
    tensor([[20., 40., 20., 40.]])
    """
    if isinstance(boxes, dict):
        changed = convert_format(boxes["boxes"], source, target, height, width, dtype)
        return {**boxes, "boxes": changed}
    source, target = (_checked("convert_format", name) for name in (source, target))
    boxes = as_boxes("convert_format", boxes, dtype)
    if source == target:
        return boxes
    relative = source.startswith("rel_"), target.startswith("rel_")
    if relative[0] != relative[1]:
        if height is None or width is None:
            raise ValueError(
                f"convert_format: from {source!r} to {target!r} takes the `height` and the `width` of the "
                f"picture, received {height} and {width}."
            )
    else:
        height = width = 1
    corners = _to_corners(boxes, source.removeprefix("rel_"))
    if relative[0]:
        corners = _scaled(corners, width, height)
    elif relative[1]:
        corners = _scaled(corners, 1 / width, 1 / height)
    return _from_corners(corners, target.removeprefix("rel_"))


def _checked(function: str, name: str) -> str:
    if str(name).lower() not in FORMATS:
        raise ValueError(f"{function}: the format must be one of {FORMATS}, received {name!r}.")
    return name.lower()


def as_boxes(function: str, boxes: Any, dtype: Any = "float32") -> torch.Tensor:
    """A tensor of boxes."""
    boxes = torch.as_tensor(boxes).to(standardize_dtype(dtype))
    if boxes.dim() not in (1, 2, 3) or boxes.shape[-1] != 4:
        raise ValueError(
            f"{function}: boxes must have the shape (N, 4) or (B, N, 4), received {tuple(boxes.shape)}."
        )
    return boxes


def _to_corners(boxes: torch.Tensor, name: str) -> torch.Tensor:
    """Any format in pixels as left, top, right, bottom."""
    first, second = boxes[..., :2], boxes[..., 2:]
    if name.removeprefix("center_").startswith("y"):
        first, second = first.flip(-1), second.flip(-1)
    if name[-4:] in ("xywh", "yxhw"):
        if name.startswith("center"):
            first = first - second / 2
        second = first + second
    return torch.cat([first, second], -1)


def _from_corners(corners: torch.Tensor, name: str) -> torch.Tensor:
    first, second = corners[..., :2], corners[..., 2:]
    if name[-4:] in ("xywh", "yxhw"):
        second = second - first
        if name.startswith("center"):
            first = first + second / 2
    if name.removeprefix("center_").startswith("y"):
        first, second = first.flip(-1), second.flip(-1)
    return torch.cat([first, second], -1)


def _scaled(corners: torch.Tensor, x: Any, y: Any) -> torch.Tensor:
    left, top, right, bottom = corners.unbind(-1)
    return torch.stack([left * x, top * y, right * x, bottom * y], -1)


# -- changes -----------------------------------------------------------------------------------------


def clip_to_image_size(
    bounding_boxes: dict[str, Any],
    height: Any = None,
    width: Any = None,
    bounding_box_format: str = "xyxy",
) -> dict[str, Any]:
    """The parts of boxes within the picture. The ``"labels"`` of boxes of which nothing is left become -1.

    >>> from kerastorch.utils import bounding_boxes
    >>> boxes = {"boxes": [[-5.0, 2.0, 5.0, 20.0], [11.0, 0.0, 12.0, 3.0]], "labels": [4, 7]}
    >>> clipped = bounding_boxes.clip_to_image_size(boxes, height=10, width=10)
    >>> clipped["boxes"].tolist(), clipped["labels"].tolist()
    ([[0.0, 2.0, 5.0, 10.0], [10.0, 0.0, 10.0, 3.0]], [4, -1])
    """
    name = _checked("clip_to_image_size", bounding_box_format)
    if name.startswith("rel_"):
        height = width = 1
        name = name.removeprefix("rel_")
    if height is None or width is None:
        raise ValueError(
            f"clip_to_image_size: {bounding_box_format!r} takes the `height` and the `width` of the picture."
        )
    corners = _to_corners(as_boxes("clip_to_image_size", bounding_boxes["boxes"]), name)
    corners = _clipped(corners, width, height)
    result = {**bounding_boxes, "boxes": _from_corners(corners, name)}
    if result.get("labels") is not None:
        result["labels"] = without_area(corners, torch.as_tensor(result["labels"]))
    return result


def _clipped(corners: torch.Tensor, width: Any, height: Any) -> torch.Tensor:
    left, top, right, bottom = corners.clamp_min(0).unbind(-1)
    x, y = (
        [end.clamp_max(n) for end in ends]
        for ends, n in (((left, right), width), ((top, bottom), height))
    )
    return torch.stack([x[0], y[0], x[1], y[1]], -1)


def without_area(corners: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Labels, one number or several for each box, with -1 for boxes of no area."""
    kept = area(corners) > 0
    kept = kept.unsqueeze(-1) if labels.dim() > kept.dim() else kept
    return torch.where(kept, labels, -1)


def area(corners: torch.Tensor) -> torch.Tensor:
    """Of each box."""
    sizes = corners[..., 2:] - corners[..., :2]
    return sizes[..., 0] * sizes[..., 1]


def crop(
    boxes: Any, top: Any, left: Any, height: Any, width: Any, bounding_box_format: str = "xyxy"
) -> torch.Tensor:
    """Boxes in a part of the picture that begins at (`top`, `left`) and has `height` and `width`: in pixels.

    >>> from kerastorch.utils import bounding_boxes
    >>> bounding_boxes.crop([[10.0, 20.0, 50.0, 60.0]], top=10, left=20, height=40, width=30)
    tensor([[ 0., 10., 30., 40.]])
    """
    name = _pixels("crop", bounding_box_format)
    corners = _shifted(_to_corners(as_boxes("crop", boxes), name), -left, -top)
    return _from_corners(_clipped(corners, width, height), name)


def pad(
    boxes: Any,
    top: Any,
    left: Any,
    height: Any = None,
    width: Any = None,
    bounding_box_format: str = "xyxy",
) -> torch.Tensor:
    """Boxes in a picture that has been given `top` rows above and `left` columns before it: in pixels.

    >>> from kerastorch.utils import bounding_boxes
    >>> bounding_boxes.pad([[10.0, 20.0, 50.0, 60.0]], top=1, left=2)
    tensor([[12., 21., 52., 61.]])
    """
    name = _pixels("pad", bounding_box_format)
    return _from_corners(_shifted(_to_corners(as_boxes("pad", boxes), name), left, top), name)


def _pixels(function: str, name: str) -> str:
    if _checked(function, name).startswith("rel_"):
        raise ValueError(
            f"{function} works on pixels: convert_format the boxes from {name!r} before, and back afterwards."
        )
    return name.lower()


def _shifted(corners: torch.Tensor, x: Any, y: Any) -> torch.Tensor:
    left, top, right, bottom = corners.unbind(-1)
    return torch.stack([left + x, top + y, right + x, bottom + y], -1)


def around(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The smallest upright boxes around points: (..., P) and (..., P) -> (..., 4)."""
    return torch.stack([x.amin(-1), y.amin(-1), x.amax(-1), y.amax(-1)], -1)


def points(corners: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The four corners of boxes: (..., 4) -> x (..., 4) and y (..., 4)."""
    left, top, right, bottom = corners.unbind(-1)
    return torch.stack([left, right, left, right], -1), torch.stack([top, top, bottom, bottom], -1)


def affine_transform(
    boxes: Any,
    angle: Any,
    translate_x: Any,
    translate_y: Any,
    scale: Any,
    shear_x: Any,
    shear_y: Any,
    height: int,
    width: int,
    center_x: Any = None,
    center_y: Any = None,
    bounding_box_format: str = "xyxy",
) -> torch.Tensor:
    """Upright boxes around boxes that have been moved, sheared, turned and scaled: ``c + A (p + t - c)``.

    Args:
        boxes: (N, 4) or (B, N, 4), in pixels.
        angle, shear_x, shear_y: in degrees; numbers, or (B,) as all that follows.
        translate_x, translate_y: t, as fractions of ``width - 1`` and ``height - 1``.
        scale: how much larger.
        height, width: of the picture.
        center_x, center_y: c, as fractions of ``width - 1`` and ``height - 1``; the middle when left out.

    >>> from kerastorch.utils import bounding_boxes
    >>> bounding_boxes.affine_transform([[4.0, 5.0, 6.0, 9.0]], 90.0, 0, 0, 1.0, 0, 0, 11, 11).round()
    tensor([[5., 4., 9., 6.]])
    """
    name = _pixels("affine_transform", bounding_box_format)
    corners = _to_corners(as_boxes("affine_transform", boxes), name)
    x, y = points(corners)

    def ready(value: Any) -> torch.Tensor:
        value = torch.as_tensor(value, dtype=x.dtype, device=x.device)
        return value.view(-1, 1, 1) if value.dim() else value

    turn, along_x, along_y = (-torch.deg2rad(ready(v)) for v in (angle, shear_x, shear_y))
    middle_x, middle_y = (
        (0.5 if center is None else ready(center)) * (n - 1)
        for center, n in ((center_x, width), (center_y, height))
    )
    u = x + ready(translate_x) * (width - 1) - middle_x
    v = y + ready(translate_y) * (height - 1) - middle_y
    a = torch.cos(turn - along_y) / along_y.cos()
    c = -torch.sin(turn - along_y) / along_y.cos()
    b, d = a * along_x.tan() + turn.sin(), turn.cos() - c * along_x.tan()
    x = middle_x + ready(scale) * (d * u - b * v)
    y = middle_y + ready(scale) * (a * v - c * u)
    return _from_corners(around(x, y), name)
