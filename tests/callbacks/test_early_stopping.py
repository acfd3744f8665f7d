"""When it stops and what it restores, against Keras on the same sequences."""

import inspect
from types import SimpleNamespace

import keras as oracle
import pytest
import torch
from torch import nn

from kerastorch.callbacks import CallbackList, EarlyStopping, MonitorCallback
from kerastorch.callbacks._monitor import improvement_direction

LOSSES = [0.9, 0.8, 0.7, 0.75, 0.71, 0.69, 0.695, 0.7, 0.5, 0.6, 0.6, 0.6]


class Weights:
    """A model of one number, as both libraries take it."""

    stop_training = False

    def __init__(self):
        self.value = None

    def get_weights(self):
        return [self.value]

    def set_weights(self, weights):
        (self.value,) = weights


def run(callback, values, name, stop_after=None):
    """Epochs driven by hand; the model's weight is the number of the epoch."""
    model = Weights()
    callback.set_model(model)
    callback.on_train_begin()
    for epoch, value in enumerate(values):
        model.value = epoch
        callback.on_epoch_end(epoch, {name: value})
        if model.stop_training or epoch == stop_after:
            break
    callback.on_train_end()
    return epoch, model.value, callback.stopped_epoch, callback.best_epoch


@pytest.mark.parametrize("restore", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"patience": 1},
        {"patience": 2},
        {"patience": 3, "min_delta": 0.05},
        {"patience": 2, "baseline": 0.65},
        {"patience": 5, "baseline": 0.85},
        {"patience": 1, "start_from_epoch": 4},
        {"patience": 0, "start_from_epoch": 3},
        {"patience": 20},
    ],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_like_keras(options, restore, sign):
    options = {**options, "restore_best_weights": restore, "mode": "min" if sign > 0 else "max"}
    if "baseline" in options:
        options["baseline"] *= sign
    values = [sign * loss for loss in LOSSES]
    ours = run(EarlyStopping("value", **options), values, "value")
    theirs = run(oracle.callbacks.EarlyStopping("value", **options), values, "value")
    assert ours == theirs


def test_the_example_of_the_guide(capsys):
    values = [0.2323, 0.1828, 0.1580, 0.1681, 0.1482]
    stop = EarlyStopping("val_loss", min_delta=1e-2, patience=2, verbose=1)
    assert run(stop, [*values, 0.1], "val_loss")[0] == 4
    assert capsys.readouterr().out == "Epoch 00005: early stopping\n"


@pytest.mark.parametrize("stop_after", [None, 3, 11], ids=["patience", "somebody else", "never"])
def test_best_weights_however_it_ends(stop_after):
    stop = EarlyStopping("loss", patience=5, restore_best_weights=True)
    values = [3.0, 1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0]
    assert run(stop, values, "loss", stop_after)[1] == 1


def test_the_state_of_a_module_is_copied_and_restored_in_place():
    class Net(nn.Sequential):
        stop_training = False

    net = Net(nn.Linear(2, 2), nn.BatchNorm1d(2))
    net[1].running_mean.fill_(1.0)
    weight, best = net[0].weight, net[0].weight.detach().clone()
    stop = EarlyStopping("val_loss", patience=1, restore_best_weights=True, verbose=1)
    callbacks = CallbackList([stop], model=net)
    callbacks.on_train_begin()
    for epoch, loss in enumerate([1.0, 2.0]):
        callbacks.on_epoch_end(epoch, {"val_loss": loss})
        with torch.no_grad():
            weight += 1
            net[1].running_mean += 1
    assert net.stop_training
    callbacks.on_train_end()
    assert net[0].weight is weight
    torch.testing.assert_close(weight.detach(), best)
    torch.testing.assert_close(net[1].running_mean, torch.ones(2))


def test_each_fit_starts_anew():
    stop = EarlyStopping("loss", patience=1, restore_best_weights=True)
    assert run(stop, [0.1, 0.2, 0.3], "loss")[0] == 1
    assert run(stop, [5.0, 4.0, 3.0], "loss")[0] == 2
    stop.on_train_begin()
    assert (stop.best, stop.best_weights, stop.wait, stop.stopped_epoch) == (None, None, 0, 0)


def test_nan_is_never_best():
    stop = EarlyStopping("loss", patience=3, restore_best_weights=True)
    assert run(stop, [float("nan"), 2.0, 1.0], "loss")[1] == 2
    assert stop.best == 1.0


def test_0d_tensors():
    stop = EarlyStopping("loss")
    run(stop, [torch.tensor(1.0), torch.tensor(2.0)], "loss")
    assert type(stop.best) is float


def test_a_missing_value_is_a_warning_that_lists_what_there_is():
    stop = EarlyStopping("val_loss")
    stop.set_model(SimpleNamespace(stop_training=False))
    with pytest.warns(UserWarning, match="'val_loss', which is not available. Available: loss, a"):
        stop.on_epoch_end(0, {"loss": 1.0, "a": 2.0})


def built_in_metrics():
    """An instance of every Keras metric whose arguments are known here."""
    arguments = {"num_classes": 2, "target_class_ids": [0]} | dict.fromkeys(
        ["recall", "precision", "sensitivity", "specificity"], 0.5
    )
    for cls in vars(oracle.metrics).values():
        if isinstance(cls, type) and issubclass(cls, oracle.metrics.Metric):
            parameters = inspect.signature(cls).parameters.values()
            needed = [p.name for p in parameters if p.default is p.empty]
            if set(needed) <= set(arguments):
                yield cls(**{name: arguments[name] for name in needed})


def test_directions_like_those_of_keras_metrics():
    known = {m.name: m._direction for m in built_in_metrics() if getattr(m, "_direction", None)}
    assert len(known) > 30
    for name, direction in known.items():
        expected = {"up": "max", "down": "min"}[direction]
        assert improvement_direction(f"val_{name}") == expected, name


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        ("loss", "min"),
        ("val_score_output_loss", "min"),
        ("acc", "max"),
        ("accuracy", "max"),
        ("val_class_output_categorical_accuracy", "max"),
        ("mse", "min"),
        ("val_mse_1", "min"),
        ("out_mae", "min"),
        ("categorical_true_positives", "max"),
        ("false_negatives", "min"),
    ],
)
def test_directions(name, direction):
    assert improvement_direction(name) == direction
    callback = MonitorCallback(name, min_delta=0.1)
    better = 1.2 if direction == "max" else 0.8
    assert callback._is_improvement(better, 1.0)
    assert not callback._is_improvement(2 - better, 1.0)
    assert not callback._is_improvement(1.0, 1.0)


@pytest.mark.parametrize("name", ["val_std_of_activation", "previous", "macro"])
def test_an_unclear_direction_is_an_error(name):
    with pytest.raises(ValueError, match='Pass mode="max" or mode="min"'):
        EarlyStopping(name)
    assert EarlyStopping(name, mode="max").monitor == name


def test_a_wrong_mode():
    with pytest.raises(ValueError, match="mode: expected 'auto', 'min' or 'max', received 'up'"):
        EarlyStopping("loss", mode="up")
