"""Where data sets lie, and how a file gets there whole or not at all."""

from __future__ import annotations

import hashlib
import os
import urllib.request
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

_TIMEOUT_S = 30
_LARGEST_DOWNLOAD = 1 << 26  # bytes


def cache_file(name: str | os.PathLike[str]) -> Path:
    """`name` in the folder of data sets; an absolute path stays what it is."""
    home = os.environ.get("KERAS_HOME") or Path.home() / ".keras"
    return Path(home) / "datasets" / name


@contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes the name `path` when the block ends without an error, and not before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    try:
        with open(part, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def download(name: str, mirrors: Sequence[str], md5: str) -> bytes:
    """The file `name` from the first mirror that gives it with the right checksum."""
    failures = []
    for mirror in mirrors:
        url = mirror + name
        try:
            with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as response:
                data: bytes = response.read(_LARGEST_DOWNLOAD)
        except OSError as error:
            failures.append(f"{url}: {error}")
            continue
        if hashlib.md5(data, usedforsecurity=False).hexdigest() == md5:
            return data
        failures.append(f"{url}: wrong checksum")
    raise ConnectionError("; ".join(failures))
