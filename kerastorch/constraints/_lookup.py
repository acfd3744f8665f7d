"""Constraints by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from kerastorch import _registry
from kerastorch.constraints._constraints import MaxNorm, MinMaxNorm, NonNeg, UnitNorm

_CONSTRAINTS = _registry.Registry("constraint", "constraints")
_CONSTRAINTS.add(MaxNorm, MinMaxNorm, NonNeg, UnitNorm)


def get(identifier: Any) -> Callable[[Tensor], Tensor] | None:
    """The constraint that `identifier` names: a name, a class, a config or a callable, or None."""
    found: Callable[[Tensor], Tensor] | None = _CONSTRAINTS.get(identifier)
    return found


def serialize(constraint: Any) -> Any:
    """The config of a constraint, from which `deserialize` makes another one."""
    return _registry.serialize(constraint)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The inverse of `serialize`; `custom_objects` maps further names to classes or functions."""
    return _CONSTRAINTS.deserialize(config, custom_objects)
