"""Layers that stay out of a file, or as they are when it is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

import kerastorch as kt


def new_model(k: Any = kt) -> Any:
    return k.Sequential([k.Input((3,)), k.layers.Dense(4), k.layers.Dense(4), k.layers.Dense(2)])


@pytest.mark.parametrize("k", [kt, keras])
@pytest.mark.parametrize("shards", [{}, {"max_shard_size": 1}])
def test_skipped_while_saving(k: Any, shards: dict[str, int], tmp_path: Path) -> None:
    """The names of the others stay; loading it needs the same layers skipped."""
    model = new_model(k)
    path = tmp_path / ("model.weights.json" if shards else "model.weights.h5")
    k.saving.save_weights(model, path, objects_to_skip=[model.layers[1]], **shards)
    other = new_model()
    before = other.get_weights()
    with pytest.raises(ValueError, match="dense_1"):
        other.load_weights(path)
    other.load_weights(path, objects_to_skip=[other.layers[1]])
    for number, value in enumerate(other.get_weights()):
        expected = before if number in (2, 3) else [np.asarray(w) for w in model.get_weights()]
        np.testing.assert_array_equal(value, expected[number])


@pytest.mark.parametrize("name", ["a.weights.h5", "a.keras"])
def test_skipped_while_loading(name: str, tmp_path: Path) -> None:
    """What the file has for them is passed over."""
    model, other = new_model(), new_model()
    (model.save if name == "a.keras" else model.save_weights)(tmp_path / name)
    before = other.get_weights()
    other.load_weights(tmp_path / name, objects_to_skip=[other.layers[0]])
    for number, value in enumerate(other.get_weights()):
        np.testing.assert_array_equal(
            value, (before if number < 2 else model.get_weights())[number]
        )


def test_in_the_file(tmp_path: Path) -> None:
    model = new_model()
    model.save_weights(tmp_path / "a.weights.h5", objects_to_skip=model.layers[:1])
    with h5py.File(tmp_path / "a.weights.h5") as file:
        assert sorted(file["layers"]) == ["dense_1", "dense_2"]


@pytest.mark.parametrize("name", ["a.h5", "a.safetensors", "a.pt"])
def test_other_formats(name: str, tmp_path: Path) -> None:
    model = new_model()
    with pytest.raises(ValueError, match="objects_to_skip is for"):
        model.save_weights(tmp_path / name, objects_to_skip=[model.layers[0]])
    model.save_weights(tmp_path / name)
    with pytest.raises(ValueError, match="objects_to_skip is for"):
        model.load_weights(tmp_path / name, objects_to_skip=[model.layers[0]])
