"""Keras's demo "Simple MNIST convnet", batch 128."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from workloads.base import Classifier


class Convnet(Classifier):
    batch, steps = 128, 30
    shape = (28, 28, 1)

    def build(self, keras: Any) -> Any:
        layers = keras.layers
        return keras.Sequential(
            [
                keras.Input(self.shape),
                layers.Conv2D(32, 3, activation="relu"),
                layers.MaxPooling2D(2),
                layers.Conv2D(64, 3, activation="relu"),
                layers.MaxPooling2D(2),
                layers.Flatten(),
                layers.Dropout(0.5),
                layers.Dense(10, activation="softmax"),
            ]
        )

    def twin(self) -> nn.Module:
        model = nn.Sequential(
            ChannelsFirst(),
            nn.Conv2d(1, 32, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(0.5),
            nn.Linear(1600, 10),
            nn.Softmax(-1),
        )
        return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


class ChannelsFirst(nn.Module):
    """Channels first in the shape, last in memory: torch's fastest layout, and no copy."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.permute(0, 3, 1, 2)
