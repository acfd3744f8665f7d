"""The words in which layers are told in torch: a constructor, weights, and an expression.

An entry is a function of a `Site`, a layer where it is called, and gives a `Part`. Text that it puts
into the source is its own, a number, or goes through `literal`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from kerastorch import activations
from kerastorch._graph import KerasTensor


class Part(NamedTuple):
    """A layer in torch. In `call`, ``{m}`` is the module, ``{0}``, ``{1}`` its inputs, ``{dim}`` the
    axis of the channels."""

    call: str
    make: str | None = None
    weights: Mapping[str, Tensor] = {}
    layout: str = "keras"  # "first": takes and gives channels first; "any": gives what it is given
    helpers: tuple[str, ...] = ()  # names of what the file must hold


class Site(NamedTuple):
    """A call of a layer."""

    layer: Any
    inputs: list[KerasTensor]
    kwargs: dict[str, Any]
    args: tuple[Any, ...] = ()  # as they were given, lists included

    @property
    def shape(self) -> Any:
        """The shape of the first input, batch axis included."""
        return self.inputs[0].shape

    def refuse(self, what: str) -> Any:
        """Raise: the layer does what no entry can say."""
        raise NotImplementedError(
            f"to_torch: {self.layer._title()} {what}, for which there is no torch code here. "
            "Use model.export(...), which takes every model."
        )


def literal(value: Any) -> str:
    """`value` as source: numbers, strings, names of torch, and containers of them."""
    if isinstance(value, (torch.dtype, torch.device)):
        return str(value) if isinstance(value, torch.dtype) else f"torch.device({str(value)!r})"
    if isinstance(value, slice):
        return f"slice({literal(value.start)}, {literal(value.stop)}, {literal(value.step)})"
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    if isinstance(value, (list, tuple)):
        items = ", ".join(map(literal, value))
        if isinstance(value, list):
            return f"[{items}]"
        return f"({items},)" if len(value) == 1 else f"({items})"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{literal(k)}: {literal(v)}" for k, v in value.items()) + "}"
    if value is Ellipsis:
        return "..."
    if type(value) is str:
        text = repr(value)
        return f'"{text[1:-1]}"' if text[0] == "'" and '"' not in text else text
    if value is None or type(value) in (bool, int, float):
        return repr(value)
    raise TypeError(f"to_torch: {value!r:.60} of type {type(value).__name__} cannot be written.")


def made(kind: str, *args: Any, **kwargs: Any) -> str:
    """Source of a constructor call; options that are None are left out."""
    given = [literal(a) for a in args]
    given += [f"{k}={literal(v)}" for k, v in kwargs.items() if v is not None]
    return f"{kind}({', '.join(given)})"


# -- activations -------------------------------------------------------------------------------------

_FUNCTIONS = {
    "relu": "F.relu({0})", "leaky_relu": "F.leaky_relu({0}, 0.2)", "relu6": "F.relu6({0})",
    "elu": "F.elu({0})", "selu": "F.selu({0})", "celu": "F.celu({0})", "gelu": "F.gelu({0})",
    "silu": "F.silu({0})", "mish": "F.mish({0})", "sigmoid": "torch.sigmoid({0})",
    "tanh": "torch.tanh({0})", "hard_sigmoid": "F.hardsigmoid({0})", "hard_tanh": "F.hardtanh({0})",
    "hard_silu": "F.hardswish({0})", "log_sigmoid": "F.logsigmoid({0})",
    "softplus": "F.softplus({0})", "softsign": "F.softsign({0})", "exponential": "torch.exp({0})",
    "hard_shrink": "F.hardshrink({0})", "soft_shrink": "F.softshrink({0})",
    "tanh_shrink": "F.tanhshrink({0})", "softmax": "torch.softmax({0}, {dim})",
    "log_softmax": "torch.log_softmax({0}, {dim})", "glu": "F.glu({0}, {dim})", "linear": "{0}",
}  # fmt: skip


def activated(site: Site, function: Any, inner: str) -> str:
    """The expression `inner` in an activation function."""
    if function is None:
        return inner
    name = getattr(function, "__name__", "")
    if function is getattr(activations, name, None) and name in _FUNCTIONS:
        return _FUNCTIONS[name].replace("{0}", inner)
    found = function_name(function)
    if found is None:
        site.refuse(f"has the activation {function!r:.60}")
    return f"{found}({inner})"


def function_name(function: Any) -> str | None:
    """How torch calls a function, in a file that imports ``torch`` and ``F``."""
    name = getattr(function, "__name__", "")
    if not name.isidentifier() or name.startswith("_"):
        return None
    spaces = {"torch": torch, "F": F, "torch.linalg": torch.linalg, "torch.special": torch.special,
              "torch.fft": torch.fft}  # fmt: skip
    for space, module in spaces.items():
        short = name.removeprefix(
            f"{space.removeprefix('torch.')}_"
        )  # torch.linalg.norm is linalg_norm
        if getattr(module, short, None) is function:
            return f"{space}.{short}"
    return None


# -- weights ----------------------------------------------------------------------------------------


def present(**tensors: Tensor | None) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if tensor is not None}


def no_bias(bias: Any) -> bool | None:
    """The option `bias`, where it is not torch's default."""
    return False if bias is None else None


Entry = Callable[[Site], Part]
