"""The table of layers: every layer with several configurations. Each invariant is a test over it.

A `Case` names a layer of `kerastorch.layers` and `keras.layers` alike, its arguments and the shapes
of its inputs. `ours` and `oracle` build it, with the same random weights in both.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from itertools import product
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import pytest
import torch

import kerastorch as kt

torch.set_num_threads(1)  # the tensors are tiny: threads would only wait for each other
FIRST = {"data_format": "channels_first"}


@dataclass(frozen=True)
class Inner:
    """A layer inside the configuration of another: ours in ours, Keras's in Keras's."""

    layer: str
    config: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.layer}({', '.join(f'{k}={v}' for k, v in self.config.items())})"


def made(value: Any, library: Any, **shared: Any) -> Any:
    """`value` with each `Inner` in it as a layer of the library; those inside have the same dtype."""
    if isinstance(value, (list, tuple)):
        return type(value)(made(item, library, **shared) for item in value)
    if not isinstance(value, Inner):
        return value
    config = {**shared, **value.config}
    shared = {key: config[key] for key in ("dtype",) if key in config}
    config = {key: made(item, library, **shared) for key, item in config.items()}
    return getattr(library.layers, value.layer)(**config)


@dataclass(frozen=True, eq=False)
class Case:
    """One configuration. `shape` includes the batch axis; a list of shapes is a list of inputs, or
    with `apart` several arguments."""

    layer: str
    shape: Any
    config: dict[str, Any] = field(default_factory=dict)
    free: tuple[int, ...] = ()  # axes that may be unknown, besides the batch
    indices: int = 0  # inputs are integers below this bound
    random: bool = False  # draws in training
    apart: bool = False  # inputs are arguments of their own
    sweep: bool = False  # one of many alike: left out where a test is slow

    def __str__(self) -> str:
        options = [f"{k}={getattr(v, '__name__', v)}" for k, v in self.config.items()]
        return f"{self.layer}({', '.join(options)})-{self.shape}".replace(" ", "")

    @cached_property
    def shapes(self) -> list[tuple[int, ...]]:
        """The shapes of the inputs, also when there is one."""
        return self.shape if isinstance(self.shape, list) else [self.shape]

    def arrays(self, seed: int = 0) -> list[np.ndarray]:
        """Random inputs."""
        rng = np.random.default_rng(seed)
        if self.indices:
            return [rng.integers(0, self.indices, shape) for shape in self.shapes]
        return [rng.uniform(-1, 1, shape).astype("float32") for shape in self.shapes]

    def tensors(self, dtype: torch.dtype = torch.float32, device: str = "cpu") -> list[Any]:
        """Random inputs; floating-point ones take gradients."""
        if self.indices:
            return [torch.from_numpy(a).to(device) for a in self.arrays()]
        arrays = self.arrays()
        return [torch.from_numpy(a).to(device, dtype).requires_grad_() for a in arrays]

    def packed(self, values: list[Any]) -> list[Any]:
        """`values` as the arguments of a call."""
        return [values] if isinstance(self.shape, list) and not self.apart else values

    def new(self, **more: Any) -> Any:
        """Our layer, unbuilt."""
        return made(Inner(self.layer, {**self.config, **more}), kt)

    def theirs(self, **more: Any) -> Any:
        """Keras's layer, unbuilt."""
        return made(Inner(self.layer, {**self.config, **more}), keras)

    def ours(self, **more: Any) -> Any:
        """Our layer, built, with random weights."""
        layer = self.new(**more)
        if not layer.built:
            layer.build(*self.packed(self.shapes))
        layer.set_weights(random_weights(layer))
        return layer

    def oracle(self) -> Any:
        """Keras's layer, built, with the same weights."""
        layer = self.theirs()
        if not layer.built:
            layer.build(*self.packed(self.shapes))
        layer.set_weights(random_weights(layer))
        return layer


def random_weights(layer: Any) -> list[np.ndarray]:
    """Values for the weights of a layer, the same for ours and Keras's; variances are positive."""
    rng = np.random.default_rng(1)
    values = []
    for weight in layer.weights:
        low = 0.5 if "variance" in weight.name else -1.0
        values.append(rng.uniform(low, 1.0, tuple(weight.shape)).astype("float32"))
    return values


def leaves(value: Any) -> list[Any]:
    """The tensors of an output."""
    return list(value) if isinstance(value, (list, tuple)) else [value]


def modes(case: Case) -> tuple[bool, ...]:
    """The values of `training` with which outputs can be compared: where a call does not name it,
    it changes nothing, and where it draws, no two calls are alike."""
    takes = "training" in inspect.signature(case.new().call).parameters
    return (False, True) if takes and not case.random else (False,)


def over(cases: list[Case]) -> Any:
    """Parametrize a test over cases."""
    return pytest.mark.parametrize("case", cases, ids=str)


# -- functions for Lambda --------------------------------------------------------------------------


@kt.saving.register_keras_serializable("table")
def square(x: Any) -> Any:
    return x * x


@kt.saving.register_keras_serializable("table")
def scaled(x: Any, factor: float, training: bool = False) -> Any:
    return x * factor if training else x


# -- the table -------------------------------------------------------------------------------------


def _table() -> Iterator[Case]:
    yield from import_module("recurrent_table").cases()

    for activation in ("relu", "softmax", "gelu", "linear", "tanh"):
        yield Case("Activation", (2, 3, 4), {"activation": activation}, (1,))

    yield Case("Add", [(2, 3), (2, 3)], free=(1,))
    yield Case("Add", [(2, 3, 4), (2, 1, 4), (2, 4)])
    yield Case("Add", [(2, 3, 1), (2, 1, 4), (2, 3, 4)])

    yield Case("BatchNormalization", (4, 3))
    yield Case("BatchNormalization", (4, 5, 3), {"momentum": 0.9, "epsilon": 1e-2}, (1,))
    yield Case("BatchNormalization", (2, 4, 5, 3), free=(1, 2))
    yield Case("BatchNormalization", (2, 3, 4, 5), {"axis": 1}, (2, 3))
    yield Case("BatchNormalization", (4, 3, 5), {"axis": -2}, (2,))
    for scale, center in ((False, True), (True, False), (False, False)):
        yield Case("BatchNormalization", (2, 4, 4, 3), {"scale": scale, "center": center})

    yield Case("Concatenate", [(2, 3), (2, 5)])
    yield Case("Concatenate", [(2, 3, 4), (2, 2, 4), (2, 1, 4)], {"axis": 1})
    yield Case("Concatenate", [(2, 3, 4), (2, 3, 1)], {"axis": -1}, (1,))
    yield Case("Concatenate", [(2, 3), (2, 3)], {"axis": 0})

    conv1d: list[dict[str, Any]] = [{}, {"strides": 2}, {"dilation_rate": 2}, {"groups": 2}]
    for padding, more, window in product(("valid", "same", "causal"), conv1d, (2, 3)):
        for steps in (9, 10):
            config = {"filters": 4, "kernel_size": window, "padding": padding, **more}
            sweep = bool(more) or window == 2 or steps == 10
            yield Case("Conv1D", (2, steps, 2), config, (1,), sweep=sweep)
    yield Case("Conv1D", (2, 2, 9), {"filters": 3, "kernel_size": 3, **FIRST}, (2,))
    config = {"filters": 3, "kernel_size": 4, "strides": 3, "padding": "same", **FIRST}
    yield Case("Conv1D", (2, 2, 9), config, (2,))

    conv2d: list[dict[str, Any]] = [
        *({"strides": 2}, {"strides": (1, 3)}, {"dilation_rate": 2}, {"dilation_rate": (2, 1)}),
        *({"groups": 2}, {"groups": 2, "strides": 2}),
    ]
    windows, sizes = (1, 2, 3, (2, 5)), ((9, 10), (8, 9))
    for padding, more, window, size in product(("valid", "same"), conv2d, windows, sizes):
        config = {"filters": 4, "kernel_size": window, "padding": padding, **more}
        # Keras's gradients are wrong for window 1, strides and few channels: oneDNN issue 6035
        channels = 16 if window == 1 else 2
        yield Case("Conv2D", (2, *size, channels), config, (1, 2), sweep=True)
        if window == 2 and size == (8, 9):
            yield Case("Conv2D", (2, 2, *size), {**config, **FIRST}, (2, 3), sweep=True)
    yield Case("Conv2D", (2, 6, 6, 1), {"filters": 4, "kernel_size": 3}, (1, 2))
    config = {"filters": 4, "kernel_size": 3, "padding": "same", "activation": "relu"}
    yield Case("Conv2D", (2, 6, 6, 3), {**config, "use_bias": False}, (1, 2))
    yield Case("Conv2D", (2, 3, 6, 6), {**config, **FIRST, "strides": 2}, (2, 3))

    yield from _other_convolutions()
    yield from _activations()
    yield from _attention()
    yield from _merging()
    yield from _normalization()
    yield from _preprocessing()
    yield from _noise()
    yield from _reshaping()

    yield Case("Dense", (2, 3), {"units": 4})
    yield Case("Dense", (2, 3), {"units": 4, "use_bias": False})
    yield Case("Dense", (2, 3), {"units": 4, "activation": "relu"})
    yield Case("Dense", (2, 5, 3), {"units": 4, "activation": "softmax"}, (1,))
    yield Case("Dense", (2, 5, 3), {"units": 4, "use_bias": False}, (1,))
    yield Case("Dense", (2, 2, 5, 3), {"units": 1, "kernel_initializer": "he_normal"}, (1, 2))

    penalties = {"kernel_regularizer": "l2", "bias_regularizer": "l1", "activity_regularizer": "l2"}
    yield Case("Dense", (2, 3), {"units": 4, **penalties, "kernel_constraint": "max_norm"})

    yield Case("Dropout", (4, 6), {"rate": 0.0})
    yield Case("Dropout", (4, 6), {"rate": 0.5}, (1,), random=True)
    yield Case("Dropout", (4, 6, 3), {"rate": 0.25, "seed": 3}, (1,), random=True)
    yield Case("Dropout", (4, 6, 3), {"rate": 0.5, "noise_shape": (None, 1, 3)}, random=True)

    yield Case("Embedding", (2, 5), {"input_dim": 7, "output_dim": 3}, (1,), indices=7)
    config = {"input_dim": 7, "output_dim": 3, "mask_zero": True}
    yield Case("Embedding", (2, 5), config, (1,), indices=7)
    yield Case("Embedding", (2, 5, 2), {"input_dim": 7, "output_dim": 1}, (1, 2), indices=7)

    config = {"input_dim": 7, "output_dim": 3, "embeddings_regularizer": "l2"}
    yield Case("Embedding", (3,), config, indices=7)

    yield Case("Flatten", (4,))
    yield Case("Flatten", (4, 3))
    yield Case("Flatten", (2, 3, 4, 5), free=(1,))
    yield Case("Flatten", (2, 3, 4, 5), FIRST, (2,))
    yield Case("Flatten", (2, 3), FIRST)

    yield from _pooling()

    yield Case("Identity", (2, 3), free=(1,))
    yield Case("Identity", (2,))

    yield Case("Lambda", (2, 3), {"function": square})
    yield Case("Lambda", (2, 3), {"function": scaled, "arguments": {"factor": 2.0}})


def _pooling() -> Iterator[Case]:
    sizes = (
        7,
        6,
        4,
    )  # where Keras's average with padding is that of TensorFlow, see the oracle tests
    for kind, rank in product(("Max", "Average"), (1, 2, 3)):
        last, first = (2, *sizes[:rank], 3), (2, 3, *sizes[:rank])
        free = tuple(range(1, rank + 1))
        after = tuple(axis + 1 for axis in free)
        for keepdims in (False, True):
            config: dict[str, Any] = {"keepdims": keepdims}
            name = f"Global{kind}Pooling{rank}D"
            yield Case(name, last, config, free, sweep=keepdims)
            yield Case(name, first, {**FIRST, **config}, after, sweep=not keepdims or rank != 2)
        name = f"Adaptive{kind}Pooling{rank}D"
        yield Case(name, last, {"output_size": (3, 2, 5)[:rank]}, free)
        yield Case(name, first, {"output_size": 4, **FIRST}, after, sweep=True)
        strides: list[Any] = [None, 1, 3, *([(2, 1)] if rank == 2 else [])]
        pools: list[Any] = [2, 3, *([(1, 2)] if rank == 2 else [])]
        for padding, pool, stride in product(("valid", "same"), pools, strides):
            config = {"pool_size": pool, "strides": stride, "padding": padding}
            few = {"same": 3, "valid": 2}[padding] if rank == 2 or padding == "same" else 0
            sweep = stride is not None or pool != few
            name = f"{kind}Pooling{rank}D"
            yield Case(name, last, config, free, sweep=sweep)
            if rank == 2 or pool == 2:
                yield Case(name, first, {**config, **FIRST}, after, sweep=rank != 2 or sweep)


def _other_convolutions() -> Iterator[Case]:
    volume = (2, 4, 5, 4, 2)
    yield Case("Conv3D", volume, {"filters": 3, "kernel_size": 2, "padding": "same"}, (1, 2, 3))
    config: dict[str, Any] = {"filters": 4, "kernel_size": (1, 3, 2), "strides": (1, 2, 1)}
    yield Case("Conv3D", volume, {**config, "groups": 2, "activation": "relu"}, (1,), sweep=True)
    yield Case("Conv3D", (2, 2, 4, 5, 4), {**config, **FIRST}, (2,), sweep=True)

    for rank, paddings in ((1, ("valid", "same")), (2, ("same", "valid"))):
        first, sizes, free = f"{rank}D", (7, 6)[:rank], tuple(range(1, rank + 1))
        options: list[dict[str, Any]] = [
            {"depth_multiplier": 2, "activation": "softmax"},
            *({"strides": 2, "use_bias": False}, {"dilation_rate": 2}, FIRST),
        ]
        for padding, more in product(paddings, options):
            shape = (2, 3, *sizes) if more is FIRST else (2, *sizes, 3)
            config = {"kernel_size": 3, "padding": padding, **more}
            axes = tuple(axis + 1 for axis in free) if more is FIRST else free
            sweep = more is not options[0] or padding != paddings[0]
            yield Case(f"DepthwiseConv{first}", shape, config, axes, sweep=sweep)
            yield Case(f"SeparableConv{first}", shape, {"filters": 4, **config}, axes, sweep=sweep)

    transposed: list[dict[str, Any]] = [
        *({}, {"strides": 2}, {"strides": 3, "output_padding": 1}, {"dilation_rate": 2}),
        {"strides": 2, "output_padding": 0},
    ]
    for padding, more, window in product(("valid", "same"), transposed, (1, 2, 3, 4, 5)):
        config = {"filters": 3, "kernel_size": window, "padding": padding, **more}
        sweep = padding != "same" or window != 3 or more != {"strides": 2}
        yield Case("Conv1DTranspose", (2, 5, 2), config, (1,), sweep=sweep)
        if window > 2 and (more or not sweep):
            yield Case("Conv2DTranspose", (2, 4, 3, 2), config, (1, 2), sweep=sweep)
    config = {"filters": 3, "kernel_size": (2, 5), "strides": (3, 1), "padding": "same"}
    yield Case("Conv2DTranspose", (2, 2, 4, 3), {**config, **FIRST, "activation": "relu"}, (2, 3))
    config = {"filters": 2, "kernel_size": 3, "strides": 2, "padding": "same"}
    yield Case("Conv3DTranspose", (1, 2, 3, 2, 2), config, (1, 2, 3))
    config = {"filters": 2, "kernel_size": 3, "strides": (1, 3, 2), "output_padding": (0, 2, 1)}
    yield Case("Conv3DTranspose", (1, 2, 2, 3, 2), {**config, **FIRST}, (2,), sweep=True)


def _activations() -> Iterator[Case]:
    yield Case("ReLU", (2, 3, 4), {"max_value": 0.5, "negative_slope": 0.1}, (1,))
    yield Case("ReLU", (2, 3), {"threshold": 0.25}, sweep=True)
    yield Case("LeakyReLU", (2, 3, 4), free=(1,))
    yield Case("ELU", (2, 3, 4), {"alpha": 0.5}, (1,))
    yield Case("PReLU", (2, 3, 4))
    config = {"shared_axes": [1, 2], "alpha_regularizer": "l2", "alpha_initializer": "ones"}
    yield Case("PReLU", (2, 3, 4, 2), config, (1, 2))
    yield Case("Softmax", (2, 3, 4))
    yield Case("Softmax", (2, 3, 4), {"axis": 1})
    yield Case("Softmax", (2, 3, 4), {"axis": [1, 2]}, sweep=True)


def _attention() -> Iterator[Case]:
    pair, triple = [(2, 4, 6), (2, 5, 3)], [(2, 4, 6), (2, 5, 3), (2, 5, 7)]
    heads: dict[str, Any] = {"num_heads": 2, "key_dim": 3}
    apart: dict[str, Any] = {"apart": True}
    yield Case("MultiHeadAttention", pair, heads, (1,), **apart)
    yield Case("MultiHeadAttention", triple, {**heads, "value_dim": 4, "output_shape": 5}, **apart)
    config = {**heads, "use_bias": False, "sliding_window": 2, "use_gate": True, "value_dim": 2}
    yield Case("MultiHeadAttention", pair, config, (1,), **apart)
    more = {"kernel_regularizer": "l2", "output_shape": (2, 3)}
    yield Case("MultiHeadAttention", pair, {**heads, **more}, sweep=True, **apart)
    grid = [(2, 3, 4, 6), (2, 3, 4, 6)]
    for axes in (None, (2,), (1, 2), -2):
        yield Case(
            "MultiHeadAttention",
            grid,
            {**heads, "attention_axes": axes},
            **apart,
            sweep=axes != (2,),
        )
    config = {**heads, "dropout": 0.5}
    yield Case("MultiHeadAttention", pair, config, random=True, **apart)
    yield Case("MultiHeadAttention", pair, {**config, "seed": 1}, random=True, **apart)
    groups: dict[str, Any] = {"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2}
    pair = [(2, 4, 6), (2, 5, 6)]
    yield Case("GroupQueryAttention", pair, groups, (1,), **apart)
    config = {**groups, "use_gate": True, "sliding_window": 2, "use_bias": False}
    yield Case("GroupQueryAttention", pair, config, **apart)
    yield Case(
        "GroupQueryAttention", pair, {**groups, "num_key_value_heads": 1}, sweep=True, **apart
    )

    for layer in ("Attention", "AdditiveAttention"):
        yield Case(layer, [(2, 4, 6), (2, 5, 6)], {"use_scale": False}, (1,))
        yield Case(layer, [(2, 4, 6), (2, 5, 3), (2, 5, 6)], {"use_scale": True})
        yield Case(layer, [(2, 4, 6), (2, 5, 6)], {"dropout": 0.5, "seed": 2}, random=True)
    yield Case("Attention", [(2, 4, 6), (2, 5, 6)], {"score_mode": "concat"})
    config = {"score_mode": "concat", "use_scale": True}
    yield Case("Attention", [(2, 4, 6), (2, 5, 6)], config, sweep=True)

    yield Case(
        "EinsumDense", (2, 3), {"equation": "ab,bc->ac", "output_shape": 4, "bias_axes": "c"}
    )
    einsums: list[tuple[tuple[int, ...], str, Any, str | None]] = [
        ((2, 5, 3), "abc,cde->abde", (5, 4, 2), "de"),
        ((2, 5, 3), "abc,cde->abde", (5, 4, 2), "e"),
        ((2, 5, 3), "abc,cde->abde", (5, 4, 2), "d"),
        ((2, 5, 4, 2), "abde,def->abf", (5, 6), "f"),
        ((2, 5, 4, 2), "abde,def->abf", (5, 6), None),
        ((2, 5, 3), "...x,xy->...y", 4, "y"),
        ((2, 3, 5), "ab...,bc->ac...", 4, "c"),
        ((2, 5, 3), "abc,bc->ab", 5, "b"),
        ((2, 5, 3), "abc,cbd->abd", (5, 4), "bd"),
        ((2, 5, 3), "abc,bd->adc", (4, 3), "d"),
    ]
    for shape, equation, output, bias in einsums:
        config = {"equation": equation, "output_shape": output, "bias_axes": bias}
        sweep = equation not in ("abc,cde->abde", "abde,def->abf") or bias in (None, "d")
        yield Case("EinsumDense", shape, {**config, "activation": "tanh"}, sweep=sweep)


def _merging() -> Iterator[Case]:
    for layer in ("Multiply", "Average", "Maximum", "Minimum"):
        yield Case(layer, [(2, 3, 4), (2, 3, 4), (2, 3, 4)], free=(1,))
        yield Case(layer, [(2, 3, 4), (2, 1, 4), (2, 4)], sweep=True)
    yield Case("Subtract", [(2, 3, 4), (2, 3, 4)], free=(1,))
    yield Case("Subtract", [(2, 3, 4), (2, 4)], sweep=True)
    dots: list[tuple[Any, Any]] = [
        ([(2, 3), (2, 3)], 1),
        ([(2, 3, 5), (2, 4, 3)], (1, 2)),
        ([(2, 3, 5), (2, 4, 5)], -1),
        ([(2, 3), (2, 4, 3)], (1, 2)),
        ([(2, 4, 3), (2, 3)], (2, 1)),
        ([(2, 3, 4, 5), (2, 6, 4)], (2, -1)),
        ([(2, 3, 4, 5), (2, 4, 6, 2)], (2, 1)),
    ]
    for at, ((shape, axes), normalize) in enumerate(product(dots, (False, True))):
        yield Case("Dot", shape, {"axes": axes, "normalize": normalize}, sweep=at not in (2, 5))


def _normalization() -> Iterator[Case]:
    yield Case("LayerNormalization", (2, 4, 3), free=(1,))
    yield Case("LayerNormalization", (2, 4, 3), {"axis": [1, 2], "epsilon": 1e-2, "center": False})
    yield Case("LayerNormalization", (2, 4, 3, 5), {"axis": [1, 3], "scale": False}, (2,))
    yield Case("LayerNormalization", (2, 4, 3), {"gamma_regularizer": "l2"}, sweep=True)
    yield Case("GroupNormalization", (2, 4, 3, 6), {"groups": 2}, (1, 2))
    yield Case("GroupNormalization", (2, 6, 4), {"groups": -1, "axis": 1, "center": False}, (2,))
    yield Case("GroupNormalization", (2, 6), {"groups": 1, "scale": False}, sweep=True)
    yield Case("RMSNormalization", (2, 4, 3), free=(1,))
    yield Case("RMSNormalization", (2, 4, 3), {"axis": [1, 2], "epsilon": 1e-2}, sweep=True)
    yield Case("UnitNormalization", (2, 4, 3), free=(1,))
    yield Case("UnitNormalization", (2, 4, 3), {"axis": [1, 2]}, sweep=True)
    inner = Inner("Dense", {"units": 4, "name": "inner"})
    yield Case("SpectralNormalization", (2, 3), {"layer": inner})
    inner = Inner("Conv2D", {"filters": 4, "kernel_size": 2, "name": "inner"})
    config = {"layer": inner, "power_iterations": 3}
    yield Case("SpectralNormalization", (2, 5, 5, 3), config, sweep=True)


def _noise() -> Iterator[Case]:
    yield Case("ActivityRegularization", (2, 3), {"l1": 0.5, "l2": 0.25})
    for seed in ({}, {"seed": 3}):
        yield Case("GaussianNoise", (4, 6, 3), {"stddev": 0.5, **seed}, (1,), random=True)
        yield Case("GaussianDropout", (4, 6, 3), {"rate": 0.25, **seed}, (1,), random=True)
        yield Case("AlphaDropout", (4, 6, 3), {"rate": 0.25, **seed}, (1,), random=True)
    config: dict[str, Any] = {"rate": 0.25, "noise_shape": (None, 1, 3)}
    yield Case("AlphaDropout", (4, 6, 3), config, random=True)
    yield Case("SpatialDropout1D", (4, 5, 3), {"rate": 0.5}, (1,), random=True)
    yield Case("SpatialDropout2D", (4, 5, 4, 3), {"rate": 0.5, "seed": 1}, (1,), random=True)
    yield Case("SpatialDropout2D", (4, 3, 5, 4), {"rate": 0.5, **FIRST}, (2,), random=True)
    yield Case("SpatialDropout3D", (4, 2, 2, 4, 3), {"rate": 0.5}, (1,), random=True)


def _preprocessing() -> Iterator[Case]:
    statistics = {"mean": [1.0, 2.0, 3.0], "variance": [0.5, 1.0, 2.0]}
    yield Case("Normalization", (2, 4, 3), statistics, (1,))
    yield Case("Normalization", (2, 3), {"mean": 1.0, "variance": 4.0, "invert": True}, sweep=True)
    yield Case("Rescaling", (2, 4, 3), {"scale": 0.25, "offset": -1.0}, (1,))


def _reshaping() -> Iterator[Case]:
    yield Case("Reshape", (2, 6), {"target_shape": (2, 3)})
    yield Case("Reshape", (2, 6, 4), {"target_shape": (-1, 2)}, (1,))
    yield Case("Permute", (2, 3, 4, 5), {"dims": (3, 1, 2)}, (1, 2))
    yield Case("RepeatVector", (2, 3), {"n": 4})
    for rank in (1, 2, 3):
        last, first = (2, *(5, 6, 4)[:rank], 3), (2, 3, *(5, 6, 4)[:rank])
        free = tuple(range(1, rank + 1))
        uneven: Any = ((1, 2), (0, 1), (2, 0))[:rank] if rank > 1 else (1, 2)
        for layer, name in (("ZeroPadding", "padding"), ("Cropping", "cropping")):
            layer = f"{layer}{rank}D"
            yield Case(layer, last, free=free)
            yield Case(layer, last, {name: uneven}, free, sweep=True)
            yield Case(layer, last, {name: 1}, free, sweep=True)
            if rank > 1 or layer == "ZeroPadding1D":
                axes = tuple(axis + 1 for axis in free)
                yield Case(layer, first, {name: uneven, **FIRST}, axes, sweep=rank != 2)
        yield Case(f"UpSampling{rank}D", last, free=free)
        if rank > 1:
            yield Case(f"UpSampling{rank}D", first, {"size": (3, 1, 2)[:rank], **FIRST}, sweep=True)
    for interpolation in ("bilinear", "bicubic"):
        config = {"size": (2, 3), "interpolation": interpolation}
        yield Case("UpSampling2D", (2, 4, 3, 2), config, (1, 2), sweep=interpolation == "bicubic")
        yield Case("UpSampling2D", (2, 2, 4, 3), {**config, **FIRST}, sweep=True)


CASES = list(_table())
FEW = [case for case in CASES if not case.sweep]
