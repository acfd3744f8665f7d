"""Weights and state: torch parameters and buffers with the Keras face.

A trainable weight is a `Parameter` (an `torch.nn.Parameter`), everything else a `Buffer`
(registered by `nn.Module` as a buffer). Operations on either give plain tensors.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from torch import nn
from torch._functorch import config as functorch_config

from kerastorch._scope import path_of
from kerastorch.config import standardize_dtype

# The first call of a compiled graph checks custom operators for aliasing, and the check refuses
# subclasses of Tensor such as `Buffer`. It is an aid for writers of operators, off here.
if hasattr(functorch_config, "check_custom_op_aliasing"):
    functorch_config.check_custom_op_aliasing = False


class Variable(torch.Tensor):
    """A tensor that belongs to a layer, metric or optimizer and is changed in place.

    `Variable(initializer, shape=None, dtype=None, trainable=True, name=None)` makes one.
    `initializer` is an array or tensor, or a callable ``f(shape, dtype=...)``. The result is a
    `torch.nn.Parameter` if `trainable`, else a buffer; ``isinstance(v, Variable)`` holds for both.
    `autocast`, `aggregation` and `synchronization` are taken for Keras's sake and have no effect.

    >>> import kerastorch as keras, numpy as np
    >>> v = keras.Variable(np.ones((2, 2)), dtype="float32", name="v")
    >>> _ = v.assign(v * 3)
    >>> v.numpy().sum()
    np.float32(12.0)
    """

    name: str = "variable"
    path: str = "variable"
    regularizer: Any = None
    constraint: Any = None

    # Operators see a plain tensor: no per-op Python, and torch.compile needs no subclass support.
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    def __new__(
        cls,
        initializer: Any,
        shape: tuple[int, ...] | None = None,
        dtype: str | torch.dtype | None = None,
        trainable: bool = True,
        autocast: bool = True,
        aggregation: str = "none",
        synchronization: str = "auto",
        name: str | None = None,
        **attributes: Any,
    ) -> Variable:
        if callable(initializer) and not isinstance(initializer, torch.Tensor):
            if shape is None:
                raise ValueError("Variable: `shape` is required when `initializer` is a callable.")
            data = initializer(tuple(shape), dtype=standardize_dtype(dtype))
        elif isinstance(initializer, torch.Tensor):
            data = initializer.detach().clone()
            data = data if dtype is None else data.to(standardize_dtype(dtype))
        else:
            data = torch.as_tensor(initializer)
            if dtype is not None or data.dtype == torch.float64:
                data = data.to(standardize_dtype(dtype))
            data = data.clone()
        if shape is not None and tuple(data.shape) != tuple(shape):
            raise ValueError(
                f"Variable: `shape` is {tuple(shape)} but the initial value has {tuple(data.shape)}."
            )
        return wrap(data, trainable and data.dtype.is_floating_point, name=name, **attributes)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    # -- the Keras face ------------------------------------------------------------------------

    @property
    def value(self) -> torch.Tensor:
        """The tensor itself."""
        return self

    @property
    def trainable(self) -> bool:
        """Whether gradients are taken: a view of `requires_grad`."""
        return self.requires_grad

    @trainable.setter
    def trainable(self, flag: bool) -> None:
        if flag and not isinstance(self, Parameter):
            raise ValueError(f"Variable {self.path!r} is a buffer: it cannot be made trainable.")
        self.requires_grad_(bool(flag))

    def assign(self, value: Any) -> Variable:
        """Copy `value` in, with a cast if needed. The shapes must agree."""
        with torch.no_grad():
            self.copy_(self._like(value))
        return self

    def assign_add(self, value: Any) -> Variable:
        """Add `value`, which broadcasts, in place."""
        with torch.no_grad():
            self.add_(self._tensor(value))
        return self

    def assign_sub(self, value: Any) -> Variable:
        """Subtract `value`, which broadcasts, in place."""
        with torch.no_grad():
            self.sub_(self._tensor(value))
        return self

    def _tensor(self, value: Any) -> torch.Tensor:
        if isinstance(value, torch.Tensor):
            return value
        return torch.as_tensor(value, dtype=self.dtype, device=self.device)

    def _like(self, value: Any) -> torch.Tensor:
        value = self._tensor(value)
        if value.shape != self.shape:
            raise ValueError(
                f"Variable {self.path!r} has shape {tuple(self.shape)}; "
                f"the assigned value has shape {tuple(value.shape)}."
            )
        return value

    def numpy(self, *, force: bool = True) -> np.ndarray[Any, Any]:
        """The value as a numpy array on the host; on the CPU it shares memory. bfloat16 becomes float32."""
        plain = self.detach().cpu()
        return (plain.float() if plain.dtype == torch.bfloat16 else plain).numpy()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __float__(self) -> float:
        return float(self.detach().item())

    def __format__(self, format_spec: str) -> str:
        if format_spec and self.dim() == 0:
            return format(self.detach().item(), format_spec)
        return super().__format__(format_spec)

    def __repr__(self, **kwargs: Any) -> str:  # type: ignore[override]
        kind = "trainable" if self.requires_grad else "non-trainable"
        dtype = str(self.dtype).removeprefix("torch.")
        head = f"<Variable path={self.path}, shape={tuple(self.shape)}, dtype={dtype}, {kind}"
        if self.device.type == "meta" or self.numel() > 100:
            return f"{head}, device={self.device}>"
        return f"{head}, value={self.numpy()}>"

    # -- what torch must not lose: class and attributes -----------------------------------------

    def __deepcopy__(self, memo: dict[int, Any]) -> Variable:
        if id(self) not in memo:
            data = self.detach().clone(memory_format=torch.preserve_format)
            memo[id(self)] = new = _make(type(self), data, self.requires_grad)
            new.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return memo[id(self)]

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _make, (type(self), self.detach(), self.requires_grad, dict(self.__dict__))


class Parameter(Variable, nn.Parameter):
    """A trainable `Variable`: an `nn.Parameter`."""


class Buffer(Variable):
    """A non-trainable `Variable`: `nn.Module` registers it as a buffer."""

    _is_buffer = True
    persistent: bool = True


def wrap(
    data: torch.Tensor, trainable: bool, *, name: str | None = None, **attributes: Any
) -> Variable:
    """Give `data` the face without a copy. In a compiled graph, which knows tensors alone, it stays as it is."""
    if torch.compiler.is_compiling():
        return data  # type: ignore[return-value]
    variable = _make(Parameter if trainable else Buffer, data, trainable)
    variable.name = name or "variable"
    variable.path = path_of(variable.name)
    variable.__dict__.update(attributes)
    return variable


def _make(
    cls: type[Variable],
    data: torch.Tensor,
    requires_grad: bool,
    attributes: dict[str, Any] | None = None,
) -> Variable:
    variable = torch.Tensor._make_subclass(cls, data, requires_grad)
    variable.__dict__.update(attributes or {})
    return variable


def moved(old: Variable, new: torch.Tensor) -> Variable:
    """`old` after a module-wide conversion that gave `new`: the same object where torch allows it."""
    if isinstance(new, Variable):
        return new
    if torch._has_compatible_shallow_copy_type(old, new):
        old.data = new.data
        return old
    return _make(type(old), new.data, old.requires_grad, dict(old.__dict__))
