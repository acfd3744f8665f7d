"""`nn.Module` plus what Keras objects need of it: recorded configs, variables, tracked containers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from kerastorch._registry import Recorded
from kerastorch._variable import Variable, moved


class Module(Recorded, nn.Module):
    """Base of layers, models and metrics.

    - `_track` registers a variable at once, under its name; the attribute that it is assigned to
      becomes its key.
    - Modules and parameters in a list, tuple or dict attribute are submodules too, also when the
      container changes later.
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
            del self.__dict__[name]
            holders.pop(name).items = ()
            self._modules.pop(name, None)
        if isinstance(value, Variable) and "_parameters" in self.__dict__:
            self._claim(value)
        if type(value) in _CONTAINERS and (not value or _has_modules(value)):
            self._hold(name, value)
        else:
            super().__setattr__(name, value)
        if isinstance(value, nn.Module):
            for holder in holders.values():
                holder.sync()

    def _hold(self, name: str, value: Any) -> None:
        if isinstance(getattr(type(self), name, None), property) or "_modules" not in self.__dict__:
            if _has_modules(value):
                raise AttributeError(
                    f"{type(self).__name__}.{name} holds layers: call super().__init__() first."
                )
            super().__setattr__(name, value)
            return
        container = _CONTAINERS[type(value)](value)
        holder = _Holder(self, name, container)
        self.__dict__.setdefault("_holders", {})[name] = holder
        self.__dict__[name] = container
        if not isinstance(container, tuple):
            container.on_change = holder.sync
        holder.sync()

    def __delattr__(self, name: str) -> None:
        if name in self.__dict__.get("_holders", {}):
            del self._holders[name], self.__dict__[name]
            self._modules.pop(name, None)
        else:
            super().__delattr__(name)

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Module:
        tables: list[dict[str, Any]] = [self._parameters, self._buffers]
        before = [dict(table) for table in tables]
        super()._apply(fn, recurse)
        for table, old in zip(tables, before, strict=True):
            for key, variable in old.items():
                if isinstance(variable, Variable):
                    table[key] = moved(variable, table[key])
        return self


class _Holder(nn.Module):
    """The modules and parameters of a plain container, under their index or key."""

    def __init__(self, owner: Module, name: str, items: Any) -> None:
        super().__init__()
        self.__dict__.update(owner=owner, name=name, items=items)

    def sync(self) -> None:
        """Follow a change of the container."""
        self.fill()
        if self._modules or self._parameters:
            self.owner._modules[self.name] = self
        else:
            self.owner._modules.pop(self.name, None)

    def fill(self) -> None:
        self._modules.clear()
        self._parameters.clear()
        elsewhere = [m for m in self.owner._modules.values() if m is not self]
        owned = list(self.owner._parameters.values())
        for key, item in _pairs(self.items):
            if isinstance(item, nn.Module) and not any(item is m for m in elsewhere):
                self._modules[key] = item
            elif isinstance(item, nn.Parameter) and not any(item is p for p in owned):
                self._parameters[key] = item
            elif isinstance(item, (list, tuple, dict)) and _has_modules(item):
                inner = _Holder(self.owner, key, item)
                inner.fill()
                self._modules[key] = inner


def _pairs(items: Any) -> Iterator[tuple[str, Any]]:
    pairs = items.items() if isinstance(items, dict) else enumerate(items)
    return ((str(key), item) for key, item in pairs)


def _has_modules(value: Any) -> bool:
    if isinstance(value, (list, tuple, dict)):
        return any(_has_modules(item) for _, item in _pairs(value))
    return isinstance(value, (nn.Module, nn.Parameter))


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

_CONTAINERS: dict[type, Callable[[Any], Any]] = {
    list: _TrackedList,
    _TrackedList: _TrackedList,
    dict: _TrackedDict,
    _TrackedDict: _TrackedDict,
    tuple: tuple,
}
