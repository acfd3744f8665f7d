"""Keras's older HDF5 format: one group for each layer, weights by name, configurations as text."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any

import numpy as np
import torch

from kerastorch._registry import _FAMILIES
from kerastorch.saving._archive import FORMAT
from kerastorch.saving._h5 import H5Reader, as_array
from kerastorch.saving._stretch import Stretch
from kerastorch.saving._tree import Entry, own_values

_TOP = "top_level_model_weights"
_ASIDE = "kerastorch"  # below the optimizer: what Keras's optimizers do not have
#: Where the classes are from that an older file names without saying so.
_MODULES = {"loss": "losses", "metrics": "metrics", "weighted_metrics": "metrics"}


def root_of(reader: H5Reader) -> str | None:
    """Where the layers of an older file are; None if it is a newer one."""
    if reader.text("", "layer_names") is not None:
        return ""
    return "model_weights" if reader.text("", "model_config") is not None else None


def config_in(reader: H5Reader) -> dict[str, Any]:
    """The configuration of an older file as a newer one would have it."""
    model = _json(reader, "model_config", lambda config: _from("layers", config))
    training = _json(
        reader,
        "training_config",
        lambda config: (
            config | {k: _from(v, config[k]) for k, v in _MODULES.items() if k in config}
        ),
    )
    if model is None:
        raise ValueError(f"{reader.title} holds weights alone: make the model, then load_weights.")
    if training is not None:
        training["optimizer"] = training.pop("optimizer_config", None)
        model["compile_config"] = training
    return model


def _from(module: str, value: Any) -> Any:
    """`value` where every object in it that names no module, and is in this one, says so."""
    if isinstance(value, list):
        return [_from(module, item) for item in value]
    if not isinstance(value, dict):
        return value
    if "class_name" not in value:
        return {key: _from(module, item) for key, item in value.items()}
    config = value.get("config")
    if isinstance(config, dict) and "layers" in config:
        value = value | {"config": config | {"layers": _from(module, config["layers"])}}
    known = str(value["class_name"]) in _FAMILIES[f"keras.{module}"].classes
    return {"module": f"keras.{module}"} | value if known else value


def _json(
    reader: H5Reader, name: str, finish: Callable[[dict[str, Any]], dict[str, Any]]
) -> dict[str, Any] | None:
    text = reader.text("", name)
    if text is None:
        return None
    try:
        content = json.loads(text[0])
        if isinstance(content, dict):
            return finish(content)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{reader.title}: {name} is damaged: {error}") from error
    raise ValueError(f"{reader.title}: {name} does not describe a model.")


class LegacyReader:
    """An older file, read as if it were a newer one: each layer is a module with the path of its group."""

    def __init__(self, reader: H5Reader, root: str) -> None:
        self.title, self._reader, self._root = reader.title, reader, root
        self.data = {path: self._names(path) for path in (*self.layers(), _TOP)}

    def layers(self) -> list[str]:
        """The layers in the file, in the order of the model."""
        return self._reader.text(self._root, "layer_names") or []

    def _names(self, path: str) -> list[str]:
        place = f"{self._root}/{path}".strip("/")
        if not any(name.startswith(f"{place}/") for name in self._reader):
            return []
        names = [f"{place}/{name}" for name in self._reader.text(place, "weight_names") or ()]
        if any(name not in self._reader.data for name in names):
            raise ValueError(f"{self.title}: {place} lists weights that are not there.")
        return names

    def keys(self, path: str) -> list[str]:
        """The numbers of the weights of a layer."""
        return [str(i) for i in range(len(self.data.get(path, ())))]

    def shape(self, path: str, key: str) -> tuple[int, ...]:
        """Shape of a weight, from its header."""
        shape: tuple[int, ...] = self._reader.data[self.data[path][int(key)]].shape
        return shape

    def read(self, path: str, key: str, into: torch.Tensor | None = None) -> torch.Tensor:
        """A weight."""
        return self._reader.read_at(self.data[path][int(key)], into)

    def stretch(self, path: str, key: str) -> Stretch | None:
        """A weight as a stretch of the file."""
        return self._reader.stretch_at(self.data[path][int(key)])

    def __iter__(self) -> Iterator[str]:
        return (f"{path}/vars/{i}" for path, names in self.data.items() for i in range(len(names)))

    def optimizer(self) -> dict[str, np.ndarray[Any, Any]]:
        """The state of the optimizer, under numbers."""
        place = "optimizer_weights"
        if not any(name.startswith(f"{place}/") for name in self._reader):
            return {}
        names = self._reader.text(place, "weight_names") or []
        if any(f"{place}/{name}" not in self._reader.data for name in names):
            raise ValueError(f"{self.title}: {place} lists weights that are not there.")
        found = (self._reader.read_at(f"{place}/{name}") for name in names)
        values = {str(i): tensor.numpy() for i, tensor in enumerate(found)}
        aside = f"{place}/{_ASIDE}/"
        for name in self._reader:
            if name.startswith(aside):
                values[name[len(aside) :]] = self._reader.read_at(name).numpy()
        return values


def legacy_entries(model: Any, reader: LegacyReader, by_name: bool = False) -> list[Entry]:
    """The layers of a model with the paths that their weights have in an older file: the same place in
    the row of layers that have weights, or with `by_name` the same name, others left out."""
    own = Entry(_TOP, model, own_values(model))
    layers = [layer for layer in model.layers if _weights_of(layer)]
    names = [name for name in reader.layers() if reader.keys(name)]
    if by_name:
        return [Entry(x.name, x, _weights_of(x)) for x in layers if x.name in names]
    if len(layers) != len(names):
        raise ValueError(
            f"{reader.title} has {len(names)} layers with weights, the model {len(layers)}. "
            "Nothing was loaded. by_name=True loads the layers whose names are in the file."
        )
    pairs = zip(names, layers, strict=True)
    return [own, *(Entry(name, layer, _weights_of(layer)) for name, layer in pairs)]


def _weights_of(layer: Any) -> list[torch.Tensor]:
    """Weights in the order of an older file: those that are trained first."""
    if not hasattr(layer, "trainable_weights"):
        return [*layer.parameters(), *layer.buffers()]
    return [*layer.trainable_weights, *layer.non_trainable_weights]


# -- writing ---------------------------------------------------------------------------------------


def write_legacy(
    file: IO[bytes], model: Any, config: dict[str, Any] | None, optimizer: Any
) -> None:
    """A whole model (with `config`) or its weights in the older format."""
    import h5py  # type: ignore[import-untyped]

    with contextlib.closing(h5py.File(file, "w")) as h5:
        root = h5
        if config is not None:
            training = config.pop("compile_config", None)
            h5.attrs["keras_version"], h5.attrs["backend"] = FORMAT, "torch"
            h5.attrs["model_config"] = json.dumps(config)
            if training is not None:
                training["optimizer_config"] = training.pop("optimizer", None)
                h5.attrs["training_config"] = json.dumps(training)
            root = h5.create_group("model_weights")
            if optimizer is not None:
                store: dict[str, Any] = {}
                optimizer.save_own_variables(store)
                aside = {key: store.pop(key) for key in list(store) if not key.isdigit()}
                _write(group := h5.create_group("optimizer_weights"), store.items())
                for key, value in aside.items():  # not listed: Keras does not see it
                    group.create_dataset(f"{_ASIDE}/{key}", data=value)
        root.attrs["keras_version"], root.attrs["backend"] = FORMAT, "torch"
        _write_names(root, "layer_names", [layer.name for layer in model.layers])
        for layer in model.layers:
            pairs = [(_path(layer, w, i), w) for i, w in enumerate(_weights_of(layer))]
            _write(root.create_group(layer.name), pairs)
        top = own_values(model)
        _write(root.create_group(_TOP), [(_path(model, w, i), w) for i, w in enumerate(top)])


def _path(layer: Any, weight: Any, index: int) -> str:
    return f"{layer.name}/{index}_{getattr(weight, 'name', 'weight')}"


def _write(group: Any, pairs: Iterable[tuple[str, Any]]) -> None:
    pairs = list(pairs)
    _write_names(group, "weight_names", [name for name, _ in pairs])
    for name, value in pairs:
        group.create_dataset(name, data=as_array(value))


def _write_names(group: Any, attribute: str, names: list[str]) -> None:
    """A list of names, in as many attributes as it takes: one holds 64 KiB."""
    array = np.array([name.encode() for name in names], dtype="S") if names else np.array([])
    parts = np.array_split(array, array.nbytes // 60_000 + 1)
    for i, part in enumerate(parts):
        group.attrs[attribute if len(parts) == 1 else f"{attribute}{i}"] = part
