"""Max pooling in two dimensions that stays one operator in a compiled graph on the CPU.

Torch's compiler fuses its backward pass with what comes next, so that it is computed anew for every use
of the gradient, without vector instructions: slower than torch's own kernel by a factor of ten.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from kerastorch.ops._op import in_compiled_graph

_aten = torch.ops.aten


def max_pool2d(
    x: Tensor, size: Any, strides: Any, padding: Any = (0, 0), ceil_mode: bool = False
) -> Tensor:
    """``F.max_pool2d``."""
    if not in_compiled_graph() or x.device.type != "cpu" or x.ndim != 4:
        return F.max_pool2d(x, size, strides, padding, ceil_mode=ceil_mode)
    return _pool(x, list(size), list(strides), list(padding), ceil_mode)[0]


def _run(
    x: Tensor, size: Sequence[int], strides: Sequence[int], padding: Sequence[int], ceil: bool
) -> list[Tensor]:
    return list(_aten.max_pool2d_with_indices(x, size, strides, padding, [1, 1], ceil))


def _run_backward(
    gradient: Tensor,
    indices: Tensor,
    shape: Sequence[int],
    channels_last: bool,
    size: Sequence[int],
    strides: Sequence[int],
    padding: Sequence[int],
    ceil: bool,
) -> Tensor:
    layout = torch.channels_last if channels_last else torch.contiguous_format
    x = torch.empty(
        list(shape), dtype=gradient.dtype, device=gradient.device, memory_format=layout
    )  # its values are not read
    found: Tensor = _aten.max_pool2d_with_indices_backward(
        gradient, x, size, strides, padding, [1, 1], ceil, indices
    )
    return found


_pool = torch.library.custom_op("kerastorch::max_pool2d", _run, mutates_args=())
_pool_backward = torch.library.custom_op(
    "kerastorch::max_pool2d_gradient", _run_backward, mutates_args=()
)
_pool.register_fake(_run)  # torch knows the shapes and the order in memory
_pool_backward.register_fake(_run_backward)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    x, *ctx.options = inputs
    ctx.input = list(x.shape), x.is_contiguous(memory_format=torch.channels_last)
    ctx.save_for_backward(output[1])


def _back(ctx: Any, gradients: list[Tensor]) -> tuple[Any, ...]:
    (indices,) = ctx.saved_tensors
    found = _pool_backward(gradients[0], indices, *ctx.input, *ctx.options)
    return found, None, None, None, None


_pool.register_autograd(_back, setup_context=_keep)
