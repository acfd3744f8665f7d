"""Attention: weighted means of values, weighted by how well keys fit a query.

Shape letters: B batch, T queries, S keys and values, N heads, D features.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F

from kerastorch import random, regularizers
from kerastorch.layers._activations import masked_softmax
from kerastorch.layers._base import Optioned, positive
from kerastorch.layers._einsum_dense import EinsumDense
from kerastorch.layers._layer import Layer, registry
from kerastorch.ops._nn._attention import allowed, past


def attend(
    q_BNTD: torch.Tensor,
    k_BNSD: torch.Tensor,
    v_BNSD: torch.Tensor,
    mask: torch.Tensor | None,
    *,
    scale: float,
    causal: bool = False,
    dropout: float = 0.0,
    generator: random.SeedGenerator | None = None,
    weights: bool = False,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """``softmax(scale * q @ k.T) @ v`` and, if asked for, the weights before dropout.

    `mask` is True where a query may look; a query that may look nowhere gives 0. Without weights or
    a seed this is torch's fused kernel. Keys and values may have fewer heads, each for several
    consecutive heads of the queries.
    """
    grouped = q_BNTD.shape[1] != k_BNSD.shape[1]
    if causal and (mask is not None or weights):
        mask, causal = allowed(mask, past(q_BNTD, k_BNSD)), False
    if not weights and (dropout == 0 or generator is None):
        y = F.scaled_dot_product_attention(
            *(q_BNTD, k_BNSD, v_BNSD, mask, dropout, causal), scale=scale, enable_gqa=grouped
        )
        return y, None
    if causal:
        mask = past(q_BNTD, k_BNSD)
    if grouped:
        repeats = q_BNTD.shape[1] // k_BNSD.shape[1]
        k_BNSD, v_BNSD = (x.repeat_interleave(repeats, 1) for x in (k_BNSD, v_BNSD))
    scores = (q_BNTD * scale) @ k_BNSD.transpose(-1, -2)
    return weigh(scores, v_BNSD, mask, dropout, generator)


def weigh(
    scores_BNTS: torch.Tensor,
    v_BNSD: torch.Tensor,
    mask: torch.Tensor | None,
    dropout: float,
    generator: random.SeedGenerator | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Means of the values weighted by the softmax of the scores, and the weights before dropout."""
    w_BNTS = masked_softmax(scores_BNTS, mask)
    thinned = random.dropout(w_BNTS, dropout, seed=generator) if dropout else w_BNTS
    return thinned @ v_BNSD, w_BNTS


def _row(mask: torch.Tensor | None) -> torch.Tensor | None:
    return None if mask is None else mask.unsqueeze(-1)


def _column(mask: torch.Tensor | None) -> torch.Tensor | None:
    return None if mask is None else mask.unsqueeze(-2)


class _Heads(Optioned):
    """Attention between several learned projections of query, key and value.

    Weights, in this order: kernel and bias of ``query_dense``, ``key_dense``, ``gate_dense`` (with
    `use_gate`), ``value_dense``, each (features, heads, size) and (heads, size), and of
    ``output_dense``, (heads, size, features) and (features,).
    """

    def __init__(
        self,
        heads: tuple[int, int],
        sizes: tuple[int, int],
        dropout: float,
        use_bias: bool,
        sliding_window: int | None,
        flash_attention: bool | None,
        use_gate: bool,
        seed: int | None,
        activity_regularizer: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        kind = type(self).__name__
        if not isinstance(dropout, (int, float)) or not 0 <= dropout < 1:
            raise ValueError(f"{kind}: `dropout` must be in [0, 1), received {dropout!r}.")
        if flash_attention and dropout:
            raise ValueError(
                f"{kind}: flash_attention=True takes no dropout, received dropout={dropout!r}."
            )
        if sliding_window is not None:
            positive(kind, sliding_window=sliding_window)
        self._heads = heads  # of queries, of keys and values
        self._sizes = sizes  # of keys, of values
        self.dropout = dropout
        self.use_bias = use_bias
        self.use_gate = use_gate
        self.sliding_window = sliding_window
        self.flash_attention = flash_attention
        self.seed = seed
        self._generator = None if seed is None else random.SeedGenerator(seed)
        # As in Keras, it is the projections whose outputs are penalized.
        self._penalty = regularizers.get(activity_regularizer)
        self._axes: tuple[int, ...] | None = None
        self._features: tuple[int, ...] | None = None
        self.supports_masking = True

    def build(self, query_shape: Any, value_shape: Any = None, key_shape: Any = None) -> None:
        """Make the projections; values are as queries where their shape is left out."""
        value_shape = query_shape if value_shape is None else value_shape
        key_shape = value_shape if key_shape is None else key_shape
        rank = len(query_shape)
        if len(value_shape) != rank or tuple(value_shape[1:-1]) != tuple(key_shape[1:-1]):
            raise ValueError(
                f"{self._title()}: query, value and key must have as many axes, and value and key the "
                "same sizes but for the last axis, received shapes "
                f"{tuple(query_shape)}, {tuple(value_shape)} and {tuple(key_shape)}."
            )
        axes = self._axes or tuple(range(1, rank - 1))
        self._over = tuple(axis % rank for axis in axes)
        (queries, keys), (key_size, value_size) = self._heads, self._sizes
        self.query_dense = self._projection("query", query_shape, queries, key_size)
        self.key_dense = self._projection("key", key_shape, keys, key_size)
        if self.use_gate:
            self.gate_dense = self._projection("gate", query_shape, queries, value_size, "sigmoid")
        self.value_dense = self._projection("value", value_shape, keys, value_size)
        features = self._features or (query_shape[-1],)
        letters = "fghijklm"[: len(features)]
        self.output_dense = self._part(
            f"...nd,nd{letters}->...{letters}", features, letters, "attention_output"
        )
        self.output_dense.build((*query_shape[:-1], queries, value_size))

    def _projection(
        self, name: str, shape: Any, heads: int, size: int, activation: Any = None
    ) -> EinsumDense:
        layer = self._part("...f,fnd->...nd", (heads, size), "nd", name, activation=activation)
        layer.build(shape)
        return layer

    def _part(
        self, equation: str, shape: Any, bias_axes: str, name: str, **more: Any
    ) -> EinsumDense:
        options = {
            f"{weight}_{option}": getattr(self, f"{weight}_{option}")
            for weight in ("kernel", "bias")
            for option in ("initializer", "regularizer", "constraint")
        }
        return EinsumDense(
            equation,
            shape,
            bias_axes=bias_axes if self.use_bias else None,
            activity_regularizer=self._penalty,
            dtype=self.dtype_policy,
            trainable=self._trainable,
            name=name,
            **options,
            **more,
        )

    def call(
        self,
        query: torch.Tensor,
        value: torch.Tensor,
        key: torch.Tensor | None = None,
        query_mask: torch.Tensor | None = None,
        value_mask: torch.Tensor | None = None,
        key_mask: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        use_causal_mask: bool = False,
    ) -> Any:
        """(B, T, D), (B, S, D) -> (B, T, D), and the weights (B, N, T, S) if asked for.

        Masks are True for what counts: `query_mask` (B, T), `value_mask` and `key_mask` (B, S),
        `attention_mask` (B, T, S). `use_causal_mask` lets position i look at positions up to i.
        """
        if return_attention_scores and self.flash_attention:
            raise ValueError("flash_attention=True gives no attention scores")
        q = self.query_dense(query)
        k = self.key_dense(value if key is None else key)
        v = self.value_dense(value)
        mask = allowed(_row(query_mask), _column(value_mask), _column(key_mask), attention_mask)
        plain = q.dim() == 4 and self._over == (1,)
        batch, steps, keys = q.shape[:1], q.shape[1:2], k.shape[1:2]
        if plain:
            q, k, v = (x.transpose(1, 2) for x in (q, k, v))
        else:
            batch, steps, keys = self._split(q.shape, k.shape)
            q, k, v = (self._heads_first(x) for x in (q, k, v))
        if mask is not None:
            at = -2 * len(self._over) - 1
            while mask.dim() < len(batch) + 1 + 2 * len(self._over):
                mask = mask.unsqueeze(at)
            if not plain:
                heads = mask.shape[len(batch)]
                mask = mask.expand(*batch, heads, *steps, *keys)
                mask = mask.reshape(-1, heads, math.prod(steps), math.prod(keys))
        if self.sliding_window is not None:
            rows, columns = (torch.arange(x.shape[-2], device=x.device) for x in (q, k))
            near = (rows.unsqueeze(-1) - columns).abs() < self.sliding_window
            mask = near if mask is None else mask & near
        x, weights = attend(
            *(q, k, v, mask),
            scale=self._sizes[0] ** -0.5,
            causal=use_causal_mask,
            dropout=self.dropout if training else 0.0,
            generator=self._generator,
            weights=return_attention_scores,
        )
        x = x.transpose(1, 2) if plain else self._heads_last(x, batch, steps)
        if self.use_gate:
            x = x * self.gate_dense(query)
        x = self.output_dense(x)
        if weights is None or not return_attention_scores:
            return x
        return x, weights if plain else weights.reshape(*batch, -1, *steps, *keys)

    def _split(self, query_shape: Any, key_shape: Any) -> tuple[Any, Any, Any]:
        """Sizes of the axes that attention is not over, and of those that it is."""
        others = [a for a in range(len(query_shape) - 2) if a not in self._over]
        return (
            [query_shape[a] for a in others],
            [query_shape[a] for a in self._over],
            [key_shape[a] for a in self._over],
        )

    def _order(self, rank: int) -> list[int]:
        """(batch, ..., N, D) as (batch axes, N, attended axes, D)."""
        others = [a for a in range(rank - 2) if a not in self._over]
        return [*others, rank - 2, *self._over, rank - 1]

    def _heads_first(self, x: torch.Tensor) -> torch.Tensor:
        x = x.permute(self._order(x.dim()))
        others = x.dim() - 2 - len(self._over)
        return x.flatten(others + 1, -2).flatten(0, others - 1)

    def _heads_last(self, x: torch.Tensor, batch: Any, steps: Any) -> torch.Tensor:
        x = x.reshape(*batch, x.shape[1], *steps, x.shape[-1])
        order = self._order(x.dim())
        return x.permute(sorted(range(x.dim()), key=order.__getitem__))

    def _expectation(self) -> str:
        return "expected (batch, steps, features) for query and value." if self.built else ""


class MultiHeadAttention(_Heads):
    """Attention in `num_heads` learned projections: (B, T, D), (B, S, D') -> (B, T, D).

    ``layer(query, value, key=value)``; each head computes ``softmax(q @ k.T / sqrt(key_dim)) @ v``
    by torch's fused kernel. Masks of the inputs are used; the query's is passed on.

    Args:
        num_heads, key_dim, value_dim: number of heads, size of a key, and of a value (`key_dim`).
        dropout: fraction of the attention weights set to 0 in training.
        output_shape: sizes in place of the query's last axis.
        attention_axes: axes that attention is over; by default all between batch and features.
        sliding_window: lets position i look at positions nearer than that.
        flash_attention: True refuses what a flash kernel cannot do; torch chooses the kernel.
        use_gate: multiplies each head's result by a sigmoid projection of the query.

    Source: Vaswani et al. 2017.

    >>> import torch, kerastorch as keras
    >>> layer = keras.layers.MultiHeadAttention(num_heads=2, key_dim=4)
    >>> x = torch.zeros(1, 5, 8)
    >>> y, scores = layer(x, x, return_attention_scores=True, use_causal_mask=True)
    >>> y.shape, scores.shape
    (torch.Size([1, 5, 8]), torch.Size([1, 2, 5, 5]))
    """

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: Any = None,
        attention_axes: Any = None,
        sliding_window: int | None = None,
        flash_attention: bool | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        use_gate: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        value_dim = key_dim if value_dim is None else value_dim
        positive("MultiHeadAttention", num_heads=num_heads, key_dim=key_dim, value_dim=value_dim)
        more = (use_bias, sliding_window, flash_attention, use_gate, seed, activity_regularizer)
        super().__init__((num_heads, num_heads), (key_dim, value_dim), dropout, *more, **kwargs)
        self._keep_options(
            kernel=(kernel_initializer, kernel_regularizer, kernel_constraint),
            bias=(bias_initializer, bias_regularizer, bias_constraint),
        )
        self.num_heads, self.key_dim, self.value_dim = num_heads, key_dim, value_dim
        if output_shape is not None:
            self._features = (
                (output_shape,) if isinstance(output_shape, int) else tuple(output_shape)
            )
        if attention_axes is not None:
            one = isinstance(attention_axes, int)
            self._axes = (attention_axes,) if one else tuple(attention_axes)
        self.attention_axes = self._axes


class GroupQueryAttention(_Heads):
    """Attention whose keys and values have fewer heads than the queries.

    Each of the `num_key_value_heads` heads serves ``num_query_heads / num_key_value_heads`` heads of
    the queries: (B, T, D), (B, S, D') -> (B, T, D). For one such head it is multi-query attention.
    Arguments and calls are those of `MultiHeadAttention`. Source: Ainslie et al. 2023.

    >>> import torch, kerastorch as keras
    >>> layer = keras.layers.GroupQueryAttention(4, num_query_heads=6, num_key_value_heads=2)
    >>> x = torch.zeros(1, 5, 8)
    >>> layer(x, x).shape, tuple(layer.key_dense.kernel.shape)
    (torch.Size([1, 5, 8]), (8, 2, 4))
    """

    def __init__(
        self,
        head_dim: int,
        num_query_heads: int,
        num_key_value_heads: int,
        dropout: float = 0.0,
        use_bias: bool = True,
        sliding_window: int | None = None,
        flash_attention: bool | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        use_gate: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        heads = (num_query_heads, num_key_value_heads)
        given = {"num_query_heads": num_query_heads, "num_key_value_heads": num_key_value_heads}
        positive("GroupQueryAttention", head_dim=head_dim, **given)
        if num_query_heads % num_key_value_heads:
            raise ValueError(
                f"GroupQueryAttention: `num_query_heads` ({num_query_heads}) must be a multiple of "
                f"`num_key_value_heads` ({num_key_value_heads})."
            )
        more = (use_bias, sliding_window, flash_attention, use_gate, seed, activity_regularizer)
        super().__init__(heads, (head_dim, head_dim), dropout, *more, **kwargs)
        self._keep_options(
            kernel=(kernel_initializer, kernel_regularizer, kernel_constraint),
            bias=(bias_initializer, bias_regularizer, bias_constraint),
        )
        self.head_dim = head_dim
        self.num_query_heads = num_query_heads
        self.num_key_value_heads = num_key_value_heads


class Attention(Layer):
    """``softmax(scores) @ value``: called on ``[query, value]`` or ``[query, value, key]``.

    (B, T, D), (B, S, D'), (B, S, D) -> (B, T, D'). Scores are ``scale * query @ key.T``
    (`score_mode` ``"dot"``; Luong et al. 2015) or ``weight * sum(tanh(scale * (query + key)))``
    (``"concat"``); `use_scale` makes the scale a weight, which is otherwise 1. Masks are
    ``[query_mask, value_mask]``.

    >>> import torch, kerastorch as keras
    >>> keras.layers.Attention()([torch.zeros(2, 5, 8), torch.zeros(2, 7, 8)]).shape
    torch.Size([2, 5, 8])
    """

    def __init__(
        self,
        use_scale: bool = False,
        score_mode: str = "dot",
        dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        kind = type(self).__name__
        if score_mode not in ("dot", "concat"):
            raise ValueError(
                f"{kind}: `score_mode` must be 'dot' or 'concat', received {score_mode!r}."
            )
        if not isinstance(dropout, (int, float)) or not 0 <= dropout < 1:
            raise ValueError(f"{kind}: `dropout` must be in [0, 1), received {dropout!r}.")
        self.use_scale = use_scale
        self.score_mode = score_mode
        self.dropout = dropout
        self.seed = seed
        self._generator = None if seed is None else random.SeedGenerator(seed)
        self.scale: Any = None
        self.concat_score_weight: torch.Tensor | None = None

    def build(self, input_shape: Any) -> None:
        """Make the scales."""
        if self.use_scale:
            self.scale = self.add_weight((), "ones", name="scale")
        if self.score_mode == "concat":
            self.concat_score_weight = self.add_weight((), "ones", name="concat_score_weight")

    def call(
        self,
        inputs: Any,
        mask: Any = None,
        training: bool = False,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        """The weighted means, and the weights (B, T, S) if asked for."""
        if not isinstance(inputs, (list, tuple)) or len(inputs) not in (2, 3):
            raise ValueError("received no list of two or three tensors")
        query, value, *key = (x if x.is_floating_point() else x.to(self._compute) for x in inputs)
        query_mask, value_mask = (None, None) if mask is None else mask[:2]
        dropout = self.dropout if training else 0.0
        q, k, v = (x.unsqueeze(1) for x in (query, *(key or [value]), value))
        seen = None if value_mask is None else value_mask[:, None, None]
        if self.score_mode == "dot":
            q = q if self.scale is None else q * self.scale
            options: Any = {"causal": use_causal_mask, "weights": return_attention_scores}
            options |= {"dropout": dropout, "generator": self._generator}
            x, weights = attend(q, k, v, seen, scale=1.0, **options)
        else:
            seen = allowed(seen, past(q, k)) if use_causal_mask else seen
            x, weights = weigh(self._scores(q, k), v, seen, dropout, self._generator)
        x = x.squeeze(1)
        if query_mask is not None:
            x = x * query_mask.unsqueeze(-1)
        return x if weights is None or not return_attention_scores else (x, weights.squeeze(1))

    def _scores(self, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        pairs = q.unsqueeze(-2) + k.unsqueeze(-3)
        scale: torch.Tensor | int = 1 if self.scale is None else self.scale
        scores = torch.tanh(scale * pairs).sum(-1)
        return scores if self.concat_score_weight is None else scores * self.concat_score_weight

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """The query's."""
        return None if previous_mask is None else previous_mask[0]

    def _expectation(self) -> str:
        return "expected [query, value] or [query, value, key] of shapes (batch, steps, features)."


class AdditiveAttention(Attention):
    """Attention with scores ``sum(scale * tanh(query + key))``; see `Attention`.

    scale: (D,). Source: Bahdanau et al. 2015.

    >>> import torch, kerastorch as keras
    >>> keras.layers.AdditiveAttention()([torch.zeros(2, 5, 8), torch.zeros(2, 7, 8)]).shape
    torch.Size([2, 5, 8])
    """

    def __init__(self, use_scale: bool = True, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(use_scale=use_scale, score_mode="concat", dropout=dropout, **kwargs)

    def build(self, input_shape: Any) -> None:
        """Make the scale."""
        if self.use_scale:
            self.scale = self.add_weight((input_shape[0][-1],), "glorot_uniform", name="scale")

    def _scores(self, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        pairs = torch.tanh(q.unsqueeze(-2) + k.unsqueeze(-3))
        return pairs.sum(-1) if self.scale is None else pairs @ self.scale


registry.add(MultiHeadAttention, GroupQueryAttention, Attention, AdditiveAttention)
registry.add(GroupedQueryAttention=GroupQueryAttention)
