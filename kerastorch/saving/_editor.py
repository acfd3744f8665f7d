"""Looking into files with weights, and changing them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kerastorch.saving._archive import Archive
from kerastorch.saving._durable import replacing
from kerastorch.saving._h5 import H5Reader, H5Writer
from kerastorch.saving._shards import ShardedReader
from kerastorch.saving._tree import entries
from kerastorch.saving._weights import table_of

_ENDS = (".keras", ".weights.h5", ".weights.json")
#: Objects and weights by name: ``{"layers": {"dense": {"0": kernel, "1": bias}}}``.
Nest = dict[str, Any]


class KerasFileEditor:
    """The weights of a ``.keras``, ``.weights.h5`` or ``.weights.json`` file, to look at, change and save.

    `weights_dict` has the arrays by object: ``weights_dict["layers"]["dense"]["0"]``; `config` and
    `metadata` are those of a ``.keras`` file, else None. Nothing of a file is run, and one that was made
    to do harm is refused as `load_weights` does. An object goes by its path or, where there is one of
    that name only, by its name. Keras: ``keras.saving.KerasFileEditor``.

    >>> import os, tempfile, kerastorch as keras
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    >>> path = os.path.join(tempfile.mkdtemp(), "model.weights.h5")
    >>> model.save_weights(path)
    >>> editor = KerasFileEditor(path)
    >>> editor.rename_object("dense", "logits")
    >>> editor.weights_dict["layers"]["logits"]["0"].shape
    (3, 2)
    >>> editor.save(path)
    """

    def __init__(self, filepath: str | os.PathLike[str]) -> None:
        self.filepath = os.fspath(filepath)
        self.config: dict[str, Any] | None = None
        self.metadata: dict[str, Any] | None = None
        self.weights_dict: Nest = {}
        if not self.filepath.endswith(_ENDS):
            raise ValueError(
                f"KerasFileEditor: expected a file {', '.join(_ENDS)}, received {self.filepath!r}."
            )
        with self._reader() as reader:
            for stored in reader:
                path, found, key = f"/{stored}".rpartition("/vars/")
                if not found or "/" in key:
                    raise ValueError(f"{reader.title}: {stored} is not at a place of Keras 3.")
                owner = self.weights_dict
                for name in path.split("/")[1:]:
                    owner = owner.setdefault(name, {})
                    if not isinstance(owner, dict):
                        raise ValueError(f"{reader.title}: {path} is an object and a weight.")
                value = reader.read(path[1:], key)
                if key in owner:
                    raise ValueError(f"{reader.title}: {path}/{key} is an object and a weight.")
                owner[key] = value if value.dtype is torch.bfloat16 else value.numpy()

    @contextlib.contextmanager
    def _reader(self) -> Iterator[H5Reader | ShardedReader]:
        path = Path(self.filepath)
        if path.suffix == ".json":
            with ShardedReader(path) as shards:
                yield shards
            return
        with open(path, "rb") as file:
            content: Any = file
            if path.suffix == ".keras":
                archive = Archive(file, repr(str(path)))
                self.config, self.metadata = archive.config(), archive.metadata()
                content = archive.weights()
            size = content.seek(0, os.SEEK_END)
            content.seek(0)
            with H5Reader(content, size, repr(str(path))) as reader:
                yield reader

    # -- looking -----------------------------------------------------------------------------------

    def summary(self) -> None:
        """Print the objects, and shape and dtype of their weights."""
        from rich.console import Console
        from rich.text import Text
        from rich.tree import Tree

        title = f"Keras model file {self.filepath!r}"
        if self.metadata:
            title += (
                f", Keras {self.metadata.get('keras_version')}, {self.metadata.get('date_saved')}"
            )

        def add(tree: Tree, nest: Nest) -> Tree:
            for name, value in nest.items():
                shown = name if name.isprintable() else repr(name)
                if isinstance(value, dict):
                    add(tree.add(Text(shown, "bold")), value)
                else:
                    tree.add(Text(f"{shown}: shape={tuple(value.shape)}, dtype={_dtype(value)}"))
            return tree

        Console(highlight=False).print(add(Tree(Text(title)), self.weights_dict))

    def compare(self, reference_model: Any) -> dict[str, Any]:
        """Print what differs from the weights of a model, and count it.

        Gives ``{"status": "success" or "error", "error_count": ..., "match_count": ...}``: objects or
        weights that only one side has, and those of other shapes, against weights that fit.
        """
        optimizer = getattr(reference_model, "optimizer", None)
        if "optimizer" not in self.weights_dict or not getattr(optimizer, "built", False):
            optimizer = None
        theirs: Nest = {}
        for entry, pairs in table_of(entries(reference_model, optimizer)):
            owner = theirs
            if pairs:
                for name in entry.path.split("/") if entry.path else ():
                    owner = owner.setdefault(name, {})
                owner.update(pairs)
        errors, matches = _differences(self.weights_dict, theirs, "")
        for error in errors:
            print(error)
        print("The file fits the model." if not errors else f"{len(errors)} differences.")
        status = "error" if errors else "success"
        return {"status": status, "error_count": len(errors), "match_count": matches}

    # -- changing ----------------------------------------------------------------------------------

    def rename_object(self, object_name: str, new_name: str) -> None:
        """Give an object another name at its place."""
        owner, name = self._find(object_name)
        _check("new_name", new_name)
        if new_name in owner and new_name != name:
            raise ValueError(f"rename_object: there is a {new_name!r} already. Delete it first.")
        items = [(new_name if key == name else key, value) for key, value in owner.items()]
        owner.clear()
        owner.update(items)

    def delete_object(self, object_name: str) -> None:
        """Remove an object with all that is in it."""
        owner, name = self._find(object_name)
        del owner[name]

    def add_object(self, object_path: str, weights: dict[str, Any]) -> None:
        """Add an object under its whole path; `weights` are arrays by name, ``{"0": ..., "1": ...}``."""
        values = _values(weights)
        parent, _, name = object_path.rpartition("/")
        _check("object_path", name)
        owner = self.weights_dict
        for part in parent.split("/") if parent else ():
            if not isinstance(owner.get(part), dict):
                raise ValueError(f"add_object: the file has no object {parent!r}.")
            owner = owner[part]
        if name in owner:
            raise ValueError(f"add_object: there is a {object_path!r} already. Delete it first.")
        owner[name] = values

    def delete_weight(self, object_name: str, weight_name: str) -> None:
        """Remove a weight from an object."""
        owner, name = self._find(object_name)
        if isinstance(owner[name].get(weight_name, {}), dict):
            raise ValueError(
                f"delete_weight: {object_name!r} has no weight {weight_name!r}, only "
                f"{', '.join(owner[name])}."
            )
        del owner[name][weight_name]

    def add_weights(self, object_name: str, weights: dict[str, Any]) -> None:
        """Add weights to an object, or replace some."""
        values = _values(weights)
        owner, name = self._find(object_name)
        owner[name].update(values)

    def save(self, filepath: str | os.PathLike[str]) -> None:
        """Write all of it to a ``.weights.h5`` file, which is there whole or not at all."""
        path = Path(filepath)
        if not path.name.endswith(".weights.h5"):
            raise ValueError(
                f"save: expected a name that ends in .weights.h5, received {str(path)!r}."
            )

        def write(writer: H5Writer, nest: Nest, at: str) -> None:
            own = {key: value for key, value in nest.items() if not isinstance(value, dict)}
            if own:
                writer.write(at, None, ((key, writer.prepared(own[key])) for key in own))
            for key, value in nest.items():
                if isinstance(value, dict):
                    write(writer, value, f"{at}/{key}".lstrip("/"))

        with replacing(path) as file, H5Writer(file) as writer:
            write(writer, self.weights_dict, "")

    def resave_weights(self, filepath: str | os.PathLike[str]) -> None:
        """The same as `save`."""
        self.save(filepath)

    def _find(self, name: str) -> tuple[Nest, str]:
        """Where an object is, and its name there."""
        whole = [path for path in _objects(self.weights_dict, "") if path == name]
        found = whole or [
            path for path in _objects(self.weights_dict, "") if path.rpartition("/")[2] == name
        ]
        if len(found) != 1:
            what = (
                f"{len(found)} objects: {', '.join(found)}. Give a path" if found else "no object"
            )
            raise ValueError(f"The name {name!r} stands for {what}. `summary()` lists all.")
        owner = self.weights_dict
        *parents, last = found[0].split("/")
        for part in parents:
            owner = owner[part]
        return owner, last


def _objects(nest: Nest, at: str) -> Iterator[str]:
    for name, value in nest.items():
        if isinstance(value, dict):
            yield (path := f"{at}/{name}".lstrip("/"))
            yield from _objects(value, path)


def _differences(file: Nest, model: Nest, at: str) -> tuple[list[str], int]:
    """What differs, in words, and the number of weights that fit."""
    errors, matches = [], 0
    for name in dict.fromkeys([*model, *file]):
        path = f"{at}/{name}"
        mine, theirs = file.get(name), model.get(name)
        if mine is None or theirs is None:
            errors.append(f"{path} is missing in the {'file' if mine is None else 'model'}")
        elif isinstance(mine, dict) or isinstance(theirs, dict):
            if not (isinstance(mine, dict) and isinstance(theirs, dict)):
                errors.append(f"{path} is a weight on one side and an object on the other")
                continue
            inner, fitting = _differences(mine, theirs, path)
            errors, matches = errors + inner, matches + fitting
        elif (shape := tuple(mine.shape)) != (other := tuple(np.shape(theirs))):
            errors.append(f"{path} has shape {shape}, in the model {other}")
        else:
            matches += 1
    return errors, matches


def _dtype(value: Any) -> str:
    return str(value.dtype).removeprefix("torch.")


def _check(argument: str, name: Any) -> None:
    if not isinstance(name, str) or name in ("", ".", "..", "vars") or {"/", "\0"} & set(name):
        raise ValueError(f"Expected a plain name as `{argument}`, received {name!r}.")


def _values(weights: Any) -> Nest:
    """Given weights as arrays."""
    if not isinstance(weights, dict):
        raise ValueError(
            'Expected `weights` as a dict of arrays by name, {"0": kernel, "1": bias}, '
            f"received {type(weights).__name__}."
        )
    found: Nest = {}
    for name, value in weights.items():
        _check("weights", name)
        if isinstance(value, dict):
            found[name] = _values(value)
            continue
        if isinstance(value, torch.Tensor):
            value = value.detach().cpu()
        if not (isinstance(value, torch.Tensor) and value.dtype is torch.bfloat16):
            value = np.array(value)
            if value.dtype.kind not in "biuf":
                raise ValueError(
                    f"Expected numbers for the weight {name!r}, received {value.dtype}."
                )
        found[name] = value
    return found
