"""Layers that draw other colours: hue, saturation, and several changes one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from kerastorch.config import epsilon
from kerastorch.layers._layer import registry
from kerastorch.layers._preprocessing._images._base import (
    ByFactor,
    Coloring,
    Factor,
    factor_of,
    per_picture,
)
from kerastorch.layers._preprocessing._images._intensity import (
    RandomBrightness,
    RandomContrast,
    gray,
)
from kerastorch.ops._image._color_spaces import to_hsv, to_rgb


def _hsv(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Hue, saturation and value, (B, H, W) each."""
    if x.shape[1] != 3:
        raise ValueError(f"pictures must have 3 channels, received {x.shape[1]}")
    return to_hsv(x).unbind(1)


class RandomHue(ByFactor):
    """In training, turns the colours of each picture around the circle of hues, one way or the other.

    Args:
        factor: a pair of bounds in [0, 1], as fractions of half the circle; f stands for (0, f).
        value_range: lowest and highest value of a pixel.

    >>> import torch, kerastorch as keras
    >>> layer = keras.layers.RandomHue((1.0, 1.0), value_range=(0, 1))
    >>> layer(torch.tensor([[[1.0, 0.0, 0.0]]]), training=True).round()
    tensor([[[0., 1., 1.]]])
    """

    def _draw(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        side = torch.where(self._uniform(x) > 0.5, -0.5, 0.5)
        return (side * self._uniform(x, self.factor),)

    def _altered(self, x: torch.Tensor, *drawn: torch.Tensor) -> torch.Tensor:
        hue, saturation, value = _hsv(self._to(x, 1))
        turned = hue + per_picture(drawn[0]).squeeze(1)
        x = to_rgb(torch.stack([turned, saturation, value], 1))
        return self._back(x.clamp(0, 1), 1)


class RandomSaturation(ByFactor):
    """In training, makes the colours of each picture stronger or weaker.

    Args:
        factor: a pair of bounds in [0, 1], or f for (0, f): 0 takes the colour away, 0.5 changes nothing, 1
            makes all colours pure.
        value_range: lowest and highest value of a pixel.

    >>> import torch, kerastorch as keras
    >>> layer = keras.layers.RandomSaturation((0.0, 0.0), value_range=(0, 1))
    >>> layer(torch.tensor([[[1.0, 0.5, 0.0]]]), training=True)
    tensor([[[1., 1., 1.]]])
    """

    def _draw(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        factor = self._uniform(x, self.factor)
        return (factor / (1 - factor + epsilon()),)

    def _altered(self, x: torch.Tensor, *drawn: torch.Tensor) -> torch.Tensor:
        hue, saturation, value = _hsv(self._to(x, 1))
        changed = (saturation * per_picture(drawn[0]).squeeze(1)).clamp(0, 1)
        return self._back(to_rgb(torch.stack([hue, changed, value], 1)), 1)


class RandomColorJitter(Coloring):
    """In training, `RandomBrightness`, `RandomContrast`, `RandomSaturation` and `RandomHue`, one after the other.

    A factor that is None leaves its layer out.

    >>> import torch, kerastorch as keras
    >>> layer = keras.layers.RandomColorJitter((0, 1), brightness_factor=(-0.5, -0.5))
    >>> layer(torch.full((1, 1, 3), 0.75), training=True)
    tensor([[[0.2500, 0.2500, 0.2500]]])
    """

    _steps: list[Coloring]

    def __init__(
        self,
        value_range: Sequence[float] = (0, 255),
        brightness_factor: Factor | None = None,
        contrast_factor: Factor | None = None,
        saturation_factor: Factor | None = None,
        hue_factor: Factor | None = None,
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(value_range, data_format, seed, **kwargs)
        self.brightness_factor, self.contrast_factor = brightness_factor, contrast_factor
        self.saturation_factor, self.hue_factor = saturation_factor, hue_factor
        steps: list[Coloring] = []
        for kind, factor in (
            (RandomBrightness, brightness_factor),
            (RandomContrast, contrast_factor),
            (RandomSaturation, saturation_factor),
            (RandomHue, hue_factor),
        ):
            if factor is not None:
                steps.append(kind(factor, value_range, name=kind.__name__))
                steps[-1]._generator = self._generator
        self.__dict__["_steps"] = steps  # not modules of this one: they are only functions

    def _draw(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(step._draw(x)[0] for step in self._steps)

    def _altered(self, x: torch.Tensor, *drawn: torch.Tensor) -> torch.Tensor:
        for step, number in zip(self._steps, drawn, strict=True):
            x = step._altered(x, number)
        return x


class RandomColorDegeneration(Coloring):
    """In training, mixes each picture with itself without colour.

    Args:
        factor: a pair of bounds in [0, 1], or f for (0, f): 0 changes nothing, 1 takes the colour away.
        value_range: lowest and highest value of a pixel: the result is cut off there.

    >>> import torch, kerastorch as keras
    >>> layer = keras.layers.RandomColorDegeneration((1.0, 1.0), value_range=(0, 1))
    >>> layer(torch.tensor([[[1.0, 0.0, 1.0]]]), training=True)
    tensor([[[0.4129, 0.4129, 0.4129]]])
    """

    def __init__(
        self,
        factor: Factor,
        value_range: Sequence[float] = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(value_range, data_format, seed, **kwargs)
        # Files that Keras wrote have (-f, f) where f was given.
        one = 0.0 if isinstance(factor, (int, float)) else None
        self.factor = factor_of(type(self).__name__, "factor", factor, (-1.0, 1.0), one)

    def _draw(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (self._uniform(x, self.factor),)

    def _altered(self, x: torch.Tensor, *drawn: torch.Tensor) -> torch.Tensor:
        return self._clipped(x + per_picture(drawn[0]) * (gray(x) - x))


registry.add(RandomHue, RandomSaturation, RandomColorJitter, RandomColorDegeneration)
