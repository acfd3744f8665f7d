"""What is measured: one small file a model, written once for the Keras API and once for torch.

`WORKLOADS` names them; a variant is another row.
"""

from __future__ import annotations

import importlib
from typing import Any

#: Name of the row: module, class and what differs from the class's own attributes.
WORKLOADS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "mlp": ("mlp", "Mlp", {}),
    "convnet": ("convnet", "Convnet", {}),
    "lstm": ("lstm", "Lstm", {}),
    "transformer": ("transformer", "Transformer", {}),
    "multi_io": ("multi_io", "MultiIo", {}),
    "resnet": ("resnet", "Resnet", {}),
    "resnet-same": ("resnet", "Resnet", {"same_function": True}),
    "predict-32": ("mlp", "Mlp", {"kind": "predict", "batch": 32, "steps": 2000}),
    "predict-1024": ("mlp", "Mlp", {"kind": "predict", "batch": 1024, "steps": 100}),
    "evaluate-32": ("mlp", "Mlp", {"kind": "evaluate", "batch": 32, "steps": 2000}),
    "evaluate-1024": ("mlp", "Mlp", {"kind": "evaluate", "batch": 1024, "steps": 100}),
    "data": ("data", "Data", {}),
    "data-loader": ("data", "Data", {"by_loader": True}),
    "overhead": ("overhead", "Overhead", {}),
    "overhead-3": ("overhead", "Overhead", {"callbacks": 3}),
}


def load(name: str) -> Any:
    """The workload of a row, a `workloads.base.Workload`."""
    module, cls, changes = WORKLOADS[name]
    workload = getattr(importlib.import_module(f"workloads.{module}"), cls)()
    vars(workload).update(changes)
    return workload
