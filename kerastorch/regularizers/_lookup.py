"""Regularizers by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from kerastorch import _registry
from kerastorch.regularizers._regularizers import L1, L1L2, L2, OrthogonalRegularizer

_REGULARIZERS = _registry.Registry("regularizer", "regularizers")
_REGULARIZERS.add(L1, L2, L1L2, OrthogonalRegularizer, l1_l2=L1L2(0.01, 0.01))


def get(identifier: Any) -> Callable[[Tensor], Tensor] | None:
    """The regularizer that `identifier` names: a name, a class, a config or a callable, or None."""
    found: Callable[[Tensor], Tensor] | None = _REGULARIZERS.get(identifier)
    return found


def serialize(regularizer: Any) -> Any:
    """The config of a regularizer, from which `deserialize` makes another one."""
    return _registry.serialize(regularizer)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The inverse of `serialize`; `custom_objects` maps further names to classes or functions."""
    return _REGULARIZERS.deserialize(config, custom_objects)
