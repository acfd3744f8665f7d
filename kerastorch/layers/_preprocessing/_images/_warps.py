"""Layers that draw how pictures are bent: perspective, and smooth noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from kerastorch.layers._layer import registry
from kerastorch.layers._preprocessing._images._base import (
    Drawing,
    Factor,
    Mover,
    factor_of,
    one_of,
    per_box,
    per_picture,
    value_range_of,
)
from kerastorch.ops._image._blur import blurred_each
from kerastorch.ops._image._sampling import (
    homography,
    order_of,
    pixels,
    projected,
    read,
)

_INTERPOLATIONS = ("nearest", "bilinear")
_FILL_MODES = ("constant", "nearest", "wrap", "mirror", "reflect")


class _Warp(Drawing):
    """A layer that bends some of the pictures. A subclass draws, and reads at other places."""

    def __init__(
        self,
        factor: Factor,
        interpolation: str,
        fill_value: float,
        seed: int | None,
        data_format: str | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, data_format=data_format, **kwargs)
        kind = type(self).__name__
        self.factor = factor_of(kind, "factor", factor, (0.0, 1.0))
        self.interpolation = one_of(kind, "interpolation", interpolation, _INTERPOLATIONS)
        self.fill_value = fill_value

    def _altered(self, x: torch.Tensor, *drawn: torch.Tensor) -> torch.Tensor:
        return self._warped(x, self.interpolation, *drawn)

    def _mask(self, x: torch.Tensor, drawn: Any) -> torch.Tensor:
        return x if drawn is None else self._warped(x, "nearest", *drawn)

    def _warped(
        self, x: torch.Tensor, interpolation: str, chosen: torch.Tensor, *drawn: torch.Tensor
    ) -> torch.Tensor:
        places, order = self._places(x, *drawn), order_of(interpolation)
        bent = read(x, places, order, self._outside(), self.fill_value)
        return torch.where(per_picture(chosen), bent, x)

    def _places(self, x: torch.Tensor, *drawn: torch.Tensor) -> list[torch.Tensor]:
        """Row and column at which each pixel is read."""
        raise NotImplementedError

    def _outside(self) -> str:
        return "constant"


class RandomPerspective(_Warp):
    """In training, shows some of the pictures from the side: each corner is moved.

    Args:
        factor: the chance of a picture, drawn between a pair of bounds in [0, 1]; f stands for (0, f).
        scale: a number in [0, 1]: a corner (x, y) is moved by at most ``scale * x / 2`` and ``scale * y / 2``.
        interpolation: ``"bilinear"`` or ``"nearest"``.
        fill_value: what is outside.

    >>> import torch, kerastorch as keras
    >>> keras.layers.RandomPerspective(scale=0.5)(torch.zeros(2, 8, 8, 3), training=True).shape
    torch.Size([2, 8, 8, 3])
    """

    def __init__(
        self,
        factor: Factor = 1.0,
        scale: float = 1.0,
        interpolation: str = "bilinear",
        fill_value: float = 0.0,
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(factor, interpolation, fill_value, seed, data_format, **kwargs)
        if not isinstance(scale, (int, float)) or not 0 <= scale <= 1:
            raise ValueError(
                f"RandomPerspective: `scale` must be a number in [0, 1], received {scale!r}."
            )
        self.scale = scale

    def _draw(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        moves = self._uniform(x, (-self.scale / 2, self.scale / 2), 4, 2)
        return self._chosen(x, self.factor), moves

    def _places(self, x: torch.Tensor, *drawn: torch.Tensor) -> list[torch.Tensor]:
        start, end = self._corners(x.shape[2:], drawn[0])
        return projected(x, homography(start, end))

    def _mover(self, size: Sequence[int], drawn: Any) -> Mover | None:
        if drawn is None:
            return None
        start, end = self._corners(size, drawn[1])
        a0, a1, a2, b0, b1, b2, c0, c1 = map(per_box, homography(end, start).unbind(1))
        chosen = per_box(drawn[0])

        def move(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            """Pixels have their middles at halves."""
            u, v = x - 0.5, y - 0.5
            scale = c0 * u + c1 * v + 1
            new_x = (a0 * u + a1 * v + a2) / scale + 0.5
            new_y = (b0 * u + b1 * v + b2) / scale + 0.5
            return torch.where(chosen, new_x, x), torch.where(chosen, new_y, y)

        return move

    def _corners(
        self, size: Sequence[int], moves: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The corner pixels (B, 4, 2), and where they go."""
        height, width = size
        corner = torch.arange(4, device=moves.device)  # 0 1 above 2 3
        ends = [corner % 2 * (width - 1), corner // 2 * (height - 1)]
        start = torch.stack(ends, -1).to(moves.dtype).expand_as(moves)
        return start, start * (1 + moves)


class RandomElasticTransform(_Warp):
    """In training, moves the pixels of some pictures by smooth noise. Simard et al., 2003.

    Args:
        factor: the chance of a picture, drawn between a pair of bounds in [0, 1]; f stands for (0, f).
        scale: a pair of bounds in [0, 1] between which the strength s is drawn; f stands for (0, f). The noise
            has the deviation ``0.05 s * min(H, W)``, is blurred over as many pixels, and multiplied by
            ``0.1 s * max(H, W)``.
        interpolation: ``"bilinear"`` or ``"nearest"``.
        fill_mode: what is read outside: ``"reflect"``, ``"wrap"``, ``"constant"`` (`fill_value`),
            ``"nearest"`` or ``"mirror"``.
        value_range: lowest and highest value of a pixel: the result is cut off there.

    >>> import torch, kerastorch as keras
    >>> keras.layers.RandomElasticTransform()(torch.zeros(2, 8, 8, 3), training=True).shape
    torch.Size([2, 8, 8, 3])
    """

    def __init__(
        self,
        factor: Factor = 1.0,
        scale: Factor = 1.0,
        interpolation: str = "bilinear",
        fill_mode: str = "reflect",
        fill_value: float = 0.0,
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(factor, interpolation, fill_value, seed, data_format, **kwargs)
        kind = type(self).__name__
        self.scale = factor_of(kind, "scale", scale, (0.0, 1.0))
        self.fill_mode = one_of(kind, "fill_mode", fill_mode, _FILL_MODES)
        self.value_range = value_range_of(kind, value_range)

    def _draw(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        noise = self._fill(x, "normal_", 0.0, 1.0, (x.shape[0], 2, *x.shape[2:]))
        return self._chosen(x, self.factor), self._uniform(x, self.scale), noise

    def _altered(self, x: torch.Tensor, *drawn: torch.Tensor) -> torch.Tensor:
        return super()._altered(x, *drawn).clamp(*self.value_range)

    def _places(self, x: torch.Tensor, *drawn: torch.Tensor) -> list[torch.Tensor]:
        strength, noise = drawn
        height, width = x.shape[2:]
        deviation = 0.05 * min(height, width)
        size = int(6 * deviation * self.scale[1]) | 1  # wide enough for all that is drawn
        sigma = (deviation * strength).clamp_min(1e-6)
        smooth = blurred_each(noise, (size, size), sigma.unsqueeze(1).expand(-1, 2))
        shifts = smooth * per_picture(sigma * strength) * (0.1 * max(height, width))
        rows, columns = shifts.unbind(1)
        ys, xs = pixels(x, noise.dtype)
        return [ys + rows, xs + columns]

    def _mover(self, size: Sequence[int], drawn: Any) -> Mover | None:
        if drawn is None:
            return None
        raise NotImplementedError(
            f"{self._title()}: 'bounding_boxes' cannot follow the noise in training: leave them out."
        )

    def _outside(self) -> str:
        return self.fill_mode


registry.add(RandomPerspective, RandomElasticTransform)
