"""Models of symbolic inputs and outputs: how they are called, shared, cut up, renamed and rebuilt."""

import copy
import json
import os
import pickle
import random
from pathlib import Path
from typing import Any

import keras as oracle
import numpy as np
import pytest
import torch
from torch import nn

import kerastorch as keras
from kerastorch import layers, tree

A = torch.randn(4, 3, generator=torch.Generator().manual_seed(1))
B = torch.randn(4, 5, generator=torch.Generator().manual_seed(2))
X = torch.randn(4, 6, generator=torch.Generator().manual_seed(3))


def through_json(model: Any) -> Any:
    """The model from its config, with its weights."""
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(model)))
    again = keras.saving.deserialize_keras_object(config)
    again.load_state_dict(model.state_dict())
    return again


def assert_equal(actual: Any, expected: Any) -> None:
    actual, expected = tree.flatten(actual), tree.flatten(expected)
    assert len(actual) == len(expected)
    for a, b in zip(actual, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


# -- several inputs and outputs ------------------------------------------------------------------------

STRUCTURES = {
    "list": lambda a, b: [a, b],
    "tuple": lambda a, b: (a, b),
    "dict by name": lambda a, b: {"a": a, "b": b},
    "dict by other keys": lambda a, b: {"u": a, "v": b},
    "nest": lambda a, b: {"first": a, "rest": [b]},
}


def two_inputs(structure: str = "list") -> keras.Model:
    a, b = keras.Input((3,), name="a"), keras.Input((5,), name="b")
    joint = layers.Dense(2, name="joint")(layers.concatenate([a, b]))
    alone = layers.Dense(1, name="alone")(a)
    return keras.Model(STRUCTURES[structure](a, b), [joint, alone], name="two")


CALLS = {
    "list": lambda m: m([A, B]),
    "tuple": lambda m: m((A, B)),
    "separate": lambda m: m(A, B),
    "dict by name": lambda m: m({"b": B, "a": A}),
    "extra key": lambda m: m({"a": A, "b": B, "c": A}),
    "keywords": lambda m: m(a=A, b=B),
    "mixed": lambda m: m(A, b=B),
    "nested": lambda m: m([A, [B]]),
    "arrays": lambda m: m([A.numpy(), B.numpy()]),
    "float64 arrays": lambda m: m(A.numpy().astype("float64"), B.numpy()),
}


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("call", CALLS)
def test_ways_to_give_several_inputs(structure: str, call: str) -> None:
    model = two_inputs(structure)
    joint = torch.cat([A, B], -1) @ model.get_layer("joint").kernel
    expected = [joint, A @ model.get_layer("alone").kernel]
    for actual, value in zip(CALLS[call](model), expected, strict=True):
        torch.testing.assert_close(actual, value)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_own_structure_of_inputs(structure: str) -> None:
    model = two_inputs(structure)
    expected = model(A, B)
    assert_equal(model(STRUCTURES[structure](A, B)), expected)
    assert_equal(model(STRUCTURES[structure](A.numpy(), B.numpy())), expected)
    predicted = model.predict(STRUCTURES[structure](A.numpy(), B.numpy()))
    assert_equal([torch.from_numpy(p) for p in predicted], [e.detach() for e in expected])
    assert model.input_names == ["a", "b"]
    assert model.output_names == ["joint", "alone"]
    assert type(model.input) is type(STRUCTURES[structure](A, B))
    assert tree.flatten(tree.map_structure(lambda t: t.shape[-1], model.input)) == [3, 5]
    assert model.output_shape == [(None, 2), (None, 1)]
    assert [t.shape for t in model.inputs] == [(None, 3), (None, 5)]
    assert [t.shape for t in model.outputs] == [(None, 2), (None, 1)]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: m(A), ValueError, r"takes 2 inputs \(a, b\), received 1"),
        (lambda m: m([A, B, A]), ValueError, r"takes 2 inputs \(a, b\), received 3"),
        (lambda m: m({"a": A}), ValueError, r"input 'b' is missing.*\['a', 'b'\].*\['a'\]"),
        (lambda m: m({"A": A, "B": B}), ValueError, "input 'a', 'b' is missing"),
        (lambda m: m([B, A]), ValueError, r"input 'a' must have shape \(None, 3\).*\(4, 5\)"),
        (lambda m: m([A, None]), TypeError, "input 'b' must be a tensor.*received None"),
        (lambda m: m(["x", B]), TypeError, "input 'a' must be a tensor.*received 'x'"),
        (lambda m: m(), TypeError, "missing 1 required positional argument: 'a'"),
        (lambda m: m(c=A), TypeError, "unexpected keyword argument 'c'"),
    ],
)
def test_wrong_inputs_are_explained(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call(two_inputs())


def test_dict_outputs() -> None:
    x = keras.Input((6,))
    h = layers.Dense(2, name="h")(x)
    model = keras.Model(x, {"scores": h, "more": {"doubled": h * 2, "pair": (h, x)}})
    result = model(X)
    assert list(result) == ["scores", "more"]
    assert isinstance(result["more"]["pair"], tuple)
    torch.testing.assert_close(result["more"]["doubled"], 2 * result["scores"])
    assert model.predict(X)["more"]["pair"][1].shape == (4, 6)
    assert model.output_shape["more"]["doubled"] == (None, 2)
    assert_equal(through_json(model)(X), result)


def test_outputs_that_are_inputs_or_constants() -> None:
    x = keras.Input((6,), name="x")
    model = keras.Model(x, x)
    assert model(X) is X
    assert model.output_names == ["x"]
    first, second, none = keras.Model(x, [x * 2, torch.ones(3), None])(X)
    assert torch.equal(first, X * 2)
    assert torch.equal(second, torch.ones(3))
    assert none is None


def test_inputs_that_nothing_depends_on() -> None:
    a, b = keras.Input((3,), name="a"), keras.Input((5,), name="b")
    model = keras.Model([a, b], a * 2)
    assert torch.equal(model([A, B]), A * 2)
    assert [layer.name for layer in model.layers] == ["a", "b"]


def test_output_names_are_unique() -> None:
    x = keras.Input((6,))
    dense = layers.Dense(6, name="d")
    model = keras.Model(x, [dense(x), dense(dense(x)), torch.relu(x), nn.Linear(6, 1)(x)])
    assert model.output_names == ["d", "d_2", "relu", "linear"]


def test_unknown_axes() -> None:
    x = keras.Input((None, None, 3))
    y = layers.Conv2D(4, 3, padding="same")(x)
    model = keras.Model(x, [y, y.mean((1, 2))])
    assert model.output_shape == [(None, None, None, 4), (None, 4)]
    for size in ((2, 8, 9, 3), (1, 5, 4, 3)):
        full, pooled = model(torch.randn(size))
        assert full.shape == (*size[:3], 4)
        assert pooled.shape == (size[0], 4)
    with pytest.raises(ValueError, match=r"\(None, None, None, 3\)"):
        model(np.zeros((2, 8, 9, 4)))


def test_dtypes_of_inputs() -> None:
    ids = keras.Input((2,), dtype="int64", name="ids")
    weight = keras.Input((2,), dtype="bool", name="weight")
    y = layers.Embedding(5, 3)(ids) * weight.unsqueeze(-1)
    model = keras.Model([ids, weight], y)
    expected = model(torch.tensor([[1, 2]]), torch.tensor([[True, False]]))
    assert torch.equal(expected[0, 1], torch.zeros(3))
    assert_equal(model([[1, 2]], [[True, False]]), expected)
    assert_equal(model(np.array([[1, 2]], "int32"), np.array([[1, 0]])), expected)
    assert_equal(model(np.array([[1.0, 2.0]]), np.array([[1.0, 0.0]])), expected)
    floats = keras.Input((2,))
    assert keras.Model(floats, floats * 2)(torch.tensor([[1, 2]])).dtype == torch.float32
    assert keras.Model(floats, floats * 2)([[1.5, 2.0]]).tolist() == [[3.0, 4.0]]


# -- the graph that is built ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda x: keras.Model(x, x + keras.Input((6,), name="y")), "Input 'y'.*inputs.*'x'"),
        (lambda x: keras.Model([x, keras.Input((6,), name="x")], x), "called 'x'.*unique"),
        (lambda x: keras.Model([x, x], x * 2), "twice among `inputs`"),
        (
            lambda x: keras.Model(x, layers.Dense(6, name="d")(layers.Dense(6, name="d")(x))),
            "called 'd'.*unique",
        ),
        (lambda x: keras.Model(X, x), "`inputs` must be symbolic"),
        (lambda x: keras.Model(x, X), "`outputs` must depend on the inputs"),
        (lambda x: keras.Model([], x), "`inputs` must be symbolic"),
    ],
)
def test_graphs_that_are_refused(make, message) -> None:
    with pytest.raises(ValueError, match=message):
        make(keras.Input((6,), name="x"))


def test_missing_outputs() -> None:
    with pytest.raises(TypeError, match="'outputs'"):
        keras.Model(keras.Input((6,)))


def test_shared_layer_is_one_set_of_weights_and_two_calls() -> None:
    x = keras.Input((6,))
    dense = layers.Dense(6, name="d")
    model = keras.Model(x, dense(torch.relu(dense(x))))
    assert list(model.state_dict()) == ["d.kernel", "d.bias"]
    assert [n.target for n in model.graph.nodes if n.op == "call_module"] == ["d", "d"]
    model.compile("sgd", "mse")
    model.fit(X, X, verbose=0)
    expected = torch.relu(X @ dense.kernel + dense.bias) @ dense.kernel + dense.bias
    torch.testing.assert_close(model(X), expected)
    again = through_json(model)
    assert len(again.weights) == 2
    assert_equal(again(X), model(X))


def test_two_models_built_alike_have_the_same_keys() -> None:
    def make(last: Any = None) -> keras.Model:
        x = keras.Input((6,))
        h = (last or nn.Linear(2, 2))(layers.Dense(2)(layers.Dense(3)(x)))
        return keras.Model(x, h * nn.Parameter(torch.ones(1)))

    first, second = make(), make()
    assert first.layers[1].name != second.layers[1].name
    keys = ["parameter_0", "dense.kernel", "dense.bias", "dense_1.kernel", "dense_1.bias"]
    assert list(first.state_dict()) == [*keys, "linear.weight", "linear.bias"]
    second.load_state_dict(first.state_dict())
    assert_equal(second(X), first(X))
    model = make(layers.Dense(2))
    again = through_json(model)
    assert list(again.state_dict()) == list(model.state_dict())
    assert [layer.name for layer in again.layers] == [layer.name for layer in model.layers]


def test_automatic_names_keep_clear_of_given_ones() -> None:
    x = keras.Input((6,))
    h = layers.Dense(6)(layers.Dense(6, name="dense")(layers.Dense(6)(x)))
    model = keras.Model(x, h)
    assert list(model._modules) == ["dense_1", "dense", "dense_2"]
    assert model.get_layer("dense").name == "dense"
    assert_equal(through_json(model)(X), model(X))


NAMES = [
    "a/b", "a.b", "a b", "a-b", "1st", "état", "_x", "class", "lambda", "None", "self", "torch", "type",
    "getattr", "operator", "loss", "layers", "forward", "call", "training", "mask", "name", "built",
    "input", "state_dict", "metrics", "compile",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_names_of_any_kind(name: str) -> None:
    x = keras.Input((6,), name=name)
    y = layers.Dense(2, name=f"{name}2")(layers.Dense(3, name=f"other {name}")(x))
    z = layers.Dense(2, name=name + "_")(y)
    model = keras.Model(x, {name: torch.relu(y + x.sum()), "z": z})
    expected = model(X)
    assert model.input_names == [name]
    assert model.output_names == [name, "z"]
    assert model.get_layer(f"{name}2").name == f"{name}2"
    assert_equal(model({name: X}), expected)
    assert_equal(through_json(model)(X), expected)
    assert_equal(copy.deepcopy(model)(X), expected)
    assert_equal(pickle.loads(pickle.dumps(model))(X), expected)
    model.compile("sgd", {name: "mse"})
    assert model.evaluate({name: X}, {name: torch.zeros(4, 2)}, verbose=0)[0] > 0


@pytest.mark.parametrize("name", NAMES)
def test_layer_names_of_any_kind(name: str) -> None:
    x = keras.Input((6,), name="x")
    model = keras.Model(x, layers.Dense(2, name=name)(x) + 1)
    expected = model(X)
    assert model.get_layer(name).units == 2
    assert all(
        "." not in key.removesuffix(".kernel").removesuffix(".bias") for key in model.state_dict()
    )
    assert_equal(through_json(model)(X), expected)
    assert_equal(copy.deepcopy(model)(X), expected)
    model.compile("sgd", "mse")
    model.fit(X, torch.zeros(4, 2), verbose=0)


def test_code_can_be_read_and_the_graph_edited() -> None:
    x = keras.Input((6,), name="features")
    model = keras.Model(x, torch.relu(layers.Dense(3, name="scores")(x))[:, :2])
    assert "def forward(self, features" in model.code
    assert "scores = self.scores(features)" in model.code
    assert "relu = torch.relu(scores)" in model.code
    before = model(X)
    for node in model.graph.nodes:
        if node.target is torch.relu:
            node.target = torch.neg
    model.recompile()
    edited = model(X)
    assert not torch.equal(edited, before)
    assert torch.equal(torch.relu(-edited), before)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert_equal(twin(X), edited)
    assert "Functional(" in str(model)
    assert "(scores): Dense" in str(model)


def test_constants_and_parameters_in_the_graph(tmp_path: Path) -> None:
    factor, offset = nn.Parameter(torch.ones(6)), torch.full((6,), 2.0)
    x = keras.Input((6,))
    model = keras.Model(x, (x * factor + offset + factor).sum(-1, keepdim=True))
    assert list(model.state_dict()) == ["parameter_0", "constant_0"]
    model.compile("sgd", "mse")
    model.fit(X, torch.zeros(4), verbose=0)
    assert not torch.equal(factor, torch.ones(6))
    torch.save(model, tmp_path / "model.pt")
    for twin in (
        copy.deepcopy(model),
        pickle.loads(pickle.dumps(model)),
        torch.load(tmp_path / "model.pt", weights_only=False),
        through_json(model),
    ):
        assert_equal(twin(X), model(X))
        assert [name for name, _ in twin.named_parameters()] == ["parameter_0"]
        twin.fit(X, torch.zeros(4), verbose=0) if twin.compiled else None
    assert model.double()(X.double()).dtype == torch.float64
    assert keras.Model.from_config(model.get_config()).constant_0.dtype == torch.float64
    assert model.to("meta")(X.double().to("meta")).is_meta


# -- models in models ------------------------------------------------------------------------------------


@keras.saving.register_keras_serializable("test_functional")
class Net(keras.Model):
    def __init__(self, units: int = 6, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dense = layers.Dense(units)
        self.drop = nn.Dropout(0.5)

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.drop(self.dense(inputs))


def inner_functional() -> keras.Model:
    x = keras.Input((6,), name="inner_x")
    h = layers.Dropout(0.5)(layers.Dense(6, name="hidden")(x))
    return keras.Model(x, h, name="inner")


INNER = {
    "functional": inner_functional,
    "sequential": lambda: keras.Sequential(
        [keras.Input((6,)), layers.Dense(6), layers.Dropout(0.5)], name="inner"
    ),
    "deferred sequential": lambda: keras.Sequential(
        [layers.Dense(6), layers.Dropout(0.5)], name="inner"
    ),
    "subclassed": lambda: Net(name="inner"),
    "stock": lambda: nn.Sequential(nn.Linear(6, 6), nn.Dropout(0.5)),
}


@pytest.mark.parametrize("kind", INNER)
def test_nested_models(kind: str) -> None:
    inner = INNER[kind]()
    x = keras.Input((6,))
    model = keras.Model(x, layers.Dense(2, name="head")(torch.tanh(inner(x))))
    assert inner in model.layers
    assert len(model.trainable_weights) == 4
    prefix = "sequential." if kind == "stock" else "inner."
    assert all(key.startswith((prefix, "head.")) for key in model.state_dict())
    assert not any(module.training for module in model.modules())
    assert_equal(model(X), model(X))
    noisy = [model(X, training=True) for _ in range(2)]
    assert not torch.equal(*noisy)
    assert not any(module.training for module in model.modules())
    model.train()
    assert_equal(model(X, training=False), model(X, training=False))
    model.eval()
    before = copy.deepcopy(model.state_dict())
    model.compile("sgd", "mse")
    model.fit(X, torch.ones(4, 2), verbose=0)
    assert all(not torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert_equal(copy.deepcopy(model)(X), model(X))
    if kind != "stock":  # which has no config
        again = through_json(model)
        assert list(again.state_dict()) == list(model.state_dict())
        assert_equal(again(X), model(X))


def test_nested_model_with_several_inputs() -> None:
    inner = two_inputs()
    a, b = keras.Input((3,)), keras.Input((5,))
    expected = inner(A, B)
    for call in (
        lambda: inner([a, b]),
        lambda: inner(a, b),
        lambda: inner({"b": b, "a": a}),
        lambda: inner((a, b)),
    ):
        joint, alone = call()
        model = keras.Model([a, b], [joint, alone])
        assert_equal(model(A, B), expected)
        assert_equal(through_json(model)(A, B), expected)
    with pytest.raises(ValueError, match="takes 2 inputs"):
        inner([a])


def test_feature_extraction() -> None:
    x = keras.Input((6,))
    h = layers.Dense(5, name="h")(x)
    y = layers.Dense(2, name="out")(torch.relu(h))
    model = keras.Model(x, y)
    body = keras.Model(model.input, model.get_layer("h").output)
    head = keras.Model(h, model.output)
    last = keras.Model(model.get_layer("out").input, model.output)
    assert body.get_layer("h") is model.get_layer("h")
    assert (body.output_shape, head.input_shape) == ((None, 5), (None, 5))
    assert [layer.name for layer in head.layers[1:]] == ["out"]
    assert_equal(head(body(X)), model(X))
    assert_equal(last(torch.relu(body(X))), model(X))
    assert_equal(through_json(head)(body(X)), model(X))
    several = keras.Model(model.inputs, [layer.output for layer in model.layers])
    assert [tuple(t.shape) for t in several(X)] == [(4, 6), (4, 5), (4, 2)]
    frozen = model.get_layer("h")
    frozen.trainable = False
    assert len(body.trainable_weights) == 0
    assert len(model.trainable_weights) == 2


def test_input_from_one_of_several_results() -> None:
    x = keras.Input((6,))
    h, c = nn.LSTMCell(6, 3)(x)
    model = keras.Model([h, c], h * c)
    assert_equal(model(torch.ones(2, 3), torch.ones(2, 3)), torch.ones(2, 3))
    assert_equal(keras.Model(h, h * 2)(torch.ones(2, 3)), torch.full((2, 3), 2.0))


def test_features_of_sequential_and_nested_models() -> None:
    stack = keras.Sequential([keras.Input((6,)), layers.Dense(5, name="h"), layers.Dense(2)])
    features = keras.Model(stack.inputs, [layer.output for layer in stack.layers])
    assert [tuple(t.shape) for t in features(X)] == [(4, 5), (4, 2)]
    assert_equal(features(X)[1], stack(X))
    inner = inner_functional()
    x = keras.Input((6,))
    inner(x)
    assert keras.Model(inner.input, inner.get_layer("hidden").output)(X).shape == (4, 6)


# -- losses, masks, modes, hooks ---------------------------------------------------------------------------


class Penalty(layers.Layer):
    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        self.add_loss(inputs.mean())
        return inputs


def test_added_losses_through_nested_models() -> None:
    x = keras.Input((6,))
    inner = keras.Model(x, Penalty()(layers.Dense(3, kernel_regularizer="l2")(Penalty()(x))))
    y = keras.Input((6,))
    model = keras.Model(y, inner(y) * 2)
    assert [float(loss.detach()) for loss in model.losses] == [
        pytest.approx(0.01 * float(inner.weights[0].detach().square().sum()))
    ]
    for _ in range(2):
        model(X)
        assert len(model.losses) == 3
        torch.testing.assert_close(model.losses[0], X.mean())
    total = sum(model.losses)
    model.compile("sgd")
    assert model.evaluate(X, verbose=0) == pytest.approx(float(total.detach()), rel=1e-5)


def test_losses_and_metrics_of_the_model_itself() -> None:
    x = keras.Input((6,))
    h = layers.Dense(3)(x)
    model = keras.Model(x, layers.Dense(1)(h))
    model.add_loss(torch.sum(h) * 0.1)
    model.add_metric(h.std(), name="spread")
    twins = [copy.deepcopy(model), pickle.loads(pickle.dumps(model)), through_json(model)]
    for each in (model, *twins):
        each.compile("sgd")
        loss, spread = each.evaluate(X, verbose=0)
        hidden = X @ model.get_layer(index=1).kernel
        assert loss == pytest.approx(float(hidden.sum().detach()) * 0.1, rel=1e-4)
        assert spread == pytest.approx(float(hidden.std().detach()), rel=1e-4)
        assert each.metrics_names == ["loss", "spread"]
    before = model.get_layer(index=1).kernel.detach().clone()
    model.fit(X, verbose=0)
    assert not torch.equal(before, model.get_layer(index=1).kernel)
    assert model(X).shape == (4, 1)


class Spy(layers.Layer):
    """Multiplies by the mask that it is given."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        return inputs if mask is None else inputs * mask.unsqueeze(-1)


def test_masks_are_nodes_of_the_graph() -> None:
    ids = keras.Input((None,), dtype="int64", name="ids")
    h = layers.Embedding(5, 3, mask_zero=True, name="embed")(ids)
    model = keras.Model(ids, Spy()(layers.Dense(2)(h)))
    assert "ne = ids != 0" in model.code
    result = model(torch.tensor([[1, 2, 0]]))
    assert torch.equal(result[0, 2], torch.zeros(2))
    assert result[0, :2].abs().sum() > 0
    twin = copy.deepcopy(model)
    assert_equal(twin(torch.tensor([[1, 2, 0]])), result)
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(torch.tensor([[1, 2, 0]])), result)


def test_explicit_masks_and_modes_are_part_of_the_graph() -> None:
    x, mask = keras.Input((4, 6)), keras.Input((4,), dtype="bool")
    model = keras.Model([x, mask], Spy()(x, mask=mask))
    values = torch.ones(1, 4, 6), torch.tensor([[True, False, True, False]])
    assert model(values).sum() == 12
    always = keras.Model(x, layers.Dropout(0.5)(x, training=True))
    assert not torch.equal(always(values[0]), always(values[0]))
    norm = layers.BatchNormalization()
    never = keras.Model(x, norm(x, training=False))
    never.compile("sgd", "mse")
    never.fit(values[0], values[0], verbose=0)
    assert torch.equal(norm.moving_mean, torch.zeros(6))


def test_hooks_of_layers_fire_in_the_model_and_not_while_building() -> None:
    fired: list[str] = []
    dense = layers.Dense(3)
    dense.register_forward_hook(lambda *_: fired.append("after"))
    dense.register_forward_pre_hook(lambda *_: fired.append("before"))
    x = keras.Input((6,))
    model = keras.Model(x, dense(x))
    assert fired == []
    model(X)
    assert fired == ["before", "after"]
    model.register_forward_hook(lambda module, args, output: output * 0)
    assert torch.equal(model(X), torch.zeros(4, 3))


# -- subclasses, configs -------------------------------------------------------------------------------------


@keras.saving.register_keras_serializable("test_functional")
class Custom(keras.Model):
    """Only another training step: made of symbolic tensors."""

    def train_step(self, data: Any) -> Any:
        logs = dict(super().train_step(data))
        return {**logs, "extra": torch.tensor(7.0)}


@keras.saving.register_keras_serializable("test_functional")
class Own(keras.Model):
    """Makes its graph itself: its config is its own arguments."""

    def __init__(self, units: int = 3, **kwargs: Any) -> None:
        x = keras.Input((6,))
        super().__init__(inputs=x, outputs=layers.Dense(units)(x), **kwargs)
        self.units = units


def test_subclass_made_of_symbolic_tensors() -> None:
    x = keras.Input((6,))
    model = Custom(x, layers.Dense(2)(x), name="custom")
    assert isinstance(model, Custom)
    assert isinstance(model, keras.Functional)
    model.compile("sgd", "mse")
    assert model.fit(X, torch.zeros(4, 2), verbose=0).history["extra"] == [7.0]
    for twin in (through_json(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert isinstance(twin, Custom)
        assert twin.name == "custom"
        assert_equal(twin(X), model(X))


def test_subclass_that_makes_its_own_graph() -> None:
    model = Own(4, name="own")
    assert model.get_config()["units"] == 4
    for twin in (through_json(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert isinstance(twin, Own)
        assert twin.units == 4
        assert_equal(twin(X), model(X))


def test_json_holds_class_and_config() -> None:
    content = json.loads(two_inputs().to_json())
    assert content["class_name"] == "Functional"
    assert content["module"] == "keras.src.models.functional"
    assert content["config"]["name"] == "two"
    names = [entry["name"] for entry in content["config"]["layers"]]
    assert {"a", "b", "joint", "alone"} < set(names)
    assert len(names) == 5
    again = keras.models.model_from_json(two_inputs().to_json())
    assert again.output_names == ["joint", "alone"]


def test_config_keeps_freezing_dtypes_and_names() -> None:
    ids = keras.Input((2,), dtype="int64", name="ids")
    h = layers.Embedding(5, 3, name="e", trainable=False)(ids)
    model = keras.Model(ids, layers.Dense(2, dtype="float64")(h.mean(1)), name="m")
    again = through_json(model)
    assert (again.name, again.input_names) == ("m", ["ids"])
    assert again.inputs[0].dtype is torch.int64
    assert len(again.trainable_weights) == 2
    assert again(torch.tensor([[1, 2]])).dtype == torch.float64
    frozen = keras.Model(ids, h, trainable=False)
    assert frozen.trainable_weights == []
    assert through_json(frozen).trainable is False


def test_custom_objects_of_a_config() -> None:
    x = keras.Input((6,))
    model = keras.Model(x, Penalty()(x))
    config = json.loads(json.dumps(model.get_config()))
    with pytest.raises(ValueError, match="'Penalty' is not known"):
        keras.Model.from_config(config)
    assert_equal(keras.Model.from_config(config, custom_objects={"Penalty": Penalty})(X), X)


def test_a_module_without_a_config_is_named_in_the_error() -> None:
    x = keras.Input((6,))
    with pytest.raises(TypeError, match=r"Linear.*get_config"):
        keras.Model(x, nn.Linear(6, 2)(x)).get_config()


def config_calling(op: str, target: Any, *args: Any) -> dict[str, Any]:
    x = keras.Input((3,), name="x")
    config = keras.Model(x, torch.square(x)).get_config()
    config["layers"][1] |= {
        "module": "torch",
        "class_name": op,
        "config": {"name": "called", "target": target},
        "inbound_nodes": [{"args": list(args), "kwargs": {}}],
    }
    return config


TENSOR = {"class_name": "__keras_tensor__", "config": {"keras_history": ["x", 0, 0]}}


@pytest.mark.parametrize(
    "target",
    [
        "os.system", "eval", "builtins.eval", "__import__", "getattr", "builtins.getattr",
        "torch.load", "torch.save", "torch.serialization.load", "torch.hub.load", "torch.jit.load",
        "torch.ops.load_library", "torch.compile", "torch.from_file", "torch.set_default_device",
        "torch.set_default_dtype", "torch.manual_seed", "torch.seed", "torch.use_deterministic_algorithms",
        "torch.autocast", "torch.set_grad_enabled", "torch.import_ir_module", "torch.classes",
        "torch.nn.functional.os", "torch.os.system", "torch.nn.Linear", "torch.nn.init.zeros_",
        "torch.Tensor.numpy", "torch._C._nn.gelu", "torch._assert", "torch.utils.data.DataLoader",
        "operator.attrgetter", "operator.methodcaller", "operator.setitem", "operator.call", "",
    ],
)  # fmt: skip
def test_configs_call_functions_of_tensors_only(target: str) -> None:
    for args in ([TENSOR], ["x", TENSOR], [TENSOR, "__class__"]):
        with pytest.raises(ValueError, match="Nothing else is called"):
            keras.Model.from_config(config_calling("call_function", target, *args))


@pytest.mark.parametrize(
    ("target", "receiver"),
    [
        ("__class__", TENSOR),
        ("__reduce_ex__", TENSOR),
        ("_make_subclass", TENSOR),
        ("node", TENSOR),
        ("probes", TENSOR),
        ("format", "{0.__class__}"),
        ("append", []),
    ],
)
def test_configs_call_methods_of_tensors_only(target: str, receiver: Any) -> None:
    with pytest.raises(ValueError, match=r"Nothing else is called|takes no symbolic tensor"):
        keras.Model.from_config(config_calling("call_method", target, receiver))


@pytest.mark.parametrize("name", ["__class__", "_backward_hooks", "node", "__dict__", 3])
def test_configs_read_attributes_of_tensors_only(name: Any) -> None:
    with pytest.raises(ValueError, match="Nothing else is called"):
        keras.Model.from_config(config_calling("call_function", "getattr", TENSOR, name))


def test_configs_make_registered_classes_only() -> None:
    config = two_inputs().get_config()
    joint = next(entry for entry in config["layers"] if entry["name"] == "joint")
    joint |= {"module": "os", "class_name": "system", "config": "true"}
    with pytest.raises(ValueError, match="'system' is not known"):
        keras.Model.from_config(config)
    config = two_inputs().get_config()
    config["output_layers"][0][0] = "missing"
    with pytest.raises(ValueError, match="names a layer 'missing' that it does not have"):
        keras.Model.from_config(config)
    assert os.getpid()  # still here


# -- Keras as the oracle -----------------------------------------------------------------------------------


def branches(k: Any) -> Any:
    """A model of two branches, a shared layer and a nested model."""
    image, vector = k.Input((8, 8, 3), name="image"), k.Input((5,), name="vector")
    shared = k.layers.Dense(4, name="shared")
    h = k.layers.Conv2D(2, 3, name="conv")(image)
    h = k.layers.BatchNormalization(name="norm")(h)
    h = shared(k.layers.Flatten(name="flat")(h))
    inner_x = k.Input((5,), name="inner_x")
    inner = k.Model(
        inner_x, k.layers.Dense(72, activation="relu", name="in_d")(inner_x), name="inner"
    )
    v = shared(inner(vector))
    y = k.layers.Add(name="sum")([h, v])
    z = k.layers.Dense(3, name="z")(k.layers.Concatenate(name="cat")([h, v]))
    return k.Model([image, vector], [y, z], name="branches")


def test_branches_agree_with_keras() -> None:
    theirs, ours = branches(oracle), branches(keras)
    assert ours.count_params() == theirs.count_params()
    assert ours.input_shape == theirs.input_shape
    assert ours.output_shape == theirs.output_shape
    assert ours.output_names == theirs.output_names
    assert [layer.name for layer in ours.layers] == [layer.name for layer in theirs.layers]
    assert [t.name for t in ours.inputs] == [t.name for t in theirs.inputs]
    assert [w.path for w in ours.weights] == [w.path for w in theirs.weights]
    ours.set_weights(theirs.get_weights())
    generator = np.random.default_rng(0)
    batch = [generator.random((2, 8, 8, 3)), generator.random((2, 5))]
    for a, b in zip(ours.predict(batch), theirs.predict(batch, verbose=0), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_order_of_layers_and_weights_agrees_with_keras() -> None:
    def chain(k: Any) -> Any:
        x = k.Input((6,), name="x")
        h = k.layers.Dense(5, name="a")(x)
        h = k.layers.BatchNormalization(name="b")(h)
        h = k.layers.Dropout(0.1, name="c")(h)
        return k.Model(x, k.layers.Dense(2, use_bias=False, name="d")(h))

    theirs, ours = chain(oracle), chain(keras)
    assert [layer.name for layer in ours.layers] == [layer.name for layer in theirs.layers]
    assert [w.path for w in ours.weights] == [w.path for w in theirs.weights]
    assert [w.shape for w in ours.get_weights()] == [w.shape for w in theirs.get_weights()]
    assert [w.path for w in ours.trainable_weights] == [w.path for w in theirs.trainable_weights]
    ours.set_weights(theirs.get_weights())
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X.numpy(), verbose=0), atol=1e-6)


def wiring(k: Any, seed: int) -> Any:
    """A random graph of dense layers, sums, shared layers and operators."""
    choose = random.Random(seed)
    inputs = [k.Input((4,), name=f"in{i}") for i in range(choose.randint(1, 3))]
    shared = [k.layers.Dense(4, name=f"shared{i}") for i in range(2)]
    tensors = list(inputs)
    for i in range(choose.randint(2, 12)):
        a, b, kind = choose.choice(tensors), choose.choice(tensors), choose.random()
        if kind < 0.4:
            tensors.append(k.layers.Dense(4, name=f"dense{i}")(a))
        elif kind < 0.7:
            tensors.append(k.layers.Add(name=f"sum{i}")([a, b]))
        elif kind < 0.85:
            tensors.append(choose.choice(shared)(a))
        else:
            tensors.append(a + b)
    outputs = [choose.choice(tensors[len(inputs) :]) for _ in range(choose.randint(1, 3))]
    choose.shuffle(inputs)
    return k.Model(inputs, outputs)


@pytest.mark.parametrize("seed", range(25))
def test_order_agrees_with_keras_for_any_wiring(seed: int) -> None:
    theirs, ours = wiring(oracle, seed), wiring(keras, seed)
    layers_of_keras = [layer.name for layer in theirs.layers if not layer.name.startswith("add")]
    assert [layer.name for layer in ours.layers] == layers_of_keras
    assert [w.path for w in ours.weights] == [w.path for w in theirs.weights]
    ours.set_weights(theirs.get_weights())
    data = [np.ones((2, 4), "float32") * (i + 1) for i in range(len(ours.inputs))]
    for a, b in zip(
        tree.flatten(ours.predict(data)), tree.flatten(theirs.predict(data, verbose=0)), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
