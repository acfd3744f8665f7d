"""Regularizers: values and gradients against Keras, configs, names."""

import inspect
import json

import keras
import numpy as np
import pytest
import torch

from kerastorch import regularizers

CASES = [
    ("L1", {}),
    ("L1", {"l1": 0.3}),
    ("L2", {}),
    ("L2", {"l2": 0.3}),
    ("L1L2", {}),
    ("L1L2", {"l1": 0.3}),
    ("L1L2", {"l2": 0.3}),
    ("L1L2", {"l1": 0.1, "l2": 0.2}),
    ("OrthogonalRegularizer", {}),
    ("OrthogonalRegularizer", {"factor": 0.3, "mode": "columns"}),
]
every_case = pytest.mark.parametrize(
    ("name", "kwargs"), CASES, ids=[f"{name}-{kwargs}" for name, kwargs in CASES]
)


def weight(*shape: int) -> torch.Tensor:
    values = np.random.default_rng(0).normal(size=shape).astype("float32")
    return torch.tensor(values, requires_grad=True)


def test_every_class_of_keras_is_here_with_its_signature():
    classes = {n: c for n, c in vars(keras.regularizers).items() if inspect.isclass(c)}
    assert {c.__name__ for c in classes.values()} - {"Regularizer"} == {n for n, _ in CASES}
    for name, cls in classes.items():
        ours, theirs = (
            [(p.name, p.default) for p in inspect.signature(c).parameters.values()]
            for c in (getattr(regularizers, name), cls)
        )
        assert getattr(regularizers, name).__name__ == cls.__name__
        assert ours == theirs


@every_case
def test_values_and_gradients_are_those_of_keras(name, kwargs):
    def value_and_gradient(module):
        w = weight(5, 7)
        penalty = getattr(module, name)(**kwargs)(w)
        # Keras gives a constant where both factors of L1L2 are 0.
        gradient = torch.autograd.grad(penalty, w)[0] if penalty.requires_grad else 0 * w
        return penalty.detach(), gradient.detach()

    ours, theirs = value_and_gradient(regularizers), value_and_gradient(keras.regularizers)
    assert ours[0].shape == ()
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


@every_case
def test_meta_and_half(name, kwargs):
    regularizer = getattr(regularizers, name)(**kwargs)
    w = weight(5, 7).detach()
    assert regularizer(w.to("meta")).is_meta
    assert regularizer(w.bfloat16()).dtype == torch.bfloat16


def test_all_compile_as_one_graph():
    every = [getattr(regularizers, name)(**kwargs) for name, kwargs in CASES]

    def penalties(w):
        return [regularizer(w) for regularizer in every]

    w = weight(5, 7).detach()
    compiled = torch.compile(penalties, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(w), penalties(w))


@pytest.mark.parametrize("name", ["L1", "L2", "L1L2"])
def test_any_rank(name):
    regularizer = getattr(regularizers, name)(0.5)
    for shape in ((), (3,), (2, 3, 4)):
        assert regularizer(torch.ones(shape)).item() == pytest.approx(0.5 * np.prod(shape))


def test_orthogonal_regularizer_at_the_ends():
    penalty = regularizers.OrthogonalRegularizer(0.5)
    assert penalty(torch.eye(4)).item() == 0.0
    assert penalty(torch.ones(4, 3)).item() == pytest.approx(0.5)
    assert penalty(torch.ones(1, 3)).item() == 0.0


@every_case
def test_round_trip(name, kwargs):
    original = getattr(regularizers, name)(**kwargs)
    config = regularizers.serialize(original)
    theirs = keras.regularizers.serialize(getattr(keras.regularizers, name)(**kwargs))
    # Keras rounds some factors to float32.
    assert theirs.pop("config") == pytest.approx(config["config"])
    assert theirs == {key: value for key, value in config.items() if key != "config"}
    again = regularizers.deserialize(json.loads(json.dumps(config)))
    assert type(again) is type(original)
    assert regularizers.serialize(again) == config
    assert again(weight(3, 3)) == original(weight(3, 3))


@pytest.mark.parametrize(
    ("name", "cls", "config"),
    [
        ("l1", "L1", {"l1": 0.01}),
        ("L1", "L1", {"l1": 0.01}),
        ("l2", "L2", {"l2": 0.01}),
        ("l1_l2", "L1L2", {"l1": 0.01, "l2": 0.01}),
        ("orthogonal_regularizer", "OrthogonalRegularizer", {"factor": 0.01, "mode": "rows"}),
    ],
)
def test_names(name, cls, config):
    found = regularizers.get(name)
    assert type(found) is getattr(regularizers, cls)
    assert found.get_config() == config


def test_get_takes_none_classes_and_functions():
    def penalty(w):
        return w.sum()

    assert regularizers.get(None) is None
    assert isinstance(regularizers.get(regularizers.L1), regularizers.L1)
    assert regularizers.get(penalty) is penalty


def test_custom_regularizer_round_trip():
    class Drift(regularizers.Regularizer):
        def __init__(self, factor=1.0):
            self.factor = factor

        def __call__(self, x):
            return self.factor * x.mean()

    config = regularizers.serialize(Drift(2.0))
    assert regularizers.deserialize(config, custom_objects={"Drift": Drift}).factor == 2.0
    with pytest.raises(NotImplementedError, match="__call__"):
        regularizers.Regularizer()(torch.ones(2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: regularizers.get("l_1"), "Did you mean .*'l1'"),
        (lambda: regularizers.L1(-1.0), "l1: .*negative"),
        (lambda: regularizers.L2(float("nan")), "l2: .*finite"),
        (lambda: regularizers.L1L2(l2="a"), "l2: .*number"),
        (lambda: regularizers.OrthogonalRegularizer(mode="rowz"), "`mode`"),
        (lambda: regularizers.OrthogonalRegularizer()(torch.ones(3)), r"matrix.*\(3,\)"),
    ],
)
def test_errors_teach(call, message):
    with pytest.raises(ValueError, match=message):
        call()
