"""Blocks of images: as columns, and as depth."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from kerastorch.config import standardize_data_format
from kerastorch.ops._op import Array, op


@op
def unfold(
    x: Array, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> torch.Tensor:
    """Windows as columns: (N, C, H, W) -> (N, C * window, number of windows).

    >>> import torch, kerastorch as keras
    >>> keras.ops.unfold(torch.ones(1, 2, 4, 4), 2, stride=2).shape
    torch.Size([1, 8, 4])
    """
    _check_rank(x, 4, "(N, C, H, W)")
    return F.unfold(x, kernel_size, dilation, padding, stride)


@op
def fold(
    x: Array,
    output_size: Any,
    kernel_size: Any,
    dilation: Any = 1,
    padding: Any = 0,
    stride: Any = 1,
) -> torch.Tensor:
    """The sum of windows at their places: (N, C * window, number of windows) -> (N, C, *output_size).

    >>> import torch, kerastorch as keras
    >>> keras.ops.fold(torch.ones(1, 8, 4), 4, 2, stride=2).shape
    torch.Size([1, 2, 4, 4])
    """
    _check_rank(x, 3, "(N, C * window, windows)")
    return F.fold(x, output_size, kernel_size, dilation, padding, stride)


@op
def depth_to_space(x: Array, block_size: int, data_format: str = "channels_last") -> torch.Tensor:
    """Channels as blocks of pixels: (N, H, W, s * s * C) -> (N, s * H, s * W, C).

    With ``"channels_first"`` the channels are (C, s, s), as in `torch.nn.PixelShuffle`. Shi et al., 2016.

    >>> import torch, kerastorch as keras
    >>> keras.ops.depth_to_space(torch.ones(1, 2, 3, 8), 2).shape
    torch.Size([1, 4, 6, 2])
    """
    _check_rank(x, 4, "(N, H, W, C)")
    if standardize_data_format(data_format) == "channels_first":
        return F.pixel_shuffle(x, block_size)
    x = x.unflatten(-1, (block_size, block_size, -1))
    return x.transpose(2, 3).flatten(3, 4).flatten(1, 2)


@op
def space_to_depth(x: Array, block_size: int, data_format: str = "channels_last") -> torch.Tensor:
    """The inverse of `depth_to_space`: (N, s * H, s * W, C) -> (N, H, W, s * s * C).

    >>> import torch, kerastorch as keras
    >>> keras.ops.space_to_depth(torch.ones(1, 4, 6, 2), 2).shape
    torch.Size([1, 2, 3, 8])
    """
    _check_rank(x, 4, "(N, H, W, C)")
    if standardize_data_format(data_format) == "channels_first":
        return F.pixel_unshuffle(x, block_size)
    x = x.unflatten(2, (-1, block_size)).unflatten(1, (-1, block_size))
    return x.transpose(2, 3).flatten(3)


def _check_rank(x: torch.Tensor, rank: int, axes: str) -> None:
    if x.ndim != rank:
        raise ValueError(f"`x` must have {rank} axes {axes}, received shape {tuple(x.shape)}.")
