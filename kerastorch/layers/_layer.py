"""The base of all layers: an `nn.Module` that is built lazily and knows Keras's vocabulary."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import fx, nn
from torch.fx.immutable_collections import immutable_dict, immutable_list
from torch.utils import _pytree as pytree

from kerastorch import constraints, dtype_policies, initializers, regularizers
from kerastorch._graph import (
    KerasTensor,
    Shape,
    _running,
    autocast,
    input_tensor,
    map_symbolic,
    mixing,
    real_tensors,
    record,
    symbolic_leaves,
)
from kerastorch._module import Module
from kerastorch._registry import Registry, snake_case
from kerastorch._variable import Variable, wrap
from kerastorch.config import standardize_dtype
from kerastorch.layers._mode import adopt, in_mode

registry = Registry("layer", "layers")

_counts: dict[str, int] = {}
#: Not empty while a loop collects losses step by step: it clears them, layers do not.
collecting: list[bool] = []


_DECLARES_SHAPE = ("input_shape", "batch_input_shape", "input_dim")
#: Arguments found in configs that Keras wrote: they are taken at the values at which they do nothing.
_INERT = {
    "quantization_config": None,
    "lora_rank": None,
    "lora_alpha": None,
    "renorm": False,
    "renorm_clipping": None,
    "renorm_momentum": 0.99,
}


def auto_name(cls: type) -> str:
    """``dense``, ``dense_1``, ...: one count per class name and process."""
    base = snake_case(cls.__name__)
    count = _counts.get(base, 0)
    _counts[base] = count + 1
    return f"{base}_{count}" if count else base


def reset_names() -> None:
    """Start automatic names from the beginning."""
    _counts.clear()


class _Call(NamedTuple):
    """What `call` takes."""

    names: tuple[str, ...]
    training: int | None  # its position
    mask: bool


def _call_of(function: Any) -> _Call:
    parameters = list(inspect.signature(function).parameters.values())[1:]
    names = tuple(p.name for p in parameters if p.kind is not p.VAR_KEYWORD)
    training = names.index("training") if "training" in names else None
    return _Call(names, training, "mask" in names and len(names) > 1)


class Layer(Module):
    """A computation with weights. Subclass it: `__init__`, `build(input_shape)`, `call(inputs)`.

    Everything that holds for an `nn.Module` holds for a layer. Besides, it is built when it first
    sees its input's shape, takes symbolic tensors, records its configuration, and casts
    floating-point inputs to its compute dtype.

    - ``training``: a `call` that names it is given ``self.training`` unless the caller says
      otherwise; an explicit ``training=`` holds for that call and everything inside it. Layers start
      in evaluation mode; ``fit`` switches.
    - ``trainable`` is a view of ``requires_grad`` of the weights.
    - any `nn.Module`, parameter, or list, tuple or dict of them in an attribute is a submodule.

    Args:
        name: unique within a model; automatic (``dense_1``) when left out.
        trainable: False freezes the weights.
        dtype: a dtype or a policy such as ``"mixed_bfloat16"``; the global policy when left out.
        activity_regularizer: penalty on the output, divided by the batch size.

    >>> import torch, kerastorch as keras
    >>> class Scale(keras.layers.Layer):
    ...     def build(self, input_shape):
    ...         self.factor = self.add_weight(shape=(input_shape[-1],), initializer="ones")
    ...     def call(self, inputs):
    ...         return inputs * self.factor
    >>> layer = Scale()
    >>> layer(torch.ones(2, 3)).shape, list(layer.state_dict())
    (torch.Size([2, 3]), ['factor'])
    """

    _live_config: ClassVar[tuple[str, ...]] = ("name", "trainable", "dtype")
    _takes_in_call = _Call((), None, False)
    _takes_one_tensor = False  # and no list or dict of them
    _takes_integers = True  # as they are, where a layer without computes on floats alone
    _makes_mask = False  # whether the class writes compute_mask
    _adds = False  # whether `call` has given losses or metrics
    _losses: list[torch.Tensor]
    _reports: list[tuple[str, torch.Tensor]]
    _nodes: list[Any]

    def __init__(
        self,
        *,
        activity_regularizer: Any = None,
        trainable: bool = True,
        dtype: Any = None,
        autocast: bool = True,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        nn.Module.__init__(self)
        unknown = {
            k for k, v in kwargs.items() if k not in _DECLARES_SHAPE and _INERT.get(k, k) != v
        }
        if unknown:
            raise TypeError(
                f"{type(self).__name__}: unknown argument {', '.join(map(repr, sorted(unknown)))}."
            )
        if name is not None and not isinstance(name, str):
            raise TypeError(f"{type(self).__name__}: `name` must be a string, received {name!r}.")
        self.name = name or auto_name(type(self))
        self._auto_named = name is None
        self.training = False
        self.built = False
        self.supports_masking = self._makes_mask
        self.autocast = autocast
        self._trainable = bool(trainable)
        # Not attributes to be tracked: no layer is ever in these lists.
        self.__dict__.update(_losses=[], _reports=[], _nodes=[])
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self.dtype_policy = dtype_policies.get(dtype)
        self._declared_shape = _declared_shape(kwargs)

    # -- dtype ---------------------------------------------------------------------------------

    @property
    def dtype_policy(self) -> dtype_policies.DTypePolicy:
        """The policy that gives `variable_dtype` and `compute_dtype`."""
        return self._policy

    @dtype_policy.setter
    def dtype_policy(self, policy: Any) -> None:
        self._policy = dtype_policies.get(policy)
        self._compute = standardize_dtype(self._policy.compute_dtype)
        self._mixed = self._policy.mixed

    @property
    def dtype(self) -> str:
        """Name of the dtype of the weights."""
        return self._policy.variable_dtype

    variable_dtype = dtype

    @property
    def compute_dtype(self) -> str:
        """Name of the dtype that floating-point inputs are cast to."""
        return self._policy.compute_dtype

    def _apply(self, fn: Any, recurse: bool = True) -> Layer:
        super()._apply(fn, recurse)
        # .half(), .double(), .to(dtype): the layer computes in what its weights have become.
        if not self._mixed and self._compute.is_floating_point:
            now = fn(torch.empty(0, dtype=self._compute)).dtype
            if now is not self._compute:
                self.dtype_policy = now
        return self

    # -- weights -------------------------------------------------------------------------------

    def add_weight(
        self,
        shape: tuple[int, ...] | int | None = None,
        initializer: Any = None,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        aggregation: str | None = None,
        overwrite_with_gradient: bool = False,
        name: str | None = None,
        *,
        memory: tuple[int, ...] | None = None,
        persistent: bool = True,
    ) -> Variable:
        """A new weight: a parameter if `trainable`, else a buffer. Assign it to an attribute.

        Args:
            shape: its shape; a scalar when left out.
            initializer: name, object or ``f(shape, dtype)``; ``glorot_uniform`` for floats, else zeros.
            regularizer: penalty on the weight, added to the loss.
            constraint: projection applied after each update.
            memory: order of the axes in memory, outermost first (default: as in `shape`).
            persistent: False keeps a buffer out of ``state_dict``.
        """
        if isinstance(shape, str):  # add_weight("name", ...) of TF 2
            shape, name = None, shape
        shape = () if shape is None else (shape,) if isinstance(shape, int) else tuple(shape)
        if None in shape:
            raise ValueError(
                f"{self._title()}: weight {name or ''!r} of shape {shape} depends on an axis of unknown size."
            )
        kind = standardize_dtype(dtype if dtype is not None else self.variable_dtype)
        if initializer is None:
            initializer = "glorot_uniform" if kind.is_floating_point else "zeros"
        with real_tensors(), torch.no_grad():
            make: Any = initializers.get(initializer)
            data = make(shape, dtype=kind)
            if not isinstance(data, torch.Tensor):
                data = torch.as_tensor(data, dtype=kind)
            if memory is not None:
                back = sorted(range(len(memory)), key=memory.__getitem__)
                data = data.permute(memory).contiguous().permute(back)
        if not kind.is_floating_point:
            trainable = False
        variable = wrap(
            data,
            trainable,
            name=name,
            regularizer=regularizers.get(regularizer),
            constraint=constraints.get(constraint),
        )
        if trainable and not self._trainable:
            variable.requires_grad_(False)
        variable.path = f"{self.name}/{variable.name}"
        if not trainable:
            variable.persistent = persistent  # type: ignore[attr-defined]
        self._track(variable)
        return variable

    def _own(self, module: nn.Module) -> tuple[list[Any], list[Any]]:
        keep = module._non_persistent_buffers_set
        return (
            [p for p in module._parameters.values() if p is not None],
            [b for k, b in module._buffers.items() if b is not None and k not in keep],
        )

    def _walk(self) -> Iterator[tuple[Any, bool]]:
        """Every weight once, in Keras's order: a layer's parameters, its buffers, its sublayers."""
        seen: set[int] = set()
        for module in self.modules():
            parameters, buffers = self._own(module)
            for variable in (*parameters, *buffers):
                if id(variable) not in seen:
                    seen.add(id(variable))
                    yield variable, isinstance(variable, nn.Parameter) and variable.requires_grad

    @property
    def weights(self) -> list[Any]:
        """Parameters and persistent buffers, sublayers included, in Keras's order."""
        return [variable for variable, _ in self._walk()]

    @property
    def trainable_weights(self) -> list[Any]:
        """The weights that gradients are taken of."""
        return [variable for variable, trainable in self._walk() if trainable]

    @property
    def non_trainable_weights(self) -> list[Any]:
        """Frozen weights and state such as moving averages."""
        return [variable for variable, trainable in self._walk() if not trainable]

    @property
    def variables(self) -> list[Any]:
        """All weights and, besides, state that is not saved (metrics)."""
        weights = self.weights
        known = {id(w) for w in weights}
        return weights + [b for b in self.buffers() if id(b) not in known]

    trainable_variables = trainable_weights
    non_trainable_variables = non_trainable_weights

    def get_weights(self) -> list[np.ndarray[Any, Any]]:
        """Copies of all weights as numpy arrays."""
        return [_numpy(weight) for weight in self.weights]

    def set_weights(self, weights: Iterable[Any]) -> None:
        """Copy arrays into the weights, in the order of `get_weights`."""
        own, given = self.weights, list(weights)
        if len(own) != len(given):
            raise ValueError(
                f"{self._title()}.set_weights: expected {len(own)} arrays, received {len(given)}."
            )
        for index, (weight, value) in enumerate(zip(own, given, strict=True)):
            if tuple(weight.shape) != tuple(np.shape(value)):
                raise ValueError(
                    f"{self._title()}.set_weights: array {index} ({getattr(weight, 'path', '')}) must have shape "
                    f"{tuple(weight.shape)}, received {tuple(np.shape(value))}."
                )
        with torch.no_grad():
            for weight, value in zip(own, given, strict=True):
                weight.copy_(
                    torch.as_tensor(np.asarray(value))
                    if not isinstance(value, torch.Tensor)
                    else value
                )

    def count_params(self) -> int:
        """Number of scalars in all weights."""
        if not self.built and self._makes_weights():
            raise ValueError(
                f"{self._title()} is not built, so its weights are not known. "
                "Call it on data, or call build(input_shape)."
            )
        return sum(weight.numel() for weight in self.weights)

    @property
    def trainable(self) -> bool:
        """Whether any weight takes gradients. Setting it freezes or frees all weights inside."""
        flags = [p.requires_grad for _, p in nn.Module.named_parameters(self)]
        return any(flags) if flags else self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        for module in self.modules():
            if isinstance(module, Layer):
                module._trainable = bool(value)
        for _, parameter in nn.Module.named_parameters(self):
            parameter.requires_grad_(bool(value))

    def requires_grad_(self, requires_grad: bool = True) -> Layer:
        """As for any module; a layer that is not built yet remembers it."""
        self.trainable = requires_grad
        return self

    def named_parameters(self, *args: Any, **kwargs: Any) -> Iterator[tuple[str, nn.Parameter]]:
        """As for any module. Raises if a layer inside has weights that do not exist yet."""
        waiting = self._waiting()
        if waiting:
            raise ValueError(
                f"{self._title()}: layers {waiting} are not built, so their parameters do not exist yet. "
                "Call the model on a batch, or build(input_shape), first."
            )
        return super().named_parameters(*args, **kwargs)

    def _waiting(self) -> list[str]:
        """Names of the layers inside whose weights do not exist yet."""
        layers = (m for m in self.modules() if isinstance(m, Layer))
        return [m.name for m in layers if not m.built and m._makes_weights()]

    def _makes_weights(self) -> bool:
        return type(self).build is not Layer.build

    def zero_grad(self, set_to_none: bool = True) -> None:
        """As for any module."""
        for module in self.modules():
            for parameter in module._parameters.values():
                if parameter is not None and parameter.grad is not None:
                    if set_to_none:
                        parameter.grad = None
                    else:
                        parameter.grad = torch.zeros_like(parameter)

    # -- losses ----------------------------------------------------------------------------------

    def add_loss(self, loss: torch.Tensor) -> None:
        """Add a scalar to the training loss; call it from `call`. It counts for the current batch."""
        if not _running:
            self.__dict__["_adds"] = True
            self._losses.append(loss)

    def add_metric(
        self, value: torch.Tensor, name: str | None = None, aggregation: Any = "mean"
    ) -> None:
        """Report `value` under `name`, as its mean over the batches of an epoch; call it from `call`.

        A value that came from calling a `Metric` is reported by that metric, under its own name.
        """
        metric = getattr(value, "_metric", None)
        if metric is None and name is None:
            raise ValueError(f"{self._title()}.add_metric: give the value a `name`.")
        if aggregation not in ("mean", None):
            raise ValueError(
                f"{self._title()}.add_metric: `aggregation` must be 'mean', received {aggregation!r}."
            )
        if not _running:
            self.__dict__["_adds"] = True
            self._reports.append((name or "", value.detach() if metric is None else value))

    def forget(self) -> None:
        """Start a new batch: without what the last call gave to `add_loss` and `add_metric`."""
        # New lists: a compiled graph must not look into the old ones.
        self.__dict__.update(_losses=[], _reports=[])

    @property
    def losses(self) -> list[torch.Tensor]:
        """What `add_loss` gave in the last call, then the weights' regularization penalties."""
        layers = [m for m in self.modules() if isinstance(m, Layer)]
        added = [loss for layer in layers for loss in layer._losses]
        return added + [v.regularizer(v) for v in self.weights if _regularized(v)]

    # -- build -----------------------------------------------------------------------------------

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "call" in cls.__dict__:
            cls._takes_in_call = _call_of(cls.__dict__["call"])
            if "forward" not in cls.__dict__:
                cls.forward = _signed(cls.forward, cls.__dict__["call"])  # type: ignore[method-assign]
        cls._makes_mask = cls._makes_mask or "compute_mask" in cls.__dict__
        if "build" in cls.__dict__:
            cls.build = _marking_built(cls.__dict__["build"])  # type: ignore[method-assign]

    def build(self, input_shape: Any) -> None:
        """Make the weights. `input_shape` includes the batch axis; unknown axes are None."""
        self.built = True

    def _build_for(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Build from the inputs of a call: ``build(input_shape)`` or ``build(a_shape, b_shape)``."""
        names = self._takes_in_call.names
        shapes = {
            name: shape
            for name, value in (*zip(names, args, strict=False), *kwargs.items())
            if (shape := _shape_of(value)) is not None
        }
        parameters = list(inspect.signature(self.build).parameters.values())
        with real_tensors():
            if len(parameters) > 1 and all(
                f"{n}_shape" in (p.name for p in parameters) for n in shapes
            ):
                self.build(**{f"{name}_shape": shape for name, shape in shapes.items()})
            else:
                self.build(next(iter(shapes.values()), None))
        self.built = True

    def _settle(self) -> None:
        """Stock modules inside take the layer's mode."""
        adopt(self, self)

    # -- calls -----------------------------------------------------------------------------------

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """The computation. To be written by each subclass."""
        raise NotImplementedError(f"{type(self).__name__} has no call() method.")

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Build if need be, cast, choose the mode, and `call`."""
        x = args[0] if args else None
        if type(x) is not torch.Tensor or (
            x.dtype is not self._compute and (x.is_floating_point() or not self._takes_integers)
        ):
            if isinstance(x, fx.Proxy):  # torch.fx.symbolic_trace: a layer is a leaf
                tracer: Any = x.tracer
                return tracer.create_proxy("call_module", tracer.path_of_module(self), args, kwargs)
            names = self._takes_in_call.names
            if not args and names and names[0] in kwargs:
                args = (kwargs.pop(names[0]),)
            args, kwargs = self._convert(args), {k: self._convert(v) for k, v in kwargs.items()}
            x = args[0] if args else None
            self._check_single(x)
            if not (self._takes_integers or x is None or x.is_floating_point()):
                x = x.to(self._compute)
                args = (x, *args[1:])
        if self._adds and not collecting:
            self.forget()
        if not self.built:
            with weights_beside(args):
                self._build_for(args, kwargs)
            self._settle()
        _, training_at, takes_mask = self._takes_in_call
        mode = kwargs.get("training")
        if training_at is None:
            if mode is not None:
                del kwargs["training"]
        elif mode is None and len(args) <= training_at:
            kwargs["training"] = self.training
        masks = None
        if self.supports_masking or takes_mask:
            masks = kwargs.get("mask") if takes_mask else None
            if masks is None:
                masks = _masks_of(x)
                if takes_mask and masks is not None:
                    kwargs["mask"] = masks
        try:
            if self._mixed or mixing:
                with autocast(_device(args).type, self._compute if self._mixed else None):
                    outputs = self._call(mode, args, kwargs)
            elif mode is None or mode is self.training or not self._modules:
                outputs = self.call(*args, **kwargs)
            else:
                outputs = self._call(mode, args, kwargs)
        except (RuntimeError, IndexError, TypeError, ValueError) as error:
            explained = self._explained(error, args)
            if explained is None:
                raise
            raise explained from error
        if self.activity_regularizer is not None:
            for leaf in outputs if isinstance(outputs, (list, tuple)) else (outputs,):
                self.add_loss(self.activity_regularizer(leaf) / leaf.shape[0])
        if self.supports_masking and (masks is not None or self._makes_mask):
            _set_masks(outputs, self.compute_mask(x, masks))
        return outputs

    def _call(self, mode: bool | None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if mode is None or mode is self.training:
            return self.call(*args, **kwargs)
        with in_mode(self, bool(mode)):
            return self.call(*args, **kwargs)

    def _convert(self, value: Any) -> Any:
        """Arrays become tensors on the layer's device, floating-point ones of the compute dtype."""
        if type(value) in (list, tuple, immutable_list):  # immutable: torch.fx's
            return type(value)(self._convert(item) for item in value)
        if type(value) in (dict, immutable_dict):
            return {key: self._convert(item) for key, item in value.items()}
        if isinstance(value, (np.ndarray, np.generic)):
            value = torch.as_tensor(value, device=self._device())
        if not (isinstance(value, torch.Tensor) and self.autocast and value.is_floating_point()):
            return value
        if value.dtype is self._compute:
            return value
        # Torch's autocast casts in its own time, but leaves float64 alone.
        casts = not (value.is_meta or mixing) and torch.is_autocast_enabled(value.device.type)
        if casts and value.dtype is not torch.float64:
            return value
        mask = getattr(value, "_keras_mask", None)
        value = value.to(self._compute)
        _set_masks(value, mask)
        return value

    def _check_single(self, x: Any) -> None:
        if self._takes_one_tensor and not isinstance(x, (torch.Tensor, KerasTensor)):
            several = isinstance(x, (list, tuple, dict))
            raise TypeError(
                f"{self._title()} takes one tensor, received {type(x).__name__}"
                f"{f' of {len(x)}: call it on each, or concatenate them' if several else ''}."
            )

    def _device(self) -> torch.device | None:
        for module in self.modules():
            for tensor in (*module._parameters.values(), *module._buffers.values()):
                if tensor is not None:
                    return tensor.device
        return None

    def _symbolic_call(self, *args: Any, **kwargs: Any) -> Any:
        """Called on symbolic tensors: build, then one node of the graph, masks included."""
        self._check_single(args[0] if args else next(iter(kwargs.values())))
        if not self.built:
            self._build_for(args, kwargs)
            self._settle()
        call = self._takes_in_call
        masks = kwargs.get("mask") if call.mask else None
        if masks is None and args:
            masks = map_symbolic(lambda t: t._keras_mask, args[0])
        masked = _any(masks)
        if masked and call.mask:
            kwargs["mask"] = masks
        outputs = record("call_module", self, args, kwargs)
        for leaf in symbolic_leaves(outputs)[:1]:
            self._nodes.append(leaf.node)
        if self.supports_masking and (masked or self._makes_mask):
            _set_masks(outputs, self.compute_mask(args[0], masks if masked else None))
        return outputs

    # -- masks -----------------------------------------------------------------------------------

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """The mask of the output: by default that of the input. A layer that writes it is asked also
        where its input has none, as a layer that finds padding is."""
        return previous_mask

    # -- shapes, names, messages -------------------------------------------------------------------

    def compute_output_shape(self, *args: Any, **kwargs: Any) -> Any:
        """Output shape (batch axis included) for input shapes, from running on meta tensors."""
        return self.compute_output_spec(
            *[_symbolic_of(a, self._compute) for a in args],
            **{k.removesuffix("_shape"): _symbolic_of(v, self._compute) for k, v in kwargs.items()},
            _shapes=True,
        )

    def compute_output_spec(self, *args: Any, _shapes: bool = False, **kwargs: Any) -> Any:
        """Symbolic outputs for symbolic inputs."""
        if not self.built:
            self._build_for(args, kwargs)
        outputs = record("call_module", self, args, kwargs)
        return _shape_of(outputs) if _shapes else outputs

    @property
    def input(self) -> Any:
        """The symbolic input of the first call."""
        args = self._first_node().args[0]
        return list(args) if isinstance(args, list) else args

    @property
    def output(self) -> Any:
        """The symbolic output of the first call."""
        return self._first_node().outputs

    def _first_node(self) -> Any:
        if not self._nodes:
            raise ValueError(f"{self._title()} has never been called on a symbolic tensor.")
        return self._nodes[0]

    def _title(self) -> str:
        return f"{type(self).__name__} {self.name!r}"

    def _expectation(self) -> str:
        """What the layer expects of its input, for messages; empty if nothing can be said."""
        return ""

    def _explained(self, error: Exception, args: tuple[Any, ...]) -> Exception | None:
        """The error again, with the layer's name and what it was given; None to leave it as it is."""
        if type(error) not in (RuntimeError, ValueError, TypeError, IndexError):
            return None
        if getattr(error, "_explained", False):
            return None
        expected = "" if type(error) is TypeError else self._expectation()
        shapes = ", ".join(str(s) for s in map(_shape_of, args) if s is not None)
        given = f"input has shape {shapes}" if shapes else "there is no tensor"
        kind = ValueError if expected and type(error) is RuntimeError else type(error)
        explained = kind(
            f"{self._title()}: {given}{' but ' + expected if expected else '.'} ({error})"
        )
        explained._explained = True  # type: ignore[attr-defined]
        return explained

    def extra_repr(self) -> str:
        return f"name={self.name!r}"

    def get_config(self) -> dict[str, Any]:
        """The arguments that rebuild this layer, as plain data."""
        config = super().get_config()
        if "dtype" in config:
            config["dtype"] = self._policy.name
        return config

    # -- modes -----------------------------------------------------------------------------------

    def train(self, mode: bool = True) -> Layer:
        """As for any module."""
        if mode:
            self.__dict__.pop("_held_in_eval", None)
        return super().train(mode)

    def eval(self) -> Layer:
        """As for any module; ``fit`` leaves a submodule in evaluation mode that was put there so."""
        super().eval()
        self.__dict__["_held_in_eval"] = True
        return self

    # -- copies --------------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_nodes": [], "_losses": [], "_reports": []}


registry.add(Layer)


def _signed(forward: Any, call: Any) -> Any:
    """`forward` with the signature of `call`, which torch.export reads, and as code of its own,
    by which torch.compile keeps what it has compiled."""
    copy = types.FunctionType(forward.__code__.replace(), forward.__globals__, "forward")
    copy.__doc__ = forward.__doc__
    copy.__signature__ = inspect.signature(call)  # type: ignore[attr-defined]
    return copy


def _marking_built(build: Any) -> Any:
    @functools.wraps(build)
    def wrapper(self: Layer, *args: Any, **kwargs: Any) -> None:
        build(self, *args, **kwargs)
        self.built = True

    return wrapper


def _declared_shape(kwargs: dict[str, Any]) -> Shape | None:
    """``input_shape=`` and its kin, which a first layer of a Sequential may carry."""
    if "batch_input_shape" in kwargs:
        return tuple(kwargs["batch_input_shape"])
    if "input_shape" in kwargs:
        return (None, *kwargs["input_shape"])
    return (None, kwargs["input_dim"]) if "input_dim" in kwargs else None


def _numpy(tensor: torch.Tensor) -> np.ndarray[Any, Any]:
    plain = tensor.detach().cpu()
    return np.array((plain.float() if plain.dtype == torch.bfloat16 else plain).numpy())


def _regularized(variable: Any) -> bool:
    return getattr(variable, "regularizer", None) is not None and variable.requires_grad


def _shape_of(value: Any) -> Any:
    if isinstance(value, (torch.Tensor, KerasTensor, np.ndarray)):
        return tuple(value.shape)
    if isinstance(value, (list, tuple)) and value:
        shapes = [_shape_of(item) for item in value]
        return (
            None
            if None in shapes
            else type(value)(shapes)
            if type(value) in (list, tuple)
            else shapes
        )
    if isinstance(value, dict) and value:
        return {key: _shape_of(item) for key, item in value.items()}
    return None


def _symbolic_of(shape: Any, dtype: torch.dtype) -> Any:
    if isinstance(shape, dict):
        return {key: _symbolic_of(item, dtype) for key, item in shape.items()}
    if isinstance(shape, (list, tuple)) and any(isinstance(s, (list, tuple)) for s in shape):
        return [_symbolic_of(item, dtype) for item in shape]
    return input_tensor(None, tuple(shape), dtype)


def _device(value: Any) -> torch.device:
    """The device of the first tensor in `value`."""
    for leaf in pytree.tree_leaves(value):
        if isinstance(leaf, torch.Tensor):
            return leaf.device
    return torch.get_default_device()


def weights_beside(inputs: Any) -> AbstractContextManager[Any]:
    """Weights are made where the inputs are; for symbolic inputs, on the default device."""
    return nullcontext() if _running else _device(inputs)


def _any(masks: Any) -> bool:
    if isinstance(masks, (list, tuple)):
        return any(_any(m) for m in masks)
    if isinstance(masks, dict):
        return any(_any(m) for m in masks.values())
    return isinstance(masks, (KerasTensor, torch.Tensor))


def _masks_of(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        masks = [_masks_of(item) for item in value]
        return masks if _any(masks) else None
    return getattr(value, "_keras_mask", None)


def _set_masks(outputs: Any, masks: Any) -> None:
    if masks is None:
        return
    if isinstance(outputs, (list, tuple)):
        for output, mask in zip(
            outputs,
            masks if isinstance(masks, (list, tuple)) else [masks] * len(outputs),
            strict=False,
        ):
            _set_masks(output, mask)
    elif isinstance(outputs, (torch.Tensor, KerasTensor)):
        outputs._keras_mask = masks  # type: ignore[union-attr]
