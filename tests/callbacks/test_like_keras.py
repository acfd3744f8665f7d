"""Scripted values through the hooks of both libraries: the same decisions at every epoch."""

import math
import random
import re

import keras as oracle
import pytest
import torch

import kerastorch as keras

LIBRARIES = (keras, oracle)
SEEDS = range(150)
# Halves, quarters, eighths: exact in float32, where Keras compares, so that ties are ties.
VALUES = [i / 8 for i in range(-8, 9)]
ODD = [math.nan, math.inf, -math.inf]


class Model:
    """Its only weight is the number of the epoch."""

    stop_training = False

    def __init__(self, optimizer=None):
        self.optimizer = optimizer
        self.weight = None

    def get_weights(self):
        return [self.weight]

    def set_weights(self, weights):
        (self.weight,) = weights


def script(rng, length, first=0):
    """Values of which some are not finite. What is watched first is a number: see the last test."""
    values = [rng.choice(ODD) if rng.random() < 0.15 else rng.choice(VALUES) for _ in range(length)]
    if math.isnan(values[first]):
        values[first] = rng.choice(VALUES)
    return values


def drive(callback, model, values):
    """What the callback has done after each epoch, and at the end of training."""
    callback.set_params({"epochs": len(values), "steps": 1, "verbose": 0})
    callback.set_model(model)
    callback.on_train_begin({})
    record = []
    for epoch, value in enumerate(values):
        model.weight = epoch
        callback.on_epoch_begin(epoch, {})
        callback.on_epoch_end(epoch, logs := {"value": value})
        rate = None if model.optimizer is None else float(model.optimizer.learning_rate)
        state = [getattr(callback, name, 0) for name in ("wait", "cooldown_counter")]
        record.append((epoch, rate, logs.get("learning_rate"), *state))
        if model.stop_training:
            break
    callback.on_train_end({})
    return record, model.weight


def sgd(library, rate):
    optimizer = library.optimizers.SGD(rate)
    if library is keras:
        optimizer.build([torch.nn.Parameter(torch.zeros(1))])
    return optimizer


@pytest.mark.parametrize("seed", SEEDS)
def test_early_stopping(seed):
    rng = random.Random(seed)
    options = {
        "mode": rng.choice(["min", "max"]),
        "patience": rng.randrange(4),
        "min_delta": rng.choice([0, 0.125, 0.25, -0.125]),
        "baseline": rng.choice([None, None, 0.5, -0.25]),
        "restore_best_weights": rng.random() < 0.5,
        "start_from_epoch": rng.choice([0, 0, 1, 3]),
    }
    values = script(rng, 20, options["start_from_epoch"])
    callbacks = [library.callbacks.EarlyStopping("value", **options) for library in LIBRARIES]
    for _ in range(2):  # an instance serves twice
        ours, theirs = (drive(callback, Model(), values) for callback in callbacks)
        assert ours == theirs
        for name in ("stopped_epoch", "best_epoch", "best"):
            assert getattr(callbacks[0], name) == getattr(callbacks[1], name)
        values = script(rng, 20, options["start_from_epoch"])


@pytest.mark.parametrize("seed", SEEDS)
def test_reduce_on_plateau(seed):
    rng = random.Random(seed)
    options = {
        "mode": rng.choice(["min", "max"]),
        "factor": rng.choice([0.5, 0.25, 0.1]),
        "patience": rng.randrange(4),
        "min_delta": rng.choice([0, 0.125, 0.25]),
        "cooldown": rng.randrange(4),
        "min_lr": rng.choice([0.0, 0.01, 0.03, 0.2]),
    }
    optimizers = [sgd(library, 0.1) for library in LIBRARIES]
    callbacks = [library.callbacks.ReduceLROnPlateau("value", **options) for library in LIBRARIES]
    for _ in range(2):
        values = script(rng, 25)
        ours, theirs = (
            drive(callback, Model(optimizer), values)[0]
            for callback, optimizer in zip(callbacks, optimizers, strict=True)
        )
        for row, expected in zip(ours, theirs, strict=True):
            assert row == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("with_rate", [False, True])
def test_learning_rate_scheduler(seed, with_rate):
    rng = random.Random(seed)
    factors = [rng.choice([1.0, 0.5, 0.9, 2.0, 0.1]) for _ in range(30)]
    schedule = (lambda e, rate: rate * factors[e]) if with_rate else (lambda e: factors[e] / 7)
    ours, theirs = (
        drive(library.callbacks.LearningRateScheduler(schedule), Model(sgd(library, 0.3)), factors)[
            0
        ]
        for library in LIBRARIES
    )
    for row, expected in zip(ours, theirs, strict=True):
        assert row == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("raise_error", [False, True])
def test_terminate_on_nan(seed, raise_error, capsys):
    rng = random.Random(seed)
    values = script(rng, 12)
    results = []
    for library, convert in ((keras, float), (keras, torch.tensor), (oracle, float)):
        callback = library.callbacks.TerminateOnNaN(raise_error)
        callback.set_model(model := Model())
        last = None
        for batch, value in enumerate(values):
            try:
                callback.on_batch_end(batch, {"loss": convert(value)})
            except RuntimeError as error:
                last = re.match(r"NaN or Inf loss encountered at batch \d+", str(error))[0]
                break
            if model.stop_training:
                last = batch
                break
        callback.on_batch_end(0, {})  # without a loss nothing happens
        results.append((last, capsys.readouterr().out))
    assert results[0] == results[1] == results[2]


def test_a_nan_at_first_is_best_for_good_in_keras_only():
    values = [math.nan, 1.0, 0.5, 0.25, 0.125]
    ours, theirs = (
        drive(library.callbacks.EarlyStopping("value", patience=2, mode="min"), Model(), values)
        for library in LIBRARIES
    )
    assert len(ours[0]) == 5
    assert len(theirs[0]) == 3
