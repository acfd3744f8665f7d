"""Images in other sizes. What torch has no kernel for is one matrix of weights for each axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F

from kerastorch.ops._image._base import as_given, channels_first, wide
from kerastorch.ops._op import Array, floating, op, promoted
from kerastorch.ops._windows import pad_axes

#: What torch calls the methods that it has, with pixels that have their centres at halves.
_MODES = {"nearest": "nearest-exact", "bilinear": "bilinear", "bicubic": "bicubic"}


@op
def resize(
    images: Array,
    size: Sequence[int],
    interpolation: str = "bilinear",
    antialias: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    fill_mode: str = "constant",
    fill_value: float = 0.0,
    data_format: str | None = None,
) -> torch.Tensor:
    """An image or a batch in `size` (height, width): (B, H, W, C) -> (B, *size, C).

    `interpolation`: ``"nearest"``, ``"bilinear"``, ``"bicubic"``, ``"lanczos3"``, ``"lanczos5"`` or
    ``"area"``. `antialias` widens the filter where the image shrinks. The aspect ratio is kept by cutting
    off what does not fit, or by padding with `fill_value`.

    >>> import torch, kerastorch as keras
    >>> keras.ops.image.resize(torch.tensor([[[1.0], [3.0]]]), (1, 4))[0, :, 0]
    tensor([1.0000, 1.5000, 2.5000, 3.0000])
    """
    height, width = _checked_size(size)
    if interpolation not in (*_MODES, "lanczos3", "lanczos5", "area"):
        raise ValueError(
            f"`interpolation` must be one of {[*_MODES, 'lanczos3', 'lanczos5', 'area']}, "
            f"received {interpolation!r}."
        )
    if fill_mode != "constant":
        raise ValueError(f"`fill_mode` must be 'constant', received {fill_mode!r}.")
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
            x = _apply(_resizing(x, x.shape[axis], n, interpolation, antialias), x, axis)
    return as_given(x, images, data_format)


def _checked_size(size: Sequence[int]) -> Sequence[int]:
    if len(size) != 2 or min(size) <= 0:
        raise ValueError(f"`size` must be (height, width), both positive, received {size!r}.")
    return size


def _cropped(x: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """The largest part in the middle that has the aspect ratio of (height, width)."""
    h, w = x.shape[2:]
    new_h = max(min(h, int(w * height / width)), 1)
    new_w = max(min(w, int(h * width / height)), 1)
    return x.narrow(2, (h - new_h) // 2, new_h).narrow(3, (w - new_w) // 2, new_w)


def _padded(x: torch.Tensor, height: int, width: int, value: float) -> torch.Tensor:
    """In the middle of the smallest image that has the aspect ratio of (height, width)."""
    h, w = x.shape[2:]
    rows = (max(h, int(w * height / width)) - h) // 2
    columns = (max(w, int(h * width / height)) - w) // 2
    return pad_axes(x, [(rows, rows), (columns, columns)], value)


@op
def scale_and_translate(
    images: Array,
    output_shape: Sequence[int],
    scale: Array,
    translation: Array,
    spatial_dims: Sequence[int],
    method: str,
    antialias: bool = True,
) -> torch.Tensor:
    """Sample an image so that place y is moved to ``y * scale + translation``, along each of `spatial_dims`.

    Pixels have their centres at halves; what comes from outside is 0. `method`: ``"linear"``, ``"cubic"``,
    ``"lanczos3"`` or ``"lanczos5"``. scale, translation: one number for each of `spatial_dims`.

    >>> import torch, kerastorch as keras
    >>> move = keras.ops.image.scale_and_translate
    >>> move(torch.tensor([1.0, 2.0, 3.0]), (4,), [1.0], [1.0], (0,), "linear")
    tensor([0., 1., 2., 3.])
    """
    if method not in _METHODS:
        raise ValueError(f"`method` must be one of {list(_METHODS)}, received {method!r}.")
    scale, translation = promoted(floating(scale), floating(translation))
    x = images if images.is_floating_point() else images.float()
    for i, axis in enumerate(spatial_dims):
        sizes = x.shape[axis], output_shape[axis]
        weights = _weights(*sizes, scale[i], translation[i], _METHODS[method], antialias)
        x = _apply(weights.to(x.dtype), x, axis % x.ndim)
    if images.is_floating_point():
        return x
    return x.round().clamp(images.min(), images.max()).to(images.dtype)


# The model files of Keras hold the shape beside the arrays.
scale_and_translate.arrays = ("images", "output_shape", "scale", "translation")  # type: ignore[attr-defined]


# -- weights: (size before, size after) --------------------------------------------------------------


def _apply(weights: torch.Tensor, x: torch.Tensor, axis: int) -> torch.Tensor:
    return torch.tensordot(x, weights, ([axis], [0])).movedim(-1, axis)


def _resizing(x: torch.Tensor, before: int, after: int, method: str, smooth: bool) -> torch.Tensor:
    if method == "area":
        return _areas(x, before, after)
    scale = x.new_full((), after / before)
    return _weights(before, after, scale, scale.new_zeros(()), _METHODS[method], smooth)


def _areas(x: torch.Tensor, before: int, after: int) -> torch.Tensor:
    """How much of each new pixel is covered by each old one."""
    edges = torch.arange(after + 1, dtype=x.dtype, device=x.device) * (before / after)
    left = torch.arange(before, dtype=x.dtype, device=x.device).unsqueeze(1)
    common = torch.minimum(edges[1:], left + 1) - torch.maximum(edges[:-1], left)
    return common.clamp_min(0) * (after / before)


def _weights(
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


_METHODS = {
    **dict.fromkeys(("linear", "bilinear", "trilinear", "triangle"), _linear),
    **dict.fromkeys(("cubic", "bicubic", "tricubic"), _cubic),
    "lanczos3": _lanczos(3),
    "lanczos5": _lanczos(5),
}
