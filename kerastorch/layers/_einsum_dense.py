"""`EinsumDense`: a dense layer over any axes, as an einsum."""

from __future__ import annotations

import math
import re
from typing import Any

import torch
import torch.nn.functional as F

from kerastorch import activations
from kerastorch.initializers import VarianceScaling
from kerastorch.layers._base import Optioned
from kerastorch.layers._layer import registry

_FORM = re.compile(r"(\.\.\.)?([a-zA-Z]+)(\.\.\.)?,([a-zA-Z]+)->(\.\.\.)?([a-zA-Z]+)(\.\.\.)?")


class EinsumDense(Optioned):
    """``activation(einsum(equation, inputs, kernel) + bias)``.

    Args:
        equation: ``"ab,bc->ac"`` and the like; ``"...ab,bc->...ac"`` or ``"ab...,bc->ac..."`` for
            inputs with further axes.
        output_shape: sizes of the output without the batch axis (with an ellipsis: of the axes that
            have letters); None for a size that is the input's.
        bias_axes: letters of the output that the bias has an axis for; None for no bias.

    The kernel's shape is in the equation. An equation that contracts the last axes of the input is
    one matrix product.

    >>> import torch, kerastorch as keras
    >>> layer = keras.layers.EinsumDense("abc,cd->abd", output_shape=(None, 8), bias_axes="d")
    >>> layer(torch.zeros(2, 5, 3)).shape, tuple(layer.kernel.shape)
    (torch.Size([2, 5, 8]), (3, 8))
    """

    _takes_one_tensor = True
    _takes_integers = False

    def __init__(
        self,
        equation: str,
        output_shape: Any,
        activation: Any = None,
        bias_axes: str | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        form = _FORM.fullmatch(equation.replace(" ", ""))
        parts: list[Any] = list(form.groups()) if form else []
        if not parts or parts[0] != parts[4] or parts[2] != parts[6] or (parts[0] and parts[2]):
            raise ValueError(
                "EinsumDense: `equation` must be like 'ab,bc->ac', '...ab,bc->...ac' or "
                f"'ab...,bc->ac...', received {equation!r}."
            )
        self.equation = equation
        self._letters: tuple[str, str, str] = (parts[1], parts[3], parts[5])
        self._elides = "before" if parts[0] else "after" if parts[2] else ""
        self.partial_output_shape = (
            (output_shape,) if isinstance(output_shape, int) else tuple(output_shape)
        )
        self.bias_axes = bias_axes
        self.activation = activations.get(activation)
        self._keep_options(
            kernel=(kernel_initializer, kernel_regularizer, kernel_constraint),
            bias=(bias_initializer, bias_regularizer, bias_constraint),
        )
        self._linear = activation is None or self.activation is activations.linear

    def build(self, input_shape: Any) -> None:
        """Make kernel and bias, whose shapes are in the equation."""
        inputs, kernel, outputs = self._letters
        sizes = self._sizes(tuple(input_shape))
        unknown = {letter for letter in kernel if letter not in sizes}
        if unknown:
            raise ValueError(
                f"{self._title()}: axis {', '.join(sorted(unknown))} of the kernel is in neither the "
                f"input nor the output of {self.equation!r}."
            )
        bound = [c for c in inputs if c in kernel and c not in outputs]
        new = [c for c in outputs if c in kernel and c not in inputs]
        # Whether the input is (..., *bound) and the output (..., *new): then it is a matrix product.
        same = inputs[: len(inputs) - len(bound)] == outputs[: len(outputs) - len(new)]
        self._is_product = (
            same
            and self._elides != "after"
            and len(kernel) == len(bound) + len(new) == len({*kernel})
            and inputs.endswith("".join(bound))
            and outputs.endswith("".join(new))
        )
        order = tuple(kernel.index(c) for c in (*new, *bound))
        self._order = order if self._is_product else None
        self._bound = len(bound)
        self._new = tuple(sizes[c] for c in new)
        initializer = self.kernel_initializer
        fans = {
            "input_axes": [i for i, c in enumerate(kernel) if c not in outputs],
            "output_axes": [i for i, c in enumerate(kernel) if c in outputs],
        }
        if isinstance(initializer, VarianceScaling) and None in (
            initializer.input_axes,
            initializer.output_axes,
        ):
            initializer = type(initializer).from_config({**initializer.get_config(), **fans})
        self.kernel = self.add_weight(
            tuple(sizes[c] for c in kernel),
            initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
            name="kernel",
        )
        self.bias: Any = None
        self._fused_bias = False
        if self.bias_axes is not None:
            if not self.bias_axes or not {*self.bias_axes} <= {*outputs}:
                raise ValueError(
                    f"{self._title()}: `bias_axes` must be letters of the output {outputs!r}, "
                    f"received {self.bias_axes!r}."
                )
            first = min(outputs.index(c) for c in self.bias_axes)
            shape = [sizes[c] if c in self.bias_axes else 1 for c in outputs[first:]]
            if self._elides == "after":
                shape += [1] * (len(input_shape) - len(inputs))
            self.bias = self._make("bias", tuple(shape))
            self._fused_bias = self._is_product and {*self.bias_axes} == {*new}

    def _sizes(self, input_shape: tuple[int | None, ...]) -> dict[str, Any]:
        """The size of each letter."""
        inputs, _, outputs = self._letters
        elided = len(input_shape) - len(inputs)
        if elided < 0 or (elided and not self._elides):
            raise ValueError(
                f"{self._title()}: the input of {self.equation!r} must have {len(inputs)} axes"
                f"{' or more' if self._elides else ''}, received shape {input_shape}."
            )
        before = self._elides == "before" and elided > 0
        sizes: dict[str, Any] = dict(
            zip(inputs, input_shape[elided:] if before else input_shape, strict=False)
        )
        letters = outputs if before else outputs[1:]
        if len(letters) != len(self.partial_output_shape):
            raise ValueError(
                f"{self._title()}: `output_shape` must have a size for each of {letters!r}, "
                f"received {self.partial_output_shape!r}."
            )
        for letter, size in zip(letters, self.partial_output_shape, strict=True):
            if None not in (size, sizes.get(letter)) and sizes[letter] != size:
                raise ValueError(
                    f"{self._title()}: axis {letter!r} is {sizes[letter]} in the input of shape "
                    f"{input_shape} and {size} in `output_shape`."
                )
            if size is not None:
                sizes[letter] = size
        return sizes

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        """The einsum."""
        bias = self.bias
        if self._order is None:
            x = torch.einsum(self.equation, inputs, self.kernel)
        else:
            weight = self.kernel.permute(self._order).reshape(math.prod(self._new), -1)
            x = inputs if self._bound == 1 else inputs.flatten(-self._bound)
            if self._fused_bias:
                x, bias = F.linear(x, weight, bias.flatten()), None
            else:
                x = F.linear(x, weight)
            if len(self._new) != 1:
                x = x.view(*x.shape[:-1], *self._new)
        if bias is not None:
            x = x + bias.to(x.dtype)
        return x if self._linear else self.activation(x)

    def _expectation(self) -> str:
        return f"the equation is {self.equation!r} and the kernel {tuple(self.kernel.shape)}."


registry.add(EinsumDense)
