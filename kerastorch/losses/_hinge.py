"""Margins: a prediction is right when it has the target's sign and is at least 1 away from 0."""

from __future__ import annotations

from typing import Any

import torch

from kerastorch.losses._base import MEAN, Array, LossFunctionWrapper, Tensor, paired, registry


def _signed(y_true: Tensor) -> Tensor:
    """Targets as -1 and 1; binary if all of them are 0 or 1, which the device decides."""
    binary = ((y_true == 0) | (y_true == 1)).all()
    return torch.where(binary, 2.0 * y_true - 1.0, y_true)


def hinge(y_true: Array, y_pred: Array) -> Tensor:
    """``mean(max(1 - y_true * y_pred, 0), axis=-1)``; targets are -1 and 1, or 0 and 1.

    Shapes: ``(..., D)`` and ``(..., D)`` -> ``(...)``; ``(N,)`` and ``(N, 1)`` go together.

    >>> import kerastorch as keras
    >>> keras.losses.hinge([[0.0, 1.0]], [[-2.0, 0.5]])
    tensor([0.2500])
    """
    y_true, y_pred = paired(y_true, y_pred)
    return (1.0 - _signed(y_true) * y_pred).clamp(min=0.0).mean(-1)


def squared_hinge(y_true: Array, y_pred: Array) -> Tensor:
    """``mean(max(1 - y_true * y_pred, 0)**2, axis=-1)``; targets are -1 and 1, or 0 and 1.

    Shapes: ``(..., D)`` and ``(..., D)`` -> ``(...)``; ``(N,)`` and ``(N, 1)`` go together.

    >>> import kerastorch as keras
    >>> keras.losses.squared_hinge([[0.0, 1.0]], [[-2.0, 0.5]])
    tensor([0.1250])
    """
    y_true, y_pred = paired(y_true, y_pred)
    return (1.0 - _signed(y_true) * y_pred).clamp(min=0.0).square().mean(-1)


def categorical_hinge(y_true: Array, y_pred: Array) -> Tensor:
    """``max(neg - pos + 1, 0)``: score of the best wrong class against that of the true one.

    ``pos = sum(y_true * y_pred)`` and ``neg = max((1 - y_true) * y_pred)`` over the last axis;
    `y_true` is one-hot. Shapes: ``(..., C)`` and ``(..., C)`` -> ``(...)``.

    >>> import kerastorch as keras
    >>> keras.losses.categorical_hinge([[0, 1, 0]], [[0.1, 0.8, 0.3]])
    tensor([0.5000])
    """
    y_true, y_pred = paired(y_true, y_pred)
    positive = (y_true * y_pred).sum(-1)
    negative = ((1.0 - y_true) * y_pred).amax(-1)
    return (negative - positive + 1.0).clamp(min=0.0)


class Hinge(LossFunctionWrapper):
    __doc__ = hinge.__doc__

    def __init__(self, reduction: str | None = MEAN, name: str = "hinge", dtype: Any = None):
        super().__init__(hinge, reduction, name, dtype)


class SquaredHinge(LossFunctionWrapper):
    __doc__ = squared_hinge.__doc__

    def __init__(
        self, reduction: str | None = MEAN, name: str = "squared_hinge", dtype: Any = None
    ):
        super().__init__(squared_hinge, reduction, name, dtype)


class CategoricalHinge(LossFunctionWrapper):
    __doc__ = categorical_hinge.__doc__

    def __init__(
        self, reduction: str | None = MEAN, name: str = "categorical_hinge", dtype: Any = None
    ):
        super().__init__(categorical_hinge, reduction, name, dtype)


registry.add(hinge, squared_hinge, categorical_hinge, Hinge, SquaredHinge, CategoricalHinge)
