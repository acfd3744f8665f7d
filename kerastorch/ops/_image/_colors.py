"""Colours in other coordinates."""

from __future__ import annotations

import torch

from kerastorch.ops._image._color_spaces import grayscale, to_hsv, to_rgb
from kerastorch.ops._image._pixels import check_rank, is_last
from kerastorch.ops._op import Array, op


@op
def rgb_to_grayscale(images: Array, data_format: str | None = None) -> torch.Tensor:
    """``0.2989 r + 0.587 g + 0.114 b``: (B, H, W, 3) -> (B, H, W, 1); what has one channel stays.

    >>> import kerastorch as keras
    >>> keras.ops.image.rgb_to_grayscale([[[1.0, 0.0, 1.0]]])
    tensor([[[0.4129]]])
    """
    axis = _channels(images, data_format, (1, 3))
    if images.shape[axis] == 1:
        return images
    return grayscale(images, axis)


@op
def rgb_to_hsv(images: Array, data_format: str | None = None) -> torch.Tensor:
    """Red, green and blue as hue, saturation and value, all from 0 to 1. Smith, 1978.

    >>> import kerastorch as keras
    >>> keras.ops.image.rgb_to_hsv([[[0.0, 0.5, 0.0]]])
    tensor([[[0.3333, 1.0000, 0.5000]]])
    """
    axis = _channels(images, data_format, (3,), floating=True)
    return to_hsv(images, axis)


@op
def hsv_to_rgb(images: Array, data_format: str | None = None) -> torch.Tensor:
    """The inverse of `rgb_to_hsv`.

    >>> import kerastorch as keras
    >>> keras.ops.image.hsv_to_rgb([[[0.5, 1.0, 1.0]]])
    tensor([[[0., 1., 1.]]])
    """
    axis = _channels(images, data_format, (3,), floating=True)
    return to_rgb(images, axis)


def _channels(
    images: torch.Tensor, data_format: str | None, counts: tuple[int, ...], floating: bool = False
) -> int:
    """The axis of the channels, of which there must be one of `counts`."""
    check_rank(images, 3, 4)
    axis = -1 if is_last(data_format) else -3
    if images.shape[axis] not in counts:
        raise ValueError(
            f"`images` must have {' or '.join(map(str, counts))} channels on axis {axis}, "
            f"received shape {tuple(images.shape)}."
        )
    if floating and not images.is_floating_point():
        raise ValueError(
            f"`images` must be floating point, from 0 to 1; received {images.dtype}. "
            "Divide bytes by 255."
        )
    return axis
