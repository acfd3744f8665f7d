"""Layers that move elements without changing them."""

from __future__ import annotations

from typing import Any

import torch

from kerastorch.config import standardize_data_format
from kerastorch.layers._layer import Layer, registry


class Flatten(Layer):
    """All axes but the first as one.

    `data_format`: ``"channels_first"`` input is brought to channels-last order first.

    >>> import torch, kerastorch as keras
    >>> keras.layers.Flatten()(torch.zeros(2, 3, 4)).shape
    torch.Size([2, 12])
    """

    _live_config = (*Layer._live_config, "data_format")
    _takes_one_tensor = True

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = standardize_data_format(data_format)
        self.built = True

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        """(B, ...) -> (B, product of the rest)."""
        if inputs.dim() < 2:
            return inputs.reshape(-1, 1)
        if self.data_format == "channels_first" and inputs.dim() > 2:
            inputs = inputs.movedim(1, -1)
        return inputs.flatten(1)


registry.add(Flatten)
