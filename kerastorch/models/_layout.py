"""Where the boxes and arrows of a model's picture go: in rows from top to bottom, with few crossings.

The steps are Sugiyama's: give each box a row, order the rows, straighten, draw arrows with right angles.
A box that holds others is a frame: it is arranged first and is then a box like any other. For
pictures from left to right the caller swaps the axes.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")
Point = tuple[float, float]

_SEPARATION = 24.0  # between boxes of one row, and half of it between arrows
_LEAD, _LANE, _TAIL = 12.0, 9.0, 20.0  # between rows: before the lanes, one lane, for arrow heads
_ORDERINGS, _SWEEPS = 8, 24


@dataclass(eq=False)
class Box:
    """A rectangle of known size, a frame of boxes `inside`, or (`passes`) where an arrow passes a row.

    `arrange` sets the other fields: `x` of the middle and `y` of the top count from the frame's left
    top corner. A frame's `routes` are the parts in it of arrows, from above to below.
    """

    key: str = ""
    width: float = 0.0
    height: float = 0.0
    inside: list[Any] = field(default_factory=list)
    passes: bool = False
    x: float = 0.0
    y: float = 0.0
    row: int = 0
    at: int = 0  # in its row
    line: int = 0  # boxes of one line are in line, but for `shift`
    shift: float = 0.0
    near: Any = None  # above and below: boxes, and how far right of theirs this one's place is
    routes: dict[Any, list[Point]] = field(default_factory=dict)

    def leaves(self) -> list[Any]:
        """The boxes that are no frames."""
        return [leaf for box in self.inside for leaf in box.leaves()] if self.inside else [self]

    def offset(self, edge: Any, end: int) -> float:
        """How far from the middle an arrow leaves (-1) or enters (0)."""
        return self.routes[edge][end][0] - self.width / 2 if edge in self.routes else 0.0

    def border(self, edge: Any, x: float, below: bool) -> list[Point]:
        """The part of an arrow at or in this box, which it meets at `x`."""
        left = self.x - self.width / 2
        given = [(a + left, b + self.y) for a, b in self.routes.get(edge, ())]
        return given or [(x, self.y + self.height * below)]


Edge = tuple[Box, Box]


def arrange(
    frame: Box, edges: list[Edge], pads: Point = (0, 0), flipped: set[Edge] | None = None
) -> set[Edge]:
    """Place what is in `frame`; set its size, unless it is larger, and `routes`.

    `pads` is the space on the left and above in the frames within this one; the smaller is also on the right
    and below. The result is the edges that run upwards, which only layers used twice make.
    """
    flipped = set() if flipped is None else flipped
    owner = {leaf: box for box in frame.inside for leaf in box.leaves()}
    ends = {(a, b): (owner.get(a), owner.get(b)) for a, b in edges}
    ends = {edge: (a, b) for edge, (a, b) in ends.items() if a is not b}
    order = _topological(frame.inside, [(a, b) for a, b in ends.values() if a and b])
    flipped |= {e for e, (a, b) in ends.items() if a and b and order.index(a) > order.index(b)}
    ends = {edge: (b, a) if edge in flipped else (a, b) for edge, (a, b) in ends.items()}
    for box in order:
        box.near, box.at, box.routes = ({}, {}), 0, {}
        if box.inside:
            arrange(box, edges, pads, flipped)
            _pad(box, *pads)
    for edge in flipped & ends.keys():  # one that goes up arrives beside those that leave
        if (box := ends[edge][0]) and not box.inside:
            box.routes[edge] = [(0.8 * box.width, box.height)]
    chains = _chains(order, ends, flipped)
    boxes = dict.fromkeys([*order, *itertools.chain(*chains.values())])
    rows = [[box for box in boxes if box.row == row] for row in sorted({b.row for b in boxes})]
    _order(rows)
    _place(rows)
    _route(frame, rows, chains)
    return flipped


def _topological(items: Iterable[T], pairs: Iterable[tuple[T, T]]) -> list[T]:
    """The items with the first of each pair before the second; a cycle starts at its first item."""
    before: dict[T, set[T]] = {item: set() for item in items}
    for a, b in pairs:
        before[b].add(a)
    order: dict[T, None] = {}
    while before:
        ready = (item for item, needs in before.items() if needs <= order.keys())
        item = next(ready, next(iter(before)))
        order[item] = None
        del before[item]
    return list(order)


def _pad(box: Box, left: float, above: float) -> None:
    after = min(left, above)
    box.width, box.height = box.width + left + after, box.height + above + after
    for child in box.inside:
        child.x, child.y = child.x + left, child.y + above
    box.routes = {e: [(x + left, y + above) for x, y in path] for e, path in box.routes.items()}


def _chains(order: list[Any], ends: dict[Edge, Any], flipped: set[Edge]) -> dict[Edge, list[Box]]:
    """Of each edge the boxes from its upper to its lower end, one a row; sets `row` and `near`.
    Arrows from one place pass together."""
    for box in order:
        box.row = 1 + max((a.row for a, b in ends.values() if b is box and a), default=0)
    for box in order:  # an input stands right above what takes it
        below = [b.row for a, b in ends.values() if a is box and b]
        if below and all(b is not box for _, b in ends.values()):
            box.row = min(below) - 1
    last = 1 + max((box.row for box in order), default=0)
    passing: dict[Any, Box] = {}
    chains: dict[Edge, list[Box]] = {}
    for edge, (a, b) in ends.items():
        up = edge in flipped
        between = range(a.row + 1 if a else 0, b.row if b else last + 1)
        for row in between:
            new = Box(passes=True, row=row, near=({}, {}))
            passing.setdefault((edge[up], up, row), new)
        middle = [passing[edge[up], up, row] for row in between]
        chains[edge] = [box for box in (a, *middle, b) if box]
        for s, t in itertools.pairwise(chains[edge]):
            t.near[0][s] = s.offset(edge, -1) - t.offset(edge, 0)
            s.near[1][t] = -t.near[0][s]
    return chains


def _order(rows: list[list[Box]]) -> None:
    """Sweep down and up: boxes go in the order of their neighbours' means. The best result stays."""
    for row in rows:
        for i, box in enumerate(row):
            box.at = i
    tried = [(_crossings(rows), [list(row) for row in rows])]
    for sweep in range(_ORDERINGS):
        for row in rows[::-1] if sweep % 2 else rows:
            near = {box: [t.at for t in box.near[sweep % 2]] or [box.at] for box in row}
            row.sort(key=lambda box: statistics.fmean(near[box]))
            for i, box in enumerate(row):
                box.at = i
        tried.append((_crossings(rows), [list(row) for row in rows]))
    rows[:] = min(tried, key=lambda pair: pair[0])[1]
    for row in rows:
        for i, box in enumerate(row):
            box.at = i


def _crossings(rows: list[list[Box]]) -> int:
    """How many pairs of arrows between neighbouring rows cross."""
    gaps = ([(s.at, t.at) for s in row for t in s.near[1]] for row in rows)
    pairs = itertools.chain(*(itertools.combinations(gap, 2) for gap in gaps))
    return sum((a - c) * (b - d) < 0 for (a, b), (c, d) in pairs)
