"""`Epochs`: where one epoch ends in the data and the next begins."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Callable, Iterator
from typing import Any

from kerastorch.data._batches import Batches
from kerastorch.data._parallel import close
from kerastorch.data._tensors import Batch


class Epochs:
    """Batches epoch by epoch.

    Without `steps` an epoch is a pass over the data. With `steps` it is the next so many batches: the pass
    goes on in the next epoch, and starts again only if `steps` is its whole length or if the data always do.
    `transform` is applied to every batch.

    >>> from kerastorch.data import Epochs, IterableBatches
    >>> import torch
    >>> epochs = Epochs(IterableBatches(torch.arange(5.0).split(1)), steps=2)
    >>> while epochs.begin():
    ...     seen = [batch[0].item() for batch in epochs]
    ...     epochs.end(len(seen))
    ...     print(seen, epochs.exhausted)
    [0.0, 1.0] False
    [2.0, 3.0] False
    [4.0] True
    """

    def __init__(
        self,
        batches: Batches,
        steps: int | None = None,
        transform: Callable[[Batch], Batch] | None = None,
        snapshot: Callable[[], Any] | None = None,
    ) -> None:
        self.batches = batches
        self.steps = steps
        self.transform = transform
        self.exhausted = False
        whole = steps is None or steps == batches.steps
        self._renewed = not batches.once and (whole or batches.restarts)
        self._pass: Iterator[Batch] | None = None
        self._ahead: list[Batch] = []
        self._snapshot = snapshot or (lambda: None)
        self._begun: Any = None  # the snapshot and the source's state before the pass began
        self._read = 0  # batches of the pass in the epochs before
        self._seen = 0  # batches of the epoch that a run before this one has read

    def begin(self) -> bool:
        """Get ready for an epoch. False if the data have run out, so that there will be none."""
        self.batches.begin_epoch()
        if self._pass is None:
            self._open()
        else:
            self._ahead = list(itertools.islice(self._pass, 1))
            self.exhausted = not self._ahead
        return not self.exhausted

    def prepare(self) -> None:
        """Note how the first pass begins, before anything is read of it."""
        self._begun = self._snapshot(), self.batches.source_state()

    def _open(self) -> None:
        if self._begun is None or not self.batches.opened:
            self.prepare()
        self._read = 0
        self._pass = iter(self.batches)

    def state(self, seen: int) -> dict[str, Any]:
        """Where the data stand after `seen` batches of the epoch: how the pass began, and how far it is."""
        going = self._pass is not None and self._begun is not None
        random, source = self._begun if going else (None, self.batches.source_state())
        return {
            "random": random,
            "source": source,
            "read": self._read + seen if going else 0,
            "steps": self.batches.steps,
        }

    def resume(self, state: dict[str, Any], seen: int) -> None:
        """Go on where `state` was taken, in an epoch of which `seen` batches have been read."""
        if state["random"] is None:
            return
        self.batches.begin_epoch()
        self._open()
        collections.deque(itertools.islice(self._pass or (), state["read"]), maxlen=0)
        self._read, self._seen = state["read"] - seen, seen

    def __iter__(self) -> Iterator[Batch]:
        """The batches of the epoch; not one more than `steps` is read."""
        ahead, self._ahead = self._ahead, []
        left = None if self.steps is None else self.steps - self._seen
        batches = itertools.islice(itertools.chain(ahead, self._pass or ()), left)
        return batches if self.transform is None else map(self.transform, batches)

    def end(self, seen: int) -> None:
        """Close the epoch, of which `seen` batches were read."""
        self.exhausted = seen < (self.steps or 1)
        self._read, self._seen = self._read + seen, 0
        self.batches.end_epoch()
        if self._renewed:
            self.close()

    def close(self) -> None:
        """End the pass over the data."""
        opened, self._pass = self._pass, None
        self._begun = None
        close(opened)
