"""The operations of `keras.ops` in a graph, as the functions of torch that they are made of."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from kerastorch._graph import KerasTensor, Node, map_symbolic, reachable, record, symbolic_leaves


def expanded(model: Any) -> tuple[Any, list[Node]]:
    """Outputs and calls of a model, with none of `keras.ops` among the calls."""
    calls = model._calls()
    if not any(map(_is_operation, calls)):
        return model._outputs, calls
    found: dict[Any, KerasTensor] = {(t.node, t.path): t for t in model._flat_inputs}

    def now(tensor: KerasTensor) -> KerasTensor:
        return found[tensor.node, tensor.path]

    for node in calls:
        args, kwargs = map_symbolic(now, (node.args, node.kwargs))
        step = (
            _body(node)
            if _is_operation(node)
            else functools.partial(record, node.kind, node.target)
        )
        result = step(args, kwargs)
        before, after = symbolic_leaves(node.outputs), symbolic_leaves(result)
        if len(before) != len(after):
            raise _refusal(node)
        found.update({(t.node, t.path): new for t, new in zip(before, after, strict=True)})
    outputs = map_symbolic(now, model._outputs)
    return outputs, reachable(model._flat_inputs, outputs)


def _is_operation(node: Node) -> bool:
    return node.kind == "call_function" and hasattr(node.target, "arrays")


def _body(node: Node) -> Callable[[Any, Any], Any]:
    """What an operation does, on symbolic tensors."""

    def call(args: Any, kwargs: Any) -> Any:
        try:
            return node.target.body(args, kwargs)
        except (TypeError, ValueError, RuntimeError) as error:
            raise _refusal(node) from error

    return call


def _refusal(node: Node) -> Exception:
    return NotImplementedError(
        f"to_torch: there is no torch code for ops.{node.target.__name__} of tensors of unknown sizes. "
        "Use model.export(...), which takes every model."
    )
