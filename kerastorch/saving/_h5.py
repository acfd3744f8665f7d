"""Weights in HDF5, laid out as Keras does: ``<path>/vars/<index>``.

HDF5 can refer to other files, to itself in a circle, to memory that it does not hold. None of it is
followed here: what a file stores is looked at first, and only plain numbers are read.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
from collections.abc import Iterable, Iterator
from typing import IO, Any

import numpy as np
import torch
from zlib_ng.zlib_ng import crc32

from kerastorch.saving._budget import allowed
from kerastorch.saving._crc import Span
from kerastorch.saving._stretch import Stretch, stamp_of

_FILTERS = {1: "gzip", 2: "shuffle", 3: "fletcher32", 32000: "lzf"}
#: The attribute with the mark of a set of files.
SET = "kerastorch_set"
_MAX_OBJECTS = 1_000_000
_MOST_PARTS, _MOST_TEXT = 1000, 2**30


def as_array(value: Any) -> np.ndarray[Any, Any]:
    """A tensor or array as a contiguous array on the host; bfloat16 as two raw bytes."""
    if not isinstance(value, torch.Tensor):
        return np.asarray(value, order="C")
    value = value.detach()
    raw = value.dtype is torch.bfloat16
    dtype = torch.int16 if raw else value.dtype
    if value.device.type != "cpu" or not value.is_contiguous():
        # kernels are not. NumPy's memory comes in pages of 2 MB, torch's in pages of 4 KB: faster
        rows = np.empty(tuple(value.shape), torch.empty(0, dtype=dtype).numpy().dtype)
        value = torch.from_numpy(rows).view(value.dtype).copy_(value)
    array: np.ndarray[Any, Any] = value.view(dtype).numpy()
    return array.view("V2") if raw else array


def as_tensor(array: np.ndarray[Any, Any]) -> torch.Tensor:
    """The inverse of `as_array`, sharing its memory."""
    if array.dtype == np.dtype("V2"):
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


class H5Writer:
    """Writes groups of arrays into a binary file, each with a CRC-32 of dtype, shape and bytes.

    Without `checksums`, when something else guards the file, `spans` gives those of the bytes.
    """

    def __init__(self, file: IO[bytes], checksums: bool = True) -> None:
        import h5py  # type: ignore[import-untyped]

        self._checksums = checksums
        self.spans: list[Span] = []

        # v108: the library itself guards all headers with checksums
        self._file = h5py.File(file, "w", libver=("v108", "latest"))

    def mark(self, text: str) -> None:
        """Note to which set of files this one belongs."""
        self._file.attrs[SET] = text

    def write(self, path: str, name: str | None, values: Iterable[tuple[str, Any]]) -> None:
        """The `prepared` values of one module."""
        group = self._file.create_group(f"{path}/vars" if path else "vars")
        if name:
            group.attrs["name"] = name
        for key, (array, crc) in values:
            data = group.create_dataset(key, data=array)
            if array.dtype == np.dtype("V2"):
                data.attrs["dtype"] = "bfloat16"
            if self._checksums:
                data.attrs["crc32"] = np.uint32(crc)
            elif array.size:
                self.spans.append((data.id.get_offset(), array.nbytes, crc))

    def prepared(self, value: Any) -> tuple[np.ndarray[Any, Any], int]:
        """A value as it is written, with its checksum."""
        array = as_array(value)
        return array, crc_of(array) if self._checksums else crc_of_bytes(array)

    def close(self) -> None:
        """Finish the file."""
        self._file.close()

    def __enter__(self) -> H5Writer:
        return self

    def __exit__(self, kind: Any, *error: Any) -> None:
        # after an error closing stumbles over what is left: what happened first is what to say
        with contextlib.suppress(Exception) if kind else contextlib.nullcontext():
            self.close()


class H5Reader:
    """Looks through an HDF5 file and reads plain arrays from it. Raises `ValueError` for anything else.

    `size` is that of the file: what it declares is held against it before memory is taken.
    """

    def __init__(self, file: IO[bytes], size: int, title: str) -> None:
        import h5py

        self.title = title
        try:
            self._file = h5py.File(file, "r")
        except OSError as error:
            raise ValueError(f"{title} is not a readable HDF5 file: {error}") from error
        self.data: dict[str, Any] = {}  # path -> dataset
        self.total = self._stored = 0
        self._size = size
        self._handle = _handle(file) if self._file.userblock_size == 0 else None
        self._stamp = (0, 0) if self._handle is None else stamp_of(self._handle)
        try:
            self._look(self._file, "", set())
            if self.total > allowed(size):
                raise self._refusal(
                    "", f"declares {self.total} bytes of weights in {size} bytes of file"
                )
        except (RuntimeError, KeyError, OSError, TypeError) as error:
            self.close()
            raise ValueError(f"{title} is damaged: {error}") from error
        except BaseException:
            self.close()
            raise

    def _refusal(self, path: str, what: str) -> ValueError:
        return ValueError(f"{self.title}: {path or 'the file'} {what}. It is not read.")

    def _look(self, group: Any, path: str, seen: set[Any]) -> None:
        import h5py

        for name in group:
            inner = f"{path}/{name}" if path else name
            link = type(group.get(name, getlink=True))
            if link is not h5py.HardLink:
                what = f"is a link, which could lead to another file ({link.__name__})"
                raise self._refusal(inner, what)
            item = group[name]
            where = h5py.h5o.get_info(item.id).addr
            if where in seen or len(seen) > _MAX_OBJECTS:
                raise self._refusal(inner, "is listed twice")
            seen.add(where)
            if isinstance(item, h5py.Group):
                self._look(item, inner, seen)
            elif isinstance(item, h5py.Dataset):
                self._check(item, inner)
                self.data[inner] = item
            else:
                raise self._refusal(inner, f"is a {type(item).__name__}")

    def _check(self, data: Any, path: str) -> None:
        properties = data.id.get_create_plist()
        if data.is_virtual or properties.get_external_count():
            raise self._refusal(path, "refers to another file")
        filters = [properties.get_filter(i)[0] for i in range(properties.get_nfilters())]
        if any(number not in _FILTERS for number in filters):
            raise self._refusal(path, f"is packed with filters {filters}")
        raw = data.dtype == np.dtype("V2")
        if not raw and data.dtype.kind not in "biuf":
            raise self._refusal(path, f"holds {data.dtype}, not numbers")
        if data.shape is None:
            raise self._refusal(path, "has no shape")
        declared, stored = math.prod(data.shape) * data.dtype.itemsize, data.id.get_storage_size()
        if data.chunks:  # each is unpacked as a whole
            declared = max(declared, math.prod(data.chunks) * data.dtype.itemsize)
        if declared > (allowed(stored) if filters else stored):
            raise self._refusal(path, f"declares {declared} bytes and stores {stored}")
        self.total += declared
        self._stored += stored

    def keys(self, path: str) -> list[str]:
        """The names of the arrays of one module, in order: "0", "1", ..."""
        prefix = f"{path}/vars/" if path else "vars/"
        names = [key[len(prefix) :] for key in self.data if key.startswith(prefix)]
        return sorted(names, key=lambda name: (len(name), name))

    def shape(self, path: str, key: str) -> tuple[int, ...]:
        """Shape of an array, from its header."""
        shape: tuple[int, ...] = self.data[self._name(path, key)].shape
        return shape

    def read(self, path: str, key: str, into: torch.Tensor | None = None) -> torch.Tensor:
        """An array of a module: see `read_at`."""
        return self.read_at(self._name(path, key), into)

    def read_at(self, name: str, into: torch.Tensor | None = None) -> torch.Tensor:
        """An array, checked against its CRC-32; straight into the memory of `into` where that fits."""
        data = self.data[name]
        target = memory_of(into, data) if into is not None and into.is_contiguous() else None
        if target is None:
            target = np.empty(data.shape, data.dtype)
        try:
            if target.size:
                data.read_direct(target)
            crc = _stored_crc(data)
        except (OSError, RuntimeError, TypeError) as error:
            raise ValueError(f"{self.title}: {name} is damaged: {error}") from error
        if crc is not None and crc_of(target) != crc:
            raise ValueError(
                f"{self.title}: {name} is damaged: its checksum is not the one stored "
                "with it. Nothing was loaded."
            )
        if not target.dtype.isnative:
            target = target.astype(target.dtype.newbyteorder("="))
        return as_tensor(target)

    def stretch(self, path: str, key: str) -> Stretch | None:
        """An array of a module as a stretch of the file: see `stretch_at`."""
        return self.stretch_at(self._name(path, key))

    def stretch_at(self, name: str) -> Stretch | None:
        """An array that stands in the file as it is, with a checksum; None if it does not."""
        data, file = self.data[name], self._handle
        if file is None or data.chunks or not data.size or not data.dtype.isnative:
            return None
        title = f"{self.title}: {name}"
        try:
            start, crc = data.id.get_offset(), _stored_crc(data)
        except (OSError, RuntimeError, TypeError) as error:
            raise ValueError(f"{title} is damaged: {error}") from error
        if start is None or crc is None:
            return None
        begin = _begin(data.dtype, data.shape)
        return Stretch(file, self._stamp, start, data.dtype, data.shape, begin, crc, title)

    def verify(self) -> None:
        """Read everything once; raise if a checksum is wrong."""
        for name in self.data:
            stretch = self.stretch_at(name)
            if stretch is not None:
                stretch.verify()
            else:
                self.read_at(name)

    @staticmethod
    def _name(path: str, key: str) -> str:
        return f"{path}/vars/{key}" if path else f"vars/{key}"

    def text(self, path: str, name: str) -> list[str] | None:
        """Strings among the attributes of a group, those of older files: one, or a list. None if there
        are none."""
        if path and path not in self._file:
            return None
        attributes = self._file[path or "/"].attrs
        if name not in attributes:
            numbered = (f"{name}{i}" for i in range(_MOST_PARTS))
            there = itertools.takewhile(lambda part: part in attributes, numbered)
            parts = [self.text(path, part) for part in there]
            return [text for part in parts for text in part or ()] if parts else None
        header = attributes.get_id(name)
        count = math.prod(header.shape)
        # each string is one of the bytes that are in no array; several may be the same ones
        if header.get_storage_size() > 2**16 or count * (self._size - self._stored) > _MOST_TEXT:
            raise self._refusal(path, f"has too much text in {name!r}")
        try:
            found = np.atleast_1d(np.asarray(attributes[name], dtype=object)).tolist()
        except (OSError, RuntimeError, TypeError, ValueError) as error:
            raise ValueError(f"{self.title}: {name!r} is damaged: {error}") from error
        return [text.decode() if isinstance(text, bytes) else str(text) for text in found]

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> H5Reader:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def __iter__(self) -> Iterator[str]:
        return iter(self.data)


def crc_of(array: np.ndarray[Any, Any]) -> int:
    """CRC-32 of dtype, shape and bytes."""
    return crc_of_bytes(array, _begin(array.dtype, array.shape))


def _begin(dtype: np.dtype[Any], shape: tuple[int, ...]) -> int:
    return crc32(f"{dtype.str}{shape}".encode())


def crc_of_bytes(array: np.ndarray[Any, Any], start: int = 0) -> int:
    """CRC-32 of the bytes of a contiguous array."""
    return crc32(array.reshape(-1).view(np.uint8), start)


def _stored_crc(data: Any) -> int | None:
    if "crc32" not in data.attrs:
        return None
    if data.attrs.get_id("crc32").shape != ():
        raise TypeError("its checksum is no number")
    return int(data.attrs["crc32"])


def _handle(file: IO[bytes]) -> int | None:
    """The descriptor of a file on the disk."""
    if not hasattr(os, "preadv"):
        return None
    try:
        return file.fileno()
    except (AttributeError, OSError):  # a part of an archive, or memory
        return None


def memory_of(tensor: torch.Tensor, data: Any) -> np.ndarray[Any, Any] | None:
    """The tensor's memory as an array, if the values of `data` can stand there as they are."""
    if tensor.device.type != "cpu":
        return None
    if tensor.dtype is torch.bfloat16:
        array = tensor.detach().view(torch.int16).numpy().view("V2")
    else:
        array = tensor.detach().numpy()
    return array if array.dtype == data.dtype and array.shape == data.shape else None
