"""Conditions, loops, and functions made of functions, against Keras or Python's own loops."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import torch
from oracle import assert_same

import kerastorch as kt
from kerastorch import ops

X = torch.from_numpy(np.random.default_rng(0).normal(size=(5, 3)).astype("float32"))


def same(name: str, *args: Any, **kwargs: Any) -> Any:
    """A call gives what it gives in Keras."""
    ours = getattr(ops, name)(*args, **kwargs)
    assert_same(ours, getattr(keras.ops, name)(*args, **kwargs))
    return ours


def compiled(function: Callable[..., Any], *args: Any) -> None:
    """One graph gives what the function gives."""
    one = torch.compile(function, fullgraph=True, backend="eager")
    assert_same(one(*args), function(*args))


def modelled(
    function: Callable[..., Any], *shapes: tuple[int | None, ...], data: Any = None
) -> Any:
    """A model of a function of symbolic tensors gives what the function gives."""
    inputs = [kt.Input(batch_shape=shape) for shape in shapes]
    model = kt.Model(inputs, function(*inputs))
    data = [torch.rand([n or 5 for n in shape]) for shape in shapes] if data is None else data
    wanted = function(*data)
    assert_same(model(data), wanted)
    return model


# -- conditions ------------------------------------------------------------------------------------


@pytest.mark.parametrize("pred", [True, False, 1, torch.tensor(True), torch.tensor([0])], ids=str)
def test_cond(pred: Any) -> None:
    same("cond", pred, lambda: X * 2, lambda: X.sum())


def test_cond_calls_one_of_both() -> None:
    called = []
    ops.cond(torch.tensor(False), lambda: called.append(1), lambda: called.append(2))
    assert called == [2]


def test_cond_where_values_come_later() -> None:
    x = torch.ones(2, device="meta")
    result = ops.cond(x.sum() > 1, lambda: {"a": x, "b": 1}, lambda: {"a": x * 2, "b": 2})
    assert result["a"].shape == (2,)
    for wrong in (lambda: x[:1], lambda: x.int(), lambda: (x,)):
        with pytest.raises(ValueError, match="cond needs results of one structure"):
            ops.cond(x.sum() > 1, lambda: x, wrong)


def test_cond_of_a_symbolic_tensor_is_a_choice() -> None:
    def function(x: Any) -> Any:
        return ops.cond(x.sum() > 2, lambda: (x * 2, None), lambda: (x - 1, None))[0]

    model = modelled(function, (None, 3), data=[torch.ones(5, 3)])
    again = kt.models.model_from_json(model.to_json())
    for data in (torch.ones(2, 3), torch.zeros(2, 3)):
        assert_same(again(data), function(data))
    x = kt.Input((3,))
    with pytest.raises(ValueError, match="cond needs results of one structure"):
        ops.cond(x.sum() > 2, lambda: x, lambda: x[:, :2])


def test_cond_in_a_layer() -> None:
    class Doubled(kt.layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.on = self.add_weight(shape=(), initializer="ones", trainable=False, name="on")

        def call(self, x: torch.Tensor) -> torch.Tensor:
            return ops.cond(self.on > 0, lambda: x * 2, lambda: x)

    layer = Doubled()
    inputs = kt.Input((3,))
    model = kt.Model(inputs, layer(inputs))
    assert_same(model(X), X * 2)
    layer.on.assign(0)
    assert_same(model(X), X)


def test_cond_under_compile() -> None:
    def function(x: torch.Tensor) -> Any:
        return ops.cond(x.sum() > 0, lambda: x.sin(), lambda: x.cos())

    for x in (X.abs(), -X.abs()):
        compiled(function, x)
    x = X.abs().requires_grad_()
    torch.compile(function, fullgraph=True, backend="eager")(x).sum().backward()
    assert_same(x.grad, x.detach().cos())


@pytest.mark.parametrize("index", [-1, 0, 1, 2, 7, torch.tensor(1), torch.tensor(9)], ids=str)
def test_switch(index: Any) -> None:
    branches = [lambda x, y: x + y, lambda x, y: x - y, lambda x, y: x * y]
    same("switch", index, branches, X, X + 1)


def test_switch_where_values_come_later() -> None:
    branches = [torch.sin, torch.cos, lambda x: x * 2]
    assert ops.switch(torch.ones((), device="meta"), branches, X.to("meta")).shape == X.shape
    for i in range(3):
        modelled(
            lambda x, i: ops.switch(i, branches, x),
            (None, 3),
            (1,),
            data=[X, torch.tensor([float(i)])],
        )
        compiled(lambda x, i: ops.switch(i, branches, x), X, torch.tensor(i))
    model = modelled(lambda x: ops.switch(1, branches, x), (None, 3))  # decided at once
    assert [n.target for n in model.graph.nodes if n.op == "call_function"] == [torch.cos]


# -- loops -----------------------------------------------------------------------------------------


def test_fori_loop() -> None:
    assert same("fori_loop", 0, 5, lambda i, total: total + i, 0) == 10
    same("fori_loop", 2, 5, lambda i, x: x * i + 1, X)
    same("fori_loop", torch.tensor(1), torch.tensor(3), lambda i, x: x + i, X)
    same("fori_loop", 3, 3, lambda i, x: x + i, X)
    modelled(lambda x: ops.fori_loop(0, 3, lambda i, y: y * 2 + i, x), (None, 3))
    compiled(lambda x: ops.fori_loop(0, 3, lambda i, y: y * 2 + i, x), X)
    assert ops.fori_loop(0, torch.ones((), device="meta"), lambda i, x: x * i, X.to("meta")).is_meta


@pytest.mark.parametrize("most", [None, 3, 0])
def test_while_loop(most: int | None) -> None:
    same("while_loop", lambda i: i < 10, lambda i: i + 1, 0, most)
    same("while_loop", lambda x, y: x < 10, lambda x, y: (x + 1, y * 2.0), (0, 1.0), most)
    same("while_loop", lambda x, y: x.sum() < 100, lambda x, y: [x * 2, y], [X.abs(), X], most)
    same("while_loop", lambda d: d["n"] < 5, lambda d: {"n": d["n"] + 2}, {"n": 0}, most)


def test_while_loop_reads_a_condition_once_a_round() -> None:
    seen: list[int] = []
    ops.while_loop(lambda i: bool(seen.append(int(i)) or i < 3), lambda i: i + 1, 0)
    assert seen == [0, 1, 2, 3]


@pytest.mark.parametrize("most", [None, 3])
def test_while_loop_where_values_come_later(most: int | None) -> None:
    def function(x: Any) -> Any:
        return ops.while_loop(
            lambda i, x: (i < 5) & (x.sum() < 100), lambda i, x: (i + 1, x * 2), (0, x), most
        )

    modelled(function, (None, 3))
    compiled(function, X.abs())
    x = torch.ones(2, device="meta")
    with pytest.raises(ValueError, match="while_loop needs results of one structure"):
        ops.while_loop(lambda x: x.sum() > 0, lambda x: x[:1], x)


@pytest.mark.parametrize("reverse", [False, True])
def test_scan(reverse: bool) -> None:
    def step(state: Any, x: Any) -> Any:
        return state * 0.5 + x, state

    same("scan", step, torch.zeros(3), X, reverse=reverse)
    same("scan", step, torch.zeros(3), X, length=3, reverse=reverse)
    modelled(lambda x: ops.scan(step, torch.zeros(3), x, reverse=reverse), (5, 3))
    modelled(lambda x: ops.scan(step, x[0], x, reverse=reverse), (None, 3))
    compiled(lambda x: ops.scan(step, torch.zeros(3), x, reverse=reverse), X)


def test_scan_of_nests() -> None:
    def step(state: Any, x: Any) -> Any:
        total, count = state
        return (total + x["a"], count + 1), {"sum": total + x["b"], "count": count}

    xs = {"a": X, "b": X[:, :1]}
    state, ys = ops.scan(step, (torch.zeros(3), 0), xs)
    assert_same(state, (X.sum(0), torch.tensor(5, dtype=torch.int32)))
    before = torch.cat([torch.zeros(1, 3), X.cumsum(0)[:-1]])
    assert_same(ys["sum"], before + X[:, :1])
    assert ys["count"].tolist() == [0, 1, 2, 3, 4]


def test_scan_without_parts_or_results() -> None:
    state, ys = ops.scan(lambda s, _: (s * 2, s), 1.0, length=4)
    assert state == 16
    assert ys.tolist() == [1, 2, 4, 8]
    state, ys = ops.scan(lambda s, x: (s + x, None), torch.zeros(3), X)
    assert ys is None
    assert_same(state, X.sum(0))


def test_scan_has_gradients() -> None:
    x = X.clone().requires_grad_()
    ops.scan(lambda s, x: (s * x, s), torch.ones(3), x)[0].sum().backward()
    assert_same(x.grad, X.prod(0) / X, tolerance=1e-4)  # a quotient of small numbers


def test_scan_says_what_is_wrong() -> None:
    with pytest.raises(TypeError, match="`f` must be a function"):
        ops.scan(1, 0, X)
    with pytest.raises(ValueError, match="needs `xs` to go over"):
        ops.scan(lambda s, x: (s, x), 0)
    with pytest.raises(ValueError, match="over nothing"):
        ops.scan(lambda s, x: (s, x), 0, X[:0])
    for unroll in (0, 1.5):
        with pytest.raises(ValueError, match="`unroll` must be"):
            ops.scan(lambda s, x: (s, x), 0, X, unroll=unroll)
    ops.scan(lambda s, x: (s, x), 0, X, unroll=True)


def test_map() -> None:
    same("map", lambda x: x**2, X)
    same("map", lambda x: {"a": x.sum(), "b": x * 10}, X)
    same("map", lambda x: x["a"] + x["b"], {"a": X, "b": X[:, :1]})
    modelled(lambda x: ops.map(lambda row: (row.sum(), row[:2]), x), (None, 3))
    compiled(lambda x: ops.map(lambda row: row.sum(), x), X)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 13])
@pytest.mark.parametrize("reverse", [False, True])
def test_associative_scan(count: int, reverse: bool) -> None:
    x = torch.arange(count * 2, dtype=torch.float32).reshape(count, 2) + 1
    same("associative_scan", torch.add, x, reverse)
    same("associative_scan", torch.mul, x.T, reverse=reverse, axis=1)
    same("associative_scan", torch.maximum, x.T, reverse=reverse, axis=-1)
    ours = ops.associative_scan(torch.add, x.int(), reverse)  # float32 in Keras
    wanted = x.flip(0).cumsum(0).flip(0) if reverse else x.cumsum(0)
    assert_same(ours, wanted.int())


def test_associative_scan_of_a_recurrence() -> None:
    """``s = a * s + b`` for all steps at once."""
    a, b = X.tanh(), X + 1

    def joined(first: Any, second: Any) -> Any:
        return first[0] * second[0], first[1] * second[0] + second[1]

    state, states = torch.zeros(3), []
    for row_a, row_b in zip(a, b, strict=True):
        state = row_a * state + row_b
        states.append(state)
    assert_same(ops.associative_scan(joined, (a, b))[1], torch.stack(states))
    modelled(lambda a, b: ops.associative_scan(joined, (a, b)), (None, 3), (None, 3))
    compiled(lambda a, b: ops.associative_scan(joined, (a, b)), a, b)
    with pytest.raises(ValueError, match="same size along axis 0"):
        ops.associative_scan(joined, (a, b[:2]))
    with pytest.raises(TypeError, match="`f` must be a function"):
        ops.associative_scan(None, a)


def test_vectorized_map() -> None:
    same("vectorized_map", lambda x: x.sum() * x, X)
    same("vectorized_map", lambda e: e[0] @ e[1], [X, X + 1])
    modelled(lambda x: ops.vectorized_map(lambda row: row / row.sum(), x), (None, 3))
    compiled(lambda x: ops.vectorized_map(lambda row: row / row.sum(), x), X)
    noise = ops.vectorized_map(lambda x: x + torch.rand(3), torch.zeros(4, 3))
    assert len({tuple(row) for row in noise.tolist()}) == 4


# -- functions and models --------------------------------------------------------------------------

CALLS: dict[str, Callable[[Any], Any]] = {
    "fori_loop": lambda x: ops.fori_loop(0, 2, lambda i, y: y + i, x),
    "while_loop": lambda x: ops.while_loop(lambda x: x.sum() < 9, lambda x: x + 1, x),
    "scan": lambda x: ops.scan(lambda s, x: (s, x), 0.0, x)[1],
    "map": lambda x: ops.map(torch.sin, x),
    "associative_scan": lambda x: ops.associative_scan(torch.add, x),
    "vectorized_map": lambda x: ops.vectorized_map(torch.sin, x),
    "jvp": lambda x: ops.jvp(torch.sin, (x,), (x,))[1],
    "vectorize": lambda x: ops.vectorize(lambda a: a * 2)(x),
    "custom_gradient": lambda x: ops.custom_gradient(lambda x: (x * 2, lambda g: g * 3))(x),
}


@pytest.mark.parametrize("name", CALLS)
def test_functions_are_not_for_files(name: str) -> None:
    model = modelled(CALLS[name], (None, 3))
    assert f"_{name}(" in model.code
    with pytest.raises(TypeError, match=f"{name}.* cannot be part of a config"):
        model.to_json()


def test_symbolic_tensors_from_around_a_function() -> None:
    x, y = kt.Input((3,)), kt.Input((3,))
    with pytest.raises(TypeError, match="Give all symbolic tensors to map as arguments"):
        ops.map(lambda row: row + y, x)


def test_a_layer_is_no_function() -> None:
    with pytest.raises(
        TypeError, match="map: `f` is a module, whose weights the model would not have"
    ):
        ops.map(kt.layers.Dense(2), kt.Input((4, 3)))


# -- derivatives -----------------------------------------------------------------------------------


def test_jvp() -> None:
    def function(x: Any, y: Any) -> Any:
        return x.sin() * y, y.exp()

    same("jvp", function, (X, X + 1), (X * 2, X - 1))
    same("jvp", lambda x: (x**2, x.sum()), (X,), (X,), has_aux=True)
    assert_same(ops.jvp(lambda x: x * x, [3.0], [1.0]), (torch.tensor(9.0), torch.tensor(6.0)))
    compiled(lambda x: ops.jvp(torch.sin, (x,), (x,)), X)
    with pytest.raises(TypeError, match="`primals` must be a tuple"):
        ops.jvp(torch.sin, X, (X,))


def log1pexp(x: Any) -> Any:
    e = x.exp()

    def grad(*args: Any, upstream: Any = None) -> Any:
        return upstream * (1 - 1 / (1 + e))

    return (1 + e).log(), grad


def test_custom_gradient() -> None:
    found = []
    for library in (kt, keras):
        x = torch.tensor([-1.0, 0.0, 100.0], requires_grad=True)
        library.ops.custom_gradient(log1pexp)(x).sum().backward()
        found.append(x.grad)
    assert_same(*found)
    assert found[0] is not None
    assert found[0].isfinite().all()  # without it, inf / inf


@pytest.mark.parametrize(
    "grad", [lambda g: g * 3, lambda upstream: upstream * 3, lambda *args, upstream: upstream * 3,
             lambda x, upstream=None: (upstream * 3,)],
)  # fmt: skip
def test_ways_to_write_a_gradient(grad: Any) -> None:
    x = X.clone().requires_grad_()
    ops.custom_gradient(lambda x: (x * 2, grad))(x).sum().backward()
    assert_same(x.grad, torch.full_like(X, 3))


def test_custom_gradient_of_nests_and_other_arguments() -> None:
    @ops.custom_gradient
    def function(pair: Any, times: int, *, plus: float = 0.0) -> Any:
        a, b = pair["a"], pair["b"]

        def grad(upstream: Any) -> Any:
            return upstream[0] * 10 + upstream[1], upstream[1] * 20

        return {"y": a * times + plus, "z": b}, grad

    a, b = (X.clone().requires_grad_() for _ in range(2))
    result = function({"a": a, "b": b}, 2, plus=1.0)
    assert_same(result, {"y": X * 2 + 1, "z": X})
    (result["y"].sum() + result["z"].sum() * 2).backward()
    assert_same([a.grad, b.grad], [torch.full_like(X, 12), torch.full_like(X, 40)])


def test_custom_gradient_says_what_is_wrong() -> None:
    x = X.clone().requires_grad_()
    with pytest.raises(TypeError, match="gives its result and a function of gradients"):
        ops.custom_gradient(lambda x: x * 2)(x)
    wrong = ops.custom_gradient(lambda x: (x * 2, lambda g: (g, g, g)))
    with pytest.raises(ValueError, match="expected a gradient for each of 1 tensors, received 3"):
        wrong(x).sum().backward()


def test_second_derivatives_go_through_what_the_gradient_uses() -> None:
    x = torch.tensor([0.3, -0.5], dtype=torch.float64, requires_grad=True)
    function = ops.custom_gradient(log1pexp)
    assert torch.autograd.gradcheck(function, x)
    assert torch.autograd.gradgradcheck(function, x)


def test_custom_gradient_leaves_nothing_behind() -> None:
    seen = []

    def function(x: torch.Tensor) -> Any:
        y = x.exp()
        seen.append(weakref.ref(y))
        return y, lambda g: g * y

    gc.disable()
    try:
        ops.custom_gradient(function)(X.clone().requires_grad_())
        assert seen[0]() is None
    finally:
        gc.enable()


def test_custom_gradient_under_compile() -> None:
    function = ops.custom_gradient(log1pexp)
    compiled(function, X)
    x = X.clone().requires_grad_()
    torch.compile(function, fullgraph=True, backend="aot_eager")(x).sum().backward()
    assert_same(x.grad, X.sigmoid())


# -- vectorize -------------------------------------------------------------------------------------


def test_vectorize() -> None:
    for library in (ops, keras.ops):
        add = library.vectorize(lambda a, b: a + b)
        assert_same(add([1, 2, 3], 2), torch.tensor([3, 4, 5], dtype=torch.int32))
    several = ops.vectorize(lambda a, b: (a * b, a - b))
    assert_same(several(X[:, None], X), (X[:, None] * X, X[:, None] - X))
    assert_same(ops.vectorize(lambda: torch.ones(()))(), torch.tensor(1.0))
    compiled(ops.vectorize(lambda a, b: a * b), X, X[0])


@pytest.mark.parametrize(
    ("signature", "function", "shapes"),
    [
        ("(m,n),(n)->(m)", lambda a, b: a @ b, [(2, 4, 3), (3,)]),
        ("(m,n),(n)->(m)", lambda a, b: a @ b, [(4, 3), (5, 3)]),
        ("(n),(n)->()", lambda a, b: a @ b, [(2, 1, 3), (4, 3)]),
        ("(n),()->(n),()", lambda a, b: (a * b, a.sum()), [(2, 3), (2,)]),
        ("(n)->(n,n)", lambda a: a[:, None] * a, [(2, 3)]),
    ],
)
def test_vectorize_with_a_signature(signature: str, function: Any, shapes: Any) -> None:
    arguments = [torch.rand(shape) for shape in shapes]
    ours = ops.vectorize(function, signature=signature)(*arguments)
    assert_same(ours, keras.ops.vectorize(function, signature=signature)(*arguments))
    arrays = [a.numpy() for a in arguments]
    assert_same(ours, np.vectorize(function, signature=signature)(*arrays), dtypes=False)


def test_vectorize_with_arguments_left_alone() -> None:
    """As in NumPy: Keras leaves `excluded` out of account."""

    def function(p: Any, x: Any, scale: Any = None, shift: Any = 0.0) -> Any:
        return (p[0] + p[1] * x if scale is None else x * scale) + shift

    made = ops.vectorize(function, excluded={0, "scale"})
    assert_same(made(torch.tensor([1.0, 2.0]), X), 1 + 2 * X)
    assert_same(made([1, 2], X, scale=3.0, shift=X[0]), X * 3 + X[0])
    assert_same(ops.vectorize(function)(None, X, 2.0, shift=1.0), X * 2 + 1)


def test_vectorize_says_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="`pyfunc` must be a function"):
        ops.vectorize(1)
    for signature in ("m,n->m", "(m)", "(m)->", "(m)-(n)"):
        with pytest.raises(ValueError, match="`signature` names axes"):
            ops.vectorize(torch.sin, signature=signature)
    product = ops.vectorize(lambda a, b: a @ b, signature="(m,n),(n)->(m)")
    with pytest.raises(TypeError, match="takes 2 arguments, received 1"):
        product(X)
    for wrong in (X[0, 0], X[:, 0]):
        with pytest.raises(ValueError, match="do not end in the axes"):
            product(X, wrong)
    with pytest.raises(ValueError, match="says results with axes"):
        ops.vectorize(lambda a: a.sum(), signature="(n)->(n)")(X)
    with pytest.raises(ValueError, match="do not end in the axes"):
        ops.vectorize(lambda a: a[1:], signature="(n)->(n)")(X)
