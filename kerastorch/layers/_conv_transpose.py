"""Transposed convolutions: the gradient of a convolution, used as a layer."""

from __future__ import annotations

from typing import Any

import torch

from kerastorch.layers._base import positive
from kerastorch.layers._conv import Convolution
from kerastorch.layers._layer import registry
from kerastorch.ops._windows import (
    TRANSPOSE,
    avoided,
    crops,
    cuts,
    output_padding_of,
    pad_axes,
)


class _ConvTranspose(Convolution):
    """The gradient of a convolution; kernel: (*window, filters, in), as in Keras."""

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        output_padding: Any = None,
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        window = (kernel_size, strides, padding, data_format, dilation_rate)
        super().__init__(
            *window, activation, use_bias, activity_regularizer=activity_regularizer, **kwargs
        )
        kind = type(self).__name__
        positive(kind, filters=filters)
        self._refuse_both(strides, dilation_rate)
        more = output_padding_of(kind, output_padding, self.strides)
        self.filters = filters
        self.output_padding = None if output_padding is None else more
        self._keep_options(
            kernel=(kernel_initializer, kernel_regularizer, kernel_constraint),
            bias=(bias_initializer, bias_regularizer, bias_constraint),
        )
        self._to_weight = (self.rank + 1, self.rank, *range(self.rank))
        axes = zip(self._reach, self.strides, more, strict=True)
        sides = [crops(self.padding, *axis) for axis in axes]
        self._cut, self._extend, self._after = cuts(sides, self.strides)
        self._fits = not any(after for _, after in self._after)

    def build(self, input_shape: Any) -> None:
        """Make kernel and bias."""
        channels = self._channels_of(input_shape)
        self._subsample = avoided(self.kernel_size, self.strides, min(channels, self.filters))
        memory = (self.rank + 1, *range(self.rank), self.rank)
        self.kernel = self._make("kernel", (*self.kernel_size, self.filters, channels), memory)
        self.bias = self._make("bias", (self.filters,)) if self.use_bias else None

    def _move(self, x: torch.Tensor) -> torch.Tensor:
        weight = self.kernel.permute(self._to_weight)
        if self._subsample:
            return self._spread(TRANSPOSE[self.rank - 1](x, weight))
        bias = self.bias if self._fits else None
        options = (self.strides, self._cut, self._extend, 1, self.dilation_rate)
        x = TRANSPOSE[self.rank - 1](x, weight, bias, *options)
        if self._fits:
            return x
        return self._biased(pad_axes(x, self._after))

    def _spread(self, x: torch.Tensor) -> torch.Tensor:
        """What windows of one give: the entries of `x`, with ``stride - 1`` zeros after each."""
        sizes = x.shape[2:]
        apart = [size for n in sizes for size in (n, 1)]
        pads = [pair for stride in self.strides for pair in ((0, 0), (0, stride - 1))]
        x = pad_axes(x.reshape(*x.shape[:2], *apart), pads)
        x = x.reshape(*x.shape[:2], *(n * s for n, s in zip(sizes, self.strides, strict=True)))
        ends = zip(self.strides, self._extend, self._after, strict=True)
        return self._biased(
            pad_axes(x, [(0, 1 - s + extend + after) for s, extend, (_, after) in ends])
        )

    def _biased(self, x: torch.Tensor) -> torch.Tensor:
        return x if self.bias is None else x + self.bias.view(-1, *(1,) * self.rank)


class Conv1DTranspose(_ConvTranspose):
    """Transposed convolution over sequences: (B, steps, in) -> (B, new steps, filters).

    kernel: (kernel_size, filters, in). ``"same"`` gives ``steps * strides``.

    >>> import torch, kerastorch as keras
    >>> keras.layers.Conv1DTranspose(8, 3, strides=2, padding="same")(torch.zeros(2, 5, 4)).shape
    torch.Size([2, 10, 8])
    """

    rank = 1


class Conv2DTranspose(_ConvTranspose):
    """Transposed convolution over images: (B, H, W, in) -> (B, H', W', filters).

    kernel: (kernel height, width, filters, in). ``"same"`` gives ``H * strides``, aligned as in
    TensorFlow.

    >>> import torch, kerastorch as keras
    >>> keras.layers.Conv2DTranspose(8, 3, strides=2)(torch.zeros(2, 5, 5, 4)).shape
    torch.Size([2, 11, 11, 8])
    """

    rank = 2


class Conv3DTranspose(_ConvTranspose):
    """Transposed convolution over volumes: (B, D, H, W, in) -> (B, D', H', W', filters).

    kernel: (*kernel_size, filters, in).

    >>> import torch, kerastorch as keras
    >>> keras.layers.Conv3DTranspose(8, 2, strides=2)(torch.zeros(2, 3, 3, 3, 4)).shape
    torch.Size([2, 6, 6, 6, 8])
    """

    rank = 3

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        output_padding: Any = None,
        dilation_rate: Any = 1,
        **kwargs: Any,
    ) -> None:
        window = (filters, kernel_size, strides, padding, output_padding, data_format)
        super().__init__(*window, dilation_rate, **kwargs)


registry.add(Conv1DTranspose, Conv2DTranspose, Conv3DTranspose)
