"""Weights under the names of ``state_dict``: ``.safetensors`` and ``.pt``."""

from __future__ import annotations

import json
from typing import IO, Any

import torch

from kerastorch.saving._h5 import as_array, crc_of
from kerastorch.saving._weights import report_misfit


def write_safetensors(file: IO[bytes], state: dict[str, torch.Tensor]) -> None:
    """The tensors, with their CRC-32s among the metadata."""
    from safetensors.torch import save

    state = {name: value.contiguous() for name, value in state.items()}
    checksums = {f"crc32 {name}": str(crc_of(as_array(value))) for name, value in state.items()}
    file.write(save(state, metadata={"format": "pt", **checksums}))


def read_safetensors(file: IO[bytes], title: str) -> dict[str, torch.Tensor]:
    """The tensors; where there are checksums they are verified."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    content = file.read()
    try:
        state = load(content)
    except (SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise ValueError(f"{title} is damaged: {error}. Nothing was loaded.") from error
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    checksums = header.get("__metadata__", {})
    for name, value in state.items():
        expected = checksums.get(f"crc32 {name}")
        if expected is not None and expected != str(crc_of(as_array(value))):
            raise ValueError(
                f"{title}: {name} is damaged: its checksum is not the one stored with it. "
                "Nothing was loaded."
            )
    return state


def write_torch(file: IO[bytes], state: dict[str, torch.Tensor]) -> None:
    """The tensors in torch's own format."""
    try:
        torch.save({name: value.clone() for name, value in state.items()}, file)
    except RuntimeError as error:  # torch stumbles over what it leaves behind when the disk is full
        raise (error.__context__ if isinstance(error.__context__, OSError) else error) from None


def read_torch(file: IO[bytes], title: str) -> dict[str, torch.Tensor]:
    """What ``torch.save`` wrote, if it is tensors and nothing else."""
    try:
        content = torch.load(file, weights_only=True, map_location="cpu")
    except Exception as error:  # of many kinds, with the advice to switch the safety off
        raise ValueError(f"{title} is damaged, or holds more than tensors.") from error
    if not isinstance(content, dict) or not all(
        isinstance(value, torch.Tensor) for value in content.values()
    ):
        raise ValueError(f"{title} does not hold a state_dict of tensors.")
    return content


def fill_state(model: Any, state: dict[str, Any], title: str, skip_mismatch: bool) -> None:
    """Load a ``state_dict``, all of it or nothing."""
    own = model.state_dict()
    problems = [f"{name} is missing" for name in own if name not in state]
    problems += [f"the model has no {name}" for name in state if name not in own]
    problems += [
        f"{name} has shape {tuple(own[name].shape)}, in the file {tuple(value.shape)}"
        for name, value in state.items()
        if name in own and value.shape != own[name].shape
    ]
    report_misfit(title, problems, skip_mismatch)
    fitting = {k: v for k, v in state.items() if k in own and v.shape == own[k].shape}
    model.load_state_dict(fitting, strict=False)
