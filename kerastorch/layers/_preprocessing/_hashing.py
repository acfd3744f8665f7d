"""`Hashing` and `HashedCrossing`: categories as numbers without a vocabulary."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from kerastorch.config import floatx
from kerastorch.layers._layer import registry
from kerastorch.layers._preprocessing._base import Textual, encode, without_values
from kerastorch.layers._preprocessing._hash import buckets, crossed
from kerastorch.layers._preprocessing._vocabulary import salt_of


class _Hashed(Textual):
    """Takes text and integers."""

    _reads = None
    num_bins: int
    output_mode: str

    def _bins(self, num_bins: Any) -> int:
        if isinstance(num_bins, bool) or not isinstance(num_bins, int) or num_bins < 1:
            raise ValueError(
                f"{type(self).__name__}: `num_bins` must be a positive integer, received {num_bins!r}."
            )
        return num_bins

    def _convert(self, value: Any) -> Any:
        if value is None or isinstance(value, (bool, tuple, torch.Tensor)):
            return super()._convert(value)
        array = np.asarray(value)
        return torch.as_tensor(array) if array.dtype.kind in "iuf" else self._strings(value)

    def _encode(self, numbers: Any, like: Any) -> torch.Tensor:
        indices = torch.as_tensor(numbers, device=getattr(like, "device", None)).reshape(like.shape)
        return encode(indices, self.output_mode, self.num_bins, self._compute)


class Hashing(_Hashed):
    """Text or integers as numbers below `num_bins`, by a hash that is the same everywhere.

    Args:
        num_bins: how many numbers there are, that of `mask_value` included.
        mask_value: becomes 0; all else gets the other numbers.
        salt: an integer or two: SipHash with this key instead of FarmHash64.
        output_mode: ``"int"``, or ``"one_hot"``, ``"multi_hot"``, ``"count"`` as in `CategoryEncoding`.

    The hashes are TensorFlow's; integers are hashed as their decimal digits, floats without fraction.

    >>> import kerastorch as keras
    >>> keras.layers.Hashing(num_bins=3)([["A"], ["B"], ["C"], ["D"], ["E"]]).flatten()
    tensor([1, 0, 1, 1, 2])
    """

    def __init__(
        self,
        num_bins: int,
        mask_value: Any = None,
        salt: Any = None,
        output_mode: str = "int",
        sparse: bool = False,
        **kwargs: Any,
    ) -> None:
        if kwargs.get("dtype") is None:
            kwargs["dtype"] = "int64" if output_mode == "int" else floatx()
        super().__init__(**kwargs)
        self._refuse_sparse(sparse)
        self.num_bins, self.mask_value = self._bins(num_bins), mask_value
        self.output_mode = self._mode(output_mode, "int", "one_hot", "multi_hot", "count")
        if self.output_mode == "int" and self.dtype not in ("int32", "int64"):
            raise ValueError(
                f"Hashing: for `output_mode` 'int', `dtype` must be 'int32' or 'int64', received {self.dtype!r}."
            )
        self.salt = salt_of("Hashing", salt)
        self.built = True

    def call(self, inputs: Any) -> torch.Tensor:
        """(...) -> (...), or vectors as `output_mode` says."""
        if without_values(inputs):
            return self._encode(torch.empty_like(inputs, dtype=torch.int64), inputs)
        flat = inputs.reshape(-1).tolist()
        texts = [value if isinstance(value, str) else str(int(value)) for value in flat]
        if self.mask_value is None or self.num_bins == 1:
            return self._encode(buckets(texts, self.num_bins, self.salt), inputs)
        numbers = 1 + buckets(texts, self.num_bins - 1, self.salt)
        numbers[[value == self.mask_value for value in flat]] = 0
        return self._encode(numbers, inputs)


class HashedCrossing(_Hashed):
    """Several categories as one number below `num_bins`: a hash of their combination.

    It takes a list of text or integers, each of shape (), (B,) or (B, 1). `output_mode` is ``"int"`` or
    ``"one_hot"``. The hash is that of TensorFlow's ``tf.sparse.cross_hashed``.

    >>> import kerastorch as keras
    >>> keras.layers.HashedCrossing(num_bins=5)((["A", "B"], [101, 102]))
    tensor([1, 1])
    """

    def __init__(
        self,
        num_bins: int,
        output_mode: str = "int",
        sparse: bool = False,
        name: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        if output_mode == "int" and dtype is None:
            dtype = "int64"
        super().__init__(name=name, dtype=dtype, **kwargs)
        self._refuse_sparse(sparse)
        self.num_bins = self._bins(num_bins)
        self.output_mode = self._mode(output_mode, "int", "one_hot")
        self.built = True

    def _convert(self, value: Any) -> Any:
        if type(value) is list and value and not isinstance(value[0], (str, bytes, int)):
            return [super(HashedCrossing, self)._convert(item) for item in value]
        return super()._convert(value)

    def call(self, inputs: Any) -> torch.Tensor:
        """A list of (B,) or (B, 1) -> the same shape, or (B, num_bins)."""
        if not isinstance(inputs, (list, tuple)) or len(inputs) < 2:
            raise ValueError("expected a list of at least two inputs")
        first = inputs[0]
        shapes = [tuple(x.shape) for x in inputs]
        if len(set(shapes)) > 1 or first.ndim > 2 or (first.ndim == 2 and first.shape[1] != 1):
            raise ValueError(f"inputs must have one shape, (), (B,) or (B, 1), received {shapes}")
        if any(isinstance(x, torch.Tensor) and x.is_floating_point() for x in inputs):
            raise ValueError("inputs must be text or integers, not floats")
        if without_values(first):
            return self._encode(torch.empty_like(first, dtype=torch.int64), first)
        columns = [x.reshape(-1).tolist() for x in inputs]
        return self._encode(crossed(columns, self.num_bins), first)

    def get_config(self) -> dict[str, Any]:
        """The arguments that Keras takes."""
        config = super().get_config()
        return {key: config[key] for key in ("num_bins", "output_mode", "sparse", "name", "dtype")}


registry.add(Hashing, HashedCrossing)
