"""`Normalization` and `Rescaling`: numbers to another range."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from kerastorch.config import epsilon, image_data_format
from kerastorch.layers._layer import registry
from kerastorch.layers._preprocessing._base import Tabular, batches


class Normalization(Tabular):
    """``(x - mean) / sqrt(variance)``, with one mean and variance for each entry of `axis`.

    Args:
        axis: the axes that keep values of their own, an integer or several; None takes one mean and
            variance for everything.
        mean, variance: given together, they spare `adapt`. They fit the shape of the kept axes.
        invert: ``x * sqrt(variance) + mean`` instead.

    `adapt` finds mean and variance in data; until then they are 0 and 1.

    >>> import numpy as np, kerastorch as keras
    >>> layer = keras.layers.Normalization()
    >>> layer.adapt(np.array([[0.0, 7.0], [2.0, 9.0]]))
    >>> layer([[0.0, 8.0]])
    tensor([[-1.,  0.]])
    """

    _takes_integers = False
    adapt_mean: torch.Tensor
    adapt_variance: torch.Tensor

    def __init__(
        self,
        axis: Any = -1,
        mean: Any = None,
        variance: Any = None,
        invert: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if (mean is None) != (variance is None):
            raise ValueError(
                "Normalization: `mean` and `variance` are given together, "
                f"received mean={mean!r} and variance={variance!r}."
            )
        self.axis = () if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
        self.input_mean, self.input_variance = _listed(mean), _listed(variance)
        shapes = np.shape(self.input_mean), np.shape(self.input_variance)
        if shapes[0] != shapes[1] or len(shapes[0]) > len(self.axis):
            raise ValueError(
                "Normalization: `mean` and `variance` must have one shape, of at most "
                f"{len(self.axis)} axes for `axis` {self.axis}, received {shapes[0]} and {shapes[1]}."
            )
        self.invert = invert
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        """Find the kept axes, and make the weights unless mean and variance are given."""
        rank = len(input_shape)
        if any(not -rank <= a < rank for a in self.axis):
            raise ValueError(
                f"{self._title()}: `axis` {self.axis} must lie in [-{rank}, {rank}) for input of shape "
                f"{tuple(input_shape)}."
            )
        self._kept = tuple(sorted(a % rank for a in self.axis))
        sizes = [input_shape[a] for a in self._kept]
        if None in sizes:
            raise ValueError(
                f"{self._title()}: the axes {self._kept} that keep a mean of their own must have known "
                f"sizes, received {tuple(input_shape)}."
            )
        self._reduced = tuple(a for a in range(rank) if a not in self._kept)
        self._shape = tuple(n if a in self._kept else 1 for a, n in enumerate(input_shape))
        if self.input_mean is None:
            self.adapt_mean = self._statistic("mean", sizes, "zeros")
            self.adapt_variance = self._statistic("variance", sizes, "ones")
            self.count = self._statistic("count", (), "zeros", "int32")  # Keras's files have it
            return
        given = np.shape(self.input_mean)
        last = dict(zip(self._kept[::-1], given[::-1], strict=False))
        self._shape = tuple(last.get(axis, 1) for axis in range(rank))
        if any(n not in (1, input_shape[axis]) for axis, n in last.items()):
            raise ValueError(
                f"{self._title()}: `mean` of shape {given} does not fit the axes {self._kept} of input "
                f"of shape {tuple(input_shape)}."
            )
        for name, value in (
            ("adapt_mean", self.input_mean),
            ("adapt_variance", self.input_variance),
        ):
            self.register_buffer(name, torch.tensor(value, dtype=self._compute), persistent=False)

    def _statistic(self, name: str, shape: Any, initializer: str, dtype: Any = None) -> Any:
        return self.add_weight(shape, initializer, dtype=dtype, trainable=False, name=name)

    @property
    def mean(self) -> torch.Tensor | None:
        """The mean, as it is subtracted from the input; None before `build`."""
        return self.adapt_mean.reshape(self._shape) if self.built else None

    @property
    def variance(self) -> torch.Tensor | None:
        """The variance, shaped as `mean`."""
        return self.adapt_variance.reshape(self._shape) if self.built else None

    def adapt(self, data: Any) -> None:
        """Take mean and variance from data: an array, or batches of arrays in anything that iterates.

        What was adapted before is replaced.
        """
        if self.input_mean is not None:
            raise ValueError(
                f"{self._title()}.adapt: `mean` and `variance` were given to the layer."
            )
        seen, mean, spread = 0, torch.zeros(()), torch.zeros(())
        for batch in batches(data):
            x = batch if isinstance(batch, torch.Tensor) else torch.as_tensor(np.asarray(batch))
            x = x.detach() if x.is_floating_point() else x.to(torch.float32)
            x = x.float() if x.dtype.itemsize < 4 else x
            if x.numel() == 0:
                continue
            if not self.built:
                self.build(tuple(x.shape))
            self._check_kept(x)
            none = torch.zeros_like(x), x  # no axis to take a mean over
            parts = torch.var_mean(x, self._reduced, correction=0) if self._reduced else none
            variance, average = (part.cpu().double() for part in parts)
            rows = math.prod(x.shape[axis] for axis in self._reduced)
            step = average - mean
            mean = mean + step * rows / (seen + rows)
            spread = spread + variance * rows + step**2 * seen * rows / (seen + rows)
            seen += rows
        if not seen:
            raise ValueError(f"{self._title()}.adapt: there are no data.")
        with torch.no_grad():
            self.adapt_mean.copy_(mean)
            self.adapt_variance.copy_(spread / seen)

    def _check_kept(self, x: torch.Tensor) -> None:
        rank = len(self._shape)
        if x.dim() != rank or any(x.shape[axis] != self._shape[axis] for axis in self._kept):
            expected = tuple(n if a in self._kept else None for a, n in enumerate(self._shape))
            raise ValueError(
                f"{self._title()}.adapt: expected data of shape {expected}, received {tuple(x.shape)}."
            )

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        """(...) -> (...)."""
        mean = self.adapt_mean.reshape(self._shape).to(inputs.dtype)
        variance = self.adapt_variance.reshape(self._shape).to(inputs.dtype)
        scale = variance.sqrt().clamp(min=epsilon())
        return inputs * scale + mean if self.invert else (inputs - mean) / scale

    def get_config(self) -> dict[str, Any]:
        """The arguments; arrays as lists."""
        given = {"mean": self.input_mean, "variance": self.input_variance}
        return {**super().get_config(), **given}


def _listed(value: Any) -> Any:
    return None if value is None else np.asarray(value).tolist()


class Rescaling(Tabular):
    """``x * scale + offset``: pixels from [0, 255] to [0, 1] by ``scale=1 / 255``.

    `scale` and `offset` are numbers, or arrays that broadcast against the input.

    >>> import kerastorch as keras
    >>> keras.layers.Rescaling(1 / 127.5, offset=-1)([0, 255])
    tensor([-1.,  1.])
    """

    _takes_integers = False
    _scale: torch.Tensor
    _offset: torch.Tensor

    def __init__(self, scale: Any, offset: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale, self.offset = scale, offset
        self.supports_masking = True
        self.register_buffer("_scale", self._number(scale), persistent=False)
        self.register_buffer("_offset", self._number(offset), persistent=False)
        self.built = True

    def _number(self, value: Any) -> torch.Tensor:
        return torch.as_tensor(np.asarray(value)).to(self._compute)

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        """(...) -> (...)."""
        scale = self._scale
        if scale.dim() and image_data_format() == "channels_first":
            scale = scale.reshape(*scale.shape, *(1,) * (3 - scale.dim()))
        return inputs * scale + self._offset


registry.add(Normalization, Rescaling)
