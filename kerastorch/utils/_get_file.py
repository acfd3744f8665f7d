"""Files from the network, kept in a folder."""

from __future__ import annotations

import hashlib
import http.client
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from kerastorch.saving._archive import check_name
from kerastorch.saving._durable import replacing
from kerastorch.utils._extract import extract as _extract
from kerastorch.utils._progbar import Progbar

#: No file may have more bytes than this.
MOST_BYTES = 2**38
_TIMEOUT_S = 30
_CHUNK = 2**20
_LENGTHS = {32: "md5", 64: "sha256"}


def get_file(
    fname: str | os.PathLike[str] | None = None,
    origin: str | None = None,
    untar: bool = False,
    md5_hash: str | None = None,
    file_hash: str | None = None,
    cache_subdir: str = "datasets",
    hash_algorithm: str = "auto",
    extract: bool = False,
    archive_format: str | Sequence[str] | None = "auto",
    cache_dir: str | os.PathLike[str] | None = None,
    force_download: bool = False,
) -> str:
    """The path of a file from the network, fetched unless it is in ``<cache_dir>/<cache_subdir>``.

    - `origin`: an ``https`` or ``file`` URL; ``http`` only together with a hash. A redirection never
      leads from https to http, nor to anything else.
    - `fname`: its name in the cache, else the last part of the URL.
    - `file_hash`: its SHA-256 or MD5 in hexadecimal digits (`hash_algorithm` "sha256", "md5" or
      "auto": by length; `md5_hash` is an older name). A file in the cache that has another is fetched
      again; one that was fetched and has another never gets into the cache.
    - `extract` (or `untar`, older): unpack it, and return the folder instead: ``x_extracted`` for
      ``fname="x.tar.gz"``. `archive_format`: "tar" (also packed by gzip, bzip2, xz), "zip", or "auto".
    - `cache_dir`: default ``$KERAS_HOME``, else ``~/.keras``.

    Both the file and the folder are there whole or not at all. Archives have files and folders only:
    links, devices, names that lead out of the folder, two members of one name, and more than 200 times
    the size of the archive are refused with a ValueError, and so is a wrong hash. A failed download is
    a ConnectionError. Keras: ``keras.utils.get_file``.

    >>> import tempfile, pathlib
    >>> folder = tempfile.mkdtemp()
    >>> source = pathlib.Path(folder, "numbers.txt")
    >>> _ = source.write_text("1 2 3")
    >>> path = get_file("mine.txt", source.as_uri(), cache_dir=folder)
    Downloading data from file://...
    >>> pathlib.Path(path).read_text()
    '1 2 3'
    """
    if origin is None:
        raise ValueError("get_file: expected `origin`, the URL of the file, received None.")
    if md5_hash is not None and file_hash is None:
        file_hash, hash_algorithm = md5_hash, "md5"
    algorithm = _algorithm(file_hash, hash_algorithm)
    _check_url(origin, algorithm is not None)
    name = os.fspath(fname or urllib.parse.urlsplit(origin).path.rpartition("/")[2])
    check_name(name, f"get_file: {origin!r}")
    if "/" in name:
        raise ValueError(
            f"get_file: expected a name without a folder as `fname`, received {name!r}."
        )
    formats = _formats("tar" if untar else archive_format) if extract or untar else ()
    home = cache_dir or os.environ.get("KERAS_HOME") or "~/.keras"
    folder = Path(home).expanduser() / cache_subdir
    path, unpacked = folder / name, folder / name
    if formats:
        stem = name.partition(".")[0]
        if fname and stem != name:
            unpacked = folder / f"{stem}_extracted"
        else:
            path = folder / f"{name}_archive"
    fetched = force_download or not _in_cache(path, file_hash, algorithm)
    if fetched:
        _download(origin, path, file_hash, algorithm)
    if not formats:
        return str(path)
    if fetched or not unpacked.is_dir():
        _extract(path, unpacked, formats)
    return str(unpacked)


def _algorithm(file_hash: str | None, algorithm: str) -> str | None:
    if algorithm not in ("auto", "md5", "sha256"):
        raise ValueError(
            f"get_file: expected hash_algorithm 'auto', 'md5' or 'sha256', received {algorithm!r}."
        )
    if file_hash is None:
        return None
    fitting = _LENGTHS.get(len(file_hash))
    if fitting is None or algorithm not in ("auto", fitting):
        raise ValueError(
            "get_file: expected a hash of 64 (sha256) or 32 (md5) hexadecimal digits, "
            f"received {file_hash!r} for {algorithm!r}."
        )
    return fitting


def _formats(given: str | Sequence[str] | None) -> tuple[str, ...]:
    if given == "auto":
        return ("tar", "zip")
    formats = (given,) if isinstance(given, str) else tuple(given or ())
    if not formats or not set(formats) <= {"tar", "zip"}:
        raise ValueError(
            f"get_file: expected archive_format 'auto', 'tar' or 'zip', received {given!r}."
        )
    return formats


def _check_url(url: str, hashed: bool) -> None:
    scheme = urllib.parse.urlsplit(url).scheme
    if scheme == "http" and not hashed:
        raise ValueError(
            f"get_file: {url!r} can be changed on its way. Use https, or pass file_hash."
        )
    if scheme not in ("https", "http", "file"):
        raise ValueError(f"get_file: expected an https or file URL, received {url!r}.")


def _in_cache(path: Path, file_hash: str | None, algorithm: str | None) -> bool:
    if not path.exists():
        return False
    if not path.is_file():
        raise ValueError(f"get_file: {path} is in the place of the file, and is no file.")
    if algorithm is None or file_hash is None:
        return True
    digest = _digest(algorithm)
    with open(path, "rb") as file:
        while data := file.read(_CHUNK):
            digest.update(data)
    return bool(digest.hexdigest() == file_hash.lower())


def _digest(algorithm: str) -> Any:
    return hashlib.new(algorithm, usedforsecurity=algorithm == "sha256")


def _download(url: str, path: Path, file_hash: str | None, algorithm: str | None) -> None:
    print(f"Downloading data from {url}")
    digest, total = _digest(algorithm or "md5"), 0
    with _opened(url) as source, replacing(path) as file:
        expected = source.headers.get("Content-Length")
        size = int(expected) if (expected or "").isdigit() else None
        bar = Progbar(size)
        while data := _read(source, url):
            total += len(data)
            if total > MOST_BYTES or (size or 0) > MOST_BYTES:
                raise ValueError(f"get_file: {url} has more than {MOST_BYTES} bytes.")
            digest.update(data)
            file.write(data)
            bar.update(total)
        if size is not None and total != size:
            raise ConnectionError(f"get_file: {url} ended after {total} of {size} bytes.")
        if file_hash is not None and digest.hexdigest() != file_hash.lower():
            raise ValueError(
                f"get_file: {url} has the {algorithm} {digest.hexdigest()}, expected {file_hash}. "
                "It was not kept."
            )


def _read(source: IO[bytes], url: str) -> bytes:
    try:
        return source.read(_CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise ConnectionError(f"get_file: {url}: {error}") from error


def _opened(url: str) -> Any:
    opener = urllib.request.OpenerDirector()
    for handler in (
        *(
            urllib.request.ProxyHandler(),
            urllib.request.HTTPHandler(),
            urllib.request.HTTPSHandler(),
        ),
        *(urllib.request.HTTPDefaultErrorHandler(), urllib.request.HTTPErrorProcessor()),
        _Redirects(),
    ):
        opener.add_handler(handler)
    if urllib.parse.urlsplit(url).scheme == "file":
        opener.add_handler(urllib.request.FileHandler())
    try:
        return opener.open(url, timeout=_TIMEOUT_S)
    except (OSError, http.client.HTTPException) as error:
        raise ConnectionError(f"get_file: {url}: {error}") from error


class _Redirects(urllib.request.HTTPRedirectHandler):
    """From https to https only; from http, where a hash guards the file, to both."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        scheme = urllib.parse.urlsplit(newurl).scheme
        if scheme != "https" and not scheme == req.type == "http":
            raise ValueError(f"get_file: {req.full_url} leads from {req.type} to {newurl!r}.")
        return super().redirect_request(req, fp, code, msg, headers, newurl)
