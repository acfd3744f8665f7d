"""`InputSpec`: what a layer says of its inputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kerastorch import tree
from kerastorch.config import _dtype_name, standardize_dtype


class InputSpec:
    """The axes and the dtype that a layer expects of one input; what is left out is not looked at.

    A layer whose attribute `input_spec` holds one, or a nest of them like its inputs, checks every call.

    Args:
        dtype: name of the dtype.
        shape: sizes of the axes, the batch's included; None fits any.
        ndim, min_ndim, max_ndim: number of axes.
        axes: ``{axis: size}``.
        allow_last_axis_squeeze: a last axis of size 1 may be there or not.
        name: where the inputs are a dict, the key.
        optional: None will do.

    >>> import torch, kerastorch as keras
    >>> layer = keras.layers.Identity(name="identity")
    >>> layer.input_spec = keras.InputSpec(ndim=2, axes={-1: 3})
    >>> layer(torch.ones(2, 4))
    Traceback (most recent call last):
    ValueError: Identity 'identity': input has shape (2, 4), expected 2 axes, size 3 at axis -1.
    """

    def __init__(
        self,
        dtype: Any = None,
        shape: Sequence[int | None] | None = None,
        ndim: int | None = None,
        max_ndim: int | None = None,
        min_ndim: int | None = None,
        axes: Mapping[int, int | None] | None = None,
        allow_last_axis_squeeze: bool = False,
        name: str | None = None,
        optional: bool = False,
    ) -> None:
        self.dtype = None if dtype is None else _dtype_name(standardize_dtype(dtype))
        self.shape = None if shape is None else tuple(shape)
        self.ndim = ndim if self.shape is None else len(self.shape)
        self.max_ndim, self.min_ndim = max_ndim, min_ndim
        self.axes = {int(axis): size for axis, size in (axes or {}).items()}
        self.allow_last_axis_squeeze = allow_last_axis_squeeze
        self.name, self.optional = name, optional
        known = self.ndim if self.ndim is not None else max_ndim
        if known is not None and self.axes and max(self.axes) >= known:
            raise ValueError(
                f"InputSpec: `axes` names axis {max(self.axes)} of an input of at most {known} axes."
            )

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return dict(vars(self))

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> InputSpec:
        """An object from what `get_config` gave."""
        return cls(**config)

    def __repr__(self) -> str:
        given = [f"{key}={value!r}" for key, value in vars(self).items() if value]
        return f"InputSpec({', '.join(given)})"

    def fits(self, shape: Sequence[int | None], dtype: str) -> bool:
        """Whether an input of a shape, with None for unknown sizes, and a dtype is as expected."""
        n = len(shape)
        if self.dtype not in (None, dtype):
            return False
        if (self.min_ndim is not None and n < self.min_ndim) or (
            self.max_ndim is not None and n > self.max_ndim
        ):
            return False
        if any(
            not -n <= axis < n or _differ(size, shape[axis]) for axis, size in self.axes.items()
        ):
            return False
        if self.allow_last_axis_squeeze and self.shape is not None:
            wanted, found = (s[:-1] if s and s[-1] == 1 else s for s in (self.shape, shape))
            return len(wanted) == len(found) and not any(map(_differ, wanted, found))
        if self.ndim is not None and n != self.ndim and not self.allow_last_axis_squeeze:
            return False
        return self.shape is None or not any(map(_differ, self.shape, shape))

    def expectation(self) -> str:
        """What is expected, in words."""
        return ", ".join(self._words())

    def _words(self) -> Iterator[str]:
        if self.shape is not None:
            yield f"shape {self.shape}"
        elif self.ndim is not None:
            yield f"{self.ndim} axes"
        if self.min_ndim is not None:
            yield f"at least {self.min_ndim} axes"
        if self.max_ndim is not None:
            yield f"at most {self.max_ndim} axes"
        for axis, size in self.axes.items():
            if size is not None:
                yield f"size {size} at axis {axis}"
        if self.dtype is not None:
            yield f"dtype {self.dtype}"


def _differ(expected: int | None, found: int | None) -> bool:
    return None not in (expected, found) and expected != found


def check_inputs(title: str, input_spec: Any, inputs: Any) -> None:
    """Raise unless the inputs are what a layer says."""
    specs = tree.flatten(input_spec)
    if isinstance(inputs, dict) and all(spec is not None and spec.name for spec in specs):
        missing = [spec.name for spec in specs if spec.name not in inputs]
        if missing:
            raise ValueError(
                f"{title}: the inputs {missing} are missing, received {sorted(inputs)}."
            )
        inputs = [inputs[spec.name] for spec in specs]
    values = tree.flatten(inputs)
    if len(values) != len(specs):
        raise ValueError(f"{title} takes {len(specs)} inputs, received {len(values)}.")
    for at, (spec, value) in enumerate(zip(specs, values, strict=True)):
        if spec is None or (value is None and spec.optional):
            continue
        if not hasattr(value, "shape"):
            raise ValueError(f"{title} takes tensors, received {type(value).__name__}.")
        if not spec.fits(value.shape, _dtype_name(value.dtype)):
            which = f"input {at}" if len(specs) > 1 else "input"
            raise ValueError(
                f"{title}: {which} has shape {tuple(value.shape)}"
                f"{f' and dtype {_dtype_name(value.dtype)}' if spec.dtype else ''}, "
                f"expected {spec.expectation()}."
            )
