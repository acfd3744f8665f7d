"""The base of all metrics: state that is changed batch by batch and turned into a value."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from kerastorch._module import Module
from kerastorch._registry import Registry, snake_case
from kerastorch._variable import Variable, wrap
from kerastorch.config import standardize_dtype
from kerastorch.losses._base import Array, as_tensor

registry = Registry("metric", "metrics")


class Metric(Module):
    """A number gathered over batches. Subclass it: `__init__`, `update_state`, `result`.

    - `__init__` makes the state with `add_weight`; state variables are buffers that follow the
      module's device, take part in torch arithmetic, and never appear in a `state_dict`.
    - ``update_state(y_true, y_pred, sample_weight=None)`` adds a batch: ``variable.assign(value)``,
      ``variable.assign_add(value)`` or any in-place torch operation.
    - ``result()`` computes the value. It does not change the state.
    - ``reset_state()`` starts again; by default all variables become 0. ``reset_states`` is the same
      under its older name: override either.

    Calling a metric updates it with the arguments and gives the result so far.

    >>> import torch, kerastorch as keras
    >>> class Largest(keras.metrics.Metric):
    ...     def __init__(self, name="largest"):
    ...         super().__init__(name=name)
    ...         self.value = self.add_weight(name="value", initializer="zeros")
    ...     def update_state(self, y_true, y_pred, sample_weight=None):
    ...         self.value.assign(torch.maximum(self.value, y_pred.max()))
    ...     def result(self):
    ...         return self.value
    >>> metric = Largest()
    >>> metric.update_state(None, torch.tensor([1.0, 5.0]))
    >>> float(metric.result())
    5.0
    """

    #: Whether more is better ("up") or less ("down"), where that is known.
    _direction: str | None = None
    #: Whether targets of shape (N,) fit predictions of shape (N, 1) without being given an axis.
    takes_raw_targets = False

    def __init__(self, dtype: Any = None, name: str | None = None):
        super().__init__()
        self.name = name or snake_case(type(self).__name__)
        found = standardize_dtype(getattr(dtype, "compute_dtype", dtype))
        self._dtype = str(found).removeprefix("torch.")

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = vars(cls)
        for mine, other in (("reset_state", "reset_states"), ("reset_states", "reset_state")):
            if mine in own and other not in own:
                setattr(cls, other, own[mine])

    @property
    def dtype(self) -> str:
        """Name of the dtype of the result."""
        return self._dtype

    @property
    def variables(self) -> list[Variable]:
        """The state: own variables in the order of their making, then those of metrics inside."""
        found = (v for m in self.modules() for t in (m._buffers, m._parameters) for v in t.values())
        return [v for v in found if isinstance(v, Variable)]

    def add_variable(
        self,
        shape: tuple[int, ...],
        initializer: Any = None,
        dtype: Any = None,
        aggregation: str = "sum",
        name: str | None = None,
    ) -> Variable:
        """A state variable.

        `initializer`: a name, a callable ``f(shape, dtype=...)`` or a value; None is zeros.
        `dtype`: ``keras.config.floatx()`` if None. `aggregation`: how the values of several
        processes make one, ``"sum"``, ``"mean"`` or ``"only_first_replica"``.
        """
        if "_buffers" not in self.__dict__:
            raise RuntimeError(
                f"{type(self).__name__}: call super().__init__() before adding variables."
            )
        kind = standardize_dtype(dtype)
        if initializer is None or (isinstance(initializer, str) and initializer == "zeros"):
            value = torch.zeros(tuple(shape), dtype=kind)
        else:
            value = Variable(_initializer(initializer), tuple(shape), kind, trainable=False)
        variable = wrap(value.detach(), False, name=name, persistent=False, aggregation=aggregation)
        variable.path = f"{self.name}/{variable.name}"
        self._track(variable)
        return variable

    def add_weight(
        self,
        shape: tuple[int, ...] | str = (),
        initializer: Any = None,
        dtype: Any = None,
        name: str | None = None,
    ) -> Variable:
        """A state variable, a scalar unless `shape` is given. The name may come first."""
        if isinstance(shape, str):
            return self.add_variable((), initializer, dtype, name=shape)
        return self.add_variable(shape, initializer, dtype, name=name)

    def update_state(self, *args: Any, **kwargs: Any) -> Any:
        """Add a batch to the state."""
        raise NotImplementedError(f"{type(self).__name__}: write update_state(y_true, y_pred).")

    def result(self) -> Any:
        """The value of all batches since the last reset."""
        raise NotImplementedError(f"{type(self).__name__}: write result().")

    def reset_state(self) -> None:
        """Forget all batches."""
        variables: list[torch.Tensor] = [*self.variables]
        if variables:
            with torch.no_grad():
                torch._foreach_zero_(variables)

    reset_states = reset_state

    def save_own_variables(self, store: Any) -> None:
        """Write the state into a mapping of arrays."""
        for index, variable in enumerate(self._buffers.values()):
            store[str(index)] = np.array(variable)

    def load_own_variables(self, store: Any) -> None:
        """Read what `save_own_variables` wrote; a file without it leaves the state as it is."""
        if len(store.keys()) == len(self._buffers):
            for index, variable in enumerate(self._buffers.values()):
                variable.assign(store[str(index)])  # type: ignore[union-attr]

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Update, then the result."""
        with torch.no_grad():
            self.update_state(*args, **kwargs)
            result = self.result()
        if isinstance(result, torch.Tensor) and not torch.compiler.is_compiling():
            result = result.clone() if isinstance(result, Variable) else result
            result._metric = self  # type: ignore[attr-defined]  # what add_metric asks for
        return result

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"

    # -- for the built-in metrics ------------------------------------------------------------------

    def _inputs(self, *values: Array) -> list[Any]:
        """Arrays as tensors, without their history; the state moves to where the last given tensor is."""
        state = next(iter(self._buffers.values()), None)
        device = None if state is None else state.device
        for value in reversed(values):
            if isinstance(value, torch.Tensor):
                if device is not None and value.device != device:
                    self._follow(value.device)
                device = value.device
                break
        return [_constant(v, device) for v in values]

    def _follow(self, device: torch.device) -> None:
        """Move the state; on the meta device there is nothing to keep."""
        if any(v.is_meta for v in self.variables):
            self.to_empty(device=device)
            self.reset_state()
        else:
            self.to(device)


def _constant(value: Any, device: torch.device | None) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach() if value.requires_grad else value
    return as_tensor(value, device) if isinstance(value, _ARRAYS) else value


_ARRAYS = (np.ndarray, np.generic, list, tuple, int, float)


def _initializer(identifier: Any) -> Any:
    if not isinstance(identifier, str):
        return identifier
    from kerastorch import initializers

    return initializers.get(identifier)


registry.add(Metric)
