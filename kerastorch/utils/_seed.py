"""One call that seeds every random generator a training script may use."""

from __future__ import annotations

import random

import numpy as np
import torch


def set_random_seed(seed: int) -> None:
    """Seed Python, NumPy and PyTorch (all devices): initial weights, dropout and shuffling repeat.

    Keras: ``keras.utils.set_random_seed``. `seed` is an integer from 0 to 2**32 - 1, NumPy's range.
    Same numbers on a GPU also need ``torch.use_deterministic_algorithms(True)``.

    >>> import kerastorch as keras, torch
    >>> keras.utils.set_random_seed(7)
    >>> first = torch.rand(3)
    >>> keras.utils.set_random_seed(7)
    >>> torch.equal(first, torch.rand(3))
    True
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**32:
        raise ValueError(f"seed: expected an integer from 0 to 2**32 - 1, received {seed!r}.")
    random.seed(int(seed))
    np.random.seed(int(seed))  # noqa: NPY002 - the global generator is the point
    torch.manual_seed(int(seed))
