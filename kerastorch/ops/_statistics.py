"""Means, spreads and quantiles along axes. Integers become `floatx`."""

from __future__ import annotations

from collections.abc import Callable

import torch

from kerastorch.ops._op import Array, Axis, axes_of, floating, op, promoted
from kerastorch.ops._reductions import merged, reduced, restored


@op
def mean(x: Array, axis: Axis = None, keepdims: bool = False) -> torch.Tensor:
    """The mean along `axis`, or of all entries.

    >>> import kerastorch as keras
    >>> keras.ops.mean([[1, 2], [3, 4]], axis=0)
    tensor([2., 3.])
    """
    return reduced(torch.mean, floating(x), axis, keepdims)


@op
def average(x: Array, axis: Axis = None, weights: Array = None) -> torch.Tensor:
    """``sum(weights * x) / sum(weights)`` along `axis`. `weights` have the shape of `x`, or only the
    axes `axis` of it; None are equal weights.

    >>> import kerastorch as keras
    >>> keras.ops.average([[1.0, 2.0], [3.0, 4.0]], axis=1, weights=[3.0, 1.0])
    tensor([1.2500, 3.2500])
    """
    axes = axes_of(x, axis)
    if weights is None:
        return reduced(torch.mean, floating(x), axes, False)
    values, shares = (floating(t) for t in promoted(x, _along(axes, x, weights)))
    total = reduced(torch.sum, shares, axes, False)
    return reduced(torch.sum, values * shares, axes, False) / total


def _along(axes: tuple[int, ...], x: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """`weights` of the axes `axes` as wide as `x`."""
    if weights.shape == x.shape:
        return weights
    expected = tuple(x.shape[a] for a in axes)
    if weights.shape != expected:
        raise ValueError(
            f"average: `weights` must have the shape of `x`, {tuple(x.shape)}, or that of the axes in "
            f"`axis`, {expected}; received {tuple(weights.shape)}."
        )
    weights = weights.permute([axes.index(a) for a in sorted(axes)])
    for a in range(x.ndim):
        weights = weights if a in axes else weights.unsqueeze(a)
    return weights.expand(x.shape)


@op
def var(x: Array, axis: Axis = None, keepdims: bool = False) -> torch.Tensor:
    """The variance along `axis`: the mean squared distance from the mean.

    >>> import kerastorch as keras
    >>> keras.ops.var([[1.0, 3.0], [2.0, 2.0]], axis=1)
    tensor([1., 0.])
    """
    return _spread(torch.var, floating(x), axis, keepdims)


@op
def std(x: Array, axis: Axis = None, keepdims: bool = False) -> torch.Tensor:
    """The standard deviation along `axis`: the root of the variance.

    >>> import kerastorch as keras
    >>> keras.ops.std([[1.0, 3.0], [2.0, 2.0]], axis=1)
    tensor([1., 0.])
    """
    return _spread(torch.std, floating(x), axis, keepdims)


def _spread(
    kernel: Callable[..., torch.Tensor], x: torch.Tensor, axis: Axis, keepdims: bool
) -> torch.Tensor:
    axes = axes_of(x, axis)
    return kernel(x, axes, correction=0, keepdim=keepdims) if axes else x - x


# -- quantiles -------------------------------------------------------------------------------------

_METHODS = ("linear", "lower", "higher", "midpoint", "nearest")


def quantiles(
    kernel: Callable[..., torch.Tensor],
    x: torch.Tensor,
    q: torch.Tensor,
    axis: Axis,
    method: str,
    keepdims: bool,
    parts: int = 1,
) -> torch.Tensor:
    """`kernel` is torch's with or without NaN. `q` counts `parts` of the whole; its axis comes first.
    Computed in float32 at least."""
    if method not in _METHODS:
        raise ValueError(f"`method` must be one of {_METHODS}, received {method!r}.")
    axes = axes_of(x, axis)
    x = floating(x)
    dtype = torch.promote_types(x.dtype, torch.float32)
    y = kernel(merged(x, axes).to(dtype), q.to(dtype) / parts, -1, interpolation=method)
    y = restored(y, tuple(a + q.ndim for a in axes)) if keepdims else y
    return y.to(x.dtype)


def half(x: torch.Tensor) -> torch.Tensor:
    """The `q` of the median."""
    return torch.full((), 0.5, device=x.device)


@op
def quantile(
    x: Array, q: Array, axis: Axis = None, method: str = "linear", keepdims: bool = False
) -> torch.Tensor:
    """What a share `q` of the entries along `axis` is below: 0 the least, 1 the greatest.

    `method` says what is taken between two entries: ``"linear"``, ``"lower"``, ``"higher"``,
    ``"midpoint"`` or ``"nearest"``. Several `q` come first in the shape.

    >>> import kerastorch as keras
    >>> keras.ops.quantile([1.0, 2.0, 3.0, 4.0, 5.0], [0.25, 0.9])
    tensor([2.0000, 4.6000])
    """
    return quantiles(torch.quantile, x, q, axis, method, keepdims)


@op
def percentile(
    x: Array, q: Array, axis: Axis = None, method: str = "linear", keepdims: bool = False
) -> torch.Tensor:
    """`quantile` with `q` between 0 and 100.

    >>> import kerastorch as keras
    >>> keras.ops.percentile([1.0, 2.0, 3.0, 4.0, 5.0], [25, 90])
    tensor([2.0000, 4.6000])
    """
    return quantiles(torch.quantile, x, q, axis, method, keepdims, parts=100)


@op
def median(x: Array, axis: Axis = None, keepdims: bool = False) -> torch.Tensor:
    """What half of the entries along `axis` are below: between two the mean of them.

    >>> import kerastorch as keras
    >>> keras.ops.median([[1.0, 2.0, 9.0, 3.0], [7.0, 5.0, 6.0, 4.0]], axis=1)
    tensor([2.5000, 5.5000])
    """
    return quantiles(torch.quantile, x, half(x), axis, "linear", keepdims)
