"""A model as the graph that TensorBoard draws: a node for each layer and function, no tracing."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from typing import Any

from torch import nn

from kerastorch._graph import KerasTensor, symbolic_leaves


def graph_def(model: nn.Module) -> Any:
    """The ``GraphDef`` of a model.

    A model made of symbolic tensors shows its calls: inputs, layers by name, functions, with the
    shapes between them (-1 where unknown); models within it are scopes. Of any other module the
    tree of its submodules is shown. Nodes list their weights.

    >>> import kerastorch as keras
    >>> x = keras.Input((4,), name="x")
    >>> model = keras.Model(x, keras.layers.Dense(3, name="scores")(x))
    >>> [(node.name, node.op, list(node.input)) for node in graph_def(model).node]
    [('x', 'InputLayer', []), ('scores', 'Dense', ['x'])]
    """
    from tensorboard.compat.proto.graph_pb2 import GraphDef
    from tensorboard.compat.proto.versions_pb2 import VersionDef

    graph = _Graph()
    if _is_symbolic(model):
        graph.add_calls(model)
    else:
        graph.add_tree(model)
    return GraphDef(node=graph.nodes, versions=VersionDef(producer=22))


class _Graph:
    """Nodes with names of their own; the slashes in them are TensorBoard's scopes."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self._names: set[str] = set()

    def _unique(self, name: str) -> str:
        name = base = re.sub(r"[^\w./-]", "_", name)
        count = 0
        while name in self._names:
            count += 1
            name = f"{base}_{count}"
        self._names.add(name)
        return name

    def add(
        self,
        name: str,
        what: Any,
        inputs: Iterable[str] = (),
        outputs: Iterable[KerasTensor] = (),
    ) -> str:
        """A node for a module or a function; gives the name that it got."""
        from tensorboard.compat.proto.attr_value_pb2 import AttrValue
        from tensorboard.compat.proto.node_def_pb2 import NodeDef

        name = self._unique(name)
        node = NodeDef(name=name, op=_kind(what), input=inputs)
        shapes = [_shape_proto(tensor.shape) for tensor in outputs]
        if shapes:
            node.attr["_output_shapes"].CopyFrom(AttrValue(list=AttrValue.ListValue(shape=shapes)))
        if isinstance(what, nn.Module):
            for key, weight in nn.Module.named_parameters(what, recurse=False):
                text = f"{tuple(weight.shape)} {str(weight.dtype).removeprefix('torch.')}"
                node.attr[key].s = text.encode()
        self.nodes.append(node)
        return name

    def add_calls(
        self, model: Any, scope: str = "", taken: Iterable[str] | None = None
    ) -> Callable[[tuple[Any, ...]], str]:
        """The recorded calls of a model; `taken` feeds its inputs. Tells what makes an output."""
        edges: dict[tuple[Any, Any], str] = {}  # where a tensor comes from: "name" or "name:1"
        feeds = iter(taken or ())
        for tensor, layer in zip(model._flat_inputs, model._input_layers, strict=True):
            feed = next(feeds, None) or self.add(scope + layer.name, layer, (), [tensor])
            edges[tensor.node, tensor.path] = feed
        keys = {module: key for key, module in model._modules.items()}
        for node in model._calls():
            inputs = [edges[tensor.node, tensor.path] for tensor in node.parents]
            name = scope + _label(node.target, keys)
            made = symbolic_leaves(node.outputs)
            if _is_symbolic(node.target):
                source = self.add_calls(node.target, self._unique(name) + "/", inputs)
                edges |= {(node, tensor.path): source(tensor.path) for tensor in made}
                continue
            name = self.add(name, node.target, inputs, made)
            for i, tensor in enumerate(made):
                edges[node, tensor.path] = f"{name}:{i}" if i else name
            if isinstance(node.target, nn.Module):
                self.add_tree(node.target, name + "/")

        def source_of(path: tuple[Any, ...]) -> str:
            tensor = functools.reduce(lambda value, key: value[key], path, model._outputs)
            return edges[tensor.node, tensor.path]

        return source_of

    def add_tree(self, module: nn.Module, scope: str = "") -> None:
        """The modules within a module; one that only holds others is a scope."""
        for path, part in module.named_modules():
            own = next(nn.Module.named_parameters(part, recurse=False), None)
            if path and (own or next(part.children(), None) is None):
                self.add(scope + path.replace(".", "/"), part)


def _is_symbolic(model: Any) -> bool:
    """Whether a model knows its calls."""
    return "_flat_inputs" in getattr(model, "__dict__", ())


def _label(target: Any, keys: dict[Any, str]) -> str:
    if isinstance(target, nn.Module):
        return str(getattr(target, "name", None) or keys[target])
    return _kind(target).strip("_")


def _kind(what: Any) -> str:
    """The class of a module, the name of a function or method."""
    if isinstance(what, nn.Module):
        return type(what).__name__
    return str(getattr(what, "__name__", what))


def _shape_proto(shape: tuple[int | None, ...]) -> Any:
    from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto

    sizes = [-1 if size is None else size for size in shape]
    return TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in sizes])
