"""Layers that act in training only: noise, dropout, and a penalty on what passes."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F

from kerastorch import random, regularizers
from kerastorch.config import standardize_data_format
from kerastorch.layers._layer import Layer, registry
from kerastorch.random._seed import fill, stream


class _Random(Layer):
    """A layer that draws in training. Without a seed it follows `torch.manual_seed`."""

    _takes_one_tensor = True

    def __init__(self, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed
        self.supports_masking = True
        self.built = True
        self._generator = None if seed is None else random.SeedGenerator(seed)

    def _check(self, name: str, value: Any, highest: bool = True) -> None:
        if not isinstance(value, (int, float)) or not 0 <= value <= 1 or value == 1 > highest:
            raise ValueError(
                f"{type(self).__name__}: `{name}` must be in [0, 1{']' if highest else ')'}, "
                f"received {value!r}."
            )

    def _check_noise_shape(self, noise_shape: Any) -> None:
        if any(not isinstance(size, int | None) for size in noise_shape or ()):
            raise ValueError(
                f"{type(self).__name__}: `noise_shape` must hold sizes or None, "
                f"received {noise_shape!r}."
            )

    def _draw(
        self, x: torch.Tensor, method: str, *arguments: float, shape: Any = None
    ) -> torch.Tensor:
        """``torch.empty(shape).<method>(*arguments)``, with the dtype and on the device of `x`."""
        state = stream(self._generator)
        return fill(method, arguments, shape or x.shape, x.dtype, state, x.device)


class Dropout(_Random):
    """In training, sets a fraction `rate` of the inputs to 0 and scales the rest by 1 / (1 - rate).

    `noise_shape`: shape of the mask, broadcast to the inputs (None or -1 for the input's size).
    `seed`: None follows `torch.manual_seed`; an integer starts a stream of its own.

    >>> import torch, kerastorch as keras
    >>> layer = keras.layers.Dropout(0.5)
    >>> layer(torch.ones(4)), layer.train()(torch.ones(1000)).unique().tolist()
    (tensor([1., 1., 1., 1.]), [0.0, 2.0])
    """

    def __init__(
        self, rate: float, noise_shape: Any = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(seed, **kwargs)
        self._check("rate", rate)
        self._check_noise_shape(noise_shape)
        self.rate = rate
        self.noise_shape = None if noise_shape is None else tuple(noise_shape)

    def call(self, inputs: torch.Tensor, training: bool = False) -> torch.Tensor:
        """The inputs, thinned out in training."""
        if not training or self.rate == 0:
            return inputs
        if self._generator is None and self.noise_shape is None:
            return F.dropout(inputs, self.rate, True)
        return random.dropout(inputs, self.rate, self.noise_shape, seed=self._generator)


class _SpatialDropout(Dropout):
    """Dropout of whole channels. Source: Tompson et al. 2014."""

    rank: int

    def __init__(
        self,
        rate: float,
        data_format: str | None = "channels_last",
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        self.data_format = standardize_data_format(data_format)
        ones = (1,) * self.rank
        last = self.data_format == "channels_last"
        super().__init__(rate, (None, *ones, None) if last else (None, None, *ones), seed, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """The arguments that rebuild this layer."""
        config = super().get_config()
        if config["trainable"]:  # Keras's layer does not take it
            del config["trainable"]
        return config

    def _expectation(self) -> str:
        return f"expected {self.rank + 2} axes."


class SpatialDropout1D(_SpatialDropout):
    """In training, sets a fraction `rate` of the channels to 0: (B, steps, C), same shape out.

    >>> import torch, kerastorch as keras
    >>> y = keras.layers.SpatialDropout1D(0.5)(torch.ones(2, 8, 3), training=True)
    >>> torch.equal(y, y[:, :1].expand_as(y))
    True
    """

    rank = 1

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(rate, "channels_last", seed, **kwargs)


class SpatialDropout2D(_SpatialDropout):
    """In training, sets a fraction `rate` of the channels to 0: (B, H, W, C), same shape out.

    >>> import torch, kerastorch as keras
    >>> y = keras.layers.SpatialDropout2D(0.5)(torch.ones(2, 8, 8, 3), training=True)
    >>> torch.equal(y, y[:, :1, :1].expand_as(y))
    True
    """

    rank = 2
    _live_config = (*Layer._live_config, "data_format")

    def __init__(
        self, rate: float, data_format: str | None = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(rate, data_format, seed, **kwargs)


class SpatialDropout3D(SpatialDropout2D):
    """In training, sets a fraction `rate` of the channels to 0: (B, D, H, W, C), same shape out.

    >>> import torch, kerastorch as keras
    >>> y = keras.layers.SpatialDropout3D(0.5)(torch.ones(2, 4, 4, 4, 3), training=True)
    >>> torch.equal(y, y[:, :1, :1, :1].expand_as(y))
    True
    """

    rank = 3


class GaussianNoise(_Random):
    """In training, adds normal noise of standard deviation `stddev`.

    >>> import torch, kerastorch as keras
    >>> layer = keras.layers.GaussianNoise(0.1)
    >>> layer(torch.ones(3)), layer(torch.ones(3), training=True).shape
    (tensor([1., 1., 1.]), torch.Size([3]))
    """

    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self._check("stddev", stddev)
        self.stddev = stddev

    def call(self, inputs: torch.Tensor, training: bool = False) -> torch.Tensor:
        """Same shape as the inputs."""
        if not training or self.stddev == 0:
            return inputs
        return inputs + self._draw(inputs, "normal_", 0.0, self.stddev)


class GaussianDropout(_Random):
    """In training, multiplies by normal noise of mean 1 and variance ``rate / (1 - rate)``.

    Mean and variance are those of `Dropout`. Source: Srivastava et al. 2014.

    >>> import torch, kerastorch as keras
    >>> keras.layers.GaussianDropout(0.5)(torch.ones(3))
    tensor([1., 1., 1.])
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self._check("rate", rate, highest=False)
        self.rate = rate

    def call(self, inputs: torch.Tensor, training: bool = False) -> torch.Tensor:
        """Same shape as the inputs."""
        if not training or self.rate == 0:
            return inputs
        return inputs * self._draw(inputs, "normal_", 1.0, math.sqrt(self.rate / (1 - self.rate)))


class AlphaDropout(_Random):
    """Dropout that keeps mean 0 and variance 1, for networks of `selu` units.

    In training a fraction `rate` of the inputs is set to the limit of selu at minus infinity, then
    all are scaled and shifted. `noise_shape` as in `Dropout`. Source: Klambauer et al. 2017.

    >>> import torch, kerastorch as keras
    >>> keras.layers.AlphaDropout(0.5)(torch.ones(3))
    tensor([1., 1., 1.])
    """

    def __init__(
        self, rate: float, noise_shape: Any = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(seed, **kwargs)
        self._check("rate", rate, highest=False)
        self._check_noise_shape(noise_shape)
        self.rate = rate
        self.noise_shape = None if noise_shape is None else tuple(noise_shape)

    def call(self, inputs: torch.Tensor, training: bool = False) -> torch.Tensor:
        """Same shape as the inputs."""
        if not training or self.rate == 0:
            return inputs
        sizes = zip(self.noise_shape or inputs.shape, inputs.shape, strict=True)
        shape = [full if size in (None, -1) else size for size, full in sizes]
        kept = self._draw(inputs, "bernoulli_", 1 - self.rate, shape=shape)
        lowest = -1.6732632423543772 * 1.0507009873554805  # of selu
        scale: float = ((1 - self.rate) * (1 + self.rate * lowest**2)) ** -0.5
        x = inputs * kept + lowest * (1 - kept)
        return x * scale - scale * lowest * self.rate


class ActivityRegularization(Layer):
    """Passes its input on and adds ``l1 * sum(|x|) + l2 * sum(x ** 2)``, by the batch size, to the loss.

    >>> import torch, kerastorch as keras
    >>> layer = keras.layers.ActivityRegularization(l2=0.5)
    >>> layer(torch.tensor([[2.0], [4.0]])).shape, layer.losses
    (torch.Size([2, 1]), [tensor(5.)])
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Any) -> None:
        super().__init__(activity_regularizer=regularizers.L1L2(l1, l2), **kwargs)
        self.l1 = l1
        self.l2 = l2
        self.supports_masking = True
        self.built = True

    def call(self, inputs: Any) -> Any:
        """The inputs."""
        return inputs


registry.add(Dropout, SpatialDropout1D, SpatialDropout2D, SpatialDropout3D)
registry.add(GaussianNoise, GaussianDropout, AlphaDropout, ActivityRegularization)
