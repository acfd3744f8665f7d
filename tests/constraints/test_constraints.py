"""Constraints: values and gradients against Keras, configs, names."""

import inspect
import json

import keras
import numpy as np
import pytest
import torch

import kerastorch._variable
from kerastorch import constraints

CASES = [
    ("NonNeg", {}),
    ("UnitNorm", {}),
    ("UnitNorm", {"axis": 1}),
    ("UnitNorm", {"axis": [0, 1]}),
    ("MaxNorm", {}),
    ("MaxNorm", {"max_value": 1.0, "axis": -1}),
    ("MaxNorm", {"max_value": 1.0, "axis": [0, 1, 2]}),
    ("MinMaxNorm", {}),
    ("MinMaxNorm", {"min_value": 1.5, "max_value": 2.0, "rate": 0.3, "axis": [1, 2]}),
]
every_case = pytest.mark.parametrize(
    ("name", "kwargs"), CASES, ids=[f"{name}-{kwargs}" for name, kwargs in CASES]
)


def weight() -> torch.Tensor:
    values = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype("float32")
    return torch.tensor(values, requires_grad=True)


def test_every_class_of_keras_is_here_with_its_signature():
    classes = {n: c for n, c in vars(keras.constraints).items() if inspect.isclass(c)}
    assert {c.__name__ for c in classes.values()} - {"Constraint"} == {n for n, _ in CASES}
    for name, cls in classes.items():
        ours, theirs = (
            [(p.name, p.default) for p in inspect.signature(c).parameters.values()]
            for c in (getattr(constraints, name), cls)
        )
        assert getattr(constraints, name).__name__ == cls.__name__
        assert ours == theirs


@every_case
def test_values_and_gradients_are_those_of_keras(name, kwargs):
    def value_and_gradient(module):
        w = weight()
        projected = getattr(module, name)(**kwargs)(w)
        scale = torch.linspace(0.5, 1.5, w.numel()).reshape(w.shape)
        return projected.detach(), torch.autograd.grad((projected * scale).sum(), w)[0]

    ours, theirs = value_and_gradient(constraints), value_and_gradient(keras.constraints)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


@every_case
def test_meta_half_arrays_and_variables(name, kwargs):
    constraint = getattr(constraints, name)(**kwargs)
    w = weight().detach()
    expected = constraint(w)
    assert constraint(w.to("meta")).shape == w.shape
    assert constraint(w.bfloat16()).dtype == torch.bfloat16
    torch.testing.assert_close(constraint(w.numpy()), expected)
    variable = kerastorch._variable.Variable(w)
    assert type(constraint(variable).detach()) is torch.Tensor
    torch.testing.assert_close(constraint(variable).detach(), expected)


def test_all_compile_as_one_graph():
    every = [getattr(constraints, name)(**kwargs) for name, kwargs in CASES]

    def projections(w):
        return [constraint(w) for constraint in every]

    w = weight().detach()
    compiled = torch.compile(projections, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(w), projections(w))


def test_norms_are_where_they_should_be():
    w = 3 * weight().detach()
    axes = (0, 1, 2)

    def norms(constraint):
        return torch.linalg.vector_norm(constraint(w), dim=axes)

    ones = torch.ones(5)
    before = torch.linalg.vector_norm(w, dim=axes)
    assert (before > 2).all()
    torch.testing.assert_close(norms(constraints.UnitNorm(axes)), ones)
    torch.testing.assert_close(norms(constraints.MaxNorm(2.0, axes)), 2 * ones)
    torch.testing.assert_close(norms(constraints.MinMaxNorm(99.0, 100.0, axis=axes)), 99 * ones)
    halfway = norms(constraints.MinMaxNorm(0.0, 1.0, rate=0.5, axis=axes))
    torch.testing.assert_close(halfway, (before + 1) / 2)


def test_zero_weights_stay_zero():
    for name, kwargs in CASES:
        assert not getattr(constraints, name)(**kwargs)(torch.zeros(2, 3, 4, 5)).any()


@every_case
def test_round_trip(name, kwargs):
    original = getattr(constraints, name)(**kwargs)
    config = constraints.serialize(original)
    assert config == keras.constraints.serialize(getattr(keras.constraints, name)(**kwargs))
    again = constraints.deserialize(json.loads(json.dumps(config)))
    assert type(again) is type(original)
    assert constraints.serialize(again) == config
    assert torch.equal(again(weight()), original(weight()))


@pytest.mark.parametrize(
    ("name", "cls"),
    [
        ("max_norm", "MaxNorm"),
        ("MaxNorm", "MaxNorm"),
        ("min_max_norm", "MinMaxNorm"),
        ("non_neg", "NonNeg"),
        ("unit_norm", "UnitNorm"),
    ],
)
def test_names(name, cls):
    assert type(constraints.get(name)) is getattr(constraints, cls)


def test_get_takes_none_classes_and_functions():
    assert constraints.get(None) is None
    assert isinstance(constraints.get(constraints.NonNeg), constraints.NonNeg)
    assert constraints.get(torch.relu) is torch.relu


def test_custom_constraint_round_trip():
    class Box(constraints.Constraint):
        def __init__(self, limit=1.0):
            self.limit = limit

        def __call__(self, w):
            return w.clamp(-self.limit, self.limit)

    config = constraints.serialize(Box(2.0))
    assert constraints.deserialize(config, custom_objects={"Box": Box}).limit == 2.0
    w = torch.ones(2)
    assert constraints.Constraint()(w) is w


def test_errors_teach():
    with pytest.raises(ValueError, match=r"'max_nrom'.*Did you mean 'max_norm'"):
        constraints.get("max_nrom")
    with pytest.raises(TypeError):
        constraints.NonNeg(3)
