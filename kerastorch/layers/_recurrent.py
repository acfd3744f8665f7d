"""The recurrent layers: `RNN` with a cell of their own, and Keras's arguments."""

from __future__ import annotations

import inspect
from typing import Any

from kerastorch._registry import snake_case
from kerastorch.layers._cells import RNN, GRUCell, LSTMCell, SimpleRNNCell
from kerastorch.layers._layer import registry


class _OfCell:
    """An attribute of the cell."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, layer: Any, owner: type) -> Any:
        return self if layer is None else getattr(layer.cell, self.name)


class _Recurrent(RNN):
    """`RNN` over the cell that the subclass names."""

    _cell: Any

    units = _OfCell()
    activation = _OfCell()
    use_bias = _OfCell()
    kernel_initializer = _OfCell()
    recurrent_initializer = _OfCell()
    bias_initializer = _OfCell()
    kernel_regularizer = _OfCell()
    recurrent_regularizer = _OfCell()
    bias_regularizer = _OfCell()
    kernel_constraint = _OfCell()
    recurrent_constraint = _OfCell()
    bias_constraint = _OfCell()
    dropout = _OfCell()
    recurrent_dropout = _OfCell()
    seed = _OfCell()

    def _keep(self, given: dict[str, Any]) -> None:
        """Set up from the arguments of `__init__`, which are the cell's and `RNN`'s."""
        kwargs = dict(given["kwargs"])
        use_cudnn = given.get("use_cudnn", "auto")
        if use_cudnn not in ("auto", True, False):
            raise ValueError(
                f"{type(self).__name__}: `use_cudnn` must be 'auto', True or False, "
                f"received {use_cudnn!r}."
            )
        more = {k: kwargs[k] for k in ("dtype", "trainable") if k in kwargs}
        if "implementation" in kwargs:
            more["implementation"] = kwargs.pop("implementation")
        taken = inspect.signature(self._cell).parameters.keys() - {"kwargs"}
        cell = self._cell(
            **{name: given[name] for name in taken}, **more, name=snake_case(self._cell.__name__)
        )
        taken = inspect.signature(RNN).parameters.keys() & given.keys()
        own = {name: given[name] for name in taken - {"kwargs"}}
        RNN.__init__(
            self, cell, **own, activity_regularizer=given["activity_regularizer"], **kwargs
        )
        self.use_cudnn = use_cudnn
        if use_cudnn is True and (cell.kind() is None or cell.recurrent_dropout):
            raise ValueError(
                f"{type(self).__name__}: use_cudnn=True, but torch has no kernel for these arguments: "
                "it takes the default activations, recurrent_dropout=0 and reset_after=True. "
                "use_cudnn='auto' falls back to a loop."
            )


class LSTM(_Recurrent):
    """Long short-term memory over (B, T, D): see `LSTMCell` for the formula and `RNN` for the modes.

    With the default activations and without `recurrent_dropout` it is torch's kernel (oneDNN, cuDNN)
    on weights of Keras's shapes, masked steps included. ``use_cudnn=False`` forces the loop of steps,
    True forbids it. `dropout` thins out the inputs with one mask for all steps.

    >>> import torch, kerastorch as keras
    >>> layer = keras.layers.LSTM(4, return_sequences=True, return_state=True)
    >>> y, h, c = layer(torch.ones(2, 7, 3))
    >>> y.shape, torch.equal(y[:, -1], h), c.shape
    (torch.Size([2, 7, 4]), True, torch.Size([2, 4]))
    """

    _cell = LSTMCell
    recurrent_activation = _OfCell()
    unit_forget_bias = _OfCell()

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
        unroll: bool = False,
        use_cudnn: Any = "auto",
        **kwargs: Any,
    ) -> None:
        self._keep(locals())


class GRU(_Recurrent):
    """Gated recurrent units over (B, T, D): see `GRUCell` for the formula and `RNN` for the modes.

    With the default activations, ``reset_after=True`` and without `recurrent_dropout` it is torch's
    kernel, masked steps included. The rest is as for `LSTM`.

    >>> import torch, kerastorch as keras
    >>> keras.layers.GRU(4)(torch.ones(2, 7, 3)).shape
    torch.Size([2, 4])
    """

    _cell = GRUCell
    recurrent_activation = _OfCell()
    reset_after = _OfCell()

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
        unroll: bool = False,
        reset_after: bool = True,
        use_cudnn: Any = "auto",
        **kwargs: Any,
    ) -> None:
        self._keep(locals())


class SimpleRNN(_Recurrent):
    """``h = activation(x @ kernel + h @ recurrent_kernel + bias)`` over (B, T, D); see `RNN`.

    With tanh or relu and without `recurrent_dropout` it is torch's kernel.

    >>> import torch, kerastorch as keras
    >>> keras.layers.SimpleRNN(4, return_sequences=True)(torch.ones(2, 7, 3)).shape
    torch.Size([2, 7, 4])
    """

    _cell = SimpleRNNCell

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
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        self._keep(locals())


registry.add(LSTM, GRU, SimpleRNN)
