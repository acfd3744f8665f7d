"""Steps captured as one graph: forward, loss, backward, update and metrics in one compiled call.

A step changes state in place and nothing else, so `torch.compile` can take it whole. Dynamo's guards,
which look at every attribute of every layer before every step, are left out. In their place each
graph has a key: what the batch looks like, compared at every step, and what the model looks like,
compared at every epoch. A model that has changed in between (a new dropout rate, a layer frozen, an
option of the optimizer) is captured anew.
"""

from __future__ import annotations

import contextlib
import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch

from kerastorch import optimizers, tree

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
        self.graphs: dict[Any, _Graph] = {}
        self.quiet = False  # whether nothing is said where the step runs eagerly
        self.fixed = False  # whether no tensor takes another's place during an epoch
        self.refused = False  # whether the step cannot be one graph, so that it runs otherwise
        self._eager: Step = getattr(model, f"{kind}_step")
        self._model = model
        self._states: dict[Any, int] = {}  # what the model has looked like, numbered
        self._state = 0
        self._tried = kind == "predict"  # the first step runs eagerly, and makes metrics and states
        self._tries = 0
        self._bound: dict[
            Any, Step
        ] = {}  # the graphs of this epoch, given what they are to work on
        self._seen: dict[str, int] = {}  # how often a shape of batch has come
        self._shapes: set[str] = (
            set()
        )  # of the batches that have a graph, here or before a resumption

    def begin(self) -> None:
        """Look at the model before an epoch."""
        self._bound.clear()
        self._number(_fingerprint(self._model))

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
            return self._give(bound(batch))
        graph = self.graphs.get((self._state, key))
        if graph is None:
            shape = repr(key)
            seen = self._seen[shape] = self._seen.get(shape, 0) + 1
            if self._shapes and seen < PATIENCE and shape not in self._shapes:
                return self._eager(batch)
            return self._capture(batch, key)
        graph.watched = self.fixed
        return self._bind(graph, key, batch, graph(self._model, batch))

    def _try(self, batch: Any) -> Any:
        """A step before the capture: it may make things once, but must then leave the model as it was."""
        logs = self._eager(batch)
        looks = _fingerprint(self._model)
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
        graph = _Graph(_FUNCTIONS[self.kind])
        graph.watched = self.fixed
        try:
            with _seeing_gradients(), _counting_later(self._model.optimizer):
                result = graph(self._model, batch)
        except Exception as error:
            logs = self._eager(batch)  # an error of the model's own shows here, in its own words
            self._refuse(_reason(error))
            return logs
        self.graphs[self._state, key] = graph
        self._shapes.add(repr(key))
        return self._bind(graph, key, batch, result)

    def _bind(self, graph: _Graph, key: Any, batch: Any, result: Any) -> Any:
        bound = graph.bound(batch, result) if self.fixed else None
        if bound is not None:
            self._bound[key] = bound
        return self._give(result)

    def _give(self, result: Any) -> Any:
        model = self._model
        if self.kind == "train" and isinstance(model.optimizer, optimizers.Optimizer):
            model.optimizer.count_micro_step(model.optimizer.captured_positions)
        return model.get_metrics_result() if result is None else result

    def _refuse(self, reason: str) -> None:
        self.refused = True
        self.graphs.clear()
        if self.quiet:
            return
        model = self._model
        how = "eagerly"
        if "_compiled_call_impl" not in model.__dict__ or model._compiled_call_impl is None:
            model._compiled_call_impl = _compiled_call(model)
            how = "with a compiled forward pass alone"
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
    logs = model.train_step(batch)
    model._forget_losses()
    return logs or None


def _test(model: Any, batch: Any) -> Any:
    with torch.no_grad():
        logs = model.test_step(batch)
        model._forget_losses()
    return logs or None


def _predict(model: Any, batch: Any) -> Any:
    with torch.no_grad():
        outputs = model.predict_step(batch)
        model._forget_losses()
    return outputs


_FUNCTIONS = {"train": _train, "test": _test, "predict": _predict}


class _Graph:
    """A step as one compiled graph, which finds the tensors that it works on anew at every call."""

    def __init__(self, function: Any) -> None:
        self._step = torch.compile(
            _copy_of(function),
            fullgraph=True,
            dynamic=False,
            backend=self._compile,
            options={"guard_filter_fn": torch.compiler.skip_all_guards_unsafe},
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
        return self._step(model, batch)

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

        def step(batch: Any) -> Any:
            leaves = batch if flat else tree.flatten(batch)
            for at, place in places:
                fixed[at] = leaves[place]
            outputs = code(*fixed)
            return None if simple else outputs[0]

        return step


def _copy_of(function: Any) -> Any:
    """The function with code of its own: dynamo keeps what it compiles with the code."""
    return types.FunctionType(function.__code__.replace(), function.__globals__, function.__name__)


def _compiled_call(model: Any) -> Any:
    """The model's call, compiled as far as that goes; if it does not go at all, as it is."""
    compiled = torch.compile(model._call_impl)

    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return compiled(*args, **kwargs)
        except Exception:  # if it is the model's own error, it comes again
            model._compiled_call_impl = None
            return model._call_impl(*args, **kwargs)

    return call


def _seeing_gradients() -> contextlib.AbstractContextManager[Any]:
    """Let dynamo take `torch.autograd.grad` into the graph, where this torch has a switch for it."""
    from torch._dynamo import config

    if not hasattr(config, "trace_autograd_ops"):
        return contextlib.nullcontext()
    return config.patch(trace_autograd_ops=True)


@contextlib.contextmanager
def _counting_later(optimizer: Any) -> Iterator[None]:
    """What an optimizer does on the host is left to `Captured._give`."""
    if isinstance(optimizer, optimizers.Optimizer):
        optimizer.capturing = True
    try:
        yield
    finally:
        if isinstance(optimizer, optimizers.Optimizer):
            optimizer.capturing = False


def _reason(error: Exception) -> str:
    """The first sentence of an error of torch.compile, and the line of the user's code."""
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    frames = list(getattr(error, "real_stack", None) or ())
    where = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return f"{text[:300]}{where}"


# -- keys ------------------------------------------------------------------------------------------


def _key(batch: Any) -> Any:
    """What a batch looks like; None if there is more in it than tensors."""
    if type(batch) is tuple and all(x is None or type(x) is torch.Tensor for x in batch):
        return tuple(
            [None if x is None else (x.shape, x.dtype, x.stride(), x.device) for x in batch]
        )
    leaves, spec = tree.flatten_with_spec(batch)
    flat = (
        _key(tuple(leaves)) if all(x is None or type(x) is torch.Tensor for x in leaves) else None
    )
    return None if flat is None else (flat, str(spec))


#: Attributes of a model that no step reads.
_OF_THE_LOOP = {"stop_training", "history", "_progress", "_losses", "_reports", "_nodes"}


def _fingerprint(model: Any) -> tuple[Any, ...]:
    """What a graph takes for granted: plain values and functions among the attributes of layers, losses
    and metrics, which tensors there are, options of the optimizer, and torch's own modes."""
    found: list[Any] = [("torch", *_modes(model._device()))]
    for name, module in model.named_modules():
        where = f"{name or type(module).__name__}."
        found += _attributes(where, module)
        for table in (module._parameters, module._buffers):
            for key, tensor in table.items():
                if tensor is not None:
                    kind = (tensor.dtype, tensor.device, tensor.shape, tensor.requires_grad)
                    found.append((where + key, id(tensor), *kind))
    for thing in model._compiled.judges() if model._compiled is not None else ():
        found += _attributes(f"{type(thing).__name__}.", thing)
    if isinstance(model.optimizer, optimizers.Optimizer):
        found.append(("optimizer", model.optimizer.fingerprint()))
    return tuple(found)


def _modes(device: torch.device | None) -> tuple[Any, ...]:
    kind = device.type if device is not None and device.type != "meta" else "cpu"
    return (
        torch.is_autocast_enabled(kind),
        torch.get_autocast_dtype(kind),
        torch.get_default_dtype(),
        torch.are_deterministic_algorithms_enabled(),
        torch.get_float32_matmul_precision(),
        torch.get_num_threads(),
    )


def _attributes(where: str, thing: Any) -> list[Any]:
    frozen = ((key, _frozen(v)) for key, v in vars(thing).items() if key not in _OF_THE_LOOP)
    return [(where + key, value) for key, value in frozen if value is not _OTHER]


_OTHER = object()
_PLAIN = (bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.device)


def _frozen(value: Any) -> Any:
    """A plain value, or a list, tuple or dict of them, as something that can be compared later; a
    function by its identity."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, dict):
        value = [item for pair in value.items() for item in pair]
    if isinstance(value, (list, tuple)):
        items = tuple(_frozen(item) for item in value)
        return _OTHER if _OTHER in items else items
    return id(value) if callable(value) else _OTHER
