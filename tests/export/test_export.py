"""Exported files compute what the model computes, in a process that cannot import this package."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch.utils import _pytree as pytree

import kerastorch as keras
from kerastorch import layers

ROWS = [(1, 4), (3, 1), (7, 9)]  # sizes of the batch and of other unknown axes

READER = """
import json, sys
from pathlib import Path
sys.modules["kerastorch"] = None
import torch
from torch.utils import _pytree as pytree
found = {}
for file in sorted(Path(sys.argv[1]).glob("*.pt2")):
    program = torch.export.load(file)
    graphs = [m for m in program.graph_module.modules() if isinstance(m, torch.fx.GraphModule)]
    operators = {str(n.target) for g in graphs for n in g.graph.nodes if n.op == "call_function"}
    module = program.module()
    results = []
    for arguments, expected in torch.load(file.with_suffix(".pt"), weights_only=False):
        results.append([pytree.tree_structure(a) == pytree.tree_structure(e)
            and all(x.dtype == y.dtype and torch.allclose(x, y, 1e-5, 1e-5, equal_nan=True)
                for x, y in zip(pytree.tree_leaves(a), pytree.tree_leaves(e)))
            for a, e in [(module(*arguments), expected)]][0])
    found[file.stem] = [results, sorted(operators), list(program.state_dict)]
print(json.dumps(found))
"""


def chain(*stack, shape=(None, 8), dtype=None) -> keras.Model:
    return keras.Sequential([keras.Input(shape, dtype=dtype), *stack])


def attention() -> keras.Model:
    x = keras.Input((None, 8))
    return keras.Model(x, layers.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True))


def many(kind: type) -> keras.Model:
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    c = layers.Dense(3, activity_regularizer="l2")(b)
    if kind is dict:
        return keras.Model({"a": a, "b": b}, {"sum": a + b, "c": c})
    return keras.Model(kind([a, b]), kind([a + b, kind([c])]))


def nested() -> keras.Model:
    inner = chain(layers.Dense(4, activation="relu"), layers.BatchNormalization(), shape=(6,))
    x = keras.Input((6,))
    return keras.Model(x, torch.cat([inner(x), inner(x * 2), torch.nn.Linear(6, 2)(x)], dim=-1))


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(4)
        self.dropout = layers.Dropout(0.5)

    def call(self, x, training=None):
        return self.dropout(torch.relu(self.dense(x)), training=training)


def subclassed() -> keras.Model:
    model = Subclassed()
    model(torch.zeros(2, 5))
    return model


def moved(model: keras.Model) -> keras.Model:
    """With weights and statistics other than the first."""
    for value in [*model.parameters(), *model.buffers()]:
        if value.is_floating_point():
            with torch.no_grad():
                value.uniform_(0.1, 0.6)
    return model


MODELS = {
    "dense": lambda: chain(layers.Dense(4, activation="gelu"), shape=(8,)),
    "image": lambda: chain(
        layers.Conv2D(4, 3, strides=2, padding="same"), layers.BatchNormalization(),
        layers.Dropout(0.5), layers.MaxPooling2D(padding="same"), layers.GlobalAveragePooling2D(),
        shape=(None, None, 3),
    ),
    "lstm": lambda: chain(layers.LSTM(4, return_sequences=True), layers.Dense(2)),
    "simple_rnn": lambda: chain(layers.SimpleRNN(4)),
    "masked_lstm": lambda: chain(layers.Masking(), layers.LSTM(4)),
    "attention": attention,
    "embedding": lambda: chain(
        layers.Embedding(9, 4, mask_zero=True), layers.Bidirectional(layers.GRU(3)),
        shape=(None,), dtype="int32",
    ),
    "mixed": lambda: chain(
        layers.Dense(4, activation="relu", dtype="mixed_bfloat16"),
        layers.Dense(2, dtype="mixed_bfloat16"), shape=(8,),
    ),
    "bfloat16": lambda: chain(layers.Dense(4, dtype="bfloat16"), shape=(8,), dtype="bfloat16"),
    "nested": nested,
    "list": lambda: many(list),
    "dict": lambda: many(dict),
    "subclassed": subclassed,
}  # fmt: skip
IN_ONNX = ["image", "masked_lstm", "attention", "nested", "dict"]


def arguments(model: keras.Model, batch: int, other: int) -> tuple:
    def draw(spec):
        unknown = other + 4 if len(spec.shape) == 4 else other  # a picture of a few pixels at least
        sizes = [n or (unknown if axis else batch) for axis, n in enumerate(spec.shape)]
        if spec.dtype.is_floating_point:
            return torch.randn(sizes).to(spec.dtype)
        return torch.randint(1, 9, sizes, dtype=spec.dtype)  # 0 is a step that is masked

    inputs = getattr(model, "input", None) if hasattr(model, "_inputs") else keras.Input((5,))
    found = pytree.tree_map(draw, inputs)
    return found if isinstance(found, tuple) else (found,)


@pytest.fixture(scope="module")
def programs(tmp_path_factory) -> tuple[dict, dict]:
    """What a fresh process finds in the files, and the keys of each model's state."""
    folder, keys = tmp_path_factory.mktemp("programs"), {}
    for name, make in MODELS.items():
        model = moved(make())
        model.export(folder / f"{name}.pt2")
        cases = [arguments(model, *rows) for rows in ROWS]
        torch.save([(case, model(*case)) for case in cases], folder / f"{name}.pt")
        keys[name] = list(model.state_dict())
    command = [sys.executable, "-W", "ignore", "-c", READER, str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    return json.loads(result.stdout.splitlines()[-1]), keys


@pytest.mark.parametrize("name", MODELS)
def test_pt2_computes_the_same_in_a_process_without_this_package(name, programs) -> None:
    found, keys = programs
    results, operators, state = found[name]
    assert results == [True] * len(ROWS)
    assert sorted(state) == sorted(keys[name])
    of_torch = ("aten.", "wrap_with_autocast", "<built-in function ", "<function sym_max")
    assert [name for name in operators if not name.startswith(of_torch)] == []


@pytest.mark.parametrize("name", IN_ONNX)
def test_onnx_computes_the_same(name, tmp_path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    model = moved(MODELS[name]())
    model.export(tmp_path / "model.onnx", format="onnx")
    session = runtime.InferenceSession(tmp_path / "model.onnx")
    names = [place.name for place in session.get_inputs()]
    if name in ("list", "tuple", "dict"):
        assert names == ["a", "b"]
    assert [place.name for place in session.get_outputs()][:2] == (
        model.output_names[:2] if hasattr(model, "_inputs") else [session.get_outputs()[0].name]
    )
    assert all(place.shape[0] == "batch" for place in session.get_inputs())
    for rows in ROWS:
        case = arguments(model, *rows)
        fed = [t.numpy() for t in pytree.tree_leaves(case)]
        found = session.run(None, dict(zip(names, fed, strict=True)))
        expected = pytree.tree_leaves(model(*case))
        for a, e in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, e.detach(), rtol=1e-5, atol=1e-5)


def test_the_model_is_left_as_it_was(tmp_path) -> None:
    model = chain(
        layers.Dense(4, activity_regularizer="l2"), layers.BatchNormalization(),
        layers.Dropout(0.5), shape=(8,),
    )  # fmt: skip
    model.train()
    model.layers[1].eval()
    model(torch.ones(2, 8))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    modes, losses = [m.training for m in model.modules()], model.losses
    model.export(tmp_path / "model.pt2")
    assert [m.training for m in model.modules()] == modes
    assert all(a is b for a, b in zip(model.losses, losses, strict=True))
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    x = torch.ones(2, 8)
    program = torch.export.load(tmp_path / "model.pt2").module()
    with torch.no_grad():
        expected = model(x, training=False)
        model.layers[0].kernel.zero_()  # the file has weights of its own
    assert torch.equal(program(x), expected)


def test_input_signature(tmp_path) -> None:
    model = Subclassed()
    with pytest.raises(ValueError, match="does not know its input"):
        model.export(tmp_path / "model.pt2")
    model.export(tmp_path / "model.pt2", input_signature=[keras.Input((6,))])
    program = torch.export.load(tmp_path / "model.pt2").module()
    assert program(torch.ones(5, 6)).shape == (5, 4)
    model.export(tmp_path / "model.pt2", input_signature=np.zeros((2, 6), "float32"))
    program = torch.export.load(tmp_path / "model.pt2").module()
    assert program(torch.ones(5, 6)).shape == (5, 4)
    model.export(tmp_path / "model.pt2", input_signature=keras.Input((6,), batch_size=3))
    program = torch.export.load(tmp_path / "model.pt2").module()
    with pytest.raises(AssertionError, match="== 3"):
        program(torch.ones(5, 6))


class Several(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(2)

    def call(self, x, tables):
        return {"y": self.dense(x) + tables["bias"]}


def test_several_arguments_of_call(tmp_path) -> None:
    model = Several()
    signature = (keras.Input((3,)), {"bias": keras.Input((2,))})
    model.export(tmp_path / "model.pt2", input_signature=signature)
    program = torch.export.load(tmp_path / "model.pt2").module()
    x, b = torch.randn(4, 3), torch.randn(4, 2)
    torch.testing.assert_close(program(x, {"bias": b}), model(x, {"bias": b}))


def test_options_of_torch(tmp_path) -> None:
    model = chain(layers.Dense(2), shape=(3,))
    batch = torch.export.Dim("batch", min=1, max=8)
    model.export(tmp_path / "model.pt2", "torch", dynamic_shapes=({0: batch},))
    program = torch.export.load(tmp_path / "model.pt2").module()
    assert program(torch.ones(8, 3)).shape == (8, 2)
    with pytest.raises(AssertionError, match="<= 8"):
        program(torch.ones(9, 3))


@pytest.mark.parametrize(
    ("name", "options", "error", "says"),
    [
        ("model", {"format": "tf_saved_model"}, ValueError, "'pt2', 'torch', 'onnx'"),
        ("model.onnx", {}, ValueError, r"must end in '\.pt2'"),
        ("model.pt2", {"format": "onnx"}, ValueError, r"must end in '\.onnx'"),
        ("model.pt2", {"opset_version": 18}, TypeError, "unknown argument 'opset_version'"),
        ("model.pt2", {"input_signature": 3}, TypeError, "keras.Input"),
    ],
)
def test_errors_leave_the_file_alone(name, options, error, says, tmp_path) -> None:
    (tmp_path / name).write_text("before")
    with pytest.raises(error, match=says):
        chain(layers.Dense(2), shape=(3,)).export(tmp_path / name, **options)
    assert (tmp_path / name).read_text() == "before"


class Unrolled(layers.Layer):
    def call(self, x):
        return sum(x[:, i] * i for i in range(x.shape[1]))


def test_an_axis_that_cannot_be_free(tmp_path) -> None:
    x = keras.Input((None, 2))
    model = keras.Model(x, Unrolled()(x))
    with pytest.raises(ValueError, match="Give that axis its size"):
        model.export(tmp_path / "model.pt2")
    model.export(tmp_path / "model.pt2", input_signature=keras.Input((5, 2)))
    data = torch.randn(3, 5, 2)
    program = torch.export.load(tmp_path / "model.pt2").module()
    torch.testing.assert_close(program(data), model(data))


def test_strides_over_axes_of_any_size(tmp_path) -> None:
    model = chain(layers.Conv2D(2, 3, strides=2, padding="same"), shape=(None, None, 1))
    model.export(tmp_path / "model.pt2")
    program = torch.export.load(tmp_path / "model.pt2").module()
    for sizes in [(2, 8, 8, 1), (1, 9, 7, 1), (3, 64, 33, 1)]:
        x = torch.randn(sizes)
        torch.testing.assert_close(program(x), model(x))


def test_missing_packages_are_named(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ImportError, match=r"pip install kerastorch\[onnx\]"):
        chain(layers.Dense(2), shape=(3,)).export(tmp_path / "model.onnx", format="onnx")


def test_verbose_says_where_the_file_is(tmp_path, capsys) -> None:
    model = chain(layers.Dense(2), shape=(3,))
    model.export(tmp_path / "model.pt2")
    assert capsys.readouterr().out == ""
    model.export(tmp_path / "model.pt2", verbose=True)
    assert str(tmp_path / "model.pt2") in capsys.readouterr().out


def test_text_stays_outside(tmp_path) -> None:
    text = keras.Input((), dtype="string", name="words")
    numbers = layers.TextVectorization(output_sequence_length=3, vocabulary=["a", "b"])(text)
    outputs = layers.Embedding(4, 2)(numbers)
    with pytest.raises(ValueError, match="input 'words' takes text"):
        keras.Model(text, outputs).export(tmp_path / "model.pt2")
    assert not list(tmp_path.iterdir())
    inner = keras.Model(numbers, outputs)
    inner.export(tmp_path / "model.pt2")
    ids = torch.tensor([[2, 3, 0]])
    program = torch.export.load(tmp_path / "model.pt2").module()
    torch.testing.assert_close(program(ids), inner(ids))
