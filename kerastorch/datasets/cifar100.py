"""CIFAR-100: 60,000 32 x 32 pictures in 100 classes, and in 20 larger ones. Krizhevsky, 2009."""

from __future__ import annotations

from kerastorch.datasets._fetch import Split, fetched, pictures

_URL = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
_SHA256 = "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7"


def load_data(label_mode: str = "fine") -> tuple[Split, Split]:
    """``(x_train, y_train), (x_test, y_test)``, all uint8: 50,000 and 10,000 pictures, labels (N, 1).

    `label_mode`: ``"fine"`` for labels from 0 to 99, ``"coarse"`` from 0 to 19. Pictures are (N, 32, 32, 3), or
    (N, 3, 32, 32) where `config.image_data_format` says so.
    """
    if label_mode not in ("fine", "coarse"):
        raise ValueError(f"`label_mode` must be 'fine' or 'coarse', received {label_mode!r}.")
    folder = fetched("cifar-100-python-target", _URL, _SHA256, extract=True) / "cifar-100-python"
    label = f"{label_mode}_labels".encode()
    return pictures(folder, ["train"], label), pictures(folder, ["test"], label)
