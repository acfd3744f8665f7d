"""Evaluation of small batches: the loss and the metrics of several of them at once."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import torch

from kerastorch.data import unpack_x_y_sample_weight
from kerastorch.losses._base import MEANS, LossFunctionWrapper
from kerastorch.metrics import MeanMetricWrapper
from kerastorch.training._logs import Logs
from kerastorch.training._outputs import _Crossentropy

#: Output values that are graded at once: from here on the kernels take longer than the calls of them.
ENOUGH = 1 << 13

#: Where the functions are that give each row a value which the other rows have no part in.
_BY_ROW = {
    "kerastorch.losses._regression",
    "kerastorch.losses._probabilistic",
    "kerastorch.metrics._accuracy",
}


class Grader:
    """The built-in test step, but for the moment of grading: the outputs of small batches are kept, and
    loss and metrics taken of several together.

    That gives the same numbers, up to rounding, where all of them are means of a value a row. Where they
    are not, every batch is graded by itself. Logs that are read are those of all batches so far.
    """

    def __init__(self, model: Any, call: Callable[[Any], Any]) -> None:
        self._model = model
        self._call = call
        self._kept: list[tuple[Any, Any, Any]] = []
        self._size = 0
        self._by_row = _is_by_row(model._compiled)

    def __call__(self, data: Any) -> Logs:
        """Run the model on a batch."""
        x, y, weight = unpack_x_y_sample_weight(data)
        self._model._forget_losses()
        y_pred = self._call(x)
        if self._by_row and _is_simple(x, y, y_pred, weight):
            self._kept.append((y, y_pred, weight))
            self._size += y_pred.numel()
            if self._size >= ENOUGH:
                self.finish()
        else:
            self.finish()
            self._model._grade(x, y, y_pred, weight)
            if self._by_row is None:  # this batch has made the metrics
                self._by_row = _is_by_row(self._model._compiled)
        return Logs(self._results)

    def _results(self) -> Any:
        self.finish()
        return self._model._results()

    def finish(self) -> None:
        """Grade what has been kept."""
        kept, self._kept, self._size = self._kept, [], 0
        try:
            if len(kept) > 1:
                kept = [tuple(map(_joined, zip(*kept, strict=True)))]
        except (RuntimeError, TypeError):  # their shapes do not fit
            pass
        for y, y_pred, weight in kept:
            self._model._grade(y_pred, y, y_pred, weight)


def _joined(parts: tuple[Any, ...]) -> Any:
    return None if all(part is None for part in parts) else torch.cat(parts)


def _is_simple(x: Any, y: Any, y_pred: Any, weight: Any) -> bool:
    """Whether a batch is one tensor of each, row by row."""
    return (
        type(x) is type(y) is type(y_pred) is torch.Tensor
        and (weight is None or type(weight) is torch.Tensor)
        and x.shape[:1] == y.shape[:1] == y_pred.shape[:1]
        and not hasattr(y_pred, "_keras_mask")
    )


def _is_by_row(compiled: Any) -> bool | None:
    """Whether the loss and all metrics are means of a value a row; None until they are made."""
    loss, metrics = compiled.loss, compiled.metrics
    if loss is None:
        return False
    if not (loss.built and metrics.built):
        return None
    return (
        len(loss.names) == len(loss.terms) == 1
        and not compiled.reports
        and not any(
            layer._adds or layer.activity_regularizer is not None for layer in compiled.epoch.layers
        )
        and _is_wrapper(loss.terms[0][2])
        and all(
            type(metric).update_state is MeanMetricWrapper.update_state
            and _gives_rows(metric._fn, metric._fn_kwargs)
            for metric in metrics.metrics
        )
    )


def _is_wrapper(loss: Any) -> bool:
    if isinstance(loss, _Crossentropy):
        return all(map(_is_wrapper, loss.kinds.values()))
    return (
        isinstance(loss, LossFunctionWrapper)
        and type(loss).call is LossFunctionWrapper.call
        and loss.reduction in MEANS
        and _gives_rows(loss.fn, loss.kwargs)
    )


def _gives_rows(function: Any, options: dict[str, Any]) -> bool:
    return (
        isinstance(function, types.FunctionType)
        and function.__module__ in _BY_ROW
        and options.get("axis", -1) == -1
        and options.get("ignore_class")
        is None  # the mean is over the others, however many there are
    )
