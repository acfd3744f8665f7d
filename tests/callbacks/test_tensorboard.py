"""Event files, read back with tensorboard's own reader and server."""

import gc
import io
import json
import re
import subprocess
import sys
import threading
import urllib.parse
import urllib.request
from types import SimpleNamespace

import keras as oracle
import numpy as np
import pytest
import torch
from google.protobuf import text_format
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig
from torch import nn

import kerastorch as keras
from kerastorch import layers
from kerastorch.callbacks import CallbackList, LambdaCallback, TensorBoard
from kerastorch.callbacks._graph_def import graph_def
from kerastorch.callbacks._weight_images import weight_images


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


@pytest.mark.parametrize("freq", ["batches", 0, -1, 1.5, None])
def test_update_freq_is_checked(freq):
    with pytest.raises(ValueError, match="update_freq: expected 'epoch', 'batch' or a number"):
        TensorBoard(update_freq=freq)


# -- graphs ------------------------------------------------------------------------------------------


def described(model):
    """Name -> kind, inputs, shapes."""
    return {
        node.name: (
            node.op,
            list(node.input),
            [
                tuple(axis.size for axis in shape.dim)
                for shape in node.attr["_output_shapes"].list.shape
            ],
        )
        for node in graph_def(model).node
    }


def test_graph_of_a_functional_model():
    """Nested models are scopes, a shared layer has a node for each call, functions are nodes."""
    x = keras.Input((4,), name="x")
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="in")], name="inner model")
    shared = layers.Dense(3, name="shared")
    left, right = shared(inner(x)), shared(inner(x))
    parts = torch.split(torch.cat([left, right], dim=-1), [2, 4], dim=-1)
    model = keras.Model(x, parts[1].relu() + 1.0)
    assert described(model) == {
        "x": ("InputLayer", [], [(-1, 4)]),
        "inner_model/in": ("Dense", ["x"], [(-1, 4)]),
        "shared": ("Dense", ["inner_model/in"], [(-1, 3)]),
        "inner_model_1/in": ("Dense", ["x"], [(-1, 4)]),
        "shared_1": ("Dense", ["inner_model_1/in"], [(-1, 3)]),
        "cat": ("cat", ["shared", "shared_1"], [(-1, 6)]),
        "split": ("split", ["cat"], [(-1, 2), (-1, 4)]),
        "relu": ("relu", ["split:1"], [(-1, 4)]),
        "add": ("add", ["relu"], [(-1, 4)]),
    }
    weights = {node.name: dict(node.attr) for node in graph_def(model).node}["shared"]
    assert weights["kernel"].s == b"(4, 3) float32"


def test_graph_of_a_nested_model_with_several_inputs_and_outputs():
    a, b = keras.Input((2,), name="a"), keras.Input((3,), name="b")
    inner = keras.Model([a, b], {"wide": b, "sum": torch.cat([a, b], dim=-1)}, name="inner")
    x, y = keras.Input((3,), name="x"), keras.Input((2,), name="y")
    made = inner([y, x])
    model = keras.Model([x, y], torch.cat([made["sum"], made["wide"]], dim=-1))
    inputs = {name: inputs for name, (_, inputs, _) in described(model).items()}
    assert inputs == {"x": [], "y": [], "inner/cat": ["y", "x"], "cat": ["inner/cat", "x"]}


def test_graph_of_layers_that_hold_layers():
    x = keras.Input((2,), name="x")
    y = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.ReLU(), nn.Linear(3, 1)))(x)
    assert described(keras.Model(x, y)) == {
        "x": ("InputLayer", [], [(-1, 2)]),
        "sequential": ("Sequential", ["x"], [(-1, 1)]),
        "sequential/0": ("Linear", [], []),
        "sequential/1/0": ("ReLU", [], []),
        "sequential/1/1": ("Linear", [], []),
    }


def test_graph_of_any_other_module_is_its_tree():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.steps = nn.ModuleList([nn.Linear(2, 2), nn.ReLU()])
            self.gate = nn.Parameter(torch.zeros(1))

    net = nn.Module()
    net.first, net.blocks = Block(), nn.ModuleDict({"last": Block()})
    kinds = {name: kind for name, (kind, _, _) in described(net).items()}
    assert kinds == {
        "first": "Block",
        "first/steps/0": "Linear",
        "first/steps/1": "ReLU",
        "blocks/last": "Block",
        "blocks/last/steps/0": "Linear",
        "blocks/last/steps/1": "ReLU",
    }


def test_no_graph(tmp_path):
    run(TensorBoard(tmp_path / "with"))
    run(TensorBoard(tmp_path / "without", write_graph=False))
    for folder, expected in (("with", True), ("without", False)):
        assert (
            EventAccumulator(str(tmp_path / folder / "train")).Reload().Tags()["graph"] is expected
        )


# -- images ------------------------------------------------------------------------------------------


def keras_layout(weight):
    """What Keras hands to its summary writer."""
    seen = []
    callback = oracle.callbacks.TensorBoard()
    callback._summary_module = SimpleNamespace(image=lambda name, image, step: seen.append(image))
    callback._log_weight_as_image(oracle.Variable(weight), "w", 0)
    return seen[0] if seen else None


@pytest.mark.parametrize(
    "shape",
    [
        (7,),
        (3, 5),
        (5, 3),
        (4, 1),
        (1, 9),
        (3, 3, 1, 2),
        (5, 1, 4, 3),
        (2, 3, 2),
        (3, 3, 2, 8),
        (1, 1),
    ],
)
def test_images_are_laid_out_as_in_keras(shape):
    weight = torch.randn(shape)
    ours, theirs = weight_images(weight), keras_layout(weight)
    if theirs is None or len(theirs.shape) != 4:
        assert ours is None
        return
    expected = theirs[:3] / np.abs(theirs[:3]).max() * 127.5 + 127.5
    np.testing.assert_array_equal(ours.numpy(), np.round(expected).astype(np.uint8))


def test_images_of_filters_in_colour_and_of_what_is_not_finite():
    kernel = torch.zeros(2, 2, 3, 5)
    kernel[0, 0, :, 1] = torch.tensor([1.0, -1.0, 0.0])
    kernel[1, 1, 0, 2] = torch.nan
    pictures = weight_images(kernel)
    assert pictures.shape == (3, 2, 2, 3)
    assert pictures[1, 0, 0].tolist() == [255, 0, 128]
    assert (pictures[2] == 128).all()
    assert weight_images(torch.zeros(0, 3)) is None


def test_images_are_written_with_the_histograms(tmp_path):
    run(TensorBoard(tmp_path, histogram_freq=2, write_images=True), epochs=3, steps=1)
    events = EventAccumulator(str(tmp_path / "train"), {"tensors": 0}).Reload()
    written = events.Tensors("words/embeddings/image")
    assert [event.step for event in written] == [0, 2]
    width, height, png = written[0].tensor_proto.string_val
    assert (width, height) == (b"3", b"2")
    picture = np.array(Image.open(io.BytesIO(png)))
    np.testing.assert_array_equal(
        picture, weight_images(torch.arange(6.0).reshape(3, 2))[0, :, :, 0]
    )


# -- profiles ----------------------------------------------------------------------------------------


def traces(folder):
    """The profiled steps of each trace."""
    files = sorted((folder / "train/plugins/profile").glob("*.pt.trace.json"))
    names = [{e["name"] for e in json.loads(f.read_text())["traceEvents"]} for f in files]
    return [sum(name.startswith("ProfilerStep#") for name in found) for found in names]


@pytest.mark.parametrize(
    ("batches", "steps"), [(2, 1), ((2, 4), 3), ("5,7", 3), ([4, 6], 3), ((8, 99), 3), (11, None)]
)
def test_profile(batches, steps, tmp_path):
    """Batches count from 1 over all epochs (here 2 of 5), and a trace ends with the training."""
    run(TensorBoard(tmp_path, profile_batch=batches))
    assert traces(tmp_path) == ([] if steps is None else [steps])
    assert not torch.autograd._profiler_enabled()


def test_profile_of_a_training_that_fails(tmp_path):
    model = small_model()

    def fail(batch, logs):
        if batch == 2:
            raise RuntimeError("from a batch")

    callback = TensorBoard(tmp_path, profile_batch=(2, 50))
    with pytest.raises(RuntimeError, match="from a batch"):
        fit(model, callback, LambdaCallback(on_train_batch_end=fail))
    assert traces(tmp_path) == [2]
    fit(model, callback)
    assert traces(tmp_path) == [2, 7]


def test_profile_leaves_a_profiler_that_is_running_alone(tmp_path):
    with torch.profiler.profile() as outer:
        callback = TensorBoard(tmp_path, profile_batch=2)
        with pytest.warns(UserWarning, match="another profiler is running"):
            fit(small_model(), callback)
    assert any("addmm" in event.name for event in outer.events())
    assert not traces(tmp_path)


@pytest.mark.parametrize("batches", [-1, (4, 2), (0, 3), 1.5, (1, 2, 3), None, (1, "2"), True])
def test_profile_batch_is_checked(batches):
    with pytest.raises(ValueError, match="profile_batch: expected 0, the number of a batch"):
        TensorBoard(profile_batch=batches)


# -- the real thing ----------------------------------------------------------------------------------


def small_model():
    words = keras.Input((6,), dtype="int32", name="words")
    x = layers.Flatten(name="flat")(layers.Embedding(20, 4, name="embedding")(words))
    model = keras.Model(words, layers.Dense(3, activation="softmax", name="scores")(x))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def fit(model, *callbacks, **options):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 20, (32, 6)), rng.integers(0, 3, 32)
    options = {"batch_size": 8, "epochs": 2, "verbose": 0, **options}
    return model.fit(x, y, validation_data=(x, y), callbacks=list(callbacks), **options)


@pytest.fixture
def serve():
    """Start ``tensorboard`` on a free port of this machine; gives a function that fetches a path."""
    servers = []

    def start(folder):
        command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder)]
        command += ["--host", "127.0.0.1", "--port", "0", "--load_fast", "false"]
        server = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        servers.append(server)
        bound = threading.Timer(60, server.kill)  # after which reading ends
        bound.start()
        said, address = "", None
        for line in server.stderr:
            said += line
            if address := re.search(r"http://\S+", line):
                break
        bound.cancel()
        assert address, said
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

        def fetch(path, **query):
            url = f"{address[0]}data/{path}?{urllib.parse.urlencode(query)}"
            with opener.open(url, timeout=30) as answer:
                return answer.read()

        return fetch

    yield start
    for server in servers:
        server.kill()
        server.communicate()


def test_what_tensorboard_shows(tmp_path, serve):
    (tmp_path / "labels.tsv").write_text("".join(f"word {i}\n" for i in range(20)))
    callback = TensorBoard(
        tmp_path,
        histogram_freq=1,
        write_images=True,
        update_freq=2,
        embeddings_freq=1,
        embeddings_metadata="labels.tsv",
    )
    model = small_model()
    history = fit(model, callback).history
    fetch = serve(tmp_path)

    assert json.loads(fetch("runs")) == ["train", "validation"]
    for run_, prefix in (("train", ""), ("validation", "val_")):
        for name in ("loss", "accuracy"):
            tag = f"epoch_{name}"
            shown = json.loads(fetch("plugin/scalars/scalars", run=run_, tag=tag))
            assert [step for _, step, _ in shown] == [0, 1]
            values = [value for _, _, value in shown]
            assert values == pytest.approx(history[prefix + name], rel=1e-6)
    shown = json.loads(fetch("plugin/scalars/scalars", run="train", tag="batch_loss"))
    assert [step for _, step, _ in shown] == [2, 4, 6, 8]

    tags = json.loads(fetch("plugin/histograms/tags"))["train"]
    assert set(tags) == {f"{w.path}/histogram" for w in model.weights}
    shown = json.loads(
        fetch("plugin/histograms/histograms", run="train", tag="scores/kernel/histogram")
    )
    buckets = np.array(shown[-1][2])  # left, right, count
    kernel = model.get_layer("scores").kernel
    assert buckets[:, 2].sum() == kernel.numel()
    assert (buckets[0, 0], buckets[-1, 1]) == pytest.approx(
        (kernel.min().item(), kernel.max().item())
    )

    text = fetch("plugin/graphs/graph", run="train").decode()
    assert re.findall(r'name: "(.*)"', text) == ["words", "embedding", "flat", "scores"]
    assert re.findall(r'input: "(.*)"', text) == ["words", "embedding", "flat"]

    tag = "scores/kernel/image"
    (first, _) = json.loads(fetch("plugin/images/images", run="train", tag=tag, sample=0))
    png = fetch(f"plugin/images/individualImage?{first['query']}&")
    assert Image.open(io.BytesIO(png)).size == (24, 3)

    assert json.loads(fetch("plugin/projector/runs")) == ["."]
    (entry,) = json.loads(fetch("plugin/projector/info", run="."))["embeddings"]
    assert (entry["tensorName"], entry["tensorShape"]) == ("embedding", [20, 4])
    vectors = np.frombuffer(fetch("plugin/projector/tensor", run=".", name="embedding"), np.float32)
    expected = model.get_layer("embedding").embeddings.detach().numpy().ravel()
    np.testing.assert_allclose(vectors, expected, rtol=1e-5)
    labels = fetch("plugin/projector/metadata", run=".", name="embedding").decode()
    assert labels.splitlines() == [f"word {i}" for i in range(20)]
