"""Operations on nests: tuples, lists, dicts and namedtuples of leaves.

Leaves come in the order of construction (dicts keep insertion order), ``None`` is a leaf.

>>> from kerastorch import tree
>>> tree.flatten({"b": 1, "a": (2, 3)})
[1, 2, 3]
>>> tree.map_structure(lambda x, y: x + y, [1, (2,)], [10, (20,)])
[11, (22,)]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch.utils import _pytree as pytree

TreeSpec = pytree.TreeSpec


def is_nested(structure: Any) -> bool:
    """Whether `structure` is a container rather than a leaf."""
    return not pytree.tree_structure(structure).is_leaf()


def flatten(structure: Any) -> list[Any]:
    """The leaves of `structure`, left to right."""
    return pytree.tree_leaves(structure)


def flatten_with_spec(structure: Any) -> tuple[list[Any], TreeSpec]:
    """The leaves and what `unflatten` needs to put others in their place."""
    return pytree.tree_flatten(structure)


def unflatten(leaves: Sequence[Any], spec: TreeSpec) -> Any:
    """The inverse of `flatten_with_spec`."""
    return pytree.tree_unflatten(leaves, spec)


def flatten_with_path(structure: Any) -> list[tuple[tuple[Any, ...], Any]]:
    """Pairs of (keys and indices that lead to the leaf, leaf)."""
    pairs, _ = pytree.tree_flatten_with_path(structure)
    return [(tuple(_key(k) for k in path), leaf) for path, leaf in pairs]


def _key(entry: Any) -> Any:
    for attribute in ("key", "idx", "name"):
        if hasattr(entry, attribute):
            return getattr(entry, attribute)
    return entry


def map_structure(func: Callable[..., Any], *structures: Any) -> Any:
    """Apply `func` to corresponding leaves; the result has the structure of the first nest."""
    if not structures:
        raise ValueError("map_structure: give at least one structure.")
    return pytree.tree_map(func, structures[0], *structures[1:])


def assert_same_structure(a: Any, b: Any) -> None:
    """Raise `ValueError` unless both nests have the same containers, keys and lengths."""
    spec_a, spec_b = pytree.tree_structure(a), pytree.tree_structure(b)
    if spec_a != spec_b:
        raise ValueError(f"The structures differ:\n  {spec_a}\n  {spec_b}")


def pack_sequence_as(structure: Any, flat_sequence: Sequence[Any]) -> Any:
    """Give the leaves of `flat_sequence` the shape of `structure`."""
    spec = pytree.tree_structure(structure)
    if spec.num_leaves != len(flat_sequence):
        raise ValueError(
            f"pack_sequence_as: the structure has {spec.num_leaves} leaves, "
            f"flat_sequence has {len(flat_sequence)}."
        )
    return pytree.tree_unflatten(list(flat_sequence), spec)
