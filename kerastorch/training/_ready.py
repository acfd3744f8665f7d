"""What is done before the first step: weights and optimizer are built, inputs and targets looked at."""

from __future__ import annotations

import contextlib
import warnings
from typing import Any

import torch

from kerastorch import optimizers as optimizers_module
from kerastorch import tree
from kerastorch.data import ArrayBatches, Batches, placed, unpack_x_y_sample_weight
from kerastorch.layers._mode import in_mode
from kerastorch.losses import Loss, check_targets
from kerastorch.training._memory import keep_memory
from kerastorch.training._outputs import fitting, match, no_targets
from kerastorch.training._step import Stepper

_STEPS = ("train_step", "test_step", "compute_loss")


class Ready(Stepper):
    """Makes a model ready for data."""

    def _prepare(self, batches: Batches, step: str) -> None:
        """Build weights, check the first rows, and build the optimizer, before anything changes.

        What the user has written a `step` for need not be what the model takes: this is then tried only.
        """
        first = batches.first()
        if first is None:
            raise ValueError("`x` gave no batch: the data are empty, or were read before.")
        x, _, _ = unpack_x_y_sample_weight(first)
        keep_memory()
        if self._is_built_in(step):
            self._build_from(x)
            self._check_inputs(x)
        else:
            with contextlib.suppress(Exception):  # the step itself will say it
                self._build_from(x)
        self._place_metrics()
        if self.compiled:
            self._build_optimizer()

    def _build_from(self, x: Any) -> None:
        """Make all weights from a batch without running it through the model where possible."""
        if all(getattr(module, "built", True) for module in self.modules()):
            return
        shapes = tree.map_structure(lambda t: (None, *t.shape[1:]), x)
        try:
            self.build(shapes)
        except Exception:
            # A call() that needs values (not only shapes) is built by running it.
            with in_mode(self, False), torch.no_grad():
                self(self._placed(x))

    def _check_inputs(self, x: Any) -> None:
        """Raise unless `x` is what the model takes; a model whose inputs are known can tell."""

    def _symbolic_outputs(self) -> list[Any]:
        """The outputs with their shapes, where they are known before any data is seen."""
        return []

    def _build_optimizer(self) -> None:
        optimizer = self.optimizer
        if self._waiting():
            return
        parameters = list(self.parameters())
        if isinstance(optimizer, optimizers_module.Optimizer):
            if not optimizer.built and parameters:
                optimizer.build(parameters)
        elif not isinstance(optimizer, torch.optim.Optimizer):
            made = optimizer(parameters)
            if not isinstance(made, torch.optim.Optimizer):
                raise TypeError(
                    f"compile: `optimizer` {optimizer!r} was called with the parameters and gave "
                    f"{type(made).__name__}, not a torch optimizer."
                )
            self.optimizer = made

    def _placed(self, batch: Any) -> Any:
        return placed(batch, self._device())

    def _names(self) -> list[str] | None:
        declared = self._declared_names()
        return None if declared is None else list(declared)

    def _check_targets(self, batches: Batches) -> None:
        """Targets that no loss could mean, found before the first step rather than in silence."""
        compiled, outputs = self._compiled, self._symbolic_outputs()
        if compiled is None or compiled.loss is None:
            return
        batch = batches.whole() if isinstance(batches, ArrayBatches) else batches.first()
        if batch is None:
            return
        _, y, _ = unpack_x_y_sample_weight(batch)
        if not outputs:
            if self._is_built_in(*_STEPS):
                compiled.loss.check_single(y, getattr(self, "_output_shape", None))
            return
        if not compiled.loss.built:
            compiled.loss.build(outputs, self._declared_names())
        targets = match("y", y, compiled.loss.names, compiled.loss.used)
        for i, name, loss, _ in compiled.loss.terms:
            if targets[i] is None and self._is_built_in(*_STEPS):
                raise ValueError(no_targets(name, loss))
            if isinstance(targets[i], torch.Tensor) and isinstance(loss, Loss):
                loss = fitting(loss, targets[i], outputs[i])
                doubt = check_targets(loss, targets[i], outputs[i].shape)
                if doubt is not None:
                    warnings.warn(doubt, stacklevel=3)
