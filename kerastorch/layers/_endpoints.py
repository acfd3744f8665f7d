"""Layers that a model puts on symbolic tensors of its own graph: ``model.add_loss``, ``add_metric``."""

from __future__ import annotations

from typing import Any

import torch

from kerastorch.layers._layer import Layer, registry


class AddLoss(Layer):
    """Adds its input, or the mean of it where it is no scalar, to the training loss."""

    _adds = True

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.built = True

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        """The input."""
        self.add_loss(inputs.mean() if inputs.dim() else inputs)
        return inputs


class AddMetric(Layer):
    """Reports the mean of its input over an epoch as `metric_name`."""

    _adds = True

    def __init__(self, metric_name: str, aggregation: str = "mean", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.metric_name = metric_name
        self.aggregation = aggregation
        self.built = True

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        """The input."""
        self.add_metric(inputs, self.metric_name, self.aggregation)
        return inputs


registry.add(AddLoss, AddMetric)
