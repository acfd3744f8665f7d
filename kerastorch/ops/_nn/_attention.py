"""Attention. Shape letters: B batch, T queries, S keys and values, N heads, K heads of keys, H features."""

from __future__ import annotations

import contextlib

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from kerastorch.ops._op import Array, op, promoted


@op
def dot_product_attention(
    query: Array,
    key: Array,
    value: Array,
    bias: Array | None = None,
    mask: Array | None = None,
    scale: Array | None = None,
    is_causal: bool = False,
    flash_attention: bool | None = None,
    attn_logits_soft_cap: float | None = None,
) -> torch.Tensor:
    """``softmax(scale * q @ k.T + bias) @ v`` for each head: (B, T, N, H) and twice (B, S, K, H) -> (B, T, N, H).

    `mask` is True where a query may look; a query that may look nowhere sees the mean of all values. bias
    and mask: (B, N, T, S), or what broadcasts to it. `scale` is ``1 / sqrt(H)`` by default. K divides N.
    ``flash_attention=True`` takes torch's flash kernel or fails; otherwise torch chooses.

    >>> import torch, kerastorch as keras
    >>> query, key = torch.ones(2, 4, 8, 16), torch.ones(2, 6, 2, 16)
    >>> keras.ops.dot_product_attention(query, key, key).shape
    torch.Size([2, 4, 8, 16])
    """
    if attn_logits_soft_cap is not None:
        raise ValueError(
            "dot_product_attention: `attn_logits_soft_cap` is not supported, leave it None. "
            "torch.nn.attention.flex_attention takes any function of the logits."
        )
    shapes = [tuple(x.shape) for x in (query, key, value)]
    if any(len(shape) != 4 for shape in shapes) or shapes[0][2] % shapes[1][2]:
        raise ValueError(
            "`query`, `key` and `value` must have 4 axes (batch, steps, heads, features), the heads of "
            f"keys dividing those of queries; received shapes {', '.join(map(str, shapes))}."
        )
    q_BNTH, k_BKSH, v_BKSH = (x.transpose(1, 2) for x in promoted(query, key, value))
    if scale is not None:  # which may be a tensor
        q_BNTH = q_BNTH * scale
    if is_causal and not (bias is None and mask is None):
        mask, is_causal = allowed(mask, past(q_BNTH, k_BKSH)), False
    if mask is not None:
        lowest = torch.finfo(q_BNTH.dtype).min * 0.7  # finite, so that there is always a softmax
        added = q_BNTH.new_zeros(()) if bias is None else bias.to(q_BNTH.dtype)
        bias = torch.where(mask.bool(), added, lowest)
    elif bias is not None:
        bias = bias.to(q_BNTH.dtype)
    flash = sdpa_kernel(SDPBackend.FLASH_ATTENTION) if flash_attention else contextlib.nullcontext()
    with flash:
        y = F.scaled_dot_product_attention(
            q_BNTH,
            k_BKSH,
            v_BKSH,
            bias,
            is_causal=is_causal,
            scale=None if scale is None else 1.0,
            enable_gqa=shapes[0][2] != shapes[1][2],
        )
    return y.transpose(1, 2)


def past(q_BNTD: torch.Tensor, k_BNSD: torch.Tensor) -> torch.Tensor:
    """True where the key is not later than the query: (T, S)."""
    shape = (q_BNTD.shape[-2], k_BNSD.shape[-2])
    return torch.ones(shape, dtype=torch.bool, device=q_BNTD.device).tril()


def allowed(*masks: torch.Tensor | None) -> torch.Tensor | None:
    """Where all of the masks that there are allow it."""
    result = None
    for mask in masks:
        if mask is not None:
            mask = mask.bool()
            result = mask if result is None else result & mask
    return result
