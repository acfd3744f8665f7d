"""Symbolic tensors, the record of what was done to them, and its torch.fx graph.

`Input(...)` gives a `KerasTensor`. Whatever takes it (a module, a torch function, a tensor method,
an operator, an index) is recorded as a `Node` and gives further symbolic tensors. Shapes come from
running the thing itself on meta tensors, twice, with two sizes in place of each unknown axis: an
axis that differs between the runs is unknown in the result.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import operator
import re
from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import fx, nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from kerastorch.config import TEXT, _dtype_name, standardize_dtype

# Stand-ins for unknown axes: divisible by 2**7 so that pooling, striding and reshaping succeed.
_PROBES = (384, 640)
_count = itertools.count()

Shape = tuple[int | None, ...]


class Node:
    """One recorded call. `kind` is a torch.fx opcode: placeholder, call_module, call_function or call_method."""

    def __init__(self, kind: str, target: Any, args: tuple[Any, ...] = (), kwargs: Any = None):
        self.kind = kind
        self.target = target
        self.args = args
        self.kwargs: dict[str, Any] = kwargs or {}
        self.index = next(_count)
        self.outputs: Any = None

    @property
    def parents(self) -> list[KerasTensor]:
        """The symbolic tensors that it takes."""
        return symbolic_leaves((self.args, self.kwargs))

    def run(self, probe: int) -> Any:
        """The result for one of the two sizes, as meta tensors."""
        args, kwargs = map_symbolic(lambda t: t.probes[probe], (self.args, self.kwargs))
        with symbolic_run(self.target):
            if self.kind == "call_method":
                return getattr(args[0], self.target)(*args[1:], **kwargs)
            return self.target(*args, **kwargs)


class KerasTensor:
    """A tensor without values: shape (``None`` for unknown axes), dtype, and the call that made it.

    `Input` makes those that a model begins with. One made by itself shows what calls give:

    >>> import kerastorch as keras
    >>> keras.ops.matmul(keras.KerasTensor((None, 3)), keras.KerasTensor((3, 2))).shape
    (None, 2)

    >>> import torch, kerastorch as keras
    >>> x = keras.Input((3,), dtype="float32")
    >>> torch.cat([x, x * 2], dim=-1)[:, :4]
    <KerasTensor shape=(None, 4), dtype=float32>
    """

    _keras_mask: KerasTensor | None = None
    __array_ufunc__ = None  # numpy leaves operators to this class

    probes: tuple[Any, Any]
    node: Node
    path: tuple[Any, ...]

    def __init__(self, shape: Shape, dtype: Any = "float32", name: str | None = None) -> None:
        layer = None if name is None else SimpleNamespace(name=name)
        self._set(_probes(shape, dtype), Node("placeholder", layer))
        self.node.outputs = self

    @classmethod
    def made(cls, probes: tuple[Any, Any], node: Node, path: tuple[Any, ...] = ()) -> KerasTensor:
        """What a call gives, or the part of it at `path`."""
        self = cls.__new__(cls)
        self._set(probes, node, path)
        return self

    def _set(self, probes: tuple[Any, Any], node: Node, path: tuple[Any, ...] = ()) -> None:
        _install_call_hook()
        self.probes = probes
        self.node = node
        self.path = path

    @property
    def shape(self) -> Shape:
        """Axis sizes, ``None`` where unknown."""
        a, b = (p.shape if isinstance(p, torch.Tensor) else () for p in self.probes)
        return tuple(m if m == n else None for m, n in zip(a, b, strict=True))

    @property
    def dtype(self) -> torch.dtype:
        """The `torch.dtype`."""
        return getattr(self.probes[0], "dtype", torch.int64)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def device(self) -> torch.device:
        """Where constants made next to it belong: the default device."""
        return torch.get_default_device()

    @property
    def name(self) -> str:
        """The name of the input or layer that made it."""
        target = self.node.target
        return str(getattr(target, "name", None) or getattr(target, "__name__", target))

    def __repr__(self) -> str:
        dtype = _dtype_name(self.dtype)
        named = f", name={self.name}" if self.node.kind == "placeholder" else ""
        return f"<KerasTensor shape={self.shape}, dtype={dtype}{named}>"

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        name = func.__name__
        if name.startswith("__"):  # constant & x: Tensor.__and__
            func = getattr(operator, name)
        elif func.__qualname__.startswith("Tensor"):  # constant + x: Tensor.add
            return record("call_method", name, args, kwargs)
        return record("call_function", func, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or not hasattr(torch.Tensor, name):
            raise AttributeError(f"A symbolic tensor has no attribute {name!r}.")
        if name.endswith("_"):
            return functools.partial(_refuse_in_place, name)
        if not callable(getattr(torch.Tensor, name)):
            return record("call_function", getattr, (self, name))
        return lambda *args, **kwargs: record("call_method", name, (self, *args), kwargs)

    def __getitem__(self, index: Any) -> Any:
        return record("call_function", operator.getitem, (self, index))

    def __setitem__(self, index: Any, value: Any) -> None:
        raise TypeError(
            "A symbolic tensor cannot be assigned to: use torch.where or torch.cat to make a new one."
        )

    def __len__(self) -> int:
        if not self.shape or self.shape[0] is None:
            raise TypeError(
                f"A symbolic tensor of shape {self.shape} has no length and cannot be iterated over. "
                "x.size(0) stands for its size; torch functions take whole axes."
            )
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        return iter([self[i] for i in range(len(self))])

    def __bool__(self) -> bool:
        raise TypeError(
            "A symbolic tensor has no truth value: it stands for data that comes later. "
            "Use torch.where, or put Python control flow into a Layer's call()."
        )

    def __index__(self) -> int:
        raise TypeError(
            "A symbolic tensor is no Python number: it stands for data that comes later. "
            "torch functions take it as it is, sizes in a tuple: torch.zeros((x.size(0), 3))."
        )

    __int__ = __float__ = __index__

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(
            "A symbolic tensor has no values: numpy functions cannot take it. Use torch's."
        )

    __array_function__ = __array__

    __hash__ = object.__hash__


def _refuse_in_place(name: str, *args: Any, **kwargs: Any) -> Any:
    other = name.rstrip("_")
    hint = f" Write x = x.{other}(...)." if callable(getattr(torch.Tensor, other, None)) else ""
    raise TypeError(
        f"x.{name}(...) changes a tensor in place; a symbolic tensor has no value to change.{hint}"
    )


def _operator(function: Callable[..., Any], swapped: bool = False) -> Callable[..., Any]:
    def method(*args: Any) -> Any:
        return record("call_function", function, args[::-1] if swapped else args)

    return method


_BINARY: list[Callable[..., Any]] = [
    operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod,
    operator.pow, operator.matmul, operator.and_, operator.or_, operator.xor, operator.lshift,
    operator.rshift,
]  # fmt: skip
_OTHERS: list[Callable[..., Any]] = [
    operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne, operator.neg,
    operator.pos, operator.abs, operator.invert,
]  # fmt: skip
#: What the module `operator` contributes to graphs.
OPERATORS = [*_BINARY, *_OTHERS, operator.getitem]

for _function in _BINARY:
    _name = _function.__name__.rstrip("_")
    setattr(KerasTensor, f"__{_name}__", _operator(_function))
    setattr(KerasTensor, f"__r{_name}__", _operator(_function, swapped=True))
for _function in _OTHERS:
    setattr(KerasTensor, f"__{_function.__name__}__", _operator(_function))
KerasTensor.__hash__ = object.__hash__  # type: ignore[assignment, method-assign]


def input_tensor(layer: Any, shape: Shape, dtype: Any) -> KerasTensor:
    """The symbolic tensor of an `InputLayer`; `shape` includes the batch axis."""
    node = Node("placeholder", layer)
    node.outputs = KerasTensor.made(_probes(shape, dtype), node)
    return node.outputs


def _probes(shape: Shape, dtype: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Meta tensors with two sizes in the place of unknown axes."""
    kind = TEXT if dtype == "string" else standardize_dtype(dtype)
    sizes = ([p if n is None else n for n in shape] for p in _PROBES)
    first, second = (torch.empty(size, dtype=kind, device="meta") for size in sizes)
    return first, second


# -- recording -------------------------------------------------------------------------------------


def record(kind: str, target: Any, args: tuple[Any, ...], kwargs: Any = None) -> Any:
    """Record a call on symbolic tensors and give its symbolic result."""
    args, kwargs = fx.node.map_aggregate((tuple(args), kwargs or {}), _constant)
    node = Node(kind, target, args, kwargs)
    try:
        node.outputs = _symbolic(node.run(0), node.run(1), node, ())
    except Exception as error:
        if type(error) not in _PLAIN:
            raise
        raise type(error)(_explanation(error, node)) from error
    return node.outputs


def _constant(leaf: Any) -> Any:
    """Numpy's arrays and scalars as torch's and Python's: float64 arrays become `floatx`, as data does."""
    if isinstance(leaf, np.generic):
        return leaf.item()
    if isinstance(leaf, np.ndarray):
        return torch.tensor(
            leaf, dtype=standardize_dtype(None) if leaf.dtype == np.float64 else None
        )
    return leaf


#: Exceptions that can be made from a message alone.
_PLAIN = (RuntimeError, ValueError, TypeError, IndexError, NotImplementedError)


def _explanation(error: Exception, node: Node) -> str:
    """What was called on which shapes, and torch's or the layer's own words without stand-ins."""
    text = str(error)
    for tensor in node.parents:
        for size in (getattr(probe, "shape", ()) for probe in tensor.probes):
            text = text.replace(str(tuple(size)), str(tensor.shape))
            text = text.replace(str(list(size)), str(list(tensor.shape)))
    if getattr(error, "_explained", False):
        return text
    if "meta" in text.lower():  # torch says that a tensor without values will not do
        text = (
            "the result depends on values, which come later. Write it with torch.where and masks, "
            "or in the call() of a Model of your own."
        )
    elif node.kind == "call_method" and any(item is None for item in node.args):
        text += " An unknown size is None in x.shape; x.size(axis) stands for it."
    what = getattr(node.target, "__name__", str(node.target))
    shapes = ", ".join(str(tensor.shape) for tensor in node.parents)
    return f"{what} cannot take input of shape {shapes}: {text}"


def _symbolic(a: Any, b: Any, node: Node, path: tuple[Any, ...]) -> Any:
    if isinstance(a, torch.Tensor):
        return KerasTensor.made((a, b), node, path)
    if isinstance(a, dict):
        return type(a)((k, _symbolic(a[k], b[k], node, (*path, k))) for k in a)
    if isinstance(a, (tuple, list)):
        if len(a) != len(b):
            raise ValueError("the number of results depends on an axis of unknown size.")
        pairs = enumerate(zip(a, b, strict=True))
        items = [_symbolic(x, y, node, (*path, i)) for i, (x, y) in pairs]
        if isinstance(a, torch.Size):
            return tuple(items)
        return type(a)(*items) if hasattr(a, "_fields") else type(a)(items)
    # A Python value: a constant, or a size that depends on an unknown axis.
    return a if type(a) is type(b) and a == b else KerasTensor.made((a, b), node, path)


def is_symbolic(*values: Any) -> bool:
    """Whether a symbolic tensor is among the arguments or inside their containers."""
    for value in values:
        if isinstance(value, KerasTensor):
            return True
        if isinstance(value, (list, tuple)):
            if is_symbolic(*value):
                return True
        elif isinstance(value, dict):
            if is_symbolic(*value.values()):
                return True
        elif isinstance(value, slice) and is_symbolic(value.start, value.stop, value.step):
            return True
    return False


def map_symbolic(function: Callable[[KerasTensor], Any], value: Any) -> Any:
    """`value` with every symbolic tensor replaced, inside containers and slices too."""
    return fx.node.map_aggregate(
        value, lambda leaf: function(leaf) if isinstance(leaf, KerasTensor) else leaf
    )


def symbolic_leaves(value: Any) -> list[KerasTensor]:
    """The symbolic tensors in `value`, left to right."""
    found: list[KerasTensor] = []
    map_symbolic(found.append, value)
    return found


def sorted_leaves(value: Any) -> list[KerasTensor]:
    """The symbolic tensors in `value`, dicts by sorted key: the order in which Keras counts them."""
    if isinstance(value, dict):
        value = [value[key] for key in sorted(value, key=str)]
    if isinstance(value, (list, tuple)):
        return [leaf for item in value for leaf in sorted_leaves(item)]
    return symbolic_leaves(value)


class _MetaMode(TorchFunctionMode):
    """Every torch call sees its tensors on the meta device; nothing real is read or changed."""

    paused = False
    autocast: torch.dtype | None = None  # what floating-point tensors become

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if self.paused:
            return func(*args, **(kwargs or {}))
        if func is torch.Tensor.__getitem__:  # a constant index is read: a mask decides the shape
            return func(self._to_meta(args[0]), args[1])
        args, kwargs = pytree.tree_map_only(torch.Tensor, self._to_meta, (args, kwargs or {}))
        if func in _RECURRENT and isinstance(args[3], bool):
            return _one_step(func, *args)
        return func(*args, **kwargs)

    def _to_meta(self, tensor: torch.Tensor) -> torch.Tensor:
        tensor = tensor if tensor.is_meta else tensor.detach().to("meta")
        return tensor.to(self.autocast) if self.autocast and tensor.is_floating_point() else tensor


#: On meta tensors torch runs these as loops over time, in Python.
_RECURRENT = (torch.lstm, torch.gru, torch.rnn_tanh, torch.rnn_relu)


def _one_step(func: Callable[..., Any], x: torch.Tensor, *args: Any) -> Any:
    """What a recurrent kernel gives, from one step of time: the shapes of the others are the same."""
    time = 1 if args[-1] else 0  # batch_first
    y, *states = func(x.narrow(time, 0, 1), *args)
    return y.expand(*y.shape[:time], x.shape[time], *y.shape[time + 1 :]), *states


def _is_meta(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.is_meta


_running: list[_MetaMode] = []


@contextlib.contextmanager
def symbolic_run(target: Any = None) -> Iterator[None]:
    """Run modules and functions for their shapes only. User hooks stay silent, and a buffer that
    `target` assigns anew, which then has no values, is the real one again afterwards."""
    modules = target.modules() if isinstance(target, nn.Module) else ()
    tables = [(module._buffers, dict(module._buffers)) for module in modules]
    mode = _MetaMode()
    _running.append(mode)
    try:
        with mode, torch.no_grad():
            yield
    finally:
        _running.pop()
        for table, before in tables:
            table.update((k, t) for k, t in before.items() if _is_meta(table.get(k)))


#: Not empty within a layer of a mixed policy: a layer inside that has another one leaves autocast.
mixing: list[torch.dtype | None] = []


@contextlib.contextmanager
def autocast(device: str, dtype: torch.dtype | None) -> Iterator[None]:
    """`torch.autocast` to `dtype`, None for none, on the meta device too."""
    mixing.append(dtype)
    try:
        if device == "meta":
            with _meta_autocast(dtype):
                yield
        else:
            with torch.autocast(device, dtype, enabled=dtype is not None):
                yield
    finally:
        mixing.pop()


@contextlib.contextmanager
def _meta_autocast(dtype: torch.dtype | None) -> Iterator[None]:
    """Torch has no autocast for meta tensors: here all floating-point ones become `dtype`."""
    mode = _running[-1] if _running else _MetaMode()
    before, mode.autocast = mode.autocast, dtype
    try:
        with contextlib.nullcontext() if _running else mode:
            yield
    finally:
        mode.autocast = before


@contextlib.contextmanager
def real_tensors() -> Iterator[None]:
    """Within a symbolic run: what is made here (weights) is real."""
    modes = [mode for mode in _running if not mode.paused]
    for mode in modes:
        mode.paused = True
    try:
        yield
    finally:
        for mode in modes:
            mode.paused = False


# `nn.Linear(64, 10)(x)` on a symbolic x reaches Python at one place only: nn.Module.__call__.
_module_call = nn.Module.__call__


@functools.wraps(_module_call)
def _call(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
    if _running:
        if isinstance(self, LazyModuleMixin) and self.has_uninitialized_params():
            with real_tensors():
                self._infer_parameters(self, args, kwargs)
        return self.forward(*args, **kwargs)
    if is_symbolic(*args) or (kwargs and is_symbolic(kwargs)):
        own = getattr(self, "_symbolic_call", None)
        return own(*args, **kwargs) if own else record("call_module", self, args, kwargs)
    return _module_call(self, *args, **kwargs)


# torch.compile steps over nn.Module's own frames and captures each module's `forward` separately.
# This is one of them: as a frame of its own it would be one function that all modules share.
_call.__code__ = _call.__code__.replace(co_filename=nn.modules.module.__file__)  # type: ignore[attr-defined]


def _install_call_hook() -> None:
    """From the first symbolic tensor on, a call of any module looks for them (about 0.2 µs)."""
    if nn.Module.__call__ is _module_call:
        nn.Module.__call__ = _call  # type: ignore[method-assign]


# -- tracing back to a torch.fx graph -----------------------------------------------------------------


def reachable(inputs: Iterable[KerasTensor], outputs: Any) -> list[Node]:
    """The nodes between inputs and outputs in the order of their making (inputs' own excluded)."""
    stop = {(t.node, t.path) for t in inputs}
    found: set[Node] = set()
    stack = [t for t in symbolic_leaves(outputs) if (t.node, t.path) not in stop]
    while stack:
        node = stack.pop().node
        if node in found:
            continue
        if node.kind == "placeholder":
            raise ValueError(
                f"The outputs depend on Input {node.target.name!r}, which is not among the model's inputs "
                f"{[t.name for t in inputs]}. Add it to `inputs`."
            )
        found.add(node)
        stack.extend(t for t in node.parents if (t.node, t.path) not in stop)
    return sorted(found, key=lambda node: node.index)


def modules_in_order(inputs: list[KerasTensor], layers: list[Any], outputs: Any) -> list[Any]:
    """Input layers and modules as Keras lists them: the longer the way to the outputs the earlier,
    at the same distance in the order in which a walk back from the outputs meets them.

    `layers` are the input layers of `inputs`.
    """
    starts = {(t.node, t.path): layer for t, layer in zip(inputs, layers, strict=True)}

    def place(tensor: KerasTensor) -> Any:
        """An input layer or a node."""
        return starts.get((tensor.node, tensor.path), tensor.node)

    def made_by(place: Any) -> Any:
        return place.target if isinstance(place, Node) and place.kind == "call_module" else place

    met: dict[Any, int] = {}
    finished: dict[Any, list[Any]] = {}  # with the places before, each after them
    walk: list[tuple[Any, Iterator[Any]]] = [(None, iter(map(place, sorted_leaves(outputs))))]
    while walk:
        at, rest = walk[-1]
        before = next(rest, None)
        if before is None:
            walk.pop()
            if at is not None:
                finished[at] = _parents(at, place)
        elif before not in finished:
            met.setdefault(made_by(before), len(met))
            walk.append((before, iter(_parents(before, place))))

    distance: dict[Any, int] = dict.fromkeys(layers, 0)
    away: dict[Any, int] = {}
    for at in reversed(finished):
        away[at] = distance[made_by(at)] = max(away.get(at, 0), distance.get(made_by(at), 0))
        for before in finished[at]:
            away[before] = max(away[at] + 1, away.get(before, 0))
    found = sorted(distance, key=lambda what: (-distance[what], met.get(what, -1)))
    return [what for what in found if isinstance(what, nn.Module)]


def _parents(place: Any, of: Callable[[KerasTensor], Any]) -> list[Any]:
    taken = sorted_leaves((place.args, place.kwargs)) if isinstance(place, Node) else []
    return [of(tensor) for tensor in taken]


def identifier(name: str) -> str:
    """`name` as a Python identifier."""
    name = re.sub(r"\W", "_", name)
    return name if name.isidentifier() else f"_{name}"


class _Signature(fx.graph.CodeGen):
    """Generated code takes inputs as arguments, or all of them in one list, tuple or dict."""

    def __init__(self, names: list[str]):
        super().__init__()
        self.names = names

    def gen_fn_def(self, free_vars: list[str], maybe_return_annotation: str, **kwargs: Any) -> str:
        head, *rest = self.names
        arguments = ", ".join([head, *(f"{name}=None" for name in rest)])
        given = f"({', '.join(self.names)},)"
        target = ", ".join(self.names)
        # The fast path of one tensor costs one comparison; everything else goes through _arrange.
        test = f"type({head}) is not torch.Tensor or {head}.dtype is not self._input_dtype"
        if rest:
            test = "True"
        trailing = "" if rest else ","
        return (
            f"def forward(self, {arguments}, *, training=None, mask=None){maybe_return_annotation}:\n"
            f"    if training is not None and training is not self.training:\n"
            f"        return self._call_in_mode(training, {given})\n"
            f"    if {test}:\n"
            f"        {target}{trailing} = self._arrange{given}\n"
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> _Signature:
        return _Signature(list(self.names))


def to_fx(
    inputs: list[KerasTensor],
    outputs: Any,
    nodes: Iterable[Node],
    key_of: Callable[[nn.Module], str],
    constant: Callable[[torch.Tensor], str],
) -> fx.Graph:
    """The torch.fx graph from inputs to outputs.

    `nodes` are the calls in between, and those that are made for what they do besides. `key_of`
    names a module in the root; `constant` registers a tensor there and gives its name.
    """
    graph = fx.Graph()
    made: dict[Any, fx.Node] = {}
    for tensor in inputs:
        name = identifier(tensor.name)
        place = graph.placeholder(f"{name}_" if name in ("self", "training", "mask") else name)
        place.target = place.name  # which is no keyword, no builtin and no other node's
        made[tensor.node, tensor.path] = place
    names = [str(place.target) for place in made.values()]

    def result(node: Node, path: tuple[Any, ...]) -> fx.Node:
        if path and (node, path) not in made:
            whole = result(node, path[:-1])
            made[node, path] = graph.call_function(operator.getitem, (whole, path[-1]))
        return made[node, path]

    def value(leaf: Any) -> Any:
        if isinstance(leaf, KerasTensor):
            return result(leaf.node, leaf.path)
        if isinstance(leaf, torch.Tensor):
            if id(leaf) not in made:
                made[id(leaf)] = graph.get_attr(constant(leaf))
            return made[id(leaf)]
        return leaf

    for node in nodes:
        args, kwargs = fx.node.map_aggregate((node.args, node.kwargs), value)
        target = key_of(node.target) if node.kind == "call_module" else node.target
        made[node, ()] = graph.create_node(node.kind, target, args, kwargs)
    graph.output(fx.node.map_aggregate(outputs, value))
    graph.set_codegen(_Signature(names))
    return graph
