"""The loop as a PyTorch engineer writes it: no collation, no host sync, sums kept as tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

#: The fastest form that torch has of each optimizer, with Keras's defaults.
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "Adam": lambda p: torch.optim.Adam(p, lr=1e-3, eps=1e-7, fused=True),
    "RMSprop": lambda p: torch.optim.RMSprop(p, lr=1e-3, alpha=0.9, eps=1e-7, foreach=True),
    "SGD": lambda p: torch.optim.SGD(p, lr=1e-2, fused=True),
}


def prepare(workload: Any, x: Any, y: Any, ours: bool = False, compiled: bool = False) -> Any:
    torch.manual_seed(0)
    model = workload.twin()
    if compiled:
        model.compile()
    x, y = [torch.from_numpy(a) for a in x], [torch.from_numpy(a) for a in y]
    if workload.kind == "fit":
        return _fit(workload, model.train(), x, y, ours)
    if ours:
        raise NotImplementedError("an optimizer is for training")
    return (_evaluate if workload.kind == "evaluate" else _predict)(workload, model.eval(), x, y)


def _fit(workload: Any, model: nn.Module, x: Any, y: Any, ours: bool) -> Callable[[], Any]:
    parameters = list(model.parameters())
    update = _our_update(workload, parameters) if ours else _update(workload, parameters)
    hooks = [_hook] * workload.callbacks

    def epoch() -> list[float]:
        sums: list[Any] = []
        for step, index in enumerate(torch.randperm(len(x[0])).split(workload.batch)):
            for hook in hooks:
                hook(step)
            targets = [t[index] for t in y]
            outputs = model(*[t[index] for t in x])
            loss = workload.loss(outputs, targets)
            update(loss)
            with torch.no_grad():
                values = [loss.detach() * len(index), *workload.measure(outputs, targets)]
                sums = [a + b for a, b in zip(sums, values, strict=True)] if sums else values
            for hook in hooks:
                hook(step)
        return [total.item() / len(x[0]) for total in sums]

    return epoch


def _update(workload: Any, parameters: list[nn.Parameter]) -> Callable[[torch.Tensor], None]:
    optimizer = OPTIMIZERS[workload.optimizer](parameters)

    def update(loss: torch.Tensor) -> None:
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return update


def _our_update(workload: Any, parameters: list[nn.Parameter]) -> Callable[[torch.Tensor], None]:
    import kerastorch

    optimizer = getattr(kerastorch.optimizers, workload.optimizer)()
    return lambda loss: optimizer.apply(torch.autograd.grad(loss, parameters), parameters)


def _hook(step: int) -> None:
    pass


def _evaluate(workload: Any, model: nn.Module, x: Any, y: Any) -> Callable[[], Any]:
    @torch.inference_mode()
    def epoch() -> list[float]:
        sums: list[Any] = []
        for start in range(0, len(x[0]), workload.batch):
            rows = slice(start, start + workload.batch)
            targets = [t[rows] for t in y]
            outputs = model(*[t[rows] for t in x])
            loss = workload.loss(outputs, targets) * len(targets[0])
            values = [loss, *workload.measure(outputs, targets)]
            sums = [a + b for a, b in zip(sums, values, strict=True)] if sums else values
        return [total.item() / len(x[0]) for total in sums]

    return epoch


def _predict(workload: Any, model: nn.Module, x: Any, y: Any) -> Callable[[], Any]:
    batches = list(zip(*[t.split(workload.batch) for t in x], strict=True))

    @torch.inference_mode()
    def epoch() -> np.ndarray[Any, Any]:
        return torch.cat([model(*batch) for batch in batches]).numpy()

    return epoch
