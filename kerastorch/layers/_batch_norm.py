"""Batch normalization of feature maps that stays one operator in a compiled graph on the CPU.

Torch's compiler writes loops of its own for it, which take longer than torch's kernel: see docs/architecture.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from kerastorch.ops._op import in_compiled_graph

_aten = torch.ops.aten
_KINDS = (torch.float32, torch.float64)


def is_opaque(x: Tensor) -> bool:
    """Whether to use `normalized` in place of ``F.batch_norm``."""
    return in_compiled_graph() and x.device.type == "cpu" and x.ndim > 2 and x.dtype in _KINDS


def normalized(
    x: Tensor, gamma: Tensor | None, beta: Tensor | None, epsilon: float
) -> tuple[Tensor, Tensor, Tensor]:
    """``gamma * (x - mean) / sqrt(variance + epsilon) + beta`` over all axes but the second, then mean and
    biased variance, which carry no gradient."""
    channels = x.shape[1]
    scale = x.new_ones(channels) if gamma is None else gamma
    shift = x.new_zeros(channels) if beta is None else beta
    y, mean, inverse = _normalize(x, scale, shift, epsilon)
    return y, mean, inverse.detach().pow(-2) - epsilon


def _laid_out(tensor: Tensor, like: Tensor) -> Tensor:
    last = like.ndim == 4 and like.is_contiguous(memory_format=torch.channels_last)
    return tensor.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)


def _run(x: Tensor, gamma: Tensor, beta: Tensor, epsilon: float) -> list[Tensor]:
    y, mean, inverse = _aten.native_batch_norm(x, gamma, beta, None, None, True, 0.0, epsilon)
    return [_laid_out(y, x), mean, inverse]


def _run_backward(
    gradient: Tensor, x: Tensor, gamma: Tensor, mean: Tensor, inverse: Tensor, epsilon: float
) -> list[Tensor]:
    found: Sequence[Tensor] = _aten.native_batch_norm_backward(
        gradient, x, gamma, None, None, mean, inverse, True, epsilon, [True, True, True]
    )
    return [_laid_out(found[0], x), *found[1:]]


_normalize = torch.library.custom_op("kerastorch::batch_norm", _run, mutates_args=())
_gradients = torch.library.custom_op(
    "kerastorch::batch_norm_gradient", _run_backward, mutates_args=()
)


@_normalize.register_fake
def _(x: Tensor, gamma: Tensor, beta: Tensor, epsilon: float) -> list[Tensor]:
    statistic = x.new_empty(x.shape[1])
    return [_laid_out(torch.empty_like(x), x), statistic, torch.empty_like(statistic)]


@_gradients.register_fake
def _(
    gradient: Tensor, x: Tensor, gamma: Tensor, mean: Tensor, inverse: Tensor, epsilon: float
) -> list[Tensor]:
    return [_laid_out(torch.empty_like(x), x), torch.empty_like(gamma), torch.empty_like(gamma)]


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    x, gamma, _, ctx.epsilon = inputs
    ctx.save_for_backward(x, gamma, output[1], output[2])


def _back(ctx: Any, gradients: list[Tensor]) -> tuple[Any, ...]:
    return *_gradients(gradients[0], *ctx.saved_tensors, ctx.epsilon), None


_normalize.register_autograd(_back, setup_context=_keep)
