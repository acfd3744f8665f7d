"""Work ahead in threads, in order, and clean up."""

from __future__ import annotations

import collections
import contextlib
import itertools
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


def ordered_map(
    function: Callable[[Any], Any], items: Iterable[Any], threads: int, ahead: int
) -> Generator[Any, None, None]:
    """``map(function, items)`` by a pool of threads, at most `ahead` results in the works.

    Results and errors come in the order of the items. No thread is left when the iterator ends, is
    closed or raises.

    >>> list(ordered_map(lambda n: n * n, range(4), threads=2, ahead=3))
    [0, 1, 4, 9]
    """
    rest = iter(items)
    pool = ThreadPoolExecutor(threads, thread_name_prefix="kerastorch-data")
    pending: collections.deque[Future[Any]] = collections.deque()
    try:
        pending.extend(pool.submit(function, item) for item in itertools.islice(rest, ahead))
        while pending:
            result = pending.popleft().result()
            pending.extend(pool.submit(function, item) for item in itertools.islice(rest, 1))
            yield result
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_END = object()


def prefetched(items: Iterator[Any], ahead: int) -> Generator[Any, None, None]:
    """The same items, up to `ahead` of them read early by one thread."""
    early = ordered_map(lambda _: next(items, _END), itertools.count(), threads=1, ahead=ahead)
    with contextlib.closing(early):
        for item in early:
            if item is _END:
                return
            yield item


def close(iterator: Any) -> None:
    """End a generator, or the worker processes behind an iterator of a DataLoader."""
    end = getattr(iterator, "close", None)
    if end is None and not getattr(iterator, "_persistent_workers", False):
        end = getattr(iterator, "_shutdown_workers", None)
    if end is not None:
        end()
