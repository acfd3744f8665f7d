"""Conditions and loops over Python functions.

They are Python's own, on tensors: what a Python number decides is decided at once, what a tensor decides
is read from it. Calls on symbolic tensors become one node of the graph, conditions become a choice
between both results. `torch.compile` takes them all; conditions and `while_loop` as torch's.
"""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch

from kerastorch import tree
from kerastorch._graph import KerasTensor, is_symbolic, record, symbolic_leaves
from kerastorch.ops._op import as_tensor

_F = TypeVar("_F", bound=Callable[..., Any])


def recorded(function: _F) -> _F:
    """`function`, whose calls on symbolic tensors are nodes that keep the functions they are given."""
    signature = inspect.signature(function)
    name = function.__name__

    @functools.wraps(function)
    def outer(*args: Any, **kwargs: Any) -> Any:
        if not is_symbolic(args, kwargs):
            return function(*args, **kwargs)
        given = signature.bind(*args, **kwargs).arguments
        fixed = {key: value for key, value in given.items() if callable(value)}
        for key, value in fixed.items():
            if isinstance(value, torch.nn.Module):
                raise TypeError(
                    f"{name}: `{key}` is a module, whose weights the model would not have. "
                    "Call both in the call() of a Layer that has it as an attribute."
                )
        others = {key: value for key, value in given.items() if key not in fixed}
        return as_node(name, functools.partial(function, **fixed), **others)

    return outer  # type: ignore[return-value]


def as_node(name: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Record a call of a function that is in no module, under a name."""

    def call(args: Any, kwargs: Any) -> Any:
        results = function(*args, **kwargs)
        if symbolic_leaves(results):
            raise TypeError(
                "a function that it calls uses a symbolic tensor from outside. "
                f"Give all symbolic tensors to {name} as arguments."
            )
        return results

    call.__name__ = call.__qualname__ = name
    return record("call_function", call, (args, kwargs))


def _tensors(nest: Any) -> Any:
    return tree.map_structure(as_tensor, nest)


def _known(value: Any) -> bool:
    """Whether values may be read. A weight in a symbolic run has some, but others later."""
    return not (isinstance(value, torch.Tensor) and value.detach().is_meta)


# -- conditions ------------------------------------------------------------------------------------


def cond(pred: Any, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
    """``true_fn()`` if `pred`, else ``false_fn()``.

    Of a symbolic `pred` both are computed, and chosen from.

    >>> import torch, kerastorch as keras
    >>> x = torch.tensor([1.0, 2.0])
    >>> keras.ops.cond(x.sum() > 2, lambda: x * 10, lambda: x)
    tensor([10., 20.])
    """
    if isinstance(pred, KerasTensor):
        yes, no = _agreeing("cond", [true_fn(), false_fn()])
        return tree.map_structure(functools.partial(_choice, pred.bool().reshape(())), yes, no)
    if not _known(pred):
        return _agreeing("cond", [true_fn(), false_fn()])[0]
    if isinstance(pred, torch.Tensor) and torch.compiler.is_compiling():
        return torch.cond(pred, true_fn, false_fn)
    return true_fn() if pred else false_fn()


def switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """``branches[index](*operands)``; an index outside is that of the first or last branch.

    >>> import kerastorch as keras
    >>> keras.ops.switch(1, [lambda x, y: x + y, lambda x, y: x - y], 2.0, 0.5)
    1.5
    """
    last = len(branches) - 1
    if isinstance(index, torch.Tensor) and _known(index) and not torch.compiler.is_compiling():
        index = int(index)
    decided = not isinstance(index, (torch.Tensor, KerasTensor))
    if decided:
        return branches[min(max(int(index), 0), last)](*operands)
    first = functools.partial(branches[0], *operands)
    if not last:
        return first()
    return cond(index <= 0, first, lambda: switch(index - 1, branches[1:], *operands))


def _choice(pred: Any, a: Any, b: Any) -> Any:
    return None if a is None else torch.where(pred, a, b)


def _agreeing(name: str, results: list[Any]) -> list[Any]:
    """Results that can stand for each other: of one structure, shapes and dtypes."""
    results = [tree.map_structure(_leaf, result) for result in results]
    kinds = [tree.map_structure(_kind, result) for result in results]
    if kinds[0] != kinds[1]:
        raise ValueError(
            f"{name} needs results of one structure, with the same shapes and dtypes, because values "
            f"decide later which is taken; received {kinds[0]} and {kinds[1]}."
        )
    return results


def _leaf(value: Any) -> Any:
    return value if value is None or isinstance(value, KerasTensor) else as_tensor(value)


def _kind(value: Any) -> str:
    return "None" if value is None else f"{value.dtype} of shape {tuple(value.shape)}"


# -- loops -----------------------------------------------------------------------------------------


@recorded
def fori_loop(lower: Any, upper: Any, body_fun: Callable[[Any, Any], Any], init_val: Any) -> Any:
    """``value = body_fun(i, value)`` for all i from `lower` to before `upper`, beginning with `init_val`.

    >>> import kerastorch as keras
    >>> keras.ops.fori_loop(0, 5, lambda i, total: total + i, 0)
    10
    """
    if not (_known(lower) and _known(upper)):
        return _agreeing("fori_loop", [init_val, body_fun(lower, init_val)])[1]
    for i in range(int(lower), int(upper)):
        init_val = body_fun(i, init_val)
    return init_val


@recorded
def while_loop(
    cond: Callable[..., Any],
    body: Callable[..., Any],
    loop_vars: Any,
    maximum_iterations: int | None = None,
) -> Any:
    """``loop_vars = body(*loop_vars)`` while ``cond(*loop_vars)``, at most `maximum_iterations` times.
    Variables that are no tuple or list are one.

    >>> import kerastorch as keras
    >>> keras.ops.while_loop(lambda i: i * i < 50, lambda i: i + 1, 0)
    tensor(8, dtype=torch.int32)
    """
    several = isinstance(loop_vars, (tuple, list))
    values = tuple(_tensors(loop_vars if several else [loop_vars]))

    def step(*values: Any) -> tuple[Any, ...]:
        results = body(*values)
        return tuple(results) if isinstance(results, (tuple, list)) else (results,)

    going = cond(*values)
    if not _known(going):
        values = tuple(_agreeing("while_loop", [values, step(*values)])[1])
    elif isinstance(going, torch.Tensor) and torch.compiler.is_compiling():
        values = _compiled_loop(cond, step, values, maximum_iterations)
    else:
        rounds = itertools.count() if maximum_iterations is None else range(maximum_iterations)
        for _ in rounds:
            if not going:
                break
            values = step(*values)
            going = cond(*values)
    return values if several else values[0]


def _compiled_loop(cond: Any, step: Any, values: tuple[Any, ...], most: int | None) -> Any:
    """A `while_loop` that torch.compile takes as one."""
    if most is None:
        return torch.while_loop(cond, step, values)
    device = next(x.device for x in tree.flatten(values) if isinstance(x, torch.Tensor))
    count = torch.zeros((), dtype=torch.int64, device=device)
    _, *values = torch.while_loop(
        lambda count, *values: (count < most) & cond(*values),
        lambda count, *values: (count + 1, *step(*values)),
        (count, *values),
    )
    return tuple(values)


@recorded
def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: int | bool = 1,
) -> tuple[Any, Any]:
    """``state, y = f(state, x)`` for each part x of `xs` along the first axis: the last state, and all y
    along a new first axis. Without `xs`, x is None, `length` times. `unroll` changes nothing here.

    >>> import torch, kerastorch as keras
    >>> keras.ops.scan(lambda total, x: (total + x, total + x), 0, torch.tensor([1, 2, 3]))
    (tensor(6), tensor([1, 3, 6]))
    """
    _check_callable(f)
    if not isinstance(unroll, bool) and (not isinstance(unroll, int) or unroll < 1):
        raise ValueError(f"`unroll` must be a positive integer or a bool, received {unroll!r}.")
    if xs is None and length is None:
        raise ValueError("scan needs `xs` to go over, or the `length`; received neither.")
    parts, state = None if xs is None else _tensors(xs), _tensors(init)
    count = _length(parts) if length is None else length
    places = range(count)[::-1] if reverse else range(count)
    known = all(_known(leaf) for leaf in tree.flatten((parts, state)))
    ys = []
    for i in places if known else places[:2]:  # two rounds show shapes and dtypes
        state, y = f(state, None if parts is None else _part(parts, i))
        ys.append(y)
    if not known:
        ys = [ys[-1]] * count
    return state, _stacked("scan", ys[::-1] if reverse else ys)


@recorded
def map(f: Callable[[Any], Any], xs: Any) -> Any:
    """``f(x)`` of each part x of `xs` along the first axis, along a new first axis.

    >>> import torch, kerastorch as keras
    >>> keras.ops.map(lambda x: x * x, torch.arange(4))
    tensor([0, 1, 4, 9])
    """
    return scan(lambda _, x: (0, f(x)), 0, xs)[1]


@recorded
def associative_scan(
    f: Callable[[Any, Any], Any], elems: Any, reverse: bool = False, axis: int = 0
) -> Any:
    """``[x0, f(x0, x1), f(f(x0, x1), x2), ...]`` along `axis`, of an `f` with
    ``f(a, f(b, c)) = f(f(a, b), c)`` that works on many entries at once: 2 log2(n) calls of it.
    [Blelloch, Prefix sums and their applications, 1990]

    >>> import torch, kerastorch as keras
    >>> keras.ops.associative_scan(lambda a, b: a + b, torch.arange(5))
    tensor([ 0,  1,  3,  6, 10])
    """
    _check_callable(f)
    leaves, spec = tree.flatten_with_spec(_tensors(elems))
    sizes = {leaf.shape[axis] for leaf in leaves}
    if len(sizes) > 1:
        raise ValueError(
            f"`elems` must all have the same size along axis {axis}, received shapes "
            f"{[tuple(leaf.shape) for leaf in leaves]}."
        )
    places = [axis % leaf.ndim for leaf in leaves]

    def joined(a: list[Any], b: list[Any]) -> list[Any]:
        return tree.flatten(f(tree.unflatten(a, spec), tree.unflatten(b, spec)))

    def turned(parts: list[Any]) -> list[Any]:
        return [x.flip(p) for x, p in zip(parts, places, strict=True)] if reverse else parts

    return tree.unflatten(turned(_prefixes(joined, turned(leaves), places)), spec)


def _prefixes(joined: Any, parts: list[Any], places: list[int]) -> list[Any]:
    """Prefix sums: those of neighbours joined are every second one; one step more gives the others."""

    def every(parts: list[Any], start: int, stop: int | None, step: int) -> list[Any]:
        return [
            x[(slice(None),) * p + (slice(start, stop, step),)]
            for x, p in zip(parts, places, strict=True)
        ]

    count = parts[0].shape[places[0]]
    if count < 2:
        return parts
    odd = _prefixes(joined, joined(every(parts, 0, -1, 2), every(parts, 1, None, 2)), places)
    even = every(parts, 0, 1, 1)
    if count > 2:
        behind = joined(every(odd, 0, (count - 1) // 2, 1), every(parts, 2, None, 2))
        even = [
            torch.cat(pair, p)
            for pair, p in zip(zip(even, behind, strict=True), places, strict=True)
        ]
    return [_interleaved(a, b, p) for a, b, p in zip(even, odd, places, strict=True)]


def _interleaved(a: torch.Tensor, b: torch.Tensor, axis: int) -> torch.Tensor:
    """a0, b0, a1, b1, ...; `a` may have one entry more."""
    count = b.shape[axis]
    pairs = torch.stack([a.narrow(axis, 0, count), b], axis + 1).flatten(axis, axis + 1)
    return torch.cat([pairs, a.narrow(axis, count, a.shape[axis] - count)], axis)


def _check_callable(f: Any) -> None:
    if not callable(f):
        raise TypeError(f"`f` must be a function, received {f!r}.")


def _length(parts: Any) -> int:
    return int(tree.flatten(parts)[0].shape[0])


def _part(parts: Any, i: int) -> Any:
    return tree.map_structure(lambda x: x[i], parts)


def _stacked(name: str, results: list[Any]) -> Any:
    """Nests of tensors as one nest of stacks; None stays None."""
    if not results:
        raise ValueError(
            f"{name} over nothing: the first axis has size 0, so no result has a shape."
        )

    def stack(*leaves: Any) -> Any:
        return None if leaves[0] is None else torch.stack([_leaf(leaf) for leaf in leaves])

    return tree.map_structure(stack, *results)
