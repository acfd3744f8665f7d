"""Circle loss: embeddings of one class together, of different classes apart."""

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


def circle(
    y_true: Array,
    y_pred: Array,
    ref_labels: Array = None,
    ref_embeddings: Array = None,
    remove_diagonal: bool = True,
    gamma: float = 80,
    margin: float = 0.4,
) -> Tensor:
    """``softplus(logsumexp(positive pairs) + logsumexp(negative pairs))``, one value per sample.

    `y_true` holds class numbers ``(N,)``, `y_pred` unit vectors ``(N, D)``. Each is compared with
    the references (the batch itself unless given, a sample not with itself when `remove_diagonal`)
    by the cosine distance ``d >= 0``; a positive pair contributes ``gamma (d + m) (d - m)``, a
    negative one ``gamma max(1 + m - d, 0) (1 - m - d)``, with the margin ``m``. A sample without
    positive or negative pairs gives 0 and is masked out of the mean.
    Sun et al., "Circle Loss", 2020.

    >>> import kerastorch as keras
    >>> keras.losses.circle([0, 0, 1], [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], gamma=1.0)
    tensor([0.5459, 0.5459, 0.0000])
    """
    y_pred = as_floats(y_pred)
    labels = as_tensor(y_true, y_pred.device).reshape(-1, 1)
    others = labels if ref_labels is None else as_tensor(ref_labels, y_pred.device).reshape(-1, 1)
    references = y_pred if ref_embeddings is None else as_floats(ref_embeddings).to(y_pred.device)

    distance = (1.0 - y_pred @ references.T).clamp(min=0.0)
    positive = labels == others.T
    negative = ~positive
    if remove_diagonal:
        positive = positive & ~torch.eye(*positive.shape, dtype=torch.bool, device=positive.device)

    attract = gamma * (distance + margin) * (distance - margin)
    repel = gamma * (1.0 + margin - distance).clamp(min=0.0) * (1.0 - margin - distance)
    # Finite, so that the gradient of a row without pairs is 0 and not NaN.
    nothing = torch.finfo(distance.dtype).min / 4
    p = torch.where(positive, attract, nothing).logsumexp(1)
    n = torch.where(negative, repel, nothing).logsumexp(1)
    loss = F.softplus(p + n)
    loss._keras_mask = loss > 0  # type: ignore[attr-defined]
    return loss


class Circle(LossFunctionWrapper):
    __doc__ = circle.__doc__

    def __init__(
        self,
        gamma: float = 80.0,
        margin: float = 0.4,
        remove_diagonal: bool = True,
        reduction: str | None = MEAN,
        name: str = "circle",
        dtype: Any = None,
    ):
        kwargs = {"gamma": gamma, "margin": margin, "remove_diagonal": remove_diagonal}
        super().__init__(circle, reduction, name, dtype, **kwargs)


LABEL_FUNCTIONS.append(circle)
registry.add(circle, Circle)
