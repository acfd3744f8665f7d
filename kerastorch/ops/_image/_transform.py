"""Images read at other places."""

from __future__ import annotations

import torch

from kerastorch.ops._image._blur import blurred
from kerastorch.ops._image._pixels import (
    as_given,
    as_pixels,
    channels_first,
    wide,
)
from kerastorch.ops._image._sampling import (
    homography,
    order_of,
    pixels,
    projected,
    read,
)
from kerastorch.ops._op import Array, floating, op
from kerastorch.random._seed import Seed, fill, stream


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
    found = read(inputs[None, None], places, order, fill_mode, fill_value)
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
    order = order_of(interpolation)
    if transform.shape[-1:] != (8,) or transform.ndim > 2:
        raise ValueError(
            f"`transform` must have shape (8,) or (batch, 8), received {tuple(transform.shape)}."
        )
    x = channels_first(images, data_format)
    places = projected(x, floating(transform).reshape(-1, 8))
    return as_given(read(x, places, order, fill_mode, fill_value), images, data_format)


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
    order = order_of(interpolation)
    if start_points.shape != end_points.shape or tuple(start_points.shape[-2:]) != (4, 2):
        raise ValueError(
            "`start_points` and `end_points` must both have shape (4, 2) or (batch, 4, 2), received "
            f"{tuple(start_points.shape)} and {tuple(end_points.shape)}."
        )
    x = channels_first(images, data_format)
    start, end = (wide(points).reshape(-1, 4, 2) for points in (start_points, end_points))
    places = projected(x, homography(start, end))
    return as_given(read(x, places, order, "constant", fill_value), images, data_format)


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
    order = order_of(interpolation)
    x = channels_first(images, data_format)
    batch, _, height, width = x.shape
    noise = fill(
        "normal_", (0.0, sigma), (2, batch, height, width), torch.float32, stream(seed), x.device
    )
    size = int(6 * sigma) | 1
    rows, columns = (alpha * blurred(noise, (size, size), (sigma, sigma))).unbind(0)
    ys, xs = pixels(x, torch.float32)
    return as_given(
        read(x, [ys + rows, xs + columns], order, fill_mode, fill_value), images, data_format
    )
