"""Learning rate schedules against Keras, as integers, tensors and captured graphs."""

import keras
import numpy as np
import pytest
import torch

from kerastorch import optimizers
from kerastorch.optimizers import schedules

CASES = [
    ("ExponentialDecay", (0.1, 100, 0.9), {}),
    ("ExponentialDecay", (0.1, 100, 0.9), {"staircase": True}),
    ("PiecewiseConstantDecay", ([100, 250, 600], [1.0, 0.5, 0.25, 0.1]), {}),
    ("PiecewiseConstantDecay", ([10.0], [1.0, 0.5]), {"name": "two"}),
    ("PolynomialDecay", (0.1, 300), {}),
    ("PolynomialDecay", (0.1, 300), {"end_learning_rate": 0.01, "power": 0.5}),
    ("PolynomialDecay", (0.1, 90), {"power": 2.0, "cycle": True}),
    ("InverseTimeDecay", (0.1, 100, 0.5), {}),
    ("InverseTimeDecay", (0.1, 100, 0.5), {"staircase": True}),
    ("CosineDecay", (0.1, 700), {}),
    ("CosineDecay", (0.1, 700), {"alpha": 0.2}),
    ("CosineDecay", (0.0, 700), {"alpha": 0.1, "warmup_target": 0.3, "warmup_steps": 150}),
    ("CosineDecayRestarts", (0.1, 100), {}),
    ("CosineDecayRestarts", (0.1, 70), {"t_mul": 1.0, "m_mul": 0.5, "alpha": 0.1}),
    ("CosineDecayRestarts", (0.1, 30), {"t_mul": 1.5, "m_mul": 0.9}),
]


@pytest.mark.parametrize(("name", "args", "kwargs"), CASES)
def test_schedule_equals_keras(name, args, kwargs):
    theirs = getattr(keras.optimizers.schedules, name)(*args, **kwargs)
    ours = getattr(schedules, name)(*args, **kwargs)
    steps = list(range(1001))
    if kwargs.get("t_mul") == 1.5:
        # The second restart, 30 + 45. Keras's logarithm in float32 is still below it.
        steps.remove(75)
        assert float(ours(75)) == pytest.approx(0.1 * 0.9**2)
    expected = [float(theirs(torch.tensor(step))) for step in steps]
    np.testing.assert_allclose([float(ours(s)) for s in steps], expected, rtol=1e-5, atol=1e-7)
    batched = ours(torch.tensor(steps))
    np.testing.assert_allclose(batched.numpy(), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("name", "args", "kwargs"), CASES)
def test_schedule_is_a_float32_scalar_where_its_step_is(name, args, kwargs):
    schedule = getattr(schedules, name)(*args, **kwargs)
    for step in (3, 3.0, torch.tensor(3)):
        rate = schedule(step)
        assert rate.shape == ()
        assert rate.dtype == torch.float32
    assert schedule(torch.tensor(3, device="meta")).is_meta


@pytest.mark.parametrize(("name", "args", "kwargs"), CASES[::3])
def test_schedule_is_one_graph(name, args, kwargs):
    torch._dynamo.reset()
    schedule = getattr(schedules, name)(*args, **kwargs)
    captured = torch.compile(schedule, fullgraph=True, backend="eager")
    assert float(captured(torch.tensor(3))) == pytest.approx(float(schedule(3)))


@pytest.mark.parametrize(("name", "args", "kwargs"), CASES)
def test_schedule_config(name, args, kwargs):
    ours = getattr(schedules, name)(*args, **kwargs)
    theirs = getattr(keras.optimizers.schedules, name)(*args, **kwargs)
    assert ours.get_config() == theirs.get_config()
    data = schedules.serialize(ours)
    assert data["module"] == "keras.optimizers.schedules"
    again = schedules.deserialize(data)
    assert type(again) is type(ours)
    assert float(again(17)) == float(ours(17))
    optimizer = optimizers.deserialize(optimizers.serialize(optimizers.SGD(ours)))
    assert float(optimizer.learning_rate) == float(ours(0))


def test_the_guides_boundaries():
    schedule = schedules.PiecewiseConstantDecay([2, 5], [3.0, 2.0, 1.0])
    assert [float(schedule(t)) for t in range(8)] == [3, 3, 3, 2, 2, 2, 1, 1]


class Halving(schedules.LearningRateSchedule):
    def __init__(self, start):
        self.start = start

    def __call__(self, step):
        return self.start * 0.5**step


def test_own_schedule():
    w = torch.nn.Parameter(torch.zeros(1))
    optimizer = optimizers.SGD(Halving(1.0))
    for _ in range(3):
        optimizer.apply([torch.ones(1)], [w])
    assert w.item() == -1.75
    assert float(optimizer.learning_rate) == 0.125
    data = optimizers.serialize(optimizer)
    again = optimizers.deserialize(data, custom_objects={"Halving": Halving})
    assert float(again.learning_rate) == 1.0


def test_a_number_replaces_a_schedule():
    w = torch.nn.Parameter(torch.zeros(1))
    optimizer = optimizers.SGD(Halving(1.0))
    optimizer.apply([torch.ones(1)], [w])
    optimizer.learning_rate = 2
    optimizer.apply([torch.ones(1)], [w])
    assert w.item() == -3.0
    assert optimizer.get_config()["learning_rate"] == 2.0
    optimizer.learning_rate = Halving(4.0)  # at step 2
    optimizer.apply([torch.ones(1)], [w])
    assert w.item() == -4.0
    assert optimizer.param_groups[0]["lr"].item() == 1.0


def test_a_callable_without_arguments():
    w, rate = torch.nn.Parameter(torch.zeros(1)), [1.0]
    optimizer = optimizers.SGD(lambda: rate[0])
    optimizer.apply([torch.ones(1)], [w])
    rate[0] = 0.5
    optimizer.apply([torch.ones(1)], [w])
    assert w.item() == -1.5


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: schedules.ExponentialDecay(0.1, 0, 0.9), "decay_steps.*above 0.*received 0"),
        (lambda: schedules.CosineDecay(0.1, -1), "decay_steps"),
        (lambda: schedules.CosineDecayRestarts(0.1, 0), "first_decay_steps"),
        (lambda: schedules.CosineDecay(0.1, 5, warmup_steps=-1), "warmup_steps"),
        (lambda: schedules.PiecewiseConstantDecay([1], [1.0]), "one entry more.*1 values and 1"),
        (lambda: schedules.PiecewiseConstantDecay([5, 2], [1.0, 2.0, 3.0]), "must increase"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
