"""What surrounds a layer's `call`: its signature, shapes, devices and masks."""

from __future__ import annotations

import functools
import inspect
import types
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils import _pytree as pytree

from kerastorch._graph import KerasTensor, Shape, _running, input_tensor

# -- signatures ------------------------------------------------------------------------------------


class Call(NamedTuple):
    """What `call` takes."""

    names: tuple[str, ...]
    training: int | None  # its position
    mask: bool
    masks: tuple[tuple[int, str], ...] = ()  # (position of `query`, "query_mask")


def call_of(function: Any) -> Call:
    parameters = list(inspect.signature(function).parameters.values())[1:]
    names = tuple(p.name for p in parameters if p.kind is not p.VAR_KEYWORD)
    training = names.index("training") if "training" in names else None
    masks = tuple((at, f"{name}_mask") for at, name in enumerate(names) if f"{name}_mask" in names)
    return Call(names, training, "mask" in names and len(names) > 1, masks)


def signed(forward: Any, call: Any) -> Any:
    """`forward` with the signature of `call`, which torch.export reads, and as code of its own,
    by which torch.compile keeps what it has compiled."""
    copy = types.FunctionType(forward.__code__.replace(), forward.__globals__, "forward")
    copy.__doc__ = forward.__doc__
    copy.__signature__ = inspect.signature(call)  # type: ignore[attr-defined]
    return copy


def marking_built(build: Any) -> Any:
    names = list(inspect.signature(build).parameters)[1:]

    @functools.wraps(build)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> None:
        build(self, *args, **kwargs)
        self.built = True
        shapes = dict(zip(names, args, strict=False)) | kwargs
        self.__dict__["_build_config"] = {name: shape for name, shape in shapes.items() if shape}

    return wrapper


# -- shapes and devices ----------------------------------------------------------------------------


def declared_shape(kwargs: dict[str, Any]) -> Shape | None:
    """``input_shape=`` and its kin, which a first layer of a Sequential may carry."""
    if "batch_input_shape" in kwargs:
        return tuple(kwargs["batch_input_shape"])
    if "input_shape" in kwargs:
        return (None, *kwargs["input_shape"])
    return (None, kwargs["input_dim"]) if "input_dim" in kwargs else None


def as_shape(value: Any) -> Any:
    """A shape, or shapes in a structure, from JSON: lists of sizes as tuples."""
    if isinstance(value, dict):
        return {key: as_shape(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        sizes = all(item is None or isinstance(item, int) for item in value)
        return tuple(value) if sizes else [as_shape(item) for item in value]
    return value


def shape_of(value: Any) -> Any:
    if isinstance(value, (torch.Tensor, KerasTensor, np.ndarray)):
        return tuple(value.shape)
    if isinstance(value, (list, tuple)) and value:
        shapes = [shape_of(item) for item in value]
        return (
            None
            if None in shapes
            else type(value)(shapes)
            if type(value) in (list, tuple)
            else shapes
        )
    if isinstance(value, dict) and value:
        return {key: shape_of(item) for key, item in value.items()}
    return None


def symbolic_of(shape: Any, dtype: torch.dtype) -> Any:
    if isinstance(shape, dict):
        return {key: symbolic_of(item, dtype) for key, item in shape.items()}
    if isinstance(shape, (list, tuple)) and any(isinstance(s, (list, tuple)) for s in shape):
        return [symbolic_of(item, dtype) for item in shape]
    return input_tensor(None, tuple(shape), dtype)


def first_device(value: Any) -> torch.device:
    """The device of the first tensor in `value`."""
    for leaf in pytree.tree_leaves(value):
        if isinstance(leaf, torch.Tensor):
            return leaf.device
    return torch.get_default_device()


def weights_beside(inputs: Any) -> AbstractContextManager[Any]:
    """Weights are made where the inputs are; for symbolic inputs, on the default device."""
    return nullcontext() if _running else first_device(inputs)


# -- masks -----------------------------------------------------------------------------------------


def any_mask(masks: Any) -> bool:
    if isinstance(masks, (list, tuple)):
        return any(any_mask(m) for m in masks)
    if isinstance(masks, dict):
        return any(any_mask(m) for m in masks.values())
    return isinstance(masks, (KerasTensor, torch.Tensor))


def masks_of(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        masks = [masks_of(item) for item in value]
        return masks if any(mask is not None for mask in masks) else None
    return getattr(value, "_keras_mask", None)


def fill_masks(call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Give ``query_mask=`` and the like what the argument of that name carries."""
    for at, name in call.masks:
        given = args[at] if at < len(args) else kwargs.get(call.names[at])
        mask = masks_of(given)
        if mask is not None and call.names.index(name) >= len(args) and kwargs.get(name) is None:
            kwargs[name] = mask


def set_masks(outputs: Any, masks: Any) -> None:
    if masks is None:
        return
    if isinstance(outputs, (list, tuple)):
        for output, mask in zip(
            outputs,
            masks if isinstance(masks, (list, tuple)) else [masks] * len(outputs),
            strict=False,
        ):
            set_masks(output, mask)
    elif isinstance(outputs, (torch.Tensor, KerasTensor)):
        outputs._keras_mask = masks  # type: ignore[union-attr]
