"""Coefficient of determination."""

from __future__ import annotations

from typing import Any

import torch

from kerastorch.losses._base import Array, Tensor, align_ranks, as_weight, require_same_shape
from kerastorch.metrics._base import Metric, registry

_STATE = ("squared_sum", "sum", "residual", "count")


class R2Score(Metric):
    """``1 - sum((y - p)**2) / sum((y - mean(y))**2)``: 1 is perfect, 0 as good as the mean.

    Targets and predictions have the shape ``(N, D)``. An output whose targets are all equal scores
    1 if the predictions equal them, else 0.

    Args:
        class_aggregation: ``"uniform_average"`` of the D outputs, ``"variance_weighted_average"``,
            or None for all of them.
        num_regressors: number of independent predictors ``p`` for the adjusted score
            ``1 - (1 - R2) (n - 1) / (n - p - 1)``, ``n`` the number of target values. It stays
            unadjusted where ``n <= p + 1``.

    >>> import kerastorch as keras
    >>> keras.metrics.R2Score()([[1.0], [4.0], [3.0]], [[2.0], [4.0], [4.0]])
    tensor(0.5714)
    """

    _direction = "up"

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str | None = "r2_score",
        dtype: Any = None,
    ):
        super().__init__(dtype, name)
        if class_aggregation not in (None, "uniform_average", "variance_weighted_average"):
            raise ValueError(
                "Invalid value for argument `class_aggregation`: expected None, 'uniform_average' "
                f"or 'variance_weighted_average', received {class_aggregation!r}."
            )
        if num_regressors < 0:
            raise ValueError(
                "Invalid value for argument `num_regressors`: expected a number >= 0, received "
                f"{num_regressors}."
            )
        self.class_aggregation, self.num_regressors = class_aggregation, num_regressors
        self.num_samples = self.add_variable((), name="num_samples")

    def _build(self, shape: torch.Size) -> None:
        if len(shape) != 2:
            raise ValueError(
                "R2Score expects 2D inputs with shape (batch_size, output_dim), received "
                f"{tuple(shape)}."
            )
        for name in _STATE:
            self.add_variable((shape[1],), name=name)

    @torch.no_grad()
    def update_state(self, y_true: Array, y_pred: Array, sample_weight: Array = None) -> None:
        """Add a batch."""
        y_true, y_pred = self._inputs(y_true, y_pred)
        y_true, y_pred = align_ranks(y_true, y_pred)
        require_same_shape(y_true, y_pred)
        if len(self._buffers) == 1:
            with y_pred.device:
                self._build(y_pred.shape)
        kind = self.num_samples.dtype
        y, p = y_true.to(kind), y_pred.to(kind)
        weight = as_weight(sample_weight, y)
        w = torch.ones_like(y) if weight is None else torch.ones_like(y) * weight
        sums = [(y * y * w).sum(0), (y * w).sum(0), ((y - p).square() * w).sum(0), w.sum(0)]
        torch._foreach_add_([getattr(self, name) for name in _STATE], sums)
        self.num_samples.add_(y.numel())

    def result(self) -> Tensor:
        """The score; a vector for ``class_aggregation=None``."""
        if len(self._buffers) == 1:
            return torch.zeros_like(self.num_samples)
        squares, total, residual, count = (getattr(self, name) for name in _STATE)
        variance = squares - total * total / count
        score: Tensor = 1 - residual / variance
        constant = (residual == 0).to(score.dtype)
        score = torch.where(variance == 0, constant, score)
        if self.class_aggregation == "uniform_average":
            score = score.mean()
        elif self.class_aggregation == "variance_weighted_average":
            score = (variance * score).sum() / variance.sum()
        if self.num_regressors:
            n, free = self.num_samples, self.num_samples - self.num_regressors - 1
            score = torch.where(free > 0, 1 - (1 - score) * (n - 1) / free, score)
        return score


registry.add(R2Score)
