"""11,228 news of Reuters, 1987, as ranks of words, in 46 topics."""

from __future__ import annotations

import numpy as np

from kerastorch.datasets._fetch import Split, arrays, encoded, mixed, ragged, split, words

_SHA256 = "d6586e694ee56d7a4e65172e12b3e987c03096cb01eab99753921ef915959916"
_WORDS_MD5 = "4d44cc38712099c9e383dc6e5f11a921"
_LABELS = """
    cocoa grain veg-oil earn acq wheat copper housing money-supply coffee sugar trade reserves ship cotton carcass
    crude nat-gas cpi money-fx interest gnp meal-feed alum oilseed gold tin strategic-metal livestock retail ipi
    iron-steel rubber heat jobs lei bop zinc orange pet-chem dlr gas silver wpi hog lead
"""


def load_data(
    path: str = "reuters.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    test_split: float = 0.2,
    seed: int = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int | None = 3,
) -> tuple[Split, Split]:
    """``(x_train, y_train), (x_test, y_test)``: arrays of lists of integers, and of topics from 0 to 45.

    Args:
        path: the name in the cache.
        test_split: the fraction for tests.
        num_words: only words of a smaller number; all when left out.
        skip_top: only words of this number or larger ones.
        maxlen: only texts that are shorter.
        seed: of the order of the texts.
        start_char: stands before each text; None for nothing.
        oov_char: stands for the words that are left out; None for nothing.
        index_from: added to the ranks of words.
    """
    data = arrays(path, "reuters.npz", _SHA256)
    x, y = mixed(np.random.RandomState(seed), data["x"], data["y"])
    kept, y = encoded(x, y, num_words, skip_top, maxlen, start_char, oov_char, index_from)
    return split(ragged(kept), y, test_split)


def get_word_index(path: str = "reuters_word_index.json") -> dict[str, int]:
    """The rank of each word, from 1; `load_data` adds its `index_from`."""
    return words(path, "reuters_word_index.json", _WORDS_MD5)


def get_label_names() -> tuple[str, ...]:
    """The names of the topics.

    >>> import kerastorch as keras
    >>> keras.datasets.reuters.get_label_names()[:3]
    ('cocoa', 'grain', 'veg-oil')
    """
    return tuple(_LABELS.split())
