"""What several families of layers share: weights with options, and axes of space or time."""

from __future__ import annotations

from typing import Any

import torch

from kerastorch import constraints, initializers, regularizers
from kerastorch._variable import Variable
from kerastorch.config import standardize_data_format
from kerastorch.layers._layer import Layer


def positive(layer: str, **arguments: Any) -> None:
    """Raise unless every argument is a positive integer."""
    for name, value in arguments.items():
        if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
            raise ValueError(f"{layer}: `{name}` must be a positive integer, received {value!r}.")


def check_rank(x: torch.Tensor, rank: int) -> None:
    """Raise unless `x` has `rank` axes: torch would take one less for data without a batch axis."""
    if x.dim() != rank:
        raise ValueError(f"{x.dim()} axes instead of {rank}")


class Optioned(Layer):
    """A layer whose weights come with an initializer, a regularizer and a constraint each."""

    def _keep_options(self, **weights: tuple[Any, Any, Any]) -> None:
        """Set ``kernel_initializer``, ``kernel_regularizer``, ``kernel_constraint`` for `kernel`."""
        for name, (initializer, regularizer, constraint) in weights.items():
            setattr(self, f"{name}_initializer", initializers.get(initializer))
            setattr(self, f"{name}_regularizer", regularizers.get(regularizer))
            setattr(self, f"{name}_constraint", constraints.get(constraint))

    def _make(
        self, kind: str, shape: tuple[int, ...], memory: Any = None, name: str | None = None
    ) -> Variable:
        """The weight called `name`, or as the options of its `kind`."""
        return self.add_weight(
            shape,
            getattr(self, f"{kind}_initializer"),
            regularizer=getattr(self, f"{kind}_regularizer"),
            constraint=getattr(self, f"{kind}_constraint"),
            name=name or kind,
            memory=memory,
        )


class Spatial(Layer):
    """A layer over `rank` axes of time or space, with the channels before or after them.

    `_move` of a subclass sees channels first: a view of channels-last data, in torch's memory format
    of that name, so nothing is copied.
    """

    rank: int
    _live_config = (*Layer._live_config, "data_format")
    _takes_one_tensor = True
    _channels_last: bool

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = standardize_data_format(data_format)
        self._channels_last = self.data_format == "channels_last"
        axes = range(self.rank)
        self._to_first = (0, self.rank + 1, *(axis + 1 for axis in axes))
        self._to_last = (0, *(axis + 2 for axis in axes), 1)

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        """(B, ..., C) -> (B, new ..., new C), or channels first."""
        if inputs.dim() != self.rank + 2:
            check_rank(inputs, self.rank + 2)
        last = self._channels_last
        x = self._move(inputs.permute(self._to_first) if last else inputs)
        if self._mixed and x.dtype is torch.float32:  # some kernels leave autocast's dtype
            x = x.to(self._compute)
        return x.permute(self._to_last) if last else x

    def _move(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, ...) -> (B, new C, new ...)."""
        raise NotImplementedError

    def _expectation(self) -> str:
        return f"expected {self.rank + 2} axes."
