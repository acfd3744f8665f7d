"""`IntegerLookup` and `StringLookup`: terms as their numbers in a vocabulary, or back."""

from __future__ import annotations

import itertools
import os
from typing import Any

import numpy as np
import torch

from kerastorch.layers._layer import registry
from kerastorch.layers._preprocessing._base import Tabular, Textual, without_values
from kerastorch.layers._preprocessing._hash import buckets
from kerastorch.layers._preprocessing._vocabulary import Lookup, terms_in

_UNKNOWN = -2  # in place of a number
_NOT_THERE = (
    "are not in the vocabulary, and `num_oov_indices` is 0: with 1 they get a number of their own"
)


class IntegerLookup(Lookup):
    """Integers as their numbers in a vocabulary: 0 for the mask, then unknown ones, then the terms.

    Args:
        max_tokens: most entries of the vocabulary, mask and unknown ones included.
        num_oov_indices: how many numbers are for integers that are not in the vocabulary. If there are
            several, an integer goes by its remainder; with none, such integers are an error.
        mask_token: an integer that means "nothing here": number 0, or left out where `output_mode` is
            not ``"int"``.
        oov_token: what unknown numbers become if `invert`.
        vocabulary: the integers, or the name of a file with one a line; else `adapt` finds them.
        idf_weights: a weight for each term, for ``"tf_idf"``.
        invert: numbers to integers.
        output_mode: ``"int"``; ``"one_hot"``, ``"multi_hot"``, ``"count"`` as in `CategoryEncoding`;
            ``"tf_idf"``: counts times weights.
        pad_to_max_tokens: vectors are as long as `max_tokens`, however many terms there are.
        oov_method: ``"farmhash"`` spreads unknown integers by FarmHash64, or SipHash with `salt`, of
            their digits.

    >>> import kerastorch as keras
    >>> keras.layers.IntegerLookup(vocabulary=[12, 36, 1138])([[12, 1138], [7, 36]])
    tensor([[1, 3],
            [0, 2]])
    """

    _reads = "int64"
    _keys: torch.Tensor
    _places: torch.Tensor
    _entries: torch.Tensor

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: int | None = None,
        oov_token: int | None = -1,
        vocabulary: Any = None,
        vocabulary_dtype: str = "int64",
        idf_weights: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        sparse: bool = False,
        pad_to_max_tokens: bool = False,
        oov_method: str = "floormod",
        salt: Any = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if vocabulary_dtype != "int64":
            raise ValueError(
                f"IntegerLookup: `vocabulary_dtype` must be 'int64', received {vocabulary_dtype!r}."
            )
        if salt is not None and oov_method != "farmhash":
            raise ValueError(
                f"IntegerLookup: `salt` needs `oov_method` 'farmhash', received {oov_method!r}."
            )
        super().__init__(
            max_tokens=max_tokens,
            num_oov_indices=num_oov_indices,
            mask_token=mask_token,
            oov_token=oov_token,
            vocabulary=vocabulary,
            idf_weights=idf_weights,
            invert=invert,
            output_mode=output_mode,
            sparse=sparse,
            pad_to_max_tokens=pad_to_max_tokens,
            oov_method=oov_method,
            salt=salt,
            name=name,
            **kwargs,
        )

    def _terms(self, vocabulary: Any) -> list[Any]:
        if isinstance(vocabulary, (str, os.PathLike)):
            return [int(line) for line in terms_in(vocabulary)]
        return self._array(vocabulary).reshape(-1).tolist()

    def _array(self, data: Any) -> np.ndarray[Any, Any]:
        array = np.asarray(data.detach().cpu() if isinstance(data, torch.Tensor) else data)
        if array.size and array.dtype.kind not in "biu":
            raise TypeError(
                f"{self._title()}: expected integers, received {array.dtype}. Text is for StringLookup."
            )
        return array.astype(np.int64)

    def _reserve_tables(self) -> None:
        for name in ("_keys", "_places", "_entries"):
            self.register_buffer(name, torch.empty(0, dtype=torch.int64), persistent=False)

    def _make_tables(self) -> None:
        numbers = sorted(self._numbers().items())
        device = self._keys.device
        self._keys = torch.tensor([term for term, _ in numbers], device=device)
        self._places = torch.tensor([number for _, number in numbers], device=device)
        self._entries = torch.tensor(self.get_vocabulary() if self.invert else [0], device=device)

    def _indices(self, inputs: torch.Tensor) -> torch.Tensor:
        if not self._check_filled(inputs):
            return torch.empty_like(inputs, dtype=torch.int64)
        terms = inputs.long().contiguous()
        at = torch.searchsorted(self._keys, terms).clamp(max=len(self._keys) - 1)
        known = self._keys[at] == terms
        return torch.where(known, self._places[at], self._unknown_numbers(terms, known))

    def _unknown_numbers(self, terms: torch.Tensor, known: torch.Tensor) -> Any:
        start, count = self._masked, self.num_oov_indices
        if count == 0:
            torch._assert_async(known.all(), f"integers {_NOT_THERE}")
        if count <= 1:
            return torch.full_like(terms, start)
        if self.oov_method == "floormod":
            return terms.remainder(count) + start
        if terms.is_meta:
            return torch.empty_like(terms)
        hashed = buckets(map(str, terms.reshape(-1).tolist()), count, self.salt)
        return torch.as_tensor(hashed, device=terms.device).reshape(terms.shape) + start

    def _inverse(self, inputs: torch.Tensor) -> torch.Tensor:
        if not self._check_filled(inputs):
            return torch.empty_like(inputs, dtype=torch.int64)
        numbers, size = inputs.long(), len(self._entries)
        inside = (numbers >= 0) & (numbers < size)
        return torch.where(inside, self._entries[numbers.clamp(0, size - 1)], self.oov_token)


class StringLookup(Textual, Lookup):
    """Text as its numbers in a vocabulary: 0 for the mask, then unknown ones, then the terms.

    torch has no tensors of text: give a string, lists of them, or a NumPy array; the result is a tensor,
    or with `invert` an array of strings. Map a data set by it, ``dataset.map(layer)``, or begin a model
    with ``Input(shape, dtype="string")``.

    The arguments are those of `IntegerLookup`; `encoding` is that of bytes. Unknown text is spread over
    several numbers by FarmHash64, or SipHash with `salt`.

    >>> import kerastorch as keras
    >>> layer = keras.layers.StringLookup(vocabulary=["a", "b", "c"])
    >>> layer([["a", "c"], ["d", "b"]])
    tensor([[1, 3],
            [0, 2]])
    >>> keras.layers.StringLookup(vocabulary=["a", "b", "c"], invert=True)([1, 3]).tolist()
    ['a', 'c']
    """

    _here: torch.Tensor

    @property
    def _reads(self) -> str:  # type: ignore[override]
        return "int64" if self.invert else "string"

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: str | None = None,
        oov_token: str | None = "[UNK]",
        vocabulary: Any = None,
        idf_weights: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        pad_to_max_tokens: bool = False,
        sparse: bool = False,
        encoding: str = "utf-8",
        name: str | None = None,
        salt: Any = None,
        **kwargs: Any,
    ) -> None:
        self.__dict__["encoding"] = encoding
        super().__init__(
            max_tokens=max_tokens,
            num_oov_indices=num_oov_indices,
            mask_token=mask_token,
            oov_token=oov_token,
            vocabulary=vocabulary,
            idf_weights=idf_weights,
            invert=invert,
            output_mode=output_mode,
            sparse=sparse,
            pad_to_max_tokens=pad_to_max_tokens,
            salt=salt,
            name=name,
            **kwargs,
        )

    def _convert(self, value: Any) -> Any:
        return Tabular._convert(self, value) if self.invert else super()._convert(value)

    def _terms(self, vocabulary: Any) -> list[Any]:
        if isinstance(vocabulary, (str, os.PathLike)):
            return list(terms_in(vocabulary))
        return self._strings(vocabulary).reshape(-1).tolist()

    def _array(self, data: Any) -> np.ndarray[Any, Any]:
        return self._strings(data)

    def _reserve_tables(self) -> None:
        self.register_buffer("_here", torch.empty(0), persistent=False)

    def _make_tables(self) -> None:
        self.__dict__["_table"] = self._numbers()
        if self.invert:
            entries = [*self.get_vocabulary(), self.oov_token]
            self.__dict__["_entries"] = np.array(entries, object)

    def _indices(self, inputs: Any) -> torch.Tensor:
        if not self._check_filled(inputs) or without_values(inputs):
            return torch.empty_like(inputs, dtype=torch.int64)
        text = self._strings(inputs)
        numbers = self._look_up(text.ravel().tolist()).reshape(text.shape)
        return torch.as_tensor(numbers, device=self._here.device)

    def _look_up(self, terms: list[str]) -> np.ndarray[Any, Any]:
        found = map(self.__dict__["_table"].get, terms, itertools.repeat(_UNKNOWN))
        numbers = np.fromiter(found, np.int64, len(terms))
        unknown = np.flatnonzero(numbers == _UNKNOWN)
        if unknown.size:
            start, count = self._masked, self.num_oov_indices
            if count == 0:
                raise ValueError(f"{[terms[at] for at in unknown[:5]]} {_NOT_THERE}")
            hashed = buckets((terms[at] for at in unknown), count, self.salt) if count > 1 else 0
            numbers[unknown] = hashed + start
        return numbers

    def _inverse(self, inputs: torch.Tensor) -> Any:
        if not self._check_filled(inputs) or inputs.is_meta:
            return torch.empty_like(inputs)
        entries = self.__dict__["_entries"]
        numbers = inputs.detach().cpu().long().numpy()
        inside = (numbers >= 0) & (numbers < len(entries) - 1)
        return entries[np.where(inside, numbers, len(entries) - 1)]


registry.add(IntegerLookup, StringLookup)
