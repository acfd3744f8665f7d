"""The epochs' values as lines of a text file."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

from kerastorch.callbacks._callback import Callback, Logs
from kerastorch.callbacks._history import as_plain


class CSVLogger(Callback):
    """Write one line per epoch to `filename`: the epoch, from 0, then the values by name.

    The columns are set by the first epoch: its names in order and, if it had no validation, the
    same with ``val_``. A value that an epoch lacks is ``NA``, one without a column is left out.
    ``append=True`` goes on with a file under its header. A line is on disk when its epoch ends.
    Keras: ``keras.callbacks.CSVLogger``.

    >>> import kerastorch as keras, pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder, "log.csv")
    ...     logger = keras.callbacks.CSVLogger(file)
    ...     logger.on_train_begin()
    ...     logger.on_epoch_end(0, {"loss": 0.5, "val_loss": 0.75})
    ...     print(file.read_text(), end="")
    epoch,loss,val_loss
    0,0.5,0.75
    """

    def __init__(
        self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False
    ) -> None:
        super().__init__()
        self.filename = os.fspath(filename)
        self.sep = separator
        self.append = append
        self.keys: list[str] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Empty the file, or read the header of the one to go on with."""
        self.keys = None
        if (self.append or self.params.get("resumed")) and os.path.exists(self.filename):
            with open(self.filename, newline="") as file:
                header = next(csv.reader(file, delimiter=self.sep), None)
            self.keys = header and header[1:]
        else:
            Path(self.filename).write_text("")

    def state_dict(self) -> dict[str, Any]:
        """The columns, and how long the file is."""
        return {"keys": self.keys, "size": os.path.getsize(self.filename)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Cut off what was written after the state was taken."""
        self.keys = state["keys"]
        if os.path.getsize(self.filename) > state["size"]:
            os.truncate(self.filename, state["size"])

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write the line of the epoch, after the header if it is the first."""
        logs = logs or {}
        with open(self.filename, "a", newline="") as file:
            writer = csv.writer(file, delimiter=self.sep, lineterminator="\n")
            if self.keys is None:
                self.keys = _columns(logs)
                writer.writerow(["epoch", *self.keys])
            writer.writerow([epoch, *(as_plain(logs.get(key, "NA")) for key in self.keys)])


def _columns(logs: Logs) -> list[str]:
    names = sorted(logs)
    if any(name.startswith("val_") for name in names):
        return names
    return names + [f"val_{name}" for name in names]
