"""Accuracies: how often a prediction is right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from kerastorch.config import standardize_dtype
from kerastorch.losses._base import Array, Tensor, align_ranks, as_tensor, require_same_shape
from kerastorch.metrics._base import registry
from kerastorch.metrics._from_losses import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    SparseCategoricalCrossentropy,
)
from kerastorch.metrics._reduction import MeanMetricWrapper


class _Accuracy(MeanMetricWrapper):
    _direction = "up"
    _raises_half = False


# Each `_..._matches` gives booleans: a metric counts them as they are.


def _matches(y_true: Array, y_pred: Array) -> Tensor:
    y_pred = as_tensor(y_pred)
    y_true, y_pred = align_ranks(as_tensor(y_true, y_pred.device), y_pred)
    require_same_shape(y_true, y_pred)
    return y_true == y_pred


def _binary_matches(y_true: Array, y_pred: Array, threshold: float = 0.5) -> Tensor:
    return _matches(y_true, as_tensor(y_pred) > threshold)


def _categorical_matches(y_true: Array, y_pred: Array) -> Tensor:
    y_true, y_pred = as_tensor(y_true), as_tensor(y_pred)
    require_same_shape(y_true, y_pred)
    return y_true.argmax(-1) == y_pred.argmax(-1)


def _sparse_categorical_matches(y_true: Array, y_pred: Array) -> Tensor:
    y_pred = as_tensor(y_pred)
    best = y_pred.argmax(-1)
    return _class_numbers(y_true, y_pred, best) == best


def _top_k_matches(y_true: Array, y_pred: Array, k: int = 5) -> Tensor:
    y_true, y_pred = as_tensor(y_true), as_tensor(y_pred)
    require_same_shape(y_true, y_pred)
    return _in_top_k(y_true.argmax(-1), y_pred, k)


def _sparse_top_k_matches(
    y_true: Array, y_pred: Array, k: int = 5, from_sorted_ids: bool = False
) -> Tensor:
    y_pred = as_tensor(y_pred)
    labels = _class_numbers(y_true, y_pred, y_pred[..., 0])
    if from_sorted_ids:
        return (labels.unsqueeze(-1) == y_pred[..., :k]).any(-1)
    return _in_top_k(labels, y_pred, k)


def _in_top_k(labels: Tensor, y_pred: Tensor, k: int) -> Tensor:
    # Fewer than k classes score higher: no sorting, and ties count as right.
    score = y_pred.gather(-1, labels.to(torch.int64).unsqueeze(-1))
    return (y_pred > score).sum(-1) < k


def _class_numbers(y_true: Array, y_pred: Tensor, like: Tensor) -> Tensor:
    """Class numbers in the shape of `like`; axes of length 1 are neither here nor there."""
    labels = as_tensor(y_true, y_pred.device)
    if labels.ndim == y_pred.ndim and labels.shape[-1] == 1:
        labels = labels.squeeze(-1)
    if labels.shape == like.shape:
        return labels
    if [n for n in labels.shape if n != 1] != [n for n in like.shape if n != 1]:
        raise ValueError(
            f"y_true must hold one class number per prediction: expected shape {tuple(like.shape)} "
            f"for y_pred of shape {tuple(y_pred.shape)}, received {tuple(labels.shape)}. "
            "One-hot targets belong to CategoricalAccuracy."
        )
    return labels.reshape(like.shape)


def _floats(matches: Tensor) -> Tensor:
    return matches.to(standardize_dtype(None))


# -- functions ---------------------------------------------------------------------------------------


def accuracy(y_true: Array, y_pred: Array) -> Tensor:
    """1 where `y_true` equals `y_pred`, else 0. Shapes: ``(...)`` and ``(...)`` -> ``(...)``."""
    return _floats(_matches(y_true, y_pred))


def binary_accuracy(y_true: Array, y_pred: Array, threshold: float = 0.5) -> Tensor:
    """1 where ``y_pred > threshold`` is what `y_true` (0 or 1) says, else 0.

    Shapes: ``(...)`` and ``(...)`` -> ``(...)``; ``(N,)`` and ``(N, 1)`` go together.

    >>> import kerastorch as keras
    >>> keras.metrics.binary_accuracy([[1], [1], [0]], [[0.9], [0.3], [0.2]])
    tensor([[1.], [0.], [1.]])
    """
    return _floats(_binary_matches(y_true, y_pred, threshold))


def categorical_accuracy(y_true: Array, y_pred: Array) -> Tensor:
    """1 where the largest prediction is that of the true class, else 0; targets are one-hot.

    Shapes: ``(..., C)`` and ``(..., C)`` -> ``(...)``. Probabilities and logits do alike.

    >>> import kerastorch as keras
    >>> keras.metrics.categorical_accuracy([[0, 1], [1, 0]], [[0.1, 0.9], [0.2, 0.8]])
    tensor([1., 0.])
    """
    return _floats(_categorical_matches(y_true, y_pred))


def sparse_categorical_accuracy(y_true: Array, y_pred: Array) -> Tensor:
    """1 where the largest prediction is that of the true class, else 0; targets are class numbers.

    Shapes: ``(...)`` or ``(..., 1)`` and ``(..., C)`` -> ``(...)``. Probabilities and logits do
    alike.

    >>> import kerastorch as keras
    >>> keras.metrics.sparse_categorical_accuracy([1, 0], [[0.1, 0.9], [0.2, 0.8]])
    tensor([1., 0.])
    """
    return _floats(_sparse_categorical_matches(y_true, y_pred))


def top_k_categorical_accuracy(y_true: Array, y_pred: Array, k: int = 5) -> Tensor:
    """1 where the true class is among the `k` largest predictions, else 0; targets are one-hot.

    Shapes: ``(..., C)`` and ``(..., C)`` -> ``(...)``.

    >>> import kerastorch as keras
    >>> keras.metrics.top_k_categorical_accuracy([[0, 0, 1]], [[0.5, 0.2, 0.3]], k=2)
    tensor([1.])
    """
    return _floats(_top_k_matches(y_true, y_pred, k))


def sparse_top_k_categorical_accuracy(
    y_true: Array, y_pred: Array, k: int = 5, from_sorted_ids: bool = False
) -> Tensor:
    """1 where the true class is among the `k` largest predictions, else 0; class numbers as targets.

    With `from_sorted_ids`, `y_pred` holds class numbers, best first, instead of scores.
    Shapes: ``(...)`` or ``(..., 1)`` and ``(..., C)`` -> ``(...)``.

    >>> import kerastorch as keras
    >>> keras.metrics.sparse_top_k_categorical_accuracy([2, 1], [[0.5, 0.2, 0.3]] * 2, k=2)
    tensor([1., 0.])
    """
    return _floats(_sparse_top_k_matches(y_true, y_pred, k, from_sorted_ids))


# -- metrics -----------------------------------------------------------------------------------------


class Accuracy(_Accuracy):
    """Share of predictions that equal their target.

    ``metrics=["accuracy"]`` of a model is not this one but the accuracy that fits its output.

    >>> import kerastorch as keras
    >>> keras.metrics.Accuracy()([1, 2, 3, 4], [0, 2, 3, 4])
    tensor(0.7500)
    """

    def __init__(self, name: str | None = "accuracy", dtype: Any = None):
        super().__init__(_matches, name, dtype)


class BinaryAccuracy(_Accuracy):
    __doc__ = binary_accuracy.__doc__

    def __init__(
        self, name: str | None = "binary_accuracy", dtype: Any = None, threshold: float = 0.5
    ):
        super().__init__(_binary_matches, name, dtype, threshold=threshold)


class CategoricalAccuracy(_Accuracy):
    __doc__ = categorical_accuracy.__doc__

    def __init__(self, name: str | None = "categorical_accuracy", dtype: Any = None):
        super().__init__(_categorical_matches, name, dtype)


class SparseCategoricalAccuracy(_Accuracy):
    __doc__ = sparse_categorical_accuracy.__doc__

    def __init__(self, name: str | None = "sparse_categorical_accuracy", dtype: Any = None):
        super().__init__(_sparse_categorical_matches, name, dtype)


class TopKCategoricalAccuracy(_Accuracy):
    __doc__ = top_k_categorical_accuracy.__doc__

    def __init__(
        self, k: int = 5, name: str | None = "top_k_categorical_accuracy", dtype: Any = None
    ):
        super().__init__(_top_k_matches, name, dtype, k=k)


class SparseTopKCategoricalAccuracy(_Accuracy):
    __doc__ = sparse_top_k_categorical_accuracy.__doc__

    def __init__(
        self,
        k: int = 5,
        name: str | None = "sparse_top_k_categorical_accuracy",
        dtype: Any = None,
        from_sorted_ids: bool = False,
    ):
        super().__init__(_sparse_top_k_matches, name, dtype, k=k, from_sorted_ids=from_sorted_ids)


registry.add(
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    TopKCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    accuracy,
    binary_accuracy,
    categorical_accuracy,
    sparse_categorical_accuracy,
    top_k_categorical_accuracy,
    sparse_top_k_categorical_accuracy,
    acc=Accuracy,
)


def resolve_accuracy(
    y_true_shape: Sequence[int | None] | None,
    y_pred_shape: Sequence[int | None],
    crossentropy: bool = False,
) -> MeanMetricWrapper:
    """The accuracy (or cross-entropy) that ``"accuracy"`` (``"crossentropy"``) stands for.

    One value per prediction: binary. Targets of lower rank, or of width 1: class numbers. Else
    one-hot. Shapes include the batch axis; unknown targets (None) are taken as class numbers.

    >>> from kerastorch.metrics import resolve_accuracy
    >>> resolve_accuracy((32, 1), (32, 10))
    <SparseCategoricalAccuracy name=accuracy>
    """
    if len(y_pred_shape) < 2 or y_pred_shape[-1] == 1:
        return BinaryCrossentropy("crossentropy") if crossentropy else BinaryAccuracy("accuracy")
    if y_true_shape is None or len(y_true_shape) < len(y_pred_shape) or y_true_shape[-1] == 1:
        if crossentropy:
            return SparseCategoricalCrossentropy("crossentropy")
        return SparseCategoricalAccuracy("accuracy")
    if crossentropy:
        return CategoricalCrossentropy("crossentropy")
    return CategoricalAccuracy("accuracy")
