"""Calls of layers whose Keras twins need TensorFlow, and what Keras with TensorFlow gives for them.

`preprocessing_expected.json` beside this file was made by Keras 3.15.1 with TensorFlow 2.21:

    KERAS_BACKEND=tensorflow python tests/layers/preprocessing_cases.py > tests/layers/preprocessing_expected.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np

WORDS = [["a", "b", "", "c"], ["a", "zz", "é", "a"], ["c", "a", "[UNK]", "日本"]]
NUMBERS = [[5, 7, 0, 9], [5, 100, -4, 5], [9, 5, -1, 2**40]]
NEW_WORDS = [["zz", "a", "", "q"], ["c", "c", "c", "日本"], ["w", "e", "r", "é"]]
NEW_NUMBERS = [[100, 5, 0, 1], [9, 9, 9, 2**40], [-5, 6, -4, -1]]
TEXTS = [
    "The cat, sat\ton the  MAT!",
    "",
    "a cat's é É-x\u00a0y THE the",
    "mat mat\nmat",
]
SHORT_AND_LONG = ["A", "bcde", "", "é", "eight or more", "a text longer than sixteen", "x" * 70]
#: A hash with so many buckets that next to all of it is seen.
MANY = 2**53

Call = Callable[[Any], Any]


def adapted(layer: str, data: Any, new: Any, **config: Any) -> Call:
    """The vocabulary that a layer finds in data, and what it makes of other data."""

    def call(layers: Any) -> Any:
        made = getattr(layers, layer)(**config)
        made.adapt(data)
        return [made.get_vocabulary(), made(new)]

    return call


def given(layer: str, data: Any, **config: Any) -> Call:
    """What a layer makes of data."""
    return lambda layers: getattr(layers, layer)(**config)(data)


def _calls() -> Iterator[tuple[str, Call]]:
    modes = ("int", "one_hot", "multi_hot", "count", "tf_idf")
    sizes: tuple[dict[str, Any], ...] = (
        {},
        {"max_tokens": 5},
        {"max_tokens": 20, "pad_to_max_tokens": True},
    )
    for at, (mode, oov, size) in enumerate(product(modes, (1, 3), sizes)):
        if mode == "int" and "pad_to_max_tokens" in size:
            continue
        config: dict[str, Any] = {"output_mode": mode, "num_oov_indices": oov, **size}
        masks = ("", 0) if at % 2 else (None, None)
        label = f"{mode} oov={oov} {' '.join(size)}"
        words = adapted("StringLookup", WORDS, NEW_WORDS, mask_token=masks[0], **config)
        numbers = adapted("IntegerLookup", NUMBERS, NEW_NUMBERS, mask_token=masks[1], **config)
        yield f"StringLookup {label}", words
        yield f"IntegerLookup {label}", numbers

    ab: dict[str, Any] = {"vocabulary": ["a", "b"]}
    yield "a row", given("StringLookup", ["b", "c"], **ab)
    yield "a row as one sample", given("StringLookup", ["b", "c"], output_mode="multi_hot", **ab)
    yield "a column", given("StringLookup", [["b"], ["c"]], output_mode="one_hot", **ab)
    yield "nothing unknown", given("StringLookup", [["b"], ["a"]], num_oov_indices=0, **ab)
    unknown = [["b", "c", "d", "e", "f"]]
    yield "salt", given("StringLookup", unknown, num_oov_indices=5, salt=[3, 4], **ab)
    config = {"vocabulary": [1, 2], "num_oov_indices": 5, "oov_method": "farmhash"}
    yield "integers by a hash", given("IntegerLookup", [[1, 4, 5, -6, 7]], **config)
    yield "integers by SipHash", given("IntegerLookup", [[1, 4, 5, -6, 7]], salt=9, **config)
    config = {"vocabulary": [10, 20], "mask_token": 0, "invert": True}
    yield "inverse of integers", given("IntegerLookup", [[0, 1, 2, 3, 4, -1]], **config)
    config = {**ab, "mask_token": "", "invert": True}
    yield "inverse of words", given("StringLookup", [0, 1, 2, 3, 4], **config)
    config = {"vocabulary": ["", "[UNK]", "x"], "mask_token": ""}
    yield "special terms given", given("StringLookup", ["x", ""], **config)
    config = {"vocabulary": ["x", "y"], "idf_weights": [0.5, 0.25], "output_mode": "tf_idf"}
    yield "weights given", given("StringLookup", [["x", "x", "q"]], **config)
    config |= {"max_tokens": 5, "pad_to_max_tokens": True}
    yield "weights padded", given("StringLookup", [["x", "x", "q"]], **config)

    new = [[text] for text in [*TEXTS, "cat dog mat the"]]
    options: tuple[dict[str, Any], ...] = (
        *({"standardize": kind} for kind in (None, "lower", "strip_punctuation")),
        *({"split": kind} for kind in ("character", None)),
        *({"ngrams": widths} for widths in (2, (3, 2))),
        {"split": None, "ngrams": 2},
        {"max_tokens": 6},
        {"output_sequence_length": 3},
        {"output_sequence_length": 12},
    )
    for option in options:
        label = " ".join(f"{key}={value}" for key, value in option.items())
        yield f"TextVectorization {label}", adapted("TextVectorization", TEXTS, new, **option)
    for mode in ("multi_hot", "count", "tf_idf"):
        call = adapted("TextVectorization", TEXTS, new, output_mode=mode)
        yield f"TextVectorization {mode}", call
    yield "texts in a row", given("TextVectorization", ["a c b", "b"], **ab)
    yield "one text", given("TextVectorization", "a c b", **ab)
    table = [["a", "c"], ["b", "a"]]
    yield "words in rows", given("TextVectorization", table, split=None, **ab)
    config = {"split": None, "output_sequence_length": 3}
    yield "words in longer rows", given("TextVectorization", table, **config, **ab)

    for text in SHORT_AND_LONG:
        yield f"FarmHash {text[:9]}", given("Hashing", [text], num_bins=MANY)
        yield f"SipHash {text[:9]}", given("Hashing", [text], num_bins=MANY, salt=[7, 2**40])
    column = [[text] for text in SHORT_AND_LONG]
    for mode in ("int", "one_hot", "multi_hot", "count"):
        hashed = given("Hashing", column, num_bins=5, mask_value="", salt=3, output_mode=mode)
        yield f"Hashing {mode}", hashed
    integers = np.array([[1, -2], [3, 2**40]])
    yield "Hashing integers", given("Hashing", integers, num_bins=1000)
    yield "Hashing with a mask", given("Hashing", integers, num_bins=10, mask_value=3)
    left, right = np.array([[5], [-7], [2**40]]), np.array([["x"], ["yy"], ["é"]])
    yield "crossing", given("HashedCrossing", (left, right), num_bins=MANY)
    config = {"num_bins": 3, "output_mode": "one_hot"}
    yield (
        "crossing of three",
        given("HashedCrossing", (left[:, 0], right[:, 0], left[:, 0]), **config),
    )
    yield "crossing of scalars", given("HashedCrossing", (np.array(5), np.array("x")), num_bins=9)


CALLS = dict(_calls())


def plain(value: Any) -> Any:
    """A result as JSON would have it; floats by 5 digits."""
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return value.decode()
    if hasattr(value, "numpy") or hasattr(value, "tolist"):
        return plain(np.asarray(value).tolist())
    return round(value, 5) if isinstance(value, float) else value


if __name__ == "__main__":
    from keras import layers

    results = {label: plain(call(layers)) for label, call in CALLS.items()}
    dumps = json.JSONEncoder(separators=(",", ":")).encode
    rows = [f"{dumps(key)}: {dumps(row)}" for key, row in results.items()]
    sys.stdout.write("{\n" + ",\n".join(rows) + "\n}\n")
