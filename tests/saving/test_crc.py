"""Checksums of stretches of a file, put together."""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import kerastorch as kt
from kerastorch.saving._crc import combined, crc_of_file
from kerastorch.saving._h5 import as_array


@pytest.mark.parametrize(("first", "second"), [(0, 0), (0, 7), (7, 0), (1, 1), (100, 3_000_001)])
def test_combined(first: int, second: int) -> None:
    a, b = (np.random.default_rng(i).bytes(n) for i, n in enumerate((first, second)))
    assert combined(zlib.crc32(a), zlib.crc32(b), second) == zlib.crc32(a + b)


def test_of_a_file_with_known_stretches() -> None:
    """Long ones are taken as given, the rest is read."""
    data = np.random.default_rng(0).bytes(7 * 2**20 + 5)
    spans = [(start, size, zlib.crc32(data[start : start + size]))
             for start, size in ((5 * 2**20, 2**20 + 1), (10, 3 * 2**20), (3 * 2**20 + 10, 40))]  # fmt: skip
    assert crc_of_file(io.BytesIO(data), spans) == crc_of_file(io.BytesIO(data)) == zlib.crc32(data)
    wrong = [(start, size, crc ^ 1) for start, size, crc in spans]
    assert crc_of_file(io.BytesIO(data), wrong) != zlib.crc32(data)


def test_of_an_archive(tmp_path: Path) -> None:
    """Of kernels of more than a megabyte the sum is put together; zipfile finds it right."""
    model = kt.Sequential([kt.Input((700,)), kt.layers.Dense(600), kt.layers.Dense(500)])
    model.save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        assert archive.testzip() is None


STRIDED: dict[str, Any] = {
    "whole": lambda x: x,
    "transposed": lambda x: x.transpose(0, -1),
    "strided": lambda x: x[::2],
    "scalar": lambda x: x[0, 0, 0],
    "empty": lambda x: x[:0].transpose(0, 1),
}


@pytest.mark.parametrize("view", STRIDED)
@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.float16, torch.int8, torch.bool]
)
def test_as_array(view: str, dtype: torch.dtype) -> None:
    tensor = STRIDED[view](torch.arange(60).reshape(3, 4, 5).to(dtype))
    array = as_array(tensor)
    assert array.flags.c_contiguous
    np.testing.assert_array_equal(array, tensor.numpy(), strict=True)


@pytest.mark.parametrize("view", STRIDED)
def test_as_array_of_bfloat16(view: str) -> None:
    tensor = STRIDED[view](torch.arange(60).reshape(3, 4, 5).to(torch.bfloat16))
    array = as_array(tensor)
    assert array.dtype == np.dtype("V2")
    back = torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    assert torch.equal(back, tensor)
