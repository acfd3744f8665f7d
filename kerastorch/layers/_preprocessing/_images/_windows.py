"""Layers that draw a window over each picture: blur, sharpness, and holes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from kerastorch.layers._layer import registry
from kerastorch.layers._preprocessing._images._base import (
    ByFactor,
    Coloring,
    Factor,
    factor_of,
    per_picture,
)
from kerastorch.ops._image._blur import blurred_each
from kerastorch.ops._windows import as_tuple


class RandomGaussianBlur(Coloring):
    """In training, blurs some of the pictures.

    Args:
        factor: the chance of a picture, drawn between a pair of bounds in [0, 1]; f stands for (0, f).
        kernel_size: an odd number, or two for height and width.
        sigma: a pair of bounds in [0, 1] between which the deviation along each axis is drawn, in pixels; f
            stands for (0, f).
        value_range: lowest and highest value of a pixel: the result is cut off there.

    >>> import torch, kerastorch as keras
    >>> keras.layers.RandomGaussianBlur(kernel_size=5)(torch.zeros(2, 8, 8, 3), training=True).shape
    torch.Size([2, 8, 8, 3])
    """

    def __init__(
        self,
        factor: Factor = 1.0,
        kernel_size: int | Sequence[int] = 3,
        sigma: Factor = 1.0,
        value_range: Sequence[float] = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(value_range, data_format, seed, **kwargs)
        kind = type(self).__name__
        self.factor = factor_of(kind, "factor", factor, (0.0, 1.0))
        self.kernel_size = as_tuple(kind, "kernel_size", kernel_size, 2)
        if any(size % 2 == 0 for size in self.kernel_size):
            raise ValueError(f"{kind}: `kernel_size` must be odd, received {kernel_size!r}.")
        self.sigma = factor_of(kind, "sigma", sigma, (0.0, 1.0))

    def _draw(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self._chosen(x, self.factor), self._uniform(x, self.sigma, 2) + 1e-6

    def _altered(self, x: torch.Tensor, *drawn: torch.Tensor) -> torch.Tensor:
        chosen, sigmas = drawn
        height, width = self.kernel_size
        blurred = blurred_each(x, (height, width), sigmas)
        return self._clipped(torch.where(per_picture(chosen), blurred, x))


class RandomSharpness(ByFactor):
    """In training, ``s * x + (1 - s) * smooth`` with the weighted mean of the nine pixels around each.

    Args:
        factor: a pair of bounds in [0, 1] for s / 2, or f for (0, f): below 0.5 blurs, above sharpens.
        value_range: lowest and highest value of a pixel: the result is cut off there.

    >>> import torch, kerastorch as keras
    >>> x = torch.tensor([[[1.0], [0.0], [0.0]]])
    >>> keras.layers.RandomSharpness((0.0, 0.0))(x, training=True).flatten()
    tensor([0.3846, 0.0769, 0.0000])
    """

    def _draw(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (2 * self._uniform(x, self.factor),)

    def _altered(self, x: torch.Tensor, *drawn: torch.Tensor) -> torch.Tensor:
        window = F.pad(x.new_full((1, 1), 4 / 13), [1, 1, 1, 1]) + 1 / 13
        weight = window.expand(x.shape[1], 1, 3, 3)
        smooth = F.conv2d(x, weight, padding=1, groups=x.shape[1])
        return self._clipped(x + (1 - per_picture(drawn[0])) * (smooth - x))


class RandomErasing(Coloring):
    """In training, fills a rectangle in some of the pictures. Zhong et al., 2017.

    Args:
        factor: the chance of a picture, drawn between a pair of bounds in [0, 1]; f stands for (0, f).
        scale: a pair of bounds in [0, 1]: height and width are the roots of two numbers drawn between them, as
            fractions of the picture's; f stands for (0, f).
        fill_value: a number, or three for the channels; None fills with noise, a normal number for each pixel.
        value_range: lowest and highest value of a pixel: what is filled in is cut off there.

    >>> import torch, kerastorch as keras
    >>> layer = keras.layers.RandomErasing((1.0, 1.0), (0.25, 0.25), fill_value=1.0)
    >>> layer(torch.zeros(8, 8, 1), training=True).sum()
    tensor(16.)
    """

    def __init__(
        self,
        factor: Factor = 1.0,
        scale: Factor = (0.02, 0.33),
        fill_value: float | Sequence[float] | None = None,
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(value_range, data_format, seed, **kwargs)
        kind = type(self).__name__
        self.factor = factor_of(kind, "factor", factor, (0.0, 1.0))
        self.scale = factor_of(kind, "scale", scale, (0.0, 1.0))
        several = isinstance(fill_value, (tuple, list))
        if several and len(fill_value) != 3:  # type: ignore[arg-type]
            raise ValueError(
                f"{kind}: `fill_value` must be a number or three of them, received {fill_value!r}."
            )
        self.fill_value = fill_value

    def _draw(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        lengths = self._uniform(x, self.scale, 2).sqrt()
        starts = self._uniform(x, (0.0, 1.0), 2) * (1 - lengths)
        chosen = self._chosen(x, self.factor)
        if self.fill_value is not None:
            return chosen, starts, starts + lengths
        noise = self._fill(x, "normal_", 0.0, 1.0, x.shape) * self.value_range[1]
        return chosen, starts, starts + lengths, noise

    def _altered(self, x: torch.Tensor, *drawn: torch.Tensor) -> torch.Tensor:
        chosen, starts, ends = drawn[:3]
        filling = drawn[3] if self.fill_value is None else self._filling(x)
        hole = per_picture(chosen) & boxes(x, starts, ends)
        return torch.where(hole, self._clipped(filling), x)

    def _filling(self, x: torch.Tensor) -> torch.Tensor:
        if isinstance(self.fill_value, (int, float)):
            return x.new_full((), self.fill_value)
        numbers = [x.new_full((1, 1), number) for number in self.fill_value or ()]
        return torch.stack(numbers)


def boxes(x: torch.Tensor, starts: torch.Tensor, ends: torch.Tensor) -> torch.Tensor:
    """Whether a pixel is in a box, (B, 1, H, W), that begins and ends at fractions (x, y) of the sizes, (B, 2)."""
    inside = []
    for axis, size in enumerate((x.shape[3], x.shape[2])):
        places = torch.arange(size, dtype=starts.dtype, device=x.device)
        start, end = starts[:, axis, None] * size, ends[:, axis, None] * size
        inside.append((places >= start) & (places < end))
    columns, rows = inside
    return rows[:, None, :, None] & columns[:, None, None, :]


registry.add(RandomGaussianBlur, RandomSharpness, RandomErasing)
