"""The recurrent part of the table of layers."""

from collections.abc import Iterator
from itertools import product
from typing import Any

from layer_table import Case, Inner

SHAPE = (2, 5, 3)
LAYERS = ("LSTM", "GRU", "SimpleRNN")
#: Keras cannot draw its default, an orthogonal matrix, in bfloat16.
FOUR = {"units": 4, "recurrent_initializer": "he_normal"}


def cases() -> Iterator[Case]:
    for layer in LAYERS:
        yield Case(layer, SHAPE, FOUR, (1,))
        yield Case(layer, SHAPE, {**FOUR, "return_sequences": True, "go_backwards": True}, (1,))
    loop = {"activation": "relu", "recurrent_activation": "hard_sigmoid", "unroll": True}
    yield Case("LSTM", SHAPE, {**FOUR, **loop})
    yield Case("GRU", SHAPE, {**FOUR, "reset_after": False, "return_sequences": True}, (1,))
    yield Case("SimpleRNN", SHAPE, {**FOUR, "activation": "relu"})
    penalties = {
        "kernel_regularizer": "l2",
        "recurrent_regularizer": "l1",
        "bias_regularizer": "l2",
        "activity_regularizer": "l1",
        "kernel_constraint": "max_norm",
    }
    yield Case("LSTM", SHAPE, {**FOUR, "unit_forget_bias": False, **penalties})
    yield Case("LSTM", SHAPE, {**FOUR, "dropout": 0.5, "seed": 3}, random=True)
    yield Case("GRU", SHAPE, {**FOUR, "recurrent_dropout": 0.5}, random=True)

    for layer, sequences in product(LAYERS, (False, True)):
        for more in _variants(layer):
            config = {"units": 2, "return_sequences": sequences, "use_bias": not sequences, **more}
            yield Case(layer, SHAPE, config, (1,), sweep=True)

    cells = [_cell("GRU", 3), _cell("LSTM", 2), _cell("SimpleRNN", 4)]
    yield Case("RNN", SHAPE, {"cell": cells[1]}, (1,))
    yield Case("RNN", SHAPE, {"cell": cells, "return_sequences": True}, (1,))
    stack = Inner("StackedRNNCells", {"cells": cells[:2], "name": "stack"})
    yield Case("RNN", SHAPE, {"cell": stack, "go_backwards": True}, sweep=True)

    for layer, mode, sequences in (("LSTM", "concat", True), ("GRU", "sum", False)):
        inner = Inner(layer, {**FOUR, "return_sequences": sequences, "name": "inner"})
        yield Case("Bidirectional", SHAPE, {"layer": inner, "merge_mode": mode}, (1,))
    relu = Inner("LSTM", {**FOUR, "activation": "relu", "go_backwards": True, "name": "back"})
    config = {"layer": Inner("LSTM", {**FOUR, "name": "there"}), "backward_layer": relu}
    yield Case("Bidirectional", SHAPE, config)

    dense = Inner("Dense", {"units": 4, "activation": "relu", "name": "inner"})
    yield Case("TimeDistributed", SHAPE, {"layer": dense}, (1,))
    window = Inner("Conv2D", {"filters": 2, "kernel_size": 2, "name": "inner"})
    yield Case("TimeDistributed", (2, 3, 4, 4, 1), {"layer": window}, (1,))

    yield from _convolutions()

    yield Case("Masking", SHAPE, free=(1,))
    yield Case("Masking", (2, 3, 4, 2), {"mask_value": 1.0}, (1, 2))


def _convolutions() -> Iterator[Case]:
    wide, image, volume = (2, 3, 7, 2), (2, 3, 5, 6, 2), (2, 2, 4, 3, 4, 2)
    three = {"filters": 3, "recurrent_initializer": "he_normal"}
    every = {**three, "return_sequences": True}
    yield Case("ConvLSTM1D", wide, {**every, "kernel_size": 3, "strides": 2}, (1,))
    same = {"kernel_size": (3, 2), "padding": "same", "go_backwards": True}
    yield Case("ConvLSTM2D", image, {**every, **same}, (1,))
    plain = {
        "unit_forget_bias": False,
        "activation": "relu",
        "recurrent_activation": "hard_sigmoid",
        "kernel_regularizer": "l2",
        "recurrent_regularizer": "l1",
        "activity_regularizer": "l2",
        "bias_constraint": "non_neg",
    }
    config = {**three, **plain, "kernel_size": 2, "dilation_rate": (2, 1)}
    yield Case("ConvLSTM2D", image, config)
    rates = {"dropout": 0.5, "recurrent_dropout": 0.25, "seed": 3}
    yield Case("ConvLSTM2D", image, {**three, "kernel_size": 2, **rates}, random=True)
    yield Case("ConvLSTM3D", volume, {**three, "kernel_size": 2, "use_bias": False}, (1,))

    for rank, shape in ((1, wide), (2, image), (3, volume)):
        for padding, window in product(("valid", "same"), (1, 2, 3)):
            for more in ({}, {"strides": 2}, {"dilation_rate": 2}):
                reach = (window - 1) * more.get("dilation_rate", 1) + 1
                if padding == "valid" and reach > min(shape[2:-1]):
                    continue
                config = {"filters": 2, "kernel_size": window, "padding": padding, **more}
                yield Case(f"ConvLSTM{rank}D", shape, config, sweep=True)


def _cell(kind: str, units: int) -> Inner:
    return Inner(f"{kind}Cell", {**FOUR, "units": units, "name": kind.lower()})


def _variants(layer: str) -> list[dict[str, Any]]:
    """What decides between kernel and loop."""
    variants: list[dict[str, Any]] = [{"activation": "relu"}, {"activation": None}]
    if layer != "SimpleRNN":
        variants += [{"recurrent_activation": "tanh"}, {"use_cudnn": False}]
    if layer == "GRU":
        variants += [{"reset_after": False}]
    return [{}, *variants]
