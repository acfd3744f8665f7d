"""Fashion-MNIST: 70,000 grey 28 x 28 images of clothes. By Zalando SE; MIT licence."""

from __future__ import annotations

import gzip

from kerastorch.datasets._fetch import STORE, Array, Split, fetched
from kerastorch.datasets.mnist import _read_idx


def load_data() -> tuple[Split, Split]:
    """``(x_train, y_train), (x_test, y_test)``, all uint8, as `mnist.load_data` gives them.

    Labels: 0 T-shirt/top, 1 trouser, 2 pullover, 3 dress, 4 coat, 5 sandal, 6 shirt, 7 sneaker, 8 bag, 9 ankle
    boot.
    """
    return _part("train"), _part("t10k")


def _part(name: str) -> Split:
    return _file(f"{name}-images-idx3-ubyte.gz"), _file(f"{name}-labels-idx1-ubyte.gz")


def _file(name: str) -> Array:
    path = fetched(name, STORE + name, None, cache_subdir="datasets/fashion-mnist")
    return _read_idx(gzip.decompress(path.read_bytes()))
