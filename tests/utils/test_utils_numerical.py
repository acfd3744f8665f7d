"""Labels and norms, with Keras and NumPy as oracles."""

import random

import keras as oracle
import numpy as np
import pytest
import torch

from kerastorch.utils import normalize, set_random_seed, to_categorical


@pytest.mark.parametrize("shape", [(1,), (3,), (4, 3), (3, 1), (3, 2, 1), ()])
@pytest.mark.parametrize("num_classes", [5, None])
@pytest.mark.parametrize("dtype", ["int64", "uint8", "float32"])
def test_to_categorical(shape, num_classes, dtype):
    labels = np.random.default_rng(0).integers(0, 5, shape).astype(dtype)
    ours = to_categorical(labels, num_classes)
    theirs = oracle.utils.to_categorical(labels, num_classes)
    assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(ours, theirs)
    tensor = to_categorical(torch.as_tensor(labels), num_classes)
    assert tensor.dtype == torch.float32
    np.testing.assert_array_equal(tensor.numpy(), theirs)


def test_to_categorical_of_nothing():
    assert to_categorical([], 3).shape == (0, 3)
    assert to_categorical(torch.zeros(0, dtype=torch.int64), 3).shape == (0, 3)
    with pytest.raises(ValueError, match="num_classes: give it"):
        to_categorical([])


@pytest.mark.parametrize("labels", [[0, 3], [-1, 0]])
@pytest.mark.parametrize("kind", [list, torch.tensor])
def test_to_categorical_refuses_classes_out_of_range(labels, kind):
    with pytest.raises(ValueError, match=r"expected classes from 0 to 2 \(num_classes=3\)"):
        to_categorical(kind(labels), 3)


@pytest.mark.parametrize("order", [1, 2, 3, np.inf])
@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_normalize(order, axis):
    x = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    x[:, 1] = x[2] = 0
    norm = np.linalg.norm(x, order, axis, keepdims=True)
    expected = np.divide(x, norm, out=np.zeros_like(x), where=norm > 0)
    array, tensor = normalize(x, axis, order), normalize(torch.tensor(x), axis, order)
    assert isinstance(array, np.ndarray)
    np.testing.assert_allclose(array, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(tensor.numpy(), expected, rtol=1e-5, atol=1e-5)
    if axis != 0:
        np.testing.assert_allclose(array, oracle.utils.normalize(x, axis, order), 1e-5, 1e-5)


def draw():
    return random.random(), np.random.rand(), torch.rand(()).item()  # noqa: NPY002


def test_set_random_seed_repeats_every_generator():
    set_random_seed(1)
    first, second = draw(), draw()
    set_random_seed(1)
    assert draw() == first
    assert first != second
    set_random_seed(np.int64(2))
    assert draw() != first


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "1", None, True])
def test_set_random_seed_refuses(seed):
    before = random.getstate()
    with pytest.raises(ValueError, match="seed: expected an integer"):
        set_random_seed(seed)
    assert random.getstate() == before
