"""A graph's forward pass without what surrounds the calls of its layers, where that would do nothing."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import _has_any_global_hook

from kerastorch._graph import Node, mixing, symbolic_leaves
from kerastorch.layers._layer import Layer


def direct(model: Any) -> Callable[[Any], Any]:
    """A function that gives what ``model(inputs)`` gives, for as long as the model stays what it is.

    A call of a layer looks for hooks, builds, casts, chooses the mode and hands on masks: in Python,
    and longer than a small matrix product takes. What it will find can be read from the graph, and
    for most layers it comes to their `call`. The others are called as ever.
    """
    nodes = [] if not model.built else [n for n in model._calls() if n.kind == "call_module"]
    keys = {id(module): key for key, module in model._modules.items()}
    if not _is_as_recorded(model, keys, nodes):
        return model
    parts = {key: _call(module, model._compute) for key, module in model._modules.items()}
    parts |= {keys[id(node.target)]: node.target for node in nodes if not _is_plain(node)}
    parts |= {key: getattr(model, key) for _, key in model._constants}
    view = types.SimpleNamespace(**parts, _arrange=model._arrange, _input_dtype=model._input_dtype)
    forward = type(model).forward

    def call(inputs: Any) -> Any:
        try:
            return forward(view, inputs, training=None)
        except (RuntimeError, IndexError, TypeError, ValueError):
            return model(inputs)  # which says which layer it was, and why

    return call


def _is_as_recorded(model: Any, keys: dict[int, str], nodes: list[Node]) -> bool:
    """Whether a call of the model does what its graph was recorded to do, and nobody listens."""
    return (
        model.built
        and type(model).__call__ is nn.Module.__call__
        and model._code == model._recorded_code
        and all(id(node.target) in keys for node in nodes)
        and not (mixing or _has_any_global_hook() or _is_hooked(model))
    )


def _call(module: nn.Module, dtype: torch.dtype) -> Any:
    """The part of a module's call that matters for tensors of `dtype` (or integers) without masks."""
    if not isinstance(module, Layer) or _is_hooked(module):
        return module
    if hasattr(module, "_arrange"):
        return direct(module)
    kind = type(module)
    known = kind.__module__.startswith("kerastorch.") and kind._convert is Layer._convert
    known = known and "call" not in vars(module)
    if not (known and module.built) or module._mixed or module._compute is not dtype:
        return module
    if module._adds or module.activity_regularizer is not None:
        return module
    if module._takes_in_call.training is None:
        return module.call
    return functools.partial(module.call, training=module.training)


def _is_hooked(module: nn.Module) -> bool:
    hooks = (
        module._forward_hooks,
        module._forward_pre_hooks,
        module._backward_hooks,
        module._backward_pre_hooks,
        module._compiled_call_impl,
        "forward" in vars(module),
    )
    return any(hooks)


def _is_plain(node: Node) -> bool:
    """Whether a call takes and gives tensors without masks that its layer needs not cast."""
    layer = node.target
    if len(node.args) != 1 or node.kwargs or not isinstance(layer, Layer):
        return False
    return not any(t._keras_mask is not None for t in symbolic_leaves(node.outputs)) and all(
        t._keras_mask is None
        and (t.dtype is layer._compute or (layer._takes_integers and not t.dtype.is_floating_point))
        for t in node.parents
    )
