"""skorch. It records the loss and no further metric; models of one input and one output."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback
from torch import nn

from frameworks.handwritten import OPTIMIZERS


class Listener(Callback):  # type: ignore[misc]
    """Hears every batch and reads nothing."""

    def on_batch_begin(self, net: Any, **arguments: Any) -> None:
        pass

    def on_batch_end(self, net: Any, **arguments: Any) -> None:
        pass


def prepare(workload: Any, x: Any, y: Any) -> Callable[[], Any]:
    if len(x) > 1 or workload.kind == "evaluate" or workload.loader(x, y):
        raise NotImplementedError("skorch has no form of its own for this workload")

    class Criterion(nn.Module):
        def forward(self, outputs: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
            return workload.loss(outputs, [target])

    net = NeuralNet(
        workload.twin(),
        Criterion,
        optimizer=lambda groups, **_: OPTIMIZERS[workload.optimizer](groups[0]["params"]),
        batch_size=workload.batch,
        max_epochs=1,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
        callbacks=[(f"listener{i}", Listener()) for i in range(workload.callbacks)],
    ).initialize()
    if workload.kind == "predict":
        return lambda: net.predict_proba(x[0]) is None
    return lambda: net.partial_fit(x[0], y[0]) is None
