"""Initializers by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor

from kerastorch import _registry
from kerastorch.initializers._constant import STFT, Constant, Identity, Ones, Zeros
from kerastorch.initializers._random import (
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    Orthogonal,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    VarianceScaling,
)

_INITIALIZERS = _registry.Registry("initializer", "initializers")
_INITIALIZERS.add(STFT, Constant, Identity, Ones, Zeros)
_INITIALIZERS.add(GlorotNormal, GlorotUniform, HeNormal, HeUniform, LecunNormal, LecunUniform)
_INITIALIZERS.add(Orthogonal, RandomNormal, RandomUniform, TruncatedNormal, VarianceScaling)
_INITIALIZERS.add(
    zero=Zeros,
    one=Ones,
    normal=RandomNormal,
    uniform=RandomUniform,
    IdentityInitializer=Identity,
    OrthogonalInitializer=Orthogonal,
    STFTInitializer=STFT,
)


def get(identifier: Any) -> Callable[..., Tensor] | None:
    """The initializer that `identifier` names: a name, a class, a config, a callable or an array.

    An array or tensor is taken as `Constant`, None gives None.
    """
    if isinstance(identifier, (np.ndarray, np.generic, Tensor)):
        return Constant(identifier)
    found: Callable[..., Tensor] | None = _INITIALIZERS.get(identifier)
    return found


def serialize(initializer: Any) -> Any:
    """The config of an initializer, from which `deserialize` makes another one."""
    return _registry.serialize(initializer)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The inverse of `serialize`; `custom_objects` maps further names to classes or functions."""
    return _INITIALIZERS.deserialize(config, custom_objects)
