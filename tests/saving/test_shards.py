"""Weights in several files with an index: both ways with Keras, hostile indexes, interrupted saves."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

import kerastorch as kt
from kerastorch.saving._model import check_file

KB = 1 / 2**20  # in GB


def new_model(k: Any = kt, seed: int = 0) -> Any:
    k.utils.set_random_seed(seed)
    return k.Sequential(
        [k.Input((8,)), k.layers.Dense(30), k.layers.BatchNormalization(), k.layers.Dense(30), k.layers.Dense(2)]
    )  # fmt: skip


def save(model: Any, path: Path, size: float = KB * 4) -> set[str]:
    """Write a model in several files; their names without the index."""
    model.save_weights(path, max_shard_size=size)
    return shards_of(path)


def shards_of(path: Path) -> set[str]:
    files = json.loads(path.read_text())["weight_map"].values()
    return {name for names in files for name in ([names] if isinstance(names, str) else names)}


def assert_equal(model: Any, other: Any) -> None:
    for mine, theirs in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.weights.json"


@pytest.mark.parametrize("size", [3.7 * KB, 4 * KB, 5])
@pytest.mark.parametrize("writer", [kt, keras])
@pytest.mark.parametrize("reader", [kt, keras])
def test_both_ways(writer: Any, reader: Any, size: float, path: Path) -> None:
    model, other = new_model(writer), new_model(reader, seed=1)
    names = save(model, path, size)
    assert "model_00000.weights.h5" in names
    assert len(names) == {3.7 * KB: 3, 4 * KB: 2, 5: 1}[size]
    other.load_weights(path)
    assert_equal(model, other)


def test_as_keras_divides(path: Path, tmp_path: Path) -> None:
    """The same groups in the same files, and the same number of bytes."""
    model, theirs = new_model(), new_model(keras)
    (tmp_path / "theirs").mkdir()
    save(model, path), save(theirs, tmp_path / "theirs" / path.name)
    mine, other = (json.loads((f / path.name).read_text()) for f in (tmp_path, tmp_path / "theirs"))
    assert mine["weight_map"] == other["weight_map"]
    assert mine["metadata"]["total_size"] == other["metadata"]["total_size"]


def test_a_layer_in_two_files(path: Path) -> None:
    """A kernel in one file and its bias in the next."""
    model = kt.Sequential([kt.Input((16,)), kt.layers.Dense(16)])
    save(model, path, KB)
    assert json.loads(path.read_text())["weight_map"]["/layers/dense/vars"] == [
        "model_00000.weights.h5", "model_00001.weights.h5"]  # fmt: skip
    for k in (kt, keras):
        other = k.Sequential([k.Input((16,)), k.layers.Dense(16)])
        other.load_weights(path)
        assert_equal(model, other)


def test_saving_over_a_set(path: Path) -> None:
    """The new files have other numbers; the old ones go; Keras reads every set."""
    folder, seen = path.parent, []
    for seed in range(4):
        model = new_model(seed=seed)
        names = save(model, path)
        seen.append(names)
        assert set(os.listdir(folder)) == {path.name, "model_00000.weights.h5", *names}
        for k in (kt, keras):
            other = new_model(k, seed=9)
            other.load_weights(path)
            assert_equal(model, other)
    assert seen[0].isdisjoint(seen[1])
    assert seen[2] == seen[0]


@pytest.mark.parametrize("step", range(12))
def test_interrupted(step: int, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped at any flush or replacement, as by kill -9: the old set can be read, or the new one."""
    old, new = new_model(seed=1), new_model(seed=2)
    save(old, path)

    class Killed(BaseException):
        pass

    left = step

    def stop(function: Callable[..., Any]) -> Callable[..., Any]:
        def inner(*args: Any, **kwargs: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            return function(*args, **kwargs)

        return inner

    with monkeypatch.context() as patch:
        for name in ("fsync", "replace", "unlink"):
            patch.setattr(os, name, stop(getattr(os, name)))
        patch.setattr(Path, "unlink", stop(Path.unlink))  # nothing is tidied up
        with contextlib.suppress(Killed):
            save(new, path)
    for k in (kt, keras):
        loaded = new_model(k, seed=3)
        loaded.load_weights(path)
        expected = old if np.array_equal(loaded.get_weights()[0], old.get_weights()[0]) else new
        assert_equal(loaded, expected)
    check_file(path)
    save(new, path)
    loaded.load_weights(path)
    assert_equal(loaded, new)


def test_an_error_leaves_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = new_model(seed=1)
    before = {path.name, *save(old, path)}
    count, fsync = 0, os.fsync

    def full(handle: int) -> None:
        nonlocal count
        count += 1
        if count == 3:
            raise OSError(28, "No space left on device")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        save(new_model(seed=2), path)
    monkeypatch.undo()
    assert set(os.listdir(path.parent)) == before
    loaded = new_model(seed=3)
    loaded.load_weights(path)
    assert_equal(loaded, old)


# -- indexes and files that are wrong ---------------------------------------------------------------

Change = Callable[[Any, Path], Any]


def rename_all(name: Any) -> Change:
    def change(index: Any, folder: Path) -> None:
        index["weight_map"] = dict.fromkeys(index["weight_map"], name)

    return change


def swapped(index: Any, folder: Path) -> None:
    first, second = (folder / f"model_0000{i}.weights.h5" for i in (0, 1))
    first.rename(folder / "x"), second.rename(first), (folder / "x").rename(second)


def of_another_save(index: Any, folder: Path) -> None:
    (folder / "other").mkdir()
    save(new_model(seed=5), folder / "other" / "model.weights.json")
    shutil.move(folder / "other" / "model_00001.weights.h5", folder / "model_00001.weights.h5")


def bit_flipped(index: Any, folder: Path) -> None:
    place = folder / "model_00001.weights.h5"
    with h5py.File(place) as file:
        at = file["layers/dense_2/vars/1"].id.get_offset()
    content = bytearray(place.read_bytes())
    content[at] ^= 1
    place.write_bytes(content)


def cut(index: Any, folder: Path) -> None:
    place = folder / "model_00001.weights.h5"
    place.write_bytes(place.read_bytes()[:-100])


def fifo(index: Any, folder: Path) -> None:
    (folder / "model_00001.weights.h5").unlink()
    os.mkfifo(folder / "model_00001.weights.h5")


WRONG: dict[str, tuple[Change, str]] = {
    "parent": (rename_all("../model_00000.weights.h5"), "no plain name"),
    "absolute": (rename_all("/tmp/model_00000.weights.h5"), "no plain name"),
    "backslash": (rename_all("..\\x.weights.h5"), "no plain name"),
    "nul": (rename_all("x\0.weights.h5"), "no plain name"),
    "folder": (rename_all("a/x.weights.h5"), "beside it"),
    "other kind": (rename_all("model.weights.json"), "beside it"),
    "number": (rename_all(7), "expected lists"),
    "empty": (rename_all([]), "expected lists"),
    "nested": (rename_all([["a"]]), "expected lists"),
    "no file": (rename_all("model_00009.weights.h5"), "there is no file"),
    "missing": (lambda index, f: (f / "model_00001.weights.h5").unlink(), "there is no file"),
    "fifo": (fifo, "there is no file"),
    "no map": (lambda index, f: index.pop("weight_map"), "no index"),
    "list": (lambda index, f: index.update(weight_map=[]), "no index"),
    "mark": (lambda index, f: index["metadata"].update(kerastorch_set=[1]), "no index"),
    "unlisted": (lambda index, f: index["weight_map"].pop("/layers/dense/vars"), "not in the index"),
    "listed only": (
        lambda index, f: index["weight_map"].update({"/x/vars": "model_00000.weights.h5"}), "is missing"),
    "swapped": (swapped, "not in the index"),
    "another save": (of_another_save, "another save"),
    "bit": (bit_flipped, "checksum"),
    "cut": (cut, "is not a readable"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_wrong(what: str, path: Path) -> None:
    """A `ValueError` that says what is wrong, and the model is as it was."""
    save(new_model(), path)
    change, match = WRONG[what]
    index = json.loads(path.read_text())
    change(index, path.parent)
    path.write_text(json.dumps(index))
    model = new_model(seed=1)
    before = model.get_weights()
    with pytest.raises(ValueError, match=match):
        model.load_weights(path)
    for value, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, old)


@pytest.mark.parametrize("text", ["[" * 100_000, "{", "[]", "null", "\xff", '{"weight_map": 3}'])
def test_no_index(text: str, path: Path) -> None:
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match="no index of weights"):
        new_model().load_weights(path)


def test_a_hostile_old_index_deletes_nothing_else(path: Path) -> None:
    """Saving over an index removes files only that are named as its own are."""
    mine = path.with_name("mine.weights.h5")
    mine.write_text("mine")
    path.write_text(json.dumps({"weight_map": {"/vars": ["mine.weights.h5"]}}))
    save(new_model(), path)
    assert mine.read_text() == "mine"


def test_of_another_shape(path: Path) -> None:
    save(new_model(), path)
    model = kt.Sequential([kt.Input((8,)), kt.layers.Dense(31)])
    with pytest.raises(ValueError, match="does not fit the model"):
        model.load_weights(path)


def test_arguments(path: Path) -> None:
    model = new_model()
    for size in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="max_shard_size > 0"):
            save(model, path, size)
    with pytest.raises(ValueError, match=r"layers/dense_1/0 has 3600 bytes"):
        save(model, path, KB)
    assert os.listdir(path.parent) == []
    with pytest.raises(ValueError, match=r"\.weights\.json"):
        save(model, path.with_name("model.h5"))
    with pytest.raises(ValueError, match="Pass max_shard_size"):
        model.save_weights(path)
    with pytest.warns(UserWarning, match="the index of the files is"):
        model.save_weights(path.with_name("model.weights.h5"), max_shard_size=1)
    with pytest.raises(FileExistsError):
        model.save_weights(path, overwrite=False, max_shard_size=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        new_model(seed=2).load_weights(path)
