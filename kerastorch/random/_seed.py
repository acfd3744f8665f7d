"""Where random numbers come from: torch's global generator, a fixed seed, or a stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.types import Number

from kerastorch._registry import Recorded, Registry

_INT64 = 2**63 - 1
_UINT64 = 2**64 - 1
# Odd, so that seed + count * _STRIDE does not repeat; near 2**64 / golden ratio, so that the
# seeds of neighbouring streams stay apart (the increment of SplitMix64, Steele et al., 2014).
_STRIDE = 0x9E3779B97F4A7C15


class SeedGenerator(Recorded):
    """A stream of random numbers: each call that is given it as `seed` takes the next ones.

    `state` is ``[seed, calls so far]``, int64 and always on the host, so that a draw never waits
    for an accelerator. A clone of it saves the position in the stream, ``state.copy_`` goes back.
    Without a `seed` the stream is torch's global generator, which `torch.manual_seed` governs.

    >>> import torch
    >>> from kerastorch import random
    >>> stream = random.SeedGenerator(42)
    >>> first, second = random.uniform((2,), seed=stream), random.uniform((2,), seed=stream)
    >>> torch.equal(first, second), stream.state.tolist()
    (False, [42, 2])
    """

    _live_config: ClassVar[tuple[str, ...]] = ("name",)

    def __init__(self, seed: int | None = None, name: str | None = None) -> None:
        if not isinstance(seed, (int, np.integer, type(None))):
            raise ValueError(
                f"SeedGenerator: `seed` must be an integer or None, received {seed!r} "
                f"of type {type(seed).__name__}."
            )
        self.name = name or "seed_generator"
        self.seed = seed
        start = torch.initial_seed() if seed is None else int(seed)
        self.state = _state(start)

    def next(self) -> Tensor:
        """A copy of `state`, which then moves on by one."""
        current = self.state.clone()
        self.state[1].add_(1)
        return current


Seed: TypeAlias = int | SeedGenerator | None

Registry("seed generator", "random").add(SeedGenerator)


def _state(seed: int) -> Tensor:
    return torch.tensor([seed & _INT64, 0], dtype=torch.int64, device="cpu")


def stream(seed: Seed) -> Tensor | None:
    """The state that `seed` stands for; None is torch's global generator."""
    if seed is None:
        return None
    if isinstance(seed, SeedGenerator):
        return None if seed.seed is None else seed.state
    if isinstance(seed, (int, np.integer)):
        return _state(int(seed))
    raise ValueError(
        "seed: expected None, an integer or a kerastorch.random.SeedGenerator, "
        f"received {seed!r} of type {type(seed).__name__}."
    )


def generator(state: Tensor | None, device: torch.device) -> torch.Generator | None:
    """The generator of the next draw of `state`, which moves on by one."""
    if state is None:
        return None
    seed, count = state.tolist()
    state[1].add_(1)
    return torch.Generator(device).manual_seed(seed + count * _STRIDE & _UINT64)


def shape_only(x: Tensor) -> bool:
    """Whether `x` has no values (a meta or fake tensor), so that nothing is to be drawn."""
    return x.is_meta or type(x) is not Tensor


def fill(
    method: str,
    arguments: Sequence[Number],
    shape: Sequence[int],
    dtype: torch.dtype,
    state: Tensor | None,
    device: torch.device | None = None,
) -> Tensor:
    """``torch.empty(shape).<method>(*arguments)``, for instance ``normal_(mean, stddev)``.

    Torch compiles draws from its global generator, but no generator objects: in a compiled graph
    the seeded draw is one opaque operator.
    """
    if state is None:
        filled: Tensor = getattr(torch.empty(shape, dtype=dtype, device=device), method)(*arguments)
        return filled
    device = device or torch.empty(()).device
    draw = _fill_op if torch.compiler.is_compiling() else _fill
    return draw(state, method, arguments, shape, dtype, device)


def _fill(
    state: Tensor,
    method: str,
    arguments: Sequence[Number],
    shape: Sequence[int],
    dtype: torch.dtype,
    device: torch.device,
) -> Tensor:
    out = torch.empty(shape, dtype=dtype, device=device)
    if not shape_only(out):
        getattr(out, method)(*arguments, generator=generator(state, device))
    return out


_fill_op = torch.library.custom_op("kerastorch::fill", _fill, mutates_args=("state",))


@_fill_op.register_fake
def _(
    state: Tensor,
    method: str,
    arguments: Sequence[Number],
    shape: Sequence[int],
    dtype: torch.dtype,
    device: torch.device,
) -> Tensor:
    return torch.empty(shape, dtype=dtype, device=device)
