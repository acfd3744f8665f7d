"""Rates set by callbacks, against Keras and torch on the same sequences."""

import copy
import pickle
from types import SimpleNamespace

import keras as oracle
import pytest
import torch

import kerastorch as keras
from kerastorch import optimizers
from kerastorch.callbacks import CallbackList, LearningRateScheduler, ReduceLROnPlateau
from kerastorch.optimizers import schedules

LOSSES = [1.0, 1.0, 0.9, 0.95, 0.95, 0.95, 0.95, 0.5, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6]


def built(rate, optimizer=optimizers.SGD, **options):
    """An optimizer of this library, with one parameter."""
    made = optimizer(rate, **options)
    made.build([torch.nn.Parameter(torch.zeros(1))])
    return made


def plain_sgd(rate, as_tensor=False):
    parameter = torch.nn.Parameter(torch.zeros(1))
    return torch.optim.SGD([parameter], lr=torch.tensor(rate) if as_tensor else rate)


def drive(callback, optimizer, losses=LOSSES, name="val_loss"):
    """The rate after each epoch."""
    callback.set_model(SimpleNamespace(optimizer=optimizer))
    callback.on_train_begin()
    rates = []
    for epoch, loss in enumerate(losses):
        callback.on_epoch_begin(epoch, {})
        logs = {name: loss}
        callback.on_epoch_end(epoch, logs)
        rates.append((logs["learning_rate"], float(optimizer.learning_rate)))
    return rates


@pytest.mark.parametrize(
    "options",
    [
        {"patience": 1},
        {"patience": 2, "factor": 0.5},
        {"patience": 1, "cooldown": 2},
        {"patience": 1, "min_lr": 0.003},
        {"patience": 1, "min_delta": 0.2},
        {"patience": 1, "mode": "max"},
    ],
)
def test_reduce_like_keras(options):
    ours = drive(ReduceLROnPlateau(**options), built(0.1))
    theirs = drive(oracle.callbacks.ReduceLROnPlateau(**options), oracle.optimizers.SGD(0.1))
    for pair, expected in zip(ours, theirs, strict=True):
        assert pair == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("as_tensor", [False, True])
def test_reduce_a_plain_torch_optimizer_like_torch(as_tensor):
    ours, theirs = plain_sgd(0.1, as_tensor), plain_sgd(0.1)
    callback = ReduceLROnPlateau(patience=2, factor=0.5, min_delta=1e-4)
    callback.set_model(SimpleNamespace(optimizer=ours))
    callback.on_train_begin()
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        theirs, factor=0.5, patience=1, threshold=1e-4, threshold_mode="abs"
    )
    for epoch, loss in enumerate(LOSSES):
        callback.on_epoch_end(epoch, {"val_loss": loss})
        scheduler.step(loss)
        expected = theirs.param_groups[0]["lr"]
        assert float(ours.param_groups[0]["lr"]) == pytest.approx(expected, rel=1e-6)
    assert isinstance(ours.param_groups[0]["lr"], torch.Tensor) == as_tensor


def test_reduce_tells_and_stops_telling_at_the_minimum(capsys):
    callback = ReduceLROnPlateau(patience=1, factor=0.5, min_lr=0.05, verbose=1)
    drive(callback, built(0.1), [1.0] * 6)  # in float32, so never quite the minimum
    expected = "\nEpoch 00002: ReduceLROnPlateau reducing learning rate to 0.05.\n"
    assert capsys.readouterr().out == expected


def test_reduce_resets_at_each_fit():
    callback = ReduceLROnPlateau(patience=2, cooldown=3)
    callback.best, callback.wait, callback.cooldown_counter = 0.1, 1, 2
    callback.set_model(SimpleNamespace(optimizer=built(0.1)))
    callback.on_train_begin()
    assert (callback.best, callback.wait, callback.cooldown_counter) == (None, 0, 0)


def test_reduce_without_the_value_warns():
    callback = ReduceLROnPlateau()
    callback.set_model(SimpleNamespace(optimizer=built(0.1)))
    with pytest.warns(UserWarning, match="ReduceLROnPlateau watches 'val_loss'"):
        callback.on_epoch_end(0, {"loss": 1.0})


@pytest.mark.parametrize("factor", [0, 1.0, 2])
def test_reduce_refuses_a_factor(factor):
    with pytest.raises(ValueError, match="factor: expected a number between 0 and 1"):
        ReduceLROnPlateau(factor=factor)


@pytest.mark.parametrize(
    "schedule", [lambda epoch: 1.0 / (2.0 + epoch), lambda epoch, rate: rate / 2]
)
def test_scheduler_like_keras(schedule):
    ours = drive(LearningRateScheduler(schedule), built(0.03))
    theirs = drive(oracle.callbacks.LearningRateScheduler(schedule), oracle.optimizers.SGD(0.03))
    for pair, expected in zip(ours, theirs, strict=True):
        assert pair == pytest.approx(expected, rel=1e-6)


def test_scheduler_with_a_plain_torch_optimizer():
    optimizer = plain_sgd(0.1)
    callback = LearningRateScheduler(lambda epoch, rate: torch.tensor(rate / 2))
    CallbackList([callback], model=SimpleNamespace(optimizer=optimizer)).on_epoch_begin(0)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.05)


def test_scheduler_tells(capsys):
    drive(LearningRateScheduler(lambda epoch: 0.5, verbose=1), built(0.03), [1.0])
    expected = "\nEpoch 00001: LearningRateScheduler setting learning rate to 0.5.\n"
    assert capsys.readouterr().out == expected


def test_scheduler_does_not_hide_errors_of_the_schedule():
    def schedule(epoch, rate):
        raise TypeError("from inside")

    with pytest.raises(TypeError, match="from inside"):
        drive(LearningRateScheduler(schedule), built(0.1))


def test_scheduler_refuses_what_is_no_number():
    with pytest.raises(ValueError, match=r"schedule\(0,\) gave None, expected a number"):
        drive(LearningRateScheduler(lambda epoch: None), built(0.1))


def test_a_function_of_the_epoch_and_a_schedule_are_refused_together():
    optimizer = built(schedules.InverseTimeDecay(0.1, 1, 1))
    callback = LearningRateScheduler(lambda epoch, rate: rate)
    callback.set_model(SimpleNamespace(optimizer=optimizer))
    message = "created with a `LearningRateSchedule`.*Use either .* LearningRateScheduler"
    with pytest.raises(TypeError, match=message):
        callback.on_train_begin()
    assert float(optimizer.learning_rate) == pytest.approx(0.1)


# -- a factor on top of a schedule ---------------------------------------------------------------------

DECAY = schedules.ExponentialDecay(0.5, 10, 0.9)


def step(optimizer, count=1):
    """The rates that the next updates use: what the weight moves by under a gradient of 1."""
    (weight,) = optimizer.param_groups[0]["params"]
    moved = []
    for _ in range(count):
        before = weight.item()
        optimizer.apply([torch.ones(1)])
        moved.append(before - weight.item())
    return moved


@pytest.mark.parametrize("schedule", [DECAY, lambda: 0.5], ids=["schedule", "callable"])
@pytest.mark.parametrize("scaled", [False, True])
def test_reduce_scales_a_schedule(schedule, scaled):
    optimizer = built(schedule)
    if scaled:
        optimizer = optimizers.LossScaleOptimizer(optimizer, initial_scale=1.0)
    callback = ReduceLROnPlateau(patience=1, factor=0.5, min_delta=0)
    callback.set_model(SimpleNamespace(optimizer=optimizer))
    callback.on_train_begin()
    base = [float(schedule(i)) if schedule is DECAY else 0.5 for i in range(16)]
    for epoch, (loss, factor) in enumerate(
        [(1.0, 1.0), (1.0, 1.0), (0.5, 0.5), (0.5, 0.5), (0.5, 0.25)]
    ):
        expected = [factor * rate for rate in base[3 * epoch : 3 * epoch + 3]]
        assert step(optimizer, 3) == pytest.approx(expected, rel=1e-5)
        logs = {"val_loss": loss}
        callback.on_epoch_end(epoch, logs)
        assert logs["learning_rate"] == pytest.approx(factor * base[3 * epoch + 3])
    assert float(optimizer.learning_rate) == pytest.approx(0.125 * base[15])


def test_a_reduced_schedule_stays_above_the_minimum_when_it_is_reduced():
    optimizer = built(DECAY)
    callback = ReduceLROnPlateau(patience=1, factor=0.5, min_lr=0.3)
    rates = [rate for _, rate in drive(callback, optimizer, [1.0] * 4)]
    assert rates == pytest.approx([0.5, 0.3, 0.3, 0.3])
    step(optimizer, 10)
    assert float(optimizer.learning_rate) == pytest.approx(0.3 * 0.9)


def test_the_factor_is_state_and_no_configuration():
    optimizer = built(DECAY)
    config = optimizer.get_config()
    assert "lr_factor" not in optimizer.param_groups[0]
    assert optimizer.reduce_learning_rate(0.5)
    assert optimizer.get_config() == config
    state = copy.deepcopy(optimizer.state_dict())

    fresh = built(DECAY)
    fresh.load_state_dict(state)
    assert float(fresh.learning_rate) == 0.25
    assert step(fresh) == [0.25]
    for again in (pickle.loads(pickle.dumps(fresh)), copy.deepcopy(fresh)):
        assert float(again.learning_rate) == pytest.approx(0.5 * float(DECAY(1)))

    fresh.load_state_dict(built(DECAY).state_dict())  # a state from before any reduction
    assert float(fresh.learning_rate) == 0.5
    assert step(fresh) == [0.5]


def test_the_factor_is_in_the_file_of_a_model(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(optimizers.Adam(DECAY), "mse")
    data = torch.ones(4, 2), torch.ones(4)
    reduce = ReduceLROnPlateau("loss", patience=1, min_delta=100, factor=0.5)
    model.fit(*data, epochs=2, verbose=0, callbacks=[reduce])
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert float(again.optimizer.learning_rate) == float(model.optimizer.learning_rate)
    assert float(again.optimizer.learning_rate) == pytest.approx(0.5 * float(DECAY(2)))
    losses = [m.fit(*data, epochs=2, verbose=0).history["loss"] for m in (model, again)]
    assert losses[0] == losses[1]


def test_a_new_rate_ends_the_factor():
    optimizer = built(DECAY)
    optimizer.reduce_learning_rate(0.5)
    optimizer.learning_rate = schedules.ExponentialDecay(0.25, 10, 0.9)
    assert step(optimizer) == [0.25]
    optimizer.reduce_learning_rate(0.5)
    optimizer.learning_rate = 0.75
    assert step(optimizer) == [0.75]


def test_groups_are_reduced_each_by_itself():
    optimizer = optimizers.SGD(0.5)
    params = [torch.nn.Parameter(torch.zeros(1)) for _ in range(3)]
    rates = [0.5, 0.125, DECAY]
    optimizer.build([{"params": [p], "lr": r} for p, r in zip(params, rates, strict=True)])
    assert optimizer.reduce_learning_rate(0.5, minimum=0.125)
    optimizer.apply([torch.ones(1)] * 3)
    assert [-p.item() for p in params] == [0.25, 0.125, 0.25]
    assert optimizer.reduce_learning_rate(0.5, minimum=0.125)
    assert not optimizer.reduce_learning_rate(0.5, minimum=0.125)


def test_the_factor_in_a_captured_graph():
    """One graph before and one after the first reduction; later ones change a tensor only."""
    torch._dynamo.reset()
    eager, captured = built(DECAY), built(DECAY)
    graphs = []

    def backend(module, _):
        graphs.append(module)
        return module.forward

    apply = torch.compile(captured.apply, fullgraph=True, backend=backend)
    for i in range(8):
        for optimizer, update in ((eager, eager.apply), (captured, apply)):
            if i in (2, 4, 6):
                optimizer.reduce_learning_rate(0.5)
            update([torch.ones(1)])
        weights = [o.param_groups[0]["params"][0].item() for o in (eager, captured)]
        assert weights[0] == pytest.approx(weights[1])
        if i == 3:
            before = len(graphs)
    assert len(graphs) <= before + 1
