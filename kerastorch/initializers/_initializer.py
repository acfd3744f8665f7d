"""What every initializer is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor
from typing_extensions import Self

from kerastorch._registry import Recorded

Shape: TypeAlias = Sequence[int]
DType: TypeAlias = str | torch.dtype | None


class Initializer(Recorded):
    """Base of initializers. A subclass writes ``__init__`` and ``__call__(shape, dtype=None)``.

    >>> import torch
    >>> from kerastorch import initializers
    >>> class Ramp(initializers.Initializer):
    ...     def __init__(self, stop=1.0):
    ...         self.stop = stop
    ...
    ...     def __call__(self, shape, dtype=None):
    ...         return torch.linspace(0, self.stop, shape[0])
    >>> Ramp(4.0)((3,)), Ramp(4.0).get_config()
    (tensor([0., 2., 4.]), {'stop': 4.0})
    """

    def __init__(self) -> None:
        pass

    def __call__(self, shape: Shape, dtype: DType = None) -> Tensor:
        """A new tensor of `shape`; the default `dtype` is `kerastorch.config.floatx`."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__(shape, dtype=None).")

    def clone(self) -> Self:
        """An initializer of the same configuration."""
        return type(self).from_config(self.get_config())
