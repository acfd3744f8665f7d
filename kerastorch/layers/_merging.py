"""Layers that make one tensor of several."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any, ClassVar

import torch
import torch.nn.functional as F

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


class _Fold(_Merge):
    """A function of two tensors over the inputs from left to right; they broadcast."""

    operation: ClassVar[Callable[[Any, Any], Any]]

    def call(self, inputs: Any) -> torch.Tensor:
        """Tensors of one shape -> that shape."""
        return functools.reduce(type(self).operation, aligned(inputs))


class Add(_Fold):
    """The sum of the inputs, which broadcast.

    >>> import torch, kerastorch as keras
    >>> keras.layers.Add()([torch.ones(2), torch.ones(2), torch.ones(2)])
    tensor([3., 3.])
    """

    operation: ClassVar[Callable[[Any, Any], Any]] = operator.add


class Subtract(_Fold):
    """The first of two inputs minus the second.

    >>> import torch, kerastorch as keras
    >>> keras.layers.Subtract()([torch.ones(2), torch.ones(2)])
    tensor([0., 0.])
    """

    operation: ClassVar[Callable[[Any, Any], Any]] = operator.sub

    def call(self, inputs: Any) -> torch.Tensor:
        """Two tensors of one shape -> that shape."""
        two(inputs)
        return super().call(inputs)

    def _expectation(self) -> str:
        return "expected a list of two tensors that broadcast."


class Average(Add):
    """The mean of the inputs, which broadcast.

    >>> import torch, kerastorch as keras
    >>> keras.layers.Average()([torch.zeros(2), torch.ones(2)])
    tensor([0.5000, 0.5000])
    """

    def call(self, inputs: Any) -> torch.Tensor:
        """Tensors of one shape -> that shape."""
        return super().call(inputs) / len(inputs)


class Multiply(_Fold):
    """The product of the inputs, which broadcast. Masked entries count as 1, and give 0 if all are masked.

    >>> import torch, kerastorch as keras
    >>> keras.layers.Multiply()([torch.full((2,), 3.0), torch.full((2,), 2.0)])
    tensor([6., 6.])
    """

    operation: ClassVar[Callable[[Any, Any], Any]] = operator.mul

    def call(self, inputs: Any, mask: Any = None) -> torch.Tensor:
        """Tensors of one shape -> that shape."""
        if mask is None:
            return super().call(inputs)
        pairs = zip(inputs, mask, strict=True)
        y = super().call([x if m is None else x.where(m.unsqueeze(-1), 1) for x, m in pairs])
        seen = self.compute_mask(inputs, mask)
        return y if seen is None else y.where(seen.unsqueeze(-1), 0)


class _Extreme(_Fold):
    """The largest or smallest of the inputs; a masked entry is left out while others are not masked."""

    def call(self, inputs: Any, mask: Any = None) -> torch.Tensor:
        """Tensors of one shape -> that shape."""
        if mask is None:
            return super().call(inputs)
        result, *rest = aligned(inputs)
        seen, *masks = (None if m is None else m.unsqueeze(-1) for m in mask)
        for x, own in zip(rest, masks, strict=True):
            if own is not None:
                x = x.where(own, result)
            if seen is not None:
                result = result.where(seen, x)
            seen = None if own is None or seen is None else seen | own
            result = type(self).operation(result, x)
        return result


class Maximum(_Extreme):
    """The largest of the inputs, entry by entry.

    >>> import torch, kerastorch as keras
    >>> keras.layers.Maximum()([torch.tensor([1.0, 4.0]), torch.tensor([2.0, 3.0])])
    tensor([2., 4.])
    """

    operation: ClassVar[Callable[[Any, Any], Any]] = torch.maximum


class Minimum(_Extreme):
    """The smallest of the inputs, entry by entry.

    >>> import torch, kerastorch as keras
    >>> keras.layers.Minimum()([torch.tensor([1.0, 4.0]), torch.tensor([2.0, 3.0])])
    tensor([1., 3.])
    """

    operation: ClassVar[Callable[[Any, Any], Any]] = torch.minimum


class Dot(_Merge):
    """Sums of products of two inputs over one axis of each, sample by sample.

    (B, ..., n, ...), (B, ..., n, ...) -> (B, rest of the first, rest of the second); (B, 1) if
    nothing is left. `axes`: the axis, or a pair; `normalize` divides by the norms over that axis
    first, which gives the cosine.

    >>> import torch, kerastorch as keras
    >>> keras.layers.Dot(axes=(1, 2))([torch.zeros(2, 3, 5), torch.zeros(2, 10, 3)]).shape
    torch.Size([2, 5, 10])
    """

    def __init__(self, axes: Any, normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        pair = (axes, axes) if isinstance(axes, int) else axes
        if not isinstance(pair, (list, tuple)) or [type(a) for a in pair] != [int, int]:
            raise ValueError(f"Dot: `axes` must be an integer or two, received {axes!r}.")
        if 0 in pair:
            raise ValueError(f"Dot: `axes` must not hold the batch axis 0, received {axes!r}.")
        self.axes = axes
        self.normalize = normalize
        self._pair = tuple(pair)

    def call(self, inputs: Any) -> torch.Tensor:
        """Two tensors -> their products."""
        sides = []
        for x, axis in zip(two(inputs), self._pair, strict=True):
            if self.normalize:
                x = x if x.is_floating_point() else x.to(self._compute)
                x = F.normalize(x, dim=axis, eps=1e-12)
            sides.append(x.movedim(axis, -1))
        a, b = sides
        y = a.flatten(1, -2) if a.dim() > 2 else a.unsqueeze(1)
        z = b.flatten(1, -2) if b.dim() > 2 else b.unsqueeze(1)
        y = y @ z.transpose(1, 2)
        shape = (*a.shape[1:-1], *b.shape[1:-1])
        return y.reshape(y.shape[0], *(shape or (1,)))

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """None."""
        return None

    def _expectation(self) -> str:
        return f"expected a list of two tensors with axes {self.axes} of one size."


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


def two(inputs: Any) -> list[torch.Tensor]:
    """Raise unless there is a list of two inputs."""
    if len(several(inputs)) != 2:
        raise ValueError(f"received a list of {len(inputs)}")
    return list(inputs)


def aligned(inputs: Any) -> list[torch.Tensor]:
    """Tensors of fewer axes get new ones after the batch axis."""
    inputs = several(inputs)
    rank = max(x.dim() for x in inputs)
    return [x if x.dim() == rank else x[(slice(None), *(None,) * (rank - x.dim()))] for x in inputs]


def add(inputs: Any, **kwargs: Any) -> Any:
    """`Add` as a function."""
    return Add(**kwargs)(inputs)


def subtract(inputs: Any, **kwargs: Any) -> Any:
    """`Subtract` as a function."""
    return Subtract(**kwargs)(inputs)


def multiply(inputs: Any, **kwargs: Any) -> Any:
    """`Multiply` as a function."""
    return Multiply(**kwargs)(inputs)


def average(inputs: Any, **kwargs: Any) -> Any:
    """`Average` as a function."""
    return Average(**kwargs)(inputs)


def maximum(inputs: Any, **kwargs: Any) -> Any:
    """`Maximum` as a function."""
    return Maximum(**kwargs)(inputs)


def minimum(inputs: Any, **kwargs: Any) -> Any:
    """`Minimum` as a function."""
    return Minimum(**kwargs)(inputs)


def dot(inputs: Any, axes: Any = -1, **kwargs: Any) -> Any:
    """`Dot` as a function."""
    return Dot(axes=axes, **kwargs)(inputs)


def concatenate(inputs: Any, axis: int = -1, **kwargs: Any) -> Any:
    """`Concatenate` as a function."""
    return Concatenate(axis=axis, **kwargs)(inputs)


registry.add(Add, Subtract, Multiply, Average, Maximum, Minimum, Dot, Concatenate)
