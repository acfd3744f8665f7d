"""A layer for pictures is its arguments, what it draws for each of them, and a function of both."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeAlias

import numpy as np
import torch

from kerastorch import random
from kerastorch.config import standardize_data_format
from kerastorch.layers._layer import Layer
from kerastorch.layers._preprocessing._base import is_array
from kerastorch.ops._image._pixels import as_given, channels_first, wide
from kerastorch.random._seed import fill, stream
from kerastorch.utils._boxes import around, clip_to_image_size, convert_format, points

#: A number, or the lowest and the highest.
Factor: TypeAlias = float | Sequence[float]
#: Where points go: x and y, both (B, N, 4) for the corners of boxes, to x and y.
Mover: TypeAlias = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


class Pictures(Layer):
    """A layer that changes pictures: (H, W, C) or (B, H, W, C), or channels first.

    It also takes a dict with ``"images"``, and perhaps ``"labels"``, ``"segmentation_masks"`` and
    ``"bounding_boxes"``, and gives a dict with the same keys. The result has the layer's compute dtype, integers
    too. Bounding boxes are ``{"boxes": (B, N, 4), "labels": (B, N)}`` in `bounding_box_format` (see
    `utils.bounding_boxes`); the labels of boxes that are no longer in the picture become -1.

    A subclass writes `_changed`; `_mask` and `_mover` where pixels do not stay where they are.
    """

    _live_config = (*Layer._live_config, "data_format")
    _keeps_integers = False  # as they are, in place of the compute dtype

    def __init__(
        self,
        data_format: str | None = None,
        bounding_box_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.data_format = standardize_data_format(data_format)
        self.bounding_box_format = bounding_box_format
        self.built = True

    def _convert(self, value: Any) -> Any:
        return super()._convert(
            np.asarray(value) if type(value) is list and is_array(value) else value
        )

    def call(self, data: Any, training: bool = False) -> Any:
        """Pictures, or a dict of them and what belongs to them."""
        given = data if isinstance(data, dict) else {"images": data}
        images = self._images(given)
        x = channels_first(images, self.data_format)
        drawn = self._drawn(x) if training else None
        changed = as_given(self._changed(x, drawn), images, self.data_format)
        if given is not data:
            return changed
        results = {**given, "images": changed}
        if "labels" in given:
            results["labels"] = self._labels(given["labels"], drawn)
        if "segmentation_masks" in given:
            results["segmentation_masks"] = self._masks(given["segmentation_masks"], images, drawn)
        if "bounding_boxes" in given:
            sizes = x.shape[2:], channels_first(changed, self.data_format).shape[2:]
            results["bounding_boxes"] = self._boxes(given["bounding_boxes"], *sizes, drawn)
        return results

    def _images(self, given: dict[str, Any]) -> torch.Tensor:
        """The pictures, in the dtype of the result."""
        images = given.get("images")
        if not isinstance(images, torch.Tensor):
            raise TypeError(
                f"{self._title()} takes pictures, or a dict with pictures as 'images', "
                f"received {type(images).__name__ if 'images' in given else sorted(given)}."
            )
        if self._keeps_integers and not images.is_floating_point():
            return images
        return images.to(self._compute)

    def _masks(self, masks: torch.Tensor, images: torch.Tensor, drawn: Any) -> torch.Tensor:
        if masks.dim() != images.dim():
            raise ValueError(
                f"{self._title()}: 'segmentation_masks' must have as many axes as 'images', "
                f"received shapes {tuple(masks.shape)} and {tuple(images.shape)}."
            )
        moved = self._mask(channels_first(masks, self.data_format), drawn)
        return as_given(moved, masks, self.data_format)

    def _boxes(
        self, given: dict[str, Any], before: Sequence[int], after: Sequence[int], drawn: Any
    ) -> dict[str, Any]:
        """Upright boxes around the corners, wherever they have gone. Boxes of no area stand for none."""
        move = self._mover(before, drawn)
        if move is None:
            return given
        if self.bounding_box_format is None:
            raise ValueError(
                f"{self._title()}: say by `bounding_box_format=` what the four numbers of the "
                "'bounding_boxes' are, for example 'xyxy'."
            )
        corners = convert_format(given["boxes"], self.bounding_box_format, "xyxy", *before)
        many = corners if corners.dim() == 3 else corners.unsqueeze(0)
        real = (many[..., :2] < many[..., 2:]).all(-1, keepdim=True)
        many = torch.where(real, around(*move(*points(many))), 0)
        moved = many if corners.dim() == 3 else many.squeeze(0)
        height, width = after
        result = clip_to_image_size({**given, "boxes": moved}, height, width)
        return dict(convert_format(result, "xyxy", self.bounding_box_format, height, width))

    # -- what a subclass writes --------------------------------------------------------------------

    def _drawn(self, x: torch.Tensor) -> Any:
        """What is drawn for the pictures x (B, C, H, W), in training only."""
        return ()

    def _changed(self, x: torch.Tensor, drawn: Any) -> torch.Tensor:
        """(B, C, H, W) -> (B, C, H', W'); `drawn` is None outside training."""
        raise NotImplementedError

    def _mask(self, x: torch.Tensor, drawn: Any) -> torch.Tensor:
        """The same for masks."""
        return x

    def _mover(self, size: Sequence[int], drawn: Any) -> Mover | None:
        """Where a point of pictures of `size` (H, W) goes; None if every one stays."""
        return None

    def _labels(self, labels: Any, drawn: Any) -> Any:
        """The labels."""
        return labels

    def _expectation(self) -> str:
        first = "(C, H, W) or (B, C, H, W)"
        return f"expected {first if self.data_format == 'channels_first' else '(H, W, C) or (B, H, W, C)'}."


class Drawing(Pictures):
    """A layer that draws for each picture, in training only; without a seed by `torch.manual_seed`.

    `_draw` gives tensors with an entry for each picture, `_altered(x, *drawn)` uses them.
    """

    def __init__(self, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed
        self._generator = None if seed is None else random.SeedGenerator(seed)

    def _fill(self, x: torch.Tensor, method: str, a: float, b: float, shape: Any) -> torch.Tensor:
        return fill(method, (a, b), shape, torch.float32, stream(self._generator), x.device)

    def _uniform(
        self, x: torch.Tensor, bounds: Sequence[float] = (0.0, 1.0), *more: int
    ) -> torch.Tensor:
        """Numbers between two bounds for each picture: (B, *more)."""
        return self._fill(x, "uniform_", bounds[0], bounds[1], (x.shape[0], *more))

    def _chosen(self, x: torch.Tensor, chance: Sequence[float]) -> torch.Tensor:
        """Whether a picture is changed, with a chance that is drawn itself: (B,)."""
        return self._uniform(x) < self._uniform(x, chance)

    def _drawn(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self._draw(x)

    def _changed(self, x: torch.Tensor, drawn: Any) -> torch.Tensor:
        return x if drawn is None else self._altered(x, *drawn)

    def _draw(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        raise NotImplementedError

    def _altered(self, x: torch.Tensor, *drawn: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError


class Coloring(Drawing):
    """A layer that draws new colours and leaves every pixel where it is; pictures are in `value_range`."""

    def __init__(
        self,
        value_range: Sequence[float] = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, data_format=data_format, **kwargs)
        self.value_range = value_range_of(type(self).__name__, value_range)

    def _changed(self, x: torch.Tensor, drawn: Any) -> torch.Tensor:
        return x if drawn is None else self._altered(wide(x), *drawn)

    def _clipped(self, x: torch.Tensor) -> torch.Tensor:
        return x.clamp(*self.value_range)

    def _to(self, x: torch.Tensor, highest: float) -> torch.Tensor:
        """From `value_range` to [0, highest]."""
        return rescaled(x, self.value_range, (0, highest))

    def _back(self, x: torch.Tensor, highest: float) -> torch.Tensor:
        return rescaled(x, (0, highest), self.value_range)


class ByFactor(Coloring):
    """A `Coloring` by how much `factor` says, within `_bounds`."""

    _bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def __init__(
        self,
        factor: Factor,
        value_range: Sequence[float] = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(value_range, data_format, seed, **kwargs)
        self.factor = factor_of(type(self).__name__, "factor", factor, self._bounds)


def rescaled(x: torch.Tensor, old: Sequence[float], new: Sequence[float]) -> torch.Tensor:
    """From one range of values to another."""
    if tuple(old) == tuple(new):
        return x
    return (x - old[0]) / (old[1] - old[0]) * (new[1] - new[0]) + new[0]


def per_box(drawn: torch.Tensor) -> torch.Tensor:
    """(B,) as (B, 1, 1)."""
    return drawn.view(-1, 1, 1)


def per_picture(drawn: torch.Tensor) -> torch.Tensor:
    """(B,) as (B, 1, 1, 1)."""
    return drawn.view(-1, 1, 1, 1)


# -- arguments ---------------------------------------------------------------------------------------


def value_range_of(layer: str, value: Any) -> tuple[float, float]:
    """A checked `value_range`."""
    if not isinstance(value, (tuple, list)) or len(value) != 2 or value[0] == value[1]:
        raise ValueError(
            f"{layer}: `value_range` must be the lowest and the highest value of a pixel, "
            f"received {value!r}."
        )
    return min(value), max(value)


def factor_of(
    layer: str, name: str, value: Any, bounds: tuple[float, float], one: float | None = None
) -> tuple[float, float]:
    """A checked factor as its lowest and its highest value. A number f stands for (-f, f), as far as that is
    within `bounds`, or for (`one`, f)."""
    pair = value if isinstance(value, (tuple, list)) else (value, value)
    numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in pair)
    if len(pair) != 2 or not numbers or not all(bounds[0] <= v <= bounds[1] for v in pair):
        raise ValueError(
            f"{layer}: `{name}` must be a number or a pair of numbers in [{bounds[0]}, {bounds[1]}], "
            f"received {value!r}."
        )
    if pair is value:
        return min(pair), max(pair)
    highest = abs(value)
    return (max(-highest, bounds[0]) if one is None else one), highest


def one_of(layer: str, name: str, value: Any, accepted: Sequence[str]) -> str:
    """A checked option."""
    if value not in accepted:
        raise ValueError(f"{layer}: `{name}` must be one of {tuple(accepted)}, received {value!r}.")
    return str(value)


def turns(angle: torch.Tensor) -> torch.Tensor:
    """Turns as radians."""
    return angle * (2 * math.pi)
