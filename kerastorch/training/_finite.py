"""A loss that is no longer a number: said once, with the place where it began."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any

import torch

from kerastorch import tree
from kerastorch.data import ArrayBatches, Batches, unpack_x_y_sample_weight
from kerastorch.training._logs import Logs

_ROWS = 1 << 14  # looked at together


class LossWatch:
    """Warns when the loss is NaN or infinite, at the moment when somebody reads it anyway.

    Nothing is computed or fetched for it while the loss is a number. When it is not, the data are
    looked at once: all of them if they are arrays, else the batch at hand. Training goes on.

    >>> import torch
    >>> from kerastorch.data import adapt
    >>> watch = LossWatch(adapt(torch.tensor([[1.0], [float("inf")]]), torch.ones(2)))
    >>> watch.look({"loss": 0.5}, "epoch 1")
    >>> print(watch.reason(None))
    `x` has 1 entry that is NaN or infinite, the first in row 1.
    """

    def __init__(self, batches: Batches) -> None:
        self.batches = batches
        self.told = False

    def look(self, logs: Any, where: str, batch: Any = None) -> None:
        """Look at the loss in `logs` if it has been read; `batch` is what the step saw."""
        if self.told or not isinstance(logs, Mapping) or (type(logs) is Logs and not logs.read):
            return
        loss = logs.get("loss")
        if isinstance(loss, float) and not math.isfinite(loss):
            self.told = True
            warnings.warn(
                f"The loss became {loss} in {where}. {self.reason(batch)} "
                "Training goes on; keras.callbacks.TerminateOnNaN() would end it.",
                stacklevel=3,
            )

    def reason(self, batch: Any) -> str:
        """Which data are not finite, or what else may be done."""
        if isinstance(self.batches, ArrayBatches):
            batch = self.batches.whole()
        advice = "A smaller learning rate or `clipnorm` in the optimizer may help."
        if batch is None:  # a stream that has gone by
            return advice
        found = not_finite(batch)
        return (
            " ".join(found) if found else f"The data are finite, the computation is not. {advice}"
        )


def not_finite(batch: Any) -> list[str]:
    """A sentence for each part of a batch that has NaN or infinite entries.

    >>> import torch
    >>> not_finite(({"a": torch.ones(3, 1), "b": torch.tensor([0.0, 1.0, float("nan")])},))
    ["`x['b']` has 1 entry that is NaN or infinite, the first in row 2."]
    """
    sentences = []
    for name, part in zip(
        ("x", "y", "sample_weight"), unpack_x_y_sample_weight(batch), strict=True
    ):
        for path, leaf in tree.flatten_with_path(part):
            if not isinstance(leaf, torch.Tensor) or not leaf.is_floating_point():
                continue
            count, first = 0, -1
            for i, rows in enumerate(leaf.split(_ROWS)):
                bad = ~rows.isfinite().flatten(1) if rows.dim() > 1 else ~rows.isfinite()[:, None]
                if bool(bad.any()):
                    count += int(bad.sum())
                    if first < 0:
                        first = i * _ROWS + int(bad.any(1).nonzero()[0])
            if count:
                label = name + "".join(f"[{key!r}]" for key in path)
                entries = "1 entry that is" if count == 1 else f"{count} entries that are"
                sentences.append(
                    f"`{label}` has {entries} NaN or infinite, the first in row {first}."
                )
    return sentences
