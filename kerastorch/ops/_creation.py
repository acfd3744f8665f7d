"""Tensors from sizes and numbers. The default dtype is `floatx`; sizes may be those of symbolic tensors."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from kerastorch.config import standardize_dtype
from kerastorch.ops._op import Array, Given, Operand, as_tensor, floating, op, promoted
from kerastorch.ops._shapes import sizes


@op
def array(x: Given, dtype: Any = None) -> torch.Tensor:
    """Numbers, nested sequences of them, or an array, as a tensor.

    >>> import kerastorch as keras
    >>> keras.ops.array([1, 2], dtype="float32")
    tensor([1., 2.])
    """
    return as_tensor(x, dtype)


# -- of one value ----------------------------------------------------------------------------------------


def zeros(shape: int | Sequence[int], dtype: Any = None) -> torch.Tensor:
    """Zeros.

    >>> import kerastorch as keras
    >>> keras.ops.zeros(2, dtype="int32")
    tensor([0, 0], dtype=torch.int32)
    """
    return torch.zeros(sizes(shape), dtype=standardize_dtype(dtype))


def ones(shape: int | Sequence[int], dtype: Any = None) -> torch.Tensor:
    """Ones.

    >>> import kerastorch as keras
    >>> keras.ops.ones((1, 2))
    tensor([[1., 1.]])
    """
    return torch.ones(sizes(shape), dtype=standardize_dtype(dtype))


def empty(shape: int | Sequence[int], dtype: Any = None) -> torch.Tensor:
    """Memory with whatever is in it.

    >>> import kerastorch as keras
    >>> keras.ops.empty((2, 3)).shape
    torch.Size([2, 3])
    """
    return torch.empty(sizes(shape), dtype=standardize_dtype(dtype))


@op
def full(shape: int | Sequence[int], fill_value: Given, dtype: Any = None) -> torch.Tensor:
    """One value, or what `fill_value` is when broadcast, in a new tensor of `shape`.

    >>> import kerastorch as keras
    >>> keras.ops.full((2, 2), [1, 2])
    tensor([[1., 2.],
            [1., 2.]])
    """
    return _filled(sizes(shape), fill_value, standardize_dtype(dtype))


@op
def zeros_like(x: Array, dtype: Any = None) -> torch.Tensor:
    """Zeros in the shape and, if not told, the dtype of `x`.

    >>> import kerastorch as keras
    >>> keras.ops.zeros_like([1.0, 2.0])
    tensor([0., 0.])
    """
    return torch.zeros_like(x, dtype=_like(x, dtype))


@op
def ones_like(x: Array, dtype: Any = None) -> torch.Tensor:
    """Ones in the shape and, if not told, the dtype of `x`.

    >>> import kerastorch as keras
    >>> keras.ops.ones_like([3, 4])
    tensor([1, 1], dtype=torch.int32)
    """
    return torch.ones_like(x, dtype=_like(x, dtype))


@op
def empty_like(x: Array, dtype: Any = None) -> torch.Tensor:
    """Memory in the shape and, if not told, the dtype of `x`.

    >>> import kerastorch as keras
    >>> keras.ops.empty_like([[1.0, 2.0]]).shape
    torch.Size([1, 2])
    """
    return torch.empty_like(x, dtype=_like(x, dtype))


@op
def full_like(x: Array, fill_value: Given, dtype: Any = None) -> torch.Tensor:
    """`full` in the shape and, if not told, the dtype of `x`.

    >>> import kerastorch as keras
    >>> keras.ops.full_like([1.0, 2.0], 7)
    tensor([7., 7.])
    """
    return _filled(x.shape, fill_value, _like(x, dtype), x.device)


def _filled(
    shape: Sequence[int], value: Any, dtype: torch.dtype, device: torch.device | None = None
) -> torch.Tensor:
    if isinstance(value, (bool, int, float, complex)):
        return torch.full(shape, value, dtype=dtype, device=device)
    return as_tensor(value, dtype, device).expand(shape).clone()


def _like(x: torch.Tensor, dtype: Any) -> torch.dtype:
    return x.dtype if dtype is None else standardize_dtype(dtype)


# -- matrices --------------------------------------------------------------------------------------------


def eye(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> torch.Tensor:
    """`N` rows and `M` columns, as many if not told, with ones on the k-th diagonal.

    >>> import kerastorch as keras
    >>> keras.ops.eye(2, 3, k=1)
    tensor([[0., 1., 0.],
            [0., 0., 1.]])
    """
    for name, value in (("N", N), ("M", M)):
        if isinstance(value, float):
            raise TypeError(f"`{name}` must be a whole number, received {value!r}.")
    M = N if M is None else M
    if not k:
        return torch.eye(N, M, dtype=standardize_dtype(dtype))
    return (torch.arange(N)[:, None] + k == torch.arange(M)).to(standardize_dtype(dtype))


def identity(n: int, dtype: Any = None) -> torch.Tensor:
    """`n` rows and columns with ones on the diagonal.

    >>> import kerastorch as keras
    >>> keras.ops.identity(2)
    tensor([[1., 0.],
            [0., 1.]])
    """
    return eye(n, dtype=dtype)


def tri(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> torch.Tensor:
    """`N` rows and `M` columns, as many if not told, with ones on the k-th diagonal and below it.

    >>> import kerastorch as keras
    >>> keras.ops.tri(2, 3)
    tensor([[1., 0., 0.],
            [1., 1., 0.]])
    """
    return torch.tril(ones((N, N if M is None else M), dtype), k)


@op
def vander(x: Array, N: int | None = None, increasing: bool = False) -> torch.Tensor:
    """The powers of a vector as the `N` columns of a matrix, the highest first (Vandermonde).

    >>> import kerastorch as keras
    >>> keras.ops.vander([2.0, 3.0], 3)
    tensor([[4., 2., 1.],
            [9., 3., 1.]])
    """
    if x.ndim != 1:
        raise ValueError(f"`x` must have one axis, received shape {tuple(x.shape)}.")
    if N is not None and (not isinstance(N, int) or N < 0):
        raise ValueError(f"`N` must be a whole number >= 0, received {N!r}.")
    powers = torch.arange(x.shape[0] if N is None else N, device=x.device)
    return x.unsqueeze(-1).pow(powers if increasing else powers.flip(0)).to(x.dtype)


# -- sequences -------------------------------------------------------------------------------------------


def arange(start: Any, stop: Any = None, step: Any = None, dtype: Any = None) -> torch.Tensor:
    """``start, start + step, ...`` below `stop`; with one argument ``0, 1, ...`` below it.

    Whole numbers give int32, others `floatx`, tensors their own dtype.

    >>> import kerastorch as keras
    >>> keras.ops.arange(3), keras.ops.arange(1, 2, 0.5)
    (tensor([0, 1, 2], dtype=torch.int32), tensor([1.0000, 1.5000]))
    """
    given = [value for value in (start, stop, step) if value is not None]
    if stop is None:
        start, stop = 0, start
    step = 1 if step is None else step
    if all(isinstance(n, (int, float)) for n in (start, stop, step)) and (stop - start) * step < 0:
        stop = start
    wanted = _dtype_of_numbers(given) if dtype is None else standardize_dtype(dtype)
    return torch.arange(start, stop, step, dtype=wanted)


def _dtype_of_numbers(values: list[Any]) -> torch.dtype:
    """int32 for whole numbers, `floatx` for others; if there are tensors, a dtype that holds them."""
    dtypes = [v.dtype for v in values if isinstance(v, torch.Tensor)]
    dtype = functools.reduce(torch.promote_types, dtypes) if dtypes else torch.int32
    if any(isinstance(v, (float, np.floating)) for v in values) and not dtype.is_floating_point:
        return standardize_dtype(None)
    return dtype


@op
def linspace(
    start: Operand,
    stop: Operand,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
    """`num` numbers at equal distances from `start` to `stop`, along a new `axis`.

    Without `endpoint` they end one step before `stop`. With `retstep` the step comes too.

    >>> import kerastorch as keras
    >>> keras.ops.linspace(0, 1, 5)
    tensor([0.0000, 0.2500, 0.5000, 0.7500, 1.0000])
    """
    start, stop, wanted = _ends(start, stop, dtype)
    points = _spaced(start, stop, num, endpoint, axis).to(wanted)
    if not retstep:
        return points
    parts = num - 1 if endpoint else num
    return points, (stop - start) / (parts if parts > 0 else float("nan"))


@op
def logspace(
    start: Operand,
    stop: Operand,
    num: int = 50,
    endpoint: bool = True,
    base: float = 10,
    dtype: Any = None,
    axis: int = 0,
) -> torch.Tensor:
    """``base**linspace(start, stop, ...)``.

    >>> import kerastorch as keras
    >>> keras.ops.logspace(0, 2, 3)
    tensor([  1.,  10., 100.])
    """
    start, stop, wanted = _ends(start, stop, dtype)
    return torch.pow(base, _spaced(start, stop, num, endpoint, axis)).to(wanted)


@op
def geomspace(
    start: Operand,
    stop: Operand,
    num: int = 50,
    endpoint: bool = True,
    dtype: Any = None,
    axis: int = 0,
) -> torch.Tensor:
    """`num` numbers at equal ratios from `start` to `stop`, which have one sign, along a new `axis`.

    >>> import kerastorch as keras
    >>> keras.ops.geomspace(1, 100, 3)
    tensor([  1.,  10., 100.])
    """
    start, stop, wanted = _ends(start, stop, dtype)
    exponents = _spaced(start.abs().log10(), stop.abs().log10(), num, endpoint, axis)
    return (torch.pow(10, exponents) * start.sign().unsqueeze(axis)).to(wanted)


def _ends(
    start: torch.Tensor, stop: torch.Tensor, dtype: Any
) -> tuple[torch.Tensor, torch.Tensor, torch.dtype]:
    """Both ends in a dtype to compute in, and the dtype of the result."""
    start, stop = map(floating, promoted(start, stop))
    wanted = _like(start, dtype)
    exact = torch.promote_types(torch.promote_types(start.dtype, torch.float32), wanted)
    return *torch.broadcast_tensors(start.to(exact), stop.to(exact)), wanted


def _spaced(
    start: torch.Tensor, stop: torch.Tensor, num: int, endpoint: bool, axis: int
) -> torch.Tensor:
    """`num` numbers from `start` to `stop`, both exact, along a new axis."""
    if num < 0:
        raise ValueError(f"`num` must be a whole number >= 0, received {num!r}.")
    parts = max(num - 1 if endpoint else num, 1)
    weights = torch.arange(num, dtype=start.dtype, device=start.device) / parts
    weights = weights.reshape(-1, *[1] * start.ndim)
    return torch.lerp(start, stop, weights).movedim(0, axis)


# -- windows ---------------------------------------------------------------------------------------------


def bartlett(x: Any) -> torch.Tensor:
    """The triangle window of `x` points.

    >>> import kerastorch as keras
    >>> keras.ops.bartlett(5)
    tensor([0.0000, 0.5000, 1.0000, 0.5000, 0.0000])
    """
    return _window(torch.signal.windows.bartlett, x)


def hanning(x: Any) -> torch.Tensor:
    """The window of von Hann, ``0.5 - 0.5 cos(2πn / (x - 1))``.

    >>> import kerastorch as keras
    >>> keras.ops.hanning(3)
    tensor([0., 1., 0.])
    """
    return _window(torch.signal.windows.hann, x)


def hamming(x: Any) -> torch.Tensor:
    """The window of Hamming, ``0.54 - 0.46 cos(2πn / (x - 1))``.

    >>> import kerastorch as keras
    >>> keras.ops.hamming(3)
    tensor([0.0800, 1.0000, 0.0800])
    """
    return _window(torch.signal.windows.hamming, x)


def blackman(x: Any) -> torch.Tensor:
    """The window of Blackman, ``0.42 - 0.5 cos(2πn / (x - 1)) + 0.08 cos(4πn / (x - 1))``.

    >>> import kerastorch as keras
    >>> keras.ops.blackman(5).round(decimals=2)
    tensor([-0.0000, 0.3400, 1.0000, 0.3400, -0.0000])
    """
    return _window(torch.signal.windows.blackman, x)


def kaiser(x: Any, beta: Any) -> torch.Tensor:
    """The window of Kaiser, ``I0(beta sqrt(1 - (2n / (x - 1) - 1)²)) / I0(beta)``.

    >>> import kerastorch as keras
    >>> keras.ops.kaiser(3, beta=0.0)
    tensor([1., 1., 1.])
    """
    return _window(torch.signal.windows.kaiser, x, beta=float(beta))


def _window(function: Callable[..., torch.Tensor], x: Any, **options: float) -> torch.Tensor:
    dtype = standardize_dtype(None)  # torch makes windows of float32 and float64 only
    return function(int(x), dtype=torch.promote_types(dtype, torch.float32), **options).to(dtype)
