"""Pictures of models: `plot_model` and `model_to_dot`. They are laid out and drawn here, without graphviz."""

from __future__ import annotations

import functools
import importlib
import itertools
import math
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from kerastorch._graph import KerasTensor, Node, reachable, symbolic_leaves
from kerastorch.models._layout import Box, Edge, Point, arrange
from kerastorch.models._model import Model
from kerastorch.models._sequential import Sequential
from kerastorch.models._summary import _shapes

# -- reading the model -----------------------------------------------------------------------------


class _Look(NamedTuple):
    """What boxes show."""

    names: bool
    activations: bool
    shapes: bool
    dtype: bool
    trainable: bool
    expand: bool


@dataclass(eq=False)
class _Picture(Box):
    """A layer, a function (`small`), or an expanded model: a frame with boxes `inside`."""

    key: str = ""
    title: str = ""
    rows: list[tuple[str, str]] = field(default_factory=list)
    small: bool = False
    takes: list[list[Any]] = field(default_factory=list)  # a frame's boxes by input
    gives: Any = None  # the box in a frame that makes the output at a path


def _read(model: Any, look: _Look, edges: dict[Edge, None], prefix: str = "") -> _Picture:
    """The boxes of a model, each layer once; the tensors between them join `edges`."""
    names = {module: key for key, module in model._modules.items()}
    inputs = {(t.node, t.path): i for i, t in enumerate(model._flat_inputs)}
    frame = _Picture(key=prefix.rstrip("/"), title=model.name, takes=[[] for _ in inputs])
    made: dict[Any, _Picture] = {}

    def add(what: Any, taken: list[Any], given: list[Any]) -> _Picture:
        small = isinstance(what, Node)
        name = _function(what) if small else str(getattr(what, "name", None) or names[what])
        used = {box.key for box in made.values()}
        keys = (f"{prefix}{name}_{i}" if i else prefix + name for i in itertools.count())
        key = next(key for key in keys if key not in used)
        if look.expand and not small and "_flat_inputs" in what.__dict__:
            made[what] = _read(what, look, edges, f"{key}/")
        else:
            made[what] = _box(what, key, name, taken, given, look)
        return made[what]

    def source(tensor: KerasTensor) -> Any:
        """The box that makes it. None makes the input of a Sequential."""
        at = tensor.node, tensor.path
        box = made.get(model._input_layers[inputs[at]] if at in inputs else _what(tensor.node))
        return box.gives(tensor.path) if box and box.inside else box

    if not isinstance(model, Sequential):
        for layer, tensor, boxes in zip(
            model._input_layers, model._flat_inputs, frame.takes, strict=True
        ):
            boxes.append(add(layer, [], [tensor]))
    nodes = _nodes(model)
    for node in nodes:
        what, parents = _what(node), _parents(node)
        if what not in made:
            calls = [n for n in nodes if _what(n) is what]
            add(what, [_parents(n) for n in calls], [n.outputs for n in calls])
        takes = made[what].takes or [[made[what]]] * len(parents)
        for tensor, targets in zip(parents, takes, strict=False):
            if start := source(tensor):
                edges.update(dict.fromkeys((start, target) for target in targets))
            else:
                frame.takes[inputs[tensor.node, tensor.path]] += targets
    frame.inside = list(made.values())
    frame.gives = lambda path: source(functools.reduce(lambda v, k: v[k], path, model._outputs))
    return frame


def _what(node: Node) -> Any:
    """What has one box: a layer however often it is called, or one call of a function."""
    return node.target if node.kind == "call_module" else node


def _parents(node: Node) -> list[KerasTensor]:
    """What a call takes, without the masks that go along with its tensors."""
    masks = {id(tensor._keras_mask) for tensor in node.parents}
    return [tensor for tensor in node.parents if id(tensor) not in masks]


def _nodes(model: Any) -> list[Node]:
    """The calls that lead to the outputs, without those that only make masks."""
    inputs = {(t.node, t.path) for t in model._flat_inputs}
    nodes = reachable(model._flat_inputs, model._outputs)
    wanted = {t.node for t in model.outputs if (t.node, t.path) not in inputs}
    for node in reversed(nodes):
        if node in wanted:
            wanted |= {t.node for t in _parents(node) if (t.node, t.path) not in inputs}
    return [node for node in nodes if node in wanted]


def _function(node: Node) -> str:
    if node.target is getattr:
        return f".{node.args[1]}"
    return str(getattr(node.target, "__name__", node.target)).strip("_")


def _box(
    what: Any, key: str, name: str, taken: list[Any], given: list[Any], look: _Look
) -> _Picture:
    """A box with labels and values; where the calls of a shared layer differ, all are listed."""
    small, rows = isinstance(what, Node), []
    activation = getattr(what, "activation", None)
    if look.activations and activation is not None:
        rows.append(("Activation", getattr(activation, "__name__", type(activation).__name__)))
    if look.shapes and not small and (taken or not given):
        rows.append(("Input shape", _each(_shapes(t if len(t) > 1 else t[0]) for t in taken)))
    if look.shapes:
        rows.append(("Output shape", _each(_shapes(value) for value in given)))
    if look.dtype:
        leaves = (leaf for value in given for leaf in symbolic_leaves(value))
        rows.append(("Output dtype", _each(str(t.dtype).removeprefix("torch.") for t in leaves)))
    flags = [] if small else [p.requires_grad for _, p in nn.Module.named_parameters(what)]
    if look.trainable and flags:
        rows.append(("", "Trainable" if any(flags) else "Non-trainable"))
    kind = type(what).__name__
    title = name if small else f"{name}: {kind}" if look.names else kind
    return _Picture(key=key, title=title, rows=rows, small=small)


def _each(texts: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(texts)) or "?"


# -- DOT -------------------------------------------------------------------------------------------

# Lengths are in points, 1/72 inch.
_MARGIN, _PAD, _HEADER, _ROW = 14.0, 10.0, 26.0, 21.0
_TITLE, _TEXT = 14.0, 12.0  # font sizes
_INK, _GREY, _PALE, _WHITE = "#24292f", "#6b7280", "#e8ebef", "#ffffff"
_FRAMES = ("#f3f6fa", "#e6ecf4")  # nested models, alternating by depth
_BADGES = {"Trainable": "#1a7f37", "Non-trainable": "#b42318"}


@dataclass
class Dot:
    """The picture of a model: as DOT text for graphviz, or drawn here as SVG text or a Pillow image."""

    frame: _Picture
    edges: list[Edge]
    rankdir: str
    dpi: float
    splines: str
    subgraph: bool

    def to_string(self) -> str:
        """The graph in the DOT language; expanded models are clusters."""
        settings = f"rankdir={self.rankdir} dpi={self.dpi:g} splines={_quoted(self.splines)}"
        lines = [
            f"graph [{settings} concentrate=true fontname=Helvetica];",
            "node [shape=plain fontname=Helvetica];",
            *([_dot(self.frame)] if self.subgraph else map(_dot, self.frame.inside)),
            *(f"{_quoted(a.key)} -> {_quoted(b.key)};" for a, b in self.edges),
        ]
        return "digraph {\n" + "\n".join(lines) + "\n}\n"

    def to_svg(self) -> str:
        """The picture as SVG; every box and arrow is a group with its name as title."""
        width, height, groups = _draw(self)
        body = "\n".join(
            f'<g class="{kind}"><title>{escape(name)}</title>{"".join(map(_svg, marks))}</g>'
            for kind, name, marks in groups
        )
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}pt" height="{height:.0f}pt" '
            f'viewBox="0 0 {width:.1f} {height:.1f}" font-family="Helvetica, Arial, sans-serif">\n'
            f'<rect width="100%" height="100%" fill="{_WHITE}"/>\n{body}\n</svg>\n'
        )

    def to_image(self) -> Any:
        """The picture as a `PIL.Image.Image` of `dpi` pixels an inch."""
        from PIL import Image, ImageDraw

        width, height, groups = _draw(self)
        scale = self.dpi / 72
        image = Image.new("RGB", (math.ceil(width * scale), math.ceil(height * scale)), _WHITE)
        pen = ImageDraw.Draw(image)
        for mark in (mark for _, _, marks in groups for mark in marks):
            _paint(pen, mark, scale)
        return image

    _repr_svg_ = to_svg


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _dot(box: _Picture) -> str:
    if box.inside:
        head = f"subgraph {_quoted('cluster_' + box.key)} {{\nlabel={_quoted(box.title)} labeljust=l"
        return "\n".join([head, "style=dashed", *map(_dot, box.inside), "}"])
    ink, paper = (_INK, _PALE) if box.small else (_WHITE, _INK)
    cells = f'<tr><td colspan="2" bgcolor="{paper}"><font color="{ink}"><b>{escape(box.title)}</b></font></td></tr>'
    for label, value in box.rows:
        if label:
            cells += f'<tr><td align="left">{label}</td><td align="left">{escape(value)}</td></tr>'
        else:
            cells += f'<tr><td colspan="2" bgcolor="{_BADGES[value]}"><font color="{_WHITE}">{value}</font></td></tr>'
    table = f'<table border="0" cellborder="1" cellspacing="0" cellpadding="6">{cells}</table>'
    return f"{_quoted(box.key)} [label=<{table}>];"


# -- drawing ---------------------------------------------------------------------------------------


class _Mark(NamedTuple):
    """A rectangle (two corners), text (the left end of its middle), line or filled polygon."""

    kind: str
    points: list[Point]
    fill: str
    edge: str = ""
    text: str = ""
    size: float = 0.0


@functools.cache
def _font(pixels: float) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(pixels)


def _width(text: str, size: float) -> float:
    return float(_font(size * 8).getlength(text)) / 8


def _measure(box: _Picture, swap: bool) -> None:
    """Set the sizes of boxes, with the axes swapped for pictures from left to right; a frame has at
    least the room of its title."""
    for child in box.inside:
        _measure(child, swap)
    wide, high = _width(box.title, _TITLE), 0.0
    if not box.inside:
        names = max((_width(label, _TEXT) + _PAD for label, _ in box.rows if label), default=0)
        values = max((_width(value, _TEXT) for _, value in box.rows), default=0)
        wide, high = max(wide, names + values) + 2 * _PAD, _HEADER + _ROW * len(box.rows)
    box.width, box.height = (high, wide) if swap else (wide, high)


def _draw(dot: Dot) -> tuple[float, float, list[tuple[str, str, list[_Mark]]]]:
    """Width, height, and groups of marks: kind, name, marks."""
    swap = dot.rankdir == "LR"
    root = _Picture(inside=[dot.frame] if dot.subgraph else dot.frame.inside)
    for box in root.inside:
        _measure(box, swap)
    flow = [edge for edge in dot.edges if edge[0] is not edge[1]]
    flipped = arrange(root, flow, (_HEADER, _PAD) if swap else (_PAD, _HEADER))

    def at(x: float, y: float) -> Point:
        return (y + _MARGIN, x + _MARGIN) if swap else (x + _MARGIN, y + _MARGIN)

    frames, arrows, boxes = [], [], []

    def walk(box: _Picture, x: float, y: float, depth: int) -> None:
        for child in box.inside:
            a, b = x + child.x, y + child.y
            corners = [at(a, b), at(a + child.width, b + child.height)]
            if child.inside:
                frames.append(("cluster", child.key, _frame_marks(child, corners, depth)))
                walk(child, a, b, depth + 1)
            else:
                kind = "function" if child.small else "layer"
                boxes.append((kind, child.key, _box_marks(child, corners)))
            if (child, child) in dot.edges:
                right, middle = a + child.width, b + child.height / 2
                loop = [(0, -5), (_PAD, -5), (_PAD, 5), (0, 5)]
                root.routes[child, child] = [(right + i, middle + j) for i, j in loop]

    walk(root, 0, 0, 0)
    for edge in dot.edges:
        points = [at(*point) for point in root.routes[edge]]
        name = f"{edge[0].key} -> {edge[1].key}"  # type: ignore[attr-defined]
        arrows.append(("edge", name, _arrow_marks(points[::-1] if edge in flipped else points)))
    width, height = at(root.width + _MARGIN, root.height + _MARGIN)
    return width, height, frames + arrows + boxes


def _frame_marks(box: _Picture, corners: list[Point], depth: int) -> list[_Mark]:
    place = (corners[0][0] + _PAD, corners[0][1] + _HEADER / 2)
    return [
        _Mark("rect", corners, _FRAMES[depth % 2], _GREY),
        _Mark("text", [place], _GREY, text=box.title, size=_TITLE),
    ]


def _box_marks(box: _Picture, corners: list[Point]) -> list[_Mark]:
    (left, top), (right, bottom) = corners
    column = max((_width(label, _TEXT) + _PAD for label, _ in box.rows if label), default=0)
    ink, paper = (_INK, _PALE) if box.small else (_WHITE, _INK)

    def centred(text: str, size: float, fill: str, y: float) -> _Mark:
        x = (left + right - _width(text, size)) / 2
        return _Mark("text", [(x, y)], fill, text=text, size=size)

    marks = [
        _Mark("rect", [(left, top), (right, top + _HEADER)], paper, _INK),
        centred(box.title, _TITLE, ink, top + _HEADER / 2),
    ]
    for i, (label, value) in enumerate(box.rows):
        y = top + _HEADER + _ROW * i
        fill = _WHITE if label else _BADGES[value]
        marks.append(_Mark("rect", [(left, y), (right, y + _ROW)], fill, _INK))
        y += _ROW / 2
        if label:
            place = (left + _PAD, y)
            marks.append(_Mark("text", [place], _GREY, text=label, size=_TEXT))
            place = (left + _PAD + column, y)
            marks.append(_Mark("text", [place], _INK, text=value, size=_TEXT))
        else:
            marks.append(centred(value, _TEXT, _WHITE, y))
    return marks


def _arrow_marks(points: list[Point]) -> list[_Mark]:
    (a, b), (x, y) = points[-2:]
    length = math.dist(points[-2], points[-1]) or 1.0
    u, v = (x - a) / length, (y - b) / length
    neck = (x - 8 * u, y - 8 * v)
    head = [(x, y), (neck[0] - 4 * v, neck[1] + 4 * u), (neck[0] + 4 * v, neck[1] - 4 * u)]
    return [_Mark("line", [*points[:-1], neck], _INK), _Mark("head", head, _INK)]


def _svg(mark: _Mark) -> str:
    (x, y), *rest = mark.points
    if mark.kind == "rect":
        size = f'width="{rest[0][0] - x:.1f}" height="{rest[0][1] - y:.1f}"'
        return f'<rect x="{x:.1f}" y="{y:.1f}" {size} fill="{mark.fill}" stroke="{mark.edge}"/>'
    if mark.kind == "text":
        return (
            f'<text x="{x:.1f}" y="{y:.1f}" dominant-baseline="central" font-size="{mark.size:g}" '
            f'textLength="{_width(mark.text, mark.size):.1f}" fill="{mark.fill}">{escape(mark.text)}</text>'
        )
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in mark.points)
    if mark.kind == "line":
        return f'<polyline points="{points}" fill="none" stroke="{mark.fill}" stroke-width="1.2"/>'
    return f'<polygon points="{points}" fill="{mark.fill}"/>'


def _paint(pen: Any, mark: _Mark, scale: float) -> None:
    points = [(x * scale, y * scale) for x, y in mark.points]
    if mark.kind == "rect":
        pen.rectangle(points, mark.fill, mark.edge, max(1, round(scale)))
    elif mark.kind == "text":
        pen.text(points[0], mark.text, mark.fill, _font(mark.size * scale), anchor="lm")
    elif mark.kind == "line":
        pen.line(points, mark.fill, max(1, round(1.2 * scale)), joint="curve")
    else:
        pen.polygon(points, mark.fill)


# -- the public functions --------------------------------------------------------------------------


def model_to_dot(
    model: Any,
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = True,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: float = 200,
    subgraph: bool = False,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    splines: str = "ortho",
    **kwargs: Any,
) -> Dot:
    if kwargs:
        raise TypeError(f"model_to_dot got unknown arguments: {', '.join(kwargs)}.")
    look = _Look(
        show_layer_names, show_layer_activations, show_shapes, show_dtype, show_trainable, expand_nested
    )
    edges: dict[Edge, None] = {}
    if "_flat_inputs" in model.__dict__:
        frame = _read(model, look, edges)
        frame.key = model.name
    else:
        box = _box(model, model.name, model.name, [], [], look)
        frame = _Picture(key=model.name, title=model.name, inside=[box])
    return Dot(frame, list(edges), rankdir, dpi, splines, subgraph)
