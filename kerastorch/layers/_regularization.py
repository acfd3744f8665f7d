"""Layers that act in training only."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from kerastorch import random
from kerastorch.layers._layer import Layer, registry


class Dropout(Layer):
    """In training, sets a fraction `rate` of the inputs to 0 and scales the rest by 1 / (1 - rate).

    `noise_shape`: shape of the mask, broadcast to the inputs (None or -1 for the input's size).
    `seed`: None follows `torch.manual_seed`; an integer starts a stream of its own.

    >>> import torch, kerastorch as keras
    >>> layer = keras.layers.Dropout(0.5)
    >>> layer(torch.ones(4)), layer.train()(torch.ones(1000)).unique().tolist()
    (tensor([1., 1., 1., 1.]), [0.0, 2.0])
    """

    _takes_one_tensor = True

    def __init__(
        self, rate: float, noise_shape: Any = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(rate, (int, float)) or not 0 <= rate <= 1:
            raise ValueError(f"Dropout: `rate` must be in [0, 1], received {rate!r}.")
        self.rate = rate
        self.noise_shape = None if noise_shape is None else tuple(noise_shape)
        if any(not isinstance(size, int | None) for size in self.noise_shape or ()):
            raise ValueError(
                f"Dropout: `noise_shape` must hold sizes or None, received {noise_shape!r}."
            )
        self.seed = seed
        self.supports_masking = True
        self.built = True
        self._generator = None if seed is None else random.SeedGenerator(seed)

    def call(self, inputs: torch.Tensor, training: bool = False) -> torch.Tensor:
        """The inputs, thinned out in training."""
        if not training or self.rate == 0:
            return inputs
        if self._generator is None and self.noise_shape is None:
            return F.dropout(inputs, self.rate, True)
        return random.dropout(inputs, self.rate, self.noise_shape, seed=self._generator)


registry.add(Dropout)
