"""`Pipeline`: layers one after the other, as a layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kerastorch.layers._layer import Layer, registry
from kerastorch.layers._wrappers import check_module


class Pipeline(Layer):
    """Layers one after the other: a layer, not a model. It hands on what it is given, dicts too.

    >>> import torch, kerastorch as keras
    >>> augment = keras.layers.Pipeline([keras.layers.RandomFlip(), keras.layers.RandomRotation(0.1)])
    >>> augment(torch.zeros(2, 8, 8, 3), training=True).shape
    torch.Size([2, 8, 8, 3])
    """

    def __init__(self, layers: Sequence[Any], name: str | None = None) -> None:
        super().__init__(name=name, autocast=False)
        for at, layer in enumerate(layers):
            check_module(f"Pipeline: `layers[{at}]`", layer)
        self.layers = list(layers)

    def build(self, input_shape: Any) -> None:
        """Build the layers, each for what the one before gives."""
        for layer in self.layers:
            if not isinstance(layer, Layer):
                return  # the others are built by the first call
            if not layer.built:
                layer.build(input_shape)
            input_shape = layer.compute_output_shape(input_shape)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """What the last layer gives."""
        for layer in self.layers:
            inputs = layer(inputs)
        return inputs


registry.add(Pipeline)
