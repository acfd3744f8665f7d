"""The shortcut past what surrounds the calls of layers: the same numbers, and off where anybody would notice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import kerastorch as keras
from kerastorch import layers
from kerastorch.layers import Layer
from kerastorch.models._direct import direct

X = np.random.default_rng(0).normal(size=(50, 6)).astype("float32")
TOKENS = np.random.default_rng(1).integers(0, 5, (50, 7))
Y = np.random.default_rng(2).integers(0, 3, 50)


class Listener(keras.callbacks.Callback):
    """Code of the user's that hears of every batch."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        pass

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        pass

    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
        pass


def dense() -> Any:
    x = keras.Input((6,))
    h = layers.Dense(8, activation="relu")(x)
    h = layers.BatchNormalization()(h)
    h = layers.Dropout(0.3)(h)
    return keras.Model(x, layers.Dense(3, activation="softmax")(h))


def shared_and_nested() -> Any:
    inner = keras.Sequential([keras.Input((6,)), layers.Dense(6), layers.Dropout(0.2)])
    x = keras.Input((6,))
    again = layers.Dense(6, activation="tanh")
    scale = nn.Parameter(torch.full((6,), 0.5))
    h = again(again(x)) + inner(x) * scale
    h = layers.Concatenate()([h, torch.sigmoid(x), nn.Linear(6, 2)(x)])
    return keras.Model(x, layers.Dense(3, activation="softmax")(h))


def masked() -> Any:
    x = keras.Input((7,), dtype="int64")
    h = layers.Embedding(5, 4, mask_zero=True)(x)
    h = layers.LSTM(5, dropout=0.2)(h)
    return keras.Model(x, layers.Dense(3, activation="softmax")(h))


def mixed() -> Any:
    x = keras.Input((6,))
    h = layers.Dense(8, dtype="mixed_bfloat16")(x)
    h = layers.Dense(8, dtype="float64")(h)
    return keras.Model(x, layers.Dense(3, activation="softmax", dtype="float32")(h))


def with_losses() -> Any:
    x = keras.Input((6,))
    h = layers.Dense(8, activity_regularizer="l2", kernel_regularizer="l1")(x)
    h = layers.ActivityRegularization(l1=0.1)(h)
    model = keras.Model(x, layers.Dense(3, activation="softmax")(h))
    model.add_loss(torch.mean(h**2))
    model.add_metric(torch.mean(h), name="mean_h")
    return model


MODELS = [dense, shared_and_nested, masked, mixed, with_losses]


def run(make: Any, callbacks: Any) -> Any:
    keras.utils.set_random_seed(3)
    model = make()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    x = TOKENS if make is masked else X
    history = model.fit(x, Y, batch_size=8, epochs=3, verbose=0, callbacks=callbacks).history
    results = model.evaluate(x, Y, batch_size=8, verbose=0, callbacks=callbacks, return_dict=True)
    outputs = model.predict(x, batch_size=8, callbacks=callbacks)
    return history, results, outputs, model.state_dict()


@pytest.mark.parametrize("make", MODELS)
def test_the_same_as_calls(make: Any) -> None:
    """A listener of the user's switches the shortcut off."""
    history, results, outputs, state = run(make, None)
    expected = run(make, [Listener()])
    assert history == expected[0]
    assert results == pytest.approx(expected[1], rel=1e-6)
    np.testing.assert_array_equal(outputs, expected[2])
    for key, value in state.items():
        assert torch.equal(value, expected[3][key])


def calls_of(monkeypatch: pytest.MonkeyPatch, model: Any, **options: Any) -> list[str]:
    """Classes of the layers of which `predict` goes through the whole of a call."""
    seen: list[str] = []
    call = nn.Module.__call__

    def counting(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        seen.append(type(module).__name__)
        return call(module, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(nn.Module, "__call__", counting)
        model.predict(X[:4], batch_size=4, **options)
    return seen


def test_it_leaves_the_calls_out(monkeypatch: pytest.MonkeyPatch) -> None:
    model = dense()
    assert calls_of(monkeypatch, model) == []
    ordinary = ["Functional", "Dense", "BatchNormalization", "Dropout", "Dense"]
    assert calls_of(monkeypatch, model, callbacks=[Listener()]) == ordinary


def test_only_the_layers_that_need_it_are_called(monkeypatch: pytest.MonkeyPatch) -> None:
    model = shared_and_nested()
    assert calls_of(monkeypatch, model) == ["Linear"]
    model.layers[-1].register_forward_hook(lambda *args: None)
    assert calls_of(monkeypatch, model) == ["Linear", "Dense"]


def test_masked_layers_are_called() -> None:
    model = masked()
    plain = direct(model)
    assert plain is not model
    x = torch.from_numpy(TOKENS)
    assert torch.equal(plain(x), model(x))
    assert not torch.equal(plain(x), plain(torch.where(x == 0, 1, x)))


def edited(model: Any) -> None:
    for node in model.graph.nodes:
        if node.op == "call_module" and node.target == "dropout":
            node.replace_all_uses_with(node.args[0])
            model.graph.erase_node(node)
    model.recompile()


def replaced(model: Any) -> None:
    model.dropout = nn.Identity()


def doubled(model: Any) -> None:
    last = model.layers[-1]
    call = last.call
    last.call = lambda inputs: call(inputs) * 2


def patched(model: Any) -> None:
    last = model.layers[-1]
    forward = last.forward
    last.forward = lambda inputs: forward(inputs) * 2


def hooked(model: Any) -> None:
    model.layers[-1].register_forward_hook(lambda module, args, output: output * 2)


def hooked_before(model: Any) -> None:
    model.layers[-1].register_forward_pre_hook(lambda module, args: (args[0] * 2,))


def hooked_whole(model: Any) -> None:
    model.register_forward_hook(lambda module, args, output: output * 2)


@pytest.mark.parametrize(
    "change", [edited, replaced, doubled, patched, hooked, hooked_before, hooked_whole]
)
def test_changes_of_the_model_are_seen(change: Any) -> None:
    model = dense()
    before = model.predict(X, batch_size=8)
    change(model)
    expected = np.concatenate(
        [model(torch.from_numpy(X[i : i + 8])).detach().numpy() for i in range(0, 50, 8)]
    )
    np.testing.assert_array_equal(model.predict(X, batch_size=8), expected)
    if change not in (edited, replaced):
        assert not np.allclose(before, expected)


def test_global_hooks_are_seen() -> None:
    seen: list[str] = []
    model = dense()
    with torch.nn.modules.module.register_module_forward_hook(
        lambda module, args, output: seen.append(type(module).__name__)
    ):
        model.predict(X[:4])
    assert seen == ["Dense", "BatchNormalization", "Dropout", "Dense", "Functional"]


def test_hooks_that_a_callback_sets_during_an_epoch_are_seen() -> None:
    seen: list[int] = []

    class Hooking(Listener):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if batch == 2:
                self.model.layers[1].register_forward_hook(lambda *args: seen.append(batch))

    model = dense()
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(X, Y, batch_size=10, verbose=0, callbacks=[Hooking()])
    assert seen == [2, 2]


def test_a_layer_of_ones_own_is_called() -> None:
    class Twice(Layer):
        def call(self, inputs: Any) -> Any:
            return inputs * 2

    x = keras.Input((6,))
    model = keras.Model(x, Twice()(x))
    np.testing.assert_array_equal(model.predict(X), X * 2)


def test_errors_say_which_layer_it_was() -> None:
    a, b = keras.Input((None, 3)), keras.Input((None, 3))
    model = keras.Model([a, b], layers.Add(name="sum")([a, b]))
    with pytest.raises(ValueError, match="sum"):
        model.predict([torch.zeros(3, 5, 3), torch.zeros(3, 4, 3)], batch_size=2)


def test_predict_leaves_no_losses() -> None:
    model = with_losses()
    model.predict(X, batch_size=2)
    assert sum(len(layer._losses) for layer in model.layers) == 3
    assert len(model.losses) == 4


def test_a_frozen_layer_stays_in_evaluation_mode() -> None:
    model = dense()
    model.layers[2].trainable = False
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(X, Y, batch_size=8, verbose=0)
    assert torch.equal(model.layers[2].moving_mean, torch.zeros(8))


def test_another_dtype_falls_back() -> None:
    model = dense()
    expected = model.predict(X)
    np.testing.assert_array_equal(model.predict(X.astype("float64")), expected)
    model.double()
    assert model.predict(X).dtype == np.float64
