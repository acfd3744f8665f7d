"""Initializers without chance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.signal import windows

from kerastorch.config import standardize_dtype
from kerastorch.initializers._initializer import DType, Initializer, Shape


class Zeros(Initializer):
    """All zeros.

    >>> Zeros()((2,))
    tensor([0., 0.])
    """

    def __call__(self, shape: Shape, dtype: DType = None) -> Tensor:
        return torch.zeros(shape, dtype=standardize_dtype(dtype))


class Ones(Initializer):
    """All ones.

    >>> Ones()((2,), dtype="int32")
    tensor([1, 1], dtype=torch.int32)
    """

    def __call__(self, shape: Shape, dtype: DType = None) -> Tensor:
        return torch.ones(shape, dtype=standardize_dtype(dtype))


class Constant(Initializer):
    """The number `value` everywhere; an array or tensor is broadcast to the shape.

    >>> Constant(3.0)((2,)), Constant([1.0, 2.0])((2, 2))
    (tensor([3., 3.]), tensor([[1., 2.],
            [1., 2.]]))
    """

    def __init__(self, value: Any = 0.0) -> None:
        self.value = value

    def __call__(self, shape: Shape, dtype: DType = None) -> Tensor:
        value = torch.as_tensor(self.value, dtype=standardize_dtype(dtype))
        try:
            return value.detach().expand(tuple(shape)).clone(memory_format=torch.contiguous_format)
        except RuntimeError as error:
            raise ValueError(
                f"Constant: `value` has the shape {tuple(value.shape)}, which does not broadcast "
                f"to the weight's shape {tuple(shape)}."
            ) from error


class Identity(Initializer):
    """`gain` on the diagonal, zeros elsewhere; for matrices only.

    >>> Identity(2.0)((2, 3))
    tensor([[2., 0., 0.],
            [0., 2., 0.]])
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def __call__(self, shape: Shape, dtype: DType = None) -> Tensor:
        if len(shape) != 2:
            raise ValueError(f"Identity: expected the shape of a matrix, received {tuple(shape)}.")
        return torch.eye(*shape, dtype=standardize_dtype(dtype)).mul_(self.gain)


class STFT(Initializer):
    """The kernel of a convolution that is a short-time Fourier transform.

    For a weight of shape ``(T, 1, F // 2 + 1)`` (frame length ``T``, FFT length ``F``):
    ``window[t] * cos(-2 pi t f / F) / norm``, with ``sin`` for ``side="imag"``.

    `window` is the name of a window (those of `torch.signal.windows` that need no parameter; with
    SciPy installed any that `scipy.signal.get_window` knows), its ``T`` values, or None.
    `scaling` divides by ``sqrt(sum(window**2))`` ("density") or ``sum(|window|)`` ("spectrum").
    `periodic` windows close on the sample after the last, symmetric ones on the last.

    >>> STFT("real", window=None)((4, 1, 3))[:, 0].round().abs()
    tensor([[1., 1., 1.],
            [1., 0., 1.],
            [1., 1., 1.],
            [1., 0., 1.]])
    """

    def __init__(
        self,
        side: Literal["real", "imag"] = "real",
        window: str | Sequence[float] | None = "hann",
        scaling: Literal["density", "spectrum"] | None = "density",
        periodic: bool = False,
    ) -> None:
        if side not in ("real", "imag"):
            raise ValueError(f"STFT: `side` must be 'real' or 'imag', received {side!r}.")
        if scaling not in ("density", "spectrum", None):
            raise ValueError(
                f"STFT: `scaling` must be 'density', 'spectrum' or None, received {scaling!r}."
            )
        if isinstance(window, str):
            _window(window, 1, periodic)  # raises if the name is unknown
        self.side = side
        self.window = window
        self.scaling = scaling
        self.periodic = periodic

    def __call__(self, shape: Shape, dtype: DType = None) -> Tensor:
        found = standardize_dtype(dtype)
        length, _, bins = shape
        period = max(2 * (bins - 1), 1)
        # Whole turns are taken off as integers, where that costs no precision.
        turns = torch.arange(length)[:, None, None] * torch.arange(bins) % period
        angle = turns.to(torch.promote_types(found, torch.float32)) * (-2 * math.pi / period)
        kernel = angle.cos() if self.side == "real" else angle.sin()
        if self.window is not None:
            kernel = kernel * self._scaled_window(length, kernel.dtype)[:, None, None]
        return kernel.to(found).expand(tuple(shape)).contiguous()

    def _scaled_window(self, length: int, dtype: torch.dtype) -> Tensor:
        window = self.window
        if isinstance(window, str):
            window = _window(window, length, self.periodic, dtype)
        values = torch.as_tensor(window, dtype=dtype)
        if values.shape != (length,):
            raise ValueError(
                f"STFT: `window` has the shape {tuple(values.shape)}, expected ({length},), "
                "the frame length."
            )
        if self.scaling == "density":
            return values / values.square().sum().sqrt()
        if self.scaling == "spectrum":
            return values / values.abs().sum()
        return values


_WINDOWS = ("bartlett", "blackman", "cosine", "hamming", "hann", "nuttall")


def _window(name: str, length: int, periodic: bool, dtype: torch.dtype | None = None) -> Any:
    if name in _WINDOWS:
        return getattr(windows, name)(length, sym=not periodic, dtype=dtype)
    try:
        from scipy.signal import get_window  # type: ignore[import-untyped]
    except ImportError as error:
        raise ValueError(
            f"STFT: `window` {name!r} needs SciPy (pip install scipy). Without it: {_WINDOWS}."
        ) from error
    return get_window(name, length, periodic)


zeros = Zeros
ones = Ones
constant = Constant
identity = IdentityInitializer = Identity
stft = STFTInitializer = STFT
