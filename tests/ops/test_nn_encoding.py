"""Class numbers as 0 and 1, polar coordinates, against Keras."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from oracle import check

import kerastorch as kt

LABELS = np.array([[1, 3, 0], [-1, 2, 2]], "int32")


@pytest.mark.parametrize(
    "options",
    [{}, {"axis": 0}, {"axis": 1}, {"dtype": "int32"}, {"axis": 2, "symbolic": False}],
    ids=str,
)
def test_one_hot(options: dict[str, Any]) -> None:
    check("one_hot", LABELS, 4, **options)


def test_one_hot_of_other_things() -> None:
    check("one_hot", LABELS.astype("int64"), 4, symbolic=False)
    check("one_hot", LABELS.astype("float32"), 4, symbolic=False)
    check("one_hot", 2, 3)
    check("one_hot", [0, 2], 3, dtype="bool")
    check("one_hot", np.zeros((0,), "int32"), 3, symbolic=False)


def test_numbers_too_large_give_zeros() -> None:
    assert torch.equal(kt.ops.one_hot([1, 5], 2), torch.tensor([[0.0, 1.0], [0.0, 0.0]]))


@pytest.mark.parametrize("options", [{}, {"dtype": "int32"}], ids=str)
def test_multi_hot(options: dict[str, Any]) -> None:
    check("multi_hot", LABELS, 4, **options)
    check("multi_hot", LABELS[0], 4, unknown=False, **options)  # a vector is one sample
    check("multi_hot", np.stack([LABELS, LABELS]), 4, symbolic=False, **options)
    check("multi_hot", LABELS, num_tokens=4, **options)


@pytest.mark.parametrize("axis", [0, 1])
def test_multi_hot_along_other_axes(axis: int) -> None:
    wanted = np.moveaxis(np.asarray(kt.ops.multi_hot(LABELS, 4)), -1, axis)
    np.testing.assert_array_equal(kt.ops.multi_hot(LABELS, 4, axis=axis), wanted)


def test_polar() -> None:
    size, angle = (np.random.default_rng(0).normal(size=(2, 3)).astype("float32") for _ in "ab")
    check("polar", size, angle)
    assert kt.ops.polar(2, torch.tensor([0.0, 1.0])).dtype is torch.complex64


def test_errors() -> None:
    with pytest.raises(ValueError, match="sparse=True is not supported"):
        kt.ops.one_hot(LABELS, 4, sparse=True)
    with pytest.raises(ValueError, match="`axis` must be between -3 and 2"):
        kt.ops.one_hot(LABELS, 4, axis=3)
    with pytest.raises(ValueError, match="`num_classes` must be given"):
        kt.ops.multi_hot(LABELS)
