"""Layers whose state is a table: against Keras, where it runs on torch, and against values that Keras
gave on TensorFlow (preprocessing_cases.py)."""

from __future__ import annotations

import copy
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import pytest
import torch
from preprocessing_cases import CALLS, plain

import kerastorch as kt
from kerastorch import layers
from kerastorch.layers import (
    CategoryEncoding,
    Discretization,
    HashedCrossing,
    Hashing,
    IntegerLookup,
    Normalization,
    Rescaling,
    StringLookup,
    TextVectorization,
)

EXPECTED = json.loads(Path(__file__).with_name("preprocessing_expected.json").read_text())
RNG = np.random.default_rng(0)


@pytest.mark.parametrize("label", CALLS)
def test_values_of_tensorflow(label: str) -> None:
    assert plain(CALLS[label](layers)) == EXPECTED[label]


def test_no_value_is_left_over() -> None:
    assert set(EXPECTED) == set(CALLS)


# -- Normalization, Rescaling ----------------------------------------------------------------------

SHAPES: list[tuple[tuple[int, ...], Any]] = [
    ((7, 3), -1),
    ((7, 3), None),
    ((4, 5, 3), (1, 2)),
    ((4, 5, 3), 1),
    ((6,), None),
]


@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize(("shape", "axis"), SHAPES)
def test_normalization(shape: tuple[int, ...], axis: Any, invert: bool) -> None:
    data = RNG.normal(3, 2, shape).astype("float32")
    ours, theirs = (library.layers.Normalization(axis, invert=invert) for library in (kt, keras))
    ours.adapt(data)
    theirs.adapt(data)
    assert [tuple(w.shape) for w in ours.weights] == [tuple(w.shape) for w in theirs.weights]
    x = torch.tensor(data, requires_grad=True)
    y = torch.tensor(data, requires_grad=True)
    mine, other = ours(x), theirs(y)
    torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-5)
    (mine**2).sum().backward()
    (other**2).sum().backward()
    torch.testing.assert_close(x.grad, y.grad, rtol=1e-5, atol=1e-5)
    assert ours.get_config()["axis"] == axis


def test_mean_and_variance_given() -> None:
    data = RNG.normal(size=(2, 3, 4)).astype("float32")
    for config in (
        {"mean": 2.0, "variance": 3.0},
        {"mean": [1.0, 2.0, 3.0, 4.0], "variance": [0.0, 1.0, 2.0, 3.0]},
        {"mean": np.ones((3, 1)), "variance": np.full((3, 1), 2.0), "axis": (1, 2)},
    ):
        ours, theirs = Normalization(**config), keras.layers.Normalization(**config)
        torch.testing.assert_close(ours(data), theirs(data), rtol=1e-5, atol=1e-5)
        again = Normalization.from_config(json.loads(json.dumps(ours.get_config())))
        assert torch.equal(again(data), ours(data))
        assert list(ours.state_dict()) == []


def test_data_to_adapt_to() -> None:
    x = RNG.normal(5, 3, (20, 2)).astype("float32")
    y = np.arange(20.0)
    tensors = torch.utils.data.TensorDataset(torch.tensor(x), torch.tensor(y))

    class Sequence(kt.utils.PyDataset):
        def __len__(self) -> int:
            return 4

        def __getitem__(self, index: int) -> Any:
            return x[index * 5 : index * 5 + 5], y[index * 5 : index * 5 + 5]

    kinds = [
        x,
        x.tolist(),
        torch.tensor(x),
        [x[:3], x[3:]],
        (batch for batch in (x[:7], x[7:])),
        ((batch, 0) for batch in (x[:7], x[7:])),
        kt.data.Dataset.from_tensor_slices((x, y)).batch(6),
        torch.utils.data.DataLoader(tensors, batch_size=6),
        tensors,
        Sequence(),
    ]
    for kind in kinds:
        layer = Normalization()
        layer.adapt(kind)
        assert layer.mean is not None
        assert layer.variance is not None
        np.testing.assert_allclose(layer.mean.numpy()[0], x.mean(0), rtol=1e-5)
        np.testing.assert_allclose(layer.variance.numpy()[0], x.var(0), rtol=1e-5)


def test_adapt_again_replaces() -> None:
    normal, bins = Normalization(), Discretization(num_bins=2)
    words = StringLookup()
    for data in ([[1.0], [3.0]], [[10.0], [14.0]]):
        normal.adapt(data)
        bins.adapt(data)
    assert normal.mean is not None
    assert normal.mean.item() == 12.0
    assert bins.bin_boundaries == [10.0]
    words.adapt(["a", "b"])
    words.adapt(["c"])
    assert words.get_vocabulary() == ["[UNK]", "c"]


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_rescaling(data_format: str) -> None:
    x = RNG.integers(0, 255, (2, 3, 3, 3))
    kt.config.set_image_data_format(data_format)
    keras.config.set_image_data_format(data_format)
    try:
        for scale, offset in ((1 / 127.5, -1), ([1.0, 2.0, 3.0], 0.5)):
            mine = Rescaling(scale, offset)(x)
            other = keras.layers.Rescaling(scale, offset)(x)
            torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-5)
    finally:
        kt.config.set_image_data_format("channels_last")
        keras.config.set_image_data_format("channels_last")


# -- CategoryEncoding, Discretization --------------------------------------------------------------


@pytest.mark.parametrize("mode", ["one_hot", "multi_hot", "count"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 1)])
def test_category_encoding(mode: str, shape: tuple[int, ...]) -> None:
    x = RNG.integers(0, 5, shape)
    mine, other = (library.layers.CategoryEncoding(5, mode)(x) for library in (kt, keras))
    assert mine.dtype == other.dtype
    assert torch.equal(mine, other)


def test_the_last_axis_is_the_sample() -> None:
    x = RNG.integers(0, 5, (2, 3, 4))
    mine = CategoryEncoding(5, "count")(x)
    assert torch.equal(mine[1], CategoryEncoding(5, "count")(x[1]))


def test_count_weights() -> None:
    x, weights = RNG.integers(0, 5, (4, 3)), RNG.uniform(size=(4, 3)).astype("float32")
    mine, other = (
        library.layers.CategoryEncoding(5, "count")(x, count_weights=weights)
        for library in (kt, keras)
    )
    torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-5)
    weight = torch.tensor(weights, requires_grad=True)
    CategoryEncoding(5, "count")(x, count_weights=weight)[:, 2].sum().backward()
    np.testing.assert_array_equal(weight.grad, x == 2)


@pytest.mark.parametrize(("epsilon", "bins"), [(0.01, 4), (0.05, 3), (0.3, 7), (0.001, 10)])
def test_quantiles(epsilon: float, bins: int) -> None:
    data = RNG.normal(size=(600, 2))
    ours, theirs = (
        library.layers.Discretization(num_bins=bins, epsilon=epsilon) for library in (kt, keras)
    )
    ours.adapt([data[:250], data[250:]])
    theirs.update_state(data[:250])
    theirs.update_state(data[250:])
    theirs.finalize_state()
    np.testing.assert_allclose(ours.bin_boundaries, theirs.bin_boundaries, rtol=1e-5)
    again = Discretization.from_config(json.loads(json.dumps(ours.get_config())))
    assert torch.equal(again(data), ours(data))


@pytest.mark.parametrize("mode", ["int", "one_hot", "multi_hot", "count"])
def test_bins(mode: str) -> None:
    config: dict[str, Any] = {"bin_boundaries": [-1.0, 0.0, 0.5], "output_mode": mode}
    x = np.array([[-2.0, -1.0, 0.25], [0.5, 0.49, 7.0]], "float32")
    mine, other = (library.layers.Discretization(**config)(x) for library in (kt, keras))
    assert mine.dtype == other.dtype
    assert torch.equal(mine, other)


# -- torch -----------------------------------------------------------------------------------------

INTEGERS = torch.tensor([[0, 3, 8], [3, 3, 50]])


def _tables() -> list[Any]:
    lookups = []
    for mode in ("int", "one_hot", "multi_hot", "count", "tf_idf"):
        lookup = IntegerLookup(output_mode=mode, mask_token=0, num_oov_indices=2)
        lookup.adapt(np.arange(9).reshape(3, 3))
        lookups.append(lookup)
    return [
        *lookups,
        IntegerLookup(vocabulary=[5, 7], invert=True),
        IntegerLookup(vocabulary=[0, 3, 8, 50], num_oov_indices=0),
        CategoryEncoding(51, "count"),
        Discretization([1.0, 5.0]),
        Normalization(mean=2.0, variance=3.0),
        Rescaling([1.0, 2.0, 3.0]),
    ]


@pytest.mark.parametrize("layer", _tables(), ids=lambda layer: layer.name)
def test_one_graph_on_any_device(layer: Any) -> None:
    expected = layer(INTEGERS)
    compiled = torch.compile(layer, fullgraph=True, backend="eager")
    assert torch.equal(compiled(INTEGERS), expected)
    copied = copy.deepcopy(layer)
    assert torch.equal(pickle.loads(pickle.dumps(copied))(INTEGERS), expected)
    without = copied.to("meta")(INTEGERS.to("meta"))
    assert without.is_meta
    assert (without.shape, without.dtype) == (expected.shape, expected.dtype)
    assert layer.compute_output_shape((None, 3)) == (None, *expected.shape[1:])


def test_tables_follow_the_layer() -> None:
    layer = StringLookup(vocabulary=["a", "b"])
    assert copy.deepcopy(layer)(["b"]).tolist() == [2]
    assert layer.to("meta")(["b"]).is_meta
    weighed = StringLookup(output_mode="tf_idf")
    weighed.adapt([["a"], ["b"]])
    assert list(weighed.state_dict()) == ["idf_weights"]
    assert weighed.half()([["a"]]).dtype is torch.float16


def test_shapes_of_symbolic_text() -> None:
    text = kt.Input((), dtype="string")
    ab: dict[str, Any] = {"vocabulary": ["a", "b"]}
    assert repr(text).startswith("<KerasTensor shape=(None,), dtype=string")
    assert TextVectorization()(text).shape == (None, None)
    assert TextVectorization(output_sequence_length=7)(kt.Input((1,), dtype="string")).shape == (
        None,
        7,
    )
    assert TextVectorization(output_mode="count", **ab)(text).shape == (None, 3)
    assert StringLookup(output_mode="one_hot", **ab)(text).shape == (None, 3)
    assert Hashing(3, output_mode="one_hot")(text).shape == (None, 3)
    assert HashedCrossing(5)((text, kt.Input((), dtype="int64"))).shape == (None,)
    with pytest.raises(ValueError, match="Invalid dtype"):
        text + 1


# -- text in models --------------------------------------------------------------------------------


def _model() -> Any:
    text = kt.Input((1,), dtype="string", name="text")
    number = kt.Input((2,), name="number")
    words = TextVectorization(vocabulary=["good", "bad"], output_mode="count")(text)
    return kt.Model([text, number], layers.Dense(1)(layers.Concatenate()([words, number])))


def test_a_model_of_text() -> None:
    texts = np.array(["good good", "bad", "so good", "so so"] * 4)
    numbers = RNG.normal(size=(16, 2)).astype("float32")
    target = np.array([[2.0], [-1.0], [1.0], [0.0]] * 4, "float32")
    model = _model()
    model.compile(kt.optimizers.Adam(0.05), "mse")
    history = model.fit([texts, numbers], target, epochs=40, batch_size=4, verbose=0).history
    assert history["loss"][-1] < history["loss"][0] / 4
    predicted = model.predict({"text": texts, "number": numbers})
    np.testing.assert_allclose(predicted, model([texts, numbers]).detach(), rtol=1e-5, atol=1e-6)
    objects = texts.astype(object)
    np.testing.assert_allclose(model.predict([objects, numbers]), predicted)
    data = kt.data.Dataset.from_tensor_slices(((texts, numbers), target)).batch(4)
    assert model.evaluate(data, verbose=0) == pytest.approx(
        model.evaluate([texts, numbers], target, batch_size=4, verbose=0)
    )


class Judge(kt.Model):
    """Takes text in its call."""

    def __init__(self) -> None:
        super().__init__()
        self.words = TextVectorization(vocabulary=["good"], output_mode="count")
        self.dense = layers.Dense(1)

    def call(self, inputs: Any) -> Any:
        return self.dense(self.words(inputs["text"]))


def test_a_model_of_ones_own() -> None:
    model = Judge()
    model.compile(kt.optimizers.SGD(0.1), "mse")
    texts, target = {"text": np.array(["good", "so"] * 8)}, np.array([[1.0], [0.0]] * 8)
    history = model.fit(texts, target, epochs=20, batch_size=4, verbose=0).history
    assert history["loss"][-1] < 0.1
    assert model.predict({"text": np.array(["good", "so"])}).shape == (2, 1)


def test_text_for_a_layer_of_numbers() -> None:
    with pytest.raises(TypeError, match=r"Dense '.*' takes one tensor, received ndarray"):
        layers.Dense(1)(np.array([["a"]]))


def test_text_for_a_model_of_numbers_and_numbers_for_one_of_text() -> None:
    with pytest.raises(TypeError, match="must be a tensor or an array of numbers"):
        kt.Sequential([kt.Input((1,)), layers.Dense(1)]).predict(np.array([["a"]]))
    with pytest.raises(TypeError, match="input 'text' must be text"):
        _model().predict([np.zeros((3, 1)), np.zeros((3, 2))])


def test_a_sequential_model_takes_what_its_first_layer_reads() -> None:
    model = kt.Sequential([StringLookup(vocabulary=["a", "b"], output_mode="multi_hot")])
    assert model.predict([["a"], ["q"]]).tolist() == [[0, 1, 0], [1, 0, 0]]
    built = kt.Sequential([IntegerLookup(vocabulary=[2**40, 7])])
    built.build((None, 1))
    assert built(np.array([[2**40], [7]])).tolist() == [[1], [2]]


def test_text_in_data_sets() -> None:
    layer = TextVectorization(vocabulary=["a", "b"])
    data = kt.data.Dataset.from_tensor_slices(np.array(["a b", "b", "c"])).batch(2).map(layer)
    assert [batch.tolist() for batch in data] == [[[2, 3], [3, 0]], [[1]]]
    texts = ["x a", "a"]
    for source in (
        texts,
        np.array(texts),
        [np.array(["x a"]), np.array(["a"])],
        torch.utils.data.DataLoader(texts, batch_size=2),
        kt.data.Dataset.from_tensor_slices((np.array(texts), np.arange(2))).batch(2),
        (np.array([[text]]) for text in texts),
    ):
        found = TextVectorization()
        found.adapt(source)
        assert found.get_vocabulary() == ["", "[UNK]", "a", "x"]
    found.adapt(iter([["b"], ["c"]]), steps=1)
    assert found.get_vocabulary(include_special_tokens=False) == ["b"]


def test_kinds_of_text() -> None:
    layer = StringLookup(vocabulary=["é", "b"], encoding="latin-1")
    latin = "é".encode("latin-1")
    for given in (["é", "b"], np.array(["é", "b"]), np.array(["é", "b"], object), [latin, b"b"]):
        assert layer(given).tolist() == [1, 2]
    assert layer(np.array([latin, b"b"])).tolist() == [1, 2]
    assert layer("b").tolist() == 2


def test_functions_of_ones_own() -> None:
    layer = TextVectorization(
        standardize=lambda texts: np.char.replace(texts, "-", " "),
        split=lambda texts: [text.split("/") for text in texts.tolist()],
        vocabulary=["a b", "c"],
    )
    assert layer(["a-b/c", "c"]).tolist() == [[2, 3], [3, 0]]


def test_one_hot_rows_of_words_are_padded_with_nothing() -> None:
    layer = TextVectorization(vocabulary=["a"], output_mode="one_hot")
    assert layer(["a q", "a"]).tolist() == [[[0, 1], [1, 0]], [[0, 1], [0, 0]]]


def test_a_vocabulary_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_bytes("a\r\né\nb c\n\n".encode())
    for where in (path, str(path)):
        assert StringLookup(vocabulary=where).get_vocabulary() == ["[UNK]", "a", "é", "b c"]
    path.write_text("7\n-2\n")
    layer = IntegerLookup()
    layer.set_vocabulary(str(path))
    assert (layer.get_vocabulary(), layer.vocabulary_size()) == ([-1, 7, -2], 3)


# -- errors ----------------------------------------------------------------------------------------

AB: dict[str, Any] = {"vocabulary": ["a", "b"]}
ERRORS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: StringLookup(**AB)(5), TypeError, "expected text, received int 5"),
    (lambda: StringLookup(**AB)([["a"], ["b", "c"]]), TypeError, "Rows of different lengths"),
    (lambda: StringLookup(**AB)(torch.zeros(2)), TypeError, "expected text, received float"),
    (lambda: IntegerLookup(vocabulary=[1])(["a"]), TypeError, "expected numbers, received"),
    (lambda: StringLookup()(["a"]), ValueError, "no vocabulary yet: call adapt"),
    (lambda: IntegerLookup()([1]), ValueError, "no vocabulary yet: call adapt"),
    (lambda: TextVectorization()(["a"]), ValueError, "no vocabulary yet: call adapt"),
    (lambda: Discretization(num_bins=2)([1.0]), ValueError, "no bins yet: call adapt"),
    (lambda: StringLookup(vocabulary=["a", "b", "a"]), ValueError, r"more than once: \['a'\]"),
    (lambda: StringLookup(vocabulary=[]), ValueError, "the vocabulary is empty"),
    (
        lambda: StringLookup(vocabulary=["b", "", "a"], mask_token=""),
        ValueError,
        r"`mask_token` '' stands at 1 .* exactly \['', '\[UNK\]'\]",
    ),
    (
        lambda: StringLookup(vocabulary=["b", "[UNK]"], invert=True),
        ValueError,
        "`oov_token` .* stands at 1",
    ),
    (lambda: StringLookup(**AB, max_tokens=2), ValueError, "3 entries.*`max_tokens` is 2"),
    (lambda: StringLookup(max_tokens=1), ValueError, "`max_tokens` must be greater than 1"),
    (lambda: StringLookup(**AB).adapt(["a"]), ValueError, "was given its `vocabulary`"),
    (lambda: StringLookup().adapt([]), ValueError, "there are no data"),
    (lambda: TextVectorization().adapt(iter(())), ValueError, "there are no data"),
    (lambda: Normalization().adapt(np.zeros((0, 2))), ValueError, "there are no data"),
    (lambda: Discretization(num_bins=2).adapt([]), ValueError, "there are no data"),
    (lambda: Normalization().adapt(3.0), TypeError, "received float"),
    (lambda: Normalization(mean=1.0), ValueError, "given together"),
    (lambda: Normalization(mean=1.0, variance=1.0).adapt([[1.0]]), ValueError, "were given to"),
    (lambda: Normalization(axis=3)(np.zeros((2, 2))), ValueError, "must lie in"),
    (lambda: Normalization(mean=[1.0, 2.0], variance=[1.0, 2.0])([[1.0]]), ValueError, "not fit"),
    (lambda: Normalization()(kt.Input((None,))), ValueError, "must have known sizes"),
    (lambda: Discretization([1.0]).adapt([1.0]), ValueError, "Make it with `num_bins`"),
    (lambda: Discretization([2.0, 1.0]), ValueError, "increasing order"),
    (lambda: Discretization(), ValueError, "either `bin_boundaries` or `num_bins`"),
    (lambda: CategoryEncoding(3)([1, 3]), ValueError, "expected integers from 0 to 2"),
    (lambda: CategoryEncoding(), ValueError, "use IntegerLookup"),
    (
        lambda: CategoryEncoding(3)([[1]], count_weights=torch.ones(1, 1)),
        ValueError,
        "`count_weights` is for",
    ),
    (lambda: StringLookup(**AB, num_oov_indices=0)(["q"]), ValueError, r"\['q'\] are not in"),
    (
        lambda: IntegerLookup(vocabulary=[1], num_oov_indices=0)([5]),
        RuntimeError,
        "integers are not in the vocabulary",
    ),
    (lambda: StringLookup(**AB, output_mode="tf_idf"), ValueError, "`idf_weights` go with"),
    (
        lambda: StringLookup(**AB, output_mode="tf_idf", idf_weights=[1.0]),
        ValueError,
        r"must have shape \(2,\)",
    ),
    (lambda: StringLookup(**AB, output_mode="sum"), ValueError, "`output_mode` must be one of"),
    (lambda: StringLookup(**AB, sparse=True), NotImplementedError, "sparse=True"),
    (lambda: TextVectorization(ragged=True), NotImplementedError, "ragged=True"),
    (lambda: TextVectorization(**AB)([["a", "b"]]), ValueError, "split=None takes words"),
    (lambda: TextVectorization(standardize="upper"), ValueError, "`standardize` must be one of"),
    (lambda: TextVectorization(ngrams=0), ValueError, "`ngrams` must be a positive integer"),
    (lambda: Hashing(0), ValueError, "`num_bins` must be a positive integer"),
    (lambda: Hashing(3, salt=[1]), ValueError, "`salt` must be"),
    (lambda: HashedCrossing(3)(["a"]), ValueError, "at least two inputs"),
    (lambda: HashedCrossing(3)(([1, 2], ["a"])), ValueError, "must have one shape"),
]


@pytest.mark.parametrize(("call", "error", "message"), ERRORS)
def test_errors(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_nothing_changes_on_an_error() -> None:
    layer = StringLookup(vocabulary=["a"])
    with pytest.raises(ValueError, match="more than once"):
        layer.set_vocabulary(["b", "b"])
    normal = Normalization()
    normal.adapt([[1.0], [3.0]])
    with pytest.raises(ValueError, match=r"expected data of shape \(None, 1\), received \(2, 2\)"):
        normal.adapt([np.array([[7.0]]), np.ones((2, 2))])
    assert layer.get_vocabulary() == ["[UNK]", "a"]
    assert normal.mean is not None
    assert normal.mean.item() == 2.0


def test_a_model_keeps_the_size_of_a_vocabulary() -> None:
    layer = StringLookup(vocabulary=["a"], output_mode="count")
    layer(kt.Input((1,), dtype="string"))
    layer.set_vocabulary(["b"])
    with pytest.raises(ValueError, match="a model was made with its 2 entries"):
        layer.set_vocabulary(["b", "c"])
