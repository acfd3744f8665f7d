"""Every kind of data trains, evaluates and predicts as the arrays do that it was made of."""

import numpy as np
import pandas as pd
import pytest
import torch

import kerastorch as keras
from kerastorch import layers

RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 4)).astype("float32")
Y = RNG.integers(0, 3, size=20)
W = RNG.uniform(0, 2, size=20).astype("float32")
BATCH = 6
COLUMNS = list("abcd")


class ByNumber(keras.utils.Sequence):
    """Calls no ``super().__init__()``, and gives float64."""

    def __init__(self, *arrays):
        self.arrays = arrays

    def __len__(self):
        return -(-len(self.arrays[0]) // BATCH)

    def __getitem__(self, index):
        part = slice(index * BATCH, index * BATCH + BATCH)
        return tuple(a[part].astype("float64") for a in self.arrays)


class Stream(torch.utils.data.IterableDataset):
    def __init__(self, *arrays):
        self.arrays = arrays

    def __iter__(self):
        return zip(*self.arrays, strict=True)


class Rows(torch.utils.data.Dataset):
    def __init__(self, *arrays):
        self.arrays = arrays

    def __len__(self):
        return len(self.arrays[0])

    def __getitem__(self, index):
        return tuple(a[index] for a in self.arrays)


class Reader:
    """Anything that can be iterated over: here, batches of lists."""

    def __init__(self, *arrays):
        self.arrays = arrays

    def __iter__(self):
        for start in range(0, len(self.arrays[0]), BATCH):
            yield [a[start : start + BATCH].tolist() for a in self.arrays]


def generator(*arrays):
    yield from ByNumber(*arrays)


def slices(*arrays):
    return keras.data.Dataset.from_tensor_slices(arrays)


def tensors(*arrays):
    return torch.utils.data.TensorDataset(*map(torch.from_numpy, arrays))


# What to pass as x, and what along with it. Generators are made anew, as they can be read once.
KINDS = {
    "Dataset": (lambda *a: slices(*a).batch(BATCH), {}),
    "Dataset, generic": (
        lambda *a: slices(*a).map(lambda *row: row, 2).batch(BATCH).prefetch(1),
        {},
    ),
    "Sequence": (ByNumber, {}),
    "Sequence, threads": (ByNumber, {"workers": 2}),
    "Sequence, processes": (ByNumber, {"workers": 2, "use_multiprocessing": True}),
    "generator": (generator, {}),
    "DataLoader": (lambda *a: torch.utils.data.DataLoader(tensors(*a), batch_size=BATCH), {}),
    "TensorDataset": (tensors, {"batch_size": BATCH}),
    "torch Dataset": (Rows, {"batch_size": BATCH}),
    "IterableDataset": (Stream, {"batch_size": BATCH}),
    "iterable": (Reader, {}),
}


def classifier() -> keras.Model:
    torch.manual_seed(0)
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


@pytest.mark.parametrize("arrays", [(X, Y), (X, Y, W)], ids=["x, y", "x, y, weight"])
@pytest.mark.parametrize("kind", KINDS)
def test_fit_evaluate_and_predict_as_with_arrays(kind: str, arrays) -> None:
    make, extra = KINDS[kind]
    loop = {"shuffle": False, "verbose": 0}
    weights = {"sample_weight": arrays[2]} if len(arrays) == 3 else {}

    expected = classifier()
    for _ in range(2):
        history = expected.fit(*arrays[:2], batch_size=BATCH, **weights, **loop).history
    values = expected.evaluate(*arrays[:2], **weights, verbose=0)

    model = classifier()
    for _ in range(2):
        found = model.fit(make(*arrays), **loop, **extra).history
    for name, numbers in history.items():
        assert found[name] == pytest.approx(numbers, rel=1e-5)
    for a, b in zip(model.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert model.evaluate(make(*arrays), verbose=0, **extra) == pytest.approx(values, rel=1e-5)
    expected_output = expected.predict(X)
    np.testing.assert_allclose(model.predict(make(*arrays), **extra), expected_output, atol=1e-6)
    np.testing.assert_allclose(model.predict(make(X), **extra), expected_output, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_validation_data(kind: str) -> None:
    make, extra = KINDS[kind]
    extra = {"validation_batch_size": BATCH} if "batch_size" in extra else extra
    model = classifier()
    history = model.fit(X, Y, validation_data=make(X, Y), verbose=0, **extra).history
    loss, accuracy = model.evaluate(X, Y, verbose=0)
    assert history["val_loss"] == pytest.approx([loss], rel=1e-5)
    assert history["val_accuracy"] == pytest.approx([accuracy], rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_class_weight(kind: str) -> None:
    make, extra = KINDS[kind]
    given = {0: 0.5, 1: 2.0, 2: 1.5}
    expected = classifier()
    expected.fit(
        X,
        Y,
        sample_weight=np.array([given[c] for c in Y]),
        batch_size=BATCH,
        shuffle=False,
        verbose=0,
    )
    model = classifier()
    model.fit(make(X, Y), class_weight=given, shuffle=False, verbose=0, **extra)
    for a, b in zip(model.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


FRAME = pd.DataFrame(X.astype("float64"), columns=COLUMNS)
FRAMES = {
    "frame and series": lambda: (FRAME, pd.Series(Y)),
    "frame and frame": lambda: (FRAME, pd.DataFrame({"y": Y})),
    "index of its own": lambda: (
        FRAME.set_index(FRAME.index[::-1]),
        pd.Series(Y, index=range(5, 25)),
    ),
    "nullable": lambda: (FRAME.convert_dtypes(), pd.Series(Y, dtype="Int64")),
    "lists": lambda: (X.tolist(), Y.tolist()),
}


@pytest.mark.parametrize("kind", FRAMES)
def test_frames_and_lists(kind: str) -> None:
    x, y = FRAMES[kind]()
    model = classifier()
    assert model.evaluate(x, y, verbose=0) == pytest.approx(
        model.evaluate(X, Y, verbose=0), rel=1e-6
    )
    model.fit(x, y, validation_split=0.2, verbose=0)
    assert model.predict(x).shape == (20, 3)


def test_frames_with_text_or_missing_values_are_refused_by_name() -> None:
    model = classifier()
    with pytest.raises(ValueError, match=r"x holds Python objects.*numeric"):
        model.predict(FRAME.assign(a="text"))
    missing = FRAME.convert_dtypes()
    missing.iloc[0, 0] = pd.NA
    with pytest.raises(ValueError, match=r"x holds Python objects.*NAType"):
        model.predict(missing)


def test_columns_as_inputs_by_name() -> None:
    inputs = {name: keras.Input((1,), name=name) for name in COLUMNS}
    model = keras.Model(inputs, layers.Dense(1)(layers.concatenate(list(inputs.values()))))
    columns = {name: X[:, i : i + 1] for i, name in enumerate(COLUMNS)}
    expected = model.predict(columns)
    frames = {name: FRAME[[name]] for name in COLUMNS}
    batches = slices(*[columns]).map(lambda row: row).batch(BATCH)
    for data in (frames, batches, iter([columns]), iter([(columns, Y)])):
        np.testing.assert_allclose(model.predict(data), expected, rtol=1e-6)


def test_several_inputs_and_outputs_by_name() -> None:
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    both = layers.concatenate([a, b])
    model = keras.Model(
        [a, b], [layers.Dense(1, name="score")(both), layers.Dense(3, name="kind")(both)]
    )
    logits = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", {"score": "mse", "kind": logits})
    x, y = {"a": X, "b": X * 2}, {"score": W, "kind": Y}
    expected = model.evaluate(x, y, batch_size=5, verbose=0)
    data = keras.data.Dataset.from_tensor_slices((x, y)).shuffle(buffer_size=1024).batch(5)
    assert model.evaluate(data, verbose=0) == pytest.approx(expected, rel=1e-5)
    history = model.fit(data, epochs=1, verbose=0).history
    assert list(history) == ["loss", "score_loss", "kind_loss"]
    weighted = keras.data.Dataset.from_tensor_slices((x, y, {"kind": W})).batch(5)
    by_array = model.evaluate(x, y, sample_weight={"kind": W}, verbose=0)
    assert model.evaluate(weighted, verbose=0) == pytest.approx(by_array, rel=1e-5)


def test_forms_of_items() -> None:
    model = classifier()
    expected = model.predict(X)
    forms = [X, (X,), [X], (X, Y), [X, Y, W], (X, None), (X.astype("float64"), Y.tolist(), None)]
    for item in forms:
        np.testing.assert_allclose(model.predict(iter([item])), expected, rtol=1e-6)
    twice = keras.data.to_batch((X.astype("float64"), torch.from_numpy(Y)))
    assert [t.dtype for t in twice] == [torch.float32, torch.int64]


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ((X, Y, W, W), "a tuple of 4 entries"),
        ((), "a tuple of 0 entries"),
        ((X, Y[:3]), "x has 20, y has 3"),
        ((X, Y, W[:3]), "sample_weight has 3"),
        ((torch.from_numpy(X), torch.from_numpy(Y[:3])), "x has 20, y has 3"),
        ((X[:0], Y[:0]), "There are no rows"),
        ((X, 3), "y is int 3"),
        (({"other": X}, Y), "'features' is missing"),
        ((X[:, :3], Y), r"\(None, 4\)"),
        ((X, Y + 7), "target .* is not"),
    ],
)
def test_bad_items(item, message) -> None:
    inputs = keras.Input((4,), name="features")
    model = keras.Model(inputs, layers.Dense(3, activation="softmax")(inputs))
    model.compile("sgd", "sparse_categorical_crossentropy")
    before = model.get_weights()
    with pytest.raises((ValueError, TypeError), match=message):
        model.fit(iter([item]), verbose=0)
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_dataset_without_batches_is_explained() -> None:
    model = classifier()
    with pytest.raises(ValueError, match=r"y is a scalar.*batch\(\)"):
        model.fit(slices(X, Y), verbose=0)


REFUSED = [
    ("y", Y),
    ("sample_weight", W),
    ("batch_size", 4),
    ("validation_split", 0.2),
    ("shuffle", "batch"),
    ("shuffle", "rows"),
]
MEANT = {
    "batch_size": ["torch Dataset", "IterableDataset"],
    "shuffle": ["Sequence", "TensorDataset"],
}


@pytest.mark.parametrize(
    ("kind", "argument", "value"),
    [
        (kind, argument, value)
        for kind in KINDS
        if kind != "TensorDataset" and "," not in kind
        for argument, value in REFUSED
        if kind not in MEANT.get(argument, [])
    ],
)
def test_arguments_that_the_data_bring_themselves(kind, argument, value) -> None:
    model = classifier()
    with pytest.raises(ValueError, match=f"`{argument}`"):
        model.fit(KINDS[kind][0](X, Y), verbose=0, **{argument: value})


def test_arguments_of_validation_data() -> None:
    model = classifier()
    with pytest.raises(ValueError, match="`validation_batch_size`"):
        model.fit(X, Y, validation_data=slices(X, Y).batch(2), validation_batch_size=4, verbose=0)
    with pytest.raises(ValueError, match="`validation_split`"):
        model.fit(tensors(X, Y), validation_split=0.2, verbose=0)


@pytest.mark.parametrize("kind", ["Dataset", "DataLoader", "generator"])
def test_workers_are_for_a_pydataset(kind: str) -> None:
    model = classifier()
    with pytest.warns(UserWarning, match="`workers`=2.*PyDataset"):
        model.fit(KINDS[kind][0](X, Y), workers=2, verbose=0)
    model.fit(X, Y, workers=2, verbose=0)  # slices of arrays are there at once
    with pytest.raises(ValueError, match=r"`workers`.*-1"):
        model.fit(X, Y, workers=-1, verbose=0)


class Lazy(keras.Model):
    """Is built from its first batch."""

    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(3, activation="softmax")
        self.seen = []

    def call(self, inputs):
        return self.dense(inputs)

    def train_step(self, data):
        self.seen.append(data[0][0, 0].item())
        return super().train_step(data)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "Sequence, processes"])
def test_the_batch_that_a_model_is_built_from_is_trained_on(kind: str) -> None:
    make, extra = KINDS[kind]
    model = Lazy()
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(make(X, Y), shuffle=False, verbose=0, **extra)
    assert model.seen == pytest.approx(X[::BATCH, 0].tolist())


def test_a_type_of_ones_own() -> None:
    class Store:
        pass

    @keras.data.adapt.register(Store)
    def _(x, *args, **options):
        return keras.data.IterableBatches([(X, Y)])

    model = classifier()
    expected = model.evaluate(X, Y, verbose=0)
    assert model.evaluate(Store(), verbose=0) == pytest.approx(expected, rel=1e-6)


def test_shuffle_of_a_torch_dataset() -> None:
    for make in (Rows, tensors):
        model = Lazy()
        model.compile("sgd", "sparse_categorical_crossentropy")
        model.fit(make(X, Y), batch_size=1, verbose=0)
        assert sorted(model.seen) == sorted(X[:, 0].tolist()) != model.seen
