"""Steps of a sequence that are to be skipped."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from kerastorch.layers._layer import Layer, registry


class Masking(Layer):
    """Tells later layers to skip the steps whose features all equal `mask_value`, and zeroes them.

    >>> import torch, kerastorch as keras
    >>> y = keras.layers.Masking(mask_value=-1.0)(torch.tensor([[[1.0, -1.0], [-1.0, -1.0]]]))
    >>> y._keras_mask, y[0, 1]
    (tensor([[ True, False]]), tensor([0., 0.]))
    """

    _takes_one_tensor = True

    def __init__(self, mask_value: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mask_value = mask_value
        self.built = True

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """(B, T, D) -> (B, T): True where a feature differs."""
        return (inputs != self.mask_value).any(-1)

    def call(self, inputs: Tensor) -> Tensor:
        """The inputs, zero where they are masked."""
        return torch.where((inputs != self.mask_value).any(-1, keepdim=True), inputs, 0)


registry.add(Masking)
