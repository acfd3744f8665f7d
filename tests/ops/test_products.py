"""Products, differences and integrals against Keras, or NumPy where Keras's torch backend differs."""

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
Z = np.random.default_rng(2).normal(size=(2, 4, 5)).astype("float32")
W = np.random.default_rng(3).normal(size=(4, 5)).astype("float32")
N = np.arange(12, dtype="int32").reshape(3, 4)

# Keras compares unknown sizes with known ones where two of one letter meet: "fixed" has none unknown.
CASES: list[Any] = [
    ("matmul", [X, W]), ("matmul", [Y, Z]), ("matmul", [Y, W]), ("matmul", [X, W[:, 0]]),
    ("matmul", [X, N.T]), ("matmul", [X[0], W], {}, "fixed"), ("matmul", [X[0], X[1]], {}, "fixed"),
    ("dot", [X, W]), ("dot", [X, W[:, 0]]), ("dot", [Y, W]), ("dot", [X[0], X[1]], {}, "fixed"),
    ("dot", [X, 2.0]), ("dot", [3, X]), ("dot", [X, N.T]),
    ("inner", [X, X]), ("inner", [X[0], X[1]]), ("inner", [Y, X]), ("inner", [X, N[0]]),
    ("vdot", [X[0], X[1]], {}, "fixed"), ("vdot", [X[0], N[1]], {}, "fixed"),
    ("outer", [X[0], X[1]]), ("outer", [X, N]), ("outer", [X[0], 2.0]),
    ("kron", [X, W], {}, "fixed"), ("kron", [X[0], N[1]], {}, "fixed"), ("kron", [X, N], {}, "fixed"),
    ("tensordot", [X, W, 1]), ("tensordot", [X, X, 2]), ("tensordot", [X, W, 0]),
    ("tensordot", [Y, X], {"axes": ([1, 2], [0, 1])}), ("tensordot", [Y, Z], {"axes": [[2], [1]]}),
    ("tensordot", [X, N.T], {"axes": 1}),
    ("einsum", ["ij,jk->ik", X, W]), ("einsum", ["bij,bjk->bik", Y, Z]), ("einsum", ["ij->ji", X]),
    ("einsum", ["...ij,...jk->...ik", Y, Z]), ("einsum", ["ij,jk", X, W]),
    ("einsum", ["bij,ij,jk->bk", Y, X, W]), ("einsum", ["ij->", X]),
    ("diff", [X]), ("diff", [X], {"n": 2}), ("diff", [X], {"axis": 0}), ("diff", [Y, 1, 1]),
    ("diff", [X], {"n": 0}),
    ("trapezoid", [X]), ("trapezoid", [X], {"dx": 0.5}), ("trapezoid", [X], {"axis": 0}),
    ("correlate", [X[0], W[0]]), ("correlate", [X[0], W[0, :2]]),
    ("correlate", [X[0], W[0, :3]], {"mode": "full"}),
    ("correlate", [Y.ravel(), X[0, :3]], {"mode": "same"}), ("correlate", [X[0, :2], W[0]]),
    ("correlate", [Y.ravel(), X[0]], {"mode": "same"}),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_as_keras(case: Any) -> None:
    name, args, options, *fixed = *case, *([{}] if len(case) < 3 else [])
    check(name, *args, **options, unknown=not fixed)
    assert_made_in_place(name, *args, **options)


# Products of each pair of dtypes. (64-bit ones: see below.)
@pytest.mark.parametrize(
    "dtypes",
    [("int32", "int32"), ("bool", "bool"), ("int8", "int8"), ("uint8", "int8"), ("int32", "float16"),
     ("float16", "float16"), ("bool", "float32")],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("name", ["matmul", "dot", "inner", "tensordot", "outer", "kron"])
def test_dtypes(name: str, dtypes: tuple[str, str]) -> None:
    x = (X[:3, :3] * 3).round()
    # Half precision: Keras rounds sums of products that were made in float32.
    check(name, x.astype(dtypes[0]), x.T.copy().astype(dtypes[1]), symbolic=False, tolerance=1e-4)


@pytest.mark.parametrize("dtype", ["int8", "int32", "float16"])
def test_einsum_dtypes(dtype: str) -> None:
    x = (X * 3).round().astype(dtype)
    check("einsum", "ij,kj->ik", x, x, symbolic=False, tolerance=1e-4)


def test_vdot_of_matrices_and_of_complex_numbers() -> None:
    against_numpy("vdot", X, X * 2)
    z = (X + 1j * X[::-1]).astype("complex64")
    against_numpy("vdot", z, z * 1j)


def test_lists_and_numbers() -> None:
    check("matmul", [[1, 2]], [[3], [4]])
    check("dot", [1.0, 2.0], [3, 4])
    check("dot", 2, 3.0)
    check("inner", [1, 2], [3, 4])
    check("outer", [1, 2], [3.0])
    check("kron", [1, 2], [3, 4])
    against_numpy("cross", [1, 0, 0], [0, 1, 0])
    check("diff", [1, 4, 9])
    check("trapezoid", [1, 2, 4])
    check("correlate", [1, 2, 3], [1, 2])
    check("einsum", "i,i->", [1.0, 2.0], [3.0, 4.0])


def test_empty() -> None:
    none = np.zeros((0, 4), "float32")
    check("matmul", none, W, symbolic=False)
    check("matmul", none.T, none, symbolic=False)
    check("einsum", "ij,kj->ik", none, X, symbolic=False)


@pytest.mark.parametrize("points", [X[0].cumsum(), (X**2).cumsum(1)], ids=["vector", "matrix"])
def test_trapezoid_over_points(points: np.ndarray) -> None:
    check("trapezoid", X, x=points, symbolic=False)  # Keras's file cannot hold the points


@pytest.mark.parametrize("dtype", ["int32", "bool", "float16"])
def test_trapezoid_dtypes(dtype: str) -> None:
    check("trapezoid", (X * 3).astype(dtype), symbolic=False, tolerance=1e-4)


@pytest.mark.parametrize("dtype", ["bool", "int32", "uint8", "int64", "float16"])
def test_diff_dtypes(dtype: str) -> None:
    check("diff", (X * 3).astype(dtype), symbolic=False)


@pytest.mark.parametrize("dtype", ["float32", "int64", "int32", "bool"])
def test_corrcoef(dtype: str) -> None:
    x = (X * 9).astype(dtype)
    x[:, 0] = 1 - x[:, 1]  # no row is constant
    check("corrcoef", x, symbolic=False)
    against_numpy("corrcoef", x)


@pytest.mark.parametrize("dtype", ["int32", "int64", "bool"])
def test_correlate_dtypes(dtype: str) -> None:
    check("correlate", (X[0] * 3).astype(dtype), (X[1, :2] * 3).astype(dtype), symbolic=False)


# -- where Keras's torch backend differs from NumPy ----------------------------------------------------


@pytest.mark.parametrize("name", ["matmul", "dot", "inner", "tensordot"])
@pytest.mark.parametrize("dtype", ["float64", "int64"])
def test_products_of_64_bits_keep_them(name: str, dtype: str) -> None:
    x = (X[:, :3] * 1000).astype(dtype)
    options = {"wanted": np.tensordot(x, x, 2)} if name == "tensordot" else {}
    result = against_numpy(name, x, x, tolerance=1e-12, symbolic=False, **options)
    assert str(result.dtype) == f"torch.{dtype}"


def test_kron_of_a_transposed_matrix() -> None:
    against_numpy("kron", X, X.T)


def test_dot_of_two_tensors() -> None:
    against_numpy("dot", X, Z)
    against_numpy("dot", Y, Z)
    against_numpy("dot", X[0], Z)


# NumPy 2 has no products of vectors of two entries any more: theirs are written out here.
def test_cross_of_vectors_in_a_plane() -> None:
    a, b = X[:, :2], X[:, 2:]
    third = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    against_numpy("cross", a, b, wanted=third)
    flat = np.concatenate([a, np.zeros((3, 1), "float32")], 1)
    against_numpy("cross", a, X[:, 1:], wanted=np.cross(flat, X[:, 1:]))
    against_numpy("cross", X[:, 1:], a, wanted=np.cross(X[:, 1:], flat))


def test_cross_along_any_axes() -> None:
    check("cross", Y, Y[::-1].copy(), axis=1, symbolic=False)  # models of Keras with an axis fail
    against_numpy("cross", Y, Y[:1] * 2, axisa=1, axisb=1, axisc=0)
    against_numpy("cross", X[:, :3], X[:1, 1:])


@pytest.mark.parametrize("mode", ["valid", "same", "full"])
@pytest.mark.parametrize("lengths", [(5, 3), (3, 5), (4, 4), (5, 2), (2, 5), (1, 3), (12, 4)])
def test_correlate_of_all_lengths(mode: str, lengths: tuple[int, int]) -> None:
    x, y = X.ravel()[: lengths[0]], Y.ravel()[: lengths[1]]
    against_numpy("correlate", x, y, mode=mode)


# -- errors ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "args", "text"),
    [
        ("tensordot", [X, X, (0, 1, 2)], "pair of axes"),
        ("cross", [X, X], "2 or 3 entries"),
        ("correlate", [X, X[0]], "one axis"),
        ("correlate", [X[0], X[0], "all"], "'valid', 'same' or 'full'"),
    ],
)
def test_errors(name: str, args: list[Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        getattr(kt.ops, name)(*args)


def test_one_graph() -> None:
    def function(x: torch.Tensor, y: torch.Tensor) -> Any:
        z = kt.ops.matmul(x, kt.ops.transpose(y)) + kt.ops.einsum("ij,kj->ik", x, y)
        z = kt.ops.where(z > 0, z, 0.1)
        z = kt.ops.pad(z, 1, mode="symmetric") + kt.ops.arange(5)
        return kt.ops.take(z, [0, -1], axis=1), kt.ops.sort(z), kt.ops.histogram(z[0])

    x, y = torch.from_numpy(X), torch.from_numpy(X * 2)
    compiled = torch.compile(function, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(x, y), function(x, y))


def test_slogdet() -> None:
    rng = np.random.default_rng(0)
    check("slogdet", rng.normal(size=(3, 3)).astype("float32"), unknown=False)  # it is square
    # Keras's symbolic shapes forget the batch
    check("slogdet", rng.normal(size=(2, 3, 3)).astype("float32"), symbolic=False)


def test_slogdet_of_integers() -> None:
    sign, logarithm = kt.ops.slogdet([[0, 2], [1, 0]])
    assert sign == -1
    np.testing.assert_allclose(logarithm, np.log(2), rtol=1e-6)
