"""Where the boxes and arrows of a model's picture go: in rows from top to bottom, with few crossings.

The steps are Sugiyama's: give each box a row, order the rows, straighten, and lead arrows around.
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
_SWEEPS = 8


@dataclass(eq=False, repr=False)
class Box:
    """A rectangle of known size, a frame of boxes `inside`, or (`passes`) an arrow's place in a row.

    `arrange` sets the rest. `x` of the middle and `y` of the top count from the frame's left top
    corner, as do the points of a frame's own `routes`: of arrows, the parts in it, from above to below.
    """

    key: str = ""
    width: float = 0.0
    height: float = 0.0
    inside: list[Any] = field(default_factory=list)
    passes: bool = False
    x: float = 0.0
    y: float = 0.0
    row: int = 0
    at: float = 0.0  # in its row
    line: int = 0  # boxes of one line are in line, but for `shift`
    shift: float = 0.0
    near: Any = None  # by side, above and below: boxes, and how far from theirs its own place is
    routes: dict[Any, list[Point]] = field(default_factory=dict)

    def leaves(self) -> list[Any]:
        """The boxes that are no frames."""
        return [leaf for box in self.inside for leaf in box.leaves()] if self.inside else [self]

    def offset(self, edge: Any, end: int) -> float:
        """How far from the middle an arrow leaves (-1) or enters (0)."""
        return self.routes[edge][end][0] - self.width / 2 if edge in self.routes else 0.0

    def route(self, edge: Any, x: float, below: bool) -> list[Point]:
        """The part of an arrow in this box, or where on the border it ends."""
        left = self.x - self.width / 2
        inner = [(a + left, b + self.y) for a, b in self.routes.get(edge, ())]
        return inner or [(x, self.y + self.height * below)]


Edge = tuple[Box, Box]


def arrange(frame: Box, edges: list[Edge], pads: Point, flipped: set[Edge]) -> None:
    """Place what is in `frame`; set its `routes` and, unless they are larger, `width` and `height`.

    `pads` is the space on the left of and above what is in frames within this one; the smaller is
    also right and below. `flipped` receives the edges that run upwards, which only layers used twice make.
    """
    owner = {leaf: box for box in frame.inside for leaf in box.leaves()}
    ends = {(a, b): (owner.get(a), owner.get(b)) for a, b in edges}
    ends = {edge: (a, b) for edge, (a, b) in ends.items() if a is not b}
    order = _topological(frame.inside, [(a, b) for a, b in ends.values() if a and b])
    place = {box: i for i, box in enumerate(order)}
    flipped |= {edge for edge, (a, b) in ends.items() if a and b and place[a] > place[b]}
    ends = {edge: (b, a) if edge in flipped else (a, b) for edge, (a, b) in ends.items()}
    for box in order:
        box.near, box.routes = ({}, {}), {}
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
    _straighten(rows)
    _route(frame, rows, chains)


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
    Arrows from one place pass together. One that comes from outside the frame begins in row 0."""
    for box in order:
        box.row = 1 + max((a.row for a, b in ends.values() if b is box and a), default=0)
    for box in order:  # an input stands right above what takes it
        below = [b.row for a, b in ends.values() if a is box and b]
        if below and all(b is not box for _, b in ends.values()):
            box.row = min(below) - 1
    last = 1 + max(box.row for box in order)
    passing: dict[Any, Box] = {}
    chains: dict[Edge, list[Box]] = {}
    for edge, (a, b) in ends.items():
        start = edge[edge in flipped], edge in flipped
        between = range(a.row + 1 if a else 0, b.row if b else last + 1)
        for row in between:
            new = Box(passes=True, row=row, near=({}, {}))
            passing.setdefault((start, row), new)
        middle = [passing[start, row] for row in between]
        chains[edge] = [box for box in (a, *middle, b) if box]
        for s, t in itertools.pairwise(chains[edge]):
            t.near[0][s] = s.offset(edge, -1) - t.offset(edge, 0)
            s.near[1][t] = -t.near[0][s]
    return chains


def _order(rows: list[list[Box]]) -> None:
    """Sweep down and up: boxes go in the order of their neighbours' means, so that few arrows cross."""
    for row in rows:
        for i, box in enumerate(row):
            box.at = i
    for sweep in range(_SWEEPS - 1):  # the last goes down
        for row in rows[::-1] if sweep % 2 else rows:
            for box in row:
                box.at = statistics.fmean([t.at for t in box.near[sweep % 2]] or [box.at])
            row.sort(key=lambda box: box.at)
            for i, box in enumerate(row):
                box.at = i


def _lines(rows: list[list[Box]]) -> int:
    """Set `line` and `shift`: two boxes join if each is the middle one of the other's neighbours. Of
    two in the middle, a box goes with a box, an arrow with an arrow. Lines do not cross."""

    def middle(box: Box, side: int) -> Box | None:
        near = sorted(box.near[side], key=lambda t: t.at)
        near = near[(len(near) - 1) // 2 : len(near) // 2 + 1]
        near = [t for t in near if t.passes is box.passes] or near
        return near[0] if len(near) == 1 else None

    count = 0
    for row in rows:
        joined: list[tuple[float, float]] = []
        for box in sorted(row, key=lambda box: box.passes):
            above = middle(box, 0)
            free = above and all((above.at - a) * (box.at - b) > 0 for a, b in joined)
            if above and free and middle(above, 1) is box:
                box.line, box.shift = above.line, above.shift + box.near[0][above]
                joined.append((above.at, box.at))
            else:
                box.line, box.shift, count = count, 0.0, count + 1
    return count


def _straighten(rows: list[list[Box]]) -> None:
    """Set `x`: each line moves to the middle of what it is tied to, as far as there is room."""
    lines = range(_lines(rows))
    ties: dict[int, list[tuple[int, float]]] = {line: [] for line in lines}
    gaps: dict[tuple[int, int], float] = {}
    for row in rows:
        for s in row:
            near = [*s.near[0].items(), *s.near[1].items()]
            ties[s.line] += [(t.line, t.shift + d - s.shift) for t, d in near if t.line != s.line]
        for a, b in itertools.pairwise(row):
            space = _SEPARATION * (2 - a.passes / 2 - b.passes / 2) / 2
            gap = space + (a.width + b.width) / 2 + a.shift - b.shift
            gaps[a.line, b.line] = max(gap, gaps.get((a.line, b.line), gap))
    before = {line: [(a, gap) for (a, b), gap in gaps.items() if b == line] for line in lines}
    after = {line: [(b, gap) for (a, b), gap in gaps.items() if a == line] for line in lines}
    order = _topological(lines, gaps)
    x = dict.fromkeys(lines, 0.0)

    def wish(line: int) -> float:
        return statistics.fmean([x[other] + d for other, d in ties[line]] or [x[line]])

    for _ in range(_SWEEPS):  # all at once; those that meet share the way
        low = {line: wish(line) for line in lines}
        high = dict(low)
        for line in order:
            low[line] = max([low[line], *(low[a] + gap for a, gap in before[line])])
        for line in reversed(order):
            high[line] = min([high[line], *(high[b] - gap for b, gap in after[line])])
        x.update((line, (low[line] + high[line]) / 2) for line in lines)
    for line in [*order, *order[::-1]] * _SWEEPS:  # one by one, as far as there is room
        least = max((x[a] + gap for a, gap in before[line]), default=-math.inf)
        most = min((x[b] - gap for b, gap in after[line]), default=math.inf)
        x[line] = min(max(wish(line), least), most)
    for box in itertools.chain(*rows):
        box.x = x[box.line] + box.shift


def _route(frame: Box, rows: list[list[Box]], chains: dict[Edge, list[Box]]) -> None:
    """Set `y`, the frame's size and its routes. An arrow to the side has a lane between the rows for
    itself, but those from one place share one."""
    boxes = list(itertools.chain(*rows))
    left = min(box.x - box.width / 2 for box in boxes)
    for box in boxes:
        box.x -= left
    frame.width = max([frame.width, *(box.x + box.width / 2 for box in boxes)])
    steps: dict[Edge, list[tuple[Box, float, Box, float]]] = {}  # from where to where
    starts: dict[Box, set[float]] = {}
    for edge, chain in chains.items():
        steps[edge] = []
        for s, t in itertools.pairwise(chain):
            start, end = s.x + s.offset(edge, -1), t.x + t.offset(edge, 0)
            steps[edge].append((s, start, t, end))
            starts.setdefault(t, set()).add(start)
    ends = {box: _entries(box, sorted(given)) for box, given in starts.items()}
    lanes: dict[Any, float] = {}
    heights = [max(box.height for box in row) for row in rows]
    y = 0.0
    for row, height, below in zip(rows, heights, [*heights[1:], 0.0], strict=True):
        buses: dict[Any, list[float]] = {}
        for s, start, t, end in itertools.chain(*steps.values()):
            end = ends[t].get(start, end)
            if s.row == row[0].row and abs(start - end) > 0.1:
                buses.setdefault((s, start), [start]).append(end)
        for box in row:
            box.y = y + (height - box.height) / 2
        y += height
        taken = _lanes(buses)
        lanes |= {bus: y + _LEAD + _LANE * lane for bus, lane in taken.items()}
        if taken or (height and below):
            y += _LEAD + _TAIL + _LANE * max(taken.values(), default=0)
    frame.height = max(frame.height, y)
    for edge, path in steps.items():
        frame.routes[edge] = points = path[0][0].route(edge, path[0][1], below=True)
        for s, start, t, end in path:
            end = ends[t].get(start, end)
            level = lanes.get((s, start), s.y)
            points += [(start, level), (end, level)] if abs(start - end) > 0.1 else []
        points += t.route(edge, end, below=False)
    for box in frame.inside:
        for edge in box.routes.keys() - frame.routes.keys():
            frame.routes[edge] = box.route(edge, 0, below=False)


def _entries(box: Box, starts: list[float]) -> dict[float, float]:
    """Where arrows from several places enter: side by side, straight from above if they can."""
    if box.inside or len(starts) == 1:
        return {}
    room = max(0.3 * box.width, box.width / 2 - _SEPARATION)
    gap = min(_SEPARATION / 2, 2 * room / (len(starts) - 1))
    wishes = [min(max(x, box.x - room), box.x + room) for x in starts]
    low = itertools.accumulate(wishes, lambda a, b: max(a + gap, b))
    high = itertools.accumulate(wishes[::-1], lambda a, b: min(a - gap, b))
    return {x: (a + b) / 2 for x, a, b in zip(starts, low, list(high)[::-1], strict=True)}


def _lanes(buses: dict[Any, list[float]]) -> dict[Any, int]:
    """A lane for each, counted from above; those that overlap differ, in an order that crosses least."""

    def outer_first(bus: Any) -> tuple[bool, float]:
        rightwards = statistics.fmean(buses[bus]) > bus[1]
        return rightwards, -bus[1] if rightwards else bus[1]

    lanes: dict[Any, int] = {}
    for bus in sorted(buses, key=outer_first):
        a, b = min(buses[bus]) - _LANE, max(buses[bus]) + _LANE
        over = [n for o, n in lanes.items() if min(buses[o]) < b and a < max(buses[o])]
        lanes[bus] = 1 + max(over, default=-1)
    return lanes
