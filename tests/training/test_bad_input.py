"""Bad input gets an error in the caller's words, and nothing has changed."""

import copy

import numpy as np
import pytest
import torch

import kerastorch as keras
from kerastorch import layers

X = np.random.default_rng(0).normal(size=(12, 4)).astype("float32")
Y = np.arange(12) % 3


def model() -> keras.Model:
    inputs = keras.Input((4,), name="features")
    m = keras.Model(inputs, layers.Dense(3, activation="softmax", name="scores")(inputs))
    m.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return m


FIT = {
    "wrong feature count": (
        {"x": X[:, :3], "y": Y},
        ValueError,
        r"'features'.*\(None, 4\).*\(12, 3\)",
    ),
    "wrong rank": ({"x": X[:, None], "y": Y}, ValueError, r"'features'.*\(None, 4\)"),
    "no data": ({}, ValueError, "`x` is missing"),
    "no targets": ({"x": X}, ValueError, "no targets"),
    "lengths differ": ({"x": X, "y": Y[:5]}, ValueError, "x has 12, y has 5"),
    "weights differ": (
        {"x": X, "y": Y, "sample_weight": np.ones(3)},
        ValueError,
        "sample_weight has 3",
    ),
    "empty": ({"x": X[:0], "y": Y[:0]}, ValueError, "empty"),
    "strings": ({"x": np.array([["a"] * 4] * 12), "y": Y}, ValueError, "x has dtype"),
    "objects": ({"x": np.array([[{}] * 4] * 12), "y": Y}, ValueError, "x holds Python objects"),
    "scalar": ({"x": 3.0, "y": Y}, TypeError, "x is float"),
    "missing input": ({"x": {"other": X}, "y": Y}, ValueError, "'features' is missing"),
    "extra input": ({"x": [X, X], "y": Y}, ValueError, "takes 1 inputs"),
    "extra output": ({"x": X, "y": [Y, Y]}, ValueError, "`y` has 2 entries"),
    "batch size 0": ({"x": X, "y": Y, "batch_size": 0}, ValueError, "`batch_size`.*0"),
    "batch size text": ({"x": X, "y": Y, "batch_size": "32"}, ValueError, "`batch_size`.*'32'"),
    "negative epochs": ({"x": X, "y": Y, "epochs": -3}, ValueError, "`epochs`.*-3"),
    "split above 1": (
        {"x": X, "y": Y, "validation_split": 1.5},
        ValueError,
        "`validation_split`.*1.5",
    ),
    "split below 0": (
        {"x": X, "y": Y, "validation_split": -0.1},
        ValueError,
        "`validation_split`.*-0.1",
    ),
    "no rows left": ({"x": X, "y": Y, "validation_split": 0.999}, ValueError, "leaves no rows"),
    "zero steps": ({"x": X, "y": Y, "steps_per_epoch": 0}, ValueError, "`steps_per_epoch`.*0"),
    "verbose": ({"x": X, "y": Y, "verbose": "loud"}, ValueError, "`verbose`"),
    "shuffle": ({"x": X, "y": Y, "shuffle": "rows"}, ValueError, "`shuffle`"),
    "not a callback": ({"x": X, "y": Y, "callbacks": ["no"]}, TypeError, "[Cc]allback"),
    "validation data": ({"x": X, "y": Y, "validation_data": (X,)}, ValueError, "validation_data"),
    "fractional labels": ({"x": X, "y": Y + 0.5}, ValueError, "target .* is not"),
    "labels out of range": ({"x": X, "y": Y + 1}, ValueError, "target .* is not"),
    "negative labels": ({"x": X, "y": Y - 1}, ValueError, "target .* is not"),
}


@pytest.mark.parametrize("case", FIT)
def test_fit_refuses(case: str) -> None:
    arguments, error, message = FIT[case]
    m = model()
    before = copy.deepcopy(m.state_dict())
    with pytest.raises(error, match=message):
        m.fit(**{"verbose": 0, **arguments})
    for key, value in m.state_dict().items():
        assert torch.equal(value, before[key])
    assert not m.training
    m.fit(X, Y, verbose=0)  # and the model is as good as before


def test_fit_and_evaluate_before_compile() -> None:
    m = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    for method in (m.fit, m.evaluate, m.train_on_batch, m.test_on_batch):
        with pytest.raises(ValueError, match=r"compile\(.*\) before"):
            method(X, Y)
    assert m.predict(X).shape == (12, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"optimizer": "adamm"}, "adamm.*'adam'"),
        ({"loss": "sparse_categorical_crossentropi"}, "Did you mean"),
        ({"metrics": ["sparse_categorical_acuracy"]}, "Did you mean"),
        ({"loss": 3}, "`loss` must be"),
        ({"metrics": "accuracy"}, r"`metrics` must be a list.*\[\.\.\.\]"),
        ({"metrics": [3]}, "not a metric"),
        ({"optimizer": None}, "optimizer"),
    ],
)
def test_compile_refuses(arguments, message) -> None:
    m = model()
    optimizer = m.optimizer
    with pytest.raises((ValueError, TypeError), match=message):
        m.compile(**{"optimizer": "sgd", **arguments})
    assert m.optimizer is optimizer


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.Dense(0), "`units`.*0"),
        (lambda: layers.Dense("3"), "`units`.*'3'"),
        (lambda: layers.Dense(3, activation="rellu"), "Did you mean"),
        (lambda: layers.Dense(3, kernel_initializer="glorot"), "glorot"),
        (lambda: layers.Dense(3, unit=3), "unknown argument 'unit'"),
        (lambda: layers.Dropout(1.5), r"`rate`.*1\.5"),
        (lambda: layers.Conv2D(4, 3, padding="full"), "`padding`.*'full'"),
        (lambda: layers.Conv2D(4, (3, 3, 3)), "`kernel_size`"),
        (lambda: layers.Conv2D(4, 3, strides=2, dilation_rate=2), "strides"),
        (lambda: keras.Input(784), r"\(784,\)"),
        (lambda: keras.Input((-1,)), "-1"),
        (lambda: layers.Dense(3)(keras.Input((None,))), "last axis"),
        (lambda: keras.Model(keras.Input((3,)), 5), "outputs"),
        (lambda: keras.Model("x", keras.Input((3,))), "inputs"),
        (lambda: keras.Model(keras.Input((3,)), keras.Input((3,), name="other") * 2), "'other'"),
        (lambda: keras.Sequential([layers.Dense(2), "relu"]), "expected a layer"),
        (
            lambda: keras.Sequential([layers.Dense(2, name="a"), layers.Dense(2, name="a")]),
            "unique",
        ),
        (lambda: keras.Sequential([layers.Dense(2)]).output_shape, "input shape is unknown"),
        (lambda: keras.Sequential([layers.Dense(2)]).count_params(), "not built"),
        (lambda: layers.Concatenate()(keras.Input((3,))), "list of tensors"),
        (lambda: model().get_layer("dense"), "no layer 'dense'"),
        (lambda: model().set_weights([X]), "expected 2 arrays, received 1"),
        (lambda: model().set_weights([X, X]), r"must have shape \(4, 3\)"),
    ],
)
def test_construction_refuses(make, message) -> None:
    with pytest.raises((ValueError, TypeError, AttributeError), match=message):
        make()


def test_constant_loss_is_explained() -> None:
    m = model()
    m.compile("sgd", loss=lambda y_true, y_pred: torch.zeros(()))
    with pytest.raises(ValueError, match="does not depend on any trainable weight"):
        m.fit(X, Y, verbose=0)


def test_loss_without_a_value_is_explained() -> None:
    m = model()
    m.compile("sgd", loss=lambda y_true, y_pred: None)
    with pytest.raises((ValueError, TypeError), match="does it return its value"):
        m.fit(X, Y, verbose=0)


def test_data_loader_with_arguments_that_it_would_ignore() -> None:
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)), batch_size=4
    )
    m = model()
    with pytest.raises(ValueError, match="batch_size"):
        m.fit(loader, batch_size=8, verbose=0)
    with pytest.raises(ValueError, match="validation_split"):
        m.fit(loader, validation_split=0.2, verbose=0)
