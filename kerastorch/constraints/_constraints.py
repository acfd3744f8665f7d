"""The projections. A norm is taken over `axis`, one axis or several.

For a `Dense` kernel ``(in, units)``, ``axis=0`` is the norm of the weights of one unit; for a
convolution's ``(*window, in, filters)``, ``axis=[0, 1, 2]`` is that of one 2D filter.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from kerastorch import config
from kerastorch._registry import Recorded

Axis = int | Sequence[int]


class Constraint(Recorded):
    """Base of constraints, and the one that allows everything. A subclass writes ``__call__(w)``.

    >>> import torch
    >>> from kerastorch import constraints
    >>> class Box(constraints.Constraint):
    ...     def __init__(self, limit):
    ...         self.limit = limit
    ...
    ...     def __call__(self, w):
    ...         return w.clamp(-self.limit, self.limit)
    >>> Box(1.0)(torch.tensor([-3.0, 0.5])), Box(1.0).get_config()
    (tensor([-1.0000,  0.5000]), {'limit': 1.0})
    """

    def __init__(self) -> None:
        pass

    def __call__(self, w: Tensor) -> Tensor:
        """The projection of `w`."""
        return w


class NonNeg(Constraint):
    """``max(w, 0)``.

    >>> import torch
    >>> NonNeg()(torch.tensor([-3.0, 0.5]))
    tensor([0.0000, 0.5000])
    """

    def __call__(self, w: Tensor) -> Tensor:
        return F.relu(_tensor(w))


class UnitNorm(Constraint):
    """``w / norm``: every norm becomes 1.

    >>> import torch
    >>> UnitNorm()(torch.tensor([[3.0], [4.0]]))
    tensor([[0.6000],
            [0.8000]])
    """

    def __init__(self, axis: Axis = 0) -> None:
        self.axis = axis

    def __call__(self, w: Tensor) -> Tensor:
        w = _tensor(w)
        return w / (config.epsilon() + _norm(w, self.axis))


class MaxNorm(Constraint):
    """Norms above `max_value` are cut to it. Srivastava et al., 2014.

    >>> import torch
    >>> MaxNorm(1.0)(torch.tensor([[3.0, 0.3], [4.0, 0.4]]))
    tensor([[0.6000, 0.3000],
            [0.8000, 0.4000]])
    """

    def __init__(self, max_value: float = 2, axis: Axis = 0) -> None:
        self.max_value = max_value
        self.axis = axis

    def __call__(self, w: Tensor) -> Tensor:
        w = _tensor(w)
        norm = _norm(w, self.axis)
        return w * (norm.clamp(0, self.max_value) / (config.epsilon() + norm))


class MinMaxNorm(Constraint):
    """Norms are moved into ``[min_value, max_value]``, by the share `rate` of the way at each step.

    >>> import torch
    >>> MinMaxNorm(1.0, 2.0, rate=0.5)(torch.tensor([[3.0], [4.0]])).norm()
    tensor(3.5000)
    """

    def __init__(
        self,
        min_value: float = 0.0,
        max_value: float = 1.0,
        rate: float = 1.0,
        axis: Axis = 0,
    ) -> None:
        self.min_value = min_value
        self.max_value = max_value
        self.rate = rate
        self.axis = axis

    def __call__(self, w: Tensor) -> Tensor:
        w = _tensor(w)
        norm = _norm(w, self.axis)
        target = norm.lerp(norm.clamp(self.min_value, self.max_value), self.rate)
        return w * (target / (config.epsilon() + norm))


def _norm(w: Tensor, axis: Axis) -> Tensor:
    dim = axis if isinstance(axis, int) else tuple(axis)
    norm: Tensor = torch.linalg.vector_norm(w, dim=dim, keepdim=True)
    return norm


def _tensor(w: Tensor) -> Tensor:
    return w if isinstance(w, Tensor) else torch.as_tensor(w)


max_norm = MaxNorm
min_max_norm = MinMaxNorm
non_neg = NonNeg
unit_norm = UnitNorm
