"""Linear algebra on the last two axes, all others are batches. `jvp` is in `_transforms`."""

from __future__ import annotations

from typing import Any

import torch

from kerastorch.ops._op import Array, floating, op, promoted

Pair = tuple[torch.Tensor, torch.Tensor]


def _matrices(name: str, x: torch.Tensor, square: bool = False) -> torch.Tensor:
    """`x` as floating point, if it is matrices."""
    if x.ndim < 2 or (square and x.shape[-1] != x.shape[-2]):
        kind = "square matrices, (..., n, n)" if square else "matrices, (..., m, n)"
        raise ValueError(f"`{name}` must be {kind}, received shape {tuple(x.shape)}.")
    return floating(x)


# -- products, inverses, determinants ----------------------------------------------------------------


@op
def det(x: Array) -> torch.Tensor:
    """Determinants.

    >>> import kerastorch as keras
    >>> keras.ops.det([[2.0, 0.0], [0.0, 3.0]])
    tensor(6.)
    """
    return torch.linalg.det(_matrices("x", x, square=True))


@op
def inv(x: Array) -> torch.Tensor:
    """Inverse matrices.

    >>> import kerastorch as keras
    >>> keras.ops.inv([[2.0, 0.0], [0.0, 4.0]])
    tensor([[0.5000, 0.0000],
            [0.0000, 0.2500]])
    """
    return torch.linalg.inv(_matrices("x", x, square=True))


@op
def pinv(x: Array, rcond: float | None = None) -> torch.Tensor:
    """Moore and Penrose's inverses, ``(..., m, n)`` to ``(..., n, m)``. Singular values up to `rcond`
    times the largest are 0; by default that is the dtype's epsilon times the larger of m and n.

    >>> import kerastorch as keras
    >>> keras.ops.pinv([[2.0, 0.0], [0.0, 0.0]])
    tensor([[0.5000, 0.0000],
            [0.0000, 0.0000]])
    """
    return torch.linalg.pinv(_matrices("x", x), rtol=rcond)


@op
def norm(x: Array, ord: Any = None, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    """Norms of vectors (`axis` is a number) or matrices (`axis` is a pair); without `ord` and `axis` the
    root of the sum of all squares. `ord` is that of [`numpy.linalg.norm`].

    >>> import kerastorch as keras
    >>> keras.ops.norm([[3.0, 4.0], [0.0, 1.0]], axis=-1), keras.ops.norm([3.0, -4.0], ord=1)
    (tensor([5., 1.]), tensor(7.))
    """
    if isinstance(ord, str) and ord not in ("fro", "nuc"):
        raise ValueError(f"`ord` must be a number, 'fro' or 'nuc', received {ord!r}.")
    return torch.linalg.norm(floating(x), ord, axis, keepdims)


@op
def matrix_rank(x: Array, tol: float | None = None) -> torch.Tensor:
    """The number of singular values above `tol`, by default the largest one times the dtype's epsilon
    times the larger side.

    >>> import kerastorch as keras
    >>> keras.ops.matrix_rank([[1.0, 2.0], [2.0, 4.0]])
    tensor(1, dtype=torch.int32)
    """
    return torch.linalg.matrix_rank(_matrices("x", x), atol=tol).int()


# -- decompositions ----------------------------------------------------------------------------------


@op
def cholesky(x: Array, upper: bool = False) -> torch.Tensor:
    """The lower triangular L with positive diagonal and ``L @ L.T = x``, or the upper one, ``U.T @ U = x``.

    >>> import kerastorch as keras
    >>> keras.ops.cholesky([[4.0, 2.0], [2.0, 5.0]])
    tensor([[2., 0.],
            [1., 2.]])
    """
    x = _matrices("x", x, square=True)
    try:
        return torch.linalg.cholesky(x, upper=upper)
    except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]
        raise ValueError(f"`x` must be symmetric and positive definite: {error}") from error


@op
def cholesky_inverse(x: Array, upper: bool = False) -> torch.Tensor:
    """The inverse of ``L @ L.T``, from the triangle L that `cholesky` gives.

    >>> import kerastorch as keras
    >>> keras.ops.cholesky_inverse([[1.0, 0.0], [1.0, 1.0]])
    tensor([[ 2., -1.],
            [-1.,  1.]])
    """
    return torch.cholesky_inverse(_matrices("x", x, square=True), upper=upper)


@op
def lu_factor(x: Array) -> Pair:
    """Both triangles of ``P @ L @ U = x`` in one matrix, and for each row the one it was exchanged with.

    >>> import kerastorch as keras
    >>> keras.ops.lu_factor([[0.0, 1.0], [2.0, 3.0]])
    (tensor([[2., 3.],
            [0., 1.]]), tensor([1, 1], dtype=torch.int32))
    """
    factors, pivots = torch.linalg.lu_factor(_matrices("x", x))
    return factors, pivots - 1


@op
def qr(x: Array, mode: str = "reduced") -> Pair:
    """Q with orthonormal columns and an upper triangular R: ``Q @ R = x``. Q is ``(..., m, k)`` with k the
    smaller of m and n, or m if `mode` is ``"complete"``.

    >>> import kerastorch as keras
    >>> q, r = keras.ops.qr([[3.0, 1.0], [4.0, 2.0]])
    >>> (q @ r).round()
    tensor([[3., 1.],
            [4., 2.]])
    """
    if mode not in ("reduced", "complete"):
        raise ValueError(f"`mode` must be 'reduced' or 'complete', received {mode!r}.")
    q, r = torch.linalg.qr(_matrices("x", x), mode)
    return q, r


@op
def eig(x: Array) -> Pair:
    """Eigenvalues and the matrices whose columns are eigenvectors, complex.

    >>> import kerastorch as keras
    >>> keras.ops.eig([[0.0, 1.0], [-1.0, 0.0]])[0]
    tensor([0.+1.j, 0.-1.j])
    """
    values, vectors = torch.linalg.eig(_matrices("x", x, square=True))
    return values, vectors


@op
def eigh(x: Array) -> Pair:
    """Eigenvalues of symmetric matrices, the least first, and the matrices whose columns are eigenvectors.

    >>> import kerastorch as keras
    >>> keras.ops.eigh([[2.0, 0.0], [0.0, 1.0]])[0]
    tensor([1., 2.])
    """
    values, vectors = torch.linalg.eigh(_matrices("x", x, square=True))
    return values, vectors


@op
def svd(x: Array, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """``(U, s, Vh)`` with ``U @ diag(s) @ Vh = x``, the singular values s falling, or s alone. With
    `full_matrices` U and Vh are square.

    >>> import kerastorch as keras
    >>> keras.ops.svd([[0.0, 2.0], [1.0, 0.0]], compute_uv=False)
    tensor([2., 1.])
    """
    x = _matrices("x", x)
    if not compute_uv:
        return torch.linalg.svdvals(x)
    return tuple(torch.linalg.svd(x, full_matrices))


# -- equations ---------------------------------------------------------------------------------------


def _equations(
    a: torch.Tensor, b: torch.Tensor, square: bool = True
) -> tuple[torch.Tensor, torch.Tensor, bool]:
    """Both sides of ``a @ x = b`` in one dtype, `b` as matrices, and whether it was vectors."""
    a, b = promoted(_matrices("a", a, square), floating(b))
    vectors = b.ndim == 1 or b.shape == a.shape[:-1]
    columns = b[..., None] if vectors else b
    if columns.ndim < 2 or columns.shape[-2] != a.shape[-2]:
        raise ValueError(
            f"`b` must have {a.shape[-2]} rows, as `a` of shape {tuple(a.shape)} has; received shape "
            f"{tuple(b.shape)}."
        )
    return a, columns, vectors


@op
def solve(a: Array, b: Array) -> torch.Tensor:
    """The x with ``a @ x = b``; `b` is vectors or matrices.

    >>> import kerastorch as keras
    >>> keras.ops.solve([[2.0, 0.0], [0.0, 4.0]], [2.0, 2.0])
    tensor([1.0000, 0.5000])
    """
    a, columns, vectors = _equations(a, b)
    x = torch.linalg.solve(a, columns)
    return x.squeeze(-1) if vectors else x


@op
def solve_triangular(a: Array, b: Array, lower: bool = False) -> torch.Tensor:
    """The x with ``a @ x = b``, of `a` only the upper triangle read, or the `lower` one.

    >>> import kerastorch as keras
    >>> keras.ops.solve_triangular([[2.0, 1.0], [0.0, 1.0]], [3.0, 1.0])
    tensor([1., 1.])
    """
    a, columns, vectors = _equations(a, b)
    x = torch.linalg.solve_triangular(a, columns, upper=not lower)
    return x.squeeze(-1) if vectors else x


@op
def lstsq(a: Array, b: Array, rcond: float | None = None) -> torch.Tensor:
    """The least x that makes ``|a @ x - b|`` least, by singular values; for `rcond` see `pinv`.

    >>> import kerastorch as keras
    >>> keras.ops.lstsq([[1.0], [0.0]], [3.0, 1.0])
    tensor([3.])
    """
    a, columns, vectors = _equations(a, b, square=False)
    x = torch.linalg.pinv(a, rtol=rcond) @ columns
    return x.squeeze(-1) if vectors else x
