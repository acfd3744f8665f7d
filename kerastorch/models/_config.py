"""Functional models as plain data, and back.

A config can name layers that are registered, methods of tensors and torch's functions of tensors;
nothing else is ever called.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import nn
from torch.overrides import get_overridable_functions

from kerastorch._graph import OPERATORS, KerasTensor, Node, record
from kerastorch._registry import deserialize, serialize

#: Arguments that go by a name in `torch`.
_NAMED = (torch.dtype, torch.memory_format, torch.layout)


def to_config(model: Any) -> dict[str, Any]:
    """Layers, the calls between them, inputs and outputs of a functional model."""
    nodes = model._calls()
    keys = {module: key for key, module in model._modules.items()}
    places = {(t.node, t.path): ["input", i] for i, t in enumerate(model._flat_inputs)}
    places |= {(node, ()): ["node", i] for i, node in enumerate(nodes)}

    constants = {id(tensor): key for tensor, key in model._constants}

    def plain(value: Any) -> Any:
        """Arguments of a recorded call as JSON-like data."""
        if isinstance(value, KerasTensor):
            path: tuple[Any, ...] = value.path
            while (value.node, path) not in places:
                path = path[:-1]
            return {"tensor": places[value.node, path], "path": list(value.path[len(path) :])}
        if isinstance(value, torch.Tensor):
            return {"constant": constants[id(value)]}
        if isinstance(value, slice):
            return {"slice": [plain(value.start), plain(value.stop), plain(value.step)]}
        if value is Ellipsis:
            return {"ellipsis": True}
        if isinstance(value, _NAMED):
            return {"torch": str(value).removeprefix("torch.")}
        if isinstance(value, torch.device):
            return {"device": str(value)}
        if isinstance(value, tuple):
            return {"tuple": [plain(item) for item in value]}
        if isinstance(value, list):
            return [plain(item) for item in value]
        if isinstance(value, dict):
            return {"dict": {key: plain(item) for key, item in value.items()}}
        return serialize(value)

    return {
        "name": model.name,
        "trainable": model.trainable,
        "inputs": [serialize(layer) for layer in model._input_layers],
        "layers": {key: serialize(module) for key, module in model._modules.items()},
        "automatic_names": [
            key for key, m in model._modules.items() if getattr(m, "_auto_named", False)
        ],
        "constants": {
            key: {"value": serialize(getattr(model, key)), "trained": key in model._parameters}
            for key in constants.values()
        },
        "calls": [
            {
                "op": node.kind,
                "target": keys[node.target] if node.kind == "call_module" else _name(node),
                "args": plain(list(node.args)),
                "kwargs": plain(dict(node.kwargs)),
            }
            for node in nodes
        ],
        "input_structure": plain(model._inputs),
        "outputs": plain(model._outputs),
        "ends": plain(model._ends),
    }


def from_config(cls: Any, config: dict[str, Any]) -> Any:
    """A model of class `cls` with fresh weights from what `to_config` gave."""
    sources = [deserialize(layer).output for layer in config["inputs"]]
    modules = {key: deserialize(layer) for key, layer in config["layers"].items()}
    for key in config.get("automatic_names", ()):
        modules[key]._auto_named = True
    constants = {}
    for key, item in config.get("constants", {}).items():
        value = deserialize(item["value"])
        constants[key] = nn.Parameter(value) if item["trained"] else value
    results: list[Any] = []

    def revive(value: Any) -> Any:
        """The inverse of `plain`."""
        if isinstance(value, list):
            return [revive(item) for item in value]
        if not isinstance(value, dict):
            return value
        if "tensor" in value:
            kind, index = value["tensor"]
            found = sources[index] if kind == "input" else results[index]
            for step in value.get("path", ()):
                found = found[step]
            return found
        if "constant" in value:
            return constants[value["constant"]]
        if "slice" in value:
            return slice(*map(revive, value["slice"]))
        if "ellipsis" in value:
            return Ellipsis
        if "torch" in value and isinstance(getattr(torch, value["torch"], None), _NAMED):
            return getattr(torch, value["torch"])
        if "device" in value:
            return torch.device(value["device"])
        if "tuple" in value:
            return tuple(map(revive, value["tuple"]))
        if "dict" in value:
            return {key: revive(item) for key, item in value["dict"].items()}
        return deserialize(value)

    for call in config["calls"]:
        args, kwargs = revive(call["args"]), revive(call["kwargs"])
        results.append(_call(call["op"], call["target"], modules, args, kwargs))
    model = cls(revive(config["input_structure"]), revive(config["outputs"]), name=config["name"])
    for end in config.get("ends", ()):
        model._extend(revive(end))
    if not config.get("trainable", True):
        model.trainable = False
    return model


# -- what may be called ------------------------------------------------------------------------------


@functools.cache
def _functions() -> dict[str, Any]:
    """The functions that a config may name, by their public names: those that take tensors."""
    spaces = (torch, nn.functional, torch.linalg, torch.fft, torch.special)
    overridable = get_overridable_functions()
    known = {id(f) for space in (*spaces, torch.functional) for f in overridable[space]}
    found = {f"operator.{function.__name__}": function for function in OPERATORS}
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


def _call(op: str, target: str, modules: dict[str, Any], args: Any, kwargs: Any) -> Any:
    """A recorded call again."""
    if op == "call_module" and target in modules:
        return modules[target](*args, **kwargs)
    if op == "call_function" and target in _functions():
        return _functions()[target](*args, **kwargs)
    if args and isinstance(args[0], (torch.Tensor, KerasTensor)):
        if op == "call_method" and _is_member(target):
            return record(op, target, args, kwargs)
        if op == "call_function" and target == "getattr" and _is_member(*args[1:2]):
            return record(op, getattr, args[:2])
    raise ValueError(
        f"The config has a {op} of {target!r}, which is no layer of the model and no function or "
        "method of tensors. Nothing else is called."
    )


def _is_member(name: Any = None) -> bool:
    """Whether `name` is a public method or attribute of tensors."""
    return isinstance(name, str) and not name.startswith("_") and hasattr(torch.Tensor, name)
