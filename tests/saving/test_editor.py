"""`KerasFileEditor`: what Keras's shows and does, on files of both sides."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
import torch

import kerastorch as kt
from kerastorch.saving import KerasFileEditor

Edit = Any


def new_model(k: Any = kt, units: int = 4) -> Any:
    return k.Sequential(
        [k.Input((3,)), k.layers.Dense(units, name="a"), k.layers.BatchNormalization(), k.layers.Dense(2)]
    )  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    new_model().save_weights(tmp_path / "model.weights.h5")
    return tmp_path / "model.weights.h5"


def leaves(nest: dict[str, Any], at: str = "") -> dict[str, Any]:
    """Arrays by their whole path."""
    found: dict[str, Any] = {}
    for name, value in nest.items():
        found.update(
            leaves(value, f"{at}/{name}") if isinstance(value, dict) else {f"{at}/{name}": value}
        )
    return found


@pytest.mark.parametrize("writer", [kt, keras])
@pytest.mark.parametrize("name", ["model.keras", "model.weights.h5"])
def test_what_is_in_a_file(writer: Any, name: str, tmp_path: Path) -> None:
    """The same objects and arrays as in Keras's editor."""
    model = new_model(writer)
    model.compile("adam", "mse")
    model.train_on_batch(np.ones((2, 3), "float32"), np.ones((2, 2), "float32"))
    (model.save if name.endswith(".keras") else model.save_weights)(tmp_path / name)
    mine, theirs = (
        KerasFileEditor(tmp_path / name),
        keras.saving.KerasFileEditor(str(tmp_path / name)),
    )
    expected = leaves(theirs.weights_dict)
    found = leaves(mine.weights_dict)
    assert sorted(found) == sorted(expected)
    for key, value in found.items():
        np.testing.assert_array_equal(value, expected[key], strict=True)
    assert mine.config == theirs.config
    assert mine.metadata == theirs.metadata


def test_several_files(path: Path) -> None:
    model = new_model()
    index = path.with_name("model.weights.json")
    model.save_weights(index, max_shard_size=1e-7)
    model.save_weights(path)
    one, several = (
        leaves(KerasFileEditor(path).weights_dict),
        leaves(KerasFileEditor(index).weights_dict),
    )
    assert one.keys() == several.keys()
    assert all(np.array_equal(one[key], several[key]) for key in one)


def test_models_within_models(tmp_path: Path) -> None:
    """Layers inside a layer that has no weights of its own; Keras's editor loses them."""
    inner = kt.Sequential([kt.Input((3,)), kt.layers.Dense(2, name="d")])
    model = kt.Sequential([kt.Input((3,)), inner])
    model.save_weights(tmp_path / "a.weights.h5")
    editor = KerasFileEditor(tmp_path / "a.weights.h5")
    assert editor.weights_dict["layers"]["sequential"]["layers"]["dense"]["0"].shape == (3, 2)
    assert editor.compare(model) == {"status": "success", "error_count": 0, "match_count": 2}


# Each is done to both editors, and what they write is the same.
EDITS: dict[str, Edit] = {
    "nothing": lambda e: None,
    "rename": lambda e: e.rename_object("dense", "dense_7"),
    "rename by path": lambda e: e.rename_object("layers/dense", "other"),
    "delete": lambda e: e.delete_object("layers/batch_normalization"),
    "delete group": lambda e: e.delete_object("layers"),
    "add": lambda e: e.add_object("layers/new", {"0": np.ones((2, 3)), "1": np.arange(4)}),
    "add on top": lambda e: e.add_object("new", {"0": np.ones(2)}),
    "delete weight": lambda e: e.delete_weight("dense", "1"),
    "add weights": lambda e: e.add_weights("layers/dense", {"2": np.ones((2,), "float16")}),
    "replace": lambda e: e.add_weights("dense", {"0": np.zeros((4, 2), "float32")}),
}


@pytest.mark.parametrize("edit", EDITS)
def test_as_keras_edits(edit: str, path: Path) -> None:
    mine, theirs = KerasFileEditor(path), keras.saving.KerasFileEditor(str(path))
    EDITS[edit](mine), EDITS[edit](theirs)
    found, expected = path.with_name("a.weights.h5"), path.with_name("b.weights.h5")
    mine.save(found), theirs.save(str(expected))
    stored = leaves(KerasFileEditor(found).weights_dict)
    others = leaves(keras.saving.KerasFileEditor(str(expected)).weights_dict)
    assert stored.keys() == others.keys()
    for key, value in stored.items():
        np.testing.assert_array_equal(value, others[key], strict=True)
    if edit != "delete group":
        again = keras.saving.KerasFileEditor(str(found))  # Keras reads what was written here
        assert leaves(again.weights_dict).keys() == stored.keys()


def test_to_and_fro(path: Path) -> None:
    """A model with another layer reads an edited file."""
    editor = KerasFileEditor(path)
    editor.rename_object("batch_normalization", "layer_normalization")
    for key in "23":
        editor.delete_weight("layer_normalization", key)
    editor.resave_weights(path)
    model = kt.Sequential(
        [kt.Input((3,)), kt.layers.Dense(4), kt.layers.LayerNormalization(), kt.layers.Dense(2)]
    )
    editor = KerasFileEditor(path)
    assert sorted(editor.weights_dict["layers"]) == ["dense", "dense_1", "layer_normalization"]
    assert editor.compare(model)["status"] == "success"
    model.load_weights(path)
    np.testing.assert_array_equal(
        model.get_weights()[-2], editor.weights_dict["layers"]["dense_1"]["0"]
    )


def test_compare(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    editor = KerasFileEditor(path)
    assert editor.compare(new_model()) == {"status": "success", "error_count": 0, "match_count": 8}
    assert editor.compare(new_model(units=5))["error_count"] == 7
    assert "/layers/dense/0 has shape (3, 4), in the model (3, 5)" in capsys.readouterr().out
    editor.delete_object("layers/dense")
    editor.add_object("layers/more", {"0": np.ones(1)})
    result = editor.compare(new_model())
    assert result == {"status": "error", "error_count": 2, "match_count": 6}
    out = capsys.readouterr().out
    assert "/layers/dense is missing in the file" in out
    assert "/layers/more is missing in the model" in out


def test_compare_with_an_optimizer(tmp_path: Path) -> None:
    model = new_model()
    model.compile("adam", "mse")
    model.train_on_batch(np.ones((2, 3), "float32"), np.ones((2, 2), "float32"))
    model.save(tmp_path / "model.keras")
    editor = KerasFileEditor(tmp_path / "model.keras")
    result = editor.compare(model)
    assert result == {
        "status": "success",
        "error_count": 0,
        "match_count": 8 + len(model.optimizer.variables),
    }
    assert editor.compare(new_model())["error_count"] == 1


def test_summary(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    editor = KerasFileEditor(path)
    editor.add_object("odd [red]\x1b[2J", {"0": np.ones(1)})
    editor.summary()
    out = capsys.readouterr().out
    assert "0: shape=(3, 4), dtype=float32" in out
    assert "batch_normalization" in out
    assert "[red]\\x1b[2J" in out
    assert "\x1b[2J" not in out


def test_bfloat16(path: Path) -> None:
    editor = KerasFileEditor(path)
    value = torch.arange(6, dtype=torch.bfloat16).reshape(2, 3)
    editor.add_object("half", {"0": value})
    editor.save(path)
    assert torch.equal(KerasFileEditor(path).weights_dict["half"]["0"], value)


WRONG: dict[str, tuple[Edit, str]] = {
    "unknown": (lambda e: e.delete_object("nobody"), "stands for no object"),
    "unknown path": (lambda e: e.delete_object("layers/nobody"), "stands for no object"),
    "a weight": (lambda e: e.delete_object("layers/dense/0"), "stands for no object"),
    "path as name": (lambda e: e.rename_object("dense", "layers/x"), "plain name"),
    "parent": (lambda e: e.rename_object("dense", ".."), "plain name"),
    "vars": (lambda e: e.rename_object("dense", "vars"), "plain name"),
    "taken": (lambda e: e.rename_object("dense", "dense_1"), "already"),
    "added twice": (lambda e: e.add_object("layers/dense", {}), "already"),
    "no parent": (lambda e: e.add_object("x/y", {"0": np.ones(1)}), "no object 'x'"),
    "below a weight": (lambda e: e.add_object("layers/dense/0/y", {"0": np.ones(1)}), "no object"),
    "no dict": (lambda e: e.add_object("x", [np.ones(1)]), "dict of arrays"),
    "objects": (lambda e: e.add_object("x", {"0": np.array([object()])}), "Expected numbers"),
    "text": (lambda e: e.add_weights("dense", {"0": "text"}), "Expected numbers"),
    "weight's name": (lambda e: e.add_weights("dense", {"a/b": np.ones(1)}), "plain name"),
    "no weight": (lambda e: e.delete_weight("dense", "7"), "has no weight '7', only 0, 1"),
    "no file of weights": (lambda e: e.save("model.keras"), "ends in .weights.h5"),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong(what: str, path: Path) -> None:
    """A `ValueError`, and nothing is changed."""
    editor = KerasFileEditor(path)
    before = leaves(editor.weights_dict)
    edit, match = WRONG[what]
    with pytest.raises(ValueError, match=match):
        edit(editor)
    after = leaves(editor.weights_dict)
    assert list(after) == list(before)
    assert all(after[key] is before[key] for key in before)
    assert os.listdir(path.parent) == [path.name]


def test_a_name_that_occurs_twice(path: Path) -> None:
    editor = KerasFileEditor(path)
    editor.add_object("dense", {"0": np.ones(1)})
    editor.delete_object("dense")  # a whole path comes first
    editor.add_object("other", {"dense": {"0": np.ones(1)}})
    with pytest.raises(ValueError, match=r"2 objects: layers/dense, other/dense"):
        editor.delete_object("dense")


def test_files_that_are_refused(path: Path) -> None:
    with pytest.raises(ValueError, match="expected a file"):
        KerasFileEditor(path.with_name("model.h5"))
    other = path.with_name("other.weights.h5")
    with h5py.File(other, "w") as file:
        file["layers"] = h5py.ExternalLink(str(path), "layers")
    with pytest.raises(ValueError, match="is a link"):
        KerasFileEditor(other)
    with h5py.File(other, "w") as file:
        file.create_dataset(
            "a/vars/0", (10**6, 10**6), "f4", chunks=(10**3, 10**3), compression="gzip"
        )
    with pytest.raises(ValueError, match="declares"):
        KerasFileEditor(other)
    for names in (("a/vars/0", "a/0/vars/0"), ("vars/a", "a/vars/0")):
        with h5py.File(other, "w") as file:
            for name in names:
                file[name] = np.ones(1)
        with pytest.raises(ValueError, match="an object and a weight"):
            KerasFileEditor(other)
    with h5py.File(other, "w") as file:
        file["a/b"] = np.ones(1)
    with pytest.raises(ValueError, match="not at a place"):
        KerasFileEditor(other)


def test_saving_is_all_or_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()
    editor = KerasFileEditor(path)
    editor.delete_object("dense")

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        editor.save(path)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]
