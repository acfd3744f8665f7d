"""Values in another form: class numbers as 0 and 1, polar coordinates as complex numbers."""

from __future__ import annotations

from typing import Any

import torch

from kerastorch.config import standardize_dtype
from kerastorch.ops._op import Array, floating, op, promoted


@op
def one_hot(
    x: Array, num_classes: int, axis: int = -1, dtype: Any = None, sparse: bool = False
) -> torch.Tensor:
    """A new `axis` of length `num_classes` that is 1 at the number, else 0; `dtype` is `floatx` by default.

    Numbers below 0, or from `num_classes` on, give zeros.

    >>> import kerastorch as keras
    >>> keras.ops.one_hot([1, -1], 3)
    tensor([[0., 1., 0.], [0., 0., 0.]])
    """
    _refuse_sparse(sparse)
    return _is_class(x, num_classes, axis).to(standardize_dtype(dtype))


@op
def multi_hot(
    inputs: Array,
    num_classes: int | None = None,
    axis: int = -1,
    dtype: Any = None,
    sparse: bool = False,
    **kwargs: Any,
) -> torch.Tensor:
    """1 for the numbers that a sample has, else 0: (S,) -> (num_classes,), (B, S) -> (B, num_classes).

    >>> import kerastorch as keras
    >>> keras.ops.multi_hot([0, 3], 4)
    tensor([1., 0., 0., 1.])
    """
    _refuse_sparse(sparse)
    num_classes = kwargs.get("num_tokens") if num_classes is None else num_classes
    if num_classes is None:
        raise ValueError("multi_hot: `num_classes` must be given: how many classes there are.")
    over = 1 if inputs.ndim > 1 else 0
    place = axis % (inputs.ndim + 1)
    found = _is_class(inputs, num_classes, axis)
    return found.any(over + (place <= over)).to(standardize_dtype(dtype))


def _is_class(x: torch.Tensor, num_classes: int, axis: int) -> torch.Tensor:
    """Whether `x` is class 0, 1, ..., along a new axis."""
    if not -x.ndim - 1 <= axis <= x.ndim:
        raise ValueError(f"`axis` must be between {-x.ndim - 1} and {x.ndim}, received {axis!r}.")
    place = axis % (x.ndim + 1)
    classes = torch.arange(num_classes, device=x.device)
    return x.long().unsqueeze(place) == classes.view(-1, *(1,) * (x.ndim - place))


def _refuse_sparse(sparse: bool) -> None:
    if sparse:
        raise ValueError("sparse=True is not supported: results are dense. Leave `sparse` out.")


@op
def polar(abs_: Array, angle: Array) -> torch.Tensor:
    """``abs_ * exp(1j * angle)``.

    >>> import kerastorch as keras
    >>> keras.ops.polar([2.0], [0.0])
    tensor([2.+0.j])
    """
    size, angle = promoted(floating(abs_), floating(angle))
    # torch.polar takes sizes to be positive where it comes to gradients.
    return torch.complex(size * angle.cos(), size * angle.sin())
