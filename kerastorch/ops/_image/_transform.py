"""Images read at other places."""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections.abc import Callable, Sequence

import torch

from kerastorch.ops._image._base import as_given, as_pixels, channels_first, wide
from kerastorch.ops._image._filters import blurred
from kerastorch.ops._op import Array, floating, op
from kerastorch.random._seed import Seed, fill, stream

_ORDERS = {"nearest": 0, "bilinear": 1}


@op
def map_coordinates(
    inputs: Array,
    coordinates: Array,
    order: int,
    fill_mode: str = "constant",
    fill_value: float = 0,
) -> torch.Tensor:
    """The values of `inputs` at `coordinates`, (axes of inputs, ...) -> (...).

    `order` 0 takes the nearest entry, 1 interpolates. Outside, `fill_mode` reads ``"constant"``:
    `fill_value`; ``"nearest"``: ``a a | a b c | c c``; ``"wrap"``: ``b c | a b c | a b``; ``"mirror"``:
    ``c b | a b c | b a``; ``"reflect"``: ``b a | a b c | c b``.

    >>> import torch, kerastorch as keras
    >>> keras.ops.image.map_coordinates([1.0, 2.0, 4.0], [[0.5, 2.0, 9.0]], order=1)
    tensor([1.5000, 4.0000, 0.0000])
    """
    if coordinates.ndim < 2 or coordinates.shape[0] != inputs.ndim:
        raise ValueError(
            f"`coordinates` must have shape ({inputs.ndim}, ...), a row for each axis of `inputs`, "
            f"received {tuple(coordinates.shape)}."
        )
    places = [places.unsqueeze(0) for places in coordinates.unbind(0)]
    found = _read(inputs[None, None], places, order, fill_mode, fill_value)
    return as_pixels(found[0, 0], inputs.dtype)


@op
def affine_transform(
    images: Array,
    transform: Array,
    interpolation: str = "bilinear",
    fill_mode: str = "constant",
    fill_value: float = 0,
    data_format: str | None = None,
) -> torch.Tensor:
    """Read each pixel (x, y) at ``((a0 x + a1 y + a2) / k, (b0 x + b1 y + b2) / k)``, ``k = c0 x + c1 y + 1``.

    transform: [a0, a1, a2, b0, b1, b2, c0, c1], one or a batch. `fill_mode`: see `map_coordinates`.

    >>> import torch, kerastorch as keras
    >>> image, by_one = torch.tensor([[[1.0], [2.0], [3.0]]]), [1, 0, 1, 0, 1, 0, 0, 0]
    >>> keras.ops.image.affine_transform(image, by_one)[0, :, 0]
    tensor([2., 3., 0.])
    """
    order = _order(interpolation)
    if transform.shape[-1:] != (8,) or transform.ndim > 2:
        raise ValueError(
            f"`transform` must have shape (8,) or (batch, 8), received {tuple(transform.shape)}."
        )
    x = channels_first(images, data_format)
    places = _projected(x, floating(transform).reshape(-1, 8))
    return as_given(_read(x, places, order, fill_mode, fill_value), images, data_format)


@op
def perspective_transform(
    images: Array,
    start_points: Array,
    end_points: Array,
    interpolation: str = "bilinear",
    fill_value: float = 0,
    data_format: str | None = None,
) -> torch.Tensor:
    """Move four points (x, y) of each image to four others, and all in between along: points (B, 4, 2) or (4, 2).

    >>> import torch, kerastorch as keras
    >>> image = torch.tensor([[[1.0], [2.0]], [[3.0], [4.0]]])
    >>> corners, turned = [[0, 0], [1, 0], [0, 1], [1, 1]], [[1, 0], [0, 0], [1, 1], [0, 1]]
    >>> keras.ops.image.perspective_transform(image, corners, turned)[..., 0].round()
    tensor([[2., 1.], [4., 3.]])
    """
    order = _order(interpolation)
    if start_points.shape != end_points.shape or tuple(start_points.shape[-2:]) != (4, 2):
        raise ValueError(
            "`start_points` and `end_points` must both have shape (4, 2) or (batch, 4, 2), received "
            f"{tuple(start_points.shape)} and {tuple(end_points.shape)}."
        )
    x = channels_first(images, data_format)
    start, end = (wide(points).reshape(-1, 4, 2) for points in (start_points, end_points))
    places = _projected(x, _homography(start, end))
    return as_given(_read(x, places, order, "constant", fill_value), images, data_format)


@op
def elastic_transform(
    images: Array,
    alpha: float = 20.0,
    sigma: float = 5.0,
    interpolation: str = "bilinear",
    fill_mode: str = "reflect",
    fill_value: float = 0.0,
    seed: Seed = None,
    data_format: str | None = None,
) -> torch.Tensor:
    """Move pixels by smooth noise: normal numbers of deviation `sigma`, blurred over `sigma` pixels, times `alpha`.

    `fill_mode`: see `map_coordinates`. Simard et al., 2003.

    >>> import torch, kerastorch as keras
    >>> keras.ops.image.elastic_transform(torch.ones(4, 4, 3), seed=1).shape
    torch.Size([4, 4, 3])
    """
    order = _order(interpolation)
    x = channels_first(images, data_format)
    batch, _, height, width = x.shape
    noise = fill(
        "normal_", (0.0, sigma), (2, batch, height, width), torch.float32, stream(seed), x.device
    )
    size = int(6 * sigma) | 1
    rows, columns = (alpha * blurred(noise, (size, size), (sigma, sigma))).unbind(0)
    ys, xs = _pixels(x, torch.float32)
    return as_given(
        _read(x, [ys + rows, xs + columns], order, fill_mode, fill_value), images, data_format
    )


def _order(interpolation: str) -> int:
    if interpolation not in _ORDERS:
        raise ValueError(
            f"`interpolation` must be one of {list(_ORDERS)}, received {interpolation!r}."
        )
    return _ORDERS[interpolation]


# -- where to read -----------------------------------------------------------------------------------


def _pixels(x: torch.Tensor, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """The rows (H, 1) and the columns (W,) of an image."""
    ys, xs = (torch.arange(n, dtype=dtype, device=x.device) for n in x.shape[2:])
    return ys.unsqueeze(1), xs


def _projected(x: torch.Tensor, transform: torch.Tensor) -> list[torch.Tensor]:
    """Row and column at which to read each pixel, (B, H, W) each; transform: (B, 8)."""
    ys, xs = _pixels(x, transform.dtype)
    a0, a1, a2, b0, b1, b2, c0, c1 = transform.reshape(-1, 8, 1, 1).unbind(1)
    scale = c0 * xs + c1 * ys + 1
    return [(b0 * xs + b1 * ys + b2) / scale, (a0 * xs + a1 * ys + a2) / scale]


def _homography(start: torch.Tensor, end: torch.Tensor) -> torch.Tensor:
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


def _read(
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
