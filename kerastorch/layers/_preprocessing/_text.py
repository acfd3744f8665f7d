"""`TextVectorization`: text to the numbers of its words."""

from __future__ import annotations

import re
import string
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from kerastorch.layers._layer import registry
from kerastorch.layers._preprocessing._base import MODES, Textual, without_values
from kerastorch.layers._preprocessing._lookup import StringLookup
from kerastorch.layers._preprocessing._vocabulary import DROPPED, adapt, refuse_path

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
#: TensorFlow's rules: ASCII letters, ASCII punctuation.
_STANDARDS: dict[str, dict[int, Any]] = {
    "lower": _LOWER,
    "strip_punctuation": _PUNCTUATION,
    "lower_and_strip_punctuation": {**_LOWER, **_PUNCTUATION},
}
#: ASCII white space alone ends a word, also TensorFlow's rule.
_SPLITS: dict[str, Callable[[str], list[str]]] = {
    "whitespace": re.compile(r"[^ \t\n\r\f\v]+").findall,
    "character": list,
}
#: Arguments found in configurations that are the lookup's.
_INNER = ("vocabulary_size", "has_input_vocabulary")


class TextVectorization(Textual):
    """Text -> words -> numbers of a vocabulary: 0 is padding, 1 an unknown word, then the words.

    Args:
        max_tokens: most entries of the vocabulary, padding and the unknown word included.
        standardize: ``"lower_and_strip_punctuation"``, ``"lower"``, ``"strip_punctuation"`` (of ASCII
            alone), None, or a function from an array of text to one of the same shape.
        split: ``"whitespace"``, ``"character"``, None, or a function from an array of text to a list of
            words for each.
        ngrams: also sequences of up to so many words, joined by spaces, or of the lengths in a tuple.
        output_mode: ``"int"``: (B,) or (B, 1) -> (B, words), shorter rows padded with 0; ``"multi_hot"``,
            ``"count"``, ``"tf_idf"``: -> (B, vocabulary size), see `StringLookup`.
        output_sequence_length: number of words, cut or padded, for mode ``"int"``.
        pad_to_max_tokens: vectors are as long as `max_tokens`.
        vocabulary: the words, or the name of a file with one a line; else `adapt` finds them.
        idf_weights: a weight for each word, for ``"tf_idf"``.
        encoding: of bytes.

    A function for `standardize` or `split` is saved by name: register it, see
    `kerastorch.saving.register_keras_serializable`.

    >>> import kerastorch as keras
    >>> layer = keras.layers.TextVectorization(output_sequence_length=4)
    >>> layer.adapt(["foo bar", "bar baz", "baz bada boom"])
    >>> layer(["Foo, qux: bar!", "qux baz"])
    tensor([[4, 1, 3, 0],
            [1, 2, 0, 0]])
    """

    def __init__(
        self,
        max_tokens: int | None = None,
        standardize: Any = "lower_and_strip_punctuation",
        split: Any = "whitespace",
        ngrams: Any = None,
        output_mode: str = "int",
        output_sequence_length: int | None = None,
        pad_to_max_tokens: bool = False,
        vocabulary: Any = None,
        idf_weights: Any = None,
        sparse: bool = False,
        ragged: bool = False,
        encoding: str = "utf-8",
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        inner = {key: kwargs.pop(key) for key in _INNER if key in kwargs}
        super().__init__(name=name, **kwargs)
        for what, value, known in (
            ("standardize", standardize, _STANDARDS),
            ("split", split, _SPLITS),
        ):
            if value is not None and value not in known and not callable(value):
                raise ValueError(
                    f"TextVectorization: `{what}` must be one of {list(known)}, None or a function, "
                    f"received {value!r}."
                )
        if ragged:
            raise NotImplementedError(
                "TextVectorization: `ragged=True` is not supported: torch pads. Number 0 is the padding."
            )
        widths = (ngrams,) if isinstance(ngrams, int) else ngrams
        if widths is not None and not (
            widths and all(isinstance(n, int) and n > 0 for n in widths)
        ):
            raise ValueError(
                f"TextVectorization: `ngrams` must be a positive integer or a tuple of them, received {ngrams!r}."
            )
        length = output_sequence_length
        if length is not None and (output_mode != "int" or not isinstance(length, int)):
            raise ValueError(
                "TextVectorization: `output_sequence_length` must be an integer, and for `output_mode` 'int', "
                f"received {length!r} and {output_mode!r}."
            )
        self.standardize, self.split, self.ngrams = standardize, split, ngrams
        self.output_sequence_length, self.encoding = length, encoding
        self._lookup_layer = StringLookup(
            max_tokens=max_tokens,
            vocabulary=vocabulary,
            idf_weights=idf_weights,
            pad_to_max_tokens=pad_to_max_tokens,
            mask_token="",
            output_mode=self._mode(output_mode, *MODES),
            sparse=sparse,
            encoding=encoding,
            **inner,
        )
        self.output_mode = self._lookup_layer.output_mode
        self.built = True

    # -- the vocabulary ------------------------------------------------------------------------------

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[str]:
        """The words in the order of their numbers, after padding and the unknown word."""
        return self._lookup_layer.get_vocabulary(include_special_tokens)

    def vocabulary_size(self) -> int:
        """Number of entries, padding and the unknown word included."""
        return self._lookup_layer.vocabulary_size()

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Take the words of a list, an array, or a text file with one a line."""
        self._lookup_layer.set_vocabulary(vocabulary, idf_weights)

    def adapt(self, data: Any, batch_size: int | None = None, steps: int | None = None) -> None:
        """Take the words from texts: a list or an array, or batches of them; see `StringLookup`."""
        adapt(self, self._strings, data, steps)

    def reset_state(self) -> None:
        """Forget what `update_state` has counted."""
        self._lookup_layer.reset_state()

    def update_state(self, data: Any) -> None:
        """Count the words of a batch of texts."""
        self._lookup_layer._count(self._words(self._strings(data))[0])

    def finalize_state(self) -> None:
        """Set the vocabulary from what was counted."""
        self._lookup_layer.finalize_state()

    # -- calls -----------------------------------------------------------------------------------------

    def call(self, inputs: Any) -> torch.Tensor:
        """Texts (B,) or (B, 1) -> (B, words) int64, or (B, vocabulary size)."""
        lookup = self._lookup_layer
        if not lookup._check_filled(inputs) or without_values(inputs):
            return lookup._encoded(inputs.new_empty(self._shape(inputs), dtype=torch.int64))
        rows, lead = self._words(self._strings(inputs))
        sizes = np.array([len(row) for row in rows], np.int64)
        numbers = lookup._look_up([word for row in rows for word in row])
        width = int(sizes.max(initial=0))
        padding = 0 if self.output_mode == "int" else DROPPED
        table = np.full((len(rows), width), padding, np.int64)
        table[np.arange(width) < sizes[:, None]] = numbers
        length = self.output_sequence_length
        if length is not None:
            table = np.pad(table[:, :length], ((0, 0), (0, max(0, length - width))))
        table = table.reshape(*lead, table.shape[1])
        return lookup._encoded(torch.as_tensor(table, device=lookup._here.device))

    def _words(self, texts: np.ndarray[Any, Any]) -> tuple[list[list[str]], tuple[int, ...]]:
        """The words of each text, and the shape of the texts."""
        standard = self.standardize
        if callable(standard):
            texts = self._strings(standard(texts.astype(str)))
        if self.split is None:
            rows, lead = texts.reshape(-1, texts.shape[-1] if texts.ndim else 1), texts.shape[:-1]
            words = [[self._standard(word) for word in row] for row in rows.tolist()]
        else:
            lead = self._lead(texts.shape)
            flat = [self._standard(text) for text in texts.ravel().tolist()]
            words = self._split(flat)
        return [self._joined(row) for row in words], lead

    def _standard(self, text: str) -> str:
        table = _STANDARDS.get(self.standardize) if isinstance(self.standardize, str) else None
        return text.translate(table) if table else text

    def _split(self, texts: list[str]) -> list[list[str]]:
        if not callable(self.split):
            return [_SPLITS[self.split](text) for text in texts]
        rows = self.split(np.array(texts, str))
        return [self._strings(list(row)).tolist() for row in rows]

    def _joined(self, words: list[str]) -> list[str]:
        """The words, or sequences of them."""
        ngrams = self.ngrams
        if ngrams is None:
            return words
        widths = range(1, min(ngrams, len(words)) + 1) if isinstance(ngrams, int) else ngrams
        return [
            " ".join(words[at : at + width])
            for width in widths
            for at in range(len(words) - width + 1)
        ]

    def _lead(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(shape) > 1 and shape[-1] != 1:
            raise ValueError(
                "texts to be split must have one axis, or a last axis of size 1; split=None takes words"
            )
        return shape[:-1] if len(shape) > 1 else shape

    def _shape(self, inputs: torch.Tensor) -> tuple[int, ...]:
        """The shape of the numbers for symbolic texts; an unknown length is made to look like the batch."""
        lead = inputs.shape[:-1] if self.split is None else self._lead(tuple(inputs.shape))
        unknown = inputs.shape[-1 if self.split is None else 0] if inputs.dim() else 1
        return (
            *lead,
            unknown if self.output_sequence_length is None else self.output_sequence_length,
        )

    # -- files -----------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """The arguments. A vocabulary that came from data or a file is not among them: see `save_assets`."""
        inner = self._lookup_layer.get_config()
        live = {key: inner[key] for key in ("vocabulary", "idf_weights", "vocabulary_size")}
        config = {**super().get_config(), **live}
        config.pop("has_input_vocabulary", None)
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """A layer from what `get_config` gave. It opens no file, whatever the configuration says."""
        refuse_path(config)
        return super().from_config(config)

    def save_own_variables(self, store: Any) -> None:
        """Write the weights of ``"tf_idf"``."""
        self._lookup_layer.save_own_variables(store)

    def load_own_variables(self, store: Any) -> None:
        """Read what `save_own_variables` wrote."""
        self._lookup_layer.load_own_variables(store)

    def save_assets(self, dir_path: str) -> None:
        """Write the vocabulary into a folder, unless the configuration has it."""
        self._lookup_layer.save_assets(dir_path)

    def load_assets(self, dir_path: str) -> None:
        """Read what `save_assets` wrote."""
        self._lookup_layer.load_assets(dir_path)


registry.add(TextVectorization)
