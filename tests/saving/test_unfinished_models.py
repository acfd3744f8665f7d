"""Files of models that are not built, not trained, or changed since; open files; objects in configurations."""

from __future__ import annotations

import io
import json
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import kerastorch as kt

SIDES = pytest.mark.parametrize("writer", [keras, kt], ids=["from_keras", "ours"])
X, Y = np.ones((4, 3), "float32"), np.ones((4, 2), "float32")


def compiled(k: Any, *, build: bool = True, trainable: bool = True) -> Any:
    layers = [k.layers.Dense(4, name="a"), k.layers.Dense(2, name="b")]
    model = k.Sequential([k.Input((3,)), *layers] if build else layers)
    model.trainable = trainable
    model.compile(k.optimizers.Adam(0.1), "mse", metrics=["mae"])
    return model


@SIDES
@pytest.mark.parametrize("ending", ["keras", "h5"])
@pytest.mark.parametrize("trainable", [True, False])
def test_compiled_and_not_trained(
    writer: Any, ending: str, trainable: bool, tmp_path: Path
) -> None:
    """Keras writes an optimizer that has not begun without slots, and one for no variables at all."""
    model = compiled(writer, trainable=trainable)
    model.save(tmp_path / f"model.{ending}")
    loaded = kt.models.load_model(tmp_path / f"model.{ending}")
    assert loaded.compiled
    np.testing.assert_allclose(loaded.evaluate(X, Y)[0], model.evaluate(X, Y)[0], rtol=1e-5)
    if trainable:
        for each in (model, loaded):
            each.train_on_batch(X, Y)
        for mine, other in zip(loaded.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-5)


@SIDES
@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_frozen_after_training(writer: Any, ending: str, tmp_path: Path) -> None:
    model = compiled(writer)
    model.train_on_batch(X, Y)
    model.layers[0].trainable = False
    model.save(tmp_path / f"model.{ending}")
    with pytest.warns(UserWarning, match="starts anew"):
        loaded = kt.models.load_model(tmp_path / f"model.{ending}")
    np.testing.assert_allclose(loaded.predict(X), model.predict(X), rtol=1e-5)
    assert int(loaded.optimizer.iterations) == 0
    loaded.train_on_batch(X, Y)


@SIDES
def test_not_built(writer: Any, tmp_path: Path) -> None:
    model = compiled(writer, build=False)
    with pytest.warns(UserWarning, match="built"):
        model.save(tmp_path / "model.keras")
    loaded = kt.models.load_model(tmp_path / "model.keras")
    assert (loaded.built, loaded.compiled) == (False, True)
    assert [layer.name for layer in loaded.layers] == ["a", "b"]
    loaded.fit(X, Y, verbose=0)
    if writer is kt:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the optimizer, which has not begun
            assert not keras.models.load_model(tmp_path / "model.keras").built
        with pytest.raises(NotImplementedError, match="not built"):
            model.save(tmp_path / "model.h5")


@SIDES
def test_own_compile(writer: Any, tmp_path: Path) -> None:
    @writer.saving.register_keras_serializable("unfinished")
    class Adversarial(writer.Model):  # type: ignore[misc,name-defined]
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.inner = writer.layers.Dense(2)

        def call(self, inputs: Any) -> Any:
            return self.inner(inputs)

        def compile(self, first: Any, second: Any) -> None:
            super().compile()
            self.rates = first, second

    model = Adversarial()
    model(X)
    model.compile(1, 2)
    model.save(tmp_path / "model.keras")
    with pytest.warns(UserWarning, match=r"compile\(\)"):
        loaded = writer.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded.get_weights()[0], model.get_weights()[0])


def test_open_files(tmp_path: Path) -> None:
    model, memory = compiled(kt), io.BytesIO()
    model.train_on_batch(X, Y)
    model.save(memory)
    with open(tmp_path / "model.keras", "wb") as file:
        kt.saving.save_model(model, file)
    with open(tmp_path / "model.keras", "rb") as file:
        for source in (memory, file):
            loaded = kt.models.load_model(source)
            np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
            assert int(loaded.optimizer.iterations) == 1
    theirs = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(theirs.predict(X, verbose=0), model.predict(X), rtol=1e-5)


def test_configuration_keeps_its_order() -> None:
    x = kt.Input((3,))
    first = kt.ops.tanh(x)
    late = kt.ops.relu(kt.layers.Dense(3)(first))
    model = kt.Model(x, [kt.ops.exp(x), late + 1, kt.ops.exp(late) + x])
    config = model.get_config()
    assert kt.Model.from_config(json.loads(json.dumps(config))).get_config() == config


# -- objects as data -------------------------------------------------------------------------------


def halved(x: Any) -> Any:
    return x / 2


def test_functions_as_older_versions_wrote_them() -> None:
    for k in (keras, kt):
        k.saving.register_keras_serializable("unfinished")(halved)
        entry = {"module": "builtins", "class_name": "function", "registered_name": "function"}
        for name, expected in [
            ("halved", halved),
            ("unfinished>halved", halved),
            ("kl_divergence", k.losses.kl_divergence),
        ]:
            assert k.saving.deserialize_keras_object({**entry, "config": name}) is expected


@pytest.mark.parametrize(
    "value", [b"text", ..., slice(1, None, 2), [slice(None, 3), {"a": (...,)}]], ids=str
)
def test_data(value: Any) -> None:
    written = kt.saving.serialize_keras_object(value)
    assert written == keras.saving.serialize_keras_object(value)
    assert kt.saving.deserialize_keras_object(written) == value


def test_objects_in_a_configuration_of_ones_own(tmp_path: Path) -> None:
    for k in (keras, kt):

        @k.saving.register_keras_serializable("unfinished")
        class Around(k.layers.Layer):  # type: ignore[misc,name-defined]
            def __init__(self, inner: Any, **kwargs: Any) -> None:
                super().__init__(**kwargs)
                self.inner = inner

            def call(self, inputs: Any) -> Any:
                return self.inner(inputs)

            def get_config(self) -> dict[str, Any]:
                return {**super().get_config(), "inner": self.inner}

            @classmethod
            def from_config(cls, config: dict[str, Any]) -> Any:
                inner = k.saving.deserialize_keras_object(config.pop("inner"))  # noqa: B023
                return cls(inner, **config)

        model = k.Sequential([k.Input((3,)), Around(k.layers.Dense(2))])
        model.save(tmp_path / "model.keras")
        loaded = k.models.load_model(tmp_path / "model.keras")
        np.testing.assert_allclose(loaded.predict(X, verbose=0), model.predict(X, verbose=0))


@pytest.mark.parametrize(
    ("config", "error", "text"),
    [
        ({"class_name": "Dense", "config": [1]}, TypeError, "expected a dict"),
        ({"class_name": "function", "config": ["a"]}, TypeError, "expected its name"),
    ],
)
def test_malformed_configurations(config: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        kt.saving.deserialize_keras_object(config)


def test_custom_objects_can_be_changed() -> None:
    known = kt.saving.get_custom_objects()
    assert known is kt.utils.get_custom_objects()
    known["thing"] = halved
    entry = {"class_name": "function", "config": "thing", "registered_name": "thing"}
    assert kt.utils.deserialize_keras_object(entry) is halved
    del known["thing"]
    with pytest.raises(ValueError, match="not known"):
        kt.utils.deserialize_keras_object(entry)
