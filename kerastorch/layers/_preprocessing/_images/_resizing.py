"""`Resizing` and `CenterCrop`: pictures of one size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from kerastorch.layers._base import positive
from kerastorch.layers._layer import registry
from kerastorch.layers._preprocessing._images._base import Mover, Pictures, one_of
from kerastorch.ops._image._sizes import check_interpolation, largest, missing, resized


class Resizing(Pictures):
    """Pictures of `height` and `width`: (B, H, W, C) -> (B, height, width, C). Integers stay integers.

    Args:
        interpolation: ``"bilinear"``, ``"nearest"``, ``"bicubic"``, ``"lanczos3"``, ``"lanczos5"`` or ``"area"``.
        crop_to_aspect_ratio: cut off what does not fit, in place of distorting.
        pad_to_aspect_ratio: pad by `fill_value` what is missing, in place of distorting.
        antialias: widen the filter where the picture shrinks.

    >>> import torch, kerastorch as keras
    >>> keras.layers.Resizing(4, 6)(torch.zeros(2, 8, 8, 3, dtype=torch.uint8)).shape
    torch.Size([2, 4, 6, 3])
    """

    _keeps_integers = True

    def __init__(
        self,
        height: int,
        width: int,
        interpolation: str = "bilinear",
        crop_to_aspect_ratio: bool = False,
        pad_to_aspect_ratio: bool = False,
        fill_mode: str = "constant",
        fill_value: float = 0.0,
        antialias: bool = False,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, **kwargs)
        positive(type(self).__name__, height=height, width=width)
        check_interpolation(interpolation)
        one_of(type(self).__name__, "fill_mode", fill_mode, ("constant",))
        if crop_to_aspect_ratio and pad_to_aspect_ratio:
            raise ValueError(
                "Resizing: of `crop_to_aspect_ratio` and `pad_to_aspect_ratio` only one can be True."
            )
        self.height, self.width = height, width
        self.interpolation = interpolation
        self.crop_to_aspect_ratio = crop_to_aspect_ratio
        self.pad_to_aspect_ratio = pad_to_aspect_ratio
        self.fill_mode, self.fill_value = fill_mode, fill_value
        self.antialias = antialias

    def _changed(self, x: torch.Tensor, drawn: Any) -> torch.Tensor:
        return self._resized(x, self.interpolation)

    def _mask(self, x: torch.Tensor, drawn: Any) -> torch.Tensor:
        return self._resized(x, "nearest")

    def _mover(self, size: Sequence[int], drawn: Any) -> Mover:
        if self.crop_to_aspect_ratio:
            return into(largest(size, self.height, self.width), size, self.height, self.width)
        rows = columns = 0
        if self.pad_to_aspect_ratio:
            rows, columns = missing(size, self.height, self.width)
        part = size[0] + 2 * rows, size[1] + 2 * columns
        return _scaling(-rows, -columns, part, self.height, self.width)

    def _resized(self, x: torch.Tensor, interpolation: str) -> torch.Tensor:
        return resized(
            x,
            (self.height, self.width),
            interpolation,
            self.antialias,
            self.crop_to_aspect_ratio,
            self.pad_to_aspect_ratio,
            self.fill_value,
            "channels_first",
        )


class CenterCrop(Pictures):
    """The middle of pictures: (B, H, W, C) -> (B, height, width, C).

    Where a picture is too small, the largest part that has the aspect ratio is resized.

    >>> import torch, kerastorch as keras
    >>> keras.layers.CenterCrop(1, 2)(torch.arange(12.0).view(3, 4, 1))[..., 0]
    tensor([[5., 6.]])
    """

    def __init__(
        self, height: int, width: int, data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(data_format, **kwargs)
        positive(type(self).__name__, height=height, width=width)
        self.height, self.width = height, width

    def _changed(self, x: torch.Tensor, drawn: Any) -> torch.Tensor:
        return self._cropped(x, "bilinear")

    def _mask(self, x: torch.Tensor, drawn: Any) -> torch.Tensor:
        return self._cropped(x, "nearest")

    def _mover(self, size: Sequence[int], drawn: Any) -> Mover:
        fits = size[0] >= self.height and size[1] >= self.width
        part = (self.height, self.width) if fits else largest(size, self.height, self.width)
        return into(part, size, self.height, self.width)

    def _cropped(self, x: torch.Tensor, interpolation: str) -> torch.Tensor:
        rows, columns = x.shape[2] - self.height, x.shape[3] - self.width
        if rows < 0 or columns < 0:
            return largest_part(x, self.height, self.width, interpolation)
        return x.narrow(2, rows // 2, self.height).narrow(3, columns // 2, self.width)


def largest_part(x: torch.Tensor, height: int, width: int, interpolation: str) -> torch.Tensor:
    """The largest part in the middle that has an aspect ratio, resized."""
    return resized(
        x,
        (height, width),
        interpolation,
        crop_to_aspect_ratio=True,
        data_format="channels_first",
    )


def into(part: Sequence[int], size: Sequence[int], height: int, width: int) -> Mover:
    """Where points go when the middle `part` of pictures of `size` becomes (height, width)."""
    top, left = (size[0] - part[0]) // 2, (size[1] - part[1]) // 2
    return _scaling(top, left, part, height, width)


def _scaling(top: int, left: int, part: Sequence[int], height: int, width: int) -> Mover:
    def move(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return (x - left) * (width / part[1]), (y - top) * (height / part[0])

    return move


registry.add(Resizing, CenterCrop)
