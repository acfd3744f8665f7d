"""`InputSpec`, `TorchModuleWrapper`, and layers as plain data."""

import itertools

import keras as oracle
import numpy as np
import pytest
import torch

import kerastorch as keras

SPECS = [
    {"ndim": 2}, {"min_ndim": 3}, {"max_ndim": 2}, {"shape": (None, 3)}, {"axes": {-1: 3}},
    {"axes": {-1: None}}, {"dtype": "int32"}, {"shape": (None, 3), "dtype": "float32"},
    {"shape": (None, 3, 1), "allow_last_axis_squeeze": True},
]  # fmt: skip
SHAPES = [(2, 3), (2, 4), (2, 3, 1), (2, 5, 3)]


def accepts(keras: object, spec: dict, x: object) -> bool:  # type: ignore[type-arg]
    layer = keras.layers.Identity(dtype="float32")  # type: ignore[attr-defined]
    layer.input_spec = keras.InputSpec(**spec)  # type: ignore[attr-defined]
    try:
        layer(x)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(("spec", "shape"), list(itertools.product(SPECS, SHAPES)), ids=str)
def test_calls_are_checked_as_by_keras(spec: dict, shape: tuple) -> None:  # type: ignore[type-arg]
    if "allow_last_axis_squeeze" in spec and shape != (
        2,
        5,
        3,
    ):  # there Keras compares two axes only
        return
    x = np.ones(shape, "float32")
    assert accepts(keras, spec, x) == accepts(oracle, spec, x)


def test_symbolic_inputs_and_sizes_not_known() -> None:
    class Own(keras.layers.Layer):
        def __init__(self, **kwargs: object) -> None:
            super().__init__(**kwargs)
            self.input_spec = keras.layers.InputSpec(axes={1: 5, -1: 3})

        def call(self, x: torch.Tensor) -> torch.Tensor:
            return x * 2

    model = keras.Model(x := keras.Input((None, 3)), Own()(x))
    assert model(torch.ones(1, 5, 3)).shape == (1, 5, 3)
    with pytest.raises(ValueError, match=r"Own 'own': input has shape .*4\), expected size 5"):
        Own(name="own")(keras.Input((5, 4)))
    with pytest.raises(ValueError, match="size 5 at axis 1"):
        model(torch.ones(1, 6, 3))


def test_several_inputs() -> None:
    layer = keras.layers.Identity(name="both")
    layer.input_spec = [keras.InputSpec(name="a", ndim=1), keras.InputSpec(name="b", optional=True)]
    layer({"a": torch.ones(2), "b": None})
    with pytest.raises(ValueError, match=r"inputs \['b'\] are missing"):
        layer({"a": torch.ones(2)})
    with pytest.raises(ValueError, match="2 inputs, received 1"):
        layer([torch.ones(2)])
    with pytest.raises(ValueError, match="names axis 2 of an input of at most 2"):
        keras.InputSpec(ndim=2, axes={2: 3})
    spec = keras.InputSpec(shape=(None, 2), name="x")
    assert keras.InputSpec.from_config(spec.get_config()).get_config() == spec.get_config()


def test_torch_module_wrapper() -> None:
    inner = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Dropout(1.0))
    layer = keras.layers.TorchModuleWrapper(inner)
    model = keras.Model(x := keras.Input((3,)), layer(x))
    data = torch.randn(4, 3)
    torch.testing.assert_close(model(data), inner[0](data))
    assert not model(data, training=True).any()
    assert [tuple(w.shape) for w in model.trainable_weights] == [(2, 3), (2,)]
    with pytest.raises(TypeError, match="received 3"):
        keras.layers.TorchModuleWrapper(3)  # type: ignore[arg-type]


def test_serialize_and_deserialize_as_keras() -> None:
    data = keras.layers.serialize(keras.layers.Conv2D(2, 3, name="c"))
    theirs = oracle.layers.deserialize(data)
    assert (theirs.name, theirs.filters) == ("c", 2)
    back = keras.layers.deserialize(oracle.layers.serialize(theirs))
    assert back.kernel_size == (3, 3)
    own = keras.layers.deserialize({"class_name": "Own", "config": {}}, {"Own": keras.layers.ReLU})
    assert isinstance(own, keras.layers.ReLU)
