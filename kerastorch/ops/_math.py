"""Functions that NumPy does not have: the error function and its family, the largest entries, segments."""

from __future__ import annotations

import torch

from kerastorch.ops._op import Array, Axis, axes_of, floating, op, promoted

# -- entry by entry --------------------------------------------------------------------------------


@op
def erf(x: Array) -> torch.Tensor:
    """The error function, ``2 / sqrt(pi)`` times the integral of ``exp(-t**2)`` from 0 to x.

    >>> import kerastorch as keras
    >>> keras.ops.erf([0.0, 1.0])
    tensor([0.0000, 0.8427])
    """
    return torch.erf(floating(x))


@op
def erfc(x: Array) -> torch.Tensor:
    """``1 - erf(x)``, exact for large x.

    >>> import kerastorch as keras
    >>> keras.ops.erfc([0.0, 5.0])
    tensor([1.0000e+00, 1.5375e-12])
    """
    return torch.erfc(floating(x))


@op
def erfinv(x: Array) -> torch.Tensor:
    """The inverse of `erf`, on (-1, 1).

    >>> import kerastorch as keras
    >>> keras.ops.erfinv([0.0, 0.8427])
    tensor([0.0000, 1.0000])
    """
    return torch.erfinv(floating(x))


@op
def rsqrt(x: Array) -> torch.Tensor:
    """``1 / sqrt(x)``.

    >>> import kerastorch as keras
    >>> keras.ops.rsqrt([1.0, 4.0])
    tensor([1.0000, 0.5000])
    """
    return torch.rsqrt(floating(x))


@op
def view_as_complex(x: Array) -> torch.Tensor:
    """Complex numbers of the real and imaginary parts along the last axis, of size 2.

    >>> import kerastorch as keras
    >>> keras.ops.view_as_complex([[1.0, 2.0]])
    tensor([1.+2.j])
    """
    if not x.ndim or x.shape[-1] != 2:
        raise ValueError(
            "`x` must have real and imaginary parts along a last axis of size 2, received shape "
            f"{tuple(x.shape)}."
        )
    real, imaginary = (x if x.dtype is torch.float64 else x.float()).unbind(-1)
    return torch.complex(real, imaginary)


@op
def view_as_real(x: Array) -> torch.Tensor:
    """Real and imaginary parts along a new last axis.

    >>> import torch, kerastorch as keras
    >>> keras.ops.view_as_real(torch.tensor([1 + 2j]))
    tensor([[1., 2.]])
    """
    if x.is_complex():
        return torch.view_as_real(x.resolve_conj())
    return torch.stack([x, torch.zeros_like(x)], -1)


# -- over axes -------------------------------------------------------------------------------------


@op
def logsumexp(x: Array, axis: Axis = None, keepdims: bool = False) -> torch.Tensor:
    """``log(sum(exp(x)))`` over `axis` or all entries, without overflow.

    >>> import kerastorch as keras
    >>> keras.ops.logsumexp([1000.0, 0.0])
    tensor(1000.)
    """
    return torch.logsumexp(floating(x), axes_of(x, axis), keepdim=keepdims)


@op
def top_k(x: Array, k: int, sorted: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
    """The `k` largest entries along the last axis, and their places.

    >>> import kerastorch as keras
    >>> keras.ops.top_k([5.0, 2.0, 7.0], k=2)
    (tensor([7., 5.]), tensor([2, 0]))
    """
    values, places = torch.topk(x, k, sorted=sorted)
    return values, places


@op
def in_top_k(targets: Array, predictions: Array, k: int) -> torch.Tensor:
    """Whether the prediction for each target is among the `k` largest of its row; those that tie for the
    last place all are. A target that is no place of the row is not.

    >>> import kerastorch as keras
    >>> keras.ops.in_top_k([0, 2], [[0.1, 0.7, 0.2], [0.3, 0.1, 0.6]], k=1)
    tensor([False,  True])
    """
    places, count = targets.long()[..., None], predictions.shape[-1]
    found = predictions.take_along_dim(places.clamp(0, count - 1), -1)
    least = predictions.topk(k).values.amin(-1, keepdim=True)
    return ((found >= least) & (places >= 0) & (places < count)).squeeze(-1)


@op
def logdet(x: Array) -> torch.Tensor:
    """The logarithm of the determinant of matrices along the last two axes; NaN where that is negative.

    >>> import kerastorch as keras
    >>> keras.ops.logdet([[2.0, 0.0], [0.0, 3.0]])
    tensor(1.7918)
    """
    sign, size = torch.linalg.slogdet(floating(x))
    return torch.where(sign < 0, torch.nan, size)


@op
def cdist(x: Array, y: Array) -> torch.Tensor:
    """Euclidean distances of all rows: ``(..., m, d)`` and ``(..., n, d)`` give ``(..., m, n)``.

    >>> import kerastorch as keras
    >>> keras.ops.cdist([[0.0, 0.0]], [[3.0, 4.0], [0.0, 1.0]])
    tensor([[5., 1.]])
    """
    x, y = promoted(floating(x), floating(y))
    if x.ndim < 2 or y.ndim < 2 or x.shape[-1] != y.shape[-1]:
        raise ValueError(
            "`x` and `y` must be at least matrices whose rows have the same length, received shapes "
            f"{tuple(x.shape)} and {tuple(y.shape)}."
        )
    dtype = torch.promote_types(x.dtype, torch.float32)  # torch has none of half precision
    exact = "donot_use_mm_for_euclid_dist"
    return torch.cdist(x.to(dtype), y.to(dtype), compute_mode=exact).to(x.dtype)


# -- segments --------------------------------------------------------------------------------------


def _segments(
    data: torch.Tensor, ids: torch.Tensor, count: int | None, reduction: str, first: float
) -> torch.Tensor:
    """Rows of `data` with one id reduced to one row; ids outside [0, count) are left out."""
    if ids.ndim != 1 or not data.ndim or ids.shape[0] != data.shape[0]:
        raise ValueError(
            "`segment_ids` must have one axis, as long as the first of `data`; received shapes "
            f"{tuple(ids.shape)} and {tuple(data.shape)}."
        )
    if count is None:
        count = int(ids.max()) + 1 if len(ids) else 0
    ids = torch.where((ids >= 0) & (ids < count), ids, count).long()
    index = ids.reshape(-1, *[1] * (data.ndim - 1)).expand_as(data)
    result = data.new_full((count + 1, *data.shape[1:]), first)
    return result.scatter_reduce(0, index, data, reduction)[:count]


def _extreme(dtype: torch.dtype, sign: int) -> float:
    """What every number of a dtype is above (sign -1) or below (1)."""
    if dtype is torch.bool:
        return sign > 0
    if dtype.is_floating_point:
        return sign * float("inf")
    info = torch.iinfo(dtype)
    return info.max if sign > 0 else info.min


@op
def segment_sum(
    data: Array, segment_ids: Array, num_segments: int | None = None, sorted: bool = False
) -> torch.Tensor:
    """Sums of the rows of `data` that have the same id, one for each id below `num_segments`, or up to
    the largest one: that is read from the data.

    >>> import kerastorch as keras
    >>> keras.ops.segment_sum([1, 2, 10, 20], [0, 0, 1, 1], num_segments=3)
    tensor([ 3, 30,  0], dtype=torch.int32)
    """
    return _segments(data, segment_ids, num_segments, "sum", 0)


@op
def segment_prod(
    data: Array, segment_ids: Array, num_segments: int | None = None, sorted: bool = False
) -> torch.Tensor:
    """Products, else as `segment_sum`.

    >>> import kerastorch as keras
    >>> keras.ops.segment_prod([1, 2, 10, 20], [0, 0, 1, 1])
    tensor([  2, 200], dtype=torch.int32)
    """
    return _segments(data, segment_ids, num_segments, "prod", 1)


@op
def segment_max(
    data: Array, segment_ids: Array, num_segments: int | None = None, sorted: bool = False
) -> torch.Tensor:
    """The largest entries, else as `segment_sum`; of no rows minus infinity or the least integer.

    >>> import kerastorch as keras
    >>> keras.ops.segment_max([1.0, 2.0, 20.0, 10.0], [0, 0, 1, 1])
    tensor([ 2., 20.])
    """
    return _segments(data, segment_ids, num_segments, "amax", _extreme(data.dtype, -1))


@op
def segment_min(
    data: Array, segment_ids: Array, num_segments: int | None = None, sorted: bool = False
) -> torch.Tensor:
    """The smallest entries, else as `segment_sum`; of no rows infinity or the largest integer.

    >>> import kerastorch as keras
    >>> keras.ops.segment_min([1.0, 2.0, 20.0, 10.0], [0, 0, 1, 1])
    tensor([ 1., 10.])
    """
    return _segments(data, segment_ids, num_segments, "amin", _extreme(data.dtype, 1))
