"""Windows over axes of time or space: their sizes, what is added around, and torch's kernels by rank."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F

from kerastorch.ops._max_pool import max_pool2d

Pads = list[tuple[int, int]]
Kernels = tuple[Callable[..., torch.Tensor], ...]  # of rank 1, 2 and 3
CONVOLVE: Kernels = (F.conv1d, F.conv2d, F.conv3d)
TRANSPOSE: Kernels = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)
MAXIMUM: Kernels = (F.max_pool1d, max_pool2d, F.max_pool3d)
AVERAGE: Kernels = tuple(
    partial(pool, count_include_pad=False) for pool in (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)
)
ADAPTIVE_MAXIMUM: Kernels = (
    *(F.adaptive_max_pool1d, F.adaptive_max_pool2d, F.adaptive_max_pool3d),
)
ADAPTIVE_AVERAGE: Kernels = (
    *(F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d),
)


def as_tuple(layer: str, name: str, value: Any, rank: int, lowest: int = 1) -> tuple[int, ...]:
    """An integer or a sequence of `rank` integers as a tuple."""
    values = (value,) * rank if isinstance(value, int) else tuple(value)
    if len(values) != rank or any(not isinstance(v, int) or v < lowest for v in values):
        raise ValueError(
            f"{layer}: `{name}` must be an integer >= {lowest} or {rank} of them, received {value!r}."
        )
    return values


def pad_axes(x: torch.Tensor, pads: Any, value: float = 0.0) -> torch.Tensor:
    """Pad the last axes of `x` by pairs (before, after); negative numbers cut."""
    return F.pad(x, [n for pair in reversed(pads) for n in pair], value=value)


def same_padding(
    sizes: Any, window: tuple[int, ...], strides: tuple[int, ...], dilation: tuple[int, ...]
) -> Pads:
    """How many entries "same" adds before and after each axis, so that the output has ceil(size / stride)."""
    pads = []
    for n, k, s, d in zip(sizes, window, strides, dilation, strict=True):
        last = (n - 1) // s * s  # where the last window begins
        total = torch.sym_max(last + (k - 1) * d + 1 - n, 0)  # torch.export leaves sizes open
        pads.append((total // 2, total - total // 2))
    return pads


def crops(padding: str, reach: int, stride: int, output_padding: int | None) -> tuple[int, int]:
    """How many entries the full result, of size ``(n - 1) * stride + reach``, loses on each side.

    `reach` is the length of the dilated window. Negative: zeros are added. ``"valid"`` keeps the
    full result (at least ``n * stride`` long), ``"same"`` gives ``n * stride``, aligned so that the
    layer is the gradient of a ``"same"`` convolution; with `output_padding` p they give
    ``(n - 1) * stride + reach + p`` and ``(n - 1) * stride + reach % 2 + p``.
    """
    if padding == "valid":
        return 0, -(max(stride - reach, 0) if output_padding is None else output_padding)
    total = reach - (stride if output_padding is None else reach % 2 + output_padding)
    before = max(total // 2, 0)
    return before, total - before
