"""Connectionist temporal classification against Keras, and beam search against all paths."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from oracle import check

import kerastorch as kt

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(size=(3, 7, 5)).astype("float32") * 2
LENGTHS = np.array([7, 4, 6], "int32")
LABELS = RANDOM.integers(1, 4, size=(3, 3)).astype("int32")
LABEL_LENGTHS = np.array([3, 1, 2], "int32")


@pytest.mark.parametrize("blank", [0, 4])
def test_loss(blank: int) -> None:
    check("ctc_loss", LABELS, LOGITS, LABEL_LENGTHS, LENGTHS, mask_index=blank)


def test_loss_of_half_precision() -> None:
    arrays = LABELS, LOGITS.astype("float16"), LABEL_LENGTHS, LENGTHS
    check("ctc_loss", *arrays, symbolic=False)


@pytest.mark.parametrize("options", [{}, {"merge_repeated": False}, {"mask_index": 4}], ids=str)
def test_greedy(options: dict[str, Any]) -> None:
    check("ctc_decode", LOGITS, LENGTHS, **options)


@pytest.mark.parametrize(
    "options",
    [{"top_paths": 3}, {"beam_width": 4, "top_paths": 2}, {"mask_index": 4}, {"beam_width": 2}],
    ids=str,
)
def test_beam_search(options: dict[str, Any]) -> None:
    # decoding is not differentiated
    check("ctc_decode", LOGITS, LENGTHS, "beam_search", gradients=False, symbolic=False, **options)


def test_beam_search_in_a_model() -> None:
    check("ctc_decode", LOGITS, LENGTHS, strategy="beam_search", beam_width=5, gradients=False)


def test_a_wide_beam_finds_the_sums_over_all_alignments() -> None:
    steps, classes = 4, 3
    x = RANDOM.normal(size=(steps, classes))
    x = x - np.log(np.exp(x).sum(-1, keepdims=True))
    sums: dict[tuple[int, ...], float] = {}
    for path in itertools.product(range(classes), repeat=steps):
        labels = tuple(label for label, _ in itertools.groupby(path) if label != 0)
        p = np.exp(sum(x[t, label] for t, label in enumerate(path)))
        sums[labels] = sums.get(labels, 0.0) + p
    best = sorted(sums, key=lambda labels: -sums[labels])[:6]
    paths, scores = kt.ops.ctc_decode(x[None], [steps], "beam_search", 100, 6)
    assert [tuple(p for p in path if p >= 0) for path in paths[:, 0].tolist()] == best
    np.testing.assert_allclose(scores[0], np.log([sums[labels] for labels in best]), rtol=1e-5)


def test_what_is_not_there_has_no_probability() -> None:
    paths, scores = kt.ops.ctc_decode(torch.zeros(1, 1, 2), [1], "beam_search", 5, 4)
    assert paths[2:].eq(-1).all()
    assert scores[0, 2:].eq(-torch.inf).all()


def test_errors() -> None:
    with pytest.raises(ValueError, match="`strategy` must be 'greedy' or 'beam_search'"):
        kt.ops.ctc_decode(LOGITS, LENGTHS, "best")
    with pytest.raises(ValueError, match="`top_paths` must be between 1 and beam_width=2"):
        kt.ops.ctc_decode(LOGITS, LENGTHS, "beam_search", 2, 3)
    with pytest.raises(ValueError, match=r"`target` must have shape \(batch, labels\)"):
        kt.ops.ctc_loss(LABELS[0], LOGITS, LABEL_LENGTHS, LENGTHS)
