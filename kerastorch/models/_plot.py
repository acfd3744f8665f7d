"""Pictures of models: `plot_model` and `model_to_dot`. They are drawn here, without graphviz."""

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
from types import SimpleNamespace
from typing import Any, NamedTuple

from torch import nn

from kerastorch._graph import KerasTensor, Node, symbolic_leaves
from kerastorch.config import _dtype_name
from kerastorch.models._layout import Box, Edge, Point, arrange
from kerastorch.models._model import Model
from kerastorch.models._sequential import Sequential
from kerastorch.models._summary import _shapes

_DARK, _PALE, _WHITE, _GREEN, _RED = "#24292f", "#e8ebef", "#ffffff", "#1a7f37", "#b42318"
_INK, _GREY = _DARK, "#6b7280"  # text and lines
_FRAMES = ("#f3f6fa", "#e4ebf3")  # nested models, by depth in turn
_MARGIN, _PAD, _ROW, _SIZE = 14.0, 10.0, 23.0, 13.0  # lengths are in points, 1/72 inch

# -- reading the model -----------------------------------------------------------------------------


class _Row(NamedTuple):
    """A line of a box: a label and a value side by side, or a value alone."""

    label: str
    value: str
    paper: str = _WHITE


@dataclass(eq=False, repr=False)
class _Picture(Box):
    """A layer, a function, or an expanded model: a frame with boxes `inside`."""

    kind: str = "cluster"
    rows: list[_Row] = field(default_factory=list)
    takes: list[list[Any]] = field(default_factory=list)  # a frame's boxes by input
    gives: Any = None  # the box in a frame that makes the output at a path


def _read(model: Any, show: Any, edges: dict[Edge, None], prefix: str = "") -> _Picture:
    """The boxes of a model, each layer once; the tensors between them join `edges`."""
    names = {module: key for key, module in model._modules.items()}
    inputs = {(t.node, t.path): i for i, t in enumerate(model._flat_inputs)}
    frame = _Picture(
        prefix.rstrip("/"), rows=[_Row(model.name, "", "")], takes=[[] for _ in inputs]
    )
    made: dict[Any, _Picture] = {}

    def add(what: Any, taken: list[Any], given: list[Any]) -> _Picture:
        function = isinstance(what, Node)
        name = _name(what) if function else str(getattr(what, "name", None) or names[what])
        used = {box.key for box in made.values()}
        keys = (f"{prefix}{name}_{i}" if i else prefix + name for i in itertools.count())
        key = next(key for key in keys if key not in used)
        if show.nested and not function and "_flat_inputs" in what.__dict__:
            made[what] = _read(what, show, edges, f"{key}/")
        else:
            made[what] = _box(what, key, name, taken, given, show)
        return made[what]

    def source(tensor: KerasTensor) -> Any:
        """The box that makes it. None makes the input of a Sequential."""
        at = tensor.node, tensor.path
        box = made.get(model._input_layers[inputs[at]] if at in inputs else _what(tensor.node))
        return box.gives(tensor.path) if box and box.inside else box

    if not isinstance(model, Sequential):
        for tensor, layer, boxes in zip(
            model._flat_inputs, model._input_layers, frame.takes, strict=True
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


def _name(node: Node) -> str:
    if node.target is getattr:
        return f".{node.args[1]}"
    return str(getattr(node.target, "__name__", node.target)).strip("_")


def _box(what: Any, key: str, name: str, taken: list[Any], given: list[Any], show: Any) -> _Picture:
    """The box of a layer or function. Where the calls of a shared layer differ, all are listed."""
    function, kind = isinstance(what, Node), type(what).__name__
    title = name if function else f"{name}: {kind}" if show.names else kind
    rows = [_Row("", title, _PALE if function else _DARK)]
    activation = getattr(what, "activation", None)
    if show.activations and activation is not None:
        name = getattr(activation, "__name__", type(activation).__name__)
        rows.append(_Row("Activation", name))
    if show.shapes and not function and (taken or not given):
        shapes = (_shapes(t if len(t) > 1 else t[0]) for t in taken)
        rows.append(_Row("Input shape", _each(shapes)))
    if show.shapes:
        rows.append(_Row("Output shape", _each(map(_shapes, given))))
    if show.dtype:
        leaves = itertools.chain(*map(symbolic_leaves, given))
        dtypes = (_dtype_name(leaf.dtype) for leaf in leaves)
        rows.append(_Row("Output dtype", _each(dtypes)))
    flags = [] if function else [p.requires_grad for _, p in nn.Module.named_parameters(what)]
    if show.trainable and flags:
        row = ("", "Trainable", _GREEN) if any(flags) else ("", "Non-trainable", _RED)
        rows.append(_Row(*row))
    return _Picture(key, kind="function" if function else "layer", rows=rows)


def _each(texts: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(texts)) or "?"


# -- DOT, SVG, PNG ---------------------------------------------------------------------------------


@dataclass(repr=False)
class Dot:
    """The picture of a model: DOT text for graphviz, or drawn here as SVG text or a Pillow image."""

    frame: _Picture
    edges: list[Edge]
    rankdir: str
    dpi: float
    splines: str

    def to_string(self) -> str:
        """The graph in the DOT language; expanded models are clusters."""
        settings = f"rankdir={self.rankdir} dpi={self.dpi:g} splines={_quoted(self.splines)}"
        lines = [
            f"graph [{settings} fontname=Helvetica];",
            "node [shape=plain fontname=Helvetica];",
            *map(_dot, self.frame.inside),
            *(f"{_quoted(a.key)} -> {_quoted(b.key)};" for a, b in self.edges),
        ]
        return "digraph {\n" + "\n".join(lines) + "\n}\n"

    def to_svg(self) -> str:
        """The picture as SVG: every box and arrow is a group with a class and a title."""
        width, height, groups = _draw(self, 8)
        body = "".join(
            f'<g class="{kind}"><title>{escape(key)}</title>{"".join(map(_svg, marks))}</g>\n'
            for kind, key, marks in groups
        )
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}pt" height="{height:.0f}pt" '
            f'viewBox="0 0 {width:.1f} {height:.1f}" font-family="Helvetica, Arial, sans-serif" '
            f'font-size="{_SIZE:g}">\n<rect width="100%" height="100%" fill="{_WHITE}"/>\n{body}</svg>\n'
        )

    def to_image(self) -> Any:
        """The picture as a `PIL.Image.Image` of `dpi` pixels an inch."""
        from PIL import Image, ImageDraw

        scale = self.dpi / 72
        width, height, groups = _draw(self, scale)
        image = Image.new("RGB", (math.ceil(width * scale), math.ceil(height * scale)), _WHITE)
        pen = ImageDraw.Draw(image)
        for mark in itertools.chain(*(marks for _, _, marks in groups)):
            _paint(pen, mark, scale)
        return image

    _repr_svg_ = to_svg


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _dot(box: _Picture) -> str:
    if box.inside:
        label = f"label={_quoted(box.rows[0].label)} labeljust=l style=dashed"
        body = "\n".join(map(_dot, box.inside))
        return f"subgraph {_quoted('cluster_' + box.key)} {{\n{label}\n{body}\n}}"
    cells = ""
    for label, value, paper in box.rows:
        left = f'<td align="left">{label}</td>' if label else ""
        side = 'align="left"' if label else f'colspan="2" bgcolor="{paper}"'
        text = f'<font color="{_ink(paper)}">{escape(value)}</font>'
        cells += f"<tr>{left}<td {side}>{text}</td></tr>"
    table = f'<table border="0" cellborder="1" cellspacing="0" cellpadding="6">{cells}</table>'
    return f"{_quoted(box.key)} [label=<{table}>];"


def _ink(paper: str) -> str:
    return _WHITE if paper in (_DARK, _GREEN, _RED) else _INK


class _Mark(NamedTuple):
    """A rectangle (two corners), line, arrow head, or text from its "start" or about its "middle"."""

    kind: str
    points: list[Point]
    fill: str
    text: str = ""
    length: float = 0.0


def _draw(dot: Dot, scale: float) -> tuple[float, float, list[tuple[str, str, list[_Mark]]]]:
    """Width, height, and groups of marks with kind and key, where `scale` pixels are a point."""
    root, flipped, swap = dot.frame, set[Edge](), dot.rankdir == "LR"
    for box in root.inside:
        _measure(box, swap, scale)
    root.width = root.height = 0.0
    pads = (_ROW, _PAD) if swap else (_PAD, _ROW)
    arrange(root, [(a, b) for a, b in dot.edges if a is not b], pads, flipped)

    def at(x: float, y: float) -> Point:
        x, y = round(x + _MARGIN, 1), round(y + _MARGIN, 1)
        return (y, x) if swap else (x, y)

    frames: list[Any] = []
    arrows: list[Any] = []
    boxes: list[Any] = []
    for box, x, y, depth in _walk(root):
        corners = [at(x, y), at(x + box.width, y + box.height)]
        group = (box.kind, box.key, _box_marks(box, corners, depth, scale))
        (frames if box.inside else boxes).append(group)
        right, middle = x + box.width, y + box.height / 2
        loop = [(0, -5), (_PAD, -5), (_PAD, 5), (0, 5)]
        root.routes[box, box] = [(right + i, middle + j) for i, j in loop]
    for a, b in dot.edges:
        points = [point for point, _ in itertools.groupby(at(*p) for p in root.routes[a, b])]
        marks = _arrow_marks(points[::-1] if (a, b) in flipped else points)
        arrows.append(("edge", f"{a.key} -> {b.key}", marks))
    return *at(root.width + _MARGIN, root.height + _MARGIN), frames + arrows + boxes


def _walk(frame: Box, left: float = 0, top: float = 0, depth: int = 0) -> Iterator[Any]:
    """All boxes with left and top in the picture and depth."""
    for box in frame.inside:
        x, y = left + box.x - box.width / 2, top + box.y
        yield box, x, y, depth
        yield from _walk(box, x, y, depth + 1)


@functools.cache
def _font(pixels: float) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(pixels)


def _length(text: str, scale: float) -> float:
    return float(_font(_SIZE * scale).getlength(text)) / scale


def _columns(box: _Picture, scale: float) -> tuple[float, float]:
    """Where values begin that have a label, and the width of the box."""
    start = max((_length(row.label, scale) + _PAD for row in box.rows if row.label), default=0.0)
    return start, max(
        start * bool(row.label) + _length(row.value, scale) + 2 * _PAD for row in box.rows
    )


def _measure(box: _Picture, swap: bool, scale: float) -> None:
    """Set the sizes of boxes, with axes swapped if need be; of frames the least, for their title."""
    for child in box.inside:
        _measure(child, swap, scale)
    width = _columns(box, scale)[1]
    size = (width - 2 * _PAD, 0.0) if box.inside else (width, _ROW * len(box.rows))
    box.width, box.height = size[::-1] if swap else size


def _box_marks(box: _Picture, corners: list[Point], depth: int, scale: float) -> list[_Mark]:
    (left, top), (right, _) = corners
    column = _columns(box, scale)[0]
    marks = [_Mark("rect", corners, _FRAMES[depth % 2])] if box.inside else []
    for i, (label, value, paper) in enumerate(box.rows):
        y, kind = top + _ROW * (i + 0.5), "start" if label else "middle"
        if paper:
            marks.append(_Mark("rect", [(left, y - _ROW / 2), (right, y + _ROW / 2)], paper))
        for text, x, fill in (
            (label, left + _PAD, _GREY),
            (value, left + _PAD + column if label else (left + right) / 2, _ink(paper)),
        ):
            if text:
                marks.append(_Mark(kind, [(x, y)], fill, text, _length(text, scale)))
    return marks


def _arrow_marks(points: list[Point]) -> list[_Mark]:
    (a, b), (x, y) = points[-2:]
    length = math.dist((a, b), (x, y))
    u, v = 4 * (x - a) / length, 4 * (y - b) / length
    neck = (x - 2 * u, y - 2 * v)
    head = [(x, y), (neck[0] - v, neck[1] + u), (neck[0] + v, neck[1] - u)]
    return [_Mark("line", [*points[:-1], neck], _INK), _Mark("head", head, _INK)]


def _svg(mark: _Mark) -> str:
    (x, y), (right, below) = mark.points[0], mark.points[-1]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in mark.points)
    if mark.kind == "rect":
        size = f'width="{right - x:.1f}" height="{below - y:.1f}"'
        return f'<rect x="{x:.1f}" y="{y:.1f}" {size} fill="{mark.fill}" stroke="{_INK}"/>'
    if mark.kind == "line":
        return f'<polyline points="{points}" fill="none" stroke="{mark.fill}" stroke-width="1.2"/>'
    if mark.kind == "head":
        return f'<polygon points="{points}" fill="{mark.fill}"/>'
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{mark.kind}" dominant-baseline="central" '
        f'textLength="{mark.length:.1f}" fill="{mark.fill}">{escape(mark.text)}</text>'
    )


def _paint(pen: Any, mark: _Mark, scale: float) -> None:
    points = [(round(x * scale), round(y * scale)) for x, y in mark.points]
    if mark.kind == "rect":
        pen.rectangle(points, mark.fill, _INK, max(1, round(0.8 * scale)))
    elif mark.kind == "line":  # of upright and level parts
        low, high = divmod(max(1, round(1.2 * scale)) - 1, 2)
        for pair in itertools.pairwise(points):
            (a, b), (c, d) = map(sorted, zip(*pair, strict=True))
            pen.rectangle((a - low, c - low, b + low + high, d + low + high), mark.fill)
    elif mark.kind == "head":
        pen.polygon(points, mark.fill)
    else:
        anchor = "lm" if mark.kind == "start" else "mm"
        pen.text(points[0], mark.text, mark.fill, _font(_SIZE * scale), anchor)


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
    >>> keras.utils.model_to_dot(model).to_string().splitlines()[-2]
    '"x" -> "scores";'
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
    show = SimpleNamespace(
        names=show_layer_names,
        activations=show_layer_activations,
        shapes=show_shapes,
        dtype=show_dtype,
        trainable=show_trainable,
        nested=expand_nested,
    )
    edges: dict[Edge, None] = {}
    if "_flat_inputs" in model.__dict__:
        frame = _read(model, show, edges)
    else:  # what its call does is Python code
        frame = _Picture(inside=[_box(model, model.name, model.name, [], [], show)])
    if subgraph:
        frame.key, frame.rows = model.name, [_Row(model.name, "", "")]
        frame = _Picture(inside=[frame])
    return Dot(frame, list(edges), rankdir, dpi, splines)


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
    what = (show_shapes, show_dtype, show_layer_names, rankdir, expand_nested, dpi)
    dot = model_to_dot(
        model, *what, False, show_layer_activations, show_trainable, splines, **kwargs
    )
    if suffix != ".png":
        text = dot.to_svg() if suffix == ".svg" else dot.to_string()
        path.write_text(text, encoding="utf-8")
        return None
    dot.to_image().save(path, format="png", dpi=(dpi, dpi))
    if "IPython" not in sys.modules:
        return None
    return importlib.import_module("IPython.display").Image(filename=str(path))
