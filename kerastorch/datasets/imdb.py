"""50,000 reviews of films as ranks of words: good (1) or bad (0). Maas et al., 2011."""

from __future__ import annotations

import numpy as np

from kerastorch.datasets._fetch import Split, arrays, encoded, mixed, ragged, words

_SHA256 = "69664113be75683a8fe16e3ed0ab59fda8886cb3cd7ada244f7d9544e4676b9f"
_WORDS_MD5 = "bfafd718b763782e994055a2d397834f"


def load_data(
    path: str = "imdb.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    seed: int = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int | None = 3,
) -> tuple[Split, Split]:
    """``(x_train, y_train), (x_test, y_test)``: arrays of 25,000 lists of integers, and of 0 or 1.

    Args:
        path: the name in the cache.
        num_words: only words of a smaller number; all when left out.
        skip_top: only words of this number or larger ones.
        maxlen: only texts that are shorter.
        seed: of the order of the texts.
        start_char: stands before each text; None for nothing.
        oov_char: stands for the words that are left out; None for nothing.
        index_from: added to the ranks of words.
    """
    data, draws = arrays(path, "imdb.npz", _SHA256), np.random.RandomState(seed)
    parts = []
    for name in ("train", "test"):
        x, y = mixed(draws, data[f"x_{name}"], data[f"y_{name}"])
        kept, y = encoded(x, y, num_words, skip_top, maxlen, start_char, oov_char, index_from)
        parts.append((ragged(kept), y))
    return parts[0], parts[1]


def get_word_index(path: str = "imdb_word_index.json") -> dict[str, int]:
    """The rank of each word, from 1; `load_data` adds its `index_from`."""
    return words(path, "imdb_word_index.json", _WORDS_MD5)
