"""Metrics: numbers gathered over batches, and the functions behind them.

``keras.metrics.get("mse")`` is an object; ``metrics=["accuracy"]`` of a model finds the accuracy that
fits its output.
"""

from __future__ import annotations

from typing import Any

from kerastorch import _registry
from kerastorch.losses import binary_crossentropy as binary_crossentropy
from kerastorch.losses import binary_focal_crossentropy as binary_focal_crossentropy
from kerastorch.losses import categorical_crossentropy as categorical_crossentropy
from kerastorch.losses import categorical_focal_crossentropy as categorical_focal_crossentropy
from kerastorch.losses import categorical_hinge as categorical_hinge
from kerastorch.losses import hinge as hinge
from kerastorch.losses import huber as huber
from kerastorch.losses import kl_divergence as kl_divergence
from kerastorch.losses import log_cosh as log_cosh
from kerastorch.losses import mean_absolute_error as mean_absolute_error
from kerastorch.losses import mean_absolute_percentage_error as mean_absolute_percentage_error
from kerastorch.losses import mean_squared_error as mean_squared_error
from kerastorch.losses import mean_squared_logarithmic_error as mean_squared_logarithmic_error
from kerastorch.losses import poisson as poisson
from kerastorch.losses import sparse_categorical_crossentropy as sparse_categorical_crossentropy
from kerastorch.losses import squared_hinge as squared_hinge
from kerastorch.metrics._accuracy import Accuracy as Accuracy
from kerastorch.metrics._accuracy import BinaryAccuracy as BinaryAccuracy
from kerastorch.metrics._accuracy import CategoricalAccuracy as CategoricalAccuracy
from kerastorch.metrics._accuracy import SparseCategoricalAccuracy as SparseCategoricalAccuracy
from kerastorch.metrics._accuracy import (
    SparseTopKCategoricalAccuracy as SparseTopKCategoricalAccuracy,
)
from kerastorch.metrics._accuracy import TopKCategoricalAccuracy as TopKCategoricalAccuracy
from kerastorch.metrics._accuracy import binary_accuracy as binary_accuracy
from kerastorch.metrics._accuracy import categorical_accuracy as categorical_accuracy
from kerastorch.metrics._accuracy import resolve_accuracy as resolve_accuracy
from kerastorch.metrics._accuracy import sparse_categorical_accuracy as sparse_categorical_accuracy
from kerastorch.metrics._accuracy import (
    sparse_top_k_categorical_accuracy as sparse_top_k_categorical_accuracy,
)
from kerastorch.metrics._accuracy import top_k_categorical_accuracy as top_k_categorical_accuracy
from kerastorch.metrics._auc import AUC as AUC
from kerastorch.metrics._base import Metric as Metric
from kerastorch.metrics._base import registry as _metrics
from kerastorch.metrics._confusion import FalseNegatives as FalseNegatives
from kerastorch.metrics._confusion import FalsePositives as FalsePositives
from kerastorch.metrics._confusion import Precision as Precision
from kerastorch.metrics._confusion import PrecisionAtRecall as PrecisionAtRecall
from kerastorch.metrics._confusion import Recall as Recall
from kerastorch.metrics._confusion import RecallAtPrecision as RecallAtPrecision
from kerastorch.metrics._confusion import SensitivityAtSpecificity as SensitivityAtSpecificity
from kerastorch.metrics._confusion import SpecificityAtSensitivity as SpecificityAtSensitivity
from kerastorch.metrics._confusion import TrueNegatives as TrueNegatives
from kerastorch.metrics._confusion import TruePositives as TruePositives
from kerastorch.metrics._correlation import ConcordanceCorrelation as ConcordanceCorrelation
from kerastorch.metrics._correlation import PearsonCorrelation as PearsonCorrelation
from kerastorch.metrics._correlation import concordance_correlation as concordance_correlation
from kerastorch.metrics._correlation import pearson_correlation as pearson_correlation
from kerastorch.metrics._f_score import F1Score as F1Score
from kerastorch.metrics._f_score import FBetaScore as FBetaScore
from kerastorch.metrics._from_losses import BinaryCrossentropy as BinaryCrossentropy
from kerastorch.metrics._from_losses import CategoricalCrossentropy as CategoricalCrossentropy
from kerastorch.metrics._from_losses import CategoricalHinge as CategoricalHinge
from kerastorch.metrics._from_losses import CosineSimilarity as CosineSimilarity
from kerastorch.metrics._from_losses import Hinge as Hinge
from kerastorch.metrics._from_losses import KLDivergence as KLDivergence
from kerastorch.metrics._from_losses import LogCoshError as LogCoshError
from kerastorch.metrics._from_losses import MeanAbsoluteError as MeanAbsoluteError
from kerastorch.metrics._from_losses import (
    MeanAbsolutePercentageError as MeanAbsolutePercentageError,
)
from kerastorch.metrics._from_losses import MeanSquaredError as MeanSquaredError
from kerastorch.metrics._from_losses import (
    MeanSquaredLogarithmicError as MeanSquaredLogarithmicError,
)
from kerastorch.metrics._from_losses import Poisson as Poisson
from kerastorch.metrics._from_losses import RootMeanSquaredError as RootMeanSquaredError
from kerastorch.metrics._from_losses import (
    SparseCategoricalCrossentropy as SparseCategoricalCrossentropy,
)
from kerastorch.metrics._from_losses import SquaredHinge as SquaredHinge
from kerastorch.metrics._iou import BinaryIoU as BinaryIoU
from kerastorch.metrics._iou import IoU as IoU
from kerastorch.metrics._iou import MeanIoU as MeanIoU
from kerastorch.metrics._iou import OneHotIoU as OneHotIoU
from kerastorch.metrics._iou import OneHotMeanIoU as OneHotMeanIoU
from kerastorch.metrics._r2 import R2Score as R2Score
from kerastorch.metrics._reduction import Mean as Mean
from kerastorch.metrics._reduction import MeanMetricWrapper as MeanMetricWrapper
from kerastorch.metrics._reduction import Sum as Sum


def get(identifier: Any) -> Any:
    """A metric from a name, a function, a class, an object or a serialized config; None stays None.

    >>> import kerastorch as keras
    >>> keras.metrics.get("mse")
    <MeanSquaredError name=mean_squared_error>
    """
    return _metrics.get(identifier)


def serialize(metric: Any) -> Any:
    """A metric as plain data: the name of a function, or the config of an object."""
    return _registry.serialize(metric)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The inverse of `serialize`; `custom_objects` maps names to own classes and functions."""
    return _metrics.deserialize(config, custom_objects)
