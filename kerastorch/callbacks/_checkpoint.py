"""Keep the model in files while it trains."""

from __future__ import annotations

import contextlib
import math
import os
from pathlib import Path
from typing import Any

from kerastorch.callbacks._callback import Logs
from kerastorch.callbacks._monitor import MonitorCallback
from kerastorch.saving._model import check_file


class ModelCheckpoint(MonitorCallback):
    """Save the model after every epoch, every so many batches, or whenever it is the best so far.

    - `filepath`: may hold ``{epoch}`` (from 1), ``{batch}`` and names of the logs, with formats:
      ``"ckpt-{epoch:02d}-{val_loss:.2f}"``. Folders are made. Any extension or none.
    - `save_best_only`: save if and only if `monitor` is strictly better than ever before;
      `initial_value_threshold` is what there was to beat at the start.
    - `save_top_k`: keep the files of the k best values alone. A file goes only after the new one has
      been read back.
    - `save_weights_only`: `save_weights` instead of `save`.
    - `save_freq`: ``"epoch"``, or a number of batches, counted across epochs; the logs are then
      the running values.
    - `verbose=1` prints ``Epoch 00001: val_loss improved from inf to 0.23098, saving model to ...``

    A file is there whole or not at all: see `Model.save`. Keras: ``keras.callbacks.ModelCheckpoint``;
    Lightning: ``save_top_k``.

    >>> import tempfile, numpy as np, kerastorch as keras
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> folder = tempfile.mkdtemp()
    >>> keep = keras.callbacks.ModelCheckpoint(folder + "/model_{epoch}", "loss", save_top_k=1)
    >>> _ = model.fit(np.ones((8, 3)), np.ones(8), epochs=3, verbose=0, callbacks=[keep])
    >>> os.listdir(folder)
    ['model_3']
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
        save_top_k: int | None = None,
    ) -> None:
        watches = save_best_only or save_top_k is not None
        super().__init__(monitor, mode if watches or mode != "auto" else "min")
        if save_freq != "epoch" and not (isinstance(save_freq, int) and save_freq > 0):
            raise ValueError(
                f"ModelCheckpoint: `save_freq` must be 'epoch' or a number of batches, "
                f"received {save_freq!r}."
            )
        if save_top_k is not None and not (isinstance(save_top_k, int) and save_top_k > 0):
            raise ValueError(
                f"ModelCheckpoint: `save_top_k` must be a number of files, received {save_top_k!r}."
            )
        self.filepath = os.fspath(filepath)
        if save_top_k is not None and "{" not in self.filepath:
            raise ValueError(
                f"ModelCheckpoint: with `save_top_k` the files need different names, received "
                f"filepath={self.filepath!r}. Put {{epoch}} into it."
            )
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self.save_freq = save_freq
        self.save_top_k = save_top_k
        self.best = initial_value_threshold
        self.kept: dict[str, float] = {}  # files of the best values, with `save_top_k`
        self._epoch = self._batches = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Count batches from 0. The best value, and the files kept for it, outlive a `fit`."""
        self._batches = 0

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Note the epoch, for the names of the files."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Save every `save_freq` batches."""
        self._batches += 1
        if self.save_freq != "epoch" and self._batches % int(self.save_freq) == 0:
            self._save(logs or {}, batch)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Save after the epoch."""
        self._epoch = epoch
        if self.save_freq == "epoch":
            self._save(logs or {})

    def _save(self, logs: Logs, batch: int | None = None) -> None:
        value = None
        if self.save_best_only or self.save_top_k is not None:
            value = self.get_monitor_value(logs)
            if value is None:
                return
        path = self._path(logs, batch)
        if self.save_best_only and not self._is_better(value, path):
            return
        if value is not None and self.save_top_k is not None and not self._has_room(value):
            return
        if not self.save_best_only:
            self._say(f"saving model to {path}")
        (self.model.save_weights if self.save_weights_only else self.model.save)(path)
        if value is not None and self.save_top_k is not None:
            self._keep(path, value)

    def _is_better(self, value: Any, path: str) -> bool:
        before = self.best
        if not self._is_improvement(value, before):
            best = "inf" if before is None else f"{before:.5f}"
            self._say(f"{self.monitor} did not improve from {best}")
            return False
        worst = "-inf" if self.monitor_op(1, 0) else "inf"
        known = worst if before is None or math.isinf(before) else f"{before:.5f}"
        self._say(f"{self.monitor} improved from {known} to {value:.5f}, saving model to {path}")
        self.best = value
        return True

    def _has_room(self, value: float) -> bool:
        return (
            len(self.kept) < int(self.save_top_k or 0)
            or self._is_improvement(value, self.kept[self._worst()])
        )  # fmt: skip

    def _worst(self) -> str:
        """The kept file that goes first: the worst value, the newer of equal ones."""
        worst = next(iter(self.kept))
        for path, value in self.kept.items():
            if not self.monitor_op(value, self.kept[worst]):
                worst = path
        return worst

    def _keep(self, path: str, value: float) -> None:
        """Remember a file, and remove the worst once the new one is known to be good."""
        self.kept.pop(path, None)
        self.kept[path] = value
        if len(self.kept) > int(self.save_top_k or 0):
            check_file(path)
            worst = self._worst()
            del self.kept[worst]
            with contextlib.suppress(FileNotFoundError):
                Path(worst).unlink()

    def _path(self, logs: Logs, batch: int | None) -> str:
        values = {name: _number(logs[name]) for name in logs if "{" + name in self.filepath}
        values["epoch"] = self._epoch + 1
        if batch is not None:
            values["batch"] = batch + 1
        try:
            return self.filepath.format(**values)
        except KeyError as error:
            raise KeyError(
                f"ModelCheckpoint: filepath {self.filepath!r} names {error}, which is not available. "
                f"Available: epoch, {'batch, ' if batch is not None else ''}{', '.join(logs)}."
            ) from error

    def _say(self, text: str) -> None:
        if self.verbose:
            print(f"\nEpoch {self._epoch + 1:05d}: {text}")


def _number(value: Any) -> Any:
    return float(value) if hasattr(value, "__float__") else value
