"""What a workload is: data, a model for the Keras API, the same model in torch, how it is trained."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

Arrays = list[np.ndarray[Any, Any]]


class Workload:
    """One row of the table. `keras` in the methods is any package with the Keras API."""

    kind = "fit"  # or "evaluate", "predict"
    batch = 64
    steps = 300  # of one round, that is one epoch
    callbacks = 0  # that listen to every batch and do nothing
    optimizer = "Adam"

    def arrays(self, rng: np.random.Generator, rows: int) -> tuple[Arrays, Arrays]:
        """Inputs and targets."""
        raise NotImplementedError

    def build(self, keras: Any) -> Any:
        """The model, not compiled."""
        raise NotImplementedError

    def settings(self, keras: Any) -> dict[str, Any]:
        """Loss and metrics for `compile`."""
        raise NotImplementedError

    def feed(self, keras: Any, x: Arrays, y: Arrays) -> dict[str, Any]:
        """Arguments of `fit` and `evaluate` that say what the data are."""
        x, y = (arrays[0] if len(arrays) == 1 else arrays for arrays in (x, y))
        return {"x": x, "y": y, "batch_size": self.batch}

    def loader(self, x: Arrays, y: Arrays) -> Any:
        """The DataLoader of batches (x, y) that the twin is trained by; None: arrays in memory."""
        return None

    def twin(self) -> nn.Module:
        """The model as a torch user writes it; takes the inputs one by one."""
        raise NotImplementedError

    def loss(self, outputs: Any, y: list[torch.Tensor]) -> torch.Tensor:
        """The loss of `settings` for the twin."""
        raise NotImplementedError

    def measure(self, outputs: Any, y: list[torch.Tensor]) -> list[torch.Tensor]:
        """The metrics of `settings`, summed over the batch."""
        raise NotImplementedError


class Classifier(Workload):
    """One input, probabilities out, one class a row: loss and accuracy as in the guide."""

    shape: tuple[int, ...] = (784,)
    classes = 10

    def arrays(self, rng: np.random.Generator, rows: int) -> tuple[Arrays, Arrays]:
        x = rng.random((rows, *self.shape), dtype=np.float32)
        return [x], [rng.integers(0, self.classes, rows)]

    def settings(self, keras: Any) -> dict[str, Any]:
        return {
            "loss": keras.losses.SparseCategoricalCrossentropy(),
            "metrics": [keras.metrics.SparseCategoricalAccuracy()],
        }

    def loss(self, outputs: Any, y: list[torch.Tensor]) -> torch.Tensor:
        return F.nll_loss(outputs.clamp(1e-7, 1 - 1e-7).log(), y[0])

    def measure(self, outputs: Any, y: list[torch.Tensor]) -> list[torch.Tensor]:
        return [(outputs.argmax(-1) == y[0]).sum()]
