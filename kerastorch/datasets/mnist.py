"""MNIST: 70,000 grey 28 x 28 images of handwritten digits.

By Y. LeCun and C. Cortes, from data of NIST; licence CC BY-SA 3.0.
"""

from __future__ import annotations

import gzip
import os
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from kerastorch.datasets._cache import atomic_write, cache_file, download

Array = np.ndarray[Any, Any]
Split = tuple[Array, Array]

_NAMES = ("x_train", "y_train", "x_test", "y_test")


def load_data(path: str | os.PathLike[str] = "mnist.npz") -> tuple[Split, Split]:
    """``(x_train, y_train), (x_test, y_test)``, all uint8.

    Images are ``(60000, 28, 28)`` and ``(10000, 28, 28)`` with values 0..255, labels ``(60000,)``
    and ``(10000,)`` with values 0..9. The archive is ``$KERAS_HOME/datasets/<path>``: used without
    network if it is there, else made from the original files, which needs torchvision (it knows
    their mirrors and checksums). Keras: ``keras.datasets.mnist.load_data``.

    A damaged archive is a ValueError, a failed download a ConnectionError.
    """
    file = cache_file(path)
    if not file.exists():
        _fetch(file)
    try:
        with open(file, "rb") as stream, np.load(stream, allow_pickle=False) as archive:
            x_train, y_train, x_test, y_test = (archive[name] for name in _NAMES)
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(
            f"{file} is not a complete archive with the arrays {', '.join(_NAMES)} ({error}). "
            "Delete it to have it made again, or put a good one there."
        ) from error
    return (x_train, y_train), (x_test, y_test)


def _fetch(file: Path) -> None:
    """Make the archive from the four original files."""
    try:
        from torchvision.datasets import MNIST
    except ImportError as error:
        raise ImportError(
            f"{file} does not exist, and making it needs torchvision: pip install torchvision."
        ) from error
    try:
        x_train, y_train, x_test, y_test = (
            _read_idx(gzip.decompress(download(name, MNIST.mirrors, md5)))
            for name, md5 in MNIST.resources
        )
    except ConnectionError as error:
        raise ConnectionError(
            f"MNIST could not be downloaded ({error}). Without a network, put the archive "
            f"{file.name} (arrays {', '.join(_NAMES)}) into the folder {file.parent}."
        ) from error
    with atomic_write(file) as out:
        np.savez_compressed(out, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)


def _read_idx(data: bytes) -> Array:
    """Bytes in the IDX format: 0, 0, type 8 (uint8), rank; sizes as big-endian uint32; values.

    >>> _read_idx(bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 9]))
    array([7, 9], dtype=uint8)
    """
    rank = data[3]
    if data[:3] != b"\0\0\x08":
        raise ValueError(f"Not an IDX file of uint8: it begins with {data[:4]!r}.")
    shape = np.frombuffer(data, ">u4", count=rank, offset=4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(shape.tolist())
