"""The guide's model with two inputs and two outputs, batch 32, RMSprop."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from workloads.base import Arrays, Workload


class MultiIo(Workload):
    batch, steps = 32, 200
    optimizer = "RMSprop"

    def arrays(self, rng: np.random.Generator, rows: int) -> tuple[Arrays, Arrays]:
        image = rng.random((rows, 32, 32, 3), dtype=np.float32)
        series = rng.random((rows, 20, 10), dtype=np.float32)
        score = rng.random((rows, 1), dtype=np.float32)
        classes = np.eye(5, dtype=np.float32)[rng.integers(0, 5, rows)]
        return [image, series], [score, classes]

    def build(self, keras: Any) -> Any:
        layers = keras.layers
        image, series = keras.Input((32, 32, 3)), keras.Input((None, 10))
        x1 = layers.GlobalMaxPooling2D()(layers.Conv2D(3, 3)(image))
        x2 = layers.GlobalMaxPooling1D()(layers.Conv1D(3, 3)(series))
        x = layers.concatenate([x1, x2])
        outputs = [layers.Dense(1)(x), layers.Dense(5)(x)]
        return keras.Model([image, series], outputs)

    def settings(self, keras: Any) -> dict[str, Any]:
        losses, metrics = keras.losses, keras.metrics
        return {
            "loss": [losses.MeanSquaredError(), losses.CategoricalCrossentropy(from_logits=True)],
            "metrics": [
                [metrics.MeanAbsolutePercentageError(), metrics.MeanAbsoluteError()],
                [metrics.CategoricalAccuracy()],
            ],
        }

    def twin(self) -> nn.Module:
        return Twin()

    def loss(self, outputs: Any, y: list[torch.Tensor]) -> torch.Tensor:
        return F.mse_loss(outputs[0], y[0]) + F.cross_entropy(outputs[1], y[1])

    def measure(self, outputs: Any, y: list[torch.Tensor]) -> list[torch.Tensor]:
        error = (outputs[0] - y[0]).abs()
        hits = outputs[1].argmax(-1) == y[1].argmax(-1)
        return [(error / y[0].abs().clamp_min(1e-7)).sum(), error.sum(), hits.sum()]


class Twin(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Conv2d(3, 3, 3).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.series = nn.Conv1d(10, 3, 3)
        self.score, self.classes = nn.Linear(6, 1), nn.Linear(6, 5)

    def forward(self, image: torch.Tensor, series: torch.Tensor) -> list[torch.Tensor]:
        x1 = self.image(image.permute(0, 3, 1, 2)).amax((2, 3))
        x2 = self.series(series.transpose(1, 2)).amax(2)
        x = torch.cat([x1, x2], 1)
        return [self.score(x), self.classes(x)]
