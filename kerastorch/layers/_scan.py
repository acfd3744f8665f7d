"""A recurrence over time: torch's kernels where there is one, else a loop of steps.

Axes: B batch, T time, D features, U units. A kernel takes ``states`` of shape (directions, B, U) and
``weights`` in torch's order, ``[w_ih, w_hh]`` or ``[w_ih, w_hh, b_ih, b_hh]`` for each direction.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import unset_fake_temporarily
from torch.utils import _pytree as pytree

from kerastorch._graph import _running
from kerastorch.layers._base import check_rank
from kerastorch.ops._op import in_compiled_graph

_KERNELS: dict[str, Callable[..., Any]] = {
    "lstm": torch.lstm,
    "gru": torch.gru,
    "tanh": torch.rnn_tanh,
    "relu": torch.rnn_relu,
}
#: Added to a gate, it is open (or, subtracted, shut) to the last bit; float16 ends at 65504.
_SATURATED = 1e4


class Scanned(NamedTuple):
    """What a recurrence gives."""

    last: Tensor  # (B, U): the output of the last step
    outputs: Tensor | None  # (B, T, U), where they were asked for
    states: Any


# -- kernels ---------------------------------------------------------------------------------------


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
    elif _is_onednn(kind, x, states):
        y, *last = _onednn_lstm(x, states, weights, both)
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


# On the CPU an LSTM is oneDNN's. There the operator can keep what its backward pass needs, as torch
# itself does, and nothing is run twice.


_ONEDNN: bool = torch.backends.mkldnn.is_available()


def _is_onednn(kind: str, x: Tensor, states: Sequence[Tensor]) -> bool:
    known = all(isinstance(n, int) and n for n in (*x.shape, states[0].shape[-1]))
    plain = kind == "lstm" and x.device.type == "cpu" and x.dtype is torch.float32
    return _ONEDNN and known and plain


def _onednn_lstm(
    x: Tensor, states: Sequence[Tensor], weights: Sequence[Tensor], both: bool
) -> list[Tensor]:
    directions = 2 if both else 1
    each = len(weights) // directions
    grad = torch.is_grad_enabled()
    found = []
    for d in range(directions):
        own = list(weights[d * each : (d + 1) * each])
        if each == 2:
            own += [x.new_zeros(own[0].shape[0])] * 2
        at = slice(d, d + 1)
        h, c = states[0][at].contiguous(), states[1][at].contiguous()
        found.append(_lstm(x.contiguous(), own, h, c, d == 1, grad)[:3])
    if not both:
        return list(found[0])
    return [torch.cat(pair, -1 if i == 0 else 0) for i, pair in enumerate(zip(*found, strict=True))]


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


# A graph's backward pass computes copies of inputs anew, also where the graph has changed the input
# since: wrong gradients. An operator of our own is not computed anew.


def _clone(state: Tensor) -> Tensor:
    return state.clone()


_cloned = torch.library.custom_op("kerastorch::state", _clone, mutates_args=())
_cloned.register_fake(_clone)


def copied(state: Tensor, dtype: torch.dtype) -> Tensor:
    """A copy of a state that is about to change in place."""
    return _cloned(state).to(dtype) if in_compiled_graph() else state.to(dtype, copy=True)


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
