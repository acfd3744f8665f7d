"""Spectrograms: `STFTSpectrogram`, whose kernels can be trained, and `MelSpectrogram`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from kerastorch import initializers
from kerastorch.config import epsilon, standardize_data_format
from kerastorch.layers._base import check_rank, positive
from kerastorch.layers._layer import Layer, registry
from kerastorch.ops._fourier import stft
from kerastorch.ops._windows import pad_axes, same_padding

_MODES = ("log", "magnitude", "psd", "real", "imag", "angle", "stft")


class STFTSpectrogram(Layer):
    """Fourier transforms of windows of a signal, as a convolution with kernels that can be trained.

    (B, T, C) -> (B, frames, C * F) with F = ``fft_length // 2 + 1``, or (B, C, T) -> (B, C * F, frames). With
    `expand_dims` (B, frames, F, C), or (B, C, frames, F).

    Args:
        mode: ``"real"`` and ``"imag"`` parts, ``"stft"`` (both, twice as many channels), ``"angle"``,
            ``"magnitude"``, ``"log"`` of it, or ``"psd"``: its square, doubled but for the first and last frequency.
        frame_length: samples of a window.
        frame_step: samples from one window to the next; half a window when left out.
        fft_length: the next power of two when left out.
        window, periodic, scaling: see `initializers.STFT`.
        padding: ``"valid"`` or ``"same"``.
        expand_dims: an axis of its own for the channels.
        data_format: ``"channels_last"`` or ``"channels_first"``.

    >>> import torch, kerastorch as keras
    >>> keras.layers.STFTSpectrogram("magnitude", 256, 128)(torch.zeros(2, 1600, 1)).shape
    torch.Size([2, 11, 129])
    """

    _live_config = (*Layer._live_config, "data_format")
    _takes_one_tensor = True

    def __init__(
        self,
        mode: str = "log",
        frame_length: int = 256,
        frame_step: int | None = None,
        fft_length: int | None = None,
        window: str | Sequence[float] | None = "hann",
        periodic: bool = False,
        scaling: str | None = "density",
        padding: str = "valid",
        expand_dims: bool = False,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        kind = type(self).__name__
        positive(kind, frame_length=frame_length)
        self._step = frame_length // 2 if frame_step is None else frame_step
        self._length = fft_length or 1 << math.ceil(math.log2(frame_length))
        if not 1 <= self._step <= frame_length:
            raise ValueError(
                f"{kind}: `frame_step` must be from 1 to `frame_length`, received {frame_step!r}."
            )
        if self._length < frame_length:
            raise ValueError(
                f"{kind}: `fft_length` must be at least `frame_length`, received {fft_length!r}."
            )
        for name, given, accepted in (
            ("mode", mode, _MODES),
            ("padding", padding, ("valid", "same")),
        ):
            if given not in accepted:
                raise ValueError(f"{kind}: `{name}` must be one of {accepted}, received {given!r}.")
        self.mode, self.padding = mode, padding
        self.frame_length, self.frame_step, self.fft_length = frame_length, frame_step, fft_length
        self.window, self.periodic, self.scaling = window, periodic, scaling
        self.expand_dims = expand_dims
        self.data_format = standardize_data_format(data_format)
        self._sides = [
            side for side in ("real", "imag") if mode in (side, *_MODES[:3], *_MODES[5:])
        ]
        for side in self._sides:
            initializers.STFT(side, window, scaling, periodic)  # type: ignore[arg-type]

    def build(self, input_shape: Any) -> None:
        """Make the kernels."""
        shape = (self.frame_length, 1, self._length // 2 + 1)
        for side in self._sides:
            start: Any = initializers.STFT(side, self.window, self.scaling, self.periodic)  # type: ignore[arg-type]
            setattr(self, f"{side}_kernel", self.add_weight(shape, start, name=f"{side}_kernel"))

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        """(B, T, C) -> (B, frames, C * F)."""
        check_rank(inputs, 3)
        last = self.data_format == "channels_last"
        x = inputs.mT if last else inputs
        signals = x.flatten(0, 1).unsqueeze(1)  # (B * C, 1, T)
        if self.padding == "same":
            pads = same_padding(signals.shape[2:], (self.frame_length,), (self._step,), (1,))
            signals = pad_axes(signals, pads)
        kernels = [getattr(self, f"{side}_kernel") for side in self._sides]
        parts = [
            F.conv1d(signals, k.to(x.dtype).permute(2, 1, 0), stride=self._step) for k in kernels
        ]
        y = self._combined(*parts).unflatten(0, x.shape[:2])  # (B, C, F, frames)
        if self.expand_dims:
            return y.permute(0, 3, 2, 1) if last else y.mT
        y = y.flatten(1, 2)
        return y.mT if last else y

    def _combined(self, first: torch.Tensor, imag: torch.Tensor | None = None) -> torch.Tensor:
        if imag is None:
            return first
        if self.mode == "angle":
            return torch.atan2(imag, first)
        if self.mode == "stft":
            return torch.cat([first, imag], 1)
        power = first.square() + imag.square()
        if self.mode == "psd":
            return power + F.pad(power[:, 1:-1], [0, 0, 1, 1])
        size = power.clamp_min(epsilon()).sqrt()
        return size if self.mode == "magnitude" else size.clamp_min(epsilon()).log()

    def _expectation(self) -> str:
        last = self.data_format == "channels_last"
        return f"expected {'(batch, time, channels)' if last else '(batch, channels, time)'}."


class MelSpectrogram(Layer):
    """The power of a signal in bands that are as wide as the ear hears them: (B, T) or (T) -> (B, bands, frames).

    A frequency f lies at ``1127 * log(1 + f / 700)`` on the mel scale; bands are triangles that overlap by half.

    Args:
        fft_length: of the Fourier transforms.
        sequence_stride: samples from one window to the next, of which t lies around ``t * sequence_stride``.
        sequence_length: samples of a window; `fft_length` when left out.
        window: see `ops.stft`.
        sampling_rate: samples a second.
        num_mel_bins: number of bands.
        min_freq, max_freq: in hertz, where they begin and end; half the sampling rate when left out.
        power_to_db: give decibels, ``10 * log10(max(p, min_power) / max(ref_power, min_power))``.
        top_db: what is that much below the loudest entry of all is raised to it.
        mag_exp: the power of the magnitude: 1, or 2 for energy.
        min_power, ref_power: see above.

    >>> import torch, kerastorch as keras
    >>> keras.layers.MelSpectrogram(num_mel_bins=64, sampling_rate=8000)(torch.zeros(2, 16000)).shape
    torch.Size([2, 64, 32])
    """

    _takes_one_tensor = True
    _takes_integers = False

    def __init__(
        self,
        fft_length: int = 2048,
        sequence_stride: int = 512,
        sequence_length: int | None = None,
        window: str | Sequence[float] | None = "hann",
        sampling_rate: int = 16000,
        num_mel_bins: int = 128,
        min_freq: float = 20.0,
        max_freq: float | None = None,
        power_to_db: bool = True,
        top_db: float = 80.0,
        mag_exp: float = 2.0,
        min_power: float = 1e-10,
        ref_power: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        positive(type(self).__name__, sequence_stride=sequence_stride, num_mel_bins=num_mel_bins)
        self.fft_length, self.sequence_stride = fft_length, sequence_stride
        self.sequence_length = sequence_length or fft_length
        if self.sequence_length > fft_length:
            raise ValueError(
                "MelSpectrogram: `fft_length` must be at least `sequence_length`, received "
                f"{fft_length} and {sequence_length}."
            )
        self.window, self.sampling_rate, self.num_mel_bins = window, sampling_rate, num_mel_bins
        self.min_freq, self.max_freq = min_freq, max_freq or sampling_rate // 2
        self.power_to_db, self.top_db, self.mag_exp = power_to_db, top_db, mag_exp
        self.min_power, self.ref_power = min_power, ref_power
        self.built = True

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        """(..., T) -> (..., bands, frames)."""
        x = inputs if inputs.dtype is torch.float64 else inputs.float()
        real, imag = stft(
            x, self.sequence_length, self.sequence_stride, self.fft_length, self.window
        )
        size = torch.sqrt(real.square() + imag.square())
        bands = torch.matmul(size**self.mag_exp, self._bands(size))
        if self.power_to_db:
            reference = 10 * math.log10(max(abs(self.ref_power), self.min_power))
            bands = 10 * bands.clamp_min(self.min_power).log10() - reference
            bands = torch.maximum(bands, bands.amax() - self.top_db)
        return bands.mT.to(self._compute)

    def _bands(self, x: torch.Tensor) -> torch.Tensor:
        """How much of each frequency counts in each band: (frequencies, bands)."""
        frequencies = torch.arange(x.shape[-1], dtype=x.dtype, device=x.device)
        frequencies = frequencies * (self.sampling_rate / 2 / (self.fft_length // 2))
        places = (1127 * torch.log1p(frequencies / 700)).unsqueeze(1)
        first, last = (1127 * math.log1p(f / 700) for f in (self.min_freq, self.max_freq))
        step = (last - first) / (self.num_mel_bins + 1)
        middles = first + step * torch.arange(
            1, self.num_mel_bins + 1, dtype=x.dtype, device=x.device
        )
        bands = (1 - (places - middles).abs() / step).clamp_min(0)
        return torch.where(frequencies.unsqueeze(1) > 0, bands, 0)


registry.add(STFTSpectrogram, MelSpectrogram)
