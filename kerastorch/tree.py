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


def map_structure(func: Callable[..., Any], *structures: Any, none_is_leaf: bool = True) -> Any:
    """Apply `func` to corresponding leaves; the result has the structure of the first nest.

    Where `none_is_leaf` is False, None in the first nest stays None.
    """
    if not structures:
        raise ValueError("map_structure: give at least one structure.")
    each = func if none_is_leaf else lambda x, *more: None if x is None else func(x, *more)
    return pytree.tree_map(each, structures[0], *structures[1:])


def map_structure_up_to(shallow_structure: Any, func: Callable[..., Any], *structures: Any) -> Any:
    """Apply `func` to what stands in the nests where `shallow_structure` has leaves.

    >>> from kerastorch import tree
    >>> tree.map_structure_up_to({"a": 0, "b": 0}, len, {"a": [1, 2], "b": [[3]]})
    {'a': 2, 'b': 1}
    """
    spec = pytree.tree_structure(shallow_structure)
    parts = [spec.flatten_up_to(structure) for structure in structures]
    return spec.unflatten([func(*part) for part in zip(*parts, strict=True)])


class MAP_TO_NONE:
    """What a function gives to `traverse` for None, which by itself means: go on inside."""


def traverse(func: Callable[[Any], Any], structure: Any, top_down: bool = True) -> Any:
    """Apply `func` to every nest and leaf, the outer ones first or last.

    What `func` gives takes the place of what it was given, and is not looked into if `top_down`. None keeps what
    it was given, `MAP_TO_NONE` puts None there.

    >>> from kerastorch import tree
    >>> tree.traverse(lambda x: tuple(x) if isinstance(x, list) else None, [1, [2]], top_down=False)
    (1, (2,))
    """
    if top_down:
        found = func(structure)
        if found is not None:
            return None if found is MAP_TO_NONE else found
    if is_nested(structure):
        inner, spec = pytree.tree_flatten(structure, is_leaf=lambda x: x is not structure)
        structure = spec.unflatten([traverse(func, part, top_down) for part in inner])
    found = None if top_down else func(structure)
    return structure if found is None else None if found is MAP_TO_NONE else found


def lists_to_tuples(structure: Any) -> Any:
    """A nest with tuples in place of lists."""
    return traverse(lambda x: tuple(x) if isinstance(x, list) else None, structure, top_down=False)


def map_shape_structure(func: Callable[[tuple[Any, ...]], Any], structure: Any) -> Any:
    """Apply `func` to shapes: tuples and lists of sizes and None, which are leaves here.

    >>> from kerastorch import tree
    >>> tree.map_shape_structure(len, {"a": (None, 3), "b": [(4,)]})
    {'a': 2, 'b': [1]}
    """
    return pytree.tree_map(func, structure, is_leaf=_is_shape)


def _is_shape(x: Any) -> bool:
    return isinstance(x, (tuple, list)) and all(isinstance(n, int | None) for n in x)


def assert_same_structure(a: Any, b: Any) -> None:
    """Raise `ValueError` unless both nests have the same containers, keys and lengths."""
    spec_a, spec_b = pytree.tree_structure(a), pytree.tree_structure(b)
    if spec_a != spec_b:
        raise ValueError(f"The structures differ:\n  {spec_a}\n  {spec_b}")


def assert_same_paths(a: Any, b: Any) -> None:
    """Raise `ValueError` unless the same keys and indices lead to the leaves, whatever the containers."""
    paths_a, paths_b = ({path for path, _ in flatten_with_path(nest)} for nest in (a, b))
    if paths_a != paths_b:
        raise ValueError(f"Only in one of the two: {sorted(paths_a ^ paths_b, key=repr)}.")


def pack_sequence_as(structure: Any, flat_sequence: Sequence[Any]) -> Any:
    """Give the leaves of `flat_sequence` the shape of `structure`."""
    spec = pytree.tree_structure(structure)
    if spec.num_leaves != len(flat_sequence):
        raise ValueError(
            f"pack_sequence_as: the structure has {spec.num_leaves} leaves, "
            f"flat_sequence has {len(flat_sequence)}."
        )
    return pytree.tree_unflatten(list(flat_sequence), spec)
