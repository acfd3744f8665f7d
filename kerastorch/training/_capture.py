"""Steps captured as one graph: forward, loss, backward, update and metrics in one compiled call.

A step changes state in place and nothing else, so `torch.compile` can take it whole. Dynamo's guards,
which look at every attribute of every layer before every step, are left out. In their place each
graph has a key: what the batch looks like, compared at every step, and what the model looks like,
compared at every epoch, as are the Python values that the graph was made with (`_granted.py`). A model
that has changed in between (a new dropout rate, a layer frozen, an option of the optimizer) is
captured anew.
"""

from __future__ import annotations

import contextlib
import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch

from kerastorch import optimizers, tree
from kerastorch.training._granted import Granted, fingerprint

#: Graphs that one kind of step of a model may have. A step that keeps asking for more runs eagerly.
_MOST = 16
#: A further shape of batch, as the last one of an epoch has, is captured once it has come this often:
#: compiling it takes as long as some thousand steps.
PATIENCE = 32
BACKEND = "inductor"
_TRIES = 3

Step = Callable[[Any], Any]


class Captured:
    """One kind of step of a model, "train", "test" or "predict", as compiled graphs."""

    def __init__(self, model: Any, kind: str) -> None:
        self.kind = kind
        self.graphs: list[_Graph] = []
        self.quiet = False  # whether nothing is said where the step runs eagerly
        self.fixed = False  # whether no tensor takes another's place during an epoch
        self.refused = False  # whether the step cannot be one graph, so that it runs otherwise
        self._eager: Step = model._afresh(kind)
        self._model = model
        self._states: dict[Any, int] = {}  # what the model has looked like, numbered
        self._state = 0
        self._tried = kind == "predict"  # the first step runs eagerly, and makes metrics and states
        self._tries = 0
        self._current: dict[Any, _Graph] = {}  # the graphs of this epoch
        self._bound: dict[Any, Step] = {}  # the same, given what they are to work on
        self._seen: dict[str, int] = {}  # how often a shape of batch has come
        self._shapes: set[str] = (
            set()
        )  # of the batches that have a graph, here or before a resumption

    def begin(self) -> None:
        """Look at the model before an epoch."""
        self._current.clear()
        self._bound.clear()
        self._number(fingerprint(self._model))

    def _number(self, looks: Any) -> int:
        before, self._state = self._state, self._states.setdefault(looks, len(self._states))
        return before

    def __call__(self, batch: Any) -> Any:
        """One step; gives what the step gives."""
        if self.refused:
            return self._eager(batch)
        if not self._tried:
            return self._try(batch)
        key = _key(batch)
        if key is None:
            return self._eager(batch)
        bound = self._bound.get(key)
        if bound is not None:
            return self._give(bound(batch), self._current[key])
        graph = self._current.get(key) or self._find(key)
        if graph is None:
            shape = repr(key)
            seen = self._seen[shape] = self._seen.get(shape, 0) + 1
            if self._shapes and seen < PATIENCE and shape not in self._shapes:
                return self._eager(batch)
            return self._capture(batch, key)
        if graph.is_new:  # somebody may have changed something since the first step of the graph
            graph.is_new = False
            if self._is_unsteady(graph):
                return self._eager(batch)
        graph.watched = self.fixed
        return self._bind(graph, key, batch, graph(self._model, batch))

    def _find(self, key: Any) -> _Graph | None:
        """The graph for such batches and the model as it is."""
        for graph in self.graphs:
            if graph.key == (self._state, key) and graph.granted.changed() is None:
                graph.is_new = False
                self._current[key] = graph
                return graph
        return None

    def _is_unsteady(self, graph: _Graph) -> bool:
        """Whether a step or what is between steps changes what the graph takes for granted."""
        changed = graph.granted.changed()
        if changed is not None:
            self._refuse(f"{changed} changes with every step")
        return changed is not None

    def _try(self, batch: Any) -> Any:
        """A step before the capture: it may make things once, but must then leave the model as it was."""
        logs = self._eager(batch)
        looks = fingerprint(self._model)
        before = self._number(looks)
        self._tries += 1
        if self._state == before:
            self._tried = True
        elif self._tries == _TRIES:
            earlier = list(self._states)[before]
            changed = next(a for a, b in zip(looks, earlier, strict=False) if a != b)
            self._refuse(f"{changed[0]} changes with every step")
        return logs

    def _capture(self, batch: Any, key: Any) -> Any:
        if len(self.graphs) == _MOST:
            self._refuse(f"batches or layers change all the time: there are {_MOST} graphs already")
            return self._eager(batch)
        graph = _Graph(self._model, _FUNCTIONS[self.kind], (self._state, key))
        graph.watched = self.fixed
        try:
            with _seeing_gradients():
                result = graph(self._model, batch)
        except Exception as error:
            logs = self._eager(batch)  # an error of the model's own shows here, in its own words
            self._refuse(_reason(error), forward=True)
            return logs
        if self._is_unsteady(graph):
            return self._give(result, graph)
        self.graphs.append(graph)
        self._current[key] = graph
        self._shapes.add(repr(key))
        return self._bind(graph, key, batch, result)

    def _bind(self, graph: _Graph, key: Any, batch: Any, result: Any) -> Any:
        bound = graph.bound(batch, result) if self.fixed else None
        if bound is not None:
            self._bound[key] = bound
        return self._give(result, graph)

    def _give(self, result: Any, graph: _Graph) -> Any:
        for positions in graph.deferred:
            self._model.optimizer.count_micro_step(positions)
        return self._model.get_metrics_result() if result is None else result

    def _refuse(self, reason: str, forward: bool = False) -> None:
        self.refused = True
        self.graphs.clear()
        if self.quiet:
            return
        model = self._model
        if forward and model._compiled_call_impl is None:
            model._compiled_call_impl = _CompiledCall(model)
        compiled = model._compiled_call_impl is not None
        how = "with a compiled forward pass alone" if compiled else "eagerly"
        warnings.warn(
            f"{model._title()}: a {self.kind} step cannot be one compiled graph, so it runs {how}: "
            f"{reason}",
            stacklevel=2,
        )

    def state_dict(self) -> dict[str, Any]:
        """What decides which steps run compiled: numbers differ in the last digit from eager ones."""
        return {"tried": self._tried, "seen": dict(self._seen), "shapes": sorted(self._shapes)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Compile from here on the steps that the run before would have run compiled."""
        self._tried, self._seen = state["tried"], dict(state["seen"])
        self._shapes = set(state["shapes"])


class CapturedSteps(dict[str, Captured]):
    """The captured steps of a model by kind. A copy of the model has none: it compiles for itself."""

    def state_dict(self) -> dict[str, Any]:
        """The states of all kinds."""
        return {kind: step.state_dict() for kind, step in self.items()}

    def load_state_dict(self, model: Any, state: dict[str, Any]) -> None:
        """Put back what `state_dict` gave."""
        for kind, value in state.items():
            self.setdefault(kind, Captured(model, kind)).load_state_dict(value)

    def of(self, model: Any, kind: str, quiet: bool = False, fixed: bool = False) -> Captured:
        """The captured step, ready for an epoch. `quiet`: nobody asked for it, so that a step that
        cannot be captured runs eagerly without a word. `fixed`: during the epoch no tensor of the
        model, its losses, metrics or optimizer takes the place of another."""
        if kind not in self:
            self[kind] = Captured(model, kind)
        step = self[kind]
        step.quiet, step.fixed = quiet, fixed
        step.begin()
        return step

    def __deepcopy__(self, memo: Any) -> CapturedSteps:
        return CapturedSteps()

    def __reduce__(self) -> Any:
        return CapturedSteps, ()


# -- what is compiled ------------------------------------------------------------------------------


def _train(model: Any, batch: Any) -> Any:
    model._forget_losses()
    logs = model.train_step(batch)
    model._forget_losses()
    return logs or None


def _test(model: Any, batch: Any) -> Any:
    with torch.no_grad():
        model._forget_losses()
        logs = model.test_step(batch)
        model._forget_losses()
    return logs or None


def _predict(model: Any, batch: Any) -> Any:
    with torch.no_grad():
        model._forget_losses()
        outputs = model.predict_step(batch)
        model._forget_losses()
    return outputs


_FUNCTIONS = {"train": _train, "test": _test, "predict": _predict}


class _Graph:
    """A step as one compiled graph, which finds the tensors that it works on anew at every call."""

    def __init__(self, model: Any, function: Any, key: Any) -> None:
        self.granted = Granted(model, function.__globals__)
        self.key = key
        self.is_new = True  # whether there has been one step
        self.deferred: tuple[Any, ...] = ()  # what a step leaves to `Captured._give`
        self._step = torch.compile(
            _copy_of(function),
            fullgraph=True,
            dynamic=False,
            backend=self._compile,
            options={"guard_filter_fn": self.granted},
        )
        self._code: Any = None
        self.watched = False
        self._last: tuple[Any, Any] = (), ()  # what the code was given and gave, if it is watched

    def _compile(self, graph: Any, examples: Any) -> Any:
        from torch._dynamo.backends.registry import lookup_backend

        code = self._code = lookup_backend(BACKEND)(graph, examples)

        def run(*inputs: Any) -> Any:
            outputs = code(*inputs)
            if self.watched:
                self._last = inputs, outputs
            return outputs

        return run

    def __call__(self, model: Any, batch: Any) -> Any:
        with _deferring(model.optimizer) as deferred:
            result = self._step(model, batch)
        self.deferred = tuple(deferred)
        return result

    def bound(self, batch: Any, result: Any) -> Step | None:
        """The graph as a function of batches alone, on the other tensors of the call that has just given
        `result`: without torch.compile's look for them. None if more is done with what it gives."""
        (inputs, outputs), self._last = self._last, ((), ())
        given = {id(x): place for place, x in enumerate(tree.flatten(batch)) if x is not None}
        simple = result is None and not outputs
        if not simple and (len(outputs) != 1 or outputs[0] is not result):
            return None
        if not inputs or not all(isinstance(x, torch.Tensor) for x in inputs):
            return None
        places = [(at, given[id(x)]) for at, x in enumerate(inputs) if id(x) in given]
        fixed, code = list(inputs), self._code
        flat = type(batch) is tuple and not any(map(tree.is_nested, batch))
        alone = type(batch) is torch.Tensor

        def step(batch: Any) -> Any:
            leaves = batch if flat else (batch,) if alone else tree.flatten(batch)
            for at, place in places:
                fixed[at] = leaves[place]
            outputs = code(*fixed)
            return None if simple else outputs[0]

        return step


def _copy_of(function: Any) -> Any:
    """The function with code of its own: dynamo keeps what it compiles with the code."""
    return types.FunctionType(function.__code__.replace(), function.__globals__, function.__name__)


class _CompiledCall:
    """The model's call, compiled as far as that goes; if it does not go at all, as it is."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._compiled = torch.compile(model._call_impl)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return self._compiled(*args, **kwargs)
        except Exception:  # if it is the model's own error, it comes again
            release(self._model)
            return self._model._call_impl(*args, **kwargs)


def release(model: Any) -> None:
    """Let the model's call be as it is again."""
    if isinstance(model._compiled_call_impl, _CompiledCall):
        model._compiled_call_impl = None


def _seeing_gradients() -> contextlib.AbstractContextManager[Any]:
    """Let dynamo take `torch.autograd.grad` into the graph, where this torch has a switch for it."""
    from torch._dynamo import config

    if not hasattr(config, "trace_autograd_ops"):
        return contextlib.nullcontext()
    return config.patch(trace_autograd_ops=True)


@contextlib.contextmanager
def _deferring(optimizer: Any) -> Iterator[list[Any]]:
    """A list of what an optimizer would do on the host, which is left to `Captured._give`."""
    deferred: list[Any] = []
    own = isinstance(optimizer, optimizers.Optimizer)
    if own:
        optimizer.deferred = deferred
    try:
        yield deferred
    finally:
        if own:
            optimizer.deferred = None


def _reason(error: Exception) -> str:
    """The first sentence of an error of torch.compile, and the line of the user's code."""
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    frames = list(getattr(error, "real_stack", None) or ())
    where = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return f"{text[:300]}{where}"


# -- keys ------------------------------------------------------------------------------------------


def _key(batch: Any) -> Any:
    """What a batch looks like, and which of its tensors are the same one; None if there is more in it
    than tensors."""
    if type(batch) is torch.Tensor:
        return _look(batch)
    if type(batch) is tuple and all(x is None or type(x) is torch.Tensor for x in batch):
        ids = [id(x) for x in batch]
        return (*map(_look, batch), *map(ids.index, ids))
    leaves, spec = tree.flatten_with_spec(batch)
    flat = (
        _key(tuple(leaves)) if all(x is None or type(x) is torch.Tensor for x in leaves) else None
    )
    return None if flat is None else (flat, str(spec))


def _look(x: torch.Tensor | None) -> Any:
    return None if x is None else (x.shape, x.dtype, x.stride(), x.device)
