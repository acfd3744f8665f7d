"""How much memory a file may ask for while a model is built from it."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

import torch

#: A file may declare this many times its own size, and some megabytes besides.
EXPANSION = 20
ALLOWANCE = 64 * 2**20
#: What all states of layers may take, which no file has values for: zeros, which cost little until used.
STATES = 2**30

_left: list[dict[bool, int]] = []


def allowed(size: int) -> int:
    """The bytes that a file of `size` bytes may unfold to."""
    return EXPANSION * size + ALLOWANCE


@contextlib.contextmanager
def budget(size: int) -> Iterator[None]:
    """Within the block weights take no more than `size` bytes, and are not initialized: they are
    about to be read from the file."""
    _left.append({True: size, False: STATES})
    try:
        yield
    finally:
        _left.pop()


def unfilled(
    shape: tuple[int, ...], dtype: torch.dtype, in_file: bool = True
) -> torch.Tensor | None:
    """Inside a `budget`, memory for a weight that is in the file; None for others, and outside. Raises
    if the budget does not have it."""
    if not _left:
        return None
    _left[-1][in_file] -= math.prod(shape) * dtype.itemsize
    if _left[-1][in_file] < 0:
        raise ValueError(
            f"The configuration asks for a weight of shape {shape}, but the file has no values for it: "
            "it is damaged or made to exhaust the memory. Nothing was loaded."
        )
    return torch.empty(shape, dtype=dtype) if in_file else None
