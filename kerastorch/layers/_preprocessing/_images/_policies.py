"""`RandAugment` and `AugMix`: for each picture, changes drawn from a box of tools."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from kerastorch import random
from kerastorch.layers._base import positive
from kerastorch.layers._layer import registry
from kerastorch.layers._preprocessing._images._base import (
    Coloring,
    Drawing,
    Factor,
    Mover,
    Pictures,
    factor_of,
    per_box,
    per_picture,
)
from kerastorch.layers._preprocessing._images._geometry import (
    RandomRotation,
    RandomShear,
    RandomTranslation,
)
from kerastorch.layers._preprocessing._images._histograms import AutoContrast, Equalization
from kerastorch.layers._preprocessing._images._hues import RandomColorDegeneration
from kerastorch.layers._preprocessing._images._intensity import (
    RandomBrightness,
    RandomContrast,
    RandomPosterization,
    Solarization,
)
from kerastorch.layers._preprocessing._images._windows import RandomSharpness


class _Policy(Coloring):
    """A layer with a box of tools: all of them work on all pictures, and one result of each is taken."""

    _tools: list[Pictures]

    def __init__(
        self,
        value_range: Sequence[float],
        factor: Factor,
        interpolation: str,
        every: bool,
        seed: int | None,
        data_format: str | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(value_range, data_format, seed, **kwargs)
        bounds = factor_of(type(self).__name__, "factor", factor, (0.0, 1.0))
        self.factor, self.interpolation = bounds, interpolation
        tools: list[Pictures] = [
            RandomShear(bounds, bounds, interpolation, name="shear"),
            RandomTranslation(bounds, bounds, interpolation=interpolation, name="translation"),
            RandomRotation(bounds, interpolation=interpolation, name="rotation"),
            RandomPosterization(max(1, int(8 * bounds[1])), value_range, name="posterization"),
            Solarization(bounds, bounds, value_range, name="solarization"),
            AutoContrast(value_range, name="auto_contrast"),
            Equalization(value_range, name="equalization"),
        ]
        if every:
            tools += [
                RandomBrightness(bounds, value_range, name="brightness"),
                RandomColorDegeneration(bounds, value_range, name="color_degeneration"),
                RandomContrast(bounds, value_range, name="contrast"),
                RandomSharpness(bounds, value_range, name="sharpness"),
            ]
        for tool in tools:
            if isinstance(tool, Drawing):
                tool._generator = self._generator
        self.__dict__["_tools"] = tools  # not modules of this one: they are only functions

    def _draw_step(self, x: torch.Tensor, idle: int = 0) -> tuple[torch.Tensor, list[Any]]:
        """Which tool each picture is given, perhaps none, and what every tool drew."""
        index = (self._uniform(x) * (len(self._tools) + idle)).long()
        return index, [tool._drawn(x) for tool in self._tools]

    def _stepped(self, x: torch.Tensor, step: tuple[torch.Tensor, list[Any]]) -> torch.Tensor:
        index, drawn = step
        result = x
        for at, (tool, numbers) in enumerate(zip(self._tools, drawn, strict=True)):
            result = torch.where(per_picture(index == at), tool._changed(x, numbers), result)
        return result


class RandAugment(_Policy):
    """In training, changes each picture by `num_ops` of eleven layers, one after the other. Cubuk et al., 2019.

    They are RandomShear, RandomTranslation, RandomRotation, RandomPosterization, Solarization, AutoContrast,
    Equalization, RandomBrightness, RandomColorDegeneration, RandomContrast and RandomSharpness.

    Args:
        value_range: lowest and highest value of a pixel.
        factor: how strong, a pair of bounds in [0, 1], or f for (0, f).
        interpolation: ``"bilinear"`` or ``"nearest"``.

    >>> import torch, kerastorch as keras
    >>> keras.layers.RandAugment()(torch.zeros(2, 8, 8, 3), training=True).shape
    torch.Size([2, 8, 8, 3])
    """

    def __init__(
        self,
        value_range: Sequence[float] = (0, 255),
        num_ops: int = 2,
        factor: Factor = 0.5,
        interpolation: str = "bilinear",
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(value_range, factor, interpolation, True, seed, data_format, **kwargs)
        positive(type(self).__name__, num_ops=num_ops)
        self.num_ops = num_ops

    def _drawn(self, x: torch.Tensor) -> Any:
        return [self._draw_step(x) for _ in range(self.num_ops)]

    def _altered(self, x: torch.Tensor, *drawn: Any) -> torch.Tensor:
        for step in drawn:
            x = self._stepped(x, step)
        return x

    def _mask(self, x: torch.Tensor, drawn: Any) -> torch.Tensor:
        for index, numbers in drawn or ():
            result = x
            for at, (tool, drew) in enumerate(zip(self._tools, numbers, strict=True)):
                result = torch.where(per_picture(index == at), tool._mask(x, drew), result)
            x = result
        return x

    def _mover(self, size: Sequence[int], drawn: Any) -> Mover | None:
        if drawn is None:
            return None
        height, width = size
        steps = [
            (
                index,
                [tool._mover(size, drew) for tool, drew in zip(self._tools, numbers, strict=True)],
            )
            for index, numbers in drawn
        ]

        def move(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            for index, movers in steps:
                new_x, new_y = x, y
                for at, mover in enumerate(movers):
                    if mover is not None:
                        chosen = per_box(index == at)
                        there = zip(mover(x, y), (new_x, new_y), strict=True)
                        new_x, new_y = (torch.where(chosen, a, b) for a, b in there)
                x, y = new_x.clamp(0, width), new_y.clamp(0, height)
            return x, y

        return move


class AugMix(_Policy):
    """In training, mixes each picture with several chains of changes of it. Hendrycks et al., 2019.

    It costs ``num_chains * chain_depth`` times as much as all its layers, which are those of `RandAugment`.

    Args:
        value_range: lowest and highest value of a pixel.
        num_chains: how many chains there are.
        chain_depth: how many changes a chain has, some of which are none.
        factor: how strong, a pair of bounds in [0, 1], or f for (0, f).
        alpha: of the Dirichlet distribution of the weights of chains, and of the Beta distribution of the
            weight of the picture.
        all_ops: False leaves out the last four layers.
        interpolation: ``"bilinear"`` or ``"nearest"``.

    >>> import torch, kerastorch as keras
    >>> keras.layers.AugMix()(torch.zeros(2, 8, 8, 3), training=True).shape
    torch.Size([2, 8, 8, 3])
    """

    def __init__(
        self,
        value_range: Sequence[float] = (0, 255),
        num_chains: int = 3,
        chain_depth: int = 3,
        factor: Factor = 0.3,
        alpha: float = 1.0,
        all_ops: bool = True,
        interpolation: str = "bilinear",
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(value_range, factor, interpolation, all_ops, seed, data_format, **kwargs)
        positive(type(self).__name__, num_chains=num_chains, chain_depth=chain_depth)
        if not isinstance(alpha, (int, float)) or alpha <= 0:
            raise ValueError(f"AugMix: `alpha` must be a number above 0, received {alpha!r}.")
        self.num_chains, self.chain_depth = num_chains, chain_depth
        self.alpha, self.all_ops = alpha, all_ops

    def _drawn(self, x: torch.Tensor) -> Any:
        batch, seed = x.shape[0], self._generator
        alpha = torch.full((), float(self.alpha), device=x.device)
        parts = random.gamma((batch, self.num_chains), alpha, dtype="float32", seed=seed)
        weight = random.beta((batch,), alpha, alpha, dtype="float32", seed=seed)
        chains = [
            [self._draw_step(x, idle=1) for _ in range(self.chain_depth)]
            for _ in range(self.num_chains)
        ]
        parts = parts.clamp_min(1e-30)
        return weight, parts / parts.sum(1, keepdim=True), chains

    def _altered(self, x: torch.Tensor, *drawn: Any) -> torch.Tensor:
        weight, parts, chains = drawn
        mixture = torch.zeros_like(x)
        for part, chain in zip(parts.unbind(1), chains, strict=True):
            y = x
            for step in chain:
                y = self._stepped(y, step)
            mixture = mixture + per_picture(part) * y
        return self._clipped(torch.lerp(mixture, x, per_picture(weight).to(x.dtype)))

    def _mask(self, x: torch.Tensor, drawn: Any) -> torch.Tensor:
        if drawn is None:
            return x
        raise NotImplementedError(
            f"{self._title()}: 'segmentation_masks' cannot be moved in training: each picture becomes a "
            "mixture of several that are moved apart. Use RandAugment, or leave the masks out."
        )

    def _mover(self, size: Sequence[int], drawn: Any) -> Mover | None:
        if drawn is None:
            return None
        raise NotImplementedError(
            f"{self._title()}: 'bounding_boxes' cannot be moved in training: each picture becomes a mixture "
            "of several that are moved apart. Use RandAugment, or leave them out."
        )


registry.add(RandAugment, AugMix)
