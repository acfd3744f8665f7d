"""CRC-32 of a file of which the parts were summed up before they were written."""

from __future__ import annotations

from collections.abc import Iterable
from typing import IO

from zlib_ng.zlib_ng import crc32

#: Where a stretch of a file begins, its length, and its CRC-32.
Span = tuple[int, int, int]

_CHUNK = 2**20
_POLYNOMIAL = 0xEDB88320  # bit 31 is the constant term, bit 0 that of x^31


def combined(first: int, second: int, length: int) -> int:
    """CRC-32 of two pieces of data, the second of `length` bytes, from those of the pieces.

    Data are polynomials over two elements, their CRC the remainder of a division; the first piece
    stands `length` bytes further up: ``first * x^(8 length) + second``.

    >>> combined(crc32(b"one"), crc32(b"two"), 3) == crc32(b"onetwo")
    True
    """
    power, square = 1 << 31, 1 << 23  # 1, x^8
    while length:
        if length & 1:
            power = _product(power, square)
        square = _product(square, square)
        length >>= 1
    return _product(power, first) ^ second


def _product(a: int, b: int) -> int:
    total = 0
    for bit in range(31, -1, -1):
        if a >> bit & 1:
            total ^= b
        b = b >> 1 ^ (_POLYNOMIAL if b & 1 else 0)  # times x
    return total


def crc_of_file(file: IO[bytes], known: Iterable[Span] = ()) -> int:
    """CRC-32 of a file from its start to its end, read except for the long stretches among `known`."""
    crc, buffer = 0, memoryview(bytearray(_CHUNK))
    at = file.seek(0)
    for start, length, of_span in [*sorted(s for s in known if s[1] > _CHUNK), (None, 0, 0)]:
        while start is None or at < start:
            room = _CHUNK if start is None else min(_CHUNK, start - at)
            count = file.readinto(buffer[:room])  # type: ignore[attr-defined]
            if not count:
                break
            crc, at = crc32(buffer[:count], crc), at + count
        if start is not None:
            crc, at = combined(crc, of_span, length), file.seek(start + length)
    file.seek(0)
    return crc
