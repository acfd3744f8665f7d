"""Saving and loading a model of 50 million parameters: kerastorch against Keras on torch.

    python examples/benchmarks/saving.py [--repeats 7] [--parameters 50]

The two take turns, so that both see the same machine, and before each turn the disk finishes what
the one before has left to it; medians and their ratios are printed, and ratios of the fastest turns.
Both write the same format. kerastorch also flushes the file to the disk before it takes the place of
the old one, writes a checksum for every tensor, and verifies all of them when it loads. Keras leaves
the flushing to the system; "flushed" is its time with an fsync, and "plain" that of writing the
bytes of the file, and nothing else, with and without one.
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


def flush(path: Path) -> None:
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def operations(k: Any, model: Any, folder: str) -> dict[str, Callable[[], Any]]:
    whole, weights = (Path(folder, k.__name__ + end) for end in (".keras", ".weights.h5"))

    def flushed(save: Callable[[Path], Any], path: Path) -> Callable[[], None]:
        return lambda: (save(path), flush(path))[1]

    steps = {
        "save": lambda: model.save(whole),
        "load_model": lambda: k.models.load_model(whole),
        "save_weights": lambda: model.save_weights(weights),
        "load_weights": lambda: model.load_weights(weights),
    }
    if k is keras:
        steps["save flushed"] = flushed(model.save, whole)
        steps["save_weights flushed"] = flushed(model.save_weights, weights)
    return steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--parameters", type=float, default=50, help="in millions")
    options = parser.parse_args()
    models = {k: dense_model(k, options.parameters) for k in (keras, kt)}
    models[kt].set_weights([np.asarray(w) for w in models[keras].get_weights()])
    times: dict[tuple[str, Any], list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory(dir=".") as folder:
        plain = Path(folder, "plain")
        content = np.zeros(round(options.parameters * 4e6), "uint8")
        steps = {k: operations(k, model, folder) for k, model in models.items()}
        steps["plain"] = {
            "write": lambda: plain.write_bytes(content),
            "write flushed": lambda: (plain.write_bytes(content), flush(plain)),
        }
        for repeat in range(options.repeats):
            for k in list(steps) if repeat % 2 else reversed(steps):
                for what, step in steps[k].items():
                    os.sync()
                    start = time.perf_counter()
                    step()
                    times[what, k].append(time.perf_counter() - start)
    print(f"{'':22}{'keras':>10}{'kerastorch':>12}{'ratio':>8}{'fastest':>9}")
    for what in steps[kt]:
        theirs, ours = times[what, keras], times[what, kt]
        middle, least = statistics.median(theirs), min(theirs)
        print(f"{what:22}{middle:10.4g}{statistics.median(ours):12.4g}", end="")
        print(f"{statistics.median(ours) / middle:8.2f}{min(ours) / least:9.2f}")
    for k, what in [(keras, "save flushed"), (keras, "save_weights flushed")]:
        print(f"{what:22}{statistics.median(times[what, k]):10.4g}")
    for what in steps["plain"]:
        print(f"plain {what:16}{statistics.median(times[what, 'plain']):10.4g}")


if __name__ == "__main__":
    main()
