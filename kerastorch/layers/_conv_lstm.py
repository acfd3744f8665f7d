"""Recurrent layers of convolutions: an LSTM whose inputs and states have axes of space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from kerastorch.layers._base import check_rank, positive
from kerastorch.layers._cells import OWN, LSTMCell
from kerastorch.layers._conv import Convolution
from kerastorch.layers._layer import registry
from kerastorch.layers._recurrent import _OfCell, _Recurrent
from kerastorch.ops._windows import convolve, same_padding


class ConvLSTMCell(LSTMCell, Convolution):  # type: ignore[misc]  # `call` is the first one's
    """One step of a `ConvLSTM2D` and its kin, with `rank` axes of space.

    Inputs (B, *space, C), output and both states (B, *new space, filters), or channels first. The
    convolution of the inputs has the given window, that of the state is ``"same"`` with stride 1.
    """

    def __init__(
        self,
        rank: int,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        positive(type(self).__name__, filters=filters)
        self.rank = rank
        given = locals()
        names = ("kernel_size", "strides", "padding", "data_format", "dilation_rate")
        window = {name: given[name] for name in (*names, "activation", "use_bias")}
        self._keep({**given, "units": filters, "kwargs": {**kwargs, **window}})
        self._refuse_both(strides, dilation_rate)
        self.filters = filters
        self.unit_forget_bias = unit_forget_bias
        self._masks = self.gates  # Keras draws one for each gate, always
        once = (1,) * rank
        self._around = same_padding(once, self.kernel_size, once, once)
        self._to_weight = (rank + 1, rank, *range(rank))
        self.state_size = [filters, filters]  # until the sizes of the other axes are known

    def build(self, input_shape: Any) -> None:
        """Make kernel, recurrent kernel and bias."""
        channels = self._channels_of(input_shape)
        # filters, window, channels: what convolutions of channels-last data read
        memory = (self.rank + 1, *range(self.rank), self.rank)
        self._make_weights(channels, self.kernel_size, memory)
        self.state_size = [self.state_shape(input_shape[1:])] * 2

    def state_shape(self, step: Sequence[Any]) -> tuple[Any, ...]:
        """The shape of a state from that of the inputs, both without the batch axis; what is not
        known is None."""
        last = self._channels_last
        reach = [1] * self.rank if self.padding == "same" else self._reach
        sizes = zip(step[:-1] if last else step[1:], reach, self.strides, strict=True)
        space = [None if n is None else (n - k) // s + 1 for n, k, s in sizes]
        return (*space, self.filters) if last else (self.filters, *space)

    def get_initial_state(self, batch_size: Any = None) -> list[Tensor]:
        """Zeros, two tensors of the shape of the output."""
        if not self.built or None in self.state_size[0]:
            raise ValueError(
                f"{self._title()}: the shape of the states depends on that of the inputs, which is not "
                "known. Build the layer for axes of known size, or pass `initial_state`."
            )
        return super().get_initial_state(batch_size)

    def project(self, inputs: Tensor, masks: Sequence[Tensor]) -> Tensor:
        """(B, ..., C) or (B, T, ..., C) -> the same with 4 * filters channels; or channels first."""
        steps = tuple(inputs.shape[: inputs.dim() - self.rank - 1])
        given = [x.flatten(0, len(steps) - 1) for x in _masked(inputs, masks)]
        y = self._by_gate(self._convolve, given, self.kernel, self.bias)
        return y.reshape(*steps, *y.shape[1:])

    def step(
        self, x: Tensor, states: list[Tensor], masks: Sequence[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """Output and states after the step with projected inputs `x`."""
        h, c = states
        inner = self._by_gate(self._convolve_state, _masked(h, masks), self.recurrent_kernel, None)
        return self._gated(x + inner, c, -1 if self._channels_last else 1)

    def _by_gate(
        self, convolve: Any, given: list[Tensor], kernel: Tensor, bias: Tensor | None
    ) -> Tensor:
        """A convolution; each of several inputs is for its share of the filters."""
        count = len(given)
        if self._channels_last:
            given = [x.permute(self._to_first) for x in given]
        weights = kernel.permute(self._to_weight).chunk(count)
        biases: Any = [None] * count if bias is None else bias.chunk(count)
        shares = zip(given, weights, biases, strict=True)
        parts = [convolve(x, weight, share, 1) for x, weight, share in shares]
        y = parts[0] if count == 1 else torch.cat(parts, 1)
        return y.permute(self._to_last) if self._channels_last else y

    def _convolve_state(
        self, h: Tensor, weight: Tensor, bias: Tensor | None, groups: int
    ) -> Tensor:
        once = (1,) * self.rank
        return convolve(h, weight, bias, once, self._around, once, groups)

    def kind(self) -> str | None:
        """There is no kernel for it."""
        return None

    def _expectation(self) -> str:
        return Convolution._expectation(self)


def _masked(x: Tensor, masks: Sequence[Tensor]) -> list[Tensor]:
    """`x` thinned out by each of the dropout masks, if there are any."""
    return [x * mask for mask in masks] or [x]


OWN.append(ConvLSTMCell)


class _ConvLSTM(_Recurrent):
    """`RNN` over a `ConvLSTMCell` with `rank` axes of space.

    The inputs of all steps are convolved at once; the loop over time has the state's convolution only.
    """

    rank: int
    _cell = ConvLSTMCell
    _live_config = (*_Recurrent._live_config, "data_format")

    filters = _OfCell()
    kernel_size = _OfCell()
    strides = _OfCell()
    padding = _OfCell()
    data_format = _OfCell()
    dilation_rate = _OfCell()
    recurrent_activation = _OfCell()
    unit_forget_bias = _OfCell()

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        **kwargs: Any,
    ) -> None:
        self._keep({**locals(), "rank": self.rank})

    def build(self, sequences_shape: Any, initial_state_shape: Any = None) -> None:
        """Build the cell for one step; make the states if they are kept."""
        if len(sequences_shape) != self.rank + 3:
            raise ValueError(
                f"{self._title()}: the input must have {self.rank + 3} axes, {self._axes()}, "
                f"received shape {sequences_shape}."
            )
        super().build(sequences_shape, initial_state_shape)

    def _start(self, x: Tensor, given: Any) -> Any:
        check_rank(x, self.rank + 3)
        shape = (x.shape[0], *self.cell.state_shape(x.shape[2:]))
        if given is None and self.states is None:
            return [x.new_zeros(shape), x.new_zeros(shape)]
        states = super()._start(x, given)
        for state in states:
            if tuple(state.shape) != shape:
                raise ValueError(
                    f"a state must have the shape {shape}, received {tuple(state.shape)}"
                )
        return states

    def _axes(self) -> str:
        space = ", ".join(("depth", "height", "width")[-self.rank :])
        step = f"{space}, channels" if self.cell._channels_last else f"channels, {space}"
        return f"(batch, time, {step})"

    def _expectation(self) -> str:
        cell = self.cell
        if not cell.built:
            return ""
        least = f", space at least {cell._reach} long" if cell.padding == "valid" else ""
        return f"expected {self._axes()} with {cell._channels} channels, at least one step{least}."


class ConvLSTM1D(_ConvLSTM):
    """ConvLSTM over sequences of signals: (B, T, width, C) -> (B, new width, filters).

    See `ConvLSTM2D` for the formula and the arguments. kernel: (kernel_size, C, 4 * filters),
    recurrent_kernel: (kernel_size, filters, 4 * filters), bias: (4 * filters,).

    >>> import torch, kerastorch as keras
    >>> keras.layers.ConvLSTM1D(4, 3)(torch.ones(2, 5, 8, 1)).shape
    torch.Size([2, 6, 4])
    """

    rank = 1


class ConvLSTM2D(_ConvLSTM):
    """ConvLSTM over sequences of pictures: (B, T, height, width, C) -> (B, new height, width, filters).

    ``c = f * c + i * tanh(g)`` and ``h = o * tanh(c)``, where ``i, f, g, o`` are the four parts of
    ``conv(x, kernel) + conv(h, recurrent_kernel) + bias``, all but g under a sigmoid (Shi et al.,
    2015, arXiv:1506.04214, without the connections from c to the gates).

    The first convolution has `strides`, `padding` and `dilation_rate`; that of the state is ``"same"``
    with stride 1. kernel: (*kernel_size, C, 4 * filters), recurrent_kernel: (*kernel_size, filters,
    4 * filters), bias: (4 * filters,). Masks, states and modes are those of `RNN`; both states have
    the shape of the output. `dropout` and `recurrent_dropout` draw a mask for each gate, the same at
    all steps. Channels first are (B, T, C, height, width).

    >>> import torch, kerastorch as keras
    >>> layer = keras.layers.ConvLSTM2D(4, 3, padding="same", return_sequences=True)
    >>> layer(torch.ones(2, 5, 8, 8, 1)).shape, tuple(layer.cell.kernel.shape)
    (torch.Size([2, 5, 8, 8, 4]), (3, 3, 1, 16))
    """

    rank = 2


class ConvLSTM3D(_ConvLSTM):
    """ConvLSTM over sequences of volumes: (B, T, depth, height, width, C) -> (B, *new space, filters).

    See `ConvLSTM2D` for the formula and the arguments. kernel: (*kernel_size, C, 4 * filters),
    recurrent_kernel: (*kernel_size, filters, 4 * filters), bias: (4 * filters,).

    >>> import torch, kerastorch as keras
    >>> keras.layers.ConvLSTM3D(4, 2)(torch.ones(2, 5, 4, 4, 4, 1)).shape
    torch.Size([2, 3, 3, 3, 4])
    """

    rank = 3


registry.add(ConvLSTM1D, ConvLSTM2D, ConvLSTM3D)
