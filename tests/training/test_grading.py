"""Small batches graded together: the numbers of grading them one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import kerastorch as keras
from kerastorch import layers
from kerastorch.activations._activations import sums_to_one
from kerastorch.training import _grading
from kerastorch.training._outputs import CompiledLoss

RNG = np.random.default_rng(0)
ROWS = 101
X = RNG.normal(size=(ROWS, 6)).astype("float32")
Y = RNG.integers(0, 3, ROWS)
HOT = np.eye(3, dtype="float32")[Y]
WEIGHT = RNG.uniform(0, 2, ROWS).astype("float32")

BY_ROW = [
    ("sparse_categorical_crossentropy", Y, ["accuracy", "sparse_top_k_categorical_accuracy"]),
    ("categorical_crossentropy", HOT, ["accuracy", "mse"]),
    ("binary_crossentropy", HOT, ["accuracy", "mae"]),
    ("mse", HOT, [keras.metrics.MeanAbsoluteError()]),
    ("crossentropy", Y, []),
    (keras.losses.Huber(0.1), HOT, ["mse"]),
]
NOT_BY_ROW = [
    (keras.losses.MeanSquaredError(reduction="sum"), HOT, []),
    (keras.losses.SparseCategoricalCrossentropy(ignore_class=1), Y, []),
    (keras.losses.Dice(), HOT, []),
    (keras.losses.CosineSimilarity(axis=0), HOT, []),
    (keras.losses.Hinge(), HOT, []),
    (lambda y, p: torch.max(torch.abs(y - p)), HOT, []),
    ("mse", HOT, [keras.metrics.AUC()]),
    ("mse", HOT, [keras.metrics.MeanMetricWrapper(keras.losses.MeanSquaredError())]),
    ("mse", HOT, [lambda y, p: torch.max(torch.abs(y - p))]),
]


def model_of(loss: Any, metrics: Any, weighted: Any = None, **options: Any) -> Any:
    keras.utils.set_random_seed(1)
    x = keras.Input((6,))
    h = layers.Dense(8, activation="relu", **options)(x)
    model = keras.Model(x, layers.Dense(3, activation="softmax")(h))
    model.compile("sgd", loss, metrics=metrics, weighted_metrics=weighted)
    return model


class Counter:
    """How often the loss of a batch is computed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls = 0
        grade = CompiledLoss.__call__

        def counting(loss: Any, *args: Any) -> Any:
            self.calls += 1
            return grade(loss, *args)

        monkeypatch.setattr(CompiledLoss, "__call__", counting)


def one_by_one(model: Any, *data: Any, size: int, **options: Any) -> Any:
    """What `evaluate` gives where a listener of the user's hears of every batch."""

    class Listener(keras.callbacks.Callback):
        def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
            pass

    return model.evaluate(
        *data, batch_size=size, verbose=0, return_dict=True, callbacks=[Listener()], **options
    )


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
@pytest.mark.parametrize(("loss", "y", "metrics"), [*BY_ROW, *NOT_BY_ROW])
def test_the_numbers_of_single_batches(loss: Any, y: Any, metrics: Any, weight: Any) -> None:
    if weight is not None and isinstance(loss, keras.losses.CosineSimilarity):
        pytest.skip("columns have no weights")
    model = model_of(loss, metrics, ["msle"] if y is HOT else None)
    results = model.evaluate(X, y, 8, verbose=0, sample_weight=weight, return_dict=True)
    expected = one_by_one(model, X, y, size=8, sample_weight=weight)
    assert results == pytest.approx(expected, rel=2e-6, abs=1e-7)


def test_few_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(*BY_ROW[0][::2])
    model.evaluate(X, Y, 8, verbose=0)
    counter = Counter(monkeypatch)
    model.evaluate(X, Y, 8, verbose=0)
    assert counter.calls == 1
    monkeypatch.setattr(_grading, "ENOUGH", 40)
    counter.calls = 0
    model.evaluate(X, Y, 8, verbose=0)
    assert counter.calls == 7  # 13 batches of 24 values, two at a time


@pytest.mark.parametrize(("loss", "y", "metrics"), NOT_BY_ROW)
def test_one_by_one_where_rows_meet(
    monkeypatch: pytest.MonkeyPatch, loss: Any, y: Any, metrics: Any
) -> None:
    model = model_of(loss, metrics)
    counter = Counter(monkeypatch)
    model.evaluate(X, y, 8, verbose=0)
    assert counter.calls == 13


@pytest.mark.parametrize("name", ["test_step", "compute_loss", "compute_metrics"])
def test_steps_of_ones_own_see_every_batch(name: str) -> None:
    seen: list[int] = []

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        seen.append(1)
        return getattr(super(Own, self), name)(*args, **kwargs)

    Own = type("Own", (keras.Model,), {name: method})
    x = keras.Input((6,))
    model = Own(x, layers.Dense(3, activation="softmax")(x))
    model.compile("sgd", "categorical_crossentropy")
    model.evaluate(X, HOT, 8, verbose=0)
    assert len(seen) == 13


def test_batches_of_uneven_shapes() -> None:
    x = keras.Input((None, 6))
    model = keras.Model(x, layers.Dense(3, activation="softmax")(x))
    model.compile("sgd", "categorical_crossentropy", metrics=["accuracy"])

    def batches() -> Any:
        for steps in (2, 2, 3, 1, 1, 4):
            rows = RNG.normal(size=(5, steps, 6)).astype("float32")
            yield rows, np.eye(3, dtype="float32")[RNG.integers(0, 3, (5, steps))]

    fixed = list(batches())
    results = model.evaluate(iter(fixed), verbose=0, return_dict=True)
    losses = []
    for rows, targets in fixed:
        p = model(torch.from_numpy(rows)).detach().numpy()
        losses.append(-(targets * np.log(p)).sum(-1).mean())
    assert results["loss"] == pytest.approx(np.mean(losses), rel=1e-5)


def test_penalties_of_weights_and_losses_of_layers_count() -> None:
    for options in ({"kernel_regularizer": "l2"}, {"activity_regularizer": "l2"}):
        model = model_of("categorical_crossentropy", ["accuracy"], **options)
        results = model.evaluate(X, HOT, 8, verbose=0, return_dict=True)
        assert results == pytest.approx(one_by_one(model, X, HOT, size=8), rel=1e-6)


def test_the_progress_bar_shows_all_batches_so_far(capsys: pytest.CaptureFixture[str]) -> None:
    model = model_of("categorical_crossentropy", ["accuracy"])
    expected = one_by_one(model, X, HOT, size=8)
    results = model.evaluate(X, HOT, 8, verbose=1, return_dict=True)
    assert results == pytest.approx(expected, rel=1e-6)
    assert f"loss: {expected['loss']:.4f}" in capsys.readouterr().out


def test_logs_that_are_read_in_between() -> None:
    model = model_of("categorical_crossentropy", ["accuracy"])
    model.evaluate(X, HOT, 8, verbose=0)
    with torch.no_grad(), model._epoch():
        grader = _grading.Grader(model, model)
        model.reset_metrics()
        for i in range(5):
            rows = slice(10 * i, 10 * i + 10)
            logs = grader((torch.from_numpy(X[rows]), torch.from_numpy(HOT[rows])))
            if i % 2:
                p = model(torch.from_numpy(X[: 10 * i + 10])).numpy()
                loss = -(HOT[: 10 * i + 10] * np.log(p)).sum(-1).mean()
                assert logs["loss"] == pytest.approx(loss, rel=1e-5)


def test_validation_is_graded_together(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of("categorical_crossentropy", ["accuracy"])
    counter = Counter(monkeypatch)
    history = model.fit(
        X, HOT, batch_size=ROWS, verbose=0, validation_data=(X, HOT), validation_batch_size=8
    ).history
    assert counter.calls == 1 + 1
    assert history["val_loss"][0] == pytest.approx(
        model.evaluate(X, HOT, ROWS, verbose=0)[0], rel=1e-6
    )


# -- what a softmax gave -----------------------------------------------------------------------------


def test_a_softmax_without_gradients_is_known() -> None:
    x = torch.randn(4, 3)
    p = keras.activations.softmax(x)
    assert sums_to_one(p, -1)
    assert sums_to_one(p, 1)
    assert not sums_to_one(p, 0)
    assert not sums_to_one(p.clone(), -1)
    assert not sums_to_one(p.detach(), -1)
    p[0, 0] = 5.0
    assert not sums_to_one(p, -1)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_probabilities_that_were_changed_are_divided(mode: Any) -> None:
    with mode():
        p = keras.activations.softmax(torch.randn(4, 3))
        whole = keras.losses.categorical_crossentropy(HOT[:4], p)
        p.mul_(2.0)
        torch.testing.assert_close(keras.losses.categorical_crossentropy(HOT[:4], p), whole)
