"""`Dataset`: pipelines in the manner of ``tf.data``."""

from __future__ import annotations

import functools
import itertools
import math
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch

from kerastorch import tree
from kerastorch.data import _pipeline as nodes
from kerastorch.data._rows import Rows
from kerastorch.data._tensors import to_element

#: As many threads, or elements ahead, as seems right.
AUTOTUNE = -1
#: What `Dataset.cardinality` gives where there is no end.
INFINITE_CARDINALITY = -1
#: What `Dataset.cardinality` gives where only iterating tells.
UNKNOWN_CARDINALITY = -2


class Dataset:
    """Elements one after another, made when they are asked for.

    A `Dataset` comes from one of ``from_tensor_slices``, ``from_tensors``, ``from_generator``, ``range``
    and ``zip``. Each method gives a new one and changes nothing. An element is a tensor or a nest of
    tuples and dicts of them; float64 arrays become `floatx`. Iterating starts from the beginning every
    time. Source: the API of ``tf.data.Dataset``.

    Where the elements are slices of arrays, ``shuffle``, ``take``, ``skip``, ``repeat`` and ``shard`` only
    rearrange numbers of rows, and ``batch`` gathers many rows at once.

    >>> import numpy as np, kerastorch as keras
    >>> data = keras.data.Dataset.from_tensor_slices((np.arange(5), np.arange(5) ** 2))
    >>> for x, y in data.shuffle(5, seed=1).batch(2):
    ...     assert torch.equal(x**2, y)
    >>> len(data.batch(2))
    3
    """

    def __init__(self, node: nodes.Node) -> None:
        self._node = node

    def __iter__(self) -> Iterator[Any]:
        return iter(self._node)

    def state_dict(self) -> dict[str, Any]:
        """What the next order of each shuffling step depends on."""
        return {"shuffles": [[step.passes, step.drawn] for step in nodes.shuffles(self._node)]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take what `state_dict` gave."""
        for step, (passes, drawn) in zip(
            nodes.shuffles(self._node), state["shuffles"], strict=True
        ):
            step.passes, step.drawn = passes, drawn

    # -- where elements come from --------------------------------------------------------------------

    @staticmethod
    def from_tensor_slices(tensors: Any) -> Dataset:
        """One element for each row of the arrays in a nest of tuples and dicts. A list is an array.

        >>> from kerastorch.data import Dataset
        >>> list(Dataset.from_tensor_slices({"a": [1, 2], "b": [[3, 4], [5, 6]]}))
        [{'a': tensor(1), 'b': tensor([3, 4])}, {'a': tensor(2), 'b': tensor([5, 6])}]
        """
        element = to_element(tensors)
        leaves = tree.flatten(element)
        shapes = [tuple(getattr(leaf, "shape", ())) for leaf in leaves]
        if not leaves or () in shapes or len({shape[0] for shape in shapes}) > 1:
            raise ValueError(
                "from_tensor_slices: all components must be arrays with the same first axis, "
                f"received shapes {shapes}."
            )
        return Dataset(nodes.Slices(Rows(element), nodes.Numbers(shapes[0][0])))

    @staticmethod
    def from_tensors(tensors: Any) -> Dataset:
        """One element, as it stands.

        >>> from kerastorch.data import Dataset
        >>> list(Dataset.from_tensors([1, 2]))
        [tensor([1, 2])]
        """
        return Dataset(nodes.Source(functools.partial(iter, (to_element(tensors),)), 1))

    @staticmethod
    def from_generator(
        generator: Callable[..., Iterable[Any]], args: Iterable[Any] = ()
    ) -> Dataset:
        """What ``generator(*args)`` gives; it is called anew for each iteration.

        >>> from kerastorch.data import Dataset
        >>> def pairs():
        ...     yield 1, 2.0
        >>> list(Dataset.from_generator(pairs))
        [(tensor(1), tensor(2.))]
        """
        if not callable(generator):
            raise TypeError(
                f"from_generator: `generator` must be a function that gives an iterable, received {generator!r}. "
                "Pass the generator function without calling it."
            )
        return Dataset(nodes.Source(functools.partial(generator, *args)))

    @staticmethod
    def range(*args: int) -> Dataset:
        """Integers: ``range(stop)``, ``range(start, stop)`` or ``range(start, stop, step)``.

        >>> from kerastorch.data import Dataset
        >>> list(Dataset.range(1, 6, 2))
        [tensor(1), tensor(3), tensor(5)]
        """
        return Dataset.from_tensor_slices(torch.tensor(list(range(*args)), dtype=torch.int64))

    @staticmethod
    def zip(*datasets: Any) -> Dataset:
        """Elements side by side: ``zip(a, b)``, or a nest of datasets. The shortest one ends it.

        >>> from kerastorch.data import Dataset
        >>> list(Dataset.zip(Dataset.range(3), Dataset.range(5, 7)))
        [(tensor(0), tensor(5)), (tensor(1), tensor(6))]
        """
        given = datasets[0] if len(datasets) == 1 else datasets
        return Dataset(nodes.Zip(tree.map_structure(lambda dataset: dataset._node, given)))

    # -- transformations -----------------------------------------------------------------------------

    def map(self, map_func: Callable[..., Any], num_parallel_calls: int | None = None) -> Dataset:
        """``map_func(element)``, or ``map_func(x, y)`` where elements are tuples.

        `num_parallel_calls` threads work at the same time; the order stays.

        >>> from kerastorch.data import Dataset
        >>> list(Dataset.range(3).map(lambda n: n * 10))
        [tensor(0), tensor(10), tensor(20)]
        """
        threads = _whole("num_parallel_calls", num_parallel_calls or 0, minus_one=os.cpu_count())
        return Dataset(nodes.Map(self._node, map_func, threads))

    def filter(self, predicate: Callable[..., Any]) -> Dataset:
        """The elements for which ``predicate(element)``, or ``predicate(x, y)``, is true.

        >>> from kerastorch.data import Dataset
        >>> list(Dataset.range(5).filter(lambda n: n % 2 == 0))
        [tensor(0), tensor(2), tensor(4)]
        """
        return Dataset(nodes.Filter(self._node, predicate))

    def batch(self, batch_size: int, drop_remainder: bool = False) -> Dataset:
        """`batch_size` elements stacked along a new first axis; the last batch may be smaller.

        >>> from kerastorch.data import Dataset
        >>> list(Dataset.range(5).batch(2))
        [tensor([0, 1]), tensor([2, 3]), tensor([4])]
        """
        size = _whole("batch_size", batch_size, least=1)
        return Dataset(self._node.batched(size, drop_remainder))

    def unbatch(self) -> Dataset:
        """The rows of every element, one by one.

        >>> from kerastorch.data import Dataset
        >>> list(Dataset.from_tensors([1, 2]).unbatch())
        [tensor(1), tensor(2)]
        """
        return Dataset(nodes.Unbatch(self._node))

    def shuffle(
        self, buffer_size: int, seed: int | None = None, reshuffle_each_iteration: bool = True
    ) -> Dataset:
        """A random order.

        A buffer of `buffer_size` elements is filled; each element given is drawn from it and replaced by
        the next one. The order is uniformly random only if all elements fit. It is another one in every
        iteration unless `reshuffle_each_iteration` is False. Without `seed` torch's global seed governs.
        In the workers of a DataLoader torch's seed counts in either case.

        >>> from kerastorch.data import Dataset
        >>> sorted(Dataset.range(4).shuffle(4))
        [tensor(0), tensor(1), tensor(2), tensor(3)]
        """
        _whole("buffer_size", buffer_size, least=1)
        if seed is None and not reshuffle_each_iteration:
            seed = int(torch.randint(1 << 62, ()))
        return self._reordered(
            lambda source: nodes.Shuffle(source, buffer_size, seed, reshuffle_each_iteration)
        )

    def repeat(self, count: int | None = None) -> Dataset:
        """`count` iterations one after another; without end if it is None or -1.

        >>> from kerastorch.data import Dataset
        >>> list(Dataset.range(2).repeat(2))
        [tensor(0), tensor(1), tensor(0), tensor(1)]
        """
        times = _whole("count", -1 if count is None else count, minus_one=math.inf)
        return self._reordered(lambda source: nodes.Repeat(source, times))

    def take(self, count: int) -> Dataset:
        """The first `count` elements; all if it is -1.

        >>> from kerastorch.data import Dataset
        >>> list(Dataset.range(5).take(2))
        [tensor(0), tensor(1)]
        """
        stop = _whole("count", count, minus_one=math.inf)
        return self._reordered(lambda source: nodes.Cut(source, 0, stop))

    def skip(self, count: int) -> Dataset:
        """All but the first `count` elements; none if it is -1.

        >>> from kerastorch.data import Dataset
        >>> list(Dataset.range(5).skip(3))
        [tensor(3), tensor(4)]
        """
        start = _whole("count", count, minus_one=math.inf)
        return self._reordered(lambda source: nodes.Cut(source, start, math.inf))

    def shard(self, num_shards: int, index: int) -> Dataset:
        """Every `num_shards`-th element, from number `index` on.

        >>> from kerastorch.data import Dataset
        >>> list(Dataset.range(5).shard(2, 1))
        [tensor(1), tensor(3)]
        """
        _whole("num_shards", num_shards, least=1)
        if not 0 <= index < num_shards:
            raise ValueError(f"shard: `index` must be in [0, {num_shards}), received {index!r}.")
        return Dataset(self._node.shard(num_shards, index))

    def concatenate(self, dataset: Dataset) -> Dataset:
        """These elements, then those of `dataset`.

        >>> from kerastorch.data import Dataset
        >>> list(Dataset.range(2).concatenate(Dataset.range(1)))
        [tensor(0), tensor(1), tensor(0)]
        """
        return Dataset(nodes.Concatenate((self._node, dataset._node)))

    def enumerate(self, start: int = 0) -> Dataset:
        """Pairs of a number, counted from `start`, and an element.

        >>> from kerastorch.data import Dataset
        >>> list(Dataset.range(5, 7).enumerate())
        [(tensor(0), tensor(5)), (tensor(1), tensor(6))]
        """
        numbers = nodes.Source(functools.partial(itertools.count, start), math.inf)
        return Dataset(nodes.Zip((numbers, self._node)))

    def prefetch(self, buffer_size: int) -> Dataset:
        """Make up to `buffer_size` elements ahead in a thread; it ends with the iteration.

        >>> from kerastorch.data import AUTOTUNE, Dataset
        >>> list(Dataset.range(2).prefetch(AUTOTUNE))
        [tensor(0), tensor(1)]
        """
        return Dataset(nodes.Prefetch(self._node, _whole("buffer_size", buffer_size, minus_one=2)))

    def cache(self) -> Dataset:
        """Keep the elements in memory once an iteration has come to its end.

        >>> from kerastorch.data import Dataset
        >>> data = Dataset.range(3).map(lambda n: torch.rand(())).cache()
        >>> list(data) == list(data)
        True
        """
        return self._reordered(nodes.Cache)

    def apply(self, transformation_func: Callable[[Dataset], Dataset]) -> Dataset:
        """``transformation_func(self)``, to write functions in a chain.

        >>> from kerastorch.data import Dataset
        >>> list(Dataset.range(4).apply(lambda data: data.skip(1)).take(1))
        [tensor(1)]
        """
        return transformation_func(self)

    # -- what comes out ------------------------------------------------------------------------------

    def cardinality(self) -> int:
        """Number of elements, or `INFINITE_CARDINALITY` (-1), or `UNKNOWN_CARDINALITY` (-2).

        >>> from kerastorch.data import Dataset
        >>> data = Dataset.range(5)
        >>> data.batch(2).cardinality(), data.repeat().cardinality(), data.filter(bool).cardinality()
        (3, -1, -2)
        """
        size = self._node.size
        if size is None:
            return UNKNOWN_CARDINALITY
        return INFINITE_CARDINALITY if size == math.inf else int(size)

    def __len__(self) -> int:
        """Number of elements; `TypeError` where it is unknown or there is no end."""
        size = self.cardinality()
        if size < 0:
            kind = "unknown" if size == UNKNOWN_CARDINALITY else "infinite"
            raise TypeError(f"The length of this Dataset is {kind}.")
        return size

    def __bool__(self) -> bool:
        return True

    def as_numpy_iterator(self) -> Iterator[Any]:
        """The elements with numpy arrays in place of tensors.

        >>> from kerastorch.data import Dataset
        >>> list(Dataset.range(4).batch(2).as_numpy_iterator())
        [array([0, 1]), array([2, 3])]
        """
        return (tree.map_structure(_numpy, element) for element in self)

    def to_iterable(self) -> torch.utils.data.IterableDataset[Any]:
        """The elements as a torch dataset, which a DataLoader's workers share among them.

        >>> from kerastorch.data import Dataset
        >>> data = Dataset.range(6).batch(2).to_iterable()
        >>> list(torch.utils.data.DataLoader(data, batch_size=None))
        [tensor([0, 1]), tensor([2, 3]), tensor([4, 5])]
        """
        return _Iterable(self._node)

    def _reordered(self, step: Callable[[nodes.Node], nodes.Node]) -> Dataset:
        return Dataset(self._node.reordered(step))


class _Iterable(torch.utils.data.IterableDataset[Any]):
    def __init__(self, node: nodes.Node) -> None:
        self.node = node

    def __iter__(self) -> Iterator[Any]:
        worker = torch.utils.data.get_worker_info()
        return iter(self.node if worker is None else self.node.shard(worker.num_workers, worker.id))

    def __len__(self) -> int:
        return len(Dataset(self.node))


def _whole(name: str, value: Any, least: int = 0, minus_one: float | None = None) -> Any:
    """Check a number; -1 may have a meaning."""
    if minus_one is not None and value == -1:
        return minus_one
    if isinstance(value, bool) or not hasattr(value, "__index__") or int(value) < least:
        either = "" if minus_one is None else " or -1"
        raise ValueError(f"`{name}` must be an integer >= {least}{either}, received {value!r}.")
    return int(value)


def _numpy(leaf: Any) -> Any:
    return leaf.numpy()[()] if isinstance(leaf, torch.Tensor) else leaf
