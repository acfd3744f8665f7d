"""The error function and its family, largest entries, segments and frequencies against Keras."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from oracle import assert_same, check

import kerastorch as kt
from kerastorch import ops

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 4, 6)).astype("float32")
Y = RNG.normal(size=(3, 4, 6)).astype("float32")
SQUARE = X[:, :, :4] + 4 * np.eye(4, dtype="float32")

# -- entry by entry --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["erf", "erfc", "erfinv", "rsqrt"])
@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "float16", "bfloat16", "int32", "int64", "bool"]
)
def test_entry_by_entry(name: str, dtype: str) -> None:
    x = np.abs(X[0]) + 0.1 if name == "rsqrt" else np.tanh(X[0])
    if dtype == "bfloat16":
        x = torch.from_numpy(x).bfloat16()
    else:
        x = np.ceil(x).astype(dtype) if dtype in ("int32", "int64", "bool") else x.astype(dtype)
    check(name, x, symbolic=dtype == "float32")


@pytest.mark.parametrize("name", ["erf", "erfc", "erfinv", "rsqrt", "logsumexp"])
def test_numbers_and_lists(name: str) -> None:
    check(name, 0.5)
    check(name, [0.25, 0.5])


def test_view_as_complex() -> None:
    check("view_as_complex", X[..., :2])
    check("view_as_complex", X[..., :2].astype("float16"), symbolic=False)
    check("view_as_complex", [[1, 2], [3, 4]])
    # Keras gives complex64 and loses digits
    assert ops.view_as_complex(X[..., :2].astype("float64")).dtype is torch.complex128
    for wrong in (1.0, X):
        with pytest.raises(ValueError, match="last axis of size 2"):
            ops.view_as_complex(wrong)


def test_view_as_real() -> None:
    z = (X + 1j * Y).astype("complex64")
    check("view_as_real", z)
    check("view_as_real", z.astype("complex128"), symbolic=False)
    assert_same(
        ops.view_as_real(X), torch.from_numpy(np.stack([X, 0 * X], -1))
    )  # an error in Keras
    assert ops.view_as_real(torch.tensor([1 + 2j]).conj()).tolist() == [[1, -2]]


# -- over axes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options", [{}, {"axis": 1}, {"axis": -1, "keepdims": True}, {"axis": (0, -1)}, {"keepdims": True}],
    ids=str,
)  # fmt: skip
def test_logsumexp(options: dict[str, Any]) -> None:
    check("logsumexp", X * 100, **options, unknown=options.get("axis") == 1)


@pytest.mark.parametrize("dtype", ["float16", "float64", "int32", "int64", "bool"])
def test_logsumexp_of_dtypes(dtype: str) -> None:
    check("logsumexp", (X * 2).astype(dtype), axis=1, symbolic=False, tolerance=1e-5)


@pytest.mark.parametrize("k", [1, 3, 6])
def test_top_k(k: int) -> None:
    check("top_k", X, k)
    check("top_k", RNG.permutation(12).astype("int32"), k, symbolic=False)


def test_top_k_unsorted() -> None:
    values, places = ops.top_k(X, 3, sorted=False)
    np.testing.assert_array_equal(np.sort(values), np.sort(X)[..., -3:])
    np.testing.assert_array_equal(np.take_along_axis(X, np.asarray(places), -1), values)


@pytest.mark.parametrize("k", [1, 2, 4])
@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_in_top_k(k: int, dtype: str) -> None:
    targets = np.array([0, 3, 5, 1]).astype(dtype)
    check("in_top_k", targets, X[0], k, symbolic=k == 2)
    ties = np.zeros((4, 6), "float32")
    check("in_top_k", targets, ties, k, symbolic=False)


def test_in_top_k_of_places_outside() -> None:
    assert ops.in_top_k([6, -1, 0], X[0, :3], 6).tolist() == [False, False, True]


def test_logdet() -> None:
    check("logdet", SQUARE)
    check("logdet", SQUARE[0].astype("float64"), symbolic=False)
    check("logdet", -np.eye(3, dtype="float32"), gradients=False, symbolic=False)  # NaN


def test_cdist() -> None:
    check("cdist", X[0], Y[0, :3])
    check("cdist", X, Y[:, :2])
    check("cdist", X, Y[0], unknown=False)  # Keras says (None, 4, 4) where the batch is known
    check("cdist", X[:, None], Y[None], symbolic=False)
    check("cdist", X[0].astype("float64"), Y[0], symbolic=False)


@pytest.mark.parametrize("dtype", ["int32", "float16"])
def test_cdist_of_dtypes(dtype: str) -> None:
    a, b = ((3 * z[0]).astype(dtype) for z in (X, Y))
    wanted = np.linalg.norm(a[:, None].astype(float) - b[None], axis=-1)
    result = ops.cdist(a, b)
    assert result.dtype is (torch.float16 if dtype == "float16" else torch.float32)
    np.testing.assert_allclose(result, wanted, rtol=2e-3 if dtype == "float16" else 1e-5)


def test_cdist_of_a_point_and_itself_has_a_gradient() -> None:
    x = torch.ones(1, 3, requires_grad=True)
    ops.cdist(x, torch.ones(1, 3)).sum().backward()  # NaN in Keras
    assert x.grad is not None
    assert x.grad.tolist() == [[0, 0, 0]]
    with pytest.raises(ValueError, match="rows have the same length"):
        ops.cdist(X, Y[..., :3])


# -- segments --------------------------------------------------------------------------------------

REDUCTIONS = ["segment_sum", "segment_prod", "segment_max", "segment_min"]
IDS = np.array([0, 2, 2, 0, 1, 2])


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("count", [None, 3, 2])
def test_segments(name: str, count: int | None) -> None:
    check(name, X[0].T.copy(), IDS, num_segments=count, symbolic=count is not None)
    check(name, X[0, 0], IDS, num_segments=count, symbolic=False)
    check(name, (X[0].T * 5).astype("int32"), IDS, num_segments=count, symbolic=False)


@pytest.mark.parametrize("name", REDUCTIONS)
def test_ids_outside_are_left_out(name: str) -> None:
    check(name, X[0].T.copy(), np.array([0, -1, 1, 5, 1, 0]), 2, symbolic=False)
    check(name, X[0].T.copy(), np.sort(IDS), 3, sorted=True, symbolic=False)


def test_segments_without_rows() -> None:
    check("segment_max", X[0, 0], IDS, 4, symbolic=False)
    check("segment_min", X[0, 0], IDS, 4, symbolic=False)
    info = torch.iinfo(torch.int32)  # Keras has what float infinity becomes, the least number twice
    assert ops.segment_max([1], [0], 2).tolist() == [1, info.min]
    assert ops.segment_min([1], [0], 2).tolist() == [1, info.max]
    assert ops.segment_max([True], [0], 2).tolist() == [True, False]
    assert ops.segment_min([True], [0], 2).tolist() == [True, True]
    assert ops.segment_sum(np.zeros((0, 2), "float32"), np.zeros(0, "int64")).shape == (0, 2)


def test_sums_of_large_integers_are_exact() -> None:
    assert ops.segment_sum(np.array([2**53, 1]), [0, 0]).tolist() == [2**53 + 1]


def test_segments_need_a_number_where_values_come_later() -> None:
    data, ids = kt.Input(batch_shape=(6,)), kt.Input(batch_shape=(6,), dtype="int64")
    with pytest.raises((RuntimeError, NotImplementedError), match="depends on values"):
        ops.segment_sum(data, ids)
    with pytest.raises(ValueError, match="`segment_ids` must have one axis"):
        ops.segment_sum(X, IDS)


# -- frequencies -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["fft", "fft2", "ifft2"])
def test_fft(name: str) -> None:
    check(name, (X, Y), unknown=False)
    check(name, [X.astype("float64"), Y.astype("float64")], symbolic=False)
    with pytest.raises(ValueError, match="must be a pair"):
        getattr(ops, name)(torch.ones(2, 4))
    with pytest.raises(ValueError, match="of one shape and a floating-point dtype"):
        getattr(ops, name)((X, Y[:2]))
    with pytest.raises(ValueError, match="of one shape and a floating-point dtype"):
        getattr(ops, name)(([1, 2], [1, 2]))


@pytest.mark.parametrize("length", [None, 4, 5, 8])
def test_rfft(length: int | None) -> None:
    check("rfft", X, fft_length=length)
    check("irfft", (X, Y), fft_length=length, unknown=False)
    check("rfft", [1, 2, 3], length)


@pytest.mark.parametrize(("length", "stride"), [(3, 2), (6, 1), (1, 4)])
def test_extract_sequences(length: int, stride: int) -> None:
    check("extract_sequences", X, length, stride)
    check("extract_sequences", np.arange(7), length, stride, symbolic=False)


SIGNAL = RNG.normal(size=(2, 40)).astype("float32")
SETTINGS: list[dict[str, Any]] = [
    {"sequence_length": 8, "sequence_stride": 2, "fft_length": 8},
    {"sequence_length": 8, "sequence_stride": 4, "fft_length": 8, "window": "hamming"},
    {"sequence_length": 6, "sequence_stride": 2, "fft_length": 8},
    {"sequence_length": 6, "sequence_stride": 2, "fft_length": 9, "window": "hamming", "center": False},
    {"sequence_length": 8, "sequence_stride": 4, "fft_length": 8, "window": None},
    {"sequence_length": 8, "sequence_stride": 3, "fft_length": 8, "window": None, "center": False},
    {"sequence_length": 8, "sequence_stride": 3, "fft_length": 8, "window": [1.0, 2, 3, 4, 4, 3, 2, 1]},
]  # fmt: skip


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("shape", [(2, 40), (40,), (2, 1, 40)], ids=str)
def test_stft(settings: dict[str, Any], shape: tuple[int, ...]) -> None:
    weights = isinstance(settings.get("window"), list)
    check("stft", SIGNAL[: 1 if shape == (40,) else 2].reshape(shape), **settings,
          symbolic=shape == (2, 40), interchange=not weights)  # fmt: skip


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("length", [None, 13])
def test_istft(settings: dict[str, Any], length: int | None) -> None:
    bins = settings["fft_length"] // 2 + 1
    parts = tuple(RNG.normal(size=(2, 9, bins)).astype("float32") for _ in range(2))
    check("istft", parts, **settings, length=length, symbolic=length is None, unknown=False)


@pytest.mark.parametrize("shape", [(9, 5), (2, 1, 9, 5)])
def test_istft_of_other_ranks(shape: tuple[int, ...]) -> None:
    parts = tuple(RNG.normal(size=shape).astype("float32") for _ in range(2))
    check("istft", parts, 8, 2, 8, symbolic=False)


@pytest.mark.parametrize("window", ["hann", "hamming", list(range(1, 9))], ids=str)
def test_istft_undoes_stft(window: Any) -> None:
    parts = ops.stft(SIGNAL, 8, 2, 8, window=window)
    np.testing.assert_allclose(ops.istft(parts, 8, 2, 8, window=window), SIGNAL, atol=1e-5)
    longer = ops.istft(parts, 8, 2, 8, 43, window=window)
    np.testing.assert_allclose(longer, np.pad(SIGNAL, ((0, 0), (0, 3))), atol=1e-5)


def test_stft_says_what_is_wrong() -> None:
    with pytest.raises(TypeError, match="float32 or float64"):
        ops.stft([1, 2, 3], 2, 1, 2)
    with pytest.raises(ValueError, match="`fft_length` must be at least"):
        ops.stft(SIGNAL, 8, 2, 4)
    for stride in (0, 1.5):
        with pytest.raises(ValueError, match="`sequence_stride` must be a positive integer"):
            ops.stft(SIGNAL, 8, stride, 8)
    with pytest.raises(ValueError, match="`window` must be 'hann'"):
        ops.stft(SIGNAL, 8, 2, 8, window="kaiser")
    with pytest.raises(ValueError, match="`window` must have shape"):
        ops.stft(SIGNAL, 8, 2, 8, window=[1.0])


M = torch.ones(4, 40, device="meta")
PARTS = (torch.ones(2, 9, 5, device="meta"),) * 2


@pytest.mark.parametrize(
    "call",
    [
        lambda: ops.erfc(M.int()),
        lambda: ops.view_as_complex(M.reshape(-1, 2)),
        lambda: ops.view_as_real(M),
        lambda: ops.top_k(M, 3)[1],
        lambda: ops.in_top_k([0, 1, 2, 3], M, 2),
        lambda: ops.logsumexp(M),
        lambda: ops.logdet(M[:, :4]),
        lambda: ops.cdist(M, M),
        lambda: ops.segment_max(M, [0, 0, 1, 1], 2),
        lambda: ops.segment_sum(M.int(), torch.zeros(4, device="meta"), 2),
        lambda: ops.fft(PARTS)[0],
        lambda: ops.stft(M, 6, 2, 8)[0],
        lambda: ops.stft(M, 8, 2, 8, window=np.ones(8))[0],
        lambda: ops.istft(PARTS, 8, 2, 8),
        lambda: ops.istft(PARTS, 6, 2, 8, window="hamming", center=False),
    ],
)
def test_everything_stays_on_its_device_and_nothing_is_read(call: Any) -> None:
    assert call().is_meta


def test_one_graph() -> None:
    def function(x: torch.Tensor, ids: torch.Tensor) -> Any:
        parts = ops.stft(x, 8, 2, 8)
        return (
            ops.istft(parts, 8, 2, 8), ops.segment_max(x.T, ids, 5), ops.top_k(x, 2),
            ops.in_top_k(ids[:2], x, 3), ops.cdist(x, x + 1), ops.logsumexp(x, axis=0),
        )  # fmt: skip

    arguments = torch.from_numpy(SIGNAL), torch.arange(40) % 5
    compiled = torch.compile(function, fullgraph=True, backend="eager")
    assert_same(compiled(*arguments), function(*arguments))
