"""Rules that follow the gradient or its sign."""

from __future__ import annotations

from typing import Any

import torch
from typing_extensions import Unpack

from kerastorch.optimizers._arithmetic import Scalar, Tensors, add_scaled_
from kerastorch.optimizers._bundle import Bundle
from kerastorch.optimizers._optimizer import Optimizer
from kerastorch.optimizers._options import Option, Options, Rate, below_one, in_range


class SGD(Optimizer):
    """Gradient descent, with momentum and Nesterov's variant.

    ``w -= learning_rate * g``; with momentum ``m = momentum * m - learning_rate * g`` and
    ``w += m``, with `nesterov` ``w += momentum * m - learning_rate * g``.

    >>> import kerastorch as keras, torch
    >>> w = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    >>> optimizer = keras.optimizers.SGD(learning_rate=0.5)
    >>> optimizer.apply([torch.tensor([1.0, -1.0])], [w])
    >>> w.tolist()
    [0.5, 2.5]
    """

    momentum = Option()
    nesterov = Option()

    def __init__(
        self,
        learning_rate: Rate = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.momentum = in_range(self, "momentum", momentum, high=1.0)
        self.nesterov = bool(nesterov)

    def slots(self, param: torch.Tensor, options: dict[str, Any]) -> dict[str, torch.Tensor]:
        return {"momentum": torch.zeros_like(param)} if options["momentum"] else {}

    def update(self, bundle: Bundle, grads: Tensors, lr: Scalar, step: Scalar) -> None:
        momentum = bundle.options["momentum"]
        if not momentum:
            add_scaled_(bundle.params, grads, -lr)
            return
        m = bundle.slot("momentum")
        torch._foreach_mul_(m, momentum)
        add_scaled_(m, grads, -lr)
        if bundle.options["nesterov"]:
            torch._foreach_add_(bundle.params, m, alpha=momentum)
            add_scaled_(bundle.params, grads, -lr)
        else:
            torch._foreach_add_(bundle.params, m)


class Lion(Optimizer):
    """Steps of one size: the sign of an interpolated momentum.

    ``w -= learning_rate * sign(beta_1 * m + (1 - beta_1) * g)``, then
    ``m = beta_2 * m + (1 - beta_2) * g``. Rates are 3 to 10 times smaller than Adam's.
    Chen et al., https://arxiv.org/abs/2302.06675.

    >>> import kerastorch as keras, torch
    >>> w = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    >>> keras.optimizers.Lion(learning_rate=0.25).apply([torch.tensor([3.0, -0.1])], [w])
    >>> w.tolist()
    [0.75, 2.25]
    """

    betas = Option()
    beta_1 = Option("betas", 0)
    beta_2 = Option("betas", 1)

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.betas = (below_one(self, "beta_1", beta_1), below_one(self, "beta_2", beta_2))

    def slots(self, param: torch.Tensor, options: dict[str, Any]) -> dict[str, torch.Tensor]:
        return {"momentum": torch.zeros_like(param)}

    def update(self, bundle: Bundle, grads: Tensors, lr: Scalar, step: Scalar) -> None:
        m, (beta_1, beta_2) = bundle.slot("momentum"), bundle.options["betas"]
        direction = torch._foreach_lerp(m, grads, 1 - beta_1)
        torch._foreach_sign_(direction)
        add_scaled_(bundle.params, direction, -lr)
        torch._foreach_lerp_(m, grads, 1 - beta_2)
