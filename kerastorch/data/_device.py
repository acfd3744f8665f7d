"""Batches on their way to a device."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch

from kerastorch import tree
from kerastorch.data._batches import ArrayBatches, Batches

#: Arrays live on the device for the length of a run if they take no more than one part in so many of its
#: free memory, or, where that cannot be asked for, so many bytes.
_PARTS = 4
_BYTES = 1 << 30


def settle(batches: Batches, device: torch.device | None) -> None:
    """Move arrays that are small beside the memory of the device there, once for all epochs."""
    if device is None or device.type == "cpu" or not isinstance(batches, ArrayBatches):
        return
    room = torch.cuda.mem_get_info(device)[0] // _PARTS if device.type == "cuda" else _BYTES
    if batches.nbytes <= room:
        batches.move(device)


def carried(batches: Iterable[Any], device: torch.device | None) -> Iterable[Any]:
    """The batches on the device.

    To a CUDA device they go from pinned memory on a stream of its own: a batch is copied while the device
    computes on those before it, and the host waits for neither.
    """
    if device is None or device.type == "cpu":
        return batches
    if device.type == "cuda":
        return _streamed(batches, device)
    return (placed(batch, device) for batch in batches)


def placed(batch: Any, device: torch.device | None) -> Any:
    """A batch on the device."""
    return batch if device is None else tree.map_structure(lambda x: _on(x, device), batch)


def _streamed(batches: Iterable[Any], device: torch.device) -> Iterator[Any]:
    side = torch.cuda.Stream(device)
    for batch in batches:
        here = torch.cuda.current_stream(device)
        with torch.cuda.stream(side):
            moved = tree.map_structure(lambda x: _on(x, device, pinned=True), batch)
        here.wait_stream(side)
        for given, tensor in zip(tree.flatten(batch), tree.flatten(moved), strict=True):
            if tensor is not given:  # its memory must not be used anew before it has been read
                tensor.record_stream(here)
        yield moved


def _on(x: Any, device: torch.device, pinned: bool = False) -> Any:
    if not isinstance(x, torch.Tensor) or x.device == device:
        return x
    if pinned and x.device.type == "cpu":
        return x.pin_memory().to(device, non_blocking=True)
    return x.to(device)
