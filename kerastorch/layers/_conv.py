"""Convolutions: plain, depthwise and separable."""

from __future__ import annotations

from typing import Any

import torch

from kerastorch import activations
from kerastorch.layers._base import Optioned, Spatial, positive
from kerastorch.layers._layer import registry
from kerastorch.ops._windows import CONVOLVE, Pads, as_tuple, avoided, convolve, same_padding


class Convolution(Spatial, Optioned):
    """What all convolutions share: a window that moves over `rank` axes, bias and activation."""

    _takes_integers = False
    _paddings: tuple[str, ...] = ("valid", "same")
    _pads: Pads | None  # None where "same" depends on the size of the input

    def __init__(
        self,
        kernel_size: Any,
        strides: Any,
        padding: str,
        data_format: str | None,
        dilation_rate: Any,
        activation: Any,
        use_bias: bool,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, **kwargs)
        kind = type(self).__name__
        if str(padding).lower() not in self._paddings:
            raise ValueError(
                f"{kind}: `padding` must be one of {self._paddings}, received {padding!r}."
            )
        self.kernel_size = as_tuple(kind, "kernel_size", kernel_size, self.rank)
        self.strides = as_tuple(kind, "strides", strides, self.rank)
        self.dilation_rate = as_tuple(kind, "dilation_rate", dilation_rate, self.rank)
        self.padding = padding.lower()
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self._linear = activation is None or self.activation is activations.linear
        self._reach = [
            (k - 1) * d + 1 for k, d in zip(self.kernel_size, self.dilation_rate, strict=True)
        ]
        self._subsample = False
        self._pads = None
        if self.padding == "valid":
            self._pads = [(0, 0)] * self.rank
        elif self.padding == "causal":
            self._pads = [(self._reach[0] - 1, 0)]
        elif max(self.strides) == 1:
            self._pads = same_padding(
                self.strides, self.kernel_size, self.strides, self.dilation_rate
            )

    def _refuse_both(self, strides: Any, dilation_rate: Any) -> None:
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                f"{type(self).__name__}: strides > 1 and dilation_rate > 1 cannot be combined, "
                f"received {strides!r} and {dilation_rate!r}."
            )

    def _channels_of(self, input_shape: Any, groups: int = 1) -> int:
        """The number of channels of the input."""
        if len(input_shape) != self.rank + 2:
            raise ValueError(
                f"{self._title()}: input must have {self.rank + 2} axes, received shape {input_shape}."
            )
        channels: int | None = input_shape[-1 if self._channels_last else 1]
        if channels is None or channels % groups:
            raise ValueError(
                f"{self._title()}: the channels of the input must be known and a multiple of "
                f"groups={groups}, received shape {input_shape} ({self.data_format})."
            )
        self._subsample = avoided(self.kernel_size, self.strides, channels)
        self._channels = channels
        return channels

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        """(B, ..., in) -> (B, ..., filters), or channels first."""
        x = super().call(inputs)
        return x if self._linear else self.activation(x)

    def _convolve(
        self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, groups: int
    ) -> torch.Tensor:
        pads = self._pads
        if pads is None:
            pads = same_padding(x.shape[2:], self.kernel_size, self.strides, self.dilation_rate)
        return convolve(
            *(x, weight, bias, self.strides, pads, self.dilation_rate, groups),
            subsample=self._subsample,
            any_size=self._pads is None,
        )

    def _expectation(self) -> str:
        if not self.built:
            return ""
        axes = "(batch, ..., channels)" if self._channels_last else "(batch, channels, ...)"
        least = f", the others at least {self._reach} long" if self.padding == "valid" else ""
        return f"expected {self.rank + 2} axes {axes} with {self._channels} channels{least}."


class _Conv(Convolution):
    """A convolution over `rank` axes; kernel: (*window, in / groups, filters), as in Keras."""

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        groups: int = 1,
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
        positive(kind, filters=filters, groups=groups)
        if filters % groups:
            raise ValueError(
                f"{kind}: `filters` ({filters}) must be a multiple of `groups` ({groups})."
            )
        self._refuse_both(strides, dilation_rate)
        self.filters = filters
        self.groups = groups
        self._keep_options(
            kernel=(kernel_initializer, kernel_regularizer, kernel_constraint),
            bias=(bias_initializer, bias_regularizer, bias_constraint),
        )
        axes = tuple(range(self.rank))
        self._to_weight = (self.rank + 1, self.rank, *axes)  # of F.conv: filters, channels, window

    def build(self, input_shape: Any) -> None:
        """Make kernel and bias."""
        channels = self._channels_of(input_shape, self.groups)
        shape = (*self.kernel_size, channels // self.groups, self.filters)
        # filters, window, channels: what convolutions of channels-last data read
        memory = (self.rank + 1, *range(self.rank), self.rank)
        self.kernel = self._make("kernel", shape, memory)
        self.bias = self._make("bias", (self.filters,)) if self.use_bias else None

    def _move(self, x: torch.Tensor) -> torch.Tensor:
        return self._convolve(x, self.kernel.permute(self._to_weight), self.bias, self.groups)


class Conv1D(_Conv):
    """Convolution over sequences: (B, steps, in) -> (B, new steps, filters).

    kernel: (kernel_size, in / groups, filters). `padding`: ``"valid"``, ``"same"`` or ``"causal"``
    (an output depends on the past only).

    >>> import torch, kerastorch as keras
    >>> keras.layers.Conv1D(8, 3, padding="causal")(torch.zeros(2, 10, 4)).shape
    torch.Size([2, 10, 8])
    """

    rank = 1
    _paddings = ("valid", "same", "causal")


class Conv2D(_Conv):
    """Convolution over images: (B, H, W, in) -> (B, H', W', filters).

    kernel: (kernel height, width, in / groups, filters). ``"same"`` pads as TensorFlow does: the
    odd pixel goes after.

    >>> import torch, kerastorch as keras
    >>> keras.layers.Conv2D(8, 3, strides=2, padding="same")(torch.zeros(2, 28, 28, 1)).shape
    torch.Size([2, 14, 14, 8])
    """

    rank = 2


class Conv3D(_Conv):
    """Convolution over volumes: (B, D, H, W, in) -> (B, D', H', W', filters).

    kernel: (*kernel_size, in / groups, filters).

    >>> import torch, kerastorch as keras
    >>> keras.layers.Conv3D(8, 3)(torch.zeros(2, 6, 6, 6, 1)).shape
    torch.Size([2, 4, 4, 4, 8])
    """

    rank = 3


class _Depthwise(Convolution):
    """A convolution of each channel by itself.

    kernel: (*window, in, depth_multiplier); output channel ``c * depth_multiplier + m`` is of input
    channel c.
    """

    def __init__(
        self,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        window = (kernel_size, strides, padding, data_format, dilation_rate)
        super().__init__(
            *window, activation, use_bias, activity_regularizer=activity_regularizer, **kwargs
        )
        positive(type(self).__name__, depth_multiplier=depth_multiplier)
        self.depth_multiplier = depth_multiplier
        self._keep_options(
            depthwise=(depthwise_initializer, depthwise_regularizer, depthwise_constraint),
            bias=(bias_initializer, bias_regularizer, bias_constraint),
        )
        self._to_weight = (self.rank, self.rank + 1, *range(self.rank))

    def build(self, input_shape: Any) -> None:
        """Make kernel and bias."""
        channels = self._channels_of(input_shape)
        self.kernel = self._make_depthwise("kernel", channels)
        features = channels * self.depth_multiplier
        self.bias = self._make("bias", (features,)) if self.use_bias else None

    def _make_depthwise(self, name: str, channels: int) -> Any:
        shape = (*self.kernel_size, channels, self.depth_multiplier)
        return self._make("depthwise", shape, self._to_weight, name)

    def _depthwise(
        self, x: torch.Tensor, kernel: torch.Tensor, bias: torch.Tensor | None
    ) -> torch.Tensor:
        weight = kernel.permute(self._to_weight).flatten(0, 1).unsqueeze(1)
        return self._convolve(x, weight, bias, kernel.shape[-2])

    def _move(self, x: torch.Tensor) -> torch.Tensor:
        return self._depthwise(x, self.kernel, self.bias)


class DepthwiseConv1D(_Depthwise):
    """Convolution of each channel by itself: (B, steps, in) -> (B, new steps, in * depth_multiplier).

    kernel: (kernel_size, in, depth_multiplier).

    >>> import torch, kerastorch as keras
    >>> keras.layers.DepthwiseConv1D(3, depth_multiplier=2)(torch.zeros(2, 10, 4)).shape
    torch.Size([2, 8, 8])
    """

    rank = 1


class DepthwiseConv2D(_Depthwise):
    """Convolution of each channel by itself: (B, H, W, in) -> (B, H', W', in * depth_multiplier).

    kernel: (kernel height, width, in, depth_multiplier).

    >>> import torch, kerastorch as keras
    >>> keras.layers.DepthwiseConv2D(3, padding="same")(torch.zeros(2, 8, 8, 4)).shape
    torch.Size([2, 8, 8, 4])
    """

    rank = 2


class _Separable(_Depthwise):
    """A depthwise convolution, then one with a window of one that mixes the channels."""

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        pointwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        window = (kernel_size, strides, padding, depth_multiplier, data_format, dilation_rate)
        super().__init__(
            *window, activation, use_bias, activity_regularizer=activity_regularizer, **kwargs
        )
        positive(type(self).__name__, filters=filters)
        self.filters = filters
        self._keep_options(
            depthwise=(depthwise_initializer, depthwise_regularizer, depthwise_constraint),
            pointwise=(pointwise_initializer, pointwise_regularizer, pointwise_constraint),
            bias=(bias_initializer, bias_regularizer, bias_constraint),
        )

    def build(self, input_shape: Any) -> None:
        """Make both kernels and the bias."""
        channels = self._channels_of(input_shape)
        self.depthwise_kernel = self._make_depthwise("depthwise_kernel", channels)
        features = channels * self.depth_multiplier
        shape = (*(1,) * self.rank, features, self.filters)
        memory = (self.rank + 1, *range(self.rank), self.rank)
        self.pointwise_kernel = self._make("pointwise", shape, memory, "pointwise_kernel")
        self.bias = self._make("bias", (self.filters,)) if self.use_bias else None

    def _move(self, x: torch.Tensor) -> torch.Tensor:
        x = self._depthwise(x, self.depthwise_kernel, None)
        weight = self.pointwise_kernel.movedim((-1, -2), (0, 1))
        return CONVOLVE[self.rank - 1](x, weight, self.bias)


class SeparableConv1D(_Separable):
    """Depthwise convolution, then a mix of the channels: (B, steps, in) -> (B, new steps, filters).

    depthwise_kernel: (kernel_size, in, depth_multiplier),
    pointwise_kernel: (1, in * depth_multiplier, filters).

    >>> import torch, kerastorch as keras
    >>> keras.layers.SeparableConv1D(8, 3)(torch.zeros(2, 10, 4)).shape
    torch.Size([2, 8, 8])
    """

    rank = 1


class SeparableConv2D(_Separable):
    """Depthwise convolution, then a mix of the channels: (B, H, W, in) -> (B, H', W', filters).

    depthwise_kernel: (kernel height, width, in, depth_multiplier),
    pointwise_kernel: (1, 1, in * depth_multiplier, filters). Source: Chollet 2017 (Xception).

    >>> import torch, kerastorch as keras
    >>> keras.layers.SeparableConv2D(8, 3, strides=2)(torch.zeros(2, 9, 9, 4)).shape
    torch.Size([2, 4, 4, 8])
    """

    rank = 2


registry.add(
    *(Conv1D, Conv2D, Conv3D, DepthwiseConv1D, DepthwiseConv2D, SeparableConv1D, SeparableConv2D)
)
