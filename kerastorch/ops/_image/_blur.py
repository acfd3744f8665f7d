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
    y = F.conv2d(y, _gaussian(y, sizes[0], sigmas[0]).view(1, 1, -1, 1))
    y = F.conv2d(y, _gaussian(y, sizes[1], sigmas[1]).view(1, 1, 1, -1))
    return y.reshape(*x.shape[:-2], *y.shape[-2:])


def _gaussian(x: torch.Tensor, size: int, sigma: float) -> torch.Tensor:
    """Weights with sum 1, of the dtype of `x`."""
    distance = torch.arange(size, dtype=x.dtype, device=x.device) - (size - 1) / 2
    return torch.softmax(-0.5 * (distance / sigma).square(), 0)


def blurred_each(x: torch.Tensor, sizes: tuple[int, int], sigmas: torch.Tensor) -> torch.Tensor:
    """A Gaussian filter for each image: (B, C, H, W), (B, 2) -> (B, C, H, W), zeros around the image."""
    batch, channels, height, width = x.shape
    x = pad_axes(x, same_padding((height, width), sizes, (1, 1), (1, 1)))
    x = x.reshape(1, batch * channels, *x.shape[2:])
    for axis, size in enumerate(sizes):
        distance = torch.arange(size, dtype=sigmas.dtype, device=x.device) - (size - 1) / 2
        weights = torch.softmax(-0.5 * (distance / sigmas[:, axis, None]).square(), -1)
        weights = weights.to(x.dtype).repeat_interleave(channels, 0).unsqueeze(1)
        x = F.conv2d(x, weights.unsqueeze(3 - axis), groups=batch * channels)
    return x.reshape(batch, channels, height, width)
