"""Cross-entropies and the signal-to-noise ratio against Keras."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from oracle import check

import kerastorch as kt

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(size=(3, 4, 5)).astype("float32")
P = RANDOM.uniform(0.05, 0.95, size=(3, 4, 5)).astype("float32")
Y = RANDOM.uniform(0.05, 0.95, size=(3, 4, 5)).astype("float32")
LABELS = RANDOM.integers(0, 4, size=(3, 4)).astype("int32")


@pytest.mark.parametrize("logits", [False, True])
def test_binary_crossentropy(logits: bool) -> None:
    check("binary_crossentropy", Y, LOGITS if logits else P, from_logits=logits)


@pytest.mark.parametrize("logits", [False, True])
@pytest.mark.parametrize("axis", [-1, 1])
def test_categorical_crossentropy(logits: bool, axis: int) -> None:
    output = LOGITS if logits else P
    # with the first axis open Keras takes the last one away, whatever `axis` is
    check("categorical_crossentropy", Y, output, logits, axis, unknown=axis == -1)


@pytest.mark.parametrize("logits", [False, True])
def test_sparse_categorical_crossentropy(logits: bool) -> None:
    output = LOGITS if logits else P
    check("sparse_categorical_crossentropy", LABELS, output, from_logits=logits)
    check("sparse_categorical_crossentropy", LABELS[..., None], output, logits, symbolic=False)
    check("sparse_categorical_crossentropy", LABELS[:, :1], output[:, 0], logits, symbolic=False)
    check("sparse_categorical_crossentropy", LABELS[0, 0], output[0, 0], logits, symbolic=False)
    moved = np.ascontiguousarray(np.moveaxis(output, -1, 1))
    check("sparse_categorical_crossentropy", LABELS, moved, logits, 1, symbolic=False)


@pytest.mark.parametrize("name", ["binary_crossentropy", "categorical_crossentropy"])
def test_probabilities_of_0_and_1_stay_finite(name: str) -> None:
    hard = np.array([[0.0, 1.0], [1.0, 0.0]], "float32")
    check(name, hard, hard, symbolic=False, gradients=False)
    check(name, hard[::-1].copy(), hard, symbolic=False, gradients=False)


def test_targets_may_be_integers() -> None:
    wanted = kt.ops.binary_crossentropy(torch.ones(2), torch.full((2,), 0.5))
    assert torch.equal(kt.ops.binary_crossentropy([1, 1], [0.5, 0.5]), wanted)


def test_shapes_must_agree() -> None:
    for name in ("binary_crossentropy", "categorical_crossentropy"):
        with pytest.raises(ValueError, match="must have the same shape"):
            getattr(kt.ops, name)(Y, P[:2])
    with pytest.raises(ValueError, match="one class number per prediction"):
        kt.ops.sparse_categorical_crossentropy(LABELS[:2], P)


def test_psnr() -> None:
    check("psnr", Y, P, 1.0)
    check("psnr", Y.astype("float64"), P, 255, symbolic=False)
    assert kt.ops.psnr(Y, Y, 1.0) == torch.inf
    ints = torch.tensor([0, 100]), torch.tensor([10, 90])
    torch.testing.assert_close(kt.ops.psnr(*ints, 10), torch.tensor(0.0))
    with pytest.raises(ValueError, match="must have one shape"):
        kt.ops.psnr(Y, P[0], 1.0)
