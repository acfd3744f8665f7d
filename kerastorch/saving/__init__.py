"""Names for own classes and functions in configurations."""

from kerastorch import _registry
from kerastorch._registry import custom_object_scope as custom_object_scope
from kerastorch._registry import get_registered_name as get_registered_name
from kerastorch._registry import get_registered_object as get_registered_object
from kerastorch._registry import register_keras_serializable as register_keras_serializable

CustomObjectScope = custom_object_scope
serialize_keras_object = _registry.serialize
deserialize_keras_object = _registry.deserialize
