"""What holds for every callback: it serves twice, and any end of training leaves things in order."""

import warnings
from functools import partial

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler

import kerastorch as keras
from kerastorch import callbacks
from kerastorch.callbacks import Callback, EarlyStopping, LambdaCallback

#: Name -> what makes one, for a folder.
MAKERS = {
    "CSVLogger": lambda folder: callbacks.CSVLogger(folder / "log.csv"),
    "EarlyStopping": lambda folder: EarlyStopping(
        "val_loss", patience=1, min_delta=0.02, restore_best_weights=True
    ),
    "History": lambda folder: callbacks.History(),
    "LambdaCallback": lambda folder: LambdaCallback(on_epoch_end=lambda epoch, logs: None),
    "LearningRateScheduler": lambda folder: callbacks.LearningRateScheduler(
        lambda epoch, rate: rate * 0.9
    ),
    "LearningRateScheduler of torch": lambda folder: callbacks.LearningRateScheduler(
        partial(lr_scheduler.ExponentialLR, gamma=0.9), interval="batch"
    ),
    "ProgbarLogger": lambda folder: callbacks.ProgbarLogger(),
    "ReduceLROnPlateau": lambda folder: callbacks.ReduceLROnPlateau(
        patience=1, min_delta=0.02, cooldown=1
    ),
    "RemoteMonitor": lambda folder: callbacks.RemoteMonitor("http://127.0.0.1:9"),
    "SwapEMAWeights": lambda folder: callbacks.SwapEMAWeights(),
    "SwapEMAWeights by epoch": lambda folder: callbacks.SwapEMAWeights(swap_on_epoch=True),
    "TensorBoard": lambda folder: callbacks.TensorBoard(
        folder, histogram_freq=1, update_freq=1, profile_batch=(3, 99)
    ),
    "TerminateOnNaN": lambda folder: callbacks.TerminateOnNaN(),
}
BASES = {"Callback", "CallbackList", "MonitorCallback"}
ELSEWHERE = {"ModelCheckpoint", "BackupAndRestore"}
every = pytest.mark.parametrize("name", MAKERS)

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(32, 3)).astype("float32"), RNG.normal(size=(32, 1)).astype("float32")


def test_every_callback_is_in_the_table():
    public = {
        n for n, c in vars(callbacks).items() if isinstance(c, type) and issubclass(c, Callback)
    }
    assert public - ELSEWHERE == {name.split()[0] for name in MAKERS} | BASES


@pytest.fixture(autouse=True)
def _no_server():
    """Nobody listens to the RemoteMonitor."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "RemoteMonitor could not reach", UserWarning)
        yield


def made():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.set_weights([np.ones((3, 1)), np.zeros(1)])
    model.compile(keras.optimizers.SGD(0.05, use_ema=True), "mse")
    return model


def fit(model, *given, epochs=4):
    """The history; on a terminal's worth of silence."""
    return model.fit(
        X, Y, batch_size=8, epochs=epochs, shuffle=False, verbose=0, validation_data=(X, Y),
        callbacks=list(given),
    ).history  # fmt: skip


class Counter(Callback):
    """Counts the ends of training, and can end it."""

    def __init__(self, at=None, how=None):
        super().__init__()
        self.begun = self.ended = 0
        self.at, self.how = at, how

    def on_train_begin(self, logs=None):
        self.begun += 1
        self.epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == self.at:
            if self.how is None:
                self.model.stop_training = True
            else:
                raise self.how

    def on_train_end(self, logs=None):
        self.ended += 1


def weights(model):
    return np.concatenate([np.ravel(w) for w in model.get_weights()])


@every
def test_the_same_object_serves_twice(name, tmp_path):
    """For another model it is as good as new."""
    callback = MAKERS[name](tmp_path / "a")
    (tmp_path / "a").mkdir()
    models = [made(), made()]
    first, second = (fit(model, callback) for model in models)
    assert first == second
    np.testing.assert_array_equal(*map(weights, models))


@every
@pytest.mark.parametrize("how", [None, KeyboardInterrupt(), RuntimeError("broken")])
def test_however_training_ends(name, how, tmp_path):
    """In the middle of the second epoch, by another callback or an exception."""
    callback = MAKERS[name](tmp_path)
    counter = Counter((1, 1), how)
    model = made()
    if how is None:
        history = fit(model, callback, counter)
        assert len(history["loss"]) == 2
    else:
        with pytest.raises(type(how)):
            fit(model, callback, counter)
        assert len(model.history.history["loss"]) == 1  # of the epoch that was complete
    assert (counter.begun, counter.ended) == (1, 1)
    assert not torch.autograd._profiler_enabled()
    assert not model.training

    again, fresh = made(), made()
    (tmp_path / "fresh").mkdir()
    assert fit(again, callback) == fit(fresh, MAKERS[name](tmp_path / "fresh"))
    np.testing.assert_array_equal(weights(again), weights(fresh))


@every
def test_the_same_model_again(name, tmp_path):
    """A second `fit` goes on from where the first has ended."""
    callback, model = MAKERS[name](tmp_path), made()
    losses = [value for _ in range(2) for value in fit(model, callback, epochs=3)["loss"]]
    assert len(losses) in range(4, 7)
    assert losses[-1] < losses[0]


# -- the best weights ----------------------------------------------------------------------------------

VALUES = [5.0, 3.0, 4.0, 4.5, 6.0, 7.0]
ENDS = {
    "patience": {"patience": 2},
    "never": {"patience": 9},
    "another callback": {"patience": 9, "end": Counter((3, 1))},
    "Ctrl-C": {"patience": 9, "end": Counter((3, 1), KeyboardInterrupt())},
    "error": {"patience": 9, "end": Counter((3, 1), RuntimeError("broken"))},
}


@pytest.mark.parametrize("end", ENDS)
def test_best_weights_after_any_end(end):
    model, seen = made(), []

    def script(epoch, logs):
        logs["value"] = VALUES[epoch]
        seen.append(weights(model))

    stop = EarlyStopping(
        "value", mode="min", patience=ENDS[end]["patience"], restore_best_weights=True
    )
    others = [ENDS[end]["end"]] if "end" in ENDS[end] else []
    try:
        fit(model, LambdaCallback(on_epoch_end=script), stop, *others, epochs=len(VALUES))
    except (KeyboardInterrupt, RuntimeError):
        assert end in ("Ctrl-C", "error")
    assert len(seen) == {"patience": 4, "never": 6, "another callback": 4}.get(end, 3)
    assert stop.best_epoch == 1
    np.testing.assert_array_equal(weights(model), seen[1])


def test_the_best_weights_score_what_was_reported():
    """A validation value belongs to the weights at the end of its epoch; a training value does not."""
    model = made()
    history = fit(model, EarlyStopping("val_loss", patience=9, restore_best_weights=True))
    assert model.evaluate(X, Y, verbose=0) == min(history["val_loss"])
