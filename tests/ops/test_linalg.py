"""Linear algebra against Keras."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from oracle import assert_same, check

import kerastorch as kt
from kerastorch import ops

RNG = np.random.default_rng(0)
A = RNG.normal(size=(2, 4, 3)).astype("float32")
S = (RNG.normal(size=(2, 3, 3)) + 3 * np.eye(3)).astype("float32")
P = (A.swapaxes(1, 2) @ A).astype("float32")  # positive definite
L = np.linalg.cholesky(P)
B = RNG.normal(size=(2, 3, 2)).astype("float32")


@pytest.mark.parametrize("name", ["det", "inv", "lu_factor", "logdet"])
def test_square_matrices(name: str) -> None:
    check(name, S)
    check(name, S[0], unknown=False)
    check(name, S.astype("float64"), symbolic=False)


@pytest.mark.parametrize("name", ["det", "inv", "cholesky", "eigh"])
def test_integers_become_floats(name: str) -> None:
    result = getattr(ops, name)([[2, 1], [1, 2]])
    assert_same(result, getattr(ops, name)([[2.0, 1.0], [1.0, 2.0]]))


def test_lu_factor_of_other_shapes() -> None:
    check("lu_factor", A)
    check("lu_factor", A.swapaxes(1, 2).copy(), symbolic=False)


@pytest.mark.parametrize("upper", [False, True])
def test_cholesky(upper: bool) -> None:
    check(
        "cholesky", P, upper=upper, tolerance=1e-4
    )  # gradients of float32 differ in the last digits
    check("cholesky_inverse", L.swapaxes(1, 2).copy() if upper else L, upper=upper, tolerance=1e-4)


def test_cholesky_of_what_is_not_positive() -> None:
    with pytest.raises(ValueError, match="`x` must be symmetric and positive definite"):
        ops.cholesky([[1.0, 2.0], [2.0, 1.0]])


@pytest.mark.parametrize("mode", ["reduced", "complete"])
def test_qr(mode: str) -> None:
    check("qr", A, mode=mode, gradients=mode == "reduced")  # torch has none of the others
    check("qr", A[0].T.copy(), mode=mode, gradients=False)
    with pytest.raises(ValueError, match="`mode` must be 'reduced' or 'complete'"):
        ops.qr(A, mode="raw")


def test_eig() -> None:
    # Eigenvectors have a phase that nothing decides: they have no gradient.
    check("eig", S, gradients=False)
    values, vectors = ops.eig(S)
    assert_same(torch.from_numpy(S).to(vectors.dtype) @ vectors, vectors * values[:, None])


def test_eigh() -> None:
    check("eigh", P, tolerance=1e-4)  # float32
    check("eigh", P[0].astype("float64"), symbolic=False)


@pytest.mark.parametrize("full", [False, True])
def test_svd(full: bool) -> None:
    # Of a full basis the further vectors have no gradient.
    check("svd", A, full_matrices=full, gradients=not full, tolerance=1e-4)
    check("svd", A, full_matrices=full, compute_uv=False)


@pytest.mark.parametrize("ord", [None, 1, 2, 3, np.inf, -np.inf, 0, 0.5], ids=str)
def test_norm_of_vectors(ord: Any) -> None:
    check("norm", A, ord=ord, axis=1, symbolic=ord != -np.inf)
    check("norm", A[0, 0], ord=ord, symbolic=False)


@pytest.mark.parametrize("ord", [None, "fro", "nuc", 1, -1, 2, -2, np.inf], ids=str)
def test_norm_of_matrices(ord: Any) -> None:
    check("norm", A, ord=ord, axis=(-2, -1), symbolic=ord in (None, "nuc"))
    check("norm", A, ord=ord, axis=(0, 2), keepdims=True, symbolic=False)
    check("norm", A[0], ord=ord, symbolic=False)


def test_norm_of_everything() -> None:
    check("norm", A)
    check("norm", A, keepdims=True, symbolic=False)
    check("norm", 3.0)


@pytest.mark.parametrize("dtype", ["int32", "int64", "bool", "float16", "float64"])
def test_norm_of_dtypes(dtype: str) -> None:
    # of float64 Keras gives float32
    check("norm", (A * 3).astype(dtype), axis=-1, symbolic=False, dtypes=dtype != "float64")
    assert ops.norm(A.astype("float64")).dtype is torch.float64
    with pytest.raises(ValueError, match="`ord` must be a number, 'fro' or 'nuc'"):
        ops.norm(A, ord="max")


def test_matrix_rank() -> None:
    singular = np.stack([np.ones((4, 3)), np.diag([3, 2, 1, 0])[:, :3]]).astype("float32")
    for tol in (None, 1.5, 2.5):
        check("matrix_rank", singular, tol=tol)
    check("matrix_rank", A[0].astype("float64"), symbolic=False)


@pytest.mark.parametrize("rcond", [None, 0.5])
def test_pinv(rcond: float | None) -> None:
    check("pinv", A, rcond=rcond, tolerance=1e-4)  # float32
    check("pinv", A[0].T.copy(), symbolic=False, tolerance=1e-4)


def test_solve() -> None:
    check("solve", S, B)
    check("solve", S, B[..., 0].copy())
    check("solve", S[0], B[0, :, 0].copy(), unknown=False)
    check("solve", S[0].astype("float64"), B[0].astype("float64"), symbolic=False)
    assert ops.solve(S, B[0]).shape == (2, 3, 2)
    assert ops.solve(S.astype("float64"), B).dtype is torch.float64


@pytest.mark.parametrize("lower", [False, True])
def test_solve_triangular(lower: bool) -> None:
    check("solve_triangular", S, B, lower)
    check("solve_triangular", S, B[..., 0].copy(), lower=lower, symbolic=False)
    check("solve_triangular", S[0], B[0], lower=lower, symbolic=False)


@pytest.mark.parametrize("rcond", [None, 0.3])
def test_lstsq(rcond: float | None) -> None:
    # Where `rcond` leaves a direction out, neither torch nor Keras has the gradient.
    options = {"rcond": rcond, "gradients": rcond is None}
    check("lstsq", A[0], B[0].repeat(2, 0)[:4], **options, unknown=False)
    check("lstsq", A[0], np.arange(4, dtype="float32"), **options, symbolic=False)
    wide = A[0].T.copy()
    np.testing.assert_allclose(
        ops.lstsq(wide, B[0], rcond), np.linalg.lstsq(wide, B[0], rcond)[0], rtol=1e-4, atol=1e-5
    )


def test_lstsq_of_batches() -> None:
    result = ops.lstsq(A, np.ones((2, 4), "float32"))
    wanted = [np.linalg.lstsq(a, np.ones(4, "float32"), None)[0] for a in A]
    np.testing.assert_allclose(result, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "name",
    ["det", "inv", "cholesky", "cholesky_inverse", "eig", "eigh", "solve", "solve_triangular"],
)
def test_shapes_are_checked(name: str) -> None:
    further = (B,) if name.startswith("solve") else ()
    argument = "a" if further else "x"
    for wrong in (A, A[0, 0]):
        with pytest.raises(ValueError, match=f"`{argument}` must be square matrices"):
            getattr(ops, name)(wrong, *further)


@pytest.mark.parametrize("name", ["lu_factor", "qr", "svd", "pinv", "matrix_rank"])
def test_vectors_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="`x` must be matrices"):
        getattr(ops, name)([1.0, 2.0])


@pytest.mark.parametrize("name", ["solve", "solve_triangular", "lstsq"])
def test_both_sides_must_fit(name: str) -> None:
    with pytest.raises(ValueError, match="`b` must have 3 rows"):
        getattr(ops, name)(S, A)


def test_an_open_batch() -> None:
    x = kt.Input((3, 3))
    model = kt.Model(x, [ops.det(x), ops.solve(x, ops.norm(x, axis=-1)), *ops.svd(x)])
    assert model.output_shape == [(None,), (None, 3), (None, 3, 3), (None, 3), (None, 3, 3)]
    assert_same(model(torch.from_numpy(S))[0], ops.det(S))


M = torch.ones(2, 3, 3, device="meta")


@pytest.mark.parametrize(
    "call",
    [
        *(
            lambda name=name: getattr(ops, name)(M)
            for name in ("det", "inv", "cholesky", "norm", "pinv")
        ),
        *(
            lambda name=name: getattr(ops, name)(M)[0]
            for name in ("eig", "eigh", "lu_factor", "qr", "svd")
        ),
        *(
            lambda name=name: getattr(ops, name)(M, np.ones(3, "float32"))
            for name in ("solve", "lstsq")
        ),
        lambda: ops.matrix_rank(M),
        lambda: ops.solve_triangular(M, M),
        lambda: ops.cholesky_inverse(M),
    ],
)
def test_everything_stays_on_its_device_and_nothing_is_read(call: Any) -> None:
    assert call().is_meta


def test_one_graph() -> None:
    def function(p: torch.Tensor, b: torch.Tensor) -> Any:
        return (
            ops.cholesky(p), ops.solve(p, b), ops.lstsq(p, b), ops.norm(b), ops.lu_factor(p),
            ops.eigh(p)[0], ops.matrix_rank(p), ops.svd(p, compute_uv=False),
        )  # fmt: skip

    arguments = torch.from_numpy(P), torch.from_numpy(B)
    compiled = torch.compile(function, fullgraph=True, backend="eager")
    assert_same(compiled(*arguments), function(*arguments))
