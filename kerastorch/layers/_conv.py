"""Convolutions."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from kerastorch import activations, constraints, initializers, regularizers
from kerastorch.config import standardize_data_format
from kerastorch.layers._core import positive
from kerastorch.layers._layer import Layer, registry


def as_tuple(layer: str, name: str, value: Any, rank: int, lowest: int = 1) -> tuple[int, ...]:
    """An integer or a sequence of `rank` integers as a tuple."""
    values = (value,) * rank if isinstance(value, int) else tuple(value)
    if len(values) != rank or any(not isinstance(v, int) or v < lowest for v in values):
        raise ValueError(
            f"{layer}: `{name}` must be an integer >= {lowest} or {rank} of them, received {value!r}."
        )
    return values


def same_padding(
    sizes: Any, window: tuple[int, ...], strides: tuple[int, ...], dilation: tuple[int, ...]
) -> list[tuple[int, int]]:
    """How many entries "same" adds before and after each axis, so that the output has ceil(size / stride)."""
    pads = []
    for n, k, s, d in zip(sizes, window, strides, dilation, strict=True):
        total = max((k - 1) * d + 1 - (n % s or s), 0)
        pads.append((total // 2, total - total // 2))
    return pads


def check_rank(x: torch.Tensor, rank: int) -> None:
    """Raise unless `x` has `rank` axes: torch would take one less for data without a batch axis."""
    if x.dim() != rank:
        raise ValueError(f"{x.dim()} axes instead of {rank}")


def pad_axes(x: torch.Tensor, pads: list[tuple[int, int]], value: float = 0.0) -> torch.Tensor:
    """Pad the last axes of `x`."""
    return F.pad(x, [n for pair in reversed(pads) for n in pair], value=value)


class _Conv(Layer):
    """A convolution over `rank` axes; kernel: (*window, in / groups, filters), as in Keras."""

    rank: int
    _live_config = (*Layer._live_config, "data_format")
    _takes_one_tensor = True
    _takes_integers = False

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
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        kind = type(self).__name__
        positive(kind, filters=filters, groups=groups)
        if filters % groups:
            raise ValueError(
                f"{kind}: `filters` ({filters}) must be a multiple of `groups` ({groups})."
            )
        allowed = ("valid", "same", "causal") if self.rank == 1 else ("valid", "same")
        if str(padding).lower() not in allowed:
            raise ValueError(f"{kind}: `padding` must be one of {allowed}, received {padding!r}.")
        self.filters = filters
        self.kernel_size = as_tuple(kind, "kernel_size", kernel_size, self.rank)
        self.strides = as_tuple(kind, "strides", strides, self.rank)
        self.dilation_rate = as_tuple(kind, "dilation_rate", dilation_rate, self.rank)
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                f"{kind}: strides > 1 and dilation_rate > 1 cannot be combined, "
                f"received {strides!r} and {dilation_rate!r}."
            )
        self.padding = padding.lower()
        self.data_format = standardize_data_format(data_format)
        self.groups = groups
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self._channels_last = self.data_format == "channels_last"

    def build(self, input_shape: Any) -> None:
        """Make kernel and bias."""
        if len(input_shape) != self.rank + 2:
            raise ValueError(
                f"{self._title()}: input must have {self.rank + 2} axes, received shape {input_shape}."
            )
        channels = input_shape[-1 if self._channels_last else 1]
        if channels is None or channels % self.groups:
            raise ValueError(
                f"{self._title()}: the channels of the input must be known and a multiple of "
                f"groups={self.groups}, received shape {input_shape} ({self.data_format})."
            )
        # oneDNN writes past its workspace in the backward pass of strided windows of one over fewer
        # channels than a vector holds (uxlfoundation/oneDNN#6035): those take every n-th entry first.
        self._subsample = max(self.kernel_size) == 1 < max(self.strides) and channels < 16
        axes = tuple(range(self.rank))
        self.kernel = self.add_weight(
            (*self.kernel_size, channels // self.groups, self.filters),
            self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
            name="kernel",
            # filters, window, channels: what convolutions of channels-last data read
            memory=(self.rank + 1, *axes, self.rank),
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                (self.filters,),
                self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
                name="bias",
            )

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        """(B, ..., in) -> (B, ..., filters), or channels first."""
        check_rank(inputs, self.rank + 2)
        x = inputs.movedim(-1, 1) if self._channels_last else inputs
        padding: Any = 0
        if self.padding != "valid":
            pads = same_padding(x.shape[2:], self.kernel_size, self.strides, self.dilation_rate)
            if self.padding == "causal":
                pads = [((self.kernel_size[0] - 1) * self.dilation_rate[0], 0)]
            if all(before == after for before, after in pads):
                padding = tuple(before for before, _ in pads)
            else:
                x = pad_axes(x, pads)
        strides = self.strides
        if self._subsample:
            every: Any = (..., *(slice(None, None, s) for s in strides))
            x, strides = x[every], (1,) * self.rank
        weight = self.kernel.movedim((-1, -2), (0, 1))
        convolve = (F.conv1d, F.conv2d, F.conv3d)[self.rank - 1]
        x = convolve(x, weight, self.bias, strides, padding, self.dilation_rate, self.groups)
        return self.activation(x.movedim(1, -1) if self._channels_last else x)

    def _expectation(self) -> str:
        if not self.built:
            return ""
        axes = "(batch, ..., channels)" if self._channels_last else "(batch, channels, ...)"
        channels = self.kernel.shape[-2] * self.groups
        reach = [(k - 1) * d + 1 for k, d in zip(self.kernel_size, self.dilation_rate, strict=True)]
        least = f", the others at least {reach} long" if self.padding == "valid" else ""
        return f"expected {self.rank + 2} axes {axes} with {channels} channels{least}."


class Conv1D(_Conv):
    """Convolution over sequences: (B, steps, in) -> (B, new steps, filters).

    kernel: (kernel_size, in / groups, filters). `padding`: ``"valid"``, ``"same"`` or ``"causal"``
    (an output depends on the past only).

    >>> import torch, kerastorch as keras
    >>> keras.layers.Conv1D(8, 3, padding="causal")(torch.zeros(2, 10, 4)).shape
    torch.Size([2, 10, 8])
    """

    rank = 1


class Conv2D(_Conv):
    """Convolution over images: (B, H, W, in) -> (B, H', W', filters).

    kernel: (kernel height, width, in / groups, filters). ``"same"`` pads as TensorFlow does: the
    odd pixel goes after.

    >>> import torch, kerastorch as keras
    >>> keras.layers.Conv2D(8, 3, strides=2, padding="same")(torch.zeros(2, 28, 28, 1)).shape
    torch.Size([2, 14, 14, 8])
    """

    rank = 2


registry.add(Conv1D, Conv2D)
