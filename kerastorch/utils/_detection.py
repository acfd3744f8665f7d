"""What detectors learn from boxes, and how far boxes overlap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from kerastorch.config import epsilon
from kerastorch.utils._boxes import area, as_boxes, convert_format

# -- detectors ---------------------------------------------------------------------------------------


def encode_box_to_deltas(
    anchors: Any,
    boxes: Any,
    anchor_format: str,
    box_format: str,
    encoding_format: str = "center_yxhw",
    variance: Sequence[float] | None = None,
    image_shape: Sequence[int] | None = None,
) -> torch.Tensor:
    """What a detector learns: ``(box - anchor) / size`` of the middles and ``log(box / anchor)`` of the sizes.

    Args:
        anchors: (N, 4).
        boxes: (N, 4) or (B, N, 4), one for each anchor.
        encoding_format: ``"center_yxhw"`` or ``"center_xywh"``.
        variance: four numbers that the result is divided by.
        image_shape: (height, width, channels), needed for relative formats.

    >>> from kerastorch.utils import bounding_boxes
    >>> bounding_boxes.encode_box_to_deltas([[0, 0, 10, 10]], [[5, 0, 15, 10]], "xyxy", "xyxy")
    tensor([[0.0000, 0.5000, 0.0000, 0.0000]])
    """
    _check_encoding("encode_box_to_deltas", encoding_format, variance)
    height, width = (None, None) if image_shape is None else image_shape[:2]
    anchors = convert_format(anchors, anchor_format, encoding_format, height, width)
    boxes = convert_format(boxes, box_format, encoding_format, height, width)
    size, new_size = (each[..., 2:].clamp_min(epsilon()) for each in (anchors, boxes))
    moved = (boxes[..., :2] - anchors[..., :2]) / size
    deltas = torch.cat([moved, torch.log(new_size / size)], -1)
    return deltas if variance is None else deltas / _like(variance, deltas)


def decode_deltas_to_boxes(
    anchors: Any,
    boxes_delta: Any,
    anchor_format: str,
    box_format: str,
    encoded_format: str = "center_yxhw",
    variance: Sequence[float] | None = None,
    image_shape: Sequence[int] | None = None,
) -> Any:
    """The inverse of `encode_box_to_deltas`; both may be dicts of tensors, by level.

    >>> from kerastorch.utils import bounding_boxes
    >>> bounding_boxes.decode_deltas_to_boxes([[0, 0, 10, 10]], [[0, 0.5, 0, 0]], "xyxy", "xyxy")
    tensor([[ 5.,  0., 15., 10.]])
    """
    _check_encoding("decode_deltas_to_boxes", encoded_format, variance)
    if isinstance(anchors, dict):
        rest = anchor_format, box_format, encoded_format, variance, image_shape
        return {
            level: decode_deltas_to_boxes(anchor, boxes_delta[level], *rest)
            for level, anchor in anchors.items()
        }
    height, width = (None, None) if image_shape is None else image_shape[:2]
    anchors = convert_format(anchors, anchor_format, encoded_format, height, width)
    deltas = as_boxes("decode_deltas_to_boxes", boxes_delta)
    deltas = deltas if variance is None else deltas * _like(variance, deltas)
    size = anchors[..., 2:]
    boxes = torch.cat([deltas[..., :2] * size + anchors[..., :2], deltas[..., 2:].exp() * size], -1)
    return convert_format(boxes, encoded_format, box_format, height, width)


def _check_encoding(function: str, name: str, variance: Any) -> None:
    if name not in ("center_xywh", "center_yxhw"):
        raise ValueError(
            f"{function}: boxes are encoded as 'center_xywh' or 'center_yxhw', received {name!r}."
        )
    if variance is not None and len(variance) != 4:
        raise ValueError(f"{function}: `variance` must be four numbers, received {variance!r}.")


def _like(values: Any, x: torch.Tensor) -> torch.Tensor:
    return torch.as_tensor(values, dtype=x.dtype, device=x.device)


# -- overlaps ----------------------------------------------------------------------------------------


def compute_iou(
    boxes1: Any,
    boxes2: Any,
    bounding_box_format: str,
    use_masking: bool = False,
    mask_val: float = -1,
    image_shape: Sequence[int] | None = None,
) -> torch.Tensor:
    """Intersection over union of each box of the first with each of the second: (M, 4), (N, 4) -> (M, N).

    Either may have a batch axis, and so has the result then. With `use_masking`, pairs with a box whose numbers
    are all negative, which stands for none, give `mask_val`.

    >>> from kerastorch.utils import bounding_boxes
    >>> bounding_boxes.compute_iou([[0, 0, 2, 2]], [[0, 0, 2, 2], [1, 0, 3, 2]], "xyxy")
    tensor([[1.0000, 0.3333]])
    """
    first, second = _same_corners("compute_iou", boxes1, boxes2, bounding_box_format, image_shape)
    first, second = first.unsqueeze(-2), second.unsqueeze(-3)
    start = torch.maximum(first[..., :2], second[..., :2])
    end = torch.minimum(first[..., 2:], second[..., 2:])
    common = (end - start).clamp_min(0).prod(-1)
    result = common / (area(first) + area(second) - common + epsilon())
    if not use_masking:
        return result
    none = (first.amax(-1) < 0) | (second.amax(-1) < 0)
    return torch.where(none, mask_val, result)


def compute_ciou(
    boxes1: Any,
    boxes2: Any,
    bounding_box_format: str,
    image_shape: Sequence[int] | None = None,
) -> torch.Tensor:
    """Intersection over union, less the distance of the middles and the difference of the shapes, of boxes in
    pairs: (..., 4), (..., 4) -> (...). Zheng et al., 2020.

    With d the distance of the middles, c the diagonal of the box around both, v = ``4 / pi**2 * (atan(w2 / h2) -
    atan(w1 / h1))**2`` and a = ``v / (v - iou + 1)`` it is ``iou - d**2 / c**2 - a * v``.

    >>> from kerastorch.utils import bounding_boxes
    >>> bounding_boxes.compute_ciou([[0, 0, 2, 2]], [[1, 0, 3, 2]], "xyxy")
    tensor([0.2564])
    """
    first, second = _same_corners("compute_ciou", boxes1, boxes2, bounding_box_format, image_shape)
    tiny = epsilon()
    (w1, h1), (w2, h2) = ((b[..., 2:] - b[..., :2]).unbind(-1) for b in (first, second))
    h1, h2 = h1 + tiny, h2 + tiny
    start = torch.maximum(first[..., :2], second[..., :2])
    end = torch.minimum(first[..., 2:], second[..., 2:])
    common = (end - start).clamp_min(0).prod(-1)
    iou = common / (w1 * h1 + w2 * h2 - common + 2 * tiny)
    outer = torch.maximum(first[..., 2:], second[..., 2:]) - torch.minimum(
        first[..., :2], second[..., :2]
    )
    between = (first[..., :2] + first[..., 2:] - second[..., :2] - second[..., 2:]) / 2
    distance = between.square().sum(-1) / (outer.square().sum(-1) + tiny)
    v = 4 / math.pi**2 * (torch.atan(w2 / h2) - torch.atan(w1 / h1)).square()
    return iou - distance - v * v / (v - iou + 1 + tiny)


def _same_corners(
    function: str, boxes1: Any, boxes2: Any, name: str, image_shape: Sequence[int] | None
) -> list[torch.Tensor]:
    """Both as left, top, right, bottom."""
    height, width = (None, None) if image_shape is None else image_shape[:2]
    if name.lower().startswith("rel_") and image_shape is None:
        raise ValueError(f"{function}: {name!r} takes `image_shape`, (height, width, channels).")
    return [convert_format(boxes, name, "xyxy", height, width) for boxes in (boxes1, boxes2)]
