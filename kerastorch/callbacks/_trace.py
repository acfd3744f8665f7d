"""A profile of some training steps."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch.autograd import profiler


class Trace:
    """A `torch.profiler` trace of a range of batches, written into `folder` when it is complete.

    `batches` is the number of a batch, counted from 1, a pair of first and last, or Keras's old
    form of these as text, ``"10,20"``; 0 is no trace.

    >>> trace = Trace((10, 20), "folder")
    >>> trace.first, trace.last
    (10, 20)
    """

    def __init__(self, batches: Any, folder: str) -> None:
        self.first, self.last = _range_of(batches)
        self.folder = folder
        self._profile: Any = None  # while it runs
        self._step: Any = None  # its mark of the batch

    def before(self, batch: int) -> None:
        """A batch begins."""
        if self.first == batch:
            self._start()
        if self._profile is not None:
            self._step = torch.profiler.record_function(f"ProfilerStep#{batch}")
            self._step.__enter__()

    def after(self, batch: int) -> None:
        """A batch has ended."""
        if self._profile is not None:
            self._end_step()
            if batch >= self.last:
                self.close()

    def close(self) -> None:
        """Write what there is; nothing to do if no trace is running."""
        self._end_step()
        profile, self._profile = self._profile, None
        if profile is not None:
            profile.stop()

    def _end_step(self) -> None:
        step, self._step = self._step, None
        if step is not None:
            step.__exit__(None, None, None)

    def _start(self) -> None:
        if profiler._is_profiler_enabled:
            warnings.warn(
                f"TensorBoard: profile_batch={self.first, self.last} is not recorded: "
                "another profiler is running.",
                stacklevel=4,
            )
            return
        write = torch.profiler.tensorboard_trace_handler(self.folder)
        self._profile = torch.profiler.profile(record_shapes=True, on_trace_ready=write)
        self._profile.start()


def _range_of(batches: Any) -> tuple[int, int]:
    given = [int(part) for part in batches.split(",")] if isinstance(batches, str) else batches
    pair = list(given) if isinstance(given, (tuple, list)) else [given]
    if all(type(number) is int for number in pair) and len(pair) in (1, 2):
        first, last = pair[0], pair[-1]
        if 0 < first <= last or first == last == 0:
            return first, last
    raise ValueError(
        "profile_batch: expected 0, the number of a batch, or first and last of several, "
        f"as in (10, 20); received {batches!r}."
    )
