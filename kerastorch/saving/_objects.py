"""Objects as plain data, under Keras's names."""

from __future__ import annotations

from typing import Any

from kerastorch._registry import custom_object_scope, deserialize, serialize


def serialize_keras_object(obj: Any) -> Any:
    """An object, function, array or nest of them as JSON-like data.

    >>> import kerastorch as keras
    >>> keras.saving.serialize_keras_object(keras.layers.Dense(2))["class_name"]
    'Dense'
    """
    return serialize(obj)


def deserialize_keras_object(
    config: Any, custom_objects: dict[str, Any] | None = None, safe_mode: bool = True
) -> Any:
    """The inverse of `serialize_keras_object`; `custom_objects` maps names to own classes and functions.

    Nothing but built-in, registered and given classes and functions is ever called, so `safe_mode`
    makes no difference.

    >>> import kerastorch as keras
    >>> data = keras.saving.serialize_keras_object(keras.losses.Huber(delta=0.5))
    >>> type(keras.saving.deserialize_keras_object(data)).__name__
    'Huber'
    """
    with custom_object_scope(custom_objects):
        return deserialize(config)
