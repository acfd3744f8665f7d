"""Doubtful input: training goes on with a warning that says where to look. Names that go by shapes."""

from typing import Any

import keras as oracle
import numpy as np
import pytest
import torch

import kerastorch as keras
from kerastorch import layers
from kerastorch.data import adapt
from kerastorch.training._finite import LossWatch
from kerastorch.training._logs import Logs

X = np.random.default_rng(0).normal(size=(12, 4)).astype("float32")
Y = np.arange(12) % 3


def regression(**options) -> keras.Model:
    inputs = keras.Input((4,), name="features")
    m = keras.Model(inputs, layers.Dense(1)(inputs))
    m.compile(options.pop("optimizer", "sgd"), "mse", **options)
    return m


ONES = np.ones(12, "float32")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sample_weight": -ONES}, "`sample_weight` has negative entries"),
        ({"sample_weight": 0 * ONES}, "`sample_weight` is 0 everywhere"),
        ({"initial_epoch": 5, "epochs": 2}, "`initial_epoch`=5 is beyond `epochs`=2"),
        ({"class_weight": {0: 1.0}}, r"no entry for the classes \[1\]"),
    ],
)
def test_hints(options, message) -> None:
    with pytest.warns(UserWarning, match=message):
        regression().fit(X, ONES, **options, verbose=0)


def test_class_weight_is_for_classes() -> None:
    with pytest.raises(
        ValueError, match=r"needs class numbers as targets, received .*sample_weight"
    ):
        regression().fit(X, X[:, 0], class_weight={0: 1.0, 1: 2.0}, verbose=0)


def spoiled(array, row, value):
    array = array.copy()
    array[row] = value
    return array


NOT_FINITE = {
    "x": ((spoiled(X, 3, np.nan), ONES), {}, r"`x` has 4 entries that are NaN.*first in row 3\."),
    "x, infinite": ((spoiled(X, (5, 0), -np.inf), ONES), {}, r"`x` has 1 entry.*row 5\."),
    "an input": (({"features": spoiled(X, 11, np.nan)}, ONES), {}, r"`x\['features'\]`.*row 11\."),
    "weights": ((X, ONES), {"sample_weight": spoiled(ONES, 2, np.nan)}, "`sample_weight`.*row 2"),
    "the computation": (
        (X * 1e12, ONES),
        {"epochs": 9},
        "The data are finite, the computation is not",
    ),
}


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("case", NOT_FINITE)
def test_a_loss_that_is_no_number_is_traced_once(case: str, shuffle: bool) -> None:
    data, options, message = NOT_FINITE[case]
    m = regression()
    with pytest.warns(
        UserWarning, match=r"The loss became (nan|inf) in epoch \d.*" + message
    ) as caught:
        history = m.fit(*data, batch_size=5, verbose=0, shuffle=shuffle, **{"epochs": 3, **options})
    assert len(caught) == 1
    assert len(history.epoch) == options.get("epochs", 3)  # training goes on


def test_a_loss_that_is_no_number_in_a_stream() -> None:
    """Batches that have gone by cannot be looked at; what is read after a step can."""
    bad = spoiled(X, 1, np.nan)
    stream = keras.data.Dataset.from_generator(lambda: iter([(X, ONES), (bad, ONES)]))

    class Reader(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            assert "loss" in logs

    with pytest.warns(
        UserWarning, match=r"became nan in step 2 of an epoch\. `x` .* row 1\."
    ) as seen:
        regression().fit(stream, epochs=2, verbose=0, callbacks=[Reader()])
    assert len(seen) == 1
    with pytest.warns(UserWarning, match=r"became nan in epoch 1\. A smaller learning rate"):
        regression().fit(stream, verbose=0)


def test_termination_is_not_talked_over() -> None:
    m = regression()
    m.fit(
        spoiled(X, 0, np.nan),
        ONES,
        verbose=0,
        epochs=3,
        callbacks=[keras.callbacks.TerminateOnNaN()],
    )
    assert m.history.epoch == [0]


def test_nobody_waits_for_the_loss_while_it_is_a_number() -> None:
    """Only a value that somebody has read is looked at."""

    def never():
        raise AssertionError("the loss was fetched")

    watch = LossWatch(adapt(X, ONES))
    watch.look(Logs(never), "step 1")
    watch.look(Logs(lambda: {"loss": 1.0}).fetch(), "step 2")
    watch.look({}, "step 3")
    watch.look(0.5, "a step of the user's own")
    assert not watch.told


# -- names that go by shapes -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["crossentropy", "ce"])
@pytest.mark.parametrize(
    ("units", "y", "means"),
    [
        (3, Y, "sparse_categorical_crossentropy"),
        (3, Y.reshape(-1, 1), "sparse_categorical_crossentropy"),
        (3, np.eye(3)[Y], "categorical_crossentropy"),
        (1, Y % 2, "binary_crossentropy"),
    ],
)
def test_crossentropy_goes_by_the_shapes(name: str, units: int, y, means: str) -> None:
    activation = "sigmoid" if units == 1 else "softmax"
    results = []
    for library in (keras, oracle):
        inputs = library.Input((4,))
        kernel = library.initializers.Constant(np.linspace(-1, 1, 4 * units).reshape(4, units))
        outputs = library.layers.Dense(units, activation=activation, kernel_initializer=kernel)
        for loss in (name, means):
            m = library.Model(inputs, outputs(inputs))
            m.compile("sgd", loss, metrics=[loss if library is keras else means])
            target = y.reshape(-1, 1) if library is oracle and units == 1 else y
            results.append(m.evaluate(X, target, verbose=0))
            if library is keras:
                assert m.metrics_names == ["loss", loss]
    for result in results:
        np.testing.assert_allclose(result, results[0], rtol=1e-5)
    assert results[0][0] == pytest.approx(results[0][1], rel=1e-6)


def test_crossentropy_by_output() -> None:
    inputs = keras.Input((4,))
    outputs = [
        layers.Dense(3, activation="softmax", name="kind")(inputs),
        layers.Dense(1, activation="sigmoid", name="yes")(inputs),
    ]
    named, plain = (keras.Model(inputs, outputs) for _ in range(2))
    named.compile("sgd", "crossentropy")
    plain.compile("sgd", ["sparse_categorical_crossentropy", "binary_crossentropy"])
    assert named.evaluate(X, [Y, Y % 2], verbose=0) == plain.evaluate(X, [Y, Y % 2], verbose=0)


def test_one_process_of_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replicas that share nothing are not trained in silence, unless the step is the user's."""

    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = layers.Dense(1)

        def call(self, x: torch.Tensor) -> torch.Tensor:
            return self.dense(x)

        def train_step(self, data: Any) -> Any:
            return super().train_step(data)

    own = Own()
    own.compile("sgd", "mse")
    monkeypatch.setenv("WORLD_SIZE", "2")  # as some clusters do for every process
    regression().fit(X, ONES, verbose=0)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    own.fit(X, ONES, verbose=0)
    with pytest.warns(UserWarning, match="one of 2, and `fit` shares nothing"):
        regression().fit(X, ONES, verbose=0)
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 1)
    regression().fit(X, ONES, verbose=0)
