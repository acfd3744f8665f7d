"""The half of a layer that holds weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import nn
from typing_extensions import Self

from kerastorch import constraints, initializers, regularizers
from kerastorch._graph import real_tensors
from kerastorch._module import Module, not_weights
from kerastorch._variable import Variable, wrap
from kerastorch.config import standardize_dtype
from kerastorch.saving._budget import unfilled
from kerastorch.saving._tree import own_values


class Weighted(Module):
    """Makes, lists, copies, counts and freezes weights, its own and those of the modules inside."""

    name: str
    built: bool
    _trainable: bool

    @property
    def variable_dtype(self) -> str:
        """Name of the dtype of the weights."""
        raise NotImplementedError

    def _title(self) -> str:
        return f"{type(self).__name__} {self.name!r}"

    def _makes_weights(self) -> bool:
        """Whether weights will exist once the layer is built."""
        return False

    def add_weight(
        self,
        shape: tuple[int, ...] | int | None = None,
        initializer: Any = None,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        aggregation: str | None = None,
        overwrite_with_gradient: bool = False,
        name: str | None = None,
        *,
        memory: tuple[int, ...] | None = None,
        persistent: bool = True,
    ) -> Variable:
        """A new weight: a parameter if `trainable`, else a buffer. Assign it to an attribute.

        Args:
            shape: its shape; a scalar when left out.
            initializer: name, object or ``f(shape, dtype)``; ``glorot_uniform`` for floats, else zeros.
            regularizer: penalty on the weight, added to the loss.
            constraint: projection applied after each update.
            memory: order of the axes in memory, outermost first (default: as in `shape`).
            persistent: False keeps a buffer out of ``state_dict``.
        """
        if isinstance(shape, str):  # add_weight("name", ...) of TF 2
            shape, name = None, shape
        shape = () if shape is None else (shape,) if isinstance(shape, int) else tuple(shape)
        if None in shape:
            raise ValueError(
                f"{self._title()}: weight {name or ''!r} of shape {shape} depends on an axis of unknown size."
            )
        kind = standardize_dtype(dtype if dtype is not None else self.variable_dtype)
        if initializer is None:
            initializer = "glorot_uniform" if kind.is_floating_point else "zeros"
        with real_tensors(), torch.no_grad():
            make: Any = initializers.get(initializer)
            data = unfilled(shape, kind, persistent)
            if data is None:
                data = make(shape, dtype=kind)
            if not isinstance(data, torch.Tensor):
                data = torch.as_tensor(data, dtype=kind)
            if memory is not None:
                back = sorted(range(len(memory)), key=memory.__getitem__)
                data = data.permute(memory).contiguous().permute(back)
        if not kind.is_floating_point:
            trainable = False
        variable = wrap(
            data,
            trainable,
            name=name,
            regularizer=regularizers.get(regularizer),
            constraint=constraints.get(constraint),
        )
        if trainable and not self._trainable:
            variable.requires_grad_(False)
        variable.path = f"{self.name}/{variable.path}"
        if not trainable:
            variable.persistent = persistent  # type: ignore[attr-defined]
        self._track(variable)
        return variable

    def add_variable(
        self,
        shape: tuple[int, ...] | int,
        initializer: Any,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        name: str | None = None,
    ) -> Variable:
        """`add_weight`, with a shape and an initializer that must be given."""
        return self.add_weight(
            shape, initializer, dtype, trainable, autocast, regularizer, constraint, name=name
        )

    def _own(self, module: nn.Module) -> tuple[list[Any], list[Any]]:
        others = not_weights(module)
        return (
            [p for p in module._parameters.values() if p is not None],
            [b for k, b in module._buffers.items() if b is not None and k not in others],
        )

    def _walk(self) -> Iterator[tuple[Any, bool]]:
        """Every weight once, in Keras's order: a layer's parameters, its buffers, its sublayers."""
        seen: set[int] = set()
        for module in self.modules():
            parameters, buffers = self._own(module)
            for variable in (*parameters, *buffers):
                if id(variable) not in seen:
                    seen.add(id(variable))
                    yield variable, isinstance(variable, nn.Parameter) and variable.requires_grad

    @property
    def weights(self) -> list[Any]:
        """Parameters and persistent buffers, sublayers included, in Keras's order."""
        return [variable for variable, _ in self._walk()]

    @property
    def trainable_weights(self) -> list[Any]:
        """The weights that gradients are taken of."""
        return [variable for variable, trainable in self._walk() if trainable]

    @property
    def non_trainable_weights(self) -> list[Any]:
        """Frozen weights and state such as moving averages."""
        return [variable for variable, trainable in self._walk() if not trainable]

    @property
    def variables(self) -> list[Any]:
        """All weights and, besides, state that is not saved (metrics)."""
        weights = self.weights
        known = {id(w) for w in weights}
        return weights + [b for b in self.buffers() if id(b) not in known]

    trainable_variables = trainable_weights
    non_trainable_variables = non_trainable_weights

    def get_weights(self) -> list[np.ndarray[Any, Any]]:
        """Copies of all weights as numpy arrays."""
        return [as_numpy(weight) for weight in self.weights]

    def set_weights(self, weights: Iterable[Any]) -> None:
        """Copy arrays into the weights, in the order of `get_weights`."""
        own, given = self.weights, list(weights)
        if len(own) != len(given):
            raise ValueError(
                f"{self._title()}.set_weights: expected {len(own)} arrays, received {len(given)}."
            )
        for index, (weight, value) in enumerate(zip(own, given, strict=True)):
            if tuple(weight.shape) != tuple(np.shape(value)):
                raise ValueError(
                    f"{self._title()}.set_weights: array {index} ({getattr(weight, 'path', '')}) must have shape "
                    f"{tuple(weight.shape)}, received {tuple(np.shape(value))}."
                )
        with torch.no_grad():
            for weight, value in zip(own, given, strict=True):
                weight.copy_(
                    torch.as_tensor(np.asarray(value))
                    if not isinstance(value, torch.Tensor)
                    else value
                )

    def save_own_variables(self, store: Any) -> None:
        """Write the layer's own weights, without those of layers inside, into a mapping of arrays.

        Together with `load_own_variables` it can be overridden to save more, or otherwise.
        """
        for index, value in enumerate(own_values(self)):
            store[str(index)] = as_numpy(value)

    def load_own_variables(self, store: Any) -> None:
        """Read what `save_own_variables` wrote."""
        values = own_values(self)
        if len(values) != len(store.keys()):
            raise ValueError(
                f"{self._title()} has {len(values)} weights of its own, received {len(store.keys())}."
            )
        with torch.no_grad():
            for index, value in enumerate(values):
                value.copy_(torch.as_tensor(store[str(index)]))

    save_own_variables._plain = True  # type: ignore[attr-defined]

    def count_params(self) -> int:
        """Number of scalars in all weights."""
        if not self.built and self._makes_weights():
            raise ValueError(
                f"{self._title()} is not built, so its weights are not known. "
                "Call it on data, or call build(input_shape)."
            )
        return sum(weight.numel() for weight in self.weights)

    @property
    def trainable(self) -> bool:
        """Whether any weight takes gradients. Setting it freezes or frees all weights inside."""
        flags = [p.requires_grad for _, p in nn.Module.named_parameters(self)]
        return any(flags) if flags else self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        for module in self.modules():
            if isinstance(module, Weighted):
                module._trainable = bool(value)
        for _, parameter in nn.Module.named_parameters(self):
            parameter.requires_grad_(bool(value))

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """As for any module; a layer that is not built yet remembers it."""
        self.trainable = requires_grad
        return self

    def named_parameters(self, *args: Any, **kwargs: Any) -> Iterator[tuple[str, nn.Parameter]]:
        """As for any module. Raises if a layer inside has weights that do not exist yet."""
        waiting = self._waiting()
        if waiting:
            raise ValueError(
                f"{self._title()}: layers {waiting} are not built, so their parameters do not exist yet. "
                "Call the model on a batch, or build(input_shape), first."
            )
        return super().named_parameters(*args, **kwargs)

    def _waiting(self) -> list[str]:
        """Names of the layers inside whose weights do not exist yet."""
        layers = (m for m in self.modules() if isinstance(m, Weighted))
        return [m.name for m in layers if not m.built and m._makes_weights()]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """As for any module."""
        for module in self.modules():
            for parameter in module._parameters.values():
                if parameter is not None and parameter.grad is not None:
                    if set_to_none:
                        parameter.grad = None
                    else:
                        parameter.grad = torch.zeros_like(parameter)


def as_numpy(tensor: torch.Tensor) -> np.ndarray[Any, Any]:
    plain = tensor.detach().cpu()
    return np.array((plain.float() if plain.dtype == torch.bfloat16 else plain).numpy())
