"""Who is measured. Each module has ``prepare(workload, x, y, **options)``, which gives a function
that runs one epoch; it may give the seconds itself if more than the epoch happens in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Framework:
    title: str
    module: str
    options: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    imports: str = ""  # the package; `import` measures those that are named


def _keras(backend: str, title: str) -> Framework:
    options, environment = {"package": "keras"}, {"KERAS_BACKEND": backend}
    return Framework(f"Keras on {title}", "keras_api", options, environment, "keras")


_OURS = {"package": "kerastorch"}

FRAMEWORKS = {
    "torch": Framework("hand-written loop", "handwritten", imports="torch"),
    "torch-ours": Framework("loop, our optimizer", "handwritten", {"ours": True}),
    "torch-compiled": Framework("loop, compiled model", "handwritten", {"compiled": True}),
    "kerastorch": Framework(
        "kerastorch", "keras_api", {**_OURS, "jit_compile": False}, imports="kerastorch"
    ),
    "kerastorch-jit": Framework("kerastorch jit", "keras_api", {**_OURS, "jit_compile": True}),
    "keras-torch": _keras("torch", "torch"),
    "keras-jax": _keras("jax", "JAX"),
    "keras-tf": _keras("tensorflow", "TensorFlow"),
    "lightning": Framework("Lightning", "on_lightning", imports="lightning"),
    "skorch": Framework("skorch", "on_skorch", imports="skorch"),
}

PEERS = ("keras-torch", "keras-jax", "keras-tf", "lightning", "skorch")
