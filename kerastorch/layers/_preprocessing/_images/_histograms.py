"""`AutoContrast` and `Equalization`: each channel of each picture uses the whole range of values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from kerastorch.layers._base import positive
from kerastorch.layers._layer import registry
from kerastorch.layers._preprocessing._images._base import Pictures, rescaled, value_range_of
from kerastorch.ops._image._pixels import wide


class AutoContrast(Pictures):
    """The darkest and the brightest value of each channel become those of `value_range`.

    A channel of one value stays as it is.

    >>> import torch, kerastorch as keras
    >>> keras.layers.AutoContrast()(torch.tensor([[[50.0], [60.0], [70.0]]])).flatten()
    tensor([  0.0000, 127.5000, 255.0000])
    """

    def __init__(self, value_range: Sequence[float] = (0, 255), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.value_range = value_range_of(type(self).__name__, value_range)

    def _changed(self, x: torch.Tensor, drawn: Any) -> torch.Tensor:
        x = wide(x)
        low, high = x.amin((2, 3), True), x.amax((2, 3), True)
        spread = high - low
        stretched = (x - low) / torch.where(spread > 0, spread, 1)
        return torch.where(spread > 0, rescaled(stretched, (0, 1), self.value_range), x)


class Equalization(Pictures):
    """Values of each channel of a picture become as even as they can: each its rank among the pixels.

    Args:
        value_range: lowest and highest value of a pixel.
        bins: how many values are told apart.

    >>> import torch, kerastorch as keras
    >>> keras.layers.Equalization()(torch.tensor([[[1.0], [2.0], [3.0], [4.0]]])).flatten()
    tensor([  0.,  85., 170., 255.])
    """

    def __init__(
        self,
        value_range: Sequence[float] = (0, 255),
        bins: int = 256,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, **kwargs)
        positive(type(self).__name__, bins=bins)
        self.bins = bins
        self.value_range = value_range_of(type(self).__name__, value_range)

    def _changed(self, x: torch.Tensor, drawn: Any) -> torch.Tensor:
        x = rescaled(wide(x), self.value_range, (0, 255))
        flat, last = x.flatten(2), self.bins - 1
        found = (flat * last / 255).int().clamp(0, last).long()
        counts = flat.new_zeros((*flat.shape[:2], self.bins))
        counts = counts.scatter_add(2, found, torch.ones_like(flat))
        below = counts.cumsum(2)
        least = torch.where(below > 0, below, torch.inf).amin(2, keepdim=True)
        span = below[..., -1:] - least
        table = ((below - least) * 255 / torch.where(span > 0, span, 1)).round().clamp(0, 255)
        places = (flat / 255 * last).clamp(0, last).long()
        equal = torch.where(span > 0, table.gather(2, places), flat)
        return rescaled(equal.view_as(x), (0, 255), self.value_range)


registry.add(AutoContrast, Equalization)
