"""Normalization layers."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from kerastorch import initializers
from kerastorch._variable import Variable
from kerastorch.layers._base import Optioned, positive
from kerastorch.layers._batch_norm import is_opaque, normalized
from kerastorch.layers._layer import Layer, registry
from kerastorch.layers._wrappers import Wrapper


class _Scaled(Optioned):
    """A normalization followed by ``gamma * x + beta``, each of which may be left out."""

    _takes_one_tensor = True
    _takes_integers = False
    gamma: Variable | None
    beta: Variable | None

    def __init__(
        self,
        axis: Any = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.axis = axis
        self.epsilon = epsilon
        self.center = center
        self.scale = scale
        self._keep_options(
            gamma=(gamma_initializer, gamma_regularizer, gamma_constraint),
            beta=(beta_initializer, beta_regularizer, beta_constraint),
        )
        self.supports_masking = True

    def _make_scale(self, shape: tuple[int, ...]) -> None:
        self.gamma = self._make("gamma", shape) if self.scale else None
        self.beta = self._make("beta", shape) if self.center else None

    def _scaled(self, x: torch.Tensor, shape: list[int]) -> torch.Tensor:
        """`x` after gamma and beta, which are viewed in `shape`."""
        x = x if self.gamma is None else x * self.gamma.view(shape)
        return x if self.beta is None else x + self.beta.view(shape)


def sizes_of(layer: Layer, input_shape: Any, axis: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """`axis`, one or several, as sorted axes of the input and their sizes, which must be known."""
    rank = len(input_shape)
    axes = [axis] if isinstance(axis, int) else list(axis)
    right = all(-rank <= a < rank and input_shape[a] is not None for a in axes)
    if not right or len({a % rank for a in axes}) != len(axes):
        raise ValueError(
            f"{layer._title()}: axis {axis} of the input must exist and have a known size, "
            f"received shape {tuple(input_shape)}."
        )
    axes = sorted(a % rank for a in axes)
    return tuple(axes), tuple(input_shape[a] for a in axes)


class BatchNormalization(_Scaled):
    """``gamma * (x - mean) / sqrt(var + epsilon) + beta`` for each index of `axis`.

    In training, mean and (biased) variance are the batch's, and the moving statistics follow:
    ``moving = momentum * moving + (1 - momentum) * batch``. Otherwise, and when the layer is
    frozen, the moving statistics are used. Source: Ioffe and Szegedy 2015.

    >>> import torch, kerastorch as keras
    >>> layer = keras.layers.BatchNormalization()
    >>> layer(torch.ones(2, 3)).shape, [w.name for w in layer.weights]
    (torch.Size([2, 3]), ['gamma', 'beta', 'moving_mean', 'moving_variance'])
    """

    moving_mean: Variable
    moving_variance: Variable

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        synchronized: bool = False,
        **kwargs: Any,
    ) -> None:
        options = (beta_regularizer, gamma_regularizer, beta_constraint, gamma_constraint)
        made = (beta_initializer, gamma_initializer)
        super().__init__(axis, epsilon, center, scale, *made, *options, **kwargs)
        if not isinstance(axis, int):
            raise TypeError(f"BatchNormalization: `axis` must be an integer, received {axis!r}.")
        if synchronized:
            raise NotImplementedError(
                "BatchNormalization: synchronized=True is not supported yet; "
                "use torch.nn.SyncBatchNorm.convert_sync_batchnorm on stock layers."
            )
        self.momentum = momentum
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)

    def build(self, input_shape: Any) -> None:
        """Make gamma, beta and the moving statistics."""
        (axis,), shape = sizes_of(self, input_shape, self.axis)
        self._at = 1 if len(input_shape) == 1 else axis
        self._make_scale(shape)
        for name in ("moving_mean", "moving_variance"):
            initializer = getattr(self, f"{name}_initializer")
            weight = self.add_weight(shape, initializer, trainable=False, name=name)
            setattr(self, name, weight)

    def call(self, inputs: torch.Tensor, training: bool = False, mask: Any = None) -> torch.Tensor:
        """Same shape as the inputs."""
        training = training and self._learns()
        if training and mask is not None:
            return self._masked(inputs, mask)
        axis = self._at
        x = inputs if axis == 1 else inputs.movedim(axis, 1)
        mean, variance, gamma, beta = self.moving_mean, self.moving_variance, self.gamma, self.beta
        if not training:
            y = F.batch_norm(x, mean, variance, gamma, beta, False, 0.0, self.epsilon)
        else:
            # The moving variance follows the biased variance, torch's follows the unbiased one, which
            # is n / (n - 1) times as large: so torch is given a variance that is larger by as much.
            n = x.numel() // x.shape[1]
            if n < 2:
                return self._masked(inputs, None)
            if is_opaque(x):
                y, *statistics = normalized(x, gamma, beta, self.epsilon)
                with torch.no_grad():
                    for moving, batch in zip((mean, variance), statistics, strict=True):
                        moving.lerp_(batch.detach(), 1 - self.momentum)
                return y if axis == 1 else y.movedim(1, axis)
            larger = variance * (n / (n - 1))
            y = F.batch_norm(x, mean, larger, gamma, beta, True, 1 - self.momentum, self.epsilon)
            with torch.no_grad():
                variance.copy_(larger * ((n - 1) / n))
        return y if axis == 1 else y.movedim(1, axis)

    def _masked(self, inputs: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """Statistics over the entries that are not masked."""
        over = [d for d in range(inputs.dim()) if d != self._at]
        if mask is None:
            weight = torch.ones_like(inputs)
        else:
            weight = mask.to(inputs.dtype).reshape(*mask.shape, *(1,) * (inputs.dim() - mask.dim()))
        count = weight.expand(inputs.shape).sum(over, keepdim=True).clamp_min(1e-7)
        mean = (inputs * weight).sum(over, keepdim=True) / count
        variance = ((inputs - mean).square() * weight).sum(over, keepdim=True) / count
        with torch.no_grad():
            for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
                moving.lerp_(batch.flatten().to(moving.dtype), 1 - self.momentum)
        shape = [1] * inputs.dim()
        shape[self._at] = -1
        return self._scaled((inputs - mean) * torch.rsqrt(variance + self.epsilon), shape)

    def _learns(self) -> bool:
        """Whether the layer is not frozen."""
        gamma, beta = self.gamma, self.beta
        if gamma is None and beta is None:
            return self._trainable
        return (gamma is not None and gamma.requires_grad) or (
            beta is not None and beta.requires_grad
        )

    def _expectation(self) -> str:
        size = self.moving_mean.shape[0] if self.built else None
        return f"axis {self.axis} was built for {size} channels." if size is not None else ""


class LayerNormalization(_Scaled):
    """``gamma * (x - mean) / sqrt(var + epsilon) + beta``, with each sample's mean and variance over `axis`.

    gamma and beta: the sizes of `axis`, one or several. Source: Ba et al. 2016.

    >>> import torch, kerastorch as keras
    >>> keras.layers.LayerNormalization(epsilon=0.0)(torch.tensor([[1.0, 3.0]])).tolist()
    [[-1.0, 1.0]]
    """

    def build(self, input_shape: Any) -> None:
        """Make gamma and beta."""
        self._axes, self._shape = sizes_of(self, input_shape, self.axis)
        self._last = self._axes == tuple(
            range(len(input_shape) - len(self._axes), len(input_shape))
        )
        self._make_scale(self._shape)

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        """Same shape as the inputs."""
        if self._last:
            y = F.layer_norm(inputs, self._shape, self.gamma, self.beta, self.epsilon)
        else:
            shape = [n if d in self._axes else 1 for d, n in enumerate(inputs.shape)]
            variance, mean = torch.var_mean(inputs, self._axes, correction=0, keepdim=True)
            y = self._scaled((inputs - mean) * torch.rsqrt(variance + self.epsilon), shape)
        return y.to(inputs.dtype)

    def _expectation(self) -> str:
        return f"axis {self.axis} was built for size {self._shape}." if self.built else ""


class GroupNormalization(_Scaled):
    """Normalizes each sample over all positions and the channels of a group, then ``gamma * x + beta``.

    The channels are on `axis`, in `groups` groups of neighbours; -1 makes each a group of its own
    (instance normalization), 1 makes one of all. gamma, beta: (channels,). Source: Wu and He 2018.

    >>> import torch, kerastorch as keras
    >>> keras.layers.GroupNormalization(groups=2)(torch.zeros(2, 8, 8, 6)).shape
    torch.Size([2, 8, 8, 6])
    """

    def __init__(
        self, groups: int = 32, axis: int = -1, epsilon: float = 1e-3, **kwargs: Any
    ) -> None:
        super().__init__(axis, epsilon, **kwargs)
        if groups != -1:
            positive("GroupNormalization", groups=groups)
        self.groups = groups

    def build(self, input_shape: Any) -> None:
        """Make gamma and beta."""
        (self._at,), shape = sizes_of(self, input_shape, self.axis)
        self._parts = shape[0] if self.groups == -1 else self.groups
        if shape[0] % self._parts:
            raise ValueError(
                f"{self._title()}: `groups` ({self.groups}) must divide the {shape[0]} channels of "
                f"axis {self.axis} of the input of shape {tuple(input_shape)}."
            )
        self._make_scale(shape)

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        """Same shape as the inputs."""
        x = inputs.movedim(self._at, 1)
        y = F.group_norm(x, self._parts, self.gamma, self.beta, self.epsilon)
        return y.movedim(1, self._at).to(inputs.dtype)

    def _expectation(self) -> str:
        return f"axis {self.axis} must have a multiple of {self.groups} channels."


class RMSNormalization(Layer):
    """``scale * x / sqrt(mean(x ** 2) + epsilon)``, with each sample's mean over `axis`.

    scale: the sizes of `axis`, one or several. Source: Zhang and Sennrich 2019.

    >>> import torch, kerastorch as keras
    >>> keras.layers.RMSNormalization(epsilon=0.0)(torch.tensor([[3.0, 3.0]])).tolist()
    [[1.0, 1.0]]
    """

    _takes_one_tensor = True
    _takes_integers = False

    def __init__(self, axis: Any = -1, epsilon: float = 1e-6, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis
        self.epsilon = epsilon

    def build(self, input_shape: Any) -> None:
        """Make the scale."""
        self._axes, self._shape = sizes_of(self, input_shape, self.axis)
        self._last = self._axes == tuple(
            range(len(input_shape) - len(self._axes), len(input_shape))
        )
        self.scale = self.add_weight(self._shape, "ones", name="scale")

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        """Same shape as the inputs."""
        if self._last:
            scale = self.scale.to(inputs.dtype)
            return F.rms_norm(inputs, self._shape, scale, self.epsilon).to(inputs.dtype)
        shape = [n if d in self._axes else 1 for d, n in enumerate(inputs.shape)]
        mean = inputs.square().mean(self._axes, keepdim=True)
        return (inputs * torch.rsqrt(mean + self.epsilon) * self.scale.view(shape)).to(inputs.dtype)

    def _expectation(self) -> str:
        return f"axis {self.axis} was built for size {self._shape}." if self.built else ""


class UnitNormalization(Layer):
    """``x / norm(x)``: each sample has length 1 over `axis`, one or several.

    >>> import torch, kerastorch as keras
    >>> keras.layers.UnitNormalization()(torch.tensor([[3.0, 4.0]]))
    tensor([[0.6000, 0.8000]])
    """

    _takes_one_tensor = True
    _takes_integers = False

    def __init__(self, axis: Any = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis
        self.supports_masking = True
        self.built = True

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        """Same shape as the inputs."""
        axes = self.axis if isinstance(self.axis, int) else tuple(self.axis)
        squares = inputs.square().sum(axes, keepdim=True)
        return inputs * torch.rsqrt(squares.clamp_min(1e-24))


class SpectralNormalization(Wrapper):
    """A layer whose kernel is divided by its largest singular value in each training step.

    The value is estimated by `power_iterations` steps of power iteration from ``vector_u``
    (1, filters), and the kernel (or ``embeddings``) itself is changed, before `layer` is called.
    Source: Miyato et al. 2018.

    >>> import torch, kerastorch as keras
    >>> layer = keras.layers.SpectralNormalization(keras.layers.Dense(2), power_iterations=20)
    >>> y = layer(torch.ones(1, 3), training=True)
    >>> round(torch.linalg.matrix_norm(layer.layer.kernel, 2).item(), 3)
    1.0
    """

    def __init__(self, layer: Any, power_iterations: int = 1, **kwargs: Any) -> None:
        super().__init__(layer, **kwargs)
        positive("SpectralNormalization", power_iterations=power_iterations)
        self.power_iterations = power_iterations

    def build(self, input_shape: Any = None) -> None:
        """Build the layer and make ``vector_u``."""
        super().build(input_shape)
        kernel = self._kernel()
        self.vector_u = self.add_weight(
            (1, kernel.shape[-1]),
            initializers.TruncatedNormal(stddev=0.02),
            kernel.dtype,
            trainable=False,
            name="vector_u",
        )

    def _kernel(self) -> torch.Tensor:
        for name in ("kernel", "embeddings"):
            kernel = getattr(self.layer, name, None)
            if isinstance(kernel, torch.Tensor):
                return kernel
        raise ValueError(
            f"{self._title()}: {type(self.layer).__name__} has no `kernel` and no `embeddings`."
        )

    def call(self, inputs: torch.Tensor, training: bool = False) -> torch.Tensor:
        """What the layer gives."""
        if training:
            self._normalize()
        x: torch.Tensor = self.layer(inputs)
        return x.to(inputs.dtype) if inputs.is_floating_point() else x

    @torch.no_grad()
    def _normalize(self) -> None:
        kernel = self._kernel()
        u: torch.Tensor = self.vector_u
        matrix = kernel.reshape(-1, kernel.shape[-1])
        for _ in range(self.power_iterations):
            v = F.normalize(u @ matrix.T)
            u = F.normalize(v @ matrix)
        largest = v @ matrix @ u.T
        nothing = largest == 0  # the kernel is 0, and stays so
        kernel.div_(largest.where(~nothing, 1).view(()))
        self.vector_u.copy_(u.where(~nothing, self.vector_u))


registry.add(BatchNormalization, LayerNormalization, GroupNormalization)
registry.add(RMSNormalization, UnitNormalization, SpectralNormalization)
