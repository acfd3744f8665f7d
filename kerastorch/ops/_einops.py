"""Axes by name."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import torch

from kerastorch.ops._op import Array, op


@op
def rearrange(tensor: Array, pattern: str, **axes_lengths: int) -> torch.Tensor:
    """Reorder, split and join axes: ``"b (h s) c -> b h (s c)"``, `axes_lengths` saying what cannot be inferred.

    Rogozhnikov, 2022 (einops).

    >>> import torch, kerastorch as keras
    >>> keras.ops.rearrange(torch.ones(2, 6, 5), "b (h s) c -> (b h) (s c)", s=3).shape
    torch.Size([4, 15])
    """
    sides = pattern.split("->")
    if len(sides) != 2:
        raise ValueError(f"`pattern` must be 'axes -> axes', received {pattern!r}.")
    before, after = map(_groups, sides)
    given, wanted = (sorted(axis for group in side for axis in group) for side in (before, after))
    if given != wanted or len(set(given)) != len(given):
        raise ValueError(
            f"`pattern` must name every axis once on both sides, received {pattern!r}."
        )
    if len(before) != tensor.ndim:
        raise ValueError(
            f"`pattern` {pattern!r} begins with {len(before)} axes, received shape {tuple(tensor.shape)}."
        )
    sizes = _sizes(tensor.shape, before, axes_lengths)
    order = [axis for group in before for axis in group]
    split = tensor.reshape([sizes[axis] for axis in order])
    moved = split.permute([order.index(axis) for group in after for axis in group])
    return moved.reshape([math.prod([sizes[axis] for axis in group]) for group in after])


rearrange.arrays = ("tensor", "pattern", "axes_lengths")  # type: ignore[attr-defined]


def _groups(side: str) -> list[list[str]]:
    """``"b (h s)"`` -> [["b"], ["h", "s"]]."""
    parts = re.findall(r"\([^()]*\)|\w+|[^\s\w]", side)
    if any(not re.fullmatch(r"\w+|\([\w\s]*\)", part) for part in parts):
        raise ValueError(
            f"`pattern` must hold names and (groups of names), received {side.strip()!r}."
        )
    return [part.strip("()").split() for part in parts]


def _sizes(
    shape: Sequence[int], groups: list[list[str]], lengths: dict[str, int]
) -> dict[str, int]:
    """The size of each named axis."""
    sizes = dict(lengths)
    for size, group in zip(shape, groups, strict=True):
        unknown = [axis for axis in group if axis not in sizes]
        known = math.prod([sizes[axis] for axis in group if axis in sizes])
        if len(unknown) > 1 or size % max(known, 1) or (not unknown and known != size):
            raise ValueError(
                f"An axis of length {size} cannot be split into ({' '.join(group)}) with {lengths}: give "
                "all lengths but one."
            )
        sizes.update((axis, size // max(known, 1)) for axis in unknown)
    return sizes
