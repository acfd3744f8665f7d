"""`MaxNumBoundingBoxes`: as many boxes for each picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from kerastorch.layers._base import positive
from kerastorch.layers._layer import registry
from kerastorch.layers._preprocessing._images._base import Pictures


class MaxNumBoundingBoxes(Pictures):
    """The first `max_number` boxes of each picture, filled up with boxes and labels of `fill_value`.

    Takes ``{"images": ..., "bounding_boxes": {"boxes": (B, N, 4), "labels": (B, N)}}``; all but the boxes stays as
    it is.

    >>> import torch, kerastorch as keras
    >>> boxes = {"boxes": torch.ones(1, 1, 4), "labels": torch.ones(1, 1)}
    >>> data = {"images": torch.zeros(1, 8, 8, 3), "bounding_boxes": boxes}
    >>> keras.layers.MaxNumBoundingBoxes(3)(data)["bounding_boxes"]["labels"]
    tensor([[ 1., -1., -1.]])
    """

    _keeps_integers = True

    def __init__(self, max_number: int, fill_value: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        positive(type(self).__name__, max_number=max_number)
        self.max_number, self.fill_value = max_number, int(fill_value)

    def _changed(self, x: torch.Tensor, drawn: Any) -> torch.Tensor:
        return x

    def _boxes(
        self, given: dict[str, Any], before: Sequence[int], after: Sequence[int], drawn: Any
    ) -> dict[str, Any]:
        axis = given["boxes"].dim() - 2
        own = ("boxes", "labels")
        return {key: self._filled(v, axis) if key in own else v for key, v in given.items()}

    def _filled(self, x: torch.Tensor, axis: int) -> torch.Tensor:
        x = x.narrow(axis, 0, min(self.max_number, x.shape[axis]))
        pads = [0, 0] * (x.dim() - axis - 1) + [0, self.max_number - x.shape[axis]]
        return F.pad(x, pads, value=self.fill_value)


registry.add(MaxNumBoundingBoxes)
