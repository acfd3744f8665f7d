"""How far two tensors are apart: cross-entropies entry by entry, and the signal-to-noise ratio of images."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from kerastorch import losses
from kerastorch.losses._base import paired
from kerastorch.losses._probabilistic import _binary, _clip
from kerastorch.ops._op import Array, floating, op, promoted


@op
def binary_crossentropy(target: Array, output: Array, from_logits: bool = False) -> torch.Tensor:
    """``-y log(p) - (1 - y) log(1 - p)`` for each entry; `output` is p, or its logit.

    >>> import kerastorch as keras
    >>> keras.ops.binary_crossentropy([0.0, 1.0], [0.5, 0.25])
    tensor([0.6931, 1.3863])
    """
    target, output = paired(target, output)
    if from_logits:
        return F.binary_cross_entropy_with_logits(output, target, reduction="none")
    return _binary(target, _clip(output))


@op
def categorical_crossentropy(
    target: Array, output: Array, from_logits: bool = False, axis: int = -1
) -> torch.Tensor:
    """``-sum(y log(p))`` over `axis`: (..., C) and (..., C) -> (...); `output` is p, or logits.

    >>> import kerastorch as keras
    >>> keras.ops.categorical_crossentropy([[0, 1, 0]], [[0.25, 0.5, 0.25]])
    tensor([0.6931])
    """
    return losses.categorical_crossentropy(target, output, from_logits, axis=axis)


@op
def sparse_categorical_crossentropy(
    target: Array, output: Array, from_logits: bool = False, axis: int = -1
) -> torch.Tensor:
    """``-log(p[y])`` for class numbers: (...) or (..., 1) and (..., C) -> (...); `output` is p, or logits.

    >>> import kerastorch as keras
    >>> keras.ops.sparse_categorical_crossentropy([1], [[0.25, 0.5, 0.25]])
    tensor([0.6931])
    """
    return losses.sparse_categorical_crossentropy(target, output, from_logits, axis=axis)


@op
def psnr(x1: Array, x2: Array, max_val: float) -> torch.Tensor:
    """Peak signal-to-noise ratio in decibels: ``10 * log10(max_val**2 / mean((x1 - x2)**2))``.

    >>> import kerastorch as keras
    >>> keras.ops.psnr([0.0, 0.0], [1.0, 1.0], max_val=10.0)
    tensor(20.)
    """
    if x1.shape != x2.shape:
        raise ValueError(
            f"`x1` and `x2` must have one shape, received {tuple(x1.shape)} and {tuple(x2.shape)}."
        )
    x1, x2 = promoted(floating(x1), floating(x2))
    return -10 * torch.log10(((x1 - x2) / max_val).square().mean())
