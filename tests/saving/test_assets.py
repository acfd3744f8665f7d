"""What layers put into an archive besides weights: to and from Keras, and from hostile hands."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import kerastorch as keras
from kerastorch.layers import IntegerLookup, StringLookup, TextVectorization

KERAS = Path(__file__).with_name("fixtures") / "words.keras"
#: What fixtures/make_words.py printed.
PREDICTED = [[-0.539199948310852, -0.19403956830501556], [0.5711537599563599, -1.5609618425369263]]
INPUTS = [np.array(["foo é", "Bar baz qux"]), np.array([["a", "z"], ["c", "c"]])]
INPUTS += [np.array([[7], [1]])]


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewritten(path: Path, to: Path, packing: int = zipfile.ZIP_STORED, **changed: Any) -> Path:
    """A copy of an archive in which some members, by the last part of their names, are different or,
    with None, missing; names with a dot come in `more`."""
    more = changed.pop("more", {})
    with zipfile.ZipFile(to, "w", packing) as archive:
        for name, content in {**members(path), **more}.items():
            key = name.rsplit("/", 1)[-1].split(".")[0]
            if changed.get(key, content) is not None:
                archive.writestr(name, changed.get(key, content))
    return to


def config_of(path: Path) -> Any:
    return json.loads(members(path)["config.json"])


def layers_of(path: Path) -> dict[str, Any]:
    layers = config_of(path)["config"]["layers"]
    return {layer["config"]["name"]: layer for layer in layers}


# -- Keras -----------------------------------------------------------------------------------------


def test_a_file_of_keras() -> None:
    model = keras.models.load_model(KERAS)
    np.testing.assert_allclose(model.predict(INPUTS), PREDICTED, rtol=1e-5, atol=1e-6)
    words = model.get_layer("words")
    assert words.get_vocabulary() == ["", "[UNK]", "foo", "bar", "é", "baz"]
    words.adapt(["a vocabulary from a file can be replaced"])


def test_a_file_for_keras(tmp_path: Path) -> None:
    """Ours has what Keras's has, which Keras reads; make_words.py tells how to try it."""
    model = keras.models.load_model(KERAS)
    model.save(tmp_path / "ours.keras")
    ours, theirs = members(tmp_path / "ours.keras"), members(KERAS)
    assert set(ours) == set(theirs)
    for name in theirs:
        if name.startswith("assets/"):
            assert ours[name] == theirs[name]
    assert _values(ours) == _values(theirs)
    mine, other = layers_of(tmp_path / "ours.keras"), layers_of(KERAS)
    assert set(mine) == set(other)
    for name, layer in other.items():
        if layer["class_name"] in ("TextVectorization", "StringLookup", "IntegerLookup"):
            assert {**mine[name]["config"], "dtype": None} == {**layer["config"], "dtype": None}
        elif layer["class_name"] == "InputLayer":
            assert mine[name]["config"]["dtype"] == layer["config"]["dtype"]


def _values(archive: dict[str, bytes]) -> dict[str, Any]:
    found = {}
    with h5py.File(io.BytesIO(archive["model.weights.h5"])) as file:

        def visit(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset):
                found[name] = item[()].tolist()

        file.visititems(visit)
    return found


# -- and back --------------------------------------------------------------------------------------


def saved(layer: Any, path: Path, shape: tuple[int, ...] = (1,)) -> Path:
    kind = "int64" if isinstance(layer, IntegerLookup) else "string"
    x = keras.Input(shape, dtype=kind)
    keras.Model(x, layer(x)).save(path)
    return path


def _made(make: Any, data: Any, **config: Any) -> Any:
    layer = make(**config)
    if data is not None:
        layer.adapt(data)
    return layer


ROWS = [["a", "b"], ["a", "c"]]
CASES: dict[str, tuple[Callable[[], Any], bool]] = {
    "adapted": (lambda: _made(StringLookup, ROWS), True),
    "masked": (lambda: _made(StringLookup, ROWS, mask_token="", num_oov_indices=2), True),
    "in the configuration": (lambda: StringLookup(vocabulary=["a", "b"]), False),
    "weighed": (lambda: _made(StringLookup, ROWS, output_mode="tf_idf"), True),
    "weighed and padded": (
        lambda: _made(
            StringLookup, ROWS, output_mode="tf_idf", max_tokens=9, pad_to_max_tokens=True
        ),
        True,
    ),
    "weights given": (
        lambda: StringLookup(vocabulary=["a"], idf_weights=[0.5], output_mode="tf_idf"),
        False,
    ),
    "words": (lambda: _made(TextVectorization, ["a b", "a"], ngrams=2), True),
    "words counted": (lambda: _made(TextVectorization, ["a b"], output_mode="count"), True),
}


@pytest.mark.parametrize("case", CASES)
def test_round_trip(case: str, tmp_path: Path) -> None:
    make, in_assets = CASES[case]
    layer = make()
    path = saved(layer, tmp_path / "model.keras")
    assert any(name.startswith("assets/") for name in members(path)) is in_assets
    model = keras.models.load_model(path)
    again = model.layers[-1]
    assert again.get_vocabulary() == layer.get_vocabulary()
    x = np.array([["a"], ["b"], ["zz"]])
    np.testing.assert_array_equal(model(x), layer(x))
    model.save(tmp_path / "again.keras")
    assert {**members(path), "metadata.json": b""}.keys() == members(
        tmp_path / "again.keras"
    ).keys()


def test_integers(tmp_path: Path) -> None:
    layer = _made(IntegerLookup, [3, 2**40, -7, -7], mask_token=0)
    path = saved(layer, tmp_path / "model.keras")
    assert members(path)["assets/layers/integer_lookup/vocabulary.txt"].split()[:3] == [
        b"0",
        b"-1",
        b"-7",
    ]
    model = keras.models.load_model(path)
    assert model(np.array([[2**40], [0], [5]])).tolist() == layer([[2**40], [0], [5]]).tolist()


def test_what_was_set_later_is_saved(tmp_path: Path) -> None:
    layer = StringLookup(vocabulary=["a"])
    layer.set_vocabulary(["b", "c"])
    path = saved(layer, tmp_path / "model.keras")
    assert config_of(path)["config"]["layers"][1]["config"]["vocabulary"] is None
    loaded = keras.models.load_model(path).layers[1]
    assert loaded.get_vocabulary() == ["[UNK]", "b", "c"]


def test_a_vocabulary_file_goes_into_the_archive(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("x\ny\n")
    layer = TextVectorization(vocabulary=str(tmp_path / "words.txt"))
    path = saved(layer, tmp_path / "model.keras")
    (tmp_path / "words.txt").unlink()
    assert b"words.txt" not in b"".join(members(path).values())
    assert keras.models.load_model(path).layers[1](["y x"]).tolist() == [[3, 2]]


@keras.saving.register_keras_serializable("assets")
class Notes(keras.layers.Layer):
    """Writes and reads files of its own."""

    text = "nothing"

    def call(self, x: Any) -> Any:
        return x

    def save_assets(self, dir_path: str) -> None:
        Path(dir_path, "deep", "er").mkdir(parents=True)
        Path(dir_path, "deep", "er", "note.txt").write_text(self.text)

    def load_assets(self, dir_path: str) -> None:
        self.text = Path(dir_path, "deep", "er", "note.txt").read_text()


def test_a_layer_of_ones_own(tmp_path: Path) -> None:
    x = keras.Input((1,))
    model = keras.Model(x, keras.layers.TimeDistributed(Notes())(keras.layers.Reshape((1, 1))(x)))
    model.layers[-1].layer.text = "remember"
    model.save(tmp_path / "model.keras")
    name = "assets/layers/time_distributed/layer/deep/er/note.txt"
    assert members(tmp_path / "model.keras")[name] == b"remember"
    assert keras.models.load_model(tmp_path / "model.keras").layers[-1].layer.text == "remember"


@pytest.mark.parametrize("term", ["a\nb", "a\n", ""])
def test_terms_that_no_line_holds(term: str, tmp_path: Path) -> None:
    layer = _made(StringLookup, [["x", "x", term]])
    with pytest.raises(ValueError, match="cannot stand in a file with one term a line"):
        saved(layer, tmp_path / "model.keras")
    assert list(tmp_path.iterdir()) == []
    listed = StringLookup(vocabulary=["x", term])
    path = saved(listed, tmp_path / "model.keras")
    assert keras.models.load_model(path).layers[1].get_vocabulary() == ["[UNK]", "x", term]


def test_the_older_format_has_no_assets(tmp_path: Path) -> None:
    with pytest.raises(NotImplementedError, match=r"cannot hold assets/.*vocabulary\.txt"):
        saved(_made(StringLookup, ROWS), tmp_path / "model.h5")
    assert list(tmp_path.iterdir()) == []


# -- hostile files ---------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return saved(_made(StringLookup, ROWS), tmp_path / "model.keras")


KINDS = [StringLookup, IntegerLookup, TextVectorization]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("form", ["name", "url", "bytes"])
def test_a_configuration_opens_no_file(kind: Any, form: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("1\n2\n")
    name: Any = {"name": str(secret), "url": f"file://{secret}", "bytes": b"secret.txt"}[form]
    config = {**kind().get_config(), "vocabulary": name}
    with pytest.raises(ValueError, match="never opened for a configuration"):
        kind.from_config(config)
    if form == "bytes":
        return
    hostile = {"module": "keras.layers", "class_name": kind.__name__, "config": config}
    with pytest.raises(ValueError, match="never opened for a configuration"):
        keras.saving.deserialize_keras_object(hostile, safe_mode=False)
    path = saved(kind(vocabulary=["1", "2"] if kind is not IntegerLookup else [1]), tmp_path / "m")
    with_config(path, tmp_path / "hostile.keras", vocabulary=name)
    for safe_mode in (True, False):
        with pytest.raises(ValueError, match="never opened for a configuration"):
            keras.models.load_model(tmp_path / "hostile.keras", safe_mode=safe_mode)


@pytest.mark.parametrize(
    "name",
    [
        "assets/../../escaped.txt",
        "/escaped.txt",
        "assets/layers/string_lookup/../../../../escaped.txt",
        "assets\\layers\\..\\escaped.txt",
        "assets/layers/string_lookup//escaped.txt",
        "assets/layers/string_lookup/c:escaped.txt",
    ],
)
def test_names_that_escape(name: str, path: Path, tmp_path: Path) -> None:
    before = {p for p in tmp_path.parent.rglob("*") if p.is_file()}
    hostile = rewritten(path, tmp_path / "hostile.keras", more={name: b"x"})
    with pytest.raises(ValueError, match=r"no plain name|is not read"):
        keras.models.load_model(hostile)
    assert {p for p in tmp_path.parent.rglob("*") if p.is_file()} - before == {hostile}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"layer 'string_lookup.*' cannot be read: .*No such file"),
        (b"[UNK]\na\na", "more than once"),
        (b"[UNK]\n\xff\xfe", "can't decode"),
    ],
)
def test_damaged_vocabularies(content: Any, message: str, path: Path, tmp_path: Path) -> None:
    hostile = rewritten(path, tmp_path / "hostile.keras", vocabulary=content)
    with pytest.raises(ValueError, match=message):
        keras.models.load_model(hostile)


def test_text_in_place_of_integers(tmp_path: Path) -> None:
    path = saved(_made(IntegerLookup, [1, 2]), tmp_path / "model.keras")
    hostile = rewritten(path, tmp_path / "hostile.keras", vocabulary=b"-1\n__import__('os')")
    with pytest.raises(ValueError, match="invalid literal for int"):
        keras.models.load_model(hostile)


def test_another_size_than_the_model_was_made_with(tmp_path: Path) -> None:
    layer = _made(StringLookup, ROWS, output_mode="multi_hot")
    path = saved(layer, tmp_path / "model.keras")
    hostile = rewritten(path, tmp_path / "hostile.keras", vocabulary=b"[UNK]\na\nb\nc\nd\ne")
    with pytest.raises(ValueError, match="was made with its 4 entries"):
        keras.models.load_model(hostile)


def test_weights_of_another_size(tmp_path: Path) -> None:
    path = saved(_made(StringLookup, ["a"], output_mode="tf_idf"), tmp_path / "model.keras")
    other = saved(_made(StringLookup, ROWS, output_mode="tf_idf"), tmp_path / "other.keras")
    model = members(other)["model.weights.h5"]
    hostile = rewritten(path, tmp_path / "hostile.keras", model=model)
    with pytest.raises(ValueError, match=r"expected the values .*\(2,\).* received .*\(4,\)"):
        keras.models.load_model(hostile)


def test_a_vocabulary_that_unfolds(path: Path, tmp_path: Path) -> None:
    bomb = b"[UNK]\n" + b"\n" * (14 * 2**20)
    hostile = rewritten(path, tmp_path / "hostile.keras", zipfile.ZIP_DEFLATED, vocabulary=bomb)
    assert hostile.stat().st_size < 2**16
    with pytest.raises(ValueError, match=r"vocabulary\.txt has \d+ bytes. It is not read"):
        keras.models.load_model(hostile)


def with_config(path: Path, to: Path, **changed: Any) -> Path:
    """A copy of an archive in which the second layer has other arguments."""
    whole = config_of(path)
    whole["config"]["layers"][1]["config"].update(changed)
    return rewritten(path, to, config=json.dumps(whole))


@pytest.mark.parametrize("case", ["weighed", "weights given"])
def test_weights_that_the_file_does_not_have(case: str, tmp_path: Path) -> None:
    path = saved(CASES[case][0](), tmp_path / "model.keras")
    much = {"max_tokens": 10**11, "pad_to_max_tokens": True}
    hostile = with_config(path, tmp_path / "hostile.keras", **much)
    with pytest.raises(ValueError, match="asks for a weight of shape"):
        keras.models.load_model(hostile)


@pytest.mark.parametrize(
    ("case", "changed"),
    [
        ("adapted", {"num_oov_indices": 10**13}),
        ("in the configuration", {"num_oov_indices": 10**13}),
        ("words", {"ngrams": 10**13}),
    ],
)
def test_large_numbers_take_no_memory(case: str, changed: Any, tmp_path: Path) -> None:
    path = saved(CASES[case][0](), tmp_path / "model.keras")
    model = keras.models.load_model(with_config(path, tmp_path / "hostile.keras", **changed))
    assert model(np.array([["a"]])).shape[0] == 1


def shout(texts: Any) -> Any:
    return np.char.upper(texts)


@pytest.mark.parametrize("argument", ["standardize", "split"])
def test_functions_are_found_by_name_alone(argument: str, tmp_path: Path) -> None:
    layer = TextVectorization(vocabulary=["A"], **{argument: shout})
    path = saved(layer, tmp_path / "model.keras")
    with pytest.raises(ValueError, match=r"'shout' is not known\. Register it"):
        keras.models.load_model(path)
    loaded = keras.models.load_model(path, custom_objects={"shout": shout}).layers[1]
    assert getattr(loaded, argument) is shout
    for function in (
        {"module": "os", "class_name": "function", "config": "system", "registered_name": "system"},
        {"class_name": "__lambda__", "config": {"code": "4wAAAA=="}},
    ):
        hostile = with_config(path, tmp_path / "hostile.keras", **{argument: function})
        for safe_mode in (True, False):
            with pytest.raises(ValueError, match=r"is not known|never run"):
                keras.models.load_model(hostile, safe_mode=safe_mode)
