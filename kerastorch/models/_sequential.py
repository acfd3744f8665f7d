"""`Sequential`: a functional model of one chain."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import nn

from kerastorch._graph import KerasTensor, _running, real_tensors
from kerastorch._registry import custom_object_scope
from kerastorch.config import floatx
from kerastorch.layers._call import weights_beside
from kerastorch.layers._input import Input, InputLayer
from kerastorch.layers._layer import Layer
from kerastorch.models._config import layer_entry, layer_from
from kerastorch.models._functional import Functional, _leaves
from kerastorch.models._model import registry


class Sequential(Functional):
    """Layers one after the other; each is a layer, any `nn.Module`, or a model.

    With an `Input` in front it is built at once; else by its first call, `build` or `fit`.

    >>> import torch, kerastorch as keras
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8), torch.nn.ReLU()])
    >>> model.output_shape, list(model.state_dict())
    ((None, 8), ['dense.kernel', 'dense.bias'])
    """

    _stack: list[Any]
    _chain: list[
        KerasTensor
    ]  # the input and what each layer gives; empty while the input is unknown

    def __init__(
        self, layers: Iterable[Any] | None = None, trainable: bool = True, name: str | None = None
    ) -> None:
        Layer.__init__(self, trainable=trainable, name=name)
        self._init_graph_module()
        self.__dict__.update(_stack=[], _chain=[])
        for layer in layers or ():
            self._append(layer)
        self._remake()

    # -- the chain ---------------------------------------------------------------------------------

    def add(self, layer: Any, rebuild: bool = True) -> None:
        """Append a layer."""
        before = {"_stack": list(self._stack), "_chain": list(self._chain)}
        self._append(layer)
        try:
            if rebuild:
                self._remake()
        except Exception:
            self.__dict__.update(before)
            self._remake()
            raise

    def pop(self, rebuild: bool = True) -> Any:
        """Remove the last layer and give it back."""
        if not self._stack:
            raise ValueError(f"{self._title()} has no layer to remove.")
        layer = self._stack.pop()
        del self._chain[len(self._stack) + 1 :]
        if rebuild:
            self._remake()
        return layer

    def _append(self, layer: Any) -> None:
        if isinstance(layer, (KerasTensor, InputLayer)):
            if self._stack or self._chain:
                raise ValueError(f"{self._title()}: an Input must be the first of the layers.")
            self._chain.append(layer if isinstance(layer, KerasTensor) else layer.output)
            return
        if not isinstance(layer, nn.Module):
            raise TypeError(
                f"{self._title()}: expected a layer or nn.Module, received {layer!r} "
                f"of type {type(layer).__name__}."
            )
        if isinstance(layer, Layer) and any(layer is known for known in self._stack):
            raise ValueError(
                f"{self._title()}: {layer._title()} is there already. "
                "To use its weights twice, write the model with the functional API."
            )
        if not self._stack and not self._chain:
            shape = getattr(layer, "_declared_shape", None)
            if shape is not None:
                self._chain.append(Input(batch_shape=shape))
            elif isinstance(layer, Functional) and layer.built and len(layer.inputs) == 1:
                first = layer.inputs[0]
                self._chain.append(Input(batch_shape=first.shape, dtype=first.dtype))
        self._stack.append(layer)

    def _remake(self) -> None:
        """Make the graph anew, or only register the modules while the input is unknown."""
        self.built = False
        if self._chain and self._stack:
            for layer in self._stack[len(self._chain) - 1 :]:
                result = layer(self._chain[-1])
                if not isinstance(result, KerasTensor):
                    raise ValueError(
                        f"{self._title()}: layer {getattr(layer, 'name', layer)!r} has several outputs. "
                        "Use the functional API."
                    )
                self._chain.append(result)
            self._set_graph(self._chain[0], self._chain[-1])
        else:
            for key in ("_flat_inputs", "_inputs", "_outputs", "_input_layers", "_graph", "_code"):
                self.__dict__.pop(key, None)  # the graph of before is no longer ours
            if "forward" in type(self).__dict__:
                del type(self).forward
            self._register(self._stack)

    def build(self, input_shape: Any = None) -> None:
        """Make the graph and all weights for a shape with the batch axis."""
        if self.built or not self._stack:
            return
        if input_shape is None:
            raise ValueError(f"{self._title()}.build: give `input_shape`, batch axis included.")
        self._begin(tuple(input_shape), None)

    def _begin(self, shape: tuple[int | None, ...], dtype: Any) -> None:
        dtype = dtype or getattr(self._stack[0], "_reads", None) or floatx()
        with real_tensors():
            running, _running[:] = list(_running), []
            try:
                self._chain.append(Input(batch_shape=(None, *shape[1:]), dtype=dtype))
                self._remake()
                self._inferred = True
            finally:
                _running[:] = running
                if not self.built:
                    self._chain.clear()

    def _build_for(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        leaves = _leaves(args[0])
        if not self._stack:
            raise ValueError(f"{self._title()} has no layers. Add some before calling it.")
        if len(leaves) != 1:
            raise ValueError(f"{self._title()} takes one tensor, received {len(leaves)}.")
        dtype = getattr(leaves[0], "dtype", None)
        known = isinstance(dtype, torch.dtype) and not dtype.is_floating_point
        text = isinstance(dtype, np.dtype) and dtype.kind in "USO"
        known_dtype = dtype if known and dtype is not torch.uint8 else None
        shape = leaves[0].shape if hasattr(leaves[0], "shape") else np.shape(leaves[0])
        self._begin(shape, "string" if text else known_dtype)

    def _build_from(self, x: Any) -> None:
        if not self.built:
            with weights_beside(x):
                self._build_for((x,), {})

    def forward(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Build from the first inputs; from then on ``forward`` is the generated code."""
        leaves = [x if isinstance(x, torch.Tensor) else np.asarray(x) for x in _leaves(inputs)]
        leaves = self._convert(leaves)
        with weights_beside(leaves):
            self._build_for((leaves,), {})
        return self.forward(*leaves, training=training)  # type: ignore[misc]

    # -- what it is made of ------------------------------------------------------------------------

    @property
    def layers(self) -> list[Any]:
        """The layers in order, without the input."""
        return list(self._stack)

    def __getattr__(self, name: str) -> Any:
        if not self.__dict__.get("built") and hasattr(type(self), name):
            raise AttributeError(
                f"{self._title()} has no {name} yet: its input shape is unknown. "
                "Put keras.Input(...) in front, or call it on data."
            )
        return super().__getattr__(name)

    def _makes_weights(self) -> bool:
        return any(isinstance(m, Layer) and not m.built and m._makes_weights() for m in self._stack)

    def get_config(self) -> dict[str, Any]:
        """Input and layers as plain data."""
        layers = [*(tensor.node.target for tensor in self._chain[:1]), *self._stack]
        config: dict[str, Any] = {
            "name": self.name,
            "trainable": self._trainable,
            "layers": [layer_entry(layer) for layer in layers],
        }
        if self._chain and self._inferred:
            config["build_input_shape"] = self._chain[0].shape
            del config["layers"][0]
        return config

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> Any:
        """A model with fresh weights from what `get_config` gave."""
        with custom_object_scope(custom_objects):
            layers = [layer_from(entry) for entry in config["layers"]]
        self = cls(layers, trainable=config.get("trainable", True), name=config.get("name"))
        shape = config.get("build_input_shape")
        if shape and not self.built:
            self.build(tuple(shape))
        return self

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() if self.built else Layer.__getstate__(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "_fx_graph" in state:
            super().__setstate__(state)
        else:
            self.__dict__.update(state)


registry.add(Sequential, Functional)
