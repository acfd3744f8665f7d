"""The state of a run as one file: a nest of tensors and plain values in a safetensors file.

The tensors stand under numbers; what they are, and everything that is no tensor, is JSON in the
header, with a CRC-32 for each tensor. Nothing in such a file can run.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kerastorch.saving._durable import replacing
from kerastorch.saving._h5 import as_array, crc_of

_PLAIN = (bool, int, float, str, type(None))
_KEY = "kerastorch"


def is_state(value: Any) -> bool:
    """Whether `value` is made of tensors, arrays, numbers, strings, lists, tuples and dicts alone."""
    if isinstance(value, (list, tuple)):
        return all(map(is_state, value))
    if isinstance(value, dict):
        return all(isinstance(key, (str, int)) and is_state(item) for key, item in value.items())
    return isinstance(value, (*_PLAIN, torch.Tensor, np.ndarray, np.generic))


def write_state(path: str | os.PathLike[str], state: Any) -> None:
    """Write a nest of tensors and plain values. The file is there whole or not at all."""
    from safetensors.torch import save

    tensors: dict[str, torch.Tensor] = {}

    def plain(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return {"array": plain(torch.from_numpy(np.ascontiguousarray(value)))}
        if isinstance(value, torch.Tensor):
            name = str(len(tensors))
            tensors[name] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
            return {"tensor": name, "crc32": crc_of(as_array(tensors[name]))}
        if isinstance(value, np.generic):
            return value.item()
        if isinstance(value, tuple):
            return {"tuple": [plain(item) for item in value]}
        if isinstance(value, list):
            return [plain(item) for item in value]
        if isinstance(value, dict):
            return {"dict": [[key, plain(item)] for key, item in value.items()]}
        if not isinstance(value, _PLAIN):
            raise TypeError(
                f"{value!r} cannot be part of a state: it is no tensor and no plain value."
            )
        return value

    content = json.dumps(plain(state))
    data = save(tensors, metadata={_KEY: content})
    with replacing(path) as file:
        file.write(data)


def read_state(path: str | os.PathLike[str]) -> Any:
    """What `write_state` wrote, its checksums verified. Raises `ValueError` for anything else."""
    from safetensors import SafetensorError, safe_open

    title = repr(str(Path(path)))
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            if _KEY not in metadata:
                raise ValueError(f"{title} is a safetensors file, but no state of a training run.")
            content = json.loads(metadata[_KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, json.JSONDecodeError, RecursionError, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise ValueError(f"{title} is damaged: {error}.") from error

    def revive(value: Any) -> Any:
        if isinstance(value, list):
            return [revive(item) for item in value]
        if not isinstance(value, dict):
            return value
        if "tensor" in value:
            tensor = tensors[value["tensor"]]
            if crc_of(as_array(tensor)) != value["crc32"]:
                raise ValueError(f"{title} is damaged: a checksum is not the one stored with it.")
            return tensor
        if "array" in value:
            return revive(value["array"]).numpy()
        if "tuple" in value:
            return tuple(map(revive, value["tuple"]))
        return {key: revive(item) for key, item in value["dict"]}

    try:
        return revive(content)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{title} is damaged: its header does not fit its tensors.") from error
