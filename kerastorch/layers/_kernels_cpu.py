"""Recurrences in compiled graphs on the CPU: operators that keep what their backward pass needs, as torch
itself does, so that nothing is run twice.

Axes: T time, B batch, D features, U units. States are (1, B, U) outside of operators.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import unset_fake_temporarily
from torch.nn import functional as F


def by_direction(
    one: Callable[[Tensor, list[Tensor], list[Tensor], bool], list[Tensor]],
    x: Tensor,
    states: Sequence[Tensor],
    weights: Sequence[Tensor],
    both: bool,
) -> list[Tensor]:
    """Outputs and last states of what runs in one direction."""
    directions = 2 if both else 1
    each = len(weights) // directions
    found = [
        one(x, [s[d : d + 1] for s in states], list(weights[d * each : (d + 1) * each]), d == 1)
        for d in range(directions)
    ]
    if not both:
        return found[0]
    return [torch.cat(pair, -1 if i == 0 else 0) for i, pair in enumerate(zip(*found, strict=True))]


# -- LSTM: oneDNN ----------------------------------------------------------------------------------


_ONEDNN: bool = torch.backends.mkldnn.is_available()


def is_onednn(kind: str, x: Tensor, states: Sequence[Tensor]) -> bool:
    known = all(isinstance(n, int) and n for n in (*x.shape, states[0].shape[-1]))
    plain = kind == "lstm" and x.device.type == "cpu" and x.dtype is torch.float32
    return _ONEDNN and known and plain


def onednn_lstm(
    x: Tensor, states: list[Tensor], weights: list[Tensor], reverse: bool
) -> list[Tensor]:
    if len(weights) == 2:
        weights = weights + [x.new_zeros(weights[0].shape[0])] * 2
    h, c = (state.contiguous() for state in states)
    return _lstm(x.contiguous(), weights, h, c, reverse, torch.is_grad_enabled())[:3]


def _lstm_run(
    x: Tensor, weights: Sequence[Tensor], h: Tensor, c: Tensor, reverse: bool, grad: bool
) -> list[Tensor]:
    units = h.shape[-1]
    with torch.set_grad_enabled(grad):  # oneDNN keeps something for later in this mode only
        y, h, c, reserve = torch.ops.aten.mkldnn_rnn_layer(
            x, *weights, h, c, reverse, [], _LSTM, units, 1, True, False, False, grad
        )
    return [y, h, c, x.new_empty(0, dtype=torch.uint8) if reserve is None else reserve]


_LSTM = 2  # among oneDNN's kinds


def _lstm_gradients(
    x: Tensor,
    weights: Sequence[Tensor],
    before: Sequence[Tensor],
    results: Sequence[Tensor],
    gradients: Sequence[Tensor],
    reverse: bool,
) -> list[Tensor]:
    *after, reserve = results
    gradients = [gradient.contiguous() for gradient in gradients]
    units = before[0].shape[-1]
    return list(
        torch.ops.aten.mkldnn_rnn_layer_backward(
            x, *weights, *before, *after, *gradients, reverse, _LSTM, units, 1, True, True, False,
            [], False, reserve,
        )
    )  # fmt: skip


_lstm = torch.library.custom_op("kerastorch::lstm", _lstm_run, mutates_args=())
_lstm_backward = torch.library.custom_op(
    "kerastorch::lstm_backward", _lstm_gradients, mutates_args=()
)


@functools.cache
def _reserve(steps: int, rows: int, features: int, units: int) -> int:
    """How many bytes oneDNN keeps for the backward pass: asked from it."""
    with unset_fake_temporarily(), torch.no_grad():
        x, state = torch.zeros(steps, rows, features), torch.zeros(1, rows, units)
        shapes = ((4 * units, features), (4 * units, units), (4 * units,), (4 * units,))
        weights = [torch.zeros(shape) for shape in shapes]
        return _lstm_run(x, weights, state, state, False, True)[3].numel()


@_lstm.register_fake
def _(
    x: Tensor, weights: Sequence[Tensor], h: Tensor, c: Tensor, reverse: bool, grad: bool
) -> list[Tensor]:
    units = h.shape[-1]
    size = _reserve(*x.shape, units) if grad else 0
    y = x.new_empty(*x.shape[:2], units)
    return [y, h.new_empty(h.shape), c.new_empty(c.shape), x.new_empty(size, dtype=torch.uint8)]


@_lstm_backward.register_fake
def _(
    x: Tensor,
    weights: Sequence[Tensor],
    before: Sequence[Tensor],
    results: Sequence[Tensor],
    gradients: Sequence[Tensor],
    reverse: bool,
) -> list[Tensor]:
    return [t.new_empty(t.shape) for t in (x, *weights, *before)]


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    x, weights, h, c, reverse, _ = inputs
    ctx.save_for_backward(x, *weights, h, c, *output)
    ctx.reverse = reverse


def _back(ctx: Any, gradients: list[Tensor]) -> tuple[Any, ...]:
    x, *kept = ctx.saved_tensors
    weights, before, results = kept[:4], kept[4:6], kept[6:]
    found = _lstm_backward(x, weights, before, results, list(gradients[:3]), ctx.reverse)
    return found[0], found[1:5], found[5], found[6], None, None


_lstm.register_autograd(_back, setup_context=_keep)


# -- the others: step by step ------------------------------------------------------------------------

# It is known how the state before a step changes what comes after: the backward pass of
# `kind` is ``d_before = keep * d + (rates * d) @ w_hh`` for d, the gradient of the state after the step.


def stepwise(
    kind: str, x: Tensor, states: list[Tensor], weights: list[Tensor], reverse: bool
) -> list[Tensor]:
    y, _ = _steps(kind, x.flip(0) if reverse else x, states[0][0], weights)
    return [y.flip(0) if reverse else y, y[-1:]]


def _steps_run(kind: str, x: Tensor, h: Tensor, weights: Sequence[Tensor]) -> list[Tensor]:
    if kind == "gru":
        return _gru(x, h, *weights)
    run = torch.rnn_tanh if kind == "tanh" else torch.rnn_relu
    y, _ = run(x, h.unsqueeze(0), list(weights), len(weights) == 4, 1, 0.0, False, False, False)
    return [y.contiguous(), y.new_empty(0)]


def _gru(
    x: Tensor,
    h: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> list[Tensor]:
    """States (T, B, U); both gates, the new content and the hidden part of it (T, B, 4U)."""
    units = h.shape[-1]
    inputs = F.linear(x, w_ih, b_ih)
    y = x.new_empty(*x.shape[:2], units)
    kept = x.new_empty(*x.shape[:2], 4 * units)
    for given, keeping, state in zip(inputs, kept, y, strict=True):
        gates, new, part = keeping.split([2 * units, units, units], -1)
        hidden = F.linear(h, w_hh, b_hh)
        torch.add(given[:, : 2 * units], hidden[:, : 2 * units], out=gates).sigmoid_()
        part.copy_(hidden[:, 2 * units :])
        torch.addcmul(given[:, 2 * units :], gates[:, :units], part, out=new).tanh_()
        h = torch.lerp(new, h, gates[:, units:], out=state)
    return [y, kept]


def _steps_gradients(
    kind: str,
    x: Tensor,
    h: Tensor,
    weights: Sequence[Tensor],
    y: Tensor,
    kept: Tensor,
    gradient: Tensor,
) -> list[Tensor]:
    before = torch.cat([h.unsqueeze(0), y[:-1]])
    keep: Tensor | None = None
    if kind == "gru":
        r, keep, new, part = kept.chunk(4, -1)
        through = (1 - keep) * (1 - new * new)
        shut = (before - new) * keep * (1 - keep)
        rates = torch.stack([through * part * r * (1 - r), shut, through * r], 2)
    else:
        rates = (1 - y * y if kind == "tanh" else (y > 0).to(y.dtype)).unsqueeze(2)
    hidden, ds = torch.empty_like(rates), torch.empty_like(y)
    d = torch.zeros_like(h)
    for t in reversed(range(len(y))):
        torch.add(d, gradient[t], out=ds[t])
        into = torch.mul(rates[t], ds[t].unsqueeze(1), out=hidden[t]).flatten(1)
        d = into @ weights[1] if keep is None else torch.addmm(keep[t] * ds[t], into, weights[1])
    inputs = hidden
    if kind == "gru":  # the reset gate is on the hidden part only
        inputs = torch.stack([hidden[:, :, 0], hidden[:, :, 1], through * ds], 2)
    into_x, into_h = (part.flatten(2).flatten(0, 1) for part in (inputs, hidden))
    found = [into_x.t() @ x.flatten(0, 1), into_h.t() @ before.flatten(0, 1)]
    if len(weights) == 4:
        found += [into_x.sum(0), into_h.sum(0)]
    return [(into_x @ weights[0]).view_as(x), d, *found]


_steps = torch.library.custom_op("kerastorch::steps", _steps_run, mutates_args=())
_steps_backward = torch.library.custom_op(
    "kerastorch::steps_backward", _steps_gradients, mutates_args=()
)


@_steps.register_fake
def _(kind: str, x: Tensor, h: Tensor, weights: Sequence[Tensor]) -> list[Tensor]:
    units = h.shape[-1]
    kept = (*x.shape[:2], 4 * units) if kind == "gru" else (0,)
    return [x.new_empty(*x.shape[:2], units), x.new_empty(kept)]


@_steps_backward.register_fake
def _(
    kind: str,
    x: Tensor,
    h: Tensor,
    weights: Sequence[Tensor],
    y: Tensor,
    kept: Tensor,
    gradient: Tensor,
) -> list[Tensor]:
    return [t.new_empty(t.shape) for t in (x, h, *weights)]


def _keep_steps(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    kind, x, h, weights = inputs
    ctx.save_for_backward(x, h, *weights, *output)
    ctx.kind = kind


def _steps_back(ctx: Any, gradients: list[Tensor]) -> tuple[Any, ...]:
    x, h, *weights, y, kept = ctx.saved_tensors
    found = _steps_backward(ctx.kind, x, h, weights, y, kept, gradients[0])
    return None, found[0], found[1], found[2:]


_steps.register_autograd(_steps_back, setup_context=_keep_steps)
