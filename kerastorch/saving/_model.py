"""Whole models and their weights, to files and back."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from kerastorch._registry import custom_object_scope, deserialize, serialize_object
from kerastorch.saving._archive import Archive, write_archive
from kerastorch.saving._assets import collected, restore
from kerastorch.saving._budget import budget
from kerastorch.saving._crc import Span
from kerastorch.saving._durable import replacing
from kerastorch.saving._files import (
    PathLike,
    checked,
    existing,
    is_hdf5,
    is_legacy,
    is_open,
    is_zip,
    opened,
    refuse_unknown,
    size_of,
    written,
)
from kerastorch.saving._h5 import H5Reader, H5Writer
from kerastorch.saving._legacy import (
    LegacyReader,
    config_in,
    legacy_entries,
    root_of,
    write_legacy,
)
from kerastorch.saving._shards import ShardedReader
from kerastorch.saving._shards_writer import write_shards
from kerastorch.saving._state_dict import (
    fill_state,
    read_safetensors,
    read_torch,
    write_safetensors,
    write_torch,
)
from kerastorch.saving._tree import entries
from kerastorch.saving._weights import read_entries, write_entries


def save_model(
    model: Any,
    filepath: PathLike | IO[bytes],
    overwrite: bool = True,
    zipped: bool | None = None,
    **kwargs: Any,
) -> None:
    """Write architecture, weights, optimizer state and what the model was compiled with.

    The file is a ``.keras`` archive, which Keras 3 reads too; any name will do, and so will an open
    binary file. It is there whole or not at all: until everything has been written, `filepath` keeps
    what it was. Of a model that is not built yet, which has no weights, it holds the rest.

    >>> import os, tempfile, kerastorch as keras
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    >>> path = os.path.join(tempfile.mkdtemp(), "model.keras")
    >>> model.save(path)
    >>> keras.models.load_model(path).output_shape
    (None, 2)
    """
    refuse_unknown("save", kwargs, include_optimizer=True, save_format=None)
    include_optimizer = kwargs.get("include_optimizer", True)
    if zipped is False:
        raise NotImplementedError("save: only zipped archives are written.")
    path = filepath if is_open(filepath) else checked("save", filepath, overwrite)
    if is_legacy(path) and not (getattr(model, "_layers_first", False) and model.built):
        raise NotImplementedError(
            f"save: {path.name!r} asks for the older HDF5 format, which cannot hold subclassed models, "
            "nor models that are not built. Use the extension .keras."
        )
    if not model.built:
        warnings.warn(
            f"save: {model._title()} is not built, so the file has no weights of it. "
            "Call it on data, or build(input_shape), first.",
            stacklevel=3,
        )
    optimizer = getattr(model, "optimizer", None) if include_optimizer else None
    if optimizer is not None and not (hasattr(optimizer, "save_own_variables") and optimizer.built):
        optimizer = None  # torch's own optimizers, and one that has not begun
    config = _config_of(model, include_optimizer)
    found = entries(model, optimizer) if model.built else []
    assets = collected(found)
    if is_legacy(path) and assets:
        raise NotImplementedError(
            f"save: the older HDF5 format cannot hold {', '.join(assets)}. Use the extension .keras."
        )

    def write_weights(file: IO[bytes]) -> list[Span]:
        with H5Writer(file, checksums=False) as writer:  # the archive has one for all
            write_entries(writer, found)
        return writer.spans

    with written(path) as file:
        if is_legacy(path):
            write_legacy(file, model, config, optimizer)
        else:
            write_archive(file, config, write_weights, assets)


def load_model(
    filepath: PathLike | IO[bytes],
    custom_objects: dict[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
) -> Any:
    """The model of a file: built, compiled as it was, with its weights and optimizer state.

    A file never runs code: it can name built-in classes, those made known by
    `register_keras_serializable`, and those in `custom_objects`; nothing is imported, fetched or
    read besides the file, and it cannot ask for much more memory than its own size. Python code in a
    file (lambdas) is refused, whatever `safe_mode` says.
    """
    path = filepath if is_open(filepath) else existing("load_model", filepath)
    with opened(path) as file, custom_object_scope(custom_objects):
        title, config, archive = repr(str(path)), None, None
        content: IO[bytes] = file
        if is_zip(file):
            archive = Archive(file, title)
            config, content = archive.config(), archive.weights()
        elif not is_hdf5(file):
            raise ValueError(
                f"{title} is no model, or it is cut short or damaged. Files with weights alone are "
                "read by load_weights of a model."
            )
        with H5Reader(content, size_of(content), title) as reader:
            legacy = None
            if config is None:
                config, legacy = config_in(reader), LegacyReader(reader, "model_weights")
            with budget(reader.total):
                weights = any(not name.startswith("optimizer/") for name in reader)
                model = _rebuilt(config, title, weights)
                if archive is not None:  # before weights, whose shapes may depend on them
                    restore(entries(model), archive)
            compiled = bool(compile and config.get("compile_config"))
            if compiled:
                model.compile_from_config(config["compile_config"])
            optimizer = getattr(model, "optimizer", None) if compiled else None
            optimizer = optimizer if getattr(optimizer, "built", False) else None
            if legacy:
                read_entries(legacy, legacy_entries(model, legacy), in_place=True)
                values = legacy.optimizer()
                shapes = [v.shape for key, v in values.items() if key.isdigit()]
                if optimizer is not None and _fits(optimizer, shapes, title):
                    optimizer.load_own_variables(values)
            else:
                keys = [key for key in reader.keys("optimizer") if key.isdigit()]
                shapes = [reader.shape("optimizer", key) for key in keys]
                if optimizer is None or not _fits(optimizer, shapes, title):
                    optimizer = None
                ignore = "optimizer/" if optimizer is None else None
                read_entries(reader, entries(model, optimizer), in_place=True, ignore=ignore)
    return model


def save_weights(
    model: Any,
    filepath: PathLike,
    overwrite: bool = True,
    max_shard_size: float | None = None,
    **kwargs: Any,
) -> None:
    """Write the weights alone: ``.weights.h5`` as Keras does (also without an extension),
    ``.safetensors`` or ``.pt`` under the names of ``state_dict``, any other ``.h5`` in Keras's older
    format.

    With `max_shard_size` (in GB) they go into files of that size at most, ``x_00000.weights.h5`` and
    so on; `filepath` is their index, ``x.weights.json``. A set of files is replaced by its index,
    which is written last; what the old set was in goes after that. `objects_to_skip` are layers whose
    weights are left out of a ``.weights.h5`` or a set.
    """
    refuse_unknown("save_weights", kwargs, save_format=None, objects_to_skip=None)
    skip = kwargs.get("objects_to_skip") or ()
    path = checked("save_weights", _sharded_name(filepath, max_shard_size), overwrite)
    if not model.built:
        raise ValueError(f"save_weights: {model._title()} is not built, so it has no weights yet.")
    if max_shard_size is not None:
        write_shards(path, entries(model, skip=skip), max_shard_size)
        return
    if skip and (is_legacy(path) or path.suffix in (".safetensors", ".pt", ".pth")):
        raise ValueError(
            f"save_weights: objects_to_skip is for .weights.h5, received {str(path)!r}."
        )
    with replacing(path) as file:
        if path.suffix in (".safetensors", ".pt", ".pth"):
            state = {name: value.detach().cpu() for name, value in model.state_dict().items()}
            (write_safetensors if path.suffix == ".safetensors" else write_torch)(file, state)
        elif is_legacy(path):
            write_legacy(file, model, None, None)
        else:
            with H5Writer(file) as writer:
                write_entries(writer, entries(model, skip=skip))


def load_weights(
    model: Any, filepath: PathLike, skip_mismatch: bool = False, **kwargs: Any
) -> None:
    """Read weights that `save_weights` or `save` wrote, here or in Keras.

    All of them or none: nothing changes unless every weight of the model is in the file with its
    shape, and nothing is left over. `skip_mismatch` takes what fits and warns about the rest;
    `by_name=True` takes the layers whose names are in a file of the older format; `objects_to_skip` are
    layers that stay as they are, whether a ``.weights.h5`` has something for them or not.
    """
    refuse_unknown("load_weights", kwargs, by_name=False, objects_to_skip=None)
    skip = kwargs.get("objects_to_skip") or ()
    by_name = bool(kwargs.get("by_name"))
    path = existing("load_weights", filepath)
    if not model.built:
        raise ValueError(
            f"load_weights: {model._title()} is not built, so it has no weights yet. "
            "Call it on data, or build(input_shape), first."
        )
    title = repr(str(path))
    found = entries(model, skip=skip)
    places = {entry.path for entry in found}
    skipped = [f"{e.path}/vars/" for e in entries(model) if e.path not in places]
    options: dict[str, Any] = {"in_place": False, "skip_mismatch": skip_mismatch}
    ignore = ("optimizer/", *skipped)
    if _is_index(path):
        _by_name_is_for_legacy(by_name, title)
        with ShardedReader(path) as shards:
            read_entries(shards, found, ignore=ignore, **options)
        return
    with open(path, "rb") as file, _weights_in(file, title) as content:
        if isinstance(content, dict):
            _by_name_is_for_legacy(by_name, title)
            _skip_is_for_h5(skip, title)
            fill_state(model, content, title, skip_mismatch)
            return
        with H5Reader(content, size_of(content), title) as reader:
            root = root_of(reader)
            if root is None:
                _by_name_is_for_legacy(by_name, title)
                read_entries(reader, found, ignore=ignore, **options)
                return
            _skip_is_for_h5(skip, title)
            legacy = LegacyReader(reader, root)
            found = legacy_entries(model, legacy, by_name)
            read_entries(legacy, found, ignore="" if by_name else None, **options)


def check_file(filepath: PathLike) -> None:
    """Read a file that was written by `save_model` or `save_weights` again; raise if it is damaged."""
    path = existing("check_file", filepath)
    title = repr(str(path))
    if _is_index(path):
        with ShardedReader(path) as shards:
            shards.verify()
        return
    with open(path, "rb") as file, _weights_in(file, title) as content:
        if not isinstance(content, dict):
            with H5Reader(content, size_of(content), title) as reader:
                reader.verify()


# -- parts -----------------------------------------------------------------------------------------


def _config_of(model: Any, compiled: bool) -> dict[str, Any]:
    config = serialize_object(model)
    config["build_config"] = model.get_build_config()
    if compiled and model.compiled:
        try:
            config["compile_config"] = model.get_compile_config()
        except (TypeError, NotImplementedError) as error:
            warnings.warn(
                f"save: what {model._title()} was compiled with cannot be written: {error} "
                "Compile the model again after loading it.",
                stacklevel=3,
            )
    return config


def _rebuilt(config: dict[str, Any], title: str, has_weights: bool) -> Any:
    try:
        model = deserialize(config)
    except RecursionError as error:
        raise ValueError(f"{title}: the configuration is nested too deeply.") from error
    if not hasattr(model, "compile_from_config"):
        raise ValueError(f"{title} describes a {type(model).__name__}, not a model.")
    if not model.built and config.get("build_config"):
        model.build_from_config(config["build_config"])
    if not model.built and has_weights:
        raise ValueError(
            f"{title}: the input shape of {type(model).__name__} is not in the file, so its weights "
            "cannot be made. Call the model on data before saving it."
        )
    return model


def _fits(optimizer: Any, shapes: list[tuple[int, ...]], title: str) -> bool:
    """Whether a file has the state of an optimizer. In Keras one that has not begun has no slots."""
    if shapes == [tuple(variable.shape) for variable in optimizer.variables]:
        return True
    if any(shapes) or len(shapes) > 2:
        warnings.warn(
            f"{title} has the state of a {type(optimizer).__name__} for other variables than the model "
            "trains: layers were frozen or thawed since. The optimizer starts anew.",
            stacklevel=3,
        )
    return False


@contextlib.contextmanager
def _weights_in(file: IO[bytes], title: str) -> Iterator[Any]:
    """The HDF5 part of a file, or a dict of tensors."""
    start = file.read(8)
    file.seek(0)
    if is_hdf5(file):
        yield file
    elif is_zip(file):
        archive = Archive(file, title)
        if any(name.endswith("data.pkl") for name in archive.names):
            archive.verify()
            file.seek(0)
            yield read_torch(file, title)
        else:
            yield archive.weights()
    elif start[:1] and start[7:8] == b"\0":  # the length of a safetensors header
        yield read_safetensors(file, title)
    else:
        raise ValueError(f"{title} is no file with weights, or it is cut short or damaged.")


def _by_name_is_for_legacy(by_name: bool, title: str) -> None:
    if by_name:
        raise ValueError(
            f"load_weights: by_name=True is for Keras's older HDF5 format, which {title} is not in. "
            "skip_mismatch=True loads what fits."
        )


def _skip_is_for_h5(skip: Any, title: str) -> None:
    if skip:
        raise ValueError(f"load_weights: objects_to_skip is for .weights.h5, which {title} is not.")


def _is_index(path: Path) -> bool:
    return path.name.endswith(".weights.json")


def _sharded_name(filepath: PathLike, max_shard_size: float | None) -> Path:
    """The name of the index where weights go into several files."""
    path = Path(filepath)
    if max_shard_size is None:
        if _is_index(path):
            raise ValueError(
                f"save_weights: {path.name!r} is the name of an index. Pass max_shard_size."
            )
        return path
    if path.name.endswith(".weights.h5"):
        path = path.with_suffix(".json")
        warnings.warn(f"save_weights: the index of the files is {str(path)!r}.", stacklevel=4)
    if not _is_index(path):
        raise ValueError(
            "save_weights: with max_shard_size expected a name that ends in .weights.json, "
            f"received {str(path)!r}."
        )
    return path
