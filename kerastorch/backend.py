"""The helpers of ``keras.backend`` that model code uses: reductions, numeric defaults, the session.

Reductions take ``(x, axis=None, keepdims=False)``, tensors or symbolic tensors, and work in the
dtype of `x`. Everything else that Keras 2 kept here is a torch function.

>>> import torch, kerastorch as keras
>>> keras.backend.std(torch.tensor([1.0, 3.0]))
tensor(1.)
"""

from __future__ import annotations

import functools
from typing import Any

import torch

from kerastorch._graph import KerasTensor
from kerastorch.config import _dtype_name
from kerastorch.config import backend as backend
from kerastorch.config import epsilon as epsilon
from kerastorch.config import floatx as floatx
from kerastorch.config import image_data_format as image_data_format
from kerastorch.config import set_epsilon as set_epsilon
from kerastorch.config import set_floatx as set_floatx
from kerastorch.config import set_image_data_format as set_image_data_format
from kerastorch.config import standardize_dtype as _standardize_dtype
from kerastorch.layers._layer import reset_names
from kerastorch.ops._op import number

Axis = int | tuple[int, ...] | None


def standardize_dtype(dtype: Any) -> str:
    """Keras's name of a dtype, however it is written; None is `floatx`.

    >>> import torch, kerastorch as keras
    >>> keras.backend.standardize_dtype(torch.int32), keras.backend.standardize_dtype(None)
    ('int32', 'float32')
    """
    return "string" if dtype == "string" else _dtype_name(_standardize_dtype(dtype))


def result_type(*dtypes: Any) -> str:
    """The name of the dtype that operations on tensors of `dtypes` give; Python's types are numbers
    next to them.

    >>> import kerastorch as keras
    >>> keras.backend.result_type("int16", "float16"), keras.backend.result_type("int16", int)
    ('float16', 'int16')
    """
    kinds = (bool, int, float)
    given = [_standardize_dtype(dtype) for dtype in dtypes if dtype not in kinds]
    beside = functools.reduce(torch.promote_types, given) if given else None
    numbers = [number(kind(1), beside).dtype for kind in kinds if kind in dtypes]
    return _dtype_name(functools.reduce(torch.promote_types, [*given, *numbers]))


def is_float_dtype(dtype: Any) -> bool:
    """Whether a dtype is floating point."""
    return _standardize_dtype(dtype).is_floating_point


def is_int_dtype(dtype: Any) -> bool:
    """Whether a dtype is one of integers."""
    kind = _standardize_dtype(dtype)
    return not (kind.is_floating_point or kind.is_complex or kind is torch.bool)


def is_keras_tensor(x: Any) -> bool:
    """Whether `x` is symbolic."""
    return isinstance(x, KerasTensor)


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
