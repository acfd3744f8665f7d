"""Mistakes that training loops are known for, one test each: modes, names, copies, seeds, kernels.

Tested in more depth elsewhere: the module contract in tests/models/test_module_contract.py, values
of every layer against Keras in tests/layers/test_layer_oracle.py.
"""

import copy
import io
import itertools
import pickle

import keras as oracle
import numpy as np
import pytest
import torch
from torch import nn

import kerastorch as keras
from kerastorch import layers

RNG = np.random.default_rng(5)
X = RNG.normal(size=(24, 6)).astype("float32")
Y = RNG.integers(0, 3, size=24)


class Own(keras.Model):
    """torch modules inside, and a `call` that knows nothing of modes."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5))
        self.head = layers.Dense(3)

    def call(self, inputs):
        return self.head(self.body(inputs))


def functional(nested: bool = False) -> keras.Model:
    inputs = keras.Input((6,))
    h = nn.Dropout(0.5)(nn.BatchNorm1d(8)(layers.Dense(8)(inputs)))
    if nested:
        h = layers.Dropout(0.5)(layers.BatchNormalization()(h))
        return keras.Model(inputs, layers.Dense(3)(keras.Model(inputs, h)(inputs)))
    return keras.Model(inputs, layers.Dense(3)(h))


def compiled(model: keras.Model, optimizer="sgd") -> keras.Model:
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=["accuracy"])
    return model


KINDS = {
    "subclass": Own,
    "functional": functional,
    "nested": lambda: functional(nested=True),
    "sequential": lambda: keras.Sequential(
        [keras.Input((6,)), nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), layers.Dense(3)]
    ),
}


def buffers(model: nn.Module) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in model.state_dict().items() if "running" in k or "moving" in k}


# -- modes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_predict_and_evaluate_change_nothing_and_repeat(kind: str) -> None:
    model = compiled(KINDS[kind]())
    model.fit(X, Y, verbose=0)
    before = buffers(model)
    assert before
    np.testing.assert_array_equal(model.predict(X), model.predict(X))
    assert model.evaluate(X, Y, verbose=0) == model.evaluate(X, Y, verbose=0)
    for key, value in buffers(model).items():
        assert torch.equal(value, before[key]), key
    model.fit(X, Y, verbose=0)
    assert any(not torch.equal(v, before[k]) for k, v in buffers(model).items())


def test_a_frozen_batch_normalization_keeps_its_statistics() -> None:
    inputs = keras.Input((6,))
    norm = layers.BatchNormalization()
    model = compiled(keras.Model(inputs, layers.Dense(3)(norm(inputs))))
    norm.trainable = False
    before = [w.copy() for w in norm.get_weights()]
    kernel = model.get_weights()[-2].copy()
    model.fit(X * 5 + 3, Y, epochs=2, verbose=0)
    for a, b in zip(norm.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(model.get_weights()[-2], kernel)


def test_what_the_user_puts_in_evaluation_mode_stays_there() -> None:
    model = compiled(Own())
    model.build((None, 6))
    model.train()
    norm = model.body[1]
    norm.eval()
    before = norm.running_mean.clone()
    model.fit(X, Y, epochs=2, verbose=0, validation_data=(X, Y))
    assert torch.equal(norm.running_mean, before)
    assert not norm.training


def test_every_module_gets_its_own_flag_back() -> None:
    model = compiled(Own())
    model.build((None, 6))
    for method in (
        lambda: model.fit(X, Y, verbose=0, validation_split=0.2),
        lambda: model.evaluate(X, Y, verbose=0),
        lambda: model.predict(X),
        lambda: model.train_on_batch(X, Y),
        lambda: model.test_on_batch(X, Y),
    ):
        model.train()
        model.body[3].eval()
        flags = {name: module.training for name, module in model.named_modules()}
        method()
        assert {name: module.training for name, module in model.named_modules()} == flags
        model.eval()
        method()
        assert not any(module.training for module in model.modules())


# -- compilation -----------------------------------------------------------------------------------


def test_torch_compile_leaves_the_keys_alone() -> None:
    model = compiled(functional())
    keys = list(model.state_dict())
    twin = compiled(functional())
    fast = torch.compile(model, backend="eager")
    fast(torch.from_numpy(X))
    model.fit(X, Y, verbose=0)
    assert list(model.state_dict()) == keys
    assert not any("_orig_mod" in key or "module." in key for key in keys)
    twin.load_state_dict(model.state_dict(), strict=True)
    twin.load_state_dict(fast._orig_mod.state_dict(), strict=True)


def test_small_last_batches_and_modes_make_few_graphs() -> None:
    torch._dynamo.reset()
    graphs = []

    def count(graph, inputs):
        graphs.append(graph)
        return graph.forward

    model = functional()
    fast = torch.compile(model, backend=count, fullgraph=True)
    for _ in range(3):
        for training in (True, False):
            model.train(training)
            for rows in (16, 8):  # and the last batch
                fast(torch.from_numpy(X[:rows]))
    assert len(graphs) <= 4  # two modes, two sizes (or one dynamic one)
    torch._dynamo.reset()


# -- copies and names ------------------------------------------------------------------------------


def by_torch_save(model):
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


COPIES = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "torch.save": by_torch_save,
}


@pytest.mark.parametrize("way", COPIES)
def test_a_copy_goes_on_training_as_the_original_would(way: str) -> None:
    inputs = keras.Input((6,))
    model = compiled(keras.Model(inputs, layers.Dense(3)(inputs)), "adam")
    model.fit(X, Y, shuffle=False, verbose=0)
    twin = COPIES[way](model)
    assert int(twin.optimizer.iterations) == int(model.optimizer.iterations) == 1
    for each in (model, twin):
        each.fit(X, Y, epochs=2, shuffle=False, verbose=0)
    for a, b in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    kernel = model.get_weights()[0].copy()
    twin.fit(X, Y, verbose=0)
    np.testing.assert_array_equal(model.get_weights()[0], kernel)


@pytest.mark.parametrize("kind", KINDS)
def test_two_instances_exchange_their_state(kind: str) -> None:
    first, second = compiled(KINDS[kind]()), compiled(KINDS[kind]())
    for model in (first, second):
        model.build((None, 6))
    second.load_state_dict(first.state_dict(), strict=True)
    np.testing.assert_array_equal(first.predict(X), second.predict(X))
    tensors = [v.data_ptr() for v in first.state_dict().values()]
    assert len(set(tensors)) == len(tensors)


def test_metrics_and_losses_given_to_compile_are_no_part_of_the_model() -> None:
    inputs = keras.Input((6,))
    model = keras.Model(inputs, layers.Dense(3)(inputs))
    keys = list(model.state_dict())
    metric = keras.metrics.SparseCategoricalAccuracy(name="hits")
    for metrics in ([metric], [[metric]], {model.output_names[0]: [metric]}):
        model.compile("sgd", nn.CrossEntropyLoss(weight=torch.ones(3)), metrics=metrics)
        model.fit(X, Y, verbose=0)
        assert model.metrics_names == ["loss", "hits"]
        assert list(model.state_dict()) == keys
        assert metric not in list(model.modules())


# -- seeds and kernels -----------------------------------------------------------------------------


def test_torch_s_seed_governs_initial_weights() -> None:
    def weights(seed):
        torch.manual_seed(seed)
        return functional(nested=True).get_weights()

    for a, b in zip(weights(7), weights(7), strict=True):
        np.testing.assert_array_equal(a, b)
    assert any(not np.array_equal(a, b) for a, b in zip(weights(7), weights(8), strict=True))


GRID = list(itertools.product(["same", "valid"], [1, 2, 3], [1, 2], [2, 3], [7, 8]))


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_convolutions_have_right_values_not_only_right_shapes(padding: str) -> None:
    """Padding, stride, dilation, odd and even kernels and sizes."""
    for _, stride, dilation, kernel, size in (case for case in GRID if case[0] == padding):
        if stride > 1 and dilation > 1:
            continue
        options = {"strides": stride, "dilation_rate": dilation, "padding": padding}
        x = RNG.normal(size=(2, size, size, 3)).astype("float32")
        ours, theirs = (
            layers.Conv2D(4, kernel, **options),
            oracle.layers.Conv2D(4, kernel, **options),
        )
        theirs.build(x.shape)
        ours.build(x.shape)
        ours.set_weights([np.asarray(w) for w in theirs.get_weights()])
        expected = theirs(x).detach().numpy()
        np.testing.assert_allclose(
            ours(torch.from_numpy(x)).detach().numpy(), expected, rtol=1e-5, atol=1e-5,
            err_msg=f"{options}, kernel {kernel}, size {size}",
        )  # fmt: skip
