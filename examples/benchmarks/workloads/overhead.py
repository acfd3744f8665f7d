"""A model that computes next to nothing, one weight on one row: what is left is the loop's own cost."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from workloads.base import Arrays, Workload


class Overhead(Workload):
    batch, steps = 1, 3000
    optimizer = "SGD"

    def arrays(self, rng: np.random.Generator, rows: int) -> tuple[Arrays, Arrays]:
        x = rng.random((rows, 1), dtype=np.float32)
        return [x], [2 * x]

    def build(self, keras: Any) -> Any:
        return keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])

    def settings(self, keras: Any) -> dict[str, Any]:
        return {"loss": keras.losses.MeanSquaredError()}

    def twin(self) -> nn.Module:
        return nn.Linear(1, 1, bias=False)

    def loss(self, outputs: Any, y: list[torch.Tensor]) -> torch.Tensor:
        return F.mse_loss(outputs, y[0])

    def measure(self, outputs: Any, y: list[torch.Tensor]) -> list[torch.Tensor]:
        return []
