"""Activation functions with arguments, as layers."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from kerastorch import activations
from kerastorch.layers._base import Optioned
from kerastorch.layers._layer import Layer, registry


def masked_softmax(x: torch.Tensor, mask: torch.Tensor | None, axis: Any = -1) -> torch.Tensor:
    """Softmax over the entries where `mask` is True; 0 elsewhere, also where there is no True."""
    if mask is None:
        return activations.softmax(x, axis)
    lowest = torch.finfo(x.dtype).min / 2
    return activations.softmax(x.where(mask, lowest), axis).where(mask, 0.0)


class _Elementwise(Layer):
    _takes_one_tensor = True

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self.built = True


class ReLU(_Elementwise):
    """``x`` above `threshold`, at most `max_value`; ``negative_slope * (x - threshold)`` below.

    >>> import torch, kerastorch as keras
    >>> keras.layers.ReLU(max_value=6.0)(torch.tensor([-1.0, 3.0, 9.0]))
    tensor([0., 3., 6.])
    """

    _takes_integers = False

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        limits = {"max_value": max_value, "negative_slope": negative_slope, "threshold": threshold}
        for name, value in limits.items():
            if (value is None and name != "max_value") or (value is not None and value < 0):
                raise ValueError(f"ReLU: `{name}` must not be negative, received {value!r}.")
        self.max_value = max_value
        self.negative_slope = negative_slope
        self.threshold = threshold

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        """Same shape as the inputs."""
        return activations.relu(inputs, self.negative_slope, self.max_value, self.threshold)


class LeakyReLU(_Elementwise):
    """``x`` if positive, else ``negative_slope * x``.

    >>> import torch, kerastorch as keras
    >>> keras.layers.LeakyReLU()(torch.tensor([-1.0, 2.0]))
    tensor([-0.3000,  2.0000])
    """

    _takes_integers = False

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any) -> None:
        negative_slope = kwargs.pop("alpha", negative_slope)  # its name in TF 2
        super().__init__(**kwargs)
        if negative_slope is None or negative_slope < 0:
            raise ValueError(
                f"LeakyReLU: `negative_slope` must not be negative, received {negative_slope!r}."
            )
        self.negative_slope = negative_slope

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        """Same shape as the inputs."""
        return F.leaky_relu(inputs, self.negative_slope)


class ELU(_Elementwise):
    """``x`` if positive, else ``alpha * (exp(x) - 1)``. Source: Clevert et al. 2016.

    >>> import torch, kerastorch as keras
    >>> keras.layers.ELU()(torch.tensor([-100.0, 2.0]))
    tensor([-1.,  2.])
    """

    _takes_integers = False

    def __init__(self, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alpha = alpha

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        """Same shape as the inputs."""
        return F.elu(inputs, self.alpha)


class PReLU(Optioned):
    """``x`` if positive, else ``alpha * x`` with a learned alpha. Source: He et al. 2015.

    alpha: the input's shape without the batch axis, with 1 for the axes in `shared_axes` (from 1).

    >>> import torch, kerastorch as keras
    >>> layer = keras.layers.PReLU(alpha_initializer="ones", shared_axes=[1, 2])
    >>> layer(torch.full((1, 8, 8, 3), -2.0)).mean().item(), tuple(layer.alpha.shape)
    (-2.0, (1, 1, 3))
    """

    _takes_one_tensor = True
    _takes_integers = False

    def __init__(
        self,
        alpha_initializer: Any = "Zeros",
        alpha_regularizer: Any = None,
        alpha_constraint: Any = None,
        shared_axes: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._keep_options(alpha=(alpha_initializer, alpha_regularizer, alpha_constraint))
        self.shared_axes = [shared_axes] if isinstance(shared_axes, int) else shared_axes
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        """Make alpha."""
        shared = self.shared_axes or ()
        sizes = enumerate(input_shape)
        self.alpha = self._make(
            "alpha", tuple(1 if at in shared else size for at, size in sizes if at)
        )

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        """Same shape as the inputs."""
        return torch.where(inputs > 0, inputs, self.alpha.to(inputs.dtype) * inputs)

    def _expectation(self) -> str:
        return f"alpha has shape {tuple(self.alpha.shape)}." if self.built else ""


class Softmax(_Elementwise):
    """``exp(x) / sum(exp(x))`` over `axis`, an axis or several; entries with mask False give 0.

    >>> import torch, kerastorch as keras
    >>> keras.layers.Softmax()(torch.zeros(2), mask=torch.tensor([True, False]))
    tensor([1., 0.])
    """

    _takes_integers = False

    def __init__(self, axis: Any = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Same shape as the inputs, to which `mask` broadcasts."""
        if mask is not None and mask.dtype is not torch.bool:
            mask = mask > 0.5
        return masked_softmax(inputs, mask, self.axis)


registry.add(ReLU, LeakyReLU, ELU, PReLU, Softmax)
