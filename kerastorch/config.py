"""Process-wide numeric defaults: ``floatx``, ``epsilon`` and ``image_data_format``.

>>> import kerastorch as keras
>>> keras.config.floatx()
'float32'
>>> keras.config.epsilon()
1e-07
"""

from __future__ import annotations

import torch

_floatx = "float32"
_epsilon = 1e-7
_image_data_format = "channels_last"


def backend() -> str:
    """The name of the array library: ``"torch"``."""
    return "torch"


def floatx() -> str:
    """Name of the default floating-point dtype of weights and of converted inputs."""
    return _floatx


def set_floatx(value: str) -> None:
    """Set the default floating-point dtype: ``"float16"``, ``"bfloat16"``, ``"float32"`` or ``"float64"``."""
    global _floatx
    accepted = ("bfloat16", "float16", "float32", "float64")
    if value not in accepted:
        raise ValueError(f"set_floatx: expected one of {accepted}, received {value!r}.")
    _floatx = str(value)


def epsilon() -> float:
    """The small number that keeps divisions and logarithms finite (default ``1e-7``)."""
    return _epsilon


def set_epsilon(value: float) -> None:
    """Set the value that `epsilon` returns."""
    global _epsilon
    _epsilon = float(value)


def image_data_format() -> str:
    """Default axis order of images: ``"channels_last"`` (N, H, W, C) or ``"channels_first"`` (N, C, H, W)."""
    return _image_data_format


def set_image_data_format(data_format: str) -> None:
    """Set the default axis order of images."""
    global _image_data_format
    _image_data_format = standardize_data_format(data_format)


def standardize_data_format(data_format: str | None) -> str:
    """``None`` becomes the default; anything but the two formats is an error."""
    if data_format is None:
        return _image_data_format
    value = str(data_format).lower()
    if value not in ("channels_last", "channels_first"):
        raise ValueError(
            f"data_format: expected 'channels_last' or 'channels_first', received {data_format!r}."
        )
    return value


def standardize_dtype(dtype: str | torch.dtype | type | None) -> torch.dtype:
    """Any spelling of a dtype as a `torch.dtype`; ``None`` is `floatx`.

    >>> standardize_dtype("float16"), standardize_dtype(None), standardize_dtype(int)
    (torch.float16, torch.float32, torch.int64)
    """
    if dtype is None:
        return getattr(torch, _floatx)
    if isinstance(dtype, torch.dtype):
        return dtype
    if isinstance(dtype, type) and dtype in _PYTHON_TYPES:
        return _PYTHON_TYPES[dtype] or getattr(torch, _floatx)
    name = dtype if isinstance(dtype, str) else getattr(dtype, "__name__", None) or str(dtype)
    found = getattr(torch, name.removeprefix("torch."), None)
    if not isinstance(found, torch.dtype):
        raise ValueError(
            f"dtype: {dtype!r} is not a torch dtype. Use for example 'float32' or torch.float32."
        )
    return found


def _dtype_name(dtype: torch.dtype) -> str:
    """The name that Keras has for a dtype."""
    return "string" if dtype is TEXT else str(dtype).removeprefix("torch.")


#: What symbolic tensors of text have as dtype: one without arithmetic. Text itself is in NumPy arrays.
TEXT: torch.dtype = torch.bits8
_PYTHON_TYPES: dict[type, torch.dtype | None] = {bool: torch.bool, int: torch.int64, float: None}
