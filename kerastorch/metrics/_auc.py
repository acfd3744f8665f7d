"""Area under a curve of two ratios over all thresholds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from kerastorch import config
from kerastorch.losses._base import Array, Tensor, as_tensor, as_weight, divide_or_zero
from kerastorch.metrics._base import registry
from kerastorch.metrics._confusion import FN, FP, TN, TP, ThresholdMetric, _even_thresholds, _ratio

# Scores this far outside [0, 1] are rounding, not logits.
_TOLERANCE = 1e-3


# -- curves: x and y at each threshold -----------------------------------------------------------------


def _roc(tp: Tensor, fp: Tensor, tn: Tensor, fn: Tensor) -> tuple[Tensor, Tensor]:
    return _ratio(fp, tn), _ratio(tp, fn)


def _pr(tp: Tensor, fp: Tensor, tn: Tensor, fn: Tensor) -> tuple[Tensor, Tensor]:
    return _ratio(tp, fn), _ratio(tp, fp)


def _pr_gain(tp: Tensor, fp: Tensor, tn: Tensor, fn: Tensor) -> tuple[Tensor, Tensor]:
    odds = divide_or_zero(tp + fn, tn + fp)
    recall_gain = torch.where(tp == 0, 0.0, 1.0 - odds * divide_or_zero(fn, tp)).clamp(min=0.0)
    precision_gain = torch.where(tp == 0, 1.0, 1.0 - odds * divide_or_zero(fp, tp))
    return recall_gain, precision_gain


_CURVES: dict[str, Callable[..., tuple[Tensor, Tensor]]] = {
    "ROC": _roc,
    "PR": _pr,
    "PRGAIN": _pr_gain,
}
_HEIGHTS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "interpolation": lambda a, b: (a + b) / 2.0,
    "majoring": torch.maximum,
    "minoring": torch.minimum,
}


def _interpolated_pr(tp: Tensor, fp: Tensor, fn: Tensor) -> Tensor:
    """Area under precision over recall where TP grows linearly with the number of positives.

    Between two thresholds TP = slope * P + intercept, so the area is that of a hyperbola.
    Davis and Goadrich, "The Relationship Between Precision-Recall and ROC Curves", 2006.
    """
    positives = tp + fp
    low, high = positives[1:], positives[:-1]
    gained = tp[:-1] - tp[1:]
    slope = divide_or_zero(gained, (high - low).clamp(min=0.0))
    intercept = tp[1:] - slope * low
    growth = torch.where((low > 0) & (high > 0), divide_or_zero(high, low.clamp(min=0.0)), 1.0)
    area = slope * (gained + intercept * growth.log())
    return divide_or_zero(area, (tp[1:] + fn[1:]).clamp(min=0.0)).sum(0)


class AUC(ThresholdMetric):
    """Area under the ROC curve (or precision-recall curve), approximated with `num_thresholds` steps.

    Predictions are probabilities in [0, 1]; set `from_logits` for real numbers. If one lay outside
    [0, 1] the result is NaN, not a wrong area. Targets are 0 and 1; shapes are alike.

    Args:
        num_thresholds: evenly spaced ones including 0 and 1; or give `thresholds` in (0, 1).
        curve: ``"ROC"``, ``"PR"`` or ``"PRGAIN"`` (Flach and Kull, 2015).
        summation_method: ``"interpolation"`` (trapezia; for PR the interpolation of Davis and
            Goadrich), ``"majoring"`` or ``"minoring"`` (steps above or below the curve).
        multi_label: one area per column, averaged (weighted by `label_weights`), instead of one area
            of all entries. `num_labels` makes the state at once; else the first batch does.
        label_weights: weights of the columns.

    >>> import kerastorch as keras
    >>> keras.metrics.AUC()([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    tensor(0.7500)
    """

    _direction = "up"

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: Any = None,
        thresholds: Sequence[float] | None = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Array = None,
        from_logits: bool = False,
    ):
        if curve.upper() not in _CURVES:
            raise ValueError(f'Invalid AUC curve value: "{curve}". Expected one of {[*_CURVES]}.')
        if summation_method.lower() not in _HEIGHTS:
            raise ValueError(
                f'Invalid AUC summation method value: "{summation_method}". '
                f"Expected one of {[*_HEIGHTS]}."
            )
        if thresholds is not None:
            inner = sorted(thresholds)
        elif num_thresholds > 1:
            inner = _even_thresholds(num_thresholds)[1:-1]
        else:
            raise ValueError(
                "Argument `num_thresholds` must be an integer > 1. "
                f"Received: num_thresholds={num_thresholds}."
            )
        if num_labels and not multi_label:
            raise ValueError("`num_labels` is needed only when `multi_label` is True.")
        ends = -config.epsilon(), 1.0 + config.epsilon()
        super().__init__([ends[0], *inner, ends[1]], [TP, FP, TN, FN], name, dtype)
        self.num_thresholds = len(inner) + 2
        self.curve = curve.upper()
        self.summation_method = summation_method.lower()
        self.multi_label = self._by_column = multi_label
        self.num_labels = num_labels
        self.from_logits = from_logits
        self._label_weights_given = label_weights
        self.register_buffer("label_weights", self._make_label_weights(), persistent=False)
        if not multi_label:
            self._make_state()
        elif num_labels:
            self._make_state(num_labels)

    def _make_bounds(self) -> Tensor:
        bounds = super()._make_bounds()
        bounds[0], bounds[-1] = -_TOLERANCE, 1.0 + _TOLERANCE
        return bounds

    def _make_label_weights(self) -> Tensor | None:
        given = self._label_weights_given
        return None if given is None else as_tensor(given).to(self._bounds)

    @torch.no_grad()
    def update_state(self, y_true: Array, y_pred: Array, sample_weight: Array = None) -> None:
        """Add a batch."""
        y_true, y_pred = self._inputs(y_true, y_pred)
        if self.from_logits:
            y_pred = y_pred.to(self._bounds.dtype).sigmoid()
        if self.multi_label and y_pred.ndim != 2:
            raise ValueError(
                "`y_pred` must have rank 2 when `multi_label=True`. "
                f"Found rank {y_pred.ndim}. Full shape received for `y_pred`: {tuple(y_pred.shape)}"
            )
        if not self.variables:
            with y_pred.device:
                self._make_state(y_pred.shape[1])
        super().update_state(y_true, y_pred, sample_weight)

    def _add(self, label: Tensor, score: Tensor, sample_weight: Array) -> None:
        if self.label_weights is not None and not self.multi_label:
            own = self.label_weights.expand_as(score)
            weight = as_weight(sample_weight, score)
            sample_weight = own if weight is None else own * weight
        super()._add(label, score, sample_weight)

    def _follow(self, device: torch.device) -> None:
        super()._follow(device)
        weights = self._make_label_weights()
        self.label_weights = None if weights is None else weights.to(device)

    def result(self) -> Tensor:
        """The area; NaN if a prediction lay outside [0, 1]."""
        if not self.variables:
            return self._bounds.new_zeros(())
        tp, fp, tn, fn = (getattr(self, cell) for cell in self._cells)
        if self.curve == "PR" and self.summation_method == "interpolation":
            area = _interpolated_pr(tp, fp, fn)
        else:
            x, y = _CURVES[self.curve](tp, fp, tn, fn)
            heights = _HEIGHTS[self.summation_method](y[:-1], y[1:])
            area = ((x[:-1] - x[1:]) * heights).sum(0)
        outside = (tp[-1] != 0) | (fp[-1] != 0) | (tn[0] != 0) | (fn[0] != 0)
        area = torch.where(outside, torch.nan, area)
        if not self.multi_label:
            return area
        if self.label_weights is None:
            return area.mean()
        return divide_or_zero((area * self.label_weights).sum(), self.label_weights.sum())


registry.add(AUC, auc=AUC)
