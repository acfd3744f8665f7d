"""`clone_model`: the same architecture with fresh weights."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from torch import fx, nn

from kerastorch._graph import KerasTensor, map_symbolic, record, symbolic_leaves
from kerastorch.layers._input import Input
from kerastorch.layers._layer import Layer
from kerastorch.models._config import _explicit, _explicit_calls
from kerastorch.models._functional import Functional
from kerastorch.models._sequential import Sequential


def clone_model(
    model: Any,
    input_tensors: Any = None,
    clone_function: Callable[[Any], Any] | None = None,
    call_function: Callable[..., Any] | None = None,
    recursive: bool = False,
) -> Any:
    """A model of the same architecture: new layers, new weights, not compiled.

    - `input_tensors`: symbolic tensors to build on, in place of new inputs like those of `model`.
    - `clone_function(layer)` gives the layer that takes the place of another, for example
      ``lambda layer: layer`` to share weights; the default is a new layer of the same configuration.
    - `call_function(layer, *args, **kwargs)` makes the calls of a functional model.
    - `recursive`: go into models that are layers; else they count as one layer.

    A subclassed model is cloned by its configuration, without any of these. Keras:
    ``keras.models.clone_model``.

    >>> import kerastorch as keras
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    >>> keras.models.clone_model(model).output_shape
    (None, 2)
    """
    if clone_function is not None and not callable(clone_function):
        raise ValueError(
            f"clone_model: `clone_function` must be callable, received {clone_function!r}."
        )
    if not isinstance(model, Functional):
        if not isinstance(model, Layer):
            raise ValueError(f"clone_model: expected a model, received {model!r}.")
        if any(x is not None for x in (input_tensors, clone_function, call_function)):
            raise ValueError(
                f"clone_model: {model._title()} is a subclassed model, whose calls are Python code: "
                "`input_tensors`, `clone_function` and `call_function` are for the other kinds."
            )
        return _copy_of(model)

    def clone(layer: Any) -> Any:
        if recursive and isinstance(layer, Functional):
            return clone_model(layer, None, clone_function, call_function, True)
        return (clone_function or _copy_of)(layer)

    given = _flat(input_tensors)
    if isinstance(model, Sequential):
        if call_function is not None:
            raise ValueError("clone_model: `call_function` is for functional models.")
        return _clone_sequential(model, given, clone)
    return _clone_functional(model, given, clone, call_function or _call)


def _call(layer: Any, *args: Any, **kwargs: Any) -> Any:
    return layer(*args, **kwargs)


def _copy_of(layer: Any) -> Any:
    """A layer of the same configuration; a stock module as a copy with new parameters."""
    if not isinstance(layer, Layer):
        module = copy.deepcopy(layer)
        for part in module.modules():
            if hasattr(part, "reset_parameters"):
                part.reset_parameters()
        return module
    new = type(layer).from_config(layer.get_config())
    new._auto_named = layer._auto_named
    return new


def _flat(tensors: Any) -> list[KerasTensor] | None:
    if tensors is None:
        return None
    if isinstance(tensors, dict):
        tensors = list(tensors.values())
    flat = list(tensors) if isinstance(tensors, (list, tuple)) else [tensors]
    if not all(isinstance(tensor, KerasTensor) for tensor in flat):
        raise ValueError(f"clone_model: `input_tensors` must be symbolic, received {tensors!r}.")
    return flat


def _inputs_of(model: Any, given: list[KerasTensor] | None) -> list[KerasTensor]:
    old = model._flat_inputs
    if given is None:
        return [Input(batch_shape=t.shape, dtype=t.dtype, name=_given_name(t)) for t in old]
    if len(given) != len(old):
        raise ValueError(
            f"clone_model: the model has {len(old)} inputs, `input_tensors` {len(given)}."
        )
    return given


def _given_name(tensor: KerasTensor) -> str | None:
    layer: Any = tensor.node.target
    return None if getattr(layer, "_auto_named", False) else getattr(layer, "name", None)


def _clone_sequential(model: Any, given: list[KerasTensor] | None, clone: Any) -> Any:
    layers = [clone(layer) for layer in model._stack]
    front = _inputs_of(model, given) if model._chain else (given or [])
    if len(front) > 1:
        raise ValueError(f"clone_model: a Sequential has one input, received {len(front)}.")
    name, trainable = model.name, model._trainable
    if model._chain and model._inferred and given is None:
        new = Sequential(layers, trainable, name)
        new.build(front[0].shape)
        return new
    return Sequential([*front, *layers], trainable, name)


def _clone_functional(
    model: Any, given: list[KerasTensor] | None, clone: Any, call: Callable[..., Any]
) -> Any:
    inputs = _inputs_of(model, given)
    olds = {id(tensor): tensor for tensor, _ in model._constants}
    constants = {
        key: nn.Parameter(old.detach().clone()) if isinstance(old, nn.Parameter) else old
        for key, old in olds.items()
    }
    layers = {module: clone(module) for module in model._modules.values()}
    made = {(t.node, t.path): new for t, new in zip(model._flat_inputs, inputs, strict=True)}

    def new_of(tensor: KerasTensor) -> Any:
        return made[tensor.node, tensor.path]

    def renewed(value: Any) -> Any:
        value = map_symbolic(new_of, value)
        return fx.node.map_aggregate(value, lambda leaf: constants.get(id(leaf), leaf))

    for node in _explicit_calls(model):
        args, kwargs = renewed(node.args), renewed(_explicit(node))
        if node.kind == "call_module":
            result = call(layers[node.target], *args, **kwargs)
        else:
            result = record(node.kind, node.target, args, kwargs)
        news = symbolic_leaves(result)
        for old, new in zip(symbolic_leaves(node.outputs), news, strict=True):
            made[old.node, old.path] = new
    outer = dict(zip(model._flat_inputs, inputs, strict=True))
    front = map_symbolic(outer.__getitem__, model._inputs)
    clone_of = Functional(front, map_symbolic(new_of, model._outputs), name=model.name)
    for end in model._ends:
        clone_of._extend(new_of(end))
    if not model._trainable:
        clone_of.trainable = False
    return clone_of
