"""Layers that draw how bright and how contrasted a picture is, and how many colours it has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from kerastorch.layers._layer import registry
from kerastorch.layers._preprocessing._images._base import (
    ByFactor,
    Coloring,
    Drawing,
    Factor,
    factor_of,
    per_picture,
)
from kerastorch.ops._image._color_spaces import grayscale


class RandomContrast(Coloring):
    """In training, ``(x - mean) * c + mean`` with the mean of each channel of a picture.

    Args:
        factor: (low, high) in [0, 1] draws c from [1 - low, 1 + high]; f stands for (f, f).
        value_range: lowest and highest value of a pixel: the result is cut off there.

    >>> import torch, kerastorch as keras
    >>> keras.layers.RandomContrast(0.5)(torch.full((2, 4, 4, 3), 7.0), training=True).unique()
    tensor([7.])
    """

    def __init__(
        self,
        factor: Factor,
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(value_range, seed=seed, **kwargs)
        one = factor if isinstance(factor, (int, float)) else None
        self.factor = factor_of(type(self).__name__, "factor", factor, (0.0, 1.0), one)

    def _draw(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (self._uniform(x, (1 - self.factor[0], 1 + self.factor[1])),)

    def _altered(self, x: torch.Tensor, *drawn: torch.Tensor) -> torch.Tensor:
        mean = x.mean((2, 3), keepdim=True)
        return self._clipped((x - mean) * per_picture(drawn[0]) + mean)


class RandomBrightness(Coloring):
    """In training, adds a number to each picture.

    Args:
        factor: a pair of bounds in [-1, 1], as fractions of the range of values, or f for (-f, f).
        value_range: lowest and highest value of a pixel: the result is cut off there.

    >>> import torch, kerastorch as keras
    >>> layer = keras.layers.RandomBrightness((0.5, 0.5), value_range=(0, 1))
    >>> layer(torch.tensor([[[0.2]], [[0.8]]]), training=True).flatten()
    tensor([0.7000, 1.0000])
    """

    def __init__(
        self,
        factor: Factor,
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(value_range, seed=seed, **kwargs)
        self.factor = factor_of(type(self).__name__, "factor", factor, (-1.0, 1.0))

    def _draw(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        low, high = self.value_range
        return (self._uniform(x, self.factor) * (high - low),)

    def _altered(self, x: torch.Tensor, *drawn: torch.Tensor) -> torch.Tensor:
        return self._clipped(x + per_picture(drawn[0]))


class RandomGrayscale(Drawing):
    """In training, takes the colour from a fraction `factor` of the pictures, which keep three channels.

    Integers stay integers.

    >>> import torch, kerastorch as keras
    >>> keras.layers.RandomGrayscale(1.0)(torch.tensor([[[1.0, 0.0, 1.0]]]), training=True)
    tensor([[[0.4129, 0.4129, 0.4129]]])
    """

    _keeps_integers = True

    def __init__(
        self,
        factor: float = 0.5,
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, data_format=data_format, **kwargs)
        if not isinstance(factor, (int, float)) or not 0 <= factor <= 1:
            raise ValueError(
                f"RandomGrayscale: `factor` must be a number in [0, 1], received {factor!r}."
            )
        self.factor = factor

    def _draw(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (self._uniform(x) < self.factor,)

    def _altered(self, x: torch.Tensor, *drawn: torch.Tensor) -> torch.Tensor:
        return torch.where(per_picture(drawn[0]), gray(x), x)


def gray(x: torch.Tensor) -> torch.Tensor:
    """Pictures without colour, with the dtype of x; what has one channel stays."""
    if x.shape[1] not in (1, 3):
        raise ValueError(f"pictures must have 1 or 3 channels, received {x.shape[1]}")
    return grayscale(x) if x.shape[1] == 3 else x


class RandomInvert(Coloring):
    """In training, makes light what is dark in some of the pictures.

    Args:
        factor: the chance of a picture, drawn between a pair of bounds in [0, 1]; f stands for (0, f).
        value_range: lowest and highest value of a pixel.

    >>> import torch, kerastorch as keras
    >>> layer = keras.layers.RandomInvert((1.0, 1.0), value_range=(0, 1))
    >>> layer(torch.tensor([[[0.25]]]), training=True)
    tensor([[[0.7500]]])
    """

    def __init__(
        self,
        factor: Factor = 1.0,
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(value_range, data_format, seed, **kwargs)
        self.factor = factor_of(type(self).__name__, "factor", factor, (0.0, 1.0))

    def _draw(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (self._chosen(x, self.factor),)

    def _altered(self, x: torch.Tensor, *drawn: torch.Tensor) -> torch.Tensor:
        return torch.where(per_picture(drawn[0]), sum(self.value_range) - x, x)


class RandomPosterization(ByFactor):
    """In training, keeps the first bits of each value of a picture, as a byte.

    Args:
        factor: a pair (low, high) in [1, 8] draws low, ..., high - 1 bits; equal numbers, that many; f stands
            for (1, f).
        value_range: lowest and highest value of a pixel.

    >>> import torch, kerastorch as keras
    >>> keras.layers.RandomPosterization((2, 2))(torch.tensor([[[63.0, 64.0, 200.0]]]), training=True)
    tensor([[[  0.,  64., 192.]]])
    """

    _bounds = (1, 8)

    def _draw(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (2 ** (8 - self._uniform(x, self.factor).floor()),)

    def _altered(self, x: torch.Tensor, *drawn: torch.Tensor) -> torch.Tensor:
        step = per_picture(drawn[0])
        return self._back((self._to(x, 255) / step).floor() * step, 255)


class Solarization(Coloring):
    """In training, makes dark what is brighter than a threshold in each picture, after adding a number.

    Args:
        addition_factor, threshold_factor: pairs of bounds in [0, 1], as fractions of the range of values; f
            stands for (0, f).
        value_range: lowest and highest value of a pixel.

    >>> import torch, kerastorch as keras
    >>> layer = keras.layers.Solarization(threshold_factor=(0.5, 0.5))
    >>> layer(torch.tensor([[[100.0, 155.0, 255.0]]]), training=True)
    tensor([[[100., 100.,   0.]]])
    """

    def __init__(
        self,
        addition_factor: Factor = 0.0,
        threshold_factor: Factor = 0.0,
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(value_range, seed=seed, **kwargs)
        kind = type(self).__name__
        self.addition_factor = factor_of(kind, "addition_factor", addition_factor, (0.0, 1.0))
        self.threshold_factor = factor_of(kind, "threshold_factor", threshold_factor, (0.0, 1.0))

    def _draw(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self._uniform(x, self.addition_factor), self._uniform(x, self.threshold_factor)

    def _altered(self, x: torch.Tensor, *drawn: torch.Tensor) -> torch.Tensor:
        addition, threshold = (per_picture(number) * 255 for number in drawn)
        x = (self._to(x, 255) + addition).clamp(0, 255)
        return self._back(torch.where(x < threshold, x, 255 - x), 255)


registry.add(RandomContrast, RandomBrightness, RandomGrayscale, RandomInvert)
registry.add(RandomPosterization, Solarization)
