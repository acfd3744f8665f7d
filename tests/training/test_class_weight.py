"""class_weight: the same as giving each sample its class's weight."""

import numpy as np
import pytest
import torch

import kerastorch as keras
from kerastorch import layers

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 5)).astype("float32")
Y = RNG.integers(0, 3, size=40)
GIVEN = {0: 0.5, 1: 2.0, 2: 0.0}
BY_SAMPLE = np.array([GIVEN[label] for label in Y], dtype="float32")


def trained(x=X, y=Y, loss="sparse_categorical_crossentropy", **arguments) -> list[np.ndarray]:
    torch.manual_seed(0)
    model = keras.Sequential([keras.Input((5,)), layers.Dense(3, activation="softmax")])
    model.compile("sgd", loss)
    model.fit(x, y, shuffle=False, verbose=0, epochs=2, **arguments)
    return [*model.get_weights(), np.array(model.history.history["loss"])]


def assert_equal(a, b) -> None:
    for u, v in zip(a, b, strict=True):
        np.testing.assert_allclose(u, v, rtol=1e-6, atol=1e-7)


def test_equals_sample_weights() -> None:
    expected = trained(sample_weight=BY_SAMPLE)
    assert_equal(trained(class_weight=GIVEN), expected)
    assert_equal(trained(y=Y.astype("float32")[:, None], class_weight=GIVEN), expected)
    one_hot = np.eye(3, dtype="float32")[Y]
    assert_equal(trained(y=one_hot, loss="categorical_crossentropy", class_weight=GIVEN), expected)
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)), batch_size=32
    )
    assert_equal(trained(x=loader, y=None, class_weight=GIVEN), expected)


def test_multiplies_sample_weights() -> None:
    weights = RNG.uniform(size=40).astype("float32")
    assert_equal(
        trained(sample_weight=weights, class_weight=GIVEN),
        trained(sample_weight=weights * BY_SAMPLE),
    )


def test_classes_left_out_weigh_one_and_are_named_once() -> None:
    with pytest.warns(UserWarning, match=r"no entry for the classes \[0, 2\]"):
        result = trained(class_weight={1: 2.0})
    assert_equal(result, trained(class_weight={0: 1.0, 1: 2.0, 2: 1.0}))


def test_by_output_name() -> None:
    def model():
        torch.manual_seed(0)
        inputs = keras.Input((5,))
        kind = layers.Dense(3, activation="softmax", name="kind")(inputs)
        m = keras.Model(inputs, [layers.Dense(1, name="score")(inputs), kind])
        m.compile("sgd", ["mse", "sparse_categorical_crossentropy"])
        return m

    score = RNG.normal(size=(40, 1)).astype("float32")
    a, b = model(), model()
    a.fit(X, [score, Y], class_weight={"kind": GIVEN}, shuffle=False, verbose=0)
    b.fit(X, [score, Y], sample_weight={"kind": BY_SAMPLE}, shuffle=False, verbose=0)
    for u, v in zip(a.get_weights(), b.get_weights(), strict=True):
        np.testing.assert_allclose(u, v, rtol=1e-6)
    with pytest.raises(ValueError, match="which of the outputs"):
        a.fit(X, [score, Y], class_weight=GIVEN, verbose=0)
    with pytest.raises(ValueError, match="'sort'"):
        a.fit(X, [score, Y], class_weight={"sort": GIVEN}, verbose=0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"1": 2.0}, "class numbers"),
        ({-1: 2.0}, "class numbers"),
        ({1: "2"}, "numbers >= 0"),
        ({1: -2.0}, "numbers >= 0"),
        ({}, "must be a dict"),
        ([1.0, 2.0], "must be a dict"),
    ],
)
def test_refuses(given, message) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        trained(class_weight=given)
