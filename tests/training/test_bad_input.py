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
    "strings": ({"x": np.array([["a"] * 4] * 12), "y": Y}, TypeError, "an array of numbers"),
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
    "labels that are no number": (
        {"x": X, "y": np.r_[Y[:11], np.nan]},
        ValueError,
        r"target nan at position \(11,\)",
    ),
    "one-hot rows": ({"x": X, "y": np.eye(3)[Y]}, ValueError, "'categorical_crossentropy'"),
    "text as targets": ({"x": X, "y": np.array(["a"] * 12)}, ValueError, "y has dtype <U1"),
    "a list of text": ({"x": X, "y": ["a"] * 12}, TypeError, r"y\[0\] is str 'a'"),
    "dates": (
        {"x": np.zeros((12, 4), "datetime64[s]"), "y": Y},
        ValueError,
        "x has dtype datetime",
    ),
    "structured": ({"x": np.zeros(12, [("a", "f4")]), "y": Y}, ValueError, "x has dtype"),
    "masked array": (
        {"x": np.ma.masked_array(X, mask=X > 1), "y": Y},
        ValueError,
        r"x is a masked array.*x\.filled\(0\)",
    ),
    "sparse tensor": ({"x": torch.eye(12, 4).to_sparse(), "y": Y}, ValueError, r"x\.to_dense\(\)"),
    "ragged lists": (
        {"x": [[1.0] * 4] * 11 + [[1.0]], "y": Y},
        ValueError,
        "`x` is a list whose rows have different lengths",
    ),
    "beyond int64": (
        {"x": np.full((12, 4), 2**64 - 1, "uint64"), "y": Y},
        ValueError,
        "x has values beyond the range of int64",
    ),
    "wrong key of the one output": (
        {"x": X, "y": {"score": Y}},
        ValueError,
        "`y` has the key 'score'.*Did you mean 'scores'",
    ),
    "wrong key of the weights": (
        {"x": X, "y": Y, "sample_weight": {"score": np.ones(12)}},
        ValueError,
        "`sample_weight` has the key 'score'",
    ),
    "wide weights": (
        {"x": X, "y": Y, "sample_weight": np.ones((12, 7))},
        ValueError,
        r"sample_weight has shape \(12, 7\).*one weight per sample, \(12,\)",
    ),
    "one weight for all": (
        {"x": X, "y": Y, "sample_weight": 2.0},
        TypeError,
        "sample_weight is float",
    ),
    "unknown class in class_weight": (
        {"x": X, "y": Y, "class_weight": {0: 1.0, 3: 2.0}},
        ValueError,
        "`class_weight` has an entry for class 3, .* the classes 0 to 2",
    ),
    "names in class_weight": (
        {"x": X, "y": Y, "class_weight": {"0": 1.0}},
        ValueError,
        "`class_weight` must have class numbers",
    ),
    "validation without targets": (
        {"x": X, "y": Y, "validation_data": X},
        ValueError,
        "In the validation data: .* no targets",
    ),
    "validation of other width": (
        {"x": X, "y": Y, "validation_data": (X[:, :2], Y)},
        ValueError,
        r"In the validation data: .*'features'.*\(12, 2\)",
    ),
    "validation labels": (
        {"x": X, "y": Y, "validation_data": (X, Y + 1)},
        ValueError,
        "In the validation data: .*target 3",
    ),
    "epochs as text": ({"x": X, "y": Y, "epochs": "2"}, ValueError, "`epochs`.*'2'"),
    "half an epoch": ({"x": X, "y": Y, "epochs": 2.5}, ValueError, r"`epochs`.*2\.5"),
    "negative steps": (
        {"x": X, "y": Y, "steps_per_epoch": -1},
        ValueError,
        "`steps_per_epoch`.*-1",
    ),
    "validation_freq 0": (
        {"x": X, "y": Y, "validation_split": 0.5, "validation_freq": 0},
        ValueError,
        "`validation_freq`.*0",
    ),
    "a callback class": (
        {"x": X, "y": Y, "callbacks": [keras.callbacks.EarlyStopping]},
        TypeError,
        r"EarlyStopping\(\)",
    ),
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


EVALUATE = {
    "empty": ({"x": X[:0], "y": Y[:0]}, "empty"),
    "no targets": ({"x": X}, "no targets"),
    "wrong key": ({"x": X, "y": {"other": Y}}, "`y` has the key 'other'"),
    "labels": ({"x": X, "y": Y + 0.5}, "target 0.5"),
    "features": ({"x": X[:, :3], "y": Y}, "'features'"),
}


@pytest.mark.parametrize("case", EVALUATE)
def test_evaluate_refuses(case: str) -> None:
    arguments, message = EVALUATE[case]
    with pytest.raises(ValueError, match=message):
        model().evaluate(**arguments, verbose=0)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (X[:0], "x is empty"),
        (iter(()), "gave no batch"),
        (X[:, :3], "'features'"),
        (None, "missing"),
    ],
)
def test_predict_refuses(x, message) -> None:
    with pytest.raises(ValueError, match=message):
        model().predict(x)


@pytest.mark.parametrize("method", ["train_on_batch", "test_on_batch"])
def test_single_batches_refuse_a_wrong_key(method: str) -> None:
    with pytest.raises(ValueError, match="`y` has the key 'other'"):
        getattr(model(), method)(X, {"other": Y})


class Subclass(keras.Model):
    def __init__(self, units=3):
        super().__init__()
        self.dense = layers.Dense(units, activation="softmax")

    def call(self, inputs):
        return self.dense(inputs)


@pytest.mark.parametrize(
    ("loss", "y", "message"),
    [
        ("sparse_categorical_crossentropy", Y + 0.5, "target 0.5"),
        ("sparse_categorical_crossentropy", Y + 1, "target 3 .* classes 0 to 2"),
        ("sparse_categorical_crossentropy", Y - 1, "target -1"),
        ("crossentropy", Y + 1, "target 3"),
        ("mse", np.ones((12, 1)), r"\(12, 1\), the output \(None, 3\)"),
    ],
)
def test_targets_of_a_subclass_are_looked_at_too(loss, y, message) -> None:
    m = Subclass()
    m.compile("sgd", loss)
    with pytest.raises(ValueError, match=message):
        m.fit(X, y, verbose=0)
    assert int(m.optimizer.iterations) == 0


def test_a_subclass_has_no_names_for_its_one_output() -> None:
    m = Subclass()
    m.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    assert m.fit(X, {"whatever": Y}, verbose=0).epoch == [0]


@pytest.mark.parametrize("y", [np.ones((12, 3)), np.ones(12), np.ones((12, 2))])
def test_targets_of_another_width_are_never_broadcast(y) -> None:
    inputs = keras.Input((4,))
    width = 1 if y.ndim == 2 and y.shape[1] == 3 else 3
    m = keras.Model(inputs, layers.Dense(width)(inputs))
    for loss in ("mse", "mae"):
        m.compile("sgd", loss)
        with pytest.raises(ValueError, match="the targets have shape"):
            m.fit(X, y, verbose=0)


WORKS = {
    "lists": (X.tolist(), Y.tolist()),
    "objects": (X.astype(object), Y.astype(object)),
    "big-endian": (X.astype(">f8"), Y.astype(">i2")),
    "long double": (X.astype("longdouble"), Y),
    "read-only": (np.broadcast_to(X[0], (12, 4)), Y),
    "tensors with a graph": (torch.from_numpy(X).requires_grad_(), torch.from_numpy(Y)),
    "uint8": ((X > 0).astype("uint8"), Y.astype("uint8")),
    "uint16": ((X > 0).astype("uint16"), Y.astype("uint16")),
    "uint32": ((X > 0).astype("uint32"), Y.astype("uint32")),
    "uint64": ((X > 0).astype("uint64"), Y.astype("uint64")),
    "booleans": (X > 0, Y > 0),
    "float labels": (X.astype("float16"), Y.astype("float64")),
    "masked array without masked entries": (np.ma.masked_array(X), Y),
}


@pytest.mark.parametrize("kind", WORKS)
def test_what_keras_refuses_or_users_simply_have_works(kind: str) -> None:
    x, y = WORKS[kind]
    given = x.detach() if isinstance(x, torch.Tensor) else x
    plain = np.asarray(given).astype("float32"), np.asarray(y).astype("int64")
    m = model()
    expected = m.evaluate(*plain, verbose=0)
    assert m.evaluate(x, y, verbose=0) == pytest.approx(expected, rel=1e-5)
    assert m.fit(x, y, verbose=0).epoch == [0]
