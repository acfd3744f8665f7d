"""What functions of images share: the order of axes, and integers as pixels."""

from __future__ import annotations

import torch

from kerastorch.config import standardize_data_format


def is_last(data_format: str | None) -> bool:
    """Whether the channels come last."""
    return standardize_data_format(data_format) == "channels_last"


def check_rank(images: torch.Tensor, *ranks: int) -> None:
    """Raise unless the number of axes is right."""
    if images.ndim not in ranks:
        kinds = {3: "3 axes (an image)", 4: "4 axes (a batch of images)"}
        raise ValueError(
            f"`images` must have {' or '.join(kinds[rank] for rank in ranks)}, "
            f"received shape {tuple(images.shape)}."
        )


def channels_first(images: torch.Tensor, data_format: str | None) -> torch.Tensor:
    """An image or a batch as a view (B, C, H, W)."""
    check_rank(images, 3, 4)
    x = images if images.ndim == 4 else images.unsqueeze(0)
    return x.movedim(-1, 1) if is_last(data_format) else x


def as_given(x: torch.Tensor, images: torch.Tensor, data_format: str | None) -> torch.Tensor:
    """(B, C, H, W) with the axes and the dtype of `images`; integers are rounded, and stay in their range."""
    x = x.movedim(1, -1) if is_last(data_format) else x
    return as_pixels(x if images.ndim == 4 else x.squeeze(0), images.dtype)


def as_pixels(x: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """`x` as `dtype`; integers are rounded, and small ones stay in their range."""
    if dtype.is_floating_point or dtype is torch.bool or not x.is_floating_point():
        return x.to(dtype)
    if dtype.itemsize < 4:
        x = x.clamp(torch.iinfo(dtype).min, torch.iinfo(dtype).max)
    return x.round().to(dtype)


def wide(x: torch.Tensor) -> torch.Tensor:
    """In float32, or as it is in float64."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
