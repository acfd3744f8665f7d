"""The functions, by family: rectifiers, sigmoids, smooth gates, shrinkers, distributions.

`x` is any tensor, symbolic ones included: only torch functions touch it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

_ARRAYS = (np.ndarray, np.generic, list, tuple, int, float)


def _tensor(x: Any) -> Any:
    return torch.as_tensor(x) if isinstance(x, _ARRAYS) else x


def linear(x: Tensor) -> Tensor:
    """``x``: the activation that is none.

    >>> linear(3.0)
    3.0
    """
    return x


# -- rectifiers --------------------------------------------------------------------------------


def relu(
    x: Tensor,
    negative_slope: float = 0.0,
    max_value: float | None = None,
    threshold: float = 0.0,
) -> Tensor:
    """Rectified linear unit: ``max(x, 0)``, and its variants.

    - ``x`` above `threshold`, but at most `max_value`;
    - ``negative_slope * (x - threshold)`` below it.

    >>> relu([-2.0, 0.5, 8.0]), relu([-2.0, 0.5, 8.0], 0.1, max_value=6.0, threshold=1.0)
    (tensor([0.0000, 0.5000, 8.0000]), tensor([-0.3000, -0.0500,  6.0000]))
    """
    x = _tensor(x)
    if threshold == 0.0:
        y = F.leaky_relu(x, negative_slope) if negative_slope else F.relu(x)
    elif negative_slope == 0.0:
        y = F.threshold(x, threshold, 0.0)
    else:
        y = torch.where(x > threshold, x, negative_slope * (x - threshold))
    return y if max_value is None else y.clamp(max=max_value)


def leaky_relu(x: Tensor, negative_slope: float = 0.2) -> Tensor:
    """``x`` if positive, else ``negative_slope * x``.

    >>> leaky_relu([-5.0, 1.0])
    tensor([-1.,  1.])
    """
    return F.leaky_relu(_tensor(x), negative_slope)


def relu6(x: Tensor) -> Tensor:
    """``min(max(x, 0), 6)`` (MobileNet).

    >>> relu6([-1.0, 3.0, 9.0])
    tensor([0., 3., 6.])
    """
    return F.relu6(_tensor(x))


def elu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """Exponential linear unit: ``x`` if positive, else ``alpha * (exp(x) - 1)``.

    Clevert et al., 2016, arXiv:1511.07289.

    >>> elu([-100.0, 1.0])
    tensor([-1.,  1.])
    """
    return F.elu(_tensor(x), alpha)


def selu(x: Tensor) -> Tensor:
    """Self-normalising `elu`: ``1.0507 * elu(x, 1.67326)``, which keeps mean 0 and variance 1.

    For weights from `LecunNormal` and with `AlphaDropout`. Klambauer et al., 2017,
    arXiv:1706.02515.

    >>> selu([0.0, 1.0])
    tensor([0.0000, 1.0507])
    """
    return F.selu(_tensor(x))


def celu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """``x`` if positive, else ``alpha * (exp(x / alpha) - 1)``: `elu` with a continuous slope.

    Barron, 2017, arXiv:1704.07483.

    >>> celu([-100.0, 1.0], alpha=0.5)
    tensor([-0.5000,  1.0000])
    """
    return F.celu(_tensor(x), alpha)


def threshold(x: Tensor, threshold: float, default_value: float) -> Tensor:
    """``x`` above `threshold`, else `default_value`.

    >>> threshold([0.5, 2.0], 1.0, -1.0)
    tensor([-1.,  2.])
    """
    return F.threshold(_tensor(x), threshold, default_value)


# -- sigmoids ----------------------------------------------------------------------------------


def sigmoid(x: Tensor) -> Tensor:
    """``1 / (1 + exp(-x))``, from 0 to 1.

    >>> sigmoid([0.0])
    tensor([0.5000])
    """
    return torch.sigmoid(_tensor(x))


def log_sigmoid(x: Tensor) -> Tensor:
    """``log(sigmoid(x))``, without overflow.

    >>> log_sigmoid([-1000.0])
    tensor([-1000.])
    """
    return F.logsigmoid(_tensor(x))


def hard_sigmoid(x: Tensor) -> Tensor:
    """``x / 6 + 1 / 2``, cut to [0, 1].

    >>> hard_sigmoid([-4.0, 0.0, 3.0])
    tensor([0.0000, 0.5000, 1.0000])
    """
    return F.hardsigmoid(_tensor(x))


def sparse_sigmoid(x: Tensor) -> Tensor:
    """``(x + 1) / 2``, cut to [0, 1]: the slope of `sparse_plus`.

    Blondel et al., 2019, arXiv:1901.02324.

    >>> sparse_sigmoid([-2.0, 0.0, 2.0])
    tensor([0.0000, 0.5000, 1.0000])
    """
    return (F.hardtanh(_tensor(x)) + 1) / 2


def tanh(x: Tensor) -> Tensor:
    """Hyperbolic tangent: ``(exp(x) - exp(-x)) / (exp(x) + exp(-x))``, from -1 to 1.

    >>> tanh([0.0, 100.0])
    tensor([0., 1.])
    """
    return torch.tanh(_tensor(x))


def hard_tanh(x: Tensor) -> Tensor:
    """``x``, cut to [-1, 1].

    >>> hard_tanh([-2.0, 0.3])
    tensor([-1.0000,  0.3000])
    """
    return F.hardtanh(_tensor(x))


def softsign(x: Tensor) -> Tensor:
    """``x / (1 + |x|)``, from -1 to 1.

    >>> softsign([-1.0, 3.0])
    tensor([-0.5000,  0.7500])
    """
    return F.softsign(_tensor(x))


# -- smooth gates ------------------------------------------------------------------------------


def softplus(x: Tensor) -> Tensor:
    """``log(1 + exp(x))``: a smooth `relu`.

    >>> softplus([0.0, 100.0])
    tensor([  0.6931, 100.0000])
    """
    return F.softplus(_tensor(x))


def squareplus(x: Tensor, b: float = 4) -> Tensor:
    """``(x + sqrt(x**2 + b)) / 2``: a smooth `relu` without exponentials; `b` is the curvature.

    Barron, 2021, arXiv:2112.11687.

    >>> squareplus([0.0, 1.5])
    tensor([1., 2.])
    """
    x = _tensor(x)
    return (x + torch.sqrt(x * x + b)) / 2


def sparse_plus(x: Tensor) -> Tensor:
    """0 up to -1, ``(x + 1)**2 / 4`` up to 1, then ``x``: a `softplus` with exact zeros.

    >>> sparse_plus([-2.0, 0.0, 3.0])
    tensor([0.0000, 0.2500, 3.0000])
    """
    x = _tensor(x)
    return torch.where(x < 1, torch.square(F.relu(x + 1)) / 4, x)


def silu(x: Tensor) -> Tensor:
    """``x * sigmoid(x)``, also called swish. Ramachandran et al., 2017, arXiv:1710.05941.

    >>> silu([0.0, 100.0])
    tensor([  0., 100.])
    """
    return F.silu(_tensor(x))


swish = silu


def hard_silu(x: Tensor) -> Tensor:
    """``x * hard_sigmoid(x)``, also called hard swish. Howard et al., 2019, arXiv:1905.02244.

    >>> hard_silu([-3.0, 3.0])
    tensor([-0.,  3.])
    """
    return F.hardswish(_tensor(x))


hard_swish = hard_silu


def gelu(x: Tensor, approximate: bool = False) -> Tensor:
    """``x * P(X <= x)`` for a standard normal ``X``: ``x * (1 + erf(x / sqrt(2))) / 2``.

    `approximate` takes ``0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))`` instead.
    Hendrycks and Gimpel, 2016, arXiv:1606.08415.

    >>> gelu([0.0, 1.0])
    tensor([0.0000, 0.8413])
    """
    return F.gelu(_tensor(x), approximate="tanh" if approximate else "none")


def mish(x: Tensor) -> Tensor:
    """``x * tanh(softplus(x))``. Misra, 2019, arXiv:1908.08681.

    >>> mish([0.0, 1.0])
    tensor([0.0000, 0.8651])
    """
    return F.mish(_tensor(x))


def glu(x: Tensor, axis: int = -1) -> Tensor:
    """``a * sigmoid(b)``, where ``a`` and ``b`` are the halves of `x` along `axis`.

    The size of `axis` must be even. Dauphin et al., 2017, arXiv:1612.08083.

    >>> glu([4.0, 0.0])
    tensor([2.])
    """
    return F.glu(_tensor(x), axis)


def exponential(x: Tensor) -> Tensor:
    """``exp(x)``.

    >>> exponential([0.0])
    tensor([1.])
    """
    return torch.exp(_tensor(x))


# -- shrinkers ---------------------------------------------------------------------------------


def hard_shrink(x: Tensor, threshold: float = 0.5) -> Tensor:
    """``x`` where ``|x| > threshold``, else 0.

    >>> hard_shrink([-2.0, 0.4])
    tensor([-2.,  0.])
    """
    return F.hardshrink(_tensor(x), threshold)


def soft_shrink(x: Tensor, threshold: float = 0.5) -> Tensor:
    """``x`` moved towards 0 by `threshold`, 0 if it is nearer.

    >>> soft_shrink([-2.0, 0.4])
    tensor([-1.5000,  0.0000])
    """
    return F.softshrink(_tensor(x), threshold)


def tanh_shrink(x: Tensor) -> Tensor:
    """``x - tanh(x)``.

    >>> tanh_shrink([0.0, 100.0])
    tensor([ 0., 99.])
    """
    return F.tanhshrink(_tensor(x))


# -- distributions -----------------------------------------------------------------------------


def softmax(x: Tensor, axis: int | Sequence[int] | None = -1) -> Tensor:
    """``exp(x) / sum(exp(x))``: probabilities that add up to 1 over `axis`.

    `axis` may be several axes, taken as one, or None for all.

    >>> softmax([0.0, 0.0])
    tensor([0.5000, 0.5000])
    """
    if not isinstance(axis, int):
        return torch.exp(log_softmax(x, axis))
    p = torch.softmax(_tensor(x), axis)
    if type(p) is Tensor and not (
        p.requires_grad or torch.compiler.is_compiling() or p.is_inference()
    ):
        p._sums_to_one = axis % max(p.ndim, 1), p._version  # type: ignore[attr-defined]
    return p


def sums_to_one(p: Tensor, axis: int) -> bool:
    """Whether `p` is known to be what a softmax over `axis` gave, unchanged since."""
    if torch.compiler.is_compiling():
        return False
    made_by: Any = p.grad_fn
    if made_by is None:
        mark = getattr(p, "_sums_to_one", None)
        return mark is not None and mark == (axis % p.ndim, p._version)
    if made_by.name() != "SoftmaxBackward0":
        return False
    saved = made_by._saved_dim
    return axis % p.ndim == (p.ndim - 1 if saved == _MINUS_ONE else saved)


_MINUS_ONE = 2**64 - 1  # how autograd shows a saved axis of -1


def log_softmax(x: Tensor, axis: int | Sequence[int] | None = -1) -> Tensor:
    """``x - log(sum(exp(x)))``: the logarithm of `softmax`, without overflow.

    >>> log_softmax([1000.0, 0.0])
    tensor([    0., -1000.])
    """
    x = _tensor(x)
    if isinstance(axis, int):
        return torch.log_softmax(x, axis)
    axes = tuple(range(x.ndim)) if axis is None else tuple(axis)
    return x - torch.logsumexp(x, axes, keepdim=True)


def sparsemax(x: Tensor, axis: int = -1) -> Tensor:
    """The nearest probabilities to `x`, many of them exactly 0: ``max(x - tau, 0)``.

    `tau` is such that they add up to 1 over `axis`. Martins and Astudillo, 2016, arXiv:1602.02068.

    >>> sparsemax([0.6, 0.5, -1.0])
    tensor([0.5500, 0.4500, 0.0000])
    """
    x = _tensor(x)
    x = x - x.amax(axis, keepdim=True).detach()  # the result is the same, the sums are exact
    ranked = torch.sort(x, dim=axis, descending=True).values
    rank = torch.ones_like(x).cumsum(axis)
    above = ranked.cumsum(axis) - 1  # of the k largest: their sum, less 1
    kept = rank * ranked > above
    size = kept.sum(axis, keepdim=True)
    tau = (torch.where(kept, ranked, 0).sum(axis, keepdim=True) - 1) / size
    return F.relu(x - tau)
