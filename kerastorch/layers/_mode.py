"""Training and evaluation mode for the length of a block, with every module's own flag restored."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from torch import nn


@contextlib.contextmanager
def in_mode(root: nn.Module, training: bool) -> Iterator[None]:
    """Put `root` and its submodules into training or evaluation mode, then restore their flags.

    Training mode leaves out what the user holds in evaluation mode: a submodule with ``.eval()``
    called on it, or one that is in evaluation mode while `root` is in training mode.
    """
    flags = [(module, module.training) for module in root.modules()]
    held = _held(root) if training else set()
    pins = [module for module, _ in flags if "_held_in_eval" in module.__dict__]
    root.train(training)
    for module in held:
        module.training = False
    try:
        yield
    finally:
        for module, flag in flags:
            module.training = flag
        for module in pins:
            module.__dict__["_held_in_eval"] = True


def _held(root: nn.Module) -> set[nn.Module]:
    held: set[nn.Module] = set()
    for module in root.modules():
        if module is root:
            continue
        if "_held_in_eval" in module.__dict__ or (root.training and not module.training):
            held.update(module.modules())
    return held


def adopt(owner: nn.Module, module: nn.Module) -> None:
    """Give a module that joins `owner` its mode.

    Layers start in evaluation mode as in Keras, stock modules in training mode as in torch. A stock
    module that joins in evaluation mode was put there by the user and is held in it.
    """
    if owner.training:
        return
    for child in module.modules():
        if hasattr(child, "_init_call") or "_mode_known" in child.__dict__:
            continue
        child.__dict__["_mode_known"] = True
        if child.training:
            child.training = False
        else:
            child.__dict__["_held_in_eval"] = True
