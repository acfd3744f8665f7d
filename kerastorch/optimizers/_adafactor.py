"""Adafactor: second moments of a matrix from its row and column means."""

from __future__ import annotations

from typing import Any

import torch
from typing_extensions import Unpack

from kerastorch.optimizers._arithmetic import Scalar, Tensors, smaller
from kerastorch.optimizers._bundle import Bundle
from kerastorch.optimizers._optimizer import Optimizer
from kerastorch.optimizers._options import Option, Options, Rate, in_range


class Adafactor(Optimizer):
    """Adam without momentum whose second moments take the memory of a row and a column.

    ``v`` of a matrix is ``r * c / mean(r)``, with ``r`` and ``c`` the averages of ``g**2 + epsilon_1``
    over columns and rows and the decay ``1 - t**beta_2_decay``. Vectors keep ``v``. The update
    ``g / sqrt(v)`` is divided by ``max(1, rms / clip_threshold)`` and scaled by
    ``max(epsilon_2, rms(w)) * min(learning_rate, 1 / sqrt(t))``. `relative_step` changes nothing:
    as in Keras that minimum is always taken. Shazeer & Stern, https://arxiv.org/abs/1804.04235.

    >>> import kerastorch as keras, torch
    >>> w = torch.nn.Parameter(torch.ones(2, 2))
    >>> keras.optimizers.Adafactor(learning_rate=0.1).apply([torch.ones(2, 2)], [w])
    >>> round(w[0, 0].item(), 4)
    0.9
    """

    beta_2_decay = Option()
    epsilon_1 = Option()
    epsilon_2 = Option()
    clip_threshold = Option()
    relative_step = Option()

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        beta_2_decay: float = -0.8,
        epsilon_1: float = 1e-30,
        epsilon_2: float = 1e-3,
        clip_threshold: float = 1.0,
        relative_step: bool = True,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.beta_2_decay = in_range(self, "beta_2_decay", beta_2_decay, -float("inf"), 0.0)
        self.epsilon_1 = in_range(self, "epsilon_1", epsilon_1)
        self.epsilon_2 = in_range(self, "epsilon_2", epsilon_2)
        self.clip_threshold = in_range(self, "clip_threshold", clip_threshold)
        self.relative_step = bool(relative_step)

    def slots(self, param: torch.Tensor, options: dict[str, Any]) -> dict[str, torch.Tensor]:
        rows, columns = (param[..., 0], param[..., 0, :]) if param.ndim > 1 else (param.sum(),) * 2
        return {
            "r": torch.zeros_like(rows, requires_grad=False),
            "c": torch.zeros_like(columns, requires_grad=False),
            "velocity": torch.zeros_like(param),
        }

    def update(self, bundle: Bundle, grads: Tensors, lr: Scalar, step: Scalar) -> None:
        options = bundle.options
        fresh = step ** options["beta_2_decay"]  # the share of the new squares
        size = smaller(lr, step**-0.5)
        slots = (bundle.slot(name) for name in ("r", "c", "velocity"))
        for w, g, r, c, v in zip(bundle.params, grads, *slots, strict=True):
            square = g * g + options["epsilon_1"]
            if w.ndim > 1:
                _blend_(r, square.mean(-1), fresh)
                _blend_(c, square.mean(-2), fresh)
                v.copy_((r / r.mean(-1, keepdim=True)).unsqueeze(-1) * c.unsqueeze(-2))
            else:
                _blend_(v, square, fresh)
            u = g / v.sqrt()
            u = u / (_rms(u) / options["clip_threshold"]).clamp(min=1.0)
            w.sub_(u * (_rms(w).clamp(min=options["epsilon_2"]) * size))


def _blend_(average: torch.Tensor, value: torch.Tensor, fresh: Scalar) -> None:
    average.add_((value - average) * fresh)


def _rms(x: torch.Tensor) -> torch.Tensor:
    return x.square().mean().sqrt()
