"""Process-wide defaults and dtype policies."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import nn

import kerastorch as keras
from kerastorch import config, dtype_policies, layers


@pytest.fixture(autouse=True)
def _defaults() -> Iterator[None]:
    before = config.floatx(), config.epsilon(), config.image_data_format()
    yield
    config.set_floatx(before[0])
    config.set_epsilon(before[1])
    config.set_image_data_format(before[2])
    dtype_policies.set_dtype_policy(None)


def test_floatx() -> None:
    assert config.floatx() == "float32"
    config.set_floatx("float64")
    assert keras.Input((2,)).dtype is torch.float64
    assert layers.Dense(2).dtype == "float64"
    assert keras.Variable(np.ones(2)).dtype is torch.float64
    model = keras.Sequential([keras.Input((2,)), layers.Dense(1)])
    assert model.predict(np.ones((3, 2))).dtype == np.float64
    for wrong in ("int32", "float", torch.float32, None):
        with pytest.raises(ValueError, match="set_floatx: expected one of"):
            config.set_floatx(wrong)
    assert config.floatx() == "float64"


def test_epsilon() -> None:
    assert config.epsilon() == 1e-7
    config.set_epsilon(1e-3)
    assert config.epsilon() == 1e-3


def test_image_data_format() -> None:
    assert config.image_data_format() == "channels_last"
    config.set_image_data_format("channels_first")
    assert layers.Conv2D(4, 3)(keras.Input((3, 8, 8))).shape == (None, 4, 6, 6)
    assert config.standardize_data_format(None) == "channels_first"
    assert config.standardize_data_format("Channels_Last") == "channels_last"
    with pytest.raises(ValueError, match="'channels_last' or 'channels_first', received 'NHWC'"):
        config.set_image_data_format("NHWC")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, torch.float32),
        ("float16", torch.float16),
        ("torch.bfloat16", torch.bfloat16),
        (torch.int32, torch.int32),
        (np.float64, torch.float64),
        (np.dtype("int8"), torch.int8),
        (bool, torch.bool),
        (int, torch.int64),
        (float, torch.float32),
        ("bool", torch.bool),
    ],
)
def test_spellings_of_dtypes(given, expected) -> None:
    assert config.standardize_dtype(given) is expected


@pytest.mark.parametrize("wrong", ["floatt32", "string", "load", np.dtype("U1")])
def test_wrong_dtypes(wrong) -> None:
    with pytest.raises(ValueError, match="is not a torch dtype"):
        config.standardize_dtype(wrong)


# -- policies --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "name", "variable", "compute"),
    [
        ("float32", "float32", "float32", "float32"),
        ("bfloat16", "bfloat16", "bfloat16", "bfloat16"),
        ("mixed_float16", "mixed_float16", "float32", "float16"),
        ("mixed_bfloat16", "mixed_bfloat16", "float32", "bfloat16"),
        (torch.float64, "float64", "float64", "float64"),
        (None, "float32", "float32", "float32"),
    ],
)
def test_policies(given, name, variable, compute) -> None:
    policy = dtype_policies.get(given)
    assert (policy.name, policy.variable_dtype, policy.compute_dtype) == (name, variable, compute)
    assert dtype_policies.get(policy) is policy
    assert policy == dtype_policies.DTypePolicy(name)
    assert hash(policy) == hash(dtype_policies.DTypePolicy(name))
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(policy))
    assert again == policy


def test_wrong_policies() -> None:
    for wrong in ("mixed_float64", "mixed_int8", "half precision"):
        with pytest.raises(ValueError, match=wrong.split("_")[-1]):
            dtype_policies.get(wrong)


def test_the_global_policy() -> None:
    dtype_policies.set_dtype_policy("mixed_bfloat16")
    assert dtype_policies.dtype_policy().name == "mixed_bfloat16"
    dense = layers.Dense(2)
    assert (dense.dtype, dense.compute_dtype) == ("float32", "bfloat16")
    assert layers.Dense(2, dtype="float32").compute_dtype == "float32"


def test_a_mixed_model_trains_in_float32_and_computes_in_bfloat16() -> None:
    seen: dict[str, torch.dtype] = {}

    class Probe(nn.Module):
        def __init__(self, label: str) -> None:
            super().__init__()
            self.label = label

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen[self.label] = x.dtype
            return x

    dtype_policies.set_dtype_policy("mixed_bfloat16")
    model = keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(16, activation="relu"),
            Probe("hidden"),
            layers.BatchNormalization(),
            layers.Dense(1, dtype="float32"),
            Probe("output"),
        ]
    )
    model.compile(keras.optimizers.SGD(0.05), "mse")
    x = torch.randn(64, 8, generator=torch.Generator().manual_seed(1))
    y = x.sum(1)
    losses = model.fit(x, y, epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0] / 2
    assert seen == {"hidden": torch.bfloat16, "output": torch.float32}
    assert {w.dtype for w in model.weights} == {torch.float32}
    assert model.predict(x).dtype == np.float32


def test_integers_are_not_rounded_on_their_way_through_a_mixed_model() -> None:
    """bfloat16 has 8 bits: index 257 would become 256."""
    for policy in ("mixed_bfloat16", "bfloat16"):
        dtype_policies.set_dtype_policy(policy)
        for model in (
            keras.Sequential([layers.Embedding(300, 2), layers.Flatten()]),
            keras.Sequential([keras.Input((1,)), layers.Embedding(300, 2), layers.Flatten()]),
        ):
            ids = np.array([[256], [257]])
            first, second = np.asarray(model.predict(ids), dtype="float32")
            assert not np.array_equal(first, second)
