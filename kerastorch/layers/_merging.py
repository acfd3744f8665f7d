"""Layers that make one tensor of several."""

from __future__ import annotations

import functools
from typing import Any

import torch

from kerastorch.layers._layer import Layer, registry


class _Merge(Layer):
    """A layer over a list of tensors."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self.built = True

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """True where any input is; none if an input has none."""
        if previous_mask is None or any(mask is None for mask in previous_mask):
            return None
        return functools.reduce(torch.logical_or, previous_mask)

    def _expectation(self) -> str:
        return "expected a list of tensors that broadcast."


class Add(_Merge):
    """The sum of the inputs, which broadcast.

    >>> import torch, kerastorch as keras
    >>> keras.layers.Add()([torch.ones(2), torch.ones(2), torch.ones(2)])
    tensor([3., 3.])
    """

    def call(self, inputs: Any) -> torch.Tensor:
        """Tensors of one shape -> that shape."""
        first, *rest = aligned(inputs)
        for x in rest:
            first = first + x
        return first


class Concatenate(_Merge):
    """The inputs one after the other along `axis`.

    >>> import torch, kerastorch as keras
    >>> keras.layers.Concatenate()([torch.ones(2, 3), torch.ones(2, 5)]).shape
    torch.Size([2, 8])
    """

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs: Any) -> torch.Tensor:
        """Tensors alike but for `axis` -> one tensor."""
        return torch.cat(several(inputs), self.axis)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """The inputs' masks, concatenated likewise."""
        if previous_mask is None or all(mask is None for mask in previous_mask):
            return None
        masks = []
        for x, mask in zip(inputs, previous_mask, strict=True):
            if mask is None:
                masks.append(torch.ones_like(x, dtype=torch.bool))
            else:
                while mask.ndim < x.ndim:
                    mask = mask.unsqueeze(-1)
                masks.append(mask.expand_as(x) if mask.shape != x.shape else mask)
        return torch.cat(masks, self.axis).any(-1)

    def _expectation(self) -> str:
        return f"expected a list of tensors that agree in all axes but {self.axis}."


def several(inputs: Any) -> list[torch.Tensor]:
    """Raise unless there is a list of inputs: one tensor would be taken for a list of its rows."""
    if not isinstance(inputs, (list, tuple)) or not inputs:
        raise ValueError(f"received {'an empty list' if inputs == [] else 'no list'}")
    return list(inputs)


def aligned(inputs: Any) -> list[torch.Tensor]:
    """Tensors of fewer axes get new ones after the batch axis."""
    inputs = several(inputs)
    rank = max(x.dim() for x in inputs)
    return [x if x.dim() == rank else x[(slice(None), *(None,) * (rank - x.dim()))] for x in inputs]


def add(inputs: Any, **kwargs: Any) -> Any:
    """`Add` as a function."""
    return Add(**kwargs)(inputs)


def concatenate(inputs: Any, axis: int = -1, **kwargs: Any) -> Any:
    """`Concatenate` as a function."""
    return Concatenate(axis=axis, **kwargs)(inputs)


registry.add(Add, Concatenate)
