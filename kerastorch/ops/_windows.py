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


def avoided(window: tuple[int, ...], strides: tuple[int, ...], channels: int) -> bool:
    """Whether another way has to be taken around a defect of oneDNN, which writes past its workspace in
    the backward pass of strided windows of one over fewer channels than a vector holds
    (uxlfoundation/oneDNN#6035)."""
    return max(window) == 1 < max(strides) and channels < 16


def convolve(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    strides: tuple[int, ...],
    pads: Pads,
    dilation: tuple[int, ...],
    groups: int = 1,
    *,
    subsample: bool = False,
    any_size: bool = False,
) -> torch.Tensor:
    """(B, in, ...) -> (B, out, ...). To `subsample` windows of one is to take every n-th entry first.

    `any_size`: the pads depend on sizes that torch.export leaves open, and are not compared there.
    """
    padding: Any = tuple(before for before, _ in pads)
    if (any_size and torch.compiler.is_exporting()) or any(b != after for b, after in pads):
        x, padding = pad_axes(x, pads), 0
    if subsample:
        every: Any = (..., *(slice(None, None, s) for s in strides))
        x, strides = x[every], (1,) * len(strides)
    return CONVOLVE[len(strides) - 1](x, weight, bias, strides, padding, dilation, groups)


def pool(
    kernel: Callable[..., torch.Tensor],
    x: torch.Tensor,
    window: tuple[int, ...],
    strides: tuple[int, ...],
    padding: str,
) -> torch.Tensor:
    """One value for each window: (B, C, ...) -> (B, C, new ...)."""
    if padding == "valid":
        return kernel(x, window, strides)
    around, first = pooling_pads(x.shape[2:], window, strides)
    x = kernel(x, window, strides, padding=around, ceil_mode=True)
    last: Any = (..., *(slice(n, None) for n in first))
    return x[last] if any(first) else x


def pooling_pads(
    sizes: Any, window: tuple[int, ...], strides: tuple[int, ...]
) -> tuple[tuple[int, ...], list[int]]:
    """For "same": what torch is to pad each axis by, and the first window that counts.

    torch pads the same before and after. Where "same" has one more after, the last window either
    hangs over the end (ceil_mode) or, without strides, one window too many is dropped.
    """
    pads = same_padding(sizes, window, strides, (1,) * len(window))
    pairs = list(zip(pads, strides, strict=True))
    around = tuple(after if stride == 1 else before for (before, after), stride in pairs)
    return around, [after - before if stride == 1 else 0 for (before, after), stride in pairs]


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


def cuts(
    sides: list[tuple[int, int]], strides: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...], Pads]:
    """What `crops` gave for each axis in torch's terms: `padding`, which cuts the same on both sides,
    `output_padding`, and what is left to cut or to add behind."""
    pairs = list(zip(sides, strides, strict=True))
    extend = tuple(min(max(before - after, 0), s - 1) for (before, after), s in pairs)
    rest = [(0, before - after - e) for (before, after), e in zip(sides, extend, strict=True)]
    return tuple(before for before, _ in sides), extend, rest


def output_padding_of(
    layer: str, value: Any, strides: tuple[int, ...]
) -> tuple[int, ...] | tuple[None, ...]:
    """A checked `output_padding` for each axis."""
    if value is None:
        return (None,) * len(strides)
    more = as_tuple(layer, "output_padding", value, len(strides), 0)
    if any(p >= s for p, s in zip(more, strides, strict=True)):
        raise ValueError(
            f"{layer}: `output_padding` must be smaller than `strides`, "
            f"received {value!r} and {strides!r}."
        )
    return more
