"""A recurrence over time with a mask: torch's kernels where there is one, else a loop of steps.

Axes: B batch, T time, D features, U units.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from kerastorch._graph import _running
from kerastorch.layers._kernels import kernel

#: Added to a gate, it is open (or, subtracted, shut) to the last bit; float16 ends at 65504.
_SATURATED = 1e4


class Scanned(NamedTuple):
    """What a recurrence gives."""

    last: Tensor  # (B, U): the output of the last step
    outputs: Tensor | None  # (B, T, U), where they were asked for
    states: Any


# -- masks -----------------------------------------------------------------------------------------


def masked_kernel(
    kind: str,
    x: Tensor,
    states: Sequence[Tensor],
    weights: Sequence[Tensor],
    mask: Tensor,
    sequences: bool,
    needs_states: bool,
) -> Scanned:
    """A kernel that skips steps where `mask` (B, T) is False, wherever they are.

    To skip a step is to move the later ones forward. So the steps that count are sorted to the
    front, the kernel runs over all of them, and each output is fetched from the step that was then
    the last to count. What comes after the last one cannot reach it. All of this happens on the
    device: neither the lengths nor the kind of padding have to be known on the host, as packed
    sequences need them. On the CPU, where looking costs nothing, steps that no row needs are cut off.
    """
    seen = mask.cumsum(1)  # how many steps counted so far
    order = mask.logical_not().to(torch.uint8).argsort(dim=1, stable=True)
    if x.device.type == "cpu" and not torch.compiler.is_compiling():
        order = order[:, : max(int(seen[:, -1].max()), 1)]
    x = x.gather(1, order.unsqueeze(-1).expand(-1, -1, x.shape[-1]))
    if kind == "lstm" and needs_states:
        x, weights = _holding(x, weights, seen[:, -1:])
    y, last = kernel(kind, x, states, weights)
    if not sequences:
        seen = seen[:, -1:]
    at = (seen - 1).clamp(min=0).unsqueeze(-1)
    none = (seen == 0).unsqueeze(-1)
    outputs = y.gather(1, at.expand(-1, -1, y.shape[-1]))
    h = torch.where(none[:, -1], states[0][0].to(y.dtype), outputs[:, -1])
    outputs = outputs.masked_fill(none, 0)
    after = [h.unsqueeze(0), *last[1:]]
    return Scanned(outputs[:, -1], outputs if sequences else None, after)


def _holding(x: Tensor, weights: Sequence[Tensor], count: Tensor) -> tuple[Tensor, list[Tensor]]:
    """An LSTM whose cell state stays as it is after `count` (B, 1) steps: a further feature, 1 from
    there on, shuts the input gate and opens the forget gate, to the last bit."""
    w, *others = weights
    past = torch.arange(x.shape[1], device=x.device) >= count
    column = w.new_zeros(4, w.shape[0] // 4, 1)
    column[0], column[1] = -_SATURATED, _SATURATED
    x = torch.cat([x, past.unsqueeze(-1).to(x.dtype)], -1)
    return x, [torch.cat([w, column.flatten(0, 1)], 1), *others]


# -- loops -----------------------------------------------------------------------------------------


def loop(
    step: Callable[[Tensor, Any], tuple[Tensor, Any]],
    x: Tensor,
    states: Any,
    mask: Tensor | None,
    sequences: bool,
) -> Scanned:
    """``output, states = step(x[:, t], states)`` for every t. Where `mask` (B, T) is False the states
    stay, and the output is the one before (zeros before the first)."""
    steps = x[:, :1].unbind(1) if _running else x.unbind(1)  # symbolic: all steps are alike
    if not steps:
        raise ValueError("a sequence needs at least one step")
    outputs: list[Tensor] = []
    output = None
    for t, x_t in enumerate(steps):
        before = output
        output, after = step(x_t, states)
        if mask is not None:
            before = torch.zeros_like(output) if before is None else before
            output = select(mask[:, t], output, before)
            new, form = pytree.tree_flatten(after)
            old = pytree.tree_leaves(states)
            pairs = zip(new, old, strict=True)
            after = pytree.tree_unflatten([select(mask[:, t], a, b) for a, b in pairs], form)
        states = after
        if sequences:
            outputs.append(output)
    assert output is not None
    if not sequences:
        return Scanned(output, None, states)
    stacked = torch.stack(outputs, 1)
    if _running:
        stacked = stacked.expand(-1, x.shape[1], *stacked.shape[2:])
    return Scanned(output, stacked, states)


def select(keep: Tensor, yes: Tensor, no: Any) -> Tensor:
    """``where(keep, yes, no)``, with `keep` of the leading axes of `yes`."""
    return torch.where(keep.reshape(keep.shape + (1,) * (yes.dim() - keep.dim())), yes, no)
