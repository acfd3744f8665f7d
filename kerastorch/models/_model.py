"""`Model`: a layer that can be compiled, trained, evaluated and saved."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import IO, Any

import torch
from typing_extensions import Self

from kerastorch._graph import record
from kerastorch._registry import Registry, custom_object_scope, deserialize, serialize_object
from kerastorch.layers._call import shape_of, symbolic_of
from kerastorch.layers._layer import Layer
from kerastorch.models._config import from_config as graph_from_config
from kerastorch.saving._files import PathLike
from kerastorch.saving._model import load_weights, save_model, save_weights
from kerastorch.training._loop import Trainer

registry = Registry("model", "models")


class Model(Trainer):
    """A trainable graph of layers, or a subclass with its own `call`.

    Two ways to make one::

        model = keras.Model(inputs, outputs)        # from symbolic tensors: a `Functional`

        class MyModel(keras.Model):                 # by subclassing
            def __init__(self):
                super().__init__()
                self.dense = keras.layers.Dense(10)
            def call(self, inputs):
                return self.dense(inputs)

    Either is an `nn.Module` with `compile`, `fit`, `evaluate` and `predict`.

    >>> import torch, kerastorch as keras
    >>> class MyModel(keras.Model):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.hidden = torch.nn.Linear(4, 8)
    ...         self.scores = keras.layers.Dense(3)
    ...     def call(self, inputs):
    ...         return self.scores(torch.relu(self.hidden(inputs)))
    >>> MyModel()(torch.zeros(2, 4)).shape
    torch.Size([2, 3])
    """

    _layers_first = False  # in files: the attribute `layers` in its place among the others

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        if cls is Model and (args or "inputs" in kwargs):
            from kerastorch.models._functional import Functional

            return Functional.__new__(Functional, *args, **kwargs)
        return super().__new__(cls, *args, **kwargs)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if args or "inputs" in kwargs:
            from kerastorch.models._functional import Functional

            inputs, outputs, rest = _graph_arguments(args, kwargs)
            Layer.__init__(self, **rest)
            Functional._init_graph_module(self)  # type: ignore[arg-type]
            Functional._set_graph(self, inputs, outputs)  # type: ignore[arg-type]
        else:
            super().__init__(**kwargs)

    def build(self, input_shape: Any) -> None:
        """Make all weights, by running `call` on meta tensors of `input_shape` (batch axis included)."""
        if isinstance(input_shape, dict) or not (
            input_shape and isinstance(input_shape[0], (tuple, list, dict))
        ):
            inputs = symbolic_of(input_shape, self._compute)
        else:
            inputs = type(input_shape)(symbolic_of(s, self._compute) for s in input_shape)
        self.built = True
        self._settle()
        outputs = record("call_module", self, (inputs,))
        self.__dict__["_output_shape"] = getattr(outputs, "shape", None)  # if there is one output

    def _build_for(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if type(self).build is not Model.build:
            super()._build_for(args, kwargs)
        else:
            shape = shape_of(args[0] if args else next(iter(kwargs.values()), None))
            self.__dict__["_build_config"] = {"input_shape": shape} if shape else None
        self.built = True  # sublayers are built when `call` reaches them

    def _makes_weights(self) -> bool:
        return type(self).build is not Model.build

    @property
    def layers(self) -> list[Any]:
        """The modules that the model is made of."""
        return _flat_children(self)

    def get_layer(self, name: str | None = None, index: int | None = None) -> Any:
        """A layer by name (automatic names and attribute names alike) or by its index in `layers`."""
        layers = self.layers
        if (name is None) == (index is None):
            raise ValueError("get_layer: give either `name` or `index`.")
        if index is not None:
            if not -len(layers) <= index < len(layers):
                raise ValueError(
                    f"get_layer: index {index} is out of range: there are {len(layers)} layers."
                )
            return layers[index]
        for layer in layers:
            if getattr(layer, "name", None) == name:
                return layer
        if name in self._modules:
            return self._modules[name]
        names = [getattr(layer, "name", type(layer).__name__) for layer in layers]
        raise ValueError(f"get_layer: there is no layer {name!r}. The layers are {names}.")

    def summary(
        self,
        line_length: int | None = None,
        positions: Any = None,
        print_fn: Callable[[str], Any] | None = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: tuple[str, str] | None = None,
    ) -> None:
        """Print a table of layers: type, output shape, parameters, connections, and totals."""
        from kerastorch.models._summary import print_summary

        print_summary(self, line_length, print_fn, expand_nested, show_trainable, layer_range)

    def save(self, filepath: PathLike | IO[bytes], overwrite: bool = True, **kwargs: Any) -> None:
        """Write everything into a ``.keras`` archive: see `kerastorch.saving.save_model`."""
        save_model(self, filepath, overwrite, **kwargs)

    def save_weights(
        self,
        filepath: PathLike,
        overwrite: bool = True,
        max_shard_size: float | None = None,
        **kwargs: Any,
    ) -> None:
        """Write the weights: see `kerastorch.saving.save_weights`."""
        save_weights(self, filepath, overwrite, max_shard_size, **kwargs)

    def load_weights(self, filepath: PathLike, skip_mismatch: bool = False, **kwargs: Any) -> None:
        """Read the weights, all or none: see `kerastorch.saving.load_weights`."""
        load_weights(self, filepath, skip_mismatch, **kwargs)

    def export(
        self,
        filepath: PathLike,
        format: str = "pt2",
        verbose: bool | None = None,
        input_signature: Any = None,
        **kwargs: Any,
    ) -> None:
        """Write a file that runs without this package: see `kerastorch.export.export_model`."""
        from kerastorch.export import export_model

        export_model(self, filepath, format, verbose, input_signature, **kwargs)

    def to_torch(self, filepath: PathLike | None = None) -> torch.nn.Module:
        """The model as a module of `torch.nn` with readable source: see `kerastorch.export.to_torch`."""
        from kerastorch.export import to_torch

        return to_torch(self, filepath)

    def to_json(self, **kwargs: Any) -> str:
        """The architecture as JSON, for `kerastorch.models.model_from_json`."""
        return json.dumps(serialize_object(self), **kwargs)

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> Self:
        """A model with fresh weights from what `get_config` gave."""
        with custom_object_scope(custom_objects):
            return (
                graph_from_config(cls, config)
                if "input_layers" in config
                else super().from_config(config)
            )


registry.add(Model)


def model_from_json(json_string: str, custom_objects: dict[str, Any] | None = None) -> Any:
    """A model with fresh weights from what `Model.to_json` gave.

    >>> import kerastorch as keras
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    >>> keras.models.model_from_json(model.to_json()).output_shape
    (None, 2)
    """
    with custom_object_scope(custom_objects):
        return deserialize(json.loads(json_string))


def _graph_arguments(
    args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, Any, dict[str, Any]]:
    given = dict(zip(("inputs", "outputs", "name"), args, strict=False)) | kwargs
    if "outputs" not in given:
        raise TypeError("Model: `outputs` is missing. Write Model(inputs, outputs).")
    return given.pop("inputs"), given.pop("outputs"), given


def _flat_children(model: torch.nn.Module) -> list[Any]:
    from kerastorch._module import _Holder

    found: list[Any] = []
    for child in model._modules.values():
        if isinstance(child, (_Holder, torch.nn.ModuleList, torch.nn.ModuleDict)):
            found.extend(_flat_children(child))
        elif child is not None:
            found.append(child)
    return found
