"""Tensors from data and back, dtypes and shapes, parts of tensors, against Keras."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import torch
from oracle import assert_same, check

import kerastorch as kt
from kerastorch import ops

X = np.random.default_rng(0).normal(size=(4, 5)).astype("float32")

# -- from data and back ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "x",
    [X, X.astype("float64"), X > 0, 3, 2.5, True, 2**40, -(2**31), [1, 2], [[1.5], [2]], [True], 1j,
     np.float32(2), np.arange(3, dtype="uint8"), (1, 2), np.zeros((0, 2), "float32")],
    ids=str,
)  # fmt: skip
def test_convert_to_tensor(x: Any) -> None:
    check("convert_to_tensor", x)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", "int32", "bool"])
def test_convert_to_tensor_with_a_dtype(dtype: str) -> None:
    check("convert_to_tensor", X, dtype=dtype, symbolic=dtype == "float64")
    check("convert_to_tensor", [0.1, 0.7], dtype=dtype)
    check("convert_to_tensor", 0.1, dtype=dtype)


def test_convert_to_tensor_keeps_what_a_dtype_can_hold() -> None:
    assert ops.convert_to_tensor([2**40], "int64").tolist() == [2**40]
    assert ops.convert_to_tensor([2**40]).tolist() == [2**40]
    assert ops.convert_to_tensor(2**40).item() == 2**40
    assert ops.convert_to_tensor([0.1], "float64").tolist() == [0.1]
    assert ops.convert_to_tensor(np.float64(0.1)).dtype is torch.float32


def test_convert_to_tensor_of_a_weight_is_a_plain_tensor_with_gradients() -> None:
    weight = kt.Variable(np.ones(3, "float32"))
    tensor = ops.convert_to_tensor(weight)
    assert type(tensor) is torch.Tensor
    (tensor * 2).sum().backward()
    assert weight.grad is not None
    assert weight.grad.tolist() == [2, 2, 2]


def test_convert_to_tensor_of_other_things() -> None:
    x = torch.ones(2)
    assert ops.convert_to_tensor(x) is x
    assert ops.convert_to_tensor([x, x]).shape == (2, 2)
    assert ops.convert_to_tensor(x, dtype=torch.float16).dtype is torch.float16
    for name in ("sparse", "ragged"):
        with pytest.raises(ValueError, match=f"`{name}`: tensors are dense"):
            ops.convert_to_tensor(x, **{name: True})


@pytest.mark.parametrize("dtype", ["float16", "float64", "int32", "bool", "uint8"])
def test_cast(dtype: str) -> None:
    check("cast", np.abs(X) * 3, dtype)


def test_cast_of_numbers_and_lists() -> None:
    check("cast", 0.1, "float64")
    check("cast", [1, 2], "float32")
    assert ops.cast(torch.ones(2), torch.int16).dtype is torch.int16


@pytest.mark.parametrize(
    ("source", "target"),
    [("float32", "uint8"), ("float32", "int8"), ("float32", "int32"), ("float32", "int64"),
     ("float32", "float16"), ("float64", "float32"), ("float64", "int32"), ("float16", "int8"),
     ("int32", "uint8"), ("int64", "int32"), ("uint8", "int8"), ("int8", "uint8"), ("int8", "int64"),
     ("float32", "bool"), ("int32", "bool")],
)  # fmt: skip
def test_saturate_cast(source: str, target: str) -> None:
    values = [0, 1, 2, 100, 126, 127] if source == "uint8" else [-100, -1, 0, 0.4, 1, 100, 127]
    if source in ("float32", "float64"):
        values += [-1e10, 255.6, -3e38, -np.inf]
        if target not in ("int32", "int64"):
            values += [1e10, 3e38, np.inf]
    if source in ("int32", "int64"):
        values += [-(2**31), 2**31 - 1, 300]
    if source == "float64":
        values += [-1e300]
    first = source == "float32" and target in ("uint8", "float16", "bool")
    check("saturate_cast", np.array(values, source), target, symbolic=first)


@pytest.mark.parametrize("source", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("target", ["int32", "int64"])
def test_saturate_cast_of_large_numbers(source: str, target: str) -> None:
    """Keras gives the least integer for the largest."""
    x = torch.tensor([1e20, np.inf, -1e20, 2.0**30], dtype=getattr(torch, source))
    info = torch.iinfo(getattr(torch, target))
    assert ops.saturate_cast(x, target).tolist() == [info.max, info.max, info.min, 2**30]


def test_saturate_cast_to_and_from_what_has_no_order() -> None:
    assert ops.saturate_cast([True, False], "int8").tolist() == [1, 0]
    assert ops.saturate_cast([300, -300], torch.int8).tolist() == [127, -128]
    assert ops.saturate_cast([1.5], "complex64").tolist() == [1.5]


@pytest.mark.parametrize("dtype", ["float32", "float16", "int64", "bool", "complex64"])
def test_convert_to_numpy(dtype: str) -> None:
    array = ops.convert_to_numpy(torch.from_numpy(X.astype(dtype)))
    assert array.dtype == dtype
    np.testing.assert_array_equal(array, X.astype(dtype))


def test_convert_to_numpy_has_memory_of_its_own() -> None:
    x = torch.ones(2, requires_grad=True)
    array = ops.convert_to_numpy(x)
    array += 1
    assert x.tolist() == [1, 1]
    assert ops.convert_to_numpy([1, 2]).tolist() == [1, 2]
    assert ops.convert_to_numpy((x, x)).shape == (2, 2)
    assert ops.convert_to_numpy(torch.ones(2, dtype=torch.bfloat16)).dtype == "float32"
    assert ops.convert_to_numpy(torch.tensor([1j]).conj()).tolist() == [-1j]


def test_convert_to_numpy_of_a_symbolic_tensor() -> None:
    with pytest.raises(TypeError, match="has no values"):
        ops.convert_to_numpy(kt.Input((2,)))


def test_is_tensor() -> None:
    assert ops.is_tensor(torch.ones(1))
    for other in (X, 1.0, [torch.ones(1)], kt.Input((2,))):
        assert not ops.is_tensor(other)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int64", "bool", "uint8"])
def test_dtype(dtype: str) -> None:
    tensor = torch.ones(2, dtype=getattr(torch, dtype))
    assert ops.dtype(tensor) == keras.ops.dtype(tensor) == dtype


def test_dtype_of_other_things() -> None:
    assert ops.dtype(X) == "float32"
    assert ops.dtype(1) == "int32"
    assert ops.dtype(kt.Input((2,), dtype="float16")) == "float16"
    assert ops.dtype(kt.Variable(X)) == "float32"


def test_shape() -> None:
    assert ops.shape(torch.ones(2, 3)) == (2, 3)
    assert type(ops.shape(torch.ones(2, 3))) is tuple
    assert ops.shape(X) == (4, 5)
    assert ops.shape(1.0) == ()
    assert ops.shape([[1, 2]]) == (1, 2)


def test_unknown_sizes_are_symbolic_numbers() -> None:
    x = kt.Input((None, 6))
    batch, time, features = ops.shape(x)
    assert features == 6
    model = kt.Model(x, x.reshape((batch, time * 2, features // 2)))
    assert model.output_shape == (None, None, 3)
    assert model(torch.ones(2, 5, 6)).shape == (2, 10, 3)
    again = kt.models.model_from_json(model.to_json())
    assert again(torch.ones(3, 4, 6)).shape == (3, 8, 3)


def model_both_ways(function: Any) -> None:
    """What `check` does, of a function that takes no arrays in Keras."""
    x = torch.from_numpy(X)
    wanted = function(keras, x)
    assert_same(function(kt, X), wanted)
    models = []
    for library in (kt, keras):
        inputs = library.Input(batch_shape=X.shape)
        models.append(library.Model(inputs, function(library, inputs)))
    for model in models:
        for library in (kt, keras):
            assert_same(library.models.model_from_json(model.to_json())(x), wanted)


def test_stop_gradient() -> None:
    model_both_ways(lambda library, x: library.ops.stop_gradient(x))
    x = torch.ones(2, requires_grad=True)
    (x * ops.stop_gradient(x)).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1, 1]


# -- parts of tensors ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options", [{}, {"axis": 1}, {"axis": -2}, {"num": 5, "axis": -1}], ids=str
)
def test_unstack(options: dict[str, Any]) -> None:
    model_both_ways(lambda library, x: library.ops.unstack(x, **options))


def test_unstack_an_axis_of_unknown_size() -> None:
    x = kt.Input((None,))
    model = kt.Model(x, ops.unstack(x, num=3, axis=1))
    assert [t.tolist() for t in model(torch.tensor([[1.0, 2.0, 3.0]]))] == [[1], [2], [3]]
    with pytest.raises(ValueError, match="number of results depends"):
        ops.unstack(x, axis=1)
    with pytest.raises(ValueError, match="`num` must be the size of axis 0, which is 4"):
        ops.unstack(X, num=3)


@pytest.mark.parametrize(
    ("start", "shape"), [([1, 2], [2, 3]), ((0, 0), (4, 5)), ([3, 4], (1, 1)), ([0, 1], [2, 0])]
)
def test_slice(start: Any, shape: Any) -> None:
    check("slice", X, start, shape)


def test_slice_where_a_tensor_says() -> None:
    check("slice", X, np.array([1, 2]), (2, 3))  # as an array, and as an input of a model
    check("slice", X, np.array([1, 2], "int32"), np.array([2, 3]), symbolic=False)
    assert_same(ops.slice(X, torch.tensor([1, 2]), (2, 3)), torch.from_numpy(X[1:3, 2:5]))
    assert_same(ops.slice(X, [torch.tensor(1), 2], (2, 3)), torch.from_numpy(X[1:3, 2:5]))


def test_slice_to_the_end() -> None:
    assert_same(ops.slice(X, (1, 2), (-1, 2)), torch.from_numpy(X[1:, 2:4]))
    with pytest.raises(ValueError, match="cannot be -1 where the start is a tensor"):
        ops.slice(X, torch.tensor([1, 2]), (-1, 2))


def test_slice_needs_a_place_and_a_size_for_each_axis() -> None:
    with pytest.raises(ValueError, match="`shape` needs one size for each axis of `inputs`"):
        ops.slice(X, [0, 0], [1])
    with pytest.raises(ValueError, match="`start_indices` needs one number for each axis"):
        ops.slice(X, [0], [1, 1])
    with pytest.raises(RuntimeError):  # no smaller block instead
        ops.slice(X, [3, 0], [2, 1])


@pytest.mark.parametrize("start", [[1, 2], (0, 0), [2, 3]])
def test_slice_update(start: Any) -> None:
    check("slice_update", X, start, np.full((2, 2), 7, "float32"), unknown=False)


def test_slice_update_where_a_tensor_says() -> None:
    updates = np.arange(6, dtype="float32").reshape(2, 3)
    check("slice_update", X, np.array([1, 2]), updates, unknown=False)
    check(
        "slice_update", X.astype("int32"), np.array([0, 1]), updates.astype("int32"), symbolic=False
    )
    wanted = X.copy()
    wanted[1:3, 2:5] = updates
    for start in (torch.tensor([1, 2]), [torch.tensor(1), 2], np.array([1, 2], "int32")):
        assert_same(ops.slice_update(X, start, updates.astype("int32")), torch.from_numpy(wanted))
    with pytest.raises(ValueError, match="`updates` must have the 2 axes"):
        ops.slice_update(X, [0, 0], [1.0])


# -- scattered entries -----------------------------------------------------------------------------

PLACES = np.array([[0, 1], [3, 2], [0, 1]])


@pytest.mark.parametrize("dtype", ["float32", "int32", "float16", "bool"])
def test_scatter(dtype: str) -> None:
    values = np.array([1, 2, 3]).astype(dtype)
    check("scatter", PLACES, values, (4, 3), symbolic=dtype == "float32")


def test_scatter_rows() -> None:
    check("scatter", np.array([[1], [3]]), X[:2], (4, 5))
    check("scatter", [[[1], [0]]], X[None, :2], (4, 5), symbolic=False)
    check("scatter", [[0, 1], [1, 1]], [1.0, 1.0], (2, 2))
    check("scatter", np.zeros((0, 1), "int64"), np.zeros((0,), "float32"), (3,), gradients=False)


@pytest.mark.parametrize("reduction", [None, "add", "max", "min", "mul"])
@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_scatter_update(reduction: str | None, dtype: str) -> None:
    count = 2 if reduction is None else 3  # of two updates of one place either may win
    updates = np.array([3.5, -2, 5])[:count].astype(dtype)
    check(
        "scatter_update",
        (X * 3).astype(dtype),
        PLACES[:count],
        updates,
        reduction,
        symbolic=dtype == "float32",
        unknown=False,
        gradients=reduction in (None, "add"),  # of the others Keras has an error
    )


@pytest.mark.parametrize("reduction", [None, "add", "MAX", "min", "mul"])
def test_scatter_update_rows(reduction: str | None) -> None:
    places = np.array([[2], [0], [2]])[: 2 if reduction is None else 3]
    rows = np.random.default_rng(1).normal(size=(len(places), 5)).astype("float32")
    check(
        "scatter_update",
        X,
        places,
        rows,
        reduction=reduction,
        unknown=False,
        gradients=reduction in (None, "add"),  # of the others Keras has an error
        interchange=reduction != "MAX",  # Keras reads it in small letters alone
    )
    inputs, updates = (torch.from_numpy(a).double().requires_grad_() for a in (X, rows))
    assert torch.autograd.gradcheck(
        lambda x, updates: ops.scatter_update(x, places, updates, reduction), (inputs, updates)
    )


def test_scatter_update_counts_from_the_end_too() -> None:
    for reduction in (None, "add", "max"):
        result = ops.scatter_update([1.0, 1.0, 1.0], [[-1]], [4.0], reduction)
        assert result.tolist() == [1, 1, 5 if reduction == "add" else 4]
    with pytest.raises(ValueError, match="`reduction` must be None"):
        ops.scatter_update(X, PLACES, [1.0, 1, 1], "mean")


M = torch.ones(4, 5, device="meta")
PLACE = torch.zeros(1, 2, dtype=torch.int64, device="meta")


@pytest.mark.parametrize(
    "call",
    [
        lambda: ops.saturate_cast(M, "int32"),
        lambda: ops.slice(M, PLACE[0], (2, 2)),
        lambda: ops.slice_update(M, PLACE[0], M[:2, :2]),
        lambda: ops.slice_update(M, [1, 1], np.ones((2, 2))),
        lambda: ops.scatter(PLACE, M[0, :1], (4, 5)),
        lambda: ops.scatter_update(M, [[1], [2]], M[:2], "max"),
        lambda: ops.scatter_update(M, PLACE, M[0, :1], "add"),
        lambda: ops.convert_to_tensor(M, "float16"),
        lambda: ops.cast([M, M], "int32"),
        lambda: ops.unstack(M)[0],
    ],
)
def test_everything_stays_on_its_device_and_nothing_is_read(call: Any) -> None:
    assert call().is_meta


def test_one_graph() -> None:
    def function(x: torch.Tensor, start: torch.Tensor) -> Any:
        y = ops.slice_update(x, start, ops.slice(x, [0, 0], [2, 2]))
        y = ops.scatter_update(y, [[0, 0]], ops.cast([1.0], "float32"), "max")
        return ops.saturate_cast(ops.convert_to_tensor(y), "uint8"), ops.unstack(y)[0], ops.shape(y)

    arguments = torch.from_numpy(X), torch.tensor([1, 1])
    compiled = torch.compile(function, fullgraph=True, backend="eager")
    assert_same(compiled(*arguments), function(*arguments))
