"""The ``.keras`` archive: a zip of metadata.json, config.json, model.weights.h5 and assets."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import IO, Any

from kerastorch.saving._budget import allowed
from kerastorch.saving._crc import Span, crc_of_file

#: The version of Keras whose format this is.
FORMAT = "3.15.1"
_CONFIG, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_CHUNK = 2**20
_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, EOFError, OSError),
    *(struct.error, UnicodeDecodeError, NotImplementedError),
)
_MOST_CONFIG = 12 * 2**20


def write_archive(
    file: IO[bytes],
    config: dict[str, Any],
    write_weights: Callable[[IO[bytes]], list[Span]],
    assets: dict[str, bytes],
) -> None:
    """Write the archive of a configuration, of what `write_weights` writes, which gives the checksums
    that it knows already, and of files by name."""
    metadata = {
        "keras_version": FORMAT,
        "date_saved": datetime.now().strftime("%Y-%m-%d@%H:%M:%S"),
    }
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(_METADATA, json.dumps(metadata))
        archive.writestr(_CONFIG, json.dumps(config))
        for name, content in assets.items():
            archive.writestr(name, content)
        info = zipfile.ZipInfo(_WEIGHTS, datetime.now().timetuple()[:6])
        info.header_offset, info.CRC, info.compress_size = file.tell(), 0, 0
        file.write(info.FileHeader(zip64=True))
        part = _Part(file, file.tell())
        known = write_weights(part)  # type: ignore[arg-type]
        end = file.seek(0, io.SEEK_END)
        part.size = info.file_size = info.compress_size = end - part.start
        info.CRC = crc_of_file(part, known)  # type: ignore[arg-type]
        file.seek(info.header_offset)
        file.write(info.FileHeader(zip64=True))
        archive.start_dir = file.seek(end)
        archive.filelist.append(info)
        archive.NameToInfo[info.filename] = info


class Archive:
    """A ``.keras`` file, opened for reading and looked through. Raises `ValueError` if anything is odd."""

    def __init__(self, file: IO[bytes], title: str) -> None:
        self.title = title
        self._file = file
        self.size = file.seek(0, io.SEEK_END)
        try:
            self._zip = zipfile.ZipFile(file)
            self._members = self._look()
        except _DAMAGE as error:
            raise ValueError(f"{title} is damaged: {error}. Nothing was loaded.") from error

    def _look(self) -> dict[str, zipfile.ZipInfo]:
        found: dict[str, zipfile.ZipInfo] = {}
        for info in self._zip.infolist():
            check_name(info.filename.rstrip("/"), self.title)
            if info.filename in found:
                raise ValueError(f"{self.title} has two members called {info.filename!r}.")
            if info.flag_bits & 1 or info.compress_type not in (
                zipfile.ZIP_STORED,
                zipfile.ZIP_DEFLATED,
            ):
                raise ValueError(f"{self.title}: {info.filename!r} is encrypted or packed oddly.")
            found[info.filename] = info
        total = sum(info.file_size for info in found.values())
        if total > allowed(self.size):
            raise ValueError(
                f"{self.title} would unfold from {self.size} to {total} bytes. It is not read."
            )
        return found

    @property
    def names(self) -> list[str]:
        """The names of the members."""
        return list(self._members)

    def verify(self) -> None:
        """Read everything once; raise if a checksum is wrong."""
        for name in self._members:
            if not name.endswith("/"):
                self._member(name)

    def config(self) -> dict[str, Any]:
        """The configuration."""
        return self._json(_CONFIG)

    def metadata(self) -> dict[str, Any]:
        """The version that wrote the file, and when."""
        return self._json(_METADATA)

    def _json(self, name: str) -> dict[str, Any]:
        info = self._members.get(name)
        if info and info.file_size > self._most_text:  # Python makes 20 times that of it
            raise ValueError(f"{self.title}: {name} has {info.file_size} bytes. It is not read.")
        try:
            content = json.loads(self._member(name).read())
        except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
            raise ValueError(f"{self.title}: {name} is damaged: {error}") from error
        if not isinstance(content, dict):
            raise ValueError(f"{self.title}: {name} does not describe a model.")
        return content

    @property
    def _most_text(self) -> int:
        """The bytes of text that are read from the archive."""
        return _MOST_CONFIG + self.size // 32

    def below(self, folder: str) -> Iterator[tuple[str, bytes]]:
        """The files in a folder, their names without it; what is stored without packing may be as large
        as the archive."""
        for name, info in self._members.items():
            if not name.startswith(folder) or name.endswith("/"):
                continue
            if info.file_size > max(self._most_text, info.compress_size):
                raise ValueError(
                    f"{self.title}: {name} has {info.file_size} bytes. It is not read."
                )
            yield name.removeprefix(folder), self._member(name).read()

    def weights(self) -> IO[bytes]:
        """The member with the weights as a file, its checksum verified."""
        return self._member(_WEIGHTS)

    def _member(self, name: str) -> IO[bytes]:
        if name not in self._members:
            raise ValueError(f"{self.title} has no {name}: it is no model archive.")
        info = self._members[name]
        try:
            with self._zip.open(info) as member:
                if info.compress_type == zipfile.ZIP_STORED and info.file_size > _CHUNK:
                    return self._stored(info)
                return io.BytesIO(member.read())  # also verifies the checksum
        except _DAMAGE as error:
            raise ValueError(
                f"{self.title}: {name} is damaged: {error}. Nothing was loaded."
            ) from error

    def _stored(self, info: zipfile.ZipInfo) -> IO[bytes]:
        """A member that is stored as it is: the part of the archive where it stands."""
        self._file.seek(info.header_offset + 26)
        lengths = self._file.read(4)
        start = info.header_offset + 30
        start += int.from_bytes(lengths[:2], "little") + int.from_bytes(lengths[2:], "little")
        part = _Part(self._file, start, info.file_size)
        if crc_of_file(part) != info.CRC:  # type: ignore[arg-type]
            raise zipfile.BadZipFile(f"Bad CRC-32 for file {info.filename!r}")
        return part  # type: ignore[return-value]


class _Part(io.RawIOBase):
    """A stretch of a file as a file; without `size` it goes to the end, and can be written."""

    def __init__(self, file: IO[bytes], start: int, size: int | None = None) -> None:
        self._file, self.start, self.size, self._at = file, start, size, 0

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return self.size is None

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_END:
            size = self.size
            offset += self._file.seek(0, io.SEEK_END) - self.start if size is None else size
        self._at = offset + (self._at if whence == io.SEEK_CUR else 0)
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        if self.size is not None:
            view = view[: max(0, self.size - self._at)]
        self._file.seek(self.start + self._at)
        count: int = self._file.readinto(view)  # type: ignore[attr-defined]
        self._at += count
        return count

    def write(self, data: Any) -> int:
        self._file.seek(self.start + self._at)
        count = self._file.write(data)
        self._at += count
        return count

    def flush(self) -> None:
        if not self._file.closed:
            self._file.flush()

    def truncate(self, size: int | None = None) -> int:
        size = self._at if size is None else size
        return self._file.truncate(self.start + size) - self.start


def check_name(name: str, title: str) -> None:
    """Raise unless `name` is a plain relative path."""
    parts = name.split("/")
    if (
        not name
        or "\\" in name
        or "\0" in name
        or ":" in parts[0]
        or any(part in ("", ".", "..") or len(part.encode()) > 255 for part in parts)
    ):
        raise ValueError(f"{title} has a member called {name!r}, which is no plain name.")
