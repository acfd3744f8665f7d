"""CIFAR-10: 60,000 32 x 32 pictures in 10 classes. Krizhevsky, 2009."""

from __future__ import annotations

from kerastorch.datasets._fetch import Split, fetched, pictures

_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
_SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"


def load_data() -> tuple[Split, Split]:
    """``(x_train, y_train), (x_test, y_test)``, all uint8: 50,000 and 10,000 pictures, labels (N, 1).

    Pictures are (N, 32, 32, 3), or (N, 3, 32, 32) where `config.image_data_format` says so. Labels: 0 airplane, 1
    automobile, 2 bird, 3 cat, 4 deer, 5 dog, 6 frog, 7 horse, 8 ship, 9 truck.
    """
    folder = fetched("cifar-10-batches-py-target", _URL, _SHA256, extract=True)
    folder = folder / "cifar-10-batches-py"
    names = [f"data_batch_{number}" for number in range(1, 6)]
    return pictures(folder, names, b"labels"), pictures(folder, ["test_batch"], b"labels")
