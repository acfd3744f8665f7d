"""Arrays in, arrays out: one-hot labels and unit norms, for NumPy and torch alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch


def to_categorical(x: Any, num_classes: int | None = None) -> Any:
    """One-hot rows from class numbers: ``out[..., c] = 1`` where ``x[...] == c``, else 0.

    Shapes: ``(...)`` or ``(..., 1)`` -> ``(..., num_classes)``. A tensor gives a float32 tensor on
    its device, anything else a float64 array. ``num_classes=None`` means ``max(x) + 1``.
    Keras: ``keras.utils.to_categorical``. A class outside ``[0, num_classes)`` is a ValueError.

    >>> import kerastorch as keras
    >>> keras.utils.to_categorical([0, 2], num_classes=3)
    array([[1., 0., 0.],
           [0., 0., 1.]])
    """
    labels = x if isinstance(x, torch.Tensor) else np.asarray(x)
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    empty = 0 in labels.shape
    if empty and not num_classes:
        raise ValueError("num_classes: give it, as `x` holds no label to infer it from.")
    low, high = (0, -1) if empty else (int(labels.min()), int(labels.max()))
    num_classes = num_classes or high + 1
    if low < 0 or high >= num_classes:
        raise ValueError(
            f"x: expected classes from 0 to {num_classes - 1} (num_classes={num_classes}), "
            f"received values from {low} to {high}."
        )
    if isinstance(labels, torch.Tensor):
        return torch.nn.functional.one_hot(labels.long(), num_classes).float()
    rows = np.zeros((*labels.shape, num_classes))
    np.put_along_axis(rows, labels[..., None].astype("int64"), 1, axis=-1)
    return rows


def normalize(x: Any, axis: int = -1, order: int | float = 2) -> Any:
    """``x / norm(x)`` along `axis`, with the vector norm of `order`; zero vectors stay zero.

    The shape and the kind (array or tensor) of `x` are kept. Keras: ``keras.utils.normalize``.

    >>> import kerastorch as keras, numpy as np
    >>> keras.utils.normalize(np.array([[3.0, 4.0], [0.0, 0.0]]))
    array([[0.6, 0.8],
           [0. , 0. ]])
    """
    if isinstance(x, torch.Tensor):
        norm = torch.linalg.vector_norm(x, order, axis, keepdim=True)
        return x / torch.where(norm == 0, 1, norm)
    x = np.asarray(x)
    norms = np.linalg.norm(x, order, axis, keepdims=True)
    return x / np.where(norms == 0, 1, norms)
