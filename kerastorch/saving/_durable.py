"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import io
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

_LARGE = 2**20


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """A binary file that becomes `path` when the block ends without an error.

    Until then `path` is what it was, whatever happens: an error, a full disk, a killed process, a
    power failure. The new content is written to a file without a name where the system has such
    (Linux), else to a hidden one beside `path`; it and its folder are flushed to the disk.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replacing(Path(folder, "a", "b.bin")) as file:
    ...         _ = file.write(b"content")
    ...     Path(folder, "a", "b.bin").read_bytes()
    b'content'
    """
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder. Give the name of a file.")
    _remove_left_over(path)
    hidden = path.with_name(f".{path.name[:200]}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    nameless = _open_nameless(path.parent)
    _uncache(path)
    try:
        raw = _EagerFile(hidden, "x+") if nameless is None else _EagerFile(nameless, "w+")
        with io.BufferedRandom(raw) as file:
            yield file
            file.flush()
            os.fchmod(file.fileno(), _mode(path))
            os.fsync(file.fileno())
            if nameless is not None:  # a folder given makes it linkat(), which follows the link
                own = f"/proc/self/fd/{file.fileno()}"
                os.link(own, hidden, src_dir_fd=file.fileno(), follow_symlinks=True)
                os.replace(
                    hidden, path
                )  # at once: a process killed in between leaves a hidden name
        if nameless is None:
            os.replace(hidden, path)
    except BaseException:
        with contextlib.suppress(OSError):
            hidden.unlink()
        raise
    _flush_folder(path.parent)


def _uncache(path: Path) -> None:
    """The memory in which the system keeps a file that is about to be replaced is better used."""
    if hasattr(os, "posix_fadvise") and path.is_file():
        with contextlib.suppress(OSError), open(path, "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


class _EagerFile(io.FileIO):
    """A file that the disk begins with while more of it is made, so that less is left for fsync."""

    def write(self, data: Any) -> int:
        start, count = self.tell(), super().write(data)
        if count >= _LARGE and hasattr(os, "posix_fadvise"):
            # Linux starts to write what it is told to forget, and keeps what is not written yet
            os.posix_fadvise(self.fileno(), start, count, os.POSIX_FADV_DONTNEED)
        return count


def _open_nameless(folder: Path) -> int | None:
    """A file that no folder lists: nothing of it is left when the process is killed."""
    if not hasattr(os, "O_TMPFILE") or not os.path.isdir("/proc/self/fd"):
        return None
    try:
        return os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o600)
    except OSError:  # a file system without them; a real problem shows again with the hidden file
        return None


def _remove_left_over(path: Path) -> None:
    """Hidden files of writers that were killed."""
    pattern = re.compile(re.escape(f".{path.name[:200]}.") + r"(\d+)\.[0-9a-f]{8}\.tmp")
    for entry in os.scandir(path.parent):
        found = pattern.fullmatch(entry.name)
        if found and not _alive(int(found[1])):
            with contextlib.suppress(OSError):
                os.unlink(entry.path)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        pass
    return True


def _mode(path: Path) -> int:
    """The permissions that `path` has, or that a new file gets."""
    with contextlib.suppress(OSError):
        return path.stat().st_mode & 0o7777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _flush_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # not every system opens folders
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
