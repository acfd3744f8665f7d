"""One model of each kind through fit, save and load."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import kerastorch as keras
from kerastorch import layers

X = np.random.default_rng(0).normal(size=(128, 8)).astype("float32")
Y = (X[:, 0] + X[:, 1] > 0).astype("int64")


def functional() -> keras.Model:
    inputs = keras.Input((8,), name="features")
    hidden = torch.relu(layers.Dense(16, name="hidden")(inputs)) + 0.1
    outputs = layers.Dense(2, activation="softmax", name="scores")(torch.nn.Linear(16, 8)(hidden))
    return keras.Model(inputs, outputs)


def sequential() -> keras.Model:
    return keras.Sequential(
        [
            layers.Dense(16, activation="relu"),
            layers.Dropout(0.1),
            layers.Dense(2, activation="softmax"),
        ]
    )


class Net(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = layers.Dense(16, activation="relu")
        self.scores = layers.Dense(2, activation="softmax")

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.scores(self.hidden(inputs))


@pytest.mark.parametrize("make", [functional, sequential, Net])
def test_fit_save_and_load(make: Any, tmp_path: Path) -> None:
    model = make()
    model.compile(
        keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    history = model.fit(X, Y, epochs=8, validation_split=0.25, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert history["val_accuracy"][-1] > 0.8
    torch.save(model.state_dict(), tmp_path / "weights.pt")

    other = make()
    other.build((None, 8)) if not other.built else None
    other.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    np.testing.assert_array_equal(other.predict(X), model.predict(X))
    other.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    loss, accuracy = other.evaluate(X, Y, verbose=0)
    assert [loss, accuracy] == pytest.approx(model.evaluate(X, Y, verbose=0))
