"""Data over axes of time or space: the channels go first for torch, and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from kerastorch.config import standardize_data_format
from kerastorch.ops._windows import Pads, same_padding


def on_channels_first(
    x: torch.Tensor, data_format: str | None, function: Callable[[torch.Tensor], torch.Tensor]
) -> torch.Tensor:
    """What `function` gives for `x` with its channels on axis 1: views, nothing is copied."""
    if not 3 <= x.ndim <= 5:
        raise ValueError(
            "`inputs` must have a batch axis, one to three axes of time or space, and channels; "
            f"received shape {tuple(x.shape)}."
        )
    if standardize_data_format(data_format) == "channels_first":
        return function(x)
    return function(x.movedim(-1, 1)).movedim(1, -1)


def padding_of(
    padding: str, sizes: Any, window: tuple[int, ...], strides: Any, dilation: Any
) -> Pads:
    """How many entries `padding` adds before and after each axis."""
    if checked(padding) == "valid":
        return [(0, 0)] * len(window)
    return same_padding(sizes, window, strides, dilation)


def checked(padding: str) -> str:
    """`padding` in small letters, if it is one of the two."""
    if str(padding).lower() not in ("valid", "same"):
        raise ValueError(f"`padding` must be 'valid' or 'same', received {padding!r}.")
    return padding.lower()
