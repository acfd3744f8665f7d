"""Normalization layers."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from kerastorch import constraints, initializers, regularizers
from kerastorch.layers._layer import Layer, registry


class BatchNormalization(Layer):
    """``gamma * (x - mean) / sqrt(var + epsilon) + beta`` for each index of `axis`.

    In training, mean and (biased) variance are the batch's, and the moving statistics follow:
    ``moving = momentum * moving + (1 - momentum) * batch``. Otherwise, and when the layer is
    frozen, the moving statistics are used. Source: Ioffe and Szegedy 2015.

    >>> import torch, kerastorch as keras
    >>> layer = keras.layers.BatchNormalization()
    >>> layer(torch.ones(2, 3)).shape, [w.name for w in layer.weights]
    (torch.Size([2, 3]), ['gamma', 'beta', 'moving_mean', 'moving_variance'])
    """

    _takes_one_tensor = True
    _takes_integers = False

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
        super().__init__(**kwargs)
        if not isinstance(axis, int):
            raise TypeError(f"BatchNormalization: `axis` must be an integer, received {axis!r}.")
        if synchronized:
            raise NotImplementedError(
                "BatchNormalization: synchronized=True is not supported yet; "
                "use torch.nn.SyncBatchNorm.convert_sync_batchnorm on stock layers."
            )
        self.axis = axis
        self.momentum = momentum
        self.epsilon = epsilon
        self.center = center
        self.scale = scale
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self.beta_constraint = constraints.get(beta_constraint)
        self.gamma_constraint = constraints.get(gamma_constraint)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        """Make gamma, beta and the moving statistics."""
        if not -len(input_shape) <= self.axis < len(input_shape) or input_shape[self.axis] is None:
            raise ValueError(
                f"{self._title()}: axis {self.axis} of the input must exist and have a known size, "
                f"received shape {input_shape}."
            )
        shape = (input_shape[self.axis],)
        self.gamma = self.beta = None
        if self.scale:
            self.gamma = self.add_weight(
                shape,
                self.gamma_initializer,
                regularizer=self.gamma_regularizer,
                constraint=self.gamma_constraint,
                name="gamma",
            )
        if self.center:
            self.beta = self.add_weight(
                shape,
                self.beta_initializer,
                regularizer=self.beta_regularizer,
                constraint=self.beta_constraint,
                name="beta",
            )
        self.moving_mean = self.add_weight(
            shape, self.moving_mean_initializer, trainable=False, name="moving_mean"
        )
        self.moving_variance = self.add_weight(
            shape, self.moving_variance_initializer, trainable=False, name="moving_variance"
        )

    def call(self, inputs: torch.Tensor, training: bool = False, mask: Any = None) -> torch.Tensor:
        """Same shape as the inputs."""
        x = inputs.movedim(self.axis, 1)
        if not (training and self._learns()):
            y = F.batch_norm(
                x,
                self.moving_mean,
                self.moving_variance,
                self.gamma,
                self.beta,
                False,
                0.0,
                self.epsilon,
            )
            return y.movedim(1, self.axis)
        if mask is not None:
            return self._masked(inputs, mask)
        # The moving variance follows the biased variance, as in Keras; torch's own would be unbiased.
        y, mean, invstd = torch.native_batch_norm(
            x, self.gamma, self.beta, None, None, True, 0.0, self.epsilon
        )
        self._follow(mean, invstd.pow(-2).sub_(self.epsilon))
        return y.movedim(1, self.axis)

    def _masked(self, inputs: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Statistics over the entries that are not masked."""
        axis = self.axis % inputs.dim()
        over = [d for d in range(inputs.dim()) if d != axis]
        weight = mask.to(inputs.dtype).reshape(*mask.shape, *(1,) * (inputs.dim() - mask.dim()))
        count = weight.expand(inputs.shape).sum(over, keepdim=True).clamp_min(1e-7)
        mean = (inputs * weight).sum(over, keepdim=True) / count
        variance = ((inputs - mean).square() * weight).sum(over, keepdim=True) / count
        self._follow(mean.flatten(), variance.flatten())
        shape = [1] * inputs.dim()
        shape[axis] = -1
        y = (inputs - mean) * torch.rsqrt(variance + self.epsilon)
        if self.gamma is not None:
            y = y * self.gamma.view(shape)
        return y if self.beta is None else y + self.beta.view(shape)

    def _follow(self, mean: torch.Tensor, variance: torch.Tensor) -> None:
        with torch.no_grad():
            for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
                moving.lerp_(batch.to(moving.dtype), 1 - self.momentum)

    def _learns(self) -> bool:
        """Whether the layer is not frozen."""
        own = [p for p in (self.gamma, self.beta) if p is not None]
        return any(p.requires_grad for p in own) if own else self._trainable

    def _expectation(self) -> str:
        size = self.moving_mean.shape[0] if self.built else None
        return f"axis {self.axis} was built for {size} channels." if size is not None else ""


registry.add(BatchNormalization)
