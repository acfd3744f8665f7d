"""Windows over images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from kerastorch.ops._windows import pad_axes, same_padding


def blurred(
    x: torch.Tensor, sizes: tuple[int, ...], sigmas: Sequence[float], padding: str = "same"
) -> torch.Tensor:
    """A Gaussian filter over the last two axes, one after the other."""
    if padding == "same":
        x = pad_axes(x, same_padding(x.shape[-2:], sizes, (1, 1), (1, 1)))
    y = x.reshape(-1, 1, *x.shape[-2:])
    for axis, (size, sigma) in enumerate(zip(sizes, sigmas, strict=True)):
        weights = torch.softmax(_exponents(y, size, sigma), -1).view(1, 1, -1)
        y = F.conv2d(y, weights.unsqueeze(3 - axis))
    return y.reshape(*x.shape[:-2], *y.shape[-2:])


def blurred_each(x: torch.Tensor, sizes: tuple[int, int], sigmas: torch.Tensor) -> torch.Tensor:
    """A Gaussian filter for each image: (B, C, H, W), (B, 2) -> (B, C, H, W), zeros around the image."""
    batch, channels, height, width = x.shape
    x = pad_axes(x, same_padding((height, width), sizes, (1, 1), (1, 1)))
    x = x.reshape(1, batch * channels, *x.shape[2:])
    for axis, size in enumerate(sizes):
        weights = torch.softmax(_exponents(sigmas, size, sigmas[:, axis, None]), -1)
        weights = weights.to(x.dtype).repeat_interleave(channels, 0).unsqueeze(1)
        x = F.conv2d(x, weights.unsqueeze(3 - axis), groups=batch * channels)
    return x.reshape(batch, channels, height, width)


def _exponents(like: torch.Tensor, size: int, sigma: float | torch.Tensor) -> torch.Tensor:
    """Of the normal density at `size` neighbouring pixels, in the dtype of `like`; sigma (B, 1): (B, size)."""
    distance = torch.arange(size, dtype=like.dtype, device=like.device) - (size - 1) / 2
    return -0.5 * (distance / sigma).square()
