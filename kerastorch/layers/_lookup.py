"""Layers as plain data."""

from __future__ import annotations

from typing import Any

from kerastorch import _registry
from kerastorch.layers._layer import registry


def serialize(layer: Any) -> Any:
    """A layer as plain data, without its weights.

    >>> import kerastorch as keras
    >>> config = keras.layers.serialize(keras.layers.Dense(2, name="logits"))
    >>> keras.layers.deserialize(config).name
    'logits'
    """
    return _registry.serialize(layer)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The inverse of `serialize`; `custom_objects` maps names to own classes and functions."""
    return registry.deserialize(config, custom_objects)
