"""`MixUp` and `CutMix`: each picture with a part of another one, and its label too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from kerastorch import random
from kerastorch.layers._layer import registry
from kerastorch.layers._preprocessing._images._base import (
    Drawing,
    Factor,
    Mover,
    factor_of,
    per_picture,
)
from kerastorch.layers._preprocessing._images._windows import boxes
from kerastorch.ops._image._pixels import wide


class _Mixing(Drawing):
    """A layer that draws a partner for each picture, and the weight of the picture itself."""

    def _draw_pairs(
        self, x: torch.Tensor, alpha: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        seed = self._generator
        weight = random.beta((x.shape[0],), alpha, alpha, dtype="float32", seed=seed)
        return random.shuffle(torch.arange(x.shape[0], device=x.device), seed=seed), weight

    def _labels(self, labels: Any, drawn: Any) -> Any:
        """Labels mixed by the weights, which must be numbers for each class."""
        if drawn is None:
            return labels
        partner, weight = drawn[:2]
        if labels.dim() == 0 or labels.shape[0] != weight.shape[0]:
            return labels  # of a single picture, which has no partner
        return mixed(wide(labels), partner, weight.view(-1, *(1,) * (labels.dim() - 1)))


def mixed(x: torch.Tensor, partner: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """``weight * x + (1 - weight) * x[partner]``."""
    return torch.lerp(x[partner], x, weight.to(x.dtype))


class MixUp(_Mixing):
    """In training, the mean of each picture and another one of the batch, weighted by a Beta number.

    Labels, given as ``{"images": ..., "labels": ...}``, are mixed alike: one number for each class. Bounding boxes
    are those of both, (B, N, 4) -> (B, 2 * N, 4). Zhang et al., 2017.

    `alpha`: both parameters of the Beta distribution; small numbers mix little.

    >>> import torch, kerastorch as keras
    >>> data = {"images": torch.rand(4, 8, 8, 3), "labels": torch.eye(4)}
    >>> keras.layers.MixUp()(data, training=True)["labels"].sum(1)
    tensor([1., 1., 1., 1.])
    """

    def __init__(
        self,
        alpha: float = 0.2,
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, data_format=data_format, **kwargs)
        if not isinstance(alpha, (int, float)) or alpha <= 0:
            raise ValueError(f"MixUp: `alpha` must be a number above 0, received {alpha!r}.")
        self.alpha = alpha

    def _draw(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self._draw_pairs(x, torch.full((), self.alpha, device=x.device))

    def _altered(self, x: torch.Tensor, *drawn: torch.Tensor) -> torch.Tensor:
        partner, weight = drawn
        return mixed(wide(x), partner, per_picture(weight))

    def _mask(self, x: torch.Tensor, drawn: Any) -> torch.Tensor:
        if not x.is_floating_point():
            raise ValueError(
                "'segmentation_masks' must hold a floating-point number for each class to be mixed, "
                f"received {x.dtype}"
            )
        return self._changed(x, drawn)

    def _boxes(
        self, given: dict[str, Any], before: Sequence[int], after: Sequence[int], drawn: Any
    ) -> dict[str, Any]:
        if drawn is None:
            return given
        partner = drawn[0]
        pairs = {key: given[key] for key in ("boxes", "labels") if key in given}
        if given["boxes"].dim() == 2:  # of a single picture, which is its own partner
            return {**given, **{key: torch.cat([v, v]) for key, v in pairs.items()}}
        return {**given, **{key: torch.cat([v, v[partner]], 1) for key, v in pairs.items()}}


class CutMix(_Mixing):
    """In training, puts a rectangle of another picture of the batch into each picture. Yun et al., 2019.

    Labels, given as ``{"images": ..., "labels": ...}``, are mixed by the parts that the pictures have.

    `factor`: a pair of bounds in [0, 1], or f for (0, f): both parameters of the Beta distribution of the part that
    stays.

    >>> import torch, kerastorch as keras
    >>> data = {"images": torch.rand(4, 8, 8, 3), "labels": torch.eye(4)}
    >>> keras.layers.CutMix()(data, training=True)["labels"].sum(1)
    tensor([1., 1., 1., 1.])
    """

    def __init__(
        self,
        factor: Factor = 1.0,
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, data_format=data_format, **kwargs)
        self.factor = factor_of(type(self).__name__, "factor", factor, (0.0, 1.0))

    def _draw(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        partner, stays = self._draw_pairs(x, self._uniform(x, self.factor) + 1e-6)
        length = (1 - stays).sqrt().unsqueeze(1)
        starts = self._uniform(x, (0.0, 1.0), 2) * (1 - length)
        hole = boxes(x, starts, starts + length)
        return partner, 1 - hole.float().mean((1, 2, 3)), hole

    def _altered(self, x: torch.Tensor, *drawn: torch.Tensor) -> torch.Tensor:
        partner, _, hole = drawn
        return torch.where(hole, x[partner], x)

    def _mask(self, x: torch.Tensor, drawn: Any) -> torch.Tensor:
        return self._changed(x, drawn)

    def _mover(self, size: Sequence[int], drawn: Any) -> Mover | None:
        if drawn is None:
            return None
        raise NotImplementedError(
            f"{self._title()}: 'bounding_boxes' cannot be cut in training, where parts of two pictures are put "
            "together. Use MixUp, or leave them out."
        )


registry.add(MixUp, CutMix)
