"""Images read at other places."""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections.abc import Callable, Sequence

import torch

_ORDERS = {"nearest": 0, "bilinear": 1}


def order_of(interpolation: str) -> int:
    """0 for the nearest entry, 1 to interpolate."""
    if interpolation not in _ORDERS:
        raise ValueError(
            f"`interpolation` must be one of {list(_ORDERS)}, received {interpolation!r}."
        )
    return _ORDERS[interpolation]


# -- where to read -----------------------------------------------------------------------------------


def pixels(x: torch.Tensor, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """The rows (H, 1) and the columns (W,) of an image."""
    ys, xs = (torch.arange(n, dtype=dtype, device=x.device) for n in x.shape[2:])
    return ys.unsqueeze(1), xs


def projected(x: torch.Tensor, transform: torch.Tensor) -> list[torch.Tensor]:
    """Row and column at which to read each pixel, (B, H, W) each; transform: (B, 8)."""
    ys, xs = pixels(x, transform.dtype)
    a0, a1, a2, b0, b1, b2, c0, c1 = transform.reshape(-1, 8, 1, 1).unbind(1)
    scale = c0 * xs + c1 * ys + 1
    return [(b0 * xs + b1 * ys + b2) / scale, (a0 * xs + a1 * ys + a2) / scale]


def homography(start: torch.Tensor, end: torch.Tensor) -> torch.Tensor:
    """The transform (B, 8) that maps `end` to `start`: two linear equations for each of the points."""
    (x, y), (u, v) = start.unbind(-1), end.unbind(-1)  # (B, 4)
    one, zero = torch.ones_like(u), torch.zeros_like(u)
    of_x = torch.stack([u, v, one, zero, zero, zero, -x * u, -x * v], -1)
    of_y = torch.stack([zero, zero, zero, u, v, one, -y * u, -y * v], -1)
    solved, _ = torch.linalg.solve_ex(
        torch.cat([of_x, of_y], 1), torch.cat([x, y], 1).unsqueeze(-1)
    )
    return solved.squeeze(-1)


# -- what is read ------------------------------------------------------------------------------------


def _mirrored(index: torch.Tensor, size: int) -> torch.Tensor:
    last = max(size - 1, 1)
    return ((index + last) % (2 * last) - last).abs().clamp_max(size - 1)


#: The entry that stands for one outside.
_INSIDE: dict[str, Callable[[torch.Tensor, int], torch.Tensor]] = {
    "constant": lambda index, size: index.clamp(0, size - 1),
    "nearest": lambda index, size: index.clamp(0, size - 1),
    "wrap": lambda index, size: index % size,
    "mirror": _mirrored,
    "reflect": lambda index, size: (_mirrored(2 * index + 1, 2 * size + 1) - 1) // 2,
}


_MOST_AXES = 8


def read(
    x: torch.Tensor,
    coordinates: Sequence[torch.Tensor],
    order: int,
    fill_mode: str,
    fill_value: float,
) -> torch.Tensor:
    """(B, C, ...) at coordinates of shape (B or 1, *new), one for each axis after C -> (B, C, *new)."""
    if fill_mode not in _INSIDE:
        raise ValueError(f"`fill_mode` must be one of {list(_INSIDE)}, received {fill_mode!r}.")
    if order not in (0, 1):
        raise ValueError(f"`order` must be 0 (nearest) or 1 (linear), received {order!r}.")
    if len(coordinates) > _MOST_AXES:  # 2 ** axes neighbours
        raise ValueError(f"at most {_MOST_AXES} axes are supported, received {len(coordinates)}.")
    batch, channels, *sizes = x.shape
    new = torch.broadcast_shapes(*(c.shape for c in coordinates))[1:]
    values = x.flatten(2)
    fill_value = fill_value if x.is_floating_point() else int(fill_value)
    strides = [math.prod(sizes[axis + 1 :]) for axis in range(len(sizes))]
    contributions = []
    for corner in itertools.product(*(_neighbours(c, order) for c in coordinates)):
        axes = list(zip(corner, sizes, strides, strict=True))
        places = (_INSIDE[fill_mode](index, n) * stride for (index, _), n, stride in axes)
        place = functools.reduce(operator.add, places).expand(-1, *new).flatten(1).unsqueeze(1)
        found = values.gather(2, place.expand(batch, channels, -1)).unflatten(2, new)
        if fill_mode == "constant":
            known = [(index >= 0) & (index < n) for (index, _), n, _ in axes]
            inside = functools.reduce(operator.and_, known).unsqueeze(1)
            found = torch.where(inside, found, fill_value)
        for _, weight in corner:
            found = found if weight is None else found * weight.unsqueeze(1)
        contributions.append(found)
    return functools.reduce(operator.add, contributions)


def _neighbours(
    coordinate: torch.Tensor, order: int
) -> list[tuple[torch.Tensor, torch.Tensor | None]]:
    """The entries along one axis that count, and their weights."""
    if order == 0:
        return [(coordinate.round().long(), None)]
    lower = coordinate.floor()
    weight, index = coordinate - lower, lower.long()
    return [(index, 1 - weight), (index + 1, weight)]
