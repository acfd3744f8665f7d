"""Arrays on their way into batches: dtypes, nests, views, order."""

import warnings

import numpy as np
import pytest
import torch

from kerastorch import config, tree
from kerastorch.data import ArrayBatches, adapt, to_tensors

X = np.arange(20.0, dtype="float32").reshape(10, 2)


def batches(x, y=None, **arguments) -> list:
    return list(adapt(x, y, **arguments))


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("float32", torch.float32),
        ("float64", torch.float32),
        ("float16", torch.float16),
        ("int64", torch.int64),
        ("int8", torch.int8),
        ("uint8", torch.uint8),
        ("bool", torch.bool),
        (">f4", torch.float32),
        (">i8", torch.int64),
        ("complex64", torch.complex64),
        (object, torch.float32),
    ],
)
def test_dtypes(dtype, expected) -> None:
    tensor = to_tensors(X[:, :1].astype(dtype))
    assert tensor.dtype is expected
    np.testing.assert_array_equal(tensor.numpy(), X[:, :1].astype(expected.__str__()[6:]))


def test_float64_is_kept_where_it_is_the_default() -> None:
    config.set_floatx("float64")
    try:
        assert to_tensors(X.astype("float64")).dtype is torch.float64
    finally:
        config.set_floatx("float32")


@pytest.mark.parametrize("kind", ["writable", "read-only", "tensor", "transposed", "sliced"])
def test_arrays_are_used_as_they_lie(kind: str) -> None:
    array = X.copy()
    array.flags.writeable = kind != "read-only"
    array = {"transposed": array.T, "sliced": array[::2]}.get(kind, array)
    given = torch.from_numpy(array) if kind == "tensor" else array
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tensor = to_tensors(given)
        first = batches(given, batch_size=2)[0]
    assert tensor.data_ptr() == array.__array_interface__["data"][0]
    assert first.data_ptr() == tensor.data_ptr()  # slices are views
    np.testing.assert_array_equal(tensor.numpy(), array)


def test_reversed_arrays_are_copied() -> None:
    tensor = to_tensors(X[::-1])
    np.testing.assert_array_equal(tensor.numpy(), X[::-1])


def test_lists_of_numbers_are_arrays() -> None:
    assert to_tensors([[1, 2], [3, 4]]).tolist() == [[1, 2], [3, 4]]
    assert to_tensors([1.5, 2.5], (1, 0))[1].tolist() == [1, 0]
    assert [t.tolist() for t in to_tensors([np.ones(2), np.zeros(2)])[0]] == [[1, 1], [0, 0]]


def test_nests_keep_their_structure() -> None:
    x = {"a": X, "b": [X[:, 0], (X[:, 1],)]}
    for batch_x, batch_y in batches(x, (X, None), batch_size=4):
        assert tree.flatten_with_path(batch_x)[1][0] == ("b", 0)
        assert isinstance(batch_x["b"][1], tuple)
        assert batch_y[1] is None
        assert torch.equal(batch_x["a"][:, 0], batch_x["b"][0])
        assert torch.equal(batch_x["a"], batch_y[0])


@pytest.mark.parametrize("size", [1, 3, 5, 10, 64])
def test_sizes_of_batches(size: int) -> None:
    adapted = adapt(X, batch_size=size)
    lengths = [len(batch) for batch in adapted]
    assert adapted.steps == len(lengths)
    assert sum(lengths) == 10
    assert set(lengths[:-1]) <= {size}
    assert lengths[-1] == (10 % size or min(size, 10))


@pytest.mark.parametrize("chunk", [1, 100, 1 << 22])
@pytest.mark.parametrize("rows", [1, 7, 64])
def test_shuffled_rows_are_a_permutation(rows: int, chunk: int, monkeypatch) -> None:
    """However many rows are gathered at once."""
    monkeypatch.setattr("kerastorch.data._rows._CHUNK", chunk)
    x, y = np.arange(rows), np.arange(rows) * 10
    data = ArrayBatches(to_tensors(x, y), 4, shuffle=True)
    orders = []
    for _ in range(2):
        parts = list(data)
        xs, ys = (torch.cat(column) for column in zip(*parts, strict=True))
        assert sorted(xs.tolist()) == list(range(rows))
        assert torch.equal(ys, xs * 10)
        assert [len(part[0]) for part in parts][:-1] == [4] * ((rows - 1) // 4)
        orders.append(xs.tolist())
    assert rows < 64 or orders[0] != orders[1]


def test_the_order_follows_the_seed_and_not_the_chunks(monkeypatch) -> None:
    orders = []
    for chunk in (1, 1 << 22):
        monkeypatch.setattr("kerastorch.data._rows._CHUNK", chunk)
        torch.manual_seed(3)
        orders.append(torch.cat(batches(np.arange(50), shuffle=True)).tolist())
    assert orders[0] == orders[1]


def test_frames() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1, 2, 3], "b": [0.5, 1.5, 2.5]})
    (x, y) = to_tensors(frame, frame["a"])
    assert x.dtype is torch.float32
    assert x.tolist() == [[1.0, 0.5], [2.0, 1.5], [3.0, 2.5]]
    assert y.tolist() == [1, 2, 3]
    with pytest.raises(ValueError, match="x"):
        to_tensors(pandas.DataFrame({"a": ["x", "y"]}))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((None,), ValueError, "`x` is missing"),
        (([],), ValueError, "`x` is empty"),
        ((X, X[:3]), ValueError, "x has 10, y has 3"),
        (({"a": X, "b": X[:3]},), ValueError, r"x\['a'\] has 10, x\['b'\] has 3"),
        ((X[:0],), ValueError, "no rows"),
        ((3.0,), TypeError, "x is float"),
        (("text",), TypeError, "x is str"),
        ((X, np.array(["a"] * 10)), ValueError, "y has dtype <U1: expected numbers"),
        ((np.array([[1], [1, 2]], dtype=object),), ValueError, "uneven length must be padded"),
        ((np.array(3.0),), ValueError, "x is a scalar"),
        ((np.array(["2020-01-01"], dtype="datetime64[D]"),), ValueError, "Encode text and dates"),
    ],
)
def test_mistakes(arguments, error, message) -> None:
    with pytest.raises(error, match=message):
        to_tensors(*arguments)
