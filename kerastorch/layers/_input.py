"""`Input`: where a functional model begins."""

from __future__ import annotations

from typing import Any

from kerastorch._graph import KerasTensor, Shape, input_tensor
from kerastorch.config import _dtype_name, floatx
from kerastorch.layers._layer import Layer, registry


class InputLayer(Layer):
    """The place of one input in a model. Use `Input`."""

    def __init__(
        self,
        shape: Shape | None = None,
        batch_size: int | None = None,
        dtype: Any = None,
        sparse: bool | None = None,
        ragged: bool | None = None,
        batch_shape: Shape | None = None,
        input_tensor: KerasTensor | None = None,
        optional: bool = False,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if sparse or ragged:
            raise NotImplementedError("Input: sparse and ragged inputs are not supported.")
        given = kwargs.pop("tensor", None)
        super().__init__(name=name, **kwargs)
        self.__dict__["_symbol"] = given
        if given is None:
            self.batch_shape = _full_shape(shape, batch_size, batch_shape)
            self.__dict__["_symbol"] = _make(self, self.batch_shape, dtype or floatx())
        else:
            self.batch_shape = given.shape
        self.built = True

    @property
    def output(self) -> KerasTensor:
        """The symbolic tensor."""
        return self.__dict__["_symbol"]

    input = output

    @property
    def dtype(self) -> str:
        """Name of the dtype of the input."""
        return _dtype_name(self.output.dtype)

    def call(self, inputs: Any) -> Any:
        """The input itself."""
        return inputs

    def get_config(self) -> dict[str, Any]:
        """Shape, dtype and name."""
        return {"batch_shape": tuple(self.batch_shape), "dtype": self.dtype, "name": self.name}


registry.add(InputLayer)
_make = input_tensor


def _full_shape(shape: Any, batch_size: int | None, batch_shape: Any) -> Shape:
    if (shape is None) == (batch_shape is None):
        raise ValueError("Input: give either `shape` (without the batch axis) or `batch_shape`.")
    full = tuple(batch_shape) if batch_shape is not None else None
    if full is None:
        if isinstance(shape, int):
            raise ValueError(
                f"Input: `shape` must be a tuple, received {shape}. Write shape=({shape},)."
            )
        full = (batch_size, *shape)
    for size in full:
        if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 0):
            raise ValueError(f"Input: `shape` must hold sizes or None, received {tuple(full)}.")
    return full


def Input(
    shape: Shape | None = None,
    batch_size: int | None = None,
    dtype: Any = None,
    sparse: bool | None = None,
    batch_shape: Shape | None = None,
    name: str | None = None,
    tensor: Any = None,
    optional: bool = False,
) -> KerasTensor:
    """A symbolic tensor: the start of a functional model.

    Args:
        shape: axes without the batch axis; None for an axis of unknown size.
        batch_size: fixed size of the batch axis.
        dtype: dtype of the data (default `kerastorch.config.floatx`), ``"string"`` for arrays of text.
        batch_shape: all axes, instead of `shape` and `batch_size`.
        name: the name by which data is given in a dict.

    >>> import kerastorch as keras
    >>> keras.Input((28, 28, 1), name="image")
    <KerasTensor shape=(None, 28, 28, 1), dtype=float32, name=image>
    """
    if tensor is not None:
        raise NotImplementedError("Input: `tensor` is not supported.")
    layer = InputLayer(shape, batch_size, dtype, sparse, batch_shape=batch_shape, name=name)
    return layer.output
