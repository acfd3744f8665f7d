"""Prices of 506 houses in Boston, 1978, with 13 numbers about each. Harrison and Rubinfeld, 1978.

One of the numbers is the authors' guess at how race decides prices: use `california_housing` in its place.
"""

from __future__ import annotations

import numpy as np

from kerastorch.datasets._fetch import Split, arrays, mixed, split

_SHA256 = "f553886a1f8d56431e820c5b82552d9d95cfcb96d1e678153f8839538947dff5"


def load_data(
    path: str = "boston_housing.npz", test_split: float = 0.2, seed: int = 113
) -> tuple[Split, Split]:
    """``(x_train, y_train), (x_test, y_test)``: x is (N, 13), y is (N,), in thousands of dollars.

    `path` is the name in the cache; `test_split` the fraction for tests, drawn by `seed`.
    """
    data = arrays(path, "boston_housing.npz", _SHA256)
    x, y = mixed(np.random.RandomState(seed), data["x"], data["y"])
    return split(x, y, test_split)
