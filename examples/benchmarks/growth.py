"""How the time of a step grows: with layers, metrics, callbacks, weights and rows, one at a time.

    python examples/benchmarks/growth.py [--rounds 5] [--quick] [--out growth.json]

The sizes of a series take turns, so that all see the same machine. A straight line is laid through
the medians: its slope is what one more costs, R² how straight it is. Memory is that of ten epochs.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import kerastorch as keras

WIDTH, BATCH, STEPS = 16, 32, 40
layers = keras.layers


class Listener(keras.callbacks.Callback):
    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        pass


class Many(layers.Layer):
    """So many weights, all used by one operation."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.parts = [self.add_weight((1,), "ones") for _ in range(count)]

    def call(self, x: Any) -> Any:
        return x * torch.cat(self.parts).mean()


def mlp(depth: int, metrics: int, jit: bool, *more: Any) -> keras.Model:
    stack = [layers.Dense(WIDTH, "relu") for _ in range(depth)]
    model = keras.Sequential([keras.Input((WIDTH,)), *stack, *more, layers.Dense(1)])
    named = [keras.metrics.MeanAbsoluteError(name=f"mae_{i}") for i in range(metrics)]
    model.compile("sgd", "mse", metrics=named, jit_compile=jit)
    return model


def series(size: int, what: str, jit: bool) -> tuple[keras.Model, int, list[Any]]:
    """Model, rows of a batch, callbacks."""
    if what == "layers":
        return mlp(size, 0, jit), BATCH, []
    if what == "metrics":
        return mlp(1, size, jit), BATCH, []
    if what == "callbacks":
        return mlp(1, 0, jit), BATCH, [Listener() for _ in range(size)]
    if what == "weights":
        return mlp(1, 0, jit, Many(size)), BATCH, []
    return mlp(1, 0, jit), size, []


SIZES = {
    "layers": (1, 10, 50, 100, 200),
    "metrics": (0, 5, 10, 20),
    "callbacks": (0, 5, 10, 20),
    "weights": (10, 100, 500, 2000),
    "rows": (32, 256, 1024, 4096),
}


def epoch_of(size: int, what: str, jit: bool) -> Callable[[], float]:
    """A function that trains for an epoch and gives µs a step."""
    model, batch, callbacks = series(size, what, jit)
    rng = np.random.default_rng(0)
    x = rng.random((batch * STEPS, WIDTH), dtype=np.float32)
    y = x.sum(1, keepdims=True)

    def epoch() -> float:
        start = time.perf_counter()
        model.fit(x, y, batch_size=batch, verbose=0, callbacks=list(callbacks))
        return (time.perf_counter() - start) / STEPS * 1e6

    epoch()
    return epoch


def measured(what: str, sizes: tuple[int, ...], jit: bool, rounds: int) -> dict[str, Any]:
    epochs = [epoch_of(size, what, jit) for size in sizes]
    times: list[list[float]] = [[] for _ in sizes]
    for _ in range(rounds):
        for column, epoch in zip(times, epochs, strict=True):
            column.append(epoch())
    medians = [statistics.median(column) for column in times]
    slope, start = np.polyfit(sizes, medians, 1)
    rest = np.subtract(medians, np.polyval([slope, start], sizes))
    straight = 1 - float(
        np.square(rest).sum() / np.square(np.subtract(medians, np.mean(medians))).sum()
    )
    return {"sizes": sizes, "us": medians, "slope": slope, "start": start, "r2": straight}


def memory(jit: bool) -> dict[str, list[float]]:
    """MB of the process and number of tensors after each of ten epochs."""
    model = mlp(4, 2, jit)
    x = np.random.default_rng(0).random((BATCH * 200, WIDTH), dtype=np.float32)
    y = x.sum(1, keepdims=True)
    resident, tensors = [], []
    for _ in range(10):
        model.fit(x, y, batch_size=BATCH, verbose=0)
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        resident.append(round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1))
        tensors.append(sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects()))
    return {"mb": resident, "tensors": tensors}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="the two smallest sizes of each")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    found: dict[str, Any] = {}
    print("| series | sizes | mode | µs a step | one more costs, µs | R² |\n" + "|---" * 6 + "|")
    for what, sizes in SIZES.items():
        sizes = sizes[:2] if options.quick else sizes
        for jit in (False, True):
            result = found[f"{what} {'jit' if jit else 'eager'}"] = measured(
                what, sizes, jit, options.rounds
            )
            spans = " ".join(f"{us:,.0f}" for us in result["us"])
            print(
                f"| {what} | {' '.join(map(str, sizes))} | {'jit' if jit else 'eager'} | {spans} "
                f"| {result['slope']:.2f} | {result['r2']:.3f} |",
                flush=True,
            )
    for jit in (False, True):
        result = found[f"memory {'jit' if jit else 'eager'}"] = memory(jit)
        print(
            f"\n{'jit' if jit else 'eager'}, ten epochs: MB {result['mb']}, tensors {result['tensors']}"
        )
    if options.out:
        options.out.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
