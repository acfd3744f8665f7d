"""A run of `fit` that continues another."""

from __future__ import annotations

from typing import Any

import torch

from kerastorch.data import Batches
from kerastorch.layers._mode import in_mode
from kerastorch.training._ready import Ready
from kerastorch.training._state import Progress, capture, restore, set_random_state


class Resumable(Ready):
    """Takes the state of a run, and puts it back."""

    _progress: Progress | None = None  # of `fit`, while it runs

    def run_state(self) -> dict[str, Any]:
        """All that the run of `fit` depends on, to be called from a callback: what
        `callbacks.BackupAndRestore` writes and ``fit(resume_from=...)`` reads."""
        return capture(self)

    @property
    def run_finished(self) -> bool:
        """Whether `fit` has come to its end, rather than to an error or an interruption."""
        return self._progress is None or self._progress.finished

    def _make_metrics(self, batches: Batches) -> None:
        """Let metrics and losses see a batch, so that they are there to be restored."""
        with in_mode(self, False), torch.no_grad(), self._epoch():
            self.test_step(self._placed(batches.first()))

    def _rewound(self, state: dict[str, Any], drawn: Any) -> None:
        """Bring the data to where they were. `drawn`: the random state after their first batch was made."""
        assert self._progress is not None
        data = state["data"]
        if data["random"] is None:
            state["random"] = drawn or state["random"]
        elif drawn is None:
            set_random_state(data["random"])
        self._progress.source.resume(data, state["batch"])

    def _restore(self, state: dict[str, Any]) -> None:
        assert self._progress is not None
        restore(self, state)
        self._progress.batch = state["batch"]
        set_random_state(state["random"])
