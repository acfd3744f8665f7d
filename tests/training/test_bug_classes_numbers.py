"""Mistakes that training loops are known for, one test each: what losses and metrics add up to.

Tested in more depth elsewhere: reductions and masks of every loss in tests/losses, metrics against
other batch sizes in tests/metrics, clipping and accumulation of every rule in tests/optimizers.
"""

import keras as oracle
import numpy as np
import pytest
import torch

import kerastorch as keras
from kerastorch import layers

RNG = np.random.default_rng(1)
X = RNG.normal(size=(23, 4)).astype("float32")
LABELS = RNG.integers(0, 3, size=23)
ONE_HOT = np.eye(3, dtype="float32")[LABELS]
SCORE = RNG.normal(size=(23, 1)).astype("float32")
WEIGHTS = RNG.uniform(0, 2, size=23).astype("float32")
FIRST_ROWS_ZERO = np.r_[np.zeros(12), np.ones(11)].astype("float32")
WORDS = np.where(np.arange(5) < 3, RNG.integers(1, 9, size=(23, 5)), 0)  # three of five are valid


def dense(units: int = 1, library=keras, rows: int = 4, **compile_arguments):
    """A linear model without bias, all weights 0: its outputs are 0."""
    inputs = library.Input((rows,), name="features")
    outputs = library.layers.Dense(units, use_bias=False, kernel_initializer="zeros")(inputs)
    model = library.Model(inputs, outputs)
    model.compile(**{"optimizer": "sgd", "loss": "mse", **compile_arguments})
    return model


def classifier() -> keras.Model:
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(3, activation="softmax")(inputs))
    model.compile(
        "sgd",
        "sparse_categorical_crossentropy",
        metrics=["accuracy", keras.metrics.SparseCategoricalCrossentropy(name="ce")],
        weighted_metrics=[keras.metrics.SparseCategoricalAccuracy(name="weighted")],
    )
    return model


def two_outputs(library=keras, **compile_arguments):
    inputs = library.Input((4,))
    kernel = {"kernel_initializer": library.initializers.RandomNormal(seed=1)}
    outputs = [
        library.layers.Dense(1, name="a", **kernel)(inputs),
        library.layers.Dense(3, name="b", **kernel)(inputs),
    ]
    model = library.Model(inputs, outputs)
    model.compile(**{"optimizer": "sgd", "loss": "mse", **compile_arguments})
    return model


def masked() -> keras.Model:
    words = keras.Input((5,), dtype="int64")
    model = keras.Model(words, layers.Dense(2)(layers.Embedding(9, 4, mask_zero=True)(words)))
    model.compile("sgd", "mse", metrics=["mae"])
    return model


STEPS = RNG.normal(size=(23, 5, 2)).astype("float32")
EVALUATED = {
    "plain": (classifier, (X, LABELS), {}),
    "weights": (classifier, (X, LABELS), {"sample_weight": WEIGHTS}),
    "batches without weight": (classifier, (X, LABELS), {"sample_weight": FIRST_ROWS_ZERO}),
    "several outputs": (
        lambda: two_outputs(loss_weights={"a": 2.0}, metrics=["mae", "mape"]),
        (X, [SCORE, ONE_HOT]),
        {},
    ),
    "weights by output": (
        lambda: two_outputs(metrics=["mae"], weighted_metrics=["mse"]),
        (X, [SCORE, ONE_HOT]),
        {"sample_weight": {"a": WEIGHTS, "b": FIRST_ROWS_ZERO}},
    ),
    "masks": (masked, (WORDS, STEPS), {}),
    "masks and weights": (masked, (WORDS, STEPS), {"sample_weight": WEIGHTS}),
}


@pytest.mark.parametrize("case", EVALUATED)
def test_evaluate_is_the_same_for_every_batch_size(case: str) -> None:
    make, data, options = EVALUATED[case]
    model = make()
    whole = model.evaluate(*data, batch_size=23, verbose=0, **options)
    assert np.all(np.isfinite(whole))
    for size in (1, 2, 7, 22, 100):
        part = model.evaluate(*data, batch_size=size, verbose=0, **options)
        np.testing.assert_allclose(part, whole, rtol=1e-5, err_msg=f"batch size {size}")


def test_an_epoch_is_a_mean_over_samples_not_over_batches() -> None:
    model = dense(rows=1)
    y = np.array([1.0, 1.0, 1.0, 5.0])
    assert model.evaluate(np.zeros((4, 1)), y, batch_size=3, verbose=0) == 7.0  # not 13
    model = dense(rows=1)
    nest = keras.data.Dataset.from_tensor_slices(({"features": np.zeros((4, 1))}, y)).batch(3)
    assert model.evaluate(nest, verbose=0) == 7.0


@pytest.mark.parametrize(
    ("reduction", "expected"),
    [("sum_over_batch_size", 6.5), ("mean_with_sample_weight", 13.0), ("sum", 26.0)],
)
def test_a_weighted_loss_and_a_weighted_metric_divide_by_different_things(
    reduction: str, expected: float
) -> None:
    y, weights = np.array([7.0, 3.0, 1.0, 5.0]), np.array([0.0, 0.0, 1.0, 1.0])
    loss, metric = {}, {}
    for library in (keras, oracle):
        model = dense(
            rows=1,
            library=library,
            loss=library.losses.MeanSquaredError(reduction=reduction),
            weighted_metrics=["mse"],
        )
        loss[library], metric[library] = model.evaluate(
            np.zeros((4, 1)), y.reshape(4, 1), sample_weight=weights, verbose=0
        )
    assert loss[keras] == loss[oracle] == expected
    assert metric[keras] == metric[oracle] == 13.0


def test_mask_and_weights_are_not_applied_twice() -> None:
    """A mask, weights that say the same, and both together: one gradient up to the divisor."""
    steps = (WORDS > 0).astype("float32")
    bare = keras.Sequential([layers.Embedding(9, 4), layers.Dense(2)])
    bare.build((None, 5))
    bare.compile("sgd", "mse")
    model = masked()
    model.set_weights(bare.get_weights())
    by_mask = model.evaluate(WORDS, STEPS, verbose=0)[0]
    both = model.evaluate(WORDS, STEPS, sample_weight=steps, verbose=0)[0]
    by_weight = bare.evaluate(WORDS, STEPS, sample_weight=steps, verbose=0)
    errors = np.square(model.predict(WORDS) - STEPS).mean(-1)
    np.testing.assert_allclose(by_mask, errors[steps > 0].mean(), rtol=1e-5)
    np.testing.assert_allclose(both, by_mask, rtol=1e-6)
    np.testing.assert_allclose(by_weight, by_mask * 3 / 5, rtol=1e-5)  # / all steps, not / valid


SPARSE = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
TORCH = torch.nn.CrossEntropyLoss()
LABEL_FORMS = {
    "(N,)": (LABELS, SPARSE),
    "(N, 1)": (LABELS.reshape(-1, 1), SPARSE),
    "one-hot": (ONE_HOT, keras.losses.CategoricalCrossentropy(from_logits=True)),
    "(N,), torch": (LABELS, TORCH),
    "one-hot, torch": (ONE_HOT, TORCH),
}


@pytest.mark.parametrize("form", LABEL_FORMS)
def test_labels_of_every_shape_mean_the_same(form: str) -> None:
    y, loss = LABEL_FORMS[form]
    model = dense(3, loss=loss, metrics=["accuracy"])
    model.set_weights([RNG.normal(size=(4, 3))])
    logits = torch.from_numpy(model.predict(X))
    expected = torch.nn.functional.cross_entropy(logits, torch.from_numpy(LABELS)).item()
    accuracy = (logits.argmax(-1).numpy() == LABELS).mean()
    np.testing.assert_allclose(model.evaluate(X, y, verbose=0), [expected, accuracy], rtol=1e-5)


@pytest.mark.parametrize("shape", [(23,), (23, 1)])
def test_regression_targets_never_meet_every_prediction(shape) -> None:
    model = dense(1, loss="mse", metrics=["mae"])
    model.set_weights([RNG.normal(size=(4, 1))])
    errors = model.predict(X) - SCORE
    expected = [np.square(errors).mean(), np.abs(errors).mean()]
    result = model.evaluate(X, SCORE.reshape(shape), verbose=0)
    np.testing.assert_allclose(result, expected, rtol=1e-5)


def test_validation_leaves_the_training_metrics_alone() -> None:
    held = keras.metrics.SparseCategoricalAccuracy()
    seen = []

    class Read(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(float(held.result()))

    histories = []
    for validation in (None, (X[:5], LABELS[:5])):
        torch.manual_seed(0)
        model = classifier()
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=[held])
        histories.append(
            model.fit(
                X, LABELS, batch_size=8, epochs=3, verbose=0, validation_data=validation,
                callbacks=[Read()],
            ).history
        )  # fmt: skip
    without, with_validation = histories
    assert {k: v for k, v in with_validation.items() if not k.startswith("val_")} == without
    assert seen[:9] == seen[9:]  # the user's object counts training batches while they run
    assert float(held.result()) == pytest.approx(
        with_validation["val_sparse_categorical_accuracy"][-1]
    )


def test_batch_logs_are_running_and_an_epoch_is_not_its_last_batch() -> None:
    running = []
    listen = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: running.append(logs["loss"])
    )
    model = dense(rows=1, optimizer=keras.optimizers.SGD(0.0))
    history = model.fit(
        np.zeros((4, 1)), np.arange(4.0), batch_size=1, shuffle=False, verbose=0, callbacks=[listen]
    ).history
    np.testing.assert_allclose(running, [0, 0.5, 5 / 3, 3.5], rtol=1e-6)  # batches: 0, 1, 4, 9
    assert history["loss"] == running[-1:]


@pytest.mark.parametrize("method", ["evaluate", "test_on_batch"])
def test_metrics_of_an_epoch_survive_what_a_callback_measures(method: str) -> None:
    measured = []

    class Measure(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            options = {"verbose": 0} if method == "evaluate" else {}
            measured.append(getattr(self.model, method)(X[:1], SCORE[:1], **options))

    histories = []
    for callbacks in ([], [Measure()]):
        model = dense(1, metrics=["mae"])
        fit = {"batch_size": 5, "shuffle": False, "verbose": 0, "callbacks": callbacks}
        histories.append(model.fit(X, SCORE, **fit).history)
    assert histories[0] == histories[1]
    assert len(measured) == 5
    np.testing.assert_allclose(measured[-1], model.evaluate(X[:1], SCORE[:1], verbose=0), rtol=1e-6)


# -- structures of several outputs -----------------------------------------------------------------

EXPECTED = ["loss", "a_loss", "b_loss"]
STRUCTURES = {
    "one loss": ({"loss": "mse"}, {}, EXPECTED),
    "list": ({"loss": ["mse", "mse"]}, {}, EXPECTED),
    "dict": ({"loss": {"b": "mse", "a": "mse"}}, {}, EXPECTED),
    "part of a dict": ({"loss": {"a": "mse"}}, {}, ["loss", "a_loss"]),
    "None in a list": ({"loss": [None, "mse"]}, {}, ["loss", "b_loss"]),
    "one loss, weights": ({"loss": "mse", "loss_weights": [2.0, 0.2]}, {}, EXPECTED),
    "part of loss weights": ({"loss": "mse", "loss_weights": {"a": 3.0}}, {}, EXPECTED),
    "flat metrics": (
        {"metrics": ["mae", "mse"]},
        {},
        [*EXPECTED, "a_mae", "a_mse", "b_mae", "b_mse"],
    ),
    "one metric": ({"metrics": ["mae"]}, {}, [*EXPECTED, "a_mae", "b_mae"]),
    "nested metrics": ({"metrics": [["mae"], ["mse"]]}, {}, [*EXPECTED, "a_mae", "b_mse"]),
    "dict of metrics": ({"metrics": {"b": ["mse"]}}, {}, [*EXPECTED, "b_mse"]),
    "dict of one metric": ({"metrics": {"b": "mse"}}, {}, [*EXPECTED, "b_mse"]),
    "weights for all": ({}, {"sample_weight": {"a": WEIGHTS, "b": WEIGHTS}}, EXPECTED),
    "weights for one": ({}, {"sample_weight": {"a": WEIGHTS}}, EXPECTED),
    "one array of weights": ({}, {"sample_weight": WEIGHTS}, EXPECTED),
    "a list with None": ({}, {"sample_weight": [WEIGHTS, None]}, EXPECTED),
}


@pytest.mark.parametrize("case", STRUCTURES)
def test_structures_of_losses_metrics_and_weights(case: str) -> None:
    compile_arguments, options, names = STRUCTURES[case]
    model = two_outputs(**compile_arguments)
    result = model.evaluate(X, [SCORE, ONE_HOT], verbose=0, **options)
    assert model.metrics_names == names
    given = options.get("sample_weight")
    weights = dict.fromkeys("ab") if given is None else None
    if isinstance(given, dict):
        weights = {"a": given.get("a"), "b": given.get("b")}
    elif isinstance(given, list):
        weights = dict(zip("ab", given, strict=True))
    elif given is not None:
        weights = {"a": given, "b": given}
    expected = {}
    for output, target, prediction in zip("ab", [SCORE, ONE_HOT], model.predict(X), strict=True):
        w = 1 if weights[output] is None else weights[output][:, None]
        expected[f"{output}_loss"] = (np.square(prediction - target) * w).mean()
        expected[f"{output}_mse"] = np.square(prediction - target).mean()
        expected[f"{output}_mae"] = np.abs(prediction - target).mean()
    factors = compile_arguments.get("loss_weights", {})
    factors = dict(zip("ab", factors, strict=True)) if isinstance(factors, list) else factors
    expected["loss"] = sum(
        factors.get(name[0], 1.0) * expected[name] for name in names if name.endswith("_loss")
    )
    for name, value in zip(names, result, strict=True):
        assert value == pytest.approx(expected[name], rel=1e-5), name


def test_dict_outputs_go_by_their_keys() -> None:
    inputs = keras.Input((4,))
    model = keras.Model(
        inputs, {"p": layers.Dense(1, name="a")(inputs), "q": layers.Dense(3, name="b")(inputs)}
    )
    model.compile("sgd", {"p": "mse", "q": "mae"}, metrics={"p": ["mae"]})
    model.evaluate(X, {"q": ONE_HOT, "p": SCORE}, verbose=0)
    assert model.metrics_names == ["loss", "p_loss", "q_loss", "p_mae"]


def test_class_weight_by_output_and_times_sample_weight() -> None:
    model = two_outputs(
        loss={"a": "mse", "b": keras.losses.CategoricalCrossentropy(from_logits=True)},
        optimizer=keras.optimizers.SGD(0.0),
    )
    by_class = {0: 1.0, 1: 2.0, 2: 3.0}
    logs = model.fit(
        X, [SCORE, ONE_HOT], class_weight={"b": by_class}, sample_weight={"b": WEIGHTS},
        shuffle=False, verbose=0,
    ).history  # fmt: skip
    logits = torch.from_numpy(model.predict(X)[1])
    losses = torch.nn.functional.cross_entropy(
        logits, torch.from_numpy(LABELS), reduction="none"
    ).numpy()
    weights = np.array([by_class[label] for label in LABELS]) * WEIGHTS
    assert logs["b_loss"][0] == pytest.approx((losses * weights).mean(), rel=1e-5)


def test_two_metrics_of_one_name_are_told_apart() -> None:
    model = dense(1, metrics=["mse", keras.metrics.MeanSquaredError(name="mse")])
    with pytest.warns(UserWarning, match="'mse_1'"):
        model.evaluate(X, SCORE, verbose=0)
    assert model.metrics_names == ["loss", "mse", "mse_1"]
