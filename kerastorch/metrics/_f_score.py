"""F-scores: weighted harmonic means of precision and recall."""

from __future__ import annotations

from typing import Any

import torch

from kerastorch import config
from kerastorch.losses._base import Array, Tensor, as_weight, require_same_shape
from kerastorch.metrics._base import Metric, registry

_STATE = ("true_positives", "false_positives", "false_negatives", "intermediate_weights")


class FBetaScore(Metric):
    """``(1 + beta**2) P R / (beta**2 P + R)`` with precision P and recall R, per class.

    Targets ``(N, C)`` are one-hot or multi-hot, predictions ``(N, C)`` probabilities.

    Args:
        average: None gives one score per class, ``"macro"`` their mean, ``"weighted"`` their mean
            weighted by the number of targets, ``"micro"`` one score of all entries.
        beta: weight of recall against precision.
        threshold: a class is predicted above it; None predicts the largest of each sample.

    >>> import kerastorch as keras
    >>> metric = keras.metrics.FBetaScore(beta=2.0, threshold=0.5)
    >>> metric([[1, 1], [1, 0]], [[0.9, 0.6], [0.2, 0.7]])
    tensor([0.5556, 0.8333])
    """

    _direction = "up"

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str | None = "fbeta_score",
        dtype: Any = None,
    ):
        super().__init__(dtype, name)
        if average not in (None, "micro", "macro", "weighted"):
            raise ValueError(
                "Invalid `average` argument value. Expected one of: "
                f"{{None, 'micro', 'macro', 'weighted'}}. Received: average={average}"
            )
        if not isinstance(beta, float):
            raise ValueError(
                "Invalid `beta` argument value. It should be a Python float. "
                f"Received: beta={beta} of type '{type(beta)}'"
            )
        if beta <= 0.0:
            raise ValueError(
                f"Invalid `beta` argument value. It should be > 0. Received: beta={beta}"
            )
        if threshold is not None and not isinstance(threshold, float):
            raise ValueError(
                "Invalid `threshold` argument value. It should be a Python float. "
                f"Received: threshold={threshold} of type '{type(threshold)}'"
            )
        if threshold is not None and not 0.0 < threshold <= 1.0:
            raise ValueError(
                "Invalid `threshold` argument value. It should verify 0 < threshold <= 1. "
                f"Received: threshold={threshold}"
            )
        self.average, self.beta, self.threshold = average, beta, threshold

    def _build(self, y_true_shape: tuple[int, ...], y_pred_shape: tuple[int, ...]) -> None:
        """Make the state for the number of classes that the first batch shows."""
        expected = f"{type(self).__name__} expects 2D inputs with shape (batch_size, output_dim)"
        given = (
            f"Received input shapes: y_pred.shape={tuple(y_pred_shape)} and "
            f"y_true.shape={tuple(y_true_shape)}."
        )
        if len(y_pred_shape) != 2 or len(y_true_shape) != 2:
            raise ValueError(f"{expected}. {given}")
        if y_pred_shape[-1] is None or y_true_shape[-1] is None:
            raise ValueError(f"{expected}, with output_dim fully defined (not None). {given}")
        for name in _STATE:
            shape = () if self.average == "micro" else (y_pred_shape[-1],)
            self.add_variable(shape, dtype=self.dtype, name=name)

    @torch.no_grad()
    def update_state(self, y_true: Array, y_pred: Array, sample_weight: Array = None) -> None:
        """Add a batch."""
        y_true, y_pred = self._inputs(y_true, y_pred)
        if not self._buffers:
            with y_pred.device:
                self._build(y_true.shape, y_pred.shape)
        require_same_shape(y_true, y_pred)
        if self.threshold is None:
            largest = y_pred.amax(-1, keepdim=True)
            predicted = (y_pred >= largest) & (y_pred.abs() > 1e-9)
        else:
            predicted = y_pred > self.threshold
        kind = self.true_positives.dtype
        y, p = y_true.to(kind), predicted.to(kind)
        weight = as_weight(sample_weight, y)
        counts = [y * p, (1 - y) * p, y * (1 - p), y]
        if weight is not None:
            counts = [count * weight for count in counts]
        sums = [count.sum() if self.average == "micro" else count.sum(0) for count in counts]
        torch._foreach_add_([getattr(self, name) for name in _STATE], sums)

    def result(self) -> Tensor:
        """The score; a vector for ``average=None``."""
        if not self._buffers:
            return torch.zeros(())
        epsilon = config.epsilon()
        tp, fp, fn, support = (getattr(self, name) for name in _STATE)
        precision, recall = tp / (tp + fp + epsilon), tp / (tp + fn + epsilon)
        beta2 = self.beta**2
        score: Tensor = (1 + beta2) * precision * recall / (beta2 * precision + recall + epsilon)
        if self.average == "weighted":
            return (score * support).sum() / (support.sum() + epsilon)
        return score.mean() if self.average else score


class F1Score(FBetaScore):
    """``2 P R / (P + R)`` with precision P and recall R, per class: `FBetaScore` with ``beta=1``.

    >>> import kerastorch as keras
    >>> metric = keras.metrics.F1Score(average="macro")
    >>> metric([[1, 0], [0, 1], [0, 1]], [[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]])
    tensor(0.6667)
    """

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str | None = "f1_score",
        dtype: Any = None,
    ):
        super().__init__(average, 1.0, threshold, name, dtype)


registry.add(FBetaScore, F1Score)
