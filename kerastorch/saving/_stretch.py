"""Arrays that stand in a file as they are: summed up and read piece by piece, without room for the whole."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from zlib_ng.zlib_ng import crc32

_PIECE = 2**19  # bytes that stay in a processor's cache while they are summed up
_STRIP = 2**21  # bytes of rows that are turned at once


@dataclass(frozen=True)
class Stretch:
    """An array of `dtype` and `shape` in an open file, from `start` on, with the CRC-32 of its bytes
    begun at `begin`. `stamp`: of the file when it was opened."""

    file: int
    stamp: tuple[int, int]
    start: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    begin: int
    crc: int
    title: str

    @property
    def nbytes(self) -> int:
        """Bytes in the file."""
        return math.prod(self.shape) * self.dtype.itemsize

    def verify(self) -> None:
        """Raise `ValueError` unless the checksum is right."""
        piece, crc = memoryview(bytearray(min(_PIECE, self.nbytes))), self.begin
        for at in range(0, self.nbytes, _PIECE):
            part = piece[: self.nbytes - at]
            self._read(part, at)
            crc = crc32(part, crc)
        if crc != self.crc:
            raise ValueError(
                f"{self.title} is damaged: its checksum is not the one stored with it. "
                "Nothing was loaded."
            )

    def fill(self, array: np.ndarray[Any, Any]) -> None:
        """Read into an array of that dtype and shape, whatever its order in memory is."""
        if array.flags.c_contiguous:
            self._read(_bytes(array), 0)
            return
        row = self.nbytes // self.shape[0]
        count = max(1, _STRIP // row)
        strip = np.empty((min(count, self.shape[0]), *self.shape[1:]), self.dtype)
        for first in range(0, self.shape[0], count):
            rows = strip[: self.shape[0] - first]
            self._read(_bytes(rows), first * row)
            array[first : first + count] = rows

    def _read(self, memory: memoryview, at: int) -> None:
        done = 0
        while done < len(memory):
            count = os.preadv(self.file, [memory[done:]], self.start + at + done)
            if not count:
                raise ValueError(f"{self.title} is damaged: the file ends before it.")
            done += count
        if stamp_of(self.file) != self.stamp:
            raise ValueError(f"{self.title}: the file was changed while it was read. Load again.")


def _bytes(array: np.ndarray[Any, Any]) -> memoryview:
    return array.reshape(-1).view(np.uint8).data


def stamp_of(file: int) -> tuple[int, int]:
    """What changes with the content of a file."""
    state = os.fstat(file)
    return state.st_size, state.st_mtime_ns
