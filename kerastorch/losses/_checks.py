"""One look at a whole target array before training: wrong targets train without an error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from kerastorch.losses import _hinge, _overlap, _regression
from kerastorch.losses import _probabilistic as prob
from kerastorch.losses._base import Array, Tensor, as_tensor, registry

_SPARSE = (prob.sparse_categorical_crossentropy, prob.categorical_generalized_cross_entropy)
_ONE_HOT = (
    prob.categorical_crossentropy,
    prob.categorical_focal_crossentropy,
    _hinge.categorical_hinge,
)
_BINARY = (prob.binary_crossentropy, prob.binary_focal_crossentropy)
_SAME_SHAPE = (
    *_ONE_HOT,
    *_BINARY,
    prob.kl_divergence,
    prob.poisson,
    _hinge.hinge,
    _hinge.squared_hinge,
    _overlap.dice,
    _overlap.tversky,
    _regression.mean_squared_error,
    _regression.mean_absolute_error,
    _regression.mean_absolute_percentage_error,
    _regression.mean_squared_logarithmic_error,
    _regression.huber,
    _regression.log_cosh,
    _regression.cosine_similarity,
)


def check_targets(loss: Any, y_true: Array, y_pred_shape: Sequence[int | None]) -> str | None:
    """Compare all targets with what `loss` expects of them; reads values, so call it once per fit.

    `loss` is a `Loss`, a loss function or a name; `y_pred_shape` is the shape of the output, batch
    axis included (its size, or None, is not looked at). Raises `ValueError` for class numbers that
    are fractional or outside the output's classes, and for targets of another width than the
    output. Returns a text worth a warning (non-finite targets, rows that are no distribution,
    binary targets outside [0, 1]), or None. Losses that are not built in are only checked for
    non-finite targets.

    >>> from kerastorch.losses._checks import check_targets
    >>> check_targets("sparse_categorical_crossentropy", [0, 3], (None, 3))
    Traceback (most recent call last):
    ValueError: sparse_categorical_crossentropy: target 3 at position (1,) is not one of ...
    """
    loss = registry.get(loss)
    function: Callable[..., Any] = getattr(loss, "fn", None) or getattr(loss, "function", loss)
    name = str(getattr(loss, "name", None) or getattr(loss, "__name__", type(loss).__name__))
    options = getattr(loss, "kwargs", {})
    targets = as_tensor(y_true).detach()
    shape = tuple(y_pred_shape)
    axis = options.get("axis", -1)
    if function in _SPARSE:
        _check_labels(name, targets, shape, axis, options.get("ignore_class"))
        return None
    if function in _SAME_SHAPE:
        _check_shape(name, targets, shape, sparse_hint=function in _ONE_HOT)
    if targets.is_floating_point() and not bool(targets.isfinite().all()):
        bad = int((~targets.isfinite()).sum())
        return f"{name}: {bad} of {targets.numel()} targets are NaN or infinite."
    if function in _BINARY and targets.numel() and _outside(targets, 0, 1):
        return f"{name}: targets should lie in [0, 1], found {_range(targets)}."
    if function in _ONE_HOT and targets.numel():
        sums = targets.sum(axis if isinstance(axis, int) else -1, dtype=torch.float32)
        if bool(((sums - 1).abs() > 1e-3).any()):
            return (
                f"{name}: the targets of a sample should sum to 1 (one-hot rows), found sums "
                f"{_range(sums)}. Independent yes-or-no targets belong to binary_crossentropy."
            )
    return None


def _check_labels(
    name: str, targets: Tensor, shape: tuple[int | None, ...], axis: int, ignore_class: int | None
) -> None:
    classes = shape[axis]
    if targets.ndim == len(shape) and targets.shape[axis] != 1:
        raise ValueError(
            f"{name} expects class numbers, one per prediction; the targets have shape "
            f"{tuple(targets.shape)} for an output of shape {shape}. "
            "For one-hot targets use 'categorical_crossentropy'."
        )
    valid = torch.ones_like(targets, dtype=torch.bool)
    if ignore_class is not None:
        valid = targets != ignore_class
    if targets.is_floating_point():
        _refuse(name, targets, valid & (targets != targets.floor()), "is not an integer")
    if classes is not None:
        wrong = valid & ((targets < 0) | (targets >= classes))
        _refuse(
            name,
            targets,
            wrong,
            f"is not one of the classes 0 to {classes - 1} that an output of shape {shape} has",
        )


def _refuse(name: str, targets: Tensor, wrong: Tensor, why: str) -> None:
    if bool(wrong.any()):
        where = tuple(wrong.nonzero()[0].tolist())
        raise ValueError(
            f"{name}: target {targets[where].item()} at position {where} {why}. "
            "Classes are counted from 0; the last layer needs one unit per class."
        )


def _check_shape(
    name: str, targets: Tensor, shape: tuple[int | None, ...], sparse_hint: bool
) -> None:
    given, wanted = tuple(targets.shape[1:]), shape[1:]
    while given and given[-1] == 1 and len(given) > len(wanted):
        given = given[:-1]
    while wanted and wanted[-1] == 1 and len(wanted) > len(given):
        wanted = wanted[:-1]
    if len(given) != len(wanted) or any(
        n not in (None, m) for m, n in zip(given, wanted, strict=True)
    ):
        hint = (
            "For class numbers use 'sparse_categorical_crossentropy'."
            if sparse_hint
            else "Give the last layer as many units as a target has values."
        )
        raise ValueError(
            f"{name}: the targets have shape {tuple(targets.shape)}, the output {shape}. {hint}"
        )


def _outside(values: Tensor, low: float, high: float) -> bool:
    return bool(((values < low) | (values > high)).any())


def _range(values: Tensor) -> str:
    return f"from {values.min().item():g} to {values.max().item():g}"
