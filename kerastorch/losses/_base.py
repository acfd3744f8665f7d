"""From targets and predictions to one number: conversion, alignment, weights, mask, reduction."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from kerastorch import tree
from kerastorch._registry import Recorded, Registry, snake_case
from kerastorch.config import floatx, standardize_dtype

Tensor = torch.Tensor
#: What a user may give as values: a tensor, an array, numbers, or nested lists of numbers.
Array = Any

registry = Registry("loss", "losses")

#: The default reduction.
MEAN = "sum_over_batch_size"
MEANS = (MEAN, "mean")
_REDUCTIONS = (*MEANS, "sum", "mean_with_sample_weight", "none", None)
HALF = (torch.float16, torch.bfloat16)

#: Functions whose targets are class numbers, which must not be rounded to a float's precision.
LABEL_FUNCTIONS: list[Callable[..., Any]] = []

#: For functions whose mean has a kernel of its own: the mean of all values by the same arguments,
#: given tensors of one dtype, or None where that kernel does not fit them.
FUSED_MEANS: dict[Callable[..., Any], Callable[..., Tensor | None]] = {}


# -- conversion and alignment ----------------------------------------------------------------------


def as_tensor(x: Array, device: torch.device | None = None) -> Tensor:
    """A (symbolic) tensor as it is; anything else on `device`, float64 becoming `floatx`."""
    if isinstance(x, torch.Tensor) or hasattr(x, "__torch_function__"):
        return x
    if isinstance(x, (int, float)):  # filled in place: nothing to transfer, nothing to trace
        kind = None if isinstance(x, float) else bool if isinstance(x, bool) else int
        return torch.full((), x, dtype=standardize_dtype(kind), device=device)
    array = np.asarray(x, order="C")
    tensor = torch.as_tensor(array if array.flags.writeable else array.copy(), device=device)
    return tensor.to(standardize_dtype(None)) if tensor.dtype == torch.float64 else tensor


def cast(x: Tensor, dtype: torch.dtype) -> Tensor:
    """`x` in `dtype`; a call of ``x.to`` costs as much as a small kernel."""
    return x if x.dtype == dtype else x.to(dtype)


def is_ours(function: Any) -> bool:
    """Whether a function is one of this package, whose functions align ``(N,)`` and ``(N, 1)``."""
    return str(getattr(function, "__module__", "")).startswith("kerastorch.")


def as_floats(x: Array) -> Tensor:
    """A floating-point tensor: integers and booleans become `floatx`."""
    tensor = as_tensor(x)
    return tensor if tensor.is_floating_point() else tensor.to(standardize_dtype(None))


def align_ranks(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Let ``(N,)`` meet ``(N, 1)``: a last axis of length 1 is added to a vector, else removed."""
    if a.ndim == b.ndim + 1 and a.shape[-1] == 1:
        return (a, b.unsqueeze(-1)) if b.ndim == 1 else (a.squeeze(-1), b)
    if b.ndim == a.ndim + 1 and b.shape[-1] == 1:
        return (a.unsqueeze(-1), b) if a.ndim == 1 else (a, b.squeeze(-1))
    return a, b


def paired(y_true: Array, y_pred: Array) -> tuple[Tensor, Tensor]:
    """Both as floats of one shape and dtype. What broadcasting would hide is an error."""
    y_pred = as_floats(y_pred)
    y_true = cast(as_tensor(y_true, y_pred.device), y_pred.dtype)
    if y_true.shape != y_pred.shape:
        y_true, y_pred = align_ranks(y_true, y_pred)
        require_same_shape(y_true, y_pred)
    return y_true, y_pred


def require_same_shape(y_true: Tensor, y_pred: Tensor) -> None:
    """Raise `ValueError` unless the shapes agree."""
    if y_true.shape != y_pred.shape:
        raise ValueError(
            "y_true and y_pred must have the same shape, received y_true of shape "
            f"{tuple(y_true.shape)} and y_pred of shape {tuple(y_pred.shape)}. "
            "Give the last layer as many units as a target has values; class numbers with one "
            "output per class belong to the sparse losses and metrics."
        )


def as_weight(sample_weight: Array, values: Tensor, dtype: torch.dtype | None = None) -> Any:
    """Weights ready to multiply with `values`; a Python number stays one: nothing to transfer."""
    if sample_weight is None or isinstance(sample_weight, (int, float)):
        return sample_weight
    return align_weight(cast(_beside(sample_weight, values), dtype or values.dtype), values)


def _beside(x: Array, values: Tensor) -> Tensor:
    x = as_tensor(x, values.device)
    return x if x.device == values.device else x.to(values.device)


def align_weight(weight: Tensor, values: Tensor) -> Tensor:
    """Weights for the leading axes of `values`: ``(N,)`` meets ``(N, T)`` as ``(N, 1)``."""
    if weight.ndim == 0 or values.ndim == 0:
        return weight
    if weight.ndim == values.ndim + 1 and weight.shape[-1] == 1:
        weight = weight.squeeze(-1)
    given, wanted = tuple(weight.shape), tuple(values.shape)
    fits = len(given) <= len(wanted) and all(
        m == n or m == 1 or n == 1 for m, n in zip(given, wanted, strict=False)
    )
    if not fits:
        raise ValueError(
            f"sample_weight has shape {given}, the values to weigh have shape {wanted}: "
            f"give one weight per sample, {wanted[:1]}, or one per value, {wanted}."
        )
    missing = len(wanted) - len(given)
    return weight[(..., *[None] * missing)] if missing else weight


# -- reduction -------------------------------------------------------------------------------------


def standardize_reduction(reduction: str | None) -> str | None:
    """The reduction, if there is one of that name."""
    if reduction not in _REDUCTIONS:
        raise ValueError(
            "Invalid value for argument `reduction`: expected one of "
            f"{', '.join(map(repr, _REDUCTIONS))}, received {reduction!r}."
        )
    return reduction


def reduce_weighted(
    values: Tensor, sample_weight: Array = None, mask: Array = None, reduction: str | None = MEAN
) -> Tensor:
    """Weigh and mask `values`, then reduce them.

    With values ``v``, weights ``w`` and mask ``m`` (1 where valid), all broadcast to one shape:

    - ``"sum_over_batch_size"``, ``"mean"``: ``sum(v w m) / n`` with ``n`` the number of values, or
      of valid ones if there is a mask. Never divided by the sum of the weights.
    - ``"mean_with_sample_weight"``: ``sum(v w m) / sum(w m)``.
    - ``"sum"``: ``sum(v w m)``; ``"none"`` or None: ``v w m``.

    Where the divisor is 0 the result is 0.
    """
    weight = as_weight(sample_weight, values)
    if weight is not None:
        values = values * weight
    valid = None
    if mask is not None:
        valid = align_weight(cast(_beside(mask, values), torch.bool), values)
        values = torch.where(valid, values, 0)
    if reduction in (None, "none"):
        return values
    if reduction == "sum" or 0 in values.shape:
        return values.sum()
    if reduction in MEANS:
        mean = values.mean()
        if valid is None:
            return mean
        return mean * (valid.numel() / valid.sum().clamp(min=1)).to(mean.dtype)
    if weight is None and valid is None:
        return values.mean()
    if not isinstance(weight, torch.Tensor):
        weight = torch.full_like(values, 1.0 if weight is None else weight)
    weight = weight if valid is None else torch.where(valid, weight, 0)
    return divide_or_zero(values.sum(), weight.expand_as(values).sum())


def divide_or_zero(a: Tensor, b: Tensor) -> Tensor:
    """``a / b``, and 0 where `b` is 0."""
    return a / torch.where(b == 0, math.inf, b)


# -- the classes -----------------------------------------------------------------------------------


class Loss(Recorded):
    """What training makes small. Subclass it and write ``call(y_true, y_pred)``.

    `call` gives one value per sample (or per sample and step, or a single number); the loss weighs
    and reduces them:

    - ``reduction``: ``"sum_over_batch_size"`` (weighted sum / number of values), ``"mean"`` (the
      same), ``"sum"``, ``"mean_with_sample_weight"`` (weighted sum / sum of weights), ``"none"``.
    - ``sample_weight`` has the leading axes of those values: ``(N,)``, ``(N, 1)``, ``(N, T)``.
    - A mask that rides on the predictions (``y_pred._keras_mask``) leaves masked steps out of both
      the sum and the number of values.

    `call` sees tensors: `y_true` comes in the dtype of `y_pred`, which is computed in `dtype`. If
    that is None, half-precision predictions are raised to float32, tensors keep their dtype, and
    arrays become ``keras.config.floatx()``.

    >>> import torch, kerastorch as keras
    >>> class CubicError(keras.losses.Loss):
    ...     def call(self, y_true, y_pred):
    ...         return (y_pred - y_true).abs().pow(3).mean(-1)
    >>> loss = CubicError()
    >>> loss([[0.0], [0.0]], [[1.0], [2.0]])
    tensor(4.5000)
    >>> loss([[0.0], [0.0]], [[1.0], [2.0]], sample_weight=[1, 0])
    tensor(0.5000)
    """

    #: Targets are class numbers: they reach `call` as they are.
    _takes_labels = False
    #: Whether targets of shape (N,) fit predictions of shape (N, 1) without being given an axis.
    takes_raw_targets = False

    def __init__(self, name: str | None = None, reduction: str | None = MEAN, dtype: Any = None):
        self.name = name or snake_case(type(self).__name__)
        self.reduction = standardize_reduction(reduction)
        dtype = getattr(dtype, "compute_dtype", dtype)
        self._dtype = None if dtype is None else standardize_dtype(dtype)

    @property
    def dtype(self) -> str:
        """Name of the dtype that arrays are computed in."""
        return str(self._dtype or floatx()).removeprefix("torch.")

    def get_config(self) -> dict[str, Any]:
        """The arguments that rebuild this loss; a `dtype` that was not given is left out."""
        config = super().get_config()
        if config.get("dtype", "given") is None:
            del config["dtype"]
        return config

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The unreduced losses, for subclasses to write."""
        raise NotImplementedError(f"{type(self).__name__}: write call(self, y_true, y_pred).")

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Array = None) -> Tensor:
        mask = getattr(y_pred, "_keras_mask", None)
        y_pred = _map_arrays(self._prediction, y_pred)
        like: Tensor = y_pred if isinstance(y_pred, torch.Tensor) else tree.flatten(y_pred)[0]
        y_true = _map_arrays(lambda y: self._target(y, like), y_true)
        if sample_weight is None and mask is None and self.reduction in MEANS:
            mean = self._mean(y_true, y_pred)
            if mean is not None:
                return mean
        values = as_tensor(self.call(y_true, y_pred))
        own_mask = getattr(values, "_keras_mask", None)
        if own_mask is not None:
            mask = own_mask if mask is None else as_tensor(mask, values.device) & own_mask
        if self._dtype is not None:
            values = cast(values, self._dtype)
        return reduce_weighted(values, sample_weight, mask, self.reduction)

    def _mean(self, y_true: Any, y_pred: Any) -> Tensor | None:
        """The mean of what `call` gives, where there is a faster way to it."""
        return None

    def _prediction(self, given: Array) -> Tensor:
        y = as_tensor(given)
        if self._dtype is not None:
            return cast(y, self._dtype)
        if y is given and y.is_floating_point():
            return y.float() if y.dtype in HALF else y
        return cast(y, standardize_dtype(None))

    def _target(self, y: Array, y_pred: Tensor) -> Tensor:
        y = as_tensor(y, y_pred.device)
        return y if self._takes_labels else cast(y, y_pred.dtype)


def _map_arrays(function: Callable[[Any], Tensor], value: Any) -> Any:
    """`function` on an array, or on each of a nest of arrays. A list of numbers is an array."""
    if isinstance(value, torch.Tensor):
        return function(value)
    if isinstance(value, dict):
        return {key: _map_arrays(function, item) for key, item in value.items()}
    if isinstance(value, (list, tuple)) and any(
        isinstance(leaf, (torch.Tensor, np.ndarray)) for leaf in tree.flatten(value)
    ):
        return type(value)(_map_arrays(function, item) for item in value)
    return function(value)


class LossFunctionWrapper(Loss):
    """A `Loss` from a function ``fn(y_true, y_pred, **kwargs)``."""

    def __init__(
        self,
        fn: Callable[..., Any] | str,
        reduction: str | None = MEAN,
        name: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ):
        fn = registry.get(fn) if isinstance(fn, str) else fn
        super().__init__(name or getattr(fn, "__name__", None), reduction, dtype)
        self.fn: Callable[..., Any] = fn
        self.kwargs = kwargs
        self._takes_labels = any(fn is known for known in LABEL_FUNCTIONS)
        own = type(self).call is not LossFunctionWrapper.call
        self.takes_raw_targets = not own and is_ours(fn)
        vars(self).update(kwargs)

    def _mean(self, y_true: Any, y_pred: Any) -> Tensor | None:
        fused = FUSED_MEANS.get(self.fn) if self.takes_raw_targets else None
        if fused is None or not isinstance(y_pred, torch.Tensor) or not y_pred.numel():
            return None
        return fused(y_true, y_pred, **self.kwargs)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The function's value."""
        if isinstance(y_true, torch.Tensor) and isinstance(y_pred, torch.Tensor):
            y_true, y_pred = align_ranks(y_true, y_pred)
        return self.fn(y_true, y_pred, **self.kwargs)


registry.add(Loss, LossFunctionWrapper)
