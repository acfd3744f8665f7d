"""The parameters that one call of a rule updates."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from typing import Any

import torch

from kerastorch.optimizers._arithmetic import Scalar, Tensors


class Bundle:
    """Parameters of one group on one device with one dtype, and their slots as parallel lists.

    `options` is the parameter group's dict (``lr``, ``weight_decay`` and the rule's own), `params`
    the parameters, `slot(name)` the list of their state tensors of that name.
    """

    def __init__(
        self,
        options: dict[str, Any],
        params: Tensors,
        places: Sequence[int],
        state: MutableMapping[torch.Tensor, dict[str, torch.Tensor]],
    ) -> None:
        self.options = options
        self.params = params
        self.places = list(places)  # of the parameters in the list of gradients
        self.device, self.dtype = params[0].device, params[0].dtype
        self.slots = {name: [state[p][name] for p in params] for name in state[params[0]]}
        self.decayed: Tensors = []  # those that weight decay shrinks
        self.constrained = [p for p in params if getattr(p, "constraint", None) is not None]
        self.infinity = torch.full((), torch.inf, dtype=torch.float32, device=self.device)
        dense = all(torch.empty_like(p, device="meta").stride() == p.stride() for p in params)
        self._strides = [p.stride() for p in params] if dense else None
        self._state = state

    def slot(self, name: str) -> Tensors:
        """The state tensors of that name; zeros if an option has asked for them only now."""
        if name not in self.slots:
            for p in self.params:
                self._state[p].setdefault(name, torch.zeros_like(p))
            self.slots[name] = [self._state[p][name] for p in self.params]
        return self.slots[name]

    def pick(self, grads: Sequence[torch.Tensor]) -> Tensors:
        """The gradients of these parameters, dense and in their dtype."""
        dtype = self.dtype
        picked = [grads[place] for place in self.places]
        if any(g.is_sparse or g.dtype != dtype for g in picked):
            return [(g.to_dense() if g.is_sparse else g).to(dtype) for g in picked]
        return picked

    def fusible(self, grads: Tensors) -> bool:
        """Whether torch's fused kernels take these parameters: eagerly, and in one memory layout."""
        return (
            self.device.type in ("cpu", "cuda")
            and not torch.compiler.is_compiling()
            and [g.stride() for g in grads] == self._strides
        )

    def here(self, scalar: Scalar) -> Scalar:
        """A scalar on this device."""
        if isinstance(scalar, torch.Tensor):
            return scalar.to(self.device, non_blocking=True)
        return scalar
