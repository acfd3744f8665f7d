"""Whether compiling a step pays: how ``jit_compile="auto"`` decides, before the first step."""

from __future__ import annotations

import functools
import shutil
import types
from typing import Any

import torch

from kerastorch import optimizers
from kerastorch.callbacks import CallbackList, LambdaCallback
from kerastorch.layers._conv import Convolution
from kerastorch.training._outputs import leaves

#: Steps of a run from which its step is compiled: somewhat above the break-even that was measured, so that a
#: run is not slower in total (docs/performance.md). Without gradients too little is saved.
LONG_RUN = {"train": 30_000}


def pays(model: Any, kind: str, steps: float | None, callbacks: CallbackList) -> bool:
    """Whether to compile the step of a run of so many steps.

    Only facts known before the run count, so that the same program always decides the same: its length,
    the machine, and what the model is made of. All code in the step must be this package's or
    torch's, since a compiled step does not see what changes in Python during an epoch. Convolutions
    gain nothing on a CPU.
    """
    return (
        steps is not None
        and LONG_RUN.get(kind, steps + 1) <= steps
        and _has_compiler(model._device())
        and isinstance(model.optimizer, optimizers.Optimizer)
        and not any(isinstance(module, Convolution) for module in model.modules())
        and is_settled(model, kind, callbacks)
    )


def is_settled(model: Any, kind: str, callbacks: CallbackList) -> bool:
    """Whether all code that runs in an epoch, that of the listeners included, is this package's or
    torch's: then nothing changes about the step but the values of tensors."""
    return model_is_settled(model, kind, callbacks) and all(
        map(_is_made_of_known, [*_chosen(model), model.optimizer])
    )


def model_is_settled(model: Any, kind: str, callbacks: CallbackList) -> bool:
    """The same, whatever the losses, the metrics and the optimizer are: they do not touch the layers."""
    return all(map(_is_known, callbacks.listeners(kind))) and all(
        map(_is_made_of_known, model.modules())
    )


def _chosen(model: Any) -> list[Any]:
    """The losses and metrics that `compile` was given."""
    arguments = [model._compile_arguments[k] for k in ("loss", "metrics", "weighted_metrics")]
    return [item for item in leaves(arguments) if not isinstance(item, (str, type(None)))]


def _is_made_of_known(part: Any) -> bool:
    """Whether an object and the functions and objects among its attributes come from here or torch."""
    attributes = getattr(part, "__dict__", {})
    return all(map(_is_known, [part, *filter(callable, attributes.values())]))


def _is_known(thing: Any) -> bool:
    if isinstance(thing, (types.BuiltinFunctionType, torch.Tensor)):
        return True
    named = isinstance(thing, (types.FunctionType, type))
    module = thing.__module__ if named else type(thing).__module__
    return f"{module}.".startswith(("kerastorch.", "torch.")) and not isinstance(
        thing, LambdaCallback
    )


@functools.cache
def _has_compiler(device: torch.device | None) -> bool:
    """On other devices than the CPU nothing has been measured."""
    kind = device.type if device is not None else "cpu"
    return kind == "cpu" and any(map(shutil.which, ("g++", "clang++", "cl")))
