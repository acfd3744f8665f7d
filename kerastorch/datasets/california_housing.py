"""Prices of houses in 20,640 districts of California, 1990, with 8 numbers about each. Pace and Barry, 1997."""

from __future__ import annotations

import numpy as np

from kerastorch.datasets._fetch import Split, arrays, mixed, split

_SHA256 = "1a2e3a52e0398de6463aebe6f4a8da34fb21fbb6b934cf88c3425e766f2a1a6f"


def load_data(
    version: str = "large",
    path: str = "california_housing.npz",
    test_split: float = 0.2,
    seed: int = 113,
) -> tuple[Split, Split]:
    """``(x_train, y_train), (x_test, y_test)``: x is (N, 8), y is (N,), the median price in dollars.

    `version`: ``"large"``, or ``"small"`` for the first 600 districts. `path` is the name in the cache;
    `test_split` the fraction for tests, drawn by `seed`.
    """
    if version not in ("small", "large"):
        raise ValueError(f"`version` must be 'small' or 'large', received {version!r}.")
    data = arrays(path, "california_housing.npz", _SHA256)
    rows = 600 if version == "small" else None
    x, y = mixed(np.random.RandomState(seed), data["x"][:rows], data["y"][:rows])
    return split(x, y, test_split)
