"""Arithmetic over lists of tensors; a scalar is a number where the host knows it, else a tensor.

A learning rate or a step count is a 0-d tensor. On the CPU it can be read for free, and a number
saves a pass over the weights; on an accelerator or inside `torch.compile` it stays a tensor, so
that the device never waits for the host.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import torch

Tensors: TypeAlias = list[torch.Tensor] | tuple[torch.Tensor, ...]
Scalar: TypeAlias = Any  # float, or a 0-d tensor


def number(value: Scalar) -> Scalar:
    """A 0-d tensor as a Python number where it costs nothing to know it."""
    if type(value) is torch.Tensor and value.is_cpu and not torch.compiler.is_compiling():
        return value.item()
    return value


def smaller(a: Scalar, b: Scalar) -> Scalar:
    """The minimum of two scalars."""
    if isinstance(a, torch.Tensor):
        return a.clamp(max=b)
    return b.clamp(max=a) if isinstance(b, torch.Tensor) else min(a, b)


def choose(condition: Scalar, a: Scalar, b: Scalar) -> Scalar:
    """`a` where the condition holds, else `b`."""
    if isinstance(condition, torch.Tensor):
        return torch.where(condition, a, b)
    return a if condition else b


def add_scaled_(targets: Tensors, values: Tensors, scale: Scalar) -> None:
    """``targets += scale * values``."""
    if isinstance(scale, torch.Tensor):
        torch._foreach_add_(targets, torch._foreach_mul(values, scale))
    else:
        torch._foreach_add_(targets, values, alpha=scale)


def add_ratio_(targets: Tensors, above: Tensors, below: Tensors, scale: Scalar) -> None:
    """``targets += scale * above / below``."""
    if isinstance(scale, torch.Tensor):
        ratios = torch._foreach_div(above, below)
        torch._foreach_mul_(ratios, scale)
        torch._foreach_add_(targets, ratios)
    else:
        torch._foreach_addcdiv_(targets, above, below, value=scale)


def decay_square_(averages: Tensors, values: Tensors, keep: float) -> None:
    """``averages = keep * averages + (1 - keep) * values**2``."""
    torch._foreach_mul_(averages, keep)
    torch._foreach_addcmul_(averages, values, values, value=1 - keep)


def copy_if_(condition: Scalar, targets: Tensors, values: Tensors) -> None:
    """``targets = values`` where the condition, a bool or a 0-d bool tensor, holds."""
    if isinstance(condition, torch.Tensor):
        values = [torch.where(condition, v, t) for v, t in zip(values, targets, strict=True)]
        torch._foreach_copy_(targets, values)
    elif condition:
        torch._foreach_copy_(targets, values)


# -- clipping: from lists of gradients (one for each device and dtype) to new lists ---------------


def clip_by_value(lists: list[Tensors], limit: float) -> list[Tensors]:
    """Every entry into ``[-limit, limit]``."""
    clipped = [torch._foreach_clamp_min(grads, -limit) for grads in lists]
    for grads in clipped:
        torch._foreach_clamp_max_(grads, limit)
    return list(clipped)


def clip_by_norm(lists: list[Tensors], limit: float) -> list[Tensors]:
    """Every tensor to an L2 norm of at most `limit`: ``g * limit / max(norm(g), limit)``."""
    clipped: list[Tensors] = []
    for grads in lists:
        scales = torch._foreach_norm(grads)
        torch._foreach_clamp_min_(scales, limit)
        torch._foreach_reciprocal_(scales)
        torch._foreach_mul_(scales, limit)
        clipped.append(torch._foreach_mul(grads, scales))
    return clipped


def clip_by_global_norm(lists: list[Tensors], limit: float) -> list[Tensors]:
    """All tensors by one factor, so that their common norm is at most `limit`.

    A norm that is not finite makes everything NaN, as in Keras.
    """
    device = lists[0][0].device
    norms = [norm.to(device) for grads in lists for norm in torch._foreach_norm(grads)]
    norm = torch.linalg.vector_norm(torch.stack(norms))
    scale = limit / norm.clamp(min=limit) + (norm - norm)
    return [torch._foreach_mul(grads, scale.to(grads[0].device)) for grads in lists]
