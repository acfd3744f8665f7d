"""Images in other sizes."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from kerastorch.ops._image._sizes import METHODS, applied, resized, weights_of
from kerastorch.ops._op import Array, floating, op, promoted


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
    if fill_mode != "constant":
        raise ValueError(f"`fill_mode` must be 'constant', received {fill_mode!r}.")
    return resized(
        images,
        size,
        interpolation,
        antialias,
        crop_to_aspect_ratio,
        pad_to_aspect_ratio,
        fill_value,
        data_format,
    )


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
    if method not in METHODS:
        raise ValueError(f"`method` must be one of {list(METHODS)}, received {method!r}.")
    scale, translation = promoted(floating(scale), floating(translation))
    x = images if images.is_floating_point() else images.float()
    for i, axis in enumerate(spatial_dims):
        sizes = x.shape[axis], output_shape[axis]
        weights = weights_of(*sizes, scale[i], translation[i], METHODS[method], antialias)
        x = applied(weights.to(x.dtype), x, axis % x.ndim)
    if images.is_floating_point():
        return x
    return x.round().clamp(images.min(), images.max()).to(images.dtype)


# The model files of Keras hold the shape beside the arrays.
scale_and_translate.arrays = ("images", "output_shape", "scale", "translation")  # type: ignore[attr-defined]
