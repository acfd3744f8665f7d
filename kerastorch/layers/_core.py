"""The layers that everything is made of: Dense, Activation, Embedding, Lambda, Identity."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from kerastorch import activations
from kerastorch.layers._base import Optioned, positive
from kerastorch.layers._layer import Layer, registry


class Dense(Optioned):
    """``activation(inputs @ kernel + bias)`` over the last axis.

    kernel: (in, units), bias: (units,). Input (..., in), output (..., units).

    >>> import torch, kerastorch as keras
    >>> layer = keras.layers.Dense(2, activation="relu")
    >>> layer(torch.ones(4, 3)).shape, tuple(layer.kernel.shape)
    (torch.Size([4, 2]), (3, 2))
    """

    _takes_one_tensor = True
    _takes_integers = False

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        positive("Dense", units=units)
        self.units = units
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self._keep_options(
            kernel=(kernel_initializer, kernel_regularizer, kernel_constraint),
            bias=(bias_initializer, bias_regularizer, bias_constraint),
        )
        self.supports_masking = True
        self._linear = activation is None or self.activation is activations.linear

    def build(self, input_shape: Any) -> None:
        """Make kernel and bias."""
        features = input_shape[-1] if len(input_shape) > 1 else None
        if features is None:
            raise ValueError(
                f"{self._title()}: the input must have a batch axis and a last axis of known size, "
                f"received shape {input_shape}."
            )
        self.kernel = self._make("kernel", (features, self.units))
        self.bias = self._make("bias", (self.units,)) if self.use_bias else None

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        """(..., in) -> (..., units)."""
        if inputs.dim() == 2 and self.bias is not None:
            x = torch.addmm(self.bias, inputs, self.kernel)
        else:
            x = F.linear(inputs, self.kernel.T, self.bias)
        return x if self._linear else self.activation(x)

    def _expectation(self) -> str:
        return f"the kernel was built for {self.kernel.shape[0]} features." if self.built else ""


class Activation(Layer):
    """An activation function as a layer.

    >>> import torch, kerastorch as keras
    >>> keras.layers.Activation("relu")(torch.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """

    _takes_one_tensor = True

    def __init__(self, activation: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = activations.get(activation)
        self.supports_masking = True
        self.built = True

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        """The function of the inputs."""
        return self.activation(inputs)


class Identity(Layer):
    """Gives its input back.

    >>> import kerastorch as keras
    >>> keras.layers.Identity()(keras.Input((3,))).shape
    (None, 3)
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self.built = True

    def call(self, inputs: Any) -> Any:
        """The inputs."""
        return inputs


class Embedding(Optioned):
    """Rows of a trained table, looked up by index.

    Input: integers of any shape in [0, input_dim); output: that shape + (output_dim,).
    With ``mask_zero=True`` index 0 is padding and later layers are told to skip it.

    >>> import torch, kerastorch as keras
    >>> layer = keras.layers.Embedding(1000, 64)
    >>> layer(torch.tensor([[1, 2, 3]])).shape
    torch.Size([1, 3, 64])
    """

    _takes_one_tensor = True

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        weights: Any = None,
        **kwargs: Any,
    ) -> None:
        length = kwargs.pop("input_length", None)  # TF 2: the number of indices a row
        super().__init__(**kwargs)
        positive("Embedding", input_dim=input_dim, output_dim=output_dim)
        self.input_dim = input_dim
        self.output_dim = output_dim
        self._keep_options(
            embeddings=(embeddings_initializer, embeddings_regularizer, embeddings_constraint)
        )
        self.mask_zero = mask_zero
        self.supports_masking = mask_zero
        self.autocast = False
        if length is not None and self._declared_shape is None:
            self._declared_shape = (None, length)
        if weights is not None:
            self.build(None)
            self.set_weights(weights if isinstance(weights, list) else [weights])

    def build(self, input_shape: Any) -> None:
        """Make the table."""
        self.embeddings = self._make("embeddings", (self.input_dim, self.output_dim))

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        """(...) -> (..., output_dim)."""
        if inputs.dtype not in (torch.int64, torch.int32):
            inputs = inputs.long()
        return F.embedding(inputs, self.embeddings).to(self._compute)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """True where the index is not the padding index 0."""
        return inputs != 0 if self.mask_zero else None

    def get_config(self) -> dict[str, Any]:
        """The arguments that rebuild this layer; `weights` are no configuration."""
        config = super().get_config()
        config.pop("weights", None)
        return config

    def _expectation(self) -> str:
        return f"indices must be integers in [0, {self.input_dim})."


class Lambda(Layer):
    """A function of tensors as a layer.

    `function` may take ``mask`` and ``training``; `arguments` are further keyword arguments.

    >>> import torch, kerastorch as keras
    >>> keras.layers.Lambda(lambda x: x ** 2)(torch.tensor([3.0]))
    tensor([9.])
    """

    def __init__(
        self,
        function: Callable[..., Any],
        output_shape: Any = None,
        mask: Any = None,
        arguments: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not callable(function):
            raise TypeError(f"Lambda: `function` must be callable, received {function!r}.")
        self.function = function
        self.arguments = arguments or {}
        self.mask = mask
        self.supports_masking = mask is not None
        self.built = True
        try:
            parameters = inspect.signature(function).parameters
        except (TypeError, ValueError):  # some builtins have none
            parameters = {}  # type: ignore[assignment]
        self._takes = {name for name in ("mask", "training") if name in parameters}

    def call(self, inputs: Any, mask: Any = None, training: bool | None = None) -> Any:
        """The function of the inputs."""
        extra = {"mask": mask, "training": training}
        return self.function(inputs, **self.arguments, **{k: extra[k] for k in self._takes})

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """What `mask` gives, called or as it is."""
        return self.mask(inputs, previous_mask) if callable(self.mask) else self.mask


registry.add(Dense, Activation, Identity, Embedding, Lambda)
