"""Pooling against Keras, and against NumPy where the padding is uneven."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from models import check_model
from oracle import check

import kerastorch as kt

RANDOM = np.random.default_rng(0)
DATA = {
    1: RANDOM.normal(size=(2, 9, 3)).astype("float32"),
    2: RANDOM.normal(size=(2, 9, 8, 3)).astype("float32"),
    3: RANDOM.normal(size=(2, 6, 5, 4, 3)).astype("float32"),
}
OPTIONS: list[dict[str, Any]] = [
    {"pool_size": 2}, {"pool_size": 3, "strides": 2}, {"pool_size": 2, "strides": 1},
    {"pool_size": 2, "data_format": "channels_first"},
]  # fmt: skip
SAME: list[dict[str, Any]] = [
    {"pool_size": 2}, {"pool_size": 3, "strides": 2}, {"pool_size": 2, "strides": 1},
    {"pool_size": 3, "strides": 1}, {"pool_size": 1, "strides": 2}, {"pool_size": 4, "strides": 3},
]  # fmt: skip


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("name", ["max_pool", "average_pool"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_valid(name: str, rank: int, options: dict[str, Any]) -> None:
    x = DATA[rank]
    if "data_format" in options:
        x = np.ascontiguousarray(np.moveaxis(x, -1, 1))
    check(name, x, symbolic=rank == 2, **options)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("options", SAME, ids=str)
def test_same_maximum(rank: int, options: dict[str, Any]) -> None:
    check("max_pool", DATA[rank], padding="same", symbolic=rank == 2, **options)


def test_same_mean_where_both_sides_are_padded_alike() -> None:
    check("average_pool", DATA[2], 3, strides=1, padding="same")
    check("average_pool", DATA[2], (3, 1), strides=(2, 1), padding="same", symbolic=False)


@pytest.mark.parametrize("size", [7, 8])
@pytest.mark.parametrize("options", SAME, ids=str)
def test_same_mean_counts_what_is_there(size: int, options: dict[str, Any]) -> None:
    x = RANDOM.normal(size=(size,)).astype("float32")
    k = options["pool_size"]
    s = options.get("strides", k)
    count = -(-size // s)
    before = max((count - 1) * s + k - size, 0) // 2
    starts = [i * s - before for i in range(count)]
    wanted = [x[max(start, 0) : start + k].mean() for start in starts]
    result = kt.ops.average_pool(x[None, :, None], padding="same", **options)
    np.testing.assert_allclose(result[0, :, 0], wanted, rtol=1e-5, atol=1e-6)


def test_sizes_for_each_axis() -> None:
    check("max_pool", DATA[2], (3, 2), strides=(1, 2), padding="same")
    check("average_pool", DATA[2], (3, 2), strides=(1, 2))


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("name", ["adaptive_max_pool", "adaptive_average_pool"])
def test_adaptive(name: str, rank: int) -> None:
    check(name, DATA[rank], 3, symbolic=False)  # Keras's shapes of symbolic tensors are others
    check_model(name, DATA[rank], 3)
    first = np.ascontiguousarray(np.moveaxis(DATA[rank], -1, 1))
    check(name, first, (4, 2, 3)[:rank], data_format="channels_first", symbolic=False)


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8", "bool"])
def test_integers(dtype: str) -> None:
    x = torch.arange(12).reshape(1, 6, 2).to(getattr(torch, dtype))
    for result in (kt.ops.max_pool(x, 2), kt.ops.adaptive_max_pool(x, 3)):
        assert result.dtype is x.dtype
        assert torch.equal(result, x[:, 1::2])
    assert kt.ops.average_pool(x, 2).dtype is torch.float32
    assert kt.ops.adaptive_average_pool(x, 2).dtype is torch.float32


def test_large_integers_stay_exact() -> None:
    x = torch.tensor([2**31 - 1, 2**31 - 2], dtype=torch.int32).reshape(1, 2, 1)
    assert kt.ops.max_pool(x, 2).item() == 2**31 - 1


def test_errors() -> None:
    with pytest.raises(ValueError, match="`inputs` must have a batch axis"):
        kt.ops.max_pool(torch.ones(3, 4), 2)
    with pytest.raises(ValueError, match="`padding` must be 'valid' or 'same'"):
        kt.ops.average_pool(DATA[1], 2, padding="full")
    with pytest.raises(ValueError, match="`pool_size` must be an integer >= 1 or 2 of them"):
        kt.ops.max_pool(DATA[2], (2, 2, 2))
