"""Overlap of sets: how much of the target region a predicted region covers."""

from __future__ import annotations

from typing import Any

from kerastorch import config
from kerastorch.losses._base import MEAN, Array, LossFunctionWrapper, Tensor, paired, registry

Axis = int | tuple[int, ...] | list[int] | None


def dice(y_true: Array, y_pred: Array, axis: Axis = None) -> Tensor:
    """``1 - 2 sum(y p) / (sum(y) + sum(p) + epsilon)``, the sums over `axis` (None: everything).

    For images, ``axis=(1, 2, 3)`` gives one value per sample. Milletari et al., "V-Net", 2016.

    >>> import kerastorch as keras
    >>> keras.losses.dice([[1.0, 1.0, 0.0, 0.0]], [[1.0, 0.0, 1.0, 0.0]], axis=-1)
    tensor([0.5000])
    """
    y_true, y_pred = paired(y_true, y_pred)
    common = (y_true * y_pred).sum(axis)
    return 1.0 - 2.0 * common / (y_true.sum(axis) + y_pred.sum(axis) + config.epsilon())


def tversky(
    y_true: Array, y_pred: Array, alpha: float = 0.5, beta: float = 0.5, axis: Axis = None
) -> Tensor:
    """``1 - c / (c + alpha a + beta b + epsilon)``, the sums over `axis` (None: over everything).

    ``c = sum(y p)`` is common to both, ``a = sum(y (1 - p))`` only in the target and
    ``b = sum((1 - y) p)`` only in the prediction: `alpha` weighs misses, `beta` false alarms.
    Dice is ``alpha = beta = 0.5``. Salehi et al., 2017.

    >>> import kerastorch as keras
    >>> keras.losses.tversky([[1.0, 1.0, 0.0, 0.0]], [[1.0, 0.0, 1.0, 0.0]], alpha=1.0, axis=-1)
    tensor([0.6000])
    """
    y_true, y_pred = paired(y_true, y_pred)
    common = (y_true * y_pred).sum(axis)
    missed = (y_true * (1.0 - y_pred)).sum(axis)
    wrong = ((1.0 - y_true) * y_pred).sum(axis)
    return 1.0 - common / (common + alpha * missed + beta * wrong + config.epsilon())


class Dice(LossFunctionWrapper):
    __doc__ = dice.__doc__

    def __init__(
        self,
        reduction: str | None = MEAN,
        name: str = "dice",
        axis: Axis = None,
        dtype: Any = None,
    ):
        super().__init__(dice, reduction, name, dtype, axis=axis)


class Tversky(LossFunctionWrapper):
    __doc__ = tversky.__doc__

    def __init__(
        self,
        alpha: float = 0.5,
        beta: float = 0.5,
        reduction: str | None = MEAN,
        name: str = "tversky",
        axis: Axis = None,
        dtype: Any = None,
    ):
        super().__init__(tversky, reduction, name, dtype, alpha=alpha, beta=beta, axis=axis)


registry.add(dice, tversky, Dice, Tversky)
