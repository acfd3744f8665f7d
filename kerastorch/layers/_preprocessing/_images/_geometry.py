"""Layers that draw where pixels go: flips, crops, and affine maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from kerastorch.layers._base import positive
from kerastorch.layers._layer import registry
from kerastorch.layers._preprocessing._images._base import (
    Drawing,
    Factor,
    Mover,
    factor_of,
    one_of,
    per_box,
    per_picture,
    turns,
)
from kerastorch.layers._preprocessing._images._resizing import into, largest_part
from kerastorch.ops._image._sampling import order_of, projected, read
from kerastorch.ops._image._sizes import largest

_FLIPS = {"horizontal": (3,), "vertical": (2,), "horizontal_and_vertical": (2, 3)}
_FILL_MODES = ("reflect", "wrap", "constant", "nearest")


class RandomFlip(Drawing):
    """In training, turns half of the pictures around: left and right, top and bottom, or both at once.

    `mode`: ``"horizontal"``, ``"vertical"`` or ``"horizontal_and_vertical"``.

    >>> import torch, kerastorch as keras
    >>> y = keras.layers.RandomFlip("horizontal")(torch.arange(3.0).view(1, 3, 1), training=True)
    >>> y.flatten().tolist() in ([0.0, 1.0, 2.0], [2.0, 1.0, 0.0])
    True
    """

    def __init__(
        self,
        mode: str = "horizontal_and_vertical",
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, data_format=data_format, **kwargs)
        self.mode = one_of(type(self).__name__, "mode", mode, tuple(_FLIPS))

    def _draw(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (self._uniform(x) <= 0.5,)

    def _altered(self, x: torch.Tensor, *drawn: torch.Tensor) -> torch.Tensor:
        return torch.where(per_picture(drawn[0]), x.flip(_FLIPS[self.mode]), x)

    def _mask(self, x: torch.Tensor, drawn: Any) -> torch.Tensor:
        return self._changed(x, drawn)

    def _mover(self, size: Sequence[int], drawn: Any) -> Mover | None:
        if drawn is None:
            return None
        height, width = size
        flipped, axes = per_box(drawn[0]), _FLIPS[self.mode]

        def move(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return (
                torch.where(flipped, width - x, x) if 3 in axes else x,
                torch.where(flipped, height - y, y) if 2 in axes else y,
            )

        return move


class RandomCrop(Drawing):
    """In training, a part of each picture from anywhere: (B, H, W, C) -> (B, height, width, C).

    Otherwise, and where a picture is too small, the largest part in the middle that has the aspect ratio
    is resized.

    >>> import torch, kerastorch as keras
    >>> keras.layers.RandomCrop(24, 24)(torch.zeros(2, 32, 32, 3), training=True).shape
    torch.Size([2, 24, 24, 3])
    """

    def __init__(
        self,
        height: int,
        width: int,
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, data_format=data_format, **kwargs)
        positive(type(self).__name__, height=height, width=width)
        self.height, self.width = height, width

    def _draw(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        free = x.shape[2] - self.height + 1, x.shape[3] - self.width + 1
        if min(free) < 1:
            return ()
        return tuple((self._uniform(x) * n).long() for n in free)

    def _changed(self, x: torch.Tensor, drawn: Any) -> torch.Tensor:
        return self._cropped(x, drawn, "bilinear")

    def _mask(self, x: torch.Tensor, drawn: Any) -> torch.Tensor:
        return self._cropped(x, drawn, "nearest")

    def _mover(self, size: Sequence[int], drawn: Any) -> Mover:
        if not drawn:
            return into(largest(size, self.height, self.width), size, self.height, self.width)
        tops, lefts = map(per_box, drawn)
        return lambda x, y: (x - lefts, y - tops)

    def _cropped(self, x: torch.Tensor, drawn: Any, interpolation: str) -> torch.Tensor:
        if not drawn:
            return largest_part(x, self.height, self.width, interpolation)
        batch, channels, _, width = x.shape
        tops, lefts = (start.view(-1, 1, 1, 1) for start in drawn)
        rows = tops + torch.arange(self.height, device=x.device).unsqueeze(1)
        columns = lefts + torch.arange(self.width, device=x.device)
        x = x.gather(2, rows.expand(batch, channels, -1, width))
        return x.gather(3, columns.expand(batch, channels, self.height, -1))


class _Affine(Drawing):
    """A layer that reads each pixel (x, y) of the result at ``(a0 x + a1 y + a2, b0 x + b1 y + b2)``.

    A subclass draws numbers, and gives from them a0, a1, a2, b0, b1, b2 for each picture.
    """

    def __init__(
        self,
        fill_mode: str,
        interpolation: str,
        seed: int | None,
        fill_value: float,
        data_format: str | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, data_format=data_format, **kwargs)
        self.fill_mode = one_of(type(self).__name__, "fill_mode", fill_mode, _FILL_MODES)
        accepted = ("nearest", "bilinear")
        self.interpolation = one_of(type(self).__name__, "interpolation", interpolation, accepted)
        self.fill_value = fill_value

    def _altered(self, x: torch.Tensor, *drawn: torch.Tensor) -> torch.Tensor:
        return self._sampled(x, drawn, self.interpolation)

    def _mask(self, x: torch.Tensor, drawn: Any) -> torch.Tensor:
        return x if drawn is None else self._sampled(x, drawn, "nearest")

    def _sampled(
        self, x: torch.Tensor, drawn: Sequence[torch.Tensor], interpolation: str
    ) -> torch.Tensor:
        zero = torch.zeros_like(drawn[0])
        numbers = [*self._numbers(x.shape[2], x.shape[3], *drawn), 0.0, 0.0]
        transform = torch.stack([zero + number for number in numbers], -1)
        places = projected(x, transform)
        return read(x, places, order_of(interpolation), self.fill_mode, self.fill_value)

    def _mover(self, size: Sequence[int], drawn: Any) -> Mover | None:
        if drawn is None:
            return None
        numbers = self._numbers(size[0], size[1], *drawn)
        a0, a1, a2, b0, b1, b2 = (per_box(n) if isinstance(n, torch.Tensor) else n for n in numbers)
        area = a0 * b1 - a1 * b0

        def move(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            """The inverse; pixels have their middles at halves."""
            u, v = x - 0.5 - a2, y - 0.5 - b2
            return (b1 * u - a1 * v) / area + 0.5, (a0 * v - b0 * u) / area + 0.5

        return move

    def _numbers(self, height: int, width: int, *drawn: torch.Tensor) -> Sequence[Any]:
        """a0, a1, a2, b0, b1, b2, each a number or (B,)."""
        raise NotImplementedError

    def _pair(self, name: str, value: Any, lowest: float = -1.0) -> tuple[float, float]:
        return factor_of(type(self).__name__, name, value, (lowest, 1.0))


class RandomTranslation(_Affine):
    """In training, moves each picture down and to the right by fractions of its height and width.

    Args:
        height_factor, width_factor: a pair of bounds in [-1, 1], or f for (-f, f). Positive is down, and right.
        fill_mode: what is read outside: ``"reflect"``, ``"wrap"``, ``"constant"`` (`fill_value`) or ``"nearest"``.
        interpolation: ``"bilinear"`` or ``"nearest"``.

    >>> import torch, kerastorch as keras
    >>> layer = keras.layers.RandomTranslation(0.0, (0.25, 0.25), fill_mode="constant")
    >>> layer(torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 4, 1), training=True).flatten()
    tensor([0., 1., 2., 3.])
    """

    def __init__(
        self,
        height_factor: Factor,
        width_factor: Factor,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **kwargs)
        self.height_factor, self.width_factor = height_factor, width_factor
        self._heights = self._pair("height_factor", height_factor)
        self._widths = self._pair("width_factor", width_factor)

    def _draw(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self._uniform(x, self._heights), self._uniform(x, self._widths)

    def _numbers(self, height: int, width: int, *drawn: torch.Tensor) -> Sequence[Any]:
        down, right = drawn
        return 1.0, 0.0, -right * width, 0.0, 1.0, -down * height


class RandomRotation(_Affine):
    """In training, turns each picture about its middle.

    Args:
        factor: a pair of bounds in [-1, 1] as fractions of a full turn, or f for (-f, f). Positive is
            counter-clockwise.
        fill_mode, interpolation: see `RandomTranslation`.

    >>> import torch, kerastorch as keras
    >>> layer = keras.layers.RandomRotation((0.25, 0.25))
    >>> layer(torch.tensor([[1.0, 2.0], [3.0, 4.0]]).unsqueeze(-1), training=True)[..., 0].round()
    tensor([[2., 4.],
            [1., 3.]])
    """

    def __init__(
        self,
        factor: Factor,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **kwargs)
        self.factor = self._pair("factor", factor)

    def _draw(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (self._uniform(x, self.factor),)

    def _numbers(self, height: int, width: int, *drawn: torch.Tensor) -> Sequence[Any]:
        angle = turns(drawn[0])
        cos, sin = angle.cos(), angle.sin()
        x, y = (width - 1) / 2, (height - 1) / 2
        return cos, -sin, x - x * cos + y * sin, sin, cos, y - x * sin - y * cos


class RandomZoom(_Affine):
    """In training, shows more or less of each picture around its middle.

    Args:
        height_factor: a pair of bounds in (-1, 1], or f for (-f, f): 0.2 shows 20% more, -0.2 20% less.
        width_factor: the same for the width; None keeps the aspect ratio.
        fill_mode, interpolation: see `RandomTranslation`.

    >>> import torch, kerastorch as keras
    >>> layer = keras.layers.RandomZoom((-0.5, -0.5), interpolation="nearest")
    >>> layer(torch.arange(4.0).view(1, 4, 1), training=True).flatten()
    tensor([1., 1., 2., 2.])
    """

    def __init__(
        self,
        height_factor: Factor,
        width_factor: Factor | None = None,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **kwargs)
        self.height_factor, self.width_factor = height_factor, width_factor
        self._heights = self._zoom("height_factor", height_factor)
        self._widths = None if width_factor is None else self._zoom("width_factor", width_factor)

    def _zoom(self, name: str, value: Any) -> tuple[float, float]:
        low, high = self._pair(name, value)
        if -1 in (value if isinstance(value, (tuple, list)) else (value,)):
            raise ValueError(
                f"RandomZoom: `{name}` must be above -1, which shows nothing, received {value!r}."
            )
        return 1 + low, 1 + high

    def _draw(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        height = self._uniform(x, self._heights)
        return height, height if self._widths is None else self._uniform(x, self._widths)

    def _numbers(self, height: int, width: int, *drawn: torch.Tensor) -> Sequence[Any]:
        zoom_y, zoom_x = drawn
        x, y = (width - 1) / 2, (height - 1) / 2
        return zoom_x, 0.0, x * (1 - zoom_x), 0.0, zoom_y, y * (1 - zoom_y)


class RandomShear(_Affine):
    """In training, pushes the rows (x) and the columns (y) of each picture apart, to either side.

    Args:
        x_factor, y_factor: a pair of bounds in [0, 1], or f for (0, f): pixels by which a row (column) is moved
            more than the one before.
        fill_mode, interpolation: see `RandomTranslation`.

    >>> import torch, kerastorch as keras
    >>> keras.layers.RandomShear(0.3)(torch.zeros(2, 8, 8, 3), training=True).shape
    torch.Size([2, 8, 8, 3])
    """

    def __init__(
        self,
        x_factor: Factor = 0.0,
        y_factor: Factor = 0.0,
        interpolation: str = "bilinear",
        fill_mode: str = "reflect",
        fill_value: float = 0.0,
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **kwargs)
        # Files that Keras wrote have (-f, f) where f was given.
        self.x_factor = self._pair("x_factor", x_factor)
        self.y_factor = self._pair("y_factor", y_factor)

    def _draw(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        side = torch.where(self._uniform(x) > 0.5, -1.0, 1.0)
        return self._uniform(x, self.x_factor) * side, self._uniform(x, self.y_factor) * side

    def _numbers(self, height: int, width: int, *drawn: torch.Tensor) -> Sequence[Any]:
        along_x, along_y = drawn
        return 1.0, along_x, 0.0, along_y, 1.0, 0.0


registry.add(RandomFlip, RandomCrop, RandomTranslation, RandomRotation, RandomZoom, RandomShear)
