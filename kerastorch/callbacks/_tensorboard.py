"""Event files for ``tensorboard --logdir``."""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kerastorch.callbacks._callback import Callback, Logs
from kerastorch.callbacks._graph_def import graph_def
from kerastorch.callbacks._learning_rate import get_learning_rate
from kerastorch.callbacks._trace import Trace
from kerastorch.callbacks._weight_images import image_summary, weight_images


class TensorBoard(Callback):
    """Write the run's values under ``log_dir/train`` and ``log_dir/validation``.

    - ``epoch_<name>`` at the epochs' numbers, from 0, with the learning rate in train; validation
      values go by their name without ``val_``, and as ``evaluation_<name>_vs_iterations``.
    - `histogram_freq`: every so many epochs a histogram of each weight, as ``<path>/histogram``;
      with `write_images` also its picture, as ``<path>/image``: zero is grey.
    - `write_graph`: the model's layers and functions with the shapes between them; of a subclassed
      model the tree of its modules.
    - `write_steps_per_second`: the speed, per epoch and with `update_freq` per batch.
    - `update_freq`: "epoch", or "batch" or n for ``batch_<name>`` too, every n batches, in train.
    - `profile_batch`: a batch, counted from 1 over all epochs, or the first and last of several, of
      which `torch.profiler` writes a trace into ``train/plugins/profile``, for the PyTorch profiler
      plugin, ui.perfetto.dev or chrome://tracing. 0 is none.
    - `embeddings_freq`: every so many epochs the weights of the layers with ``embeddings``, for the
      projector; `embeddings_metadata` names the label file of each layer, or of all.

    Files are flushed at each epoch, closed at the end of training, and when the callback goes away
    after an error. Needs the package tensorboard. Keras: ``keras.callbacks.TensorBoard``.

    >>> import kerastorch as keras
    >>> keras.callbacks.TensorBoard("logs", update_freq="batch").update_freq
    1
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str] = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: str | int = "epoch",
        profile_batch: int | tuple[int, int] = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: str | Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        if update_freq == "batch":
            update_freq = 1
        if update_freq != "epoch" and not (isinstance(update_freq, int) and update_freq > 0):
            raise ValueError(
                "update_freq: expected 'epoch', 'batch' or a number of batches, "
                f"received {update_freq!r}."
            )
        self.log_dir = os.fspath(log_dir)
        self.histogram_freq = histogram_freq
        self.write_graph = write_graph
        self.write_images = write_images
        self.write_steps_per_second = write_steps_per_second
        self.update_freq = update_freq
        self.embeddings_freq = embeddings_freq
        self.embeddings_metadata = embeddings_metadata
        self._trace = Trace(
            profile_batch, os.path.join(self.log_dir, "train", "plugins", "profile")
        )
        self._writers: dict[str, Any] = {}  # "train", "validation" -> SummaryWriter, when used
        self._in_fit = False
        self._batch = self._epoch_start = 0  # batches since training began, and before the epoch
        self._batch_time = self._epoch_time = 0.0
        # Also at exit: training may end in an error.
        weakref.finalize(self, _close, self._writers, self._trace)

    # -- training --------------------------------------------------------------------------------

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Count from 0, and write the graph."""
        self._in_fit = True
        self._batch = 0
        if self.write_graph:
            self._write_graph()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Start the clocks."""
        self._epoch_start = self._batch
        self._epoch_time = self._batch_time = time.perf_counter()

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Start the profiler if it is time."""
        self._batch += 1
        self._trace.before(self._batch)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Write the running values of every `update_freq`-th batch."""
        self._trace.after(self._batch)
        if self.update_freq == "epoch" or self._batch % int(self.update_freq):
            return
        values = dict(logs or {})
        if self.write_steps_per_second:
            now = time.perf_counter()
            values["steps_per_second"] = int(self.update_freq) / (now - self._batch_time)
            self._batch_time = now
        self._write("train", "batch_{}", values, self._batch)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write the epoch's values, and what is due of histograms and embeddings."""
        logs = logs or {}
        train = {name: value for name, value in logs.items() if not name.startswith("val_")}
        validation = {name[4:]: value for name, value in logs.items() if name.startswith("val_")}
        if self.model.optimizer is not None:
            train["learning_rate"] = get_learning_rate(self.model.optimizer)
        if self.write_steps_per_second:
            seconds = time.perf_counter() - self._epoch_time
            train["steps_per_second"] = (self._batch - self._epoch_start) / seconds
        self._write("train", "epoch_{}", train, epoch)
        self._write("validation", "epoch_{}", validation, epoch)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            self._write_weights(epoch)
        if self.embeddings_freq and epoch % self.embeddings_freq == 0:
            self._write_embeddings()
        for writer in self._writers.values():
            writer.flush()

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Close the files."""
        self._in_fit = False
        _close(self._writers, self._trace)

    # -- evaluation ------------------------------------------------------------------------------

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Write the values against the number of updates that the model has had."""
        step = int(getattr(self.model.optimizer, "iterations", self._batch))
        self._write("validation", "evaluation_{}_vs_iterations", logs or {}, step)
        if not self._in_fit:
            _close(self._writers, self._trace)

    # -- writing ---------------------------------------------------------------------------------

    def _writer(self, run: str) -> Any:
        if run not in self._writers:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError as error:
                raise ImportError(
                    "TensorBoard needs the package tensorboard: pip install tensorboard."
                ) from error
            self._writers[run] = SummaryWriter(os.path.join(self.log_dir, run))
        return self._writers[run]

    def _write(self, run: str, tag: str, values: Mapping[str, Any], step: int) -> None:
        for name, value in values.items():
            self._writer(run).add_scalar(tag.format(name), float(value), step)

    def _write_graph(self) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        event = Event(graph_def=graph_def(self.model).SerializeToString())
        self._writer("train").file_writer.add_event(event)

    def _write_weights(self, epoch: int) -> None:
        writer = self._writer("train")
        for key, weight in self.model.state_dict(keep_vars=True).items():
            path = getattr(weight, "path", key.replace(".", "/"))
            values = weight.detach().float()
            values = values[values.isfinite()]
            if values.numel():
                writer.add_histogram(f"{path}/histogram", values, epoch)
            images = weight_images(weight) if self.write_images else None
            if images is not None:
                writer.file_writer.add_summary(image_summary(f"{path}/image", images), epoch)

    def _write_embeddings(self) -> None:
        """One table of tab-separated rows per layer, and the file that lists them."""
        Path(self.log_dir).mkdir(parents=True, exist_ok=True)
        entries = []
        for path, layer in self.model.named_modules():
            weights = getattr(layer, "embeddings", None)
            if not isinstance(weights, torch.Tensor):
                continue
            name = getattr(layer, "name", path)
            table = name.replace("/", "_") + ".tsv"
            rows = weights.detach().float().cpu().numpy()
            np.savetxt(Path(self.log_dir, table), rows, fmt="%.6g", delimiter="\t")
            labels = self.embeddings_metadata
            labels = labels.get(name) if isinstance(labels, Mapping) else labels
            lines = [f'tensor_name: "{name}"', f'tensor_path: "{table}"']
            lines += [f'metadata_path: "{labels}"'] if labels else []
            entries.append("embeddings {\n" + "".join(f"  {line}\n" for line in lines) + "}\n")
        Path(self.log_dir, "projector_config.pbtxt").write_text("".join(entries))


def _close(writers: dict[str, Any], trace: Trace) -> None:
    trace.close()
    while writers:
        writers.popitem()[1].close()
