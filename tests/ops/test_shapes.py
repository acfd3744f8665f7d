"""Axes, shapes and pieces against Keras, or NumPy where Keras's torch backend differs from it."""

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
ONE = Y[:, :1]  # (2, 1, 4)
N = np.arange(12, dtype="int32").reshape(3, 4)

# Each line: the operation, its arguments; "fixed" if the result's shape leaves no axis open.
CASES: list[Any] = [
    ("size", [X]), ("copy", [X]), ("ravel", [Y]), ("view", [X], {"dtype": "int32"}),
    ("view", [N], {"dtype": "int16"}), ("view", [N], {"dtype": "float32"}),
    ("reshape", [X, (4, 3)], {}, "fixed"), ("reshape", [X, (-1,)]),
    ("reshape", [X, [2, -1]]), ("reshape", [Y, (-1, 2, 2)]),
    ("expand_dims", [X, 0]), ("expand_dims", [X, -1]), ("expand_dims", [X, (0, 2)]),
    ("squeeze", [ONE]), ("squeeze", [ONE, 1]), ("squeeze", [ONE[..., :1]], {"axis": (1, -1)}),
    ("broadcast_to", [X[:1], (3, 4)], {}, "fixed"), ("broadcast_to", [X, (2, 3, 4)], {}, "fixed"),
    ("tile", [X, 2]), ("tile", [X, (2, 1)]), ("tile", [X, (2, 1, 3)]), ("tile", [Y, [2]]),
    ("repeat", [X, 2]), ("repeat", [X, 2], {"axis": 1}), ("repeat", [Y, 3], {"axis": -2}),
    ("transpose", [X]), ("transpose", [Y, (2, 0, 1)]), ("transpose", [Y], {"axes": [-1, 0, 1]}),
    ("moveaxis", [Y, 0, -1]), ("moveaxis", [Y, (0, 1), (1, 2)]), ("swapaxes", [Y, 0, 2]),
    ("swapaxes", [Y, -1, 1]),
    ("flip", [Y]), ("flip", [Y, 1]), ("flip", [Y], {"axis": (0, -1)}), ("fliplr", [Y]),
    ("flipud", [Y]),
    ("roll", [X, 1]), ("roll", [X, -5]), ("roll", [X, 1], {"axis": 0}),
    ("roll", [X, (1, 2)], {"axis": (0, 1)}),
    ("rot90", [Y]), ("rot90", [Y], {"k": 3, "axes": (1, 2)}), ("rot90", [Y], {"axes": (-1, 0)}),
    ("concatenate", [[X, X * 2]]), ("concatenate", [[X, N]], {"axis": 1}),
    ("concatenate", [(X, X, X)], {"axis": -1}),
    ("append", [X, N]), ("append", [X, X * 2], {"axis": 1}), ("append", [X, X], {"axis": -1}),
    ("stack", [[X, X * 2]]), ("stack", [[X, N]], {"axis": 1}), ("stack", [[X, X]], {"axis": -1}),
    ("hstack", [[X, X]]), ("vstack", [[X, X]]),
    ("vstack", [[X[0], X[1]]], {}, "fixed"), ("dstack", [[X, X]]), ("dstack", [[Y, Y]]),
    ("meshgrid", [X[0], X[:, 1]]), ("meshgrid", [X[0], X[:, 1]], {"indexing": "ij"}),
    ("meshgrid", [X[0], X[1, :2], X[2, :3]], {"indexing": "ij"}),
    ("array_split", [X, 2]), ("array_split", [X, 3], {"axis": 1}),
    ("array_split", [Y, 3], {"axis": -1}),
    ("split", [X, 3]), ("split", [X, 2], {"axis": 1}), ("split", [X, [1, 3]], {"axis": -1}),
    ("split", [X, (1,)]),
    ("hsplit", [X, 2]), ("hsplit", [X[0], [1, 3]]), ("hsplit", [Y, 3]),
    ("vsplit", [X, 3]), ("vsplit", [X, [1]]), ("dsplit", [Y, 2]), ("dsplit", [Y, [1, 2]]),
    ("pad", [X, ((1, 0), (2, 3))]), ("pad", [X, ((1, 1), (1, 1))], {"constant_values": 2.5}),
    ("pad", [N, ((0, 0), (2, 0))], {"constant_values": 7}), ("pad", [X[0], 2]),
    ("pad", [X, ((1, 2), (2, 1))], {"mode": "reflect"}),
    ("pad", [Y, ((0, 0), (1, 2), (2, 1))], {"mode": "circular"}),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_as_keras(case: Any) -> None:
    name, args, options, *fixed = *case, *([{}] if len(case) < 3 else [])
    check(name, *args, **options, unknown=not fixed)
    assert_made_in_place(name, *args, **options)


# dtypes of which the functions know nothing
@pytest.mark.parametrize("dtype", ["int64", "bool", "float16", "uint8", "complex64"])
@pytest.mark.parametrize(
    ("name", "args"),
    [("ravel", []), ("transpose", []), ("flip", []), ("roll", [1]), ("tile", [2]), ("repeat", [2]),
     ("split", [3]), ("pad", [((1, 1), (0, 2))]), ("expand_dims", [1]), ("copy", [])],
)  # fmt: skip
def test_dtypes(name: str, args: list[Any], dtype: str) -> None:
    check(name, (X * 3).astype(dtype), *args, symbolic=False)


@pytest.mark.parametrize("dtypes", [("int32", "float16"), ("bool", "int8"), ("uint8", "int8")])
@pytest.mark.parametrize("name", ["concatenate", "stack", "hstack", "vstack", "dstack"])
def test_mixed_dtypes(name: str, dtypes: tuple[str, str]) -> None:
    check(name, [(X * 3).astype(dtype) for dtype in dtypes], symbolic=False)


def test_numbers_and_lists() -> None:
    check("concatenate", [[1, 2], [3]])
    check("stack", [[1.0, 2.0], [3, 4]])
    check("stack", [1, 2, 3])
    check("append", [1, 2], [[3], [4]])
    check("hstack", [1, [2, 3]])
    check("expand_dims", 3, 0)
    check("meshgrid", [1, 2], 3)
    check("pad", [1.0, 2.0], 1)
    assert kt.ops.append([1.0, 2.0], 3).dtype is torch.float32


@pytest.mark.parametrize("value", [3.0, [1, 2], X, Y], ids=["number", "list", "matrix", "more"])
def test_ndim(value: Any) -> None:
    assert kt.ops.ndim(value) == np.ndim(value)


def test_sizes_of_symbolic_tensors() -> None:
    x = kt.Input((4,))
    assert kt.ops.ndim(x) == 2
    assert kt.ops.size(x).shape == ()
    y = kt.ops.reshape(x, (x.size(0), 2, 2))
    assert y.shape == (None, 2, 2)
    z = kt.ops.broadcast_to(kt.ops.ones((1, 1)), (x.size(0), 3))
    assert z.shape == (None, 3)
    model = kt.Model(x, [y, z, kt.ops.tile(x, (1, 2)), kt.ops.size(x)])
    found = kt.models.model_from_json(model.to_json())(torch.from_numpy(X))
    assert torch.equal(found[0], torch.from_numpy(X).reshape(3, 2, 2))
    assert torch.equal(found[1], torch.ones(3, 3))
    assert found[3] == 12


def test_view_and_reshape_to_one_size() -> None:
    check("view", X, gradients=False)  # Keras's has none
    check("reshape", X, 12, unknown=False)
    check("reshape", X, -1)


def test_sizes_in_arrays_and_what_remains() -> None:
    assert kt.ops.reshape(X, np.array([6, 2])).shape == (6, 2)
    assert kt.ops.tile(X, torch.tensor([2, 1])).shape == (6, 4)
    assert kt.ops.broadcast_to(X[:1], torch.Size((3, 4))).shape == (3, 4)
    assert kt.ops.reshape(X, (None, 2)).shape == (6, 2)


# -- where Keras's torch backend differs from NumPy ----------------------------------------------------


@pytest.mark.parametrize("axis", [0, 1])
def test_repeat_with_a_count_for_each(axis: int) -> None:
    counts = [1, 0, 2, 3][: X.shape[axis]]
    against_numpy("repeat", X, counts, axis=axis)
    against_numpy(
        "repeat",
        X,
        torch.tensor(counts),
        axis=axis,
        symbolic=False,
        wanted=np.repeat(X, counts, axis),
    )


def test_one_count_in_a_list_is_for_all() -> None:
    against_numpy("repeat", X, [2], axis=0)


def test_hstack_of_vectors_in_models() -> None:
    against_numpy("hstack", [X[0], N[1]])


def test_transpose_reverses_all_axes() -> None:
    against_numpy("transpose", Y)
    against_numpy("transpose", X[0])


@pytest.mark.parametrize("mode", ["edge", "reflect", "symmetric", "wrap"])
@pytest.mark.parametrize(
    ("width", "pairs"),
    [(1, ((1, 1),) * 3), ((2, 1), ((2, 1),) * 3), ([(1,), (2,), (0,)], ((1, 1), (2, 2), (0, 0))),
     (((0, 0), (7, 9), (0, 5)), ((0, 0), (7, 9), (0, 5)))],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_pad_modes(mode: str, width: Any, pairs: Any, dtype: str) -> None:
    x = (Y * 9).astype(dtype)
    against_numpy("pad", x, width, mode=mode, wanted=np.pad(x, pairs, mode=mode))


def test_pad_widths_are_for_all_axes() -> None:
    against_numpy("pad", X, 1)
    against_numpy("pad", X, (1, 2))
    against_numpy("pad", X, ((1, 2),))
    against_numpy("pad", X, 2, wanted=np.pad(X, 2, constant_values=3), constant_values=3)


def test_pad_with_a_tensor_as_value() -> None:
    value = torch.tensor(2.0, requires_grad=True)
    x = torch.ones(2, requires_grad=True)
    padded = kt.ops.pad(x, (1, 2), constant_values=value)
    padded.sum().backward()
    assert torch.equal(padded, torch.tensor([2.0, 1.0, 1.0, 2.0, 2.0]))
    assert value.grad == 3
    assert torch.equal(x.grad, torch.ones(2))


def test_meshgrid_flattens() -> None:
    against_numpy("meshgrid", X[:2, :2], X[0])


def test_array_split_at_indices() -> None:
    against_numpy("array_split", X, [1, 3], axis=1)


def test_split_of_nothing() -> None:
    against_numpy("split", np.zeros((0, 2), "float32"), 3, symbolic=False)


# -- errors ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "args", "options", "text"),
    [
        ("reshape", [X, (-1, -1)], {}, "at most one -1"),
        ("reshape", [X, (-2, 6)], {}, "`newshape`"),
        ("expand_dims", [X, 3], {}, "between -3 and 2"),
        ("expand_dims", [X, (0, 0)], {}, "different"),
        ("squeeze", [X, 1], {}, "size 1"),
        ("repeat", [X, [1, 2]], {"axis": 0}, "3 entries"),
        ("rot90", [X[0]], {}, "two axes"),
        ("rot90", [X], {"axes": (0, -2)}, "twice"),
        ("rot90", [Y], {"axes": (0, 1, 2)}, "two axes"),
        ("split", [X, 2], {}, "array_split"),
        ("split", [X, 0], {}, "must divide"),
        ("split", [X, 2], {"axis": 2}, "`axis`"),
        ("array_split", [X, 0], {}, "positive"),
        ("vsplit", [X[0], 2], {}, "2 axes"),
        ("dsplit", [X, 2], {}, "3 axes"),
        ("meshgrid", [X[0], X[0]], {"indexing": "xz"}, "'xy' or 'ij'"),
        ("pad", [X, 1], {"mode": "mean"}, "reflect"),
        ("pad", [X, 1], {"mode": "edge", "constant_values": 1}, "goes with"),
        ("pad", [X, ((1, 1),) * 3], {}, "each of the 2 axes"),
    ],
)
def test_errors(name: str, args: list[Any], options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        getattr(kt.ops, name)(*args, **options)
