"""`to_torch`: the same outputs, and source that runs where this package does not exist."""

import ast
import json
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
        return torch.randint(1, 9, sizes, dtype=spec.dtype)

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


@pytest.mark.parametrize("name", ["dense", "convolutions", "recurrent", "attention", "merging"])
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


@pytest.mark.parametrize(
    ("layer", "says"),
    [
        (lambda: Own(name="mine"), r"class Own \('mine'\)"),
        (lambda: L.Lambda(lambda x: x * 2), "class Lambda"),
        (lambda: L.LSTM(3, activation="relu"), "other activations"),
        (lambda: L.Dense(3, activation=lambda x: x), "has the activation"),
        (lambda: L.Dropout(0.5, noise_shape=(None, 1, 8)), "noise_shape"),
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


def test_masked_recurrence_is_refused() -> None:
    with pytest.raises(NotImplementedError, match="is called with mask"):
        chain(L.Embedding(5, 3, mask_zero=True), L.LSTM(2), shape=(4,), dtype="int32").to_torch()


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


#: Layers without an entry: bases, inputs, cells, what runs a function of the user's, and what acts on
#: masks; the others wait for somebody who needs them.
LEFT_OUT = {
    "Layer", "InputLayer", "Wrapper", "Lambda", "RNN", "GRUCell", "LSTMCell", "SimpleRNNCell",
    "StackedRNNCells", "Masking", "SpectralNormalization", "AdditiveAttention", "GroupQueryAttention",
}  # fmt: skip


def test_every_layer_has_an_entry_or_is_left_out_by_name() -> None:
    classes = {c.__name__ for c in vars(L).values() if isinstance(c, type)}
    assert classes - {c.__name__ for c in TABLE} == LEFT_OUT


def test_files(tmp_path) -> None:
    model = chain(L.Dense(2))
    module = model.to_torch(tmp_path / "net.py")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net.pt", "net.py"]
    assert (tmp_path / "net.py").read_text() == module.source
    assert list(torch.load(tmp_path / "net.pt", weights_only=True)) == list(module.state_dict())
