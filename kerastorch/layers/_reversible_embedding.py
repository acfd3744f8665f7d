"""`ReversibleEmbedding`: from tokens to vectors, and from vectors to scores of tokens."""

from __future__ import annotations

from typing import Any

import torch

from kerastorch.config import standardize_dtype
from kerastorch.layers._core import Embedding
from kerastorch.layers._layer import registry


class ReversibleEmbedding(Embedding):
    """An `Embedding` that also gives scores of all tokens: ``call(x, reverse=True)`` is ``x @ embeddings.T``.

    (...) in integers gives (..., output_dim); in reverse, (..., output_dim) gives (..., input_dim).

    Args:
        tie_weights: False has a table of its own for the reverse, ``reverse_embeddings`` (output_dim, input_dim).
        reverse_dtype: what scores are computed in; that of the layer when left out.
        logit_soft_cap: c keeps scores within c: ``c * tanh(scores / c)``.

    The other arguments are those of `Embedding`.

    >>> import torch, kerastorch as keras
    >>> layer = keras.layers.ReversibleEmbedding(1000, 64)
    >>> x = layer(torch.tensor([[1, 2, 3]]))
    >>> layer(x, reverse=True).shape
    torch.Size([1, 3, 1000])
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        tie_weights: bool = True,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        reverse_dtype: Any = None,
        logit_soft_cap: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            input_dim,
            output_dim,
            embeddings_initializer,
            embeddings_regularizer,
            embeddings_constraint,
            mask_zero,
            **kwargs,
        )
        self.tie_weights = tie_weights
        self.reverse_dtype, self.logit_soft_cap = reverse_dtype, logit_soft_cap

    def build(self, input_shape: Any) -> None:
        """Make the table, or both."""
        super().build(input_shape)
        if not self.tie_weights:
            self.reverse_embeddings = self.add_weight(
                (self.output_dim, self.input_dim),
                self.embeddings_initializer,
                name="reverse_embeddings",
            )

    def call(self, inputs: torch.Tensor, reverse: bool = False) -> torch.Tensor:
        """Vectors of tokens, or scores of tokens."""
        if not reverse:
            return super().call(inputs)
        kernel = self.embeddings.T if self.tie_weights else self.reverse_embeddings
        dtype = (
            self._compute if self.reverse_dtype is None else standardize_dtype(self.reverse_dtype)
        )
        logits = torch.matmul(inputs.to(dtype), kernel.to(dtype))
        if self.logit_soft_cap is None:
            return logits
        return torch.tanh(logits / self.logit_soft_cap) * self.logit_soft_cap

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """True where the index is not the padding index 0; scores have none."""
        return None if inputs.dtype.is_floating_point else super().compute_mask(inputs)


registry.add(ReversibleEmbedding)
