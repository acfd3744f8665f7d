"""Layers that move, repeat, pad or drop elements without changing them."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from kerastorch.config import standardize_data_format
from kerastorch.layers._base import Spatial, check_rank, positive
from kerastorch.layers._layer import Layer, registry
from kerastorch.ops._windows import as_tuple, pad_axes

Pairs = tuple[tuple[int, int], ...]


class Flatten(Layer):
    """All axes but the first as one.

    `data_format`: ``"channels_first"`` input is brought to channels-last order first.

    >>> import torch, kerastorch as keras
    >>> keras.layers.Flatten()(torch.zeros(2, 3, 4)).shape
    torch.Size([2, 12])
    """

    _live_config = (*Layer._live_config, "data_format")
    _takes_one_tensor = True

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = standardize_data_format(data_format)
        self.built = True

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        """(B, ...) -> (B, product of the rest)."""
        if inputs.dim() < 2:
            return inputs.reshape(-1, 1)
        if self.data_format == "channels_first" and inputs.dim() > 2:
            inputs = inputs.movedim(1, -1)
        return inputs.flatten(1)


class Reshape(Layer):
    """The same elements in `target_shape`, which leaves out the batch axis; one size may be -1.

    >>> import torch, kerastorch as keras
    >>> keras.layers.Reshape((2, -1))(torch.zeros(5, 6)).shape
    torch.Size([5, 2, 3])
    """

    _takes_one_tensor = True

    def __init__(self, target_shape: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        sizes = tuple(target_shape)
        if any(not isinstance(n, int) or n < -1 for n in sizes) or sizes.count(-1) > 1:
            raise ValueError(
                "Reshape: `target_shape` must hold sizes, and -1 at most once, "
                f"received {target_shape!r}."
            )
        self.target_shape = sizes
        self.built = True

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        """(B, ...) -> (B, *target_shape)."""
        return inputs.reshape(inputs.shape[0], *self.target_shape)

    def _expectation(self) -> str:
        return f"expected entries for `target_shape` {self.target_shape}."


class Permute(Layer):
    """The axes in the order `dims`, counted from 1; the batch axis stays first.

    >>> import torch, kerastorch as keras
    >>> keras.layers.Permute((2, 1))(torch.zeros(5, 3, 4)).shape
    torch.Size([5, 4, 3])
    """

    _takes_one_tensor = True

    def __init__(self, dims: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dims = tuple(dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ValueError(
                f"Permute: `dims` must be the numbers from 1 to {len(self.dims)} in some order, "
                f"received {dims!r}."
            )
        self.built = True

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        """(B, ...) -> (B, ... in another order)."""
        return inputs.permute(0, *self.dims)

    def _expectation(self) -> str:
        return f"expected {len(self.dims) + 1} axes."


class RepeatVector(Layer):
    """The input `n` times: (B, D) -> (B, n, D).

    >>> import torch, kerastorch as keras
    >>> keras.layers.RepeatVector(3)(torch.zeros(2, 4)).shape
    torch.Size([2, 3, 4])
    """

    _takes_one_tensor = True

    def __init__(self, n: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        positive("RepeatVector", n=n)
        self.n = n
        self.built = True

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        """(B, D) -> (B, n, D)."""
        check_rank(inputs, 2)
        return inputs.unsqueeze(1).repeat(1, self.n, 1)

    def _expectation(self) -> str:
        return "expected 2 axes."


def pairs(layer: str, name: str, value: Any, rank: int) -> Pairs:
    """A number, a number for each axis, or a pair (before, after) for each axis, as pairs."""
    given = (value,) * rank if isinstance(value, int) else value
    if rank == 1 and not isinstance(value, int):
        given = (value,)
    try:
        found = tuple((n, n) if isinstance(n, int) else tuple(n) for n in given)
        right = len(found) == rank and all(
            len(pair) == 2 and all(isinstance(n, int) and n >= 0 for n in pair) for pair in found
        )
    except TypeError:
        right = False
    if not right:
        several = f", {rank} of them, or {rank} pairs" if rank > 1 else " or a pair"
        raise ValueError(
            f"{layer}: `{name}` must be an integer >= 0{several} (before, after), received {value!r}."
        )
    return found


class _ZeroPadding(Spatial):
    """Zeros before and after each of `rank` axes."""

    def __init__(self, padding: Any, data_format: str | None, **kwargs: Any) -> None:
        super().__init__(data_format, **kwargs)
        self._pads = pairs(type(self).__name__, "padding", padding, self.rank)
        self.padding: Any = self._pads if self.rank > 1 else self._pads[0]
        self.built = True

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        """(B, ..., C) -> (B, larger ..., C), or channels first."""
        check_rank(inputs, self.rank + 2)
        return pad_axes(inputs, (*self._pads, (0, 0)) if self._channels_last else self._pads)


class ZeroPadding1D(_ZeroPadding):
    """Zeros before and after the steps: (B, steps, C) -> (B, steps + padding, C).

    `padding`: a number for both ends, or a pair.

    >>> import torch, kerastorch as keras
    >>> keras.layers.ZeroPadding1D((2, 1))(torch.zeros(1, 5, 3)).shape
    torch.Size([1, 8, 3])
    """

    rank = 1

    def __init__(self, padding: Any = 1, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(padding, data_format, **kwargs)


class ZeroPadding2D(_ZeroPadding):
    """Zeros around an image: (B, H, W, C) -> (B, H + padding, W + padding, C).

    `padding`: a number, a number for each axis, or a pair for each.

    >>> import torch, kerastorch as keras
    >>> keras.layers.ZeroPadding2D(((1, 0), (2, 2)))(torch.zeros(1, 8, 8, 3)).shape
    torch.Size([1, 9, 12, 3])
    """

    rank = 2

    def __init__(
        self, padding: Any = (1, 1), data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(padding, data_format, **kwargs)


class ZeroPadding3D(_ZeroPadding):
    """Zeros around a volume: (B, D, H, W, C) -> the same, larger. `padding` as in `ZeroPadding2D`.

    >>> import torch, kerastorch as keras
    >>> keras.layers.ZeroPadding3D(2)(torch.zeros(1, 4, 4, 4, 3)).shape
    torch.Size([1, 8, 8, 8, 3])
    """

    rank = 3

    def __init__(
        self,
        padding: Any = ((1, 1), (1, 1), (1, 1)),
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(padding, data_format, **kwargs)


class _Cropping(Spatial):
    """Drops entries at both ends of each of `rank` axes; the result is a view."""

    def __init__(self, cropping: Any, data_format: str | None, **kwargs: Any) -> None:
        super().__init__(data_format, **kwargs)
        self._cuts = pairs(type(self).__name__, "cropping", cropping, self.rank)
        self.cropping: Any = self._cuts if self.rank > 1 else self._cuts[0]
        self.built = True

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        """(B, ..., C) -> (B, smaller ..., C), or channels first."""
        check_rank(inputs, self.rank + 2)
        for axis, (before, after) in enumerate(self._cuts, 1 if self._channels_last else 2):
            if before + after >= inputs.shape[axis]:
                raise ValueError(f"nothing is left of axis {axis}")
            inputs = inputs.narrow(axis, before, inputs.shape[axis] - before - after)
        return inputs

    def _expectation(self) -> str:
        return f"expected {self.rank + 2} axes, longer than `cropping` {self.cropping}."


class Cropping1D(_Cropping):
    """Drops steps at both ends: (B, steps, C) -> (B, fewer steps, C). A number, or a pair.

    >>> import torch, kerastorch as keras
    >>> keras.layers.Cropping1D((2, 1))(torch.zeros(1, 5, 3)).shape
    torch.Size([1, 2, 3])
    """

    rank = 1
    _live_config = Layer._live_config

    def __init__(self, cropping: Any = (1, 1), **kwargs: Any) -> None:
        super().__init__(cropping, "channels_last", **kwargs)


class Cropping2D(_Cropping):
    """Drops the edges of an image: (B, H, W, C) -> (B, smaller H, smaller W, C).

    `cropping`: a number, a number for each axis, or a pair for each.

    >>> import torch, kerastorch as keras
    >>> keras.layers.Cropping2D(((1, 0), (2, 2)))(torch.zeros(1, 8, 8, 3)).shape
    torch.Size([1, 7, 4, 3])
    """

    rank = 2

    def __init__(
        self, cropping: Any = ((0, 0), (0, 0)), data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(cropping, data_format, **kwargs)


class Cropping3D(_Cropping):
    """Drops the faces of a volume: (B, D, H, W, C) -> the same, smaller. As `Cropping2D`.

    >>> import torch, kerastorch as keras
    >>> keras.layers.Cropping3D(1)(torch.zeros(1, 4, 4, 4, 3)).shape
    torch.Size([1, 2, 2, 2, 3])
    """

    rank = 3

    def __init__(
        self,
        cropping: Any = ((1, 1), (1, 1), (1, 1)),
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(cropping, data_format, **kwargs)


def repeated(x: torch.Tensor, size: tuple[int, ...], first: int) -> torch.Tensor:
    """Each entry of the axes from `first` on repeated, in one copy."""
    shape, wide, long = [], [], []
    for axis, n in enumerate(x.shape):
        times = size[axis - first] if 0 <= axis - first < len(size) else 1
        shape += [n, 1]
        wide += [n, times]
        long += [n * times]
    return x.reshape(shape).expand(wide).reshape(long)


class _UpSampling(Spatial):
    """Each entry of `rank` axes `size` times."""

    def __init__(self, size: Any, data_format: str | None, **kwargs: Any) -> None:
        super().__init__(data_format, **kwargs)
        self.size: Any = as_tuple(type(self).__name__, "size", size, self.rank)
        self._times = self.size
        self.built = True

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        """(B, ..., C) -> (B, larger ..., C), or channels first."""
        check_rank(inputs, self.rank + 2)
        return repeated(inputs, self._times, 1 if self._channels_last else 2)


class UpSampling1D(_UpSampling):
    """Each step `size` times: (B, steps, C) -> (B, steps * size, C).

    >>> import torch, kerastorch as keras
    >>> keras.layers.UpSampling1D(2)(torch.tensor([[[1.0], [2.0]]])).flatten()
    tensor([1., 1., 2., 2.])
    """

    rank = 1
    _live_config = Layer._live_config

    def __init__(self, size: int = 2, **kwargs: Any) -> None:
        super().__init__(size, "channels_last", **kwargs)
        self.size = self._times[0]


class UpSampling2D(_UpSampling):
    """A larger image: (B, H, W, C) -> (B, H * size[0], W * size[1], C).

    `interpolation`: ``"nearest"`` repeats pixels, ``"bilinear"``, ``"bicubic"``, ``"lanczos3"`` and
    ``"lanczos5"`` weigh neighbours; pixels are squares (half-pixel centres).

    >>> import torch, kerastorch as keras
    >>> keras.layers.UpSampling2D((2, 3))(torch.zeros(1, 4, 4, 3)).shape
    torch.Size([1, 8, 12, 3])
    """

    rank = 2

    def __init__(
        self,
        size: Any = (2, 2),
        data_format: str | None = None,
        interpolation: str = "nearest",
        **kwargs: Any,
    ) -> None:
        super().__init__(size, data_format, **kwargs)
        self.interpolation = str(interpolation).lower()
        allowed = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")
        if self.interpolation not in allowed:
            raise ValueError(
                f"UpSampling2D: `interpolation` must be one of {allowed}, received {interpolation!r}."
            )

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        """(B, H, W, C) -> (B, H', W', C), or channels first."""
        if self.interpolation == "nearest":
            return super().call(inputs)
        return Spatial.call(
            self, inputs if inputs.is_floating_point() else inputs.to(self._compute)
        )

    def _move(self, x: torch.Tensor) -> torch.Tensor:
        height, width = (n * times for n, times in zip(x.shape[2:], self._times, strict=True))
        if not self.interpolation.startswith("lanczos"):
            return F.interpolate(x, (height, width), mode=self.interpolation, align_corners=False)
        radius = int(self.interpolation[-1])
        rows = lanczos(x.shape[2], height, radius, x)
        columns = lanczos(x.shape[3], width, radius, x)
        return rows @ x @ columns.T


def lanczos(size: int, new: int, radius: int, like: torch.Tensor) -> torch.Tensor:
    """The weights (new, size) of Lanczos's windowed sinc, each row adding up to 1."""
    options: Any = {"device": like.device, "dtype": torch.float32}
    centres = (torch.arange(new, **options) + 0.5) * (size / new) - 0.5
    away = centres.unsqueeze(1) - torch.arange(size, **options)
    weights = torch.sinc(away) * torch.sinc(away / radius) * (away.abs() < radius)
    return (weights / weights.sum(1, keepdim=True)).to(like.dtype)


class UpSampling3D(_UpSampling):
    """Each voxel repeated: (B, D, H, W, C) -> (B, D * size[0], H * size[1], W * size[2], C).

    >>> import torch, kerastorch as keras
    >>> keras.layers.UpSampling3D((1, 2, 2))(torch.zeros(1, 4, 4, 4, 3)).shape
    torch.Size([1, 4, 8, 8, 3])
    """

    rank = 3

    def __init__(
        self, size: Any = (2, 2, 2), data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(size, data_format, **kwargs)


registry.add(Flatten, Reshape, Permute, RepeatVector)
registry.add(ZeroPadding1D, ZeroPadding2D, ZeroPadding3D, Cropping1D, Cropping2D, Cropping3D)
registry.add(UpSampling1D, UpSampling2D, UpSampling3D)
