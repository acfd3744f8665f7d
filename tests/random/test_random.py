"""Random numbers: distributions against scipy, seeds, devices, compiled draws."""

import copy
import inspect
import pickle

import keras
import numpy as np
import pytest
import torch
from scipy import stats
from torch._subclasses.fake_tensor import FakeTensorMode

from kerastorch import _registry, random
from kerastorch.random import SeedGenerator

LOGITS = torch.tensor([[0.0, 1.0, 2.0], [3.0, 0.0, -3.0]])
# One call of each function that leaves only the seed open.
DRAWS = {
    "normal": lambda seed: random.normal((4, 3), seed=seed),
    "uniform": lambda seed: random.uniform((4, 3), seed=seed),
    "truncated_normal": lambda seed: random.truncated_normal((4, 3), seed=seed),
    "randint": lambda seed: random.randint((4, 3), 0, 1000, seed=seed),
    "categorical": lambda seed: random.categorical(LOGITS, 20, seed=seed),
    "dropout": lambda seed: random.dropout(torch.ones(6, 6), 0.5, seed=seed),
    "shuffle": lambda seed: random.shuffle(torch.arange(30), seed=seed),
    "gamma": lambda seed: random.gamma((4, 3), 2.0, seed=seed),
    "beta": lambda seed: random.beta((4, 3), 2.0, 3.0, seed=seed),
    "binomial": lambda seed: random.binomial((4, 3), 1000, 0.3, seed=seed),
}
# These split a compiled graph if they have a seed.
SPLIT = {"categorical", "gamma", "beta", "binomial"}
every_draw = pytest.mark.parametrize("draw", DRAWS.values(), ids=list(DRAWS))


def test_every_function_of_keras_is_here_with_its_signature():
    names = {n for n, f in vars(keras.random).items() if inspect.isfunction(f)}
    assert names == set(DRAWS)
    for name in names:
        ours, theirs = (
            [(p.name, p.default) for p in inspect.signature(getattr(m, name)).parameters.values()]
            for m in (random, keras.random)
        )
        assert ours == theirs


# -- distributions: Kolmogorov-Smirnov or chi-squared tests, all with fixed seeds ------------------


@pytest.mark.parametrize("seed", [None, 7, "stream"])
@pytest.mark.parametrize(
    ("draw", "cdf"),
    [
        (lambda s: random.normal((20000,), 3.0, 2.0, seed=s), stats.norm(3.0, 2.0).cdf),
        (lambda s: random.uniform((20000,), -1.0, 3.0, seed=s), stats.uniform(-1.0, 4.0).cdf),
        (
            lambda s: random.truncated_normal((20000,), 1.0, 2.0, seed=s),
            stats.truncnorm(-2.0, 2.0, 1.0, 2.0).cdf,
        ),
        (lambda s: random.gamma((20000,), 0.3, seed=s), stats.gamma(0.3).cdf),
        (lambda s: random.gamma((20000,), 4.0, seed=s), stats.gamma(4.0).cdf),
        (lambda s: random.beta((20000,), 2.0, 0.5, seed=s), stats.beta(2.0, 0.5).cdf),
    ],
    ids=["normal", "uniform", "truncated_normal", "gamma-0.3", "gamma-4", "beta"],
)
def test_continuous_distributions(draw, cdf, seed):
    values = draw(SeedGenerator(7) if seed == "stream" else seed)
    assert stats.kstest(values.double().numpy(), cdf).pvalue > 1e-3


@pytest.mark.parametrize("seed", [None, 7])
@pytest.mark.parametrize(
    ("draw", "probabilities"),
    [
        (lambda s: random.randint((20000,), 2, 8, seed=s) - 2, np.full(6, 1 / 6)),
        (lambda s: random.categorical(LOGITS[:1], 20000, seed=s)[0], LOGITS[0].softmax(-1).numpy()),
        (lambda s: random.binomial((20000,), 4, 0.3, seed=s), stats.binom(4, 0.3).pmf(range(5))),
    ],
    ids=["randint", "categorical", "binomial"],
)
def test_discrete_distributions(draw, probabilities, seed):
    counts = np.bincount(draw(seed).long().numpy())
    expected = probabilities.astype("float64") / probabilities.astype("float64").sum()
    assert stats.chisquare(counts, expected * counts.sum()).pvalue > 1e-3


def test_truncated_normal_stays_within_two_stddev():
    values = random.truncated_normal((100000,), mean=0.0, stddev=0.5)
    assert values.abs().max() <= 1.0


def test_beta_of_small_concentrations_does_not_underflow():
    values = random.beta((20000,), 1e-3, 1e-3, seed=0)
    assert values.isfinite().all()
    assert ((values < 1e-6) | (values > 1 - 1e-6)).float().mean() > 0.95
    assert abs(values.mean() - 0.5) < 0.02


def test_parameters_broadcast():
    alpha = torch.tensor([1.0, 50.0])
    assert (random.gamma((2000, 2), alpha).mean(0) / alpha - 1).abs().max() < 0.1
    counts, odds = [[10.0], [1000.0]], torch.tensor([0.1, 0.5, 0.9])
    means = random.binomial((2000, 2, 3), counts, odds).mean(0)
    torch.testing.assert_close(means, torch.tensor(counts) * odds, rtol=0.05, atol=0.0)


# -- seeds -----------------------------------------------------------------------------------------


@every_draw
def test_an_integer_gives_the_same_numbers(draw):
    torch.testing.assert_close(draw(3), draw(3), rtol=0, atol=0)
    assert not torch.equal(draw(3), draw(4))


@every_draw
def test_torch_manual_seed_governs_unseeded_draws(draw):
    for seed in (None, SeedGenerator()):
        torch.manual_seed(5)
        first, second = draw(seed), draw(seed)
        torch.manual_seed(5)
        assert torch.equal(first, draw(seed))
        assert not torch.equal(first, second)


@every_draw
def test_a_generator_is_a_stream(draw):
    stream = SeedGenerator(3)
    values = [draw(stream) for _ in range(3)]
    assert torch.equal(values[0], draw(3))
    assert not torch.equal(values[0], values[1])
    assert not torch.equal(values[1], values[2])
    assert stream.state.tolist() == [3, 3]
    again = SeedGenerator(3)
    assert all(torch.equal(value, draw(again)) for value in values)


@every_draw
def test_seeded_draws_leave_the_global_generator_alone(draw):
    before = torch.get_rng_state()
    draw(3)
    draw(SeedGenerator(3))
    assert torch.equal(before, torch.get_rng_state())


def test_a_stream_can_be_resumed():
    stream = SeedGenerator(3)
    random.normal((2,), seed=stream)
    position = stream.state.clone()
    copies = [copy.deepcopy(stream), pickle.loads(pickle.dumps(stream))]
    expected = random.normal((2,), seed=stream)
    stream.state.copy_(position)
    for generator in (stream, *copies):
        assert torch.equal(expected, random.normal((2,), seed=generator))


def test_next_moves_on():
    stream = SeedGenerator(42)
    assert [stream.next().tolist() for _ in range(3)] == [[42, 0], [42, 1], [42, 2]]


def test_large_and_negative_seeds():
    for seed in (-1, 2**31, 2**32 - 1, 2**63, np.int64(5)):
        assert random.uniform((2,), seed=seed).shape == (2,)
        assert random.uniform((2,), seed=SeedGenerator(seed)).shape == (2,)


def test_generator_round_trip():
    stream = SeedGenerator(seed=42, name="sg")
    config = _registry.serialize(stream)
    assert config == keras.saving.serialize_keras_object(
        keras.random.SeedGenerator(seed=42, name="sg")
    )
    again = _registry.deserialize(config)
    assert (again.name, again.state.tolist()) == ("sg", [42, 0])
    assert SeedGenerator(1).get_config() == {"seed": 1, "name": "seed_generator"}


# -- dtypes, shapes, devices -----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", torch.float32])
@pytest.mark.parametrize("shape", [(), (3,), [2, 3]])
def test_float_dtypes_and_shapes(dtype, shape):
    for draw in (
        lambda: random.normal(shape, dtype=dtype),
        lambda: random.normal(shape, dtype=dtype, seed=1),
        lambda: random.uniform(shape, dtype=dtype),
        lambda: random.truncated_normal(shape, dtype=dtype),
        lambda: random.gamma(shape, 2.0, dtype=dtype),
        lambda: random.beta(shape, 2.0, 2.0, dtype=dtype),
        lambda: random.binomial(shape, 5, 0.5, dtype=dtype),
    ):
        assert draw().shape == tuple(shape)
        assert str(draw().dtype).endswith(str(dtype).removeprefix("torch."))


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "int64", "uint16"])
def test_integer_dtypes(dtype):
    for seed in (None, 1):
        assert random.randint((3,), 0, 9, dtype, seed).dtype == getattr(torch, dtype)
        assert random.categorical(LOGITS, 3, dtype, seed).dtype == getattr(torch, dtype)


@every_draw
def test_default_device_and_fake_tensors(draw):
    stream = SeedGenerator(1)
    for seed in (None, 1, stream):
        for context in (torch.device("meta"), FakeTensorMode(allow_non_fake_inputs=True)):
            expected = draw(2)
            with context:
                result = draw(seed)
            assert (result.shape, result.dtype) == (expected.shape, expected.dtype)
    with torch.device("meta"):
        assert random.normal((2,), seed=stream).is_meta
        assert SeedGenerator(1).state.device.type == "cpu"


def together(names):
    return lambda seed: [DRAWS[name](seed) for name in names]


def test_unseeded_draws_compile_as_one_graph():
    draws = together(set(DRAWS) - {"binomial"})
    compiled = torch.compile(draws, fullgraph=True, backend="aot_eager")
    for first, second in zip(compiled(None), compiled(None), strict=True):
        assert first.shape == second.shape
        assert not torch.equal(first, second)


def test_seeded_draws_compile_as_one_graph():
    draws = together(sorted(set(DRAWS) - SPLIT))
    compiled = torch.compile(draws, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(3), draws(3), rtol=0, atol=0)
    stream, reference = SeedGenerator(3), SeedGenerator(3)
    for _ in range(3):
        torch.testing.assert_close(compiled(stream), draws(reference), rtol=0, atol=0)
        with torch.compiler.set_stance("fail_on_recompile"):
            torch.testing.assert_close(compiled(stream), draws(reference), rtol=0, atol=0)
    assert torch.equal(stream.state, reference.state)


def test_the_other_draws_split_the_graph():
    draws = together(sorted(SPLIT))
    compiled = torch.compile(draws, backend="eager")
    torch.testing.assert_close(compiled(3), draws(3), rtol=0, atol=0)


# -- dropout and shuffle ---------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [None, 1])
def test_dropout_keeps_the_mean(seed):
    x = torch.full((100, 100), 3.0, requires_grad=True)
    y = random.dropout(x, 0.25, seed=seed)
    assert set(y.unique().tolist()) == {0.0, 4.0}
    assert abs(y.mean() - 3.0) < 0.05
    (gradient,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(gradient, y.detach() / 3.0)


def test_unseeded_dropout_is_that_of_torch():
    x = torch.ones(20)
    torch.manual_seed(0)
    ours = random.dropout(x, 0.3)
    torch.manual_seed(0)
    assert torch.equal(ours, torch.nn.functional.dropout(x, 0.3))


@pytest.mark.parametrize("seed", [None, 1])
@pytest.mark.parametrize("noise_shape", [None, (None, 1)])
def test_dropout_at_the_ends(seed, noise_shape):
    x = torch.randn(4, 5)
    assert torch.equal(random.dropout(x, 0.0, noise_shape, seed), x)
    assert torch.equal(random.dropout(x, 1.0, noise_shape, seed), torch.zeros(4, 5))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_dropout_keeps_the_dtype(dtype):
    assert random.dropout(torch.ones(3, dtype=dtype), 0.5, seed=1).dtype == dtype


@pytest.mark.parametrize("seed", [None, 1])
def test_noise_shape_shares_decisions(seed):
    y = random.dropout(torch.ones(50, 4, 3), 0.5, noise_shape=(None, 1, 3), seed=seed)
    assert torch.equal(y, y[:, :1].expand_as(y))
    assert 0 < y.mean() < 2


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_shuffle_permutes_slices(axis):
    x = torch.arange(60).reshape(10, 6)
    y = random.shuffle(x, axis=axis, seed=1)
    assert not torch.equal(x, y)
    slices = [tuple(s.tolist()) for s in x.movedim(axis, 0)]
    assert sorted(slices) == sorted(tuple(s.tolist()) for s in y.movedim(axis, 0))


def test_shuffles_are_equally_likely():
    orders = [tuple(random.shuffle(torch.arange(3)).tolist()) for _ in range(1200)]
    counts = np.unique(orders, axis=0, return_counts=True)[1]
    assert len(counts) == 6
    assert stats.chisquare(counts).pvalue > 1e-3


# -- errors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: SeedGenerator("a"), "seed"),
        (lambda: random.normal((2,), seed="a"), "SeedGenerator"),
        (lambda: random.normal((2,), dtype="int32"), "normal: `dtype`"),
        (lambda: random.uniform((2,), dtype="int64"), "uniform: `dtype`"),
        (lambda: random.gamma((2,), 1.0, dtype="int64"), "gamma: `dtype`"),
        (lambda: random.randint((2,), 0, 5, dtype="float32"), "randint: `dtype`"),
        (lambda: random.categorical(torch.ones(3), 2), "batch, classes"),
        (lambda: random.dropout(torch.ones(3), 1.5), "rate"),
        (lambda: random.dropout(torch.ones(3, 4), 0.5, noise_shape=(3,)), "noise_shape"),
    ],
)
def test_errors_teach(call, message):
    with pytest.raises(ValueError, match=message):
        call()
