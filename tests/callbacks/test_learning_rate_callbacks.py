"""Rates set by callbacks, against Keras and torch on the same sequences."""

from types import SimpleNamespace

import keras as oracle
import pytest
import torch

from kerastorch.callbacks import CallbackList, LearningRateScheduler, ReduceLROnPlateau

LOSSES = [1.0, 1.0, 0.9, 0.95, 0.95, 0.95, 0.95, 0.5, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6]


class Optimizer:
    """The part of an optimizer that callbacks see."""

    def __init__(self, learning_rate):
        self.learning_rate = learning_rate
        self.defaults = {"lr": learning_rate}


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
    ours = drive(ReduceLROnPlateau(**options), Optimizer(0.1))
    theirs = drive(oracle.callbacks.ReduceLROnPlateau(**options), Optimizer(0.1))
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
    rate = torch.tensor(0.1)  # float32, so never quite the minimum
    callback = ReduceLROnPlateau(patience=1, factor=0.5, min_lr=0.05, verbose=1)
    drive(callback, Optimizer(rate), [1.0] * 6)
    expected = "\nEpoch 00002: ReduceLROnPlateau reducing learning rate to 0.05.\n"
    assert capsys.readouterr().out == expected


def test_reduce_resets_at_each_fit():
    callback = ReduceLROnPlateau(patience=2, cooldown=3)
    callback.best, callback.wait, callback.cooldown_counter = 0.1, 1, 2
    callback.set_model(SimpleNamespace(optimizer=Optimizer(0.1)))
    callback.on_train_begin()
    assert (callback.best, callback.wait, callback.cooldown_counter) == (None, 0, 0)


def test_reduce_without_the_value_warns():
    callback = ReduceLROnPlateau()
    callback.set_model(SimpleNamespace(optimizer=Optimizer(0.1)))
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
    ours = drive(LearningRateScheduler(schedule), Optimizer(0.03))
    theirs = drive(oracle.callbacks.LearningRateScheduler(schedule), Optimizer(0.03))
    for pair, expected in zip(ours, theirs, strict=True):
        assert pair == pytest.approx(expected, rel=1e-6)


def test_scheduler_with_a_plain_torch_optimizer():
    optimizer = plain_sgd(0.1)
    callback = LearningRateScheduler(lambda epoch, rate: torch.tensor(rate / 2))
    CallbackList([callback], model=SimpleNamespace(optimizer=optimizer)).on_epoch_begin(0)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.05)


def test_scheduler_tells(capsys):
    drive(LearningRateScheduler(lambda epoch: 0.5, verbose=1), Optimizer(0.03), [1.0])
    expected = "\nEpoch 00001: LearningRateScheduler setting learning rate to 0.5.\n"
    assert capsys.readouterr().out == expected


def test_scheduler_does_not_hide_errors_of_the_schedule():
    def schedule(epoch, rate):
        raise TypeError("from inside")

    with pytest.raises(TypeError, match="from inside"):
        drive(LearningRateScheduler(schedule), Optimizer(0.1))


def test_scheduler_refuses_what_is_no_number():
    with pytest.raises(ValueError, match=r"schedule\(0,\) gave None, expected a number"):
        drive(LearningRateScheduler(lambda epoch: None), Optimizer(0.1))


@pytest.mark.parametrize(
    "callback", [ReduceLROnPlateau(), LearningRateScheduler(lambda epoch, rate: rate)]
)
def test_an_optimizer_with_a_schedule_is_refused_before_training(callback):
    optimizer = Optimizer(0.1)
    optimizer.defaults["lr"] = lambda step: 0.1
    callback.set_model(SimpleNamespace(optimizer=optimizer))
    message = f"created with a `LearningRateSchedule`.*Use either .* {type(callback).__name__}"
    with pytest.raises(TypeError, match=message):
        callback.on_train_begin()
    assert optimizer.learning_rate == 0.1
