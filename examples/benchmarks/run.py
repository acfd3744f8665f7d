"""`fit` against hand-written PyTorch loops that do the same work: ``make bench``.

The guide's MLP on 784 features, batch 64, RMSprop, loss and accuracy accumulated over the epoch.
All variants run in one process, interleaved round by round, so that noise of the machine falls on
all alike; the table shows the median microseconds per step and the ratio to the loop above it.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import kerastorch as keras

BATCH = 64


def plain_model() -> nn.Module:
    return nn.Sequential(
        nn.Linear(784, 64),
        nn.ReLU(),
        nn.Linear(64, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
        nn.Softmax(-1),
    )


def keras_model() -> keras.Model:
    inputs = keras.Input((784,), name="digits")
    x = keras.layers.Dense(64, activation="relu")(inputs)
    x = keras.layers.Dense(64, activation="relu")(x)
    outputs = keras.layers.Dense(10, activation="softmax")(x)
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.RMSprop(),
        keras.losses.SparseCategoricalCrossentropy(),
        metrics=[keras.metrics.SparseCategoricalAccuracy()],
    )
    return model


class Loop:
    """The loop as a PyTorch engineer writes it: no host sync, loss and hits summed on the device."""

    def __init__(self, x: torch.Tensor, y: torch.Tensor, shuffle: bool) -> None:
        self.x, self.y, self.shuffle = x, y, shuffle
        self.batches = list(zip(x.split(BATCH), y.split(BATCH), strict=True))
        self.model = plain_model().train()
        self.optimizer = torch.optim.RMSprop(
            self.model.parameters(), lr=1e-3, alpha=0.9, foreach=True
        )

    def __call__(self) -> None:
        total, hits, count = torch.zeros(()), torch.zeros(()), 0
        batches = self.batches
        if self.shuffle:
            indices = torch.randperm(len(self.x)).split(BATCH)
            batches = ((self.x[i], self.y[i]) for i in indices)
        for x, y in batches:
            probabilities = self.model(x)
            loss = F.nll_loss(probabilities.clamp(1e-7, 1 - 1e-7).log(), y)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            with torch.no_grad():
                total += loss.detach() * len(x)
                hits += (probabilities.argmax(-1) == y).sum()
                count += len(x)
        _ = total.item() / count, hits.item() / count


class Fit:
    def __init__(self, x: torch.Tensor, y: torch.Tensor, shuffle: bool, callbacks: list) -> None:
        self.arguments = {
            "x": x,
            "y": y,
            "batch_size": BATCH,
            "shuffle": shuffle,
            "callbacks": callbacks,
            "verbose": 0,
        }
        self.model = keras_model()

    def __call__(self) -> None:
        self.model.fit(**self.arguments)


class Trivial(keras.callbacks.Callback):
    """Overrides the batch hooks and reads nothing."""

    def on_train_batch_begin(self, batch, logs=None):
        pass

    def on_train_batch_end(self, batch, logs=None):
        pass


def import_seconds(module: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", f"import {module}"], check=True)
    return time.perf_counter() - start


def interleaved(variants: dict[str, Callable[[], None]], rounds: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in variants}
    for run in variants.values():
        run()  # warm up
    gc.collect()
    for _ in range(rounds):
        for name, run in variants.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.random((BATCH * options.steps, 784), dtype=np.float32))
    y = torch.from_numpy(rng.integers(0, 10, BATCH * options.steps))
    three = [Trivial(), Trivial(), Trivial()]
    variants = {
        "loop, pre-batched": Loop(x, y, shuffle=False),
        "fit(shuffle=False)": Fit(x, y, False, []),
        "fit(shuffle=False), 3 callbacks": Fit(x, y, False, three),
        "loop, shuffled": Loop(x, y, shuffle=True),
        "fit()": Fit(x, y, True, []),
        "fit(), 3 callbacks": Fit(x, y, True, three),
    }
    times = interleaved(variants, options.rounds)
    imports: dict[str, list[float]] = {"torch": [], "kerastorch": []}
    for _ in range(5):
        for module, seconds in imports.items():
            seconds.append(import_seconds(module))

    result = {}
    reference = 0.0
    print(f"{'variant':<34}{'µs/step':>10}{'ratio':>8}   (torch {torch.__version__}, "
          f"{torch.get_num_threads()} threads, {options.rounds} rounds of {options.steps} steps)")  # fmt: skip
    for name, seconds in times.items():
        micros = statistics.median(seconds) / options.steps * 1e6
        if name.startswith("loop"):
            reference = micros
        result[name] = {"us_per_step": micros, "ratio": micros / reference}
        print(f"{name:<34}{micros:>10.1f}{micros / reference:>8.3f}")
    medians = {module: statistics.median(seconds) for module, seconds in imports.items()}
    extra = medians["kerastorch"] - medians["torch"]
    result["import"] = {**medians, "extra": extra}
    print(f"import torch {medians['torch']:.2f} s, import kerastorch {medians['kerastorch']:.2f} s: "
          f"{extra:+.2f} s")  # fmt: skip
    if options.json:
        options.json.write_text(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
