"""Logs that reach the host when they are read, and only then."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch


class Logs(dict[str, float]):
    """A dict of Python floats, computed and fetched in one transfer at the first access."""

    __slots__ = ("__weakref__", "_source")

    def __init__(self, source: Callable[[], Mapping[str, Any]]) -> None:
        self._source: Callable[[], Mapping[str, Any]] | None = source

    @property
    def read(self) -> bool:
        """Whether the values have reached the host."""
        return self._source is None

    def fetch(self) -> Logs:
        """Make the values independent of what happens next."""
        source, self._source = self._source, None
        if source is not None:
            dict.update(self, to_floats(source()))
        return self


def _reading(name: str) -> Any:
    method = getattr(dict, name)

    def wrapper(self: Logs, *args: Any, **kwargs: Any) -> Any:
        if self._source is not None:
            self.fetch()
        return method(self, *args, **kwargs)

    wrapper.__name__ = name
    return wrapper


for _name in [
    "__getitem__",
    "__setitem__",
    "__delitem__",
    "__iter__",
    "__len__",
    "__contains__",
    "__repr__",
    "__eq__",
    "__ne__",
    "__or__",
    "__ror__",
    "__ior__",
    "__reversed__",
    "get",
    "items",
    "keys",
    "values",
    "copy",
    "pop",
    "popitem",
    "setdefault",
    "update",
    "clear",
]:
    setattr(Logs, _name, _reading(_name))


def to_floats(values: Mapping[str, Any]) -> dict[str, Any]:
    """Scalars as Python floats; all tensors of a device in one transfer."""
    result: dict[str, Any] = dict(values)
    tensors = {
        k: v.detach() for k, v in values.items() if isinstance(v, torch.Tensor) and v.numel() == 1
    }
    if tensors:
        flat = [
            t.reshape(()).to(torch.float64 if t.device.type == "cpu" else torch.float32)
            for t in tensors.values()
        ]
        result.update(zip(tensors, torch.stack(flat).tolist(), strict=True))
    for key, value in result.items():
        if isinstance(value, torch.Tensor):
            result[key] = value.detach().cpu().numpy()
    return result
