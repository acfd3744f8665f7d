"""A layer is rebuilt from its configuration: by us, from JSON, and by Keras and from Keras's."""

import json
from typing import Any

import keras
import pytest
import torch
from layer_table import FEW, Case, over, scaled, square

import kerastorch as kt

BUILT_IN = [case for case in FEW if case.layer != "Lambda"]


def rebuilt(layer: Any, config: dict[str, Any]) -> Any:
    return type(layer).from_config(json.loads(json.dumps(config)))


@over(FEW)
def test_round_trip_gives_equal_outputs(case: Case) -> None:
    layer = case.ours()
    config = layer.get_config()
    assert config == case.new(name=layer.name).get_config()  # building adds nothing
    twin = rebuilt(layer, config)
    assert json.dumps(twin.get_config()) == json.dumps(config)
    x = case.packed(case.tensors())
    twin(*x)
    twin.set_weights(layer.get_weights())
    torch.testing.assert_close(twin(*x), layer(*x), rtol=0, atol=0)


@over(FEW)
def test_name_dtype_and_trainable_are_kept(case: Case) -> None:
    layer = case.new(name="mine", trainable=False, dtype="float64")
    twin = rebuilt(layer, layer.get_config())
    twin(*case.packed(case.tensors()))
    assert (twin.name, twin.trainable, twin.dtype) == ("mine", False, "float64")
    assert not twin.trainable_weights


@over(FEW)
def test_set_after_the_constructor_is_kept(case: Case) -> None:
    layer = case.new()
    layer.trainable = False
    layer.dtype_policy = "mixed_bfloat16"
    twin = rebuilt(layer, layer.get_config())
    assert (twin.trainable, twin.dtype_policy.name) == (False, "mixed_bfloat16")
    layer(*case.packed(case.tensors()))
    assert not layer.trainable_weights


@over(BUILT_IN)
def test_keras_reads_our_config(case: Case) -> None:
    config = json.loads(json.dumps(case.ours().get_config()))
    layer = getattr(keras.layers, case.layer).from_config(config)
    shapes = [(None, *shape[1:]) for shape in case.shapes]
    ours = case.new().compute_output_shape(*case.packed(shapes))
    assert tuple(layer.compute_output_shape(*case.packed(shapes))) == ours


@over([case for case in BUILT_IN if case.layer != "SpectralNormalization"])  # order of weights
def test_we_read_the_config_of_keras(case: Case) -> None:
    theirs = case.oracle()
    layer = getattr(kt.layers, case.layer).from_config(theirs.get_config())
    x = case.packed(case.tensors())
    layer(*x)
    layer.set_weights(theirs.get_weights())
    torch.testing.assert_close(layer(*x), theirs(*x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("function", [square, scaled])
def test_lambda_of_a_registered_function(function: Any) -> None:
    arguments = {"factor": 3.0} if function is scaled else None
    layer = kt.layers.Lambda(function, arguments=arguments)
    twin = rebuilt(layer, layer.get_config())
    assert twin.function is function
    x = torch.rand(2, 3)
    torch.testing.assert_close(twin(x, training=True), layer(x, training=True), rtol=0, atol=0)


def test_lambda_of_a_lambda_is_refused() -> None:
    layer = kt.layers.Lambda(lambda x: x + 1)
    with pytest.raises(
        TypeError, match="lambda has no name to save: write a function and register"
    ):
        layer.get_config()


def test_lambda_of_an_unknown_function_is_refused() -> None:
    def local(x: Any) -> Any:
        return x

    config = kt.layers.Lambda(local).get_config()
    with pytest.raises(ValueError, match=r"'local' is not known\. Register it"):
        kt.layers.Lambda.from_config(config)
    with kt.saving.custom_object_scope({"local": local}):
        assert kt.layers.Lambda.from_config(config).function is local


def test_data_format_of_the_making_is_kept() -> None:
    layers = [kt.layers.Conv2D(2, 3), kt.layers.MaxPooling2D(), kt.layers.Flatten()]
    configs = [layer.get_config() for layer in layers]
    kt.config.set_image_data_format("channels_first")
    try:
        twins = [rebuilt(layer, c) for layer, c in zip(layers, configs, strict=True)]
    finally:
        kt.config.set_image_data_format("channels_last")
    assert {twin.data_format for twin in twins} == {"channels_last"}


def test_weights_of_an_embedding_are_not_configuration() -> None:
    layer = kt.layers.Embedding(3, 2, weights=torch.ones(3, 2))
    assert "weights" not in layer.get_config()
    assert torch.equal(layer(torch.tensor([1])), torch.ones(1, 2))
