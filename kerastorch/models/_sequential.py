"""`Sequential`: a functional model of one chain."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from kerastorch._graph import KerasTensor, _running, real_tensors
from kerastorch._registry import custom_object_scope, deserialize, serialize
from kerastorch.config import floatx
from kerastorch.layers._input import Input, InputLayer
from kerastorch.layers._layer import Layer, _shape_of, registry, weights_beside
from kerastorch.models._functional import Functional


class Sequential(Functional):
    """Layers one after the other; each is a layer, any `nn.Module`, or a model.

    With an `Input` in front it is built at once; else by its first call, `build` or `fit`.

    >>> import torch, kerastorch as keras
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8), torch.nn.ReLU()])
    >>> model.output_shape, list(model.state_dict())
    ((None, 8), ['dense.kernel', 'dense.bias'])
    """

    _stack: list[Any]
    _start: KerasTensor | None

    def __init__(
        self, layers: Iterable[Any] | None = None, trainable: bool = True, name: str | None = None
    ) -> None:
        Layer.__init__(self, trainable=trainable, name=name)
        self._init_graph_module()
        self.__dict__.update(_stack=[], _start=None)
        for layer in layers or ():
            self._append(layer)
        self._restart()

    # -- the chain ---------------------------------------------------------------------------------

    def add(self, layer: Any, rebuild: bool = True) -> None:
        """Append a layer."""
        self._append(layer)
        if rebuild:
            self._restart()

    def pop(self, rebuild: bool = True) -> Any:
        """Remove the last layer and give it back."""
        if not self._stack:
            raise ValueError(f"{self._title()} has no layer to remove.")
        layer = self._stack.pop()
        if rebuild:
            self._restart()
        return layer

    def _append(self, layer: Any) -> None:
        if isinstance(layer, (KerasTensor, InputLayer)):
            if self._stack or self._start is not None:
                raise ValueError(f"{self._title()}: an Input must be the first of the layers.")
            self.__dict__["_start"] = layer if isinstance(layer, KerasTensor) else layer.output
            return
        if not isinstance(layer, nn.Module):
            raise TypeError(
                f"{self._title()}: expected a layer or nn.Module, received {layer!r} "
                f"of type {type(layer).__name__}."
            )
        name = getattr(layer, "name", None)
        if name is not None and any(getattr(known, "name", None) == name for known in self._stack):
            raise ValueError(
                f"{self._title()} has two layers called {name!r}. Names must be unique."
            )
        if not self._stack and self._start is None:
            shape = getattr(layer, "_declared_shape", None)
            if shape is not None:
                self.__dict__["_start"] = Input(batch_shape=shape)
            elif isinstance(layer, Functional) and layer.built and len(layer.inputs) == 1:
                self.__dict__["_start"] = Input(
                    batch_shape=layer.inputs[0].shape, dtype=layer.inputs[0].dtype
                )
        self._stack.append(layer)

    def _restart(self) -> None:
        """Make the graph anew, or only register the modules while the input is unknown."""
        self.built = False
        self._modules.clear()
        if self._start is not None and self._stack:
            x = self._start
            for layer in self._stack:
                x = layer(x)
                if not isinstance(x, KerasTensor):
                    raise ValueError(
                        f"{self._title()}: layer {getattr(layer, 'name', layer)!r} has several outputs. "
                        "Use the functional API."
                    )
            self._set_graph(self._start, x)
        else:
            for index, layer in enumerate(self._stack):
                self._modules[str(index)] = layer
            if "forward" in type(self).__dict__:
                del type(self).forward  # the graph of before is no longer ours

    def build(self, input_shape: Any = None) -> None:
        """Make the graph and all weights for a shape with the batch axis."""
        if self.built or not self._stack:
            return
        if input_shape is None:
            raise ValueError(f"{self._title()}.build: give `input_shape`, batch axis included.")
        self._begin(tuple(input_shape), None)

    def _begin(self, shape: tuple[int | None, ...], dtype: Any) -> None:
        with real_tensors():
            self.__dict__["_start"] = Input(batch_shape=(None, *shape[1:]), dtype=dtype or floatx())
        running, _running[:] = list(_running), []
        try:
            with real_tensors():
                self._restart()
        finally:
            _running[:] = running

    def _build_for(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        x = args[0]
        shape = _shape_of(x)
        if not self._stack:
            raise ValueError(f"{self._title()} has no layers. Add some before calling it.")
        if shape is None or isinstance(x, (list, dict)):
            raise ValueError(f"{self._title()} takes one tensor, received {type(x).__name__}.")
        dtype = getattr(x, "dtype", None)
        known = isinstance(dtype, torch.dtype) and not dtype.is_floating_point
        self._begin(shape, dtype if known and dtype is not torch.uint8 else None)

    def forward(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Build from the first inputs; from then on ``forward`` is the generated code."""
        if not isinstance(inputs, torch.Tensor):
            inputs = self._convert(inputs)
        with weights_beside(inputs):
            self._build_for((inputs,), {})
        return self.forward(inputs, training=training)

    # -- what it is made of ------------------------------------------------------------------------

    @property
    def layers(self) -> list[Any]:
        """The layers in order, without the input."""
        return list(self._stack)

    def _unbuilt(self, what: str) -> ValueError:
        return ValueError(
            f"{self._title()} has no {what} yet: its input shape is unknown. "
            "Put keras.Input(...) in front, or call it on data."
        )

    @property
    def input_shape(self) -> Any:
        """Shape of the input, batch axis included."""
        if not self.built:
            raise self._unbuilt("input_shape")
        return super().input_shape

    @property
    def output_shape(self) -> Any:
        """Shape of the output, batch axis included."""
        if not self.built:
            raise self._unbuilt("output_shape")
        return super().output_shape

    def _makes_weights(self) -> bool:
        return not self.built and any(
            not isinstance(m, Layer) or (not m.built and m._makes_weights()) for m in self._stack
        )

    def get_config(self) -> dict[str, Any]:
        """Input and layers as plain data."""
        layers = [serialize(layer) for layer in self._stack]
        if self._start is not None:
            layers.insert(0, serialize(self._start.node.target))
        return {"name": self.name, "trainable": self._trainable, "layers": layers}

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> Any:
        """A model with fresh weights from what `get_config` gave."""
        with custom_object_scope(custom_objects or {}):
            layers = [deserialize(layer) for layer in config["layers"]]
        return cls(layers, trainable=config.get("trainable", True), name=config.get("name"))

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() if self.built else Layer.__getstate__(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "_fx_graph" in state:
            super().__setstate__(state)
        else:
            self.__dict__.update(state)


registry.add(Sequential, Functional)
