"""The helpers of ``keras.backend`` that model code uses: reductions, numeric defaults, the session.

Reductions take ``(x, axis=None, keepdims=False)``, tensors or symbolic tensors, and work in the
dtype of `x`. Everything else that Keras 2 kept here is a torch function.

>>> import torch, kerastorch as keras
>>> keras.backend.std(torch.tensor([1.0, 3.0]))
tensor(1.)
"""

from __future__ import annotations

from typing import Any

import torch

from kerastorch.config import backend as backend
from kerastorch.config import epsilon as epsilon
from kerastorch.config import floatx as floatx
from kerastorch.config import image_data_format as image_data_format
from kerastorch.config import set_epsilon as set_epsilon
from kerastorch.config import set_floatx as set_floatx
from kerastorch.config import set_image_data_format as set_image_data_format
from kerastorch.layers._layer import reset_names

Axis = int | tuple[int, ...] | None


def clear_session(free_memory: bool = True) -> None:
    """Count automatic names from the beginning again. There is no other global state."""
    reset_names()


def mean(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The mean over `axis`, or over all entries."""
    return torch.mean(x, dim=axis, keepdim=keepdims)


def var(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The population variance, ``mean((x - mean(x))**2)``."""
    return torch.var(x, dim=axis, correction=0, keepdim=keepdims)


def std(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The population standard deviation, ``sqrt(var(x))``."""
    return torch.std(x, dim=axis, correction=0, keepdim=keepdims)


def sum(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The sum over `axis`, or over all entries."""
    return torch.sum(x, dim=axis, keepdim=keepdims)


def max(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The largest entry."""
    return torch.amax(x, dim=() if axis is None else axis, keepdim=keepdims)


def min(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The smallest entry."""
    return torch.amin(x, dim=() if axis is None else axis, keepdim=keepdims)
