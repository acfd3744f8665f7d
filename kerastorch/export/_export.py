"""`Model.export`: the computation of a model in evaluation mode, as a file that other programs run."""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.utils import _pytree as pytree

from kerastorch import tree
from kerastorch._graph import KerasTensor, input_tensor
from kerastorch.config import TEXT, standardize_dtype
from kerastorch.layers._layer import Layer
from kerastorch.layers._mode import in_mode
from kerastorch.saving._durable import replacing

# Stand-ins for unknown axes. Tracing computes nothing, so they only need to be large and even.
_BATCH, _OTHER = 2, 64


def export_model(
    model: Any,
    filepath: str | os.PathLike[str],
    format: str = "pt2",
    verbose: bool | None = None,
    input_signature: Any = None,
    **kwargs: Any,
) -> None:
    """Write what `model` computes in evaluation mode to a file that runs without this package.

    The weights are in the file. The batch axis, and each axis that is ``None`` in an `Input`, takes
    any size. The file holds operators of torch (``pt2``) or ONNX alone, and is called as the model is:
    with a tensor, or with the list or dict that the model takes.

    Args:
        filepath: ends in ``.pt2`` or ``.onnx``. The file is there whole or not at all.
        format: ``"pt2"`` (or ``"torch"``, Keras's name for it), read by `torch.export.load` in Python
            and AOTInductor in C++; ``"onnx"``, which needs ``pip install kerastorch[onnx]``.
        verbose: print where the file is; None is False.
        input_signature: what `Input` gives, or arrays (whose first axis is free), in the structure of
            the model's input; a tuple for several arguments of `call`. Needed where the model does not
            know: a subclassed one takes floats of the shape that it was built for.
        kwargs: ``opset_version`` for ``"onnx"``; ``strict``, ``dynamic_shapes``,
            ``prefer_deferred_runtime_asserts_over_guards`` and ``preserve_module_call_signature`` of
            `torch.export.export` for both.

    Raises:
        ValueError: for another format, another ending, or an axis that cannot take any size.
        ImportError: where ``onnx`` or ``onnxscript`` is missing.

    >>> import tempfile, torch, kerastorch as keras
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.export(f"{folder}/model.pt2")
    ...     program = torch.export.load(f"{folder}/model.pt2").module()
    >>> x = torch.ones(5, 3)
    >>> torch.equal(program(x), model(x))
    True
    """
    kind = _FORMATS.get(str(format).lower())
    if kind is None:
        raise ValueError(
            f"export: `format` must be one of {tuple(_FORMATS)}, received {format!r}. "
            "Tools for other formats (OpenVINO, LiteRT, TensorRT) read ONNX or pt2 files."
        )
    if Path(filepath).suffix.lower() != kind.suffix:
        raise ValueError(
            f"export: `filepath` must end in {kind.suffix!r} for format={format!r}, "
            f"received {os.fspath(filepath)!r}."
        )
    unknown = kwargs.keys() - _TRACING - kind.options
    if unknown:
        raise TypeError(
            f"export: unknown argument {', '.join(map(repr, sorted(unknown)))}. format={format!r} "
            f"takes {sorted(_TRACING | kind.options)}."
        )
    kind.check()
    tracing = {name: kwargs.pop(name) for name in _TRACING & kwargs.keys()}
    with _kept(model), kind.recurrences(), torch.no_grad(), warnings.catch_warnings():
        # Of added losses, which are put back, and of weights that lie in memory as torch's kernels want.
        warnings.filterwarnings("ignore", "The tensor attribute|No complete tensor", UserWarning)
        warnings.filterwarnings("ignore", "_check_is_size", FutureWarning)  # torch's own call
        arguments = _arguments(model, input_signature)
        program = _trace(model, arguments, **tracing)
        content = kind.content(model, arguments, program, **kwargs)
    with replacing(filepath) as file:
        file.write(content)
    if verbose:
        print(f"Exported {model.name!r} to {os.fspath(filepath)}")


# -- tracing -----------------------------------------------------------------------------------------

_TRACING = frozenset(
    ["strict", "dynamic_shapes", "prefer_deferred_runtime_asserts_over_guards",
     "preserve_module_call_signature"]
)  # fmt: skip


def _trace(model: Any, arguments: tuple[Any, ...], **options: Any) -> torch.export.ExportedProgram:
    device = next((t.device for t in model.state_dict().values()), torch.get_default_device())

    def example(spec: KerasTensor) -> torch.Tensor:
        sizes = [n or (_OTHER if axis else _BATCH) for axis, n in enumerate(spec.shape)]
        return torch.zeros(sizes, dtype=spec.dtype, device=device)

    def free(spec: KerasTensor) -> dict[int, Any]:
        hint = torch.export.Dim.DYNAMIC
        return {axis: hint for axis, n in enumerate(spec.shape) if n is None}

    examples = pytree.tree_map(example, arguments)
    shapes = options.pop("dynamic_shapes", None) or pytree.tree_map(free, arguments)
    if not model.built:
        model(*examples)
    try:
        return torch.export.export(_Call(model), examples, dynamic_shapes=(shapes,), **options)
    except (torch._dynamo.exc.UserError, ValueError) as error:
        if "dynamic" not in str(error):
            raise
        raise ValueError(
            f"export: {model._title()} does not compute the same for every size of an unknown axis. "
            "Give that axis its size: input_signature=keras.Input(...). torch says: "
            f"{str(error).splitlines()[0]} "
            + " ".join(line.strip() for line in str(error).splitlines() if "specialized" in line)
        ) from error


class _Call(torch.nn.Module):
    """A model as torch.export is to see it: with all that a call does, under the keys of its own."""

    def __init__(self, model: Any):
        super().__init__()
        tables = {name: model.__dict__[name] for name in ("_parameters", "_buffers", "_modules")}
        persistence = model._non_persistent_buffers_set
        self.__dict__.update(tables, _non_persistent_buffers_set=persistence, model=model)
        self.training = False

    def forward(self, *inputs: Any) -> Any:
        return self.__dict__["model"].forward(*inputs)


def _arguments(model: Any, signature: Any) -> tuple[Any, ...]:
    """The positional arguments of a call, with a symbolic tensor in place of each tensor."""
    inputs = model.__dict__.get("_inputs")
    if signature is None:
        signature = inputs if inputs is not None else _built_for(model)
    elif isinstance(signature, list) and len(signature) == 1 and not isinstance(inputs, list):
        signature = signature[0]  # Keras's list of arguments
    found = pytree.tree_map(_spec, signature)
    for spec in pytree.tree_leaves(found):
        if spec.dtype is TEXT:
            raise ValueError(
                f"export: the input {spec.name!r} takes text, and a file of this kind computes with "
                "numbers alone. Turn text into numbers before: export "
                "keras.Model(numbers, outputs), where `numbers` is what the layer for text gives."
            )
    return found if isinstance(found, tuple) else (found,)


def _built_for(model: Any) -> Any:
    shapes = (model.get_build_config() or {}).get("input_shape") if model.built else None
    if shapes is None:
        raise ValueError(
            f"export: {model._title()} does not know its input. Call it on data first, or give "
            "input_signature=keras.Input(...)."
        )

    def spec(shape: Any) -> Any:
        if isinstance(shape, dict):
            return {key: spec(item) for key, item in shape.items()}
        if shape and isinstance(shape[0], (tuple, list, dict)):
            return [spec(item) for item in shape]
        return input_tensor(None, (None, *shape[1:]), model._compute)

    return spec(shapes)


def _spec(leaf: Any) -> KerasTensor:
    if isinstance(leaf, KerasTensor):
        return leaf
    if not hasattr(leaf, "shape") or not hasattr(leaf, "dtype"):
        raise TypeError(
            "export: `input_signature` must hold what keras.Input gives, or arrays, "
            f"received {leaf!r:.80}."
        )
    return input_tensor(None, (None, *leaf.shape[1:]), standardize_dtype(leaf.dtype))


@contextlib.contextmanager
def _kept(model: Any) -> Iterator[None]:
    """Evaluation mode; afterwards modes and added losses are what they were."""
    keys = ("_losses", "_reports", "_adds")
    layers = [m for m in model.modules() if isinstance(m, Layer)]
    before = [{k: m.__dict__[k] for k in keys if k in m.__dict__} for m in layers]
    try:
        with in_mode(model, False):
            yield
    finally:
        for layer, state in zip(layers, before, strict=True):
            layer.__dict__.pop("_adds", None)
            layer.__dict__.update(state)


@contextlib.contextmanager
def _recurrent_shapes() -> Iterator[None]:
    """While tracing, torch asks its loop over the steps for the shapes of a recurrent kernel, which ties
    the graph to the number of steps. Here one step tells them."""
    aten = torch.ops.aten
    kernels = (aten.lstm.input, aten.gru.input, aten.rnn_tanh.input, aten.rnn_relu.input)
    keys = (torch._C.DispatchKey.CompositeImplicitAutograd, torch._C.DispatchKey.Autograd)
    before = [(op, dict(op.py_kernels)) for op in kernels]

    def shapes(x: Any, hx: Any, weights: Any, *rest: Any) -> Any:
        both = rest[-2]
        states = list(hx) if isinstance(hx, (list, tuple)) else [hx]
        units = states[0].shape[-1] * (2 if both else 1)
        return (x.new_empty(*x.shape[:2], units), *(torch.empty_like(state) for state in states))

    try:
        for op in kernels:
            op.py_kernels.update(dict.fromkeys(keys, shapes))
            op._dispatch_cache.clear()
        yield
    finally:
        for op, table in before:
            op.py_kernels.clear()
            op.py_kernels.update(table)
            op._dispatch_cache.clear()


@contextlib.contextmanager
def _recurrent_loops() -> Iterator[None]:
    """While tracing, recurrent kernels become loops over the steps: ONNX's own operators are for one
    number of them."""
    from torch.export import _patches  # which torch.onnx.export itself uses

    with (
        _patches.register_lstm_while_loop_decomposition(),
        _patches.register_gru_while_loop_decomposition(),
    ):
        yield


# -- formats -----------------------------------------------------------------------------------------


class _Format(NamedTuple):
    suffix: str
    options: frozenset[str]
    check: Callable[[], object]
    recurrences: Callable[[], AbstractContextManager[None]]
    content: Callable[..., bytes]


def _pt2(model: Any, arguments: Any, program: torch.export.ExportedProgram) -> bytes:
    file = io.BytesIO()
    torch.export.save(program, file)
    return file.getvalue()


def _check_onnx() -> None:
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"export: format='onnx' needs the package {error.name!r}. Install it: "
            "pip install kerastorch[onnx] (which is onnx, onnxscript and onnxruntime)."
        ) from error


def _onnx(
    model: Any,
    arguments: Any,
    program: torch.export.ExportedProgram,
    opset_version: int | None = None,
) -> bytes:
    named = [(_name(path, leaf), leaf.shape) for path, leaf in tree.flatten_with_path(arguments)]
    batched = [shape[:1] == (None,) for _, shape in named]
    first = batched.index(True) if True in batched else None
    found: Any = torch.onnx.export(
        program,
        (),
        dynamo=True,
        verbose=False,
        opset_version=opset_version,
        dynamic_shapes=[{0: "batch"} if i == first else {} for i in range(len(named))],
        input_names=[name or f"input_{i}" for i, (name, _) in enumerate(named)],
        output_names=getattr(model, "output_names", None),
        custom_translation_table={torch.ops.aten.sort.stable: _stable_sort},
    )
    content: bytes = found.model_proto.SerializeToString()
    return content


def _name(path: tuple[Any, ...], leaf: KerasTensor) -> str | None:
    """The key of an input in a dict, else the name that it was given."""
    keys = [key for key in path if isinstance(key, str)]
    return keys[-1] if keys else leaf.name if leaf.node.target is not None else None


def _stable_sort(x: Any, *, stable: bool = True, dim: int = -1, descending: bool = False) -> Any:
    """ONNX has the k largest or smallest, in order, equal ones in the order of their places."""
    from onnxscript import opset18

    op: Any = opset18
    size = op.Gather(op.Shape(x), [dim])
    values, indices = op.TopK(op.Cast(x, to=6), size, axis=dim, largest=int(descending), sorted=1)
    return op.CastLike(values, x), indices


_PT2 = _Format(".pt2", frozenset(), lambda: None, _recurrent_shapes, _pt2)
_FORMATS = {
    "pt2": _PT2,
    "torch": _PT2,
    "onnx": _Format(".onnx", frozenset(["opset_version"]), _check_onnx, _recurrent_loops, _onnx),
}
