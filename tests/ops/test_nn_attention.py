"""Attention against Keras."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from oracle import check

import kerastorch as kt

RANDOM = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype("float32")


QUERY, KEY, VALUE = normal(2, 3, 4, 6), normal(2, 5, 4, 6), normal(2, 5, 4, 6)
MASK = RANDOM.uniform(size=(2, 1, 3, 5)) < 0.6
BIAS = normal(1, 4, 3, 5)


@pytest.mark.parametrize(
    "options", [{}, {"scale": 0.3}, {"is_causal": True}, {"flash_attention": False}], ids=str
)
def test_without_mask(options: dict[str, Any]) -> None:
    check("dot_product_attention", QUERY, KEY, VALUE, **options)


def test_with_mask_or_bias() -> None:
    check("dot_product_attention", QUERY, KEY, VALUE, BIAS)
    check("dot_product_attention", QUERY, KEY, VALUE, None, MASK)
    check(
        "dot_product_attention", QUERY, KEY, VALUE, None, MASK, 0.2, is_causal=True, symbolic=False
    )
    check("dot_product_attention", QUERY, KEY, VALUE, None, MASK.astype("int32"), symbolic=False)


@pytest.mark.parametrize("heads", [1, 2])
def test_fewer_heads_of_keys(heads: int) -> None:
    key, value = normal(2, 5, heads, 6), normal(2, 5, heads, 6)
    check("dot_product_attention", QUERY, key, value)
    check("dot_product_attention", QUERY, key, value, None, MASK, symbolic=False)


def test_a_query_that_may_look_nowhere_sees_the_mean() -> None:
    mask = MASK.copy()
    mask[0, 0, 1] = False
    y = check("dot_product_attention", QUERY, KEY, VALUE, None, mask, symbolic=False)
    np.testing.assert_allclose(y[0, 1], VALUE[0].mean(0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_bias_with_all_else(masked: bool, causal: bool) -> None:
    """Keras's torch backend takes a bias alone."""
    scores = np.einsum("btnh,bsnh->bnts", QUERY, KEY) * 0.5 + BIAS
    seen = np.tri(3, 5, dtype=bool) if causal else np.ones((3, 5), bool)
    mask = MASK | (np.arange(5) == 0)
    scores = np.where(seen & mask if masked else seen, scores, -np.inf)
    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    wanted = np.einsum("bnts,bsnh->btnh", weights, VALUE)
    given = mask if masked else None
    y = kt.ops.dot_product_attention(QUERY, KEY, VALUE, BIAS, given, 0.5, is_causal=causal)
    np.testing.assert_allclose(y, wanted, rtol=1e-5, atol=1e-5)


def test_scale_may_be_a_tensor() -> None:
    scale = torch.tensor(0.3, requires_grad=True)
    y = kt.ops.dot_product_attention(QUERY, KEY, VALUE, scale=scale)
    wanted = kt.ops.dot_product_attention(QUERY, KEY, VALUE, scale=0.3)
    torch.testing.assert_close(y, wanted)
    y.sum().backward()
    assert scale.grad is not None


def test_mixed_dtypes_meet() -> None:
    y = kt.ops.dot_product_attention(QUERY.astype("float16"), KEY, VALUE.astype("float16"))
    assert y.dtype is torch.float32
    half = (torch.from_numpy(x).to(torch.bfloat16) for x in (QUERY, KEY, VALUE))
    assert kt.ops.dot_product_attention(*half, mask=MASK).dtype is torch.bfloat16


def test_the_flash_kernel_can_be_asked_for() -> None:
    arrays = [torch.from_numpy(x) for x in (QUERY, KEY, VALUE)]
    wanted = kt.ops.dot_product_attention(*arrays)
    found = kt.ops.dot_product_attention(*arrays, flash_attention=True)
    torch.testing.assert_close(found, wanted)


def test_errors() -> None:
    with pytest.raises(ValueError, match="must have 4 axes"):
        kt.ops.dot_product_attention(QUERY[0], KEY, VALUE)
    with pytest.raises(ValueError, match="heads of keys dividing"):
        kt.ops.dot_product_attention(QUERY, KEY[:, :, :3], VALUE[:, :, :3])
    with pytest.raises(ValueError, match="`attn_logits_soft_cap` is not supported"):
        kt.ops.dot_product_attention(QUERY, KEY, VALUE, attn_logits_soft_cap=5.0)
