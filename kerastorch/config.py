"""Process-wide numeric defaults: ``floatx``, ``epsilon`` and ``image_data_format``.

>>> import kerastorch as keras
>>> keras.config.floatx()
'float32'
>>> keras.config.epsilon()
1e-07
"""

from __future__ import annotations

import importlib as _importlib
from typing import Any as _Any

import torch

_floatx = "float32"
_epsilon = 1e-7
_image_data_format = "channels_last"
_interactive = True
_max_epochs: int | None = None
_max_steps: int | None = None

# What needs packages above this one, imported when it is first asked for.
_LATER = {
    "dtype_policy": "kerastorch.dtype_policies",
    "set_dtype_policy": "kerastorch.dtype_policies",
}


def __getattr__(name: str) -> _Any:
    if name in _LATER:
        return getattr(_importlib.import_module(_LATER[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_LATER])


def backend() -> str:
    """The name of the array library: ``"torch"``."""
    return "torch"


def set_backend(backend: str) -> None:
    """Do nothing for ``"torch"``, the only one there is; others are an error."""
    if backend != "torch":
        raise ValueError(f"set_backend: the backend is always 'torch', received {backend!r}.")


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


# -- runs --------------------------------------------------------------------------------------------


def max_epochs() -> int | None:
    """The most epochs that any `fit` runs, or None."""
    return _max_epochs


def set_max_epochs(max_epochs: int | None) -> None:
    """Let no `fit` run more epochs, as tests of a script want it; None lifts the limit."""
    global _max_epochs
    _max_epochs = max_epochs


def max_steps_per_epoch() -> int | None:
    """The most batches that an epoch, `evaluate` or `predict` reads, or None."""
    return _max_steps


def set_max_steps_per_epoch(max_steps_per_epoch: int | None) -> None:
    """Let no epoch, `evaluate` or `predict` read more batches; None lifts the limit."""
    global _max_steps
    _max_steps = max_steps_per_epoch


def is_interactive_logging_enabled() -> bool:
    """Whether ``verbose="auto"`` is a progress bar, as it is by default."""
    return _interactive


def enable_interactive_logging() -> None:
    """Let ``verbose="auto"`` be a progress bar."""
    global _interactive
    _interactive = True


def disable_interactive_logging() -> None:
    """Let ``verbose="auto"`` be one line an epoch, as suits a file."""
    global _interactive
    _interactive = False


def _verbosity(verbose: _Any) -> _Any:
    """The argument `verbose`, with a number for "auto"."""
    return (1 if _interactive else 2) if verbose == "auto" else verbose


# -- torch -------------------------------------------------------------------------------------------


def is_flash_attention_enabled() -> bool:
    """Whether torch may choose its flash kernel for attention."""
    return torch.backends.cuda.flash_sdp_enabled()


def enable_flash_attention() -> None:
    """Let torch choose its flash kernel for attention where it fits, as it does by default."""
    torch.backends.cuda.enable_flash_sdp(True)


def disable_flash_attention() -> None:
    """Keep torch from its flash kernel for attention."""
    torch.backends.cuda.enable_flash_sdp(False)


# -- what is settled ---------------------------------------------------------------------------------


def is_traceback_filtering_enabled() -> bool:
    """False: tracebacks are always whole."""
    return False


def enable_traceback_filtering() -> None:
    """Do nothing: there is little of this package in a traceback, and nothing is hidden."""


def disable_traceback_filtering() -> None:
    """Do nothing: tracebacks are always whole."""


def enable_unsafe_deserialization() -> None:
    """Do nothing: code in files is never run, so an own function has to be registered all the same."""


def is_nnx_enabled() -> bool:
    """False: NNX is a matter of JAX."""
    return False


# -- names -------------------------------------------------------------------------------------------


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
