"""Connectionist temporal classification: sequences of labels from scores at each step. Graves et al., 2006.

Shape letters: B batch, T steps, C classes, W paths in the beam.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from kerastorch.ops._op import Array, op


@op
def ctc_loss(
    target: Array, output: Array, target_length: Array, output_length: Array, mask_index: int = 0
) -> torch.Tensor:
    """``-log p(target)``, summed over alignments: labels (B, S), logits (B, T, C), lengths (B,) -> (B,).

    `mask_index` is the class of the blank.

    >>> import torch, kerastorch as keras
    >>> keras.ops.ctc_loss([[1, 2]], torch.zeros(1, 2, 3), [2], [2])
    tensor([2.1972])
    """
    if target.ndim != 2 or output.ndim != 3:
        raise ValueError(
            "`target` must have shape (batch, labels) and `output` (batch, steps, classes), received "
            f"{tuple(target.shape)} and {tuple(output.shape)}."
        )
    log_p = _log_probabilities(output).transpose(0, 1)
    if log_p.is_meta:  # torch knows no shapes of this
        return log_p.new_empty(output.shape[0])
    lengths = output_length, target_length
    return F.ctc_loss(log_p, target, *lengths, blank=mask_index, reduction="none")


@op
def ctc_decode(
    inputs: Array,
    sequence_lengths: Array,
    strategy: str = "greedy",
    beam_width: int = 100,
    top_paths: int = 1,
    merge_repeated: bool = True,
    mask_index: int = 0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The labels that logits (B, T, C) speak for: (paths, B, T), filled up with -1, and scores (B, paths).

    ``"greedy"``: the best class of each step, without blanks and (`merge_repeated`) without repetitions;
    its score is minus the sum of the logits. ``"beam_search"``: the `top_paths` most likely sequences
    among the `beam_width` that are kept at each step; the scores are log-probabilities.

    >>> import torch, kerastorch as keras
    >>> logits = torch.tensor([[[0.0, 1.0], [0.0, 2.0], [3.0, 0.0]]])
    >>> keras.ops.ctc_decode(logits, [3])
    (tensor([[[ 1, -1, -1]]], dtype=torch.int32), tensor([[-6.]]))
    """
    if strategy == "greedy":
        return _greedy(inputs, sequence_lengths, merge_repeated, mask_index)
    if strategy == "beam_search":
        if not 1 <= top_paths <= beam_width:
            raise ValueError(
                f"`top_paths` must be between 1 and beam_width={beam_width}, received {top_paths!r}."
            )
        return _beam_search(inputs, sequence_lengths, beam_width, top_paths, mask_index)
    raise ValueError(f"`strategy` must be 'greedy' or 'beam_search', received {strategy!r}.")


def _log_probabilities(logits: torch.Tensor) -> torch.Tensor:
    return _wide(logits).log_softmax(-1)


def _wide(x: torch.Tensor) -> torch.Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _greedy(
    inputs: torch.Tensor, lengths: torch.Tensor, merge: bool, blank: int
) -> tuple[torch.Tensor, torch.Tensor]:
    best, labels = _wide(inputs).max(-1)
    outside = torch.arange(inputs.shape[1], device=inputs.device) >= lengths.unsqueeze(1)
    labels = labels.int().masked_fill(outside, blank)
    dropped = labels == blank
    if merge:
        dropped = dropped | F.pad(labels[:, 1:] == labels[:, :-1], (1, 0))
    kept_first = torch.argsort(dropped.byte(), dim=1, stable=True)
    labels = labels.masked_fill(dropped, -1).gather(1, kept_first)
    return labels.unsqueeze(0), -best.masked_fill(outside, 0).sum(1, keepdim=True)


def _beam_search(
    inputs: torch.Tensor, lengths: torch.Tensor, width: int, top: int, blank: int
) -> tuple[torch.Tensor, torch.Tensor]:
    x_BTC = _log_probabilities(inputs)
    batch, steps, _ = x_BTC.shape
    paths_BWT = torch.full((batch, width, steps), -1, device=x_BTC.device)
    size_BW = paths_BWT.new_zeros(batch, width)
    ends_BW2 = x_BTC.new_full(
        (batch, width, 2), -torch.inf
    )  # log p with a label, a blank at the end
    ends_BW2[:, 0, 1] = 0  # at first there is the empty path alone
    state = paths_BWT, size_BW, ends_BW2
    for t in range(steps):
        inside = t < lengths
        after = _extended(*state, x_BTC[:, t], blank)
        state = tuple(  # type: ignore[assignment]
            torch.where(inside.view(-1, *(1,) * (old.ndim - 1)), new, old)
            for new, old in zip(after, state, strict=True)
        )
    paths_BWT, _, ends_BW2 = state
    scores, index = torch.logaddexp(*ends_BW2.unbind(-1)).topk(top)
    paths = paths_BWT.gather(1, index.unsqueeze(-1).expand(-1, -1, steps))
    paths = paths.where(scores.isfinite().unsqueeze(2), -1)
    return paths.int().transpose(0, 1), scores


def _extended(
    paths_BWT: torch.Tensor,
    size_BW: torch.Tensor,
    ends_BW2: torch.Tensor,
    x_BC: torch.Tensor,
    blank: int,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The best paths after one more step, of those that stay as they are and those with a new label."""
    width, steps = paths_BWT.shape[1:]
    classes = x_BC.shape[1]
    place_T = torch.arange(steps, device=x_BC.device)
    label_BW, blank_BW = ends_BW2.unbind(-1)
    total_BW = torch.logaddexp(label_BW, blank_BW)
    last_BW = paths_BWT.gather(2, (size_BW - 1).clamp_min(0).unsqueeze(2)).squeeze(2).clamp_min(0)
    none_BW = size_BW == 0

    # A label that repeats the last one is new only after a blank, else it is the same one still.
    class_C = torch.arange(classes, device=x_BC.device)
    is_last_BWC = (last_BW.unsqueeze(2) == class_C) & ~none_BW.unsqueeze(2)
    new_BWC = torch.where(is_last_BWC, blank_BW.unsqueeze(2), total_BW.unsqueeze(2))
    new_BWC = new_BWC + x_BC.unsqueeze(1)
    new_BWC[:, :, blank] = -torch.inf
    same_BW = (label_BW + x_BC.gather(1, last_BW)).masked_fill(none_BW, -torch.inf)

    # A path with a new label can be one that is there already: [b, i, j] is path i as j without its end.
    before_BWT = paths_BWT.where(place_T < size_BW.unsqueeze(2) - 1, -1)
    leads = (paths_BWT.unsqueeze(2) == before_BWT.unsqueeze(1)).all(-1)
    leads = leads & ~none_BW.unsqueeze(1) & total_BW.isfinite().unsqueeze(1)
    last_BWW = last_BW.unsqueeze(1).expand(-1, width, -1)
    joined = new_BWC.gather(2, last_BWW).where(leads, -torch.inf)
    same_BW = torch.logaddexp(same_BW, joined.amax(1))
    taken = torch.zeros_like(new_BWC, dtype=torch.int32).scatter_add(2, last_BWW, leads.int())
    new_BWC = new_BWC.masked_fill(taken > 0, -torch.inf)

    blank_BW = total_BW + x_BC[:, blank].unsqueeze(1)
    choices = torch.cat([new_BWC, torch.logaddexp(same_BW, blank_BW).unsqueeze(2)], 2)
    found, index = choices.flatten(1).topk(width)
    parent, label = index // (classes + 1), index % (classes + 1)
    stays = label == classes
    paths = paths_BWT.gather(1, parent.unsqueeze(2).expand(-1, -1, steps))
    size = size_BW.gather(1, parent)
    added = (place_T == size.unsqueeze(2)) & ~stays.unsqueeze(2)
    ends = torch.stack(
        [
            torch.where(stays, same_BW.gather(1, parent), found),
            blank_BW.gather(1, parent).masked_fill(~stays, -torch.inf),
        ],
        2,
    )
    return paths.where(~added, label.unsqueeze(2)), size + (~stays).long(), ends
