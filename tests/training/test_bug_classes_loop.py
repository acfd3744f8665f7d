"""Mistakes that training loops are known for, one test each: data, callbacks, interruption, memory.

Tested in more depth elsewhere: streams and their ends in tests/data/test_data_epochs.py, workers
(random numbers, fork with an accelerator in use, hooks, processes left behind) in
tests/data/test_py_dataset.py, each callback in tests/callbacks.
"""

import gc
import multiprocessing
import threading
import tracemalloc
import warnings
import weakref

import numpy as np
import pytest
import torch

import kerastorch as keras
from kerastorch import layers

RNG = np.random.default_rng(4)
X = RNG.normal(size=(40, 4)).astype("float32")
Y = X.sum(1, keepdims=True)


def linear(optimizer="sgd") -> keras.Model:
    torch.manual_seed(0)
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(1)(inputs))
    model.compile(optimizer, "mse")
    return model


def batches(count: int = 5, taken: list | None = None):
    for i in range(count):
        if taken is not None:
            taken.append(i)
        yield X[i * 8 : i * 8 + 8], Y[i * 8 : i * 8 + 8]


class Listen(keras.callbacks.Callback):
    """Notes every training batch."""

    def __init__(self):
        super().__init__()
        self.steps = []

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append(batch)


# -- data ------------------------------------------------------------------------------------------


def test_two_runs_are_bit_identical_with_and_without_shuffling() -> None:
    for shuffle in (False, True, "batch"):
        runs = []
        for _ in range(2):
            model = linear("adam")
            torch.manual_seed(3)
            model.fit(X, Y, batch_size=7, epochs=3, shuffle=shuffle, verbose=0)
            runs.append(model.get_weights())
        for a, b in zip(*runs, strict=True):
            np.testing.assert_array_equal(a, b)


def test_validation_split_is_taken_before_shuffling() -> None:
    model = linear()
    history = model.fit(X, Y, validation_split=0.25, epochs=2, verbose=0).history
    assert model.evaluate(X[30:], Y[30:], verbose=0) == pytest.approx(history["val_loss"][-1])


def test_a_generator_that_ends_is_not_read_again() -> None:
    taken, listen = [], Listen()
    with pytest.warns(UserWarning, match="ran out of data") as caught:
        history = linear().fit(batches(5, taken), epochs=3, verbose=0, callbacks=[listen])
    assert len(caught) == 1
    assert taken == listen.steps == [0, 1, 2, 3, 4]
    assert history.epoch == [0]


def test_a_generator_is_not_read_ahead() -> None:
    taken = []
    linear().fit(batches(5, taken), epochs=2, steps_per_epoch=2, verbose=0)
    assert taken == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: batches(), {"batch_size": 4}),
        (lambda: batches(), {"y": Y}),
        (lambda: batches(), {"shuffle": "batch"}),
        (lambda: batches(), {"validation_split": 0.5}),
        (lambda: torch.utils.data.DataLoader(list(zip(X, Y, strict=True))), {"batch_size": 4}),
        (lambda: keras.data.Dataset.from_generator(batches), {"sample_weight": np.ones(40)}),
    ],
)
def test_no_argument_is_dropped_in_silence(make, argument) -> None:
    (name,) = argument
    with pytest.raises(ValueError, match=f"`{name}`"):
        linear().fit(make(), verbose=0, **argument)


class Counting(keras.utils.PyDataset):
    def __init__(self, **options):
        super().__init__(**options)
        self.events = []

    def __len__(self):
        return 3

    def __getitem__(self, index):
        self.events.append("batch")
        return X[index * 8 : index * 8 + 8], Y[index * 8 : index * 8 + 8]

    def on_epoch_begin(self):
        self.events.append("begin")

    def on_epoch_end(self):
        self.events.append("end")


@pytest.mark.parametrize("workers", [1, 3])
def test_hooks_of_a_sequence_run_once_an_epoch_around_its_batches(workers: int) -> None:
    data = Counting(workers=workers)
    linear().fit(data, epochs=2, verbose=0)
    epoch = ["begin", "batch", "batch", "batch", "end"]
    assert data.events == epoch * 2


@pytest.mark.parametrize("failing", [False, True])
@pytest.mark.parametrize("processes", [False, True])
def test_no_worker_outlives_fit(processes: bool, failing: bool) -> None:
    class Fail(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if failing:
                raise ValueError("stop")

    before = {t for t in threading.enumerate() if t.is_alive()}
    data = Counting(workers=2, use_multiprocessing=processes)
    try:
        linear().fit(data, epochs=2, verbose=0, callbacks=[Fail()])
    except ValueError:
        assert failing
    gc.collect()
    assert multiprocessing.active_children() == []
    alive = {t for t in threading.enumerate() if t.is_alive()}
    own = {t for t in alive if "subproc" not in t.name}  # that thread is torch.compile's
    assert own <= before


class Draws(keras.utils.PyDataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        return np.random.rand(1, 4), np.zeros((1, 1))  # noqa: NPY002 - what augmentation does


def test_workers_do_not_repeat_each_others_random_numbers() -> None:
    def drawn(seed):
        seen = []

        class Keep(keras.Model):
            def call(self, inputs):
                return inputs

            def train_step(self, data):
                seen.append(data[0])
                return {"loss": 0.0}

        model = Keep()
        model.compile("sgd", "mse")
        torch.manual_seed(seed)
        model.fit(Draws(), epochs=2, workers=2, use_multiprocessing=True, verbose=0)
        return torch.cat(seen)[:, 0].tolist()

    first = drawn(0)
    assert len(set(first)) == 8
    assert drawn(0) == first


# -- callbacks -------------------------------------------------------------------------------------


class Script(keras.callbacks.Callback):
    """Puts the weights of the model where an epoch's `losses` says, and ends as `ending` says."""

    def __init__(self, losses, ending="all"):
        super().__init__()
        self.losses, self.ending = losses, ending

    def on_epoch_end(self, epoch, logs=None):
        self.model.set_weights([np.full((4, 1), epoch, "float32"), np.zeros(1)])
        logs["val_loss"] = self.losses[epoch]
        if epoch == len(self.losses) - 1:
            if self.ending == "another callback":
                self.model.stop_training = True
            if self.ending == "Ctrl-C":
                raise KeyboardInterrupt


@pytest.mark.parametrize("ending", ["all", "another callback", "Ctrl-C"])
def test_the_best_weights_come_back_however_training_ends(ending: str) -> None:
    model, losses = linear(), [3.0, 1.0, 2.0]
    stop = keras.callbacks.EarlyStopping(patience=5, restore_best_weights=True)
    hear = Script(losses[:-1] if ending == "Ctrl-C" else losses, ending)
    try:
        model.fit(X, Y, epochs=3, verbose=0, callbacks=[hear, stop])
    except KeyboardInterrupt:
        # Raised in epoch 1 before EarlyStopping saw it: the best is epoch 0.
        assert ending == "Ctrl-C"
        assert model.get_weights()[0].tolist() == [[0.0]] * 4
        return
    assert model.get_weights()[0].tolist() == [[1.0]] * 4


def test_restored_weights_score_the_best_validation_value() -> None:
    model = linear(keras.optimizers.SGD(0.45))
    stop = keras.callbacks.EarlyStopping("val_loss", patience=9, restore_best_weights=True)
    history = model.fit(
        X, Y + RNG.normal(size=Y.shape), epochs=8, batch_size=2, verbose=0,
        validation_data=(X[:10], Y[:10]), callbacks=[stop],
    ).history  # fmt: skip
    best = min(history["val_loss"])
    assert model.evaluate(X[:10], Y[:10], verbose=0) == pytest.approx(best, rel=1e-6)


def test_a_training_value_is_measured_before_the_updates_of_its_epoch() -> None:
    """Why `monitor="loss"` cannot promise a score: one batch an epoch, loss of the weights before."""
    model = linear()
    history = model.fit(X, Y, batch_size=40, epochs=2, verbose=0).history["loss"]
    fresh = linear()
    assert fresh.evaluate(X, Y, batch_size=40, verbose=0) == pytest.approx(history[0], rel=1e-6)
    assert model.evaluate(X, Y, batch_size=40, verbose=0) < history[1]


def test_callbacks_start_anew_with_each_fit() -> None:
    stop = keras.callbacks.EarlyStopping("val_loss", patience=1)
    plateau = keras.callbacks.ReduceLROnPlateau("val_loss", patience=1, factor=0.5)
    lengths, rates = [], []
    for losses in ([0.1, 0.2, 0.3, 0.4], [9.0, 8.0, 7.0, 8.0]):
        model = linear()
        history = model.fit(
            X, Y, epochs=4, verbose=0, callbacks=[Script(losses), plateau, stop]
        )  # fmt: skip
        lengths.append(len(history.epoch))
        rates.append(float(model.optimizer.learning_rate))
    assert lengths == [2, 4]  # losses above 0.1 improve on a fresh start
    np.testing.assert_allclose(rates, [0.005, 0.005], rtol=1e-6)


def test_an_interrupt_runs_the_last_hooks_and_keeps_what_was_learned() -> None:
    ended = []

    class Interrupt(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 1 and self.model.history.epoch == [0]:
                raise KeyboardInterrupt

        def on_train_end(self, logs=None):
            ended.append(True)

    model = linear()
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, batch_size=10, epochs=5, verbose=0, callbacks=[Interrupt()])
    assert ended == [True]
    assert model.history.epoch == [0]
    assert len(model.history.history["loss"]) == 1
    assert int(model.optimizer.iterations) == 6
    assert not model.training
    assert model.fit(X, Y, verbose=0).epoch == [0]  # and it can go on


@pytest.mark.parametrize("verbose", [1, 2])
def test_logs_of_a_machine_without_terminal_are_a_line_an_epoch(verbose: int, capsys) -> None:
    linear().fit(X, Y, batch_size=1, epochs=3, validation_split=0.2, verbose=verbose)
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if "loss" in line]) == 3
    assert len(lines) == 6  # with "Epoch 1/3" above each
    assert not any("\r" in line for line in lines)


def test_checkpoints_by_batches_are_counted_across_epochs(tmp_path) -> None:
    save = keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}-{batch}", save_freq=2)
    linear().fit(X, Y, batch_size=8, epochs=2, verbose=0, callbacks=[save])  # 5 batches an epoch
    assert sorted(file.name for file in tmp_path.iterdir()) == ["1-2", "1-4", "2-1", "2-3", "2-5"]


def test_a_checkpoint_named_by_a_value_that_is_not_there_yet(tmp_path) -> None:
    save = keras.callbacks.ModelCheckpoint(tmp_path / "{val_loss:.2f}", save_freq=2)
    with pytest.raises(KeyError, match=r"val_loss.*Available: epoch, batch, loss"):
        linear().fit(X, Y, validation_split=0.2, batch_size=8, verbose=0, callbacks=[save])
    assert list(tmp_path.iterdir()) == []


# -- memory ----------------------------------------------------------------------------------------


def live_tensors() -> int:
    gc.collect()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # isinstance looks at deprecated module attributes
        return sum(isinstance(thing, torch.Tensor) for thing in gc.get_objects())


def test_predict_in_a_loop_keeps_nothing() -> None:
    model = linear()
    row = X[:1]
    for _ in range(200):
        model.predict(row)
    tensors = live_tensors()
    tracemalloc.start()
    try:
        for _ in range(100):
            model.predict(row)
        gc.collect()
        early = tracemalloc.get_traced_memory()[0]
        for _ in range(300):
            model.predict(row)
        gc.collect()
        late = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert live_tensors() == tensors
    assert late - early < 300 * 200  # bytes a call; what is kept of a frame comes and goes


def test_logs_keep_no_graph_alive() -> None:
    counts, kept = [], []

    class Keep(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            kept.append(logs)
            if batch % 50 == 49:
                counts.append(live_tensors())

    model = linear("adam")
    model.fit(np.tile(X, (5, 1)), np.tile(Y, (5, 1)), batch_size=1, verbose=0, callbacks=[Keep()])
    assert len(kept) == 200
    assert counts[0] >= counts[-1]
    assert all(type(value) is float for logs in kept for value in logs.values())
    y_pred = model(torch.from_numpy(X))
    loss = model.compute_loss(y=torch.from_numpy(Y), y_pred=y_pred)
    assert loss.grad_fn is not None
    assert all(metric.result().grad_fn is None for metric in model.metrics)


def test_nothing_of_a_batch_is_kept_after_its_step() -> None:
    references = []

    class Watch(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(1)

        def call(self, inputs):
            references.append(weakref.ref(inputs))
            return self.dense(inputs)

    model = Watch()
    model.compile("sgd", "mse")
    model.fit(batches(5), verbose=0)
    gc.collect()
    assert len(references) >= 5
    assert [r for r in references if r() is not None] == []
