"""Values of a model to and from a file, all or nothing."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import Any

import torch

from kerastorch.saving._h5 import H5Reader, H5Writer, as_array
from kerastorch.saving._tree import Entry


def write_entries(writer: H5Writer, found: Iterable[Entry]) -> None:
    """All values under their paths."""
    for entry in found:
        name = getattr(entry.owner, "name", None)
        values = entry.values
        if values is None:
            store: dict[str, Any] = {}
            entry.owner.save_own_variables(store)
            pairs: list[tuple[str, Any]] = [(k, as_array(v)) for k, v in store.items()]
        else:
            pairs = [(str(index), value) for index, value in enumerate(values)]
        if pairs or name:
            writer.write(entry.path, name if isinstance(name, str) else None, pairs)


def read_entries(
    reader: H5Reader,
    found: Iterable[Entry],
    *,
    in_place: bool,
    skip_mismatch: bool = False,
    ignore: tuple[str, ...] = (),
) -> None:
    """Fill the values of a model.

    Every shape is compared before anything is read, and everything is read before anything is
    changed, unless `in_place`: then the model is new, and is thrown away when this raises.
    """
    steps: list[Callable[[], Callable[[], Any]]] = []
    problems: list[str] = []
    used: set[str] = set()
    for entry in found:
        keys = reader.keys(entry.path)
        used.update(f"{entry.path}/vars/{key}" if entry.path else f"vars/{key}" for key in keys)
        problem = _mismatch(reader, entry, keys)
        if problem:
            problems.append(problem)
        elif entry.values is None:
            steps.append(lambda entry=entry, keys=keys: _own_step(reader, entry, keys))  # type: ignore[misc]
        else:
            steps.extend(
                lambda entry=entry, key=key, value=value: _step(  # type: ignore[misc]
                    reader, entry.path, key, value, in_place
                )
                for key, value in zip(keys, entry.values, strict=True)
            )
    left = [path for path in reader if path not in used and not path.startswith(ignore)]
    if left:
        problems.append(f"the file has values that the model has no place for: {_some(left)}")
    if problems:
        text = f"{reader.title} does not fit the model:\n- " + "\n- ".join(problems[:20])
        if not skip_mismatch:
            raise ValueError(f"{text}\nNothing was loaded. skip_mismatch=True loads what fits.")
        warnings.warn(f"{text}\nThose are left as they are.", stacklevel=4)
    with torch.no_grad():
        if in_place:
            for step in steps:
                step()()
        else:
            for commit in [step() for step in steps]:
                commit()


def _mismatch(reader: H5Reader, entry: Entry, keys: list[str]) -> str | None:
    """What is wrong with the values of one module, in words."""
    if entry.values is None:
        return None
    title = (
        f"{type(entry.owner).__name__} {getattr(entry.owner, 'name', '')!r} ({entry.path or '/'})"
    )
    if keys != [str(i) for i in range(len(entry.values))]:
        return f"{title} has {len(entry.values)} weights, the file {len(keys)} for it"
    for key, value in zip(keys, entry.values, strict=True):
        shape = reader.shape(entry.path, key)
        if shape != tuple(value.shape):
            name = getattr(value, "name", key)
            return f"{title}: weight {name!r} has shape {tuple(value.shape)}, in the file {shape}"
    return None


def _step(
    reader: H5Reader, path: str, key: str, value: torch.Tensor, in_place: bool
) -> Callable[[], Any]:
    read = reader.read(path, key, into=value if in_place else None)
    if read.data_ptr() == value.data_ptr() and value.numel():
        return lambda: None
    return lambda: value.copy_(read)


def _own_step(reader: H5Reader, entry: Entry, keys: list[str]) -> Callable[[], Any]:
    store = {key: reader.read(entry.path, key).numpy() for key in keys}
    return lambda: entry.owner.load_own_variables(store)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
