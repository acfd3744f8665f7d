"""Pictures of models: `plot_model` and `model_to_dot`. They are laid out and drawn here, without graphviz."""

from __future__ import annotations

import functools
import importlib
import itertools
import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from kerastorch._graph import KerasTensor, Node, symbolic_leaves
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

    title: str = ""
    rows: list[tuple[str, str]] = field(default_factory=list)
    small: bool = False
    column: float = 0.0  # where values begin
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
    nodes = model._calls()
    ends = (*model.outputs, *model._ends)
    wanted = {t.node for t in ends if (t.node, t.path) not in inputs}
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
_FINE = 8.0  # pixels a point at which text for SVG is measured
_INK, _GREY, _PALE, _WHITE = "#24292f", "#6b7280", "#e8ebef", "#ffffff"
_FRAMES = ("#f3f6fa", "#e6ecf4")  # nested models, alternating by depth
_BADGES = {"Trainable": "#1a7f37", "Non-trainable": "#b42318"}


@dataclass(repr=False)
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
        width, height, groups = _draw(self, _FINE)
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

        scale = self.dpi / 72
        width, height, groups = _draw(self, scale)
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
        head = (
            f"subgraph {_quoted('cluster_' + box.key)} {{\nlabel={_quoted(box.title)} labeljust=l"
        )
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
    """A rectangle (two corners), text (its left end or its middle), line or arrow head (polygon)."""

    kind: str
    points: list[Point]
    fill: str
    text: str = ""
    size: float = _TEXT


@functools.cache
def _font(pixels: float) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(pixels)


def _width(text: str, size: float, scale: float) -> float:
    """In points, where `scale` pixels are a point: glyphs fill whole pixels."""
    return float(_font(size * scale).getlength(text)) / scale


def _measure(box: _Picture, swap: bool, scale: float) -> None:
    """Set the sizes of boxes, with the axes swapped for pictures from left to right; a frame has at
    least the room of its title."""
    for child in box.inside:
        _measure(child, swap, scale)
    wide, high = _width(box.title, _TITLE, scale), 0.0
    if not box.inside:
        labels = [_width(label, _TEXT, scale) + _PAD for label, _ in box.rows if label]
        values = [_width(value, _TEXT, scale) for _, value in box.rows]
        box.column = max(labels, default=0.0)
        wide = max(wide, box.column + max(values, default=0.0)) + 2 * _PAD
        high = _HEADER + _ROW * len(box.rows)
    box.width, box.height = (high, wide) if swap else (wide, high)


def _draw(dot: Dot, scale: float) -> tuple[float, float, list[tuple[str, str, list[_Mark]]]]:
    """Width, height, and groups of marks: kind, name, marks."""
    swap = dot.rankdir == "LR"
    root = _Picture(inside=[dot.frame] if dot.subgraph else dot.frame.inside)
    for box in root.inside:
        _measure(box, swap, scale)
    flow = [edge for edge in dot.edges if edge[0] is not edge[1]]
    flipped = arrange(root, flow, (_HEADER, _PAD) if swap else (_PAD, _HEADER))

    def at(x: float, y: float) -> Point:
        x, y = round(x + _MARGIN, 1), round(y + _MARGIN, 1)
        return (y, x) if swap else (x, y)

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
        points = [point for point, _ in itertools.groupby(at(*p) for p in root.routes[edge])]
        name = f"{edge[0].key} -> {edge[1].key}"
        arrows.append(("edge", name, _arrow_marks(points[::-1] if edge in flipped else points)))
    width, height = at(root.width + _MARGIN, root.height + _MARGIN)
    return width, height, frames + arrows + boxes


def _frame_marks(box: _Picture, corners: list[Point], depth: int) -> list[_Mark]:
    (left, top), _ = corners
    place = (left + _PAD, top + _HEADER / 2)
    return [
        _Mark("rect", corners, _FRAMES[depth % 2]),
        _Mark("text", [place], _GREY, box.title, _TITLE),
    ]


def _box_marks(box: _Picture, corners: list[Point]) -> list[_Mark]:
    (left, top), (right, _) = corners
    ink, paper = (_INK, _PALE) if box.small else (_WHITE, _INK)
    middle = (left + right) / 2
    marks = [
        _Mark("rect", [(left, top), (right, top + _HEADER)], paper),
        _Mark("centred", [(middle, top + _HEADER / 2)], ink, box.title, _TITLE),
    ]
    for i, (label, value) in enumerate(box.rows):
        y = top + _HEADER + _ROW * i
        row, y = [(left, y), (right, y + _ROW)], y + _ROW / 2
        if label:
            marks += [
                _Mark("rect", row, _WHITE),
                _Mark("text", [(left + _PAD, y)], _GREY, label),
                _Mark("text", [(left + _PAD + box.column, y)], _INK, value),
            ]
        else:
            marks += [
                _Mark("rect", row, _BADGES[value]),
                _Mark("centred", [(middle, y)], _WHITE, value),
            ]
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
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in mark.points)
    if mark.kind == "rect":
        size = f'width="{rest[0][0] - x:.1f}" height="{rest[0][1] - y:.1f}"'
        return f'<rect x="{x:.1f}" y="{y:.1f}" {size} fill="{mark.fill}" stroke="{_INK}"/>'
    if mark.kind == "line":
        return f'<polyline points="{points}" fill="none" stroke="{mark.fill}" stroke-width="1.2"/>'
    if mark.kind == "head":
        return f'<polygon points="{points}" fill="{mark.fill}"/>'
    anchor = "middle" if mark.kind == "centred" else "start"
    length = _width(mark.text, mark.size, _FINE)
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" dominant-baseline="central" '
        f'font-size="{mark.size:g}" textLength="{length:.1f}" fill="{mark.fill}">'
        f"{escape(mark.text)}</text>"
    )


def _paint(pen: Any, mark: _Mark, scale: float) -> None:
    points = [(round(x * scale), round(y * scale)) for x, y in mark.points]
    if mark.kind == "rect":
        pen.rectangle(points, mark.fill, _INK, max(1, round(0.8 * scale)))
    elif mark.kind == "line":  # of upright and level parts
        width = max(1, round(1.2 * scale))
        for pair in itertools.pairwise(points):
            (a, b), (c, d) = map(sorted, zip(*pair, strict=True))
            low, high = width // 2, (width - 1) // 2
            pen.rectangle((a - low, c - low, b + high, d + high), mark.fill)
    elif mark.kind == "head":
        pen.polygon(points, mark.fill)
    else:
        anchor = "mm" if mark.kind == "centred" else "lm"
        pen.text(points[0], mark.text, mark.fill, _font(mark.size * scale), anchor)


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
    """The picture of a model as an object: ``to_string()`` is DOT text for graphviz.

    The arguments are those of `plot_model`. With `subgraph`, the model itself is a cluster too.
    Source: `keras.utils.model_to_dot`, which returns pydot's objects.

    >>> import kerastorch as keras
    >>> x = keras.Input((4,), name="x")
    >>> model = keras.Model(x, keras.layers.Dense(3, name="scores")(x))
    >>> print(keras.utils.model_to_dot(model).to_string())
    digraph {
    ...
    "x" [label=<...<b>x: InputLayer</b>...>];
    "scores" [label=<...<b>scores: Dense</b>...>];
    "x" -> "scores";
    }
    """
    if kwargs:
        raise ValueError(f"Unknown or no longer supported arguments: {', '.join(kwargs)}.")
    if rankdir not in ("TB", "LR"):
        raise ValueError(
            f'`rankdir` must be "TB" (top to bottom) or "LR" (left to right), received {rankdir!r}.'
        )
    if not isinstance(dpi, (int, float)) or dpi <= 0:
        raise ValueError(f"`dpi` must be a positive number of pixels an inch, received {dpi!r}.")
    if not isinstance(model, Model):
        raise TypeError(f"`model` must be a Model, received {type(model).__name__}.")
    if not model.built:
        raise ValueError(
            f"Model {model.name!r} is not built yet, so its graph is unknown. Call it on a batch of "
            "data, call `build()`, or begin it with an Input."
        )
    look = _Look(
        show_layer_names,
        show_layer_activations,
        show_shapes,
        show_dtype,
        show_trainable,
        expand_nested,
    )
    edges: dict[Edge, None] = {}
    if "_flat_inputs" in model.__dict__:
        frame = _read(model, look, edges)
    else:  # what its call does is Python code
        frame = _Picture(title=model.name)
        frame.inside = [_box(model, model.name, model.name, [], [], look)]
    return Dot(frame, list(edges), rankdir, dpi, splines, subgraph)


def plot_model(
    model: Any,
    to_file: str | Path = "model.png",
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = True,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: float = 200,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    splines: str = "ortho",
    **kwargs: Any,
) -> Any:
    """Draw a model into a file: a box for each layer, an arrow for each tensor.

    A functional or `Sequential` model shows its layers, and as light boxes the torch functions
    between them; a subclassed model, whose `call` is Python code, is one box. Nothing but Python
    packages is needed.

    Args:
        to_file: a path that ends in .png (or nothing), .svg, or .dot (text for graphviz).
        show_shapes, show_dtype: of what each layer takes and makes; None is an axis of any size.
        show_layer_names: "name: Type" as title instead of the type alone.
        rankdir: "TB" from top to bottom, "LR" from left to right.
        expand_nested: show the layers of models within the model, in a frame.
        dpi: pixels an inch of a PNG; text has 12 and 14 points.
        show_layer_activations, show_trainable: rows for these.
        splines: how graphviz draws the arrows of a .dot file; here they have right angles.

    Returns:
        The picture to display if IPython runs and the file is a PNG, else None.

    Source: `keras.utils.plot_model`.

    >>> import kerastorch as keras
    >>> x = keras.Input((4,), name="x")
    >>> model = keras.Model(x, keras.layers.Dense(3, name="scores")(x))
    >>> keras.utils.plot_model(model, "model.bmp")
    Traceback (most recent call last):
    ValueError: `to_file` must end in .png, .svg or .dot, received 'model.bmp'.
    """
    path = Path(to_file)
    suffix = path.suffix.lower() or ".png"
    if suffix not in (".png", ".svg", ".dot"):
        raise ValueError(f"`to_file` must end in .png, .svg or .dot, received {str(to_file)!r}.")
    dot = model_to_dot(
        model,
        show_shapes=show_shapes,
        show_dtype=show_dtype,
        show_layer_names=show_layer_names,
        rankdir=rankdir,
        expand_nested=expand_nested,
        dpi=dpi,
        show_layer_activations=show_layer_activations,
        show_trainable=show_trainable,
        splines=splines,
        **kwargs,
    )
    if suffix != ".png":
        text = dot.to_svg() if suffix == ".svg" else dot.to_string()
        path.write_text(text, encoding="utf-8")
        return None
    dot.to_image().save(path, format="png", dpi=(dpi, dpi))
    if "IPython" not in sys.modules:
        return None
    return importlib.import_module("IPython.display").Image(filename=str(path))
