"""Windows over images: blur, edges, and how much two images look alike."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from kerastorch.ops._image._blur import blurred
from kerastorch.ops._image._pixels import (
    as_given,
    channels_first,
    check_rank,
    is_last,
    wide,
)
from kerastorch.ops._op import Array, floating, op
from kerastorch.ops._windows import as_tuple, pad_axes


@op
def gaussian_blur(
    images: Array,
    kernel_size: Sequence[int] = (3, 3),
    sigma: Sequence[float] = (1.0, 1.0),
    data_format: str | None = None,
) -> torch.Tensor:
    """Means weighted by a normal density: (B, H, W, C) -> (B, H, W, C), zeros around the image.

    kernel_size and sigma: for height and width.

    >>> import torch, kerastorch as keras
    >>> keras.ops.image.gaussian_blur(torch.tensor([[[0.0], [1.0], [0.0]]]), (1, 3))[0, :, 0]
    tensor([0.2741, 0.4519, 0.2741])
    """
    sizes = as_tuple("gaussian_blur", "kernel_size", kernel_size, 2)
    sigmas = (sigma, sigma) if isinstance(sigma, (int, float)) else tuple(sigma)
    x = wide(channels_first(images, data_format))
    return as_given(blurred(x, sizes, sigmas), images, data_format)


@op
def sobel_edges(images: Array, data_format: str | None = None) -> torch.Tensor:
    """Slopes down and to the right: (B, H, W, C) -> (B, H, W, C, 2), zeros around the image.

    The difference of the neighbours along one axis, weighted by 1, 2, 1 along the other. Sobel, 1968.

    >>> import torch, kerastorch as keras
    >>> keras.ops.image.sobel_edges(torch.ones(1, 3, 3, 1))[0, ..., 0, 0]
    tensor([[ 3.,  4.,  3.],
            [ 0.,  0.,  0.],
            [-3., -4., -3.]])
    """
    check_rank(images, 4)
    x = pad_axes(channels_first(floating(images), data_format), [(1, 1), (1, 1)])
    down = _smooth(_slope(x, 2), 3)
    right = _smooth(_slope(x, 3), 2)
    edges = torch.stack([down, right], -1)
    return edges.movedim(1, -2) if is_last(data_format) else edges


def _slope(x: torch.Tensor, axis: int) -> torch.Tensor:
    n = x.shape[axis] - 2
    return x.narrow(axis, 2, n) - x.narrow(axis, 0, n)


def _smooth(x: torch.Tensor, axis: int) -> torch.Tensor:
    n = x.shape[axis] - 2
    return x.narrow(axis, 0, n) + 2 * x.narrow(axis, 1, n) + x.narrow(axis, 2, n)


@op
def ssim(
    image1: Array,
    image2: Array,
    max_val: float = 1.0,
    filter_size: int = 11,
    filter_sigma: float = 1.5,
    k1: float = 0.01,
    k2: float = 0.03,
    data_format: str | None = None,
) -> torch.Tensor:
    """Structural similarity, 1 for equal images: two batches (B, H, W, C) -> (B,).

    The mean over all windows of ``(2 m1 m2 + c1) (2 v12 + c2) / ((m1² + m2² + c1) (v1 + v2 + c2))`` with
    means m, (co)variances v and ``c = (k * max_val)²``. Wang et al., 2004.

    >>> import torch, kerastorch as keras
    >>> image = torch.linspace(0, 1, 256).view(16, 16, 1)
    >>> keras.ops.image.ssim(image, image)
    tensor(1.)
    """
    if image1.shape != image2.shape:
        raise ValueError(
            "`image1` and `image2` must have one shape, received "
            f"{tuple(image1.shape)} and {tuple(image2.shape)}."
        )
    a, b = (wide(channels_first(image, data_format)) for image in (image1, image2))
    if min(a.shape[2:]) < filter_size:
        raise ValueError(
            f"`filter_size` must fit into the images of {tuple(a.shape[2:])} pixels, "
            f"received {filter_size!r}."
        )
    window = (filter_size, filter_size), (filter_sigma, filter_sigma)
    means = blurred(torch.stack([a, b, a * a, b * b, a * b]), *window, "valid")
    m_a, m_b, m_aa, m_bb, m_ab = means.unbind(0)
    c1, c2 = (k1 * max_val) ** 2, (k2 * max_val) ** 2
    alike = (2 * m_a * m_b + c1) * (2 * (m_ab - m_a * m_b) + c2)
    spread = (m_aa - m_a.square()) + (m_bb - m_b.square())
    values = alike / ((m_a.square() + m_b.square() + c1) * (spread + c2))
    result = values.mean((1, 2, 3)).to(floating(image1).dtype)
    return result if image1.ndim == 4 else result.squeeze(0)
