"""NumPy as the oracle, for what Keras's torch backend does not do as NumPy and Keras's documentation say."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from oracle import _map, _symbols, assert_same, leaves, operation

import kerastorch as kt


def against_numpy(
    name: str,
    *args: Any,
    wanted: Any = None,
    tolerance: float = 1e-5,
    symbolic: bool = True,
    **options: Any,
) -> Any:
    """An operation gives what NumPy's function of that name gives, or `wanted`; so do its models."""
    function = operation(kt, name)
    if wanted is None:
        wanted = getattr(np, name)(*args, **options)
    results = function(*args, **options)
    assert_same(results, wanted, tolerance, dtypes=False)
    tensors = [torch.from_numpy(a) for a in leaves(list(args)) if isinstance(a, np.ndarray)]
    if symbolic and tensors:
        model = kt.Model(*_symbols(kt, function, args, options))
        assert_same(model(tensors), wanted, tolerance, dtypes=False)
        again = kt.models.model_from_json(model.to_json())
        assert_same(again(tensors), wanted, tolerance, dtypes=False)
    return results


def assert_made_in_place(name: str, *args: Any, **options: Any) -> None:
    """What a call makes is on the device of its tensors: next to those on `meta` anything else fails."""
    arrays = [a for a in leaves(list(args)) if isinstance(a, np.ndarray)]
    moved = _map(lambda a: torch.from_numpy(a).to("meta"), list(args))
    for result in leaves(operation(kt, name)(*moved, **options)):
        assert not arrays or not isinstance(result, torch.Tensor) or result.is_meta
