"""Dtype policies: ``"float32"``, ``"bfloat16"``, ... or ``"mixed_float16"``, ``"mixed_bfloat16"``."""

from __future__ import annotations

from typing import Any

import torch

from kerastorch import _registry as _names
from kerastorch._registry import Recorded, Registry
from kerastorch.config import floatx, standardize_dtype

_registry = Registry("dtype policy", "dtype_policies")
_global: DTypePolicy | None = None


class DTypePolicy(Recorded):
    """Weights in `variable_dtype`, computation in `compute_dtype`.

    A plain dtype name sets both; ``mixed_bfloat16`` and ``mixed_float16`` keep float32 weights and
    compute under `torch.autocast`.

    >>> import kerastorch as keras
    >>> policy = keras.dtype_policies.DTypePolicy("mixed_bfloat16")
    >>> policy.variable_dtype, policy.compute_dtype
    ('float32', 'bfloat16')
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.mixed = name.startswith("mixed_")
        if self.mixed and name not in ("mixed_float16", "mixed_bfloat16"):
            raise ValueError(
                f"dtype policy: expected a dtype, 'mixed_float16' or 'mixed_bfloat16', received {name!r}."
            )
        compute = standardize_dtype(name.removeprefix("mixed_"))
        self.compute_dtype = str(compute).removeprefix("torch.")
        self.variable_dtype = "float32" if self.mixed else self.compute_dtype

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DTypePolicy) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f'<DTypePolicy "{self.name}">'


_registry.add(DTypePolicy)


def dtype_policy() -> DTypePolicy:
    """The policy of layers that are given no ``dtype``."""
    return _global or DTypePolicy(floatx())


def set_dtype_policy(policy: str | DTypePolicy | torch.dtype | None) -> None:
    """Set the policy of layers that are given no ``dtype``."""
    global _global
    _global = None if policy is None else get(policy)


def get(identifier: Any) -> DTypePolicy:
    """A policy from a policy, a name, a dtype, a serialized dict, or None for the global one."""
    if identifier is None:
        return dtype_policy()
    if isinstance(identifier, DTypePolicy):
        return identifier
    if isinstance(identifier, dict):
        return _registry.get(identifier)
    if isinstance(identifier, str):
        return DTypePolicy(identifier)
    return DTypePolicy(str(standardize_dtype(identifier)).removeprefix("torch."))


def serialize(dtype_policy: DTypePolicy) -> dict[str, Any]:
    """A policy as plain data."""
    return _names.serialize_object(dtype_policy)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The inverse of `serialize`; `custom_objects` maps names to own classes."""
    return _registry.deserialize(config, custom_objects)
