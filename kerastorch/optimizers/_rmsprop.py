"""Rules that divide by the size that the gradient has had in each entry."""

from __future__ import annotations

from typing import Any

import torch
from typing_extensions import Unpack

from kerastorch.optimizers._arithmetic import (
    Scalar,
    Tensors,
    add_ratio_,
    add_scaled_,
    decay_square_,
)
from kerastorch.optimizers._bundle import Bundle
from kerastorch.optimizers._optimizer import Optimizer
from kerastorch.optimizers._options import Option, Options, Rate, below_one, in_range


class Adagrad(Optimizer):
    """Each entry has a rate of its own, which falls with the sum of its squared gradients.

    ``a += g**2`` (from `initial_accumulator_value`), ``w -= learning_rate * g / sqrt(a + epsilon)``.
    Duchi et al., https://jmlr.org/papers/v12/duchi11a.html.

    >>> import kerastorch as keras, torch
    >>> w = torch.nn.Parameter(torch.tensor([1.0]))
    >>> keras.optimizers.Adagrad(0.5, initial_accumulator_value=0.0).apply([torch.tensor([4.0])], [w])
    >>> round(w.item(), 4)
    0.5
    """

    initial_accumulator_value = Option()
    epsilon = Option()

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.initial_accumulator_value = in_range(
            self, "initial_accumulator_value", initial_accumulator_value
        )
        self.epsilon = in_range(self, "epsilon", epsilon)

    def slots(self, param: torch.Tensor, options: dict[str, Any]) -> dict[str, torch.Tensor]:
        return {"accumulator": torch.full_like(param, options["initial_accumulator_value"])}

    def update(self, bundle: Bundle, grads: Tensors, lr: Scalar, step: Scalar) -> None:
        accumulator = bundle.slot("accumulator")
        torch._foreach_addcmul_(accumulator, grads, grads)
        below = torch._foreach_add(accumulator, bundle.options["epsilon"])
        torch._foreach_sqrt_(below)
        add_ratio_(bundle.params, grads, below, -lr)


class RMSprop(Optimizer):
    """Gradient over the root of the moving average of its square.

    ``v = rho * v + (1 - rho) * g**2`` and ``w -= learning_rate * g / sqrt(v + epsilon)``. With
    `centered` the average's own square is subtracted from ``v``; with `momentum` the steps add up:
    ``m = momentum * m + step``, ``w -= m``. Hinton, "Neural networks for machine learning", 6e.

    >>> import kerastorch as keras, torch
    >>> w = torch.nn.Parameter(torch.tensor([1.0]))
    >>> keras.optimizers.RMSprop(learning_rate=0.1, rho=0.75).apply([torch.tensor([4.0])], [w])
    >>> round(w.item(), 4)
    0.8
    """

    rho = Option()
    momentum = Option()
    epsilon = Option()
    centered = Option()
    late_slots = ("momentum", "average_gradient")

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.rho = below_one(self, "rho", rho)
        self.momentum = in_range(self, "momentum", momentum, high=1.0)
        self.epsilon = in_range(self, "epsilon", epsilon)
        self.centered = bool(centered)

    def slots(self, param: torch.Tensor, options: dict[str, Any]) -> dict[str, torch.Tensor]:
        names = ["velocity"]
        names += ["momentum"] if options["momentum"] else []
        names += ["average_gradient"] if options["centered"] else []
        return {name: torch.zeros_like(param) for name in names}

    def update(self, bundle: Bundle, grads: Tensors, lr: Scalar, step: Scalar) -> None:
        options, velocity = bundle.options, bundle.slot("velocity")
        decay_square_(velocity, grads, options["rho"])
        below = torch._foreach_add(velocity, options["epsilon"])
        if options["centered"]:
            average = bundle.slot("average_gradient")
            torch._foreach_lerp_(average, grads, 1 - options["rho"])
            torch._foreach_addcmul_(below, average, average, value=-1)
        torch._foreach_sqrt_(below)
        if options["momentum"]:
            m = bundle.slot("momentum")
            torch._foreach_mul_(m, options["momentum"])
            add_ratio_(m, grads, below, lr)
            torch._foreach_sub_(bundle.params, m)
        else:
            add_ratio_(bundle.params, grads, below, -lr)


class Adadelta(Optimizer):
    """RMSprop whose rate is the size that the updates have had: ``d = g * rms(updates) / rms(g)``.

    Both averages of squares decay with `rho`, ``rms(a) = sqrt(a + epsilon)``, and
    ``w -= learning_rate * d``. Zeiler, https://arxiv.org/abs/1212.5701 (which has learning_rate=1).

    >>> import kerastorch as keras, torch
    >>> w = torch.nn.Parameter(torch.tensor([1.0]))
    >>> keras.optimizers.Adadelta(1.0, epsilon=0.01).apply([torch.tensor([4.0])], [w])
    >>> round(w.item(), 4)
    0.5556
    """

    rho = Option()
    epsilon = Option()

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        rho: float = 0.95,
        epsilon: float = 1e-7,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.rho = below_one(self, "rho", rho)
        self.epsilon = in_range(self, "epsilon", epsilon)

    def slots(self, param: torch.Tensor, options: dict[str, Any]) -> dict[str, torch.Tensor]:
        return {
            "accumulated_grad": torch.zeros_like(param),
            "accumulated_delta_var": torch.zeros_like(param),
        }

    def update(self, bundle: Bundle, grads: Tensors, lr: Scalar, step: Scalar) -> None:
        rho, epsilon = bundle.options["rho"], bundle.options["epsilon"]
        squares, steps = bundle.slot("accumulated_grad"), bundle.slot("accumulated_delta_var")
        decay_square_(squares, grads, rho)
        delta = torch._foreach_add(steps, epsilon)
        torch._foreach_div_(delta, torch._foreach_add(squares, epsilon))
        torch._foreach_sqrt_(delta)
        torch._foreach_mul_(delta, grads)
        decay_square_(steps, delta, rho)
        add_scaled_(bundle.params, delta, -lr)
