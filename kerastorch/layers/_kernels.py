"""Recurrences by torch's kernels, and as operators of compiled graphs.

Axes: T time, B batch, D features, U units. A kernel takes ``states`` of shape (directions, B, U) and
``weights`` in torch's order, ``[w_ih, w_hh]`` or ``[w_ih, w_hh, b_ih, b_hh]`` for each direction.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from kerastorch.layers._base import check_rank
from kerastorch.layers._kernels_cpu import by_direction, is_onednn, onednn_lstm, stepwise
from kerastorch.ops._op import in_compiled_graph

_KERNELS: dict[str, Callable[..., Any]] = {
    "lstm": torch.lstm,
    "gru": torch.gru,
    "tanh": torch.rnn_tanh,
    "relu": torch.rnn_relu,
}


def kernel(
    kind: str, x: Tensor, states: Sequence[Tensor], weights: Sequence[Tensor], both: bool = False
) -> tuple[Tensor, list[Tensor]]:
    """x (B, T, D) -> outputs (B, T, U, twice that for `both` directions), states after the last step."""
    check_rank(x, 3)
    if x.shape[-1] != weights[0].shape[1]:  # torch's own checks are in nn.LSTM
        raise ValueError(f"{x.shape[-1]} features instead of {weights[0].shape[1]}")
    expected = (2 if both else 1, x.shape[0], weights[1].shape[1])
    for state in states:
        if tuple(state.shape) != expected:
            raise ValueError(
                f"a state must have the shape {expected[1:]}, received {tuple(state.shape[1:])}"
            )
    device, dtype = x.device.type, x.dtype
    if device != "meta" and dtype is not torch.float64 and torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
    x, states, weights = (
        x.to(dtype),
        [state.to(dtype) for state in states],
        [weight.to(dtype) for weight in weights],
    )
    if device == "cuda":
        weights = in_one_piece(weights, 2 if both else 1)
    x = x.transpose(0, 1)
    if not in_compiled_graph():
        y, *last = _run(kind, x, states, weights, both)
    elif is_onednn(kind, x, states):
        y, *last = by_direction(onednn_lstm, x, states, weights, both)
    elif device == "cpu" and kind != "lstm" and torch.is_grad_enabled():
        step = functools.partial(stepwise, kind)
        y, *last = by_direction(step, x, states, weights, both)
    else:
        y, *last = _opaque(kind, x, states, weights, both)
    return y.transpose(0, 1), last


def _run(
    kind: str, x: Tensor, states: Sequence[Tensor], weights: Sequence[Tensor], both: bool
) -> list[Tensor]:
    hx = tuple(states) if kind == "lstm" else states[0]
    biased = len(weights) == (8 if both else 4)
    # cuDNN keeps what the backward pass needs in "training" only.
    training = torch.is_grad_enabled()
    return list(_KERNELS[kind](x, hx, weights, biased, 1, 0.0, training, both, False))


def in_one_piece(weights: Sequence[Tensor], directions: int) -> list[Tensor]:
    """`weights` as views of one tensor, matrices first: what cuDNN reads, and else copies together
    itself, with a warning, at every call."""
    each = len(weights) // directions
    order = sorted(range(len(weights)), key=lambda i: (i % each > 1, i))
    flat = torch.cat([weights[i].reshape(-1) for i in order])
    pieces = torch.split(flat, [weights[i].numel() for i in order])
    return [pieces[order.index(i)].view(weight.shape) for i, weight in enumerate(weights)]


# Torch's compilers unroll the kernels into single operators, thousands for a long sequence. In a
# compiled graph a kernel is one opaque operator, whose backward pass runs it forward once more.


def _opaque_run(
    kind: str, x: Tensor, states: Sequence[Tensor], weights: Sequence[Tensor], both: bool
) -> list[Tensor]:
    return [result.contiguous() for result in _run(kind, x, states, weights, both)]


def _opaque_gradients(
    kind: str,
    x: Tensor,
    states: Sequence[Tensor],
    weights: Sequence[Tensor],
    both: bool,
    gradients: Sequence[Tensor],
) -> list[Tensor]:
    # Inside an operator autograd is shut off; here it is wanted.
    recording = torch._C._SetExcludeDispatchKeyGuard(
        torch._C.DispatchKey.AutogradFunctionality, False
    )
    with recording, torch.enable_grad():
        taken = [t.detach().requires_grad_() for t in (x, *states, *weights)]
        split = 1 + len(states)
        results = _run(kind, taken[0], taken[1:split], taken[split:], both)
        found = torch.autograd.grad(results, taken, list(gradients))
    return [gradient.contiguous() for gradient in found]


_opaque = torch.library.custom_op("kerastorch::recurrence", _opaque_run, mutates_args=())
_gradients = torch.library.custom_op(
    "kerastorch::recurrence_backward", _opaque_gradients, mutates_args=()
)


@_opaque.register_fake
def _(
    kind: str, x: Tensor, states: Sequence[Tensor], weights: Sequence[Tensor], both: bool
) -> list[Tensor]:
    units = states[0].shape[-1] * (2 if both else 1)
    return [x.new_empty(*x.shape[:2], units), *(s.new_empty(s.shape) for s in states)]


@_gradients.register_fake
def _(
    kind: str,
    x: Tensor,
    states: Sequence[Tensor],
    weights: Sequence[Tensor],
    both: bool,
    gradients: Sequence[Tensor],
) -> list[Tensor]:
    return [t.new_empty(t.shape) for t in (x, *states, *weights)]


def _remember(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    kind, x, states, weights, both = inputs
    ctx.save_for_backward(x, *states, *weights)
    ctx.kind, ctx.both, ctx.split = kind, both, 1 + len(states)


def _backward(ctx: Any, gradients: list[Tensor]) -> tuple[Any, ...]:
    x, *others = ctx.saved_tensors
    at = ctx.split
    states, weights = others[: at - 1], others[at - 1 :]
    found = _gradients(ctx.kind, x, states, weights, ctx.both, list(gradients))
    return None, found[0], found[1:at], found[at:], None


_opaque.register_autograd(_backward, setup_context=_remember)


# A graph's backward pass computes copies of inputs anew, also where the graph has changed the input
# since: wrong gradients. An operator of our own is not computed anew.


def _clone(state: Tensor) -> Tensor:
    return state.clone()


_cloned = torch.library.custom_op("kerastorch::state", _clone, mutates_args=())
_cloned.register_fake(_clone)


def copied(state: Tensor, dtype: torch.dtype) -> Tensor:
    """A copy of a state that is about to change in place."""
    return _cloned(state).to(dtype) if in_compiled_graph() else state.to(dtype, copy=True)
