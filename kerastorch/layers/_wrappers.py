"""Layers around a layer: over the steps of a sequence, and in both directions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from kerastorch.layers._kernels import kernel
from kerastorch.layers._layer import Layer, registry
from kerastorch.layers._recurrent import _Recurrent


class Wrapper(Layer):
    """A layer around another, `layer`, which any `nn.Module` can be: a base for classes of your own.

    >>> import torch, kerastorch as keras
    >>> class Twice(keras.layers.Wrapper):
    ...     def call(self, inputs):
    ...         return self.layer(self.layer(inputs))
    >>> Twice(keras.layers.Dense(3))(torch.ones(2, 3)).shape
    torch.Size([2, 3])
    """

    def __init__(self, layer: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_module(f"{type(self).__name__}: `layer`", layer)
        self.layer = layer
        if not self._trainable:
            self.trainable = False  # and what is inside

    def build(self, input_shape: Any = None) -> None:
        """Build what is inside."""
        if isinstance(self.layer, Layer) and not self.layer.built:
            self.layer.build(input_shape)


def check_module(what: str, layer: Any) -> None:
    """Raise unless `layer` is a module."""
    if not isinstance(layer, nn.Module):
        raise ValueError(f"{what} must be a layer or an nn.Module, received {layer!r}.")


class TimeDistributed(Wrapper):
    """`layer` on each step of a sequence: (B, T, ...) -> (B, T, ...).

    The layer runs once, on the B * T steps as one batch. `mask` (B, T) goes to the layer if it takes
    one, and on to the next layer.

    >>> import torch, kerastorch as keras
    >>> keras.layers.TimeDistributed(torch.nn.Conv2d(3, 8, 3))(torch.ones(2, 5, 3, 9, 9)).shape
    torch.Size([2, 5, 8, 7, 7])
    """

    _takes_one_tensor = True

    def __init__(self, layer: Any, **kwargs: Any) -> None:
        super().__init__(layer, **kwargs)
        self.supports_masking = True

    def build(self, input_shape: Any = None) -> None:
        """Build the layer for one step."""
        if len(input_shape) < 3:
            raise ValueError(
                f"{self._title()}: the input must have the axes (batch, time, ...) and at least "
                f"three of them, received shape {input_shape}."
            )
        super().build((input_shape[0], *input_shape[2:]))

    def call(self, inputs: Tensor, training: bool | None = None, mask: Any = None) -> Any:
        """(B, T, ...) -> (B, T, ...)."""
        steps = inputs.shape[:2]
        extra = {}
        if mask is not None:
            mask = torch.as_tensor(mask, device=inputs.device)
            if mask.shape[:2] != steps:
                raise ValueError(
                    f"{self._title()}: `mask` must begin with the axes (batch, time) of the input, "
                    f"{tuple(steps)}, received shape {tuple(mask.shape)}."
                )
            if isinstance(self.layer, Layer) and self.layer._takes_in_call.mask:
                extra["mask"] = mask.flatten(0, 1)
        outputs = self.layer(inputs.flatten(0, 1), **extra)
        return self._convert(pytree.tree_map(lambda y: y.unflatten(0, steps), outputs))


class Bidirectional(Layer):
    """A recurrent layer in both directions; two layers of the same kind are one call of torch's kernel.

    `layer` gives two new layers, `forward_layer` and `backward_layer`; a `backward_layer` with the
    opposite `go_backwards` can be given instead. `merge_mode` is how outputs are joined: ``"concat"``
    (features side by side), ``"sum"``, ``"mul"``, ``"ave"``, or None for both as they are. With
    ``return_state=True`` the states follow, the forward layer's first; `initial_state` is in that order.

    >>> import torch, kerastorch as keras
    >>> layer = keras.layers.Bidirectional(keras.layers.LSTM(4, return_sequences=True))
    >>> layer(torch.ones(2, 7, 3)).shape
    torch.Size([2, 7, 8])
    """

    forward_layer: Any
    backward_layer: Any
    _takes_one_tensor = True
    _takes_integers = False

    def __init__(
        self,
        layer: Any,
        merge_mode: str | None = "concat",
        weights: Any = None,
        backward_layer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for name, value in (("layer", layer), ("backward_layer", backward_layer or layer)):
            if not isinstance(value, Layer) or not hasattr(value, "go_backwards"):
                raise ValueError(
                    f"Bidirectional: `{name}` must be a recurrent layer such as LSTM or RNN, "
                    f"received {value!r}."
                )
        if merge_mode not in _MERGES:
            raise ValueError(
                f"Bidirectional: `merge_mode` must be one of {tuple(_MERGES)}, "
                f"received {merge_mode!r}."
            )
        self.merge_mode = merge_mode
        self.forward_layer = _again(layer, "forward_")
        self.backward_layer = backward_layer or _again(layer, "backward_", go_backwards=True)
        self._check_pair()
        self.stateful = layer.stateful
        self.return_sequences = layer.return_sequences
        self.return_state = layer.return_state
        self.supports_masking = True
        for inner in (self.forward_layer, self.backward_layer):
            if hasattr(inner, "zero_output_for_mask"):
                inner.zero_output_for_mask = inner.return_sequences
        self._given_weights = weights
        if not self._trainable:
            self.trainable = False  # and what is inside

    def _check_pair(self) -> None:
        one, other = self.forward_layer, self.backward_layer
        if one.go_backwards == other.go_backwards:
            raise ValueError(
                "Bidirectional: `layer` and `backward_layer` must differ in `go_backwards`, "
                f"received {one.go_backwards} for both."
            )
        for name in ("stateful", "return_sequences", "return_state"):
            a, b = getattr(one, name), getattr(other, name)
            if a != b:
                raise ValueError(
                    f"Bidirectional: `layer` and `backward_layer` must have the same `{name}`, "
                    f"received {a} and {b}."
                )

    def build(self, sequences_shape: Any, initial_state_shape: Any = None) -> None:
        """Build both layers."""
        for inner in (self.forward_layer, self.backward_layer):
            if not inner.built:
                inner.build(sequences_shape)
        if self._given_weights is not None:
            self.set_weights(self._given_weights)

    def call(
        self,
        sequences: Tensor,
        initial_state: Any = None,
        mask: Any = None,
        training: bool | None = None,
    ) -> Any:
        """(B, T, D) -> (B, units) or (B, T, units) of each direction, merged; states if returned."""
        kind = self._one_kernel(mask, bool(training))
        if kind is not None:
            pair, states = self._both_at_once(kind, sequences, initial_state)
        else:
            pair, states = self._one_by_one(sequences, initial_state, mask, training)
        pair = self._convert(pair)
        output = pair[0] if len(pair) == 1 else _MERGES[self.merge_mode](*pair)
        if not self.return_state:
            return output
        states = self._convert(states)
        return (*output, *states) if self.merge_mode is None else (output, *states)

    def _one_by_one(
        self, x: Tensor, initial_state: Any, mask: Any, training: bool | None
    ) -> tuple[list[Tensor], list[Any]]:
        outputs: list[Tensor] = []
        states: list[Any] = []
        for i, inner in enumerate((self.forward_layer, self.backward_layer)):
            extra: dict[str, Any] = {}
            if initial_state is not None:
                half = len(initial_state) // 2
                extra["initial_state"] = initial_state[half * i : half * (i + 1)]
            if mask is not None and inner._takes_in_call.mask:
                extra["mask"] = mask
            found = inner(x, **extra, training=training)
            output, *after = found if self.return_state else (found,)
            outputs.append(output.flip(1) if i and self.return_sequences else output)
            states += after
        return outputs, states

    def _one_kernel(self, mask: Any, training: bool) -> str | None:
        """The kernel that computes both layers, if one call of it does."""
        one, other = self.forward_layer, self.backward_layer
        if not (
            isinstance(one, _Recurrent)
            and type(one) is type(other)
            and type(one).call is _Recurrent.call
        ):
            return None
        a, b = one.cell, other.cell
        apart = (
            mask is not None
            or self.stateful
            or one.go_backwards
            or False in (one.use_cudnn, other.use_cudnn)
            or (training and any((a.dropout, b.dropout, a.recurrent_dropout, b.recurrent_dropout)))
            or one.activity_regularizer is not None
            or other.activity_regularizer is not None
            or (a.units, a.use_bias) != (b.units, b.use_bias)
            or not self._policy.name == one._policy.name == other._policy.name
        )
        kind: str | None = a.kind()
        return None if apart or kind != b.kind() else kind

    def _both_at_once(
        self, kind: str, x: Tensor, initial_state: Any
    ) -> tuple[list[Tensor], list[Tensor]]:
        a, b = self.forward_layer.cell, self.backward_layer.cell
        count = 2 if kind == "lstm" else 1
        if initial_state is None:
            before = [x.new_zeros(2, x.shape[0], a.units)] * count
        else:
            given = [torch.as_tensor(s, device=x.device).to(x.dtype) for s in initial_state]
            before = [torch.stack((given[i], given[count + i])) for i in range(count)]
        weights: Sequence[Tensor] = [*a.torch_weights(), *b.torch_weights()]
        y, after = kernel(kind, x, before, weights, both=True)
        states = [state[direction] for direction in (0, 1) for state in after]
        if not self.return_sequences:
            return list(after[0].unbind(0)), states
        return [y] if self.merge_mode == "concat" else list(y.chunk(2, -1)), states

    @property
    def states(self) -> tuple[Any, ...] | None:
        """The states that are kept, the forward layer's first; None if there are none."""
        one, other = self.forward_layer.states, self.backward_layer.states
        return (*one, *other) if one and other else None

    def reset_state(self) -> None:
        """Set the states that are kept to zero."""
        if not self.stateful:
            raise AttributeError(f"{self._title()} is not stateful: it keeps no state to reset.")
        self.forward_layer.reset_state()
        self.backward_layer.reset_state()

    reset_states = reset_state

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """That of the inputs for outputs over time; the others have none."""
        if isinstance(previous_mask, (list, tuple)):
            previous_mask = previous_mask[0]
        mask = previous_mask if self.return_sequences else None
        masks = [mask, mask] if self.merge_mode is None else [mask]
        if self.return_state:
            masks += [None] * 2 * len(self.forward_layer.state_size)
        return masks if len(masks) > 1 else mask

    def get_config(self) -> dict[str, Any]:
        """The arguments that rebuild this layer; `weights` are no configuration."""
        config = super().get_config()
        del config["weights"]
        return config

    def _expectation(self) -> str:
        return str(self.forward_layer._expectation())


_MERGES: dict[str | None, Any] = {
    "concat": lambda a, b: torch.cat((a, b), -1),
    "sum": torch.add,
    "mul": torch.mul,
    "ave": lambda a, b: (a + b) / 2,
    None: lambda a, b: (a, b),
}


def _again(layer: Any, prefix: str, **changes: Any) -> Any:
    """A new layer of the configuration of `layer`, with `changes`."""
    name = prefix + layer.name.removeprefix(prefix)
    new = type(layer).from_config({**layer.get_config(), "name": name, **changes})
    if hasattr(layer, "use_cudnn"):
        new.use_cudnn = layer.use_cudnn
    return new


registry.add(Wrapper, TimeDistributed, Bidirectional)
