"""The guide's MLP, whose batches two worker processes make with NumPy, about 4 ms of work for each."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch.utils.data import DataLoader

from workloads.base import Arrays
from workloads.mlp import Mlp

WORKERS = 2


class Batches:
    """Batches by number: noisy pictures, smoothed."""

    def __init__(self, x: Arrays, y: Arrays, size: int) -> None:
        self.x, self.y, self.size = x[0], y[0], size

    def __len__(self) -> int:
        return len(self.x) // self.size

    def __getitem__(self, index: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        rows = slice(index * self.size, (index + 1) * self.size)
        pictures = self.x[rows].reshape(-1, 28, 28) / 255
        pictures += np.random.default_rng(index).normal(0, 0.1, pictures.shape)
        waves = np.fft.fft2(pictures)
        waves *= np.exp(-(np.fft.fftfreq(28)[:, None] ** 2 + np.fft.fftfreq(28) ** 2))
        smooth = np.fft.ifft2(waves).real
        return smooth.reshape(-1, 784).astype(np.float32), self.y[rows]


class Data(Mlp):
    steps = 300
    by_loader = False  # for the Keras API too, which has a `PyDataset` otherwise

    def arrays(self, rng: np.random.Generator, rows: int) -> tuple[Arrays, Arrays]:
        x = rng.integers(0, 256, (rows, *self.shape), dtype=np.uint8)
        return [x], [rng.integers(0, self.classes, rows)]

    def loader(self, x: Arrays, y: Arrays) -> Any:
        batches: Any = Batches(x, y, self.batch)
        return DataLoader(
            batches, batch_size=None, shuffle=True, num_workers=WORKERS, persistent_workers=True
        )

    def feed(self, keras: Any, x: Arrays, y: Arrays) -> dict[str, Any]:
        batches = Batches(x, y, self.batch)

        class Pictures(keras.utils.PyDataset):  # type: ignore[misc, name-defined]
            def __len__(self) -> int:
                return len(batches)

            def __getitem__(self, index: int) -> Any:
                return batches[index]

        if self.by_loader:
            return {"x": self.loader(x, y)}
        return {"x": Pictures(workers=WORKERS, use_multiprocessing=True)}
