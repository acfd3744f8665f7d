"""Where files come from and go to, and what kind they are."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from typing_extensions import TypeIs

from kerastorch.saving._durable import replacing

PathLike = str | os.PathLike[str]


def is_open(filepath: PathLike | IO[bytes]) -> TypeIs[IO[bytes]]:
    """Whether an open file is given instead of a path."""
    return hasattr(filepath, "seek") or hasattr(filepath, "write")


def is_legacy(path: Path | IO[bytes]) -> bool:
    """Whether a name asks for the older HDF5 format."""
    if not isinstance(path, Path):
        return False
    return path.suffix in (".h5", ".hdf5") and not path.name.endswith(".weights.h5")


def is_hdf5(file: IO[bytes]) -> bool:
    """Whether a file begins as HDF5 does."""
    start = file.read(8)
    file.seek(0)
    return start == b"\x89HDF\r\n\x1a\n"


def is_zip(file: IO[bytes]) -> bool:
    """Whether a file begins as an archive does."""
    start = file.read(4)
    file.seek(0)
    return start[:2] == b"PK"


def size_of(file: IO[bytes]) -> int:
    """The bytes of a file."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    return size


def checked(method: str, filepath: PathLike, overwrite: bool) -> Path:
    """The path to write; an error if it may not be overwritten."""
    path = Path(filepath)
    if not overwrite and path.exists():
        raise FileExistsError(
            f"{method}: {str(path)!r} exists. Pass overwrite=True or another name."
        )
    return path


def existing(method: str, filepath: PathLike) -> Path:
    """The path of a file with something in it."""
    path = Path(filepath)
    if path.is_dir():
        raise IsADirectoryError(f"{method}: {str(path)!r} is a folder, expected a file.")
    if not path.exists():
        raise FileNotFoundError(f"{method}: there is no file {str(path)!r}.")
    if path.stat().st_size == 0:
        raise ValueError(f"{method}: {str(path)!r} is empty.")
    return path


def refuse_unknown(method: str, given: dict[str, Any], **known: Any) -> None:
    """Raise if an argument is none of the `known`."""
    unknown = [name for name in given if name not in known]
    if unknown:
        raise TypeError(
            f"{method}: unknown arguments {unknown}. Expected some of: {', '.join(known)}."
        )


@contextlib.contextmanager
def written(target: Path | IO[bytes]) -> Iterator[IO[bytes]]:
    """A file that becomes `target` when the block ends without an error; an open file gets all of it."""
    if isinstance(target, Path):
        with replacing(target) as file:
            yield file
        return
    with tempfile.TemporaryFile() as file:
        yield file
        file.seek(0)
        shutil.copyfileobj(file, target)


@contextlib.contextmanager
def opened(source: Path | IO[bytes]) -> Iterator[IO[bytes]]:
    """A file to read; an open one from its start, and it stays open."""
    if isinstance(source, Path):
        with open(source, "rb") as file:
            yield file
    else:
        source.seek(0)
        yield source
