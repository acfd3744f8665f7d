"""Entries by place and places of entries, against Keras, or NumPy where Keras's torch backend differs."""

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
I = np.array([[0, 2], [1, -1]], dtype="int32")  # noqa: E741
P = X > 0

# "known": a diagonal is as long as the shorter axis, and Keras says nothing of it if one is unknown.
CASES: list[Any] = [
    ("take", [X, I + 1]), ("take", [X, I], {"axis": 0}), ("take", [X, I], {"axis": 1}),
    ("take", [Y, I], {"axis": -1}), ("take", [Y, I[0]], {"axis": 1}), ("take", [X[0], I]),
    ("take_along_axis", [X, np.argsort(X, 1)], {"axis": 1}),
    ("take_along_axis", [X, I[:1, :1].repeat(4, 1)], {"axis": 0}),
    ("take_along_axis", [Y, I[:, :, None]], {"axis": -2}), ("take_along_axis", [X[0], I[1]]),
    ("where", [P, X, X * 2]), ("where", [P, X, X[:1]]), ("where", [X, X, 0]),
    ("where", [P, 1.5, X]), ("where", [P, X, np.arange(4, dtype="int32")]),
    ("isin", [I, I[0]]), ("isin", [I, I[0]], {"invert": True}),
    ("isin", [X, X[0]], {"assume_unique": True}),
    ("searchsorted", [np.sort(X[0]), X]), ("searchsorted", [np.sort(X[0]), X[0]], {"side": "right"}),
    ("digitize", [X, np.sort(X[1])]), ("digitize", [I, np.array([0, 1, 2], "int32")]),
    ("unravel_index", [np.array([5, 0, 11], "int32"), (3, 4)]),
    ("unravel_index", [np.array([[23], [7]], "int32"), (2, 3, 4)]),
    ("diag", [X[0]]), ("diag", [X[0]], {"k": 1}), ("diag", [X], {}, "known"), ("diag", [X], {"k": -1}, "known"),
    ("diagflat", [X]), ("diagflat", [X[0]], {"k": -2}),
    ("diagonal", [X], {}, "known"), ("diagonal", [Y], {"offset": 1, "axis1": 1, "axis2": 2}),
    ("diagonal", [Y], {"offset": -1, "axis1": -1, "axis2": 0}, "known"),
    ("trace", [X]), ("trace", [Y], {"offset": 1, "axis1": 1, "axis2": 2}),
    ("trace", [Y], {"axis1": 0, "axis2": -1}),
    ("tril", [X]), ("tril", [Y], {"k": -1}), ("triu", [X]), ("triu", [Y], {"k": 1}),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_as_keras(case: Any) -> None:
    name, args, options, *known = *case, *([{}] if len(case) < 3 else [])
    check(name, *args, **options, unknown=not known)
    assert_made_in_place(name, *args, **options)


@pytest.mark.parametrize("conditions", [1, 2])
@pytest.mark.parametrize("default", [0, 1.5])
def test_select(conditions: int, default: float) -> None:
    tests, choices = [X < 0, X > 1][:conditions], [X, X * 2][:conditions]
    check("select", tests, choices, default)
    against_numpy("select", tests, choices, default)


# What they give has as many entries as the values of their arguments say.
@pytest.mark.parametrize(
    ("name", "args"),
    [("nonzero", [X * P]), ("nonzero", [np.zeros(3, "int32")]), ("nonzero", [[0, 3, 4]]), ("where", [P])],
)  # fmt: skip
def test_places(name: str, args: list[Any]) -> None:
    check(name, *args, symbolic=False)
    with pytest.raises((RuntimeError, NotImplementedError), match="depends on values"):
        getattr(kt.ops, name)(kt.Input((4,)))


@pytest.mark.parametrize(
    ("name", "args"),
    [("take", [I[1], 1]), ("take_along_axis", [I * 0, 0]), ("tril", []), ("triu", [1]), ("diag", []),
     ("trace", []), ("diagonal", []), ("nonzero", [])],
)  # fmt: skip
@pytest.mark.parametrize("dtype", ["int64", "bool", "float16", "uint8", "int16"])
def test_dtypes(name: str, args: list[Any], dtype: str) -> None:
    x = (X[:2, :2] * 3).astype(dtype)
    check(name, x, *args, symbolic=False)


@pytest.mark.parametrize("dtypes", [("bool", "bool"), ("bool", "int32"), ("int32", "float32")])
def test_isin_dtypes(dtypes: tuple[str, str]) -> None:
    check("isin", X.astype(dtypes[0]), (X[0] + 1).astype(dtypes[1]), symbolic=False)


def test_lists_and_numbers() -> None:
    check("take", [10, 20, 30], 1)
    check("take", X, [0, 2], axis=1, interchange=False)  # Keras's file keeps no list of indices
    check("where", [True, False], [1.0, 2.0], 3)
    check("where", [True, False], 1, 2)
    check("isin", [1, 2, 3], 2)
    check("searchsorted", [1.0, 3.0], 2.0)
    check("searchsorted", [1, 3], [0, 9])
    check("digitize", [0.5, 3.0], [1.0, 2.0])
    check("unravel_index", [3, 1], (2, 2))
    check("select", [[True, False]], [[1, 2]], 3)
    check("diag", [1, 2])
    assert kt.ops.where([True], kt.ops.ones(1, "float16"), 0.5).dtype is torch.float16


@pytest.mark.parametrize(
    "key", [1, -1, slice(1, None), (slice(None), 2), (..., None, 0), [0, 2]], ids=str
)
def test_get_item(key: Any) -> None:
    check("get_item", X, key, symbolic=False)
    if not isinstance(key, list):
        x = kt.Input(batch_shape=(3, 4))
        model = kt.Model(x, kt.ops.get_item(x, key))
        assert torch.equal(model(torch.from_numpy(X)), torch.from_numpy(X)[key])


# -- unique ------------------------------------------------------------------------------------------------

U = np.array([3, 1, 2, 1, 3, 3], dtype="int32")
ROWS = np.array([[1, 0], [0, 1], [1, 0]], dtype="int32")


@pytest.mark.parametrize("size", [None, 2, 5])
@pytest.mark.parametrize("asked", ["", "counts", "inverse", "index", "index inverse counts"])
def test_unique(size: int | None, asked: str) -> None:
    options = {f"return_{what}": True for what in asked.split()}
    check("unique", U, size=size, symbolic=False, **options)
    check("unique", ROWS, axis=0, size=size, symbolic=False, **options)


def test_unique_fills_with_a_value() -> None:
    check(
        "unique", X.round(), size=20, fill_value=9, symbolic=False, gradients=False
    )  # torch has none


def test_places_of_unique_entries_of_a_matrix() -> None:
    values, first, inverse, counts = kt.ops.unique(
        ROWS, return_index=True, return_inverse=True, return_counts=True
    )
    wanted = np.unique(ROWS, return_index=True, return_counts=True)
    for ours, theirs in zip((values, first, counts), wanted, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(values[inverse], ROWS)


# -- where Keras's torch backend differs from NumPy ----------------------------------------------------


def test_negative_indices_count_from_the_end_of_all_entries() -> None:
    against_numpy("take", X, np.array([-1, -12, 3]))
    against_numpy("take_along_axis", X, np.array([-1, -12, 3]), axis=None)


def test_unravel_index_keeps_int64() -> None:
    places = kt.ops.unravel_index(np.array([5, 7]), (2, 4))
    assert [p.tolist() for p in places] == [[1, 1], [1, 3]]
    assert places[0].dtype is torch.int64


def test_sequences_and_values_of_different_dtypes() -> None:
    against_numpy("searchsorted", np.array([1, 2, 3]), X)
    against_numpy("digitize", X, np.array([-1, 0, 1]))


# -- errors ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "args", "text"),
    [
        ("take", [X, [0], 2], "`axis`"),
        ("where", [P, X], "both, or neither"),
        ("select", [[P], []], "as many"),
        ("select", [[], []], "at least one"),
        ("searchsorted", [X, X], "one axis"),
        ("searchsorted", [X[0], X, "middle"], "'left' or 'right'"),
        ("digitize", [X, X], "one axis"),
        ("diag", [Y], "one or two axes"),
        ("diagonal", [X, 0, 1, -1], "twice"),
        ("diagonal", [X[0]], "`axis`"),
    ],
)
def test_errors(name: str, args: list[Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        getattr(kt.ops, name)(*args)
