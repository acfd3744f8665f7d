"""What a PyTorch engineer expects of a module, one test an expectation."""

import copy
import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributed.fsdp import fully_shard
from torch.nn.utils import prune

import kerastorch as keras
from kerastorch import layers


class Net(keras.Model):
    """A subclassed model that mixes Keras layers, stock modules, parameters and containers."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = layers.Dense(8, activation="relu")
        self.stock = nn.Linear(8, 8)
        self.norm = layers.BatchNormalization()
        self.blocks = [nn.Linear(8, 8), layers.Dense(8)]
        self.by_name = {"a": layers.Dense(8)}
        self.scale = nn.Parameter(torch.ones(8))
        self.drop = nn.Dropout(0.5)
        self.scores = layers.Dense(3)

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        x = self.norm(torch.relu(self.stock(self.hidden(inputs))))
        for block in self.blocks:
            x = block(x)
        return self.scores(self.drop(self.by_name["a"](x) * self.scale))


def functional() -> keras.Model:
    inputs = keras.Input((4,), name="features")
    x = layers.Dense(8, activation="relu")(inputs)
    x = layers.BatchNormalization()(x)
    x = nn.Linear(8, 8, bias=False)(x)  # the normalization would cancel a bias
    x = nn.BatchNorm1d(8)(x)
    x = nn.Dropout(0.5)(x)
    x = layers.Dropout(0.5)(x)
    return keras.Model(inputs, layers.Dense(3, name="scores")(x))


def sequential() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(8),
            nn.BatchNorm1d(8),
            layers.Dropout(0.5),
            layers.Dense(3),
        ]
    )


def subclassed() -> keras.Model:
    model = Net()
    model.build((None, 4))
    return model


MODELS = pytest.mark.parametrize("make", [functional, sequential, subclassed])
X = torch.randn(16, 4, generator=torch.Generator().manual_seed(1))
Y = torch.randn(16, 3, generator=torch.Generator().manual_seed(2))


def trained(make) -> keras.Model:
    model = make()
    model.compile(optimizer="sgd", loss="mse")
    model.fit(X, Y, epochs=2, batch_size=6, verbose=0)
    return model


@MODELS
def test_starts_in_eval_mode_and_flags_switch_everything(make) -> None:
    model = make()
    assert not any(module.training for module in model.modules())
    torch.testing.assert_close(model(X), model(X), rtol=0, atol=0)
    model.train()
    assert all(module.training for module in model.modules())
    assert not torch.equal(model(X), model(X))
    model.eval()
    torch.testing.assert_close(model(X), model(X), rtol=0, atol=0)


@MODELS
def test_explicit_training_holds_for_one_call(make) -> None:
    model = make()
    assert not torch.equal(model(X, training=True), model(X, training=True))
    assert not any(module.training for module in model.modules())
    model.train()
    torch.testing.assert_close(model(X, training=False), model(X, training=False), rtol=0, atol=0)
    assert all(module.training for module in model.modules())


@MODELS
def test_evaluate_and_predict_are_repeatable_and_change_nothing(make) -> None:
    model = trained(make)
    before = copy.deepcopy(model.state_dict())
    np.testing.assert_array_equal(model.predict(X), model.predict(X))
    first = model.evaluate(X, Y, verbose=0)
    assert first == model.evaluate(X, Y, verbose=0)
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key]), key


@MODELS
def test_fit_trains_every_module_and_restores_flags(make) -> None:
    model = make()
    before = copy.deepcopy(dict(model.named_parameters()))
    model.compile(optimizer="sgd", loss="mse")
    model.fit(X, Y, epochs=3, verbose=0)
    assert not any(module.training for module in model.modules())
    for key, value in model.named_parameters():
        assert not torch.equal(value, before[key]), key
    model.train()
    model.fit(X, Y, verbose=0)
    assert all(module.training for module in model.modules())


def test_submodule_held_in_eval_survives_fit() -> None:
    model = subclassed()
    model.norm.eval()
    before = model.norm.moving_mean.clone()
    model.compile(optimizer="sgd", loss="mse")
    model.fit(X, Y, verbose=0)
    assert torch.equal(model.norm.moving_mean, before)
    model.norm.train()
    model.fit(X, Y, verbose=0)
    assert not torch.equal(model.norm.moving_mean, before)


def test_stock_module_held_in_eval_survives_fit() -> None:
    stock = nn.BatchNorm1d(4).eval()
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(3)(stock(inputs)))
    model.compile(optimizer="sgd", loss="mse")
    model.fit(X, Y, verbose=0)
    assert torch.equal(stock.running_mean, torch.zeros(4))
    model = keras.Sequential([keras.Input((4,)), nn.BatchNorm1d(4), layers.Dense(3)])
    model.train()
    model.layers[0].eval()
    model.compile(optimizer="sgd", loss="mse")
    model.fit(X, Y, verbose=0)
    assert torch.equal(model.layers[0].running_mean, torch.zeros(4))
    assert model.training
    assert not model.layers[0].training


def test_frozen_batch_normalization_keeps_its_statistics() -> None:
    model = subclassed()
    model.norm.trainable = False
    before = copy.deepcopy(model.norm.state_dict())
    model.compile(optimizer="sgd", loss="mse")
    model.fit(X, Y, verbose=0)
    for key, value in model.norm.state_dict().items():
        assert torch.equal(value, before[key])


def test_state_dict_keys_are_attribute_paths_once_each() -> None:
    keys = list(subclassed().state_dict())
    assert keys == [
        "scale",
        "hidden.kernel",
        "hidden.bias",
        "stock.weight",
        "stock.bias",
        "norm.gamma",
        "norm.beta",
        "norm.moving_mean",
        "norm.moving_variance",
        "blocks.0.weight",
        "blocks.0.bias",
        "blocks.1.kernel",
        "blocks.1.bias",
        "by_name.a.kernel",
        "by_name.a.bias",
        "scores.kernel",
        "scores.bias",
    ]


@MODELS
def test_state_dict_of_one_instance_loads_into_another(make) -> None:
    model, other = trained(make), make()
    assert not torch.equal(model(X), other(X))
    assert other.load_state_dict(model.state_dict(), strict=True)
    torch.testing.assert_close(model(X), other(X), rtol=0, atol=0)


def test_statistics_are_buffers_and_metrics_stay_out() -> None:
    model = trained(subclassed)
    assert {name for name, _ in model.named_buffers()} == {
        "norm.moving_mean",
        "norm.moving_variance",
    }
    assert sum(p.numel() for p in model.parameters()) == model.count_params() - 16


@MODELS
def test_module_tree_is_real(make) -> None:
    model = make()
    kinds = {type(module) for module in model.modules()}
    assert layers.Dense in kinds
    assert kinds & {nn.Linear, nn.BatchNorm1d}
    visited = []
    model.apply(lambda module: visited.append(type(module)))
    assert nn.Linear in visited or nn.BatchNorm1d in visited


def test_containers_are_tracked_when_they_change() -> None:
    class Grow(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.steps = []
            for _ in range(2):
                self.steps.append(nn.Linear(2, 2))

    layer = Grow()
    assert len(list(layer.parameters())) == 4
    layer.steps.append(layers.Dense(2))
    layer.steps[2].build((None, 2))
    assert "steps.2.kernel" in layer.state_dict()
    layer.steps.pop()
    assert len(layer.state_dict()) == 4
    layer.steps = [nn.Linear(1, 1)]
    assert list(layer.state_dict()) == ["steps.0.weight", "steps.0.bias"]


def test_parameters_of_an_unbuilt_model_raise_until_built() -> None:
    model = Net()
    with pytest.raises(ValueError, match="not built"):
        torch.optim.Adam(model.parameters())
    model.build((None, 4))
    torch.optim.Adam(model.parameters())


def test_keras_layer_inside_nn_sequential() -> None:
    stack = nn.Sequential(layers.Dense(5), nn.ReLU(), layers.Dense(2))
    assert stack(X).shape == (16, 2)
    assert len(list(stack.parameters())) == 4
    stack(X).sum().backward()
    assert all(p.grad is not None for p in stack.parameters())


@pytest.mark.parametrize(
    "optimizer",
    [
        torch.optim.Adam,
        lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9),
    ],
)
def test_torch_optimizer_classes_and_factories(optimizer) -> None:
    model = functional()
    before = copy.deepcopy(model.state_dict())
    model.compile(optimizer=optimizer, loss=nn.MSELoss())
    model.fit(X, Y, verbose=0)
    assert isinstance(model.optimizer, torch.optim.Optimizer)
    assert not torch.equal(before["scores.kernel"], model.state_dict()["scores.kernel"])


def test_torch_optimizer_instance_equals_plain_loop() -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(8, "tanh"), layers.Dense(3)])
    twin = copy.deepcopy(model)
    model.compile(optimizer=torch.optim.Adam(model.parameters(), lr=0.01), loss=nn.MSELoss())
    model.fit(X, Y, batch_size=4, epochs=2, shuffle=False, verbose=0)
    optimizer = torch.optim.Adam(twin.parameters(), lr=0.01)
    for _ in range(2):
        for x, y in zip(X.split(4), Y.split(4), strict=True):
            optimizer.zero_grad()
            nn.functional.mse_loss(twin(x), y).backward()
            optimizer.step()
    for a, b in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_torch_cross_entropy_takes_labels_untouched() -> None:
    labels = torch.arange(16) % 3
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    model.compile(optimizer="sgd", loss=nn.CrossEntropyLoss(), metrics=["accuracy"])
    loss, accuracy = model.evaluate(X, labels, verbose=0)
    logits = torch.from_numpy(model.predict(X))
    assert loss == pytest.approx(nn.functional.cross_entropy(logits, labels).item(), abs=1e-6)
    assert accuracy == pytest.approx((logits.argmax(1) == labels).float().mean().item())


def test_requires_grad_and_trainable_are_one_truth() -> None:
    model = subclassed()
    model.hidden.requires_grad_(False)
    assert not model.hidden.trainable
    assert all(w is not model.hidden.kernel for w in model.trainable_weights)
    model.hidden.trainable = True
    assert model.hidden.kernel.requires_grad
    model.stock.requires_grad_(False)
    before = copy.deepcopy(model.stock.state_dict())
    model.compile(optimizer="sgd", loss="mse")
    model.fit(X, Y, verbose=0)
    assert torch.equal(model.stock.weight, before["weight"])


@MODELS
def test_conversion_of_dtype(make) -> None:
    model = make().double()
    assert model(X.double()).dtype == torch.float64
    assert all(p.dtype == torch.float64 for p in model.parameters())
    model = make().bfloat16()
    assert model(X.bfloat16()).dtype == torch.bfloat16
    assert model(X).dtype == torch.bfloat16
    half = keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.Activation("relu")]).half()
    assert half(X.half()).dtype == torch.float16


@MODELS
def test_autocast_is_honoured(make) -> None:
    model = make()
    with torch.autocast("cpu", torch.bfloat16):
        assert model(X).dtype == torch.bfloat16
    assert model(X).dtype == torch.float32


@MODELS
def test_meta_device(make) -> None:
    model = make().to("meta")
    assert {t.device.type for t in model.state_dict().values()} == {"meta"}
    assert model(X.to("meta")).device.type == "meta"
    assert all(isinstance(w, keras.Variable | nn.Parameter | torch.Tensor) for w in model.weights)
    dense = next(m for m in model.modules() if isinstance(m, layers.Dense))
    assert isinstance(dense.kernel, keras.Variable)


def test_hooks_fire_once_a_batch_and_never_while_building() -> None:
    fired = []
    stock = nn.Linear(4, 4)
    stock.register_forward_hook(lambda *_: fired.append("stock"))
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(3)(stock(inputs)))
    assert fired == []
    model.register_forward_hook(lambda *_: fired.append("model"))
    model.layers[-1].register_full_backward_hook(lambda *_: fired.append("back"))
    model.compile(optimizer="sgd", loss="mse")
    model.fit(X, Y, batch_size=8, verbose=0)
    assert sorted(fired) == sorted(["stock", "model", "back"] * 2)


@MODELS
def test_torch_compile_full_graph(make) -> None:
    model = make()
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(X), model(X))
    assert list(compiled._orig_mod.state_dict()) == list(model.state_dict())


def test_torch_compile_with_inductor() -> None:
    model = functional()
    compiled = torch.compile(model, fullgraph=True)
    torch.testing.assert_close(compiled(X), model(X))
    loss = (compiled(X) - Y).square().mean()
    expected = torch.autograd.grad((model(X) - Y).square().mean(), list(model.parameters()))
    for a, b in zip(torch.autograd.grad(loss, list(model.parameters())), expected, strict=True):
        torch.testing.assert_close(a, b)


@MODELS
def test_export_with_dynamic_batch(make) -> None:
    model = make()
    batch = torch.export.Dim("batch")
    program = torch.export.export(model, (X,), dynamic_shapes=({0: batch},))
    torch.testing.assert_close(program.module()(X[:5]), model(X[:5]))


@pytest.mark.parametrize("make", [functional, sequential])
def test_graph_models_are_fx_graph_modules(make) -> None:
    model = make()
    assert isinstance(model, torch.fx.GraphModule)
    assert "def forward(self" in model.code
    traced = torch.fx.symbolic_trace(model)
    torch.testing.assert_close(traced(X), model(X))


def test_graph_can_be_edited() -> None:
    inputs = keras.Input((4,))
    model = keras.Model(inputs, torch.relu(layers.Dense(3)(inputs)))
    before = model(X)
    for node in model.graph.nodes:
        if node.target is torch.relu:
            node.target = torch.neg
    model.recompile()
    assert torch.equal(torch.relu(-model(X)), before)


@MODELS
def test_weights_only_checkpoint(make, tmp_path: Path) -> None:
    model, other = trained(make), make()
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    other.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    torch.testing.assert_close(model(X), other(X), rtol=0, atol=0)


@MODELS
def test_deepcopy_pickle_and_torch_save(make, tmp_path: Path) -> None:
    model = trained(make)
    torch.save(model, tmp_path / "model.pt")
    copies = [
        copy.deepcopy(model),
        pickle.loads(pickle.dumps(model)),
        torch.load(tmp_path / "model.pt", weights_only=False),
    ]
    expected = model(X)
    for twin in copies:
        assert type(twin).__name__ == type(model).__name__
        assert torch.equal(twin(X), expected)
        twin.fit(X, Y, verbose=0)
        assert not torch.equal(twin(X), expected)
        assert torch.equal(model(X), expected)
    for weight, twin in zip(model.parameters(), copies[0].parameters(), strict=True):
        assert weight.stride() == twin.stride()


@MODELS
def test_no_gradients_are_left_after_fit(make) -> None:
    model = trained(make)
    assert all(p.grad is None for p in model.parameters())


def test_parameter_order_is_deterministic() -> None:
    assert [n for n, _ in subclassed().named_parameters()] == [
        n for n, _ in subclassed().named_parameters()
    ]
    torch.manual_seed(3)
    a = functional().get_weights()
    torch.manual_seed(3)
    b = functional().get_weights()
    for u, v in zip(a, b, strict=True):
        np.testing.assert_array_equal(u, v)


def test_added_losses_are_those_of_the_last_call() -> None:
    class Penalty(layers.Layer):
        def call(self, inputs: torch.Tensor) -> torch.Tensor:
            self.add_loss(inputs.sum())
            return inputs

    inputs = keras.Input((4,))
    model = keras.Model(inputs, Penalty()(inputs))
    assert model.losses == []
    for _ in range(3):
        model(X)
        assert len(model.losses) == 1
    torch.testing.assert_close(model.losses[0], X.sum())


def test_shape_errors_name_the_layer() -> None:
    model = subclassed()
    with pytest.raises(ValueError, match=r"Dense 'dense.*\(16, 5\).*built for 4 features"):
        model(torch.zeros(16, 5))


def attention_model() -> keras.Model:
    inputs = keras.Input((5, 4))
    x = layers.LayerNormalization()(layers.MultiHeadAttention(2, 3)(inputs, inputs) + inputs)
    return keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))


def test_tools_that_flatten_parameters() -> None:
    model = attention_model()
    x, y = torch.randn(8, 5, 4), torch.randn(8, 2)
    flat = nn.utils.parameters_to_vector(model.parameters())
    nn.utils.vector_to_parameters(flat * 0.5, model.parameters())
    assert torch.equal(nn.utils.parameters_to_vector(model.parameters()), flat * 0.5)
    model.compile(torch.optim.SGD(model.parameters(), lr=0.0), "mse")
    before = model.evaluate(x, y, verbose=0)
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=20)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = (model(x) - y).square().mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    assert model.evaluate(x, y, verbose=0) < before / 2
    prune.l1_unstructured(model.layers[-1], "kernel", amount=0.5)
    assert int((model.layers[-1].kernel == 0).sum()) == model.layers[-1].kernel.numel() // 2


def test_parametrized_layers_are_copied() -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    nn.utils.parametrizations.orthogonal(model.layers[0], "kernel")
    twin = copy.deepcopy(model)
    x = torch.randn(2, 4)
    assert torch.equal(twin(x), model(x))
    model.compile("sgd", "mse")
    model.fit(x, torch.randn(2, 3), verbose=0)
    kernel = model.layers[0].kernel
    torch.testing.assert_close(kernel.T @ kernel, torch.eye(3))
    assert not torch.equal(twin(x), model(x))


@pytest.fixture
def process_group() -> Iterator[None]:
    store = torch.distributed.HashStore()
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.filterwarnings("ignore:FSDP2-wrapped module")  # which gives a view, as most do
@pytest.mark.parametrize("wrapper", ["DDP", "FSDP2"])
def test_wrappers_of_torch_distributed(wrapper: str, process_group: None) -> None:
    """In a loop of one's own the model is trained as it is without them."""
    plain = attention_model()
    model = copy.deepcopy(plain)
    if wrapper == "DDP":
        wrapped: nn.Module = nn.parallel.DistributedDataParallel(model)
    else:
        mesh = torch.distributed.device_mesh.init_device_mesh("cpu", (1,))
        for layer in model.layers:
            if list(layer.parameters()):
                fully_shard(layer, mesh=mesh)
        wrapped = fully_shard(model, mesh=mesh)
    x, y = torch.randn(8, 5, 4), torch.randn(8, 2)
    for module in (plain, wrapped):
        optimizer = torch.optim.AdamW(module.parameters(), lr=0.01)
        module.train()
        for _ in range(3):
            optimizer.zero_grad()
            nn.functional.mse_loss(module(x), y).backward()
            optimizer.step()
    for one, other in zip(plain.parameters(), model.parameters(), strict=True):
        other = other.full_tensor() if wrapper == "FSDP2" else other
        torch.testing.assert_close(one, other)
