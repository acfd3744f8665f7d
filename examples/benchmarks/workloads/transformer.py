"""Keras's demo "Text classification with Transformer": 200 tokens, width 32, two heads, batch 32."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from workloads.base import Arrays, Classifier

WORDS, LENGTH, WIDTH, HEADS = 20_000, 200, 32, 2


class Transformer(Classifier):
    batch, steps = 32, 20
    classes = 2

    def arrays(self, rng: np.random.Generator, rows: int) -> tuple[Arrays, Arrays]:
        tokens = rng.integers(0, WORDS, (rows, LENGTH), dtype=np.int32)
        return [tokens], [rng.integers(0, self.classes, rows)]

    def build(self, keras: Any) -> Any:
        layers = keras.layers

        class Positions(layers.Layer):  # type: ignore[misc, name-defined]
            """Adds a learned vector for each place in the text."""

            def build(self, input_shape: Any) -> None:
                self.table = self.add_weight(shape=(LENGTH, WIDTH), initializer="uniform")

            def call(self, x: Any) -> Any:
                return x + self.table

        inputs = keras.Input((LENGTH,), dtype="int32")
        x = Positions()(layers.Embedding(WORDS, WIDTH)(inputs))
        attention = layers.MultiHeadAttention(HEADS, key_dim=WIDTH)(x, x)
        attention = layers.Dropout(0.1)(attention)
        x = layers.LayerNormalization(epsilon=1e-6)(layers.add([x, attention]))
        hidden = layers.Dense(WIDTH)(layers.Dense(WIDTH, activation="relu")(x))
        hidden = layers.Dropout(0.1)(hidden)
        x = layers.LayerNormalization(epsilon=1e-6)(layers.add([x, hidden]))
        x = layers.Dropout(0.1)(layers.GlobalAveragePooling1D()(x))
        x = layers.Dropout(0.1)(layers.Dense(20, activation="relu")(x))
        return keras.Model(inputs, layers.Dense(self.classes, activation="softmax")(x))

    def twin(self) -> nn.Module:
        return Twin()


class Twin(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, WIDTH)
        self.positions = nn.Parameter(torch.empty(LENGTH, WIDTH).uniform_(-0.05, 0.05))
        self.queries_keys_values = nn.Linear(WIDTH, 3 * HEADS * WIDTH)
        self.mix = nn.Linear(HEADS * WIDTH, WIDTH)
        self.norm1 = nn.LayerNorm(WIDTH, eps=1e-6)
        self.norm2 = nn.LayerNorm(WIDTH, eps=1e-6)
        self.hidden = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH))
        self.top = nn.Sequential(
            nn.Dropout(0.1), nn.Linear(WIDTH, 20), nn.ReLU(), nn.Dropout(0.1), nn.Linear(20, 2)
        )
        self.drop = nn.Dropout(0.1)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.words(tokens) + self.positions
        q, k, v = self.queries_keys_values(x).view(-1, LENGTH, 3, HEADS, WIDTH).unbind(2)
        heads = F.scaled_dot_product_attention(
            q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
        )
        x = self.norm1(x + self.drop(self.mix(heads.transpose(1, 2).flatten(2))))
        x = self.norm2(x + self.drop(self.hidden(x)))
        return self.top(x.mean(1)).softmax(-1)
