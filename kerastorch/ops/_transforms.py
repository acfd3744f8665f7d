"""Functions made of functions: with gradients of their own, with derivatives, over further axes."""

from __future__ import annotations

import functools
import inspect
import re
import warnings
from collections.abc import Callable
from typing import Any

import torch

from kerastorch import tree
from kerastorch._graph import is_symbolic
from kerastorch.ops._control_flow import as_node, recorded
from kerastorch.ops._op import as_tensor


@recorded
def vectorized_map(function: Callable[[Any], Any], elements: Any) -> Any:
    """``function(x)`` of each part x of `elements` along the first axis, all at once: `torch.vmap`.
    Random numbers differ from part to part.

    >>> import torch, kerastorch as keras
    >>> keras.ops.vectorized_map(lambda x: x.sum(), torch.ones(2, 3))
    tensor([3., 3.])
    """
    return torch.vmap(function, randomness="different")(tree.map_structure(as_tensor, elements))


@recorded
def jvp(fun: Callable[..., Any], primals: Any, tangents: Any, has_aux: bool = False) -> Any:
    """``fun(*primals)`` and its derivative in the direction of `tangents`: the product of the Jacobian
    with them, by forward differentiation. With `has_aux`, `fun` gives a second result, which comes third.

    >>> import torch, kerastorch as keras
    >>> keras.ops.jvp(lambda x: x * x, (3.0,), (1.0,))
    (tensor(9.), tensor(6.))
    """
    for name, value in (("primals", primals), ("tangents", tangents)):
        if not isinstance(value, (tuple, list)):
            raise TypeError(
                f"`{name}` must be a tuple with one entry for each argument of `fun`, "
                f"received {type(value).__name__}."
            )
    primals, tangents = (tree.map_structure(as_tensor, tuple(v)) for v in (primals, tangents))
    if torch.compiler.is_compiling():
        return torch.func.jvp(fun, primals, tangents, has_aux=has_aux)
    with warnings.catch_warnings():  # torch's own, of what it loads at the first derivative
        warnings.filterwarnings("ignore", ".*torch.jit.script", FutureWarning)
        return torch.func.jvp(fun, primals, tangents, has_aux=has_aux)


def _name_of(function: Any, otherwise: str) -> str:
    name = getattr(function, "__name__", "")
    return name if name.isidentifier() else otherwise


# -- gradients of one's own --------------------------------------------------------------------------


def custom_gradient(f: Callable[..., Any]) -> Callable[..., Any]:
    """A function with the gradient that it says itself.

    ``f(*args)`` gives its result and a function ``grad(*args, upstream=...)`` of the arguments and the
    gradients of the results (one, or a tuple), which gives the gradient of each tensor among `args`.
    ``grad(upstream)`` alone will do too. Tensors that `f` uses besides its arguments get no gradient.

    >>> import torch, kerastorch as keras
    >>> @keras.ops.custom_gradient
    ... def clipped(x):
    ...     return x, lambda upstream: keras.ops.convert_to_tensor(upstream).clamp(-1, 1)
    >>> x = torch.ones(2, requires_grad=True)
    >>> (clipped(x) * torch.tensor([5.0, 0.5])).sum().backward()
    >>> x.grad
    tensor([1.0000, 0.5000])
    """

    @functools.wraps(f)
    def function(*args: Any, **kwargs: Any) -> Any:
        if is_symbolic(args, kwargs):
            return as_node(name, function, *args, **kwargs)
        leaves, spec = tree.flatten_with_spec(args)
        places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, torch.Tensor)]

        def run(*tensors: torch.Tensor) -> tuple[Any, Any]:
            """Result and gradient function for other tensors in the same places."""
            filled = list(leaves)
            for i, tensor in zip(places, tensors, strict=True):
                filled[i] = tensor
            given = tree.unflatten(filled, spec)
            found = f(*given, **kwargs)
            if not (isinstance(found, tuple) and len(found) == 2 and callable(found[1])):
                raise TypeError(
                    f"{name}: a function under custom_gradient gives its result and a function of "
                    f"gradients, (result, grad), received {type(found).__name__}."
                )
            return found[0], functools.partial(_gradients, name, found[1], given, places)

        shape: list[Any] = []
        flat = _CustomGradient.apply(run, shape, *(leaves[i] for i in places))
        return tree.unflatten(list(flat), shape[0])

    name = _name_of(f, "custom_gradient")
    return function


class _CustomGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, run: Any, shape: list[Any], *tensors: torch.Tensor) -> Any:
        result, ctx.gradients = run(*tensors)
        leaves, spec = tree.flatten_with_spec(result)
        shape.append(spec)
        ctx.run = run
        ctx.save_for_backward(*tensors)
        return tuple(leaf.view_as(leaf) for leaf in leaves)  # `grad` may hold the leaves: no cycle

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> Any:
        tensors, gradients = ctx.saved_tensors, ctx.gradients
        if torch.is_grad_enabled():  # second derivatives: what it computed before is part of them
            gradients = ctx.run(*tensors)[1]
        return None, None, *gradients(upstream if len(upstream) > 1 else upstream[0])


def _gradients(name: str, grad: Any, args: Any, places: list[int], upstream: Any) -> list[Any]:
    """What `grad` gives for the tensors in `places`, however it takes its arguments."""
    names = list(inspect.signature(grad).parameters)
    alone = "upstream" not in names or names == ["upstream"]
    found = tree.flatten(grad(upstream) if alone else grad(*args, upstream=upstream))
    if len(found) == len(tree.flatten(args)):
        return [found[i] for i in places]
    if len(found) != len(places):
        raise ValueError(
            f"{name}: expected a gradient for each of {len(places)} tensors, received {len(found)}."
        )
    return found


# -- over further axes -------------------------------------------------------------------------------


def vectorize(
    pyfunc: Callable[..., Any], *, excluded: Any = None, signature: str | None = None
) -> Callable[..., Any]:
    """`pyfunc`, which takes entries, as a function of whole tensors, by `torch.vmap`; shapes broadcast.

    `signature`, such as ``"(m,n),(n)->(m)"``, names the axes that `pyfunc` takes and gives itself.
    Arguments in `excluded`, by place or name, and None are handed on as they are.
    [`numpy.vectorize`]

    >>> import torch, kerastorch as keras
    >>> add = keras.ops.vectorize(lambda a, b: a + b)
    >>> add([1, 2, 3], 10)
    tensor([11, 12, 13], dtype=torch.int32)
    """
    if not callable(pyfunc):
        raise ValueError(f"`pyfunc` must be a function, received {pyfunc!r}.")
    fixed = set(excluded or ())
    core = None if signature is None else _core_axes(signature)

    @functools.wraps(pyfunc)
    def function(*args: Any, **kwargs: Any) -> Any:
        if is_symbolic(args, kwargs):
            return as_node(name, function, *args, **kwargs)
        given: dict[Any, Any] = {**dict(enumerate(args)), **kwargs}
        mapped = [key for key, value in given.items() if key not in fixed and value is not None]
        inner: list[tuple[str, ...]] = [()] * len(mapped) if core is None else core[0]
        if len(inner) != len(mapped):
            raise TypeError(
                f"{name}: the signature {signature!r} takes {len(inner)} arguments, "
                f"received {len(mapped)}."
            )
        tensors = [as_tensor(given[key]) for key in mapped]
        _check_axes(name, tensors, inner)
        outer = torch.broadcast_shapes(
            *(x.shape[: x.ndim - len(axes)] for x, axes in zip(tensors, inner, strict=True))
        )
        tensors = [
            x.expand(*outer, *x.shape[x.ndim - len(axes) :])
            for x, axes in zip(tensors, inner, strict=True)
        ]

        def call(*tensors: torch.Tensor) -> Any:
            values = {**given, **dict(zip(mapped, tensors, strict=True))}
            result = pyfunc(
                *(values[i] for i in range(len(args))), **{key: values[key] for key in kwargs}
            )
            if core is not None:
                results = list(result) if isinstance(result, (tuple, list)) else [result]
                if [x.ndim for x in results] != [len(axes) for axes in core[1]]:
                    raise ValueError(
                        f"{name}: the signature {signature!r} says results with axes {core[1]}, "
                        f"received shapes {[tuple(x.shape) for x in results]}."
                    )
                _check_axes(name, [*tensors, *results], [*inner, *core[1]])
            return tree.map_structure(as_tensor, result)

        for _ in outer:
            call = torch.vmap(call, randomness="different")
        return call(*tensors)

    name = _name_of(pyfunc, "vectorize")
    return function


def _core_axes(signature: str) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    """Names of the axes of arguments and of results."""
    lists = r"\((\w+(,\w+)*)?\)(,\((\w+(,\w+)*)?\))*"
    plain = signature.replace(" ", "")
    if not re.fullmatch(f"{lists}->{lists}", plain):
        raise ValueError(f"`signature` names axes, as in '(m,n),(n)->(m)', received {signature!r}.")
    before, after = (
        [tuple(re.findall(r"\w+", axes)) for axes in re.findall(r"\(.*?\)", half)]
        for half in plain.split("->")
    )
    return before, after


def _check_axes(name: str, tensors: list[torch.Tensor], inner: list[tuple[str, ...]]) -> None:
    """Named axes, the last ones of each tensor, have one size wherever the name stands."""
    sizes: dict[str, int] = {}
    for tensor, axes in zip(tensors, inner, strict=True):
        last = tuple(tensor.shape[max(0, tensor.ndim - len(axes)) :])
        sizes = {**dict(zip(axes, last, strict=False)), **sizes}
        if last != tuple(sizes[axis] for axis in axes if axis in sizes) or len(last) < len(axes):
            raise ValueError(
                f"{name}: shapes {[tuple(x.shape) for x in tensors]} do not end in the axes {inner}."
            )
