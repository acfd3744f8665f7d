"""A vocabulary: terms and their numbers, from data, lists and files, and into files."""

from __future__ import annotations

import itertools
import math
import os
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kerastorch.layers._preprocessing._base import (
    MODES,
    Tabular,
    batches,
    encode,
    is_array,
    without_values,
)

_FILE = "vocabulary.txt"
DROPPED = -1  # in place of a number


class Lookup(Tabular):
    """A vocabulary: the mask (number 0, in mode "int" alone), unknown terms, then the terms."""

    _tokens: tuple[Any, ...] = ()
    _size: int | None  # of the vocabulary with what comes before the terms
    idf_weights: torch.Tensor | None

    def __init__(
        self,
        *,
        max_tokens: int | None,
        num_oov_indices: int,
        mask_token: Any,
        oov_token: Any,
        vocabulary: Any,
        idf_weights: Any,
        invert: bool,
        output_mode: str,
        sparse: bool,
        pad_to_max_tokens: bool,
        salt: Any,
        oov_method: str = "floormod",
        vocabulary_size: int | None = None,
        has_input_vocabulary: bool | None = None,
        name: str | None = None,
        trainable: bool = True,
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        kind = type(self).__name__
        if max_tokens is not None and max_tokens <= 1:
            raise ValueError(f"{kind}: `max_tokens` must be greater than 1, received {max_tokens}.")
        if pad_to_max_tokens and max_tokens is None:
            raise ValueError(f"{kind}: `pad_to_max_tokens=True` needs `max_tokens`.")
        if num_oov_indices < 0:
            raise ValueError(f"{kind}: `num_oov_indices` must be >= 0, received {num_oov_indices}.")
        if oov_method not in ("floormod", "farmhash"):
            raise ValueError(
                f"{kind}: `oov_method` must be 'floormod' or 'farmhash', received {oov_method!r}."
            )
        self._refuse_sparse(sparse)
        self.output_mode = self._mode(output_mode, *MODES)
        if invert and self.output_mode != "int":
            raise ValueError(
                f"{kind}: `invert=True` needs `output_mode` 'int', received {output_mode!r}."
            )
        self.max_tokens, self.num_oov_indices = max_tokens, num_oov_indices
        self.mask_token, self.oov_token = mask_token, oov_token
        self.invert, self.pad_to_max_tokens = invert, pad_to_max_tokens
        self.oov_method, self.salt = oov_method, salt_of(kind, salt)
        self._size = vocabulary_size
        self._reserve_tables()
        self.register_buffer("idf_weights", None)
        self.input_vocabulary: Any = None  # what a configuration holds, instead of a file
        self.input_idf_weights: Any = None
        self._fixed = vocabulary is not None
        if vocabulary is not None:
            self.set_vocabulary(vocabulary, idf_weights)
            if not isinstance(vocabulary, (str, os.PathLike)):
                self.input_vocabulary = self._terms(vocabulary)
                self.input_idf_weights = (
                    None if idf_weights is None else np.asarray(idf_weights).tolist()
                )
        elif idf_weights is not None:
            raise ValueError(f"{kind}: `idf_weights` belong to a `vocabulary`: give both.")
        self.reset_state()
        self.built = True

    # -- the vocabulary ------------------------------------------------------------------------------

    @property
    def _masked(self) -> int:
        """Number of entries for the mask."""
        return int(self.mask_token is not None and self.output_mode == "int")

    @property
    def _start(self) -> int:
        """The number of the first term."""
        return self._masked + self.num_oov_indices

    def _special(self, most: int = 2**62) -> list[Any]:
        """What stands before the terms; of the unknown term at most so many."""
        unknown = min(most, self.num_oov_indices)
        return [self.mask_token] * self._masked + [self.oov_token] * unknown

    def _without_special(self, terms: list[Any]) -> list[Any]:
        """Terms without what may stand before them."""
        start = self._start
        begins = len(terms) >= start and terms[:start] == self._special()
        return terms[start:] if begins else terms

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[Any]:
        """The terms in the order of their numbers, after the mask and the unknown term."""
        return [*(self._special() if include_special_tokens else ()), *self._tokens]

    def vocabulary_size(self) -> int:
        """Number of entries, mask and unknown terms included."""
        return self._start + len(self._tokens)

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Take the terms of a list, an array, or a text file with one a line.

        They may begin with the mask and the unknown term. In mode ``"tf_idf"`` each term needs a weight.
        """
        if (idf_weights is not None) != (self.output_mode == "tf_idf"):
            raise ValueError(
                f"{self._title()}: `idf_weights` go with a vocabulary for `output_mode` 'tf_idf', and "
                f"only then: `output_mode` is {self.output_mode!r}, received {idf_weights!r:.60}."
            )
        terms = self._terms(vocabulary)
        tokens = self._without_special(terms)
        self._check_tokens(terms, tokens)
        weights = None
        if idf_weights is not None:
            weights = np.asarray(idf_weights, "float32")
            if weights.shape != (len(terms),):
                raise ValueError(
                    f"{self._title()}: `idf_weights` must have shape ({len(terms)},), one for each term, "
                    f"received {weights.shape}."
                )
            if len(tokens) == len(terms):
                weights = np.pad(weights, (self._start, 0), constant_values=weights.mean())
        self._install(tokens, weights)
        self.input_vocabulary = self.input_idf_weights = None

    def _check_tokens(self, terms: list[Any], tokens: list[Any]) -> None:
        if not terms:
            raise ValueError(f"{self._title()}: the vocabulary is empty.")
        counts = Counter(tokens)
        if len(counts) < len(tokens):
            twice = [term for term, count in counts.items() if count > 1][:10]
            raise ValueError(f"{self._title()}: the vocabulary has terms more than once: {twice}.")
        reserved = {"mask_token": self.mask_token, "oov_token": self.oov_token}
        for name in ("mask_token", "oov_token") if self.invert else ("mask_token",):
            if reserved[name] is not None and reserved[name] in counts:
                raise ValueError(
                    f"{self._title()}: `{name}` {reserved[name]!r} stands at {terms.index(reserved[name])} "
                    f"in the vocabulary. Leave such terms out, or begin with exactly {self._special(3)}."
                )
        size = self._start + len(tokens)
        if self.max_tokens is not None and size > self.max_tokens:
            raise ValueError(
                f"{self._title()}: the vocabulary has {size} entries, mask and unknown terms included; "
                f"`max_tokens` is {self.max_tokens}."
            )

    def _install(self, tokens: Iterable[Any], weights: Any = None) -> None:
        """Set the terms, and the weights of all entries."""
        tokens = tuple(tokens)
        size = self._start + len(tokens)
        counts = self.output_mode != "int" and not self.pad_to_max_tokens
        if counts and self._nodes and self._size not in (None, size):
            raise ValueError(
                f"{self._title()}: a model was made with its {self._size} entries, and the output of "
                f"{self.output_mode!r} has as many; now there are {size}. Make it with "
                "`pad_to_max_tokens=True`, or adapt it before."
            )
        if weights is not None:
            depth = self.max_tokens if self.max_tokens and self.pad_to_max_tokens else size
            idf = self.add_weight((depth,), "zeros", trainable=False, name="idf_weights")
            with torch.no_grad():
                idf[: len(weights)] = torch.as_tensor(weights)
                idf[len(weights) :] = 0
            self.idf_weights = idf
        self._tokens, self._size = tokens, size
        self._make_tables()

    def _numbers(self) -> dict[Any, int]:
        """The number of each term, and of the mask."""
        numbers = {term: at for at, term in enumerate(self._tokens, self._start)}
        if self.mask_token is not None:
            numbers[self.mask_token] = 0 if self.output_mode == "int" else DROPPED
        return numbers

    # -- what a kind of terms needs ------------------------------------------------------------------

    def _terms(self, vocabulary: Any) -> list[Any]:
        """A vocabulary, or the file of one, as a list."""
        raise NotImplementedError

    def _array(self, data: Any) -> np.ndarray[Any, Any]:
        """Data as an array of terms."""
        raise NotImplementedError

    def _reserve_tables(self) -> None:
        """Make empty buffers, by which the layer knows its device."""

    def _make_tables(self) -> None:
        """Prepare for calls."""
        raise NotImplementedError

    def _indices(self, inputs: Any) -> torch.Tensor:
        """Terms -> numbers."""
        raise NotImplementedError

    def _inverse(self, inputs: Any) -> Any:
        """Numbers -> terms."""
        raise NotImplementedError

    # -- adapt -----------------------------------------------------------------------------------------

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Take the terms from data, the most frequent first, of equal ones the greater.

        `data`: an array or a list, or batches of them in a Dataset, a DataLoader or a generator; at most
        `steps` batches. With `max_tokens` the rest is cut off. What was adapted before is replaced. For
        ``"tf_idf"`` a row is a document, and a term has the weight ``log(1 + documents / (1 + those
        that hold it))``.
        """
        adapt(self, self._array, data, steps)

    def reset_state(self) -> None:
        """Forget what `update_state` has counted."""
        # Not attributes to be tracked: no layer is ever in these dicts.
        self.__dict__.update(_counts=Counter(), _holding=Counter(), _documents=0)

    def update_state(self, data: Any) -> None:
        """Count the terms of a batch."""
        array = self._array(data)
        weighs = self.output_mode == "tf_idf"
        rows = array.reshape(-1, array.shape[-1] if array.ndim else 1) if weighs else array[None]
        self._count(rows.reshape(len(rows), -1).tolist())

    def _count(self, rows: list[Any]) -> None:
        """Count the terms of documents."""
        if self._fixed:
            raise ValueError(
                f"{self._title()}.adapt: the layer was given its `vocabulary`. Make it without, or "
                "use set_vocabulary."
            )
        state = self.__dict__
        state["_counts"].update(itertools.chain.from_iterable(rows))
        if self.output_mode == "tf_idf":
            state["_holding"].update(itertools.chain.from_iterable(map(set, rows)))
            state["_documents"] += len(rows)

    def finalize_state(self) -> None:
        """Set the vocabulary from what was counted."""
        counts, holding, documents = (
            self.__dict__[key] for key in ("_counts", "_holding", "_documents")
        )
        if not counts:
            raise ValueError(f"{self._title()}.adapt: there are no data.")
        for term in (self.mask_token, self.oov_token):
            counts.pop(term, None)
        terms = sorted(counts, key=lambda term: (counts[term], term), reverse=True)
        start = self._start
        if self.max_tokens is not None:
            terms = terms[: max(0, self.max_tokens - start)]
        weights = None
        if self.output_mode == "tf_idf":
            idf = [math.log1p(documents / (1 + holding[term])) for term in terms]
            weights = [sum(idf) / max(1, len(idf))] * start + idf
        self._install(terms, weights)
        self.reset_state()

    # -- calls -----------------------------------------------------------------------------------------

    def call(self, inputs: Any) -> Any:
        """Terms -> numbers, or vectors as `output_mode` says; numbers -> terms if inverted."""
        return self._inverse(inputs) if self.invert else self._encoded(self._indices(inputs))

    def _encoded(self, indices: torch.Tensor) -> torch.Tensor:
        if self.output_mode == "int":
            return indices
        depth = self.max_tokens if self.pad_to_max_tokens else self._size
        if depth is None:
            raise ValueError(_EMPTY)
        weighs = self.output_mode == "tf_idf"
        mode = "count" if weighs else self.output_mode
        output = encode(indices, mode, depth, torch.int64)
        if not weighs:
            return output
        idf = self.idf_weights
        return output.to(self._compute) if idf is None else output.to(idf.dtype) * idf

    def _check_filled(self, inputs: Any) -> bool:
        """Whether there is a table to look into; an error if there should be one."""
        if not self._tokens and not without_values(inputs):
            raise ValueError(_EMPTY)
        return bool(self._tokens)

    # -- files -----------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """The arguments. A vocabulary that came from data or a file is not among them: see `save_assets`."""
        config = super().get_config()
        config.pop("has_input_vocabulary", None)
        live = {"vocabulary": self.input_vocabulary, "idf_weights": self.input_idf_weights}
        return {**config, **live, "vocabulary_size": self._size}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """A layer from what `get_config` gave. It opens no file, whatever the configuration says."""
        refuse_path(config)
        return super().from_config(config)

    def save_own_variables(self, store: Any) -> None:
        """Write the weights of ``"tf_idf"``."""
        if self.idf_weights is not None:
            store["idf_weights"] = self.idf_weights.detach().cpu().numpy()

    def load_own_variables(self, store: Any) -> None:
        """Read what `save_own_variables` wrote."""
        given = {key: tuple(np.shape(store[key])) for key in store}
        idf = self.idf_weights
        own = {} if idf is None else {"idf_weights": tuple(idf.shape)}
        if given != own:
            raise ValueError(
                f"{self._title()}: expected the values {own}, received {given}. The vocabulary must be "
                "there, and be the same."
            )
        if idf is not None:
            with torch.no_grad():
                idf.copy_(torch.as_tensor(store["idf_weights"]))

    def save_assets(self, dir_path: str) -> None:
        """Write the vocabulary into a folder, unless the configuration has it."""
        if self.input_vocabulary is not None:
            return
        vocabulary = [str(term) for term in self.get_vocabulary()]
        text = "\n".join(vocabulary)
        if _lines(text) != vocabulary and self._tokens:
            odd = next((t for t in vocabulary if _lines(t) not in ([t], [])), vocabulary[-1])
            raise ValueError(
                f"{self._title()}: the term {odd!r} cannot stand in a file with one term a line. Give the "
                "vocabulary to the layer as a list, which goes into the configuration."
            )
        Path(dir_path, _FILE).write_bytes(text.encode())

    def load_assets(self, dir_path: str) -> None:
        """Read what `save_assets` wrote. Weights of ``"tf_idf"`` are left to `load_own_variables`."""
        if self.input_vocabulary is not None:
            return
        terms = self._terms(Path(dir_path, _FILE))
        tokens = self._without_special(terms)
        if not tokens:  # a layer that was saved before it was adapted
            return
        self._check_tokens(terms, tokens)
        self._install(tokens, [] if self.output_mode == "tf_idf" else None)


def adapt(
    layer: Any, as_array: Callable[[Any], np.ndarray[Any, Any]], data: Any, steps: int | None
) -> None:
    """Let a layer count what is in `data`: one array, of which an entry or a row is a document, or batches."""
    layer.reset_state()
    if is_array(data):
        array = as_array(data)
        layer.update_state(array[:, None] if array.ndim == 1 else array)
    else:
        for batch in batches(data, steps):
            layer.update_state(batch)
    layer.finalize_state()


_EMPTY = "there is no vocabulary yet: call adapt(data), or give `vocabulary`"


def salt_of(layer: str, salt: Any) -> list[int] | None:
    """A key of two integers, also from one."""
    if salt is None:
        return None
    pair = [salt, salt] if isinstance(salt, int) else list(salt)
    if len(pair) != 2 or not all(isinstance(part, int) and part >= 0 for part in pair):
        raise ValueError(
            f"{layer}: `salt` must be an integer >= 0 or two of them, received {salt!r}."
        )
    return pair


def refuse_path(config: dict[str, Any]) -> None:
    """Raise if the vocabulary of a configuration is the name of a file."""
    vocabulary = config.get("vocabulary")
    if vocabulary is not None and not isinstance(vocabulary, (list, tuple, dict)):
        raise ValueError(
            f"The configuration names the vocabulary {vocabulary!r:.80}. Files outside the archive are "
            "never opened for a configuration: make the layer in code, or load the archive that it came from."
        )


def _lines(text: str) -> list[str]:
    """The terms of a vocabulary file: lines, without empty ones at the end."""
    lines = text.replace("\r\n", "\n").split("\n")
    while lines and not lines[-1]:
        lines.pop()
    return lines


def terms_in(path: Any) -> list[str]:
    """The terms in a file."""
    return _lines(Path(path).read_bytes().decode())
