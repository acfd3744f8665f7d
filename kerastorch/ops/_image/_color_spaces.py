"""Colours in other coordinates; the channels are on axis `axis`."""

from __future__ import annotations

import torch


def grayscale(images: torch.Tensor, axis: int = 1) -> torch.Tensor:
    """``0.2989 r + 0.587 g + 0.114 b``, with one channel."""
    r, g, b = images.unbind(axis)
    return (0.2989 * r + 0.587 * g + 0.114 * b).to(images.dtype).unsqueeze(axis)


def to_hsv(images: torch.Tensor, axis: int = 1) -> torch.Tensor:
    """Red, green and blue as hue, saturation and value."""
    r, g, b = torch.where(images.abs() < torch.finfo(images.dtype).eps, 0, images).unbind(axis)
    value = torch.maximum(torch.maximum(r, g), b)
    spread = value - torch.minimum(torch.minimum(r, g), b)
    saturation = torch.where(value > 0, spread / torch.where(value > 0, value, 1), 0)
    # by which of the colours is the largest: a sixth of the circle around 0, 1/3 or 2/3
    sixth = 1 / (6 * torch.where(spread > 0, spread, 1))
    hue = torch.where(value == g, sixth * (b - r) + 1 / 3, sixth * (r - g) + 2 / 3)
    hue = torch.where(value == r, sixth * (g - b), hue)
    hue = torch.where(spread > 0, hue, 0) + (hue < 0)
    return torch.stack([hue, saturation, value], axis)


def to_rgb(images: torch.Tensor, axis: int = 1) -> torch.Tensor:
    """The inverse of `to_hsv`."""
    hue, saturation, value = images.unbind(axis)
    place = (hue % 1) * 6
    pure = ((place - 3).abs() - 1, 2 - (place - 2).abs(), 2 - (place - 4).abs())
    pale = 1 - saturation
    return torch.stack([value * (pale + saturation * c.clamp(0, 1)) for c in pure], axis)
