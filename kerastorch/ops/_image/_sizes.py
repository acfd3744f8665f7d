"""Images in other sizes. What torch has no kernel for is one matrix of weights for each axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F

from kerastorch.ops._image._pixels import as_given, channels_first, wide
from kerastorch.ops._windows import pad_axes

#: What torch calls the methods that it has, with pixels that have their centres at halves.
_MODES = {"nearest": "nearest-exact", "bilinear": "bilinear", "bicubic": "bicubic"}


def check_interpolation(interpolation: str) -> None:
    """Raise unless there is such a method."""
    if interpolation not in (*_MODES, "lanczos3", "lanczos5", "area"):
        raise ValueError(
            f"`interpolation` must be one of {[*_MODES, 'lanczos3', 'lanczos5', 'area']}, "
            f"received {interpolation!r}."
        )


def resized(
    images: torch.Tensor,
    size: Sequence[int],
    interpolation: str = "bilinear",
    antialias: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    fill_value: float = 0.0,
    data_format: str | None = None,
) -> torch.Tensor:
    """An image or a batch in `size` (height, width); see `ops.image.resize`."""
    height, width = _checked_size(size)
    check_interpolation(interpolation)
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise ValueError(
            "Of `crop_to_aspect_ratio` and `pad_to_aspect_ratio` only one can be True."
        )
    x = channels_first(images, data_format)
    x = wide(x) if x.is_floating_point() or interpolation != "nearest" else x.double()
    if crop_to_aspect_ratio:
        x = _cropped(x, height, width)
    if pad_to_aspect_ratio:
        x = _padded(x, height, width, fill_value)
    if interpolation in _MODES:
        smooth = interpolation != "nearest"
        x = F.interpolate(
            x,
            (height, width),
            mode=_MODES[interpolation],
            align_corners=False if smooth else None,
            antialias=antialias and smooth,
        )
    else:
        for axis, n in ((2, height), (3, width)):
            x = applied(_resizing(x, x.shape[axis], n, interpolation, antialias), x, axis)
    return as_given(x, images, data_format)


def _checked_size(size: Sequence[int]) -> Sequence[int]:
    if len(size) != 2 or min(size) <= 0:
        raise ValueError(f"`size` must be (height, width), both positive, received {size!r}.")
    return size


def largest(size: Sequence[int], height: int, width: int) -> tuple[int, int]:
    """The largest part of a picture of `size` that has the aspect ratio of (height, width)."""
    h, w = size
    return max(min(h, int(w * height / width)), 1), max(min(w, int(h * width / height)), 1)


def missing(size: Sequence[int], height: int, width: int) -> tuple[int, int]:
    """Rows and columns on each side that a picture of `size` lacks of the aspect ratio of (height, width)."""
    h, w = size
    return (max(h, int(w * height / width)) - h) // 2, (max(w, int(h * width / height)) - w) // 2


def _cropped(x: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """The largest part in the middle that has the aspect ratio of (height, width)."""
    h, w = x.shape[2:]
    new_h, new_w = largest((h, w), height, width)
    return x.narrow(2, (h - new_h) // 2, new_h).narrow(3, (w - new_w) // 2, new_w)


def _padded(x: torch.Tensor, height: int, width: int, value: float) -> torch.Tensor:
    """In the middle of the smallest image that has the aspect ratio of (height, width)."""
    rows, columns = missing(x.shape[2:], height, width)
    return pad_axes(x, [(rows, rows), (columns, columns)], value)


# -- weights: (size before, size after) --------------------------------------------------------------


def applied(weights: torch.Tensor, x: torch.Tensor, axis: int) -> torch.Tensor:
    return torch.tensordot(x, weights, ([axis], [0])).movedim(-1, axis)


def _resizing(x: torch.Tensor, before: int, after: int, method: str, smooth: bool) -> torch.Tensor:
    if method == "area":
        return _areas(x, before, after)
    scale = x.new_full((), after / before)
    return weights_of(before, after, scale, scale.new_zeros(()), METHODS[method], smooth)


def _areas(x: torch.Tensor, before: int, after: int) -> torch.Tensor:
    """How much of each new pixel is covered by each old one."""
    edges = torch.arange(after + 1, dtype=x.dtype, device=x.device) * (before / after)
    left = torch.arange(before, dtype=x.dtype, device=x.device).unsqueeze(1)
    common = torch.minimum(edges[1:], left + 1) - torch.maximum(edges[:-1], left)
    return common.clamp_min(0) * (after / before)


def weights_of(
    before: int,
    after: int,
    scale: torch.Tensor,
    shift: torch.Tensor,
    kernel: Callable[[torch.Tensor], torch.Tensor],
    smooth: bool,
) -> torch.Tensor:
    """The kernel around the place that each new pixel comes from, with sum 1."""
    old, new = (torch.arange(n, dtype=scale.dtype, device=scale.device) for n in (before, after))
    wider = (1 / scale).clamp_min(1) if smooth else 1.0
    places = (new + 0.5) / scale - shift / scale - 0.5
    weights = kernel((places - old.unsqueeze(1)).abs() / wider)
    total = weights.sum(0)
    weights = weights / torch.where(total.abs() > 1e-4, total, torch.inf)
    return torch.where((places >= -0.5) & (places <= before - 0.5), weights, 0)


def _linear(x: torch.Tensor) -> torch.Tensor:
    return F.relu(1 - x)


def _cubic(x: torch.Tensor) -> torch.Tensor:
    """Keys, 1981, with slope -1/2."""
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x < 1, near, torch.where(x < 2, far, 0))


def _lanczos(radius: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """``sinc(x) * sinc(x / radius)`` up to `radius`."""
    return lambda x: torch.where(x < radius, torch.sinc(x) * torch.sinc(x / radius), 0)


METHODS = {
    **dict.fromkeys(("linear", "bilinear", "trilinear", "triangle"), _linear),
    **dict.fromkeys(("cubic", "bicubic", "tricubic"), _cubic),
    "lanczos3": _lanczos(3),
    "lanczos5": _lanczos(5),
}
