"""`Batches`: what the training loop reads, whatever the data came as."""

from __future__ import annotations

import contextlib
import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any

import torch

from kerastorch.data._parallel import close
from kerastorch.data._rows import Rows
from kerastorch.data._tensors import Batch, to_batch
from kerastorch.saving._state import is_state


class Batches(ABC):
    """Iterating gives the batches of one pass over the data, as tuples of tensors; `x` alone in arrays is itself."""

    #: Every epoch starts at the beginning, also when `steps_per_epoch` left batches unread.
    restarts = False
    #: The data can be read only once: there is no beginning to go back to.
    once = False

    @property
    @abstractmethod
    def steps(self) -> int | float | None:
        """Batches in a pass; None if unknown, infinity if there is no end."""

    @abstractmethod
    def __iter__(self) -> Iterator[Batch]: ...

    @abstractmethod
    def first(self) -> Batch | None:
        """The batch that the next pass begins with, or one like it; None if the data are empty."""

    def begin_epoch(self) -> None:  # noqa: B027 - optional
        """Called before the first batch of an epoch is made."""

    def end_epoch(self) -> None:  # noqa: B027 - optional
        """Called after the last batch of an epoch."""

    @property
    def opened(self) -> bool:
        """Whether `first` has begun the pass that the next iteration goes on with."""
        return False

    def source_state(self) -> Any:
        """What besides the random state decides how the next pass goes: what the source says."""
        source = getattr(self, "source", None)
        tells = getattr(source, "state_dict", None)
        state = tells() if tells is not None else None
        return state if is_state(state) else None

    def load_source_state(self, state: Any) -> None:
        """Put back what `source_state` gave."""
        if state is not None:
            self.source.load_state_dict(state)  # type: ignore[attr-defined]

    def close(self) -> None:  # noqa: B027 - optional
        """Let go of what `first` has opened."""

    def use_workers(self, workers: int, use_multiprocessing: bool, max_queue_size: int) -> None:
        """Make batches in threads or processes: only a `PyDataset` can."""
        if workers > 1 or use_multiprocessing:
            warnings.warn(
                f"`workers`={workers} and `use_multiprocessing`={use_multiprocessing} have no effect: they are "
                "for a PyDataset. A Dataset has map(..., num_parallel_calls=...) and prefetch(), a "
                "DataLoader has num_workers, and a generator can only be read by one.",
                stacklevel=4,
            )


class ArrayBatches(Batches):
    """Batches of arrays: slices of tensors, or of gathered rows when shuffled.

    `shuffle`: False, True (rows, anew each epoch, by torch's global generator) or ``"batch"``
    (the order of batches only).
    """

    restarts = True

    def __init__(self, data: Batch, batch_size: int = 32, shuffle: bool | str = False) -> None:
        self.batch_size = batch_size
        self.shuffle = shuffle
        self._rows = Rows(data)

    @property
    def rows(self) -> int:
        """Number of samples."""
        return len(self._rows)

    @property
    def steps(self) -> int:
        """Batches in an epoch; the last one may be smaller."""
        return math.ceil(self.rows / self.batch_size)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return self._rows.nbytes

    def move(self, device: torch.device) -> None:
        """Move the arrays to a device, from where batches are then taken."""
        self._rows.move(device)

    def whole(self) -> Batch:
        """All rows."""
        return self._rows[:]

    def first(self) -> Batch:
        """The first rows."""
        return self._rows[: self.batch_size]

    def __iter__(self) -> Iterator[Batch]:
        size = self.batch_size
        if not self.shuffle:
            return self._rows.batches(size)
        if self.shuffle == "batch":
            starts = (torch.randperm(self.steps) * size).tolist()
            return (self._rows[start : start + size] for start in starts)
        return self._rows.gathered(torch.randperm(self.rows), size)

    def use_workers(self, workers: int, use_multiprocessing: bool, max_queue_size: int) -> None:
        """Slices need no workers."""


class IterableBatches(Batches):
    """Batches from anything that iterates over them: a `Dataset`, a DataLoader, a generator.

    Their number is `steps`, else ``len(source)``, else unknown. What is its own iterator is read
    once; all else is iterated anew for each pass. To let `fit` take a type of one's own:

    >>> import torch, kerastorch as keras
    >>> class Store:
    ...     def read(self):
    ...         yield torch.zeros(2, 3), torch.ones(2, 1)
    >>> @keras.data.adapt.register(Store)
    ... def _(x, *args, **options):
    ...     return keras.data.IterableBatches(x.read())
    >>> len(list(keras.data.adapt(Store())))
    1
    """

    def __init__(self, source: Iterable[Any], steps: float | None = None) -> None:
        self.source = source
        self.once = hasattr(source, "__next__") and iter(source) is source
        self._steps = steps
        self._opened: tuple[Batch, Iterator[Batch]] | None = None

    @property
    def steps(self) -> int | float | None:
        """Batches in a pass."""
        if self._steps is None:
            with contextlib.suppress(TypeError, NotImplementedError):
                return len(self.source)  # type: ignore[arg-type]
        return self._steps

    @property
    def opened(self) -> bool:
        """Whether a pass has been begun by `first`."""
        return self._opened is not None

    def first(self) -> Batch | None:
        """The first batch of the pass that the next iteration goes on with."""
        if self._opened is None:
            opened = self._pass()
            batch = next(opened, None)
            if batch is None:
                return None
            self._opened = batch, opened
        return self._opened[0]

    def __iter__(self) -> Iterator[Batch]:
        opened, self._opened = self._opened, None
        return self._pass() if opened is None else _resume(*opened)

    def close(self) -> None:
        """End the pass that `first` has begun."""
        opened, self._opened = self._opened, None
        if opened is not None:
            close(opened[1])

    def _pass(self) -> Iterator[Batch]:
        iterator = iter(self.source)
        try:
            yield from map(to_batch, iterator)
        finally:
            if not self.once:
                close(iterator)


def _resume(batch: Batch, rest: Iterator[Batch]) -> Iterator[Batch]:
    yield batch
    yield from rest
