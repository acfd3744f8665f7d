"""fit, evaluate and predict: against Keras, against a plain loop, and their promises."""

import copy

import keras as oracle
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import kerastorch as keras
from kerastorch import layers

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 6)).astype("float32")
Y = RNG.integers(0, 3, size=50)
ONE_HOT = np.eye(3, dtype="float32")[Y]
WEIGHTS = RNG.uniform(0, 2, size=50).astype("float32")


def classifier(library=keras, **dense):
    inputs = library.Input((6,))
    x = library.layers.Dense(8, activation="tanh", **dense)(inputs)
    return library.Model(inputs, library.layers.Dense(3, activation="softmax")(x))


def pair(**dense):
    """The same model here and in Keras."""
    ours, theirs = classifier(keras, **dense), classifier(oracle, **dense)
    theirs.set_weights(ours.get_weights())
    return ours, theirs


def assert_same_weights(ours, theirs, tolerance=1e-5) -> None:
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adam", "adagrad"])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_fit_agrees_with_keras(optimizer: str, weights) -> None:
    ours, theirs = pair()
    arguments = {
        "optimizer": optimizer,
        "loss": "sparse_categorical_crossentropy",
        "metrics": ["accuracy"],
        "weighted_metrics": ["sparse_categorical_crossentropy"],
    }
    ours.compile(**arguments)
    theirs.compile(**arguments)
    fit = {
        "batch_size": 16,
        "epochs": 3,
        "shuffle": False,
        "verbose": 0,
        "validation_split": 0.2,
        "sample_weight": weights,
    }
    mine, other = ours.fit(X, Y, **fit), theirs.fit(X, Y, **fit)
    assert mine.epoch == other.epoch == [0, 1, 2]
    assert set(mine.history) == set(other.history)
    for name, values in other.history.items():
        np.testing.assert_allclose(mine.history[name], values, rtol=1e-5, atol=1e-5, err_msg=name)
    assert_same_weights(ours, theirs)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X, verbose=0), atol=1e-5)


def test_regularizers_count_in_loss_and_updates() -> None:
    ours, theirs = pair(kernel_regularizer="l2", bias_regularizer="l1", activity_regularizer="l2")
    for model in (ours, theirs):
        model.compile("sgd", "categorical_crossentropy")
    mine = ours.fit(X, ONE_HOT, epochs=2, shuffle=False, verbose=0).history["loss"]
    other = theirs.fit(X, ONE_HOT, epochs=2, shuffle=False, verbose=0).history["loss"]
    np.testing.assert_allclose(mine, other, rtol=1e-5)
    assert_same_weights(ours, theirs)
    np.testing.assert_allclose(
        ours.evaluate(X, ONE_HOT, verbose=0), theirs.evaluate(X, ONE_HOT, verbose=0), rtol=1e-5
    )


def test_constraints_hold_after_each_update() -> None:
    ours, theirs = pair(kernel_constraint="non_neg")
    for model in (ours, theirs):
        model.compile("sgd", "categorical_crossentropy")
        model.fit(X, ONE_HOT, shuffle=False, verbose=0)
    assert ours.get_weights()[0].min() >= 0
    assert_same_weights(ours, theirs)


def test_epoch_loss_is_the_mean_over_samples() -> None:
    model = keras.Sequential([keras.Input((1,)), layers.Dense(1, use_bias=False)])
    model.set_weights([np.zeros((1, 1))])
    model.compile(keras.optimizers.SGD(0.0), "mse")
    y = np.array([1.0, 1.0, 1.0, 5.0])
    history = model.fit(np.zeros((4, 1)), y, batch_size=3, verbose=0).history
    assert history["loss"] == [7.0]


@pytest.mark.parametrize("weights", [None, WEIGHTS, np.r_[np.zeros(16), np.ones(34)]])
def test_evaluate_is_the_same_for_every_batch_size(weights) -> None:
    model = classifier()
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    results = [
        model.evaluate(X, Y, sample_weight=weights, batch_size=size, verbose=0)
        for size in (1, 3, 16, 50, 1000)
    ]
    for result in results[1:]:
        np.testing.assert_allclose(result, results[0], rtol=1e-6)


def test_batch_logs_are_running_means() -> None:
    seen = []

    class Listen(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            assert isinstance(logs, dict)
            seen.append(logs.get("loss"))

    model = keras.Sequential([keras.Input((1,)), layers.Dense(1, use_bias=False)])
    model.set_weights([np.zeros((1, 1))])
    model.compile(keras.optimizers.SGD(0.0), "mse")
    y = np.sqrt(np.array([0.0, 1.0, 4.0, 9.0]))
    model.fit(np.zeros((4, 1)), y, batch_size=1, shuffle=False, verbose=0, callbacks=[Listen()])
    assert all(type(value) is float for value in seen)
    np.testing.assert_allclose(seen, [0.0, 0.5, 5 / 3, 3.5], rtol=1e-6)


def test_logs_that_are_kept_keep_their_values() -> None:
    kept = []

    class Keep(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            kept.append(logs)

    model = classifier()
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(X, Y, batch_size=10, verbose=0, callbacks=[Keep()])
    values = [logs["loss"] for logs in kept]
    assert len(set(values)) == 5
    assert {**kept[0]} == dict(kept[0]) == {"loss": values[0]}


def test_validation_split_takes_the_last_rows_before_shuffling() -> None:
    seen = {"train": [], "test": []}

    class Spy(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(1)

        def train_step(self, data):
            seen["train"].append(data[0][:, 0])
            return super().train_step(data)

        def test_step(self, data):
            seen["test"].append(data[0][:, 0])
            return super().test_step(data)

        def call(self, inputs):
            return self.dense(inputs)

    model = Spy()
    model.compile("sgd", "mse")
    rows = np.arange(10, dtype="float32").reshape(10, 1)
    model.fit(rows, rows, validation_split=0.3, epochs=2, batch_size=4, verbose=0)
    assert torch.cat(seen["test"]).tolist() == [7, 8, 9, 7, 8, 9]
    train = torch.cat(seen["train"]).tolist()
    assert sorted(train[:7]) == sorted(train[7:]) == list(range(7))
    assert train[:7] != train[7:]


def test_metrics_of_the_epoch_survive_an_evaluation_within_it() -> None:
    histories = []

    class Peek(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.evaluate(X[:7], Y[:7], verbose=0)
            assert self.model.training

    for callbacks in ([], [Peek()]):
        torch.manual_seed(0)
        model = classifier()
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
        histories.append(model.fit(X, Y, batch_size=10, verbose=0, callbacks=callbacks).history)
    assert histories[0] == histories[1]


def test_runs_with_one_seed_are_bit_identical() -> None:
    results = []
    for _ in range(2):
        torch.manual_seed(5)
        model = classifier()
        model.compile("adam", "sparse_categorical_crossentropy")
        model.fit(X, Y, epochs=2, verbose=0)
        results.append(model.get_weights())
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


def test_train_step_in_the_style_of_the_guide() -> None:
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(3, activation="softmax")

        def call(self, inputs):
            return self.dense(inputs)

        def train_step(self, data):
            x, y = data
            y_pred = self(x, training=True)
            loss = self.compute_loss(y=y, y_pred=y_pred)
            self.zero_grad()
            loss.backward()
            trainable = list(self.trainable_weights)
            gradients = [weight.grad for weight in trainable]
            with torch.no_grad():
                self.optimizer.apply(gradients, trainable)
            for metric in self.metrics:
                if metric.name == "loss":
                    metric.update_state(loss)
                else:
                    metric.update_state(y, y_pred)
            return {metric.name: metric.result() for metric in self.metrics}

    model = Own()
    model.build((None, 6))
    plain = keras.Sequential([keras.Input((6,)), layers.Dense(3, activation="softmax")])
    plain.set_weights(model.get_weights())
    for each in (model, plain):
        each.compile(
            "adam", "sparse_categorical_crossentropy", metrics=["sparse_categorical_accuracy"]
        )
    histories = [
        each.fit(X, Y, batch_size=10, epochs=2, shuffle=False, verbose=0).history
        for each in (model, plain)
    ]
    assert list(histories[0]) == list(histories[1]) == ["loss", "sparse_categorical_accuracy"]
    for name in histories[0]:
        np.testing.assert_allclose(histories[0][name], histories[1][name], rtol=1e-6)
    assert_same_weights(model, plain)


def test_own_test_and_predict_steps() -> None:
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(3)

        def call(self, inputs):
            return self.dense(inputs)

        def test_step(self, data):
            return {"rows": data[0].shape[0]}

        def predict_step(self, data):
            return super().predict_step(data) * 0 + 7

    model = Own()
    model.compile("sgd", "mse")
    assert model.evaluate(X, ONE_HOT, return_dict=True, batch_size=50, verbose=0) == {"rows": 50}
    assert (model.predict(X) == 7).all()


def two_outputs(**compile_arguments) -> keras.Model:
    a, b = keras.Input((6,), name="a"), keras.Input((6,), name="b")
    x = layers.concatenate([a, b])
    model = keras.Model([a, b], [layers.Dense(1, name="score")(x), layers.Dense(3, name="kind")(x)])
    model.compile("sgd", **compile_arguments)
    return model


SCORE = RNG.normal(size=(50, 1)).astype("float32")


def test_names_and_order_of_several_outputs() -> None:
    model = two_outputs(
        loss={"score": "mse", "kind": keras.losses.CategoricalCrossentropy(from_logits=True)},
        metrics={"score": ["mape", "mae"], "kind": ["categorical_accuracy"]},
        loss_weights={"score": 2.0},
    )
    names = [
        "loss",
        "score_loss",
        "kind_loss",
        "score_mape",
        "score_mae",
        "kind_categorical_accuracy",
    ]
    history = model.fit([X, X], [SCORE, ONE_HOT], verbose=0, validation_split=0.2).history
    assert list(history) == names + [f"val_{name}" for name in names]
    assert model.metrics_names == names
    values = model.evaluate({"a": X, "b": X}, {"kind": ONE_HOT, "score": SCORE}, verbose=0)
    results = dict(zip(names, values, strict=True))
    score, kind = model.predict([X, X])
    logits = torch.from_numpy(kind)
    mse = np.square(score - SCORE).mean()
    cross = torch.nn.functional.cross_entropy(logits, torch.from_numpy(ONE_HOT)).item()
    assert results["score_loss"] == pytest.approx(mse, rel=1e-5)
    assert results["kind_loss"] == pytest.approx(cross, rel=1e-5)
    assert results["loss"] == pytest.approx(2 * mse + cross, rel=1e-5)
    assert results["score_mae"] == pytest.approx(np.abs(score - SCORE).mean(), rel=1e-5)


@pytest.mark.parametrize(
    ("loss", "targets", "names"),
    [
        ("mse", [SCORE, ONE_HOT], ["loss", "score_loss", "kind_loss"]),
        (["mse", "mae"], [SCORE, ONE_HOT], ["loss", "score_loss", "kind_loss"]),
        ([None, "mse"], ONE_HOT, ["loss", "kind_loss"]),
        ([None, "mse"], [SCORE, ONE_HOT], ["loss", "kind_loss"]),
        ({"score": "mse"}, {"score": SCORE}, ["loss", "score_loss"]),
    ],
)
def test_forms_of_losses(loss, targets, names) -> None:
    model = two_outputs(loss=loss)
    history = model.fit([X, X], targets, verbose=0).history
    assert list(history) == names
    assert all(np.isfinite(values).all() for values in history.values())


def test_flat_metrics_go_to_every_output() -> None:
    model = two_outputs(loss="mse", metrics=["mae", "mse"])
    model.fit([X, X], [SCORE, ONE_HOT], verbose=0)
    assert model.metrics_names[3:] == ["score_mae", "score_mse", "kind_mae", "kind_mse"]


def test_sample_weights_by_output() -> None:
    model = two_outputs(loss="mse")
    zeros = np.zeros(50)
    result = model.evaluate(
        [X, X], [SCORE, ONE_HOT], sample_weight={"score": zeros}, return_dict=True, verbose=0
    )
    assert result["score_loss"] == 0
    assert result["kind_loss"] == pytest.approx(result["loss"])


def test_dict_outputs() -> None:
    inputs = keras.Input((6,))
    model = keras.Model(inputs, {"p": layers.Dense(1)(inputs), "q": layers.Dense(3)(inputs)})
    model.compile("sgd", loss={"p": "mse", "q": "mae"}, metrics={"q": ["mse"]})
    model.fit(X, {"q": ONE_HOT, "p": SCORE}, verbose=0)
    assert model.metrics_names == ["loss", "p_loss", "q_loss", "q_mse"]
    assert {k: v.shape for k, v in model.predict(X).items()} == {"p": (50, 1), "q": (50, 3)}


def test_training_on_added_losses_alone() -> None:
    class Endpoint(layers.Layer):
        def __init__(self):
            super().__init__()
            self.loss_fn = keras.losses.MeanSquaredError()
            self.metric = keras.metrics.MeanAbsoluteError(name="error")

        def call(self, targets, values):
            self.add_loss(self.loss_fn(targets, values))
            self.metric.update_state(targets, values)
            return values

    inputs, targets = keras.Input((6,), name="inputs"), keras.Input((3,), name="targets")
    model = keras.Model([inputs, targets], Endpoint()(targets, layers.Dense(3)(inputs)))
    model.compile("sgd")
    history = model.fit({"inputs": X, "targets": ONE_HOT}, epochs=5, verbose=0).history
    assert list(history) == ["loss", "error"]
    assert history["loss"][-1] < history["loss"][0]


def test_gradient_accumulation_counts_the_tail_of_an_epoch() -> None:
    models = []
    for options in ({}, {"gradient_accumulation_steps": 4}):
        torch.manual_seed(0)
        model = classifier()
        model.compile(keras.optimizers.SGD(0.1, **options), "sparse_categorical_crossentropy")
        models.append(model)
    big, small = models
    big.fit(X[:20], Y[:20], batch_size=20, shuffle=False, verbose=0)
    small.fit(X[:20], Y[:20], batch_size=5, shuffle=False, verbose=0)
    assert_same_weights(big, small)
    small.fit(X[:10], Y[:10], batch_size=5, shuffle=False, verbose=0)
    big.fit(X[:10], Y[:10], batch_size=10, shuffle=False, verbose=0)
    assert_same_weights(big, small)
    assert int(small.optimizer.iterations) == 2


def test_initial_epoch_and_stop_training() -> None:
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch == 3

    model = classifier()
    model.compile("sgd", "sparse_categorical_crossentropy")
    assert model.fit(X, Y, initial_epoch=2, epochs=9, verbose=0, callbacks=[Stop()]).epoch == [2, 3]
    assert model.fit(X, Y, initial_epoch=5, epochs=5, verbose=0).epoch == []


def test_interrupt_runs_the_last_hook_and_keeps_the_history() -> None:
    ended = []

    class Interrupt(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

        def on_train_end(self, logs=None):
            ended.append(True)

    model = classifier()
    model.compile("sgd", "sparse_categorical_crossentropy")
    history = keras.callbacks.History()
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, epochs=5, verbose=0, callbacks=[history, Interrupt()])
    assert ended == [True]
    assert history.epoch == [0, 1]
    assert not model.training


def test_single_batches() -> None:
    ours, theirs = pair()
    for model in (ours, theirs):
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    for _ in range(3):
        np.testing.assert_allclose(
            ours.train_on_batch(X, Y), theirs.train_on_batch(X, Y), rtol=1e-5
        )
    for model in (ours, theirs):
        model.reset_metrics()
    np.testing.assert_allclose(ours.test_on_batch(X, Y), theirs.test_on_batch(X, Y), rtol=1e-5)
    np.testing.assert_allclose(ours.predict_on_batch(X), theirs.predict_on_batch(X), atol=1e-6)
    assert set(ours.train_on_batch(X, Y, return_dict=True)) == {"loss", "accuracy"}


def test_data_loader() -> None:
    data = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    loader = torch.utils.data.DataLoader(data, batch_size=16)

    class Lazy(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(3, activation="softmax")

        def call(self, inputs):
            return self.dense(inputs)

    model = Lazy()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(loader, epochs=3, validation_data=loader, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    np.testing.assert_allclose(
        model.evaluate(loader, verbose=0), model.evaluate(X, Y, verbose=0), rtol=1e-5
    )
    assert model.predict(loader).shape == (50, 3)


@pytest.mark.parametrize(
    "convert",
    [
        np.asarray,
        torch.as_tensor,
        lambda a: a.tolist(),
        lambda a: a.astype(object),
        lambda a: a.astype("float16"),
        lambda a: a.astype(">f4"),
        lambda a: np.asfortranarray(a),
        lambda a: a[::-1][::-1],
    ],
    ids=["numpy", "torch", "lists", "objects", "half", "big-endian", "fortran", "negative strides"],
)
def test_kinds_of_arrays(convert) -> None:
    model = classifier()
    model.compile("sgd", "sparse_categorical_crossentropy")
    expected = model.evaluate(X, Y, verbose=0)
    assert model.evaluate(convert(X), Y.tolist(), verbose=0) == pytest.approx(expected, rel=1e-3)


def test_integer_inputs_become_floats() -> None:
    model = classifier()
    images = RNG.integers(0, 255, size=(4, 6)).astype("uint8")
    np.testing.assert_allclose(model.predict(images), model.predict(images.astype("float32")))


def test_one_train_step_on_the_meta_device() -> None:
    """A train step that makes a tensor on the wrong device, or asks for a value, raises here."""
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(4, 3, padding="same", kernel_regularizer="l2")(inputs)
    x = layers.BatchNormalization()(x)
    x = layers.MaxPooling2D()(layers.Activation("relu")(x))
    x = layers.Add()([x, layers.Identity()(x)])
    pooled = layers.GlobalMaxPooling2D()(x)
    words = keras.Input((7,), dtype="int64")
    w = layers.Conv1D(4, 3)(layers.Embedding(20, 5)(words))
    x = layers.Concatenate()([pooled, layers.GlobalMaxPooling1D()(w), layers.Flatten()(x)])
    x = layers.Dropout(0.5)(layers.Lambda(torch.tanh)(x))
    model = keras.Model([inputs, words], layers.Dense(3, activation="softmax")(x))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.to("meta")
    model.train()
    batch = (
        (
            torch.empty(4, 16, 16, 3, device="meta"),
            torch.empty(4, 7, dtype=torch.int64, device="meta"),
        ),
        torch.empty(4, dtype=torch.int64, device="meta"),
    )
    logs = model.train_step(batch)
    assert logs is not None
    assert {t.device.type for t in model.state_dict().values()} == {"meta"}


def test_shuffle_by_batch_keeps_batches_whole() -> None:
    seen = []

    class Spy(keras.Model):
        def call(self, inputs):
            return inputs

        def train_step(self, data):
            seen.append(data[0][:, 0].tolist())
            return {"loss": 0.0}

    model = Spy()
    model.compile("sgd", "mse")
    rows = np.arange(40, dtype="float32").reshape(40, 1)
    model.fit(rows, rows, batch_size=4, shuffle="batch", verbose=0)
    assert sorted(seen) == [[float(4 * i + j) for j in range(4)] for i in range(10)]
    assert seen != sorted(seen)


def test_deepcopy_of_a_compiled_model_goes_on_alone() -> None:
    model = classifier()
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(X, Y, verbose=0, shuffle=False)
    twin = copy.deepcopy(model)
    before = model.get_weights()
    twin.fit(X, Y, verbose=0, shuffle=False)
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
    model.fit(X, Y, verbose=0, shuffle=False)
    assert_same_weights(model, twin)


def test_own_step_on_what_the_model_does_not_take() -> None:
    """The model needs no call, `x` alone comes as itself (in a stream: as it was given), of any shape."""
    seen = []

    class Pairs(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = layers.Dense(3)

        def train_step(self, data):
            seen.append(type(data))
            x = data if isinstance(data, torch.Tensor) else data[0]
            loss = (self.dense(x[:, 0]) - self.dense(x[:, 1])).square().mean()
            self.zero_grad()
            loss.backward()
            with torch.no_grad():
                self.optimizer.apply([p.grad for p in self.parameters()], list(self.parameters()))
            return {"loss": loss}

        test_step = train_step

    class Known(Pairs):
        """A graph, which takes something else."""

        def __init__(self) -> None:
            inputs = keras.Input((4,))
            dense = layers.Dense(3)
            keras.Model.__init__(self, inputs, dense(inputs))
            self.dense = dense

    x = np.random.default_rng(0).normal(size=(20, 2, 4)).astype("float32")
    stream = DataLoader(TensorDataset(torch.from_numpy(x)), 8)
    for model in (Pairs(), Known()):
        model.compile("sgd")
        seen.clear()
        losses = model.fit(x, epochs=2, batch_size=8, verbose=0, validation_data=None).history[
            "loss"
        ]
        assert losses[1] < losses[0]
        model.train_on_batch(x)
        assert set(seen) == {torch.Tensor}
        seen.clear()
        model.fit(stream, verbose=0)
        assert set(seen) == {tuple}
        with pytest.raises((NotImplementedError, ValueError), match=r"call\(\)|must have shape"):
            model.predict(x, verbose=0)
