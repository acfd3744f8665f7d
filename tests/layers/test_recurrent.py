"""Recurrent layers beyond the table: masks, states, directions, cells of one's own, kernels.

The oracles are Keras, which steps through masked sequences in a loop, and torch's packed sequences.
"""

from collections.abc import Callable
from itertools import product
from typing import Any

import keras
import numpy as np
import pytest
import torch
from layer_table import random_weights
from torch import nn

import kerastorch as kt
from kerastorch.layers import _cells, _kernels, _wrappers

LAYERS = ("LSTM", "GRU", "SimpleRNN")
STATES = {"LSTM": 2, "GRU": 1, "SimpleRNN": 1}
ROWS, STEPS, FEATURES, UNITS = 4, 6, 3, 5

MASKS = {
    "right": [[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0], [1, 0, 0, 0, 0, 0], [1, 1, 1, 1, 0, 0]],
    "left": [[1, 1, 1, 1, 1, 1], [0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 0, 1], [0, 0, 1, 1, 1, 1]],
    "any": [[1, 0, 1, 1, 0, 1], [0, 1, 0, 0, 1, 0], [0, 0, 0, 0, 0, 0], [1, 1, 1, 0, 0, 1]],
    "none": [[0] * STEPS] * ROWS,
}
over_layers = pytest.mark.parametrize("name", LAYERS)


def mask_of(kind: str) -> torch.Tensor:
    return torch.tensor(MASKS[kind], dtype=torch.bool)


def sequences(dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(ROWS, STEPS, FEATURES, dtype=dtype).requires_grad_()


def first_states(name: str) -> list[torch.Tensor]:
    return [torch.randn(ROWS, UNITS).requires_grad_() for _ in range(STATES[name])]


def pair(make: Callable[[Any], Any], shape: Any = (ROWS, STEPS, FEATURES)) -> tuple[Any, Any]:
    """Our layer and Keras's, with the same random weights."""
    layers = [make(library.layers) for library in (kt, keras)]
    for layer in layers:
        layer.build(shape)
        layer.set_weights(random_weights(layer))
    return layers[0], layers[1]


def flat(value: Any) -> list[torch.Tensor]:
    if isinstance(value, (list, tuple)):
        return [leaf for item in value for leaf in flat(item)]
    return [value]


def weights_of(layer: Any) -> list[torch.Tensor]:
    return [getattr(weight, "value", weight) for weight in layer.trainable_weights]


def gradients(layer: Any, outputs: Any, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    loss = sum((y * torch.randn(y.shape, generator=generator)).sum() for y in flat(outputs))
    taken = [*inputs, *weights_of(layer)]
    found = torch.autograd.grad(loss, taken, allow_unused=True)
    return [torch.zeros_like(t) if g is None else g for g, t in zip(found, taken, strict=True)]


def agree(ours: Any, theirs: Any, inputs: list[torch.Tensor], *args: Any, **kwargs: Any) -> None:
    """The two layers give the same outputs and gradients."""
    found, expected = ours(*args, **kwargs), theirs(*args, **kwargs)
    assert len(flat(found)) == len(flat(expected))
    for a, b in zip(flat(found), flat(expected), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)
    taken = gradients(ours, found, inputs), gradients(theirs, expected, inputs)
    for a, b in zip(*taken, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


# -- masks -----------------------------------------------------------------------------------------


@over_layers
@pytest.mark.parametrize("kind", MASKS)
def test_masks_are_keras(name: str, kind: str) -> None:
    for all_steps, backwards, given in product((False, True), repeat=3):
        config = {"return_sequences": all_steps, "go_backwards": backwards, "return_state": True}
        ours, theirs = pair(lambda layers, c=config: getattr(layers, name)(UNITS, **c))
        x, states = sequences(), first_states(name) if given else None
        inputs = [x, *(states or [])]
        agree(ours, theirs, inputs, x, mask=mask_of(kind), initial_state=states)


@over_layers
@pytest.mark.parametrize("loop", [False, True])
def test_zero_output_for_mask_is_keras(name: str, loop: bool) -> None:
    more: dict[str, Any] = {"zero_output_for_mask": True}
    more |= {"activation": "softsign"} if loop else {}
    for kind, all_steps in product(("left", "any"), (False, True)):
        config = {**more, "return_sequences": all_steps}
        ours, theirs = pair(lambda layers, c=config: getattr(layers, name)(UNITS, **c))
        x = sequences()
        agree(ours, theirs, [x], x, mask=mask_of(kind))


@over_layers
def test_kernel_and_loop_agree_to_double_precision(name: str) -> None:
    kernel = getattr(kt.layers, name)(UNITS, return_sequences=True, return_state=True).double()
    kernel.build((ROWS, STEPS, FEATURES))
    kernel.double()
    loop = type(kernel).from_config(kernel.get_config())
    loop.use_cudnn = False
    loop.build((ROWS, STEPS, FEATURES))
    loop.double().set_weights(kernel.get_weights())
    x = sequences(torch.float64)
    for kind in ("any", None):
        mask = None if kind is None else mask_of(kind)
        results = []
        for layer in (kernel, loop):
            y = layer(x, mask=mask)
            results.append([*y, *gradients(layer, y, [x])])
        torch.testing.assert_close(*results, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["LSTM", "GRU"])
def test_right_padding_is_a_packed_sequence(name: str) -> None:
    mask = mask_of("right")
    layer = getattr(kt.layers, name)(UNITS, return_sequences=True, return_state=True)
    x = sequences()
    y, *states = layer(x, mask=mask)
    stock = getattr(nn, name)(FEATURES, UNITS, batch_first=True)
    with torch.no_grad():
        for ours, theirs in zip(layer.cell.torch_weights(), stock.parameters(), strict=True):
            theirs.copy_(ours)
    packed = nn.utils.rnn.pack_padded_sequence(x, mask.sum(1), True, enforce_sorted=False)
    expected, last = stock(packed)
    expected, _ = nn.utils.rnn.pad_packed_sequence(expected, batch_first=True)
    torch.testing.assert_close(y[mask], expected[mask])
    torch.testing.assert_close(torch.stack(states), torch.cat(flat(last)))


@over_layers
def test_masked_steps_do_not_matter(name: str) -> None:
    layer = getattr(kt.layers, name)(UNITS, return_sequences=True, return_state=True)
    x, mask = sequences().detach(), mask_of("any")
    other = torch.where(mask.unsqueeze(-1), x, 100.0)
    for a, b in zip(layer(x, mask=mask), layer(other, mask=mask), strict=True):
        assert torch.equal(a, b)
    y = layer(x.requires_grad_(), mask=mask)
    (gradient,) = torch.autograd.grad(sum(v.sum() for v in y), x)
    assert not gradient[~mask].any()
    assert gradient[mask].any()


def test_masks_of_other_forms() -> None:
    layer, x, mask = kt.layers.GRU(UNITS), sequences().detach(), mask_of("any")
    expected = layer(x, mask=mask)
    for form in (mask.int(), mask.unsqueeze(-1), mask.numpy()):
        assert torch.equal(layer(x, mask=form), expected)


@pytest.mark.parametrize("wrapped", [False, True])
def test_masks_travel_through_models_as_in_keras(wrapped: bool) -> None:
    ids = np.array([[0, 0, 3, 1, 4], [1, 2, 3, 0, 0], [5, 0, 6, 0, 1]])
    results = []
    for library in (kt, keras):
        layers = library.layers
        stack = [layers.LSTM(4, return_sequences=True), layers.GRU(3)]
        if wrapped:
            stack = [layers.Bidirectional(layer) for layer in stack]
        steps = [layers.Embedding(7, 4, mask_zero=True), *stack, layers.Dense(2)]
        inputs = x = library.Input((None,), dtype="int64")
        for step in steps:
            x = step(x)
        model = library.Model(inputs, x)
        model.set_weights(random_weights(model))
        results.append(model(torch.from_numpy(ids)))
    torch.testing.assert_close(*results, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("config", "masked"),
    [
        ({"return_sequences": True}, [True]),
        ({}, [False]),
        ({"return_sequences": True, "return_state": True}, [True, False, False]),
        ({"return_state": True}, [False, False, False]),
    ],
)
def test_where_the_mask_goes_on(config: dict[str, Any], masked: list[bool]) -> None:
    layer = kt.layers.LSTM(UNITS, **config)
    embed = kt.layers.Embedding(7, 4, mask_zero=True)
    for ids in (torch.tensor([[1, 0, 2]]), kt.Input((3,), dtype="int64")):
        outputs = flat(layer(embed(ids)))
        assert [getattr(y, "_keras_mask", None) is not None for y in outputs] == masked


def test_masking_is_keras() -> None:
    x = torch.tensor([[[1.0, 0.0], [0.0, 0.0], [2.0, 2.0]]])
    for value in (0.0, 2.0):
        ours, theirs = kt.layers.Masking(value), keras.layers.Masking(value)
        a, b = ours(x), theirs(x)
        assert torch.equal(a, b)
        assert torch.equal(a._keras_mask, b._keras_mask)


# -- states ----------------------------------------------------------------------------------------


@over_layers
def test_initial_and_returned_states_are_keras(name: str) -> None:
    for all_steps in (False, True):
        config = {"return_sequences": all_steps, "return_state": True}
        ours, theirs = pair(lambda layers, c=config: getattr(layers, name)(UNITS, **c))
        x, states = sequences(), first_states(name)
        agree(ours, theirs, [x, *states], x, initial_state=states)
        assert isinstance(ours(x), tuple)


def test_symbolic_states_join_an_encoder_and_a_decoder() -> None:
    source, target = kt.Input((None, FEATURES)), kt.Input((None, FEATURES))
    encoder = kt.layers.LSTM(UNITS, return_state=True)
    decoder = kt.layers.LSTM(UNITS, return_sequences=True)
    _, h, c = encoder(source)
    y = decoder(target, initial_state=[h, c])
    assert (h.shape, y.shape) == ((None, UNITS), (None, None, UNITS))
    model = kt.Model([source, target], y)
    a, b = sequences().detach(), sequences().detach()[:, :4]
    expected = decoder(b, initial_state=encoder(a)[1:])
    assert torch.equal(model([a, b]), expected)


@over_layers
@pytest.mark.parametrize("wrapped", [False, True])
def test_stateful_layers_go_on_as_in_keras(name: str, wrapped: bool) -> None:
    def make(layers: Any, stateful: bool = True) -> Any:
        layer = getattr(layers, name)(UNITS, stateful=stateful, return_sequences=True)
        return layers.Bidirectional(layer) if wrapped else layer

    ours, theirs = pair(make)
    # Keras cannot go backward through a stateful layer: its kernel keeps the states that it changes.
    _, stateless = pair(lambda layers: make(layers, stateful=False))
    assert all(not state.any() for state in ours.states)
    for kind in (None, "any", None):
        x, mask = sequences(), None if kind is None else mask_of(kind)
        before = [state.clone() for state in ours.states]
        y = ours(x, mask=mask)
        torch.testing.assert_close(y, theirs(x, mask=mask), rtol=1e-5, atol=1e-5)
        again = stateless(x, mask=mask, initial_state=before)
        taken = gradients(ours, y, [x]), gradients(stateless, again, [x])
        for a, b in zip(*taken, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)
        for a, b in zip(ours.states, theirs.states, strict=True):
            assert a.any()
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-5)
    assert [w.name for w in ours.weights] == [w.name for w in theirs.weights]
    assert not any("state" in key for key in ours.state_dict())
    ours.reset_states()
    assert all(not state.any() for state in ours.states)
    torch.testing.assert_close(ours(x), stateless(x), rtol=1e-5, atol=1e-5)


def test_states_of_a_stateful_layer_are_its_own() -> None:
    layer = kt.layers.GRU(UNITS, stateful=True)
    x = sequences().detach()
    layer(x)
    kept = layer.states[0].clone()
    symbolic = layer(kt.Input(batch_shape=(ROWS, STEPS, FEATURES)))  # runs for the shape only
    assert symbolic.shape == (ROWS, UNITS)
    assert torch.equal(layer.states[0], kept)
    with pytest.raises(ValueError, match=r"GRU 'gru.*expected 4 rows"):
        layer(x[:2])
    unknown = kt.layers.GRU(UNITS, stateful=True)
    with pytest.raises(ValueError, match="is stateful, so the batch size must be known"):
        unknown(kt.Input((STEPS, FEATURES)))
    plain = kt.layers.Bidirectional(kt.layers.GRU(UNITS))
    with pytest.raises(AttributeError, match="is not stateful"):
        plain.reset_state()
    assert plain.states is None


def test_stateful_fit() -> None:
    model = kt.Sequential(
        [kt.Input(batch_shape=(ROWS, STEPS, FEATURES)), kt.layers.LSTM(UNITS, stateful=True)]
    )
    model.compile("sgd", "mse")
    x = sequences().detach().repeat(3, 1, 1)
    history = model.fit(x, torch.ones(3 * ROWS, UNITS), batch_size=ROWS, epochs=3, verbose=0)
    assert history.history["loss"][2] < history.history["loss"][0]
    assert model.layers[-1].states[0].any()


# -- cells -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("LSTM", {}),
        ("LSTM", {"use_bias": False, "activation": "relu"}),
        ("GRU", {}),
        ("GRU", {"reset_after": False}),
        ("GRU", {"use_bias": False, "recurrent_activation": "hard_sigmoid"}),
        ("SimpleRNN", {"activation": "softplus"}),
    ],
)
def test_cells_are_keras(name: str, config: dict[str, Any]) -> None:
    ours, theirs = pair(
        lambda layers: getattr(layers, f"{name}Cell")(UNITS, **config), (ROWS, FEATURES)
    )
    x, states = sequences()[:, 0].detach().requires_grad_(), first_states(name)
    agree(ours, theirs, [x, *states], x, states)
    assert ours.state_size == theirs.state_size
    assert ours.output_size == theirs.output_size
    zeros = ours.get_initial_state(batch_size=2)
    assert [tuple(z.shape) for z in zeros] == [(2, UNITS)] * STATES[name]
    symbols = [kt.Input((UNITS,)) for _ in states]
    output, after = ours(kt.Input((FEATURES,)), symbols)
    assert output.shape == after[0].shape == (None, UNITS)


def test_a_bare_state_stays_bare() -> None:
    cell, x, h = kt.layers.GRUCell(UNITS), torch.rand(ROWS, FEATURES), torch.rand(ROWS, UNITS)
    output, after = cell(x, h)
    assert torch.equal(output, after)
    assert torch.equal(cell(x, [h])[1][0], after)


def own_cell(library: Any) -> Any:
    """A cell as a user writes it, with one state as an integer."""

    class Leaky(library.layers.Layer):
        def __init__(self, units: int, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.state_size = units

        def build(self, input_shape: Any) -> None:
            self.kernel = self.add_weight(shape=(input_shape[-1], self.state_size), name="kernel")

        def call(self, inputs: Any, states: Any) -> Any:
            h = 0.5 * states[0] + inputs @ (self.kernel if library is kt else self.kernel.value)
            return torch.tanh(h), [h]

    return Leaky


@pytest.mark.parametrize("kind", [None, "left", "any"])
def test_a_cell_of_ones_own_is_keras(kind: str | None) -> None:
    for stacked, all_steps in product((False, True), repeat=2):

        def make(layers: Any, stacked: bool = stacked, all_steps: bool = all_steps) -> Any:
            cell = own_cell(kt if layers is kt.layers else keras)(UNITS)
            cells = [layers.GRUCell(4), cell, layers.LSTMCell(3)] if stacked else cell
            return layers.RNN(cells, return_sequences=all_steps, return_state=True)

        ours, theirs = pair(make)
        x = sequences()
        mask = None if kind is None else mask_of(kind)
        agree(ours, theirs, [x], x, mask=mask)
        symbolic = ours(kt.Input((None, FEATURES)))[0]
        units = 3 if stacked else UNITS
        assert symbolic.shape == ((None, None, units) if all_steps else (None, units))


def test_a_stack_is_one_cell_after_another() -> None:
    ours, theirs = pair(
        lambda layers: layers.StackedRNNCells([layers.LSTMCell(4), layers.GRUCell(3)]),
        (ROWS, FEATURES),
    )
    x = torch.rand(ROWS, FEATURES).requires_grad_()
    states = ours.get_initial_state(ROWS)
    assert [[tuple(s.shape) for s in group] for group in states] == [[(ROWS, 4)] * 2, [(ROWS, 3)]]
    agree(ours, theirs, [x], x, states)
    assert (ours.state_size, ours.output_size) == (theirs.state_size, theirs.output_size)
    layer = kt.layers.RNN(ours, return_state=True)
    y, (h, c), (last,) = layer(sequences())
    assert (h.shape, c.shape, last.shape) == ((ROWS, 4), (ROWS, 4), (ROWS, 3))
    assert torch.equal(y, last)


class Doubled(kt.layers.SimpleRNNCell):
    """A subclass with a step of its own."""

    def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
        output, states = super().call(inputs, states, training)
        return 2 * output, states


def test_what_a_subclass_writes_is_called() -> None:
    x = sequences()
    single, stacked = kt.layers.RNN(Doubled(UNITS)), kt.layers.RNN([Doubled(UNITS)])
    plain = kt.layers.RNN(kt.layers.SimpleRNNCell(UNITS))
    for layer in (single, stacked, plain):
        layer(x)
        layer.set_weights(random_weights(layer))
    torch.testing.assert_close(single(x), 2 * plain(x))
    torch.testing.assert_close(stacked(x), 2 * plain(x))


def test_own_states_at_the_start() -> None:
    class FromOne(kt.layers.Layer):
        state_size = FEATURES

        def call(self, inputs: Any, states: Any) -> Any:
            return inputs + states[0], states

        def get_initial_state(self, batch_size: int | None = None) -> torch.Tensor:
            return torch.ones(batch_size, FEATURES)

    x = sequences().detach()
    assert torch.equal(kt.layers.RNN(FromOne())(x), x[:, -1] + 1)


# -- dropout ---------------------------------------------------------------------------------------


def drawn(cell: Any, x: torch.Tensor, state: torch.Tensor) -> tuple[Any, Any]:
    """The masks that the next call will draw."""
    twin = type(cell).from_config(cell.get_config())
    return twin.draw(x[:, :1], state, True)


@over_layers
def test_one_mask_of_inputs_for_all_steps(name: str) -> None:
    layer = getattr(kt.layers, name)(UNITS, dropout=0.5, seed=7, return_sequences=True)
    x = sequences().detach() + 3
    layer.build(x.shape)
    (mask,), recurrent = drawn(layer.cell, x, torch.zeros(ROWS, UNITS))
    assert recurrent == []
    assert set(mask.unique().tolist()) == {0.0, 2.0}
    assert mask.shape == (ROWS, 1, FEATURES)
    torch.testing.assert_close(layer(x, training=True), layer(x * mask))
    assert not torch.equal(layer(x, training=True), layer(x, training=True))
    assert torch.equal(layer(x), layer(x))


@over_layers
def test_recurrent_dropout_has_a_mask_for_each_gate(name: str) -> None:
    """Against a step written out with the masks, which are the same at all steps."""
    rates = {"dropout": 0.4, "recurrent_dropout": 0.4}
    layer = getattr(kt.layers, name)(UNITS, seed=5, return_sequences=True, **rates)
    x = sequences().detach()
    layer.build(x.shape)
    layer.set_weights(random_weights(layer))
    cell, h, c = layer.cell, torch.zeros(ROWS, UNITS), torch.zeros(ROWS, UNITS)
    masks, recurrent = drawn(cell, x, h)
    gates = {"LSTM": 4, "GRU": 3, "SimpleRNN": 1}[name]
    assert len(masks) == len(recurrent) == gates
    kernels, inner = cell.kernel.chunk(gates, 1), cell.recurrent_kernel.chunk(gates, 1)
    bias = cell.bias if name != "GRU" else cell.bias[0]
    outputs = []
    for t in range(STEPS):
        xs = [(x[:, t] * m[:, 0]) @ k for m, k in zip(masks, kernels, strict=True)]
        xs = [a + b for a, b in zip(xs, bias.chunk(gates), strict=True)]
        hs = [(h * m) @ k for m, k in zip(recurrent, inner, strict=True)]
        if name == "LSTM":
            i, f, g, o = (a + b for a, b in zip(xs, hs, strict=True))
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
        elif name == "GRU":
            hs = [a + b for a, b in zip(hs, cell.bias[1].chunk(3), strict=True)]
            z, r = (xs[0] + hs[0]).sigmoid(), (xs[1] + hs[1]).sigmoid()
            h = z * h + (1 - z) * (xs[2] + r * hs[2]).tanh()
        else:
            h = (xs[0] + hs[0]).tanh()
        outputs.append(h)
    torch.testing.assert_close(layer(x, training=True), torch.stack(outputs, 1))


def test_dropout_follows_the_seed_of_torch() -> None:
    layer, x = kt.layers.LSTM(UNITS, dropout=0.5), sequences().detach()
    layer.build(x.shape)
    results = []
    for _ in range(2):
        torch.manual_seed(1)
        results.append(layer(x, training=True))
    assert torch.equal(*results)


# -- both directions -------------------------------------------------------------------------------


@over_layers
@pytest.mark.parametrize("mode", ["concat", "sum", "mul", "ave", None])
def test_bidirectional_is_keras(name: str, mode: str | None) -> None:
    for all_steps, given, kind in product((False, True), (False, True), (None, "any")):
        config = {"return_sequences": all_steps, "return_state": given}
        ours, theirs = pair(
            lambda layers, c=config: layers.Bidirectional(
                getattr(layers, name)(UNITS, **c), merge_mode=mode
            )
        )
        x = sequences()
        states = [*first_states(name), *first_states(name)] if given else None
        mask = None if kind is None else mask_of(kind)
        agree(ours, theirs, [x, *(states or [])], x, mask=mask, initial_state=states)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """The calls of a kernel: whether for both directions."""
    seen: list[bool] = []

    def kernel(*args: Any, both: bool = False) -> Any:
        seen.append(both)
        return _kernels.kernel(*args, both=both)

    monkeypatch.setattr(_cells, "kernel", kernel)
    monkeypatch.setattr(_wrappers, "kernel", kernel)
    return seen


def test_how_often_a_kernel_is_called(calls: list[bool]) -> None:
    x = sequences()
    layers = kt.layers
    cases: list[tuple[Any, list[bool]]] = [
        (layers.LSTM(UNITS), [False]),
        (layers.LSTM(UNITS, activation="relu"), []),
        (layers.GRU(UNITS, reset_after=False), []),
        (layers.SimpleRNN(UNITS, activation="relu"), [False]),
        (layers.RNN([layers.LSTMCell(4), layers.GRUCell(3)]), [False, False]),
        (layers.Bidirectional(layers.LSTM(UNITS)), [True]),
        (layers.Bidirectional(layers.GRU(UNITS, return_sequences=True), merge_mode="sum"), [True]),
        (layers.Bidirectional(layers.LSTM(UNITS, stateful=True)), [False, False]),
        (
            layers.Bidirectional(
                layers.LSTM(4), backward_layer=layers.LSTM(UNITS, go_backwards=True)
            ),
            [False, False],
        ),
        (
            layers.Bidirectional(
                layers.SimpleRNN(4),
                backward_layer=layers.SimpleRNN(4, activation="relu", go_backwards=True),
            ),
            [False, False],
        ),
    ]
    for layer, expected in cases:
        calls.clear()
        layer(x)
        assert calls == expected, layer


def test_penalties_of_the_layers_inside_count() -> None:
    inner = kt.layers.LSTM(UNITS, activity_regularizer="l2")
    layer = kt.layers.Bidirectional(inner)
    y = layer(sequences())
    torch.testing.assert_close(sum(layer.losses), 0.01 * y.square().sum() / ROWS)


def test_weights_for_both_directions() -> None:
    source = kt.layers.Bidirectional(kt.layers.GRU(UNITS))
    x = sequences()
    y = source(x)
    copied = kt.layers.Bidirectional(kt.layers.GRU(UNITS), weights=source.get_weights())
    assert torch.equal(copied(x), y)
    assert "weights" not in copied.get_config()


# -- every step ------------------------------------------------------------------------------------


def test_time_distributed_takes_modules() -> None:
    x = torch.rand(2, 5, 3, 8, 8)
    stock = nn.Conv2d(3, 4, 3)
    layer = kt.layers.TimeDistributed(stock)
    y = layer(x)
    torch.testing.assert_close(y, torch.stack([stock(x[:, t]) for t in range(5)], 1))
    assert sorted(layer.state_dict()) == ["layer.bias", "layer.weight"]
    assert layer(kt.Input((None, 3, 8, 8))).shape == (None, None, 4, 6, 6)


def test_time_distributed_hands_on_masks() -> None:
    class Seen(kt.layers.Layer):
        def call(self, inputs: torch.Tensor, mask: Any = None) -> torch.Tensor:
            self.seen = mask
            return inputs * 2

    inner = Seen()
    layer = kt.layers.TimeDistributed(inner)
    x, mask = sequences().detach(), mask_of("any")
    x._keras_mask = mask
    y = layer(x)
    assert torch.equal(inner.seen, mask.flatten())
    assert torch.equal(y._keras_mask, mask)
    with pytest.raises(ValueError, match=r"`mask` must begin with the axes .* \(4, 6\), received"):
        layer(x, mask=mask[:, :2])


def test_time_distributed_trains_what_is_inside() -> None:
    layer = kt.layers.TimeDistributed(kt.layers.Dropout(0.5))
    x = torch.ones(ROWS, STEPS, FEATURES)
    assert torch.equal(layer(x), x)
    assert set(layer(x, training=True).unique().tolist()) == {0.0, 2.0}


# -- weights and kernels -----------------------------------------------------------------------------


@over_layers
def test_weights_are_laid_out_for_the_kernel(name: str) -> None:
    layer = getattr(kt.layers, name)(UNITS)
    layer(sequences())
    cell = layer.cell
    for weight in (cell.kernel, cell.recurrent_kernel):
        assert weight.T.is_contiguous()
    if name != "GRU":  # whose gates come in another order
        views = cell.torch_weights()[:3]
        owners = [cell.kernel, cell.recurrent_kernel, cell.bias]
        assert [v.data_ptr() for v in views] == [w.data_ptr() for w in owners]
    layer(sequences()).sum().backward()
    assert cell.kernel.grad.stride() == cell.kernel.stride()


def test_forget_gates_start_open() -> None:
    layer = kt.layers.LSTM(2)
    layer.build((None, 3, 3))
    assert layer.cell.bias.tolist() == [0, 0, 1, 1, 0, 0, 0, 0]
    shut = kt.layers.LSTM(2, unit_forget_bias=False, bias_initializer="ones")
    shut.build((None, 3, 3))
    assert shut.cell.bias.tolist() == [1] * 8


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("biased", [False, True])
def test_weights_in_one_piece(directions: int, biased: bool) -> None:
    shapes = [(8, 3), (8, 2), *([(8,), (8,)] if biased else [])] * directions
    weights = [torch.rand(shape).requires_grad_() for shape in shapes]
    pieces = _kernels.in_one_piece(weights, directions)
    order = sorted(range(len(pieces)), key=lambda i: pieces[i].data_ptr())
    assert [pieces[i].dim() for i in order] == sorted((p.dim() for p in pieces), reverse=True)
    assert len({p.untyped_storage().data_ptr() for p in pieces}) == 1
    for piece, weight in zip(pieces, weights, strict=True):
        assert torch.equal(piece, weight)
        factor = torch.rand_like(weight)
        (found,) = torch.autograd.grad((piece * factor).sum(), weight, retain_graph=True)
        assert torch.equal(found, factor)


@pytest.mark.parametrize("name", ["LSTM", "GRU"])
@pytest.mark.parametrize("masked", [False, True])
def test_one_operator_of_a_compiled_graph(name: str, masked: bool) -> None:
    """Inductor too keeps the kernel whole, also where the data takes no gradient."""
    layer = getattr(kt.layers, name)(UNITS, return_state=True)
    x = sequences().detach()
    mask = mask_of("any") if masked else None
    layer.build(x.shape)
    torch._dynamo.reset()
    run = torch.compile(layer, fullgraph=True, backend="aot_eager")
    found, expected = run(x, mask=mask), layer(x, mask=mask)
    torch.testing.assert_close(found, expected)
    for a, b in zip(gradients(layer, found, []), gradients(layer, expected, []), strict=True):
        torch.testing.assert_close(a, b)
    torch._dynamo.reset()


def test_inductor_compiles_the_layer() -> None:
    layer = kt.layers.Bidirectional(kt.layers.LSTM(UNITS, return_sequences=True))
    x = sequences().detach()
    layer.build(x.shape)
    torch._dynamo.reset()
    run = torch.compile(layer, fullgraph=True)
    found, expected = run(x), layer(x)
    torch.testing.assert_close(found, expected)
    for a, b in zip(gradients(layer, found, []), gradients(layer, expected, []), strict=True):
        torch.testing.assert_close(a, b)
    torch._dynamo.reset()


@over_layers
def test_autocast(name: str) -> None:
    x = sequences().detach()
    for layer in (
        getattr(kt.layers, name)(UNITS),
        kt.layers.Bidirectional(getattr(kt.layers, name)(UNITS, return_sequences=True)),
    ):
        exact = layer(x)
        with torch.autocast("cpu", torch.bfloat16):
            coarse = layer(x)
            masked = layer(x, mask=mask_of("right"))
        assert coarse.dtype is masked.dtype is torch.bfloat16
        torch.testing.assert_close(coarse.float(), exact, rtol=2e-2, atol=2e-2)
        coarse.sum().backward()


# -- messages --------------------------------------------------------------------------------------

BAD: list[tuple[Callable[[], Any], str]] = [
    (lambda: kt.layers.LSTM(0), "`units` must be a positive integer, received 0"),
    (lambda: kt.layers.GRU(2, dropout=1.5), "`dropout` must be in [0, 1], received 1.5"),
    (lambda: kt.layers.LSTM(2, use_cudnn="no"), "`use_cudnn` must be 'auto', True or False"),
    (lambda: kt.layers.GRU(2, use_cudnn=True, reset_after=False), "torch has no kernel for these"),
    (lambda: kt.layers.LSTM(2, unit=3), "unknown argument 'unit'"),
    (lambda: kt.layers.RNN(3), "RNN: `cell` must be a cell: call(inputs, states)"),
    (lambda: kt.layers.RNN([kt.layers.Dense(2)]), "each of `cells` must be a cell"),
    (lambda: kt.layers.Bidirectional(kt.layers.Dense(2)), "`layer` must be a recurrent layer"),
    (lambda: kt.layers.Bidirectional(kt.layers.GRU(2), "max"), "`merge_mode` must be one of"),
    (
        lambda: kt.layers.Bidirectional(kt.layers.GRU(2), backward_layer=kt.layers.GRU(2)),
        "must differ in `go_backwards`, received False for both",
    ),
    (
        lambda: kt.layers.Bidirectional(
            kt.layers.GRU(2), backward_layer=kt.layers.GRU(2, go_backwards=True, return_state=True)
        ),
        "must have the same `return_state`, received False and True",
    ),
    (lambda: kt.layers.TimeDistributed(3), "TimeDistributed: `layer` must be a layer or an nn"),
    (lambda: kt.layers.LSTM(2)(torch.rand(2, 3)), "axes (batch, time, features), received shape"),
    (lambda: kt.layers.TimeDistributed(kt.layers.Dense(2))(torch.rand(2, 3)), "at least three"),
    (lambda: kt.layers.GRUCell(2)(torch.rand(3), [torch.rand(2)]), "a last axis of known size"),
    (lambda: kt.layers.LSTM(2)(torch.rand(2, 0, 3)), "(batch, time, 3), with at least one step"),
]


@pytest.mark.parametrize(("make", "message"), BAD, ids=lambda v: v[:30] if type(v) is str else "")
def test_messages(make: Callable[[], Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError)) as caught:
        make()
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "make",
    [
        kt.layers.LSTM,
        lambda units: kt.layers.LSTM(units, use_cudnn=False),
        lambda units: kt.layers.RNN(kt.layers.GRUCell(units)),
        lambda units: kt.layers.Bidirectional(kt.layers.LSTM(units)),
    ],
)
def test_other_shapes_than_built_for(make: Any) -> None:
    layer = make(2)
    layer(torch.rand(2, 5, 3))
    for shape in ((2, 5, 4), (5, 3), (2, 5, 4, 3)):
        with pytest.raises(ValueError, match=r"but expected \(batch, time, 3\)"):
            layer(torch.rand(shape))


def test_states_and_masks_of_other_shapes() -> None:
    layer, x = kt.layers.LSTM(UNITS), sequences()
    with pytest.raises(
        ValueError, match=r"a state must have the shape \(4, 5\), received \(4, 2\)"
    ):
        layer(x, initial_state=[torch.rand(ROWS, 2), torch.rand(ROWS, 2)])
    with pytest.raises(ValueError, match=r"`mask` must be \(batch, time\), \(4, 6\), received"):
        layer(x, mask=mask_of("any")[:, :2])


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("kind", ["gru", "tanh", "relu"])
def test_gradients_in_a_compiled_graph(kind: str, both: bool) -> None:
    """The step by step backward pass is that of torch's kernel, with biases and (`both`) without."""
    native = {"gru": torch.gru, "tanh": torch.rnn_tanh, "relu": torch.rnn_relu}[kind]
    gates, directions = 3 if kind == "gru" else 1, 2 if both else 1
    shapes = [(gates * 4, 3), (gates * 4, 4), *([] if both else [(gates * 4,)] * 2)] * directions
    x, h, *weights = given = [
        torch.randn(shape, dtype=torch.float64, requires_grad=True)
        for shape in ((2, 5, 3), (directions, 2, 4), *shapes)
    ]

    def run(x: Any, h: Any, weights: Any) -> Any:
        y, (last,) = _kernels.kernel(kind, x, [h], weights, both)
        return y, last

    torch._dynamo.reset()
    found = torch.compile(run, fullgraph=True, backend="aot_eager")(x, h, weights)
    expected = native(x, h, weights, not both, 1, 0.0, True, both, True)
    torch.testing.assert_close(found, expected)
    factors = [torch.randn_like(y) for y in expected]
    torch.testing.assert_close(
        torch.autograd.grad(found, given, factors), torch.autograd.grad(expected, given, factors)
    )
    torch._dynamo.reset()


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # read by torch itself
@pytest.mark.parametrize("kind", ["gru", "relu"])
def test_steps_are_an_operator(kind: str) -> None:
    gates = 3 if kind == "gru" else 1
    shapes = ((5, 2, 3), (2, 4), (gates * 4, 3), (gates * 4, 4), (gates * 4,), (gates * 4,))
    x, h, *weights = (torch.randn(shape, requires_grad=True) for shape in shapes)
    torch.library.opcheck(torch.ops.kerastorch.steps.default, (kind, x, h, weights))
