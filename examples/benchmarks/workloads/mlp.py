"""The guide's first model: 784 features, two layers of 64, batch 64, RMSprop."""

from __future__ import annotations

from typing import Any

from torch import nn

from workloads.base import Classifier


class Mlp(Classifier):
    steps = 800
    optimizer = "RMSprop"

    def build(self, keras: Any) -> Any:
        inputs = keras.Input(self.shape)
        x = keras.layers.Dense(64, activation="relu")(inputs)
        x = keras.layers.Dense(64, activation="relu")(x)
        return keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(x))

    def twin(self) -> nn.Module:
        return nn.Sequential(
            nn.Linear(784, 64),
            nn.ReLU(),
            nn.Linear(64, 64),
            nn.ReLU(),
            nn.Linear(64, 10),
            nn.Softmax(-1),
        )
