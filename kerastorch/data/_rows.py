"""`Rows`: arrays cut along their first axis, the fast way from arrays to batches."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch

from kerastorch import tree

#: Bytes gathered at once when rows come in another order, for 64 batches at most, which are views of them.
_CHUNK = 1 << 20


class Rows:
    """A nest of arrays with the same number of rows. Entries that are None stay None."""

    def __init__(self, data: Any) -> None:
        self.leaves, self._spec = tree.flatten_with_spec(data)
        self._alone = not tree.is_nested(data)
        self._flat = type(data) is tuple and not any(map(tree.is_nested, data))
        self._count = next(len(leaf) for leaf in self.leaves if leaf is not None)

    def __len__(self) -> int:
        return self._count

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(leaf.nbytes for leaf in self.leaves if leaf is not None)

    def move(self, device: torch.device) -> None:
        """Move the tensors to a device."""
        self.leaves = [x.to(device) if isinstance(x, torch.Tensor) else x for x in self.leaves]

    def __getitem__(self, index: int | slice) -> Any:
        """A row, or a slice of rows, as a nest."""
        return self._nest([None if leaf is None else leaf[index] for leaf in self.leaves])

    def batches(self, size: int) -> Iterator[Any]:
        """Consecutive slices: views, nothing is copied."""
        return self._cut(self.leaves, size)

    def gathered(self, order: Iterable[int], size: int) -> Iterator[Any]:
        """Batches of the rows in `order`, several of them gathered at once."""
        row = sum(leaf[:1].nbytes for leaf in self.leaves if leaf is not None)
        chunk = size * min(64, max(1, _CHUNK // max(1, row * size)))
        tensors = [leaf for leaf in self.leaves if isinstance(leaf, torch.Tensor)]
        if tensors and isinstance(order, torch.Tensor):
            order = order.to(tensors[0].device)
        for index in _chunks(order, chunk):
            yield from self._cut([_take(leaf, index) for leaf in self.leaves], size)

    def _cut(self, leaves: list[Any], size: int) -> Iterator[Any]:
        if self._alone:
            return iter(_split(leaves[0], size))
        columns = (
            itertools.repeat(None) if leaf is None else _split(leaf, size) for leaf in leaves
        )
        rows = zip(*columns, strict=False)
        return rows if self._flat else map(self._nest, rows)

    def _nest(self, leaves: Any) -> Any:
        return tuple(leaves) if self._flat else tree.unflatten(leaves, self._spec)


def _chunks(order: Iterable[int], size: int) -> Iterator[torch.Tensor]:
    if isinstance(order, torch.Tensor):
        yield from order.split(size)
        return
    rest = iter(order)
    while len(index := np.fromiter(itertools.islice(rest, size), np.int64)):
        yield torch.from_numpy(index)


def _take(leaf: Any, index: torch.Tensor) -> Any:
    if isinstance(leaf, torch.Tensor):
        return leaf.index_select(0, index.to(leaf.device))
    return None if leaf is None else leaf[index.cpu().numpy()]


def _split(leaf: Any, size: int) -> Any:
    if isinstance(leaf, torch.Tensor):
        return leaf.split(size)
    return [leaf[start : start + size] for start in range(0, len(leaf), size)]
