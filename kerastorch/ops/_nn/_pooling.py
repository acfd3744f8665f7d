"""Pooling over one to three axes: a table of torch's kernels and what "same" means to them."""

from __future__ import annotations

from typing import Any

import torch

from kerastorch.ops._nn._spatial import checked, on_channels_first
from kerastorch.ops._op import Array, floating, op
from kerastorch.ops._windows import (
    ADAPTIVE_AVERAGE,
    ADAPTIVE_MAXIMUM,
    AVERAGE,
    MAXIMUM,
    Kernels,
    as_tuple,
    pool,
)


@op
def max_pool(
    inputs: Array,
    pool_size: Any,
    strides: Any = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> torch.Tensor:
    """The maximum of each window: (B, ..., C) -> (B, new ..., C); `strides` are `pool_size` by default.

    >>> import torch, kerastorch as keras
    >>> keras.ops.max_pool(torch.tensor([[[1.0], [3.0], [2.0], [0.0]]]), 2)[0, :, 0]
    tensor([3., 2.])
    """
    x = _exact(inputs)
    return _pool(MAXIMUM, x, pool_size, strides, padding, data_format).to(inputs.dtype)


@op
def average_pool(
    inputs: Array,
    pool_size: Any,
    strides: Any = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> torch.Tensor:
    """The mean of each window: (B, ..., C) -> (B, new ..., C). What ``"same"`` adds does not count.

    >>> import torch, kerastorch as keras
    >>> keras.ops.average_pool(torch.tensor([[[1.0], [3.0], [2.0], [0.0]]]), 2)[0, :, 0]
    tensor([2., 1.])
    """
    return _pool(AVERAGE, floating(inputs), pool_size, strides, padding, data_format)


@op
def adaptive_max_pool(
    inputs: Array, output_size: Any, data_format: str | None = None
) -> torch.Tensor:
    """The maximum of `output_size` windows of about equal size: (B, ..., C) -> (B, *output_size, C).

    >>> import torch, kerastorch as keras
    >>> keras.ops.adaptive_max_pool(torch.ones(2, 7, 7, 3), 4).shape
    torch.Size([2, 4, 4, 3])
    """
    return _adaptive(ADAPTIVE_MAXIMUM, _exact(inputs), output_size, data_format).to(inputs.dtype)


@op
def adaptive_average_pool(
    inputs: Array, output_size: Any, data_format: str | None = None
) -> torch.Tensor:
    """The mean of `output_size` windows of about equal size: (B, ..., C) -> (B, *output_size, C).

    >>> import torch, kerastorch as keras
    >>> keras.ops.adaptive_average_pool(torch.ones(2, 7, 3), 4).shape
    torch.Size([2, 4, 3])
    """
    return _adaptive(ADAPTIVE_AVERAGE, floating(inputs), output_size, data_format)


def _exact(x: torch.Tensor) -> torch.Tensor:
    """Integers, for which torch has few maxima, as numbers that can hold them."""
    return x if x.is_floating_point() else x.double()


def _pool(
    kernels: Kernels, x: torch.Tensor, size: Any, strides: Any, padding: str, data_format: Any
) -> torch.Tensor:
    rank = x.ndim - 2

    def move(x: torch.Tensor) -> torch.Tensor:
        window = as_tuple("pool", "pool_size", size, rank)
        steps = window if strides is None else as_tuple("pool", "strides", strides, rank)
        return pool(kernels[rank - 1], x, window, steps, checked(padding))

    return on_channels_first(x, data_format, move)


def _adaptive(kernels: Kernels, x: torch.Tensor, size: Any, data_format: Any) -> torch.Tensor:
    rank = x.ndim - 2
    return on_channels_first(
        x, data_format, lambda x: kernels[rank - 1](x, as_tuple("pool", "output_size", size, rank))
    )
