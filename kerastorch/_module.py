"""`nn.Module` plus what Keras objects need of it: recorded configs, variables, tracked containers."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from kerastorch._registry import Recorded
from kerastorch._variable import Variable, moved


class Module(Recorded, nn.Module):
    """Base of layers, models and metrics.

    - `_track` registers a variable at once, under its name; the attribute that it is assigned to
      becomes its key.
    - A list or dict of modules becomes an `nn.ModuleList` or `nn.ModuleDict`; modules and parameters
      in a tuple or a mixed or nested container are tracked in place, also when it changes later.
    - ``.to`` and its kin leave variables what they are.
    """

    def _track(self, variable: Variable) -> None:
        key = base = variable.name.replace(".", "_").replace("/", "_")
        count = 0
        while hasattr(self, key):
            count += 1
            key = f"{base}_{count}"
        nn.Module.__setattr__(self, key, variable)
        self.__dict__.setdefault("_unclaimed", set()).add(key)

    def _claim(self, variable: Variable) -> None:
        unclaimed: set[str] = self.__dict__.get("_unclaimed", set())
        for table in (self._parameters, self._buffers):
            for key in unclaimed & table.keys():
                if table[key] is variable:
                    unclaimed.discard(key)
                    del table[key]
                    return

    def __setattr__(self, name: str, value: Any) -> None:
        holders: dict[str, _Holder] = self.__dict__.get("_holders", {})
        if name in holders:
            holders.pop(name).release()
        if isinstance(value, Variable) and "_parameters" in self.__dict__:
            self._claim(value)
        promoted = _promoted(value)
        if promoted is not None:
            super().__setattr__(name, promoted)
        elif name != "__dict__" and _has_modules(value, or_may_get=True):
            self._hold(name, value)
        else:
            super().__setattr__(name, value)
        if isinstance(value, nn.Module):
            for holder in list(holders.values()):
                holder.sync()

    def _hold(self, name: str, value: Any) -> None:
        """Keep a container that is empty, or not of modules alone, as it is, and track what is in it."""
        if isinstance(getattr(type(self), name, None), property) or "_modules" not in self.__dict__:
            if _has_modules(value):
                raise AttributeError(
                    f"{type(self).__name__}.{name} holds layers: call super().__init__() first."
                )
            super().__setattr__(name, value)
            return
        self._modules.pop(name, None)
        holder = _Holder(self, name)
        self.__dict__.setdefault("_holders", {})[name] = holder
        self.__dict__[name] = holder.__dict__["items"] = _tracked(value, holder.sync)
        holder.sync()

    def __delattr__(self, name: str) -> None:
        holders: dict[str, _Holder] = self.__dict__.get("_holders", {})
        if name in holders:
            holders.pop(name).release()
        else:
            super().__delattr__(name)

    def get_submodule(self, target: str) -> nn.Module:
        """As for any module, also through containers."""
        module: nn.Module = self
        for part in filter(None, target.split(".")):
            found = module._modules.get(part)
            if found is None:
                raise AttributeError(f"{type(module).__name__} has no submodule {part!r}.")
            module = found
        return module

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Module:
        _convert(self, fn, recurse)
        return self


def _convert(module: nn.Module, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool) -> None:
    """`nn.Module._apply`, after which variables are what they were."""
    tables: list[dict[str, Any]] = [module._parameters, module._buffers]
    before = [dict(table) for table in tables]
    nn.Module._apply(module, fn, recurse)
    for table, old in zip(tables, before, strict=True):
        for key, variable in old.items():
            if isinstance(variable, Variable):
                table[key] = moved(variable, table[key])


class _Holder(nn.Module):
    """The modules, parameters and buffers of a plain container, under their index or key."""

    owner: Module
    name: str
    items: Any
    promoted: nn.ModuleList | None

    def __init__(self, owner: Module, name: str, items: Any = ()) -> None:
        super().__init__()
        self.__dict__.update(owner=owner, name=name, items=items, promoted=None)

    def sync(self) -> None:
        """Follow a change of the container."""
        if self.promoted is not None:
            self.promoted.extend(m for m in self.items if m not in self.promoted)
            return
        _tracked(self.items, self.sync)
        promoted = _promoted(self.items)
        if promoted is not None:  # an empty list that has got its first layer
            self.release()
            self.owner.__dict__["_holders"].pop(self.name)
            self.owner._modules[self.name] = promoted
            self.__dict__["promoted"] = promoted if isinstance(promoted, nn.ModuleList) else None
            return
        self.fill()
        if self._modules or self._parameters or self._buffers:
            self.owner._modules[self.name] = self
        else:
            self.owner._modules.pop(self.name, None)

    def release(self) -> None:
        """Let go of the attribute."""
        self.owner.__dict__.pop(self.name, None)
        self.owner._modules.pop(self.name, None)

    def fill(self) -> None:
        tables: list[tuple[type, dict[str, Any], dict[str, Any]]] = [
            (nn.Module, self._modules, self.owner._modules),
            (nn.Parameter, self._parameters, self.owner._parameters),
            (nn.Buffer, self._buffers, self.owner._buffers),
        ]
        for _, own, _ in tables:
            own.clear()
        for _, key, item in _entries(self.items):
            for kind, own, elsewhere in tables:
                if isinstance(item, kind) and not any(
                    item is known for known in elsewhere.values()
                ):
                    own[key] = item
            if isinstance(item, (list, tuple, dict)) and _has_modules(item):
                inner = _Holder(self.owner, key, item)
                inner.fill()
                self._modules[key] = inner

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Any:
        _convert(self, fn, recurse)
        tensors = {**self._parameters, **self._buffers}
        for at, key, item in _entries(self.items):
            if key in tensors and tensors[key] is not item and not isinstance(self.items, tuple):
                _set(self.items, at, tensors[key])
        return self


class _ModuleList(nn.ModuleList):
    def pop(self, key: Any = -1) -> nn.Module:
        return super().pop(key)


class _ModuleDict(nn.ModuleDict):
    def get(self, key: str, default: Any = None) -> Any:
        return super().__getitem__(key) if key in self else default


def _promoted(value: Any) -> nn.Module | None:
    """A list or dict of modules alone as torch's own container; None for anything else."""
    if type(value) in (list, _TrackedList) and value:
        return _ModuleList(value) if all(isinstance(m, nn.Module) for m in value) else None
    if type(value) in (dict, _TrackedDict) and value:
        named = all(isinstance(k, str) and k and "." not in k for k in value)
        modules = all(isinstance(m, nn.Module) for m in value.values())
        return _ModuleDict(value) if named and modules else None
    return None


def _entries(items: Any) -> list[tuple[Any, str, Any]]:
    """Index or key, the same as a name, and item."""
    pairs = items.items() if isinstance(items, dict) else enumerate(items)
    return [(at, str(at).replace(".", "_"), item) for at, item in pairs]


def _set(items: Any, at: Any, item: Any) -> None:
    """Set an item without telling of it."""
    (dict if isinstance(items, dict) else list).__setitem__(items, at, item)


def _has_modules(value: Any, or_may_get: bool = False) -> bool:
    """Whether there is a module, parameter or buffer in a list, tuple or dict, however deep; or an
    empty list or dict, which may get one."""
    if type(value) not in _CONTAINERS and not isinstance(value, tuple):
        return False
    if not value:
        return or_may_get and not isinstance(value, tuple)
    return any(
        isinstance(item, (nn.Module, nn.Parameter, nn.Buffer)) or _has_modules(item, or_may_get)
        for item in (value.values() if isinstance(value, dict) else value)
    )


def _unset() -> None:
    pass


class _TrackedList(list[Any]):
    on_change: Callable[[], None] = staticmethod(_unset)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return type(self), (list(self),), self.__dict__


class _TrackedDict(dict[Any, Any]):
    on_change: Callable[[], None] = staticmethod(_unset)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return type(self), (dict(self),), self.__dict__


def _notifying(method: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = method(self, *args, **kwargs)
        self.on_change()
        return result

    wrapper.__name__ = method.__name__
    return wrapper


_MUTATORS = {
    _TrackedList: (
        list,
        "append extend insert pop remove clear reverse sort __setitem__ __delitem__ __iadd__ __imul__",
    ),
    _TrackedDict: (dict, "update pop popitem clear setdefault __setitem__ __delitem__ __ior__"),
}
for _cls, (_base, _names) in _MUTATORS.items():
    for _name in _names.split():
        setattr(_cls, _name, _notifying(getattr(_base, _name)))

_CONTAINERS: dict[type, Any] = {
    list: _TrackedList,
    _TrackedList: _TrackedList,
    dict: _TrackedDict,
    _TrackedDict: _TrackedDict,
    OrderedDict: _TrackedDict,
}


def _tracked(value: Any, on_change: Callable[[], None]) -> Any:
    """`value` with its lists and dicts, nested ones too, as ones that tell of changes."""
    if isinstance(value, tuple) and any(type(item) in _CONTAINERS for item in value):
        items = [_tracked(item, on_change) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    kind = _CONTAINERS.get(type(value))
    if kind is None:
        return value
    new = value if type(value) is kind and value.on_change == on_change else kind(value)
    new.on_change = on_change
    for at, _, item in _entries(new):
        _set(new, at, _tracked(item, on_change))
    return new


def not_weights(module: nn.Module) -> set[str]:
    """The buffers of a module that are no weights: what is not saved, and constants of a graph, which
    are part of its configuration."""
    constants = {key for _, key in module.__dict__.get("_constants", ())}
    return module._non_persistent_buffers_set | constants
