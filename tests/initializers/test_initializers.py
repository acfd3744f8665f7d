"""Initializers: distributions against scipy and Keras's formulas, seeds, devices, configs."""

import inspect
import json
import math

import keras
import numpy as np
import pytest
import torch
from keras.src.initializers.random_initializers import compute_fans
from scipy import signal, stats

from kerastorch import initializers
from kerastorch.initializers import _random
from kerastorch.random import SeedGenerator

# Every class, with arguments that are not the defaults.
CASES = [
    ("Zeros", {}),
    ("Ones", {}),
    ("Constant", {"value": 0.5}),
    ("Identity", {"gain": 2.0}),
    ("STFT", {"side": "imag", "window": "hamming", "scaling": "spectrum", "periodic": True}),
    ("RandomNormal", {"mean": 1.0, "stddev": 2.0, "seed": 3}),
    ("RandomUniform", {"minval": -1.0, "maxval": 2.0, "seed": 3}),
    ("TruncatedNormal", {"mean": 1.0, "stddev": 2.0, "seed": 3}),
    ("VarianceScaling", {"scale": 2.0, "mode": "fan_out", "distribution": "uniform", "seed": 3}),
    ("GlorotNormal", {"seed": 3}),
    ("GlorotUniform", {"seed": 3, "input_axes": [0], "output_axes": [1]}),
    ("HeNormal", {"seed": 3}),
    ("HeUniform", {"seed": 3}),
    ("LecunNormal", {"seed": 3}),
    ("LecunUniform", {"seed": 3}),
    ("Orthogonal", {"gain": 2.0, "seed": 3}),
]
IDS = [name for name, _ in CASES]
RANDOM = [case for case in CASES if "seed" in case[1]]
SCALED = [name for name, _ in RANDOM if hasattr(getattr(initializers, name), "variant")]
every_class = pytest.mark.parametrize(("name", "kwargs"), CASES, ids=IDS)
every_random = pytest.mark.parametrize("name", [name for name, _ in RANDOM])


def shape_for(name: str) -> tuple[int, ...]:
    return (16, 1, 9) if name == "STFT" else (6, 4)


def test_every_class_of_keras_is_here_and_in_the_table():
    classes = {n: c for n, c in vars(keras.initializers).items() if inspect.isclass(c)}
    assert set(classes) <= set(vars(initializers))
    assert {c.__name__ for c in classes.values()} - {"Initializer"} == set(IDS)
    for name, cls in classes.items():
        assert getattr(initializers, name).__name__ == cls.__name__


@every_class
def test_signatures_are_those_of_keras(name, kwargs):
    def arguments(module):
        parameters = inspect.signature(getattr(module, name)).parameters.values()
        return [(p.name, p.default) for p in parameters]

    assert arguments(initializers) == arguments(keras.initializers)


# -- without chance --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kwargs", "shape"),
    [
        ("Zeros", {}, (2, 3)),
        ("Ones", {}, (2, 3)),
        ("Constant", {"value": -1.5}, (2, 3)),
        ("Constant", {"value": np.arange(6.0).reshape(2, 3)}, (2, 3)),
        ("Constant", {"value": [1, 2, 3]}, (2, 3)),
        ("Identity", {}, (3, 3)),
        ("Identity", {"gain": 2.0}, (2, 4)),
    ],
)
def test_constants_are_those_of_keras(name, kwargs, shape):
    ours = getattr(initializers, name)(**kwargs)(shape)
    theirs = getattr(keras.initializers, name)(**kwargs)(shape)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_constant_makes_a_tensor_of_its_own():
    value = torch.ones(2, requires_grad=True)
    made = initializers.Constant(value)((2, 2))
    made[0, 0] = 5.0
    assert made.is_contiguous()
    assert not made.requires_grad
    assert value.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("side", ["real", "imag"])
@pytest.mark.parametrize(
    ("window", "scaling", "periodic"),
    [
        (None, None, False),
        ("hann", "density", False),
        ("hann", "density", True),
        ("hamming", "spectrum", True),
        ("blackman", None, False),
        ("bartlett", None, True),
        ("cosine", "density", True),
        ("nuttall", "spectrum", False),
        ("tukey", "density", False),
        (tuple(range(1, 257)), "spectrum", False),
    ],
)
def test_stft_is_the_fourier_kernel(side, window, scaling, periodic):
    length, fft = 256, 1024
    angles = -2 * np.pi * np.outer(np.arange(length), np.arange(fft // 2 + 1)) / fft
    expected = np.cos(angles) if side == "real" else np.sin(angles)
    if window is not None:
        named = isinstance(window, str)
        values = signal.get_window(window, length, periodic) if named else np.array(window, float)
        norm = {"density": np.sqrt((values**2).sum()), "spectrum": np.abs(values).sum(), None: 1.0}
        expected = expected * (values / norm[scaling])[:, None]
    kernel = initializers.STFT(side, window, scaling, periodic)((length, 1, fft // 2 + 1))
    np.testing.assert_allclose(kernel[:, 0].numpy(), expected, rtol=1e-5, atol=1e-6)


# -- distributions ---------------------------------------------------------------------------------


def test_fixed_distributions():
    for name, kwargs, cdf in [
        ("RandomNormal", {"mean": 1.0, "stddev": 2.0}, stats.norm(1.0, 2.0).cdf),
        ("RandomUniform", {"minval": -1.0, "maxval": 2.0}, stats.uniform(-1.0, 3.0).cdf),
        ("TruncatedNormal", {"mean": 1.0, "stddev": 2.0}, stats.truncnorm(-2, 2, 1.0, 2.0).cdf),
    ]:
        values = getattr(initializers, name)(**kwargs)((100, 200)).double().numpy().ravel()
        assert stats.kstest(values, cdf).pvalue > 1e-3


@pytest.mark.parametrize("mode", ["fan_in", "fan_out", "fan_avg"])
@pytest.mark.parametrize("distribution", ["uniform", "truncated_normal", "untruncated_normal"])
@pytest.mark.parametrize("shape", [(300, 100), (3, 3, 40, 60)])
def test_variance_scaling_has_the_variance_that_it_names(mode, distribution, shape):
    fan_in, fan_out = compute_fans(shape)
    fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[mode]
    stddev = math.sqrt(2.0 / fan)
    values = initializers.VarianceScaling(2.0, mode, distribution)(shape).double().numpy().ravel()
    assert abs(values.std() / stddev - 1) < 0.02
    cut = stddev / stats.truncnorm(-2, 2).std()
    cdf = {
        "uniform": stats.uniform(-math.sqrt(3) * stddev, 2 * math.sqrt(3) * stddev).cdf,
        "truncated_normal": stats.truncnorm(-2, 2, 0, cut).cdf,
        "untruncated_normal": stats.norm(0, stddev).cdf,
    }[distribution]
    assert stats.kstest(values, cdf).pvalue > 1e-3


@pytest.mark.parametrize("name", SCALED)
def test_named_scalings_are_those_of_keras(name):
    ours, theirs = getattr(initializers, name)(), getattr(keras.initializers, name)()
    for attribute in ("scale", "mode", "distribution"):
        assert getattr(ours, attribute) == getattr(theirs, attribute)
    assert isinstance(ours, initializers.VarianceScaling)


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((), (None, None)),
        ((5,), (None, None)),
        ((5, 7), (None, None)),
        ((3, 5, 7), (None, None)),
        ((3, 4, 5, 7), (None, None)),
        ((3, 4, 5, 7), ([0, 1], [3])),
        ((3, 4, 5, 7), ([0], None)),
    ],
)
def test_fans_are_those_of_keras(shape, axes):
    assert _random.compute_fans(shape, *axes) == compute_fans(shape, *axes)


def test_variance_scaling_takes_axes():
    initializer = initializers.VarianceScaling(
        mode="fan_in", distribution="uniform", input_axes=[0], output_axes=[1, 2]
    )
    values = initializer((30, 40, 50))
    assert math.sqrt(3 / 30) * 0.99 < values.abs().max() <= math.sqrt(3 / 30)


@pytest.mark.parametrize("shape", [(8, 8), (10, 4), (4, 10), (3, 3, 4, 16), (3, 3, 2, 64)])
def test_orthogonal(shape):
    q = initializers.Orthogonal(gain=3.0)(shape).reshape(-1, shape[-1])
    gram = q.T @ q if q.shape[0] >= q.shape[1] else q @ q.T
    torch.testing.assert_close(gram, 9.0 * torch.eye(min(q.shape)), rtol=1e-5, atol=1e-5)


def test_orthogonal_matrices_are_drawn_evenly():
    # A rotation or reflection of the plane has its first column anywhere on the circle.
    columns = torch.stack([initializers.Orthogonal()((2, 2))[:, 0] for _ in range(500)])
    angles = torch.atan2(columns[:, 1], columns[:, 0]).numpy()
    assert stats.kstest(angles, stats.uniform(-np.pi, 2 * np.pi).cdf).pvalue > 1e-3


# -- seeds -----------------------------------------------------------------------------------------


@every_random
def test_seeds(name):
    cls, shape = getattr(initializers, name), (6, 4)
    fixed = cls(seed=3)
    assert torch.equal(fixed(shape), fixed(shape))
    assert torch.equal(fixed(shape), cls(seed=3)(shape))
    assert not torch.equal(fixed(shape), cls(seed=4)(shape))
    stream = cls(seed=SeedGenerator(3))
    assert torch.equal(stream(shape), fixed(shape))
    assert not torch.equal(stream(shape), fixed(shape))


@every_random
def test_torch_manual_seed_governs(name):
    initializer = getattr(initializers, name)()
    torch.manual_seed(1)
    first, second = initializer((6, 4)), initializer((6, 4))
    assert not torch.equal(first, second)
    torch.manual_seed(1)
    assert torch.equal(initializer.clone()((6, 4)), first)


# -- dtypes, devices -------------------------------------------------------------------------------


@every_class
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", torch.float32])
def test_dtypes(name, kwargs, dtype):
    values = getattr(initializers, name)(**kwargs)(shape_for(name), dtype=dtype)
    assert str(values.dtype).endswith(str(dtype).removeprefix("torch."))
    assert values.isfinite().all()


@every_class
def test_default_dtype_and_list_shapes(name, kwargs):
    values = getattr(initializers, name)(**kwargs)(list(shape_for(name)))
    assert (values.dtype, values.shape) == (torch.float32, shape_for(name))
    assert values.is_contiguous() or name == "Orthogonal"


@every_class
def test_default_device(name, kwargs):
    for arguments in (kwargs, kwargs | {"seed": None} if "seed" in kwargs else kwargs):
        initializer = getattr(initializers, name)(**arguments)
        with torch.device("meta"):
            values = initializer(shape_for(name))
        assert values.is_meta
        assert values.shape == shape_for(name)


def test_constant_array_on_the_default_device():
    with torch.device("meta"):
        assert initializers.Constant(np.ones(3))((2, 3)).is_meta


# -- configs ---------------------------------------------------------------------------------------


@every_class
def test_round_trip(name, kwargs):
    original = getattr(initializers, name)(**kwargs)
    config = initializers.serialize(original)
    if name != "Identity":  # Keras 3.15 forgets the gain
        theirs = getattr(keras.initializers, name)(**kwargs)
        assert config == keras.initializers.serialize(theirs)
    again = initializers.deserialize(json.loads(json.dumps(config)))
    for copy in (again, original.clone(), type(original).from_config(original.get_config())):
        assert type(copy) is type(original)
        assert initializers.serialize(copy) == config
        assert torch.equal(copy(shape_for(name)), original(shape_for(name)))


def test_round_trip_of_a_stream_and_of_an_array():
    original = initializers.HeNormal(seed=SeedGenerator(3))
    config = initializers.serialize(original)
    assert config["config"]["seed"]["module"] == "keras.random"
    assert torch.equal(initializers.deserialize(config)((4, 4)), original((4, 4)))

    array = initializers.Constant(np.arange(3.0))
    again = initializers.deserialize(initializers.serialize(array))
    assert torch.equal(again((2, 3)), array((2, 3)))


@pytest.mark.parametrize(
    ("name", "cls"),
    [
        ("glorot_uniform", "GlorotUniform"),
        ("HeNormal", "HeNormal"),
        ("zeros", "Zeros"),
        ("zero", "Zeros"),
        ("ones", "Ones"),
        ("one", "Ones"),
        ("normal", "RandomNormal"),
        ("uniform", "RandomUniform"),
        ("random_normal", "RandomNormal"),
        ("truncated_normal", "TruncatedNormal"),
        ("variance_scaling", "VarianceScaling"),
        ("identity", "Identity"),
        ("IdentityInitializer", "Identity"),
        ("OrthogonalInitializer", "Orthogonal"),
        ("stft", "STFT"),
        ("STFTInitializer", "STFT"),
    ],
)
def test_names(name, cls):
    assert type(initializers.get(name)) is getattr(initializers, cls)
    assert type(keras.initializers.get(name)).__name__ == cls


def test_get_takes_anything_that_makes_a_tensor():
    assert initializers.get(None) is None
    assert isinstance(initializers.get(initializers.Ones), initializers.Ones)
    same = initializers.Ones()
    assert initializers.get(same) is same
    assert initializers.get(torch.nn.init.zeros_) is torch.nn.init.zeros_
    for value in (np.arange(3.0), torch.arange(3.0)):
        assert initializers.get(value)((3,), "float32").tolist() == [0.0, 1.0, 2.0]
        with pytest.raises(ValueError, match="does not broadcast"):
            initializers.get(value)((4,))


def test_custom_initializer_round_trip():
    class Ramp(initializers.Initializer):
        def __init__(self, stop):
            self.stop = stop

        def __call__(self, shape, dtype=None):
            return torch.linspace(0, self.stop, shape[0])

    config = initializers.serialize(Ramp(2.0))
    assert initializers.deserialize(config, custom_objects={"Ramp": Ramp}).stop == 2.0
    assert Ramp(3.0).clone().stop == 3.0
    with pytest.raises(NotImplementedError, match="__call__"):
        initializers.Initializer()((2,))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: initializers.get("glorot_unifrom"), "Did you mean 'glorot_uniform'"),
        (lambda: initializers.RandomNormal(seed="a"), "SeedGenerator"),
        (lambda: initializers.VarianceScaling(scale=0.0), "`scale`"),
        (lambda: initializers.VarianceScaling(mode="fan"), "`mode`.*fan_avg"),
        (lambda: initializers.VarianceScaling(distribution="normal"), "`distribution`.*uniform"),
        (lambda: initializers.Identity()((2, 2, 2)), "matrix"),
        (lambda: initializers.Orthogonal()((2,)), "two or more axes"),
        (lambda: initializers.STFT("imaginary"), "`side`"),
        (lambda: initializers.STFT(scaling="l2"), "`scaling`"),
        (lambda: initializers.STFT(window="hann", scaling=None)((4, 1)), "unpack"),
        (lambda: initializers.STFT(window=[1.0, 2.0])((4, 1, 3)), r"\(4,\)"),
        (lambda: initializers.STFT(window="no_such_window"), "window"),
    ],
)
def test_errors_teach(call, message):
    with pytest.raises(ValueError, match=message):
        call()
