"""Keras's older HDF5 format, in both directions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from test_hostile_files import Refused, python_lambda
from test_interchange import (
    KINDS,
    Make,
    arithmetic,
    assert_same,
    data,
    late_stack,
    random_weights,
    stack,
    steps,
    subclassed,
    words,
)

import kerastorch as kt

#: The older format has no place for operations between layers, of which masks are made.
KINDS = [(make, shapes) for make, shapes in KINDS if make not in (arithmetic, words)]
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:keras")


@pytest.mark.parametrize(("make", "shapes"), KINDS, ids=lambda x: getattr(x, "__name__", ""))
def test_models(make: Make, shapes: Any, tmp_path: Path) -> None:
    inputs: Any = data(shapes)
    inputs = inputs if len(inputs) > 1 else inputs[0]
    theirs, ours = make(keras), make(kt)
    if make is late_stack:
        theirs(inputs), ours(inputs)
    theirs.set_weights(random_weights(theirs))
    theirs.save(tmp_path / "theirs.h5")
    loaded = kt.models.load_model(tmp_path / "theirs.h5")
    assert_same(loaded, theirs, inputs)
    ours.load_weights(tmp_path / "theirs.h5")
    assert_same(ours, theirs, inputs)
    ours.set_weights([w / 2 for w in ours.get_weights()])
    ours.save(tmp_path / "ours.h5")
    ours.save_weights(tmp_path / "weights.h5")
    assert_same(ours, kt.models.load_model(tmp_path / "ours.h5"), inputs)
    assert_same(ours, keras.models.load_model(tmp_path / "ours.h5"), inputs)
    theirs.load_weights(tmp_path / "weights.h5")
    assert_same(ours, theirs, inputs)


@pytest.mark.parametrize("writer", [keras, kt], ids=["from_keras", "own"])
def test_training_goes_on(writer: Any, tmp_path: Path) -> None:
    """Optimizer state comes along. (In Keras it does not: what it loads from such a file cannot be
    trained on, since its optimizer is built for no variables.)"""
    model = writer.Sequential(
        [writer.Input((3,)), writer.layers.Dense(4, "tanh"), writer.layers.Dense(2)]
    )
    model.compile("adam", "mse", metrics=["mae"])
    steps(model, 0, 3)
    model.save(tmp_path / "model.h5")
    other = kt.models.load_model(tmp_path / "model.h5")
    steps(model, 3, 13)
    steps(other, 3, 13)
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_by_name(tmp_path: Path) -> None:
    def model(*widths: int) -> Any:
        return kt.Sequential([kt.Input((3,)), *(kt.layers.Dense(w, name=f"d{w}") for w in widths)])

    source, target = model(4, 2), model(4, 5)
    source.save_weights(tmp_path / "x.h5")
    kept = target.layers[1].get_weights()
    with pytest.raises(ValueError, match="shape"):
        target.load_weights(tmp_path / "x.h5")
    target.load_weights(tmp_path / "x.h5", by_name=True)
    for layer, expected in zip(target.layers, (source.layers[0].get_weights(), kept), strict=True):
        for a, b in zip(layer.get_weights(), expected, strict=True):
            np.testing.assert_array_equal(a, b)
    source.save_weights(tmp_path / "x.weights.h5")
    with pytest.raises(ValueError, match="older HDF5 format"):
        target.load_weights(tmp_path / "x.weights.h5", by_name=True)


def test_refusals(tmp_path: Path) -> None:
    """Lambdas in older files (CVE-2025-9905); damage; weights without a model."""
    path = tmp_path / "model.h5"
    stack(kt).save(path)
    content = path.read_bytes()
    kt.models.load_model(path)
    for code in (python_lambda(tmp_path), ["4wEA", None, None]):
        with h5py.File(path, "r+") as file:
            config = json.loads(file.attrs["model_config"])
            layer = {
                "class_name": "Lambda",
                "config": {"function": code, "function_type": "lambda"},
            }
            config["config"]["layers"].insert(1, layer)
            file.attrs["model_config"] = json.dumps(config)
        with Refused(path):
            try:
                kt.models.load_model(path)
            except TypeError as error:
                raise ValueError(str(error)) from error
    for length in range(9, len(content), 97):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=path.name):
            kt.models.load_model(path)
    stack(kt).save_weights(path)
    with pytest.raises(ValueError, match="weights alone"):
        kt.models.load_model(path)
    model = subclassed(kt)
    model(np.zeros((1, 3), "float32"))
    with pytest.raises(NotImplementedError, match="subclassed"):
        model.save(path)


def test_classes_of_one_name(tmp_path: Path) -> None:
    """Keras writes no modules: `Identity` is a layer here, `MeanSquaredError` a loss and a metric."""
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Identity(), keras.layers.Softmax(), keras.layers.Dense(2)]
    )
    metrics = [keras.metrics.MeanSquaredError(), keras.metrics.MeanAbsoluteError(name="p")]
    model.compile("sgd", keras.losses.MeanSquaredError(), metrics=metrics)
    x, y = data([(4, 3), (4, 2)])
    model.train_on_batch(x, y)
    model.save(tmp_path / "model.h5")
    loaded = kt.models.load_model(tmp_path / "model.h5")
    theirs = model.evaluate(x, y, verbose=0, return_dict=True)
    ours = loaded.evaluate(x, y, verbose=0, return_dict=True)
    assert ours["p"] == pytest.approx(theirs["p"], rel=1e-5)
    assert [type(m).__module__.split(".")[1] for m in loaded.metrics[1:]] == ["metrics"] * 2
