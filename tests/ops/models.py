"""A call in a model of our own, where Keras's shapes of symbolic tensors or its model files fail."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from oracle import assert_same, leaves, operation

import kerastorch as kt


def check_model(name: str, *args: Any, **options: Any) -> None:
    """As a model, and as the model read from its file, a call gives what it gives by itself.

    The first axis of the arrays among `args` that are as long as the first of them is open.
    """
    function = operation(kt, name)
    arrays = [a for a in args if isinstance(a, np.ndarray)]
    symbols = {
        id(a): kt.Input(
            batch_shape=(None if len(a) == len(arrays[0]) else len(a), *a.shape[1:]),
            dtype=str(a.dtype),
        )
        for a in arrays
    }
    results = function(*(symbols.get(id(a), a) for a in args), **options)
    model = kt.Model(list(symbols.values()), results)
    tensors = [torch.from_numpy(a) for a in arrays]
    wanted = function(*(torch.from_numpy(a) if id(a) in symbols else a for a in args), **options)
    for found in (model(tensors), kt.models.model_from_json(model.to_json())(tensors)):
        assert_same(found, wanted)
    for symbol, result in zip(leaves(model.outputs), leaves(wanted), strict=True):
        assert tuple(symbol.shape)[1:] == tuple(result.shape)[1:]
