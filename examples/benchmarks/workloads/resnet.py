"""ResNet-8 for CIFAR pictures: three stages of one block, 16, 32 and 64 channels, batch 32."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from workloads.base import Classifier
from workloads.convnet import ChannelsFirst


class Resnet(Classifier):
    batch, steps = 32, 20
    shape = (32, 32, 3)
    same_function = (
        False  # whether torch's twin pads as TensorFlow does, after the last pixels alone
    )

    def build(self, keras: Any) -> Any:
        layers = keras.layers

        def convolve(x: Any, filters: int, strides: int = 1, size: int = 3) -> Any:
            x = layers.Conv2D(filters, size, strides, padding="same", use_bias=False)(x)
            return layers.BatchNormalization()(x)

        inputs = keras.Input(self.shape)
        x = layers.ReLU()(convolve(inputs, 16))
        for filters, strides in ((16, 1), (32, 2), (64, 2)):
            short = x if strides == 1 else convolve(x, filters, strides, 1)
            x = layers.ReLU()(convolve(x, filters, strides))
            x = layers.ReLU()(layers.add([convolve(x, filters), short]))
        x = layers.GlobalAveragePooling2D()(x)
        return keras.Model(inputs, layers.Dense(10, activation="softmax")(x))

    def twin(self) -> nn.Module:
        model = nn.Sequential(
            ChannelsFirst(),
            _convolve(3, 16),
            nn.ReLU(),
            Block(16, 16, 1),
            Block(16, 32, 2, self.same_function),
            Block(32, 64, 2, self.same_function),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(64, 10),
            nn.Softmax(-1),
        )
        return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _convolve(inputs: int, filters: int, strides: int = 1, size: int = 3) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(inputs, filters, size, strides, padding=size // 2, bias=False),
        nn.BatchNorm2d(filters, eps=1e-3, momentum=0.01),
    )


class Block(nn.Module):
    def __init__(self, inputs: int, filters: int, strides: int, uneven: bool = False) -> None:
        super().__init__()
        self.first = _convolve(inputs, filters, strides)
        if uneven:
            self.first[0].padding = (0, 0)
            self.first.insert(0, nn.ZeroPad2d((0, 1, 0, 1)))
        self.second = _convolve(filters, filters)
        self.short = nn.Identity() if strides == 1 else _convolve(inputs, filters, strides, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (self.second(self.first(x).relu()) + self.short(x)).relu()
