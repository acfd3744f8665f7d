"""Modules and variables in lists, dicts and tuples of a layer are found, and stay found."""

import copy
import pickle
from collections import OrderedDict, namedtuple
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import kerastorch as keras
from kerastorch import layers


class Holder(layers.Layer):
    def __init__(self, **attributes: Any) -> None:
        super().__init__()
        for name, value in attributes.items():
            setattr(self, name, value)


def one() -> nn.Module:
    """A module with a single parameter."""
    return nn.PReLU()


def parameter() -> nn.Parameter:
    return nn.Parameter(torch.ones(1))


def keys(module: nn.Module) -> list[str]:
    return [key.removesuffix(".weight") for key in module.state_dict()]


Pair = namedtuple("Pair", "first second")

CONTAINERS: dict[str, tuple[Callable[[], Any], list[str]]] = {
    "list": (lambda: [one(), one()], ["a.0", "a.1"]),
    "tuple": (lambda: (one(), one()), ["a.0", "a.1"]),
    "dict": (lambda: {"x": one(), "y": one()}, ["a.x", "a.y"]),
    "integer keys": (lambda: {1: one(), 2: one()}, ["a.1", "a.2"]),
    "keys with dots": (lambda: {"x.y": one()}, ["a.x_y"]),
    "OrderedDict": (lambda: OrderedDict(x=one()), ["a.x"]),
    "namedtuple": (lambda: Pair(one(), 3), ["a.0"]),
    "mixed": (lambda: [one(), 3, "s", None, one()], ["a.0", "a.4"]),
    "nested": (lambda: [[one()], {"k": (one(),)}], ["a.0.0", "a.1.k.0"]),
    "parameters": (lambda: [parameter(), parameter()], ["a.0", "a.1"]),
    "variables": (lambda: [keras.Variable(1.0), keras.Variable(3)], ["a.0", "a.1"]),
    "parameters by name": (lambda: {"x": parameter(), "n": 3}, ["a.x"]),
    "ModuleList": (lambda: nn.ModuleList([one()]), ["a.0"]),
    "ParameterList": (lambda: nn.ParameterList([parameter()]), ["a.0"]),
    "numbers": (lambda: [1, 2, {"x": 3}], []),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_kinds_of_containers(name: str) -> None:
    make, expected = CONTAINERS[name]
    layer = Holder(a=make())
    assert keys(layer) == expected
    assert len(layer.weights) == len(expected)
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), copy.copy(layer)):
        assert keys(twin) == expected
    layer.load_state_dict(copy.deepcopy(layer.state_dict()))
    layer.double()
    assert {w.dtype for w in layer.weights} <= {torch.float64, torch.int64}


def test_what_is_read_back_is_what_was_put_in() -> None:
    pair = Pair(one(), 3)
    layer = Holder(pair=pair, numbers=[1, 2], names={"x": 1}, nothing=[], mixed=[one(), "s"])
    assert layer.pair is pair
    assert type(layer.numbers) is list
    assert type(layer.names) is dict
    assert layer.nothing == []
    assert isinstance(layer.mixed, list)
    assert layer.mixed[1] == "s"
    assert isinstance(Holder(a=[one()]).a, nn.ModuleList)
    assert isinstance(Holder(a={"x": one()}).a, nn.ModuleDict)


# -- changes ---------------------------------------------------------------------------------------


def appended(layer: Any) -> None:
    layer.a.append(one())


CHANGES: dict[str, tuple[Callable[[], Any], Callable[[Any], Any], list[str]]] = {
    "first of a list": (list, appended, ["a.0"]),
    "first of a dict": (dict, lambda m: m.a.update(x=one()), ["a.x"]),
    "first parameter": (list, lambda m: m.a.append(parameter()), ["a.0"]),
    "first number": (list, lambda m: (m.a.append(3), appended(m)), ["a.1"]),
    "append": (lambda: [one()], appended, ["a.0", "a.1"]),
    "append to mixed": (lambda: [one(), 3], appended, ["a.0", "a.2"]),
    "extend": (lambda: [one(), 3], lambda m: m.a.extend([one()]), ["a.0", "a.2"]),
    "insert": (lambda: [one(), 3], lambda m: m.a.insert(0, "s"), ["a.1"]),
    "item": (lambda: [3, 4], lambda m: setattr(m, "a", [one(), *m.a]), ["a.0"]),
    "set item": (lambda: [one(), 3], lambda m: m.a.__setitem__(1, one()), ["a.0", "a.1"]),
    "delete item": (lambda: [3, one()], lambda m: m.a.__delitem__(0), ["a.0"]),
    "pop": (lambda: [one(), one()], lambda m: m.a.pop(), ["a.0"]),
    "pop of mixed": (lambda: [one(), 3, one()], lambda m: m.a.pop(), ["a.0"]),
    "clear": (lambda: [one(), 3], lambda m: m.a.clear(), []),
    "reverse": (lambda: [one(), 3], lambda m: m.a.reverse(), ["a.1"]),
    "add in place": (lambda: [one(), 3], lambda m: m.a.__iadd__([one()]), ["a.0", "a.2"]),
    "dict item": (lambda: {"x": one(), "n": 1}, lambda m: m.a.update(y=one()), ["a.x", "a.y"]),
    "dict pop": (lambda: {"x": one(), "n": 1}, lambda m: m.a.pop("x"), []),
    "setdefault": (lambda: {"n": 1}, lambda m: m.__setattr__("a", {**m.a, "x": one()}), ["a.x"]),
    "nested list": (lambda: [[one()], []], lambda m: m.a[1].append(one()), ["a.0.0", "a.1.0"]),
    "list in a dict": (
        lambda: {"x": [one()]},
        lambda m: m.a["x"].append(one()),
        ["a.x.0", "a.x.1"],
    ),
    "lists in a tuple": (lambda: ([], []), lambda m: m.a[1].append(one()), ["a.1.0"]),
    "new inner list": (
        lambda: {"x": [one()]},
        lambda m: (m.a.update(y=[]), m.a["y"].append(one())),
        ["a.x.0", "a.y.0"],
    ),
    "deep": (lambda: [[[], 3]], lambda m: m.a[0][0].append({"k": one()}), ["a.0.0.0.k"]),
    "ModuleDict pop": (lambda: {"x": one(), "y": one()}, lambda m: m.a.pop("x"), ["a.y"]),
    "another list": (lambda: [one(), one()], lambda m: setattr(m, "a", [one()]), ["a.0"]),
    "another tuple": (lambda: [one(), one()], lambda m: setattr(m, "a", (one(), 3)), ["a.0"]),
    "a module": (lambda: [one(), 3], lambda m: setattr(m, "a", one()), ["a"]),
    "a list for a module": (one, lambda m: setattr(m, "a", [one()]), ["a.0"]),
    "None": (lambda: [one()], lambda m: setattr(m, "a", None), []),
    "None for mixed": (lambda: [one(), 3], lambda m: setattr(m, "a", None), []),
    "a number": (lambda: (one(), 3), lambda m: setattr(m, "a", 3), []),
    "del": (lambda: [one()], lambda m: delattr(m, "a"), []),
    "del of a tuple": (lambda: (one(), 3), lambda m: delattr(m, "a"), []),
}


@pytest.mark.parametrize("how", ["directly", "deepcopy", "pickle"])
@pytest.mark.parametrize("name", CHANGES)
def test_changes_are_followed(name: str, how: str) -> None:
    make, change, expected = CHANGES[name]
    layer = original = Holder(a=make())
    before = keys(original)
    if how == "deepcopy":
        layer = copy.deepcopy(original)
    elif how == "pickle":
        layer = pickle.loads(pickle.dumps(original))
    change(layer)
    assert keys(layer) == expected
    if how != "directly":
        assert keys(original) == before
    if name in ("del", "del of a tuple"):
        assert not hasattr(layer, "a")


def test_a_list_keeps_its_own_reference_in_step() -> None:
    layer = Holder(a=[])
    blocks = layer.a
    for _ in range(3):
        blocks.append(one())
    assert keys(layer) == ["a.0", "a.1", "a.2"]


def test_a_module_is_listed_once_where_a_container_repeats_it() -> None:
    shared, weight = one(), parameter()
    layer = Holder(a=[shared, 3], b=shared, p=weight, c=[weight, parameter()])
    assert sorted(keys(layer)) == ["b", "c.1", "p"]
    assert len(layer.weights) == 3
    twice = Holder(a=shared, b=shared)  # as in torch: two keys, one weight
    assert len(twice.weights) == 1
    assert twice.count_params() == 1


def test_submodules_by_path() -> None:
    layer = Holder(a=[[one()], {"k": (one(),)}])
    assert layer.get_submodule("a.1.k.0") is layer.a[1]["k"][0]
    with pytest.raises(AttributeError, match="no submodule 'z'"):
        layer.get_submodule("a.z")


def test_conversions_reach_what_the_container_holds() -> None:
    layer = Holder(a=[one(), 3, keras.Variable(1.0), keras.Variable(3)], b={"p": parameter()})
    layer.double()
    assert [layer.a[i].dtype for i in (2, 3)] == [torch.float64, torch.int64]
    layer.to("meta")
    assert all(layer.a[i].is_meta for i in (2, 3))
    assert layer.a[0].weight.is_meta
    assert layer.b["p"].is_meta
    assert isinstance(layer.a[2], keras.Variable)
    assert all(w.is_meta for w in layer.weights)


def test_before_super_init() -> None:
    class Early(layers.Layer):
        def __init__(self, value: Any) -> None:
            self.a = value
            super().__init__()

    for value in (one(), [one()], (one(), 3), {"x": one()}):
        with pytest.raises(AttributeError, match="__init__"):
            Early(value)


def test_weights_get_the_key_of_the_attribute() -> None:
    class Weights(layers.Layer):
        def build(self, input_shape: Any) -> None:
            self.first = self.add_weight((2,), name="k")
            self.second = self.add_weight((2,), name="k")
            self.add_weight((2,), name="k")
            self.add_weight((), name="x/y")
            self.pair = [self.add_weight((), name="q"), self.add_weight((), name="q")]

    layer = Weights(name="w")
    layer.build(None)
    assert keys(layer) == ["first", "second", "k", "x_y", "q", "q_1"]
    assert [w.path for w in layer.weights[:4]] == ["w/k", "w/k", "w/k", "w/x/y"]


def test_containers_of_layers_compile_and_train() -> None:
    class Net(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = [layers.Dense(3), None, [layers.Dense(3)]]
            self.heads = {"a": layers.Dense(1), "n": 1}

        def call(self, inputs: torch.Tensor) -> torch.Tensor:
            x = self.blocks[2][0](self.blocks[0](inputs))
            return self.heads["a"](x) * self.heads["n"]

    torch._dynamo.reset()
    model, x = Net(), torch.randn(4, 2)
    expected = model(x)
    torch.testing.assert_close(torch.compile(model, fullgraph=True, backend="eager")(x), expected)
    before = copy.deepcopy(model.state_dict())
    model.compile("sgd", "mse")
    model.fit(x, torch.ones(4, 1), verbose=0)
    assert len(before) == 6
    assert all(not torch.equal(before[k], v) for k, v in model.state_dict().items())
