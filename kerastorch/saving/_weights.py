"""Values of a model to and from a file, all or nothing."""

from __future__ import annotations

import functools
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import torch

from kerastorch.saving._h5 import H5Reader, H5Writer, memory_of
from kerastorch.saving._legacy import LegacyReader
from kerastorch.saving._shards import ShardedReader
from kerastorch.saving._tree import OPTIMIZER_ASIDE, Entry

_WORKERS = 2  # what is written next is turned into rows, and summed up, while the disk works
Reader = H5Reader | LegacyReader | ShardedReader
_T = TypeVar("_T")
_R = TypeVar("_R")


def _ahead(function: Callable[[_T], _R], items: Iterable[_T]) -> Iterator[_R]:
    """`map` in threads, a few items ahead of the one that is asked for."""
    with ThreadPoolExecutor(_WORKERS) as pool:
        waiting: deque[Future[_R]] = deque()
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > _WORKERS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


#: A module, and its values that go into one file.
Row = tuple[Entry, list[tuple[str, Any]]]


def write_entries(writer: H5Writer, found: Iterable[Entry]) -> None:
    """All values under their paths."""
    write_table(writer, table_of(found))


def table_of(found: Iterable[Entry]) -> list[Row]:
    """Modules with the values that each has to write."""
    return [row for entry in found for row in _rows(entry, _pairs(entry))]


def write_table(writer: H5Writer, table: list[Row]) -> None:
    """Values under the paths of their modules."""
    prepared = _ahead(writer.prepared, (value for _, pairs in table for _, value in pairs))
    for entry, pairs in table:
        name = getattr(entry.owner, "name", None)
        if pairs or name:
            values = ((key, next(prepared)) for key, _ in pairs)
            writer.write(entry.path, name if isinstance(name, str) else None, values)


def _rows(entry: Entry, pairs: list[tuple[str, Any]]) -> list[Row]:
    """What Keras's optimizers do not have stands aside: they take all that is below ``vars``."""
    if entry.path != "optimizer":
        return [(entry, pairs)]
    own = [pair for pair in pairs if not pair[0].isdigit()]
    aside = Entry(OPTIMIZER_ASIDE, None, None)
    return [(entry, [pair for pair in pairs if pair not in own]), (aside, own)]


def _pairs(entry: Entry) -> list[tuple[str, Any]]:
    if entry.values is not None:
        return [(str(index), value) for index, value in enumerate(entry.values)]
    store: dict[str, Any] = {}
    entry.owner.save_own_variables(store)
    return list(store.items())


def read_entries(
    reader: Reader,
    found: list[Entry],
    *,
    in_place: bool,
    skip_mismatch: bool = False,
    ignore: str | tuple[str, ...] | None = None,
) -> None:
    """Fill the values of a model.

    Every shape is compared before anything is read, and everything is read, or read and compared with
    its checksum, before anything is changed, unless `in_place`: then the model is new, and is thrown away
    when this raises.
    """
    steps: list[Callable[[], Callable[[], Any]]] = []  # each reads, and gives what then changes
    own_steps: list[Callable[[], Callable[[], Any]]] = []  # of layers that have a way of their own
    problems: list[str] = []
    used: set[str] = set()
    for entry in found:
        keys = reader.keys(entry.path)
        used.update(f"{entry.path}/vars/{key}" if entry.path else f"vars/{key}" for key in keys)
        if entry.path == "optimizer":
            used.update(f"{OPTIMIZER_ASIDE}/vars/{key}" for key in reader.keys(OPTIMIZER_ASIDE))
        problem = _mismatch(reader, entry, keys)
        if problem:
            problems.append(problem)
        elif entry.values is None:
            own_steps.append(lambda entry=entry, keys=keys: _own_step(reader, entry, keys))  # type: ignore[misc]
        else:
            steps.extend(
                lambda entry=entry, key=key, value=value: _step(  # type: ignore[misc]
                    reader, entry.path, key, value, in_place
                )
                for key, value in zip(keys, entry.values, strict=True)
            )
    left = [path for path in reader if path not in used]
    if ignore is not None:
        left = [path for path in left if not path.startswith(ignore)]
    if left:
        problems.append(f"the file has values that the model has no place for: {_some(left)}")
    report_misfit(reader.title, problems, skip_mismatch)
    with torch.no_grad():
        if in_place:
            deque(_ahead(_at_once, steps), 0)
            for step in own_steps:
                step()()
        else:
            commits = list(_ahead(_call, steps))
            own_commits = [step() for step in own_steps]
            before = [(v, v.clone()) for v in _theirs(found)]
            deque(_ahead(_call, commits), 0)
            try:
                for commit in own_commits:
                    commit()
            except BaseException:
                for value, old in before:
                    value.copy_(old)
                raise


def _call(function: Callable[[], _R]) -> _R:
    with torch.no_grad():  # a thread does not inherit it
        return function()


def _at_once(step: Callable[[], Callable[[], Any]]) -> None:
    _call(_call(step))


def _theirs(found: list[Entry]) -> list[torch.Tensor]:
    """All values, if a layer has a way of its own to load its, which can fail half-way."""
    own = [entry.owner for entry in found if entry.values is None]
    values = [value for entry in found for value in entry.values or ()]
    own_values = [v for layer in own for v in getattr(layer, "weights", ())]
    return [*values, *own_values] if own else []


def report_misfit(title: str, problems: list[str], skip_mismatch: bool) -> None:
    """Raise if a file does not fit the model, or warn if that is to be passed over."""
    if not problems:
        return
    text = f"{title} does not fit the model:\n- " + "\n- ".join(problems[:20])
    if not skip_mismatch:
        raise ValueError(f"{text}\nNothing was loaded. skip_mismatch=True loads what fits.")
    warnings.warn(f"{text}\nThose are left as they are.", stacklevel=5)


def _mismatch(reader: Reader, entry: Entry, keys: list[str]) -> str | None:
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
    reader: Reader, path: str, key: str, value: torch.Tensor, in_place: bool
) -> Callable[[], Any]:
    stretch = None if in_place else reader.stretch(path, key)
    memory = None if stretch is None else memory_of(value, stretch)
    if stretch is not None and memory is not None:
        stretch.verify()
        return functools.partial(stretch.fill, memory)
    read = reader.read(path, key, into=value if in_place else None)
    if read.data_ptr() == value.data_ptr() and value.numel():
        return lambda: None
    # axes in the order of memory: torch turns a matrix block by block only into one in row order
    order = sorted(range(value.ndim), key=value.stride, reverse=True)
    return lambda: value.permute(order).copy_(read.permute(order))


def _own_step(reader: Reader, entry: Entry, keys: list[str]) -> Callable[[], Any]:
    store = {key: reader.read(entry.path, key).numpy() for key in keys}
    if entry.path == "optimizer":
        for key in reader.keys(OPTIMIZER_ASIDE):
            store[key] = reader.read(OPTIMIZER_ASIDE, key).numpy()
    return lambda: entry.owner.load_own_variables(store)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
