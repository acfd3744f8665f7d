"""`Model.to_torch`: a model as a module of torch.nn, with source that a person can read."""

from __future__ import annotations

import ast
import builtins
import inspect
import keyword
import operator
import os
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kerastorch import layers, tree
from kerastorch._graph import KerasTensor, Node, identifier, map_symbolic, symbolic_leaves
from kerastorch.export._expand import expanded
from kerastorch.export._helpers import HELPERS
from kerastorch.export._part import Part, Site, function_name, literal
from kerastorch.export._table import TABLE
from kerastorch.layers._layer import Layer
from kerastorch.saving._durable import replacing

_WIDTH = 100
_INFIX = {
    operator.add: "+", operator.sub: "-", operator.mul: "*", operator.truediv: "/",
    operator.floordiv: "//", operator.mod: "%", operator.pow: "**", operator.matmul: "@",
    operator.and_: "&", operator.or_: "|", operator.xor: "^", operator.lshift: "<<",
    operator.rshift: ">>", operator.lt: "<", operator.le: "<=", operator.gt: ">", operator.ge: ">=",
    operator.eq: "==", operator.ne: "!=",
}  # fmt: skip
_PREFIX = {operator.neg: "-", operator.pos: "+", operator.invert: "~"}


#: What takes tensors in several arguments.
_SEVERAL = {
    layers.RNN.call,
    layers.MultiHeadAttention.call,
    layers.LSTMCell.call,
    layers.StackedRNNCells.call,
}


def to_torch(model: Any, filepath: str | os.PathLike[str] | None = None) -> nn.Module:
    """`model` as a module of `torch.nn`, whose `source` is a Python file that imports torch alone.

    The class in the source has ``nn.Linear``, ``nn.Conv2d``, ``nn.LSTM`` and the like, one for each
    layer and under its name, and a ``forward`` with a line for each. Inputs and outputs have the
    shapes and the structure of the model's; where torch's modules want channels first, a line says so.
    What torch has no module for is a short class in the source: cells with other activations or with
    masks, for one, run in a loop over the steps.
    Weights are copies. Outputs are the model's in evaluation mode. In training, torch's rules hold:
    ``nn.BatchNorm`` follows the unbiased variance, and dropout within recurrent layers is left out.
    To keep the module, keep its source and its state_dict: the class cannot be pickled.

    Args:
        model: a functional or Sequential model in one floating-point dtype. Its layers must be those
            of this package, of `torch.nn`, or functions of torch.
        filepath: also write ``filepath.py`` and the weights, ``filepath.pt``.

    Raises:
        TypeError: for a subclassed model, whose `call` is a program of its own.
        ValueError: for a model that is not built, or of mixed dtypes.
        NotImplementedError: names the layer that there is no torch code for. `Model.export` takes it.

    >>> import torch, kerastorch as keras
    >>> model = keras.Sequential([keras.Input((3,), name="x"), keras.layers.Dense(2, "relu")])
    >>> module = model.to_torch()
    >>> print(module.source[module.source.index("class"):])
    class Sequential(nn.Module):
        def __init__(self):
            super().__init__()
            self.dense = nn.Linear(3, 2)
    <BLANKLINE>
        def forward(self, x):
            dense = F.relu(self.dense(x))
            return dense
    <BLANKLINE>
    >>> torch.equal(module(torch.ones(5, 3)), model(torch.ones(5, 3)))
    True
    """
    file = _File()
    with torch.enable_grad():  # views of weights tell whether the weights are trained
        name = file.add(model)
    source = file.source(name)
    scope: dict[str, Any] = {"__name__": "to_torch"}
    exec(source, scope)  # written above: identifiers, literals, and texts of this package
    with torch.device("meta"):  # draws no random numbers
        module: nn.Module = scope[name]()
    state, flags = file.states[name]
    copies = {k: t.detach().clone(memory_format=torch.contiguous_format) for k, t in state.items()}
    module.load_state_dict(copies, assign=True)
    for key, parameter in module.named_parameters():
        parameter.requires_grad_(flags[key])
    module.train(model.training)
    module.source = source  # type: ignore[assignment]
    if filepath is not None:
        path = Path(filepath).with_suffix("")
        with replacing(path.with_suffix(".pt")) as weights:
            torch.save(copies, weights)
        with replacing(path.with_suffix(".py")) as text:
            text.write(source.encode())
    return module


class _Names:
    """Names for one scope: identifiers that are not taken and hide nothing, whatever was asked for."""

    def __init__(self, taken: Any = ()):
        self.taken = {"torch", "nn", "F", "self", "super", *dir(builtins), *taken}

    def new(self, wanted: str) -> str:
        base = name = identifier(wanted if wanted.isascii() else ascii(wanted)).strip("_") or "x"
        base = name = base if base.isidentifier() else f"x_{base}"
        count = 0
        while name in self.taken or keyword.iskeyword(name):
            count += 1
            name = f"{base}_{count}"
        self.taken.add(name)
        return name


class _File:
    """The classes of a file, inner models first, and the weights of each."""

    def __init__(self) -> None:
        self.classes: dict[str, str] = {}
        self.names = _Names(HELPERS)
        self.made: dict[int, str] = {}
        self.helpers: set[str] = set()
        self.states: dict[str, tuple[dict[str, Tensor], dict[str, bool]]] = {}
        self.paths: dict[str, dict[int, str]] = {}

    def add(self, model: Any) -> str:
        """The class of `model`, written unless it is there."""
        if id(model) not in self.made:
            _check(model)
            words = identifier(model.name if model.name.isascii() else "model").split("_")
            camel = "".join(word[:1].upper() + word[1:] for word in words)
            name = self.names.new(type(model).__name__ if model._auto_named else camel or "Model")
            writer = _Writer(self, model)
            body = writer.write()
            self.classes[name] = f"class {name}(nn.Module):\n{body}"
            flags = {key: t.requires_grad for key, t in writer.state.items()}
            self.states[name] = writer.state, flags | writer.flags
            self.paths[name] = writer.paths
            self.made[id(model)] = name
        return self.made[id(model)]

    def source(self, name: str) -> str:
        """The whole file."""
        parts = [HELPERS[helper] for helper in HELPERS if helper in self.helpers]
        parts += self.classes.values()
        head = [
            f'"""{name}: a module of torch.nn, made from a Keras model.\n\n'
            f"To use it: model = {name}(), then\n"
            'model.load_state_dict(torch.load("weights.pt", weights_only=True)) and model.eval().\n'
            '"""\n\n'
        ]
        text = "\n\n".join(parts)
        if "torch." in text:
            head.append("import torch\n")
        if "F." in text:
            head.append("import torch.nn.functional as F\n")
        return "".join(head) + "from torch import nn\n\n\n" + text


def _is_graph(module: Any) -> bool:
    """Whether it is a functional or Sequential model."""
    return hasattr(type(module), "_set_graph")


def _check(model: Any) -> None:
    if not _is_graph(model):
        raise TypeError(
            f"to_torch: {model._title()} computes in a `call` of its own, which cannot be written anew. "
            "Use model.export(...), or write the model with the functional API."
        )
    if not model.built:
        raise ValueError(
            f"to_torch: {model._title()} is not built. Put keras.Input(...) in front, or call it on data."
        )


class _Writer:
    """Writes the class of one model."""

    def __init__(self, file: _File, model: Any):
        self.file, self.model = file, model
        self.outputs, self.calls = expanded(model)
        self.attributes = _Names([*dir(nn.Module()), "source"])
        self.locals = _Names(["inputs", *HELPERS])
        self.init: list[str] = []
        self.lines: list[str] = []
        self.state: dict[str, Tensor] = {}
        self.flags: dict[str, bool] = {}
        self.modules: dict[int, str] = {}  # names of attributes
        self.paths: dict[int, str] = {}  # of modules, those inside others too
        self.inputs: dict[Node, list[KerasTensor]] = {}  # of calls of modules
        self.values: dict[Any, dict[str, str]] = {}  # a call, or an input: its name in each layout

    # -- the class -----------------------------------------------------------------------------------

    def write(self) -> str:
        model = self.model
        signature = self.signature()
        parts = self.parts()
        first = {id(node.target): part for node, part in reversed(parts.items())}
        for key, module in model._modules.items():  # in the order of the model
            if id(module) in first:
                self.make(key, module, first[id(module)])
        for node, part in parts.items():
            self.call(node, part)
        result = self.render(self.outputs)
        self.dtype()
        body = ["def __init__(self):", "    super().__init__()"]
        body += [_wrapped(f"    {line}") for line in self.init]
        body += ["", f"def forward(self, {signature}):"]
        body += [_wrapped(f"    {line}") for line in [*self.lines, f"return {result}"]]
        indented = "\n".join(body).splitlines()
        return "".join(f"    {line}".rstrip() + "\n" for line in indented)

    def signature(self) -> str:
        """The arguments of forward; a list or dict of inputs is one argument."""
        inputs = self.model._inputs
        names = [self.locals.new(tensor.name) for tensor in self.model._flat_inputs]
        for tensor, name in zip(self.model._flat_inputs, names, strict=True):
            self.values[tensor.node, tensor.path] = {"keras": name}
        if isinstance(inputs, KerasTensor) or (
            isinstance(inputs, tuple) and all(isinstance(item, KerasTensor) for item in inputs)
        ):
            return ", ".join(names)
        for (path, _), name in zip(tree.flatten_with_path(inputs), names, strict=True):
            keys = "".join(f"[{literal(key)}]" for key in path)
            self.lines.append(f"{name} = inputs{keys}")
        return "inputs"

    def parts(self) -> dict[Node, Part | None]:
        """The calls that the outputs depend on, in order, and what their layers are."""
        found: dict[Node, Any] = {}
        needed = {tensor.node for tensor in symbolic_leaves(self.outputs)}
        for node in reversed(self.calls):
            if node in needed:
                found[node] = None
                self.inputs[node] = node.parents
                if node.kind == "call_module":
                    site, found[node] = self.part(node)
                    self.inputs[node] = site.inputs
                needed |= {tensor.node for tensor in self.inputs[node]}
        return dict(reversed(found.items()))

    def part(self, node: Node) -> tuple[Site, Part]:
        """What a module is, and the tensors that it takes."""
        module = node.target
        kwargs = {k: v for k, v in node.kwargs.items() if v is not None}
        more = [kwargs.pop("initial_state")] if "initial_state" in kwargs else []
        site = Site(module, symbolic_leaves([*node.args, *more]), kwargs, node.args)
        if _is_graph(module):
            places = iter(f"{{{i}}}" for i in range(len(site.inputs)))
            inputs = module._inputs
            flat = isinstance(inputs, (KerasTensor, tuple))
            packed = ", ".join(places) if flat else _packed(inputs, places)
            part = Part(f"{{m}}({packed})", f"{self.file.add(module)}()")
            kwargs.pop("mask", None)  # a graph has its masks inside
        elif isinstance(module, Layer):
            entry = TABLE.get(type(module))
            if entry is None:
                raise NotImplementedError(
                    f"to_torch: there is no torch code for layers of the class "
                    f"{type(module).__name__} ({module.name!r}). Use model.export(...), which takes every "
                    "model, or put a module of torch.nn in its place."
                )
            several = getattr(module.call, "__func__", None) in _SEVERAL
            if len(node.args) > 1 and not (several and all(_holds_tensors([a]) for a in node.args)):
                site.refuse("is called with several arguments")
            if any(getattr(inner, "_mixed", False) for inner in module.modules()):
                raise ValueError(
                    f"to_torch: {module._title()} computes in {module.compute_dtype} on weights in "
                    f"{module.variable_dtype}. Use model.export(...), or policies of one dtype and "
                    "torch.autocast around the module."
                )
            part = entry(site)
        else:
            kwargs.clear()
            given = self.arguments(node, placeholders=True)
            given = given.replace("{", "{{").replace("}", "}}")
            given = given.replace("\0", "{").replace("\1", "}")
            part = Part(f"{{m}}({given})", _stock(module))
        if kwargs:
            site.refuse(f"is called with {', '.join(kwargs)}")
        self.file.helpers.update(part.helpers)
        return site, part

    def make(self, wanted: str, module: nn.Module, part: Any) -> None:
        """The line of __init__ for a module, and its weights."""
        if part.make is None:
            return
        name = self.modules[id(module)] = self.attributes.new(wanted)
        known = self.paths.setdefault(id(module), name)
        self.init.append(f"self.{name} = {part.make if known == name else f'self.{known}'}")
        state, flags = dict(part.weights), dict[str, bool]()
        if _is_graph(module):
            inner = self.file.made[id(module)]
            state, flags = self.file.states[inner]
            for key, path in self.file.paths[inner].items():
                known = self.paths.setdefault(key, f"{name}.{path}")
                if known != f"{name}.{path}":  # a layer that is here, too
                    self.init.append(f"self.{name}.{path} = self.{known}")
        elif not isinstance(module, Layer):
            state = {**dict(module.named_parameters()), **dict(module.named_buffers())}
            state = {k: state[k] for k in module.state_dict()}
        self.state.update({f"{name}.{k}": tensor for k, tensor in state.items()})
        self.flags.update({f"{name}.{k}": flag for k, flag in flags.items()})

    def dtype(self) -> None:
        """A line for weights in another dtype than float32."""
        floats = [t.dtype for t in self.state.values() if t.is_floating_point()]
        if len(set(floats)) > 1:
            raise ValueError(
                f"to_torch: {self.model._title()} has weights of several dtypes, {set(floats)}. "
                "Use model.export(...)."
            )
        if floats and floats[0] is not torch.float32:
            self.init.append(f"self.to({floats[0]})")

    # -- forward -------------------------------------------------------------------------------------

    def call(self, node: Node, part: Part | None) -> None:
        """The line of forward for a call."""
        layout = "keras"
        if part is None:
            line = self.function(node)
            wanted = str(getattr(node.target, "__name__", node.target))
        else:
            inputs = self.inputs[node]
            rank = min(len(tensor.shape) for tensor in inputs)
            layout = part.layout if rank > 2 else "keras"
            if layout == "any":
                moved = all("first" in self.values.get((t.node, t.path), {}) for t in inputs)
                layout = "first" if moved else "keras"
            given = [self.value(tensor, layout) for tensor in inputs]
            key = self.modules.get(id(node.target))
            dim, over = (1, range(2, rank)) if layout == "first" else (-1, range(1, rank - 1))
            line = part.call.format(*given, m=f"self.{key}", dim=dim, over=literal(tuple(over)))
            wanted = key or next(k for k, m in self.model._modules.items() if m is node.target)
        name = self.locals.new(wanted)
        self.lines.append(f"{name} = {line}")
        self.values[node, ()] = {layout: name}

    def value(self, tensor: KerasTensor, layout: str = "keras") -> str:
        """The name of a tensor in a layout; a line that moves its axes is written once."""
        key, rank = (tensor.node, tensor.path), len(tensor.shape)
        if key not in self.values:  # one of several results
            keys = "".join(f"[{literal(item)}]" for item in tensor.path)
            self.values[key] = {"keras": f"{self.values[tensor.node, ()]['keras']}{keys}"}
        names = self.values[key]
        if rank < 3:
            return next(iter(names.values()))
        if layout not in names:
            if layout == "first":
                order, source = (0, rank - 1, *range(1, rank - 1)), names["keras"]
            else:
                order, source = (0, *range(2, rank), 1), names["first"]
            end = "first" if layout == "first" else "last"
            base = source if source.isidentifier() else "x"
            names[layout] = self.locals.new(f"{base.removesuffix('_first')}_{end}")
            self.lines.append(f"{names[layout]} = {source}.permute{literal(order)}")
        return names[layout]

    def function(self, node: Node) -> str:
        """The expression of a torch function, an operator or a method."""
        target, args = node.target, node.args
        if node.kind == "call_method":
            if not (target.isidentifier() and callable(getattr(Tensor, target, None))):
                raise _unknown(target)
            return f"{self.operand(args[0])}.{target}({self.arguments(node, first=1)})"
        if target in _INFIX:
            sign = "**" if target is operator.pow else f" {_INFIX[target]} "
            return f"{self.operand(args[0])}{sign}{self.operand(args[1])}"
        if target in _PREFIX:
            return f"{_PREFIX[target]}{self.operand(args[0])}"
        if target is operator.abs:
            return f"{self.operand(args[0])}.abs()"
        if target is operator.getitem:
            return f"{self.operand(args[0])}[{self.index(args[1])}]"
        if target is getattr and args[1].isidentifier():
            return f"{self.operand(args[0])}.{args[1]}"
        name = function_name(target)
        if name is None:
            raise _unknown(target)
        return f"{name}({self.arguments(node)})"

    def index(self, index: Any) -> str:
        items = index if isinstance(index, tuple) else (index,)

        def item(value: Any) -> str:
            if not isinstance(value, slice):
                return self.render(value)
            ends = (value.start, value.stop)
            text = ":".join("" if end is None else self.render(end) for end in ends)
            return text if value.step is None else f"{text}:{self.render(value.step)}"

        return ", ".join(map(item, items)) or "()"

    def arguments(self, node: Node, first: int = 0, placeholders: bool = False) -> str:
        args, kwargs = node.args[first:], node.kwargs
        if placeholders:
            count = iter(range(len(node.parents)))
            args, kwargs = map_symbolic(lambda t: _Place(next(count)), (args, kwargs))
        given = [self.render(arg) for arg in args]
        return ", ".join([*given, *(f"{k}={self.render(v)}" for k, v in kwargs.items())])

    def operand(self, value: Any) -> str:
        """Within an expression: negative numbers are in brackets."""
        text = self.render(value)
        return f"({text})" if text.startswith("-") else text

    def render(self, value: Any) -> str:
        """A value with names in place of tensors."""
        if isinstance(value, KerasTensor):
            return self.value(value)
        if isinstance(value, _Place):
            return value.text
        if isinstance(value, Tensor):
            return self.constant(value)
        if isinstance(value, (list, tuple)) and _holds_tensors(value):
            items = ", ".join(map(self.render, value))
            if hasattr(value, "_fields") or isinstance(value, tuple):
                return f"({items},)" if len(value) == 1 else f"({items})"
            return f"[{items}]"
        if isinstance(value, dict):
            return (
                "{" + ", ".join(f"{literal(k)}: {self.render(v)}" for k, v in value.items()) + "}"
            )
        return literal(value)

    def constant(self, tensor: Tensor) -> str:
        """A tensor that a function takes: a parameter, or a buffer."""
        if id(tensor) not in self.modules:
            key = next((k for t, k in self.model._constants if t is tensor), "constant")
            name = self.modules[id(tensor)] = self.attributes.new(key)
            made = f"torch.zeros({literal(tuple(tensor.shape))}, dtype={tensor.dtype})"
            if isinstance(tensor, nn.Parameter):
                self.init.append(f"self.{name} = nn.Parameter({made})")
            else:
                self.init.append(f'self.register_buffer("{name}", {made})')
            self.state[name] = tensor
        return f"self.{self.modules[id(tensor)]}"


class _Place:
    """The place of an input in the expression of a stock module, until braces are doubled."""

    def __init__(self, index: int):
        self.text = f"\0{index}\1"


def _holds_tensors(value: Any) -> bool:
    """Whether there is more in a container than `literal` writes."""
    return any(isinstance(leaf, (KerasTensor, _Place, Tensor)) for leaf in tree.flatten(value))


def _packed(inputs: Any, names: Any) -> str:
    """`names` in the structure of a model's inputs."""
    if isinstance(inputs, dict):
        keys = [literal(key).replace("{", "{{").replace("}", "}}") for key in inputs]
        pairs = zip(keys, inputs.values(), strict=True)
        return ", ".join(f"{k}: {_packed(v, names)}" for k, v in pairs).join(["{{", "}}"])
    if isinstance(inputs, (list, tuple)):
        return ", ".join(_packed(item, names) for item in inputs).join("[]")
    return str(next(names))


def _stock(module: nn.Module) -> str:
    """The constructor of a module of torch.nn, from what it prints, if that is one."""
    kind = type(module)
    if isinstance(module, nn.Sequential) and kind is nn.Sequential:
        return f"nn.Sequential({', '.join(_stock(child) for child in module)})"
    text = repr(module)
    try:
        if getattr(nn, kind.__name__, None) is not kind:
            raise ValueError
        (call,) = [ast.parse(text, mode="eval").body]
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            raise ValueError
        args = [literal(ast.literal_eval(arg)) for arg in call.args]
        usual = inspect.signature(kind).parameters
        for option in call.keywords:
            value = ast.literal_eval(option.value)
            default = usual[option.arg or ""].default
            if value != default and not (isinstance(value, tuple) and {*value} == {default}):
                args.append(f"{option.arg}={literal(value)}")
    except (ValueError, SyntaxError, TypeError, KeyError) as error:
        raise NotImplementedError(
            f"to_torch: the constructor of {kind.__module__}.{kind.__qualname__} cannot be told from "
            "the module. Use model.export(...), which takes every model."
        ) from error
    return f"nn.{kind.__name__}({', '.join(args)})"


def _unknown(target: Any) -> Exception:
    return NotImplementedError(
        f"to_torch: {target!r:.80} is no function of torch, so there is no source for it. "
        "Use model.export(...), which takes every model."
    )


_STRING = re.compile(r"""(["'])(?:\\.|(?!\1).)*\1""")
_OPENING, _CLOSING = "([{", ")]}"


def _wrapped(line: str, end: str = "") -> str:
    """`line` and `end`; if that is too long, what is in the last brackets on lines of its own."""
    if len(line + end) + 4 <= _WIDTH or line[-1] not in _CLOSING:
        return line + end
    indent = " " * (len(line) - len(line.lstrip()))
    marks = _STRING.sub(
        lambda found: "s" * len(found[0]), line
    )  # no brackets and commas in strings
    depth, cuts, at = 1, [len(line) - 1], len(line) - 1
    while depth:
        at -= 1
        depth += (marks[at] in _CLOSING) - (marks[at] in _OPENING)
        if depth == 1 and marks[at] == ",":
            cuts.append(at)
    name, _, value = line.partition(" = ")
    if at + 5 > _WIDTH and value:
        return f"{name} = (\n{_wrapped(f'{indent}    {value}')}\n{indent})"
    body = [f"{indent}    {line[at + 1 : -1]}"]
    if len(body[0]) + 4 > _WIDTH:
        ends = zip([at, *reversed(cuts)], reversed(cuts), strict=False)
        items = [line[a + 1 : b].strip() for a, b in ends]
        body = [_wrapped(f"{indent}    {item}", ",") for item in items if item]
    return "\n".join([line[: at + 1], *body, f"{indent}{line[-1]}{end}"])
