"""The loop as a PyTorch engineer writes it: no collation, no host sync, sums kept as tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
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
    loader = workload.loader(x, y)
    x, y = [torch.from_numpy(a) for a in x], [torch.from_numpy(a) for a in y]
    if workload.kind == "fit":
        batches = partial(_loaded, loader) if loader else partial(_shuffled, x, y, workload.batch)
        return _fit(workload, model.train(), batches, ours)
    if ours:
        raise NotImplementedError("an optimizer is for training")
    return (_evaluate if workload.kind == "evaluate" else _predict)(workload, model.eval(), x, y)


Tensors = list[torch.Tensor]
Pass = Iterator[tuple[Tensors, Tensors]]


def _shuffled(x: Tensors, y: Tensors, size: int) -> Pass:
    for index in torch.randperm(len(x[0])).split(size):
        yield [t[index] for t in x], [t[index] for t in y]


def _loaded(loader: Any) -> Pass:
    return (([x], [y]) for x, y in loader)


def _fit(
    workload: Any, model: nn.Module, batches: Callable[[], Pass], ours: bool
) -> Callable[[], Any]:
    parameters = list(model.parameters())
    update = _our_update(workload, parameters) if ours else _update(workload, parameters)
    hooks = [_hook] * workload.callbacks

    def epoch() -> list[float]:
        sums: list[Any] = []
        rows = 0
        for step, (inputs, targets) in enumerate(batches()):
            for hook in hooks:
                hook(step)
            outputs = model(*inputs)
            loss = workload.loss(outputs, targets)
            update(loss)
            with torch.no_grad():
                values = [loss.detach() * len(inputs[0]), *workload.measure(outputs, targets)]
                sums = [a + b for a, b in zip(sums, values, strict=True)] if sums else values
            rows += len(inputs[0])
            for hook in hooks:
                hook(step)
        return [total.item() / rows for total in sums]

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
