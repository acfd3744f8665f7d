"""Connectionist temporal classification: label sequences without an alignment."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from kerastorch.losses._base import (
    LABEL_FUNCTIONS,
    MEAN,
    Array,
    LossFunctionWrapper,
    Tensor,
    as_floats,
    as_tensor,
    registry,
)


def ctc(y_true: Array, y_pred: Array) -> Tensor:
    """Negative log-likelihood of each label sequence, summed over all alignments.

    `y_true`: class numbers ``(N, S)``, padded with 0 at the end; class 0 is the blank.
    `y_pred`: logits ``(N, T, C)``, all T steps in use. Gives ``(N,)``, ``inf`` where a sequence
    does not fit into T steps. Graves et al., 2006. Torch's kernel reads the lengths on the host.

    >>> import torch, kerastorch as keras
    >>> keras.losses.ctc([[1, 2]], torch.zeros(1, 2, 3))
    tensor([2.1972])
    """
    y_pred = as_floats(y_pred)
    labels = as_tensor(y_true, y_pred.device)
    if labels.ndim != 2 or y_pred.ndim != 3:
        raise ValueError(
            "ctc: expected y_true of shape (batch, labels) and y_pred of shape "
            f"(batch, steps, classes), received {tuple(labels.shape)} and {tuple(y_pred.shape)}."
        )
    batch, steps, _ = y_pred.shape
    labels = labels.to(torch.int64)
    log_p = y_pred.to(torch.promote_types(y_pred.dtype, torch.float32)).log_softmax(-1)
    lengths = torch.full((batch,), steps, device=labels.device)
    return F.ctc_loss(
        log_p.transpose(0, 1), labels, lengths, (labels != 0).sum(-1), blank=0, reduction="none"
    )


class CTC(LossFunctionWrapper):
    __doc__ = ctc.__doc__

    def __init__(self, reduction: str | None = MEAN, name: str = "ctc", dtype: Any = None):
        super().__init__(ctc, reduction, name, dtype)


LABEL_FUNCTIONS.append(ctc)
registry.add(ctc, CTC)
