"""Pooling: a reduction over windows or over all positions."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from kerastorch.config import standardize_data_format
from kerastorch.layers._conv import as_tuple, check_rank, pad_axes, same_padding
from kerastorch.layers._layer import Layer, registry


class _MaxPooling(Layer):
    """The maximum of each window over `rank` axes."""

    rank: int
    _live_config = (*Layer._live_config, "data_format")
    _takes_one_tensor = True

    def __init__(
        self,
        pool_size: Any = 2,
        strides: Any = None,
        padding: str = "valid",
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        kind = type(self).__name__
        self.pool_size = as_tuple(kind, "pool_size", pool_size, self.rank)
        self.strides = (
            self.pool_size if strides is None else as_tuple(kind, "strides", strides, self.rank)
        )
        if str(padding).lower() not in ("valid", "same"):
            raise ValueError(f"{kind}: `padding` must be 'valid' or 'same', received {padding!r}.")
        self.padding = padding.lower()
        self.data_format = standardize_data_format(data_format)
        self.built = True

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        """(B, ..., C) -> (B, smaller ..., C), or channels first."""
        check_rank(inputs, self.rank + 2)
        last = self.data_format == "channels_last"
        x = inputs.movedim(-1, 1) if last else inputs
        if self.padding == "same":
            pads = same_padding(x.shape[2:], self.pool_size, self.strides, (1,) * self.rank)
            if any(after for _, after in pads):
                lowest = -torch.inf if x.is_floating_point() else torch.iinfo(x.dtype).min
                x = pad_axes(x, pads, lowest)
        pool = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[self.rank - 1]
        x = pool(x, self.pool_size, self.strides)
        return x.movedim(1, -1) if last else x

    def _expectation(self) -> str:
        return f"expected {self.rank + 2} axes, each pooled axis at least {self.pool_size} long."


class _GlobalMaxPooling(Layer):
    """The maximum over all positions of `rank` axes."""

    rank: int
    _live_config = (*Layer._live_config, "data_format")
    _takes_one_tensor = True

    def __init__(
        self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.data_format = standardize_data_format(data_format)
        self.keepdims = keepdims
        self.built = True

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        """(B, ..., C) -> (B, C)."""
        check_rank(inputs, self.rank + 2)
        first = 1 if self.data_format == "channels_last" else 2
        return inputs.amax(tuple(range(first, first + self.rank)), keepdim=self.keepdims)

    def _expectation(self) -> str:
        return f"expected {self.rank + 2} axes."


class MaxPooling2D(_MaxPooling):
    """The maximum of each window of an image: (B, H, W, C) -> (B, H', W', C).

    >>> import torch, kerastorch as keras
    >>> keras.layers.MaxPooling2D()(torch.zeros(1, 28, 28, 3)).shape
    torch.Size([1, 14, 14, 3])
    """

    rank = 2


class GlobalMaxPooling1D(_GlobalMaxPooling):
    """The maximum over all steps: (B, steps, C) -> (B, C).

    >>> import torch, kerastorch as keras
    >>> keras.layers.GlobalMaxPooling1D()(torch.zeros(2, 10, 3)).shape
    torch.Size([2, 3])
    """

    rank = 1


class GlobalMaxPooling2D(_GlobalMaxPooling):
    """The maximum over all pixels: (B, H, W, C) -> (B, C).

    >>> import torch, kerastorch as keras
    >>> keras.layers.GlobalMaxPooling2D()(torch.zeros(2, 8, 8, 3)).shape
    torch.Size([2, 3])
    """

    rank = 2


registry.add(MaxPooling2D, GlobalMaxPooling1D, GlobalMaxPooling2D)
registry.names["MaxPool2D"] = MaxPooling2D
