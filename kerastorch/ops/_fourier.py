"""Fourier transforms. Complex numbers stand as pairs: real parts, imaginary parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional as F

from kerastorch.ops._op import Array, Arrays, as_tensor, floating, op, promoted

Pair = tuple[torch.Tensor, torch.Tensor]


def _complex(x: Any) -> torch.Tensor:
    if not isinstance(x, (tuple, list)) or len(x) != 2:
        raise ValueError(
            f"`x` must be a pair of tensors, real and imaginary parts, received {type(x).__name__}."
        )
    real, imaginary = x
    if real.shape != imaginary.shape or not (
        real.is_floating_point() and imaginary.is_floating_point()
    ):
        raise ValueError(
            "`x` must be two tensors of one shape and a floating-point dtype, received "
            f"{real.dtype} of shape {tuple(real.shape)} and "
            f"{imaginary.dtype} of shape {tuple(imaginary.shape)}."
        )
    return torch.complex(*promoted(real, imaginary))


@op
def fft(x: Arrays) -> Pair:
    """The discrete Fourier transform along the last axis, of and as real and imaginary parts.

    >>> import kerastorch as keras
    >>> keras.ops.fft(([1.0, 2.0], [0.0, 1.0]))
    (tensor([ 3., -1.]), tensor([ 1., -1.]))
    """
    result = torch.fft.fft(_complex(x))
    return result.real, result.imag


@op
def fft2(x: Arrays) -> Pair:
    """The discrete Fourier transform along the last two axes.

    >>> import kerastorch as keras
    >>> keras.ops.fft2(([[1.0, 2.0], [2.0, 1.0]], [[0.0, 0.0], [0.0, 0.0]]))[0]
    tensor([[ 6.,  0.],
            [ 0., -2.]])
    """
    result = torch.fft.fft2(_complex(x))
    return result.real, result.imag


@op
def ifft2(x: Arrays) -> Pair:
    """The inverse of `fft2`.

    >>> import kerastorch as keras
    >>> keras.ops.ifft2(([[6.0, 0.0], [0.0, -2.0]], [[0.0, 0.0], [0.0, 0.0]]))[0]
    tensor([[1., 2.],
            [2., 1.]])
    """
    result = torch.fft.ifft2(_complex(x))
    return result.real, result.imag


@op
def rfft(x: Array, fft_length: int | None = None) -> Pair:
    """The first ``fft_length // 2 + 1`` entries of the Fourier transform of real numbers, cut or
    filled with zeros to `fft_length`; the others are their conjugates.

    >>> import kerastorch as keras
    >>> keras.ops.rfft([0.0, 1.0, 2.0, 3.0])[0]
    tensor([ 6., -2., -2.])
    """
    result = torch.fft.rfft(floating(x), n=fft_length)
    return result.real, result.imag


@op
def irfft(x: Arrays, fft_length: int | None = None) -> torch.Tensor:
    """The inverse of `rfft`; without `fft_length` of an even number of entries.

    >>> import kerastorch as keras
    >>> keras.ops.irfft(([6.0, -2.0, -2.0], [0.0, 2.0, 0.0]))
    tensor([0., 1., 2., 3.])
    """
    return torch.fft.irfft(_complex(x), n=fft_length)


@op
def extract_sequences(x: Array, sequence_length: int, sequence_stride: int) -> torch.Tensor:
    """Windows over the last axis: ``(..., n)`` gives ``(..., windows, sequence_length)``.

    >>> import kerastorch as keras
    >>> keras.ops.extract_sequences([1, 2, 3, 4, 5, 6], 3, 2)
    tensor([[1, 2, 3],
            [3, 4, 5]], dtype=torch.int32)
    """
    return x.unfold(-1, sequence_length, sequence_stride)


def _window(window: Any, length: int, like: torch.Tensor) -> torch.Tensor:
    """The weights of a window; None is ones."""
    if window is None:
        return like.new_ones(length)
    if isinstance(window, str):
        if window not in ("hann", "hamming"):
            raise ValueError(
                f"`window` must be 'hann', 'hamming', weights or None, received {window!r}."
            )
        make = torch.hann_window if window == "hann" else torch.hamming_window
        return make(length, dtype=like.dtype, device=like.device)
    weights = as_tensor(window, like.dtype, like.device)
    if tuple(weights.shape) != (length,):
        raise ValueError(
            f"`window` must have shape ({length},), `sequence_length`; received "
            f"{tuple(weights.shape)}."
        )
    return weights


def _check_stride(stride: Any) -> None:
    if not isinstance(stride, int) or stride < 1:
        raise ValueError(f"`sequence_stride` must be a positive integer, received {stride!r}.")


@op
def stft(
    x: Array,
    sequence_length: int,
    sequence_stride: int,
    fft_length: int,
    window: str | Sequence[float] | None = "hann",
    center: bool = True,
) -> Pair:
    """Fourier transforms of windows of x: ``(..., n)`` gives twice ``(..., windows, fft_length // 2 + 1)``.
    With `center`, window t lies around ``t * sequence_stride``, x reflected at its ends.

    >>> import torch, kerastorch as keras
    >>> keras.ops.stft(torch.ones(8), 4, 2, 4)[0].shape
    torch.Size([5, 3])
    """
    _check_stride(sequence_stride)
    if x.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"`x` must be float32 or float64, received {x.dtype}. Use ops.cast.")
    if fft_length < sequence_length:
        raise ValueError(
            "`fft_length` must be at least `sequence_length`, received "
            f"{fft_length} and {sequence_length}."
        )
    result = torch.stft(
        x.reshape(-1, x.shape[-1]),
        fft_length,
        sequence_stride,
        sequence_length,
        _window(window, sequence_length, x),
        center,
        return_complex=True,
    )
    result = result.mT.reshape(*x.shape[:-1], *result.mT.shape[-2:])
    return result.real, result.imag


@op
def istft(
    x: Arrays,
    sequence_length: int,
    sequence_stride: int,
    fft_length: int,
    length: int | None = None,
    window: str | Sequence[float] | None = "hann",
    center: bool = True,
) -> torch.Tensor:
    """The inverse of `stft`: windows weighted again, added up, and divided by the squares of the weights
    there. `length` is that of the result, zeros behind what is known.

    >>> import torch, kerastorch as keras
    >>> keras.ops.istft(keras.ops.stft(torch.arange(8.0), 4, 2, 4), 4, 2, 4)
    tensor([0., 1., 2., 3., 4., 5., 6., 7.])
    """
    _check_stride(sequence_stride)
    frames = torch.fft.irfft(_complex(x), n=fft_length)
    start = fft_length // 2 if center else 0
    end = (frames.shape[-2] - 1) * sequence_stride + fft_length - start
    if window is None:
        whole = _overlapped(frames, sequence_stride)[..., start:end]
    else:
        missing = fft_length - sequence_length
        weights = _window(window, sequence_length, frames)
        weights = F.pad(weights, (missing // 2, missing - missing // 2))
        squares = weights.square()
        if center and not missing:  # what lies on each entry, at the ends less
            squares = squares.expand(frames.shape[-2], -1)
            sums = _overlapped(squares, sequence_stride)[start:end]
            whole = _overlapped(frames * weights, sequence_stride)[..., start:end] / sums
        else:  # as if there were more windows before and after
            padded = F.pad(squares, (0, -fft_length % sequence_stride))
            sums = padded.reshape(-1, sequence_stride).sum(0)
            sums = sums.repeat(padded.numel() // sequence_stride)[:fft_length]
            whole = _overlapped(frames * (weights / sums), sequence_stride)[..., start:end]
    return whole if length is None else F.pad(whole, (0, length - whole.shape[-1]))


def _overlapped(frames: torch.Tensor, stride: int) -> torch.Tensor:
    """The sum of windows: ``(..., windows, length)``, each `stride` behind the one before."""
    count, length = frames.shape[-2:]
    total = (count - 1) * stride + length
    columns = frames.reshape(-1, count, length).mT
    return F.fold(columns, (1, total), (1, length), stride=(1, stride)).reshape(
        *frames.shape[:-2], total
    )
