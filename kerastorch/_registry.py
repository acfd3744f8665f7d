"""Names and configurations: objects from strings, and configs recorded from ``__init__``.

A family (losses, initializers, layers, ...) is one `Registry`. It turns an identifier (name, class,
instance, function or serialized dict) into an object and is the closed table from which
`deserialize` takes classes: a config can never name anything else.
"""

from __future__ import annotations

import difflib
import inspect
import itertools
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
import torch
from typing_extensions import Self

from kerastorch.config import standardize_dtype

_FAMILIES: dict[str, Registry] = {}
_CUSTOM: dict[str, Any] = {}
_births = itertools.count()


def snake_case(name: str) -> str:
    """The Keras spelling of a class name: ``Conv2D`` -> ``conv2d``, ``MaxPooling2D`` -> ``max_pooling2d``."""
    name = re.sub(r"\W+", "", name)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


class Recorded:
    """Remembers the arguments of its construction, which are its configuration.

    A subclass writes no ``get_config`` unless it must convert a value.
    """

    _init_call: tuple[tuple[Any, ...], dict[str, Any]] = ((), {})
    # Attributes that speak for the object itself rather than for the argument (an automatic name).
    _live_config: ClassVar[tuple[str, ...]] = ()

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        self = super().__new__(cls)
        object.__setattr__(self, "_init_call", (args, kwargs))
        object.__setattr__(self, "_birth", next(_births))
        return self

    def _arguments(self) -> dict[str, Any]:
        """The constructor's arguments by name, defaults included."""
        args, kwargs = self._init_call
        signature = inspect.signature(type(self).__init__)
        bound = signature.bind(self, *args, **kwargs)
        bound.apply_defaults()
        arguments: dict[str, Any] = {}
        open_ended = False
        for name, parameter in list(signature.parameters.items())[1:]:
            if parameter.kind is parameter.VAR_KEYWORD:
                open_ended = True
                arguments.update(bound.arguments[name])
            elif parameter.kind is parameter.VAR_POSITIONAL:
                if bound.arguments[name]:
                    raise NotImplementedError(
                        f"{type(self).__name__} takes *{name}: write get_config() and from_config() for it."
                    )
            else:
                arguments[name] = bound.arguments[name]
        for name in self._live_config:
            if name in arguments or open_ended:
                arguments[name] = getattr(self, name)
        return arguments

    def get_config(self) -> dict[str, Any]:
        """The arguments that rebuild this object with `from_config`, as plain data."""
        return {name: serialize(value) for name, value in self._arguments().items()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """An object from what `get_config` gave."""
        return cls(**{name: deserialize(value) for name, value in config.items()})


class Registry:
    """One family of named objects.

    `kind` is the word used in errors ("loss"), `module` the public package ("losses"). Classes are
    found as ``ClassName`` and ``class_name``, functions by their name, all by their `aliases`.
    """

    def __init__(self, kind: str, module: str) -> None:
        self.kind = kind
        self.module = f"keras.{module}"
        self.names: dict[str, Any] = {}
        self.classes: dict[str, Any] = {}
        _FAMILIES[self.module] = self

    def add(self, *objects: Any, **aliases: Any) -> None:
        """Make objects known by their own names, and by further `aliases`. The first name stays."""
        for thing in objects:
            self.classes[thing.__name__] = thing
            self.names.setdefault(thing.__name__, thing)
            self.names.setdefault(snake_case(thing.__name__), thing)
        for alias, thing in aliases.items():
            self.names[alias] = thing

    def get(self, identifier: Any) -> Any:
        """None, an object, a class, a name or a serialized config as an object of the family."""
        if identifier is None:
            return None
        if isinstance(identifier, dict):
            own = {} if identifier.get("module") else {"module": self.module}
            return deserialize({"config": {}, **identifier, **own})
        if isinstance(identifier, str):
            found = lookup_custom(identifier)
            if found is None:
                found = self.names.get(identifier)
            if found is None:
                raise ValueError(self._unknown(identifier))
            return found() if inspect.isclass(found) else found
        if inspect.isclass(identifier):
            return identifier()
        if callable(identifier):
            return identifier
        raise TypeError(
            f"{self.kind}: expected a name, a {self.kind} object or a callable, "
            f"received {identifier!r} of type {type(identifier).__name__}."
        )

    def deserialize(self, config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
        """`get`, where `custom_objects` are known too."""
        with custom_object_scope(custom_objects):
            return self.get(config)

    def _unknown(self, identifier: str) -> str:
        close = difflib.get_close_matches(identifier, self.names, n=3)
        hint = (
            f" Did you mean {' or '.join(repr(c) for c in close)}?"
            if close
            else f" Known: {', '.join(sorted(self.classes))}."
        )
        return (
            f"Unknown {self.kind} {identifier!r}.{hint} An own {self.kind} is passed as an object, "
            "or by name after kerastorch.saving.register_keras_serializable."
        )


# -- custom objects --------------------------------------------------------------------------------


def register_keras_serializable(
    package: str = "Custom", name: str | None = None
) -> Callable[[Any], Any]:
    """Decorator: make a class or function known to `deserialize` as ``package>name``."""

    def decorate(thing: Any) -> Any:
        registered = f"{package}>{name or thing.__name__}"
        if inspect.isclass(thing) and not hasattr(thing, "get_config"):
            raise ValueError(f"{thing.__name__} needs a get_config() method to be registered.")
        _CUSTOM[registered] = thing
        thing._registered_name = registered
        return thing

    return decorate


def get_registered_name(obj: Any) -> str:
    """The name given by `register_keras_serializable`, else the ``__name__``."""
    return vars(obj).get("_registered_name", obj.__name__)


def get_registered_object(
    name: str, custom_objects: dict[str, Any] | None = None, module_objects: Any = None
) -> Any:
    """What is registered under `name`, or None."""
    return (
        (custom_objects or {}).get(name) or lookup_custom(name) or (module_objects or {}).get(name)
    )


def get_custom_objects() -> dict[str, Any]:
    """The classes and functions of one's own that are known, by name: a dict to be read and changed.

    >>> import kerastorch as keras
    >>> keras.saving.get_custom_objects()["double"] = lambda x: 2 * x
    >>> keras.activations.get("double")(4)
    8
    >>> del keras.saving.get_custom_objects()["double"]
    """
    return _CUSTOM


def lookup_custom(name: str) -> Any:
    """A custom object by its registered name or, inside a scope, by its own name."""
    return _CUSTOM.get(name)


@contextmanager
def custom_object_scope(custom_objects: dict[str, Any] | None) -> Iterator[None]:
    """Make `custom_objects` (name -> class or function) known within the ``with`` block."""
    given = custom_objects or {}
    before = {name: _CUSTOM[name] for name in given if name in _CUSTOM}
    _CUSTOM.update(given)
    try:
        yield
    finally:
        for name in given:
            _CUSTOM.pop(name, None)
        _CUSTOM.update(before)


# -- plain data <-> objects --------------------------------------------------------------------------


def serialize(value: Any) -> Any:
    """`value` as JSON-like data that `deserialize` turns back."""
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, (tuple, list)):
        return (
            type(value)(map(serialize, value))
            if type(value) in (tuple, list)
            else list(map(serialize, value))
        )
    if isinstance(value, dict):
        return {key: serialize(item) for key, item in value.items()}
    if isinstance(value, torch.dtype):
        return str(value).removeprefix("torch.")
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (np.ndarray, torch.Tensor)):
        kind = "__tensor__" if isinstance(value, torch.Tensor) else "__numpy__"
        dtype = str(value.dtype).removeprefix("torch.")
        return {"class_name": kind, "config": {"value": value.tolist(), "dtype": dtype}}
    if value is Ellipsis:
        return {"class_name": "__ellipsis__", "config": {}}
    if isinstance(value, bytes):
        return {"class_name": "__bytes__", "config": {"value": value.decode()}}
    if isinstance(value, slice):
        parts = {key: serialize(getattr(value, key)) for key in ("start", "stop", "step")}
        return {"class_name": "__slice__", "config": parts}
    if inspect.isfunction(value) or inspect.isbuiltin(value) or inspect.isclass(value):
        return _serialize_function(value)
    if hasattr(value, "get_config"):
        return serialize_object(value)
    raise TypeError(
        f"{value!r} of type {type(value).__name__} has no configuration: give its class a get_config() method."
    )


def serialize_object(obj: Any) -> dict[str, Any]:
    """An object with ``get_config`` as ``{"module", "class_name", "config", "registered_name"}``."""
    cls, config = type(obj), serialize(obj.get_config())  # one of the user's may hold objects
    if "_per_instance" in cls.__dict__:  # a graph module has a class of its own for its forward
        cls = cls.__mro__[1]
    for module, family in _FAMILIES.items():
        if family.classes.get(cls.__name__) is cls:
            return {
                "module": cls.__dict__.get("_keras_module", module),
                "class_name": cls.__name__,
                "config": config,
                "registered_name": cls.__name__ if "_keras_module" in cls.__dict__ else None,
            }
    return {
        "module": cls.__module__,
        "class_name": cls.__name__,
        "config": config,
        "registered_name": get_registered_name(cls),
    }


def _serialize_function(function: Any) -> Any:
    name = function.__name__
    if any(family.classes.get(name) is function for family in _FAMILIES.values()):
        return name
    if name == "<lambda>":
        raise TypeError("A lambda has no name to save: write a function and register it.")
    registered = get_registered_name(function) if hasattr(function, "__dict__") else name
    return {
        "module": function.__module__,
        "class_name": "function",
        "config": registered,
        "registered_name": registered,
    }


def deserialize(value: Any) -> Any:
    """The inverse of `serialize`. Only built-in and registered classes are ever called."""
    if isinstance(value, (list, tuple)):
        return type(value)(map(deserialize, value))
    if not isinstance(value, dict):
        return value
    if "class_name" not in value or "config" not in value:
        return {key: deserialize(item) for key, item in value.items()}
    name, config = value["class_name"], value["config"]
    if name == "__numpy__":
        return np.array(config["value"], dtype=_number_type(config["dtype"]))
    if name == "__tensor__":
        return torch.tensor(config["value"], dtype=standardize_dtype(config["dtype"]))
    if name == "__tuple__":
        return tuple(map(deserialize, value.get("items") or config))
    if name == "__ellipsis__":
        return Ellipsis
    if name == "__bytes__":
        return config["value"].encode()
    if name == "__slice__":
        return slice(*(deserialize(config[key]) for key in ("start", "stop", "step")))
    if name == "function":
        return _find_function(value, config)
    if name == "__lambda__":
        raise ValueError(
            "The configuration holds the code of a Python lambda, which is never run. Write it as a "
            "function, register it with register_keras_serializable, and save the model again."
        )
    cls = _find(value, name)
    if not hasattr(cls, "from_config"):
        what = (
            "a class without the class method from_config(config), which rebuilds its objects"
            if inspect.isclass(cls)
            else "a function where a class is expected"
        )
        raise ValueError(f"{name!r} names {what}.")
    if not isinstance(config, dict):
        raise TypeError(f"{name!r}: expected a dict as its configuration, received {config!r}.")
    return cls.from_config(config)


def _find_function(value: dict[str, Any], name: Any) -> Any:
    """What a config of a function names. Keras used to write the module "builtins" for all functions,
    and no registered name."""
    if not isinstance(name, str):
        raise TypeError(f"A function: expected its name, received {name!r}.")
    if value.get("module") != "builtins":
        return _find(value, name)
    registered = value.get("registered_name")
    if registered == "function":
        registered = next((key for key in _CUSTOM if key.endswith(f">{name}")), name)
    return _find({"registered_name": registered}, name)


def _number_type(name: Any) -> np.dtype[Any]:
    dtype = np.dtype(name) if isinstance(name, str) else None
    if dtype is None or dtype.kind not in "biufc" or dtype.shape:
        raise ValueError(f"{name!r} is no dtype of numbers.")
    return dtype


def _find(value: dict[str, Any], name: str) -> Any:
    """What a config names: a custom object, else one of ours if it says that it comes from Keras."""
    registered, module = value.get("registered_name") or name, value.get("module") or "keras"
    found = lookup_custom(registered) or lookup_custom(name)
    if found is None and registered == name and f"{module}.".startswith("keras."):
        families = [_FAMILIES[module]] if module in _FAMILIES else _FAMILIES.values()
        tables = (table for family in families for table in (family.classes, family.names))
        found = next((table[name] for table in tables if name in table), None)
    if found is None:
        raise ValueError(
            f"{registered!r} is not known. Register it with kerastorch.saving.register_keras_serializable, "
            "or pass it in custom_objects."
        )
    return found
