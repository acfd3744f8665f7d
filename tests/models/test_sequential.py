"""Sequential: layers one after the other, built at once or by the first data."""

import copy
import json
import pickle
from typing import Any

import keras as oracle
import numpy as np
import pytest
import torch
from torch import nn

import kerastorch as keras
from kerastorch import layers

X = torch.randn(4, 3, generator=torch.Generator().manual_seed(1))
Dense = layers.Dense


def stack(*parts: Any, **arguments: Any) -> keras.Sequential:
    return keras.Sequential(list(parts), **arguments)


def through_json(model: Any) -> Any:
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(model)))
    return keras.saving.deserialize_keras_object(config)


# -- growing and shrinking -------------------------------------------------------------------------


def test_add_and_pop() -> None:
    model = stack()
    model.add(keras.Input((3,)))
    model.add(Dense(4))
    assert model.output_shape == (None, 4)
    model.add(nn.ReLU())
    model.add(Dense(2))
    assert model.output_shape == (None, 2)
    first = model.layers[0].kernel
    expected = torch.relu(model.layers[0](X))
    assert model.pop().units == 2
    assert model.output_shape == (None, 4)
    assert torch.equal(model(X), expected)
    model.add(Dense(5))
    assert model.layers[0].kernel is first
    assert list(model.state_dict()) == [
        "dense.kernel",
        "dense.bias",
        "dense_1.kernel",
        "dense_1.bias",
    ]
    assert model(X).shape == (4, 5)


def test_pop_down_to_nothing() -> None:
    model = stack(keras.Input((3,)), Dense(2))
    model.pop()
    assert not model.built
    assert model.layers == []
    with pytest.raises(AttributeError, match="no outputs yet"):
        _ = model.outputs
    with pytest.raises(ValueError, match="no layers"):
        model(X)
    with pytest.raises(ValueError, match="no layer to remove"):
        model.pop()
    model.add(Dense(7))
    assert model.output_shape == (None, 7)


def test_add_after_training_keeps_weights_and_trains_the_new_ones() -> None:
    model = stack(Dense(3))
    model.compile("sgd", "mse")
    model.fit(X, X, verbose=0)
    kept = model.layers[0].kernel
    model.add(Dense(1))
    model.compile("sgd", "mse")
    before = copy.deepcopy(model.state_dict())
    model.fit(X, torch.zeros(4, 1), verbose=0)
    assert model.layers[0].kernel is kept
    assert all(not torch.equal(before[k], v) for k, v in model.state_dict().items())


@pytest.mark.parametrize(
    "wrong",
    [
        lambda m: m.add(nn.LSTM(2, 2)),
        lambda m: m.add(layers.Concatenate()),
        lambda m: m.add("relu"),
        lambda m: m.add(torch.relu),
        lambda m: m.add(keras.Input((3,))),
        lambda m: m.add(Dense(2, name="first")),
        lambda m: m.add(m.layers[0]),
        lambda m: m.add(layers.Conv2D(2, 3)),
    ],
)
def test_a_refused_layer_leaves_the_model_as_it_was(wrong) -> None:
    model = stack(keras.Input((3,)), Dense(2, name="first"))
    expected, keys = model(X), list(model.state_dict())
    with pytest.raises((ValueError, TypeError)):
        wrong(model)
    assert len(model.layers) == 1
    assert torch.equal(model(X), expected)
    assert list(model.state_dict()) == keys


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: stack("x"), TypeError, "expected a layer or nn.Module, received 'x' of type str"),
        (lambda: stack(lambda x: x), TypeError, "expected a layer"),
        (
            lambda: stack(keras.Input((3,)), keras.Input((3,))),
            ValueError,
            "Input must be the first",
        ),
        (lambda: stack(Dense(1), keras.Input((3,))), ValueError, "Input must be the first"),
        (
            lambda: stack(keras.Input((5, 3)), nn.LSTM(3, 2)),
            ValueError,
            "several outputs. Use the functional API",
        ),
        (lambda: stack(*[Dense(3)] * 2), ValueError, "is there already.*functional API"),
        (lambda: stack(Dense(3, name="a"), Dense(3, name="a")), ValueError, "called 'a'.*unique"),
        (lambda: stack(Dense(3))([X, X]), ValueError, "takes one tensor, received 2"),
        (lambda: stack(Dense(3)).build(), ValueError, "give `input_shape`"),
        (lambda: stack(Dense(3)).output_shape, AttributeError, "input shape is unknown.*Input"),
        (lambda: stack(Dense(3)).inputs, AttributeError, "no inputs yet"),
        (lambda: stack(Dense(3)).output_names, AttributeError, "no output_names yet"),
        (lambda: stack(Dense(3)).graph, AttributeError, "no graph yet"),
        (lambda: stack(Dense(3)).nothing, AttributeError, "no attribute 'nothing'"),
        (lambda: stack(Dense(3)).count_params(), ValueError, "not built"),
        (lambda: list(stack(Dense(3)).parameters()), ValueError, "not built"),
        (
            lambda: stack(keras.Input((3,)), Dense(2, name="d"))(torch.ones(2, 5)),
            ValueError,
            r"'d': input has shape \(2, 5\) but the kernel was built for 3 features",
        ),
    ],
)
def test_mistakes_are_explained(make, error, message) -> None:
    with pytest.raises(error, match=message):
        make()


# -- building --------------------------------------------------------------------------------------

BUILD = {
    "Input": lambda: stack(keras.Input((3,)), Dense(2)),
    "InputLayer": lambda: stack(layers.InputLayer((3,)), Dense(2)),
    "input_shape=": lambda: stack(Dense(2, input_shape=(3,))),
    "input_dim=": lambda: stack(Dense(2, input_dim=3)),
    "a built model": lambda: stack(stack(keras.Input((3,)), Dense(2))),
    "build": lambda: (m := stack(Dense(2))).build((None, 3)) or m,
    "build of a list": lambda: (m := stack(Dense(2))).build([8, 3]) or m,
    "tensor": lambda: (m := stack(Dense(2)))(X) is None or m,
    "array": lambda: (m := stack(Dense(2)))(X.numpy()) is None or m,
    "float64 array": lambda: (m := stack(Dense(2)))(X.double().numpy()) is None or m,
    "numbers": lambda: (m := stack(Dense(2)))([[1.0, 2.0, 3.0]]) is None or m,
    "integers": lambda: (m := stack(Dense(2)))(torch.ones(2, 3).long()) is None or m,
    "uint8": lambda: (m := stack(Dense(2)))(torch.ones(2, 3).byte()) is None or m,
    "symbolic": lambda: (m := stack(Dense(2)))(keras.Input((3,))) is None or m,
    "meta": lambda: stack(Dense(2, input_shape=(3,))).to("meta"),
}


@pytest.mark.parametrize("way", BUILD)
def test_ways_to_build(way: str) -> None:
    model = BUILD[way]()
    assert model.built
    assert (model.input_shape, model.output_shape) == ((None, 3), (None, 2))
    assert model.count_params() == 8
    assert [tuple(w.shape) for w in model.weights] == [(3, 2), (2,)]
    device = "meta" if way == "meta" else "cpu"
    assert model(X.to(device)).device.type == device
    assert model(X.to(device)).dtype == torch.float32


def test_fit_and_predict_build() -> None:
    model = stack(Dense(2), nn.ReLU(), Dense(1))
    model.compile("sgd", "mse")
    model.fit(X, torch.zeros(4), verbose=0)
    assert model.input_shape == (None, 3)
    assert stack(Dense(2)).predict(X).shape == (4, 2)


def test_integers_reach_an_embedding_as_they_are() -> None:
    ids = np.array([[1, 2, 3], [4, 0, 1]])
    for embedding in (layers.Embedding(5, 2), nn.Embedding(5, 2)):
        model = stack(embedding, layers.Flatten(), Dense(1))
        model.compile("sgd", "mse")
        model.fit(ids, np.zeros(2), verbose=0)
        assert model.inputs[0].dtype is torch.int64
        assert model(ids.astype("int32")).shape == (2, 1)
    masked = stack(layers.Embedding(5, 2, mask_zero=True), Dense(2))
    assert masked(torch.tensor([[1, 0]])).shape == (1, 2, 2)
    assert stack(layers.Embedding(5, 2, input_length=4), layers.Flatten()).output_shape == (None, 8)


def test_a_shape_taken_from_data_does_not_bind_later_data() -> None:
    """As in Keras: what was seen first is no declaration."""
    for k in (oracle, keras):
        model = k.Sequential([k.layers.Dense(2)])
        model(np.ones((2, 5, 3), "float32"))
        assert model(np.ones((2, 7, 3), "float32")).shape == (2, 7, 2)
    declared = stack(keras.Input((5, 3)), Dense(2))
    with pytest.raises(ValueError, match=r"\(None, 5, 3\), received \(2, 7, 3\)"):
        declared(np.ones((2, 7, 3)))


def test_keys_are_the_same_before_and_after_building() -> None:
    parts = [nn.Linear(3, 3), Dense(3, name="loss"), nn.ReLU(), Dense(2), nn.Linear(2, 1), Dense(1)]
    model = stack(*parts)
    before = list(model._modules)
    assert before == ["linear", "loss_", "re_lu", "dense", "linear_1", "dense_1"]
    model(X)
    assert list(model._modules) == before
    ready = stack(keras.Input((3,)), *copy.deepcopy(parts))
    assert list(ready.state_dict()) == list(model.state_dict())
    ready.load_state_dict(model.state_dict())
    torch.testing.assert_close(ready(X), model(X), rtol=0, atol=0)


def test_stock_modules_alone_have_their_parameters_at_once() -> None:
    model = stack(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    names = [name for name, _ in model.named_parameters()]
    assert names == ["linear.weight", "linear.bias", "linear_1.weight", "linear_1.bias"]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(X).sum().backward()
    assert [p.grad is not None for p in model.parameters()] == [True] * 4
    optimizer.step()
    assert [name for name, _ in model.named_parameters()] == names


def test_a_stock_module_may_appear_twice() -> None:
    relu, linear = nn.ReLU(), nn.Linear(3, 3)
    model = stack(linear, relu, linear, relu)
    expected = torch.relu(linear(torch.relu(linear(X))))
    torch.testing.assert_close(model(X), expected, rtol=0, atol=0)
    assert len(model.layers) == 4
    assert list(model.state_dict()) == ["linear.weight", "linear.bias"]


def test_other_attributes_stay() -> None:
    model = stack(Dense(2))
    model.extra = Dense(3)
    model(X)
    assert list(model._modules) == ["dense", "extra"]
    assert len(model.layers) == 1


def test_modes_and_freezing_reach_layers_before_they_are_built() -> None:
    model = stack(Dense(8), nn.Dropout(0.5), layers.Dropout(0.5)).train()
    model(X)
    assert all(module.training for module in model.modules())
    assert not torch.equal(model(X), model(X))
    for frozen in (
        stack(Dense(2), trainable=False),
        stack(keras.Input((3,)), Dense(2), trainable=False),
    ):
        frozen(X)
        assert frozen.trainable_weights == []
        assert not frozen.trainable
        frozen.trainable = True
        assert len(frozen.trainable_weights) == 2
    double = stack(Dense(2)).double()
    assert double(X).dtype == torch.float64


# -- models in a Sequential ------------------------------------------------------------------------


class Net(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.dense = Dense(4)

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.dense(inputs)


def test_models_inside() -> None:
    x = keras.Input((4,))
    inner = keras.Model(x, Dense(4)(x) + x)
    model = stack(
        stack(Dense(4), nn.ReLU()), Net(), inner, nn.Sequential(nn.Linear(4, 2)), Dense(1)
    )
    assert model(X).shape == (4, 1)
    assert list(model._modules) == ["sequential", "net", "functional", "sequential_1", "dense"]
    assert "sequential.dense.kernel" in model.state_dict()
    before = copy.deepcopy(model.state_dict())
    model.compile("sgd", "mse")
    model.fit(X, torch.ones(4), verbose=0)
    assert all(not torch.equal(before[k], v) for k, v in model.state_dict().items())


# -- copies and configs ----------------------------------------------------------------------------


@pytest.mark.parametrize("copier", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_of_unbuilt_and_built(copier) -> None:
    model = stack(Dense(2), nn.ReLU(), Dense(1))
    unbuilt = copier(model)
    assert unbuilt(X).shape == (4, 1)
    assert not model.built
    model(X)
    built = copier(model)
    assert torch.equal(built(X), model(X))
    assert built.layers[0] is not model.layers[0]
    assert list(built._modules.values()) == built.layers
    built.add(Dense(7))
    assert built(X).shape == (4, 7)
    assert model(X).shape == (4, 1)


def test_configs() -> None:
    model = stack(keras.Input((3,), name="x"), Dense(2, name="a"), layers.Dropout(0.5), Dense(1))
    again = through_json(model)
    assert [layer.name for layer in again.layers] == [layer.name for layer in model.layers]
    assert again.input_names == ["x"]
    assert list(again.state_dict()) == list(model.state_dict())
    again.load_state_dict(model.state_dict())
    assert torch.equal(again(X), model(X))
    unbuilt = through_json(stack(Dense(2), Dense(1), name="name"))
    assert not unbuilt.built
    assert unbuilt(X).shape == (4, 1)
    assert unbuilt.name == "name"
    nested = stack(stack(keras.Input((3,)), Dense(2)), Dense(1))
    assert list(through_json(nested).state_dict()) == list(nested.state_dict())
    frozen = through_json(stack(keras.Input((3,)), Dense(2), trainable=False))
    assert frozen.trainable_weights == []


def test_configs_of_keras_are_read() -> None:
    theirs = oracle.Sequential(
        [oracle.Input((3,)), oracle.layers.Dense(2, activation="relu"), oracle.layers.Dense(1)]
    )
    config = json.loads(json.dumps(theirs.get_config()))
    ours = keras.Sequential.from_config(config)
    ours.set_weights(theirs.get_weights())
    np.testing.assert_allclose(
        ours.predict(X), theirs.predict(X.numpy(), verbose=0), rtol=1e-5, atol=1e-6
    )


# -- the rest --------------------------------------------------------------------------------------


def test_access_to_layers() -> None:
    model = stack(keras.Input((3,)), Dense(2, name="a"), nn.ReLU(), name="named")
    assert model.name == "named"
    assert model.get_layer("a") is model.layers[0]
    assert model.get_layer(index=-1) is model.layers[1]
    assert model.get_layer("re_lu") is model.layers[1]
    assert model.input.shape == (None, 3)
    assert model.output.shape == (None, 2)
    assert str(model).startswith("Sequential(")
    assert str(stack(Dense(2))).startswith("Sequential(")


def test_compiled_and_exported_once_built() -> None:
    torch._dynamo.reset()
    model = stack(Dense(2), nn.Tanh(), Dense(1))
    model(X)
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(X), model(X))
    program = torch.export.export(model, (X,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch.testing.assert_close(program.module()(X[:3]), model(X[:3]))


def test_building_step_by_step_costs_one_call_a_layer() -> None:
    calls = []

    class Counted(layers.Layer):
        def call(self, inputs: torch.Tensor) -> torch.Tensor:
            calls.append(self.name)
            return inputs

    model = stack(keras.Input((3,)))
    for _ in range(5):
        model.add(Counted())
    assert len(calls) == 10  # each layer with two sizes of the batch


def test_built_within_a_layer_of_a_graph() -> None:
    """A stack that meets its first inputs in a symbolic call gets real weights, and trains."""

    class Block(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.stack = keras.Sequential(
                [layers.Dense(5, "relu"), layers.Dropout(0.1), layers.Dense(4)]
            )
            self.inner = keras.Sequential([keras.Sequential([layers.Conv1D(4, 1)])])

        def call(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.stack(x) + self.inner(x)

    inputs = keras.Input((6, 4))
    model = keras.Model(inputs, layers.Dense(1)(layers.Flatten()(Block()(inputs))))
    assert {p.device.type for p in model.parameters()} == {"cpu"}
    assert len(list(model.parameters())) == 8
    model.compile("adam", "mse")
    before = [p.detach().clone() for p in model.parameters()]
    model.fit(np.ones((8, 6, 4)), np.ones((8, 1)), epochs=3, verbose=0)
    for weight, old in zip(model.parameters(), before, strict=True):
        assert not torch.equal(weight, old)
