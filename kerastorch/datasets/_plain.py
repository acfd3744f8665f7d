"""Data sets in Python's pickle format: numbers, lists and arrays. Nothing in a file is called."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np


class _Record:
    """Stands for whatever a file names, and keeps what the file would give to it."""

    arguments: tuple[Any, ...] = ()
    state: Any = None

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Unpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str) -> Any:
        return _Record


def unpickled(stream: IO[bytes]) -> Any:
    """Numbers, text, lists, dicts and arrays from a pickle; text of Python 2 becomes bytes."""
    return _plain(_Unpickler(stream, encoding="bytes").load())


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if type(value) in (int, float, str, bytes) or _is_numbers(value):
        return value
    match getattr(value, "state", None):  # that of an array
        case (_, tuple() as shape, _Record(arguments=(str() | bytes() as name, *_)), order, data):
            return _array(shape, name if isinstance(name, str) else name.decode(), order, data)
    raise ValueError("The file holds something that no data set does; it is not loaded.")


def _is_numbers(value: Any) -> bool:
    return type(value) is list and {*map(type, value)} <= {int, float, bytes}


def _array(shape: tuple[int, ...], dtype: str, fortran: bool, data: Any) -> np.ndarray[Any, Any]:
    if isinstance(data, list) and dtype[:1] == "O" and shape == (len(data),):
        array = np.empty(shape, object)
        array[:] = [_plain(item) for item in data]
        return array
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")


def read_npz(path: str | Path) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays of an ``.npz`` archive, those of lists too."""
    with zipfile.ZipFile(path) as archive:
        return {
            name.removesuffix(".npy"): _read_npy(archive.open(name)) for name in archive.namelist()
        }


def _read_npy(stream: IO[bytes]) -> np.ndarray[Any, Any]:
    with stream:
        header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[np.lib.format.read_magic(stream)]
        shape, fortran, dtype = header(stream)
        if dtype.hasobject:
            array: np.ndarray[Any, Any] = unpickled(stream)
            return array
        values = np.frombuffer(stream.read(), dtype)
    return values.reshape(shape[::-1]).T if fortran else values.reshape(shape)
