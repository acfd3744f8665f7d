"""`adapt` turns the data given to ``fit``, ``evaluate`` and ``predict`` into `Batches`."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch

from kerastorch.data._batches import ArrayBatches, Batches, IterableBatches
from kerastorch.data._dataset import INFINITE_CARDINALITY, Dataset
from kerastorch.data._py_dataset import PyDataset, PyDatasetBatches
from kerastorch.data._tensors import to_tensors


@functools.singledispatch
def adapt(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    batch_size: int | None = None,
    shuffle: bool | str = False,
) -> Batches:
    """`Batches` of data. Register a function for an own type with ``adapt.register(MyType)``."""
    if isinstance(x, Iterable) and not any(
        hasattr(x, name) for name in ("__array__", "__getitem__", "__contains__")
    ):
        return _stream("an iterable", x, y, sample_weight, batch_size=batch_size, shuffle=shuffle)
    _check(batch_size, shuffle)
    return ArrayBatches(to_tensors(x, y, sample_weight), int(batch_size or 32), shuffle)


@adapt.register
def _(x: Dataset, *args: Any, **options: Any) -> Batches:
    endless = x.cardinality() == INFINITE_CARDINALITY
    return _stream("a Dataset", x, *args, **options, steps=math.inf if endless else None)


@adapt.register(torch.utils.data.DataLoader)
def _(x: Any, *args: Any, **options: Any) -> Batches:
    return _stream("a DataLoader", x, *args, **options)


@adapt.register(Iterator)
def _(x: Any, *args: Any, **options: Any) -> Batches:
    return _stream("a generator", x, *args, **options)


@adapt.register
def _(x: PyDataset, *args: Any, shuffle: bool | str = False, **options: Any) -> Batches:
    _refuse("a PyDataset", *args, **options, shuffle=bool(shuffle))
    return PyDatasetBatches(x, bool(shuffle))


@adapt.register(torch.utils.data.Dataset)
def _(
    x: Any, *args: Any, batch_size: int | None = None, shuffle: bool | str = False, **options: Any
) -> Batches:
    _refuse("a torch Dataset", *args, **options, shuffle=shuffle)
    _check(batch_size, shuffle)
    size = int(batch_size or 32)
    if type(x) is torch.utils.data.TensorDataset and len(x.tensors) <= 3:
        return ArrayBatches(to_tensors(*x.tensors), size, shuffle)
    mixed = bool(shuffle) and not isinstance(x, torch.utils.data.IterableDataset)
    return IterableBatches(torch.utils.data.DataLoader(x, batch_size=size, shuffle=mixed))


def _stream(kind: str, x: Any, *args: Any, steps: float | None = None, **options: Any) -> Batches:
    _refuse(kind, *args, **options)
    return IterableBatches(x, steps)


def _refuse(
    kind: str,
    y: Any = None,
    sample_weight: Any = None,
    *,
    batch_size: int | None = None,
    shuffle: bool | str = False,
) -> None:
    """Raise for what the items of `x` say themselves."""
    arguments = {"y": y, "sample_weight": sample_weight, "batch_size": batch_size}
    given = [f"`{name}`" for name, value in arguments.items() if value is not None]
    if given:
        raise ValueError(
            f"`x` is {kind}, whose items are x, (x, y) or (x, y, sample_weight): leave out {', '.join(given)}."
        )
    if shuffle not in (True, False):
        raise ValueError(
            f"`shuffle`={shuffle!r} is for arrays: `x` is {kind}, which brings its own order."
        )


def _check(batch_size: Any, shuffle: Any) -> None:
    if batch_size is not None and (
        isinstance(batch_size, bool)
        or not isinstance(batch_size, (int, np.integer))
        or batch_size < 1
    ):
        raise ValueError(f"`batch_size` must be a positive integer, received {batch_size!r}.")
    if shuffle not in (True, False, "batch"):
        raise ValueError(f"`shuffle` must be True, False or 'batch', received {shuffle!r}.")
