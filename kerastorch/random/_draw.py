"""The distributions. The simplest fill a tensor in place, the others are made of those."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from kerastorch.config import standardize_dtype
from kerastorch.random._seed import Seed, fill, generator, shape_only, stream

DType: TypeAlias = str | torch.dtype | None


def normal(
    shape: Sequence[int],
    mean: float = 0.0,
    stddev: float = 1.0,
    dtype: DType = None,
    seed: Seed = None,
) -> Tensor:
    """Normal (Gaussian) numbers of the given mean and standard deviation; `dtype` is floating.

    >>> from kerastorch import random
    >>> random.normal((2, 3), mean=10.0).shape
    torch.Size([2, 3])
    """
    return fill("normal_", (mean, stddev), shape, _floating(dtype, "normal"), stream(seed))


def uniform(
    shape: Sequence[int],
    minval: float = 0.0,
    maxval: float = 1.0,
    dtype: DType = None,
    seed: Seed = None,
) -> Tensor:
    """Numbers spread evenly over ``[minval, maxval)``; `dtype` is floating.

    >>> from kerastorch import random
    >>> bool((random.uniform((100,), -1, 1).abs() <= 1).all())
    True
    """
    return fill("uniform_", (minval, maxval), shape, _floating(dtype, "uniform"), stream(seed))


def truncated_normal(
    shape: Sequence[int],
    mean: float = 0.0,
    stddev: float = 1.0,
    dtype: DType = None,
    seed: Seed = None,
) -> Tensor:
    """Normal numbers, given that they lie within two `stddev` of `mean`.

    `stddev` is that of the normal distribution before the cut; afterwards it is 0.8796 of it.
    Drawn by inversion: ``sqrt(2) * erfinv(u)`` with ``u`` uniform in ``±erf(sqrt(2))``.

    >>> from kerastorch import random
    >>> bool((random.truncated_normal((1000,), stddev=0.5).abs() <= 1).all())
    True
    """
    result, work = _precision(_floating(dtype, "truncated_normal"))
    edge = math.erf(math.sqrt(2.0))
    x = fill("uniform_", (-edge, edge), shape, work, stream(seed))
    x = x.erfinv_().mul_(math.sqrt(2.0)).clamp_(-2.0, 2.0)
    return x.mul_(stddev).add_(mean).to(result)


def randint(
    shape: Sequence[int],
    minval: int,
    maxval: int,
    dtype: DType = "int32",
    seed: Seed = None,
) -> Tensor:
    """Integers spread evenly over ``[minval, maxval)``; `dtype` is an integer type.

    >>> from kerastorch import random
    >>> random.randint((4,), 7, 8)
    tensor([7, 7, 7, 7], dtype=torch.int32)
    """
    result = standardize_dtype("int32" if dtype is None else dtype)
    if result.is_floating_point or result.is_complex or result == torch.bool:
        raise ValueError(f"randint: `dtype` must be an integer type, received {dtype!r}.")
    return _integers(int(minval), int(maxval), shape, seed).to(result)


def categorical(
    logits: Tensor, num_samples: int, dtype: DType = "int32", seed: Seed = None
) -> Tensor:
    """Class indices, drawn with replacement from the distribution of each row.

    `logits` is ``(batch, classes)``, unnormalised log-probabilities; the result is
    ``(batch, num_samples)``.

    >>> import torch
    >>> from kerastorch import random
    >>> random.categorical(torch.tensor([[0.0, 99.0], [99.0, 0.0]]), 3)
    tensor([[1, 1, 1],
            [0, 0, 0]], dtype=torch.int32)
    """
    logits = _tensor(logits)
    if logits.ndim != 2:
        raise ValueError(
            "categorical: `logits` must have the shape (batch, classes), "
            f"received {tuple(logits.shape)}."
        )
    probabilities = torch.softmax(logits, -1, dtype=torch.float32)
    state = None if shape_only(probabilities) else stream(seed)
    draws = torch.multinomial(
        probabilities, num_samples, replacement=True, generator=generator(state, logits.device)
    )
    return draws.to(standardize_dtype("int32" if dtype is None else dtype))


def dropout(
    inputs: Tensor,
    rate: float,
    noise_shape: Sequence[int | None] | None = None,
    seed: Seed = None,
) -> Tensor:
    """Zeros with probability `rate`, ``inputs / (1 - rate)`` elsewhere: the mean is kept.

    `noise_shape` is the shape of the mask, broadcast to `inputs`: 1 where an axis shares one
    decision, None or -1 for the size of that axis (Srivastava et al., 2014).

    >>> import torch
    >>> from kerastorch import random
    >>> random.dropout(torch.ones(2, 2), 0.0)
    tensor([[1., 1.],
            [1., 1.]])
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"dropout: `rate` is a probability from 0 to 1, received {rate!r}.")
    state = stream(seed)
    if noise_shape is None and state is None:
        return F.dropout(inputs, rate, training=True)
    if noise_shape is not None and len(noise_shape) != inputs.ndim:
        raise ValueError(
            f"dropout: `noise_shape` {tuple(noise_shape)} needs one entry for each axis of "
            f"`inputs`, which has the shape {tuple(inputs.shape)}. Use None for a full axis."
        )
    if rate == 0:
        return inputs
    if rate == 1:
        return torch.zeros_like(inputs)
    sizes = zip(noise_shape or inputs.shape, inputs.shape, strict=True)
    shape = [full if size in (None, -1) else size for size, full in sizes]
    mask = fill("bernoulli_", (1 - rate,), shape, inputs.dtype, state, inputs.device)
    return inputs * mask.div_(1 - rate)


def shuffle(x: Tensor, axis: int = 0, seed: Seed = None) -> Tensor:
    """The slices of `x` along `axis` in random order; what is inside a slice stays together.

    >>> import torch
    >>> from kerastorch import random
    >>> random.shuffle(torch.arange(4), seed=0).sort().values
    tensor([0, 1, 2, 3])
    """
    x = _tensor(x)
    keys = _integers(0, 2**63 - 1, (x.shape[axis],), seed, x.device)
    return x.index_select(axis, keys.argsort())


def gamma(
    shape: Sequence[int], alpha: float | Tensor, dtype: DType = None, seed: Seed = None
) -> Tensor:
    """Gamma numbers of concentration `alpha` and rate 1; `alpha` broadcasts to `shape`.

    >>> from kerastorch import random
    >>> bool((random.gamma((5,), 3.0) > 0).all())
    True
    """
    return _sample(torch._standard_gamma, (alpha,), shape, _floating(dtype, "gamma"), seed)


def beta(
    shape: Sequence[int],
    alpha: float | Tensor,
    beta: float | Tensor,
    dtype: DType = None,
    seed: Seed = None,
) -> Tensor:
    """Beta numbers, in [0, 1], of the two concentrations, which broadcast to `shape`.

    >>> from kerastorch import random
    >>> bool((random.beta((5,), 2.0, 3.0) < 1).all())
    True
    """
    return _sample(_ratio_of_gammas, (alpha, beta), shape, _floating(dtype, "beta"), seed)


def binomial(
    shape: Sequence[int],
    counts: float | Tensor,
    probabilities: float | Tensor,
    dtype: DType = None,
    seed: Seed = None,
) -> Tensor:
    """Numbers of successes in `counts` trials of the given probability; both broadcast to `shape`.

    >>> from kerastorch import random
    >>> random.binomial((2,), 5, 1.0)
    tensor([5., 5.])
    """
    parameters = (counts, probabilities)
    return _sample(torch.binomial, parameters, shape, _floating(dtype, "binomial"), seed)


def _integers(
    low: int, high: int, shape: Sequence[int], seed: Seed, device: torch.device | None = None
) -> Tensor:
    state = stream(seed)
    if state is None:  # torch.compile knows randint, but not random_
        return torch.randint(low, high, tuple(shape), device=device)
    return fill("random_", (low, high), shape, torch.int64, state, device)


def _ratio_of_gammas(alpha: Tensor, beta: Tensor, generator: torch.Generator | None) -> Tensor:
    """``a / (a + b)`` of two gamma draws, in logarithms: for a small alpha a draw underflows.

    A gamma draw for alpha is one for ``alpha + 1`` times ``u ** (1 / alpha)`` (Marsaglia, 2000).
    """
    concentration = torch.stack((alpha, beta))
    draws = torch._standard_gamma(concentration + 1, generator=generator)
    u = torch.empty_like(draws).uniform_(generator=generator)
    log_a, log_b = draws.log() + u.log() / concentration
    return torch.sigmoid(log_a - log_b)


def _sample(
    function: Callable[..., Tensor],
    parameters: Sequence[Any],
    shape: Sequence[int],
    dtype: torch.dtype,
    seed: Seed,
) -> Tensor:
    """``function(*parameters)`` with the parameters as tensors of `shape`, in float32 or better."""
    result, work = _precision(dtype)
    device = next((p.device for p in parameters if isinstance(p, Tensor)), None)
    sizes = tuple(shape)
    tensors = [torch.as_tensor(p, dtype=work, device=device).expand(sizes) for p in parameters]
    if shape_only(tensors[0]):
        return torch.empty_like(tensors[0], dtype=result)
    return function(*tensors, generator=generator(stream(seed), tensors[0].device)).to(result)


def _tensor(x: Any) -> Tensor:
    return x if isinstance(x, Tensor) else torch.as_tensor(x)


def _floating(dtype: DType, name: str) -> torch.dtype:
    found = standardize_dtype(dtype)
    if not found.is_floating_point:
        raise ValueError(f"{name}: `dtype` must be a floating-point type, received {dtype!r}.")
    return found


def _precision(dtype: torch.dtype) -> tuple[torch.dtype, torch.dtype]:
    """The dtype of the result and the one to compute in: half precision is too coarse."""
    return dtype, torch.promote_types(dtype, torch.float32)
