"""Schedulers of torch in fit: the same scheduler on a torch optimizer is the oracle."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler

import kerastorch as keras
from kerastorch import layers, optimizers
from kerastorch.callbacks import LambdaCallback, LearningRateScheduler

EPOCHS, BATCHES = 4, 3
LOSSES = [1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]
MAKERS = {
    "LambdaLR": partial(lr_scheduler.LambdaLR, lr_lambda=lambda t: 1 / (1 + t)),
    "MultiplicativeLR": partial(lr_scheduler.MultiplicativeLR, lr_lambda=lambda t: 0.9),
    "StepLR": partial(lr_scheduler.StepLR, step_size=2, gamma=0.5),
    "MultiStepLR": partial(lr_scheduler.MultiStepLR, milestones=[1, 3, 7], gamma=0.5),
    "ConstantLR": partial(lr_scheduler.ConstantLR, factor=0.25, total_iters=3),
    "LinearLR": partial(lr_scheduler.LinearLR, start_factor=0.1, total_iters=6),
    "ExponentialLR": partial(lr_scheduler.ExponentialLR, gamma=0.7),
    "PolynomialLR": partial(lr_scheduler.PolynomialLR, total_iters=9, power=2.0),
    "CosineAnnealingLR": partial(lr_scheduler.CosineAnnealingLR, T_max=8),
    "CosineAnnealingWarmRestarts": partial(lr_scheduler.CosineAnnealingWarmRestarts, T_0=3),
    "CyclicLR": partial(lr_scheduler.CyclicLR, base_lr=0.01, max_lr=0.2, step_size_up=3),
    "OneCycleLR": partial(lr_scheduler.OneCycleLR, max_lr=0.4, total_steps=EPOCHS * BATCHES),
    "ReduceLROnPlateau": partial(lr_scheduler.ReduceLROnPlateau, factor=0.5, patience=0),
}


def warm_up(optimizer):
    first = lr_scheduler.LinearLR(optimizer, 0.1, total_iters=3)
    then = lr_scheduler.CosineAnnealingLR(optimizer, 10)
    return lr_scheduler.SequentialLR(optimizer, [first, then], [3])


def chained(optimizer):
    parts = [lr_scheduler.ExponentialLR(optimizer, 0.9), lr_scheduler.StepLR(optimizer, 4)]
    return lr_scheduler.ChainedScheduler(parts)


MAKERS |= {"SequentialLR": warm_up, "ChainedScheduler": chained}


def test_every_scheduler_of_torch_is_here():
    assert set(MAKERS) == set(lr_scheduler.__all__) - {"LRScheduler"}


def torch_sgd(parameters, as_tensor=False):
    return torch.optim.SGD(parameters, lr=torch.tensor(0.1) if as_tensor else 0.1, momentum=0.9)


OPTIMIZERS = {
    "ours": lambda: optimizers.SGD(0.1, momentum=0.9),
    "ours scaled": lambda: optimizers.LossScaleOptimizer(optimizers.SGD(0.1, momentum=0.9)),
    "torch": lambda: torch_sgd,
    "torch tensor": lambda: lambda parameters: torch_sgd(parameters, as_tensor=True),
}


def compiled(optimizer):
    model = keras.Sequential([keras.Input((2,)), layers.Dense(1)])
    model.compile(optimizer, "mse")
    return model


def fit(model, *callbacks, epochs=EPOCHS, **options):
    x = np.ones((BATCHES * 2, 2), "float32")
    return model.fit(
        x, x[:, :1], batch_size=2, epochs=epochs, verbose=0, callbacks=list(callbacks), **options
    )


def expected_rates(make, steps):
    """The rate before each step."""
    optimizer = torch_sgd([torch.nn.Parameter(torch.zeros(1))])
    scheduler = make(optimizer)
    rates = []
    for i in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        plateau = isinstance(scheduler, lr_scheduler.ReduceLROnPlateau)
        scheduler.step(*([LOSSES[i]] if plateau else []))
    return rates


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("interval", ["epoch", "batch"])
@pytest.mark.parametrize("name", MAKERS)
def test_rates_are_those_of_the_scheduler_on_a_torch_optimizer(name, interval, optimizer):
    model = compiled(OPTIMIZERS[optimizer]())
    rates, seen = [], iter(LOSSES)

    def note(batch, logs):
        rates.append(float(model.optimizer.param_groups[0]["lr"]))

    def lose(index, logs):
        logs["scripted"] = next(seen)

    scripted = LambdaCallback(**{f"on_{'train_' * (interval == 'batch')}{interval}_end": lose})
    callback = LearningRateScheduler(MAKERS[name], interval=interval, monitor="scripted")
    history = fit(model, LambdaCallback(on_train_batch_begin=note), scripted, callback).history
    if interval == "batch":
        expected = expected_rates(MAKERS[name], EPOCHS * BATCHES)
        assert rates == pytest.approx(expected, rel=1e-5, abs=1e-9)
    else:
        expected = expected_rates(MAKERS[name], EPOCHS)
        assert rates[::BATCHES] == pytest.approx(expected, rel=1e-5, abs=1e-9)
        assert rates[2::BATCHES] == rates[::BATCHES]
        assert history["learning_rate"] == pytest.approx(expected, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_one_cycle_cycles_the_momentum_as_well(optimizer):
    model = compiled(OPTIMIZERS[optimizer]())
    seen = []

    def note(epoch, logs):
        seen.append(float(model.optimizer.param_groups[0]["momentum"]))

    callback = LearningRateScheduler(MAKERS["OneCycleLR"], interval="batch")
    fit(model, callback, LambdaCallback(on_epoch_begin=note))
    plain = torch_sgd([torch.nn.Parameter(torch.zeros(1))])
    scheduler = MAKERS["OneCycleLR"](plain)
    expected = []
    for i in range(EPOCHS * BATCHES):
        if i % BATCHES == 0:
            expected.append(plain.param_groups[0]["momentum"])
        plain.step()
        scheduler.step()
    assert seen == pytest.approx(expected)


def test_a_scheduler_goes_on_in_the_next_fit_until_there_is_another_optimizer():
    model = compiled(optimizers.SGD(0.5))
    callback = LearningRateScheduler(partial(lr_scheduler.StepLR, step_size=2, gamma=0.5))
    first = fit(model, callback, epochs=3).history["learning_rate"]
    scheduler = callback.scheduler
    second = fit(model, callback, epochs=6, initial_epoch=3).history["learning_rate"]
    assert callback.scheduler is scheduler
    assert first + second == [0.5, 0.5, 0.25, 0.25, 0.125, 0.125]
    other = compiled(optimizers.SGD(1.0))
    assert fit(other, callback, epochs=3).history["learning_rate"] == [1.0, 1.0, 0.5]


def test_an_instance_on_the_optimizer_of_the_model():
    layer = torch.nn.Linear(2, 1)
    model = keras.Sequential([keras.Input((2,)), layer])
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.5)
    scheduler = lr_scheduler.ExponentialLR(optimizer, 0.5)
    model.compile(optimizer, "mse")
    rates = fit(model, LearningRateScheduler(scheduler), epochs=3).history["learning_rate"]
    assert rates == [0.5, 0.25, 0.125]

    model.compile(torch.optim.SGD(layer.parameters(), lr=0.5), "mse")
    before = layer.weight.detach().clone()
    with pytest.raises(
        ValueError, match="this ExponentialLR is on another optimizer than the model's"
    ):
        fit(model, LearningRateScheduler(scheduler))
    torch.testing.assert_close(layer.weight.detach(), before)


def test_an_instance_on_an_optimizer_inside_loss_scaling():
    model = compiled(optimizers.LossScaleOptimizer(optimizers.SGD(0.5)))
    model.optimizer.build(model.trainable_variables)
    scheduler = lr_scheduler.ExponentialLR(model.optimizer.inner_optimizer, 0.5)
    rates = fit(model, LearningRateScheduler(scheduler), epochs=2).history["learning_rate"]
    assert rates == [0.5, 0.25]


def test_a_plateau_without_its_value_warns_and_goes_on():
    callback = LearningRateScheduler(lr_scheduler.ReduceLROnPlateau)
    with pytest.warns(UserWarning, match=r"LearningRateScheduler watches 'val_loss', .* loss"):
        fit(compiled("sgd"), callback, epochs=1)


def test_verbose_tells_the_rate_of_the_epoch(capsys):
    make = partial(lr_scheduler.ExponentialLR, gamma=0.5)
    fit(compiled(optimizers.SGD(0.5)), LearningRateScheduler(make, verbose=1), epochs=2)
    lines = capsys.readouterr().out.split("\n")
    assert lines[1::2] == [
        "Epoch 00001: LearningRateScheduler setting learning rate to 0.5.",
        "Epoch 00002: LearningRateScheduler setting learning rate to 0.25.",
    ]


def test_batches_are_heard_only_if_asked_for():
    heard = LearningRateScheduler(lr_scheduler.ConstantLR, interval="batch")
    deaf = LearningRateScheduler(lr_scheduler.ConstantLR)
    lists = [keras.callbacks.CallbackList([c]) for c in (heard, deaf)]
    assert [callbacks.has_batch_hooks("train") for callbacks in lists] == [True, False]


def test_errors():
    with pytest.raises(ValueError, match=r"interval: expected 'epoch' or 'batch', received 'step'"):
        LearningRateScheduler(lr_scheduler.StepLR, interval="step")
    with pytest.raises(ValueError, match=r"is a function of the epoch. interval='batch' is for"):
        LearningRateScheduler(lambda epoch: 0.1, interval="batch")
    callback = LearningRateScheduler(lambda optimizer: 0.1)
    callback.set_model(SimpleNamespace(optimizer=torch_sgd([torch.nn.Parameter(torch.zeros(1))])))
    with pytest.raises(
        TypeError, match=r"called with the optimizer and gave 0.1, expected a torch"
    ):
        callback.on_train_begin()


def test_a_partial_of_a_function_of_the_epoch_is_no_scheduler():
    def drop(epoch, rate, by):
        return rate * by

    callback = LearningRateScheduler(partial(drop, by=0.5))
    rates = fit(compiled(optimizers.SGD(1.0)), callback, epochs=2).history["learning_rate"]
    assert rates == [0.5, 0.25]
