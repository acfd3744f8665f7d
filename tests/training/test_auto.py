"""``jit_compile="auto"``: compiled where the run is long and all code in the step is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import kerastorch as keras
from kerastorch.training import _worth

layers = keras.layers
X = np.random.default_rng(0).random((64, 4), dtype=np.float32)
Y = X.sum(1, keepdims=True)


class Doubled(layers.Layer):
    def call(self, x: Any) -> Any:
        return 2 * x


class Heard(keras.callbacks.Callback):
    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        pass


class HeardPerEpoch(keras.callbacks.Callback):
    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        pass


def own(y_true: Any, y_pred: Any) -> Any:
    return (y_true - y_pred).square()


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_worth, "LONG_RUN", {"train": 32, "test": 32})


def fitted(*more: Any, fit: Any = None, **compiling: Any) -> keras.Model:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), layers.Dense(8, "relu"), *more, layers.Dense(1)])
    settings = {"optimizer": "adam", "loss": "mse", "metrics": ["mae"], **compiling}
    if callable(settings["optimizer"]):
        settings["optimizer"] = settings["optimizer"](model.parameters())
    model.compile(**settings)
    options = {"x": X, "y": Y, "batch_size": 8, "epochs": 4, "verbose": 0, **(fit or {})}
    model.fit(**options)
    return model


def graphs(model: Any) -> dict[str, int]:
    return {kind: len(step.graphs) for kind, step in model._compiled.captured.items()}


def test_a_long_run_is_compiled_and_gives_the_same_numbers() -> None:
    validation = {"validation_data": (X, Y), "validation_batch_size": 8}
    callbacks = [keras.callbacks.EarlyStopping(), HeardPerEpoch(), keras.callbacks.TerminateOnNaN()]
    auto = fitted(layers.Dropout(0.0), fit={**validation, "callbacks": callbacks})
    assert graphs(auto) == {"train": 1, "test": 1}
    eager = fitted(layers.Dropout(0.0), fit=validation, jit_compile=False)
    assert graphs(eager) == {}
    assert auto.history.history.keys() == eager.history.history.keys()
    for name, values in auto.history.history.items():
        assert values == pytest.approx(eager.history.history[name], rel=1e-5)


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param({"fit": {"epochs": 3}}, id="short"),
        pytest.param({"more": Doubled()}, id="own layer"),
        pytest.param({"more": layers.Lambda(lambda x: 2 * x)}, id="own function"),
        pytest.param({"more": layers.Dense(3, activation=lambda x: 2 * x)}, id="own activation"),
        pytest.param({"loss": own}, id="own loss"),
        pytest.param({"metrics": [own]}, id="own metric"),
        pytest.param({"optimizer": lambda p: torch.optim.SGD(p, 0.1)}, id="torch's optimizer"),
        pytest.param({"fit": {"callbacks": [Heard()]}}, id="own callback"),
        pytest.param(
            {"fit": {"callbacks": [keras.callbacks.LambdaCallback(on_batch_end=print)]}},
            id="lambda",
        ),
        pytest.param({"run_eagerly": True}, id="run_eagerly"),
        pytest.param({"jit_compile": False}, id="False"),
    ],
)
def test_stays_eager(arguments: dict[str, Any], capsys: Any) -> None:
    arguments = dict(arguments)
    more = [arguments.pop("more")] if "more" in arguments else []
    assert graphs(fitted(*more, **arguments)) == {}


def test_convolutions_stay_eager() -> None:
    model = keras.Sequential(
        [keras.Input((4, 1)), layers.Conv1D(2, 2), layers.Flatten(), layers.Dense(1)]
    )
    model.compile("sgd", "mse")
    model.fit(X[..., None], Y, batch_size=8, epochs=4, verbose=0)
    assert graphs(model) == {}


def test_a_run_of_unknown_length_stays_eager() -> None:
    batches = ((X[:8], Y[:8]) for _ in range(40))
    assert graphs(fitted(fit={"x": batches, "y": None, "batch_size": None, "epochs": 1})) == {}


def test_a_step_that_cannot_be_captured_runs_eagerly_without_a_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_worth, "_is_made_of_known", lambda part: True)

    class Reading(layers.Layer):
        def call(self, x: Any) -> Any:
            return x * (1.0 if x.is_meta or x.sum().item() > -1e9 else 0.0)

    model = fitted(Reading())  # warnings are errors
    assert model._compiled.captured["train"].refused
    assert len(model.history.history["loss"]) == 4


def test_other_devices_and_machines_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    _worth._has_compiler.cache_clear()
    assert not _worth._has_compiler(torch.device("meta"))
    assert not _worth._has_compiler(torch.device("cuda", 0))
    monkeypatch.setattr(_worth.shutil, "which", lambda name: None)
    _worth._has_compiler.cache_clear()
    assert not _worth._has_compiler(torch.device("cpu"))
    _worth._has_compiler.cache_clear()
