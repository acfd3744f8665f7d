"""Lightning with its own DataLoader habits; only the epoch is timed, not what `fit` sets up."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable
from typing import Any

import lightning
import torch
from torch.utils.data import DataLoader, TensorDataset

from frameworks.handwritten import OPTIMIZERS

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", module="lightning")


class Module(lightning.LightningModule):
    def __init__(self, workload: Any, inputs: int) -> None:
        super().__init__()
        self.workload, self.inputs, self.model = workload, inputs, workload.twin()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return OPTIMIZERS[self.workload.optimizer](self.parameters())

    def training_step(self, batch: list[torch.Tensor], index: int) -> torch.Tensor:
        x, y = batch[: self.inputs], batch[self.inputs :]
        outputs = self.model(*x)
        loss = self.workload.loss(outputs, y)
        sums = self.workload.measure(outputs, y)
        values = {f"metric_{i}": s / len(x[0]) for i, s in enumerate(sums)} | {"loss": loss}
        self.log_dict(values, on_step=False, on_epoch=True, batch_size=len(x[0]))
        return loss

    test_step = training_step

    def predict_step(self, batch: list[torch.Tensor], index: int) -> Any:
        return self.model(*batch[: self.inputs])


class Clock(lightning.Callback):
    def _start(self, *args: Any) -> None:
        self.start = time.perf_counter()

    def _end(self, *args: Any) -> None:
        self.seconds = time.perf_counter() - self.start

    on_train_epoch_start = on_test_epoch_start = on_predict_epoch_start = _start
    on_train_epoch_end = on_test_epoch_end = on_predict_epoch_end = _end


class Listener(lightning.Callback):
    """Hears every batch and reads nothing."""

    def on_train_batch_start(self, *args: Any) -> None:
        pass

    def on_train_batch_end(self, *args: Any) -> None:
        pass


def prepare(workload: Any, x: Any, y: Any) -> Callable[[], float]:
    model = Module(workload, len(x))
    training = workload.kind == "fit"
    tensors = TensorDataset(*(torch.from_numpy(a) for a in (*x, *y)))
    loader = workload.loader(x, y) or DataLoader(tensors, workload.batch, shuffle=training)
    clock = Clock()

    def epoch() -> float:
        trainer = lightning.Trainer(
            accelerator="cpu",
            max_epochs=1,
            logger=False,
            callbacks=[clock, *(Listener() for _ in range(workload.callbacks))],
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        if training:
            trainer.fit(model, loader)
        elif workload.kind == "evaluate":
            trainer.test(model, loader, verbose=False)
        else:
            torch.cat(trainer.predict(model, loader))
        return clock.seconds

    return epoch
