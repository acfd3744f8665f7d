"""The operations of Keras by module and class, as model files name them, and the functions that they are here."""

from __future__ import annotations

import functools
import inspect
import operator
from typing import Any

import torch

from kerastorch import ops
from kerastorch._graph import symbolic_leaves
from kerastorch._registry import deserialize, serialize
from kerastorch.config import _dtype_name, standardize_data_format

_ROOT = "keras.src.ops."
#: Those that are one function of Python's or torch's.
_PLAIN: dict[str, dict[str, Any]] = {
    "numpy": {
        "Add": operator.add, "Subtract": operator.sub, "Multiply": operator.mul,
        "TrueDivide": operator.truediv, "Divide": operator.truediv, "Mod": operator.mod,
        "FloorDivide": operator.floordiv, "Power": operator.pow, "Matmul": operator.matmul,
        "Less": operator.lt, "LessEqual": operator.le, "Greater": operator.gt,
        "GreaterEqual": operator.ge, "Equal": operator.eq, "NotEqual": operator.ne,
        "Negative": operator.neg, "Absolute": operator.abs, "Abs": operator.abs,
        "LogicalAnd": torch.logical_and, "LogicalOr": torch.logical_or, "LogicalNot": torch.logical_not,
        "Exp": torch.exp, "Log": torch.log, "Sqrt": torch.sqrt, "Square": torch.square,
        "Sin": torch.sin, "Cos": torch.cos, "Tanh": torch.tanh, "Sign": torch.sign,
        "Maximum": torch.maximum, "Minimum": torch.minimum, "GetItem": operator.getitem,
    },
    "nn": {"Relu": torch.relu, "Sigmoid": torch.sigmoid},
}  # fmt: skip
#: Those of them that take no numbers, or no two dtypes; Keras's do.
_OF_TENSORS = ("Maximum", "Minimum", "LogicalAnd", "LogicalOr", "Matmul")
#: Classes of Keras whose name is not that of the function, part by part.
_CLASSES = {
    "allclose": "AllClose", "batch_normalization": "BatchNorm", "cdist": "CDist",
    "ctc_decode": "CTCDecode", "ctc_loss": "CTCLoss",
    "fft": "FFT", "fft2": "FFT2", "hsv_to_rgb": "HSVToRGB", "ifft2": "IFFT2", "irfft": "IRFFT",
    "isin": "IsIn", "istft": "ISTFT", "layer_normalization": "LayerNorm",
    "psnr": "PSNR", "rfft": "RFFT", "rgb_to_grayscale": "RGBToGrayscale", "rgb_to_hsv": "RGBToHSV",
    "rms_normalization": "RMSNorm", "searchsorted": "SearchSorted", "ssim": "SSIM", "stft": "STFT",
    "svd": "SVD",
}  # fmt: skip

#: Options that are among the `**kwargs` of a function.
_HIDDEN = {"LayerNorm": ("rms_scaling",), "MultiHot": ("num_tokens",)}


def find(module: str, cls: str) -> Any:
    """The function that Keras's operation `cls` of `module` is here; None if there is none."""
    if not module.startswith(_ROOT):
        return None
    space = module.removeprefix(_ROOT)
    plain = None if cls in _OF_TENSORS else _PLAIN.get(space, {}).get(cls)
    return plain or _by_class().get((space, cls))


def arguments(function: Any, config: dict[str, Any]) -> dict[str, Any]:
    """The options of an operation from the configuration that Keras keeps."""
    if function not in _places():
        return {}
    names = {*inspect.signature(function).parameters, *_HIDDEN.get(_places()[function][1], ())}
    return {key: deserialize(value) for key, value in config.items() if key in names}


def placed(function: Any, args: Any, kwargs: Any) -> tuple[Any, Any]:
    """The arguments of a call in a file. Keras counts the tensors alone; options can be between them."""
    taken = getattr(function, "arrays", ())[: len(args)]
    names = list(inspect.signature(function).parameters) if taken else []
    if taken and function.varied:  # options, then as many tensors as there are
        first = [name for name in names[: names.index(taken[0])] if name in kwargs]
        rest = {name: value for name, value in kwargs.items() if name not in first}
        return [*(kwargs[name] for name in first), *args], rest
    if list(taken) == names[: len(taken)]:
        return args, kwargs
    return [], {**dict(zip(taken, args, strict=False)), **kwargs}


def described(function: Any, args: Any, kwargs: Any) -> tuple[str, str, Any, Any] | None:
    """Module, class, tensors and options of a call in Keras's terms; None if Keras has no such
    operation."""
    for space, table in _PLAIN.items():
        for name, found in table.items():
            if found is function and not kwargs:
                return _ROOT + space, name, list(args), {}
    if function not in _places():
        return None
    space, cls = _places()[function]
    bound = inspect.signature(function).bind(*args, **kwargs)
    bound.apply_defaults()
    options = bound.arguments
    tensors = [options.pop(name) for name in function.arrays]
    tensors = [list(t) if isinstance(t, tuple) else t for t in tensors]  # Keras reads no tuples
    if function.varied:
        tensors[-1:] = tensors[-1]
    options.update(options.pop("kwargs", {}))
    if cls == "Reshape" and isinstance(options["newshape"], int):  # Keras's takes sequences alone
        options["newshape"] = [options["newshape"]]
    if symbolic_leaves(dict(options)):  # sizes of symbolic tensors, of which Keras has none
        return None
    if "data_format" in options:
        options["data_format"] = standardize_data_format(options["data_format"])
    return _ROOT + space, cls, tensors, {key: _option(value) for key, value in options.items()}


def _option(value: Any) -> Any:
    if isinstance(value, torch.dtype):
        return _dtype_name(value)
    if isinstance(value, (list, tuple)):
        return [_option(item) for item in value]
    return serialize(value)


def by_name() -> dict[str, Any]:
    """The operations by their public names."""
    return {f"ops.{function.__name__}": function for function in _by_class().values()}


@functools.cache
def _by_class() -> dict[tuple[str, str], Any]:
    """Keras's module and class -> operation. A file cannot ask for those that call functions."""
    spaces = {"_nn": "nn", "_image": "image", "_linalg": "linalg", "_math": "math", "_fourier": "math",
              "_core": "core", "_einops": "einops"}  # fmt: skip
    found = {}
    for name, function in [*vars(ops).items(), *vars(ops.image).items()]:
        if not getattr(function, "calls", True):
            space = spaces.get(function.__module__.split(".")[2], "numpy")
            cls = "".join(part.capitalize() for part in name.split("_"))
            found[space, _CLASSES.get(name, cls)] = function
    return found


@functools.cache
def _places() -> dict[Any, tuple[str, str]]:
    """Operation -> Keras's module and class."""
    return {function: place for place, function in reversed(_by_class().items())}
