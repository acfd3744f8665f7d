"""The other data sets, from files made here; Keras reads the same ones."""

from __future__ import annotations

import gzip
import importlib
import io
import json
import os
import pickle
from pathlib import Path
from typing import Any

import keras as oracle
import numpy as np
import pytest

import kerastorch as keras
from kerastorch.datasets import _fetch
from kerastorch.datasets._plain import read_npz, unpickled

rng = np.random.default_rng(0)
HOUSING = ("boston_housing", "california_housing")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for the cache of both."""

    def found(name: Any = None, *args: Any, fname: Any = None, **kwargs: Any) -> str:
        return str(tmp_path / (name or fname))

    monkeypatch.setattr(_fetch, "get_file", found)
    for module in ("imdb", "reuters", "cifar10", "cifar100", "fashion_mnist", *HOUSING):
        theirs = importlib.import_module(f"keras.src.datasets.{module}")
        monkeypatch.setattr(theirs, "get_file", found)
    return tmp_path


def same(name: str, *args: Any, **options: Any) -> Any:
    """Loaded by both, and equal."""
    mine, theirs = (getattr(k.datasets, name).load_data(*args, **options) for k in (keras, oracle))
    for ours, expected in zip(mine, theirs, strict=True):
        for a, b in zip(ours, expected, strict=True):
            assert a.dtype == b.dtype
            assert a.shape == b.shape
            assert a.tolist() == b.tolist()
    return mine


def texts(count: int) -> np.ndarray:
    rows = np.empty(count, object)
    rows[:] = [rng.integers(1, 30, length).tolist() for length in rng.integers(1, 9, count)]
    return rows


TEXTS: list[dict[str, Any]] = [
    {"num_words": 20},
    {"num_words": 15, "skip_top": 5, "oov_char": None},
    {"num_words": 20, "maxlen": 6, "start_char": None, "index_from": 0},
]


@pytest.mark.parametrize("options", TEXTS)
def test_texts(cache: Path, options: dict[str, Any]) -> None:
    parts = {f"{a}_{b}": None for a in "xy" for b in ("train", "test")}
    labels = rng.integers(0, 2, 20)
    parts = {name: texts(20) if name[0] == "x" else labels for name in parts}
    np.savez(cache / "imdb.npz", **parts)
    np.savez(cache / "reuters.npz", x=parts["x_train"], y=labels)
    same("imdb", **options)
    same("reuters", **options, test_split=0.3)
    everything = keras.datasets.imdb.load_data(start_char=None, index_from=0)
    found = sorted(map(list, everything[0][0]))
    assert found == sorted(parts["x_train"].tolist())


def test_words_and_topics(cache: Path) -> None:
    for name in ("imdb", "reuters"):
        (cache / f"{name}_word_index.json").write_text(json.dumps({"film": 1}))
        assert getattr(keras.datasets, name).get_word_index() == {"film": 1}
    assert keras.datasets.reuters.get_label_names() == oracle.datasets.reuters.get_label_names()
    np.savez(cache / "reuters.npz", x=texts(3), y=np.arange(3))
    with pytest.raises(ValueError, match="`maxlen`=1"):
        keras.datasets.reuters.load_data(maxlen=1)


def test_housing(cache: Path) -> None:
    x, y = rng.normal(size=(700, 8)), rng.normal(size=700).astype("float32")
    for name in HOUSING:
        np.savez_compressed(cache / f"{name}.npz", x=np.asfortranarray(x), y=y)
        same(name, test_split=0.25, seed=3)
        with pytest.raises(ValueError, match="`test_split`"):
            getattr(keras.datasets, name).load_data(test_split=1.5)
    assert same("california_housing", "small")[0][0].shape == (480, 8)
    with pytest.raises(ValueError, match="`version`"):
        keras.datasets.california_housing.load_data("tiny")


def test_fashion_mnist(cache: Path) -> None:
    for name, count in (("train", 5), ("t10k", 2)):
        images = rng.integers(0, 256, (count, 28, 28), dtype="uint8")
        labels = rng.integers(0, 10, count, dtype="uint8")
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
            data = gzip.compress(header + array.tobytes())
            (cache / f"{name}-{kind}-ubyte.gz").write_bytes(data)
    same("fashion_mnist")


def batch(path: Path, labels: list[str], count: int = 4) -> None:
    data: dict[bytes, Any] = {b"data": rng.integers(0, 256, (count, 3072), dtype="uint8")}
    data |= {label.encode(): rng.integers(0, 10, count).tolist() for label in labels}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(data, protocol=3))


@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
def test_cifar100(cache: Path, layout: str) -> None:
    folder = cache / "cifar-100-python-target" / "cifar-100-python"
    for name in ("train", "test"):
        batch(folder / name, ["fine_labels", "coarse_labels"])
    for k in (keras, oracle):
        k.config.set_image_data_format(layout)
    try:
        for mode in ("fine", "coarse"):
            mine, theirs = (k.datasets.cifar100.load_data(mode) for k in (keras, oracle))
            for (x, y), (a, b) in zip(mine, theirs, strict=True):
                np.testing.assert_array_equal(x, a)
                np.testing.assert_array_equal(y, b)
    finally:
        for k in (keras, oracle):
            k.config.set_image_data_format("channels_last")
    with pytest.raises(ValueError, match="`label_mode`"):
        keras.datasets.cifar100.load_data("both")


def test_cifar10(cache: Path) -> None:
    folder = cache / "cifar-10-batches-py-target" / "cifar-10-batches-py"
    for name in (*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"):
        batch(folder / name, ["labels"])
    (x, y), (x_test, y_test) = keras.datasets.cifar10.load_data()
    assert (x.shape, y.shape, x_test.shape) == ((20, 32, 32, 3), (20, 1), (4, 32, 32, 3))
    assert x.dtype == y.dtype == np.uint8
    third = pickle.loads((folder / "data_batch_3").read_bytes())
    assert x[8, 1, 2, 0] == third[b"data"][0, 32 + 2]
    assert y[8, 0] == third[b"labels"][0]
    assert len(y_test) == 4


def test_pickles_run_nothing(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "made"),)

    for evil in (print, Evil(), [Evil()], {"a": Evil()}, {"a": [print]}):
        with pytest.raises(ValueError, match="it is not loaded"):
            unpickled(io.BytesIO(pickle.dumps(evil)))
    rows = np.empty(1, object)
    rows[0] = Evil()
    np.savez(tmp_path / "x.npz", x=rows)
    with pytest.raises(ValueError, match="it is not loaded"):
        read_npz(tmp_path / "x.npz")
    assert not (tmp_path / "made").exists()
