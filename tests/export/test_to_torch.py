"""`to_torch`: the same outputs, and source that runs where this package does not exist."""

import ast
import json
import os
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils import _pytree as pytree

import kerastorch as keras
from kerastorch import layers as L
from kerastorch.export._table import TABLE

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "layers"))
from layer_table import FEW

READER = """
import importlib.util, json, sys
from pathlib import Path
sys.modules["kerastorch"] = None
import torch
from torch.utils import _pytree as pytree
found = {}
for file in sorted(Path(sys.argv[1]).glob("*.py")):
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    case = torch.load(file.with_suffix(".case"), weights_only=False)
    model = getattr(module, case["class"])()
    model.load_state_dict(torch.load(file.with_suffix(".pt"), weights_only=True))
    y = model.eval()(*case["arguments"])
    pairs = list(zip(pytree.tree_leaves(y), pytree.tree_leaves(case["outputs"]), strict=True))
    found[file.stem] = pytree.tree_structure(y) == pytree.tree_structure(case["outputs"]) and all(
        a.shape == b.shape and a.dtype == b.dtype and torch.allclose(a, b, 1e-5, 1e-5)
        for a, b in pairs)
print(json.dumps(found))
"""


def chain(*stack, shape=(6, 8), dtype=None) -> keras.Model:
    return keras.Sequential([keras.Input(shape, dtype=dtype), *stack])


def image(*stack) -> keras.Model:
    return chain(*stack, shape=(9, 8, 4))


def convolutions() -> keras.Model:
    return image(
        L.Conv2D(6, 3, strides=2, padding="same", activation="relu"),
        L.BatchNormalization(),
        L.MaxPooling2D(padding="same"),
        L.DepthwiseConv2D(2, depth_multiplier=2, padding="same", use_bias=False),
        L.SeparableConv2D(5, 2, activation="gelu"),
        L.Conv2DTranspose(4, 3, strides=2, padding="same"),
        L.SpatialDropout2D(0.2),
        L.AveragePooling2D(2, 1, padding="same"),
        L.Conv2D(3, 1, activation="softmax"),
    )


def first() -> keras.Model:
    more = {"data_format": "channels_first"}
    return chain(
        L.Conv2D(4, 3, groups=2, activation="softmax", **more),
        L.BatchNormalization(axis=1),
        L.MaxPooling2D(**more),
        L.GlobalAveragePooling2D(**more),
        shape=(2, 8, 8),
    )


def functions() -> keras.Model:
    a, b = keras.Input((6, 4), name="a"), keras.Input((6, 4), name="b")
    x = F.relu(a) - 2 * b.abs() ** 2
    x = torch.cat([x[:, 1:, ::2], torch.stack([a, b], dim=1).mean(1)[:, :-1, :2]], dim=-1)
    x = torch.where(x > 0, x, -x) @ torch.arange(16.0).reshape(4, 4)
    w = nn.Parameter(torch.randn(4))
    return keras.Model((a, b), (x * w, -(a.transpose(1, 2).reshape(a.shape[1] * 4) if 0 else a)))


def shared() -> keras.Model:
    dense = L.Dense(4, activation="tanh", name="same")
    inner = keras.Model(
        *(lambda x: ([x], {"y": dense(x)}))(keras.Input((4,), name="x")), name="inner model"
    )
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    return keras.Model({"a": a, "b": b}, [dense(a), inner([b])["y"], {"c": inner([a])["y"] + a}])


def stock() -> keras.Model:
    x = keras.Input((3, 8, 8))
    block = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU())
    y = nn.Flatten()(block(x))
    return keras.Model(x, nn.Linear(144, 2)(nn.Dropout(0.1)(y)))


def merging() -> keras.Model:
    a, b, c = (keras.Input((4, 3)) for _ in range(3))
    three = [a, b, c]
    return keras.Model(three, [
        L.Add()(three), L.Subtract()([a, b]), L.Multiply()(three), L.Average()(three),
        L.Maximum()(three), L.Minimum()(three), L.Concatenate()(three), L.Concatenate(1)(three),
        L.Dot(2)([a, b]), L.Dot((1, 1), normalize=True)([a, b]),
    ])  # fmt: skip


def attention() -> keras.Model:
    q, v = keras.Input((5, 8)), keras.Input((7, 6))
    x = L.MultiHeadAttention(2, 3, value_dim=5)(q, v)
    y = L.MultiHeadAttention(2, 4, use_bias=False)(q, q, use_causal_mask=True)
    return keras.Model([q, v], [x, y, L.Attention()([q, q])])


def encoder_decoder() -> keras.Model:
    a, b = keras.Input((5, 3)), keras.Input((4, 3))
    _, h, c = L.LSTM(4, return_state=True)(a)
    y = L.LSTM(4, return_sequences=True)(b, initial_state=[h, c])
    z, s = L.GRU(4, return_state=True, go_backwards=True, return_sequences=True)(b, initial_state=h)
    return keras.Model([a, b], [y, z, s])


def masked() -> keras.Model:
    x = keras.Input((6,), dtype="int32")
    return keras.Model(x, L.GlobalAveragePooling1D()(L.Embedding(9, 4, mask_zero=True)(x)))


def masked_steps() -> keras.Model:
    """Recurrent layers that skip steps, from padding and from `Masking`."""
    tokens, series = keras.Input((6,), dtype="int32"), keras.Input((6, 1))
    x = L.Embedding(9, 4, mask_zero=True)(tokens)
    y, h, c = L.LSTM(4, return_sequences=True, return_state=True)(x)
    z = L.GRU(4, go_backwards=True)(x, initial_state=h)
    both = L.Bidirectional(L.GRU(3, return_sequences=True), "sum")(x)
    seen = L.Masking(0.0)(F.relu(series))
    steps = L.TimeDistributed(L.Dense(2))(L.SimpleRNN(3, return_sequences=True)(seen))
    last = L.Bidirectional(L.LSTM(2, activation="relu"))(seen)
    stack = L.RNN([L.GRUCell(3), L.LSTMCell(2)], return_sequences=True, zero_output_for_mask=True)(
        x
    )
    state = L.Bidirectional(L.GRU(2, return_sequences=True, return_state=True))(x)
    given = L.LSTM(2)(series, mask=tokens > 3)
    return keras.Model([tokens, series], [
        y, h, c, z, both, steps, last, given, seen, stack, state,
    ])  # fmt: skip


def masked_attention() -> keras.Model:
    tokens, seen = keras.Input((6,), dtype="int32"), keras.Input((6, 6), dtype="int32")
    x = L.Embedding(9, 4, mask_zero=True)(tokens)
    return keras.Model([tokens, seen], [
        L.MultiHeadAttention(2, 3)(x, x), L.MultiHeadAttention(2, 3)(x, x, use_causal_mask=True),
        L.MultiHeadAttention(2, 3)(query=x, value=x, attention_mask=seen),
        L.GroupQueryAttention(3, 4, 2)(x, x, x, use_causal_mask=True),
        L.Attention()([x, x]), L.Attention(use_scale=True)([x, x, x], use_causal_mask=True),
        L.AdditiveAttention()([x, x], use_causal_mask=True), L.Attention(score_mode="concat")([x, x]),
    ])  # fmt: skip


def loops() -> keras.Model:
    """What torch has no kernel for: a loop over the steps."""
    x, h, c = keras.Input((5, 3)), keras.Input((4,)), keras.Input((4,))
    states = {"activation": "gelu", "return_state": True}
    stack = [L.LSTMCell(4), L.GRUCell(3, activation="relu"), L.SimpleRNNCell(2, "leaky_relu")]
    return keras.Model([x, h, c], [
        L.LSTM(4, return_sequences=True, **states)(x, initial_state=[h, c]),
        L.GRU(4, go_backwards=True, **states)(x, initial_state=h),
        L.GRU(4, reset_after=False, return_sequences=True)(x),
        L.SimpleRNN(4, activation=None)(x, initial_state=h),
        L.RNN(L.GRUCell(4), return_state=True)(x, initial_state=[h]),
        L.RNN(stack, return_sequences=True, go_backwards=True)(x),
        L.RNN(stack[1:])(L.Dense(4)(x)),
        L.Bidirectional(L.LSTM(3, return_state=True), "ave")(x),
        L.Bidirectional(L.GRU(3, return_state=True, return_sequences=True), None)(x),
        L.Bidirectional(L.GRU(3), None)(x), L.Bidirectional(L.RNN(L.LSTMCell(3)), "mul")(x),
        L.Bidirectional(L.GRU(3, reset_after=False, return_sequences=True), "ave")(x),
    ])  # fmt: skip


def pictures() -> keras.Model:
    """Convolutional LSTMs: states, masks, windows of even sizes, both formats."""
    x, h, seen = keras.Input((4, 6, 5, 2)), keras.Input((6, 5, 3)), keras.Input((4,))
    window = {"kernel_size": (3, 2), "padding": "same", "return_state": True}
    y, *states = L.ConvLSTM2D(3, return_sequences=True, **window)(x, initial_state=[h, h])
    moved, line = L.Permute((1, 4, 2, 3))(x), L.Reshape((4, 10, 6))(x)
    even = {"kernel_size": 2, "padding": "same", "strides": 2}
    first = {"data_format": "channels_first", "activation": "softmax", "use_bias": False}
    return keras.Model([x, h, seen], [
        y, *states, *L.ConvLSTM2D(3, **window)(x, initial_state=[h, h], mask=seen > 0),
        L.ConvLSTM2D(2, 3, dilation_rate=2, go_backwards=True)(x, mask=seen > 0),
        L.ConvLSTM2D(2, 3, activation="softmax", return_sequences=True)(x, mask=seen > 0),
        L.ConvLSTM2D(2, **even, **first)(moved), L.ConvLSTM1D(2, **even)(line),
        L.ConvLSTM3D(2, 2, recurrent_activation="hard_sigmoid")(L.Reshape((4, 6, 5, 2, 1))(x)),
    ])  # fmt: skip


def cells() -> keras.Model:
    x, h, c = keras.Input((3,)), keras.Input((4,)), keras.Input((4,))
    return keras.Model([x, h, c], [
        L.LSTMCell(4)(x, [h, c]), L.GRUCell(4, "relu", reset_after=False)(x, [h]),
        L.SimpleRNNCell(4, use_bias=False)(x, [c]),
        L.StackedRNNCells([L.GRUCell(4), L.LSTMCell(4)])(x, [[h], [h, c]]),
    ])  # fmt: skip


def steps() -> keras.Model:
    """A layer on each step."""
    x = keras.Input((4, 5, 3), name="x")
    inner = [
        L.GlobalAveragePooling1D(), L.LSTM(3, activation="relu"), L.GlobalMaxPooling1D(),
        L.Rescaling(0.1, -1),
    ]  # fmt: skip
    return keras.Model(x, [L.TimeDistributed(f, name=f"y{i}")(x) for i, f in enumerate(inner)])


def normalized() -> keras.Model:
    return image(
        L.LayerNormalization(), L.GroupNormalization(2), L.RMSNormalization(),
        L.UnitNormalization(), L.BatchNormalization(scale=False), L.LayerNormalization(center=False),
        L.GroupNormalization(2, center=False), L.BatchNormalization(center=False, scale=False),
    )  # fmt: skip


def activated() -> keras.Model:
    names = """relu leaky_relu relu6 elu selu celu gelu silu mish sigmoid tanh hard_sigmoid hard_tanh
        hard_silu log_sigmoid softplus softsign exponential hard_shrink soft_shrink tanh_shrink softmax
        log_softmax linear"""
    x = keras.Input((6,))
    return keras.Model(x, [L.Activation(name)(x) for name in names.split()])


def wide() -> keras.Model:
    """Lines that are too long for one."""
    name = "a_name_that_takes_more_space_than_most_names"
    x = keras.Input((6, 2), name=name[:-6])
    y = L.Conv1D(4, 3, padding="same", groups=2, use_bias=False, activation="relu", name=name)(x)
    z = torch.nn.functional.pad(input=y, pad=[1, 2, 3, 4, 5, 6], mode="constant", value=1.5)
    return keras.Model(x, {f"{name} (1, [2": torch.cat([y, y * 2, y / 3], dim=-1), f"{name})": z})


CASES = {
    "dense": lambda: chain(L.Dense(5, "relu"), L.Dropout(0.3), L.Dense(2, use_bias=False)),
    "sequence": lambda: chain(
        L.Conv1D(5, 3, padding="causal", dilation_rate=2), L.ReLU(max_value=1.0, negative_slope=0.1),
        L.UpSampling1D(2), L.MaxPooling1D(), L.DepthwiseConv1D(2), L.SeparableConv1D(3, 2),
        L.Conv1DTranspose(2, 3, strides=2), L.GlobalMaxPooling1D(keepdims=True),
    ),
    "convolutions": convolutions,
    "volume": lambda: chain(
        L.Conv3D(3, 2), L.Conv3DTranspose(2, 2), L.AveragePooling3D(2), L.UpSampling3D(2),
        L.GlobalAveragePooling3D(), shape=(4, 4, 5, 2),
    ),
    "channels_first": first,
    "windows": lambda: image(
        L.ZeroPadding2D(((1, 0), (2, 1))), L.Cropping2D(1), L.UpSampling2D(2, None, "bilinear"),
        L.AdaptiveAveragePooling2D(3), L.PReLU(shared_axes=[1, 2]), L.GlobalMaxPooling2D(),
    ),
    "normalized": normalized,
    "activated": activated,
    "activation_layers": lambda: chain(
        L.LeakyReLU(0.2), L.ELU(0.5), L.Softmax(1), L.PReLU(shared_axes=[1, 2]),
        L.ActivityRegularization(0.1), L.Identity(), L.GaussianNoise(0.1), L.GaussianDropout(0.2),
        L.AlphaDropout(0.1),
    ),
    "shapes": lambda: chain(
        L.Permute((2, 1)), L.Reshape((4, -1)), L.EinsumDense("abc,cd->abd", (4, 3), bias_axes="d"),
        L.Flatten(), L.RepeatVector(3), L.TimeDistributed(L.Dense(2, "relu")),
        L.Reshape((2, 3, 1), name="r"), L.TimeDistributed(L.Conv1D(2, 2), name="steps"),
    ),
    "merging": merging,
    "embedding": lambda: chain(
        L.Embedding(9, 4), L.Bidirectional(L.LSTM(3, return_sequences=True)),
        L.Bidirectional(L.GRU(3, return_sequences=True), "ave"),
        L.Bidirectional(L.LSTM(3, return_sequences=True), "mul"), L.Bidirectional(L.GRU(2), "sum"),
        shape=(6,), dtype="int32",
    ),
    "recurrent": lambda: chain(
        L.LSTM(4, return_sequences=True), L.GRU(3, return_sequences=True, use_bias=False),
        L.SimpleRNN(3, activation="relu", return_sequences=True), L.SimpleRNN(2, go_backwards=True),
    ),
    "bidirectional": lambda: chain(L.Bidirectional(L.SimpleRNN(2))),
    "encoder_decoder": encoder_decoder,
    "attention": attention,
    "masked": masked,
    "masked_steps": masked_steps,
    "masked_attention": masked_attention,
    "loops": loops,
    "cells": cells,
    "pictures": pictures,
    "steps": steps,
    "spectral": lambda: image(
        L.SpectralNormalization(L.Conv2D(3, 2, padding="same", activation="relu"), 2), L.Flatten(),
        L.SpectralNormalization(L.Dense(2)),
    ),
    "prepared": lambda: chain(
        L.Rescaling(1 / 127.5, offset=-1.0), L.Normalization(mean=list(range(8)), variance=[2.0] * 8),
        L.Rescaling([0.5] * 8, 3), L.Normalization((1, 2), invert=True), L.Rescaling(-2),
    ),
    "thresholds": lambda: chain(
        L.ReLU(threshold=0.2), L.ReLU(1.0, 0.1, threshold=0.3), L.PReLU(), L.Softmax((1, 2)),
        L.UnitNormalization((1, 2)), L.LayerNormalization((1, -1)), L.Dropout(0.5, (None, 1, 8)),
    ),
    "functions": functions,
    "shared": shared,
    "stock": stock,
    "wide": wide,
    "bfloat16": lambda: keras.Sequential(
        [keras.Input((4,), dtype="bfloat16"), L.Dense(3, dtype="bfloat16")]
    ),
}  # fmt: skip


def moved(model: keras.Model) -> keras.Model:
    """With weights and statistics other than the first."""
    with torch.no_grad():
        for value in [*model.parameters(), *model.buffers()]:
            if value.is_floating_point():
                value.uniform_(0.1, 0.6)
    return model


def arguments(model: keras.Model, batch: int = 3) -> tuple:
    def draw(spec):
        sizes = [n or batch for n in spec.shape]
        if spec.dtype.is_floating_point:
            return torch.randn(sizes).to(spec.dtype)
        drawn = torch.randint(0, 9, sizes, dtype=spec.dtype)
        drawn[..., -1] = 1  # where 0 is masked, something is seen
        return drawn

    found = pytree.tree_map(draw, model.input)
    return found if isinstance(found, tuple) else (found,)


def close(a, b) -> None:
    assert pytree.tree_structure(a) == pytree.tree_structure(b)
    for x, y in zip(pytree.tree_leaves(a), pytree.tree_leaves(b), strict=True):
        torch.testing.assert_close(x, y, rtol=1e-5, atol=1e-5)


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory) -> dict[str, bool]:
    """Whether source and weights give the model's outputs, in a process without this package."""
    folder = tmp_path_factory.mktemp("sources")
    for name, make in CASES.items():
        model = moved(make())
        module = model.to_torch(folder / name)
        given = arguments(model)
        case = {"class": type(module).__name__, "arguments": given, "outputs": model(*given)}
        torch.save(case, folder / f"{name}.case")
    command = [sys.executable, "-W", "error", "-c", READER, str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    return json.loads(result.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", CASES)
def test_outputs_are_the_models(name) -> None:
    model = moved(CASES[name]())
    module = model.to_torch()
    given = arguments(model)
    close(module(*given), model(*given))


@pytest.mark.parametrize("name", CASES)
def test_the_source_needs_torch_alone(name, elsewhere) -> None:
    assert elsewhere[name] is True


@pytest.mark.parametrize("name", [
    "dense", "convolutions", "recurrent", "attention", "merging", "loops", "cells", "pictures",
    "thresholds",
])  # fmt: skip
def test_gradients_are_the_models(name) -> None:
    model = moved(CASES[name]())
    module = model.to_torch()
    found = []
    for each in (model, module):
        torch.manual_seed(1)
        given = pytree.tree_map(lambda t: t.requires_grad_(), arguments(model))
        outputs = pytree.tree_leaves(each(*given))
        sum((y * torch.linspace(0, 1, y.numel()).view_as(y)).sum() for y in outputs).backward()
        found.append([t.grad for t in pytree.tree_leaves(given)])
    close(found[1], found[0])


def test_the_source_is_as_ruff_wants_it(tmp_path) -> None:
    pytest.importorskip("ruff")
    for name, make in CASES.items():
        (tmp_path / f"{name}.py").write_text(make().to_torch().source)
    for command in (["check", "--select=E,F,I,W,B,UP,SIM"], ["format", "--check"]):
        options = ["--isolated", "--no-cache", "--line-length=100", str(tmp_path)]
        full = [sys.executable, "-m", "ruff", *command, *options]
        result = subprocess.run(full, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout[-2000:]


def test_the_module_is_of_torch() -> None:
    model = convolutions()
    module = model.to_torch()
    assert type(module).__mro__[1] is nn.Module
    assert all(type(m).__module__.startswith("torch.nn") for m in list(module.modules())[1:])
    assert [type(m).__name__ for m in module.children()] == [
        "Conv2d", "BatchNorm2d", "MaxPool2d", "Conv2d", "Sequential", "ConvTranspose2d", "Dropout2d",
        "AvgPool2d", "Conv2d",
    ]  # fmt: skip
    assert module.source.count("permute") == 2  # in and out
    assert not module.training


def test_it_trains_like_the_model() -> None:
    torch.manual_seed(0)
    model = chain(L.Dense(6, "tanh"), L.LSTM(4), L.Dense(2))
    module = model.to_torch()
    x, y = torch.randn(8, 6, 8), torch.randn(8, 2)
    for each in (model, module):
        optimizer = torch.optim.SGD(each.parameters(), 0.1)
        for _ in range(3):
            optimizer.zero_grad()
            F.mse_loss(each(x), y).backward()
            optimizer.step()
    close(module(x), model(x))


def test_frozen_weights_stay_frozen_and_modes_follow() -> None:
    model = chain(L.Dense(3, name="a"), L.Dense(2, name="b"), L.Dropout(0.5))
    model.get_layer("a").trainable = False
    model.train()
    module = model.to_torch()
    flags = {name: p.requires_grad for name, p in module.named_parameters()}
    assert flags == {"a.weight": False, "a.bias": False, "b.weight": True, "b.bias": True}
    assert module.training
    assert module.dropout.training


def test_shared_layers_stay_shared() -> None:
    model = shared()
    module = model.to_torch()
    assert module.inner_model.same is module.same
    assert len(list(module.parameters())) == len(list(model.parameters())) == 2
    inner = keras.Model(*(lambda x: (x, L.Dense(4, name="d")(x)))(keras.Input((4,))), name="inner")
    x = keras.Input((4,))
    middle = keras.Model(x, inner(x) + 1, name="middle")
    y = keras.Input((4,))
    outer = keras.Model(y, [middle(y), inner(y), inner.get_layer("d")(y)])
    module = outer.to_torch()
    assert module.inner is module.middle.inner
    assert module.d is module.inner.d
    close(module(torch.ones(2, 4)), outer(torch.ones(2, 4)))


def test_weights_are_copies_and_no_random_number_is_drawn() -> None:
    model = chain(L.Dense(3, name="a"))
    state = torch.get_rng_state()
    module = model.to_torch()
    assert torch.equal(torch.get_rng_state(), state)
    with torch.no_grad():
        module.a.weight.zero_()
    assert model.get_layer("a").kernel.abs().sum() > 0


@pytest.mark.parametrize(
    "name",
    ['x"""\nimport os\nos.abort()\n"""',
     'x", __import__("os").abort())(x) #', "a = __import__('os')", "forward", "class", "torch", "nn",
     "é{0}", "{m.__class__}", "1", "self", "inputs", "print", "source", "..", "a.b/c d"],
)  # fmt: skip
def test_names_become_identifiers(name) -> None:
    x = keras.Input((3,), name=name)
    y = L.Dense(2, name=f"{name}_")(x)
    for inputs in (x, {name: x}):
        model = keras.Model(inputs, {name: y, f"{name}2": y + 1}, name=f"{name}!")
        outer = keras.Model(inputs, model(inputs), name="outer")
        given = arguments(model)
        for each in (model, outer):
            module = each.to_torch()
            close(module(*given), each(*given))
            calls = [n for n in ast.walk(ast.parse(module.source)) if isinstance(n, ast.Import)]
            assert {alias.name for n in calls for alias in n.names} <= {
                "torch", "torch.nn.functional",
            }  # fmt: skip


def test_names_hide_no_helper() -> None:
    x = keras.Input((5, 3), name="with_states")
    y = L.LSTM(2, return_state=True, name="merged")(x)
    z = L.Bidirectional(L.GRU(2, return_state=True), name="MaskedRNN")(x)
    t = L.GRU(2, activation="relu", name="RNN")(x)
    model = keras.Model(x, [y, z, t], name="GRUCell")
    given = arguments(model)
    close(model.to_torch()(*given), model(*given))


class Own(L.Layer):
    def call(self, inputs):
        return inputs


class Evil(nn.Linear):
    def __repr__(self):
        return "Linear(__import__('os').abort())"


def evil() -> nn.Module:
    """A module of torch.nn whose text is not its constructor."""
    module = nn.Linear(8, 8)
    module.extra_repr = lambda: "__import__('os').abort()"
    return module


class OwnCell(L.GRUCell):
    def call(self, inputs, states):
        return inputs[:, :3], states


class OwnLSTM(L.LSTM):
    def call(self, sequences, **kwargs):
        return super().call(sequences, **kwargs) + 1


def torch_function(name):
    """A function that says that it is one of torch's."""

    def function(x):
        return x

    function.__name__ = name
    function.__module__ = "torch"
    return function


@pytest.mark.parametrize(
    ("layer", "says"),
    [
        (lambda: Own(name="mine"), r"class Own \('mine'\)"),
        (lambda: L.Lambda(lambda x: x * 2), "class Lambda"),
        (lambda: L.RNN(OwnCell(3)), "has a OwnCell inside"),
        (lambda: L.RNN([L.GRUCell(3), OwnCell(3)]), "has a OwnCell inside"),
        (lambda: L.Bidirectional(OwnLSTM(3)), "has OwnLSTM inside"),
        (lambda: L.Dense(3, activation=lambda x: x), "has the activation"),
        (lambda: L.LSTM(3, activation=torch_function("relu(x) or abort")), "has the activation"),
        (lambda: L.Masking(torch.zeros(8)), "no number"),
        (lambda: L.SpectralNormalization(L.DepthwiseConv1D(2)), "has DepthwiseConv1D inside"),
        (lambda: L.AlphaDropout(0.5, noise_shape=(None, 1, 8)), "noise_shape"),
        (lambda: Evil(8, 8), "Evil cannot be told"),
        (evil, "Linear cannot be told"),
    ],
)
def test_what_has_no_torch_code_is_named(layer, says) -> None:
    model = chain(layer())
    with pytest.raises(NotImplementedError, match=says) as error:
        model.to_torch()
    assert "model.export" in str(error.value)


def test_explicit_modes_are_refused() -> None:
    x = keras.Input((6, 8))
    for layer in (L.Dropout(0.5), chain(L.Dropout(0.5))):
        with pytest.raises(NotImplementedError, match="is called with training"):
            keras.Model(x, layer(x, training=True)).to_torch()


def test_masks_and_states_that_are_refused() -> None:
    tokens = keras.Input((4,), dtype="int32")
    x = L.Embedding(5, 3, mask_zero=True)(tokens)
    for y, says in [
        (L.RNN([L.StackedRNNCells([L.GRUCell(2)])])(x), "a stack of cells within a stack"),
        (L.Bidirectional(L.RNN([L.GRUCell(2)]))(x), "has stacks of cells inside"),
        (L.RNN([L.GRUCell(2)], return_state=True)(x)[0], "the states of a stack"),
        (L.Multiply()([x, x]), "is called with mask"),
    ]:
        with pytest.raises(NotImplementedError, match=says):
            keras.Model(tokens, y).to_torch()
    x, h = keras.Input((3,)), keras.Input((4,))
    with pytest.raises(NotImplementedError, match="a list of states"):
        keras.Model([x, h], L.GRUCell(4)(x, h)).to_torch()
    x = keras.Input(batch_shape=(2, 5, 3))
    with pytest.raises(NotImplementedError, match="is stateful"):
        keras.Model(x, L.LSTM(4, stateful=True)(x)).to_torch()
    x = keras.Input(batch_shape=(2, 5, 3, 1))
    for more in ({"stateful": True}, {"zero_output_for_mask": True}):
        with pytest.raises(NotImplementedError, match=r"ConvLSTM1D .* is stateful, or gives zeros"):
            keras.Model(x, L.ConvLSTM1D(4, 2, **more)(x)).to_torch()
    x = keras.Input((5, 3, 1))
    with pytest.raises(NotImplementedError, match="has ConvLSTM1D inside"):
        keras.Model(x, L.Bidirectional(L.ConvLSTM1D(4, 2))(x)).to_torch()


def test_spectral_normalization_trains_like_the_layer() -> None:
    model = moved(chain(L.SpectralNormalization(L.Dense(4, name="d"), 3, name="s")))
    module = model.to_torch()
    x = torch.randn(2, 6, 8)
    for _ in range(3):
        close(module.train()(x), model(x, training=True))
    layer = model.get_layer("s")
    close(module.s.layer.weight.detach(), layer.layer.kernel.detach().T)
    close(module.s.u, layer.vector_u.detach())


@pytest.mark.parametrize("layer", [L.Dropout(0.5, (None, 1, 8)), L.Dropout(0.5)])
def test_dropout_keeps_the_mean_and_what_is_shared(layer) -> None:
    module = chain(layer, shape=(50, 8)).to_torch().train()
    y = module(torch.ones(200, 50, 8))
    assert sorted(y.unique().tolist()) == [0.0, 2.0]
    assert abs(y.mean().item() - 1) < 0.15
    assert bool((y == y[:, :1]).all()) is (layer.noise_shape is not None)


class Subclassed(keras.Model):
    def call(self, x):
        return x


def test_models_that_cannot_be_written() -> None:
    with pytest.raises(TypeError, match=r"model\.export"):
        Subclassed().to_torch()
    with pytest.raises(ValueError, match="is not built"):
        keras.Sequential([L.Dense(2)]).to_torch()
    with pytest.raises(ValueError, match="computes in bfloat16"):
        chain(L.Dense(2, dtype="mixed_bfloat16")).to_torch()
    with pytest.raises(ValueError, match="several dtypes"):
        chain(L.Dense(2, dtype="bfloat16"), L.Dense(2)).to_torch()


#: Layers without an entry: bases, inputs, and what runs a function of the user's; besides, those
#: that prepare data.
LEFT_OUT = {"Layer", "InputLayer", "Wrapper", "Lambda", "TorchModuleWrapper", "ReversibleEmbedding"}


def test_every_layer_has_an_entry_or_is_left_out_by_name() -> None:
    found = [c for c in vars(L).values() if isinstance(c, type) and issubclass(c, nn.Module)]
    classes = {c.__name__ for c in found if "._preprocessing" not in c.__module__}
    assert classes - {c.__name__ for c in TABLE} == LEFT_OUT


def test_the_table_of_layers() -> None:
    """All configurations of all layers, but for those of `REFUSED`."""
    refused = set()
    for case in FEW:
        inputs = [keras.Input(s[1:], dtype="int32" if case.indices else None) for s in case.shapes]
        given = [t.int() if case.indices else t for t in case.tensors()]
        layer = case.ours()
        if "._preprocessing" in type(layer).__module__:
            continue
        model = keras.Model(inputs, layer(*case.packed(inputs)))
        try:
            module = model.to_torch()
        except NotImplementedError:
            refused.add(str(case))
        else:
            close(module(given), model(given))
    assert {name.split("(")[0] for name in refused} == {"Lambda", "AlphaDropout"}
    assert len(refused) == 3


def test_files(tmp_path) -> None:
    model = chain(L.Dense(2))
    module = model.to_torch(tmp_path / "net.py")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net.pt", "net.py"]
    assert (tmp_path / "net.py").read_text() == module.source
    assert list(torch.load(tmp_path / "net.pt", weights_only=True)) == list(module.state_dict())
