"""Distances between distributions: cross-entropies, divergence, Poisson likelihood.

Probabilities are clipped to ``[epsilon, 1 - epsilon]``, `epsilon` being ``keras.config.epsilon()``
(1e-7); those of exclusive classes are first divided by their sum. Logits need neither.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
import torch.nn.functional as F

from kerastorch import config
from kerastorch.activations._activations import sums_to_one
from kerastorch.losses._base import (
    FUSED_MEANS,
    LABEL_FUNCTIONS,
    MEAN,
    Array,
    LossFunctionWrapper,
    Tensor,
    as_floats,
    as_tensor,
    cast,
    paired,
    registry,
)

# No class number: torch would otherwise leave out targets of -100 without a word.
_NO_CLASS = -(2**62)


def _clip(p: Tensor) -> Tensor:
    return p.clamp(config.epsilon(), 1.0 - config.epsilon())


def _normalized(p: Tensor, axis: int) -> Tensor:
    """Probabilities divided by their sum along `axis`. Those that come straight from a softmax have
    the sum 1: dividing would change neither values nor gradients, and costs more than the softmax."""
    return p if sums_to_one(p, axis) else p / p.sum(axis, keepdim=True)


# -- yes or no -------------------------------------------------------------------------------------


def binary_crossentropy(
    y_true: Array,
    y_pred: Array,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """``mean(-y log(p) - (1 - y) log(1 - p))`` over `axis`, for independent yes-or-no targets.

    `y_pred` holds probabilities, or logits (any real number) with ``from_logits=True``, which is
    the more accurate of the two. ``label_smoothing=s`` moves targets to ``y (1 - s) + s / 2``.
    Shapes: ``(..., D)`` and ``(..., D)`` -> ``(...)``; ``(N,)`` and ``(N, 1)`` go together.

    >>> import kerastorch as keras
    >>> keras.losses.binary_crossentropy([[0, 1]], [[0.5, 0.25]])
    tensor([1.0397])
    """
    y_true, y_pred = paired(y_true, y_pred)
    y_true = _smooth(y_true, label_smoothing, 2)
    if from_logits:
        return F.binary_cross_entropy_with_logits(y_pred, y_true, reduction="none").mean(axis)
    return _binary(y_true, _clip(y_pred)).mean(axis)


def binary_focal_crossentropy(
    y_true: Array,
    y_pred: Array,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """Binary cross-entropy times ``(1 - p_t)**gamma``: what is already right weighs little.

    ``p_t`` is the probability given to the target. With `apply_class_balancing`, class 1 also
    weighs `alpha` and class 0 ``1 - alpha``. Shapes and the other arguments: as for
    `binary_crossentropy`. Lin et al., "Focal Loss for Dense Object Detection", 2017.

    >>> import kerastorch as keras
    >>> keras.losses.binary_focal_crossentropy([[1.0]], [[0.5]])
    tensor([0.1733])
    """
    y_true, y_pred = paired(y_true, y_pred)
    y_true = _smooth(y_true, label_smoothing, 2)
    p = y_pred.sigmoid() if from_logits else y_pred
    p_t = y_true * p + (1.0 - y_true) * (1.0 - p)
    loss = (1.0 - p_t) ** gamma * _binary(y_true, _clip(p))
    if apply_class_balancing:
        loss = (y_true * alpha + (1.0 - y_true) * (1.0 - alpha)) * loss
    return loss.mean(axis)


def _binary(y_true: Tensor, p: Tensor) -> Tensor:
    # F.binary_cross_entropy stops the device on a NaN and refuses autocast.
    return -torch.lerp(torch.log1p(-p), p.log(), y_true)


def _smooth(y_true: Tensor, amount: float, classes: int) -> Tensor:
    return y_true * (1.0 - amount) + amount / classes if amount else y_true


# -- one of several classes ------------------------------------------------------------------------


def sparse_categorical_crossentropy(
    y_true: Array,
    y_pred: Array,
    from_logits: bool = False,
    ignore_class: int | None = None,
    axis: int = -1,
) -> Tensor:
    """``-log(p[y])``: cross-entropy for targets that are class numbers.

    `y_pred` holds probabilities along `axis`, or logits with ``from_logits=True`` (more accurate
    and faster). Targets of `ignore_class` give 0 and are masked out of the mean.
    Shapes: ``(...)`` or ``(..., 1)`` and ``(..., C)`` -> ``(...)`` for ``axis=-1``. A target must
    be an integer in ``[0, C)``; ``fit`` checks this once.

    >>> import kerastorch as keras
    >>> keras.losses.sparse_categorical_crossentropy([0, 2], [[0.5, 0.5, 0.0], [0.5, 0.25, 0.25]])
    tensor([0.6931, 1.3863])
    """
    y_pred = as_floats(y_pred)
    labels = _labels(y_true, y_pred, axis)
    valid = None if ignore_class is None else labels != ignore_class
    if from_logits:
        loss = _logit_crossentropy(labels, y_pred, axis, ignore_class)
    else:
        if valid is not None:
            labels = torch.where(valid, labels, 0)
        p = y_pred.gather(axis, labels.unsqueeze(axis)).squeeze(axis)
        loss = -_clip(p / y_pred.sum(axis)).log()
    if valid is not None:
        loss = torch.where(valid, loss, 0)
        loss._keras_mask = valid  # type: ignore[attr-defined]
    return loss


def _labels(y_true: Array, y_pred: Tensor, axis: int) -> Tensor:
    """Class numbers, shaped as `y_pred` is without the axis of the classes."""
    labels = as_tensor(y_true, y_pred.device)
    if labels.ndim == y_pred.ndim and labels.shape[axis] == 1:
        labels = labels.squeeze(axis)
    wanted = list(y_pred.shape)
    del wanted[axis]
    if list(labels.shape) != wanted:
        raise ValueError(
            f"y_true must hold one class number per prediction: expected shape {tuple(wanted)} for "
            f"y_pred of shape {tuple(y_pred.shape)}, received {tuple(labels.shape)}. "
            "One-hot targets belong to categorical_crossentropy."
        )
    return cast(labels, torch.int64)


def _logit_crossentropy(
    labels: Tensor, logits: Tensor, axis: int, ignore_class: int | None
) -> Tensor:
    ignored = _NO_CLASS if ignore_class is None else ignore_class
    if logits.ndim > 2 and axis in (-1, logits.ndim - 1):
        flat = F.cross_entropy(
            logits.flatten(0, -2), labels.flatten(), reduction="none", ignore_index=ignored
        )
        return flat.view(labels.shape)
    if logits.ndim > 1:
        logits = logits.movedim(axis, 1)
    return F.cross_entropy(logits, labels, reduction="none", ignore_index=ignored)


def categorical_crossentropy(
    y_true: Array,
    y_pred: Array,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """``-sum(y log(p))`` over `axis`, for one-hot targets or distributions.

    `y_pred` holds probabilities, which are divided by their sum, or logits with
    ``from_logits=True``. ``label_smoothing=s`` moves targets to ``y (1 - s) + s / C``.
    Shapes: ``(..., C)`` and ``(..., C)`` -> ``(...)`` for ``axis=-1``.

    >>> import kerastorch as keras
    >>> keras.losses.categorical_crossentropy([[0, 1, 0]], [[0.25, 0.5, 0.25]])
    tensor([0.6931])
    """
    y_true, y_pred = _one_hot_pair(y_true, y_pred, label_smoothing, axis)
    if from_logits:
        return -(y_true * y_pred.log_softmax(axis)).sum(axis)
    p = _clip(_normalized(y_pred, axis))
    return -torch.xlogy(y_true, p).sum(axis)


def categorical_focal_crossentropy(
    y_true: Array,
    y_pred: Array,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """``-sum(alpha (1 - p)**gamma y log(p))`` over `axis`: what is already right weighs little.

    Shapes and the other arguments: as for `categorical_crossentropy`.
    Lin et al., "Focal Loss for Dense Object Detection", 2017.

    >>> import kerastorch as keras
    >>> keras.losses.categorical_focal_crossentropy([[0, 1]], [[0.5, 0.5]])
    tensor([0.0433])
    """
    y_true, y_pred = _one_hot_pair(y_true, y_pred, label_smoothing, axis)
    p = y_pred.softmax(axis) if from_logits else y_pred
    p = _clip(_normalized(p, axis))
    return -(alpha * (1.0 - p) ** gamma * torch.xlogy(y_true, p)).sum(axis)


def _one_hot_pair(
    y_true: Array, y_pred: Array, label_smoothing: float, axis: int
) -> tuple[Tensor, Tensor]:
    y_true, y_pred = paired(y_true, y_pred)
    if isinstance(axis, bool):
        raise ValueError(f"`axis` must be an int, received {axis!r}.")
    if y_pred.ndim and y_pred.shape[axis] == 1:
        warnings.warn(
            f"Categorical cross-entropy of one class is always 0: y_pred has shape "
            f"{tuple(y_pred.shape)}. One output per yes-or-no target wants 'binary_crossentropy'.",
            SyntaxWarning,
            stacklevel=3,
        )
    return _smooth(y_true, label_smoothing, y_pred.shape[axis]), y_pred


def categorical_generalized_cross_entropy(y_true: Array, y_pred: Array, q: float) -> Tensor:
    """``(1 - p[y]**q) / q``: robust to wrong labels; ``q -> 0`` is cross-entropy, ``q = 1`` MAE.

    Targets are class numbers, `y_pred` probabilities, `q` lies in (0, 1).
    Shapes: ``(...)`` or ``(..., 1)`` and ``(..., C)`` -> ``(...)``. Zhang and Sabuncu, 2018.

    >>> import kerastorch as keras
    >>> keras.losses.categorical_generalized_cross_entropy([0], [[0.25, 0.75]], q=0.5)
    tensor([1.])
    """
    y_pred = as_floats(y_pred)
    labels = _labels(y_true, y_pred, -1)
    p = y_pred.gather(-1, labels.unsqueeze(-1)).squeeze(-1)
    return (1.0 - p**q) / q


# -- other distributions ---------------------------------------------------------------------------


def kl_divergence(y_true: Array, y_pred: Array) -> Tensor:
    """``sum(y log(y / p), axis=-1)``, both clipped to ``[epsilon, 1]``.

    Shapes: ``(..., C)`` and ``(..., C)`` -> ``(...)``. Kullback and Leibler, 1951.

    >>> import kerastorch as keras
    >>> keras.losses.kl_divergence([[0.5, 0.5]], [[0.25, 0.75]])
    tensor([0.1438])
    """
    y_true, y_pred = paired(y_true, y_pred)
    y_true, y_pred = (y.clamp(config.epsilon(), 1.0) for y in (y_true, y_pred))
    return torch.xlogy(y_true, y_true / y_pred).sum(-1)


def poisson(y_true: Array, y_pred: Array) -> Tensor:
    """``mean(p - y log(p + epsilon), axis=-1)``: counts `y` given rates `p`, up to a constant.

    Shapes: ``(..., D)`` and ``(..., D)`` -> ``(...)``; ``(N,)`` and ``(N, 1)`` go together.

    >>> import kerastorch as keras
    >>> keras.losses.poisson([[2.0]], [[1.0]])
    tensor([1.0000])
    """
    y_true, y_pred = paired(y_true, y_pred)
    return (y_pred - y_true * (y_pred + config.epsilon()).log()).mean(-1)


# -- means in few kernels --------------------------------------------------------------------------

# From here on gathering the probabilities of the targets is cheaper than a logarithm of all.
_MANY_CLASSES = 1000


def _sparse_mean(
    y_true: Array,
    y_pred: Tensor,
    from_logits: bool = False,
    ignore_class: int | None = None,
    axis: int = -1,
) -> Tensor | None:
    last = axis in (-1, y_pred.ndim - 1)
    if (
        ignore_class is not None
        or not last
        or not (from_logits or y_pred.shape[-1] < _MANY_CLASSES)
    ):
        return None
    labels = _labels(y_true, y_pred, axis)
    values = y_pred if from_logits else _clip(_normalized(y_pred, -1)).log()
    if values.ndim > 2:
        values, labels = values.flatten(0, -2), labels.flatten()
    kernel = F.cross_entropy if from_logits else F.nll_loss
    return kernel(values, labels, ignore_index=_NO_CLASS)


def _categorical_mean(
    y_true: Array,
    y_pred: Tensor,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor | None:
    if not from_logits or y_pred.ndim != 2 or axis not in (-1, 1):
        return None
    y_true, y_pred = _one_hot_pair(y_true, y_pred, label_smoothing, axis)
    return F.cross_entropy(y_pred, y_true)


def _binary_mean(
    y_true: Array,
    y_pred: Tensor,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor | None:
    if not from_logits:
        return None
    y_true, y_pred = paired(y_true, y_pred)
    y_true = _smooth(y_true, label_smoothing, 2)
    return F.binary_cross_entropy_with_logits(y_pred, y_true)


FUSED_MEANS[sparse_categorical_crossentropy] = _sparse_mean
FUSED_MEANS[categorical_crossentropy] = _categorical_mean
FUSED_MEANS[binary_crossentropy] = _binary_mean

# -- classes ---------------------------------------------------------------------------------------


class BinaryCrossentropy(LossFunctionWrapper):
    __doc__ = binary_crossentropy.__doc__

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = MEAN,
        name: str = "binary_crossentropy",
        dtype: Any = None,
    ):
        kwargs = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(binary_crossentropy, reduction, name, dtype, **kwargs)


class BinaryFocalCrossentropy(LossFunctionWrapper):
    __doc__ = binary_focal_crossentropy.__doc__

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = MEAN,
        name: str = "binary_focal_crossentropy",
        dtype: Any = None,
    ):
        super().__init__(
            binary_focal_crossentropy,
            reduction,
            name,
            dtype,
            apply_class_balancing=apply_class_balancing,
            alpha=alpha,
            gamma=gamma,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )


class CategoricalCrossentropy(LossFunctionWrapper):
    __doc__ = categorical_crossentropy.__doc__

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = MEAN,
        name: str = "categorical_crossentropy",
        dtype: Any = None,
    ):
        kwargs = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(categorical_crossentropy, reduction, name, dtype, **kwargs)


class CategoricalFocalCrossentropy(LossFunctionWrapper):
    __doc__ = categorical_focal_crossentropy.__doc__

    def __init__(
        self,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = MEAN,
        name: str = "categorical_focal_crossentropy",
        dtype: Any = None,
    ):
        super().__init__(
            categorical_focal_crossentropy,
            reduction,
            name,
            dtype,
            alpha=alpha,
            gamma=gamma,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )


class SparseCategoricalCrossentropy(LossFunctionWrapper):
    __doc__ = sparse_categorical_crossentropy.__doc__

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = MEAN,
        axis: int = -1,
        name: str = "sparse_categorical_crossentropy",
        dtype: Any = None,
    ):
        kwargs = {"from_logits": from_logits, "ignore_class": ignore_class, "axis": axis}
        super().__init__(sparse_categorical_crossentropy, reduction, name, dtype, **kwargs)


class CategoricalGeneralizedCrossEntropy(LossFunctionWrapper):
    __doc__ = categorical_generalized_cross_entropy.__doc__

    def __init__(
        self,
        q: float = 0.5,
        reduction: str | None = MEAN,
        name: str = "categorical_generalized_cross_entropy",
        dtype: Any = None,
    ):
        if not 0 < q < 1:
            raise ValueError(f"q must be in the interval (0, 1), received {q!r}.")
        super().__init__(categorical_generalized_cross_entropy, reduction, name, dtype, q=q)


class KLDivergence(LossFunctionWrapper):
    __doc__ = kl_divergence.__doc__

    def __init__(
        self, reduction: str | None = MEAN, name: str = "kl_divergence", dtype: Any = None
    ):
        super().__init__(kl_divergence, reduction, name, dtype)


class Poisson(LossFunctionWrapper):
    __doc__ = poisson.__doc__

    def __init__(self, reduction: str | None = MEAN, name: str = "poisson", dtype: Any = None):
        super().__init__(poisson, reduction, name, dtype)


LABEL_FUNCTIONS.extend([sparse_categorical_crossentropy, categorical_generalized_cross_entropy])
registry.add(
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    sparse_categorical_crossentropy,
    categorical_generalized_cross_entropy,
    kl_divergence,
    poisson,
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    SparseCategoricalCrossentropy,
    CategoricalGeneralizedCrossEntropy,
    KLDivergence,
    Poisson,
    bce=binary_crossentropy,
    BCE=binary_crossentropy,
    kld=kl_divergence,
    KLD=kl_divergence,
    kullback_leibler_divergence=kl_divergence,
)
