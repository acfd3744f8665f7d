"""A schedule that was reduced: its factor is in the file, where Keras does not stumble over it."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

import kerastorch as kt

rng = np.random.default_rng(0)
X, Y = rng.normal(size=(8, 3)).astype("float32"), rng.normal(size=(8, 2)).astype("float32")


def reduced_model(folder: Path, extension: str) -> tuple[Any, Path]:
    """A model whose schedule `ReduceLROnPlateau` has reduced, and its file."""
    model = kt.Sequential([kt.Input((3,)), kt.layers.Dense(4), kt.layers.Dense(2)])
    schedule = kt.optimizers.schedules.ExponentialDecay(0.01, 10, 0.9)
    model.compile(kt.optimizers.Adam(schedule), kt.losses.MeanSquaredError())
    reduce = kt.callbacks.ReduceLROnPlateau("loss", factor=0.25, patience=1, min_delta=1e9)
    model.fit(X, Y, epochs=2, verbose=0, callbacks=[reduce])
    assert factor_of(model) == 0.25
    model.save(folder / f"model{extension}")
    return model, folder / f"model{extension}"


def factor_of(model: Any) -> float:
    return float(model.optimizer.param_groups[0].get("lr_factor", 1.0))


@pytest.mark.parametrize("extension", [".keras", ".h5"])
def test_the_factor_comes_back(extension: str, tmp_path: Path) -> None:
    model, path = reduced_model(tmp_path, extension)
    loaded = kt.models.load_model(path)
    assert factor_of(loaded) == 0.25
    for _ in range(3):
        model.train_on_batch(X, Y), loaded.train_on_batch(X, Y)
    for mine, other in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, other)


def test_keras_reads_all_the_rest(tmp_path: Path) -> None:
    """Keras has no factor; from the same rate both go on in the same way."""
    model, path = reduced_model(tmp_path, ".keras")
    theirs = keras.models.load_model(path)
    assert int(theirs.optimizer.iterations.numpy()) == 2
    for mine, other in zip(model.optimizer.variables, theirs.optimizer.variables, strict=True):
        np.testing.assert_allclose(mine.numpy(), other.numpy(), rtol=1e-6)
    model.optimizer.param_groups[0].pop("lr_factor")
    for _ in range(10):
        model.train_on_batch(X, Y), theirs.train_on_batch(X, Y)
    for mine, other in zip(model.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-5)


def test_a_file_of_before(tmp_path: Path) -> None:
    """The factor stood among the other values once."""
    _, path = reduced_model(tmp_path, ".keras")

    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    buffer = io.BytesIO(content["model.weights.h5"])
    with h5py.File(buffer, "r+") as file:
        file.move("optimizer/kerastorch/vars/lr_factor_0", "optimizer/vars/lr_factor_0")
        del file["optimizer/kerastorch"]
    content["model.weights.h5"] = buffer.getvalue()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    assert factor_of(kt.models.load_model(path)) == 0.25
