"""Layers that draw: their distributions against theory, and where their numbers come from."""

import math
from typing import Any

import keras
import pytest
import torch
from layer_table import CASES, Case, over

from kerastorch import layers

DRAWS = [c for c in CASES if c.random and ("Noise" in c.layer or "Dropout" in c.layer)]
N = 200_000


def drawn(layer: layers.Layer, value: float) -> torch.Tensor:
    return layer(torch.full((N,), value), training=True)


def check(x: torch.Tensor, mean: float, deviation: float) -> None:
    """Mean and deviation of N independent entries, within 5 standard errors."""
    assert x.mean().item() == pytest.approx(mean, abs=5 * deviation / math.sqrt(N))
    assert x.std().item() == pytest.approx(deviation, rel=0.02)


@pytest.mark.parametrize("seed", [None, 3])
def test_gaussian_noise(seed: int | None) -> None:
    x = drawn(layers.GaussianNoise(0.5, seed=seed), 2.0)
    check(x, 2.0, 0.5)
    assert (x - 2).abs().gt(0.5).float().mean().item() == pytest.approx(0.3173, abs=0.01)


@pytest.mark.parametrize("rate", [0.25, 0.8])
def test_gaussian_dropout_has_the_moments_of_dropout(rate: float) -> None:
    check(drawn(layers.GaussianDropout(rate), 2.0), 2.0, 2 * math.sqrt(rate / (1 - rate)))
    check(drawn(layers.Dropout(rate), 2.0), 2.0, 2 * math.sqrt(rate / (1 - rate)))


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_alpha_dropout_keeps_mean_and_variance(rate: float) -> None:
    x = torch.randn(N)
    y = layers.AlphaDropout(rate)(x, training=True)
    check(y, 0.0, 1.0)
    values, counts = layers.AlphaDropout(rate)(torch.zeros(N), training=True).unique(
        return_counts=True
    )
    assert counts[0].item() / N == pytest.approx(rate, abs=0.01)
    assert len(values) == 2
    dropped = keras.activations.selu(torch.tensor(-100.0)).item()
    scale = (values[1] - values[0]).item() / -dropped
    assert scale == pytest.approx(((1 - rate) * (1 + rate * dropped**2)) ** -0.5, rel=1e-5)


@over([case for case in DRAWS if case.layer.startswith("Spatial")])
def test_spatial_dropout_drops_channels(case: Case) -> None:
    layer = case.new()
    channel = 1 if case.config.get("data_format") == "channels_first" else -1
    x = torch.ones(500, *case.shape[1:])
    y = layer(x, training=True).movedim(channel, 1).flatten(2)
    assert torch.equal(y, y[..., :1].expand_as(y))
    assert set(y.unique().tolist()) == {0.0, 2.0}
    assert y[..., 0].gt(0).float().mean().item() == pytest.approx(0.5, abs=0.06)


@over(DRAWS)
def test_seeds(case: Case) -> None:
    """A seed is a stream of its own; without one, numbers follow torch.manual_seed."""
    (x,) = case.tensors()
    assert torch.equal(case.new()(x, training=False), x)
    one, two = case.new(), case.new()
    torch.manual_seed(0)
    first, second = one(x, training=True), one(x, training=True)
    assert not torch.equal(first, second)
    torch.manual_seed(0 if "seed" not in case.config else 1)
    assert torch.equal(two(x, training=True), first)
    assert torch.equal(two(x, training=True), second)


@pytest.mark.parametrize(
    ("layer", "arguments", "message"),
    [
        (layers.GaussianNoise, {"stddev": -1.0}, r"GaussianNoise: `stddev` must be in \[0, 1\]"),
        (layers.GaussianDropout, {"rate": 1.0}, r"`rate` must be in \[0, 1\), received 1.0"),
        (layers.AlphaDropout, {"rate": "a"}, r"`rate` must be in \[0, 1\), received 'a'"),
        (layers.SpatialDropout2D, {"rate": 2}, r"SpatialDropout2D: `rate` must be in \[0, 1\]"),
    ],
)
def test_arguments(layer: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        layer(**arguments)


def test_penalty_of_activity_regularization_is_keras() -> None:
    x = torch.rand(4, 3)
    one, two = (
        layers.ActivityRegularization(0.5, 0.25),
        keras.layers.ActivityRegularization(0.5, 0.25),
    )
    assert torch.equal(one(x), x)
    two(x)
    torch.testing.assert_close(sum(one.losses), sum(two.losses), rtol=1e-5, atol=1e-5)
