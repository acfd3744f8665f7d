"""Models and weights in files, and names for own classes and functions."""

from kerastorch._registry import custom_object_scope as custom_object_scope
from kerastorch._registry import get_custom_objects as get_custom_objects
from kerastorch._registry import get_registered_name as get_registered_name
from kerastorch._registry import get_registered_object as get_registered_object
from kerastorch._registry import register_keras_serializable as register_keras_serializable
from kerastorch.saving._editor import KerasFileEditor as KerasFileEditor
from kerastorch.saving._model import load_model as load_model
from kerastorch.saving._model import load_weights as load_weights
from kerastorch.saving._model import save_model as save_model
from kerastorch.saving._model import save_weights as save_weights
from kerastorch.saving._objects import deserialize_keras_object as deserialize_keras_object
from kerastorch.saving._objects import serialize_keras_object as serialize_keras_object

CustomObjectScope = custom_object_scope
