"""Models that are graphs: `Functional` is a `torch.fx.GraphModule`."""

from __future__ import annotations

import copy
import keyword
import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import fx, nn

from kerastorch._graph import (
    KerasTensor,
    Node,
    is_symbolic,
    map_symbolic,
    modules_in_order,
    reachable,
    symbolic_leaves,
    to_fx,
)
from kerastorch._registry import snake_case
from kerastorch.config import TEXT
from kerastorch.layers._endpoints import AddLoss, AddMetric
from kerastorch.layers._input import InputLayer
from kerastorch.layers._layer import Layer
from kerastorch.layers._mode import adopt, in_mode
from kerastorch.models._config import to_config
from kerastorch.models._direct import direct
from kerastorch.models._model import Model

#: What torch.fx would not write into its code as a name: it puts names between quotes as they are.
_UNQUOTED = re.compile(r"""[."'\\\x00-\x1f\x7f]""")


class Functional(Model, fx.GraphModule):
    """A model made of symbolic inputs and outputs: ``Model(inputs, outputs)``.

    It is a `torch.fx.GraphModule`: ``model.graph`` can be read and edited, ``model.code`` is the
    Python code of its ``forward``, whose arguments are the inputs by name.

    >>> import torch, kerastorch as keras
    >>> x = keras.Input((4,), name="x")
    >>> y = keras.layers.Dense(3, name="scores")(x)
    >>> model = keras.Model(x, torch.softmax(y, dim=-1))
    >>> print(model.graph)
    graph():
        %x : [num_users=1] = placeholder[target=x]
        %scores : [num_users=1] = call_module[target=scores](args = (%x,), kwargs = {})
        %softmax : [num_users=1] = call_function[target=torch.softmax](args = (%scores,), kwargs = {dim: -1})
        return softmax
    """

    _keras_module = "keras.src.models.functional"
    _layers_first = True  # in files: by class and number, as `layers` lists them

    _inputs: Any
    _outputs: Any
    _flat_inputs: list[KerasTensor]
    _input_layers: list[Any]
    _ordered: list[Any]  # input layers and modules
    _keys: list[str]  # under which the graph finds the modules
    _ends: list[KerasTensor]  # calls that no output depends on: add_loss, add_metric
    _constants: list[tuple[torch.Tensor, str]]
    _input_dtype: torch.dtype
    _recorded_code: str  # of the graph before anybody edited it

    _inferred = False  # whether the input shape comes from the first data rather than an Input

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        self = object.__new__(cls)  # the class of its own comes in _init_graph_module
        object.__setattr__(self, "_init_call", (args, kwargs))
        return self

    def __init__(self, inputs: Any, outputs: Any, name: str | None = None, **kwargs: Any) -> None:
        Layer.__init__(self, name=name, **kwargs)
        self._init_graph_module()
        self._set_graph(inputs, outputs)

    # -- the graph ---------------------------------------------------------------------------------

    def _init_graph_module(self) -> None:
        """What `fx.GraphModule.__init__` sets, and a class of its own to put ``forward`` on."""
        cls = type(self)
        if "_per_instance" not in cls.__dict__:
            bases = (cls,) if issubclass(cls, Functional) else (cls, Functional)
            body = {"_per_instance": True, "__module__": cls.__module__, "__doc__": cls.__doc__}
            self.__class__ = type(cls.__name__, bases, body)
        self.__dict__.update(
            meta={},
            _tracer_cls=None,
            _tracer_extras={},
            _replace_hooks=[],
            _create_node_hooks=[],
            _erase_node_hooks=[],
            _deepcopy_hooks=[],
        )

    def _set_graph(self, inputs: Any, outputs: Any) -> None:
        flat = symbolic_leaves(inputs)
        leaves = _leaves(inputs)
        if len(flat) != len(leaves) or not flat:
            wrong = next((x for x in leaves if not isinstance(x, KerasTensor)), None)
            raise ValueError(
                f"Model: `inputs` must be symbolic tensors made by Input, received {wrong!r}."
            )
        if len({(t.node, t.path) for t in flat}) < len(flat):
            raise ValueError(f"Model: a tensor is listed twice among `inputs`: {flat}.")
        if not symbolic_leaves(outputs):
            raise ValueError(
                f"Model: `outputs` must depend on the inputs, received {outputs!r}. "
                "Make them by calling layers or torch functions on the inputs."
            )
        self.__dict__.update(_inputs=inputs, _outputs=outputs, _flat_inputs=flat)
        self.__dict__.setdefault("_constants", [])
        self.__dict__.setdefault("_ends", [])
        self.__dict__["_input_layers"] = [_input_layer(tensor) for tensor in flat]
        nodes = self._calls()
        ordered = modules_in_order(flat, self._input_layers, (outputs, self._ends))
        self.__dict__["_ordered"] = ordered
        self._register([module for module in ordered if module not in self._input_layers])
        self._input_dtype = flat[0].dtype
        self.built = True
        if not self._trainable:
            self.trainable = False
        keys = {id(module): key for key, module in self._modules.items()}
        self.graph = to_fx(
            flat, outputs, nodes, lambda module: keys[id(module)], self._register_constant
        )
        self.__dict__["_recorded_code"] = self._code

    def _calls(self) -> list[Node]:
        """The recorded calls in the order of their making."""
        return reachable(self._flat_inputs, (self._outputs, self._ends))

    def add_loss(self, loss: Any) -> None:
        """Add a scalar to the training loss: a tensor made of the model's symbolic tensors.

        >>> import torch, kerastorch as keras
        >>> x = keras.Input((4,))
        >>> h = keras.layers.Dense(3)(x)
        >>> model = keras.Model(x, keras.layers.Dense(1)(h))
        >>> model.add_loss(torch.sum(h) * 0.1)
        >>> _ = model(torch.ones(2, 4))
        >>> len(model.losses)
        1
        """
        if isinstance(loss, KerasTensor):
            self._extend(AddLoss()(loss))
        else:
            super().add_loss(loss)

    def add_metric(self, value: Any, name: str | None = None, aggregation: Any = "mean") -> None:
        """Report a tensor made of the model's symbolic tensors, as its mean over an epoch."""
        if not isinstance(value, KerasTensor):
            super().add_metric(value, name, aggregation)
        elif name is None:
            raise ValueError(f"{self._title()}.add_metric: give the value a `name`.")
        else:
            self._extend(AddMetric(name, aggregation)(value))

    def _extend(self, end: KerasTensor) -> None:
        """Make a call part of the graph although no output depends on it."""
        self._ends.append(end)
        try:
            self._set_graph(self._inputs, self._outputs)
        except ValueError:
            self._ends.pop()
            raise

    def _register(self, modules: Iterable[nn.Module]) -> None:
        """Register every module once: under its own name if it was given one, else ``dense_1``
        counted within this model, so that two models built alike have the same keys."""
        modules = dict.fromkeys(modules)
        named: dict[str, Any] = {}
        for module in (*self.__dict__.get("_input_layers", ()), *modules):
            given = isinstance(module, Layer) and not module._auto_named
            if given and named.setdefault(module.name, module) is not module:
                raise ValueError(
                    f"Two layers of the model are called {module.name!r}. Names must be unique: "
                    "rename one with name=..., or use one layer twice instead of two."
                )
        reserved = {m.name for m in modules if isinstance(m, Layer) and not m._auto_named}
        counts: dict[str, int] = {}
        before = self.__dict__.get("_keys", ())
        others = {key: module for key, module in self._modules.items() if key not in before}
        self._modules.clear()
        for module in modules:
            if isinstance(module, Layer) and not module._auto_named:
                key = _UNQUOTED.sub("_", module.name)
            else:
                base = snake_case(type(module).__name__)
                while True:
                    count = counts.get(base, 0)
                    counts[base] = count + 1
                    key = f"{base}_{count}" if count else base
                    if key not in reserved:
                        break
            while (
                keyword.iskeyword(key)
                or hasattr(type(self), key)
                or key in self.__dict__
                or key in self._modules
                or key in others
            ):
                key += "_"
            self._modules[key] = module
            adopt(self, module)
        self.__dict__["_keys"] = list(self._modules)
        self._modules.update(others)

    def _register_constant(self, tensor: torch.Tensor) -> str:
        """A tensor that the graph uses: a parameter is trained, another is a buffer."""
        for known, key in self._constants:
            if known is tensor:
                return key
        if isinstance(tensor, nn.Parameter):
            key = f"parameter_{len(self._parameters)}"
            self._parameters[key] = tensor
        else:
            key = f"constant_{len(self._buffers)}"
            self.register_buffer(key, tensor)
        self._constants.append((tensor, key))
        return key

    __str__ = nn.Module.__repr__  # `code` has the code

    def recompile(self) -> Any:
        """Compile ``forward`` again after an edit of ``graph``."""
        code = super().recompile()
        del type(self).__call__  # calls go through nn.Module's
        return code

    # -- calls -------------------------------------------------------------------------------------

    def _arrange(self, *given: Any) -> Any:
        """The inputs as one tensor each, in order, from tensors, a list, a tuple or a dict by name."""
        flat = self._flat_inputs
        first = given[0]
        if isinstance(first, fx.Proxy):  # torch.fx.symbolic_trace
            return given
        rest_missing = all(item is None for item in given[1:])
        if isinstance(first, dict) and rest_missing:
            values = self._by_name(first)
        elif isinstance(first, (list, tuple)) and rest_missing:
            values = _leaves(first)
        elif len(flat) == 1 or (isinstance(first, torch.Tensor) and rest_missing):
            values = [first]
        else:
            values = list(given)
        if len(values) != len(flat):
            raise ValueError(
                f"{self._title()} takes {len(flat)} inputs ({', '.join(self.input_names)}), "
                f"received {len(values)}."
            )
        values = [self._standardize(v, t) for v, t in zip(values, flat, strict=True)]
        return values

    def _by_name(self, given: dict[str, Any]) -> list[Any]:
        expected = list(self._inputs) if isinstance(self._inputs, dict) else self.input_names
        for names in (expected, self.input_names):
            if all(name in given for name in names):
                return _leaves([given[name] for name in names])
        missing = ", ".join(repr(name) for name in expected if name not in given)
        raise ValueError(
            f"{self._title()}: input {missing} is missing. "
            f"Expected a dict with keys {expected}, received keys {list(given)}."
        )

    def _standardize(self, value: Any, spec: KerasTensor) -> Any:
        if isinstance(value, KerasTensor):
            return value
        given, text = value, spec.dtype is TEXT
        if text or not isinstance(value, torch.Tensor):
            array = value if isinstance(value, torch.Tensor) else np.asarray(value)
            if getattr(array.dtype, "kind", "") not in tuple("USO" if text else "biufc"):
                what = "text" if text else "a tensor or an array of numbers"
                raise TypeError(
                    f"{self._title()}: input {spec.name!r} must be {what}, received {value!r:.80}."
                )
            value = array if text else torch.as_tensor(array, device=self._device())
        shape = spec.shape
        if value.ndim == len(shape) - 1 and shape[-1] == 1:
            value = value[..., None]
        if value.ndim != len(shape) or any(
            n is not None and n != m and not self._inferred
            for m, n in zip(value.shape[1:], shape[1:], strict=True)
        ):
            raise ValueError(
                f"{self._title()}: input {spec.name!r} must have shape {shape}, "
                f"received {tuple(value.shape)}."
            )
        if not text and (given is not value or not value.is_floating_point()):
            value = value.to(spec.dtype)
        return value

    def _check_inputs(self, x: Any) -> None:
        self._arrange(x, *(None,) * (len(self._flat_inputs) - 1))

    def _symbolic_outputs(self) -> list[Any]:
        return self.outputs

    def _call_in_mode(self, training: Any, inputs: tuple[Any, ...]) -> Any:
        if isinstance(training, fx.Proxy):
            return self.forward(*inputs)
        with in_mode(self, bool(training)):
            return self.forward(*inputs)

    def _symbolic_call(self, *args: Any, **kwargs: Any) -> Any:
        if not self.built:
            self._build_for(args, kwargs)
        if (len(args) == 1 and len(self._flat_inputs) > 1) or isinstance(args[0], (list, dict)):
            first = args[0]
            args = tuple(self._by_name(first) if isinstance(first, dict) else _leaves(first))
        return super()._symbolic_call(*args, **kwargs)

    def _directly(self) -> Any:
        return direct(self)

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """The same as ``forward``."""
        return self.forward(inputs, training=training, mask=mask)

    # -- what it is made of --------------------------------------------------------------------------

    @property
    def inputs(self) -> list[KerasTensor]:
        """The symbolic inputs."""
        return list(self._flat_inputs)

    @property
    def outputs(self) -> list[KerasTensor]:
        """The symbolic outputs."""
        return symbolic_leaves(self._outputs)

    @property
    def input(self) -> Any:
        """The symbolic inputs in the structure that they were given."""
        return self._inputs

    @property
    def output(self) -> Any:
        """The symbolic outputs in the structure that they were given."""
        return self._outputs

    @property
    def input_shape(self) -> Any:
        """Shapes of the inputs, batch axis included."""
        return map_symbolic(lambda t: t.shape, self._inputs)

    @property
    def output_shape(self) -> Any:
        """Shapes of the outputs, batch axis included."""
        return map_symbolic(lambda t: t.shape, self._outputs)

    @property
    def input_names(self) -> list[str]:
        """Names of the inputs, in order."""
        return [layer.name for layer in self._input_layers]

    @property
    def output_names(self) -> list[str]:
        """One name an output: the key of a dict, else the layer that makes it."""
        if isinstance(self._outputs, dict):
            return [str(key) for key in self._outputs]
        names: list[str] = []
        for tensor in self.outputs:
            base = name = self._label(tensor)
            count = 1
            while name in names:
                count += 1
                name = f"{base}_{count}"
            names.append(name)
        return names

    def _label(self, tensor: KerasTensor) -> str:
        """The name of what made `tensor`: a layer's own, else the key of the module, else the function's."""
        target = tensor.node.target
        name = getattr(target, "name", None)
        if name is None and isinstance(target, nn.Module):
            name = next((key for key, module in self._modules.items() if module is target), None)
        return str(name or getattr(target, "__name__", target))

    @property
    def layers(self) -> list[Any]:
        """Input layers and modules, those farthest from the outputs first."""
        others = [m for m in self._modules.values() if m not in self._ordered]
        return [*self._ordered, *others]

    def get_config(self) -> dict[str, Any]:
        """Layers, the calls between them, inputs and outputs, as plain data. For a subclass that makes
        its own graph, the arguments of its constructor."""
        args, kwargs = self._init_call
        return to_config(self) if is_symbolic(args, kwargs) else super().get_config()

    # -- copies ------------------------------------------------------------------------------------

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        new = _blank(_own_base(type(self)))
        memo[id(self)] = new
        new.__setstate__(copy.deepcopy(self.__getstate__(), memo))
        return new

    def __copy__(self) -> Any:
        new = _blank(_own_base(type(self)))
        new.__setstate__(dict(self.__getstate__()))
        return new

    def __reduce__(self) -> Any:
        return _blank, (_own_base(type(self)),), self.__getstate__()

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.__reduce__()

    def __getstate__(self) -> dict[str, Any]:
        compiled = (
            "_graph",
            "_code",
            "_lineno_map",
            "_prologue_start",
            "_wrapped_call",
            "_compiled_call_impl",
        )
        state = {k: v for k, v in super().__getstate__().items() if k not in compiled}
        state["_fx_graph"] = self._graph
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        graph = state.pop("_fx_graph")
        self.__dict__.update(state)
        for node in self._calls():
            if isinstance(node.target, Layer):
                node.target._nodes.append(node)
        self.graph = graph


def _input_layer(tensor: KerasTensor) -> Any:
    node = tensor.node
    return node.target if node.kind == "placeholder" else InputLayer(tensor=tensor)


_SCALARS = (bool, int, float, str, bytes, np.generic)
_ARRAYS = (torch.Tensor, np.ndarray, KerasTensor)


def _leaves(value: Any) -> list[Any]:
    """Tensors and arrays, left to right. Python numbers and text, also nested, are one array."""
    if isinstance(value, dict):
        value = list(value.values())
    first = value
    while isinstance(first, (list, tuple)) and first:
        first = first[0]
    if not isinstance(value, (list, tuple)) or (
        isinstance(first, _SCALARS) and not any(isinstance(item, _ARRAYS) for item in value)
    ):
        return [value]
    return [leaf for item in value for leaf in _leaves(item)]


def _own_base(cls: type) -> type:
    return cls.__mro__[1] if "_per_instance" in cls.__dict__ else cls


def _blank(cls: type) -> Any:
    """An instance without state, ready for ``__setstate__``."""
    new: Any = object.__new__(cls)
    nn.Module.__init__(new)
    Functional._init_graph_module(new)
    return new
