"""Activations: those of `kerastorch.activations` as operations. Integers become `floatx` where the values do."""

from __future__ import annotations

import torch

from kerastorch import activations
from kerastorch.ops._op import Array, Axis, floating, op

# -- rectifiers ------------------------------------------------------------------------------------


@op
def relu(x: Array) -> torch.Tensor:
    """``max(x, 0)``.

    >>> import kerastorch as keras
    >>> keras.ops.relu([-1.0, 2.0])
    tensor([0., 2.])
    """
    return activations.relu(x)


@op
def relu6(x: Array) -> torch.Tensor:
    """``min(max(x, 0), 6)``.

    >>> import kerastorch as keras
    >>> keras.ops.relu6([-1.0, 3.0, 9.0])
    tensor([0., 3., 6.])
    """
    return activations.relu6(x)


@op
def leaky_relu(x: Array, negative_slope: float = 0.2) -> torch.Tensor:
    """``x`` if positive, else ``negative_slope * x``.

    >>> import kerastorch as keras
    >>> keras.ops.leaky_relu([-5.0, 1.0])
    tensor([-1.,  1.])
    """
    return activations.leaky_relu(floating(x), negative_slope)


@op
def elu(x: Array, alpha: float = 1.0) -> torch.Tensor:
    """``x`` if positive, else ``alpha * (exp(x) - 1)``. Clevert et al., 2016, arXiv:1511.07289.

    >>> import kerastorch as keras
    >>> keras.ops.elu([-100.0, 1.0])
    tensor([-1.,  1.])
    """
    return activations.elu(floating(x), alpha)


@op
def selu(x: Array) -> torch.Tensor:
    """``1.0507 * elu(x, 1.67326)``. Klambauer et al., 2017, arXiv:1706.02515.

    >>> import kerastorch as keras
    >>> keras.ops.selu([0.0, 1.0])
    tensor([0.0000, 1.0507])
    """
    return activations.selu(floating(x))


@op
def celu(x: Array, alpha: float = 1.0) -> torch.Tensor:
    """``x`` if positive, else ``alpha * (exp(x / alpha) - 1)``. Barron, 2017, arXiv:1704.07483.

    >>> import kerastorch as keras
    >>> keras.ops.celu([-100.0, 1.0], alpha=0.5)
    tensor([-0.5000,  1.0000])
    """
    return activations.celu(floating(x), alpha)


@op
def threshold(x: Array, threshold: float, default_value: float) -> torch.Tensor:
    """``x`` above `threshold`, else `default_value`.

    >>> import kerastorch as keras
    >>> keras.ops.threshold([0.5, 2.0], 1.0, -1.0)
    tensor([-1.,  2.])
    """
    return activations.threshold(x, threshold, default_value)


# -- sigmoids --------------------------------------------------------------------------------------


@op
def sigmoid(x: Array) -> torch.Tensor:
    """``1 / (1 + exp(-x))``.

    >>> import kerastorch as keras
    >>> keras.ops.sigmoid([0.0])
    tensor([0.5000])
    """
    return activations.sigmoid(floating(x))


@op
def log_sigmoid(x: Array) -> torch.Tensor:
    """``log(sigmoid(x))``, without overflow.

    >>> import kerastorch as keras
    >>> keras.ops.log_sigmoid([-1000.0])
    tensor([-1000.])
    """
    return activations.log_sigmoid(floating(x))


@op
def hard_sigmoid(x: Array) -> torch.Tensor:
    """``x / 6 + 1 / 2``, cut to [0, 1].

    >>> import kerastorch as keras
    >>> keras.ops.hard_sigmoid([-4.0, 0.0, 3.0])
    tensor([0.0000, 0.5000, 1.0000])
    """
    return activations.hard_sigmoid(floating(x))


@op
def sparse_sigmoid(x: Array) -> torch.Tensor:
    """``(x + 1) / 2``, cut to [0, 1]. Blondel et al., 2019, arXiv:1901.02324.

    >>> import kerastorch as keras
    >>> keras.ops.sparse_sigmoid([-2.0, 0.0, 2.0])
    tensor([0.0000, 0.5000, 1.0000])
    """
    return activations.sparse_sigmoid(floating(x))


@op
def hard_tanh(x: Array) -> torch.Tensor:
    """``x``, cut to [-1, 1].

    >>> import kerastorch as keras
    >>> keras.ops.hard_tanh([-2.0, 0.3])
    tensor([-1.0000,  0.3000])
    """
    return activations.hard_tanh(x)


@op
def softsign(x: Array) -> torch.Tensor:
    """``x / (1 + |x|)``.

    >>> import kerastorch as keras
    >>> keras.ops.softsign([-1.0, 3.0])
    tensor([-0.5000,  0.7500])
    """
    return activations.softsign(floating(x))


# -- smooth gates ----------------------------------------------------------------------------------


@op
def softplus(x: Array) -> torch.Tensor:
    """``log(1 + exp(x))``.

    >>> import kerastorch as keras
    >>> keras.ops.softplus([0.0, 100.0])
    tensor([  0.6931, 100.0000])
    """
    return activations.softplus(floating(x))


@op
def squareplus(x: Array, b: float = 4) -> torch.Tensor:
    """``(x + sqrt(x**2 + b)) / 2``. Barron, 2021, arXiv:2112.11687.

    >>> import kerastorch as keras
    >>> keras.ops.squareplus([0.0, 1.5])
    tensor([1., 2.])
    """
    return activations.squareplus(floating(x), b)


@op
def sparse_plus(x: Array) -> torch.Tensor:
    """0 up to -1, ``(x + 1)**2 / 4`` up to 1, then ``x``.

    >>> import kerastorch as keras
    >>> keras.ops.sparse_plus([-2.0, 0.0, 3.0])
    tensor([0.0000, 0.2500, 3.0000])
    """
    return activations.sparse_plus(floating(x))


@op
def silu(x: Array) -> torch.Tensor:
    """``x * sigmoid(x)``, also called swish. Ramachandran et al., 2017, arXiv:1710.05941.

    >>> import kerastorch as keras
    >>> keras.ops.silu([0.0, 100.0])
    tensor([  0., 100.])
    """
    return activations.silu(floating(x))


swish = silu


@op
def hard_silu(x: Array) -> torch.Tensor:
    """``x * hard_sigmoid(x)``, also called hard swish. Howard et al., 2019, arXiv:1905.02244.

    >>> import kerastorch as keras
    >>> keras.ops.hard_silu([-3.0, 3.0])
    tensor([-0.,  3.])
    """
    return activations.hard_silu(floating(x))


hard_swish = hard_silu


@op
def gelu(x: Array, approximate: bool = True) -> torch.Tensor:
    """``x * P(X <= x)`` for a standard normal ``X``, by default with tanh in place of the error function.

    Hendrycks and Gimpel, 2016, arXiv:1606.08415.

    >>> import kerastorch as keras
    >>> keras.ops.gelu([0.0, 1.0]), keras.ops.gelu([0.0, 1.0], approximate=False)
    (tensor([0.0000, 0.8412]), tensor([0.0000, 0.8413]))
    """
    return activations.gelu(floating(x), approximate)


@op
def glu(x: Array, axis: int = -1) -> torch.Tensor:
    """``a * sigmoid(b)`` of the halves of `x` along `axis`. Dauphin et al., 2017, arXiv:1612.08083.

    >>> import kerastorch as keras
    >>> keras.ops.glu([4.0, 0.0])
    tensor([2.])
    """
    return activations.glu(floating(x), axis)


# -- shrinkers -------------------------------------------------------------------------------------


@op
def hard_shrink(x: Array, threshold: float = 0.5) -> torch.Tensor:
    """``x`` where ``|x| > threshold``, else 0.

    >>> import kerastorch as keras
    >>> keras.ops.hard_shrink([-2.0, 0.4])
    tensor([-2.,  0.])
    """
    return activations.hard_shrink(floating(x), threshold)


@op
def soft_shrink(x: Array, threshold: float = 0.5) -> torch.Tensor:
    """``x`` moved towards 0 by `threshold`, 0 if it is nearer.

    >>> import kerastorch as keras
    >>> keras.ops.soft_shrink([-2.0, 0.4])
    tensor([-1.5000,  0.0000])
    """
    return activations.soft_shrink(floating(x), threshold)


@op
def tanh_shrink(x: Array) -> torch.Tensor:
    """``x - tanh(x)``.

    >>> import kerastorch as keras
    >>> keras.ops.tanh_shrink([0.0, 100.0])
    tensor([ 0., 99.])
    """
    return activations.tanh_shrink(floating(x))


# -- distributions ---------------------------------------------------------------------------------


@op
def softmax(x: Array, axis: Axis = -1) -> torch.Tensor:
    """``exp(x) / sum(exp(x))`` over `axis`; several axes are taken as one, None are all.

    >>> import kerastorch as keras
    >>> keras.ops.softmax([0.0, 0.0])
    tensor([0.5000, 0.5000])
    """
    return activations.softmax(floating(x), axis)


@op
def log_softmax(x: Array, axis: Axis = -1) -> torch.Tensor:
    """``x - log(sum(exp(x)))`` over `axis`; several axes are taken as one, None are all.

    >>> import kerastorch as keras
    >>> keras.ops.log_softmax([1000.0, 0.0])
    tensor([    0., -1000.])
    """
    return activations.log_softmax(floating(x), axis)


@op
def sparsemax(x: Array, axis: int = -1) -> torch.Tensor:
    """The nearest probabilities to `x`, many of them 0. Martins and Astudillo, 2016, arXiv:1602.02068.

    >>> import kerastorch as keras
    >>> keras.ops.sparsemax([0.6, 0.5, -1.0])
    tensor([0.5500, 0.4500, 0.0000])
    """
    return activations.sparsemax(floating(x), axis)
