"""Means and variances, and what is divided by them."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from kerastorch import config
from kerastorch.ops._op import Array, Axis, axes_of, floating, op


@op
def moments(
    x: Array, axes: Axis, keepdims: bool = False, synchronized: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and (biased) variance over `axes`. Those of float16 stay finite.

    >>> import kerastorch as keras
    >>> keras.ops.moments([0.0, 2.0, 4.0, 6.0], [0])
    (tensor(3.), tensor(5.))
    """
    if synchronized:
        raise NotImplementedError(
            "moments: synchronized=True is not supported. Average the moments over the devices with "
            "torch.distributed.all_reduce."
        )
    x = floating(x)
    wide = x.float() if x.dtype is torch.float16 else x
    variance, mean = torch.var_mean(wide, axes_of(x, axes), correction=0, keepdim=keepdims)
    if wide is not x:
        most = torch.finfo(x.dtype).max
        mean, variance = (m.clamp(-most, most).to(x.dtype) for m in (mean, variance))
    return mean, variance


@op
def batch_normalization(
    x: Array,
    mean: Array,
    variance: Array,
    axis: int,
    offset: Array | None = None,
    scale: Array | None = None,
    epsilon: float = 1e-3,
) -> torch.Tensor:
    """``scale * (x - mean) / sqrt(variance + epsilon) + offset`` with one number each for every index of `axis`.

    >>> import kerastorch as keras
    >>> keras.ops.batch_normalization([[3.0, 8.0]], [1.0, 2.0], [1.0, 4.0], axis=-1, epsilon=0.0)
    tensor([[2., 3.]])
    """
    shape = [1] * x.ndim
    shape[axis] = x.shape[axis]
    for name, value in {
        "mean": mean,
        "variance": variance,
        "offset": offset,
        "scale": scale,
    }.items():
        if value is not None and tuple(value.shape) != (x.shape[axis],):
            raise ValueError(
                f"`{name}` must have shape ({x.shape[axis]},), one number for every index of axis "
                f"{axis} of `x`, received {tuple(value.shape)}."
            )
    factor = torch.rsqrt(floating(variance) + epsilon)
    factor = factor if scale is None else factor * scale
    y = (x - mean.view(shape)) * factor.view(shape)
    return y if offset is None else y + offset.view(shape)


@op
def layer_normalization(
    x: Array,
    gamma: Array | None = None,
    beta: Array | None = None,
    axis: Axis = -1,
    epsilon: float | None = None,
    **kwargs: Any,
) -> torch.Tensor:
    """``gamma * (x - mean) / sqrt(variance + epsilon) + beta``, mean and variance over `axis`. Ba et al., 2016.

    Computed in float32 at least. gamma, beta: the sizes of `axis`.

    >>> import kerastorch as keras
    >>> keras.ops.layer_normalization([1.0, 3.0])
    tensor([-1.,  1.])
    """
    x, axes, wide = _prepared(x, axis)
    eps = config.epsilon() if epsilon is None else epsilon
    if kwargs.get("rms_scaling"):  # deprecated in Keras: neither the mean nor beta counts
        variance = wide.var(axes, correction=0, keepdim=True)
        y = _times(wide * torch.rsqrt(variance + eps), gamma, axes)
    elif _trailing(x, axes):
        gamma, beta = (None if w is None else w.to(wide.dtype) for w in (gamma, beta))
        y = F.layer_norm(wide, x.shape[axes[0] :], gamma, beta, eps)
    else:
        variance, mean = torch.var_mean(wide, axes, correction=0, keepdim=True)
        y = _times((wide - mean) * torch.rsqrt(variance + eps), gamma, axes)
        y = y if beta is None else y + _along(beta.to(y.dtype), y, axes)
    return y.to(x.dtype)


@op
def rms_normalization(
    x: Array, scale: Array | None = None, axis: Axis = -1, epsilon: float | None = None
) -> torch.Tensor:
    """``scale * x / sqrt(mean(x ** 2) + epsilon)``, the mean over `axis`. Zhang and Sennrich, 2019.

    Computed in float32 at least. scale: the sizes of `axis`.

    >>> import kerastorch as keras
    >>> keras.ops.rms_normalization([3.0, -3.0])
    tensor([ 1., -1.])
    """
    x, axes, wide = _prepared(x, axis)
    eps = config.epsilon() if epsilon is None else epsilon
    if _trailing(x, axes) and (scale is None or scale.shape == x.shape[axes[0] :]):
        scale = None if scale is None else scale.to(wide.dtype)
        return F.rms_norm(wide, x.shape[axes[0] :], scale, eps).to(x.dtype)
    mean = wide.square().mean(axes, keepdim=True)
    return _times(wide * torch.rsqrt(mean + eps), scale, axes).to(x.dtype)


@op
def normalize(
    x: Array, axis: Axis = -1, order: int = 2, epsilon: float | None = None
) -> torch.Tensor:
    """``x / max(norm(x), epsilon)``, with the `order`-norm of the vectors along `axis`, one axis or several.

    >>> import kerastorch as keras
    >>> keras.ops.normalize([3.0, 4.0])
    tensor([0.6000, 0.8000])
    """
    if not isinstance(order, int) or order < 1:
        raise ValueError(f"`order` must be an integer >= 1, received {order!r}.")
    x = floating(x) if x.ndim else floating(x).unsqueeze(0)
    norm = torch.linalg.vector_norm(x, order, axes_of(x, axis), keepdim=True)
    return x / norm.clamp_min(config.epsilon() if epsilon is None else epsilon)


def _prepared(x: torch.Tensor, axis: Axis) -> tuple[torch.Tensor, tuple[int, ...], torch.Tensor]:
    """`x` with at least one axis, the sorted axes, and `x` in float32 at least."""
    x = floating(x) if x.ndim else floating(x).unsqueeze(0)
    return x, tuple(sorted(axes_of(x, axis))), x.to(torch.promote_types(x.dtype, torch.float32))


def _trailing(x: torch.Tensor, axes: tuple[int, ...]) -> bool:
    """Whether `axes` are the last ones, for which torch has kernels."""
    return axes == tuple(range(x.ndim - len(axes), x.ndim))


def _along(weight: torch.Tensor, x: torch.Tensor, axes: tuple[int, ...]) -> torch.Tensor:
    """`weight` of the sizes of `axes` beside `x`; what has all axes stays."""
    if weight.ndim == x.ndim or weight.ndim != len(axes):
        return weight
    return weight.view([n if d in axes else 1 for d, n in enumerate(x.shape)])


def _times(x: torch.Tensor, weight: torch.Tensor | None, axes: tuple[int, ...]) -> torch.Tensor:
    return x if weight is None else x * _along(weight.to(x.dtype), x, axes)
