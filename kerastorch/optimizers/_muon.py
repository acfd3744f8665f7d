"""Muon: momentum of a matrix, made orthogonal."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import torch
from typing_extensions import Unpack

from kerastorch.optimizers._adam import Adam
from kerastorch.optimizers._arithmetic import Scalar, Tensors, add_scaled_
from kerastorch.optimizers._bundle import Bundle
from kerastorch.optimizers._optimizer import names_of
from kerastorch.optimizers._options import (
    CommonOptions,
    Option,
    Rate,
    below_one,
    in_range,
)


class Muon(Adam):
    """Matrices follow their orthogonalised momentum, everything else Adam.

    For a matrix ``m = momentum * m + g``, ``u = g + momentum * m`` (with `nesterov`, else ``m``);
    `ns_steps` Newton-Schulz iterations bring the singular values of ``u`` near 1, and
    ``w -= learning_rate * rms_rate * sqrt(max(rows, columns)) * u`` (without the two factors if
    `rms_rate` is None). Adam takes the rest, at ``adam_lr_ratio * learning_rate`` and with
    `adam_weight_decay`: what is no matrix, embeddings (a path with "embedding", unless
    `exclude_embeddings` is False) and paths that match a pattern of `exclude_layers`.
    Jordan, https://kellerjordan.github.io/posts/muon; Liu et al., https://arxiv.org/abs/2502.16982.

    >>> import kerastorch as keras, torch
    >>> w = torch.nn.Parameter(torch.zeros(2, 2))
    >>> keras.optimizers.Muon(learning_rate=0.1, rms_rate=None).apply([5 * torch.eye(2)], [w])
    >>> 0.07 < -w[0, 0].item() < 0.12, w[0, 1].item() == 0
    (True, True)
    """

    momentum = Option()
    nesterov = Option()
    adam_weight_decay = Option()
    adam_lr_ratio = Option()
    rms_rate = Option()
    ns_steps = Option()
    coefficients = Option()
    adam_beta_1 = Option("betas", 0)
    adam_beta_2 = Option("betas", 1)
    muon_a = Option("coefficients", 0)
    muon_b = Option("coefficients", 1)
    muon_c = Option("coefficients", 2)

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        adam_beta_1: float = 0.9,
        adam_beta_2: float = 0.999,
        adam_weight_decay: float | None = 0.004,
        epsilon: float = 1e-7,
        weight_decay: float | None = 0.004,
        exclude_layers: Sequence[str] | None = None,
        exclude_embeddings: bool = True,
        muon_a: float = 3.4445,
        muon_b: float = -4.7750,
        muon_c: float = 2.0315,
        adam_lr_ratio: float = 1,
        momentum: float = 0.95,
        ns_steps: int = 5,
        nesterov: bool = True,
        rms_rate: float | None = 0.2,
        **options: Unpack[CommonOptions],
    ) -> None:
        below_one(self, "adam_beta_1", adam_beta_1)
        below_one(self, "adam_beta_2", adam_beta_2)
        super().__init__(
            learning_rate, adam_beta_1, adam_beta_2, epsilon, weight_decay=weight_decay, **options
        )
        self.adam_weight_decay = in_range(self, "adam_weight_decay", adam_weight_decay or 0.0)
        self.exclude_layers = list(exclude_layers or ())
        self.exclude_embeddings = bool(exclude_embeddings)
        self.coefficients = (muon_a, muon_b, muon_c)
        self.adam_lr_ratio = in_range(self, "adam_lr_ratio", adam_lr_ratio)
        self.momentum = in_range(self, "momentum", momentum, high=1.0)
        self.ns_steps = ns_steps
        self.nesterov = bool(nesterov)
        self.rms_rate = rms_rate

    def slots(self, param: torch.Tensor, options: dict[str, Any]) -> dict[str, torch.Tensor]:
        names = names_of(param, options)
        patterns = self.exclude_layers + (["(?i)embedding"] if self.exclude_embeddings else [])
        excluded = any(re.search(pattern, name) for pattern in patterns for name in names)
        if param.ndim != 2 or excluded:
            return super().slots(param, options)
        return {"momentum": torch.zeros_like(param)}

    def decay_of(self, bundle: Bundle) -> float | None:
        by_adam = "velocity" in bundle.slots
        return bundle.options["adam_weight_decay" if by_adam else "weight_decay"]

    def update(self, bundle: Bundle, grads: Tensors, lr: Scalar, step: Scalar) -> None:
        options = bundle.options
        if "velocity" in bundle.slots:
            super().update(bundle, grads, lr * options["adam_lr_ratio"], step)
            return
        m = bundle.slot("momentum")
        torch._foreach_mul_(m, options["momentum"])
        torch._foreach_add_(m, grads)
        if options["nesterov"]:
            m = torch._foreach_add(grads, m, alpha=options["momentum"])
        updates = [orthogonalized(x, options["ns_steps"], options["coefficients"]) for x in m]
        if options["rms_rate"] is not None:
            scales = [math.sqrt(max(x.shape)) * options["rms_rate"] for x in updates]
            torch._foreach_mul_(updates, scales)
        add_scaled_(bundle.params, updates, -lr)


def orthogonalized(
    x: torch.Tensor, steps: int, coefficients: tuple[float, float, float]
) -> torch.Tensor:
    """A matrix with the singular vectors of `x` and singular values near 1.

    Iterates ``x = a * x + (b * s + c * s @ s) @ x`` with ``s = x @ x.T`` from ``x / norm(x)``.
    """
    a, b, c = coefficients
    tall = x.shape[0] > x.shape[1]
    x = x.mT if tall else x
    x = x / (torch.linalg.vector_norm(x) + 1e-7)
    for _ in range(steps):
        s = x @ x.mT
        x = torch.addmm(x, torch.addmm(s, s, s, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x
