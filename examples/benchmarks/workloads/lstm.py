"""MNIST read row by row: an LSTM of 128 units over 28 steps of 28 features, batch 64."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from workloads.base import Classifier


class Lstm(Classifier):
    steps = 60
    shape = (28, 28)

    def build(self, keras: Any) -> Any:
        inputs = keras.Input(self.shape)
        x = keras.layers.LSTM(128)(inputs)
        return keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(x))

    def twin(self) -> nn.Module:
        return Twin()


class Twin(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(28, 128, batch_first=True)
        self.dense = nn.Linear(128, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.dense(self.lstm(x)[0][:, -1]).softmax(-1)
