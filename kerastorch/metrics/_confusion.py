"""Counts of true and false positives and negatives above thresholds, and ratios of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, ClassVar

import torch

from kerastorch.losses._base import (
    Array,
    Tensor,
    align_ranks,
    as_weight,
    divide_or_zero,
    require_same_shape,
)
from kerastorch.metrics._base import Metric, registry

TP, FP = "true_positives", "false_positives"
TN, FN = "true_negatives", "false_negatives"

# Which of the four cells a sample falls into: f(label, predicted positive), both boolean.
_CELLS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    TP: lambda label, positive: label & positive,
    FP: lambda label, positive: ~label & positive,
    TN: lambda label, positive: ~(label | positive),
    FN: lambda label, positive: label & ~positive,
}

#: Above this many thresholds, a histogram of the scores is cheaper than comparing with each.
_FEW = 8
_NEGATIVE_INFINITY = -1e10


# -- counting ----------------------------------------------------------------------------------------


def count_by_comparison(
    cells: Sequence[str], label: Tensor, score: Tensor, weight: Tensor | None, thresholds: Tensor
) -> list[Tensor]:
    """Per cell the (weighted) number of samples at each threshold: ``(N, ...)`` -> ``(T, ...)``."""
    positive = score > thresholds.view(-1, *[1] * score.ndim)
    hits = [_CELLS[cell](label, positive) for cell in cells]
    dtype = thresholds.dtype
    return [(hit if weight is None else hit * weight).sum(1, dtype=dtype) for hit in hits]


def count_by_histogram(
    cells: Sequence[str], label: Tensor, score: Tensor, weight: Tensor | None, thresholds: Tensor
) -> list[Tensor]:
    """The same for ascending thresholds: sort scores into bins, then add up from either end."""
    bins, columns = len(thresholds) + 1, score.shape[1] if score.ndim > 1 else 1
    # A score lies above as many thresholds as its bin says.
    slot = torch.bucketize(score.contiguous(), thresholds) * 2 + label
    if score.ndim > 1:
        slot = slot * columns + torch.arange(columns, device=slot.device)
    weight = thresholds.new_ones(()) if weight is None else weight
    flat = thresholds.new_zeros(bins * 2 * columns)
    flat.scatter_add_(0, slot.flatten(), weight.expand_as(slot).flatten())
    histogram = flat.view(bins, 2, *score.shape[1:])
    below = histogram.cumsum(0)[:-1]
    above = histogram.flip(0).cumsum(0).flip(0)[1:]
    found = {FP: above[:, 0], TP: above[:, 1], TN: below[:, 0], FN: below[:, 1]}
    return [found[cell] for cell in cells]


# -- counts ------------------------------------------------------------------------------------------


class ThresholdMetric(Metric):
    """Base of what counts cells at thresholds. A prediction is positive if it is above.

    Args:
        thresholds: the thresholds.
        cells: the cells to count; each is a variable of shape ``(T,)``, or ``(T, L)`` per label.
        class_id: look at this column of targets and predictions only.
        top_k: count only the `top_k` largest predictions of each sample as positive.
    """

    #: Whether the columns of targets and predictions are counted apart.
    _by_column = False

    def __init__(
        self,
        thresholds: Sequence[float],
        cells: Sequence[str],
        name: str | None,
        dtype: Any,
        class_id: int | None = None,
        top_k: int | None = None,
    ):
        super().__init__(dtype, name)
        self.class_id, self.top_k = class_id, top_k
        self._thresholds = list(thresholds)
        self._cells = tuple(cells)
        ascending = all(a <= b for a, b in pairwise(self._thresholds))
        many = ascending and len(self._thresholds) > _FEW
        self._count = count_by_histogram if many else count_by_comparison
        self.register_buffer("_bounds", self._make_bounds(), persistent=False)

    def _make_bounds(self) -> Tensor:
        return torch.tensor(self._thresholds, dtype=torch.float32)

    def _make_state(self, *columns: int) -> None:
        for cell in self._cells:
            self.add_variable((len(self._thresholds), *columns), name=cell)

    @property
    def thresholds(self) -> list[float]:
        """The thresholds."""
        return list(self._thresholds)

    @torch.no_grad()
    def update_state(self, y_true: Array, y_pred: Array, sample_weight: Array = None) -> None:
        """Add a batch."""
        y_true, y_pred = self._inputs(y_true, y_pred)
        y_pred, y_true = align_ranks(y_pred, y_true)
        require_same_shape(y_true, y_pred)
        y_true, y_pred = y_true.to(torch.bool), y_pred.to(self._bounds.dtype)
        if self.top_k is not None:
            kept = torch.zeros_like(y_pred, dtype=torch.bool)
            kept.scatter_(-1, y_pred.topk(self.top_k).indices, True)
            y_pred = torch.where(kept, y_pred, _NEGATIVE_INFINITY)
        if self.class_id is not None:
            if y_pred.ndim < 2:
                raise ValueError(
                    "When class_id is provided, y_pred must be a 2D array with shape "
                    f"(num_samples, num_classes), found shape: {tuple(y_pred.shape)}"
                )
            y_true, y_pred = (y[..., self.class_id, None] for y in (y_true, y_pred))
        self._add(y_true, y_pred, sample_weight)

    def _add(self, label: Tensor, score: Tensor, sample_weight: Array) -> None:
        weight = as_weight(sample_weight, score, score.dtype)
        if weight is not None:
            weight = torch.ones_like(score) * weight
        if not self._by_column:
            label, score = label.flatten(), score.flatten()
            weight = None if weight is None else weight.flatten()
        counts = self._count(self._cells, label, score, weight, self._bounds)
        torch._foreach_add_([getattr(self, cell) for cell in self._cells], counts)

    def _follow(self, device: torch.device) -> None:
        super()._follow(device)
        self._bounds = self._make_bounds().to(device)


def _standardize_thresholds(thresholds: Any, default: float) -> list[float]:
    if thresholds is None:
        return [default]
    given = list(thresholds) if isinstance(thresholds, (list, tuple)) else [thresholds]
    invalid = [t for t in given if t is None or t < 0 or t > 1]
    if invalid:
        raise ValueError(f"Threshold values must be in [0, 1]. Received: {invalid}")
    return given


def _even_thresholds(count: int) -> list[float]:
    if count <= 0:
        raise ValueError(
            f"Argument `num_thresholds` must be an integer > 0, received num_thresholds={count}."
        )
    return [0.5] if count == 1 else [i / (count - 1) for i in range(count)]


class _Count(ThresholdMetric):
    _cell: ClassVar[str]

    def __init__(self, thresholds: Any = None, name: str | None = None, dtype: Any = None):
        super().__init__(_standardize_thresholds(thresholds, 0.5), [self._cell], name, dtype)
        self._make_state()

    @property
    def accumulator(self) -> Tensor:
        """The state."""
        found: Tensor = getattr(self, self._cell)
        return found

    def result(self) -> Tensor:
        """The count; a vector for several thresholds."""
        counts = self.accumulator.clone()
        return counts[0] if len(self._thresholds) == 1 else counts


class TruePositives(_Count):
    """Number of targets 1 that are predicted above the threshold (0.5), each counted by its weight.

    >>> import kerastorch as keras
    >>> keras.metrics.TruePositives()([0, 1, 1, 1], [1, 0, 1, 1])
    tensor(2.)
    """

    _cell = TP


class FalsePositives(_Count):
    """Number of targets 0 that are predicted above the threshold (0.5), each counted by its weight.

    >>> import kerastorch as keras
    >>> keras.metrics.FalsePositives()([0, 1, 0, 0], [0, 0, 1, 1])
    tensor(2.)
    """

    _cell = FP


class TrueNegatives(_Count):
    """Number of targets 0 that are not predicted above the threshold (0.5), counted by weight.

    >>> import kerastorch as keras
    >>> keras.metrics.TrueNegatives()([0, 1, 0, 0], [1, 1, 0, 0])
    tensor(2.)
    """

    _cell = TN


class FalseNegatives(_Count):
    """Number of targets 1 that are not predicted above the threshold (0.5), counted by weight.

    >>> import kerastorch as keras
    >>> keras.metrics.FalseNegatives()([0, 1, 1, 1], [0, 1, 0, 0])
    tensor(2.)
    """

    _cell = FN


# -- ratios ------------------------------------------------------------------------------------------


def _ratio(part: Tensor, rest: Tensor) -> Tensor:
    return divide_or_zero(part, part + rest)


class _Ratio(ThresholdMetric):
    _direction = "up"
    _rest: ClassVar[str]

    def __init__(
        self,
        thresholds: Any = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ):
        found = _standardize_thresholds(thresholds, 0.5 if top_k is None else _NEGATIVE_INFINITY)
        super().__init__(found, [TP, self._rest], name, dtype, class_id, top_k)
        self._make_state()

    def result(self) -> Tensor:
        """The ratio, 0 where nothing was counted; a vector for several thresholds."""
        ratio = _ratio(*(getattr(self, cell) for cell in self._cells))
        return ratio[0] if len(self._thresholds) == 1 else ratio


class Precision(_Ratio):
    """``TP / (TP + FP)``: share of the positive predictions that are right.

    Positive is what lies above the threshold (0.5; a list gives a vector), or with `top_k` what is
    among the `top_k` largest of a sample. `class_id` looks at one column only.

    >>> import kerastorch as keras
    >>> keras.metrics.Precision()([0, 1, 1, 1], [1, 0, 1, 1])
    tensor(0.6667)
    """

    _rest = FP


class Recall(_Ratio):
    """``TP / (TP + FN)``: share of the targets 1 that are predicted.

    Positive is what lies above the threshold (0.5; a list gives a vector), or with `top_k` what is
    among the `top_k` largest of a sample. `class_id` looks at one column only.

    >>> import kerastorch as keras
    >>> keras.metrics.Recall()([0, 1, 1, 1], [1, 0, 1, 1])
    tensor(0.6667)
    """

    _rest = FN


# -- the best of one ratio where another is good enough ------------------------------------------------

_RATIOS: dict[str, tuple[str, str]] = {
    "sensitivity": (TP, FN),
    "specificity": (TN, FP),
    "recall": (TP, FN),
    "precision": (TP, FP),
}


class _At(ThresholdMetric):
    """The largest `_wanted` over all thresholds at which `_bound` is at least the given value."""

    _direction = "up"
    _wanted: ClassVar[str]
    _bound: ClassVar[str]
    true_positives: Tensor
    false_positives: Tensor

    def __init__(
        self, value: float, num_thresholds: int, class_id: int | None, name: str | None, dtype: Any
    ):
        if not 0 <= value <= 1:
            raise ValueError(
                f"Argument `{self._bound}` must be in the range [0, 1]. Received: {value!r}."
            )
        thresholds = _even_thresholds(num_thresholds)
        super().__init__(thresholds, [TP, TN, FP, FN], name, dtype, class_id)
        self.num_thresholds = num_thresholds
        self.value = value
        setattr(self, self._bound, value)
        self._make_state()

    def result(self) -> Tensor:
        """The ratio; NaN if a prediction was above 1."""
        bound, wanted = (
            _ratio(*(getattr(self, cell) for cell in _RATIOS[kind]))
            for kind in (self._bound, self._wanted)
        )
        best = torch.where(bound >= self.value, wanted, 0.0).amax()
        if self.num_thresholds == 1:
            return best
        above_one = (self.true_positives[-1] != 0) | (self.false_positives[-1] != 0)
        return torch.where(above_one, torch.nan, best)


class SensitivityAtSpecificity(_At):
    """Largest ``TP / (TP + FN)`` over all thresholds with ``TN / (TN + FP) >= specificity``.

    Predictions are probabilities; `num_thresholds` lie evenly in [0, 1]. If one was above 1 the
    result is NaN.

    >>> import kerastorch as keras
    >>> keras.metrics.SensitivityAtSpecificity(0.5)([0, 0, 0, 1, 1], [0, 0.3, 0.8, 0.3, 0.8])
    tensor(0.5000)
    """

    _wanted, _bound = "sensitivity", "specificity"

    def __init__(
        self,
        specificity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ):
        super().__init__(specificity, num_thresholds, class_id, name, dtype)


class SpecificityAtSensitivity(_At):
    """Largest ``TN / (TN + FP)`` over all thresholds with ``TP / (TP + FN) >= sensitivity``.

    Predictions are probabilities; `num_thresholds` lie evenly in [0, 1]. If one was above 1 the
    result is NaN.

    >>> import kerastorch as keras
    >>> keras.metrics.SpecificityAtSensitivity(0.5)([0, 0, 0, 1, 1], [0, 0.3, 0.8, 0.3, 0.8])
    tensor(0.6667)
    """

    _wanted, _bound = "specificity", "sensitivity"

    def __init__(
        self,
        sensitivity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ):
        super().__init__(sensitivity, num_thresholds, class_id, name, dtype)


class PrecisionAtRecall(_At):
    """Largest ``TP / (TP + FP)`` over all thresholds with ``TP / (TP + FN) >= recall``.

    Predictions are probabilities; `num_thresholds` lie evenly in [0, 1]. If one was above 1 the
    result is NaN.

    >>> import kerastorch as keras
    >>> keras.metrics.PrecisionAtRecall(0.5)([0, 0, 0, 1, 1], [0, 0.3, 0.8, 0.3, 0.8])
    tensor(0.5000)
    """

    _wanted, _bound = "precision", "recall"

    def __init__(
        self,
        recall: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ):
        super().__init__(recall, num_thresholds, class_id, name, dtype)


class RecallAtPrecision(_At):
    """Largest ``TP / (TP + FN)`` over all thresholds with ``TP / (TP + FP) >= precision``.

    Predictions are probabilities; `num_thresholds` lie evenly in [0, 1]. If one was above 1 the
    result is NaN.

    >>> import kerastorch as keras
    >>> keras.metrics.RecallAtPrecision(0.8)([0, 0, 1, 1], [0, 0.5, 0.3, 0.9])
    tensor(0.5000)
    """

    _wanted, _bound = "recall", "precision"

    def __init__(
        self,
        precision: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ):
        super().__init__(precision, num_thresholds, class_id, name, dtype)


registry.add(
    TruePositives,
    FalsePositives,
    TrueNegatives,
    FalseNegatives,
    Precision,
    Recall,
    SensitivityAtSpecificity,
    SpecificityAtSensitivity,
    PrecisionAtRecall,
    RecallAtPrecision,
)
