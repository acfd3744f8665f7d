"""What layers with a table share: data to adapt to, and categories as numbers, 0 and 1, or counts."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch

from kerastorch.data import PyDataset
from kerastorch.layers._layer import Layer

#: What `output_mode` may be; older names of two of them.
MODES = ("int", "one_hot", "multi_hot", "count", "tf_idf")
_OLD_NAMES = {"binary": "multi_hot", "tf-idf": "tf_idf"}


class Tabular(Layer):
    """A layer that also takes lists of numbers, and single ones."""

    _takes_one_tensor = True

    def _convert(self, value: Any) -> Any:
        if type(value) in (int, float) or (type(value) is list and is_array(value)):
            value = np.asarray(value)
        if isinstance(value, np.ndarray) and value.dtype.kind not in "biufc":
            raise TypeError(f"{self._title()}: expected numbers, received {value!r:.60}.")
        return super()._convert(value)

    def _mode(self, output_mode: str, *accepted: str) -> str:
        """A checked `output_mode`."""
        mode = _OLD_NAMES.get(output_mode, output_mode)
        if mode not in accepted:
            raise ValueError(
                f"{type(self).__name__}: `output_mode` must be one of {accepted}, received {output_mode!r}."
            )
        return mode

    def _refuse_sparse(self, sparse: Any) -> None:
        if sparse:
            raise NotImplementedError(
                f"{type(self).__name__}: `sparse=True` is not supported; output.to_sparse() makes a "
                "sparse tensor."
            )


class Textual(Tabular):
    """A layer that takes text: a string, lists of strings, or an array. On symbolic tensors, and others
    without values, it is asked for a shape alone."""

    _takes_one_tensor = False
    _reads: str | None = "string"  # what a Sequential model that begins with the layer takes
    encoding = "utf-8"

    def _convert(self, value: Any) -> Any:
        if value is None or isinstance(value, (bool, tuple, torch.Tensor)):
            return super()._convert(value)
        return self._strings(value)

    def _strings(self, value: Any) -> np.ndarray[Any, Any]:
        try:
            return strings(value, self.encoding)
        except TypeError as error:
            explained = TypeError(f"{self._title()}: {error}")
            explained._explained = True  # type: ignore[attr-defined]
            raise explained from None


def encode(
    indices: torch.Tensor,
    mode: str,
    depth: int,
    dtype: torch.dtype,
    weights: torch.Tensor | None = None,
) -> torch.Tensor:
    """Numbers of categories as `mode` says; those below 0 are left out.

    one_hot: (..., S) -> (..., S, depth), and (..., 1) -> (..., depth). multi_hot, count: (..., S) ->
    (..., depth), 1 for what is there, or how often it is, each time with its weight.
    """
    if mode == "int":
        return indices.to(dtype)
    if indices.dim() == 0:
        indices = indices.unsqueeze(0)
    if mode == "one_hot":
        if indices.dim() > 1 and indices.shape[-1] == 1:
            indices = indices.squeeze(-1)
        indices = indices.unsqueeze(-1)
    places = (indices.long() + 1).clamp(min=0)  # the first column is cut off
    table = torch.zeros((*places.shape[:-1], depth + 1), dtype=dtype, device=indices.device)
    if mode != "count":
        return table.scatter(-1, places, 1)[..., 1:]
    if weights is None:
        weights = torch.ones((), dtype=dtype, device=indices.device)
    return table.scatter_add(-1, places, weights.to(dtype).expand(places.shape))[..., 1:]


def batches(data: Any, steps: int | None = None) -> Iterator[Any]:
    """The inputs in `data`: an array or list is one batch; a Dataset, a DataLoader, a PyDataset, a
    generator or a list of arrays gives them. Of ``(x, y)`` only x is taken."""
    items: Iterable[Any]
    if is_array(data):
        items = [data]
    elif isinstance(data, PyDataset):
        items = (data[index] for index in range(len(data)))  # type: ignore[arg-type]
    elif isinstance(data, torch.utils.data.Dataset):
        items = torch.utils.data.DataLoader(data, batch_size=32)
    elif isinstance(data, Iterable):
        items = data
    else:
        raise TypeError(
            "adapt: expected an array, a tensor, a list, a Dataset, a DataLoader, a PyDataset or a "
            f"generator of batches, received {type(data).__name__}."
        )
    for item in itertools.islice(items, steps):
        yield item[0] if isinstance(item, (tuple, list)) and _is_pair(item) else item


def without_values(value: Any) -> bool:
    """Whether only the shape of `value` is known."""
    return isinstance(value, torch.Tensor) and value.is_meta


def strings(value: Any, encoding: str) -> np.ndarray[Any, Any]:
    """Text, or lists or an array of it, as an array of `str` objects; anything else is refused."""
    array = np.asarray(value, dtype=None if hasattr(value, "dtype") else object)
    if array.dtype.kind == "U":
        return array.astype(object)
    texts = array.ravel().tolist()
    kinds = set(map(type, texts))
    if array.dtype.kind in "SO" and all(issubclass(kind, (str, bytes)) for kind in kinds):
        if not any(issubclass(kind, bytes) for kind in kinds):
            return array.astype(object, copy=False)
        flat = np.empty(len(texts), object)
        flat[:] = [t.decode(encoding, "replace") if isinstance(t, bytes) else t for t in texts]
        return flat.reshape(array.shape)
    wrong = next(text for text in texts if not isinstance(text, (str, bytes)))
    hint = " Rows of different lengths must be padded." if isinstance(wrong, list) else ""
    raise TypeError(f"expected text, received {type(wrong).__name__} {wrong!r:.40}.{hint}")


def is_array(data: Any) -> bool:
    """Whether `data` is one array: also a list of numbers or text, but not a list of arrays."""
    if isinstance(data, (list, tuple)):
        return not _holds_arrays(data)
    return isinstance(data, (str, bytes)) or hasattr(data, "__array__")


def _holds_arrays(items: Any) -> bool:
    return bool(items) and isinstance(items[0], (np.ndarray, torch.Tensor))


def _is_pair(item: Any) -> bool:
    """Whether a list or tuple is ``(x, y)`` rather than a batch of its own."""
    if not item or isinstance(item[0], (str, bytes, int, float)):
        return False
    return isinstance(item, tuple) or _holds_arrays(item)
