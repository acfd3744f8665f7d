"""Where the boxes and arrows of a model's picture go: rows from top to bottom, as few crossings as possible.

The steps are Sugiyama's: rank the boxes, order each row, then move boxes within their rows.
A box may hold boxes; it is arranged first and then is a box like any other. For pictures from left
to right, "down" is right: the caller swaps the axes.
"""

from __future__ import annotations

import itertools
import statistics
from dataclasses import dataclass, field
from typing import Any

Point = tuple[float, float]

_SEPARATION = 24.0  # between boxes of one row; half of it next to a passing arrow
_LEAD, _LANE, _TAIL = 12.0, 9.0, 20.0  # between rows: above the lanes, a lane, room for heads
_SWEEPS = 24


@dataclass(eq=False)
class Box:
    """A rectangle of known size, or, with `inside`, the frame of others. Positions are set here."""

    width: float = 0.0
    height: float = 0.0
    x: float = 0.0
    y: float = 0.0
    inside: list[Any] = field(default_factory=list)
    #: In a frame: the part of each arrow that lies in it, from top to bottom.
    routes: dict[tuple[Any, Any], list[Point]] = field(default_factory=dict)

    def leaves(self) -> list[Any]:
        """The boxes without frames."""
        return [leaf for box in self.inside for leaf in box.leaves()] if self.inside else [self]


Edge = tuple[Box, Box]


@dataclass(eq=False)
class _Slot:
    """A place in a row: of a box, or of an arrow that passes by."""

    row: int
    box: Box | None = None
    at: int = 0
    x: float = 0.0  # of the middle
    y: float = 0.0  # of the top
    near: tuple[dict[_Slot, float], dict[_Slot, float]] = field(default_factory=lambda: ({}, {}))

    @property
    def size(self) -> Point:
        """Width and height."""
        return (self.box.width, self.box.height) if self.box else (0.0, 0.0)

    @property
    def half(self) -> float:
        """Half of its width, and of the space around it."""
        return (self.box.width + _SEPARATION) / 2 if self.box else _SEPARATION / 4


def arrange(
    frame: Box, edges: list[Edge], pads: Point = (0, 0), flipped: set[Edge] | None = None
) -> set[Edge]:
    """Place what is in `frame`, from its own top left corner on, and set its size and `routes`.

    `pads` is the space (left, above) inside each frame within this one; the smaller is right and
    below too. The result is the edges that run upwards, which only layers used twice make.
    """
    flipped = set() if flipped is None else flipped
    owner = {leaf: box for box in frame.inside for leaf in box.leaves()}
    links = {e: (owner.get(e[0]), owner.get(e[1])) for e in edges}
    links = {e: (a, b) for e, (a, b) in links.items() if a is not b}
    place = {box: i for i, box in enumerate(_topological(frame.inside, links.values()))}
    flipped |= {e for e, (a, b) in links.items() if a and b and place[a] > place[b]}
    for box in frame.inside:
        if box.inside:
            arrange(box, edges, pads, flipped)
            _pad(box, *pads)
    ends = {e: (b, a) if e in flipped else (a, b) for e, (a, b) in links.items()}
    rows, chains = _rows(place, ends, flipped)
    _order(rows)
    _place(rows)
    _route(frame, rows, chains)
    return flipped


def _topological(boxes: list[Box], pairs: Any) -> list[Box]:
    """Sources first; in a cycle, the box that comes first in the list."""
    before: dict[Box, set[Box]] = {box: set() for box in boxes}
    for a, b in pairs:
        if a and b:
            before[b].add(a)
    order: dict[Box, None] = {}
    while before:
        ready = next((b for b, needs in before.items() if needs <= order.keys()), None)
        order[ready := ready or next(iter(before))] = None
        del before[ready]
    return list(order)


def _pad(box: Box, left: float, above: float) -> None:
    after = min(left, above)
    box.width, box.height = box.width + left + after, box.height + above + after
    for child in box.inside:
        child.x, child.y = child.x + left, child.y + above
    box.routes = {edge: _shifted(points, left, above) for edge, points in box.routes.items()}


def _rows(place: dict[Box, int], ends: Any, flipped: set[Edge]) -> Any:
    """The slots by row, and of each edge the slots from its upper to its lower end."""
    rank: dict[Box, int] = {}
    for box in place:
        rank[box] = 1 + max((rank[a] for a, b in ends.values() if b is box and a), default=0)
    for box in place:  # an input stands right above what takes it
        below = [rank[b] for a, b in ends.values() if a is box and b]
        if below and not any(b is box for _, b in ends.values()):
            rank[box] = min(below) - 1
    last = max(rank.values(), default=0) + 1
    slots: dict[Any, _Slot] = {box: _Slot(rank[box], box) for box in place}
    chains: dict[Edge, list[_Slot]] = {}
    for edge, (a, b) in ends.items():
        up = edge in flipped
        first, end = rank[a] if a else -1, rank[b] if b else last + 1
        passed = [slots.setdefault((edge[up], up, r), _Slot(r)) for r in range(first + 1, end)]
        chains[edge] = [*([slots[a]] if a else ()), *passed, *([slots[b]] if b else ())]
        for s, t in itertools.pairwise(chains[edge]):
            shift = _offset(s, edge, -1) - _offset(t, edge, 0)
            s.near[1][t], t.near[0][s] = -shift, shift
    rows = [[s for s in slots.values() if s.row == r] for r in range(last + 1)]
    return [row for row in rows if row], chains


def _offset(slot: _Slot, edge: Edge, end: int) -> float:
    """How far from the middle of its box an arrow leaves (-1) or enters (0) it."""
    if slot.box is None or edge not in slot.box.routes:
        return 0.0
    return slot.box.routes[edge][end][0] - slot.box.width / 2


def _order(rows: list[list[_Slot]]) -> None:
    """Barycenter sweeps, down and up; the order with the fewest crossings stays."""
    for row in rows:
        for i, slot in enumerate(row):
            slot.at = i
    best = (_crossings(rows), [list(row) for row in rows])
    for sweep in range(_SWEEPS // 3):
        for row in rows if sweep % 2 else rows[::-1]:
            near = {s: s.near[(sweep + 1) % 2] for s in row}
            row.sort(key=lambda s: statistics.fmean(t.at for t in near[s]) if near[s] else s.at)
            for i, slot in enumerate(row):
                slot.at = i
        best = min(best, (_crossings(rows), [list(row) for row in rows]), key=lambda pair: pair[0])
    rows[:] = best[1]


def _crossings(rows: list[list[_Slot]]) -> int:
    """How many pairs of arrows between neighbouring rows cross."""
    count = 0
    for row in rows:
        pairs = itertools.combinations([(s.at, t.at) for s in row for t in s.near[1]], 2)
        count += sum((a - c) * (b - d) < 0 for (a, b), (c, d) in pairs)
    return count


def _place(rows: list[list[_Slot]]) -> None:
    """Set `x`: chains become straight lines, and each line moves to the middle of what it is tied to."""
    lines = _lines(rows)
    line_of = {slot: line for line in lines for slot in line}
    beside = [
        (line_of[a], line_of[b], a.half + b.half + a.shift - b.shift)
        for row in rows
        for a, b in itertools.pairwise(row)
    ]
    order = _topological(lines, beside)
    ties = {
        line: [(line_of[t], t.shift + d - s.shift) for s in line for near in s.near for t, d in near.items() if line_of[t] is not line]
        for line in lines
    }
def _spread(wishes: list[float], gaps: list[float], weights: list[float]) -> list[float]:
    """The positions nearest to the wishes (weighted least squares) that keep order and gaps."""
    offsets = list(itertools.accumulate(gaps, initial=0.0))
    blocks: list[tuple[float, float, int]] = []  # mean, weight, count
    for wish, offset, weight in zip(wishes, offsets, weights, strict=True):
        blocks.append((wish - offset, weight, 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (m, v, i), (n, w, j) = blocks[-2:]
            blocks[-2:] = [((m * v + n * w) / (v + w), v + w, i + j)]
    means = [mean for mean, _, count in blocks for _ in range(count)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=True)]


def _route(frame: Box, rows: list[list[_Slot]], chains: dict[Edge, list[_Slot]]) -> None:
    """Set sizes, positions and routes. A sideways arrow has a lane between the rows to itself, but
    the arrows from one place share theirs."""
    slots = [slot for row in rows for slot in row]
    left = min((slot.x - slot.size[0] / 2 for slot in slots), default=0.0)
    right = max((slot.x + slot.size[0] / 2 for slot in slots), default=left)
    frame.width = max(frame.width, right - left)
    for slot in slots:
        slot.x -= left
    steps = {
        edge: [
            [s, s.x + _offset(s, edge, -1), t, t.x + _offset(t, edge, 0)]
            for s, t in itertools.pairwise(chain)
        ]
        for edge, chain in chains.items()
    }
    _part([step for path in steps.values() for step in path])
    lanes: dict[Any, float] = {}
    y = 0.0
    for row in rows:
        height = max(slot.size[1] for slot in row)
        for slot in row:
            slot.y = y + (height - slot.size[1]) / 2
            if slot.box:
                slot.box.x, slot.box.y = slot.x - slot.size[0] / 2, slot.y
        y += height
        buses: dict[Any, list[float]] = {}
        for s, start, _, end in (step for path in steps.values() for step in path):
            if s.row == row[0].row and abs(start - end) > 1:
                buses.setdefault((s, start), [start]).append(end)
        taken = _lanes(buses)
        lanes |= {bus: y + _LEAD + _LANE * lane for bus, lane in taken.items()}
        if row is not rows[-1]:
            y += _LEAD + _TAIL + _LANE * max(taken.values(), default=0)
    frame.height = max(frame.height, y)
    for edge, path in steps.items():
        points = _piece(path[0][0], path[0][1], edge, bottom=True)
        for s, start, _, end in path:
            if (s, start) in lanes and abs(start - end) > 1:
                points += [(start, lanes[s, start]), (end, lanes[s, start])]
        frame.routes[edge] = points + _piece(path[-1][2], path[-1][3], edge, bottom=False)
    for box in frame.inside:
        for edge in box.routes.keys() - frame.routes.keys():
            frame.routes[edge] = _shifted(box.routes[edge], box.x, box.y)


def _part(steps: list[list[Any]]) -> None:
    """Arrows from several places into one box arrive side by side, from above where they can."""
    arrivals: dict[_Slot, set[float]] = {}
    for _, start, slot, _ in steps:
        if slot.box and not slot.box.inside:
            arrivals.setdefault(slot, set()).add(start)
    entries: dict[Any, float] = {}
    for slot, starts in arrivals.items():
        room = 0.3 * slot.size[0] if len(starts) > 1 else 0.0
        gap = min(_SEPARATION / 2, 2 * room / max(len(starts) - 1, 1))
        ordered = sorted(starts)
        wishes = [min(max(x, slot.x - room), slot.x + room) for x in ordered]
        ends = _spread(wishes, [gap] * (len(ordered) - 1), [1.0] * len(ordered))
        entries |= {(slot, start): end for start, end in zip(ordered, ends, strict=True)}
    for step in steps:
        step[3] = entries.get((step[2], step[1]), step[3])


def _lanes(buses: dict[Any, list[float]]) -> dict[Any, int]:
    """A lane for each, counted from above; those that overlap differ, in the order that crosses least."""

    def outer_first(bus: Any) -> tuple[bool, float]:
        rightwards = statistics.fmean(buses[bus]) > bus[1]
        return rightwards, -bus[1] if rightwards else bus[1]

    lanes: dict[Any, int] = {}
    for bus in sorted(buses, key=outer_first):
        a, b = min(buses[bus]) - _LANE, max(buses[bus]) + _LANE
        over = [n for o, n in lanes.items() if min(buses[o]) < b and a < max(buses[o])]
        lanes[bus] = 1 + max(over, default=-1)
    return lanes


def _piece(slot: _Slot, x: float, edge: Edge, bottom: bool) -> list[Point]:
    """An arrow's end at a slot: on the border of a box, or on its way inside a frame."""
    if slot.box and edge in slot.box.routes:
        return _shifted(slot.box.routes[edge], slot.box.x, slot.box.y)
    return [(x, slot.y + (slot.size[1] if bottom else 0))]


def _shifted(points: list[Point], x: float, y: float) -> list[Point]:
    return [(a + x, b + y) for a, b in points]
