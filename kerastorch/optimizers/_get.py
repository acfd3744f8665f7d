"""Optimizers by name."""

from __future__ import annotations

import functools
import inspect
from typing import Any

import torch

from kerastorch._registry import Registry
from kerastorch._registry import serialize as serialize_any
from kerastorch.optimizers._adafactor import Adafactor
from kerastorch.optimizers._adam import Adam, Adamax, AdamW, Lamb, Nadam, ScheduleFreeAdamW
from kerastorch.optimizers._ftrl import Ftrl
from kerastorch.optimizers._loss_scale import LossScaleOptimizer
from kerastorch.optimizers._muon import Muon
from kerastorch.optimizers._optimizer import Optimizer
from kerastorch.optimizers._rmsprop import Adadelta, Adagrad, RMSprop
from kerastorch.optimizers._sgd import SGD, Lion

_CLASSES = (
    *(SGD, Lion, RMSprop, Adagrad, Adadelta, Adam, AdamW, Adamax, Nadam, Lamb, ScheduleFreeAdamW),
    *(Adafactor, Ftrl, Muon, LossScaleOptimizer),
)
registry = Registry("optimizer", "optimizers")
registry.add(*_CLASSES, **{cls.__name__.lower(): cls for cls in _CLASSES})


def get(identifier: Any) -> Any:
    """An optimizer from a name (in any case), a config, a class or an optimizer.

    A `torch.optim` optimizer is given back as it is, and so are a `torch.optim` class, a
    `functools.partial` of one, and any function of the parameters that makes one.

    >>> import kerastorch as keras, torch
    >>> keras.optimizers.get("rmsprop").rho
    0.9
    >>> keras.optimizers.get(torch.optim.NAdam)
    <class 'torch.optim.nadam.NAdam'>
    """
    kind = identifier.func if isinstance(identifier, functools.partial) else identifier
    if isinstance(identifier, torch.optim.Optimizer):
        return identifier
    if inspect.isclass(kind) and issubclass(kind, torch.optim.Optimizer):
        return identifier() if issubclass(kind, Optimizer) else identifier
    if inspect.isfunction(identifier) or inspect.ismethod(identifier):
        return identifier
    if isinstance(identifier, dict):
        return deserialize(identifier)
    if isinstance(identifier, str) and identifier not in registry.names:
        lower = identifier.lower()
        identifier = lower if lower in registry.names else identifier
    elif not isinstance(identifier, (str, type(None))):
        raise TypeError(
            "optimizer: expected a name, a config, an optimizer, or an optimizer or class of "
            f"torch.optim, received {identifier!r}."
        )
    return registry.get(identifier)


def serialize(optimizer: Optimizer) -> dict[str, Any]:
    """The optimizer as plain data that `deserialize` turns back (without its state)."""
    return serialize_any(optimizer)


def deserialize(config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
    """An optimizer from what `serialize` gave.

    >>> import kerastorch as keras
    >>> config = keras.optimizers.serialize(keras.optimizers.SGD(0.1, momentum=0.9))
    >>> keras.optimizers.deserialize(config).momentum
    0.9
    """
    known = registry.names.get(str(config.get("class_name")).lower())
    if known is not None:
        config = {**config, "class_name": known.__name__}
    return registry.deserialize(config, custom_objects)
