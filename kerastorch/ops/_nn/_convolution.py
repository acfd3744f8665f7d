"""Convolutions over one to three axes; kernels have Keras's shape: (*window, in, out).

``"same"`` pads as TensorFlow does: the result has ``ceil(size / stride)`` entries, and where the padding is
odd the larger part is behind.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from kerastorch.ops._nn._spatial import checked, on_channels_first, padding_of
from kerastorch.ops._op import Array, floating, op, promoted
from kerastorch.ops._windows import (
    TRANSPOSE,
    as_tuple,
    avoided,
    convolve,
    crops,
    cuts,
    output_padding_of,
    pad_axes,
)


@op
def conv(
    inputs: Array,
    kernel: Array,
    strides: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> torch.Tensor:
    """Convolution: (B, ..., in) and kernel (*window, in / groups, out) -> (B, ..., out).

    >>> import torch, kerastorch as keras
    >>> keras.ops.conv(torch.ones(2, 9, 9, 3), torch.ones(3, 3, 3, 8), strides=2).shape
    torch.Size([2, 4, 4, 8])
    """
    x, kernel = _paired(inputs, kernel)
    options = (strides, padding, dilation_rate)
    return on_channels_first(x, data_format, lambda x: _convolve(x, kernel, *options))


@op
def depthwise_conv(
    inputs: Array,
    kernel: Array,
    strides: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> torch.Tensor:
    """Each channel by itself: (B, ..., in) and kernel (*window, in, m) -> (B, ..., in * m).

    >>> import torch, kerastorch as keras
    >>> keras.ops.depthwise_conv(torch.ones(2, 9, 9, 3), torch.ones(3, 3, 3, 2)).shape
    torch.Size([2, 7, 7, 6])
    """
    x, kernel = _paired(inputs, kernel)
    options = (strides, padding, dilation_rate)
    return on_channels_first(x, data_format, lambda x: _depthwise(x, kernel, *options))


@op
def separable_conv(
    inputs: Array,
    depthwise_kernel: Array,
    pointwise_kernel: Array,
    strides: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> torch.Tensor:
    """`depthwise_conv`, then a mix of the channels by a kernel of shape (1, ..., in * m, out).

    >>> import torch, kerastorch as keras
    >>> kernels = torch.ones(3, 4, 2), torch.ones(1, 8, 5)
    >>> keras.ops.separable_conv(torch.ones(2, 9, 4), *kernels).shape
    torch.Size([2, 7, 5])
    """
    x, depthwise, pointwise = promoted(*map(floating, (inputs, depthwise_kernel, pointwise_kernel)))

    def move(x: torch.Tensor) -> torch.Tensor:
        x = _depthwise(x, depthwise, strides, padding, dilation_rate)
        return _convolve(x, pointwise, 1, "valid", 1)

    return on_channels_first(x, data_format, move)


@op
def conv_transpose(
    inputs: Array,
    kernel: Array,
    strides: Any = 1,
    padding: str = "valid",
    output_padding: Any = None,
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> torch.Tensor:
    """The gradient of a convolution: (B, ..., in) and kernel (*window, out, in) -> (B, ..., out).

    ``"valid"`` gives at least ``size * stride`` entries, ``"same"`` exactly so many.

    >>> import torch, kerastorch as keras
    >>> keras.ops.conv_transpose(torch.ones(2, 4, 3), torch.ones(3, 8, 3), strides=2).shape
    torch.Size([2, 9, 8])
    """
    x, kernel = _paired(inputs, kernel)
    options = (strides, padding, output_padding, dilation_rate)
    return on_channels_first(x, data_format, lambda x: _transposed(x, kernel, *options))


def _paired(inputs: torch.Tensor, kernel: torch.Tensor) -> list[torch.Tensor]:
    if kernel.ndim != inputs.ndim:
        raise ValueError(
            "`kernel` must have as many axes as `inputs` (*window, channels, channels), received "
            f"shapes {tuple(kernel.shape)} and {tuple(inputs.shape)}."
        )
    return promoted(floating(inputs), floating(kernel))


def _check_channels(x: torch.Tensor, kernel: torch.Tensor, fits: bool) -> None:
    if not fits:
        raise ValueError(
            f"The {x.shape[1]} channels of `inputs` do not fit a kernel of shape {tuple(kernel.shape)}."
        )


def _windows(x: torch.Tensor, strides: Any, dilation: Any) -> tuple[Any, Any]:
    """Strides and dilation for each axis."""
    rank = x.ndim - 2
    return as_tuple("conv", "strides", strides, rank), as_tuple(
        "conv", "dilation_rate", dilation, rank
    )


def _convolve(
    x: torch.Tensor, kernel: torch.Tensor, strides: Any, padding: str, dilation: Any
) -> torch.Tensor:
    """(B, in, ...) -> (B, out, ...)."""
    *window, channels, _ = kernel.shape
    _check_channels(x, kernel, x.shape[1] % channels == 0)
    rank = len(window)
    strides, dilation = _windows(x, strides, dilation)
    weight = kernel.permute(rank + 1, rank, *range(rank))
    pads = padding_of(padding, x.shape[2:], tuple(window), strides, dilation)
    return convolve(
        *(x, weight, None, strides, pads, dilation, x.shape[1] // channels),
        subsample=avoided(tuple(window), strides, x.shape[1]),
        any_size=checked(padding) == "same" and max(strides) > 1,
    )


def _depthwise(
    x: torch.Tensor, kernel: torch.Tensor, strides: Any, padding: str, dilation: Any
) -> torch.Tensor:
    _check_channels(x, kernel, x.shape[1] == kernel.shape[-2])
    return _convolve(x, kernel.flatten(-2).unsqueeze(-2), strides, padding, dilation)


def _transposed(
    x: torch.Tensor,
    kernel: torch.Tensor,
    strides: Any,
    padding: str,
    output_padding: Any,
    dilation: Any,
) -> torch.Tensor:
    """(B, in, ...) -> (B, out, ...)."""
    *window, filters, channels = kernel.shape
    _check_channels(x, kernel, x.shape[1] == channels)
    rank = len(window)
    strides, dilation = _windows(x, strides, dilation)
    more = output_padding_of("conv_transpose", output_padding, strides)
    weight = kernel.permute(rank + 1, rank, *range(rank))
    reach = [(k - 1) * d + 1 for k, d in zip(window, dilation, strict=True)]
    sides = list(map(partial(crops, checked(padding)), reach, strides, more))
    if avoided(tuple(window), strides, min(channels, filters)):
        # a window of two, whose second entry adds nothing
        weight = pad_axes(weight, [(0, 1)] * rank)
        sides = [(before, after + d) for (before, after), d in zip(sides, dilation, strict=True)]
    cut, extend, rest = cuts(sides, strides)
    y = TRANSPOSE[rank - 1](x, weight, None, strides, cut, extend, 1, dilation)
    return pad_axes(y, rest) if any(after for _, after in rest) else y
