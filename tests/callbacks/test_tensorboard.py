"""Event files, read back with tensorboard's own reader."""

import gc
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from google.protobuf import text_format
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig
from torch import nn

from kerastorch.callbacks import CallbackList, TensorBoard


class Net(nn.Module):
    """Stands for a model: an embedding table, a layer and an optimizer."""

    def __init__(self):
        super().__init__()
        self.words = nn.Module()
        self.words.name = "words"
        self.words.embeddings = nn.Parameter(torch.arange(6.0).reshape(3, 2))
        self.dense = nn.Linear(2, 1)
        self.dense.weight.path = "dense_1/kernel"
        self.register_buffer("broken", torch.tensor([float("nan")]))
        self.optimizer = SimpleNamespace(learning_rate=torch.tensor(0.5), iterations=0)


def run(callback, epochs=2, steps=5, validate=True, fail=False):
    """The calls of the training loop."""
    model = Net()
    callbacks = CallbackList([callback], model=model)
    callbacks.on_train_begin()
    for epoch in range(epochs):
        callbacks.on_epoch_begin(epoch)
        for step in range(steps):
            callbacks.on_train_batch_begin(step)
            model.optimizer.iterations += 1
            callbacks.on_train_batch_end(step, {"loss": torch.tensor(step + 10.0 * epoch)})
        logs = {"loss": 1.0 + epoch, "accuracy": torch.tensor(0.25)}
        if validate:
            callbacks.on_test_begin()
            callbacks.on_test_end({"loss": 3.0 + epoch})
            logs["val_loss"] = 3.0 + epoch
        callbacks.on_epoch_end(epoch, logs)
        if fail:
            return
    callbacks.on_train_end({})


def scalars(folder):
    """Tag -> list of (step, value)."""
    events = EventAccumulator(str(folder)).Reload()
    return {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }


def test_epochs(tmp_path):
    run(TensorBoard(tmp_path))
    assert scalars(tmp_path / "train") == {
        "epoch_loss": [(0, 1.0), (1, 2.0)],
        "epoch_accuracy": [(0, 0.25), (1, 0.25)],
        "epoch_learning_rate": [(0, 0.5), (1, 0.5)],
    }
    assert scalars(tmp_path / "validation") == {
        "epoch_loss": [(0, 3.0), (1, 4.0)],
        "evaluation_loss_vs_iterations": [(5, 3.0), (10, 4.0)],
    }


def test_no_validation_no_folder(tmp_path):
    run(TensorBoard(str(tmp_path)), validate=False)
    assert [folder.name for folder in tmp_path.iterdir()] == ["train"]


@pytest.mark.parametrize(
    ("update_freq", "steps"), [("batch", range(1, 11)), (1, range(1, 11)), (4, [4, 8])]
)
def test_batches(update_freq, steps, tmp_path):
    run(TensorBoard(tmp_path, update_freq=update_freq))
    values = [float(step) for step in (0, 1, 2, 3, 4, 10, 11, 12, 13, 14)]
    expected = [(step, values[step - 1]) for step in steps]
    assert scalars(tmp_path / "train")["batch_loss"] == expected
    assert "batch_loss" not in scalars(tmp_path / "validation")


def test_speed(tmp_path):
    run(TensorBoard(tmp_path, write_steps_per_second=True, update_freq=5))
    written = scalars(tmp_path / "train")
    assert [step for step, _ in written["epoch_steps_per_second"]] == [0, 1]
    assert [step for step, _ in written["batch_steps_per_second"]] == [5, 10]
    assert all(value > 0 for _, value in written["epoch_steps_per_second"])


@pytest.mark.parametrize(("freq", "epochs"), [(1, [0, 1, 2]), (2, [0, 2])])
def test_histograms_of_every_weight(freq, epochs, tmp_path):
    run(TensorBoard(tmp_path, histogram_freq=freq), epochs=3, steps=1)
    events = EventAccumulator(str(tmp_path / "train"), {"histograms": 0}).Reload()
    tags = {"words/embeddings/histogram", "dense_1/kernel/histogram", "dense/bias/histogram"}
    assert set(events.Tags()["histograms"]) == tags  # what is not finite has none
    written = events.Histograms("words/embeddings/histogram")
    assert [event.step for event in written] == epochs
    values = written[0].histogram_value
    assert (values.min, values.max, values.num, values.sum) == (0.0, 5.0, 6.0, 15.0)


@pytest.mark.parametrize("metadata", [None, "labels.tsv", {"words": "labels.tsv"}, {"x": "y"}])
def test_embeddings(metadata, tmp_path):
    run(TensorBoard(tmp_path, embeddings_freq=1, embeddings_metadata=metadata))
    text = (tmp_path / "projector_config.pbtxt").read_text()
    (entry,) = text_format.Parse(text, ProjectorConfig()).embeddings
    assert entry.tensor_name == "words"
    assert entry.metadata_path == ("" if metadata in (None, {"x": "y"}) else "labels.tsv")
    table = np.loadtxt(tmp_path / entry.tensor_path, delimiter="\t")
    np.testing.assert_array_equal(table, np.arange(6.0).reshape(3, 2))


def test_evaluation_alone(tmp_path):
    model = Net()
    model.optimizer.iterations = 7
    callback = TensorBoard(tmp_path)
    callbacks = CallbackList([callback], model=model)
    callbacks.on_test_begin()
    callbacks.on_test_end({"loss": 2.0})
    assert not callback._writers
    assert scalars(tmp_path / "validation") == {"evaluation_loss_vs_iterations": [(7, 2.0)]}


def test_two_runs_with_one_callback(tmp_path):
    callback = TensorBoard(tmp_path)
    run(callback)
    run(callback)
    assert len(list((tmp_path / "train").iterdir())) == 2


def test_after_an_error(tmp_path):
    """What the epochs wrote is on disk, and the file is closed with the callback."""
    callback = TensorBoard(tmp_path)
    run(callback, fail=True)
    assert scalars(tmp_path / "train")["epoch_loss"] == [(0, 1.0)]
    writers = callback._writers
    assert writers
    del callback
    gc.collect()
    assert not writers


@pytest.mark.parametrize(
    "option", [{"write_graph": True}, {"write_images": True}, {"profile_batch": (2, 4)}]
)
def test_what_is_not_there_is_refused(option):
    with pytest.raises(ValueError, match=f"{next(iter(option))}=.* is not supported"):
        TensorBoard(**option)


@pytest.mark.parametrize("freq", ["batches", 0, -1, 1.5, None])
def test_update_freq_is_checked(freq):
    with pytest.raises(ValueError, match="update_freq: expected 'epoch', 'batch' or a number"):
        TensorBoard(update_freq=freq)
