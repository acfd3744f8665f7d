"""What several data sets share: where they come from, and how they are mixed and split."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kerastorch.config import image_data_format
from kerastorch.datasets._plain import read_npz, unpickled
from kerastorch.utils import get_file

Array = np.ndarray[Any, Any]
Split = tuple[Array, Array]

STORE = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"


def fetched(name: str, url: str, file_hash: str | None, **options: Any) -> Path:
    """The path of a file, or of an unpacked folder, in the cache."""
    return Path(get_file(name, url, file_hash=file_hash, **options))


def arrays(name: str, original: str, file_hash: str) -> dict[str, Array]:
    """The arrays of an archive of Keras's store."""
    return read_npz(fetched(name, STORE + original, file_hash))


def words(name: str, original: str, file_hash: str) -> dict[str, int]:
    """A table of words of Keras's store."""
    table: dict[str, int] = json.loads(
        fetched(name, STORE + original, file_hash).read_text(encoding="utf-8")
    )
    return table


def mixed(draws: np.random.RandomState, *columns: Array) -> list[Array]:
    """The rows of all columns in an order that is drawn."""
    order = np.arange(len(columns[0]))
    draws.shuffle(order)
    return [column[order] for column in columns]


def split(x: Array, y: Array, test_split: float) -> tuple[Split, Split]:
    """The first rows for training, and the last fraction for tests."""
    if not 0 <= test_split < 1:
        raise ValueError(f"`test_split` must be a fraction in [0, 1), received {test_split!r}.")
    first = int(len(x) * (1 - test_split))
    return (x[:first], y[:first]), (x[first:], y[first:])


def pictures(folder: Path, names: Sequence[str], label: bytes) -> Split:
    """The batches of CIFAR: pictures in uint8, and labels (N, 1)."""
    batches = []
    for name in names:
        with open(folder / name, "rb") as stream:
            batches.append(unpickled(stream))
    x = np.concatenate([batch[b"data"] for batch in batches]).reshape(-1, 3, 32, 32)
    y = np.concatenate([batch[label] for batch in batches]).astype("uint8")
    return x if image_data_format() == "channels_first" else x.transpose(0, 2, 3, 1), y[:, None]


def encoded(
    sequences: Array,
    labels: Array,
    num_words: int | None,
    skip_top: int,
    maxlen: int | None,
    start_char: int | None,
    oov_char: int | None,
    index_from: int | None,
) -> tuple[list[list[int]], Array]:
    """Ranks of words as the numbers that a model sees."""
    start = [] if start_char is None else [start_char]
    shift = index_from or 0
    rows = [start + [word + shift for word in sequence] for sequence in sequences]
    if maxlen:
        kept = [at for at, row in enumerate(rows) if len(row) < maxlen]
        rows, labels = [rows[at] for at in kept], labels[kept]
        if not rows:
            raise ValueError(f"No text is shorter than `maxlen`={maxlen}: make it larger.")
    above = num_words or max(max(row) for row in rows) + 1

    def known(row: list[int]) -> list[int]:
        if oov_char is None:
            return [word for word in row if skip_top <= word < above]
        return [word if skip_top <= word < above else oov_char for word in row]

    return [known(row) for row in rows], labels


def ragged(rows: Sequence[list[int]]) -> Array:
    """Lists of different lengths as an array of lists."""
    result = np.empty(len(rows), object)
    result[:] = rows
    return result
