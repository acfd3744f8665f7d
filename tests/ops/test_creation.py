"""New tensors against Keras, or NumPy where Keras's torch backend differs from it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from oracle import check
from reference import against_numpy, assert_made_in_place

import kerastorch as kt

X = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
S = np.array(2.0, dtype="float32")

CASES: list[Any] = [
    ("zeros", [3]), ("zeros", [(2, 3)]), ("zeros", [[2], "int32"]), ("zeros", [()]),
    ("ones", [(2, 0)]), ("ones", [(2, 3)], {"dtype": "bool"}), ("ones", [(2,)], {"dtype": "bfloat16"}),
    ("full", [(2, 3), 2.5]), ("full", [(2, 3), 2]), ("full", [(2,), 1.5], {"dtype": "int32"}),
    ("full", [(2, 3), True], {"dtype": "bool"}), ("full", [(), 1]),
    ("zeros_like", [X]), ("zeros_like", [X], {"dtype": "int32"}), ("zeros_like", [[1, 2]]),
    ("ones_like", [X]), ("ones_like", [X], {"dtype": "float16"}), ("ones_like", [3]),
    ("full_like", [X, 2]), ("full_like", [X, 2.5], {"dtype": "int32"}),
    ("array", [X]), ("array", [X, "int32"]), ("array", [[1, 2.0]]), ("array", [3]),
    ("array", [[1, 2], "float32"]), ("array", [np.arange(3)]), ("array", [True]),
    ("eye", [3]), ("eye", [3, 4]), ("eye", [3], {"k": 1}), ("eye", [2, 5, -1]),
    ("eye", [3, 2, 1, "int32"]), ("eye", [2], {"dtype": "bfloat16"}),
    ("identity", [3]), ("identity", [2, "int32"]),
    ("tri", [3]), ("tri", [3, 4]), ("tri", [3, 4, 1]), ("tri", [4, 2], {"k": -1, "dtype": "int32"}),
    ("arange", [5]), ("arange", [5.0]), ("arange", [1, 7]), ("arange", [1, 7, 2]),
    ("arange", [7, 1, -2]), ("arange", [0, 1, 0.25]), ("arange", [1.5, 4]),
    ("arange", [3], {"dtype": "float16"}), ("arange", [0, 4.0], {"dtype": "int32"}),
    ("linspace", [0, 10, 5]), ("linspace", [0.0, 1.0]), ("linspace", [0, 10, 5, False]),
    ("linspace", [0, 10, 4, True, True]), ("linspace", [0, 10, 4, False, True]),
    ("linspace", [2, 2, 1]), ("linspace", [1, 2, 0]), ("linspace", [10, 0, 5], {"dtype": "int32"}),
    ("linspace", [X, X + 1, 5]), ("linspace", [X, X * 2, 3], {"dtype": "float64"}),
    ("logspace", [0, 2, 5]), ("logspace", [0, 2, 5, False]), ("logspace", [0, 3, 4], {"base": 2}),
    ("logspace", [X, X + 1, 3]), ("logspace", [0, 2, 3], {"dtype": "int32"}),
    ("geomspace", [1, 1000, 4]), ("geomspace", [1.0, 8.0, 4]), ("geomspace", [1, 256, 8, False]),
    ("geomspace", [-1.0, -100.0, 3]), ("geomspace", [100, 1, 5]),
    ("bartlett", [5]), ("hanning", [6]), ("hamming", [5]), ("blackman", [7]), ("kaiser", [5, 8.6]),
    ("hanning", [1]), ("hanning", [0]), ("kaiser", [4, 0.0]),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_as_keras(case: Any) -> None:
    name, args, options = *case, *([{}] if len(case) < 3 else [])
    check(name, *args, **options)
    assert_made_in_place(name, *args, **options)


def test_full_of_a_tensor() -> None:
    # Gradients: Keras takes the value out of the tensor.
    check("full", (2, 3), S, gradients=False)
    check("full_like", X, S, gradients=False)
    check("bartlett", np.array(4), symbolic=False)
    filled = kt.ops.full((2, 3), kt.ops.ones(3))
    filled[0, 0] = 5  # it has memory of its own
    assert filled.sum() == 10


@pytest.mark.parametrize("dtype", ["int32", "int64", "bool", "float16", "bfloat16", "float64"])
def test_like(dtype: str) -> None:
    x = torch.ones(2, 3, dtype=getattr(torch, dtype))
    for name in ("zeros_like", "ones_like", "empty_like"):
        like = getattr(kt.ops, name)(x)
        assert like.dtype is x.dtype
        assert like.shape == x.shape
    assert kt.ops.full_like(x, 1).dtype is x.dtype


def test_empty() -> None:
    assert kt.ops.empty((2, 3)).shape == (2, 3)
    assert kt.ops.empty(4, dtype="int32").dtype is torch.int32
    assert kt.ops.empty_like(X, dtype="int32").dtype is torch.int32
    x = kt.Input((4,))
    model = kt.Model(x, kt.ops.empty_like(x))
    assert kt.models.model_from_json(model.to_json())(torch.from_numpy(X)).shape == (3, 4)


@pytest.mark.parametrize("options", [{}, {"N": 3}, {"N": 2, "increasing": True}, {"N": 0}], ids=str)
def test_vander(options: dict[str, Any]) -> None:
    check("vander", X[0], gradients=False, **options)  # torch.vander has none: it works in place
    x = torch.from_numpy(X[0]).requires_grad_()
    kt.ops.vander(x, 3)[:, 0].sum().backward()
    torch.testing.assert_close(x.grad, 2 * x.detach())


@pytest.mark.parametrize("dtype", ["int32", "int16", "float16"])
def test_vander_dtypes(dtype: str) -> None:
    check("vander", np.array([1, 2, 3], dtype), symbolic=False)


def test_the_default_dtype_is_floatx() -> None:
    before = kt.config.floatx()
    kt.config.set_floatx("float16")
    try:
        made = [kt.ops.zeros(2), kt.ops.full(2, 1), kt.ops.eye(2), kt.ops.arange(2.0), kt.ops.tri(2),
                kt.ops.linspace(0, 1, 3), kt.ops.hanning(3)]  # fmt: skip
        assert {tensor.dtype for tensor in made} == {torch.float16}
        assert kt.ops.arange(2).dtype is torch.int32
    finally:
        kt.config.set_floatx(before)


def test_arange_of_numbers_with_a_dtype() -> None:
    assert kt.ops.arange(np.int64(3)).dtype is torch.int32
    assert kt.ops.arange(np.float64(3)).dtype is torch.float32
    assert kt.ops.arange(torch.tensor(2, dtype=torch.int16), 4).dtype is torch.int16


def test_numbers_next_to_a_tensor_take_its_dtype() -> None:
    assert kt.ops.linspace(torch.zeros(2, dtype=torch.float16), 1, 3).dtype is torch.float16
    assert kt.ops.linspace(torch.zeros(2, dtype=torch.int32), 1.5, 3).dtype is torch.float32
    assert kt.ops.linspace(torch.zeros((), dtype=torch.float64), 1, 3).dtype is torch.float64


def test_sizes_of_symbolic_tensors() -> None:
    x = kt.Input((4,))
    n = x.size(0)
    made = [
        kt.ops.zeros((n, 2)), kt.ops.ones(n), kt.ops.empty((n, 0)), kt.ops.full((n, 2), 3.0),
        kt.ops.eye(n), kt.ops.eye(n, 2, k=1), kt.ops.tri(n), kt.ops.arange(n),
    ]  # fmt: skip
    shapes = [
        (None, 2),
        (None,),
        (None, 0),
        (None, 2),
        (None, None),
        (None, 2),
        (None, None),
        (None,),
    ]
    assert [tensor.shape for tensor in made] == shapes
    model = kt.Model(x, made)
    wanted = [np.zeros((3, 2)), np.ones(3), np.empty((3, 0)), np.full((3, 2), 3.0), np.eye(3),
              np.eye(3, 2, k=1), np.tri(3), np.arange(3)]  # fmt: skip
    for ours, theirs in zip(model(torch.from_numpy(X)), wanted, strict=True):
        np.testing.assert_array_equal(ours, theirs)


# -- where Keras's torch backend differs from NumPy ----------------------------------------------------


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("endpoint", [True, False])
def test_spaces_along_any_axis(axis: int, endpoint: bool) -> None:
    low, high = np.abs(X) + 0.5, np.abs(X[:1]) + 2
    for name in ("linspace", "logspace", "geomspace"):
        against_numpy(name, low, high, num=5, endpoint=endpoint, axis=axis)


def test_arange_of_nothing() -> None:
    against_numpy("arange", 3, 1)
    against_numpy("arange", 1, 3, -1)


def test_both_ends_are_exact() -> None:
    x = kt.ops.linspace(0.1, 0.7, 7)
    assert x[0] == torch.tensor(0.1)
    assert x[-1] == torch.tensor(0.7)


def test_step_of_one_number_is_not_a_number() -> None:
    points, step = kt.ops.linspace(1.0, 2.0, 1, retstep=True)
    assert points.tolist() == [1.0]
    assert torch.isnan(step)


# -- errors ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "args", "error", "text"),
    [
        ("eye", [2.0], TypeError, "`N` must be a whole number"),
        ("eye", [2, 1.5], TypeError, "`M` must be a whole number"),
        ("vander", [X], ValueError, "one axis"),
        ("vander", [X[0], -1], ValueError, "`N`"),
        ("linspace", [0, 1, -1], ValueError, "`num`"),
        ("zeros", [2, "float33"], ValueError, "float33"),
    ],
)
def test_errors(name: str, args: list[Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        getattr(kt.ops, name)(*args)


@pytest.mark.parametrize("name", ["bartlett", "hanning", "hamming", "blackman"])
def test_windows_have_no_symbolic_length(name: str) -> None:
    with pytest.raises(TypeError, match="symbolic"):
        getattr(kt.ops, name)(kt.Input((4,)).size(0))
