"""FTRL: weights in closed form from sums of gradients, with exact zeros."""

from __future__ import annotations

import math
from typing import Any

import torch
from typing_extensions import Unpack

from kerastorch.optimizers._arithmetic import Scalar, Tensors, add_scaled_
from kerastorch.optimizers._bundle import Bundle
from kerastorch.optimizers._optimizer import Optimizer
from kerastorch.optimizers._options import Option, Options, Rate, in_range


class Ftrl(Optimizer):
    """ "Follow the regularised leader": for wide, shallow models with sparse features.

    With ``p = -learning_rate_power``, ``l1``, ``l2`` the regularisation strengths and ``s`` the
    shrinkage: ``n' = n + g**2``, ``z += g + 2 * s * w - (n'**p - n**p) / learning_rate * w``,
    ``w = (clip(z, -l1, l1) - z) / ((n'**p + beta) / learning_rate + 2 * l2)``.
    McMahan et al., https://research.google.com/pubs/archive/41159.pdf.

    >>> import kerastorch as keras, torch
    >>> w = torch.nn.Parameter(torch.tensor([0.0, 0.0]))
    >>> optimizer = keras.optimizers.Ftrl(0.1, l1_regularization_strength=0.5)
    >>> optimizer.apply([torch.tensor([2.0, 0.4])], [w])
    >>> [round(x, 4) for x in w.tolist()]
    [-0.0741, 0.0]
    """

    learning_rate_power = Option()
    initial_accumulator_value = Option()
    l1_regularization_strength = Option()
    l2_regularization_strength = Option()
    l2_shrinkage_regularization_strength = Option()
    beta = Option()

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        l2_shrinkage_regularization_strength: float = 0.0,
        beta: float = 0.0,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.learning_rate_power = in_range(
            self, "learning_rate_power", learning_rate_power, -math.inf, 0.0
        )
        for name, value in (
            ("initial_accumulator_value", initial_accumulator_value),
            ("l1_regularization_strength", l1_regularization_strength),
            ("l2_regularization_strength", l2_regularization_strength),
            ("l2_shrinkage_regularization_strength", l2_shrinkage_regularization_strength),
            ("beta", beta),
        ):
            setattr(self, name, in_range(self, name, value))

    def slots(self, param: torch.Tensor, options: dict[str, Any]) -> dict[str, torch.Tensor]:
        return {
            "accumulator": torch.full_like(param, options["initial_accumulator_value"]),
            "linear": torch.zeros_like(param),
        }

    def update(self, bundle: Bundle, grads: Tensors, lr: Scalar, step: Scalar) -> None:
        options, w = bundle.options, bundle.params
        n, z = bundle.slot("accumulator"), bundle.slot("linear")
        l1, shrinkage = (
            options["l1_regularization_strength"],
            options["l2_shrinkage_regularization_strength"],
        )
        before = torch._foreach_pow(n, -options["learning_rate_power"])
        torch._foreach_addcmul_(n, grads, grads)
        after = torch._foreach_pow(n, -options["learning_rate_power"])
        torch._foreach_add_(z, grads)
        if shrinkage:
            add_scaled_(z, w, 2 * shrinkage)
        growth = torch._foreach_sub(after, before)
        torch._foreach_div_(growth, lr)
        torch._foreach_addcmul_(z, growth, w, value=-1)
        torch._foreach_add_(after, options["beta"])
        torch._foreach_div_(after, lr)
        torch._foreach_add_(after, 2 * options["l2_regularization_strength"])
        shrunk = torch._foreach_clamp_max(torch._foreach_clamp_min(z, -l1), l1)
        torch._foreach_sub_(shrunk, z)
        torch._foreach_copy_(w, torch._foreach_div(shrunk, after))
