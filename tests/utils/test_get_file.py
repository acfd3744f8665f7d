"""`get_file` against a server in this process, and archives that were made to do harm.

One test for each published advisory about Keras's `get_file`; what their payloads would write is a
harmless file.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import os
import shutil
import ssl
import stat
import subprocess
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import keras
import pytest

import kerastorch as kt
from kerastorch.utils import _extract as extract_module
from kerastorch.utils import _get_file as get_file_module
from kerastorch.utils._extract import extract

get_file = kt.utils.get_file
SHA = hashlib.sha256(b"content").hexdigest()
MD5 = hashlib.md5(b"content").hexdigest()

# -- a server -------------------------------------------------------------------------------------


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        pages = self.server.pages  # type: ignore[attr-defined]
        status, headers, body = pages.get(self.path, (404, {}, b""))
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


class Server:
    """Pages by path, and the paths that were asked for."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self._server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.pages, self._server.asked = {}, []
        if context:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"{'https' if context else 'http'}://localhost:{self._server.server_port}"
        self.asked: list[str] = self._server.asked
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def page(self, path: str, body: bytes = b"content", status: int = 200, **headers: str) -> str:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        self._server.pages[path] = (status, names, body)
        return self.url + path

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def http() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not shutil.which("openssl"):
        pytest.skip("needs openssl to make a certificate")
    folder = tmp_path_factory.mktemp("certificate")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", "key.pem", "-out", "cert.pem"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    return folder


@pytest.fixture
def https(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    server = Server(context)
    yield server
    server.close()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (
        "http_proxy",
        "https_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "all_proxy",
        "ALL_PROXY",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "datasets"


def files_in(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*")) if folder.exists() else []


# -- fetching -------------------------------------------------------------------------------------


def test_fetched_once(https: Server, cache: Path) -> None:
    url = https.page("/a/file.txt?x=1")
    for _ in range(2):
        assert get_file(origin=url) == str(cache / "file.txt")
    assert (cache / "file.txt").read_bytes() == b"content"
    assert https.asked == ["/a/file.txt?x=1"]
    assert get_file(origin=url, force_download=True) == str(cache / "file.txt")
    assert len(https.asked) == 2
    assert stat.S_IMODE((cache / "file.txt").stat().st_mode) == 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_places(https: Server, tmp_path: Path) -> None:
    url = https.page("/file.txt")
    assert get_file("b.txt", url, cache_dir=tmp_path / "c", cache_subdir="d") == str(
        tmp_path / "c" / "d" / "b.txt"
    )
    assert get_file(Path("b.txt"), url, cache_subdir=str(tmp_path / "e")) == str(
        tmp_path / "e" / "b.txt"
    )


def test_an_unknown_certificate(
    https: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(ConnectionError, match=r"(?i)certificate"):
        get_file(origin=https.page("/file.txt"))
    assert files_in(cache) == []


@pytest.mark.parametrize(
    "given", [{"file_hash": SHA}, {"file_hash": MD5}, {"md5_hash": MD5.upper()}]
)
def test_http_with_a_hash(given: dict[str, str], http: Server, cache: Path) -> None:
    assert get_file(origin=http.page("/file.txt"), **given) == str(cache / "file.txt")


def test_http_without_a_hash(http: Server) -> None:
    with pytest.raises(ValueError, match="Use https, or pass file_hash"):
        get_file(origin=http.page("/file.txt"))
    assert http.asked == []


@pytest.mark.parametrize(
    "url", ["ftp://localhost/x", "data:,x", "x.txt", "/etc/passwd", "gopher://x/x"]
)
def test_other_schemes(url: str) -> None:
    with pytest.raises(ValueError, match="expected an https or file URL"):
        get_file("x", url, file_hash=SHA)


def test_a_local_file(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "source").write_bytes(b"content")
    assert get_file(origin=(tmp_path / "source").as_uri(), file_hash=SHA) == str(cache / "source")
    with pytest.raises(ConnectionError):
        get_file(origin=(tmp_path / "other").as_uri())


def test_redirections(https: Server, http: Server, cache: Path) -> None:
    target = https.page("/target")
    assert get_file("a", https.page("/to", b"", 302, Location=target)) == str(cache / "a")
    assert get_file("b", http.page("/up", b"", 301, Location=target), file_hash=SHA)
    secret = cache.parent / "secret"
    secret.parent.mkdir(exist_ok=True)
    secret.write_bytes(b"content")
    for number, place in enumerate((http.page("/target"), secret.as_uri(), "ftp://localhost/x")):
        url = https.page(f"/away{number}", b"", 302, Location=place)
        with pytest.raises((ValueError, ConnectionError), match=r"leads from https|not allowed"):
            get_file("c", url, file_hash=SHA)
    with pytest.raises(ConnectionError, match=r"(?i)infinite loop"):
        get_file("c", https.page("/round", b"", 302, Location=https.url + "/round"))
    assert http.asked == ["/up"]
    assert files_in(cache) == ["a", "b"]


def test_failures(https: Server, cache: Path) -> None:
    with pytest.raises(ConnectionError, match="404"):
        get_file(origin=https.url + "/none")
    with pytest.raises(ConnectionError, match=r"ended after 7 of 9|IncompleteRead|EOF"):
        get_file(origin=https.page("/short", Content_Length="9"))
    with pytest.raises(ConnectionError):
        get_file(origin="https://localhost:1/x")
    assert files_in(cache) == []


def test_too_large(https: Server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(get_file_module, "MOST_BYTES", 6)
    for name, length in (("/declared", "7"), ("/undeclared", "")):
        with pytest.raises(ValueError, match="more than 6 bytes"):
            get_file(origin=https.page(name, Content_Length=length))
    assert files_in(cache) == []


def test_a_wrong_hash_leaves_nothing(https: Server, cache: Path) -> None:
    """Keras keeps the rejected file, and the next call without a hash takes it."""
    url = https.page("/file.txt", b"other")
    for _ in range(2):
        with pytest.raises(ValueError, match="It was not kept"):
            get_file(origin=url, file_hash=SHA)
        assert files_in(cache) == []


def test_a_file_in_the_cache_that_is_another(https: Server, cache: Path) -> None:
    cache.mkdir(parents=True)
    (cache / "file.txt").write_bytes(b"older")
    url = https.page("/file.txt", b"wrong")
    with pytest.raises(ValueError, match="It was not kept"):
        get_file(origin=url, file_hash=SHA)
    assert (cache / "file.txt").read_bytes() == b"older"
    https.page("/file.txt")
    assert Path(get_file(origin=url, file_hash=SHA)).read_bytes() == b"content"


@pytest.mark.parametrize("name", ["..", ".", "a/b", "/a", "a\\b", "x\0", "c:", "x" * 300, "../a"])
def test_odd_names(name: str, https: Server, cache: Path) -> None:
    with pytest.raises(ValueError, match=r"no plain name|without a folder"):
        get_file(name, https.page("/x"))
    assert files_in(cache.parent) == https.asked == []


@pytest.mark.parametrize("end", ["/..", "/.", "/", ""])
def test_odd_names_in_the_url(end: str, https: Server, cache: Path) -> None:
    """PR 23330: a URL that ends in ``..`` names the parent of the cache."""
    with pytest.raises(ValueError, match="no plain name"):
        get_file(origin=https.url + end, extract=True)
    assert files_in(cache.parent) == https.asked == []


def test_arguments() -> None:
    url = "https://localhost/x"
    with pytest.raises(ValueError, match="`origin`"):
        get_file("x")
    for given in (
        {"file_hash": "12"},
        {"file_hash": SHA, "hash_algorithm": "md5"},
        {"md5_hash": SHA},
    ):
        with pytest.raises(ValueError, match="hexadecimal digits"):
            get_file("x", url, **given)
    with pytest.raises(ValueError, match="hash_algorithm"):
        get_file("x", url, hash_algorithm="sha1")
    for formats in (None, [], "rar", ["tar", "rar"]):
        with pytest.raises(ValueError, match="archive_format"):
            get_file("x", url, extract=True, archive_format=formats)


# -- archives -------------------------------------------------------------------------------------


def tar(*members: tuple[Any, ...], pack: Callable[[bytes], bytes] = bytes, **options: Any) -> bytes:
    """An archive of ``(name, content or fields)``."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", **options) as archive:
        for name, what in members:
            info = tarfile.TarInfo(name)
            content = what if isinstance(what, bytes) else b""
            info.size = len(content)
            for field, value in ({} if isinstance(what, bytes) else what).items():
                setattr(info, field, value)
            archive.addfile(info, io.BytesIO(content))
    return pack(buffer.getvalue())


def zip_of(*members: tuple[str, bytes], attributes: int = 0) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = attributes << 16
            archive.writestr(info, content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


GOOD = (("a.txt", b"a"), ("folder/b.txt", b"b" * 2000), ("./folder/deep/c", b""))
FOLDERS = ("folder", {"type": tarfile.DIRTYPE}), (".", {"type": tarfile.DIRTYPE})
PACKED: dict[str, bytes] = {
    "tar": tar(*FOLDERS, *GOOD),
    "tar.gz": tar(*GOOD, pack=gzip.compress),
    "tar.bz2": tar(*GOOD, pack=bz2.compress),
    "tar.xz": tar(*GOOD, pack=lzma.compress),
    "gnu.tar": tar(*GOOD, format=tarfile.GNU_FORMAT),
    "zip": zip_of(("folder/", b""), *GOOD),
}


@pytest.mark.parametrize("kind", PACKED)
def test_unpacked(kind: str, https: Server, cache: Path) -> None:
    """As Keras does: the same folder, the same files."""
    url = https.page(f"/data.{kind}", PACKED[kind])
    folder = Path(get_file(f"data.{kind}", url, extract=True))
    assert folder == cache / "data_extracted"
    (cache.parent / "theirs").mkdir()
    (cache.parent / "file").write_bytes(PACKED[kind])
    theirs = Path(keras.utils.get_file(
        f"data.{kind}", (cache.parent / "file").as_uri(), extract=True,
        cache_dir=str(cache.parent / "theirs")))  # fmt: skip
    assert theirs.name == folder.name
    expected = ["a.txt", "folder", "folder/b.txt", "folder/deep", "folder/deep/c"]
    assert files_in(folder) == files_in(theirs) == expected
    assert (folder / "folder/b.txt").read_bytes() == b"b" * 2000
    assert set(os.listdir(cache)) == {f"data.{kind}", "data_extracted"}


def test_folders(https: Server, cache: Path) -> None:
    url = https.page("/data.tar", PACKED["tar"])
    assert get_file(origin=url, untar=True) == str(cache / "data.tar")
    assert (cache / "data.tar").is_dir()
    assert (cache / "data.tar_archive").is_file()
    assert get_file("named", url, extract=True) == str(cache / "named")
    assert (cache / "named_archive").is_file()


def test_unpacked_once_and_again(https: Server, cache: Path) -> None:
    url = https.page("/d.tar", tar(("a", b"1"), ("b", b"")))
    folder = Path(get_file("d.tar", url, extract=True))
    (folder / "a").write_bytes(b"mine")
    get_file("d.tar", url, extract=True)
    assert (folder / "a").read_bytes() == b"mine"
    https.page("/d.tar", tar(("a", b"2")))
    get_file("d.tar", url, extract=True, force_download=True)
    assert files_in(folder) == ["a"]
    assert (folder / "a").read_bytes() == b"2"
    https.page("/d.tar", tar(("a", b"3"), ("../b", b"")))
    with pytest.raises(ValueError, match="no plain name"):
        get_file("d.tar", url, extract=True, force_download=True)
    assert (folder / "a").read_bytes() == b"2"
    assert set(os.listdir(cache)) == {"d.tar", "d_extracted"}


def symlink_chain() -> bytes:
    """CVE-2025-12060 (CPython's CVE-2025-4517): links so long that `realpath` stops."""
    members: list[tuple[str, Any]] = []
    path, long = "", "d" * 247
    for letter in "abcdefghijklmnop":
        members.append((os.path.join(path, long), {"type": tarfile.DIRTYPE}))
        members.append((os.path.join(path, letter), {"type": tarfile.SYMTYPE, "linkname": long}))
        path = os.path.join(path, letter)
    last = os.path.join("/".join("abcdefghijklmnop"), "l" * 254)
    members.append((last, {"type": tarfile.SYMTYPE, "linkname": "../" * 16}))
    members.append(("escape", {"type": tarfile.SYMTYPE, "linkname": last + "/.."}))
    return tar(*members, ("escape/marker", b"x"))


def link(kind: bytes, target: str) -> dict[str, Any]:
    return {"type": kind, "linkname": target}


def header_bomb() -> bytes:
    """A member whose pax header alone has 32 MB."""
    return gzip.compress(
        tar(("a", {"pax_headers": {"comment": "x" * 2**25}}), format=tarfile.PAX_FORMAT)
    )


def damaged_in_the_middle() -> bytes:
    content = bytearray(tar(("a", b"1"), ("b", b"2"), ("c", b"3")))
    content[1024 + 148] ^= 1  # the checksum of the second header
    return bytes(content)


HOSTILE: dict[str, tuple[bytes, str]] = {
    "CVE-2021-35958: parent": (tar(("../../marker", b"x")), "no plain name"),
    "CVE-2024-55459: absolute": (tar(("/tmp/marker", b"x")), "no plain name"),
    "CVE-2025-12060: chain of links": (symlink_chain(), "no file and no folder"),
    "PR 22973: hard link": (tar(("a", link(tarfile.LNKTYPE, "../../x"))), "no file and no folder"),
    "PR 23015: link, then below it": (
        tar(("a", link(tarfile.SYMTYPE, "..")), ("a/marker", b"x")), "no file and no folder"),
    "backslash": (tar(("..\\marker", b"x")), "no plain name"),
    "inner parent": (tar(("a/../../marker", b"x")), "no plain name"),
    "dot, absolute": (tar((".//tmp/../../marker", b"x")), "no plain name"),
    "device": (tar(("a", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3})), "no file and no"),
    "fifo": (tar(("a", {"type": tarfile.FIFOTYPE})), "no file and no folder"),
    "twice": (tar(("a", b"1"), ("./a", b"2")), "two members"),
    "below a file": (tar(("a", b"1"), ("a/b", b"2")), "two members"),
    "file over folder": (tar(("a/b", b"1"), ("a", b"2")), "two members"),
    "long path": (tar(("/".join(["x" * 200] * 6), b"")), "no plain name"),
    "long name": (tar(("x" * 256, b"")), "no plain name"),
    "tar bomb": (gzip.compress(tar(("a", b"\0" * 3 * 2**20))), "unfolds to more"),
    "many folders": (tar(*((f"d{i}", {"type": tarfile.DIRTYPE}) for i in range(60))), "more than 50"),
    "header": (header_bomb(), "has a header of"),
    "damaged": (damaged_in_the_middle(), "damaged"),
    "cut": (tar(*GOOD)[:1500], "damaged"),
    "cut packed": (tar(*GOOD, pack=gzip.compress)[:-20], "damaged"),
    "no archive": (b"hello" * 1000, "damaged, or no archive"),
    "empty": (b"", "damaged, or no archive"),
    "zip: parent": (zip_of(("../marker", b"x")), "no plain name"),
    "zip: absolute": (zip_of(("/tmp/marker", b"x")), "no plain name"),
    "zip: link": (zip_of(("a", b".."), attributes=stat.S_IFLNK | 0o777), "no file and no folder"),
    "zip: bomb": (zip_of(("a", b"\0" * 3 * 2**20)), "unfolds to more"),
    "zip: twice": (zip_of(("a", b"1"), ("./a", b"2")), "two members"),
    "zip: cut": (zip_of(("a", b"1"))[:-10], "damaged"),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_archives(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `ValueError`; nothing is written anywhere but into the cache, and of the folder nothing."""
    content, match = HOSTILE[what]
    monkeypatch.setattr(extract_module, "ALLOWANCE", 2**20)
    monkeypatch.setattr(extract_module, "MOST_MEMBERS", 50)
    (tmp_path / "archive").write_bytes(content)
    before = {"archive", "inner", "inner/target", "inner/target/old"}
    (tmp_path / "inner" / "target").mkdir(parents=True)
    (tmp_path / "inner" / "target" / "old").touch()
    monkeypatch.chdir(tmp_path)  # GHSA-hqp4-2352-xf5r: what counts is the target, not this folder
    with pytest.raises(ValueError, match=match):
        extract(tmp_path / "archive", tmp_path / "inner" / "target")
    assert set(files_in(tmp_path)) == before
    assert not os.path.exists("/tmp/marker")


def test_modes(tmp_path: Path) -> None:
    """No setuid, no sticky bits, no foreign owner, no unreadable files."""
    fields = {"mode": 0o7000, "uid": 4711, "size": 0}
    (tmp_path / "a").write_bytes(tar(("f", fields), ("d", {**fields, "type": tarfile.DIRTYPE})))
    extract(tmp_path / "a", tmp_path / "out")
    assert stat.S_IMODE((tmp_path / "out/f").stat().st_mode) == 0o666 & ~_umask()
    assert stat.S_IMODE((tmp_path / "out/d").stat().st_mode) == 0o777 & ~_umask()
    assert (tmp_path / "out/f").stat().st_uid == os.getuid()


def test_sparse(tmp_path: Path) -> None:
    """A file that is mostly holes: declared as long as one likes, stored in no bytes."""
    header = tarfile.TarInfo("a")
    header.type = tarfile.GNUTYPE_SPARSE
    (tmp_path / "a").write_bytes(header.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with pytest.raises(ValueError, match="no file and no folder"):
        extract(tmp_path / "a", tmp_path / "out")


def test_formats(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(PACKED["zip"])
    with pytest.raises(ValueError, match="no archive of the formats"):
        extract(tmp_path / "a", tmp_path / "out", ("tar",))
    assert files_in(tmp_path) == ["a"]
