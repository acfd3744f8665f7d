"""Weights in several files, as Keras writes them, and an index: which groups are in which file."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from kerastorch.saving._archive import check_name
from kerastorch.saving._h5 import SET, H5Reader
from kerastorch.saving._stretch import Stretch

_MOST_INDEX = 64 * 2**20
_END = ".weights.h5"


def read_index(path: Path) -> tuple[dict[str, list[str]], str | None]:
    """``{"/layers/dense/vars": ["model_00000.weights.h5"]}``, and the mark that all files carry.

    Raises `ValueError` unless every name is that of a file beside the index.
    """
    title = repr(str(path))
    with open(path, "rb") as file:
        text = file.read(_MOST_INDEX + 1)
    if len(text) > _MOST_INDEX:
        raise ValueError(f"{title} has more than {_MOST_INDEX} bytes. It is not read.")
    try:
        content = json.loads(text)
        groups = content["weight_map"].items()
        found = {group: [files] if isinstance(files, str) else files for group, files in groups}
        mark = content.get("metadata", {}).get(SET)
        fine = all(
            isinstance(files, list) and files and all(isinstance(name, str) for name in files)
            for files in found.values()
        )
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{title} is no index of weights, or it is damaged.") from error
    if not fine or not isinstance(mark, str | None):
        raise ValueError(f"{title} is no index of weights: expected lists of file names.")
    for name in {name for files in found.values() for name in files}:
        check_name(name, title)
        if "/" in name or not name.endswith(_END):
            raise ValueError(f"{title}: expected files *{_END} beside it, received {name!r}.")
    return found, mark


class ShardedReader:
    """The files of an index as one. Raises `ValueError` if one is missing, or of another save."""

    def __init__(self, path: Path) -> None:
        self.title = repr(str(path))
        index, mark = read_index(path)
        self._where: dict[str, H5Reader] = {}
        with contextlib.ExitStack() as opened:
            seen: set[tuple[str, str]] = set()
            for name in sorted({name for files in index.values() for name in files}):
                for stored in (reader := self._open(opened, path, name, mark)):
                    group = "/" + stored.rpartition("/")[0]
                    if stored in self._where or name not in index.get(group, ()):
                        raise ValueError(f"{self.title}: {stored} in {name} is not in the index.")
                    self._where[stored] = reader
                    seen.add((group, name))
            for group, files in index.items():
                missing = [name for name in files if (group, name) not in seen]
                if missing:
                    raise ValueError(f"{self.title}: {group} is missing in {', '.join(missing)}.")
            self._opened = opened.pop_all()

    def _open(
        self, opened: contextlib.ExitStack, path: Path, name: str, mark: str | None
    ) -> H5Reader:
        place = path.with_name(name)
        if not place.is_file():
            raise ValueError(f"{self.title}: there is no file {name} beside it.")
        file = opened.enter_context(place.open("rb"))
        size = os.fstat(file.fileno()).st_size
        reader = opened.enter_context(H5Reader(file, size, repr(str(place))))
        if mark is not None and reader.text("", SET) != [mark]:
            raise ValueError(f"{self.title}: {name} is of another save. Nothing was loaded.")
        return reader

    def keys(self, path: str) -> list[str]:
        """The names of the arrays of one module, in order."""
        prefix = f"{path}/vars/" if path else "vars/"
        names = [key[len(prefix) :] for key in self._where if key.startswith(prefix)]
        return sorted(names, key=lambda name: (len(name), name))

    def shape(self, path: str, key: str) -> tuple[int, ...]:
        """Shape of an array, from its header."""
        return self._reader(path, key).shape(path, key)

    def read(self, path: str, key: str, into: torch.Tensor | None = None) -> torch.Tensor:
        """An array, checked against its CRC-32."""
        return self._reader(path, key).read(path, key, into)

    def stretch(self, path: str, key: str) -> Stretch | None:
        """An array as a stretch of its file."""
        return self._reader(path, key).stretch(path, key)

    def _reader(self, path: str, key: str) -> H5Reader:
        return self._where[f"{path}/vars/{key}" if path else f"vars/{key}"]

    def verify(self) -> None:
        """Read everything once; raise if a checksum is wrong."""
        for reader in set(self._where.values()):
            reader.verify()

    def __iter__(self) -> Iterator[str]:
        return iter(self._where)

    def __enter__(self) -> ShardedReader:
        return self

    def __exit__(self, *error: Any) -> None:
        self._opened.close()


def base_of(path: Path) -> str:
    """What the names of the files begin with: "model" for ``model.weights.json``."""
    return path.name.removesuffix(".json").removesuffix(".weights")


def numbers_of(path: Path, names: set[str]) -> set[int]:
    """The numbers of those files that are named as the files of this index are."""
    pattern = re.compile(re.escape(f"{base_of(path)}_") + r"(\d{5})" + re.escape(_END))
    return {int(found[1]) for name in names if (found := pattern.fullmatch(name))}


def shard_name(path: Path, number: int) -> str:
    """The name of a file of the index."""
    return f"{base_of(path)}_{number:05}{_END}"
