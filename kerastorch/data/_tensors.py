"""What users bring as tensors: arrays, frames, lists of numbers, items of a stream."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import torch

from kerastorch import tree
from kerastorch.config import floatx
from kerastorch.data._unpack import pack_x_y_sample_weight, unpack_x_y_sample_weight

Batch = tuple[Any, ...]


def to_batch(item: Any) -> Batch:
    """An item of a stream, ``x``, ``(x,)``, ``(x, y)`` or ``(x, y, sample_weight)``, as a batch of tensors.

    >>> import numpy as np
    >>> from kerastorch.data import to_batch
    >>> to_batch((np.zeros((2, 1)), [0, 1]))
    (tensor([[0.], [0.]]), tensor([0, 1]))
    """
    parts = tuple(item) if isinstance(item, (tuple, list)) else (item,)
    if len(parts) <= 3:  # mostly there is nothing to do, and no time to lose
        ready = [tensor for part in parts if (tensor := _as_it_is(part)) is not None]
        if len(ready) == len(parts) and len({len(tensor) for tensor in ready}) == 1:
            return tuple(ready)
    batch = to_tensors(*unpack_x_y_sample_weight(item))
    return batch if isinstance(batch, tuple) else (batch,)


#: What NumPy and torch store alike and no rule converts.
_ALIKE = frozenset(map(np.dtype, ("float32", "int64", "int32", "uint8", "bool")))


def _as_it_is(part: Any) -> torch.Tensor | None:
    """A tensor, or an array whose memory is a tensor's; None for anything that wants a closer look."""
    if type(part) is torch.Tensor:
        return part if part.dim() else None
    if type(part) is not np.ndarray or part.dtype not in _ALIKE:
        return None
    return torch.from_numpy(part) if part.flags.carray and part.ndim and len(part) else None


def to_tensors(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """Arrays as tensors, packed like a batch. All must have the same number of rows."""
    if x is None:
        raise ValueError("`x` is missing: give an array, a tensor, or a list or dict of them.")
    named = [
        (name, value)
        for name, value in (("x", x), ("y", y), ("sample_weight", sample_weight))
        if value is not None
    ]
    converted: dict[str, Any] = {}
    lengths: dict[str, int] = {}
    for name, value in named:
        value = _outer(value, name)
        pairs = tree.flatten_with_path(value)
        if not pairs:
            raise ValueError(f"`{name}` is empty: {value!r}.")
        leaves = []
        for path, leaf in pairs:
            label = name + "".join(f"[{key!r}]" for key in path)
            tensor = None if leaf is None else to_tensor(leaf, label)
            if tensor is not None:
                if tensor.ndim == 0:
                    raise ValueError(
                        f"{label} is a scalar; its first axis must be the samples. Does a Dataset need batch()?"
                    )
                lengths[label] = len(tensor)
            leaves.append(tensor)
        converted[name] = tree.unflatten(leaves, tree.flatten_with_spec(value)[1])
    if len(set(lengths.values())) > 1:
        given = ", ".join(f"{label} has {n}" for label, n in lengths.items())
        raise ValueError(f"All arrays must have the same number of rows: {given}.")
    if lengths and next(iter(lengths.values())) == 0:
        raise ValueError(
            f"There are no rows: {', '.join(lengths)} {'is' if len(lengths) == 1 else 'are'} empty."
        )
    return pack_x_y_sample_weight(
        converted["x"], converted.get("y"), converted.get("sample_weight")
    )


def _outer(value: Any, name: str) -> Any:
    """A Python list of numbers, or of lists of numbers, is one array; a list of arrays is a nest."""
    if isinstance(value, (list, tuple)) and value:
        first = value[0]
        while isinstance(first, (list, tuple)) and first:
            first = first[0]
        text = name == "x" and isinstance(first, (str, bytes))
        if text or isinstance(first, (bool, int, float, np.generic)):
            try:
                return np.asarray(value)
            except ValueError as error:
                raise ValueError(
                    f"`{name}` is a list whose rows have different lengths: pad them to one length."
                ) from error
    return value


def to_tensor(leaf: Any, label: str) -> torch.Tensor:
    """An array-like of numbers as a tensor that shares its memory where it can; float64 becomes `floatx`."""
    if isinstance(leaf, torch.Tensor):
        if leaf.layout != torch.strided:
            raise ValueError(
                f"{label} is a {leaf.layout} tensor: give {label}.to_dense(), or dense batches."
            )
        return leaf.detach()
    if np.ma.is_masked(leaf):
        raise ValueError(
            f"{label} is a masked array, and what is under the mask would be used: fill it first, "
            f"as in {label}.filled(0), and leave rows out by `sample_weight`."
        )
    if isinstance(leaf, (str, bytes)) or (
        not hasattr(leaf, "__array__") and not hasattr(leaf, "__len__")
    ):
        raise TypeError(
            f"{label} is {type(leaf).__name__} {leaf!r:.80}; expected an array, a tensor, a DataLoader, "
            "a Dataset, a PyDataset, a generator, or a list or dict of arrays."
        )
    array = np.asarray(leaf)
    if label.startswith("x") and not hasattr(leaf, "columns") and _is_text(array):
        return array  # type: ignore[return-value]  # torch has no text: it is left to the layers
    if array.dtype == object:
        try:
            array = array.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"{label} holds Python objects that are not numbers ({error}). "
                "Convert it to a numeric array; rows of uneven length must be padded."
            ) from error
    if array.dtype.kind not in "biufc":
        raise ValueError(
            f"{label} has dtype {array.dtype}: expected numbers. Encode text and dates first."
        )
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if array.dtype.kind == "u" and array.dtype.itemsize > 1:
        array = _signed(array, label)  # torch computes with hardly any unsigned integers
    if array.dtype.kind == "f" and array.dtype.itemsize >= 8 and floatx() != "float64":
        array = array.astype(np.float32)
    if any(stride < 0 for stride in array.strides):
        array = array.copy()
    if array.flags.writeable:
        return torch.from_numpy(array)
    with warnings.catch_warnings():
        # torch warns of read-only arrays; nothing here writes to the data.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)


def _is_text(array: np.ndarray[Any, Any]) -> bool:
    if array.dtype == object:
        kinds = set(map(type, array.ravel().tolist()))
        return bool(kinds) and all(issubclass(kind, (str, bytes)) for kind in kinds)
    return array.dtype.kind in "US"


def _signed(array: np.ndarray[Any, Any], label: str) -> np.ndarray[Any, Any]:
    if array.dtype.itemsize == 8 and array.size and array.max() > np.iinfo(np.int64).max:
        raise ValueError(f"{label} has values beyond the range of int64: {array.max()}.")
    return array.astype(np.int32 if array.dtype.itemsize == 2 else np.int64)


def to_element(value: Any) -> Any:
    """A nest of tuples and dicts with tensors as leaves; lists are arrays, text stays as it is."""
    if isinstance(value, dict):
        return {key: to_element(part) for key, part in value.items()}
    if isinstance(value, tuple):
        parts = [to_element(part) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    if isinstance(value, list) and value and isinstance(value[0], torch.Tensor):
        return torch.stack(value)
    if isinstance(value, (torch.Tensor, str, bytes)):
        return value
    array = np.asarray(value)
    if array.size and isinstance(array.flat[0], (str, bytes)):
        return array
    return to_tensor(array, "a component")


def stack(elements: list[Any]) -> Any:
    """Elements of one structure as one element with a new first axis."""
    first = elements[0]
    if isinstance(first, torch.Tensor):
        try:
            return torch.stack(elements)
        except RuntimeError as error:
            shapes = sorted({tuple(element.shape) for element in elements})
            raise ValueError(
                f"batch: the elements have different shapes {shapes}; pad or crop them with map() first."
            ) from error
    if isinstance(first, dict):
        return {key: stack([element[key] for element in elements]) for key in first}
    if isinstance(first, tuple):
        parts = [stack(list(column)) for column in zip(*elements, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else tuple(parts)
    return to_element(np.asarray(elements))


def split(data: Batch, fraction: float) -> tuple[Batch, Batch]:
    """The first rows and the last `fraction` of the rows."""
    leaves, spec = tree.flatten_with_spec(data)
    rows = next(len(leaf) for leaf in leaves if leaf is not None)
    at = math.floor(rows * (1.0 - fraction))
    if at == 0 or at == rows:
        raise ValueError(
            f"`validation_split`={fraction} leaves no rows for {'training' if at == 0 else 'validation'}: "
            f"there are {rows} rows."
        )
    parts = ([None if t is None else t[s] for t in leaves] for s in (slice(at), slice(at, None)))
    train, validation = (tree.unflatten(part, spec) for part in parts)
    return train, validation
