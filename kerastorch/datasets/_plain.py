"""Files of Python's pickle format that hold plain data and arrays; anything else in them is refused."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np

_KNOWN = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str) -> Any:
        if (module_name, global_name) not in _KNOWN:
            raise ValueError(
                f"The file asks for {module_name}.{global_name}, which no data set holds: it is not loaded."
            )
        return super().find_class(module_name, global_name)


def unpickled(stream: IO[bytes]) -> Any:
    """Numbers, text, lists, dicts and arrays from a pickle; text of Python 2 becomes bytes."""
    return _Unpickler(stream, encoding="bytes").load()


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
