"""Everything that a run of `fit` depends on: taken at any batch, and put back in another process.

Where the data stand is told by how the pass over them began (the random state then) and how many
batches have been read since: the pass is begun again in the same way, and those batches are read
and left aside. So it works for whatever `fit` reads.
"""

from __future__ import annotations

import random
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from kerastorch.callbacks import Callback, CallbackList
from kerastorch.data import Batches, Epochs

FORMAT = 2


@dataclass
class Progress:
    """Where `fit` is."""

    source: Epochs
    callbacks: CallbackList
    epoch: int = 0
    batch: int = 0  # steps done in this epoch
    finished: bool = False


def random_state() -> dict[str, Any]:
    """The states of all generators: Python's, NumPy's, torch's on every device."""
    state: dict[str, Any] = {
        "python": random.getstate(),
        "numpy": np.random.get_state(),  # noqa: NPY002 - the global one is what user code draws from
        "torch": torch.get_rng_state(),
    }
    if torch.accelerator.is_available():
        module = torch.get_device_module(torch.accelerator.current_accelerator())
        state["accelerator"] = module.get_rng_state_all()
    return state


def set_random_state(state: dict[str, Any]) -> None:
    """Put back what `random_state` gave."""
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if "accelerator" in state and torch.accelerator.is_available():
        module = torch.get_device_module(torch.accelerator.current_accelerator())
        module.set_rng_state_all(state["accelerator"])


def capture(model: Any) -> dict[str, Any]:
    """The state of the run that `model` is in."""
    progress: Progress | None = model._progress
    if progress is None:
        raise ValueError(f"{model._title()} is not being trained, so there is no state of a run.")
    tensors = [*model.named_parameters(), *model.named_buffers()]
    return {
        "format": FORMAT,
        "epoch": progress.epoch,
        "batch": progress.batch,
        "stop": model.stop_training,
        "random": random_state(),
        "data": progress.source.state(progress.batch),
        "model": dict(tensors),
        "optimizer": model.optimizer.state_dict(),
        "metrics": {
            name: [buffer for _, buffer in metric.named_buffers()]
            for name, metric in model._named_metrics()
        },
        "captured": model._compiled.captured.state_dict(),
        "callbacks": [
            [type(callback).__name__, callback.state_dict()]
            for callback in progress.callbacks.callbacks
        ],
    }


def check(state: dict[str, Any], batches: Batches) -> None:
    """Raise unless `state` can be gone on with on these data."""
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise ValueError("The checkpoint is no state of a training run, or of another version.")
    steps = state["data"]["steps"]
    if steps != batches.steps:
        raise ValueError(
            f"The checkpoint was made with {steps} batches a pass, these data give {batches.steps}. "
            "Resume with the same data and batch_size, or remove the checkpoint."
        )


def rewind(state: dict[str, Any], batches: Batches) -> None:
    """Let the next pass over the data begin as the one of the checkpoint was begun."""
    set_random_state(state["data"]["random"] or state["random"])
    batches.load_source_state(state["data"]["source"])


def restore(model: Any, state: dict[str, Any]) -> None:
    """Put weights, optimizer, metrics and callbacks into the state of the run."""
    progress: Progress = model._progress
    tensors = dict([*model.named_parameters(), *model.named_buffers()])
    saved = state["model"]
    wrong = [
        name
        for name in {**tensors, **saved}
        if name not in saved or name not in tensors or saved[name].shape != tensors[name].shape
    ]
    if wrong:
        raise ValueError(
            f"The checkpoint is of another model than {model._title()}: {wrong[:5]} differ. "
            "Nothing was changed."
        )
    with torch.no_grad():
        for name, tensor in tensors.items():
            tensor.copy_(saved[name])
    model.optimizer.load_state_dict(state["optimizer"])
    with torch.no_grad():
        for name, metric in model._named_metrics():
            for buffer, value in zip(
                metric.buffers(), state["metrics"].get(name, ()), strict=False
            ):
                buffer.copy_(value)
    model._compiled.captured.load_state_dict(model, state["captured"])
    _restore_callbacks(progress.callbacks.callbacks, state["callbacks"])


def _restore_callbacks(callbacks: list[Callback], saved: list[Any]) -> None:
    waiting = [(name, state) for name, state in saved if state]
    for callback in callbacks:
        found = next((item for item in waiting if item[0] == type(callback).__name__), None)
        if found is not None:
            waiting.remove(found)
            callback.load_state_dict(found[1])
    if waiting:
        warnings.warn(
            f"The checkpoint has states of callbacks that are not in use: {[n for n, _ in waiting]}.",
            stacklevel=5,
        )
