"""`adapt` turns the data given to ``fit`` into `Batches`."""

from __future__ import annotations

import functools
import itertools
import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from kerastorch import tree
from kerastorch.config import floatx
from kerastorch.data._unpack import pack_x_y_sample_weight, unpack_x_y_sample_weight

Batch = tuple[Any, ...]

#: Bytes that are gathered at once when rows are shuffled: batches are then views of the result.
_CHUNK = 1 << 22


class Batches(ABC):
    """What the loop reads: iterating gives the batches of one epoch."""

    @property
    @abstractmethod
    def steps(self) -> int | None:
        """Batches in an epoch, None if unknown."""

    @abstractmethod
    def __iter__(self) -> Iterator[Batch]: ...

    def first(self) -> Batch | None:
        """A batch to build the model with, without using data up; None if there is no such."""
        return None


class ArrayBatches(Batches):
    """Batches of arrays: slices of tensors, or of gathered rows when shuffled.

    `shuffle`: False, True (rows, anew each epoch, by torch's global generator) or ``"batch"``
    (the order of batches only).
    """

    def __init__(self, data: Batch, batch_size: int = 32, shuffle: bool | str = False) -> None:
        self.batch_size = batch_size
        self.shuffle = shuffle
        leaves, self._spec = tree.flatten_with_spec(data)
        self._leaves = leaves
        self._flat = all(not tree.is_nested(item) for item in data)
        self._rows = next(len(leaf) for leaf in leaves if leaf is not None)

    @property
    def rows(self) -> int:
        """Number of samples."""
        return self._rows

    @property
    def steps(self) -> int:
        """Batches in an epoch; the last one may be smaller."""
        return math.ceil(self._rows / self.batch_size)

    def whole(self) -> Batch:
        """All rows."""
        return tree.unflatten(self._leaves, self._spec)

    def first(self) -> Batch:
        """The first rows."""
        leaves = [None if leaf is None else leaf[: self.batch_size] for leaf in self._leaves]
        return tree.unflatten(leaves, self._spec)

    def __iter__(self) -> Iterator[Batch]:
        rows = self._flat_batches()
        return rows if self._flat else (tree.unflatten(row, self._spec) for row in rows)

    def _flat_batches(self) -> Iterator[Batch]:
        if not self.shuffle:
            yield from self._cut(self._leaves)
            return
        size = self.batch_size
        if self.shuffle == "batch":
            starts = torch.randperm(self.steps).tolist()
            for start in starts:
                yield tuple(
                    None if leaf is None else leaf[start * size : start * size + size]
                    for leaf in self._leaves
                )
            return
        row = sum(leaf[:1].nbytes for leaf in self._leaves if leaf is not None)
        chunk = size * max(1, _CHUNK // max(1, row * size))
        for index in torch.randperm(self._rows).split(chunk):
            gathered = [
                None if leaf is None else leaf.index_select(0, index.to(leaf.device))
                for leaf in self._leaves
            ]
            yield from self._cut(gathered)

    def _cut(self, leaves: list[Any]) -> Iterator[Batch]:
        columns = (
            itertools.repeat(None) if leaf is None else leaf.split(self.batch_size)
            for leaf in leaves
        )
        return zip(*columns, strict=False)


class _LoaderBatches(Batches):
    """Batches of a `torch.utils.data.DataLoader`."""

    def __init__(self, loader: Any) -> None:
        self.loader = loader

    @property
    def steps(self) -> int | None:
        try:
            return len(self.loader)
        except TypeError:
            return None

    def __iter__(self) -> Iterator[Batch]:
        for item in self.loader:
            yield pack_x_y_sample_weight(*unpack_x_y_sample_weight(item))


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
    if batch_size is not None and (
        isinstance(batch_size, bool)
        or not isinstance(batch_size, (int, np.integer))
        or batch_size < 1
    ):
        raise ValueError(f"`batch_size` must be a positive integer, received {batch_size!r}.")
    if shuffle not in (True, False, "batch"):
        raise ValueError(f"`shuffle` must be True, False or 'batch', received {shuffle!r}.")
    data = to_tensors(x, y, sample_weight)
    return ArrayBatches(data, int(batch_size or 32), shuffle)


@adapt.register(torch.utils.data.DataLoader)
def _(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    batch_size: int | None = None,
    shuffle: bool | str = False,
) -> Batches:
    given = [
        name
        for name, value in (("y", y), ("sample_weight", sample_weight), ("batch_size", batch_size))
        if value is not None
    ]
    if given:
        raise ValueError(
            f"x is a DataLoader, which brings its own {', '.join(given)}: leave these arguments out."
        )
    return _LoaderBatches(x)


def to_tensors(x: Any, y: Any = None, sample_weight: Any = None) -> Batch:
    """Arrays as tensors in a batch-like tuple. All must have the same number of rows."""
    if x is None:
        raise ValueError("`x` is missing: give an array, a tensor, or a list or dict of them.")
    named = [
        (name, value)
        for name, value in (("x", x), ("y", y), ("sample_weight", sample_weight))
        if value is not None
    ]
    converted: dict[str, Any] = {}
    lengths: dict[str, int] = {}
    for name, value in named:
        value = _outer(value)
        pairs = tree.flatten_with_path(value)
        if not pairs:
            raise ValueError(f"`{name}` is empty: {value!r}.")
        leaves = []
        for path, leaf in pairs:
            label = name + "".join(f"[{key!r}]" for key in path)
            tensor = None if leaf is None else _tensor(leaf, label)
            if tensor is not None:
                lengths[label] = len(tensor)
            leaves.append(tensor)
        converted[name] = tree.unflatten(leaves, tree.flatten_with_spec(value)[1])
    if len(set(lengths.values())) > 1:
        given = ", ".join(f"{label} has {n}" for label, n in lengths.items())
        raise ValueError(f"All arrays must have the same number of rows: {given}.")
    if lengths and next(iter(lengths.values())) == 0:
        raise ValueError(
            f"There are no rows: {', '.join(lengths)} {'is' if len(lengths) == 1 else 'are'} empty."
        )
    return pack_x_y_sample_weight(
        converted["x"], converted.get("y"), converted.get("sample_weight")
    )


def _outer(value: Any) -> Any:
    """A Python list of numbers, or of lists of numbers, is one array; a list of arrays is a nest."""
    if isinstance(value, (list, tuple)) and value:
        first = value[0]
        while isinstance(first, (list, tuple)) and first:
            first = first[0]
        if isinstance(first, (bool, int, float, np.generic)):
            return np.asarray(value)
    return value


def _tensor(leaf: Any, label: str) -> torch.Tensor:
    if isinstance(leaf, torch.Tensor):
        if leaf.dim() == 0:
            raise ValueError(f"{label} is a scalar; its first axis must be the samples.")
        return leaf.detach()
    if isinstance(leaf, (str, bytes)) or (
        not hasattr(leaf, "__array__") and not hasattr(leaf, "__len__")
    ):
        raise TypeError(
            f"{label} is {type(leaf).__name__} {leaf!r:.80}; expected an array, a tensor, a DataLoader, "
            "or a list or dict of arrays."
        )
    array = np.asarray(leaf)
    if array.ndim == 0:
        raise ValueError(f"{label} is a scalar; its first axis must be the samples.")
    if array.dtype == object:
        try:
            array = array.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"{label} holds Python objects that are not numbers ({error}). "
                "Convert it to a numeric array; rows of uneven length must be padded."
            ) from error
    if array.dtype.kind not in "biufc":
        raise ValueError(
            f"{label} has dtype {array.dtype}: expected numbers. Encode text and dates first."
        )
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if array.dtype.kind == "f" and array.dtype.itemsize >= 8 and floatx() != "float64":
        array = array.astype(np.float32)
    if any(stride < 0 for stride in array.strides):
        array = array.copy()
    with warnings.catch_warnings():
        # torch warns of read-only arrays; nothing here writes to the data.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)


def split(data: Batch, fraction: float) -> tuple[Batch, Batch]:
    """The first rows and the last `fraction` of the rows."""
    leaves, spec = tree.flatten_with_spec(data)
    rows = next(len(leaf) for leaf in leaves if leaf is not None)
    at = math.floor(rows * (1.0 - fraction))
    if at == 0 or at == rows:
        raise ValueError(
            f"`validation_split`={fraction} leaves no rows for {'training' if at == 0 else 'validation'}: "
            f"there are {rows} rows."
        )
    parts = ([None if t is None else t[s] for t in leaves] for s in (slice(at), slice(at, None)))
    train, validation = (tree.unflatten(part, spec) for part in parts)
    return train, validation
