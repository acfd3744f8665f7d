"""What every operation begins with: arrays and numbers become tensors, calls on symbolic tensors are recorded.

An operation is a function of tensors, written once::

    @op
    def add(x1: Operand, x2: Operand) -> torch.Tensor: ...

The annotation says what happens to an argument before the function sees it. `Array`: a tensor, or what
becomes one by itself. `Arrays`: a sequence of them. `Operand`: numbers next to a tensor take its dtype
(``int16 + 1`` is int16, ``float16 * 0.5`` float16). `Given`: what the function converts itself. Everything
else is an option and stays as it is.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, TypeVar

import numpy as np
import torch

from kerastorch._graph import KerasTensor, is_symbolic, record
from kerastorch.config import floatx, standardize_dtype

Array: TypeAlias = Any
Arrays: TypeAlias = Any
Operand: TypeAlias = Any
Given: TypeAlias = Any
Axis: TypeAlias = "int | Sequence[int] | None"

_F = TypeVar("_F", bound=Callable[..., Any])


def op(function: _F) -> _F:
    """A function of tensors as an operation; see the module."""
    code, annotations = function.__code__, function.__annotations__
    count = code.co_argcount
    named = code.co_varnames[: count + code.co_kwonlyargcount]
    varied = bool(code.co_flags & 4)  # it takes *operands
    kinds = {name: _kind(annotations.get(name)) for name in named}
    places = [kinds[name] for name in named[:count]]
    rest = _kind(annotations.get(code.co_varnames[len(named)])) if varied else ""

    @functools.wraps(function)
    def operation(*args: Any, **kwargs: Any) -> Any:
        for arg, kind in zip(args, places, strict=False):
            if kind and not isinstance(arg, torch.Tensor):
                break
        else:  # most calls: tensors, then options
            if args and len(args) <= count and not any(map(kinds.get, kwargs)):
                return function(*args, **kwargs)
        symbolic = is_symbolic(args, kwargs)
        args, kwargs = converted(args, kwargs, keep_numbers=symbolic)
        if symbolic:
            return record("call_function", operation, args, kwargs)
        return function(*args, **kwargs)

    def converted(args: Any, kwargs: Any, keep_numbers: bool = False) -> Any:
        given = [(i, arg, places[i] if i < count else rest) for i, arg in enumerate(args)]
        named = [(name, arg, kinds.get(name, "")) for name, arg in kwargs.items()]
        found = _converted([*given, *named], keep_numbers)
        return [found[i] for i in range(len(args))], {name: found[name] for name in kwargs}

    def body(args: Any, kwargs: Any) -> Any:
        args, kwargs = converted(args, kwargs)
        return function(*args, **kwargs)

    arrays = [name for name, kind in kinds.items() if kind]
    operation.arrays = (*arrays, *code.co_varnames[len(named) :][: bool(rest)])  # type: ignore[attr-defined]
    operation.body = body  # type: ignore[attr-defined]
    operation.varied = bool(rest)  # type: ignore[attr-defined]
    operation.calls = any("Callable" in str(kind) for kind in annotations.values())  # type: ignore[attr-defined]
    return operation  # type: ignore[return-value]


def _kind(annotation: Any) -> str:
    """Which of the words an annotation begins with; nothing for an option."""
    kind = str(annotation).partition(" ")[0]
    return kind if kind in ("Array", "Arrays", "Operand", "Given") else ""


def _converted(arguments: list[tuple[Any, Any, str]], keep_numbers: bool) -> dict[Any, Any]:
    """The arguments of a call by place or name, arrays as tensors on one device. To `keep_numbers`: a
    number that became a tensor would be a weight of the graph."""
    leaves = [leaf for _, value, kind in arguments if kind for leaf in _leaves(value)]
    tensors = [leaf for leaf in leaves if isinstance(leaf, (torch.Tensor, KerasTensor))]
    device = next((t.device for t in tensors if isinstance(t, torch.Tensor)), None)
    beside = [t for _, t, kind in arguments if kind == "Operand" and hasattr(t, "dtype")]
    dtype = (
        functools.reduce(torch.promote_types, (_dtype_of(t) for t in beside)) if beside else None
    )

    def convert(value: Any, kind: str) -> Any:
        if value is None or isinstance(value, (torch.Tensor, KerasTensor)) or kind in ("", "Given"):
            return value
        if kind == "Arrays" or is_symbolic(value):
            return [convert(item, "Array") for item in value]
        if isinstance(value, (bool, int, float, complex)):
            if keep_numbers:
                return value
            return number(value, dtype if kind == "Operand" else None, device)
        return as_tensor(value, device=device)

    return {key: convert(value, kind) for key, value, kind in arguments}


def _leaves(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _dtype_of(value: Any) -> torch.dtype:
    dtype = value.dtype
    return dtype if isinstance(dtype, torch.dtype) else as_tensor(value).dtype


def number(
    value: complex, beside: torch.dtype | None = None, device: torch.device | None = None
) -> torch.Tensor:
    """A Python number as a tensor without axes: int32, `floatx`, or as `beside` a dtype suggests."""
    natural = _natural(value)
    dtype = natural if beside is None else beside
    if _rank(dtype) < _rank(natural):
        dtype = torch.promote_types(dtype, natural)
    return torch.full((), value, dtype=dtype, device=device)


def _natural(value: complex) -> torch.dtype:
    """What a Python number becomes by itself."""
    kind = next(kind for kind in _NUMBERS if isinstance(value, kind))
    if kind is int and not -(2**31) <= value < 2**31:  # type: ignore[operator]
        return torch.int64
    return _NUMBERS[kind] or standardize_dtype(floatx())


def _rank(dtype: torch.dtype) -> int:
    """Truth values, integers, floating point, complex numbers."""
    return 3 if dtype.is_complex else 2 if dtype.is_floating_point else int(dtype is not torch.bool)


_NUMBERS: dict[type, torch.dtype | None] = {
    bool: torch.bool, int: torch.int32, float: None, complex: torch.complex64,
}  # fmt: skip


def as_tensor(value: Any, dtype: Any = None, device: torch.device | None = None) -> torch.Tensor:
    """Numbers, nested sequences of numbers and tensors, or an array, as a tensor that shares memory
    where it can.

    Python's integers become int32, its floats `floatx`; arrays keep their dtype.
    """
    wanted = None if dtype is None else standardize_dtype(dtype)
    if isinstance(value, (torch.Tensor, KerasTensor)):
        found: Any = value
    elif isinstance(value, (bool, int, float, complex)):
        if wanted is not None:
            return torch.full((), value, dtype=wanted, device=device)
        found = number(value, device=device)
    elif isinstance(value, (list, tuple)):
        leaves = _deep_leaves(value)
        if any(isinstance(leaf, torch.Tensor) for leaf in leaves):
            found = _stacked(value, device)
        elif all(type(leaf) in _NUMBERS for leaf in leaves):
            dtypes = {_natural(leaf) for leaf in leaves} or {standardize_dtype(floatx())}
            natural = functools.reduce(torch.promote_types, dtypes)
            found = torch.tensor(value, dtype=wanted or natural, device=device)
        else:
            found = as_tensor(np.asarray(value), device=device)
    else:
        array = np.asarray(value)
        if not array.flags.writeable:
            array = array.copy()
        if array.dtype.name == "bfloat16":  # of ml_dtypes
            found = torch.as_tensor(array.view(np.int16), device=device).view(torch.bfloat16)
        else:
            found = torch.as_tensor(array, device=device)
    return found if wanted is None else found.to(wanted)


def _deep_leaves(value: Any) -> list[Any]:
    if isinstance(value, (list, tuple)):
        return [leaf for item in value for leaf in _deep_leaves(item)]
    return [value]


def _stacked(value: Any, device: torch.device | None) -> torch.Tensor:
    return torch.stack(promoted(*(as_tensor(item, device=device) for item in value)))


def promoted(*tensors: torch.Tensor) -> list[torch.Tensor]:
    """Tensors as the one dtype that can hold them all."""
    dtype = functools.reduce(torch.promote_types, (t.dtype for t in tensors))
    return [t.to(dtype) for t in tensors]


def floating(x: torch.Tensor) -> torch.Tensor:
    """Integers and truth values as `floatx`; what is floating point or complex as it is."""
    if x.is_floating_point() or x.is_complex():
        return x
    return x.to(standardize_dtype(floatx()))


def axes_of(x: torch.Tensor, axis: Axis) -> tuple[int, ...]:
    """`axis` as a tuple of axes counted from the front; None is all of them."""
    if axis is None:
        return tuple(range(x.ndim))
    given = (axis,) if isinstance(axis, (int, np.integer)) else tuple(axis)
    rank = max(x.ndim, 1)  # as in NumPy, a number has the axes 0 and -1, of nothing
    for a in given:
        if not -rank <= a < rank:
            raise ValueError(f"`axis` must be between {-rank} and {rank - 1}, received {axis!r}.")
    found = tuple(int(a) % rank for a in given if x.ndim)
    if len(set(found)) < len(found):
        raise ValueError(f"`axis` names an axis twice, received {axis!r}.")
    return found


def in_compiled_graph() -> bool:
    """Whether an operator of our own may stand in for what torch's compiler would take apart. A file for
    other programs (torch.export) holds torch's operators alone."""
    return torch.compiler.is_compiling() and not torch.compiler.is_exporting()
