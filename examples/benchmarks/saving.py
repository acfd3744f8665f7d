"""Saving and loading a model of 50 million parameters: kerastorch against Keras on torch.

    python examples/benchmarks/saving.py [--repeats 7] [--parameters 50]

The two take turns, so that both see the same machine; medians and their ratios are printed. Both
write the same format. kerastorch also flushes the file to the disk before it takes the place of the
old one, writes a checksum for every tensor, and verifies all of them when it loads.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np

import kerastorch as kt


def dense_model(k: Any, millions: float) -> Any:
    """Ten square layers with about that many parameters."""
    width = round((millions * 1e5) ** 0.5)
    return k.Sequential([k.Input((width,)), *(k.layers.Dense(width) for _ in range(10))])


def timed(function: Callable[..., Any], *args: Any) -> float:
    start = time.perf_counter()
    function(*args)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--parameters", type=float, default=50, help="in millions")
    options = parser.parse_args()
    models = {k: dense_model(k, options.parameters) for k in (keras, kt)}
    models[kt].set_weights([np.asarray(w) for w in models[keras].get_weights()])
    times: dict[tuple[str, Any], list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory(dir=".") as folder:
        for repeat in range(options.repeats):
            for k in (keras, kt) if repeat % 2 else (kt, keras):
                model = models[k]
                whole, weights = (
                    Path(folder, k.__name__ + end) for end in (".keras", ".weights.h5")
                )
                times["save", k].append(timed(model.save, whole))
                times["load_model", k].append(timed(k.models.load_model, whole))
                times["save_weights", k].append(timed(model.save_weights, weights))
                times["load_weights", k].append(timed(model.load_weights, weights))
                times["bytes", k] = [whole.stat().st_size]
    print(f"{'':14}{'keras':>12}{'kerastorch':>12}{'ratio':>8}")
    for what in dict.fromkeys(name for name, _ in times):
        theirs, ours = (statistics.median(times[what, k]) for k in (keras, kt))
        print(f"{what:14}{theirs:12.5g}{ours:12.5g}{ours / theirs:8.2f}")


if __name__ == "__main__":
    main()
