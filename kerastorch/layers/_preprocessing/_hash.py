"""The hashes that TensorFlow takes of text and integers. All arithmetic is modulo 2**64."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

_ALL = 2**64 - 1
_K0, _K1, _K2 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F


def buckets(texts: Iterable[str], count: int, salt: Any = None) -> Array:
    """The number of a bucket for each text: FarmHash64, or SipHash with two integers as `salt`.

    They are those of TensorFlow's ``to_hash_bucket_fast`` and ``to_hash_bucket_strong``.
    """
    texts = list(texts)
    known: dict[str, int] = {}
    for text in set(texts):
        code = text.encode()
        known[text] = (farmhash64(code) if salt is None else siphash64(code, *salt)) % count
    return np.fromiter(map(known.__getitem__, texts), np.int64, len(texts))


def farmhash64(text: bytes) -> int:
    """FarmHash's ``Fingerprint64`` (Google, 2014), which never changes."""
    size = len(text)

    def at(index: int, width: int = 8) -> int:
        return int.from_bytes(text[index : index + width], "little")

    if size > 64:
        return _farmhash_long(size, at)
    mul = (_K2 + size * 2) & _ALL
    if size > 32:
        a, b, c, d = at(0) * _K2, at(8), at(size - 8) * mul, at(size - 16) * _K2
        y = _turn(a + b, 43) + _turn(c, 30) + d
        z = _mix(y, a + _turn(b + _K2, 18) + c, mul)
        e, f = at(16) * mul, at(24)
        g, h = (y + at(size - 32)) * mul, (z + at(size - 24)) * mul
        return _mix(_turn(e + f, 43) + _turn(g, 30) + h, e + _turn(f + a, 18) + g, mul)
    if size > 16:
        a, b, c, d = at(0) * _K1, at(8), at(size - 8) * mul, at(size - 16) * _K2
        return _mix(_turn(a + b, 43) + _turn(c, 30) + d, a + _turn(b + _K2, 18) + c, mul)
    if size >= 8:
        a, b = at(0) + _K2, at(size - 8)
        return _mix(_turn(b, 37) * mul + a, (_turn(a, 25) + b) * mul, mul)
    if size >= 4:
        return _mix(size + (at(0, 4) << 3), at(size - 4, 4), mul)
    if size:
        y, z = text[0] + (text[size >> 1] << 8), size + (text[-1] << 2)
        return _shift(y * _K2 ^ z * _K0) * _K2 & _ALL
    return _K2


def _farmhash_long(size: int, at: Any) -> int:
    x, y = 81 * _K2 + at(0), 81 * _K1 + 113
    z = _shift(y * _K2 + 113) * _K2
    v, w = (0, 0), (0, 0)
    mul, nine = _K1, 1
    last = size - 64
    for start in (*range(0, (size - 1) // 64 * 64, 64), last):
        if start == last:  # the final block, whose start may lie within the one before
            mul, nine = _K1 + ((z & 0xFF) << 1), 9
            w = (w[0] + (size - 1) % 64, w[1])
            v = (v[0] + w[0], v[1])
            w = (w[0] + v[0], w[1])
        x = _turn(x + y + v[0] + at(start + 8), 37) * mul
        y = _turn(y + v[1] + at(start + 48), 42) * mul
        x = (x ^ w[1] * nine) & _ALL
        y = (y + v[0] * nine + at(start + 40)) & _ALL
        z = _turn(z + w[0], 33) * mul
        v = _weak(at, start, v[1] * mul, x + w[0])
        w = _weak(at, start + 32, z + w[1], y + at(start + 16))
        x, z = z & _ALL, x
    left = _mix(v[0], w[0], mul) + _shift(y) * _K0 + z
    return _mix(left, _mix(v[1], w[1], mul) + x, mul)


def _weak(at: Any, start: int, a: int, b: int) -> tuple[int, int]:
    first, second, third, fourth = (at(start + 8 * i) for i in range(4))
    a += first
    total = a + second + third
    b = _turn(b + a + fourth, 21) + _turn(total, 44)
    return (total + fourth) & _ALL, (b + a) & _ALL


def _turn(value: int, count: int) -> int:
    value &= _ALL
    return (value >> count | value << (64 - count)) & _ALL


def _shift(value: int) -> int:
    value &= _ALL
    return value ^ value >> 47


def _mix(u: int, v: int, mul: int) -> int:
    a = _shift((u ^ v) * mul)
    return _shift((v ^ a) * mul) * mul & _ALL


def siphash64(text: bytes, first: int, second: int) -> int:
    """SipHash-2-4 (Aumasson and Bernstein, 2012) with a key of two integers."""
    v0, v1 = first ^ 0x736F6D6570736575, second ^ 0x646F72616E646F6D
    v2, v3 = first ^ 0x6C7967656E657261, second ^ 0x7465646279746573
    end = bytes(-(len(text) + 1) % 8) + bytes([len(text) % 256])
    padded = text + end

    def rounds(count: int, v0: int, v1: int, v2: int, v3: int) -> tuple[int, int, int, int]:
        for _ in range(count):
            v0, v2 = (v0 + v1) & _ALL, (v2 + v3) & _ALL
            v1, v3 = _turn(v1, 51) ^ v0, _turn(v3, 48) ^ v2
            v0 = _turn(v0, 32)
            v2, v0 = (v2 + v1) & _ALL, (v0 + v3) & _ALL
            v1, v3 = _turn(v1, 47) ^ v2, _turn(v3, 43) ^ v0
            v2 = _turn(v2, 32)
        return v0, v1, v2, v3

    for start in range(0, len(padded), 8):
        word = int.from_bytes(padded[start : start + 8], "little")
        v0, v1, v2, v3 = rounds(2, v0, v1, v2, v3 ^ word)
        v0 ^= word
    v0, v1, v2, v3 = rounds(4, v0, v1, v2 ^ 0xFF, v3)
    return v0 ^ v1 ^ v2 ^ v3


_CROSS = 0xC6A4A7935BD1E995


def crossed(columns: list[list[Any]], count: int) -> Array:
    """The number of a bucket for each row of text and integers, as TensorFlow's ``cross_hashed`` does."""
    numbers = []
    for row in zip(*columns, strict=True):
        total = 0xDECAFCAFFE
        for value in row:
            part = farmhash64(value.encode()) if isinstance(value, str) else value & _ALL
            total ^= _CROSS ^ _shift(part * _CROSS) * _CROSS & _ALL
            total = _shift(_shift(total * _CROSS) * _CROSS)
        numbers.append(total % count)
    return np.array(numbers, np.int64)
