"""Operations on nests."""

from collections import namedtuple

import pytest
from keras import tree as oracle

from kerastorch import tree

Pair = namedtuple("Pair", "first second")
NEST = {"b": [1, (2, None)], "a": Pair(3, {"x": 4})}


def test_leaves_come_in_the_order_of_construction() -> None:
    assert tree.flatten(NEST) == [1, 2, None, 3, 4]
    assert tree.flatten(5) == [5]
    assert tree.flatten([]) == []
    assert tree.flatten_with_path({"b": [1, (2,)], "a": 3}) == [
        (("b", 0), 1),
        (("b", 1, 0), 2),
        (("a",), 3),
    ]


def test_there_and_back() -> None:
    leaves, spec = tree.flatten_with_spec(NEST)
    assert tree.unflatten(leaves, spec) == NEST
    packed = tree.pack_sequence_as(NEST, "vwxyz")
    assert packed == {"b": ["v", ("w", "x")], "a": Pair("y", {"x": "z"})}
    assert list(packed) == ["b", "a"]
    with pytest.raises(ValueError, match="5 leaves, flat_sequence has 2"):
        tree.pack_sequence_as(NEST, [1, 2])


def test_map_structure() -> None:
    doubled = tree.map_structure(lambda x: x and 2 * x, NEST)
    assert doubled == {"b": [2, (4, None)], "a": Pair(6, {"x": 8})}
    assert isinstance(doubled["a"], Pair)
    assert tree.map_structure(lambda x, y: x + y, [1, (2,)], [10, (20,)]) == [11, (22,)]
    with pytest.raises(ValueError):
        tree.map_structure(lambda x, y: x + y, [1, 2], [1])
    with pytest.raises(ValueError, match="at least one"):
        tree.map_structure(lambda: None)


def test_structures() -> None:
    assert tree.is_nested([1])
    assert tree.is_nested({})
    assert not tree.is_nested("text")
    assert not tree.is_nested(None)
    tree.assert_same_structure({"a": [1]}, {"a": [2]})
    for other in ({"a": (1,)}, {"b": [1]}, {"a": [1, 2]}, [1]):
        with pytest.raises(ValueError, match="structures differ"):
            tree.assert_same_structure({"a": [1]}, other)


def doubled(x: object) -> object:
    return [x, x] if isinstance(x, int) else None


CASES = {
    "lists_to_tuples": lambda t: t.lists_to_tuples({"a": [1, [2, (3, [])]]}),
    "map_shape_structure": lambda t: t.map_shape_structure(
        lambda s: tuple(s)[::-1], [(1, None), {"a": [2, 3]}]
    ),
    "map_structure_up_to": lambda t: t.map_structure_up_to(
        {"a": 0, "b": [0]}, lambda x, y: (x, y), {"a": [1], "b": [2]}, {"a": 3, "b": [[4, 5]]}
    ),
    "map_structure": lambda t: t.map_structure(str, [None, {"a": 2}], none_is_leaf=False),
    "top_down": lambda t: t.traverse(doubled, {"a": (1, None)}),
    "bottom_up": lambda t: t.traverse(doubled, {"a": [1, "b"]}, top_down=False),
    "nothing": lambda t: t.traverse(lambda x: t.MAP_TO_NONE if x == 1 else None, [1, (2, 1)]),
}


@pytest.mark.parametrize("case", CASES)
def test_as_keras(case: str) -> None:
    assert CASES[case](tree) == CASES[case](oracle)


def test_paths() -> None:
    tree.assert_same_paths([1, {"a": 2}], ("x", {"a": "y"}))
    with pytest.raises(ValueError, match="'b'"):
        tree.assert_same_paths([1, {"a": 2}], [1, {"b": 2}])
