"""Unpacking an archive that may have been made to do harm.

Regular files and folders only, each inside the target by its name; nothing in the archive can be a
link, so nothing else can lead out. What is unfolded is counted while it is, and the target is there
whole or not at all.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import os
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from kerastorch.saving._archive import check_name

#: An archive may unfold to this many times its own size, and some megabytes besides.
MOST_RATIO, ALLOWANCE = 200, 64 * 2**20
MOST_BYTES, MOST_MEMBERS, MOST_NAME = 2**40, 2_000_000, 1024
_CHUNK = 2**20  # also the longest header of a tar member
_PACKED: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
_DAMAGE = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError),
    *(struct.error, UnicodeError, NotImplementedError, RuntimeError, OverflowError),
)
#: The name of a member, and its content; None for a folder.
Member = tuple[str, IO[bytes] | None]


def extract(archive: Path, target: Path, formats: tuple[str, ...] = ("tar", "zip")) -> None:
    """Unpack into the new folder `target`, which takes the place of one that is there.

    `ValueError` if it is no archive of one of the `formats`, is damaged, has members that are neither
    files nor folders or have odd names, or unfolds to too much.
    """
    title = repr(str(archive))
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix=".extract-", dir=target.parent, ignore_cleanup_errors=True
    ) as folder:
        inside, old = Path(folder, "new"), Path(folder, "old")
        inside.mkdir()
        with open(archive, "rb") as file:
            limit = MOST_RATIO * os.fstat(file.fileno()).st_size + ALLOWANCE
            limit = min(limit, MOST_BYTES)
            members = _zip if file.read(2) == b"PK" else _tar
            file.seek(0)
            if members.__name__[1:] not in formats:
                raise ValueError(f"{title} is no archive of the formats {formats}.")
            try:
                _unpack(members(file, title, limit), inside, title, limit)
            except _DAMAGE as error:
                if isinstance(error, OSError) and error.errno is not None:
                    raise  # the disk, not the archive
                raise ValueError(f"{title} is damaged, or no archive: {error}") from error
        if os.path.lexists(target):
            os.replace(target, old)
        os.replace(inside, target)


def _unpack(members: Iterator[Member], inside: Path, title: str, limit: int) -> None:
    root, total = os.path.realpath(inside), 0
    for number, (given, content) in enumerate(members):
        if number >= MOST_MEMBERS:
            raise ValueError(f"{title} has more than {MOST_MEMBERS} members. It is not unpacked.")
        name = given.rstrip("/")
        while name.startswith("./"):
            name = name[2:].lstrip("/")
        if name in ("", ".") and content is None and not given.startswith("/"):
            continue
        check_name(name, title)
        if len(name.encode()) > MOST_NAME or given.startswith("/"):
            raise ValueError(
                f"{title} has a member called {given[:100]!r}, which is no plain name."
            )
        place = Path(root, name)
        try:
            (place if content is None else place.parent).mkdir(parents=True, exist_ok=True)
            if os.path.commonpath([root, os.path.realpath(place)]) != root:
                raise ValueError(f"{title}: {name!r} is outside the folder.")
            if content is None:
                continue
            with open(place, "xb") as file:
                while data := content.read(_CHUNK):
                    total += len(data)
                    if total > limit:
                        raise _too_much(title, limit)
                    file.write(data)
        except (FileExistsError, NotADirectoryError) as error:
            raise ValueError(f"{title} has two members called {name!r}.") from error


def _too_much(title: str, limit: int) -> ValueError:
    return ValueError(f"{title} unfolds to more than {limit} bytes. It is not unpacked.")


def _zip(file: IO[bytes], title: str, limit: int) -> Iterator[Member]:
    with zipfile.ZipFile(file) as archive:
        if sum(info.file_size for info in archive.infolist()) > limit:
            raise _too_much(title, limit)
        for info in archive.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _odd(title, info.filename)
            if info.is_dir():
                yield info.filename, None
            else:
                with archive.open(info) as content:
                    yield info.filename, content


def _tar(file: IO[bytes], title: str, limit: int) -> Iterator[Member]:
    start = file.read(6)
    file.seek(0)
    unpack = next((unpack for magic, unpack in _PACKED.items() if start.startswith(magic)), None)
    with contextlib.ExitStack() as opened:
        stream = _Bounded(opened.enter_context(unpack(file)) if unpack else file, title, limit)
        archive = opened.enter_context(tarfile.open(fileobj=stream, mode="r:"))
        for member in archive:
            archive.members = []  # type: ignore[attr-defined]  # they would all be kept
            if member.isdir():
                yield member.name, None
            elif member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.issparse():
                raise _odd(title, member.name)
            else:
                content = archive.extractfile(member)
                assert content is not None
                yield member.name, content
        if stream.last.strip(b"\0"):  # tarfile takes anything that is no header for the end
            raise ValueError(f"{title} is damaged: there is more after the last member.")


def _odd(title: str, name: str) -> ValueError:
    return ValueError(f"{title}: {name!r} is no file and no folder. It is not unpacked.")


class _Bounded(io.RawIOBase):
    """A stream that is read forwards, so much of it at most, and not much of it at once."""

    def __init__(self, stream: IO[bytes], title: str, limit: int) -> None:
        self._stream, self._title, self._limit = stream, title, limit
        self._at, self.last = 0, b""

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence != io.SEEK_SET or offset < self._at:
            raise tarfile.ReadError("its members overlap")
        while self._at < offset and self.read(min(_CHUNK, offset - self._at)):
            pass
        return self._at

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _CHUNK:
            raise ValueError(f"{self._title} has a header of {size} bytes. It is not unpacked.")
        self.last = self._stream.read(size)
        self._at += len(self.last)
        if self._at > self._limit:
            raise _too_much(self._title, self._limit)
        return self.last
