"""One call of an operation, here and in Keras: values, dtypes, gradients, symbolic shapes, and models as data."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import torch

import kerastorch as kt

FLOATS = ("float16", "float32", "float64")


def operation(library: Any, name: str) -> Any:
    """``library.ops.<name>``, with dots."""
    found = library.ops
    for part in name.split("."):
        found = getattr(found, part)
    return found


def leaves(value: Any) -> list[Any]:
    """What is in a nest of results, in order."""
    if isinstance(value, dict):
        return [leaf for key in sorted(value) for leaf in leaves(value[key])]
    if isinstance(value, (list, tuple)):
        return [leaf for item in value for leaf in leaves(item)]
    return [value]


def array(value: Any) -> np.ndarray:
    if isinstance(value, torch.Tensor):
        value = value.detach().resolve_conj().cpu()
        return value.float().numpy() if value.dtype is torch.bfloat16 else value.numpy()
    return np.asarray(value)


def assert_same(ours: Any, theirs: Any, tolerance: float = 1e-5, dtypes: bool = True) -> None:
    """Two nests of results are equal in structure, shapes, dtypes and values."""
    ours, theirs = leaves(ours), leaves(theirs)
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        if dtypes and isinstance(other, torch.Tensor):
            assert mine.dtype == other.dtype, f"{mine.dtype}, in Keras {other.dtype}"
        assert array(mine).shape == array(other).shape
        np.testing.assert_allclose(array(mine), array(other), rtol=tolerance, atol=tolerance)


def check(
    name: str,
    *args: Any,
    tolerance: float = 1e-5,
    gradients: bool = True,
    symbolic: bool = True,
    interchange: bool = True,
    unknown: bool = True,
    dtypes: bool = True,
    **kwargs: Any,
) -> Any:
    """An operation gives what Keras's gives. Arrays among `args` (and in lists there) are its tensors.

    Compared: results and their dtypes; gradients of a weighted sum of the floating-point results with
    respect to all float32 arrays; shapes for symbolic inputs and the results of the model made of them; that model
    written by each side and read by the other (`interchange`); shapes and results with the first axis
    `unknown`, if Keras can say them. A part is left out only where the operation has none:
    say why at the call.
    """
    mine, other = operation(kt, name), operation(keras, name)
    theirs = other(*args, **kwargs)
    ours = mine(*args, **kwargs)
    assert_same(ours, theirs, tolerance, dtypes)
    if gradients:
        _check_gradients(mine, other, args, kwargs, tolerance)
    if symbolic:
        _check_models(mine, other, args, kwargs, tolerance, interchange, unknown)
    return ours


def _map(function: Any, value: Any) -> Any:
    """`value` with each array in it replaced; numbers in lists stay."""
    if isinstance(value, np.ndarray):
        return function(value)
    if isinstance(value, (list, tuple)):
        return type(value)(_map(function, item) for item in value)
    return value


def _check_gradients(mine: Any, other: Any, args: Any, kwargs: Any, tolerance: float) -> None:
    found = []
    for function in (mine, other):
        inputs: list[torch.Tensor] = []

        def leaf(value: np.ndarray, inputs: list[torch.Tensor] = inputs) -> torch.Tensor:
            tensor = torch.from_numpy(value.copy())
            if value.dtype == np.float32:
                inputs.append(tensor.requires_grad_())
            return tensor

        results = leaves(function(*_map(leaf, list(args)), **kwargs))
        total = torch.zeros((), dtype=torch.float64)
        generator = np.random.default_rng(1)
        for result in results:
            if isinstance(result, torch.Tensor) and result.requires_grad:
                value = torch.view_as_real(result) if result.is_complex() else result
                weights = torch.from_numpy(generator.normal(size=tuple(value.shape)))
                total = total + (value.double() * weights).nansum()
        if not total.requires_grad:
            found.append(None)
            continue
        found.append(torch.autograd.grad(total, inputs, allow_unused=True))
    ours, theirs = found
    assert (ours is None) == (theirs is None), "only one of the two has gradients"
    for a, b in zip(ours or (), theirs or (), strict=True):
        if a is None or b is None:
            other = b if a is None else a
            assert other is None or not torch.count_nonzero(other), "a gradient is missing"
        else:
            np.testing.assert_allclose(array(a), array(b), rtol=tolerance, atol=tolerance)


def _symbols(library: Any, function: Any, args: Any, kwargs: Any, batch: int | None = -1) -> Any:
    """Inputs for all arrays, and the results; those of the first array's length may have it open."""
    inputs: list[Any] = []

    def symbol(value: np.ndarray) -> Any:
        shape = value.shape
        if batch is None and shape[:1] == first.shape[:1]:
            shape = (None, *shape[1:])
        inputs.append(library.Input(batch_shape=shape, dtype=str(value.dtype)))
        return inputs[-1]

    first = next(a for a in leaves(list(args)) if isinstance(a, np.ndarray))
    return inputs, function(*_map(symbol, list(args)), **kwargs)


def _check_models(
    mine: Any,
    other: Any,
    args: Any,
    kwargs: Any,
    tolerance: float,
    interchange: bool,
    unknown: bool,
) -> None:
    tensors = [torch.from_numpy(a) for a in leaves(list(args)) if isinstance(a, np.ndarray)]
    if not tensors:
        return
    ours = kt.Model(*_symbols(kt, mine, args, kwargs))
    theirs = keras.Model(*_symbols(keras, other, args, kwargs))
    wanted = theirs(tensors)
    assert_same(ours(tensors), wanted, tolerance, dtypes=False)
    for symbol, real in zip(leaves(ours.outputs), leaves(wanted), strict=True):
        assert tuple(symbol.shape) == tuple(real.shape)
    again = kt.models.model_from_json(ours.to_json())
    assert_same(again(tensors), wanted, tolerance, dtypes=False)
    if interchange:
        read = kt.models.model_from_json(theirs.to_json())
        assert_same(read(tensors), wanted, tolerance, dtypes=False)
        read = keras.models.model_from_json(ours.to_json())
        assert_same(read(tensors), wanted, tolerance, dtypes=False)
    if unknown and tensors[0].ndim:
        try:
            _, results = _symbols(keras, other, args, kwargs, None)
        except Exception:  # Keras cannot say either
            return
        ours = kt.Model(*_symbols(kt, mine, args, kwargs, None))
        for symbol, result in zip(leaves(ours.outputs), leaves(results), strict=True):
            assert tuple(symbol.shape) == tuple(result.shape)
        assert_same(ours(tensors), wanted, tolerance, dtypes=False)
