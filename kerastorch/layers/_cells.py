"""Recurrent cells, which take one step, and `RNN`, which takes a cell over a sequence."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from kerastorch import activations, random
from kerastorch.layers._base import Optioned, check_rank, positive
from kerastorch.layers._kernels import copied, kernel
from kerastorch.layers._layer import Layer, registry
from kerastorch.layers._scan import Scanned, loop, masked_kernel, select


def _product(x: Tensor, weight: Tensor, bias: Tensor | None, masks: Sequence[Tensor]) -> Tensor:
    """``x @ weight + bias``; each of several dropout masks is for its share of the columns."""
    if len(masks) < 2:
        return F.linear(x * masks[0] if masks else x, weight.T, bias)
    shares = zip(masks, weight.chunk(len(masks), 1), strict=True)
    y = torch.cat([F.linear(x * mask, share.T) for mask, share in shares], -1)
    return y if bias is None else y + bias.to(y.dtype)


def _swapped(weight: Tensor, axis: int) -> Tensor:
    """Keras's gates z, r, h in torch's order r, z, n. No strides can do that, so it is a copy: one
    operator here and one for the gradient, against a product with the weight at every step."""
    z, r, n = weight.chunk(3, axis)
    return torch.cat([r, z, n], axis)


# -- cells -----------------------------------------------------------------------------------------


class _Cell(Optioned):
    """One step: ``output, states = cell(inputs, states)``, inputs (B, D), output and states (B, units).

    kernel: (D, gates * units), recurrent_kernel: (units, gates * units), in memory as the transposes,
    which torch's kernels take as views. `project` is what does not depend on the states, for one step
    or for all steps at once; `step` is the rest.
    """

    gates: int
    rank = 0  # axes of space
    units: int
    activation: Any
    recurrent_activation: Any
    use_bias: bool
    bias_initializer: Any
    bias_regularizer: Any
    bias_constraint: Any
    dropout: float
    recurrent_dropout: float
    seed: int | None
    _takes_one_tensor = True
    _takes_integers = False

    def _keep(self, given: dict[str, Any]) -> None:
        """Set up from the arguments of `__init__`."""
        kwargs = dict(given["kwargs"])
        implementation = kwargs.pop("implementation", 2) if self.gates > 1 else 2
        super().__init__(**kwargs)
        kind = type(self).__name__
        positive(kind, units=given["units"])
        for name in ("dropout", "recurrent_dropout"):
            if not isinstance(given[name], (int, float)) or not 0 <= given[name] <= 1:
                raise ValueError(f"{kind}: `{name}` must be in [0, 1], received {given[name]!r}.")
        for name in ("units", "use_bias", "dropout", "recurrent_dropout", "seed"):
            setattr(self, name, given[name])
        for name in ("activation", "recurrent_activation"):
            if name in given:
                setattr(self, name, activations.get(given[name]))
        for name in ("kernel", "recurrent", "bias"):
            options = [given[f"{name}_{o}"] for o in ("initializer", "regularizer", "constraint")]
            self._keep_options(**{name: tuple(options)})
        # Keras draws a mask for each gate where it drops states, or when asked to.
        separate = self.gates > 1 and (self.recurrent_dropout > 0 or implementation == 1)
        self._masks = self.gates if separate else 1
        self._generator = None if self.seed is None else random.SeedGenerator(self.seed)
        self.state_size: Any = self.units
        self.output_size = self.units

    def build(self, input_shape: Any) -> None:
        """Make kernel, recurrent kernel and bias."""
        features = input_shape[-1] if len(input_shape) > 1 else None
        if features is None:
            raise ValueError(
                f"{self._title()}: the input must have a batch axis and a last axis of known size, "
                f"received shape {input_shape}."
            )
        self._make_weights(features)

    def _make_weights(
        self, features: int, window: tuple[int, ...] = (), memory: tuple[int, ...] = (1, 0)
    ) -> None:
        """Kernels of the shape (*window, features, gates * units), and the bias."""
        wide = self.gates * self.units
        self.kernel = self._make("kernel", (*window, features, wide), memory)
        shape = (*window, self.units, wide)
        self.recurrent_kernel = self._make("recurrent", shape, memory, "recurrent_kernel")
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                self._bias_shape(),
                self._first_bias,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
                name="bias",
            )

    def _bias_shape(self) -> tuple[int, ...]:
        return (self.gates * self.units,)

    def _first_bias(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        return self.bias_initializer(shape, dtype=dtype)

    def call(self, inputs: Tensor, states: Any, training: bool = False) -> tuple[Tensor, Any]:
        """(B, D) and states (B, units), one or a list -> output (B, units), new states alike."""
        nested = isinstance(states, (list, tuple))
        states = list(states) if nested else [states]
        masks, recurrent = self.draw(inputs, states[0], training)
        output, states = self.step(self.project(inputs, masks), states, recurrent)
        return output, states if nested else states[0]

    def draw(
        self, inputs: Tensor, state: Tensor, training: bool
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Dropout masks for inputs and state: none, one, or one for each gate. They hold for all the
        steps of a sequence."""
        if not training:
            return [], []
        pairs = ((inputs, self.dropout), (state, self.recurrent_dropout))
        a, b = (
            [
                random.dropout(torch.ones_like(x), rate, seed=self._generator)
                for _ in range(self._masks if rate else 0)
            ]
            for x, rate in pairs
        )
        return a, b

    def project(self, inputs: Tensor, masks: Sequence[Tensor]) -> Tensor:
        """(..., D) -> (..., gates * units)."""
        return _product(inputs, self.kernel, self.bias, masks)

    def step(
        self, x: Tensor, states: list[Tensor], masks: Sequence[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """Output and states after the step with projected inputs `x`."""
        raise NotImplementedError

    def kind(self) -> str | None:
        """Name of the torch kernel that computes this cell."""
        raise NotImplementedError

    def torch_weights(self) -> list[Tensor]:
        """What that kernel takes, views as far as possible."""
        weights: list[Tensor] = [self.kernel.T, self.recurrent_kernel.T]
        # torch has two biases and adds them up
        return weights if self.bias is None else [*weights, self.bias, torch.zeros_like(self.bias)]

    def get_initial_state(self, batch_size: Any = None) -> list[Tensor]:
        """Zeros, a tensor (batch_size, units) for each state."""
        return _zeros(self, batch_size, self)

    def _expectation(self) -> str:
        if not self.built:
            return ""
        count = len(_sizes(self))
        return (
            f"expected inputs (batch, {self.kernel.shape[0]}) and {count} "
            f"state{'s' if count > 1 else ''} (batch, {self.units})."
        )


class SimpleRNNCell(_Cell):
    """``h = activation(x @ kernel + h @ recurrent_kernel + bias)``: one step of `SimpleRNN`.

    >>> import torch, kerastorch as keras
    >>> output, [h] = keras.layers.SimpleRNNCell(4)(torch.ones(2, 3), [torch.zeros(2, 4)])
    >>> output.shape
    torch.Size([2, 4])
    """

    gates = 1

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
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
        self._keep(locals())

    def step(
        self, x: Tensor, states: list[Tensor], masks: Sequence[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """``activation(x + h @ recurrent_kernel)``."""
        h = self.activation(x + _product(states[0], self.recurrent_kernel, None, masks))
        return h, [h]

    def kind(self) -> str | None:
        """torch has the two activations."""
        kinds = {activations.tanh: "tanh", activations.relu: "relu"}
        return kinds.get(self.activation)


class LSTMCell(_Cell):
    """One step of `LSTM`, with states ``[h, c]``.

    ``c = f * c + i * tanh(g)`` and ``h = o * tanh(c)``, where ``i, f, g, o`` are the four parts of
    ``x @ kernel + h @ recurrent_kernel + bias``, all but g under a sigmoid (Hochreiter &
    Schmidhuber, 1997). `unit_forget_bias` starts the forget gate's bias at 1 (Jozefowicz et al., 2015).

    >>> import torch, kerastorch as keras
    >>> cell = keras.layers.LSTMCell(4)
    >>> output, [h, c] = cell(torch.ones(2, 3), [torch.zeros(2, 4), torch.zeros(2, 4)])
    >>> output.shape, tuple(cell.kernel.shape)
    (torch.Size([2, 4]), (3, 16))
    """

    gates = 4

    def __init__(
        self,
        units: int,
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
        self._keep(locals())
        self.unit_forget_bias = unit_forget_bias
        self.state_size = [units, units]

    def _first_bias(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        bias = torch.as_tensor(super()._first_bias(shape, dtype), dtype=dtype)
        if self.unit_forget_bias:
            bias[self.units : 2 * self.units] = 1
        return bias

    def step(
        self, x: Tensor, states: list[Tensor], masks: Sequence[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """The four gates."""
        h, c = states
        return self._gated(x + _product(h, self.recurrent_kernel, None, masks), c)

    def _gated(self, z: Tensor, c: Tensor, axis: int = -1) -> tuple[Tensor, list[Tensor]]:
        """Output and states for the four parts along `axis`."""
        i, f, g, o = z.chunk(4, axis)
        gate = self.recurrent_activation
        c = gate(f) * c + gate(i) * self.activation(g)
        h = gate(o) * self.activation(c)
        return h, [h, c]

    def kind(self) -> str | None:
        """torch has the default activations."""
        return "lstm" if _default_activations(self) else None


class GRUCell(_Cell):
    """One step of `GRU`, with state ``h``.

    ``h = z * h + (1 - z) * tanh(x_h + r * (h @ U_h))``, with the gates
    ``z, r = sigmoid(x_zr + h @ U_zr)`` and ``x_z, x_r, x_h`` the parts of ``x @ kernel + bias``.
    ``reset_after=False`` resets the state before the product, ``(r * h) @ U_h`` (Cho et al., 2014);
    True, as cuDNN, has a bias of its own on ``h @ U``: bias is (2, 3 * units), else (3 * units,).

    >>> import torch, kerastorch as keras
    >>> output, [h] = keras.layers.GRUCell(4)(torch.ones(2, 3), [torch.zeros(2, 4)])
    >>> output.shape
    torch.Size([2, 4])
    """

    gates = 3

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        reset_after: bool = True,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        self._keep(locals())
        self.reset_after = reset_after

    def _bias_shape(self) -> tuple[int, ...]:
        return (2, 3 * self.units) if self.reset_after else (3 * self.units,)

    def _biases(self) -> tuple[Any, Any]:
        """Of the inputs, of the state."""
        if self.bias is None or not self.reset_after:
            return self.bias, None
        return self.bias[0], self.bias[1]

    def project(self, inputs: Tensor, masks: Sequence[Tensor]) -> Tensor:
        """(..., D) -> (..., 3 * units)."""
        return _product(inputs, self.kernel, self._biases()[0], masks)

    def step(
        self, x: Tensor, states: list[Tensor], masks: Sequence[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """The two gates and the candidate."""
        (h,), (x_z, x_r, x_h) = states, x.chunk(3, -1)
        gate = self.recurrent_activation
        if self.reset_after:
            inner = _product(h, self.recurrent_kernel, self._biases()[1], masks)
            h_z, h_r, h_h = inner.chunk(3, -1)
            z, r = gate(x_z + h_z), gate(x_r + h_r)
            new = x_h + r * h_h
        else:
            sizes = [2 * self.units, self.units]
            gates, candidate = torch.split(self.recurrent_kernel, sizes, 1)
            h_z, h_r = _product(h, gates, None, masks[:2]).chunk(2, -1)
            z, r = gate(x_z + h_z), gate(x_r + h_r)
            new = x_h + _product(r * h, candidate, None, masks[2:])
        h = z * h + (1 - z) * self.activation(new)
        return h, [h]

    def kind(self) -> str | None:
        """torch has the default activations and resets after the product."""
        return "gru" if self.reset_after and _default_activations(self) else None

    def torch_weights(self) -> list[Tensor]:
        """In torch's order of gates."""
        weights = [_swapped(self.kernel.T, 0), _swapped(self.recurrent_kernel.T, 0)]
        return weights if self.bias is None else [*weights, *_swapped(self.bias, 1).unbind(0)]


#: Cells whose steps are known: a subclass may have written its own.
OWN: list[type] = [SimpleRNNCell, LSTMCell, GRUCell]


def _default_activations(cell: _Cell) -> bool:
    return cell.activation is activations.tanh and cell.recurrent_activation is activations.sigmoid


class StackedRNNCells(Layer):
    """Cells one upon another as one cell: each takes the output of the one before.

    The states are a list with the states of each cell. Over a sequence (`RNN`) the cells run one
    after the other, each over all steps, which is the same and lets each use torch's kernel.

    >>> import torch, kerastorch as keras
    >>> cell = keras.layers.StackedRNNCells([keras.layers.GRUCell(4), keras.layers.LSTMCell(5)])
    >>> keras.layers.RNN(cell)(torch.ones(2, 7, 3)).shape
    torch.Size([2, 5])
    """

    def __init__(self, cells: Sequence[Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for cell in cells:
            check_cell("StackedRNNCells: each of `cells`", cell)
        self.cells = list(cells)
        if not self._trainable:
            self.trainable = False  # and what is inside

    @property
    def state_size(self) -> list[Any]:
        """Sizes of the states, cell by cell."""
        return [cell.state_size for cell in self.cells]

    @property
    def output_size(self) -> int:
        """Size of the output of the last cell."""
        return _output_size(self.cells[-1])

    def build(self, input_shape: Any) -> None:
        """Build each cell for the output of the one before."""
        for cell in self.cells:
            if isinstance(cell, Layer) and not cell.built:
                cell.build(input_shape)
            input_shape = (input_shape[0], _output_size(cell))

    def call(self, inputs: Tensor, states: Any, training: bool = False) -> tuple[Tensor, Any]:
        """One step of all cells."""
        after = []
        for cell, before in zip(self.cells, states, strict=True):
            inputs, new = _stepper(cell, training)(inputs, before)
            after.append(new)
        return inputs, after

    def get_initial_state(self, batch_size: Any = None) -> list[Any]:
        """Zeros, cell by cell."""
        return [_first_states(cell, batch_size, self) for cell in self.cells]


def check_cell(what: str, cell: Any) -> None:
    """Raise unless `cell` has what a cell must have."""
    if not (callable(cell) or hasattr(cell, "call")) or not hasattr(cell, "state_size"):
        raise ValueError(
            f"{what} must be a cell: call(inputs, states) -> (output, states), and the attribute "
            f"`state_size`, an integer or a list with one for each state. Received {cell!r}."
        )


def _sizes(cell: Any) -> list[Any]:
    return [cell.state_size] if isinstance(cell.state_size, int) else list(cell.state_size)


def _output_size(cell: Any) -> int:
    size: int = getattr(cell, "output_size", None) or _sizes(cell)[0]
    return size


def _zeros(cell: Any, batch_size: Any, beside: Layer) -> list[Any]:
    dtype, device = beside._compute, beside._device()
    zeros = functools.partial(torch.zeros, dtype=dtype, device=device)
    return _states(cell, lambda size: zeros(_shape(batch_size, size)))


def _shape(batch_size: Any, size: Any) -> tuple[int, ...]:
    """Of a state, whose `size` is a number or has several axes."""
    return (batch_size, *size) if isinstance(size, tuple) else (batch_size, size)


def _first_states(cell: Any, batch_size: Any, beside: Layer) -> list[Any]:
    """What a cell says that it starts from, else zeros; a list."""
    if not hasattr(cell, "get_initial_state"):
        return _zeros(cell, batch_size, beside)
    found = cell.get_initial_state(batch_size=batch_size)
    return list(found) if isinstance(found, (list, tuple)) else [found]


def _states(cell: Any, make: Callable[[Any], Tensor]) -> list[Any]:
    """``[make(size), ...]`` for the states of a cell; for a stack a list of such lists."""
    if isinstance(cell, StackedRNNCells):
        return [_states(inner, make) for inner in cell.cells]
    return [make(size) for size in _sizes(cell)]


def _starts_at_zero(cell: Any) -> bool:
    if type(cell) is StackedRNNCells:
        return all(_starts_at_zero(inner) for inner in cell.cells)
    return type(cell) in OWN or not hasattr(cell, "get_initial_state")


# -- a cell over a sequence --------------------------------------------------------------------------


def _stepper(cell: Any, training: bool) -> Callable[[Tensor, Any], tuple[Tensor, Any]]:
    """`cell` as a function of inputs and states."""
    extra = {}
    if isinstance(cell, Layer) and cell._takes_in_call.training is not None:
        extra["training"] = training
    function = cell if callable(cell) else cell.call

    def step(inputs: Tensor, states: Any) -> tuple[Tensor, Any]:
        output, after = function(inputs, states, **extra)
        nested = isinstance(after, (list, tuple)) or not isinstance(states, (list, tuple))
        return output, after if nested else [after]

    return step


def scan(
    cell: Any,
    x: Tensor,
    states: Any,
    mask: Tensor | None,
    training: bool,
    sequences: bool,
    needs_states: bool,
    fused: bool = True,
) -> Scanned:
    """A cell over x (B, T, ...); see `Scanned`. Where the mask (B, T) is False nothing changes."""
    if type(cell) is StackedRNNCells:
        after = []
        for i, (inner, before) in enumerate(zip(cell.cells, states, strict=True)):
            every = sequences or i + 1 < len(cell.cells)
            found = scan(inner, x, before, mask, training, every, needs_states, fused)
            x = x if found.outputs is None else found.outputs
            after.append(found.states)
        return Scanned(found.last, found.outputs, after)
    if type(cell) not in OWN:
        return loop(_stepper(cell, training), x, states, mask, sequences)
    check_rank(x, 3 + cell.rank)
    nested = isinstance(states, (list, tuple))
    states = list(states) if nested else [states]
    masks, recurrent = cell.draw(x[:, :1], states[0], training)
    kind = cell.kind() if fused and not recurrent and len(masks) < 2 else None
    if kind is None:
        projected = cell.project(x, masks)
        step = lambda z, before: cell.step(z, before, recurrent)  # noqa: E731
        found = loop(step, projected, states, mask, sequences)
        return found if nested else found._replace(states=found.states[0])
    x = x * masks[0] if masks else x
    before, weights = [state.unsqueeze(0) for state in states], cell.torch_weights()
    if mask is None:
        y, last = kernel(kind, x, before, weights)
        found = Scanned(last[0].squeeze(0), y if sequences else None, last)
    else:
        found = masked_kernel(kind, x, before, weights, mask, sequences, needs_states)
    states = [state.squeeze(0) for state in found.states]
    return found._replace(states=states if nested else states[0])


class RNN(Layer):
    """A cell over a sequence: (B, T, ...) -> its last output (B, units), or all of them.

    `cell` is one of `LSTMCell`, `GRUCell`, `SimpleRNNCell`, a list of cells, or any object with
    ``call(inputs, states) -> (output, states)`` and `state_size`; where torch has a kernel for it,
    that runs. A step where `mask` (B, T) is False leaves the states alone and gives the output
    before it again, or zeros with `zero_output_for_mask`.

    Args:
        return_sequences: all outputs, (B, T, units), instead of the last.
        return_state: a tuple, the output and then each state after the last step.
        go_backwards: from the last step to the first; outputs are in that order.
        stateful: start where the last batch ended. The batch size must be fixed; `reset_state`
            goes back to zeros. The states are buffers that `state_dict` leaves out.
        unroll: taken for Keras's sake; the result is the same.

    >>> import torch, kerastorch as keras
    >>> class Sum(keras.layers.Layer):
    ...     state_size = 3
    ...     def call(self, inputs, states):
    ...         total = states[0] + inputs
    ...         return total, [total]
    >>> keras.layers.RNN(Sum())(torch.ones(2, 7, 3))[0]
    tensor([7., 7., 7.])
    """

    _takes_one_tensor = True
    _takes_integers = False
    cell: Any
    use_cudnn: Any = "auto"

    def __init__(
        self,
        cell: Any,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.cell = StackedRNNCells(cell) if isinstance(cell, (list, tuple)) else cell
        check_cell(f"{type(self).__name__}: `cell`", self.cell)
        self.return_sequences = return_sequences
        self.return_state = return_state
        self.go_backwards = go_backwards
        self.stateful = stateful
        self.unroll = unroll
        self.zero_output_for_mask = zero_output_for_mask
        self.supports_masking = True
        self._state_names: tuple[str, ...] = ()
        if not self._trainable:
            self.trainable = False  # and what is inside

    @property
    def state_size(self) -> list[Any]:
        """Sizes of the cell's states."""
        return _sizes(self.cell)

    def build(self, sequences_shape: Any, initial_state_shape: Any = None) -> None:
        """Build the cell for one step; make the states if they are kept."""
        if len(sequences_shape) < 3:
            raise ValueError(
                f"{self._title()}: the input must have the axes (batch, time, features), "
                f"received shape {sequences_shape}."
            )
        batch = sequences_shape[0]
        if isinstance(self.cell, Layer) and not self.cell.built:
            self.cell.build((batch, *sequences_shape[2:]))
        if not self.stateful or self._state_names:
            return
        if batch is None:
            raise ValueError(
                f"{self._title()} is stateful, so the batch size must be known: "
                f"Input(batch_shape=(32, ...)). Received shape {sequences_shape}."
            )
        names: list[str] = []

        def make(size: Any) -> Any:
            names.append(f"rnn_state_{len(names)}")
            return self.add_weight(
                _shape(batch, size), "zeros", trainable=False, name=names[-1], persistent=False
            )

        _states(self.cell, make)
        self._state_names = tuple(names)

    @property
    def states(self) -> list[Any] | None:
        """The states that are kept, None if there are none."""
        kept = iter(self._state_names)
        return (
            _states(self.cell, lambda _: getattr(self, next(kept))) if self._state_names else None
        )

    def reset_state(self) -> None:
        """Set the states that are kept to zero."""
        with torch.no_grad():
            for name in self._state_names:
                getattr(self, name).zero_()

    reset_states = reset_state

    def get_initial_state(self, batch_size: int) -> list[Any]:
        """The states at the start: the cell's, or zeros."""
        return _first_states(self.cell, batch_size, self)

    def call(
        self,
        sequences: Tensor,
        initial_state: Any = None,
        mask: Any = None,
        training: bool = False,
    ) -> Any:
        """(B, T, ...) -> (B, units) or (B, T, units), and the states if they are returned."""
        x = sequences
        states = self._start(x, initial_state)
        if mask is not None:
            mask = torch.as_tensor(mask, device=x.device).to(torch.bool)
            if mask.dim() == 3 and mask.shape[2] == 1:
                mask = mask[..., 0]
            if mask.shape != x.shape[:2]:
                raise ValueError(
                    f"`mask` must be (batch, time), {tuple(x.shape[:2])}, "
                    f"received shape {tuple(mask.shape)}"
                )
        if self.go_backwards:
            x, mask = x.flip(1), None if mask is None else mask.flip(1)
        keep = self.return_state or self.stateful
        fused = self.use_cudnn is not False
        found = scan(self.cell, x, states, mask, training, self.return_sequences, keep, fused)
        output = found.last if found.outputs is None else found.outputs
        if mask is not None and self.zero_output_for_mask:
            output = select(mask if self.return_sequences else mask[:, -1], output, 0)
        if self.stateful:
            with torch.no_grad():
                for name, state in zip(self._state_names, _leaves(found.states), strict=True):
                    getattr(self, name).copy_(state)
        output = self._convert(output)
        return (output, *self._convert(list(found.states))) if self.return_state else output

    def _start(self, x: Tensor, given: Any) -> Any:
        if given is not None:
            given = list(given) if isinstance(given, (list, tuple)) else [given]
            return _mapped(given, lambda s: torch.as_tensor(s, device=x.device).to(x.dtype))
        kept = self.states
        if self.stateful and kept is not None:
            expected = _leaves(kept)[0].shape[0]
            if x.shape[0] != expected:
                raise ValueError(
                    f"a stateful layer goes on where the last batch ended: expected {expected} rows"
                )
            return _mapped(kept, lambda s: copied(s, x.dtype))
        if _starts_at_zero(self.cell):
            return _states(self.cell, lambda size: x.new_zeros(x.shape[0], size))
        with x.device:
            return _mapped(self.get_initial_state(x.shape[0]), lambda s: s.to(x.dtype))

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """That of the inputs for outputs over time; the others have none."""
        if isinstance(previous_mask, (list, tuple)):
            previous_mask = previous_mask[0]
        mask = previous_mask if self.return_sequences else None
        return [mask, *(None for _ in self.state_size)] if self.return_state else mask

    def _expectation(self) -> str:
        cell = self.cell.cells[0] if isinstance(self.cell, StackedRNNCells) else self.cell
        if not isinstance(cell, _Cell) or not cell.built:
            return ""
        return f"expected (batch, time, {cell.kernel.shape[0]}), with at least one step."


def _leaves(states: Any) -> list[Tensor]:
    if isinstance(states, (list, tuple)):
        return [leaf for item in states for leaf in _leaves(item)]
    return [states]


def _mapped(states: Any, function: Callable[[Any], Tensor]) -> Any:
    if isinstance(states, (list, tuple)):
        return [_mapped(item, function) for item in states]
    return function(states)


registry.add(SimpleRNNCell, LSTMCell, GRUCell, StackedRNNCells, RNN)
