"""Convolutional LSTMs beyond the table: masks, states, directions, formats, dropout, messages.

The oracles are Keras, which convolves step by step, and the formula written out.
"""

from collections.abc import Callable
from itertools import product
from typing import Any

import keras
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from layer_table import random_weights
from torch.overrides import TorchFunctionMode

import kerastorch as kt
from kerastorch.saving._budget import budget

ROWS, STEPS, CHANNELS, FILTERS = 4, 5, 2, 3
SPACE = {1: (6,), 2: (5, 4), 3: (3, 4, 3)}
#: Shapes of the inputs and, for a window of 2 without padding, of the states.
SHAPES = {rank: (ROWS, STEPS, *space, CHANNELS) for rank, space in SPACE.items()}
STATES = {rank: (ROWS, *(n - 1 for n in space), FILTERS) for rank, space in SPACE.items()}
MASKS = {
    "right": [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 0, 0, 0, 0], [1, 1, 1, 1, 0]],
    "any": [[1, 0, 1, 1, 0], [0, 1, 0, 0, 1], [0, 0, 0, 0, 0], [1, 1, 1, 0, 1]],
}
over_ranks = pytest.mark.parametrize("rank", SPACE)


def mask_of(kind: str) -> torch.Tensor:
    return torch.tensor(MASKS[kind], dtype=torch.bool)


def rand(shape: tuple[int, ...]) -> torch.Tensor:
    return torch.randn(shape).requires_grad_()


def new(layers: Any, rank: int, **config: Any) -> Any:
    config = {"filters": FILTERS, "kernel_size": 2, **config}
    return getattr(layers, f"ConvLSTM{rank}D")(**config)


def built(layer: Any, shape: tuple[int, ...]) -> Any:
    layer.build(shape)
    layer.set_weights(random_weights(layer))
    return layer


def pair(rank: int, shape: Any = None, **config: Any) -> tuple[Any, Any]:
    """Our layer and Keras's, with the same random weights."""
    shape = SHAPES[rank] if shape is None else shape
    ours, theirs = (built(new(library.layers, rank, **config), shape) for library in (kt, keras))
    return ours, theirs


def flat(value: Any) -> list[torch.Tensor]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def gradients(layer: Any, outputs: Any, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    loss = sum((y * torch.randn(y.shape, generator=generator)).sum() for y in flat(outputs))
    weights = [getattr(weight, "value", weight) for weight in layer.trainable_weights]
    return list(torch.autograd.grad(loss, [*inputs, *weights]))


def close(found: Any, expected: Any) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def agree(ours: Any, theirs: Any, inputs: list[torch.Tensor], *args: Any, **kwargs: Any) -> None:
    """The two layers give the same outputs and gradients."""
    found, expected = ours(*args, **kwargs), theirs(*args, **kwargs)
    close(flat(found), flat(expected))
    close(gradients(ours, found, inputs), gradients(theirs, expected, inputs))


# -- masks, states and directions -------------------------------------------------------------------


@over_ranks
@pytest.mark.parametrize("kind", [None, *MASKS])
def test_modes_are_keras(rank: int, kind: str | None) -> None:
    mask = None if kind is None else mask_of(kind)
    for every, backwards, given in product((False, True), repeat=3):
        modes = {"return_sequences": every, "go_backwards": backwards, "return_state": True}
        ours, theirs = pair(rank, **modes)
        x = rand(SHAPES[rank])
        states = [rand(STATES[rank]), rand(STATES[rank])] if given else None
        agree(ours, theirs, [x, *(states or [])], x, mask=mask, initial_state=states)
    assert isinstance(ours(x), tuple)


def test_masked_steps_do_not_matter() -> None:
    layer = built(new(kt.layers, 2, return_sequences=True, return_state=True), SHAPES[2])
    x, mask = rand(SHAPES[2]), mask_of("any")
    other = torch.where(mask[..., None, None, None], x, 100.0)
    for a, b in zip(layer(x, mask=mask), layer(other, mask=mask), strict=True):
        assert torch.equal(a, b)
    (gradient,) = torch.autograd.grad(sum(y.sum() for y in layer(x, mask=mask)), x)
    assert not gradient[~mask].any()
    assert gradient[mask].any()


def test_zeros_for_masked_steps() -> None:
    mask = mask_of("any")
    for every in (False, True):
        modes = {"return_sequences": every, "zero_output_for_mask": True}
        ours = built(new(kt.layers, 2, **modes), SHAPES[2])
        plain = built(new(kt.layers, 2, return_sequences=every), SHAPES[2])
        x = rand(SHAPES[2]).detach()
        keep = mask if every else mask[:, -1]
        expected = plain(x, mask=mask).where(keep.reshape(*keep.shape, 1, 1, 1), 0)
        assert torch.equal(ours(x, mask=mask), expected)


def test_masks_travel_through_models_as_in_keras() -> None:
    results = []
    x = torch.rand(3, 4, 12).masked_fill((torch.rand(3, 4) < 0.4).unsqueeze(-1), 0)
    for library in (kt, keras):
        layers = library.layers
        steps = [
            layers.Masking(),
            layers.TimeDistributed(layers.Reshape((3, 4, 1))),
            layers.ConvLSTM2D(2, 2, return_sequences=True),
            layers.ConvLSTM2D(3, 2, padding="same"),
        ]
        model = library.Sequential([library.Input((None, 12)), *steps])
        model.set_weights(random_weights(model))
        results.append(model(x))
    close(*results)


@over_ranks
def test_stateful_layers_go_on_as_in_keras(rank: int) -> None:
    ours, theirs = pair(rank, stateful=True, return_sequences=True)
    stateless = pair(rank, return_sequences=True)[1]
    assert [tuple(state.shape) for state in ours.states] == [STATES[rank]] * 2
    for kind in (None, "any", None):
        x, mask = rand(SHAPES[rank]), None if kind is None else mask_of(kind)
        before = [state.clone() for state in ours.states]
        y = ours(x, mask=mask)
        close(y, theirs(x, mask=mask))
        again = stateless(x, mask=mask, initial_state=before)
        close(gradients(ours, y, [x]), gradients(stateless, again, [x]))
        for a, b in zip(ours.states, theirs.states, strict=True):
            assert a.any()
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-5)
    assert list(ours.state_dict()) == ["cell.kernel", "cell.recurrent_kernel", "cell.bias"]
    ours.reset_state()
    assert not any(state.any() for state in ours.states)
    close(ours(x), stateless(x))


def test_both_directions_are_keras() -> None:
    for every, mode in product((False, True), ("concat", "mul")):
        results = []
        x = rand(SHAPES[2])
        for library in (kt, keras):
            inner = new(library.layers, 2, return_sequences=every)
            layer = built(library.layers.Bidirectional(inner, merge_mode=mode), SHAPES[2])
            y = layer(x)
            results.append([y, *gradients(layer, y, [x])])
        close(*results)


# -- formats, shapes and dtypes ----------------------------------------------------------------------


@over_ranks
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_channels_first_is_keras_and_channels_last(rank: int, padding: str) -> None:
    last = SHAPES[rank]
    first = (*last[:2], CHANNELS, *last[2:-1])
    config = {"padding": padding, "strides": 2, "return_state": True, "return_sequences": True}
    ours, theirs = pair(rank, first, data_format="channels_first", **config)
    x = rand(first)
    agree(ours, theirs, [x], x)
    y, *states = built(new(kt.layers, rank, **config), last)(x.movedim(2, -1))
    close(ours(x), (y.movedim(-1, 2), *(state.movedim(-1, 1) for state in states)))
    state = torch.rand_like(states[0]).movedim(-1, 1)
    agree(ours, theirs, [x], x, initial_state=[state, state])


def test_axes_of_space_may_be_unknown() -> None:
    """Keras wants to know them; a convolution has no need to."""
    layer = new(kt.layers, 2, padding="same", strides=2, return_sequences=True)
    inputs = kt.Input((None, None, None, CHANNELS))
    outputs = layer(inputs)
    assert outputs.shape == (None, None, None, None, FILTERS)
    model = kt.Model(inputs, outputs)
    for sizes in ((5, 6), (8, 7)):
        x = torch.rand(2, 3, *sizes, CHANNELS)
        theirs = new(keras.layers, 2, padding="same", strides=2, return_sequences=True)
        theirs.build(x.shape)
        theirs.set_weights(layer.get_weights())
        close(model(x), theirs(x))
    with pytest.raises(ValueError, match=r"depends on that of the inputs.*pass `initial_state`"):
        layer.get_initial_state(2)


def test_states_at_the_start() -> None:
    layer = built(new(kt.layers, 2), SHAPES[2])
    zeros = layer.get_initial_state(7)
    assert [tuple(state.shape) for state in zeros] == [(7, *STATES[2][1:])] * 2
    assert not any(state.any() for state in zeros)
    with pytest.raises(ValueError, match="which is not known"):
        new(kt.layers, 2).cell.get_initial_state(2)


@pytest.mark.parametrize("policy", ["bfloat16", "mixed_bfloat16"])
def test_states_have_the_dtype_of_the_outputs(policy: str) -> None:
    config = {"dtype": policy, "recurrent_initializer": "he_normal"}
    layer = new(kt.layers, 2, stateful=True, return_state=True, **config)
    for _ in range(2):
        results = layer(rand(SHAPES[2]))
        assert {y.dtype for y in results} == {torch.bfloat16}
    assert layer.states[0].any()
    stays = new(kt.layers, 2, return_state=True, **config).to("meta")
    results = stays(torch.empty(SHAPES[2], device="meta"))
    assert all(y.is_meta and y.dtype is torch.bfloat16 for y in results)


# -- how it is computed ------------------------------------------------------------------------------


class Seen(TorchFunctionMode):
    """The shapes that convolutions take."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[int, ...]] = []

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func is F.conv2d:
            self.shapes.append(tuple(args[0].shape))
        return func(*args, **(kwargs or {}))


def test_inputs_of_all_steps_are_convolved_at_once() -> None:
    layer = new(kt.layers, 2, kernel_size=3, return_sequences=True)
    layer.build(SHAPES[2])
    with Seen() as seen:
        y = layer(rand(SHAPES[2]))
    first = (ROWS * STEPS, CHANNELS, *SPACE[2])
    assert seen.shapes == [first] + [(ROWS, FILTERS, 3, 2)] * STEPS
    assert y.is_contiguous()


def test_kernels_are_laid_out_for_channels_last_data() -> None:
    layer = new(kt.layers, 2)
    layer.build(SHAPES[2])
    layer(rand(SHAPES[2])).sum().backward()
    for weight in (layer.cell.kernel, layer.cell.recurrent_kernel):
        assert weight.permute(3, 0, 1, 2).is_contiguous()
        assert weight.grad.stride() == weight.stride()


def test_forget_gates_start_open() -> None:
    layer = kt.layers.ConvLSTM1D(2, 3)
    layer.build((None, None, 4, 1))
    assert layer.cell.bias.tolist() == [0, 0, 1, 1, 0, 0, 0, 0]


def test_dropout_has_a_mask_for_each_gate_and_all_steps() -> None:
    """Against the formula, written out with the masks."""
    config = {"dropout": 0.4, "recurrent_dropout": 0.3, "seed": 5, "kernel_size": 3}
    layer = built(new(kt.layers, 2, padding="same", return_sequences=True, **config), SHAPES[2])
    x = rand(SHAPES[2])
    cell = layer.cell
    h = c = torch.zeros(ROWS, *SPACE[2], FILTERS)
    masks, recurrent = type(cell).from_config(cell.get_config()).draw(x[:, :1], h, True)
    assert len(masks) == len(recurrent) == 4
    assert {tuple(mask.shape) for mask in masks} == {(ROWS, 1, *SPACE[2], CHANNELS)}
    kernels, inner, biases = (
        w.chunk(4, -1) for w in (cell.kernel, cell.recurrent_kernel, cell.bias)
    )

    def convolved(x: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
        y = F.conv2d(x.permute(0, 3, 1, 2), kernel.permute(3, 2, 0, 1), padding=1)
        return y.permute(0, 2, 3, 1)

    outputs = []
    for t in range(STEPS):
        i, f, g, o = (
            convolved(x[:, t] * masks[n][:, 0], kernels[n])
            + convolved(h * recurrent[n], inner[n])
            + biases[n]
            for n in range(4)
        )
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        outputs.append(h)
    expected = torch.stack(outputs, 1)
    found = layer(x, training=True)
    close(found, expected)
    close(gradients(layer, found, [x]), gradients(layer, expected, [x]))
    assert not torch.equal(layer(x, training=True), found)
    assert torch.equal(layer(x), layer(x))


def test_one_graph_of_masks_and_states() -> None:
    layer = built(new(kt.layers, 2, return_state=True, return_sequences=True), SHAPES[2])
    x, states = rand(SHAPES[2]), [rand(STATES[2]), rand(STATES[2])]
    torch._dynamo.reset()
    results = []
    for function in (torch.compile(layer, fullgraph=True, backend="aot_eager"), layer):
        y = function(x, mask=mask_of("any"), initial_state=states)
        results.append([*y, *gradients(layer, y, [x, *states])])
    close(*results)
    torch._dynamo.reset()


@pytest.mark.parametrize("name", ["ConvLSTM1D", "LSTM"])
def test_gradients_of_stateful_layers_in_graphs(name: str) -> None:
    """The backward pass sees the states that the forward pass began with."""
    config: dict[str, Any] = {"return_state": True, "stateful": True}
    layer = new(kt.layers, 1, **config) if name == "ConvLSTM1D" else kt.layers.LSTM(3, **config)
    x = rand(SHAPES[1] if name == "ConvLSTM1D" else SHAPES[1][:3]).detach()
    layer.build(x.shape)
    torch._dynamo.reset()
    results = []
    for function in (torch.compile(layer, fullgraph=True, backend="aot_eager"), layer):
        layer.reset_state()
        found = []
        for mask in (None, mask_of("any")):
            y = function(x, mask=mask)
            found += [*y, *gradients(layer, y, [])]
        results.append(found)
    close(*results)
    torch._dynamo.reset()


def test_a_model_learns() -> None:
    torch.manual_seed(0)
    model = kt.Sequential([
        kt.Input((3, 5, 5, 1)),
        kt.layers.ConvLSTM2D(3, 3, padding="same", return_sequences=True),
        kt.layers.ConvLSTM2D(1, 2, padding="same", activation=None),
    ])  # fmt: skip
    model.compile(kt.optimizers.Adam(0.02), "mse")
    x = torch.rand(32, 3, 5, 5, 1)
    losses = model.fit(x, x[:, 1], epochs=8, verbose=0).history["loss"]
    assert losses[-1] < 0.6 * losses[0]


# -- files -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("writer", [kt, keras], ids=["ours", "theirs"])
def test_files_are_read_by_the_other_side(writer: Any, tmp_path: Any) -> None:
    reader = keras if writer is kt else kt
    layers = writer.layers
    first = {"data_format": "channels_first", "return_sequences": True}
    inputs = writer.Input(batch_shape=(ROWS, STEPS, CHANNELS, 5, 4))
    state = writer.Input(batch_shape=(ROWS, FILTERS, 4, 3))
    y, h, c = layers.ConvLSTM2D(FILTERS, 2, return_state=True, **first)(
        inputs, initial_state=[state, state]
    )
    z = layers.ConvLSTM2D(2, 2, padding="same", stateful=True, unroll=True, **first)(y)
    model = writer.Model([inputs, state], [z, h, c])
    model.set_weights(random_weights(model))
    model.save(tmp_path / "model.keras")
    loaded = reader.models.load_model(tmp_path / "model.keras")
    given = [torch.randn(tuple(tensor.shape)) for tensor in (inputs, state)]
    for _ in range(2):  # the second layer goes on
        close(flat(loaded(given)), flat(model(given)))


@pytest.mark.parametrize("name", ["ConvLSTM1D", "LSTM"])
def test_states_are_zero_after_loading(name: str, tmp_path: Any) -> None:
    """They are in no file, and they may be larger than all that is."""
    rows = 3000
    inputs = kt.Input(batch_shape=(rows, *((2, 4, 1) if name == "ConvLSTM1D" else (2, 1))))
    config: dict[str, Any] = {"stateful": True, "name": "rnn"}
    layer = new(kt.layers, 1, **config) if name == "ConvLSTM1D" else kt.layers.LSTM(3, **config)
    kt.Model(inputs, layer(inputs)).save(tmp_path / "model.keras")
    states = kt.models.load_model(tmp_path / "model.keras").get_layer("rnn").states
    assert [state.shape[0] for state in states] == [rows, rows]
    assert not any(state.any() for state in states)


def test_a_file_may_not_ask_for_any_size_of_states() -> None:
    with budget(0), pytest.raises(ValueError, match="no values for it: it is damaged or made to"):
        kt.layers.LSTM(2**10, stateful=True).add_weight((2**20, 2**10), persistent=False)


def test_exported_for_batches_of_any_size(tmp_path: Any) -> None:
    inputs = kt.Input((3, 5, 4, 1))
    model = kt.Model(inputs, new(kt.layers, 2, padding="same", strides=2)(inputs))
    model.export(tmp_path / "model.pt2", verbose=False)
    program = torch.export.load(tmp_path / "model.pt2").module()
    for rows in (1, 3):
        x = torch.rand(rows, 3, 5, 4, 1)
        close(program(x), model(x))
    inputs = kt.Input((None, 5, 4, 1))  # its loop has a known number of steps
    with pytest.raises(ValueError, match="Give that axis its size"):
        kt.Model(inputs, new(kt.layers, 2)(inputs)).export(tmp_path / "open.pt2", verbose=False)


# -- messages ----------------------------------------------------------------------------------------

BAD: list[tuple[Callable[[], Any], str]] = [
    (lambda: new(kt.layers, 2, filters=0), "`filters` must be a positive integer, received 0"),
    (lambda: new(kt.layers, 2, kernel_size=(3, 3, 3)), "`kernel_size` must be an integer >= 1"),
    (lambda: new(kt.layers, 2, padding="causal"), "`padding` must be one of ('valid', 'same')"),
    (lambda: new(kt.layers, 2, strides=2, dilation_rate=2), "cannot be combined"),
    (lambda: new(kt.layers, 2, dropout=1.5), "`dropout` must be in [0, 1], received 1.5"),
    (lambda: new(kt.layers, 2, filter=2), "unknown argument 'filter'"),
    (
        lambda: new(kt.layers, 2)(torch.rand(2, 5, 5, 1)),
        "must have 5 axes, (batch, time, height, width, channels), received shape (2, 5, 5, 1)",
    ),
    (
        lambda: new(kt.layers, 1, data_format="channels_first")(torch.rand(2, 5, 1)),
        "must have 4 axes, (batch, time, channels, width)",
    ),
    (lambda: new(kt.layers, 2)(kt.Input((5, 4, 4, None))), "the channels of the input must be known"),
    (lambda: new(kt.layers, 2)(torch.rand(2, 0, 4, 4, 1)), "at least one step"),
    (lambda: new(kt.layers, 2)(torch.rand(2, 3, 1, 4, 1)), "space at least [2, 2] long"),
    (
        lambda: new(kt.layers, 1, stateful=True)(kt.Input((5, 4, 1))),
        "is stateful, so the batch size must be known",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("make", "message"), BAD, ids=lambda v: v[:30] if type(v) is str else "")
def test_messages(make: Callable[[], Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError)) as caught:
        make()
    assert message in str(caught.value)


def test_other_shapes_than_built_for() -> None:
    layer = built(new(kt.layers, 2), SHAPES[2])
    for shape in ((2, 3, 5, 4, 3), (2, 5, 4, 2), (2, 3, 3, 5, 4, 2)):
        with pytest.raises(
            ValueError, match=r"ConvLSTM2D 'conv_lstm2d.*width, channels\) with 2 channels"
        ):
            layer(torch.rand(shape))
    x, state = torch.rand(SHAPES[2]), torch.rand(ROWS, 1, 1, FILTERS)
    with pytest.raises(
        ValueError, match=r"a state must have the shape \(4, 4, 3, 3\), received \(4, 1, 1, 3\)"
    ):
        layer(x, initial_state=[state, state])
    with pytest.raises(ValueError, match=r"`mask` must be \(batch, time\), \(4, 5\), received"):
        layer(x, mask=mask_of("any")[:, :2])
    stateful = built(new(kt.layers, 2, stateful=True), SHAPES[2])
    with pytest.raises(ValueError, match="expected 4 rows"):
        stateful(x[:2])
