"""`PyDataset`: hooks, order, threads, worker processes, and what happens when they fail."""

import multiprocessing
import os
import signal
import threading
import time

import numpy as np
import pytest
import torch

import kerastorch as keras
from kerastorch import layers
from kerastorch.data import _py_dataset

WORKERS = {
    "none": {},
    "threads": {"workers": 2},
    "processes": {"workers": 2, "use_multiprocessing": True},
}


class Numbers(keras.utils.PyDataset):
    """Batches of one number; `scale` is what a hook may change."""

    def __init__(self, count=6, **arguments):
        super().__init__(**arguments)
        self.count, self.scale, self.calls = count, 1, []

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        time.sleep(0.002 * (index % 2))  # odd batches are late
        self.calls.append(index)
        batch = np.full((2, 1), index * self.scale, dtype="float32")
        return batch, batch


class Spy(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(1)
        self.seen = []
        self.compile("sgd", "mse")

    def call(self, inputs):
        return self.dense(inputs) * 0

    def train_step(self, data):
        self.seen.append(int(data[0][0, 0]))
        return {"loss": 0.0}


_before: set[threading.Thread] = set()


@pytest.fixture(autouse=True)
def _threads_before() -> None:
    """Other tests in this process may have left threads of torch.compile's or the runner's."""
    _before.clear()
    _before.update(threading.enumerate())


def nothing_left() -> bool:
    """Neither worker processes nor threads; those that feed queues end a moment later."""
    limit = time.monotonic() + 5
    while time.monotonic() < limit:
        if not multiprocessing.active_children() and set(threading.enumerate()) <= _before:
            return True
        time.sleep(0.01)
    return False


def test_names() -> None:
    assert keras.utils.Sequence is keras.utils.PyDataset
    data = Numbers(3, workers=2, use_multiprocessing=True, max_queue_size=4)
    assert (data.workers, data.use_multiprocessing, data.max_queue_size) == (2, True, 4)
    assert [int(x[0, 0]) for x, _ in data] == [0, 1, 2]
    assert data.num_batches == 3

    class Incomplete(keras.utils.PyDataset):
        pass

    with pytest.raises(NotImplementedError, match="Incomplete must define __getitem__"):
        Incomplete()[0]
    with pytest.raises(NotImplementedError, match="Incomplete must define __len__"):
        Spy().fit(Incomplete(), verbose=0)


@pytest.mark.parametrize("workers", WORKERS)
def test_order(workers: str) -> None:
    model = Spy()
    model.fit(Numbers(), shuffle=False, epochs=2, verbose=0, **WORKERS[workers])
    assert model.seen == [0, 1, 2, 3, 4, 5] * 2
    model.seen = []
    model.fit(Numbers(30), epochs=2, verbose=0, **WORKERS[workers])
    first, second = model.seen[:30], model.seen[30:]
    assert sorted(first) == sorted(second) == list(range(30))
    assert first != second
    assert first != sorted(first)
    torch.manual_seed(1)
    model.fit(Numbers(30), verbose=0, **WORKERS[workers])
    torch.manual_seed(1)
    model.fit(Numbers(30), verbose=0)
    assert model.seen[60:90] == model.seen[90:]
    assert nothing_left()


class Hooked(Numbers):
    def on_epoch_begin(self):
        self.calls.append("begin")
        self.scale *= 10

    def on_epoch_end(self):
        self.calls.append("end")
        self.count -= 1


@pytest.mark.parametrize("workers", WORKERS)
def test_hooks_are_called_once_an_epoch_and_may_change_the_data(workers: str) -> None:
    model, data, held_out = Spy(), Hooked(3), Hooked(2)
    arguments = {**WORKERS[workers], "verbose": 0}
    model.fit(data, shuffle=False, epochs=2, validation_data=held_out, **arguments)
    assert model.seen == [0, 10, 20, 0, 100]
    calls = [call for call in data.calls if isinstance(call, str)]
    assert calls == ["begin", "end"] * 2 == [c for c in held_out.calls if isinstance(c, str)]
    if workers == "none":
        assert data.calls == ["begin", 0, 1, 2, "end", "begin", 0, 1, "end"]
    data = Hooked(2)
    model.evaluate(data, **arguments)
    model.predict(data, **arguments)
    assert [c for c in data.calls if isinstance(c, str)] == ["begin", "end"] * 2


def test_workers_of_the_constructor_and_of_fit() -> None:
    class Where(Numbers):
        def __getitem__(self, index):
            here = threading.current_thread() is threading.main_thread()
            process = multiprocessing.parent_process() is not None
            return np.full((1, 1), 2 if process else 1 - here, dtype="float32"), np.zeros((1, 1))

    plain, threads, processes = 0, 1, 2
    for data, arguments, expected in [
        (Where(2), {}, plain),
        (Where(2, workers=2), {}, threads),
        (Where(2, workers=2, use_multiprocessing=True), {}, processes),
        (Where(2, workers=0, use_multiprocessing=True), {}, plain),
        (Where(2, use_multiprocessing=True), {}, processes),
        (Where(2), {"workers": 3}, threads),
        (Where(2), {"use_multiprocessing": True}, processes),
    ]:
        model = Spy()
        model.fit(data, verbose=0, **arguments)
        assert model.seen == [expected] * 2


def test_threads_read_no_further_ahead_than_the_queue() -> None:
    class Slow(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            time.sleep(0.02)
            ahead.append(len(data.calls) - batch)

    ahead = []
    data = Numbers(20, workers=2, max_queue_size=3)
    Spy().fit(data, callbacks=[Slow()], verbose=0)
    assert max(ahead) <= 5  # the one in use, the queue, and one that was just taken


class Failing(Numbers):
    def __init__(self, how):
        super().__init__(8)
        self.how = how

    def __getitem__(self, index):
        if index == 5:
            self.how()
        return super().__getitem__(index)


def raises() -> None:
    raise KeyError("image 5 is broken")


@pytest.mark.parametrize("workers", WORKERS)
def test_errors_come_through(workers: str) -> None:
    model = Spy()
    with pytest.raises(KeyError, match="image 5 is broken"):
        model.fit(Failing(raises), shuffle=False, verbose=0, **WORKERS[workers])
    assert model.seen == [0, 1, 2, 3, 4]
    assert nothing_left()
    model.fit(Numbers(), verbose=0, **WORKERS[workers])  # and the model is as good as before


@pytest.mark.parametrize(
    "how", [lambda: os._exit(1), lambda: os.kill(os.getpid(), signal.SIGKILL)], ids=["exit", "kill"]
)
def test_a_worker_that_dies_is_reported(how) -> None:
    with pytest.raises(RuntimeError, match=r"worker.*(died|killed|exited)"):
        Spy().fit(Failing(how), verbose=0, **WORKERS["processes"])
    assert nothing_left()


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_nothing_is_left_when_training_stops(workers: str, error) -> None:
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 1:
                raise error("stop")

    with pytest.raises(error) as caught:
        Spy().fit(Numbers(50), callbacks=[Stop()], verbose=0, **WORKERS[workers])
    assert nothing_left(), caught


def test_steps_per_epoch_with_processes() -> None:
    model = Spy()
    model.fit(
        Numbers(), steps_per_epoch=3, epochs=2, shuffle=False, verbose=0, **WORKERS["processes"]
    )
    assert model.seen == [0, 1, 2] * 2
    assert nothing_left()


class Noise(keras.utils.PyDataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        return np.random.rand(2, 1), np.zeros((2, 1))  # noqa: NPY002 - the point


def test_random_numbers_differ_between_workers_and_epochs_and_repeat_with_the_seed() -> None:
    def noise(seed):
        found = []

        class Keep(Spy):
            def train_step(self, data):
                found.append(data[0])
                return {"loss": 0.0}

        model = Keep()
        torch.manual_seed(seed)
        model.fit(Noise(), epochs=2, verbose=0, **WORKERS["processes"])
        return torch.cat(found).flatten().tolist()

    first = noise(0)
    assert len(set(first)) == 16
    assert noise(0) == first
    assert noise(1) != first


def test_processes_are_not_forked_once_an_accelerator_is_in_use(monkeypatch) -> None:
    monkeypatch.setattr(_py_dataset, "_accelerator_in_use", lambda: True)
    model = Spy()
    one = {"workers": 1, "use_multiprocessing": True, "verbose": 0}
    model.fit(Numbers(4), epochs=2, steps_per_epoch=2, shuffle=False, **one)
    assert model.seen == [0, 1, 0, 1]
    assert nothing_left()

    class Local(Numbers):
        pass

    with pytest.raises(RuntimeError, match=r"Local cannot be sent.*top of a module"):
        model.fit(Local(2), verbose=0, **WORKERS["processes"])
    assert nothing_left()
