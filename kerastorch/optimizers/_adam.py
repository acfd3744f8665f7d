"""Rules with a moving average of the gradient and of its size: Adam and its relatives."""

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
    number,
    smaller,
)
from kerastorch.optimizers._bundle import Bundle
from kerastorch.optimizers._optimizer import Optimizer
from kerastorch.optimizers._options import (
    CommonOptions,
    Option,
    Options,
    Rate,
    below_one,
    in_range,
)


class _Moments(Optimizer):
    """Abstract: averages ``m`` of ``g`` and ``v`` of ``g**2`` with the decay `beta_1` and `beta_2`.

    A parameter group holds both rates as ``betas``, as torch's schedulers expect.
    """

    betas = Option()
    beta_1 = Option("betas", 0)
    beta_2 = Option("betas", 1)
    epsilon = Option()

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.betas = (below_one(self, "beta_1", beta_1), below_one(self, "beta_2", beta_2))
        self.epsilon = in_range(self, "epsilon", epsilon)

    def slots(self, param: torch.Tensor, options: dict[str, Any]) -> dict[str, torch.Tensor]:
        return {"momentum": torch.zeros_like(param), "velocity": torch.zeros_like(param)}

    def moments(self, bundle: Bundle, grads: Tensors) -> tuple[Tensors, Tensors]:
        """Both averages, after this gradient."""
        m, v = bundle.slot("momentum"), bundle.slot("velocity")
        beta_1, beta_2 = bundle.options["betas"]
        torch._foreach_lerp_(m, grads, 1 - beta_1)
        decay_square_(v, grads, beta_2)
        return m, v


class Adam(_Moments):
    """Steps of about the learning rate: the mean gradient over the root of its mean square.

    ``m = beta_1 * m + (1 - beta_1) * g``, ``v = beta_2 * v + (1 - beta_2) * g**2``,
    ``w -= learning_rate * sqrt(1 - beta_2**t) / (1 - beta_1**t) * m / (sqrt(v) + epsilon)``.
    `amsgrad` divides by the largest ``v`` so far. Kingma & Ba, https://arxiv.org/abs/1412.6980
    (epsilon is the paper's "epsilon hat"), Reddi et al., https://arxiv.org/abs/1904.09237.

    >>> import kerastorch as keras, torch
    >>> w = torch.nn.Parameter(torch.tensor([1.0, 1.0]))
    >>> keras.optimizers.Adam(learning_rate=0.1).apply([torch.tensor([5.0, -0.2])], [w])
    >>> [round(x, 4) for x in w.tolist()]
    [0.9, 1.1]
    """

    amsgrad = Option()
    late_slots = ("velocity_hat",)

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, beta_1, beta_2, epsilon, **options)
        self.amsgrad = bool(amsgrad)

    def slots(self, param: torch.Tensor, options: dict[str, Any]) -> dict[str, torch.Tensor]:
        names = ["momentum", "velocity"] + (["velocity_hat"] if options["amsgrad"] else [])
        return {name: torch.zeros_like(param) for name in names}

    def update(self, bundle: Bundle, grads: Tensors, lr: Scalar, step: Scalar) -> None:
        beta_1, beta_2 = bundle.options["betas"]
        rate = lr * (1 - beta_2**step) ** 0.5 / (1 - beta_1**step)
        if bundle.fusible(grads):
            self._fused(bundle, grads, rate)
            return
        m, v = self.moments(bundle, grads)
        if bundle.options["amsgrad"]:
            torch._foreach_maximum_(bundle.slot("velocity_hat"), v)
            v = bundle.slot("velocity_hat")
        below = torch._foreach_sqrt(v)
        torch._foreach_add_(below, bundle.options["epsilon"])
        add_ratio_(bundle.params, m, below, -rate)

    def _fused(self, bundle: Bundle, grads: Tensors, rate: Scalar) -> None:
        """The same in one kernel. It corrects the bias where torch does: at step infinity nowhere."""
        beta_1, beta_2 = bundle.options["betas"]
        amsgrad = bundle.options["amsgrad"]
        torch._fused_adam_(
            *(bundle.params, grads, bundle.slot("momentum"), bundle.slot("velocity")),
            bundle.slot("velocity_hat") if amsgrad else [],
            [bundle.infinity] * len(grads),
            lr=rate,
            beta1=beta_1,
            beta2=beta_2,
            weight_decay=0.0,
            eps=bundle.options["epsilon"],
            amsgrad=amsgrad,
            maximize=False,
        )


class AdamW(Adam):
    """Adam with weight decay apart from the gradient: ``w -= learning_rate * weight_decay * w``.

    Loshchilov & Hutter, https://arxiv.org/abs/1711.05101.

    >>> import kerastorch as keras, torch
    >>> w = torch.nn.Parameter(torch.tensor([1.0]))
    >>> keras.optimizers.AdamW(0.1, weight_decay=0.5).apply([torch.tensor([0.0])], [w])
    >>> round(w.item(), 4)
    0.95
    """

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **options: Unpack[CommonOptions],
    ) -> None:
        in_range(self, "weight_decay", weight_decay)
        super().__init__(
            learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay=weight_decay, **options
        )


class Adamax(_Moments):
    """Adam with the decaying maximum of ``abs(g)`` in place of the root mean square.

    ``u = max(beta_2 * u, abs(g))``, ``w -= learning_rate / (1 - beta_1**t) * m / (u + epsilon)``.
    Kingma & Ba, https://arxiv.org/abs/1412.6980, section 7.

    >>> import kerastorch as keras, torch
    >>> w = torch.nn.Parameter(torch.tensor([1.0]))
    >>> keras.optimizers.Adamax(learning_rate=0.1).apply([torch.tensor([5.0])], [w])
    >>> round(w.item(), 4)
    0.9
    """

    def slots(self, param: torch.Tensor, options: dict[str, Any]) -> dict[str, torch.Tensor]:
        return {"momentum": torch.zeros_like(param), "norm": torch.zeros_like(param)}

    def update(self, bundle: Bundle, grads: Tensors, lr: Scalar, step: Scalar) -> None:
        m, u = bundle.slot("momentum"), bundle.slot("norm")
        beta_1, beta_2 = bundle.options["betas"]
        torch._foreach_lerp_(m, grads, 1 - beta_1)
        torch._foreach_mul_(u, beta_2)
        torch._foreach_maximum_(u, torch._foreach_abs(grads))
        below = torch._foreach_add(u, bundle.options["epsilon"])
        add_ratio_(bundle.params, m, below, -lr / (1 - beta_1**step))


class Nadam(_Moments):
    """Adam that looks ahead along its momentum, as Nesterov's method does.

    With ``b(t) = beta_1 * (1 - 0.96**t / 2)`` and ``p(t) = b(1) * ... * b(t)``:
    ``n = b(t+1) * m / (1 - p(t+1)) + (1 - b(t)) * g / (1 - p(t))`` and
    ``w -= learning_rate * n / (sqrt(v / (1 - beta_2**t)) + epsilon)``.
    Dozat, https://openreview.net/pdf/OM0jvwB8jIp57ZJjtNEZ.pdf.

    >>> import kerastorch as keras, torch
    >>> w = torch.nn.Parameter(torch.tensor([1.0]))
    >>> keras.optimizers.Nadam(learning_rate=0.1).apply([torch.tensor([5.0])], [w])
    >>> round(w.item(), 4)
    0.8937
    """

    group_state = ("u_product",)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        super().add_param_group(param_group)
        self.param_groups[-1]["u_product"] = torch.ones_like(self._iterations, dtype=torch.float32)

    def begin_update(self, step: Scalar) -> None:
        for group in self.param_groups:
            group["u_product"].mul_(group["betas"][0] * (1 - 0.5 * 0.96**step))

    def update(self, bundle: Bundle, grads: Tensors, lr: Scalar, step: Scalar) -> None:
        m, v = self.moments(bundle, grads)
        beta_1, beta_2 = bundle.options["betas"]
        now, ahead = (beta_1 * (1 - 0.5 * 0.96**t) for t in (step, step + 1))
        product = bundle.here(number(bundle.options["u_product"]))
        below = torch._foreach_div(v, 1 - beta_2**step)
        torch._foreach_sqrt_(below)
        torch._foreach_add_(below, bundle.options["epsilon"])
        add_ratio_(bundle.params, m, below, -lr * ahead / (1 - product * ahead))
        add_ratio_(bundle.params, grads, below, -lr * (1 - now) / (1 - product))


class Lamb(_Moments):
    """Adam whose step for each tensor is as long as the tensor: for large batches.

    ``u = (m / (1 - beta_1**t)) / (sqrt(v / (1 - beta_2**t)) + epsilon)`` and
    ``w -= learning_rate * norm(w) / norm(u) * u`` (a ratio of 1 where a norm is 0).
    You et al., https://arxiv.org/abs/1904.00962.

    >>> import kerastorch as keras, torch
    >>> w = torch.nn.Parameter(torch.tensor([3.0, 4.0]))
    >>> keras.optimizers.Lamb(learning_rate=0.1).apply([torch.tensor([1.0, 0.0])], [w])
    >>> [round(x, 4) for x in w.tolist()]
    [2.5, 4.0]
    """

    def update(self, bundle: Bundle, grads: Tensors, lr: Scalar, step: Scalar) -> None:
        m, v = self.moments(bundle, grads)
        beta_1, beta_2 = bundle.options["betas"]
        below = torch._foreach_div(v, 1 - beta_2**step)
        torch._foreach_sqrt_(below)
        torch._foreach_add_(below, bundle.options["epsilon"])
        update = torch._foreach_div(m, 1 - beta_1**step)
        torch._foreach_div_(update, below)
        norms = zip(torch._foreach_norm(bundle.params), torch._foreach_norm(update), strict=True)
        ratios = [torch.where((w > 0) & (u > 0), w / u, 1.0) for w, u in norms]
        add_scaled_(bundle.params, torch._foreach_mul(update, ratios), -lr)


class ScheduleFreeAdamW(_Moments):
    """Adam that needs no schedule: the gradient is taken between an iterate and its average.

    ``z`` (the slot "momentum", at first the weights) takes Adam's step without momentum,
    ``z -= learning_rate * g / (sqrt(v / (1 - beta_2**t)) + epsilon)``. The mean of all ``z``
    follows, ``x += (z - x) / t``, and the weights are ``(1 - beta_1) * z + beta_1 * x``.
    The rate grows linearly over `warmup_steps`. Defazio et al., https://arxiv.org/abs/2405.15682.

    >>> import kerastorch as keras, torch
    >>> w = torch.nn.Parameter(torch.tensor([1.0]))
    >>> keras.optimizers.ScheduleFreeAdamW(learning_rate=0.1).apply([torch.tensor([5.0])], [w])
    >>> round(w.item(), 4)
    0.9
    """

    warmup_steps = Option()

    def __init__(
        self,
        learning_rate: Rate = 0.0025,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        warmup_steps: int = 0,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, beta_1, beta_2, epsilon, **options)
        self.warmup_steps = in_range(self, "warmup_steps", warmup_steps)

    def slots(self, param: torch.Tensor, options: dict[str, Any]) -> dict[str, torch.Tensor]:
        return {"momentum": param.detach().clone(), "velocity": torch.zeros_like(param)}

    def update(self, bundle: Bundle, grads: Tensors, lr: Scalar, step: Scalar) -> None:
        z, v, y = bundle.slot("momentum"), bundle.slot("velocity"), bundle.params
        beta_1, beta_2 = bundle.options["betas"]
        if bundle.options["warmup_steps"]:
            lr = lr * smaller(step / bundle.options["warmup_steps"], 1.0)
        decay_square_(v, grads, beta_2)
        below = torch._foreach_div(v, 1 - beta_2**step)
        torch._foreach_sqrt_(below)
        torch._foreach_add_(below, bundle.options["epsilon"])
        # beta_1 * x = y - (1 - beta_1) * z, of which 1 - 1/t stays.
        add_scaled_(y, z, beta_1 - 1)
        torch._foreach_mul_(y, 1 - 1 / step)
        add_ratio_(z, grads, below, -lr)
        add_scaled_(y, z, 1 - beta_1 + beta_1 / step)
