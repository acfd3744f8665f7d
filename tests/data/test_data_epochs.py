"""Where epochs begin and end in data that come batch by batch."""

import itertools
import warnings

import numpy as np
import pytest
import torch

import kerastorch as keras
from kerastorch import layers

RAN_OUT = (
    r"^Your input ran out of data; interrupting training\. Make sure that your dataset or generator can "
    r"generate at least `steps_per_epoch \* epochs` batches"
)


class Spy(keras.Model):
    """Notes the number in every batch, by epoch."""

    def __init__(self):
        super().__init__()
        self.trained, self.tested = [], []
        self.dense = layers.Dense(1)
        self.compile("sgd", "mse")

    def call(self, inputs):
        return self.dense(inputs)

    def train_step(self, data):
        self.trained[-1].append(int(data[0][0, 0]))
        return super().train_step(data)

    def test_step(self, data):
        self.tested[-1].append(int(data[0][0, 0]))
        return super().test_step(data)


class Note(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.calls = []

    def on_epoch_begin(self, epoch, logs=None):
        self.model.trained.append([])
        self.calls.append(("begin", epoch))

    def on_epoch_end(self, epoch, logs=None):
        self.calls.append(("end", epoch))

    def on_test_begin(self, logs=None):
        self.model.tested.append([])


class Counted:
    """An iterator that counts how often it is asked."""

    def __init__(self, count):
        self.rest, self.calls = iter(range(count)), 0

    def __iter__(self):
        return self

    def __next__(self):
        self.calls += 1
        return item(next(self.rest))


def item(number):
    return np.full((2, 1), number, dtype="float32"), np.zeros((2, 1), dtype="float32")


def dataset(count):
    x = np.repeat(np.arange(count, dtype="float32"), 2)[:, None]
    return keras.data.Dataset.from_tensor_slices((x, np.zeros_like(x))).batch(2)


def loader(count):
    return torch.utils.data.DataLoader(
        [tuple(map(torch.from_numpy, item(n))) for n in range(count)], batch_size=None
    )


def unknown(count):
    return keras.data.Dataset.from_generator(lambda: map(item, range(count)))


class Sequence(keras.utils.Sequence):
    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        return item(index)


def fit(data, expect=None, *callbacks, **arguments):
    model, note = Spy(), Note()
    arguments |= {"verbose": 0, "shuffle": False, "callbacks": [note, *callbacks]}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        history = model.fit(data, **arguments)
    messages = [str(w.message) for w in caught]
    if expect is None:
        assert messages == []
    else:
        with pytest.warns(UserWarning, match=expect):
            [warnings.warn(message, stacklevel=1) for message in messages]
        assert len(messages) == 1
    assert note.calls == [(k, e) for e in history.epoch for k in ("begin", "end")]
    assert all(len(values) == len(history.epoch) for values in history.history.values())
    return model.trained, model


STREAMS = {"Dataset": dataset, "unknown": unknown, "DataLoader": loader, "generator": Counted}


@pytest.mark.parametrize("kind", STREAMS)
def test_steps_go_on_from_epoch_to_epoch(kind: str) -> None:
    trained, _ = fit(STREAMS[kind](9), epochs=3, steps_per_epoch=3)
    assert trained == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    trained, _ = fit(STREAMS[kind](9), epochs=2, steps_per_epoch=2)
    assert trained == [[0, 1], [2, 3]]


@pytest.mark.parametrize("kind", STREAMS)
def test_an_epoch_that_got_some_batches_counts(kind: str) -> None:
    trained, _ = fit(STREAMS[kind](5), RAN_OUT, epochs=4, steps_per_epoch=3)
    assert trained == [[0, 1, 2], [3, 4]]
    trained, _ = fit(STREAMS[kind](2), RAN_OUT, epochs=4, steps_per_epoch=3)
    assert trained == [[0, 1]]


@pytest.mark.parametrize("kind", STREAMS)
def test_an_epoch_without_batches_does_not(kind: str) -> None:
    trained, _ = fit(STREAMS[kind](4), RAN_OUT, epochs=4, steps_per_epoch=2)
    assert trained == [[0, 1], [2, 3]]


@pytest.mark.parametrize("kind", ["Dataset", "DataLoader"])
def test_steps_of_the_whole_length_start_again(kind: str) -> None:
    trained, _ = fit(STREAMS[kind](3), epochs=3, steps_per_epoch=3)
    assert trained == [[0, 1, 2]] * 3


@pytest.mark.parametrize("kind", ["Dataset", "unknown", "DataLoader"])
def test_without_steps_every_epoch_is_a_pass(kind: str) -> None:
    trained, _ = fit(STREAMS[kind](3), epochs=3)
    assert trained == [[0, 1, 2]] * 3


def test_a_generator_is_read_once() -> None:
    source = Counted(3)
    trained, _ = fit(source, RAN_OUT, epochs=3)
    assert trained == [[0, 1, 2]]
    trained, model = fit(Counted(3), epochs=1)
    assert trained == [[0, 1, 2]]
    with pytest.raises(ValueError, match=r"gave no batch.*read before"):
        model.fit(source, verbose=0)


@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
def test_a_generator_is_asked_no_more_often_than_there_are_steps(method: str) -> None:
    source, model = Counted(100), Spy()
    model.trained, model.tested = [[]], [[]]
    if method == "fit":
        model.fit(source, epochs=3, steps_per_epoch=4, verbose=0)
        assert source.calls == 12
    else:
        getattr(model, method)(source, steps=5, verbose=0)
        assert source.calls == 5


def test_an_infinite_dataset() -> None:
    trained, _ = fit(dataset(2).repeat(), epochs=2, steps_per_epoch=3)
    assert trained == [[0, 1, 0], [1, 0, 1]]


@pytest.mark.parametrize(
    ("method", "arguments", "name"),
    [
        ("fit", {"x": dataset(2).repeat()}, "steps_per_epoch"),
        ("fit", {"x": dataset(2), "validation_data": dataset(2).repeat()}, "validation_steps"),
        ("evaluate", {"x": dataset(2).repeat()}, "steps"),
        ("predict", {"x": dataset(2).repeat()}, "steps"),
    ],
)
def test_data_without_end_need_steps(method, arguments, name) -> None:
    model, note = Spy(), Note()
    with pytest.raises(ValueError, match=f"no end.*`{name}`"):
        getattr(model, method)(**arguments, callbacks=[note], verbose=0)
    assert note.calls == []


@pytest.mark.parametrize("make", [Sequence, lambda n: np.repeat(np.arange(n * 1.0), 2)[:, None]])
def test_arrays_and_sequences_always_start_again(make) -> None:
    data = make(4)
    arrays = {} if isinstance(data, Sequence) else {"y": np.zeros_like(data), "batch_size": 2}
    trained, _ = fit(data, epochs=2, steps_per_epoch=3, **arrays)
    assert trained == [[0, 1, 2]] * 2
    trained, _ = fit(data, "have 4 batches", epochs=2, steps_per_epoch=7, **arrays)
    assert trained == [[0, 1, 2, 3]] * 2


def test_a_sequence_without_end_goes_on() -> None:
    class Endless(Sequence):
        num_batches = None

    assert fit(Endless(0), epochs=2, steps_per_epoch=3)[0] == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(ValueError, match="`steps_per_epoch`"):
        fit(Endless(0))


@pytest.mark.parametrize("kind", ["Dataset", "unknown", "DataLoader"])
def test_validation_reads_the_same_first_batches(kind: str) -> None:
    _, model = fit(dataset(2), epochs=3, validation_data=STREAMS[kind](5), validation_steps=2)
    assert model.tested == [[0, 1]] * 3
    _, model = fit(dataset(2), epochs=2, validation_data=STREAMS[kind](3))
    assert model.tested == [[0, 1, 2]] * 2


def test_validation_by_a_generator_goes_on() -> None:
    source = Counted(100)
    _, model = fit(dataset(2), epochs=3, validation_data=source, validation_steps=2)
    assert model.tested == [[0, 1], [2, 3], [4, 5]]
    assert source.calls == 6


def test_validation_that_runs_out() -> None:
    model, note = Spy(), Note()
    with pytest.warns(UserWarning, match="gave 1 batches where 2 were asked for"):
        history = model.fit(
            dataset(2),
            validation_data=Counted(3),
            validation_steps=2,
            epochs=2,
            verbose=0,
            callbacks=[note],
        ).history
    assert len(history["loss"]) == len(history["val_loss"]) == 2
    with pytest.warns(UserWarning, match="gave 2 batches where 9 were asked for"):
        model.evaluate(dataset(2), steps=9, verbose=0, callbacks=[note])


@pytest.mark.parametrize(
    ("frequency", "epochs"), [(1, [1, 2, 3, 4, 5]), (2, [2, 4]), ([1, 5], [1, 5]), ({4}, [4])]
)
def test_validation_freq(frequency, epochs) -> None:
    class When(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if "val_loss" in logs:
                found.append(epoch + 1)

    found = []
    model = keras.Sequential([keras.Input((1,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(
        dataset(1),
        epochs=5,
        validation_data=dataset(1),
        validation_freq=frequency,
        verbose=0,
        callbacks=[When()],
    )
    assert found == epochs


@pytest.mark.parametrize("frequency", [0, -1, 1.5, "2", [1, 0], True])
def test_bad_validation_freq(frequency) -> None:
    with pytest.raises(ValueError, match="`validation_freq`"):
        fit(dataset(1), validation_freq=frequency)


def test_stopping_in_an_epoch_is_no_shortage() -> None:
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 1

    trained, _ = fit(dataset(9), None, Stop(), epochs=3, steps_per_epoch=4)
    assert trained == [[0, 1]]


def test_shuffled_data_are_drawn_without_repetition_over_epochs() -> None:
    trained, _ = fit(dataset(12).shuffle(12), epochs=4, steps_per_epoch=3)
    assert sorted(itertools.chain(*trained)) == list(range(12))
    first, second = fit(dataset(12).shuffle(12), epochs=2)[0]
    assert sorted(first) == sorted(second) == list(range(12))
    assert first != second


def test_what_fit_opened_is_closed_when_it_fails() -> None:
    ended = []

    def source():
        try:
            yield from map(item, range(9))
        finally:
            ended.append(True)

    class Fail(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise KeyError("stop")

    data = keras.data.Dataset.from_generator(source).prefetch(2)
    with pytest.raises(KeyError) as caught:
        Spy().fit(data, callbacks=[Note(), Fail()], verbose=0)
    assert ended == [True], caught
    narrow = keras.Sequential([keras.Input((3,)), layers.Dense(1)])
    with pytest.raises(ValueError, match=r"\(None, 3\)") as caught:
        narrow.predict(data)
    assert ended == [True, True], caught


def test_the_bar_counts_the_steps(capsys) -> None:
    model = keras.Sequential([keras.Input((1,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(dataset(3), verbose=1)
    model.fit(unknown(3), verbose=2)
    model.fit(dataset(4).repeat(), steps_per_epoch=6, verbose=1)
    printed = capsys.readouterr().out
    assert "3/3" in printed
    assert "6/6" in printed
