"""The parts of a `Dataset`: where elements come from, and the steps that transform them."""

from __future__ import annotations

import contextlib
import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.utils.data import get_worker_info

from kerastorch import tree
from kerastorch.data._parallel import close, ordered_map, prefetched
from kerastorch.data._rows import Rows
from kerastorch.data._tensors import stack, to_element

Items = Generator[Any, None, None]
Size = int | float | None  # None: only iterating tells; infinity: there is no end


class Node(ABC):
    """Something that can be iterated over again and again."""

    @property
    @abstractmethod
    def size(self) -> Size:
        """Number of elements."""

    @abstractmethod
    def __iter__(self) -> Iterator[Any]: ...

    def reordered(self, step: Callable[[Node], Node]) -> Node:
        """A step that leaves each element as it is, put where elements are cheapest."""
        return step(self)

    def batched(self, size: int, drop_remainder: bool) -> Node:
        """Groups of `size` elements."""
        return Batch(self, size, drop_remainder)

    def shard(self, shards: int, index: int, block: int = 1) -> Node:
        """Of every `shards` blocks of `block` elements the one with number `index`."""
        return self.reordered(lambda source: Shard(source, shards, index, block))


# -- sources -----------------------------------------------------------------------------------------


@dataclass(eq=False)
class Source(Node):
    """What ``make()`` iterates over, as tensors."""

    make: Callable[[], Iterable[Any]]
    count: Size = None

    @property
    def size(self) -> Size:
        return self.count

    def __iter__(self) -> Items:
        items = iter(self.make())
        try:
            yield from map(to_element, items)
        finally:
            close(items)


@dataclass(eq=False)
class Numbers(Node):
    """The numbers of rows, as Python integers."""

    count: int

    @property
    def size(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.count))


@dataclass(eq=False)
class Slices(Node):
    """Rows of arrays, in the order of their numbers in another node."""

    rows: Rows
    order: Node

    @property
    def size(self) -> Size:
        return self.order.size

    def __iter__(self) -> Iterator[Any]:
        return map(self.rows.__getitem__, self.order)

    def reordered(self, step: Callable[[Node], Node]) -> Node:
        return Slices(self.rows, step(self.order))

    def batched(self, size: int, drop_remainder: bool) -> Node:
        return SliceBatches(self, size, drop_remainder)


@dataclass(eq=False)
class Zip(Node):
    """Elements of a nest of nodes, side by side."""

    nodes: Any

    @property
    def size(self) -> Size:
        sizes = [node.size for node in tree.flatten(self.nodes)]
        return None if None in sizes else min(sizes)

    def __iter__(self) -> Items:
        nodes, spec = tree.flatten_with_spec(self.nodes)
        with contextlib.ExitStack() as ends:
            columns = [iter(node) for node in nodes]
            for column in columns:
                ends.callback(close, column)
            for items in zip(*columns, strict=False):
                yield tree.unflatten(items, spec)


@dataclass(eq=False)
class Concatenate(Node):
    """The elements of several nodes, one node after the other."""

    nodes: tuple[Node, ...]

    @property
    def size(self) -> Size:
        sizes = [node.size for node in self.nodes]
        known = sum(size for size in sizes if size is not None)
        return None if None in sizes and known != math.inf else known

    def __iter__(self) -> Items:
        for node in self.nodes:
            yield from node


# -- steps -------------------------------------------------------------------------------------------


@dataclass(eq=False)
class Step(Node):
    """A transformation of the elements of `source`, as many of them if it does not say otherwise."""

    source: Node

    @property
    def size(self) -> Size:
        return self.source.size

    @property
    def grain(self) -> int:
        """How many elements of the source make one of these, if each can be made alone; else 0."""
        return 0

    @abstractmethod
    def transform(self, items: Iterator[Any]) -> Iterator[Any]:
        """The elements, made from those of the source."""

    def __iter__(self) -> Iterator[Any]:
        with _opened(self.source) as items:
            yield from self.transform(items)

    def shard(self, shards: int, index: int, block: int = 1) -> Node:
        if not self.grain:
            return super().shard(shards, index, block)
        return replace(self, source=self.source.shard(shards, index, block * self.grain))


@dataclass(eq=False)
class Map(Step):
    function: Callable[..., Any]
    threads: int = 0
    grain = 1

    def transform(self, items: Iterator[Any]) -> Iterator[Any]:
        call = _spread(self.function)
        if not self.threads:
            return map(call, items)
        return ordered_map(call, items, self.threads, 2 * self.threads)


@dataclass(eq=False)
class Prefetch(Step):
    ahead: int
    grain = 1

    def transform(self, items: Iterator[Any]) -> Iterator[Any]:
        return prefetched(items, self.ahead)


@dataclass(eq=False)
class Batch(Step):
    batch_size: int
    drop_remainder: bool

    @property
    def size(self) -> Size:
        size = self.source.size
        if size is None or size == math.inf:
            return size
        return (math.floor if self.drop_remainder else math.ceil)(size / self.batch_size)

    @property
    def grain(self) -> int:
        return self.batch_size

    def transform(self, items: Iterator[Any]) -> Iterator[Any]:
        for group in iter(lambda: list(itertools.islice(items, self.batch_size)), []):
            if len(group) == self.batch_size or not self.drop_remainder:
                yield stack(group)


@dataclass(eq=False)
class SliceBatches(Batch):
    """`Batch` of `Slices`: rows are sliced or gathered, many at once, instead of stacked."""

    source: Slices

    def __iter__(self) -> Iterator[Any]:
        rows, order, size = self.source.rows, self.source.order, self.batch_size
        plain = isinstance(order, Numbers)
        batches = rows.batches(size) if plain else rows.gathered(order, size)
        return itertools.islice(batches, _limit(self.size or 0))


@dataclass(eq=False)
class Shuffle(Step):
    buffer_size: int
    seed: int | None
    reshuffle: bool
    passes: int = 0
    drawn: int | None = None  # in place of a seed, at the first pass

    def transform(self, items: Iterator[Any]) -> Iterator[Any]:
        generator = torch.Generator().manual_seed(self._next_seed())
        buffer = list(itertools.islice(items, self.buffer_size))
        if len(buffer) == self.buffer_size:
            for slot, item in zip(_slots(self.buffer_size, generator), items, strict=False):
                yield buffer[slot]
                buffer[slot] = item
        yield from map(
            buffer.__getitem__, torch.randperm(len(buffer), generator=generator).tolist()
        )

    def _next_seed(self) -> int:
        seed = self.seed
        if self.reshuffle:
            worker = get_worker_info()
            if worker is not None:  # the workers of a DataLoader share one order among them
                seed = (seed or 0) + worker.seed - worker.id
            elif seed is None:
                if self.drawn is None:
                    self.drawn = int(torch.randint(1 << 62, ()))
                seed = self.drawn
            seed += self.passes
            self.passes += 1
        assert seed is not None
        return seed % (1 << 63)


def shuffles(value: Any) -> Iterator[Shuffle]:
    """The shuffling steps of a node, wherever they are."""
    if isinstance(value, Shuffle):
        yield value
    if isinstance(value, Node):
        value = vars(value)
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from shuffles(item)


def _slots(size: int, generator: torch.Generator) -> Iterator[int]:
    while True:
        yield from torch.randint(size, (1024,), generator=generator).tolist()


@dataclass(eq=False)
class Repeat(Step):
    count: int | float

    @property
    def size(self) -> Size:
        size = self.source.size
        if 0 in (size, self.count):
            return 0
        if self.count == math.inf:
            return math.inf
        return None if size is None else size * self.count

    def __iter__(self) -> Items:
        for turn in itertools.count():
            if turn >= self.count:
                return
            some = False
            with _opened(self.source) as items:
                for item in items:
                    some = True
                    yield item
            if not some:
                return

    def transform(self, items: Iterator[Any]) -> Iterator[Any]:
        return items


@dataclass(eq=False)
class Cut(Step):
    """Elements number `start` to `stop`."""

    start: int | float
    stop: int | float

    @property
    def size(self) -> Size:
        size = self.source.size
        if self.start == math.inf:
            return 0
        return None if size is None else max(min(size, self.stop) - self.start, 0)

    def transform(self, items: Iterator[Any]) -> Iterator[Any]:
        if self.start == math.inf:
            return iter(())
        return itertools.islice(items, int(self.start), _limit(self.stop))


@dataclass(eq=False)
class Shard(Step):
    shards: int
    index: int
    block: int

    @property
    def size(self) -> Size:
        size = self.source.size
        if size is None or size == math.inf:
            return size
        rounds, rest = divmod(int(size), self.shards * self.block)
        return rounds * self.block + min(max(rest - self.index * self.block, 0), self.block)

    def transform(self, items: Iterator[Any]) -> Iterator[Any]:
        for number, item in enumerate(items):
            if number // self.block % self.shards == self.index:
                yield item


@dataclass(eq=False)
class Filter(Step):
    predicate: Callable[..., Any]

    @property
    def size(self) -> Size:
        return _unknown(self.source.size)

    def transform(self, items: Iterator[Any]) -> Iterator[Any]:
        return filter(_spread(self.predicate), items)


@dataclass(eq=False)
class Unbatch(Step):
    @property
    def size(self) -> Size:
        return _unknown(self.source.size)

    def transform(self, items: Iterator[Any]) -> Iterator[Any]:
        for rows in map(Rows, items):
            yield from map(rows.__getitem__, range(len(rows)))


@dataclass(eq=False)
class Cache(Step):
    kept: list[Any] | None = None

    def __iter__(self) -> Iterator[Any]:
        return super().__iter__() if self.kept is None else iter(self.kept)

    def transform(self, items: Iterator[Any]) -> Iterator[Any]:
        kept = []
        for item in items:
            kept.append(item)
            yield item
        self.kept = kept


@contextlib.contextmanager
def _opened(node: Node) -> Iterator[Iterator[Any]]:
    """Iterate, and end what works ahead when done, also after an error."""
    items = iter(node)
    try:
        yield items
    finally:
        close(items)


def _spread(function: Callable[..., Any]) -> Callable[[Any], Any]:
    """The function of an element whose tuples come as several arguments."""
    return lambda item: function(*item) if type(item) is tuple else function(item)


def _unknown(size: Size) -> Size:
    return size if size in (0, math.inf) else None


def _limit(count: int | float) -> int | None:
    return None if count == math.inf else int(count)
