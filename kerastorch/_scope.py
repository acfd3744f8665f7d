"""What holds within a ``with`` block: a device for new tensors, a prefix for the paths of variables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

_prefix: list[str] = []


def device(device_name: str | torch.device) -> torch.device:
    """A context in which new tensors and weights are made on a device.

    Keras's ``"gpu"`` and ``"gpu:0"`` are the accelerator that torch has found.

    >>> import kerastorch as keras
    >>> with keras.device("cpu:0"):
    ...     keras.random.normal((2,)).device.type
    'cpu'
    """
    if not isinstance(device_name, (str, torch.device)):
        raise ValueError(
            f"device: expected a name such as 'cpu:0' or a torch.device, received {device_name!r}."
        )
    name = str(device_name).lower()
    if name.startswith("gpu"):
        found = torch.accelerator.current_accelerator()
        if found is None:
            raise ValueError(f"device: {device_name!r} was asked for, but torch has found none.")
        name = name.replace("gpu", found.type)
    return torch.device(name)


@contextmanager
def name_scope(
    name: str, caller: Any = None, deduplicate: bool = True, override_parent: Any = None
) -> Iterator[None]:
    """A context in which the paths of new variables begin with `name` and a slash; those of a layer's
    weights have the layer's name before it. The other arguments are
    taken for Keras's sake, and have no effect.

    >>> import kerastorch as keras
    >>> with keras.name_scope("outer"), keras.name_scope("inner"):
    ...     keras.Variable([1.0], name="v").path
    'outer/inner/v'
    """
    if not isinstance(name, str) or not name or "/" in name:
        raise ValueError(f"name_scope: expected a name without '/', received {name!r}.")
    _prefix.append(name)
    try:
        yield
    finally:
        _prefix.pop()


def path_of(name: str) -> str:
    """The path of a variable that is made here."""
    return "/".join([*_prefix, name])
