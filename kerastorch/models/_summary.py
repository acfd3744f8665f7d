"""The table that `Model.summary` prints."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from typing import Any

from torch import nn

from kerastorch._graph import KerasTensor


def print_summary(
    model: Any,
    line_length: int | None = None,
    print_fn: Callable[[str], Any] | None = None,
    expand_nested: bool = False,
    show_trainable: bool = False,
    layer_range: tuple[str, str] | None = None,
) -> None:
    """Write the table to stdout, or hand it to `print_fn` as one string."""
    from rich.console import Console
    from rich.table import Table

    rows = list(_rows(model, expand_nested))
    if layer_range is not None:
        names = [row[0].strip() for row in rows]
        missing = [name for name in layer_range if name not in names]
        if missing:
            raise ValueError(f"summary: layer_range names {missing}, the layers are {names}.")
        rows = rows[names.index(layer_range[0]) : names.index(layer_range[1]) + 1]
    connected = hasattr(model, "_stack") is False and any(row[4] for row in rows)
    table = Table(show_lines=False)
    table.add_column("Layer (type)", overflow="fold")
    table.add_column("Output Shape", overflow="fold")
    table.add_column("Param #", justify="right")
    if connected:
        table.add_column("Connected to", overflow="fold")
    if show_trainable:
        table.add_column("Trainable", justify="center")
    for name, kind, shape, count, parents, trainable in rows:
        cells = [f"{name} ({kind})", shape, "?" if count is None else f"{count:,}"]
        if connected:
            cells.append(", ".join(parents))
        if show_trainable:
            cells.append(trainable)
        table.add_row(*cells)

    buffer = io.StringIO()
    interactive = print_fn is None and sys.stdout.isatty()
    console = Console(
        file=buffer, force_terminal=interactive, width=line_length or (None if interactive else 100)
    )
    console.print(f'Model: "{model.name}"', markup=False, highlight=False)
    console.print(table, markup=False)
    for line in _totals(model):
        console.print(line, markup=False, highlight=False)
    text = buffer.getvalue()
    if print_fn is None:
        print(text, end="")
    else:
        print_fn(text)


def _rows(model: Any, expand: bool, depth: int = 0) -> Any:
    indent = "  " * depth
    for layer in model.layers:
        name = getattr(layer, "name", None) or next(
            (k for k, m in model._modules.items() if m is layer), type(layer).__name__
        )
        node = _node_in(model, layer)
        shape = _shapes(node.outputs) if node is not None else _shape_of_unplaced(layer)
        built = getattr(layer, "built", True)
        count = _count(layer) if built else None
        parents = list(dict.fromkeys(_sources(model, node))) if node and not depth else []
        flags = [p.requires_grad for _, p in nn.Module.named_parameters(layer)]
        trainable = "-" if not flags else "Y" if any(flags) else "N"
        yield indent + name, type(layer).__name__, shape, count, parents, trainable
        if expand and hasattr(layer, "layers"):
            yield from _rows(layer, expand, depth + 1)


def _sources(model: Any, node: Any) -> Iterator[str]:
    """The layers that feed a call, looking through torch functions."""
    for tensor in node.parents:
        if tensor.node.kind in ("placeholder", "call_module"):
            yield model._label(tensor)
        else:
            yield from _sources(model, tensor.node)


def _node_in(model: Any, layer: Any) -> Any:
    """The first call of `layer` in the graph of `model`."""
    if "_flat_inputs" not in model.__dict__:
        return None
    for node in model._calls():
        if node.target is layer:
            return node
    return None


def _shape_of_unplaced(layer: Any) -> str:
    shape = getattr(layer, "batch_shape", None)
    return str(tuple(shape)) if shape is not None else "?"


def _shapes(value: Any) -> str:
    if isinstance(value, KerasTensor):
        return str(value.shape)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {_shapes(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_shapes(v) for v in value) + "]"
    return str(value)


def _count(module: Any) -> int:
    if hasattr(module, "weights"):
        return sum(w.numel() for w in module.weights)
    return sum(t.numel() for t in (*module.parameters(), *module.buffers()))


def _totals(model: Any) -> list[str]:
    weights = model.weights
    trained = [w for w in weights if w.requires_grad]
    frozen = [w for w in weights if not w.requires_grad]
    lines = []
    for title, group in (("Total", weights), ("Trainable", trained), ("Non-trainable", frozen)):
        size = sum(w.numel() * w.element_size() for w in group)
        lines.append(f" {title} params: {sum(w.numel() for w in group):,} ({_bytes(size)})")
    return lines


def _bytes(size: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1024 or unit == "GB":
            return f"{size:.2f} {unit}"
        size /= 1024
    raise AssertionError
