"""Functional models as plain data, in Keras's format, and back.

A config lists the layers, each with its calls, whose symbolic arguments are named by layer, call and
place among the results. A torch function or tensor method between layers is an entry of the module
"torch"; those that Keras has as operations of the same meaning are written as such. A config can name
registered layers, methods of tensors and torch's functions of tensors; nothing else is ever called.
"""

from __future__ import annotations

import functools
import operator
from collections import Counter
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.overrides import get_overridable_functions
from torch.utils import _pytree as pytree

from kerastorch._graph import (
    OPERATORS,
    KerasTensor,
    Node,
    map_symbolic,
    record,
    sorted_leaves,
    symbolic_leaves,
)
from kerastorch._registry import deserialize, serialize
from kerastorch.config import _dtype_name
from kerastorch.layers._layer import Layer
from kerastorch.models._operations import arguments, by_name, described, find, placed

#: Arguments that go by a name in `torch`.
_NAMED = (torch.dtype, torch.memory_format, torch.layout)

# -- writing ---------------------------------------------------------------------------------------


def layer_entry(layer: Any) -> dict[str, Any]:
    """One layer of a model, with a word on whether its name was given or made."""
    entry: dict[str, Any] = serialize(layer)
    return {**entry, "auto_named": True} if getattr(layer, "_auto_named", False) else entry


def to_config(model: Any) -> dict[str, Any]:
    """Layers, the calls between them, inputs and outputs of a functional model."""
    nodes = _explicit_calls(model)
    layers = {
        **dict(zip(model._input_layers, model._input_layers, strict=True)),
        **{module: module for module in (*model._ordered, *model._modules.values())},
    }
    names = _names_in(model, layers)
    constants = {id(tensor): key for tensor, key in model._constants}
    uses = Counter(id(leaf) for node in nodes for leaf in _tensors((node.args, node.kwargs)))
    shared: set[str] = set()  # those that stand beside the calls
    entries: dict[Any, list[Any]] = {layer: [] for layer in layers}  # the calls of each layer
    functions: list[dict[str, Any]] = []
    places: dict[Any, tuple[str, int]] = {
        (t.node, t.path): (names[layer], 0)
        for t, layer in zip(model._flat_inputs, model._input_layers, strict=True)
    }

    def history(tensor: KerasTensor) -> list[Any]:
        """Layer, call and place of a symbolic tensor."""
        if (tensor.node, tensor.path) in places:
            return [*places[tensor.node, tensor.path], 0]
        paths = [leaf.path for leaf in sorted_leaves(tensor.node.outputs)]
        return [*places[tensor.node, ()], paths.index(tensor.path)]

    def plain(value: Any) -> Any:
        """Arguments of a recorded call as JSON-like data."""
        if isinstance(value, KerasTensor):
            dtype = _dtype_name(value.dtype)
            config = {"shape": value.shape, "dtype": dtype, "keras_history": history(value)}
            return {"class_name": "__keras_tensor__", "config": config}
        if isinstance(value, torch.Tensor):
            key = constants[id(value)]
            shared.add(key)
            return {"class_name": "__constant__", "config": key}
        if isinstance(value, slice):
            parts = {key: plain(getattr(value, key)) for key in ("start", "stop", "step")}
            return {"class_name": "__slice__", "config": parts}
        if isinstance(value, _NAMED):
            return {"class_name": "__torch__", "config": str(value).removeprefix("torch.")}
        if isinstance(value, torch.device):
            return {"class_name": "__device__", "config": str(value)}
        if isinstance(value, tuple):
            return {"class_name": "__tuple__", "config": [plain(item) for item in value]}
        if isinstance(value, list):
            return [plain(item) for item in value]
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        return serialize(value)

    def argument(value: Any) -> Any:
        """The same for a tensor of an operation: Keras has constants in the place where they are used."""
        if not isinstance(value, torch.Tensor) or isinstance(value, nn.Parameter):
            return plain(value)
        return (
            serialize(getattr(model, constants[id(value)]))
            if uses[id(value)] == 1
            else plain(value)
        )

    for node in nodes:
        if node.kind == "call_module":
            call = {"args": [plain(arg) for arg in node.args], "kwargs": plain(_explicit(node))}
            if "training" in node.kwargs:
                call["explicit"] = ["training"]
            calls = entries[node.target]
            places[node, ()] = (names[node.target], len(calls))
            calls.append(call)
        else:
            entry = _operation_entry(node, argument) or _function_entry(node, plain)
            base = entry["config"]["name"]
            name = next(n for n in _numbered(base) if n not in names.values())
            names[node] = entry["config"]["name"] = entry["name"] = name
            places[node, ()] = (name, 0)
            functions.append(entry)
    config = {
        "name": model.name,
        "trainable": model._trainable,
        "layers": [
            {**layer_entry(layer), "name": names[layer], "inbound_nodes": calls}
            for layer, calls in entries.items()
        ]
        + functions,
        "input_layers": map_symbolic(lambda t: [*places[t.node, t.path], 0], model._inputs),
        "output_layers": map_symbolic(history, model._outputs),
    }
    if shared:
        config["constants"] = {
            key: {"value": serialize(getattr(model, key)), "trained": key in model._parameters}
            for key in constants.values()
            if key in shared
        }
    if model._ends:
        config["ends"] = [history(end) for end in model._ends]
    return config


def _tensors(value: Any) -> list[torch.Tensor]:
    """The constants among the arguments of a call."""
    return [leaf for leaf in pytree.tree_leaves(value) if isinstance(leaf, torch.Tensor)]


def _explicit(node: Node) -> dict[str, Any]:
    """The keyword arguments of a call without a mask that the layer finds by itself."""
    kwargs = dict(node.kwargs)
    if node.kind == "call_module" and kwargs.get("mask") is not None and node.args:
        found = map_symbolic(lambda t: t._keras_mask, node.args[0])
        if _same(found, kwargs["mask"]):
            del kwargs["mask"]
    return kwargs


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(_same, a, b))
    return a is b


def _explicit_calls(model: Any) -> list[Node]:
    """The calls that outputs and ends need, those that only make implicit masks left out.

    Each stands after those that it takes from, in the order of outputs and arguments, which a model
    from a file has too, whatever the order in which its calls were made.
    """
    inputs = {(t.node, t.path) for t in model._flat_inputs}
    found: dict[Node, None] = {}
    waiting = symbolic_leaves((model._outputs, model._ends))[::-1]
    while waiting:
        node, path = waiting[-1].node, waiting[-1].path
        if node in found or (node, path) in inputs:
            waiting.pop()
            continue
        takes = symbolic_leaves((node.args, _explicit(node)))
        before = [t for t in takes if t.node not in found and (t.node, t.path) not in inputs]
        waiting += before[::-1]
        if not before:
            found[node] = None
    return list(found)


def _names_in(model: Any, layers: Any) -> dict[Any, str]:
    """A name for each layer: its own, unless another has it."""
    keys = {module: key for key, module in model._modules.items()}
    names: dict[Any, str] = {}
    for layer in layers:
        base = layer.name if isinstance(layer, Layer) else keys[layer]
        names[layer] = next(n for n in _numbered(base) if n not in names.values())
    return names


def _numbered(base: str) -> Iterator[str]:
    yield base
    count = 0
    while True:
        count += 1
        yield f"{base}_{count}"


def _operation_entry(node: Node, plain: Any) -> dict[str, Any] | None:
    """A call of what Keras has as an operation, as Keras writes it; None for another."""
    index = node.target is operator.getitem
    if node.kind != "call_function" or (index and not _is_basic(node.args[1])):
        return None
    found = described(node.target, node.args, node.kwargs)
    if found is None:
        return None
    module, cls, tensors, options = found
    base = getattr(node.target, "__name__", cls).strip("_")
    named = tensors.pop() if tensors and isinstance(tensors[-1], dict) else {}
    args = [plain(tensor) for tensor in tensors]
    if index:
        args[1] = args[1]["config"] if isinstance(node.args[1], tuple) else [args[1]]
    return _entry(module, cls, {"name": base, **options}, {"args": args, "kwargs": plain(named)})


def _function_entry(node: Node, plain: Any) -> dict[str, Any]:
    """A call of a torch function or of a method of tensors."""
    target = _name(node)
    base = target.rpartition(".")[2].strip("_")
    call = {"args": [plain(arg) for arg in node.args], "kwargs": plain(dict(node.kwargs))}
    return _entry("torch", node.kind, {"name": base, "target": target}, call)


def _entry(module: str, cls: str, config: dict[str, Any], call: dict[str, Any]) -> dict[str, Any]:
    return {
        "module": module,
        "class_name": cls,
        "config": config,
        "registered_name": cls,
        "inbound_nodes": [call],
    }


def _is_basic(key: Any) -> bool:
    """Whether an index is made of numbers, slices, None and Ellipsis, as Keras takes it."""
    keys = key if isinstance(key, tuple) else (key,)
    return not symbolic_leaves(keys) and all(
        type(k) in (int, slice, type(None), type(Ellipsis)) for k in keys
    )


# -- reading ---------------------------------------------------------------------------------------


def layer_from(entry: dict[str, Any]) -> Any:
    """The inverse of `layer_entry`."""
    layer = deserialize(entry)
    if entry.get("auto_named") and isinstance(layer, Layer):
        layer._auto_named = True
    return layer


def from_config(cls: Any, config: dict[str, Any]) -> Any:
    """A model of class `cls` with fresh weights from what `to_config`, or Keras, gave."""
    entries = {entry["name"]: entry for entry in config["layers"]}
    if len(entries) < len(config["layers"]):
        raise ValueError("The config has two layers of one name.")
    needed = _needed(entries, config)
    constants = {}
    for key, item in config.get("constants", {}).items():
        value = deserialize(item["value"])
        constants[key] = nn.Parameter(value) if item["trained"] else value
    targets = {name: _target(entry) for name, entry in entries.items() if name in needed}
    results: dict[str, list[Any]] = {
        name: [target.output] if _is_input(entries[name]) else []
        for name, target in targets.items()
    }

    def tensor(history: list[Any]) -> Any:
        name, call, place = history
        return sorted_leaves(results[name][call])[place]

    def revive(value: Any) -> Any:
        """The inverse of `plain`."""
        if isinstance(value, list):
            return [revive(item) for item in value]
        if not isinstance(value, dict):
            return value
        if "class_name" not in value or "config" not in value:
            return {key: revive(item) for key, item in value.items()}
        kind, content = value["class_name"], value["config"]
        if kind == "__keras_tensor__":
            return tensor(content["keras_history"])
        if kind == "__constant__":
            return constants[content]
        if kind == "__slice__":
            return slice(*(revive(content[key]) for key in ("start", "stop", "step")))
        if kind == "__torch__" and isinstance(getattr(torch, content, None), _NAMED):
            return getattr(torch, content)
        if kind == "__device__":
            return torch.device(content)
        if kind == "__tuple__":
            return tuple(map(revive, content))
        return deserialize(value)

    for name, call in _in_order(entries, targets):
        args, kwargs = revive(call["args"]), revive(call["kwargs"])
        # Keras writes `training` where it was not given, and lets the mode of the model go before it.
        if isinstance(targets[name], nn.Module) and call.get("explicit") != ["training"]:
            kwargs.pop("training", None)
        if not all(map(str.isidentifier, kwargs)):  # they become part of the model's code
            raise ValueError(f"The config has a call with arguments called {list(kwargs)}.")
        results[name].append(_call(entries[name], targets[name], args, kwargs))
    model = cls(
        _structure(config["input_layers"], tensor),
        _structure(config["output_layers"], tensor),
        name=config.get("name"),
    )
    for end in config.get("ends", ()):
        model._extend(tensor(end))
    if not config.get("trainable", True):
        model.trainable = False
    return model


def _is_input(entry: dict[str, Any]) -> bool:
    return bool(entry["class_name"] == "InputLayer")


def _histories(value: Any) -> list[list[Any]]:
    """The histories of the symbolic tensors in the arguments of a call."""
    if isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__":
            return [value["config"]["keras_history"]]
        value = list(value.values())
    return [h for item in value for h in _histories(item)] if isinstance(value, list) else []


def _is_history(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == 3 and isinstance(value[0], str)


def _structure(value: Any, tensor: Any) -> Any:
    """Inputs or outputs: histories, or lists and dicts of them. One in a list stands for itself."""
    if _is_history(value):
        return tensor(value)
    if isinstance(value, dict):
        return {key: _structure(item, tensor) for key, item in value.items()}
    return [_structure(item, tensor) for item in value]


def _ends_of(config: dict[str, Any]) -> list[list[Any]]:
    found: list[list[Any]] = []
    for key in ("input_layers", "output_layers"):
        _structure(config[key], found.append)
    return found + list(config.get("ends", ()))


def _needed(entries: dict[str, Any], config: dict[str, Any]) -> set[str]:
    """The names of the layers that inputs and outputs depend on. Nothing else is made or called."""
    needed: set[str] = set()
    waiting = [history[0] for history in _ends_of(config)]
    while waiting:
        name = waiting.pop()
        if name in needed:
            continue
        if name not in entries:
            raise ValueError(f"The config names a layer {name!r} that it does not have.")
        needed.add(name)
        waiting += [
            h[0] for call in entries[name]["inbound_nodes"] for h in _histories(_parts(call))
        ]
    return needed


def _parts(call: Any) -> list[Any]:
    if not isinstance(call, dict) or "args" not in call:
        raise ValueError(
            "The config describes calls in the form of Keras 2, which is not supported."
        )
    return [call["args"], call.get("kwargs", {})]


def _in_order(
    entries: dict[str, Any], targets: dict[str, Any]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The calls, each after those that it needs, the calls of one layer in their order."""
    waiting = {name: list(entries[name]["inbound_nodes"]) for name in targets}
    done = {name: 1 if _is_input(entries[name]) else 0 for name in targets}
    while any(waiting.values()):
        progress = False
        for name, calls in waiting.items():
            while calls and all(h[1] < done[h[0]] for h in _histories(_parts(calls[0]))):
                yield name, {"kwargs": {}, **calls.pop(0)}
                done[name] += 1
                progress = True
        if not progress:
            stuck = [name for name, calls in waiting.items() if calls]
            raise ValueError(f"The config has calls in a circle, or of nothing: layers {stuck}.")


def _target(entry: dict[str, Any]) -> Any:
    """What an entry calls: a layer, or the function or method of a function entry."""
    module, cls = str(entry.get("module")), entry["class_name"]
    if module == "torch":
        return entry["config"]["target"]
    if module.startswith("keras.src.ops."):
        found = find(module, cls)
        if found is None:
            raise ValueError(f"The operation {cls!r} of Keras ({module}) is not known here.")
        return found
    return layer_from(entry)


def _call(entry: dict[str, Any], target: Any, args: Any, kwargs: Any) -> Any:
    """A recorded call again."""
    if isinstance(target, nn.Module):
        if kwargs.get("mask", 0) is None:  # Keras writes what was not given
            del kwargs["mask"]
        return target(*args, **kwargs)
    symbols = symbolic_leaves((args, kwargs))
    if not symbols:  # it would run now, on sizes that the file chooses
        raise ValueError(
            f"The config has a call of {target!r} that takes no symbolic tensor. "
            "Nothing else is called."
        )
    if not isinstance(target, str):
        if target is operator.getitem and isinstance(args[1], list):
            args[1] = tuple(args[1])
        kwargs = {**kwargs, **arguments(target, entry["config"])}
        args, kwargs = placed(target, args, kwargs)
    if _base_of(target) in _CUTTING:
        sizes = [n or 0 for t in symbols for n in t.shape]
        if any(n > _MOST for n in [*sizes, *_integers([args, kwargs])]):
            raise ValueError(f"The config has a call of {target!r} with too many results.")
    if not isinstance(target, str):
        return target(*args, **kwargs)
    kind = entry["class_name"]
    if kind == "call_function" and target in _functions():
        return _functions()[target](*args, **kwargs)
    if args and isinstance(args[0], (torch.Tensor, KerasTensor)):
        if kind == "call_method" and _is_member(target):
            return record(kind, target, args, kwargs)
        if kind == "call_function" and target == "getattr" and _is_member(*args[1:2]):
            return record(kind, getattr, args[:2])
    raise ValueError(
        f"The config has a {kind} of {target!r}, which is no function or method of tensors. "
        "Nothing else is called."
    )


# -- what may be called ------------------------------------------------------------------------------


@functools.cache
def _functions() -> dict[str, Any]:
    """The functions that a config may name, by their public names: those that take tensors."""
    spaces = (torch, nn.functional, torch.linalg, torch.fft, torch.special)
    overridable = get_overridable_functions()
    known = {id(f) for space in (*spaces, torch.functional) for f in overridable[space]}
    found = {f"operator.{function.__name__}": function for function in OPERATORS} | by_name()
    for space in spaces:
        for name, function in vars(space).items():
            if (id(function) in known or name in _FURTHER) and not isinstance(function, type):
                found[f"{space.__name__}.{name}"] = function
    return found


#: They take tensors or symbolic sizes, but are not among the functions that torch calls overridable.
_FURTHER = (
    "arange", "empty", "eye", "full", "hardsigmoid", "hardswish", "linspace", "logspace", "ones",
    "rand", "rand_like", "randint", "randint_like", "randn", "randn_like", "randperm", "zeros",
)  # fmt: skip


@functools.cache
def _names() -> dict[int, str]:
    """The first name of each of these functions, by id."""
    return {id(function): name for name, function in reversed(_functions().items())}


def _name(node: Node) -> str:
    """The name under which `_call` finds what a node calls."""
    if node.kind == "call_method":
        return str(node.target)
    name = "getattr" if node.target is getattr else _names().get(id(node.target))
    if name is None:
        raise TypeError(
            f"{node.target!r} cannot be part of a config, which names torch's functions of tensors "
            "only. Put the call into a Layer and register it."
        )
    return name


def _is_member(name: Any = None) -> bool:
    """Whether `name` is a public method or attribute of tensors, and none that works in place."""
    return isinstance(name, str) and name == name.strip("_") and hasattr(torch.Tensor, name)


#: Functions with as many results as an axis is long or as they are asked for, and how many those may be.
_CUTTING = ("unbind", "split", "chunk", "tensor_split", "hsplit", "vsplit", "dsplit", "array_split",
            "unstack", "split_with_sizes", "unsafe_chunk", "unsafe_split",
            "unsafe_split_with_sizes")  # fmt: skip
_MOST = 2**16


def _integers(value: Any) -> Iterator[int]:
    """All integers in the arguments of a call."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from _integers(item)
    elif isinstance(value, int):
        yield value


def _base_of(target: Any) -> str:
    return str(getattr(target, "__name__", target)).rpartition(".")[2]
