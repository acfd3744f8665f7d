"""Order and counts against Keras, or NumPy where Keras's torch backend differs from it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from oracle import check
from reference import against_numpy, assert_made_in_place

import kerastorch as kt

X = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
Y = np.random.default_rng(1).normal(size=(2, 3, 4)).astype("float32")
N = np.array([2, 1, 1, 5, 0], dtype="int32")


@pytest.mark.parametrize("axis", [-1, 0, 1, None])
@pytest.mark.parametrize("name", ["sort", "argsort"])
def test_sort(name: str, axis: int | None) -> None:
    check(name, Y, axis=axis)
    assert_made_in_place(name, Y, axis=axis)


@pytest.mark.parametrize("dtype", ["int32", "int64", "bool", "float16", "uint8"])
@pytest.mark.parametrize("name", ["sort", "argsort"])
def test_sort_dtypes(name: str, dtype: str) -> None:
    check(name, (X * 2).astype(dtype), symbolic=False)  # with equal entries, which keep their order


def test_sort_of_lists_and_of_nothing() -> None:
    check("sort", [3, 1, 2])
    check("argsort", [3.0, 1.0, 2.0])
    check("sort", np.zeros((0,), "float32"), symbolic=False)


# Any order on either side of the k-th entry is right: Keras's is another, and that of whole numbers.
@pytest.mark.parametrize("axis", [-1, 0, None])
@pytest.mark.parametrize("kth", [0, 2, -1])
def test_argpartition(kth: int, axis: int | None) -> None:
    places = kt.ops.argpartition(X, kth, axis=axis)
    assert places.dtype is torch.int32
    x, along = (X.ravel(), 0) if axis is None else (X, axis)
    parted = np.moveaxis(np.take_along_axis(x, places.numpy(), along), along, -1)
    wanted = np.moveaxis(np.sort(x, along), along, -1)
    np.testing.assert_array_equal(parted[..., kth], wanted[..., kth])
    assert (parted[..., :kth] <= parted[..., kth, None]).all()
    assert (parted[..., kth:] >= parted[..., kth, None]).all()


def test_argpartition_in_models() -> None:
    against_numpy("argpartition", X, 1, wanted=np.argsort(X))


# How many results there are depends on values.
@pytest.mark.parametrize(
    "options",
    [{}, {"minlength": 8}, {"weights": [0.5, 1.0, 2.0, 4.0, 8.0]}, {"weights": [1, 2, 3, 4, 5]}],
)
def test_bincount(options: dict[str, Any]) -> None:
    check("bincount", N, symbolic=False, **options)


def test_bincount_of_rows() -> None:
    rows = np.array([[0, 1, 2], [2, 2, 1]], dtype="int64")
    check("bincount", rows, symbolic=False)
    check("bincount", rows, weights=X[:2, :3], symbolic=False)
    uneven = np.array([[0, 0], [3, 1]], dtype="int32")
    np.testing.assert_array_equal(kt.ops.bincount(uneven), [[2, 0, 0, 0], [0, 1, 0, 1]])
    np.testing.assert_array_equal(kt.ops.bincount(uneven[:, :0], minlength=2), [[0, 0], [0, 0]])


def test_bincount_of_lists_and_of_nothing() -> None:
    check("bincount", [1, 1, 2])
    check("bincount", np.zeros(0, "int32"), minlength=2, symbolic=False)


# Models with it: Keras's fail when they run.
@pytest.mark.parametrize(
    "options", [{}, {"bins": 4}, {"bins": 3, "range": (-1.0, 0.5)}, {"range": (2.0, 3.0)}]
)
def test_histogram(options: dict[str, Any]) -> None:
    check("histogram", Y.ravel(), symbolic=False, gradients=False, **options)  # only ours have any
    against_numpy("histogram", Y.ravel(), **options)
    assert_made_in_place("histogram", Y.ravel(), **options)


def test_histogram_of_whole_numbers_of_equal_ones_and_with_both_ends() -> None:
    against_numpy("histogram", N, bins=5)
    against_numpy("histogram", np.full(3, 2.0, "float32"), bins=4)
    against_numpy("histogram", np.array([0.0, 1.0, 2.0], "float32"), bins=2, range=(0.0, 2.0))


@pytest.mark.parametrize(
    ("name", "args", "text"),
    [
        ("sort", [X, 2], "`axis`"),
        ("argpartition", [X, 4], "`kth`"),
        ("bincount", [Y], "one or two axes"),
        ("bincount", [N, None, 0, True], "sparse"),
        ("histogram", [X], "one axis"),
        ("histogram", [N, 0], "`bins`"),
        ("histogram", [N, 2, (1, 0)], "`range`"),
    ],
)
def test_errors(name: str, args: list[Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        getattr(kt.ops, name)(*args)
