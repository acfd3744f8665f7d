"""The base of all layers: an `nn.Module` that is built lazily and knows Keras's vocabulary."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar

import numpy as np
import torch
from torch import fx, nn
from torch.fx.immutable_collections import immutable_dict, immutable_list

from kerastorch import dtype_policies, regularizers
from kerastorch._graph import (
    KerasTensor,
    _running,
    autocast,
    map_symbolic,
    mixing,
    real_tensors,
    record,
    symbolic_leaves,
)
from kerastorch._registry import Registry, snake_case
from kerastorch.config import standardize_dtype
from kerastorch.layers._call import (
    Call,
    any_mask,
    as_shape,
    call_of,
    declared_shape,
    fill_masks,
    first_device,
    marking_built,
    masks_of,
    set_masks,
    shape_of,
    signed,
    symbolic_of,
    weights_beside,
)
from kerastorch.layers._input_spec import check_inputs
from kerastorch.layers._mode import adopt, in_mode
from kerastorch.layers._weights import Weighted

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
    "gptq_unpacked_column_size": None,
    "renorm": False,
    "rms_scaling": False,
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


class Layer(Weighted):
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
    _takes_in_call = Call((), None, False)
    _takes_one_tensor = False  # and no list or dict of them
    _takes_integers = True  # as they are, where a layer without computes on floats alone
    _makes_mask = False  # whether the class writes compute_mask
    #: An `InputSpec`, or a nest of them like the inputs: calls are checked.
    input_spec: Any = None
    _build_config: dict[str, Any] | None = None
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
        self._declared_shape = declared_shape(kwargs)

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

    @property
    def variable_dtype(self) -> str:
        """Name of the dtype of the weights."""
        return self._policy.variable_dtype

    @property
    def compute_dtype(self) -> str:
        """Name of the dtype that floating-point inputs are cast to."""
        return self._policy.compute_dtype

    input_dtype = compute_dtype

    def _apply(self, fn: Any, recurse: bool = True) -> Layer:
        super()._apply(fn, recurse)
        # .half(), .double(), .to(dtype): the layer computes in what its weights have become.
        if not self._mixed and self._compute.is_floating_point:
            now = fn(torch.empty(0, dtype=self._compute)).dtype
            if now is not self._compute:
                self.dtype_policy = now
        return self

    def _makes_weights(self) -> bool:
        return type(self).build is not Layer.build

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
            cls._takes_in_call = call_of(cls.__dict__["call"])
            if "forward" not in cls.__dict__:
                cls.forward = signed(cls.forward, cls.__dict__["call"])  # type: ignore[method-assign]
        cls._makes_mask = cls._makes_mask or "compute_mask" in cls.__dict__
        if "build" in cls.__dict__:
            cls.build = marking_built(cls.__dict__["build"])  # type: ignore[method-assign]

    def build(self, input_shape: Any) -> None:
        """Make the weights. `input_shape` includes the batch axis; unknown axes are None."""
        self.built = True

    def _build_for(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Build from the inputs of a call: ``build(input_shape)`` or ``build(a_shape, b_shape)``."""
        names = self._takes_in_call.names
        shapes = {
            name: shape
            for name, value in (*zip(names, args, strict=False), *kwargs.items())
            if (shape := shape_of(value)) is not None
        }
        takes = inspect.signature(self.build).parameters
        several = {f"{n}_shape": shape for n, shape in shapes.items() if f"{n}_shape" in takes}
        with real_tensors():
            if len(takes) > 1 and several:
                self.build(**several)
            else:
                self.build(next(iter(shapes.values()), None))
        self.built = True

    def get_build_config(self) -> dict[str, Any] | None:
        """What `build_from_config` needs to make the weights; None if that is not known."""
        return self._build_config

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Make the weights as `get_build_config` says."""
        shapes = {name: as_shape(shape) for name, shape in config.items() if shape is not None}
        if not self.built and shapes:
            with real_tensors():
                if list(shapes) == ["input_shape"]:
                    self.build(shapes["input_shape"])
                else:
                    self.build(**shapes)

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
        if self.input_spec is not None:
            self._check_spec(x)
        if not self.built:
            with weights_beside(args):
                self._build_for(args, kwargs)
            self._settle()
        _, training_at, takes_mask, takes_masks = self._takes_in_call
        if takes_masks:
            fill_masks(self._takes_in_call, args, kwargs)
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
                masks = masks_of(x)
                if takes_mask and masks is not None:
                    kwargs["mask"] = masks
        try:
            if self._mixed or mixing:
                with autocast(first_device(args).type, self._compute if self._mixed else None):
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
            set_masks(outputs, self.compute_mask(x, masks))
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
        if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind not in "USO":
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
        set_masks(value, mask)
        return value

    def _check_single(self, x: Any) -> None:
        if self._takes_one_tensor and not isinstance(x, (torch.Tensor, KerasTensor)):
            several = isinstance(x, (list, tuple, dict))
            raise TypeError(
                f"{self._title()} takes one tensor, received {type(x).__name__}"
                f"{f' of {len(x)}: call it on each, or concatenate them' if several else ''}."
            )

    def _check_spec(self, x: Any) -> None:
        if not _running:  # where the sizes of unknown axes are made up
            check_inputs(self._title(), self.input_spec, x)

    def _device(self) -> torch.device | None:
        for module in self.modules():
            for tensor in (*module._parameters.values(), *module._buffers.values()):
                if tensor is not None:
                    return tensor.device
        return None

    def _symbolic_call(self, *args: Any, **kwargs: Any) -> Any:
        """Called on symbolic tensors: build, then one node of the graph, masks included."""
        first = args[0] if args else next(iter(kwargs.values()))
        self._check_single(first)
        if self.input_spec is not None:
            check_inputs(self._title(), self.input_spec, first)
        if not self.built:
            self._build_for(args, kwargs)
            self._settle()
        call = self._takes_in_call
        masks = kwargs.get("mask") if call.mask else None
        if masks is None and args:
            masks = map_symbolic(lambda t: t._keras_mask, args[0])
        fill_masks(call, args, kwargs)
        masked = any_mask(masks)
        if masked and call.mask:
            kwargs["mask"] = masks
        outputs = record("call_module", self, args, kwargs)
        for leaf in symbolic_leaves(outputs)[:1]:
            self._nodes.append(leaf.node)
        if self.supports_masking and (masked or self._makes_mask):
            set_masks(outputs, self.compute_mask(args[0], masks if masked else None))
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
            *[symbolic_of(a, self._compute) for a in args],
            **{k.removesuffix("_shape"): symbolic_of(v, self._compute) for k, v in kwargs.items()},
            _shapes=True,
        )

    def compute_output_spec(self, *args: Any, _shapes: bool = False, **kwargs: Any) -> Any:
        """Symbolic outputs for symbolic inputs."""
        if not self.built:
            self._build_for(args, kwargs)
        outputs = record("call_module", self, args, kwargs)
        return shape_of(outputs) if _shapes else outputs

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
        shapes = ", ".join(str(s) for s in map(shape_of, args) if s is not None)
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
        state = {**self.__dict__, "_nodes": [], "_losses": [], "_reports": []}
        state.pop("_compiled_call_impl", None)
        return state


registry.add(Layer)


def _regularized(variable: Any) -> bool:
    return getattr(variable, "regularizer", None) is not None and variable.requires_grad
