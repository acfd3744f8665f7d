"""Sequences of different lengths as one array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def pad_sequences(
    sequences: Sequence[Any],
    maxlen: int | None = None,
    dtype: Any = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: Any = 0.0,
) -> np.ndarray[Any, Any]:
    """A list of B sequences as an array (B, maxlen), or (B, maxlen, ...) of sequences of arrays.

    Args:
        maxlen: the length; that of the longest sequence when left out.
        dtype: of the result; ``object`` for text.
        padding: ``"pre"`` fills up before the sequences, ``"post"`` after them.
        truncating: ``"pre"`` cuts off the beginning of sequences that are too long, ``"post"`` the end.
        value: what is filled in.

    >>> import kerastorch as keras
    >>> keras.utils.pad_sequences([[1], [2, 3, 4]], maxlen=2)
    array([[0, 1],
           [3, 4]], dtype=int32)
    """
    for name, given in (("padding", padding), ("truncating", truncating)):
        if given not in ("pre", "post"):
            raise ValueError(
                f"pad_sequences: `{name}` must be 'pre' or 'post', received {given!r}."
            )
    wrong = next((s for s in sequences if not hasattr(s, "__len__")), None)
    if wrong is not None:
        raise ValueError(f"pad_sequences: expected a list of sequences, received {wrong!r} in it.")
    if isinstance(value, str) and np.dtype(dtype).kind not in "OUS":
        raise ValueError(
            f"pad_sequences: text such as `value`={value!r} takes dtype=object, received {dtype!r}."
        )
    length = max(map(len, sequences), default=0) if maxlen is None else maxlen
    shape = next((np.shape(s)[1:] for s in sequences if len(s)), ())
    result = np.full((len(sequences), length, *shape), value, dtype)
    for row, sequence in zip(result, sequences, strict=True):
        start = max(len(sequence) - length, 0) if truncating == "pre" else 0
        kept = sequence[start : start + length]
        if len(kept) and np.shape(kept)[1:] != shape:
            raise ValueError(
                f"pad_sequences: the entries of all sequences must have one shape, received {shape} "
                f"and {np.shape(kept)[1:]}."
            )
        if len(kept):
            row[slice(len(kept)) if padding == "post" else slice(-len(kept), None)] = kept
    return result
