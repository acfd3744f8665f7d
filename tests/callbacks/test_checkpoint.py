"""`ModelCheckpoint` keeps the files that it is told to keep."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import kerastorch as kt

X, Y = np.ones((8, 3), "float32"), np.ones((8, 1), "float32")


def new_model() -> Any:
    model = kt.Sequential([kt.Input((3,)), kt.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


class Values(kt.callbacks.Callback):
    """Puts a row of numbers into the logs as ``val_loss``."""

    def __init__(self, *values: float) -> None:
        super().__init__()
        self.values = values

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs["val_loss"] = self.values[epoch]


def fit(checkpoint: Any, *values: float) -> Any:
    model = new_model()
    callbacks = [Values(*values), checkpoint]
    model.fit(X, Y, batch_size=2, epochs=len(values), verbose=0, callbacks=callbacks)
    return model


def test_every_epoch_and_best(tmp_path: Path) -> None:
    every = kt.callbacks.ModelCheckpoint(tmp_path / "{epoch:02d}-{val_loss:.1f}.keras")
    model = fit(every, 0.5, 0.3, 0.4)
    assert sorted(os.listdir(tmp_path)) == ["01-0.5.keras", "02-0.3.keras", "03-0.4.keras"]
    loaded = kt.models.load_model(tmp_path / "03-0.4.keras")
    np.testing.assert_array_equal(loaded.get_weights()[0], model.get_weights()[0])
    best = kt.callbacks.ModelCheckpoint(
        tmp_path / "best-{epoch}.weights.h5", save_best_only=True, save_weights_only=True
    )
    fit(best, 0.5, float("nan"), 0.5, 0.4, 0.6)
    assert sorted(p.name for p in tmp_path.glob("best*")) == [
        "best-1.weights.h5",
        "best-4.weights.h5",
    ]


def test_threshold_and_max(tmp_path: Path) -> None:
    keep = kt.callbacks.ModelCheckpoint(
        tmp_path / "{epoch}", mode="max", save_best_only=True, initial_value_threshold=0.6
    )
    fit(keep, 0.5, 0.7, 0.65, 0.8)
    assert sorted(os.listdir(tmp_path)) == ["2", "4"]


def test_top_k(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The k best stay; no file goes before the new one has been read back."""
    keep = kt.callbacks.ModelCheckpoint(tmp_path / "{epoch}", save_top_k=2)
    fit(keep, 0.5, 0.3, 0.4, 0.2, 0.9)
    assert sorted(os.listdir(tmp_path)) == ["2", "4"]

    def damaged(path: Any) -> None:
        raise ValueError("damaged")

    monkeypatch.setattr("kerastorch.callbacks._checkpoint.check_file", damaged)
    keep = kt.callbacks.ModelCheckpoint(tmp_path / "b{epoch}", save_top_k=1)
    with pytest.raises(ValueError, match="damaged"):
        fit(keep, 0.5, 0.4)
    assert sorted(p.name for p in tmp_path.glob("b*")) == ["b1", "b2"]


def test_batches(tmp_path: Path) -> None:
    keep = kt.callbacks.ModelCheckpoint(tmp_path / "{epoch}-{batch}", save_freq=3)
    fit(keep, 1.0, 1.0, 1.0)
    assert sorted(os.listdir(tmp_path)) == ["1-3", "2-2", "3-1", "3-4"]


@pytest.mark.parametrize(
    ("config", "error"),
    [
        ({"filepath": "x", "save_freq": 0}, "save_freq"),
        ({"filepath": "x", "save_freq": "batch"}, "save_freq"),
        ({"filepath": "x{epoch}", "save_top_k": 0}, "save_top_k"),
        ({"filepath": "x", "save_top_k": 2}, "different names"),
    ],
)
def test_arguments(config: dict[str, Any], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        kt.callbacks.ModelCheckpoint(**config)


def test_a_name_that_is_not_in_the_logs(tmp_path: Path) -> None:
    keep = kt.callbacks.ModelCheckpoint(tmp_path / "{accuracy}")
    with pytest.raises(KeyError, match="Available: epoch, loss, val_loss"):
        fit(keep, 1.0)


class Recorder:
    """A model that only notes where it is saved."""

    def __init__(self) -> None:
        self.saved: list[str] = []
        self.stop_training = False

    def save(self, path: Any, **kwargs: Any) -> None:
        self.saved.append(str(path))

    save_weights = save


def scripted(library: Any, folder: Path, seed: int) -> list[str]:
    """The files that a callback of `library` writes for made-up values of the watched metric."""
    draw = np.random.default_rng(seed)
    mode = str(draw.choice(["min", "max"]))
    best_only, weights_only = bool(draw.integers(2)), bool(draw.integers(2))
    freq: Any = "epoch" if draw.integers(2) else int(draw.integers(3, 6))
    threshold = None  # with one, or with two saves in its first epoch, Keras fails where it saves by batches
    if freq == "epoch" and draw.integers(2):
        threshold = float(draw.normal())
    suffix = ".weights.h5" if weights_only else ".keras"
    name = str(folder / ("{epoch}-{watched:.4f}" + suffix))
    callback = library.callbacks.ModelCheckpoint(
        name, monitor="watched", mode=mode, save_best_only=best_only, save_freq=freq,
        save_weights_only=weights_only, initial_value_threshold=threshold,
    )  # fmt: skip
    model = Recorder()
    callback.set_model(model)
    callback.on_train_begin()
    for epoch in range(8):
        callback.on_epoch_begin(epoch, {})
        for batch in range(3):
            callback.on_train_batch_end(batch, {"watched": float(round(draw.normal(), 1))})
        value = float(draw.choice([round(draw.normal(), 1), np.inf, -np.inf], p=[0.9, 0.05, 0.05]))
        callback.on_epoch_end(epoch, {"watched": value})
    callback.on_train_end({})
    return model.saved


@pytest.mark.parametrize("seed", range(60))
def test_keras_saves_at_the_same_moments(seed: int, tmp_path: Path) -> None:
    assert scripted(kt, tmp_path, seed) == scripted(keras, tmp_path, seed)
