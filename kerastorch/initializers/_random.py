"""Initializers that draw: fixed distributions, distributions that follow the shape, rotations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from kerastorch import random
from kerastorch.config import standardize_dtype
from kerastorch.initializers._initializer import DType, Initializer, Shape
from kerastorch.random._seed import Seed, stream

# Standard deviation of a standard normal distribution that is cut at 2.
_TRUNCATED_STDDEV = 0.87962566103423978


class _Random(Initializer):
    """Holds the `seed`, which may come from a config."""

    def __init__(self, seed: Seed = None) -> None:
        stream(seed)  # raises if it is no seed
        self.seed = seed


class RandomNormal(_Random):
    """Normal numbers of the given mean and standard deviation.

    >>> RandomNormal(stddev=0.1, seed=1)((2, 2)).shape
    torch.Size([2, 2])
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Seed = None) -> None:
        super().__init__(seed)
        self.mean = mean
        self.stddev = stddev

    def __call__(self, shape: Shape, dtype: DType = None) -> Tensor:
        return random.normal(shape, self.mean, self.stddev, dtype, self.seed)


class TruncatedNormal(_Random):
    """Normal numbers within two `stddev` of `mean`; see `kerastorch.random.truncated_normal`.

    >>> bool((TruncatedNormal(stddev=0.5)((100,)).abs() <= 1.0).all())
    True
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Seed = None) -> None:
        super().__init__(seed)
        self.mean = mean
        self.stddev = stddev

    def __call__(self, shape: Shape, dtype: DType = None) -> Tensor:
        return random.truncated_normal(shape, self.mean, self.stddev, dtype, self.seed)


class RandomUniform(_Random):
    """Numbers spread evenly over ``[minval, maxval)``.

    >>> bool((RandomUniform(-1, 1)((100,)).abs() <= 1.0).all())
    True
    """

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: Seed = None) -> None:
        super().__init__(seed)
        self.minval = minval
        self.maxval = maxval

    def __call__(self, shape: Shape, dtype: DType = None) -> Tensor:
        return random.uniform(shape, self.minval, self.maxval, dtype, self.seed)


class VarianceScaling(_Random):
    """Mean 0 and variance ``scale / n``, so that a signal keeps its size from layer to layer.

    ``n`` is the number of inputs of a unit (`mode` "fan_in"), the number of outputs that an input
    feeds ("fan_out") or their average ("fan_avg"). `distribution` is "truncated_normal",
    "untruncated_normal" or "uniform"; all three have that variance. A matrix is ``(in, out)``, a
    convolution's kernel ``(*window, in, out)``; `input_axes` and `output_axes` together say
    otherwise.

    >>> kernel = VarianceScaling(2.0, "fan_in", "untruncated_normal", seed=0)((400, 100))
    >>> abs(kernel.var().item() - 2.0 / 400) < 1e-3
    True
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: Seed = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        super().__init__(seed)
        if not scale > 0:
            raise ValueError(f"VarianceScaling: `scale` must be positive, received {scale!r}.")
        _one_of("mode", mode, ("fan_in", "fan_out", "fan_avg"))
        distribution = distribution.lower()
        _one_of("distribution", distribution, ("truncated_normal", "untruncated_normal", "uniform"))
        self.scale = scale
        self.mode = mode
        self.distribution = distribution
        self.input_axes = input_axes
        self.output_axes = output_axes

    def __call__(self, shape: Shape, dtype: DType = None) -> Tensor:
        fan_in, fan_out = compute_fans(shape, self.input_axes, self.output_axes)
        fans = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}
        stddev = math.sqrt(self.scale / max(1.0, fans[self.mode]))
        if self.distribution == "uniform":
            limit = math.sqrt(3.0) * stddev
            return random.uniform(shape, -limit, limit, dtype, self.seed)
        if self.distribution == "untruncated_normal":
            return random.normal(shape, 0.0, stddev, dtype, self.seed)
        stddev /= _TRUNCATED_STDDEV
        return random.truncated_normal(shape, 0.0, stddev, dtype, self.seed)


def compute_fans(
    shape: Shape,
    input_axes: Sequence[int] | None = None,
    output_axes: Sequence[int] | None = None,
) -> tuple[int, int]:
    """Numbers of inputs and outputs per unit of a weight.

    >>> compute_fans((3, 3, 16, 32))  # 3 x 3 windows of 16 channels feed 32 channels
    (144, 288)
    """
    if input_axes is not None and output_axes is not None:
        return math.prod(shape[a] for a in input_axes), math.prod(shape[a] for a in output_axes)
    if len(shape) < 2:
        return math.prod(shape), math.prod(shape)
    window = math.prod(shape[:-2])
    return window * shape[-2], window * shape[-1]


def _one_of(name: str, value: str, accepted: tuple[str, ...]) -> None:
    if value not in accepted:
        raise ValueError(
            f"VarianceScaling: `{name}` must be one of {accepted}, received {value!r}."
        )


class _NamedScaling(VarianceScaling):
    """A `VarianceScaling` of which only the seed is open."""

    variant: ClassVar[tuple[float, str, str]]

    def __init__(
        self,
        seed: Seed = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        super().__init__(*self.variant, seed, input_axes, output_axes)


class GlorotUniform(_NamedScaling):
    """Uniform within ``±sqrt(6 / (fan_in + fan_out))``; also called Xavier.

    Glorot and Bengio, 2010, https://proceedings.mlr.press/v9/glorot10a.html.

    >>> bool((GlorotUniform()((3, 3)).abs() <= 1.0).all())
    True
    """

    variant = (1.0, "fan_avg", "uniform")


class GlorotNormal(_NamedScaling):
    """Truncated normal of variance ``2 / (fan_in + fan_out)``; see `GlorotUniform`.

    >>> GlorotNormal()((3, 3)).shape
    torch.Size([3, 3])
    """

    variant = (1.0, "fan_avg", "truncated_normal")


class HeUniform(_NamedScaling):
    """Uniform within ``±sqrt(6 / fan_in)``; see `HeNormal`.

    >>> bool((HeUniform()((6, 3)).abs() <= 1.0).all())
    True
    """

    variant = (2.0, "fan_in", "uniform")


class HeNormal(_NamedScaling):
    """Truncated normal of variance ``2 / fan_in``, for layers with a rectifier.

    He et al., 2015, arXiv:1502.01852.

    >>> HeNormal()((6, 3)).shape
    torch.Size([6, 3])
    """

    variant = (2.0, "fan_in", "truncated_normal")


class LecunUniform(_NamedScaling):
    """Uniform within ``±sqrt(3 / fan_in)``; see `LecunNormal`.

    >>> bool((LecunUniform()((3, 6)).abs() <= 1.0).all())
    True
    """

    variant = (1.0, "fan_in", "uniform")


class LecunNormal(_NamedScaling):
    """Truncated normal of variance ``1 / fan_in``, for layers with `selu`.

    Klambauer et al., 2017, arXiv:1706.02515.

    >>> LecunNormal()((3, 6)).shape
    torch.Size([3, 6])
    """

    variant = (1.0, "fan_in", "truncated_normal")


class Orthogonal(_Random):
    """`gain` times a random matrix with orthonormal columns (rows, if it has fewer rows).

    A shape of more than two axes stands for the matrix ``(shape[0] * ... * shape[-2], shape[-1])``.
    Drawn evenly from all such matrices, by the QR decomposition of a normal one. Saxe et al.,
    2014, arXiv:1312.6120.

    >>> import torch
    >>> q = Orthogonal(seed=0)((5, 3))
    >>> torch.allclose(q.T @ q, torch.eye(3), atol=1e-6)
    True
    """

    def __init__(self, gain: float = 1.0, seed: Seed = None) -> None:
        super().__init__(seed)
        self.gain = gain

    def __call__(self, shape: Shape, dtype: DType = None) -> Tensor:
        if len(shape) < 2:
            raise ValueError(
                f"Orthogonal: expected a shape of two or more axes, received {tuple(shape)}."
            )
        found = standardize_dtype(dtype)
        rows, columns = math.prod(shape[:-1]), shape[-1]
        size = (max(rows, columns), min(rows, columns))
        work = torch.promote_types(found, torch.float32)  # QR knows no half precision
        q, r = torch.linalg.qr(random.normal(size, dtype=work, seed=self.seed))
        weight: Tensor = q * r.diagonal().sign() * self.gain
        return (weight if rows >= columns else weight.T).reshape(tuple(shape)).to(found)


random_normal = RandomNormal
random_uniform = RandomUniform
truncated_normal = TruncatedNormal
variance_scaling = VarianceScaling
glorot_uniform = GlorotUniform
glorot_normal = GlorotNormal
he_uniform = HeUniform
he_normal = HeNormal
lecun_uniform = LecunUniform
lecun_normal = LecunNormal
orthogonal = OrthogonalInitializer = Orthogonal
