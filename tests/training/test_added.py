"""add_loss and add_metric in layers, as the guide uses them."""

import numpy as np
import pytest
import torch

import kerastorch as keras
from kerastorch import layers

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 5)).astype("float32")
Y = RNG.integers(0, 3, size=40)


class Report(layers.Layer):
    def call(self, inputs):
        self.add_metric(keras.backend.std(inputs), name="std", aggregation="mean")
        return inputs


class Penalty(layers.Layer):
    def call(self, inputs):
        self.add_loss(torch.sum(inputs) * 0.1)
        return inputs


class Endpoint(layers.Layer):
    def __init__(self, name=None):
        super().__init__(name=name)
        self.loss_fn = keras.losses.BinaryCrossentropy(from_logits=True)
        self.accuracy_fn = keras.metrics.BinaryAccuracy()

    def call(self, targets, logits, sample_weights=None):
        self.add_loss(self.loss_fn(targets, logits, sample_weights))
        accuracy = self.accuracy_fn(targets, logits, sample_weights)
        self.add_metric(accuracy, name="accuracy")
        return torch.softmax(logits, dim=-1)


def test_reported_values_are_means_over_the_batches_of_an_epoch() -> None:
    inputs = keras.Input((5,))
    model = keras.Model(inputs, layers.Dense(3)(Report()(inputs)))
    model.compile("sgd", "mse")
    history = model.fit(
        X, np.eye(3)[Y], batch_size=10, epochs=2, shuffle=False, validation_data=(X[:10], np.eye(3)[Y[:10]]), verbose=0
    ).history  # fmt: skip
    assert list(history) == ["loss", "std", "val_loss", "val_std"]
    expected = np.mean([part.std() for part in np.split(X, 4)])
    np.testing.assert_allclose(history["std"], [expected] * 2, rtol=1e-5)
    np.testing.assert_allclose(history["val_std"], [X[:10].std()] * 2, rtol=1e-5)
    assert model.metrics_names == ["loss", "std"]


def test_added_losses_count_as_they_stand() -> None:
    inputs = keras.Input((5,))
    model = keras.Model(inputs, layers.Dense(3, use_bias=False)(Penalty()(inputs)))
    model.compile(keras.optimizers.SGD(0.0), "mse")
    one_hot = np.eye(3, dtype="float32")[Y]
    loss = model.evaluate(X, one_hot, batch_size=40, verbose=0)
    mse = np.square(model.predict(X) - one_hot).mean()
    assert loss == pytest.approx(mse + 0.1 * X.sum(), rel=1e-5)
    assert model.fit(X, one_hot, batch_size=40, verbose=0).history["loss"][0] == pytest.approx(loss)


def test_a_layer_called_twice_adds_twice() -> None:
    inputs = keras.Input((5,))
    penalty = Penalty()
    model = keras.Model(inputs, penalty(penalty(inputs)))
    model.compile("sgd")
    loss = model.evaluate(X, batch_size=40, verbose=0)
    assert loss == pytest.approx(0.2 * X.sum(), rel=1e-5)


def test_endpoint_layer_with_its_own_loss_and_metric() -> None:
    inputs = keras.Input(shape=(3,), name="inputs")
    targets = keras.Input(shape=(10,), name="targets")
    logits = layers.Dense(10)(inputs)
    model = keras.Model([inputs, targets], Endpoint(name="predictions")(targets, logits))
    model.compile(optimizer="adam")
    data = {"inputs": RNG.random((6, 3)), "targets": RNG.integers(0, 2, (6, 10)).astype("float32")}
    history = model.fit(data, verbose=0, batch_size=6).history
    assert list(history) == ["loss", "binary_accuracy"]
    results = model.evaluate(data, verbose=0, return_dict=True)
    raw = model.layers[2](torch.from_numpy(data["inputs"].astype("float32"))).detach()
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        raw, torch.from_numpy(data["targets"])
    )
    assert results["loss"] == pytest.approx(expected.item(), rel=1e-5)
    accuracy = ((raw.numpy() > 0.5) == data["targets"]).mean()
    assert results["binary_accuracy"] == pytest.approx(accuracy)


def test_a_metric_that_no_layer_holds_is_reported_too() -> None:
    metric = keras.metrics.Mean(name="mean_input")

    class Outside(layers.Layer):
        def call(self, inputs):
            self.add_metric(metric(inputs))
            return inputs

    inputs = keras.Input((5,))
    model = keras.Model(inputs, layers.Dense(1)(Outside()(inputs)))
    model.compile("sgd", "mse")
    results = model.evaluate(X, np.zeros(40), verbose=0, return_dict=True)
    assert results["mean_input"] == pytest.approx(X.mean(), abs=1e-6)


def test_refuses() -> None:
    with pytest.raises(ValueError, match="give the value a `name`"):
        Report().add_metric(torch.ones(()))
    with pytest.raises(ValueError, match="`aggregation`"):
        Report().add_metric(torch.ones(()), "a", aggregation="sum")
    inputs = keras.Input((5,))
    model = keras.Model(inputs, layers.Dense(1)(inputs))
    model.compile("sgd")
    with pytest.raises(ValueError, match="nothing to minimise"):
        model.fit(X, verbose=0)


def test_functional_add_loss_and_add_metric() -> None:
    """The guide's functional version: a penalty and a report on an inner tensor."""
    inputs = keras.Input((5,), name="digits")
    x1 = layers.Dense(4, activation="relu", name="dense_1")(inputs)
    model = keras.Model(inputs, layers.Dense(3, name="predictions")(x1))
    model.add_loss(torch.sum(x1) * 0.1)
    model.add_metric(keras.backend.std(x1), name="std_of_activation", aggregation="mean")
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = model.fit(X, Y, batch_size=20, shuffle=False, verbose=0).history
    assert list(history) == ["loss", "std_of_activation"]

    results = model.evaluate(X, Y, batch_size=40, verbose=0, return_dict=True)
    hidden = keras.Model(inputs, x1).predict(X)
    cross = torch.nn.functional.cross_entropy(
        torch.from_numpy(model.predict(X)), torch.from_numpy(Y)
    )
    assert results["loss"] == pytest.approx(cross.item() + 0.1 * hidden.sum(), rel=1e-5)
    assert results["std_of_activation"] == pytest.approx(hidden.std(), rel=1e-5)

    twin = keras.Model.from_config(model.get_config())
    twin.load_state_dict(model.state_dict())
    twin.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    assert twin.evaluate(X, Y, batch_size=40, verbose=0, return_dict=True) == pytest.approx(results)


def test_functional_add_loss_alone() -> None:
    inputs = keras.Input((5,))
    outputs = layers.Dense(5)(inputs)
    model = keras.Model(inputs, outputs)
    model.add_loss(torch.mean(torch.abs(outputs - inputs)))
    model.compile("adam")
    losses = model.fit(X, epochs=5, verbose=0).history["loss"]
    assert losses == sorted(losses, reverse=True)
    with pytest.raises(ValueError, match="'other'"):
        model.add_loss(keras.Input((1,), name="other").sum())
    for _ in range(2):
        model(torch.from_numpy(X))
        assert len(model.losses) == 1
