"""Names and configurations: what strings and dicts turn into, and what they never do."""

import json
from typing import Any

import numpy as np
import pytest
import torch

import kerastorch as keras
from kerastorch import activations, initializers, layers, losses, metrics, optimizers, saving
from kerastorch._registry import Registry, snake_case


def there_and_back(value: Any) -> Any:
    data = json.loads(json.dumps(saving.serialize_keras_object(value)))
    return saving.deserialize_keras_object(data)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Dense", "dense"),
        ("Conv2D", "conv2d"),
        ("MaxPooling2D", "max_pooling2d"),
        ("LSTM", "lstm"),
        ("BatchNormalization", "batch_normalization"),
        ("MultiHeadAttention", "multi_head_attention"),
        ("ConvLSTM2D", "conv_lstm2d"),
        ("GRUCell", "gru_cell"),
    ],
)
def test_snake_case_is_keras_s(name: str, expected: str) -> None:
    from keras.src.utils.naming import to_snake_case

    assert snake_case(name) == to_snake_case(name) == expected


# -- names -----------------------------------------------------------------------------------------


class _Base:
    def __init__(self, size: int = 1) -> None:
        self.size = size


class FirstThing(_Base):
    pass


class SecondThing(_Base):
    pass


def a_function(x: int) -> int:
    return x


@pytest.fixture(scope="module")
def family() -> Registry:
    things = Registry("thing", "test_things")
    things.add(FirstThing, SecondThing, a_function, first=FirstThing)
    return things


def test_what_get_takes(family: Registry) -> None:
    for name in ("FirstThing", "first_thing", "first"):
        assert type(family.get(name)) is FirstThing
    assert family.get("a_function") is a_function
    assert family.get(None) is None
    assert type(family.get(SecondThing)) is SecondThing
    assert family.get(a_function) is a_function
    with pytest.raises(TypeError, match=r"thing: expected a name.*received 3 of type int"):
        family.get(3)


def test_unknown_names_get_suggestions(family: Registry) -> None:
    with pytest.raises(ValueError, match=r"Unknown thing 'fist_thing'. Did you mean 'first_thing'"):
        family.get("fist_thing")
    with pytest.raises(ValueError, match="Known: FirstThing, SecondThing, a_function"):
        family.get("zzz")


@pytest.mark.parametrize(
    ("get", "name", "hint"),
    [
        (activations.get, "rellu", "'relu'"),
        (initializers.get, "glorot", "'glorot_uniform'"),
        (losses.get, "mean_square_error", "'mean_squared_error'"),
        (metrics.get, "acuracy", "'[aA]ccuracy'"),
        (optimizers.get, "adm", "'adam'"),
    ],
)
def test_did_you_mean(get, name: str, hint: str) -> None:
    with pytest.raises(ValueError, match=f"{name}.*Did you mean.*{hint}"):
        get(name)


def test_configs_without_a_module_belong_to_the_family_that_reads_them() -> None:
    assert isinstance(initializers.get({"class_name": "zeros"}), initializers.Zeros)
    assert initializers.get({"class_name": "glorot_uniform", "config": {"seed": 3}}).seed == 3
    for name in ("MeanSquaredError", "mean_squared_error"):
        assert isinstance(metrics.get({"class_name": name, "config": {}}), metrics.MeanSquaredError)
    assert isinstance(losses.get({"class_name": "MeanSquaredError"}), losses.MeanSquaredError)
    assert isinstance(optimizers.get({"class_name": "adam"}), optimizers.Adam)
    dense = layers.Dense(2, kernel_initializer={"class_name": "he_normal", "config": {"seed": 1}})
    assert isinstance(dense.kernel_initializer, initializers.HeNormal)


# -- plain data and back -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [None, True, 3, 2.5, float("inf"), "text", [1, [2.5, None]], {"a": {"b": [1]}}, [], {}],
)
def test_plain_values(value: Any) -> None:
    assert there_and_back(value) == value


def test_arrays_tensors_and_dtypes() -> None:
    array = there_and_back(np.arange(6, dtype="int16").reshape(2, 3))
    assert array.dtype == np.int16
    np.testing.assert_array_equal(array, np.arange(6).reshape(2, 3))
    for dtype in (torch.float32, torch.bfloat16, torch.int64, torch.bool):
        tensor = torch.tensor([[0.0, 1.0]]).to(dtype)
        again = there_and_back(tensor)
        assert again.dtype is dtype
        assert torch.equal(again, tensor)
    assert there_and_back(torch.float16) == "float16"
    assert there_and_back(np.float32(2.5)) == 2.5


def test_functions_and_objects() -> None:
    assert saving.serialize_keras_object(activations.relu) == "relu"
    loss = there_and_back(losses.Huber(delta=0.5, name="h"))
    assert (type(loss), loss.name) == (losses.Huber, "h")
    data = saving.serialize_keras_object(losses.Huber(delta=0.5))
    assert (data["module"], data["class_name"]) == ("keras.losses", "Huber")
    assert data["registered_name"] is None
    with pytest.raises(TypeError, match="lambda"):
        saving.serialize_keras_object(lambda x: x)
    with pytest.raises(TypeError, match=r"get_config\(\)"):
        saving.serialize_keras_object(object())


def test_recorded_arguments() -> None:
    config = layers.Dense(3, "relu", kernel_regularizer="l2").get_config()
    assert (config["units"], config["activation"], config["use_bias"]) == (3, "relu", True)
    assert layers.Dense.from_config(config).get_config() == config

    class Own(layers.Layer):
        def __init__(self, units: int, scale: float = 2.0, **kwargs: Any) -> None:
            super().__init__(**kwargs)

    config = Own(3, name="own", dtype="float16").get_config()
    assert config == {
        "units": 3,
        "scale": 2.0,
        "name": "own",
        "dtype": "float16",
        "trainable": True,
    }
    assert Own.from_config(config).get_config() == config


# -- custom objects --------------------------------------------------------------------------------


class Dense(layers.Layer):
    """Called like one of ours, and another thing."""

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs


def relu(x: torch.Tensor) -> torch.Tensor:
    return x


@saving.register_keras_serializable("tests")
class Registered(layers.Layer):
    def __init__(self, size: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = size


@saving.register_keras_serializable("tests", name="twice")
def doubled(x: torch.Tensor) -> torch.Tensor:
    return x * 2


def test_registered_classes_and_functions() -> None:
    data = saving.serialize_keras_object(Registered(3))
    assert data["registered_name"] == "tests>Registered"
    again = there_and_back(Registered(3))
    assert (type(again), again.size) == (Registered, 3)
    assert there_and_back(doubled) is doubled
    assert activations.get("tests>twice") is doubled
    assert saving.get_registered_object("tests>Registered") is Registered
    assert saving.get_registered_name(Registered) == "tests>Registered"
    dense = layers.Dense(2, activation=doubled)
    assert (
        layers.Dense.from_config(json.loads(json.dumps(dense.get_config()))).activation is doubled
    )


def test_own_classes_are_never_taken_for_ours() -> None:
    """A class that merely has the name of a built-in one must be given."""
    for thing in (Dense(), relu):
        with pytest.raises(ValueError, match=r"is not known\. Register it"):
            there_and_back(thing)
    with saving.custom_object_scope({"Dense": Dense, "relu": relu}):
        assert type(there_and_back(Dense())) is Dense
        assert there_and_back(relu) is relu
    data = {**saving.serialize_keras_object(layers.Dense(2)), "registered_name": "other>Dense"}
    with pytest.raises(ValueError, match="'other>Dense' is not known"):
        saving.deserialize_keras_object(data)
    assert type(there_and_back(layers.Dense(2))) is layers.Dense


def test_scopes_end_and_nest() -> None:
    with saving.custom_object_scope({"thing": relu}):
        with saving.custom_object_scope({"thing": doubled}):
            assert activations.get("thing") is doubled

            @saving.register_keras_serializable("tests")
            class InScope(layers.Layer):
                pass

        assert activations.get("thing") is relu
    with pytest.raises(ValueError, match="Unknown activation 'thing'"):
        activations.get("thing")
    assert saving.get_registered_object("tests>InScope") is InScope
    with pytest.raises(RuntimeError), saving.CustomObjectScope({"thing": relu}):
        raise RuntimeError
    assert saving.get_registered_object("thing") is None


def test_a_registered_class_needs_a_config() -> None:
    with pytest.raises(ValueError, match=r"Bare needs a get_config\(\)"):

        @saving.register_keras_serializable()
        class Bare:
            pass


@pytest.mark.parametrize(
    "config",
    [
        {"module": "os", "class_name": "system", "config": {}},
        {"module": "builtins", "class_name": "eval", "config": {}},
        {"module": "os", "class_name": "function", "config": "system"},
        {
            "module": "builtins",
            "class_name": "function",
            "config": "exec",
            "registered_name": "exec",
        },
        {"module": "keras.layers", "class_name": "Nothing", "config": {}},
        {"module": "torch", "class_name": "load", "config": {}},
        {"module": None, "class_name": "subprocess.Popen", "config": {"args": "true"}},
        {"module": "my.layers", "class_name": "Dense", "config": {"units": 2}},
    ],
)
def test_configs_import_and_call_nothing_else(config: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="is not known"):
        saving.deserialize_keras_object(config)
    with pytest.raises(ValueError, match="is not known"):
        saving.deserialize_keras_object({"nested": [config]})


def test_a_function_where_a_class_belongs() -> None:
    with pytest.raises(ValueError, match="names a function"):
        saving.deserialize_keras_object(
            {"module": "keras.activations", "class_name": "relu", "config": {}}
        )


def test_configs_written_by_keras() -> None:
    import keras as oracle

    for make in (
        lambda k: k.losses.BinaryCrossentropy(from_logits=True),
        lambda k: k.initializers.GlorotUniform(seed=3),
        lambda k: k.regularizers.L1L2(0.1, 0.2),
        lambda k: k.constraints.MaxNorm(2.0),
        lambda k: k.optimizers.Adam(0.1, beta_1=0.8),
        lambda k: k.layers.Dense(3, activation="relu", kernel_regularizer="l2"),
        lambda k: k.layers.Conv2D(3, (2, 3), padding="same"),
        lambda k: k.metrics.AUC(num_thresholds=10),
    ):
        theirs = json.loads(json.dumps(oracle.saving.serialize_keras_object(make(oracle))))
        ours = saving.deserialize_keras_object(theirs)
        assert type(ours) is type(make(keras))
        rebuilt = json.loads(json.dumps(ours.get_config()))
        for name, value in theirs["config"].items():
            if name in rebuilt and not isinstance(value, dict):
                near = isinstance(value, float)  # Keras keeps a learning rate in float32
                assert rebuilt[name] == (pytest.approx(value) if near else value), name
