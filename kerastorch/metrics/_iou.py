"""Intersection over union of classes, from a confusion matrix."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch

from kerastorch import config
from kerastorch.losses._base import Array, Tensor, as_tensor, as_weight
from kerastorch.metrics._base import Metric, registry


class IoU(Metric):
    """Mean over `target_class_ids` of ``TP / (TP + FP + FN)``; classes that never occur are left out.

    Targets and predictions are class numbers of any shape, or one-hot (scores) along `axis` with
    ``sparse_y_true=False``, ``sparse_y_pred=False``. Pairs with a class outside ``[0, num_classes)``
    are left out with a warning when the result is read (on accelerators: at the next reset);
    `ignore_class` leaves out targets on purpose.

    Args:
        num_classes: number of classes.
        target_class_ids: the classes to average over.
        dtype: of the confusion matrix; int64 if None. Fractional sample weights need ``"float32"``.
        ignore_class: targets of this class are left out.

    >>> import kerastorch as keras
    >>> keras.metrics.IoU(num_classes=2, target_class_ids=[0])([0, 0, 1, 1], [0, 1, 0, 1])
    tensor(0.3333)
    """

    _direction = "up"

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ):
        super().__init__(dtype or "int64", name)
        wrong = [i for i in target_class_ids if not 0 <= i < num_classes]
        if wrong:
            raise ValueError(
                f"Target class id {wrong[0]} is out of range, which is [0, {num_classes})."
            )
        self.num_classes = num_classes
        self.target_class_ids = list(target_class_ids)
        self.ignore_class = ignore_class
        self.sparse_y_true, self.sparse_y_pred = sparse_y_true, sparse_y_pred
        self.axis = axis
        self.total_cm = self.add_variable(
            (num_classes, num_classes), dtype=self.dtype, name="total_confusion_matrix"
        )
        self.left_out = self.add_variable((), dtype="int64", name="left_out")

    @torch.no_grad()
    def update_state(self, y_true: Array, y_pred: Array, sample_weight: Array = None) -> None:
        """Add a batch."""
        y_true, y_pred = self._inputs(y_true, y_pred)
        y_true = y_true if self.sparse_y_true else y_true.argmax(self.axis)
        y_pred = y_pred if self.sparse_y_pred else y_pred.argmax(self.axis)
        self._add(y_true, y_pred, sample_weight)

    def _add(self, y_true: Tensor, y_pred: Tensor, sample_weight: Array) -> None:
        classes, matrix = self.num_classes, self.total_cm
        if y_true.numel() != y_pred.numel():
            raise ValueError(
                f"{type(self).__name__}: y_true of shape {tuple(y_true.shape)} and y_pred of shape "
                f"{tuple(y_pred.shape)} differ in their number of classes to compare."
            )
        weight = self._weight(sample_weight, y_true)
        true, pred = y_true.flatten().to(torch.int64), y_pred.flatten().to(torch.int64)
        valid = (true >= 0) & (true < classes) & (pred >= 0) & (pred < classes)
        wrong = ~valid
        if self.ignore_class is not None:
            meant = true != self.ignore_class
            valid, wrong = valid & meant, wrong & meant
        self.left_out.add_(wrong.sum())
        cell = torch.where(valid, true * classes + pred, 0)
        counts = torch.zeros(classes * classes, dtype=matrix.dtype, device=cell.device)
        counts.scatter_add_(0, cell, torch.where(valid, weight, 0).to(matrix.dtype))
        matrix.add_(counts.view(classes, classes))

    def _weight(self, sample_weight: Array, like: Tensor) -> Tensor:
        kind = self.total_cm.dtype
        if sample_weight is None:
            return torch.ones_like(like, dtype=kind).flatten()
        given = as_tensor(sample_weight, like.device)
        if given.is_floating_point() and not kind.is_floating_point:
            warnings.warn(
                f"{type(self).__name__}: the sample weights are float, the confusion matrix is int: "
                "casting drops their fractions. Pass dtype='float32' to the metric.",
                stacklevel=4,
            )
        weight: Tensor = as_weight(given, like, kind)
        return weight.expand_as(like).flatten()

    def result(self) -> Tensor:
        """The mean, 0 before the first batch."""
        if self.left_out.device.type == "cpu":
            self._warn()
        matrix = self.total_cm.to(torch.float32)
        hits = matrix.diagonal()
        union = matrix.sum(0) + matrix.sum(1) - hits
        iou = hits / (union + config.epsilon())
        if self.target_class_ids != list(range(self.num_classes)):
            iou = torch.stack([iou[i] for i in self.target_class_ids])
            union = torch.stack([union[i] for i in self.target_class_ids])
        found = union > 1e-9
        return torch.where(found, iou, 0.0).sum() / (found.sum() + config.epsilon())

    def reset_state(self) -> None:
        """Forget all batches."""
        if self.left_out.device.type not in ("cpu", "meta"):
            self._warn()
        super().reset_state()

    def _warn(self) -> None:
        if not torch.compiler.is_compiling() and (count := int(self.left_out)):
            warnings.warn(
                f"{type(self).__name__} {self.name!r} left out {count} pairs with a class outside "
                f"0 to {self.num_classes - 1}. Raise num_classes, or name a class to ignore.",
                stacklevel=3,
            )


class BinaryIoU(IoU):
    """Mean IoU of the classes 0 and 1, where a prediction is 1 if it is at least `threshold`.

    >>> import kerastorch as keras
    >>> keras.metrics.BinaryIoU(threshold=0.3)([0, 1, 0, 1], [0.1, 0.2, 0.4, 0.7])
    tensor(0.3333)
    """

    def __init__(
        self,
        target_class_ids: Sequence[int] = (0, 1),
        threshold: float = 0.5,
        name: str | None = None,
        dtype: Any = None,
    ):
        super().__init__(2, target_class_ids, name, dtype)
        self.threshold = threshold

    @torch.no_grad()
    def update_state(self, y_true: Array, y_pred: Array, sample_weight: Array = None) -> None:
        """Add a batch."""
        y_true, y_pred = self._inputs(y_true, y_pred)
        self._add(y_true, y_pred >= self.threshold, sample_weight)


class MeanIoU(IoU):
    """Mean of ``TP / (TP + FP + FN)`` over all classes that occur. Arguments: see `IoU`.

    >>> import kerastorch as keras
    >>> keras.metrics.MeanIoU(num_classes=3)([0, 0, 1, 2], [0, 1, 1, 2])
    tensor(0.6667)
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ):
        ids = range(num_classes)
        super().__init__(
            num_classes, ids, name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis
        )


class OneHotIoU(IoU):
    """`IoU` of one-hot targets and scores per class along `axis`.

    >>> import kerastorch as keras
    >>> metric = keras.metrics.OneHotIoU(num_classes=2, target_class_ids=[1])
    >>> metric([[0, 1], [1, 0]], [[0.2, 0.8], [0.4, 0.6]])
    tensor(0.5000)
    """

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ):
        super().__init__(
            num_classes, target_class_ids, name, dtype, ignore_class, False, sparse_y_pred, axis
        )


class OneHotMeanIoU(MeanIoU):
    """`MeanIoU` of one-hot targets and scores per class along `axis`.

    >>> import kerastorch as keras
    >>> keras.metrics.OneHotMeanIoU(num_classes=2)([[0, 1], [1, 0]], [[0.2, 0.8], [0.4, 0.6]])
    tensor(0.2500)
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ):
        super().__init__(num_classes, name, dtype, ignore_class, False, sparse_y_pred, axis)


registry.add(IoU, BinaryIoU, MeanIoU, OneHotIoU, OneHotMeanIoU)
