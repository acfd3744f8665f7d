"""Where the values of a model stand in a file: the paths that Keras gives them.

The layers of a functional model are ``layers/dense``, ``layers/dense_1``, counted by class; any other
module goes by its attribute, items of a list or dict by their class. ``vars/0``, ``vars/1``, ... below
are a module's own weights. A module that is reached twice is listed once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import torch
from torch import nn

from kerastorch._module import _Holder, not_weights
from kerastorch._registry import snake_case

_PROJECTIONS = ("query_dense", "key_dense", "value_dense", "gate_dense", "output_dense")
#: Attributes, and the class itself (""), that Keras calls otherwise.
_IN_KERAS: dict[str, dict[str, str]] = {
    "MultiHeadAttention": {"gate_dense": "_gate_dense"},
    "GroupQueryAttention": {
        "": "grouped_query_attention",
        **{name: f"_{name}" for name in _PROJECTIONS},
    },
}
#: Methods that give a weight of a layer inside which Keras also counts among the layer's own.
_ALSO_OWN = {"SpectralNormalization": "_kernel"}
#: Where values of an optimizer stand that Keras's optimizers do not have.
OPTIMIZER_ASIDE = "optimizer/kerastorch"


class Entry(NamedTuple):
    """A module, optimizer or metric, its path, and its own values; None if it reads and writes itself."""

    path: str
    owner: Any
    values: list[torch.Tensor] | None


def entries(model: Any, optimizer: Any = None, skip: Iterable[Any] = ()) -> list[Entry]:
    """Everything of a model that goes into a file, in Keras's order, without the modules in `skip`."""
    found = list(_walk(model, "", set(map(id, skip))))
    if optimizer is not None:
        found.append(Entry("optimizer", optimizer, None))
    return found


def _walk(module: nn.Module, path: str, seen: set[int]) -> Iterator[Entry]:
    if id(module) in seen:
        return
    seen.add(id(module))
    own_way = getattr(type(module), "save_own_variables", None)
    plain = own_way is None or getattr(own_way, "_plain", False)
    yield Entry(path, module, own_values(module) if plain else None)
    for name, child in _children(module):
        inner = f"{path}/{name}" if path else name
        if isinstance(child, nn.Module) and not _is_container(child):
            yield from _walk(child, inner, seen)
        else:
            yield from _walk_container(child, inner, seen)


def _walk_container(items: Any, path: str, seen: set[int]) -> Iterator[Entry]:
    counts: dict[str, int] = {}
    for item in _items(items):
        nested = _is_container(item)
        if not nested and not isinstance(item, nn.Module):
            continue
        name = "container" if nested else _class_name(item)
        count = counts[name] = counts.get(name, -1) + 1
        inner = f"{path}/{name}_{count}" if count else f"{path}/{name}"
        yield from (_walk_container if nested else _walk)(item, inner, seen)


def _class_name(item: Any) -> str:
    name = type(item).__name__
    return _IN_KERAS.get(name, {}).get("") or snake_case(name)


def _children(module: nn.Module) -> list[tuple[str, Any]]:
    """Names and modules or containers by name, private attributes last. ``layers`` of a model are all
    of its layers; of a graph they come first."""
    first = getattr(module, "_layers_first", None)  # None: no model
    named = {key: child for key, child in module._modules.items() if child is not None}
    if first:
        layers: Any = module.layers
        held = {id(layer) for layer in layers}
        named = {key: child for key, child in named.items() if id(child) not in held}
    names = _IN_KERAS.get(type(module).__name__, {})
    found: list[tuple[str, Any]] = [(names.get(key, key), c) for key, c in named.items()]
    if first is False:
        found.append(("layers", _by_age(found)))
    found.sort(key=lambda pair: f"~{pair[0]}" if pair[0].startswith("_") else pair[0])
    return [("layers", layers), *found] if first else found


def _by_age(found: list[tuple[str, Any]]) -> list[nn.Module]:
    """Layers in the order in which they became part of a model: attributes in theirs, and between
    them what was put into lists later."""
    aged: list[tuple[int, nn.Module]] = []
    now = -1  # when the last attribute was set

    def add(item: Any, since: int) -> int:
        if _is_container(item):
            for inner in _items(item):
                since = add(inner, since)
        elif isinstance(item, nn.Module):
            since = max(since, getattr(item, "_birth", since))
            aged.append((since, item))
        return since

    for _, child in found:
        at = add(child, now)
        now = now if _is_container(child) else at
    return list(dict.fromkeys(layer for _, layer in sorted(aged, key=lambda pair: pair[0])))


def _is_container(value: Any) -> bool:
    return isinstance(value, (list, tuple, dict, nn.ModuleList, nn.ModuleDict, _Holder))


def _items(container: Any) -> Iterable[Any]:
    if isinstance(container, _Holder):
        container = container.items
    return container.values() if isinstance(container, (dict, nn.ModuleDict)) else container


def own_values(module: nn.Module) -> list[torch.Tensor]:
    """The weights of a module without those of the modules inside: parameters, then buffers."""
    holders = [m for m in module._modules.values() if isinstance(m, _Holder)]
    found: dict[int, torch.Tensor] = {}
    if also := _ALSO_OWN.get(type(module).__name__):
        weight = getattr(module, also)()
        found[id(weight)] = weight
    places = [module, *(inner for holder in holders for inner in holder.modules())]
    places = [place for place in places if place is module or isinstance(place, _Holder)]
    for table in ("_parameters", "_buffers"):
        for place in places:
            others = not_weights(place)
            for name, tensor in getattr(place, table).items():
                if tensor is not None and name not in others:
                    found[id(tensor)] = tensor
    return list(found.values())
