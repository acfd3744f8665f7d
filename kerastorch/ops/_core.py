"""Tensors from data and back, dtypes and shapes, and reading and writing parts of tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from kerastorch._graph import KerasTensor
from kerastorch.config import _dtype_name, standardize_dtype
from kerastorch.ops._op import Array, Given, as_tensor, op

# -- from data and back ----------------------------------------------------------------------------


@op
def convert_to_tensor(
    x: Given, dtype: Any = None, sparse: bool | None = None, ragged: bool | None = None
) -> torch.Tensor:
    """`x` as a tensor: Python's integers become int32, its floats `floatx`, arrays keep their dtype.
    A weight gives a plain tensor through which gradients flow.

    >>> import kerastorch as keras
    >>> keras.ops.convert_to_tensor([1.5, 2])
    tensor([1.5000, 2.0000])
    """
    for name, wanted in (("sparse", sparse), ("ragged", ragged)):
        if wanted:
            raise ValueError(f"`{name}`: tensors are dense here, received True. Leave it out.")
    if isinstance(x, (torch.nn.Parameter, torch.nn.Buffer)):
        x = x.view_as(x)
    return as_tensor(x, dtype)


@op
def cast(x: Given, dtype: Any) -> torch.Tensor:
    """`x` with another dtype; floats lose what is after the point when they become integers.

    >>> import kerastorch as keras
    >>> keras.ops.cast([0.0, 1.5], "bool")
    tensor([False,  True])
    """
    return as_tensor(x, dtype)


@op
def saturate_cast(x: Array, dtype: Any) -> torch.Tensor:
    """`x` with another dtype; what is outside its range becomes the nearest value in it.

    >>> import kerastorch as keras
    >>> keras.ops.saturate_cast([-1.0, 256.0], "uint8")
    tensor([  0, 255], dtype=torch.uint8)
    """
    dtype = standardize_dtype(dtype)
    if x.dtype is torch.bool or dtype.is_complex:
        return x.to(dtype)
    (low, high), (lowest, highest) = _range(x.dtype), _range(dtype)
    low, high = max(low, lowest), min(high, highest)
    if not x.is_floating_point():
        return x.clamp(int(low), int(high)).to(dtype)
    if isinstance(high, float):
        return x.clamp(low, high).to(dtype)
    digits = 1 - round(math.log2(torch.finfo(x.dtype).eps))  # of the numbers that `x` can hold
    unused = max(0, high.bit_length() - digits)
    held = high >> unused << unused
    return torch.where(x > held, high, x.clamp(low, held).to(dtype))


def _range(dtype: torch.dtype) -> tuple[float, float]:
    if dtype is torch.bool:
        return 0.0, 1.0
    info = torch.finfo(dtype) if dtype.is_floating_point else torch.iinfo(dtype)
    return info.min, info.max


def convert_to_numpy(x: Any) -> np.ndarray[Any, Any]:
    """`x` as a NumPy array with memory of its own. bfloat16, which NumPy has not, becomes float32.

    >>> import torch, kerastorch as keras
    >>> keras.ops.convert_to_numpy(torch.ones(2))
    array([1., 1.], dtype=float32)
    """
    if isinstance(x, (list, tuple)):
        return np.array([convert_to_numpy(item) for item in x])
    if isinstance(x, torch.Tensor):
        x = x.detach().cpu().resolve_conj().resolve_neg()
        x = (x.float() if x.dtype is torch.bfloat16 else x).numpy()
    return np.array(x)


def is_tensor(x: Any) -> bool:
    """Whether `x` is a tensor with values: no array, no list, no symbolic tensor.

    >>> import torch, kerastorch as keras
    >>> keras.ops.is_tensor(torch.ones(2)), keras.ops.is_tensor([1.0, 1.0])
    (True, False)
    """
    return isinstance(x, torch.Tensor)


def dtype(x: Any) -> str:
    """The name of the dtype of `x`.

    >>> import kerastorch as keras
    >>> keras.ops.dtype(keras.ops.convert_to_tensor(1.5))
    'float32'
    """
    found = x.dtype if hasattr(x, "dtype") else as_tensor(x).dtype
    return _dtype_name(standardize_dtype(found))


def shape(x: Any) -> tuple[Any, ...]:
    """The sizes of the axes of `x`; those that a symbolic tensor does not know are symbolic numbers,
    which `reshape` and others take.

    >>> import kerastorch as keras
    >>> keras.ops.shape([[1, 2, 3]])
    (1, 3)
    """
    if isinstance(x, KerasTensor):
        return tuple(x.size(i) if n is None else n for i, n in enumerate(x.shape))
    return tuple(x.shape if hasattr(x, "shape") else as_tensor(x).shape)


@op
def stop_gradient(variable: Array) -> torch.Tensor:
    """The same values, for gradients a constant.

    >>> import torch, kerastorch as keras
    >>> keras.ops.stop_gradient(torch.ones(2, requires_grad=True)).requires_grad
    False
    """
    return variable.detach()


# -- parts of tensors ------------------------------------------------------------------------------


@op
def unstack(x: Array, num: int | None = None, axis: int = 0) -> list[torch.Tensor]:
    """The parts of `x` along `axis`, without that axis. `num` is their number, for axes of unknown size.

    >>> import kerastorch as keras
    >>> keras.ops.unstack([[1, 2], [3, 4]], axis=1)
    [tensor([1, 3], dtype=torch.int32), tensor([2, 4], dtype=torch.int32)]
    """
    if num is None:
        return list(x.unbind(axis))
    if not x.is_meta and x.shape[axis] != num:
        raise ValueError(
            f"`num` must be the size of axis {axis}, which is {x.shape[axis]}, received {num}."
        )
    return list(x.narrow(axis, 0, num).unbind(axis))


@op
def slice(inputs: Array, start_indices: Given, shape: Sequence[int]) -> torch.Tensor:
    """The block of `shape` that begins at `start_indices`, which may be a tensor. A size of -1 is all
    that remains.

    >>> import kerastorch as keras
    >>> keras.ops.slice([[1, 2, 3], [4, 5, 6]], [0, 1], [2, 2])
    tensor([[2, 3],
            [5, 6]], dtype=torch.int32)
    """
    starts = _starts(inputs, start_indices)
    sizes = _numbers(shape)
    if len(sizes) != inputs.ndim:
        raise ValueError(
            f"`shape` needs one size for each axis of `inputs`, which has shape {tuple(inputs.shape)}; "
            f"received {shape!r}."
        )
    for axis, (start, size) in enumerate(zip(starts, sizes, strict=True)):
        if isinstance(start, torch.Tensor):
            if size == -1:
                raise ValueError(
                    f"`shape` cannot be -1 where the start is a tensor, received {shape!r}. "
                    "Write the size down."
                )
            places = start + torch.arange(size, device=inputs.device)
            inputs = inputs.index_select(axis, places)
        else:
            inputs = inputs.narrow(axis, start, inputs.shape[axis] - start if size == -1 else size)
    return inputs


@op
def slice_update(inputs: Array, start_indices: Given, updates: Array) -> torch.Tensor:
    """`inputs` with the block that begins at `start_indices`, which may be a tensor, replaced.

    >>> import kerastorch as keras
    >>> keras.ops.slice_update([[1, 2, 3], [4, 5, 6]], [0, 1], [[0], [0]])
    tensor([[1, 0, 3],
            [4, 0, 6]], dtype=torch.int32)
    """
    starts = _starts(inputs, start_indices)
    if updates.ndim != inputs.ndim:
        raise ValueError(
            f"`updates` must have the {inputs.ndim} axes of `inputs`, received shape "
            f"{tuple(updates.shape)}."
        )
    if isinstance(starts, list):
        result = inputs.clone()
        region = result
        for axis, (start, size) in enumerate(zip(starts, updates.shape, strict=True)):
            region = region.narrow(axis, start, size)
        region.copy_(updates)
        return result
    sizes = [torch.arange(n, device=inputs.device) for n in updates.shape]
    places = torch.meshgrid(*sizes, indexing="ij")
    index = [start + place for start, place in zip(starts, places, strict=True)]
    return inputs.index_put(index, updates.to(inputs.dtype))


def _starts(x: torch.Tensor, start_indices: Any) -> list[int] | torch.Tensor:
    """Where a block of `x` begins: Python's numbers as they are, else one tensor."""
    starts = start_indices
    if not isinstance(starts, torch.Tensor):
        starts = _numbers(starts)
        if any(isinstance(start, torch.Tensor) for start in starts):
            starts = as_tensor(starts, torch.int64, x.device)
    if len(starts) != x.ndim:
        raise ValueError(
            f"`start_indices` needs one number for each axis of `inputs`, which has shape "
            f"{tuple(x.shape)}; received {start_indices!r}."
        )
    return starts


def _numbers(value: Any) -> list[Any]:
    """Sizes or places as a list of Python numbers, tensors among them as they are."""
    if isinstance(value, (np.ndarray, torch.Tensor)):
        value = value.tolist()
    return [n.item() if isinstance(n, np.generic) else n for n in value]


# -- scattered entries -----------------------------------------------------------------------------


@op
def scatter(indices: Array, values: Array, shape: Sequence[int]) -> torch.Tensor:
    """Zeros of `shape` with `values` added at `indices`, whose last axis holds an index each.

    >>> import kerastorch as keras
    >>> keras.ops.scatter([[0], [2], [2]], [1.0, 2.0, 3.0], (4,))
    tensor([1., 0., 5., 0.])
    """
    sizes = _numbers(shape)
    length = indices.shape[-1]
    index = indices.long().reshape(-1, length).unbind(-1)
    rows = values.reshape(-1, *sizes[length:])
    return values.new_zeros(sizes).index_put(index, rows, accumulate=True)


_REDUCTIONS = {"max": "amax", "min": "amin", "mul": "prod"}


@op
def scatter_update(
    inputs: Array, indices: Array, updates: Array, reduction: str | None = None
) -> torch.Tensor:
    """`inputs` with `updates` at `indices`, of shape (updates, axes indexed). `reduction`, one of
    ``"add"``, ``"max"``, ``"min"`` and ``"mul"``, joins them with what is there, else they replace it.

    >>> import kerastorch as keras
    >>> keras.ops.scatter_update([1.0, 1.0, 1.0], [[0], [0], [2]], [2.0, 3.0, 4.0], "add")
    tensor([6., 1., 5.])
    """
    kind = None if reduction is None else reduction.lower()
    if kind not in (None, "add", *_REDUCTIONS):
        raise ValueError(
            f"`reduction` must be None, 'add', 'max', 'min' or 'mul', received {reduction!r}."
        )
    index, updates = indices.long().unbind(-1), updates.to(inputs.dtype)
    if kind in (None, "add"):
        return inputs.index_put(index, updates, accumulate=kind == "add")
    front, rest = inputs.shape[: len(index)], inputs.shape[len(index) :]
    rows = torch.arange(front.numel(), device=inputs.device).reshape(front)[index].reshape(-1)
    target = rows.reshape(-1, *[1] * len(rest)).expand(-1, *rest)
    flat = inputs.reshape(-1, *rest)
    updates = updates.expand(*index[0].shape, *rest).reshape(-1, *rest)
    return flat.scatter_reduce(0, target, updates, _REDUCTIONS[kind]).reshape(inputs.shape)
