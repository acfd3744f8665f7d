"""Writing weights into several files: the old set can be read until the new one is complete."""

from __future__ import annotations

import contextlib
import itertools
import json
import secrets
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kerastorch.saving._durable import replacing
from kerastorch.saving._h5 import SET, H5Writer
from kerastorch.saving._shards import numbers_of, read_index, shard_name
from kerastorch.saving._tree import Entry
from kerastorch.saving._weights import Row, table_of, write_table

_GB = 2**30


def write_shards(path: Path, found: list[Entry], max_shard_size: float) -> None:
    """Files of at most `max_shard_size` GB of values each, then the index, which makes them the set.

    The files take numbers that the old set does not use, so that it is whole until the index is
    replaced; its files go afterwards. Number 0 stays, empty: Keras opens it whatever is in the index.
    """
    shards = _divided(table_of(found), max_shard_size)
    old = _old_names(path)
    used = numbers_of(path, old)
    free = (number for number in itertools.count() if number not in used)
    names = [shard_name(path, number) for _, number in zip(shards, free)]  # noqa: B905
    weight_map: dict[str, list[str]] = {}
    mark, total = secrets.token_hex(16), 0
    written: list[Path] = []
    try:
        for name, table in zip(names, shards, strict=True):
            with replacing(path.with_name(name)) as file, H5Writer(file) as writer:
                writer.mark(mark)
                write_table(writer, table)
            written.append(path.with_name(name))
            for entry, pairs in table:
                group = f"/{entry.path}/vars" if entry.path else "/vars"
                weight_map.setdefault(group, []).append(name)
                total += sum(_bytes(value) for _, value in pairs)
        metadata = {"total_size": total, SET: mark}
        index = {"metadata": metadata, "weight_map": weight_map}
        with replacing(path) as file:
            file.write(json.dumps(index, indent=4).encode())
    except BaseException:
        for place in written:
            place.unlink(missing_ok=True)
        raise
    first = path.with_name(shard_name(path, 0))
    if first.name not in names:
        with replacing(first) as file, H5Writer(file):
            pass
    for number in used - {0}:
        with contextlib.suppress(OSError):
            path.with_name(shard_name(path, number)).unlink()


def _divided(table: list[Row], max_shard_size: float) -> list[list[Row]]:
    """The values in their order, as many in each part as fit."""
    if not max_shard_size > 0:
        raise ValueError(
            f"save_weights: expected max_shard_size > 0 (in GB), received {max_shard_size}."
        )
    parts: list[list[Row]] = [[]]
    room = most = max_shard_size * _GB
    for entry, pairs in table:
        here: list[tuple[str, Any]] = []
        for key, value in pairs:
            size = _bytes(value)
            if size > most:
                raise ValueError(
                    f"save_weights: {entry.path}/{key} has {size} bytes and max_shard_size is "
                    f"{max_shard_size} GB. Pass at least {size / _GB:.3g}."
                )
            if size > room:
                parts.append([])
                here, room = [], most
            if not here:
                parts[-1].append((entry, here))
            here.append((key, value))
            room -= size
    return parts


def _bytes(value: Any) -> int:
    return value.nbytes if isinstance(value, torch.Tensor) else np.asarray(value).nbytes


def _old_names(path: Path) -> set[str]:
    """The files of the set that is there."""
    try:
        return {name for files in read_index(path)[0].values() for name in files}
    except (OSError, ValueError):
        return set()
