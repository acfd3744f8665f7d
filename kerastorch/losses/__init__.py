"""Losses: pure functions with one value per sample, and classes that weigh, mask and reduce them.

``keras.losses.get("mse")`` is a function, ``keras.losses.get("MeanSquaredError")`` an object.
"""

from __future__ import annotations

from typing import Any

from kerastorch import _registry
from kerastorch.losses._base import Loss as Loss
from kerastorch.losses._base import registry as _losses
from kerastorch.losses._checks import check_targets as check_targets
from kerastorch.losses._circle import Circle as Circle
from kerastorch.losses._circle import circle as circle
from kerastorch.losses._ctc import CTC as CTC
from kerastorch.losses._ctc import ctc as ctc
from kerastorch.losses._hinge import CategoricalHinge as CategoricalHinge
from kerastorch.losses._hinge import Hinge as Hinge
from kerastorch.losses._hinge import SquaredHinge as SquaredHinge
from kerastorch.losses._hinge import categorical_hinge as categorical_hinge
from kerastorch.losses._hinge import hinge as hinge
from kerastorch.losses._hinge import squared_hinge as squared_hinge
from kerastorch.losses._overlap import Dice as Dice
from kerastorch.losses._overlap import Tversky as Tversky
from kerastorch.losses._overlap import dice as dice
from kerastorch.losses._overlap import tversky as tversky
from kerastorch.losses._probabilistic import BinaryCrossentropy as BinaryCrossentropy
from kerastorch.losses._probabilistic import BinaryFocalCrossentropy as BinaryFocalCrossentropy
from kerastorch.losses._probabilistic import CategoricalCrossentropy as CategoricalCrossentropy
from kerastorch.losses._probabilistic import (
    CategoricalFocalCrossentropy as CategoricalFocalCrossentropy,
)
from kerastorch.losses._probabilistic import (
    CategoricalGeneralizedCrossEntropy as CategoricalGeneralizedCrossEntropy,
)
from kerastorch.losses._probabilistic import KLDivergence as KLDivergence
from kerastorch.losses._probabilistic import Poisson as Poisson
from kerastorch.losses._probabilistic import (
    SparseCategoricalCrossentropy as SparseCategoricalCrossentropy,
)
from kerastorch.losses._probabilistic import binary_crossentropy as binary_crossentropy
from kerastorch.losses._probabilistic import (
    binary_focal_crossentropy as binary_focal_crossentropy,
)
from kerastorch.losses._probabilistic import categorical_crossentropy as categorical_crossentropy
from kerastorch.losses._probabilistic import (
    categorical_focal_crossentropy as categorical_focal_crossentropy,
)
from kerastorch.losses._probabilistic import (
    categorical_generalized_cross_entropy as categorical_generalized_cross_entropy,
)
from kerastorch.losses._probabilistic import kl_divergence as kl_divergence
from kerastorch.losses._probabilistic import poisson as poisson
from kerastorch.losses._probabilistic import (
    sparse_categorical_crossentropy as sparse_categorical_crossentropy,
)
from kerastorch.losses._regression import CosineSimilarity as CosineSimilarity
from kerastorch.losses._regression import Huber as Huber
from kerastorch.losses._regression import LogCosh as LogCosh
from kerastorch.losses._regression import MeanAbsoluteError as MeanAbsoluteError
from kerastorch.losses._regression import MeanAbsolutePercentageError as MeanAbsolutePercentageError
from kerastorch.losses._regression import MeanSquaredError as MeanSquaredError
from kerastorch.losses._regression import MeanSquaredLogarithmicError as MeanSquaredLogarithmicError
from kerastorch.losses._regression import cosine_similarity as cosine_similarity
from kerastorch.losses._regression import huber as huber
from kerastorch.losses._regression import log_cosh as log_cosh
from kerastorch.losses._regression import mean_absolute_error as mean_absolute_error
from kerastorch.losses._regression import (
    mean_absolute_percentage_error as mean_absolute_percentage_error,
)
from kerastorch.losses._regression import mean_squared_error as mean_squared_error
from kerastorch.losses._regression import (
    mean_squared_logarithmic_error as mean_squared_logarithmic_error,
)


def get(identifier: Any) -> Any:
    """A loss from a name, a function, a class, an object or a serialized config; None stays None.

    >>> import kerastorch as keras
    >>> keras.losses.get("mse").__name__, keras.losses.get("MeanSquaredError").name
    ('mean_squared_error', 'mean_squared_error')
    """
    return _losses.get(identifier)


def serialize(loss: Any) -> Any:
    """A loss as plain data: the name of a function, or the config of an object."""
    return _registry.serialize(loss)


def deserialize(name: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The inverse of `serialize`; `custom_objects` maps names to own classes and functions."""
    return _losses.deserialize(name, custom_objects)
