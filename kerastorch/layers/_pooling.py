"""Pooling: a reduction over windows, over all positions, or to a given size. A layer is a reduction and a rank."""

from __future__ import annotations

from typing import Any

import torch

from kerastorch.layers._base import Spatial, check_rank
from kerastorch.layers._layer import registry
from kerastorch.ops._windows import (
    ADAPTIVE_AVERAGE,
    ADAPTIVE_MAXIMUM,
    AVERAGE,
    MAXIMUM,
    Kernels,
    as_tuple,
    pool,
)


class _Pooling(Spatial):
    """One value for each window over `rank` axes."""

    kernels: Kernels

    def __init__(
        self,
        pool_size: Any = 2,
        strides: Any = None,
        padding: str = "valid",
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, **kwargs)
        kind = type(self).__name__
        self.pool_size = as_tuple(kind, "pool_size", pool_size, self.rank)
        self.strides = (
            self.pool_size if strides is None else as_tuple(kind, "strides", strides, self.rank)
        )
        if str(padding).lower() not in ("valid", "same"):
            raise ValueError(f"{kind}: `padding` must be 'valid' or 'same', received {padding!r}.")
        self.padding = padding.lower()
        self.built = True

    def _move(self, x: torch.Tensor) -> torch.Tensor:
        return pool(self.kernels[self.rank - 1], x, self.pool_size, self.strides, self.padding)

    def _expectation(self) -> str:
        return f"expected {self.rank + 2} axes, each pooled axis at least {self.pool_size} long."


class _MaxPooling(_Pooling):
    kernels = MAXIMUM


class _AveragePooling(_Pooling):
    kernels = AVERAGE
    _takes_integers = False

    def __init__(
        self,
        pool_size: Any,
        strides: Any = None,
        padding: str = "valid",
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(pool_size, strides, padding, data_format, **kwargs)

    def _move(self, x: torch.Tensor) -> torch.Tensor:
        if self.rank == 3 and x.element_size() < 4 and x.device.type == "cpu":
            return super()._move(x.float()).to(x.dtype)  # which torch has on accelerators only
        return super()._move(x)


class _AdaptivePooling(Spatial):
    """One value for each of `output_size` windows of about equal size."""

    kernels: Kernels
    _takes_integers = False

    def __init__(self, output_size: Any, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(data_format, **kwargs)
        self.output_size = as_tuple(type(self).__name__, "output_size", output_size, self.rank)
        self.built = True

    def _move(self, x: torch.Tensor) -> torch.Tensor:
        return self.kernels[self.rank - 1](x, self.output_size)


class _GlobalPooling(Spatial):
    """One value for all positions of `rank` axes."""

    def __init__(
        self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(data_format, **kwargs)
        self.keepdims = keepdims
        first = 1 if self._channels_last else 2
        self._over = tuple(range(first, first + self.rank))
        self.built = True


class _GlobalMaxPooling(_GlobalPooling):
    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        """(B, ..., C) -> (B, C)."""
        check_rank(inputs, self.rank + 2)
        return inputs.amax(self._over, keepdim=self.keepdims)


class _GlobalAveragePooling(_GlobalPooling):
    _takes_integers = False

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        """(B, ..., C) -> (B, C)."""
        check_rank(inputs, self.rank + 2)
        return inputs.mean(self._over, keepdim=self.keepdims)


class MaxPooling1D(_MaxPooling):
    """The maximum of each window of a sequence: (B, steps, C) -> (B, new steps, C).

    >>> import torch, kerastorch as keras
    >>> keras.layers.MaxPooling1D()(torch.zeros(2, 8, 3)).shape
    torch.Size([2, 4, 3])
    """

    rank = 1
    _takes_integers = False


class MaxPooling2D(_MaxPooling):
    """The maximum of each window of an image: (B, H, W, C) -> (B, H', W', C).

    >>> import torch, kerastorch as keras
    >>> keras.layers.MaxPooling2D()(torch.zeros(2, 8, 8, 3)).shape
    torch.Size([2, 4, 4, 3])
    """

    rank = 2


class MaxPooling3D(_MaxPooling):
    """The maximum of each window of a volume: (B, D, H, W, C) -> (B, D', H', W', C).

    >>> import torch, kerastorch as keras
    >>> keras.layers.MaxPooling3D()(torch.zeros(2, 8, 8, 8, 3)).shape
    torch.Size([2, 4, 4, 4, 3])
    """

    rank = 3


class AveragePooling1D(_AveragePooling):
    """The mean of each window of a sequence: (B, steps, C) -> (B, new steps, C).

    With ``padding="same"`` what is added does not count.

    >>> import torch, kerastorch as keras
    >>> keras.layers.AveragePooling1D(2)(torch.zeros(2, 8, 3)).shape
    torch.Size([2, 4, 3])
    """

    rank = 1


class AveragePooling2D(_AveragePooling):
    """The mean of each window of an image: (B, H, W, C) -> (B, H', W', C).

    With ``padding="same"`` what is added does not count.

    >>> import torch, kerastorch as keras
    >>> keras.layers.AveragePooling2D(2)(torch.zeros(2, 8, 8, 3)).shape
    torch.Size([2, 4, 4, 3])
    """

    rank = 2


class AveragePooling3D(_AveragePooling):
    """The mean of each window of a volume: (B, D, H, W, C) -> (B, D', H', W', C).

    With ``padding="same"`` what is added does not count.

    >>> import torch, kerastorch as keras
    >>> keras.layers.AveragePooling3D(2)(torch.zeros(2, 8, 8, 8, 3)).shape
    torch.Size([2, 4, 4, 4, 3])
    """

    rank = 3


class GlobalMaxPooling1D(_GlobalMaxPooling):
    """The maximum over all steps: (B, steps, C) -> (B, C).

    >>> import torch, kerastorch as keras
    >>> keras.layers.GlobalMaxPooling1D()(torch.zeros(2, 8, 3)).shape
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


class GlobalMaxPooling3D(_GlobalMaxPooling):
    """The maximum over all voxels: (B, D, H, W, C) -> (B, C).

    >>> import torch, kerastorch as keras
    >>> keras.layers.GlobalMaxPooling3D()(torch.zeros(2, 8, 8, 8, 3)).shape
    torch.Size([2, 3])
    """

    rank = 3


class GlobalAveragePooling1D(_GlobalAveragePooling):
    """The mean over all steps, or over those that a mask keeps: (B, steps, C) -> (B, C).

    >>> import torch, kerastorch as keras
    >>> keras.layers.GlobalAveragePooling1D()(torch.zeros(2, 8, 3)).shape
    torch.Size([2, 3])
    """

    rank = 1

    def __init__(
        self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(data_format, keepdims, **kwargs)
        self.supports_masking = True

    def call(self, inputs: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """(B, steps, C) -> (B, C); mask: (B, steps), True for the steps that count."""
        if mask is None:
            return super().call(inputs)
        (steps,) = self._over
        weight = mask.to(inputs.dtype).unsqueeze(2 if steps == 1 else 1)
        total = (inputs * weight).sum(steps, keepdim=self.keepdims)
        return total / weight.sum(steps, keepdim=self.keepdims)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """None: there are no steps left."""
        return None


class GlobalAveragePooling2D(_GlobalAveragePooling):
    """The mean over all pixels: (B, H, W, C) -> (B, C).

    >>> import torch, kerastorch as keras
    >>> keras.layers.GlobalAveragePooling2D()(torch.zeros(2, 8, 8, 3)).shape
    torch.Size([2, 3])
    """

    rank = 2


class GlobalAveragePooling3D(_GlobalAveragePooling):
    """The mean over all voxels: (B, D, H, W, C) -> (B, C).

    >>> import torch, kerastorch as keras
    >>> keras.layers.GlobalAveragePooling3D()(torch.zeros(2, 8, 8, 8, 3)).shape
    torch.Size([2, 3])
    """

    rank = 3


class AdaptiveMaxPooling1D(_AdaptivePooling):
    """The maximum of `output_size` windows of a sequence: (B, steps, C) -> (B, output_size, C).

    Window i of n over N entries is from floor(i * N / n) to ceil((i + 1) * N / n).

    >>> import torch, kerastorch as keras
    >>> keras.layers.AdaptiveMaxPooling1D(3)(torch.zeros(2, 8, 3)).shape
    torch.Size([2, 3, 3])
    """

    rank = 1
    kernels = ADAPTIVE_MAXIMUM


class AdaptiveMaxPooling2D(_AdaptivePooling):
    """The maximum of `output_size` windows of an image: (B, H, W, C) -> (B, *output_size, C).

    Window i of n over N entries is from floor(i * N / n) to ceil((i + 1) * N / n).

    >>> import torch, kerastorch as keras
    >>> keras.layers.AdaptiveMaxPooling2D(3)(torch.zeros(2, 8, 8, 3)).shape
    torch.Size([2, 3, 3, 3])
    """

    rank = 2
    kernels = ADAPTIVE_MAXIMUM


class AdaptiveMaxPooling3D(_AdaptivePooling):
    """The maximum of `output_size` windows of a volume: (B, D, H, W, C) -> (B, *output_size, C).

    Window i of n over N entries is from floor(i * N / n) to ceil((i + 1) * N / n).

    >>> import torch, kerastorch as keras
    >>> keras.layers.AdaptiveMaxPooling3D(3)(torch.zeros(2, 8, 8, 8, 3)).shape
    torch.Size([2, 3, 3, 3, 3])
    """

    rank = 3
    kernels = ADAPTIVE_MAXIMUM


class AdaptiveAveragePooling1D(_AdaptivePooling):
    """The mean of `output_size` windows of a sequence: (B, steps, C) -> (B, output_size, C).

    Window i of n over N entries is from floor(i * N / n) to ceil((i + 1) * N / n).

    >>> import torch, kerastorch as keras
    >>> keras.layers.AdaptiveAveragePooling1D(3)(torch.zeros(2, 8, 3)).shape
    torch.Size([2, 3, 3])
    """

    rank = 1
    kernels = ADAPTIVE_AVERAGE


class AdaptiveAveragePooling2D(_AdaptivePooling):
    """The mean of `output_size` windows of an image: (B, H, W, C) -> (B, *output_size, C).

    Window i of n over N entries is from floor(i * N / n) to ceil((i + 1) * N / n).

    >>> import torch, kerastorch as keras
    >>> keras.layers.AdaptiveAveragePooling2D(3)(torch.zeros(2, 8, 8, 3)).shape
    torch.Size([2, 3, 3, 3])
    """

    rank = 2
    kernels = ADAPTIVE_AVERAGE


class AdaptiveAveragePooling3D(_AdaptivePooling):
    """The mean of `output_size` windows of a volume: (B, D, H, W, C) -> (B, *output_size, C).

    Window i of n over N entries is from floor(i * N / n) to ceil((i + 1) * N / n).

    >>> import torch, kerastorch as keras
    >>> keras.layers.AdaptiveAveragePooling3D(3)(torch.zeros(2, 8, 8, 8, 3)).shape
    torch.Size([2, 3, 3, 3, 3])
    """

    rank = 3
    kernels = ADAPTIVE_AVERAGE


registry.add(
    *(MaxPooling1D, MaxPooling2D, MaxPooling3D),
    *(AveragePooling1D, AveragePooling2D, AveragePooling3D),
    *(GlobalMaxPooling1D, GlobalMaxPooling2D, GlobalMaxPooling3D),
    *(GlobalAveragePooling1D, GlobalAveragePooling2D, GlobalAveragePooling3D),
    *(AdaptiveMaxPooling1D, AdaptiveMaxPooling2D, AdaptiveMaxPooling3D),
    *(AdaptiveAveragePooling1D, AdaptiveAveragePooling2D, AdaptiveAveragePooling3D),
)
registry.add(
    MaxPool1D=MaxPooling1D,
    MaxPool2D=MaxPooling2D,
    MaxPool3D=MaxPooling3D,
    AvgPool1D=AveragePooling1D,
    AvgPool2D=AveragePooling2D,
    AvgPool3D=AveragePooling3D,
    GlobalMaxPool1D=GlobalMaxPooling1D,
    GlobalMaxPool2D=GlobalMaxPooling2D,
    GlobalMaxPool3D=GlobalMaxPooling3D,
    GlobalAvgPool1D=GlobalAveragePooling1D,
    GlobalAvgPool2D=GlobalAveragePooling2D,
    GlobalAvgPool3D=GlobalAveragePooling3D,
)
