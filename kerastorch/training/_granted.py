"""What a compiled step takes for granted: how a model looks, and the Python values in its graph."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch

from kerastorch import optimizers

#: Attributes of a model that no step reads.
_OF_THE_LOOP = {"stop_training", "history", "_progress", "_losses", "_reports", "_nodes"}
_OTHER = object()
_PLAIN = (bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.device)
#: What changes with every step, and is looked after between the steps.
_BETWEEN_STEPS = re.compile(
    r"^batch\b|\._losses|\._reports|^model\.optimizer\..*(\bdeferred|'pending'|'touched')"
)


class Granted:
    """The Python values that became constants of a graph: options of optimizers and regularizers,
    attributes of any object, globals, what a function encloses. Dynamo would compare them before every
    step; here it is done when somebody asks.

    An instance is a filter of guards for `torch.compile`: it notes what they say and keeps none.
    """

    def __init__(self, model: Any, scope: dict[str, Any]) -> None:
        self._scope = {"model": model, "G": scope}
        self._values: dict[str, Any] = {}  # by the expression that gives them

    def __call__(self, guards: Sequence[Any]) -> list[bool]:
        """Note what the guards compare; give False for each."""
        for expression in filter(None, map(_expression, guards)):
            value = self._now(expression)
            if value is not _OTHER:
                self._values[expression] = value
        self._code = compile(f"[{','.join(self._values)}]", "granted", "eval")
        return [False] * len(guards)

    def changed(self) -> str | None:
        """The first value that is not what it was; None if all are."""
        try:
            now = eval(self._code, self._scope)
        except Exception:  # something is not there any more
            now = map(self._now, self._values)
        for (expression, was), value in zip(self._values.items(), now, strict=True):
            if not _same(was, value):
                return expression
        return None

    def _now(self, expression: str) -> Any:
        try:
            return eval(expression, self._scope)
        except Exception:  # an expression in dynamo's own words
            return _OTHER


def _expression(guard: Any) -> str | None:
    """The Python expression whose value a guard compares; None for other guards."""
    name: str = guard.name
    if not guard.has_value or _BETWEEN_STEPS.search(name):
        return None
    if type(guard.value) in _PLAIN:
        return name
    if name.startswith("model"):
        if guard.guard_type == "SEQUENCE_LENGTH":
            return f"len({name})"
        if guard.guard_type == "TYPE_MATCH":
            return f"type({name})"
    return None


def _same(was: Any, now: Any) -> bool:
    return was is now or (type(was) is type(now) and (was == now or (was != was and now != now)))


def fingerprint(model: Any) -> tuple[Any, ...]:
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
