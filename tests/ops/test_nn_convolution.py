"""Convolutions against Keras."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from models import check_model
from oracle import check

import kerastorch as kt

RANDOM = np.random.default_rng(0)
SIZES = {1: (9,), 2: (9, 8), 3: (6, 5, 4)}
OPTIONS: list[dict[str, Any]] = [
    {}, {"strides": 2}, {"padding": "same"}, {"strides": 2, "padding": "same"},
    {"strides": 3, "padding": "same"}, {"dilation_rate": 2},
    {"dilation_rate": 2, "padding": "same"}, {"padding": "same", "data_format": "channels_first"},
    {"strides": 2, "data_format": "channels_first"},
]  # fmt: skip


def normal(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype("float32")


def data(rank: int, channels: int, options: dict[str, Any]) -> np.ndarray:
    if options.get("data_format") == "channels_first":
        return normal(2, channels, *SIZES[rank])
    return normal(2, *SIZES[rank], channels)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_conv(rank: int, options: dict[str, Any]) -> None:
    if rank == 3 and options.get("dilation_rate"):
        options = {**options, "dilation_rate": (2, 2, 1)}
    kernel = normal(*(3, 2, 3)[:rank], 4, 5) / 3
    check("conv", data(rank, 4, options), kernel, symbolic=rank == 2, **options)


def test_conv_in_groups_and_with_even_windows() -> None:
    # Keras's shapes of symbolic tensors know no groups
    options = {"strides": (2, 1), "padding": "same"}
    check("conv", normal(2, 9, 8, 4), normal(2, 4, 2, 6), symbolic=False, **options)
    check_model("conv", normal(2, 9, 8, 4), normal(3, 4, 2, 6), **options)
    check("conv", normal(2, 9, 4), normal(4, 1, 8), padding="same", symbolic=False)


@pytest.mark.parametrize("channels", [3, 20])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_strided_windows_of_one(channels: int, padding: str) -> None:
    options = {"strides": 2, "padding": padding, "symbolic": False}
    check("conv", normal(2, 9, 8, channels), normal(1, 1, channels, 4), **options)
    check("conv_transpose", normal(2, 4, 3, channels), normal(1, 1, 18, channels), **options)


@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_depthwise_conv(rank: int, options: dict[str, Any]) -> None:
    kernel = normal(*(3, 2)[:rank], 3, 2) / 3
    check("depthwise_conv", data(rank, 3, options), kernel, symbolic=rank == 2, **options)


@pytest.mark.parametrize("options", [OPTIONS[0], *OPTIONS[3:7], OPTIONS[8]], ids=str)
def test_separable_conv(options: dict[str, Any]) -> None:
    kernels = normal(3, 2, 3, 2) / 3, normal(1, 1, 6, 4)
    check("separable_conv", data(2, 3, options), *kernels, **options)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize(
    "options",
    [
        *OPTIONS,
        {"strides": 2, "output_padding": 1},
        {"strides": 3, "padding": "same", "output_padding": 2},
    ],
    ids=str,
)
def test_conv_transpose(rank: int, options: dict[str, Any]) -> None:
    if rank == 3 and "dilation_rate" in options:
        return
    kernel = normal(*(3, 2, 3)[:rank], 5, 4) / 3
    x = data(rank, 4, options)
    check("conv_transpose", x, kernel, symbolic=False, **options)  # Keras's models of it do not run
    if rank == 2:
        check_model("conv_transpose", x, kernel, **options)


def test_gaps_between_windows_are_zero() -> None:
    arrays = normal(2, 4, 3), normal(3, 5, 3)
    check("conv_transpose", *arrays, strides=4, symbolic=False)
    check_model("conv_transpose", *arrays, strides=4)


def test_padding_in_capitals() -> None:
    arrays = torch.ones(1, 5, 2), torch.ones(3, 2, 2)
    for name in ("conv", "conv_transpose"):
        function = getattr(kt.ops, name)
        assert torch.equal(function(*arrays, padding="SAME"), function(*arrays, padding="same"))


def test_mixed_dtypes() -> None:
    x, kernel = torch.ones(1, 5, 2, dtype=torch.int32), torch.ones(3, 2, 4)
    assert kt.ops.conv(x, kernel).dtype is torch.float32
    assert kt.ops.conv(x.double(), kernel).dtype is torch.float64
    assert kt.ops.conv(x.half(), kernel.half()).dtype is torch.float16


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("conv", (torch.ones(2, 5), torch.ones(3, 2)), "`inputs` must have a batch axis"),
        ("conv", (torch.ones(2, 5, 3), torch.ones(3, 3, 3, 4)), "`kernel` must have as many axes"),
        ("conv", (torch.ones(2, 5, 3), torch.ones(3, 2, 4)), "3 channels of `inputs` do not fit"),
        (
            "conv",
            (torch.ones(2, 5, 3), torch.ones(3, 3, 4), 1, "full"),
            "`padding` must be 'valid'",
        ),
        (
            "conv",
            (torch.ones(2, 5, 3), torch.ones(3, 3, 4), (1, 2)),
            "`strides` must be an integer",
        ),
        ("depthwise_conv", (torch.ones(2, 5, 3), torch.ones(3, 2, 4)), "3 channels of `inputs`"),
        ("conv_transpose", (torch.ones(2, 5, 3), torch.ones(3, 3, 4)), "3 channels of `inputs`"),
        ("conv_transpose", (torch.ones(2, 5, 3), torch.ones(3, 4, 3), 2, "a"), "`padding` must be"),
        (
            "conv_transpose",
            (torch.ones(2, 5, 3), torch.ones(3, 4, 3), 2, "same", 2),
            "`output_padding` must be smaller than `strides`",
        ),
    ],
)
def test_errors(name: str, arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        getattr(kt.ops, name)(*arguments)
