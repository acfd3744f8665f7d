"""Go on after an interruption as if there had been none."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import warnings
from pathlib import Path
from typing import Any

from kerastorch.callbacks._callback import Callback, Logs
from kerastorch.saving._state import read_state, write_state


class BackupAndRestore(Callback):
    """Keep the state of the run in `backup_dir`; a `fit` that finds one there continues it.

    The state is all that the run depends on: weights, optimizer, metrics, epoch, batch, the order
    and position of the data, the generators of Python, NumPy and torch, and the other callbacks.
    The continued run ends with the same weights and history, bit for bit, as one that was never
    interrupted, given the same data and arguments.

    - `save_freq`: ``"epoch"``, or a number of batches.
    - `double_checkpoint`: keep the state before as well. If the newest file is damaged, the one
      before is taken, and said so.
    - `delete_checkpoint`: remove the files when training has ended as planned.
    - `handle_signals`: on SIGTERM or SIGINT finish the step, save, and end with the code of the
      signal. A second signal ends at once. Only in the main thread.

    A file is there whole or not at all, and every tensor has a checksum. Keras:
    ``keras.callbacks.BackupAndRestore``, which restarts at the beginning of an epoch.

    >>> import tempfile, numpy as np, kerastorch as keras
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> backup = keras.callbacks.BackupAndRestore(tempfile.mkdtemp())
    >>> model.fit(np.ones((8, 3)), np.ones(8), epochs=2, verbose=0, callbacks=[backup]).epoch
    [0, 1]
    """

    runs_last = True  # the state of the others is part of what is saved

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: str | int = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
        handle_signals: bool = True,
    ) -> None:
        super().__init__()
        if not os.fspath(backup_dir):
            raise ValueError("BackupAndRestore: `backup_dir` must name a folder, received ''.")
        if save_freq != "epoch" and not (isinstance(save_freq, int) and save_freq > 0):
            raise ValueError(
                "BackupAndRestore: `save_freq` must be 'epoch' or a number of batches, "
                f"received {save_freq!r}."
            )
        self.backup_dir = Path(backup_dir)
        self.save_freq = save_freq
        self.double_checkpoint = double_checkpoint
        self.delete_checkpoint = delete_checkpoint
        self.handle_signals = handle_signals
        self._batches = 0
        self._signal: int | None = None
        self._handlers: dict[int, Any] = {}

    @property
    def _files(self) -> list[Path]:
        """The newest state, and the one before."""
        names = ("training_state.safetensors", "training_state.previous.safetensors")
        return [self.backup_dir / name for name in names]

    def find_state(self) -> Any:
        """The newest state that is whole, or None."""
        for number, path in enumerate(self._files):
            if not path.exists():
                continue
            try:
                state = read_state(path)
            except ValueError as error:
                warnings.warn(
                    f"BackupAndRestore: {error} Looking for an older state.", stacklevel=2
                )
                continue
            if number:
                warnings.warn(f"BackupAndRestore: continuing from the older {path}.", stacklevel=2)
            return state
        return None

    def save(self) -> None:
        """Write the state of the run as it is now."""
        newest, before = self._files
        self.backup_dir.mkdir(parents=True, exist_ok=True)
        if self.double_checkpoint and newest.exists():
            os.replace(newest, before)
        write_state(newest, self.model.run_state())

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Listen to signals."""
        self._batches, self._signal = 0, None
        if self.handle_signals and threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._handlers[number] = signal.signal(number, self._remember)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Save every `save_freq` batches, or when a signal has come."""
        self._batches += 1
        due = self.save_freq != "epoch" and self._batches % int(self.save_freq) == 0
        if due or self._signal is not None:
            self.save()
        self._end_if_signalled()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Save after the epoch and its validation."""
        if self.save_freq == "epoch" or self._signal is not None:
            self.save()
        self._end_if_signalled()

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Stop listening; remove the files if training has ended as planned."""
        self._put_handlers_back()
        if self.delete_checkpoint and self.model.run_finished:
            for path in self._files:
                path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                self.backup_dir.rmdir()

    def state_dict(self) -> dict[str, Any]:
        """Nothing: a continued run counts its batches anew."""
        return {}

    def _remember(self, number: int, frame: Any) -> None:
        self._signal = number
        self._put_handlers_back()

    def _put_handlers_back(self) -> None:
        while self._handlers:
            number, handler = self._handlers.popitem()
            signal.signal(number, handler)

    def _end_if_signalled(self) -> None:
        if self._signal == signal.SIGINT:
            raise KeyboardInterrupt
        if self._signal is not None:
            raise SystemExit(128 + self._signal)
