"""`PyDataset`: batches by number, made in this process, in threads or in worker processes."""

from __future__ import annotations

import importlib
import itertools
import multiprocessing
import pickle
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import torch

from kerastorch.data._batches import IterableBatches
from kerastorch.data._parallel import close, ordered_map
from kerastorch.data._tensors import Batch, to_batch


class PyDataset:
    """Base class of data that come as batches by number. Also called ``keras.utils.Sequence``.

    A subclass defines ``__getitem__(index)``, which gives a whole batch ``(x, y)`` or
    ``(x, y, sample_weight)``, and ``__len__``, the number of batches; or, instead of it, a property
    `num_batches` that is None if there is no end. It may define ``on_epoch_begin()`` and
    ``on_epoch_end()``, called once an epoch in the main process, which may change the data. It need not
    call ``super().__init__()``.

    Args:
        workers: how many batches are made at the same time.
        use_multiprocessing: make them in processes, not in threads. Python code on one CPU core at a
            time gains from processes only; the batches must fit into shared memory.
        max_queue_size: batches that are made ahead.

    `fit` reads the batches in another order each epoch unless ``shuffle=False``. Whatever makes them,
    they come in order.

    >>> import numpy as np, kerastorch as keras
    >>> class Squares(keras.utils.PyDataset):
    ...     def __len__(self):
    ...         return 2
    ...     def __getitem__(self, index):
    ...         x = np.arange(3.0)[:, None] + 3 * index
    ...         return x, x**2
    >>> len(list(Squares(workers=2)))
    2
    """

    workers: int = 1
    use_multiprocessing: bool = False
    max_queue_size: int = 10

    def __init__(
        self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10
    ) -> None:
        self.workers = workers
        self.use_multiprocessing = use_multiprocessing
        self.max_queue_size = max_queue_size

    def __getitem__(self, index: int) -> Any:
        """The batch of this number."""
        raise NotImplementedError(f"{type(self).__name__} must define __getitem__(self, index).")

    @property
    def num_batches(self) -> int | None:
        """Number of batches; None if there is no end."""
        if not hasattr(self, "__len__"):
            raise NotImplementedError(
                f"{type(self).__name__} must define __len__(self), the number of batches."
            )
        return len(self)

    def __iter__(self) -> Iterator[Any]:
        """The batches in order."""
        return (self[index] for index in _numbers(self))

    def on_epoch_begin(self) -> None:
        """Called before the first batch of an epoch is made."""

    def on_epoch_end(self) -> None:
        """Called after each epoch."""


#: The name in TensorFlow 2 and Keras 2.
Sequence = PyDataset


class PyDatasetBatches(IterableBatches):
    """Batches of a `PyDataset`, by its workers; with `shuffle` in a new order each pass."""

    def __init__(self, source: PyDataset, shuffle: bool = False) -> None:
        super().__init__(source)
        self.data = source
        self.shuffle = shuffle
        self.restarts = source.num_batches is not None
        self.use_workers(1, False, 10)
        self._begun = False
        self._loader: Any = None

    def use_workers(self, workers: int, use_multiprocessing: bool, max_queue_size: int) -> None:
        """What differs from the defaults overrules what the data set was made with."""
        self.workers = workers if workers != 1 else self.data.workers
        self.use_multiprocessing = use_multiprocessing or self.data.use_multiprocessing
        self.max_queue_size = max_queue_size if max_queue_size != 10 else self.data.max_queue_size

    @property
    def steps(self) -> int | float | None:
        """Number of batches at this time."""
        count = self.data.num_batches
        return float("inf") if count is None else count

    def begin_epoch(self) -> None:
        """``on_epoch_begin``, once an epoch."""
        if not self._begun:
            self._begun = True
            self.data.on_epoch_begin()

    def end_epoch(self) -> None:
        """``on_epoch_end``."""
        self._begun = False
        self.data.on_epoch_end()

    def close(self) -> None:
        """End the worker processes."""
        super().close()
        loader, self._loader = self._loader, None
        lasting = getattr(loader, "_iterator", None)
        if lasting is not None:
            lasting._shutdown_workers()

    def order(self) -> Iterable[int]:
        """Numbers of the batches of one pass."""
        numbers = _numbers(self.data)
        if self.shuffle and isinstance(numbers, range):
            return torch.randperm(len(numbers)).tolist()
        return numbers

    def _pass(self) -> Iterator[Batch]:
        self.begin_epoch()
        if self.use_multiprocessing and self.workers > 0:
            yield from self._by_processes()
        elif self.workers > 1:
            ahead = max(self.workers, self.max_queue_size)
            yield from ordered_map(self._batch, self.order(), self.workers, ahead)
        else:
            yield from map(self._batch, self.order())

    def _batch(self, index: int) -> Batch:
        return to_batch(self.data[index])

    def _by_processes(self) -> Iterator[Batch]:
        if self._loader is None:
            self._loader = self._make_loader()
        self._loader.sampler.numbers = self.order()
        iterator = self._start()
        try:
            yield from iterator
        except (RuntimeError, ConnectionError, EOFError) as error:
            own = isinstance(error, RuntimeError) and "DataLoader worker (pid" not in str(error)
            if own or "in DataLoader worker process" in str(error):  # raised by __getitem__
                raise
            raise RuntimeError(
                f"A worker process of {type(self.data).__name__} died while it made a batch. Did it run out of "
                "memory, or call exit? With use_multiprocessing=False the batches are made in threads."
            ) from error
        finally:
            close(iterator)

    def _start(self) -> Iterator[Batch]:
        try:
            with warnings.catch_warnings():  # torch says less about the same
                warnings.filterwarnings("ignore", message="Got pickle error")
                return iter(self._loader)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise RuntimeError(
                f"{type(self.data).__name__} cannot be sent to worker processes: {error}. They cannot be forked "
                "where an accelerator is in use or the system does not fork, so the data set must be picklable: "
                "define its class at the top of a module, and open files in __getitem__."
            ) from error

    def _make_loader(self) -> torch.utils.data.DataLoader[Any]:
        # A dying worker raises in the midst of what runs here: not in this import, which training needs.
        importlib.import_module("torch._dynamo")
        start = multiprocessing.get_context().get_start_method()
        if start == "fork" and _accelerator_in_use():
            start = "forkserver"
        fixed = all(
            getattr(type(self.data), hook) is getattr(PyDataset, hook)
            for hook in ("on_epoch_begin", "on_epoch_end")
        )
        return torch.utils.data.DataLoader(
            self.data,  # type: ignore[arg-type]
            batch_size=None,
            sampler=_Order(),
            num_workers=self.workers,
            prefetch_factor=max(1, self.max_queue_size // self.workers),
            collate_fn=to_batch,
            multiprocessing_context=start,
            # Forking is cheap, and new processes see the data as they are; others take seconds to start.
            persistent_workers=fixed and start != "fork",
        )


class _Order:
    """A sampler that is told its numbers before each pass; a DataLoader asks twice for them."""

    numbers: Iterable[int] = ()

    def __iter__(self) -> Iterator[int]:
        return iter(self.numbers)


def _numbers(data: PyDataset) -> Iterable[int]:
    count = data.num_batches
    return itertools.count() if count is None else range(count)


def _accelerator_in_use() -> bool:
    accelerator = torch.accelerator.current_accelerator()
    module = None if accelerator is None else torch.get_device_module(accelerator)
    return bool(getattr(module, "is_initialized", bool)())
