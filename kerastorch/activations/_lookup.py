"""Activations by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from kerastorch import _registry
from kerastorch.activations import _activations

_ACTIVATIONS = _registry.Registry("activation", "activations")
_ACTIVATIONS.add(
    _activations.celu,
    _activations.elu,
    _activations.exponential,
    _activations.gelu,
    _activations.glu,
    _activations.hard_shrink,
    _activations.hard_sigmoid,
    _activations.hard_silu,
    _activations.hard_tanh,
    _activations.leaky_relu,
    _activations.linear,
    _activations.log_sigmoid,
    _activations.log_softmax,
    _activations.mish,
    _activations.relu,
    _activations.relu6,
    _activations.selu,
    _activations.sigmoid,
    _activations.silu,
    _activations.soft_shrink,
    _activations.softmax,
    _activations.softplus,
    _activations.softsign,
    _activations.sparse_plus,
    _activations.sparse_sigmoid,
    _activations.sparsemax,
    _activations.squareplus,
    _activations.tanh,
    _activations.tanh_shrink,
    _activations.threshold,
    swish=_activations.silu,
    hard_swish=_activations.hard_silu,
)


def get(identifier: Any) -> Callable[[Tensor], Tensor]:
    """The activation that `identifier` names: a name, a config or a callable; None is `linear`."""
    return _activations.linear if identifier is None else _ACTIVATIONS.get(identifier)


def serialize(activation: Callable[[Tensor], Tensor]) -> Any:
    """The name of an activation of this package; the config of any other."""
    return _registry.serialize(activation)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The inverse of `serialize`; `custom_objects` maps further names to functions or classes."""
    return _ACTIVATIONS.deserialize(config, custom_objects)
