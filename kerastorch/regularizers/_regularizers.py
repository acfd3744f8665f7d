"""The penalties."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from kerastorch._registry import Recorded


class Regularizer(Recorded):
    """Base of regularizers. A subclass writes ``__init__`` and ``__call__(x)``, a scalar tensor.

    >>> import torch
    >>> from kerastorch import regularizers
    >>> class Drift(regularizers.Regularizer):
    ...     def __init__(self, factor):
    ...         self.factor = factor
    ...
    ...     def __call__(self, x):
    ...         return self.factor * x.mean().square()
    >>> Drift(0.5)(torch.full((3,), 2.0)), Drift(0.5).get_config()
    (tensor(2.), {'factor': 0.5})
    """

    def __init__(self) -> None:
        pass

    def __call__(self, x: Tensor) -> Tensor:
        """The penalty for `x`."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__(x).")


class L1(Regularizer):
    """``l1 * sum(|x|)``, which drives weights to exactly 0.

    >>> import torch
    >>> L1(0.1)(torch.tensor([-3.0, 2.0]))
    tensor(0.5000)
    """

    def __init__(self, l1: float = 0.01) -> None:
        self.l1 = _factor("l1", l1)

    def __call__(self, x: Tensor) -> Tensor:
        return self.l1 * x.abs().sum()


class L2(Regularizer):
    """``l2 * sum(x**2)``; note that there is no 1/2.

    >>> import torch
    >>> L2(0.1)(torch.tensor([-3.0, 2.0]))
    tensor(1.3000)
    """

    def __init__(self, l2: float = 0.01) -> None:
        self.l2 = _factor("l2", l2)

    def __call__(self, x: Tensor) -> Tensor:
        return self.l2 * x.square().sum()


class L1L2(Regularizer):
    """``l1 * sum(|x|) + l2 * sum(x**2)``. The name ``"l1_l2"`` means 0.01 for both.

    >>> import torch
    >>> L1L2(0.1, 0.1)(torch.tensor([-3.0, 2.0]))
    tensor(1.8000)
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1 = _factor("l1", l1)
        self.l2 = _factor("l2", l2)

    def __call__(self, x: Tensor) -> Tensor:
        if not self.l1:
            return self.l2 * x.square().sum()
        if not self.l2:
            return self.l1 * x.abs().sum()
        return self.l1 * x.abs().sum() + self.l2 * x.square().sum()


class OrthogonalRegularizer(Regularizer):
    """`factor` times the mean ``|cosine|`` between different rows (or columns) of a matrix.

    `mode` is "rows" or "columns". 0 for orthogonal ones, `factor` for parallel ones.

    >>> import torch
    >>> OrthogonalRegularizer(0.5)(torch.ones(3, 4))
    tensor(0.5000)
    """

    def __init__(self, factor: float = 0.01, mode: Literal["rows", "columns"] = "rows") -> None:
        self.factor = _factor("factor", factor)
        if mode not in ("rows", "columns"):
            raise ValueError(
                f"OrthogonalRegularizer: `mode` must be 'rows' or 'columns', received {mode!r}."
            )
        self.mode = mode

    def __call__(self, x: Tensor) -> Tensor:
        if x.ndim != 2:
            raise ValueError(
                f"OrthogonalRegularizer: expected a matrix, received the shape {tuple(x.shape)}."
            )
        rows = F.normalize(x if self.mode == "rows" else x.T, dim=1)
        pairs = rows.shape[0] * (rows.shape[0] - 1) // 2
        return self.factor * torch.triu(rows @ rows.T, 1).abs().sum() / max(pairs, 1)


def _factor(name: str, value: float) -> float:
    if not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        raise ValueError(f"{name}: expected a finite number that is not negative, got {value!r}.")
    return float(value)


l1 = L1
l2 = L2
l1_l2 = L1L2
orthogonal_regularizer = OrthogonalRegularizer
