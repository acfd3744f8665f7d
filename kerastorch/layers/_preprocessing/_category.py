"""`CategoryEncoding`: numbers of categories as 0 and 1, or counts."""

from __future__ import annotations

from typing import Any

import torch

from kerastorch.layers._layer import registry
from kerastorch.layers._preprocessing._base import Tabular, encode


class CategoryEncoding(Tabular):
    """Integers below `num_tokens` as vectors of that length.

    `output_mode`: ``"one_hot"`` gives each entry a vector, (..., S) -> (..., S, num_tokens), where a
    last axis of size 1 is used up; ``"multi_hot"`` has 1 for what a sample holds, (..., S) -> (...,
    num_tokens); ``"count"`` says how often it does, with `count_weights` in place of 1.

    >>> import kerastorch as keras
    >>> keras.layers.CategoryEncoding(4, output_mode="count")([[0, 1, 1], [3, 3, 3]])
    tensor([[1., 2., 0., 0.],
            [0., 0., 0., 3.]])
    """

    def __init__(
        self,
        num_tokens: int | None = None,
        output_mode: str = "multi_hot",
        sparse: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if isinstance(num_tokens, bool) or not isinstance(num_tokens, int) or num_tokens < 1:
            raise ValueError(
                "CategoryEncoding: `num_tokens` must be a positive integer, "
                f"received {num_tokens!r}. Where it is not known, use IntegerLookup."
            )
        self._refuse_sparse(sparse)
        self.num_tokens = num_tokens
        self.output_mode = self._mode(output_mode, "one_hot", "multi_hot", "count")
        self.built = True

    def call(self, inputs: torch.Tensor, count_weights: torch.Tensor | None = None) -> torch.Tensor:
        """Integers, and weights of their shape -> floats."""
        if count_weights is not None and self.output_mode != "count":
            raise ValueError(
                f"`count_weights` is for `output_mode` 'count', this is {self.output_mode!r}."
            )
        return encode(inputs, self.output_mode, self.num_tokens, self._compute, count_weights)

    def _expectation(self) -> str:
        return f"expected integers from 0 to {self.num_tokens - 1}."


registry.add(CategoryEncoding)
