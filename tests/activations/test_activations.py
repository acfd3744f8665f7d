"""Activations: values and gradients against Keras, and against the definition of sparsemax."""

import inspect

import keras
import numpy as np
import pytest
import torch

from kerastorch import activations

CASES = [
    ("celu", {}),
    ("celu", {"alpha": 0.5}),
    ("elu", {}),
    ("elu", {"alpha": 0.5}),
    ("exponential", {}),
    ("gelu", {}),
    ("gelu", {"approximate": True}),
    ("glu", {}),
    ("glu", {"axis": 0}),
    ("hard_shrink", {}),
    ("hard_shrink", {"threshold": 1.0}),
    ("hard_sigmoid", {}),
    ("hard_silu", {}),
    ("hard_swish", {}),
    ("hard_tanh", {}),
    ("leaky_relu", {}),
    ("leaky_relu", {"negative_slope": 0.01}),
    ("linear", {}),
    ("log_sigmoid", {}),
    ("log_softmax", {}),
    ("log_softmax", {"axis": 0}),
    ("log_softmax", {"axis": None}),
    ("log_softmax", {"axis": (0, 1)}),
    ("mish", {}),
    ("relu", {}),
    ("relu", {"max_value": 2.0}),
    ("relu", {"max_value": 6.0}),
    ("relu", {"negative_slope": 0.1}),
    ("relu", {"threshold": 1.0}),
    ("relu", {"threshold": 1.0, "max_value": 2.0}),
    ("relu", {"negative_slope": 0.1, "max_value": 2.0}),
    ("relu", {"negative_slope": 0.1, "threshold": 1.0}),
    ("relu", {"negative_slope": 0.1, "max_value": 2.0, "threshold": 1.0}),
    ("relu6", {}),
    ("selu", {}),
    ("sigmoid", {}),
    ("silu", {}),
    ("soft_shrink", {}),
    ("soft_shrink", {"threshold": 1.0}),
    ("softmax", {}),
    ("softmax", {"axis": 0}),
    ("softmax", {"axis": None}),
    ("softmax", {"axis": (0, 1)}),
    ("softplus", {}),
    ("softsign", {}),
    ("sparse_plus", {}),
    ("sparse_sigmoid", {}),
    ("squareplus", {}),
    ("squareplus", {"b": 1}),
    ("swish", {}),
    ("tanh", {}),
    ("tanh_shrink", {}),
    ("threshold", {"threshold": 0.5, "default_value": -1.0}),
]
IDS = [f"{name}-{'-'.join(f'{k}={v}' for k, v in kwargs.items())}" for name, kwargs in CASES]
NAMES = sorted(
    name
    for name, value in vars(keras.activations).items()
    if inspect.isfunction(value) and name not in ("get", "serialize", "deserialize")
)


def inputs(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0.0, 3.0, shape).astype("float32")


def value_and_gradient(function, x: np.ndarray, kwargs):
    tensor = torch.tensor(x, requires_grad=True)
    y = function(tensor, **kwargs)
    weights = torch.linspace(0.5, 1.5, y.numel()).reshape(y.shape)
    (gradient,) = torch.autograd.grad((y * weights).sum(), tensor)
    return y.detach(), gradient


@pytest.mark.parametrize(("name", "kwargs"), CASES, ids=IDS)
def test_values_and_gradients_are_those_of_keras(name, kwargs):
    x = inputs(6, 8)
    ours = value_and_gradient(getattr(activations, name), x, kwargs)
    theirs = value_and_gradient(getattr(keras.activations, name), x, kwargs)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_every_function_of_keras_is_here_and_in_the_table():
    assert set(NAMES) <= set(vars(activations))
    assert set(NAMES) - {"sparsemax"} == {name for name, _ in CASES}


@pytest.mark.parametrize("name", NAMES)
def test_signatures_are_those_of_keras(name):
    def arguments(module):
        parameters = inspect.signature(getattr(module, name)).parameters.values()
        return [(p.name, p.default) for p in parameters]

    assert arguments(activations) == arguments(keras.activations)


# -- sparsemax: Keras 3.15 sums the cumulative sums and so misses the simplex ----------------------


def projection_on_simplex(x: np.ndarray) -> np.ndarray:
    """By bisection for tau in sum(max(x - tau, 0)) = 1, along the last axis."""
    low, high = x.min(-1, keepdims=True) - 1.0, x.max(-1, keepdims=True)
    for _ in range(100):
        middle = (low + high) / 2
        over = np.maximum(x - middle, 0).sum(-1, keepdims=True) > 1
        low, high = np.where(over, middle, low), np.where(over, high, middle)
    return np.maximum(x - (low + high) / 2, 0)


@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0])
def test_sparsemax_is_the_projection_on_the_simplex(scale):
    x = inputs(32, 7) * scale
    expected = projection_on_simplex(x.astype("float64"))
    result = activations.sparsemax(torch.tensor(x))
    np.testing.assert_allclose(result.numpy(), expected, rtol=1e-5, atol=1e-5)
    along_0 = activations.sparsemax(torch.tensor(x.T.copy()), axis=0)
    np.testing.assert_allclose(along_0.numpy(), expected.T, rtol=1e-5, atol=1e-5)
    assert (result == 0).any() or scale == 0.1


def test_sparsemax_has_the_gradient_of_the_projection():
    x = torch.tensor(inputs(3, 5), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(activations.sparsemax, x)


def test_sparsemax_stays_exact_for_large_inputs():
    shifted = activations.sparsemax(torch.tensor([10000.5, 10000.25, 0.0]))
    torch.testing.assert_close(shifted, torch.tensor([0.625, 0.375, 0.0]), rtol=0, atol=0)


# -- what functions take ---------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "kwargs"), CASES, ids=IDS)
def test_meta_compiled_half_and_arrays(name, kwargs):
    function = getattr(activations, name)
    x = torch.tensor(inputs(4, 6))
    expected = function(x, **kwargs)
    assert function(x.to("meta"), **kwargs).shape == expected.shape
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        assert function(x.to(dtype), **kwargs).dtype == dtype
    from_array = function(x.numpy(), **kwargs)
    np.testing.assert_array_equal(np.asarray(from_array), expected.numpy())


def test_all_compile_as_one_graph():
    def everything(x):
        return [getattr(activations, name)(x, **kwargs) for name, kwargs in CASES]

    x = torch.tensor(inputs(4, 6))
    compiled = torch.compile(everything, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(x), everything(x))


@pytest.mark.parametrize("name", [n for n in NAMES if n != "exponential"])
def test_large_inputs_give_finite_values(name):
    kwargs = {"threshold": 0.0, "default_value": 1.0} if name == "threshold" else {}
    values = getattr(activations, name)(torch.tensor([-1e4, 0.0, 10.0, 1e4]), **kwargs)
    assert values.isfinite().all()


# -- names -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_get_and_serialize(name):
    function = getattr(activations, name)
    assert activations.get(name) is function
    assert activations.get(function) is function
    config = activations.serialize(function)
    assert config == keras.activations.serialize(getattr(keras.activations, name))
    assert activations.deserialize(config) is function


def test_none_is_linear():
    assert activations.get(None) is activations.linear


def test_unknown_name_suggests():
    with pytest.raises(ValueError, match=r"'relu7'.*Did you mean .*'relu6'"):
        activations.get("relu7")
    with pytest.raises(TypeError, match="activation"):
        activations.get(3)


def test_custom_function_round_trip():
    def double(x):
        return 2 * x

    config = activations.serialize(double)
    assert config["class_name"] == "function"
    assert activations.deserialize(config, custom_objects={"double": double}) is double
    with pytest.raises(ValueError, match="double"):
        activations.deserialize(config)


def test_a_module_is_an_activation():
    assert isinstance(activations.get(torch.nn.Tanh), torch.nn.Tanh)
