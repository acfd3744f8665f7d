"""`Discretization`: numbers as the numbers of the bins that they fall into."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from kerastorch.layers._layer import Layer, registry
from kerastorch.layers._preprocessing._base import Tabular, batches, encode

Array = np.ndarray[Any, Any]


class Discretization(Tabular):
    """The bin of each number: boundaries ``[0, 1]`` make the bins (-inf, 0), [0, 1) and [1, inf).

    Args:
        bin_boundaries: in increasing order.
        num_bins: instead of them: `adapt` finds boundaries between bins that are about equally full.
        epsilon: fraction of the data that may be in the wrong bin by `adapt`, which keeps ``1 /
            epsilon`` numbers of all that it has seen.
        output_mode: ``"int"``, or ``"one_hot"``, ``"multi_hot"``, ``"count"`` as in `CategoryEncoding`.

    >>> import kerastorch as keras
    >>> keras.layers.Discretization(bin_boundaries=[0.0, 1.0, 2.0])([[-1.5, 1.0], [3.4, 0.5]])
    tensor([[0, 2],
            [3, 1]], dtype=torch.int32)
    """

    _live_config = (*Layer._live_config, "bin_boundaries")
    _takes_integers = False
    _boundaries: torch.Tensor | None

    def __init__(
        self,
        bin_boundaries: Any = None,
        num_bins: int | None = None,
        epsilon: float = 0.01,
        output_mode: str = "int",
        sparse: bool = False,
        dtype: Any = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        if (num_bins is None) == (bin_boundaries is None):
            raise ValueError(
                "Discretization: give either `bin_boundaries` or `num_bins`, "
                f"received {bin_boundaries!r} and {num_bins!r}."
            )
        if num_bins is not None and num_bins < 1:
            raise ValueError(
                f"Discretization: `num_bins` must be a positive integer, received {num_bins!r}."
            )
        self._refuse_sparse(sparse)
        self.num_bins, self.epsilon = num_bins, epsilon
        self.output_mode = self._mode(output_mode, "int", "one_hot", "multi_hot", "count")
        self.register_buffer("_boundaries", None, persistent=False)
        self.bin_boundaries = bin_boundaries
        self.summary = np.empty((2, 0), "float32")
        self.built = True

    @property
    def bin_boundaries(self) -> list[float] | None:
        """The boundaries, or None before `adapt`."""
        return self._listed

    @bin_boundaries.setter
    def bin_boundaries(self, values: Any) -> None:
        listed = None if values is None else np.asarray(values).reshape(-1).tolist()
        if listed is not None and listed != sorted(listed):
            raise ValueError(
                f"Discretization: `bin_boundaries` must be in increasing order, received {values!r}."
            )
        self._listed = listed
        self._boundaries = None if listed is None else torch.tensor(listed, dtype=self._compute)

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Take the boundaries from data: an array, or batches of arrays, at most `steps` of them."""
        self.reset_state()
        for batch in batches(data, steps):
            self.update_state(batch)
        self.finalize_state()

    def reset_state(self) -> None:
        """Forget what `update_state` has seen."""
        if self.num_bins is None:
            raise ValueError(
                f"{self._title()}.adapt: the layer has `bin_boundaries`. Make it with `num_bins`."
            )
        self.summary = np.empty((2, 0), "float32")

    def update_state(self, data: Any) -> None:
        """Take a batch into account."""
        array = data.detach().cpu().numpy() if isinstance(data, torch.Tensor) else data
        part = summary_of(np.asarray(array, "float32"), self.epsilon)
        self.summary = merged(part, self.summary, self.epsilon)

    def finalize_state(self) -> None:
        """Set the boundaries from what was seen."""
        if not self.summary.size:
            raise ValueError(f"{self._title()}.adapt: there are no data.")
        assert self.num_bins is not None
        self.bin_boundaries = compressed(self.summary, 1 / self.num_bins)[0, :-1]

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        """(...) numbers -> (...) int32, or floats as `output_mode` says."""
        if self._boundaries is None:
            if not inputs.is_meta:
                raise ValueError(
                    "there are no bins yet: call adapt(data), or give `bin_boundaries`"
                )
            indices = torch.empty_like(inputs, dtype=torch.int32)
            depth = self.num_bins or 0
        else:
            bounds = self._boundaries.to(device=inputs.device, dtype=inputs.dtype)
            indices = torch.bucketize(inputs, bounds, out_int32=True, right=True)
            depth = len(bounds) + 1
        dtype = torch.int32 if self.output_mode == "int" else self._compute
        return encode(indices, self.output_mode, depth, dtype)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """A layer from what `get_config` gave: after `adapt` it has both boundaries and `num_bins`."""
        config = dict(config)
        adapted = config.get("num_bins") is not None and config.pop("bin_boundaries", None)
        layer = super().from_config(config)
        if adapted:
            layer.bin_boundaries = adapted
        return layer


# -- quantiles of a stream: numbers, and how many there are up to each ------------------------------


def summary_of(values: Array, epsilon: float) -> Array:
    """About ``1 / epsilon`` of the sorted values, evenly spaced, over how many each stands for."""
    values = np.sort(values, axis=None)
    step = max(values.size * epsilon, 1)
    kept = values[int(step - 1) :: int(step)]
    return np.stack([kept, np.full_like(kept, step)])


def merged(a: Array, b: Array, epsilon: float) -> Array:
    """One summary of what two stand for."""
    both = np.concatenate([a, b], axis=1)
    return compressed(both[:, np.argsort(both[0])], epsilon)


def compressed(summary: Array, epsilon: float) -> Array:
    """A summary by ``1 / epsilon`` values: interpolated where the share below reaches epsilon, 2 epsilon, ..."""
    if summary.shape[1] * epsilon < 1:
        return summary
    shares = epsilon + np.arange(0.0, 1.0, epsilon)
    below = summary[1].cumsum()
    values = np.interp(shares, below / below[-1], summary[0])
    counts = np.interp(shares, below / below[-1], below)
    return np.stack([values, np.diff(counts, prepend=0)]).astype("float32")


registry.add(Discretization)
