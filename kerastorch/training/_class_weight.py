"""`class_weight`: a sample weighs what its class weighs."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from kerastorch.data import ArrayBatches, unpack_x_y_sample_weight
from kerastorch.training._outputs import leaves, match


class ClassWeight:
    """Turns class weights into sample weights, by output.

    `given` is ``{class: weight}`` for a model with one output, or ``{output name: {class: weight}}``.
    Classes that are left out weigh 1. Sample weights that are there already are multiplied.
    """

    def __init__(self, given: Any, names: list[str] | None) -> None:
        if not isinstance(given, Mapping) or not given:
            raise TypeError(
                f"`class_weight` must be a dict of class to weight, received {given!r}."
            )
        nested = any(isinstance(value, Mapping) for value in given.values())
        if not nested and names is not None and len(names) > 1:
            raise ValueError(
                f"`class_weight` must say which of the outputs {names} it is for: "
                "{output name: {class: weight}}."
            )
        if nested and names is not None and not given.keys() <= set(names):
            raise ValueError(f"`class_weight` has keys {list(given)}, the outputs are {names}.")
        self.names = names
        self.tables: dict[str | None, torch.Tensor] = (
            {name: _table(weights) for name, weights in given.items()}
            if nested
            else {None: _table(given)}
        )
        self._warned = False

    def check(self, outputs: Sequence[Any]) -> None:
        """Raise if there is a class that `outputs`, where their shapes are known, cannot have."""
        for i, output in enumerate(outputs):
            name = None if None in self.tables else (self.names or [])[i]
            width = output.shape[-1]
            if width is None or name not in self.tables:
                continue
            classes = max(width, 2)  # one unit tells two classes apart
            if len(self.tables[name]) > classes:
                raise ValueError(
                    f"`class_weight` has an entry for class {len(self.tables[name]) - 1}, but an output of "
                    f"shape {tuple(output.shape)} has the classes 0 to {classes - 1}."
                )

    def apply(self, batches: ArrayBatches) -> ArrayBatches:
        """The same arrays with the weights of all rows."""
        return ArrayBatches(self.weigh(batches.whole()), batches.batch_size, batches.shuffle)

    def weigh(self, batch: tuple[Any, ...]) -> tuple[Any, ...]:
        """A batch with its weights."""
        x, y, sample_weight = unpack_x_y_sample_weight(batch)
        if y is None:
            raise ValueError("`class_weight` needs targets: pass `y`.")
        names = self.names or [f"output_{i + 1}" for i in range(len(leaves(y)))]
        if None in self.tables:
            (target,) = match("y", y, names[:1], [True])
            (given,) = match("sample_weight", sample_weight, names[:1], [True])
            return x, y, self._product(None, target, given)
        used = [name in self.tables for name in names]
        targets = match("y", y, names, used)
        weights = match("sample_weight", sample_weight, names, used)
        for i, name in enumerate(names):
            if name in self.tables:
                weights[i] = self._product(name, targets[i], weights[i])
        return x, y, dict(zip(names, weights, strict=True))

    def _product(self, name: str | None, target: torch.Tensor, given: Any) -> torch.Tensor:
        if target.dim() == 2 and target.shape[1] > 1:
            target = target.argmax(-1)  # one-hot
        elif target.dim() == 2:
            target = target.squeeze(-1)
        if target.dim() != 1:
            raise ValueError(
                "`class_weight` needs one class a sample, as a number or one-hot; "
                f"received targets of shape {tuple(target.shape)}. Use `sample_weight`."
            )
        labels = target.long()
        if target.is_floating_point() and bool((labels != target).any()):
            wrong = target[labels != target][0].item()
            raise ValueError(
                f"`class_weight` needs class numbers as targets, received {wrong:g}. For other targets "
                "give each row its weight by `sample_weight`."
            )
        table = self.tables[name].to(labels.device)
        known = (labels >= 0) & (labels < len(table))
        found = table[labels.clamp(0, len(table) - 1)]
        missing = ~known | found.isnan()
        if not self._warned and bool(missing.any()):
            self._warned = True
            classes = labels[missing].unique().tolist()
            warnings.warn(
                f"`class_weight` has no entry for the classes {classes}: they weigh 1.",
                stacklevel=3,
            )
        weight = torch.where(missing, torch.ones_like(found), found)
        return weight if given is None else weight * given.reshape(weight.shape).to(weight.dtype)


def _table(weights: Mapping[Any, Any]) -> torch.Tensor:
    """Weights by class number, NaN where there is none."""
    for key, value in weights.items():
        if isinstance(key, bool) or not hasattr(key, "__index__") or int(key) < 0:
            raise ValueError(
                f"`class_weight` must have class numbers 0, 1, ... as keys, received {key!r}."
            )
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
            raise ValueError(
                f"`class_weight` must have numbers >= 0 as values, received {value!r} for class {key}."
            )
    table = torch.full((max(map(int, weights)) + 1,), torch.nan)
    for key, value in weights.items():
        table[int(key)] = value
    return table
