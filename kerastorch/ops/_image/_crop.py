"""Parts of images: cut off, added around, taken apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from kerastorch.ops._image._pixels import check_rank, is_last
from kerastorch.ops._nn._spatial import padding_of
from kerastorch.ops._op import Array, op
from kerastorch.ops._windows import as_tuple, pad_axes


@op
def crop_images(
    images: Array,
    top_cropping: int | None = None,
    left_cropping: int | None = None,
    bottom_cropping: int | None = None,
    right_cropping: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> torch.Tensor:
    """A part of an image or a batch. Of top, bottom and height two are given, of left, right and width too.

    >>> import torch, kerastorch as keras
    >>> keras.ops.image.crop_images(torch.ones(9, 9, 3), 1, 2, target_height=4, target_width=5).shape
    torch.Size([4, 5, 3])
    """
    rows, columns = _axes(images, data_format)
    given = top_cropping, bottom_cropping, target_height
    top, bottom = _ends(images, rows, "cropping", ("top", "bottom", "height"), given)
    given = left_cropping, right_cropping, target_width
    left, right = _ends(images, columns, "cropping", ("left", "right", "width"), given)
    images = images.narrow(rows, top, images.shape[rows] - top - bottom)
    return images.narrow(columns, left, images.shape[columns] - left - right)


@op
def pad_images(
    images: Array,
    top_padding: int | None = None,
    left_padding: int | None = None,
    bottom_padding: int | None = None,
    right_padding: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> torch.Tensor:
    """Zeros around an image or a batch. Of top, bottom and height two are given, of left, right and width too.

    >>> import torch, kerastorch as keras
    >>> keras.ops.image.pad_images(torch.ones(9, 9, 3), 1, 2, target_height=12, target_width=13).shape
    torch.Size([12, 13, 3])
    """
    rows, columns = _axes(images, data_format)
    given = top_padding, bottom_padding, target_height
    pads = [_ends(images, rows, "padding", ("top", "bottom", "height"), given)]
    given = left_padding, right_padding, target_width
    pads += [_ends(images, columns, "padding", ("left", "right", "width"), given)]
    return pad_axes(images, [*pads, (0, 0)] if is_last(data_format) else pads)


def _axes(images: torch.Tensor, data_format: str | None) -> tuple[int, int]:
    """The axes of rows and columns."""
    check_rank(images, 3, 4)
    return (-3, -2) if is_last(data_format) else (-2, -1)


def _ends(
    images: torch.Tensor,
    axis: int,
    kind: str,
    names: tuple[str, ...],
    given: tuple[Any, Any, Any],
) -> tuple[int, int]:
    """What goes off, or comes on, before and after an axis: `given` has two of before, after and the result."""
    before, after, target = given
    if given.count(None) != 1:
        raise ValueError(
            f"Give exactly two of {names[0]}_{kind}, {names[1]}_{kind} and target_{names[2]}, "
            f"received {before}, {after} and {target}."
        )
    size = images.shape[axis]
    if target is not None:
        total = size - target if kind == "cropping" else target - size
        before = total - after if before is None else before
        after = total - before
    wrong = min(before, after) < 0 or (kind == "cropping" and before + after > size)
    if wrong and not images.is_meta:  # whose size may stand for one that is not known yet
        raise ValueError(
            f"{names[0]}_{kind} and {names[1]}_{kind} must not be negative, nor take more than the "
            f"{size} entries that there are; they would be {before} and {after}."
        )
    return before, after


@op
def extract_patches(
    images: Array,
    size: int | Sequence[int],
    strides: Any = None,
    dilation_rate: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> torch.Tensor:
    """Windows as channels: (B, H, W, C) -> (B, H', W', size * size * C), without the batch axis too.

    A `size` of three numbers takes volumes (B, D, H, W, C). `strides` are `size` by default.

    >>> import torch, kerastorch as keras
    >>> keras.ops.image.extract_patches(torch.ones(2, 10, 10, 3), 5).shape
    torch.Size([2, 2, 2, 75])
    """
    rank = 2 if isinstance(size, int) else len(size)
    if rank not in (2, 3):
        raise ValueError(f"`size` must be an integer, or two or three of them, received {size!r}.")
    window = as_tuple("extract_patches", "size", size, rank)
    if images.ndim not in (rank + 1, rank + 2):
        raise ValueError(
            f"A `size` of {rank} numbers takes images of {rank + 1} or {rank + 2} axes, "
            f"received shape {tuple(images.shape)}."
        )
    steps = as_tuple("extract_patches", "strides", strides or window, rank)
    dilation = as_tuple("extract_patches", "dilation_rate", dilation_rate, rank)
    x = images if images.ndim == rank + 2 else images.unsqueeze(0)
    x = x.movedim(-1, 1) if is_last(data_format) else x
    x = pad_axes(x, padding_of(padding, x.shape[2:], window, steps, dilation))
    for axis, (k, s, d) in enumerate(zip(window, steps, dilation, strict=True), 2):
        x = x.unfold(axis, (k - 1) * d + 1, s)[..., ::d]
    x = x.movedim(1, -1).flatten(rank + 1)  # (B, new sizes, window and channels)
    x = x if is_last(data_format) else x.movedim(-1, 1)
    return x if images.ndim == rank + 2 else x.squeeze(0)


def extract_patches_3d(
    volumes: Array,
    size: int | Sequence[int],
    strides: Any = None,
    dilation_rate: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> torch.Tensor:
    """`extract_patches` of volumes: (B, D, H, W, C) -> (B, D', H', W', size * size * size * C).

    >>> import torch, kerastorch as keras
    >>> keras.ops.image.extract_patches_3d(torch.ones(2, 4, 4, 4, 3), 2).shape
    torch.Size([2, 2, 2, 2, 24])
    """
    size = (size,) * 3 if isinstance(size, int) else size
    return extract_patches(volumes, size, strides, dilation_rate, padding, data_format)
