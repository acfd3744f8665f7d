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


@dataclass(frozen=True, eq=False)
class Case:
    """One configuration. `shape` includes the batch axis; a list of shapes is a list of inputs."""

    layer: str
    shape: Any
    config: dict[str, Any] = field(default_factory=dict)
    free: tuple[int, ...] = ()  # axes that may be unknown, besides the batch
    indices: int = 0  # inputs are integers below this bound
    random: bool = False  # draws in training
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

    def packed(self, values: list[Any]) -> Any:
        """`values` as the layer takes them: one, or a list."""
        return values if isinstance(self.shape, list) else values[0]

    def new(self, **more: Any) -> Any:
        """Our layer, unbuilt."""
        return getattr(kt.layers, self.layer)(**self.config, **more)

    def ours(self, **more: Any) -> Any:
        """Our layer, built, with random weights."""
        layer = self.new(**more)
        if not layer.built:
            layer.build(self.packed(self.shapes))
        layer.set_weights(random_weights(layer))
        return layer

    def oracle(self) -> Any:
        """Keras's layer, built, with the same weights."""
        layer = getattr(keras.layers, self.layer)(**self.config)
        if not layer.built:
            layer.build(self.packed(self.shapes))
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

    for keepdims in (False, True):
        config = {"keepdims": keepdims}
        yield Case("GlobalMaxPooling1D", (2, 5, 3), config, (1,))
        yield Case("GlobalMaxPooling1D", (2, 3, 5), {**FIRST, **config}, (2,))
        yield Case("GlobalMaxPooling2D", (2, 5, 4, 3), config, (1, 2))
        yield Case("GlobalMaxPooling2D", (2, 3, 5, 4), {**FIRST, **config}, (2, 3))

    yield Case("Identity", (2, 3), free=(1,))
    yield Case("Identity", (2,))

    yield Case("Lambda", (2, 3), {"function": square})
    yield Case("Lambda", (2, 3), {"function": scaled, "arguments": {"factor": 2.0}})

    strides: list[Any] = [None, 1, 3, (2, 1)]
    for padding, pool, stride in product(("valid", "same"), (2, 3, (1, 2)), strides):
        config = {"pool_size": pool, "strides": stride, "padding": padding}
        sweep = stride is not None or pool != 2
        yield Case("MaxPooling2D", (2, 7, 6, 3), config, (1, 2), sweep=sweep)
        yield Case("MaxPooling2D", (2, 3, 7, 6), {**config, **FIRST}, (2, 3), sweep=sweep)


CASES = list(_table())
FEW = [case for case in CASES if not case.sweep]
