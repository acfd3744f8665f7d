"""The optimizer: everything but the rule itself."""

from __future__ import annotations

import inspect
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

import numpy as np
import torch

from kerastorch._registry import serialize, snake_case
from kerastorch._variable import Variable
from kerastorch.optimizers._arithmetic import (
    Scalar,
    Tensors,
    add_scaled_,
    choose,
    clip_by_global_norm,
    clip_by_norm,
    clip_by_value,
    copy_if_,
    number,
)
from kerastorch.optimizers._bundle import Bundle
from kerastorch.optimizers._options import (
    Option,
    Rate,
    checked_rate,
    in_range,
    is_number,
)
from kerastorch.optimizers._state import OptimizerState

Positions = tuple[int, ...] | None  # which parameters, None for all in order


class Optimizer(OptimizerState):
    """Base of all optimizers: a `torch.optim.Optimizer` with Keras's constructor, built late.

    It counts steps, evaluates schedules, clips gradients, decays and averages weights, accumulates
    gradients and applies constraints. All state is in `state` and `param_groups` and is changed in
    place: `torch.optim.lr_scheduler`, `torch.amp.GradScaler`, ``state_dict``, `torch.compile` work.

    Arguments of every optimizer:

    - `learning_rate`: a number, a `schedules.LearningRateSchedule` or a callable without arguments.
    - `weight_decay`: ``w -= learning_rate * weight_decay * w`` before the update.
    - `clipvalue`, `clipnorm`, `global_clipnorm`: limit entries, the norm of each tensor, of all.
    - `use_ema`: keep ``average = ema_momentum * average + (1 - ema_momentum) * w``; it replaces the
      weights every `ema_overwrite_frequency` updates and in `finalize_variable_values`.
    - `loss_scale_factor`: divide the gradients by it; `scale_loss` multiplies the loss.
    - `gradient_accumulation_steps`: update once in that many calls, with the mean gradient.

    A rule of one's own writes two methods:

    >>> import kerastorch as keras, torch
    >>> class SignDescent(keras.optimizers.Optimizer):
    ...     def slots(self, param, options):
    ...         return {"average": torch.zeros_like(param)}
    ...     def update(self, bundle, grads, lr, step):
    ...         average = bundle.slot("average")
    ...         torch._foreach_lerp_(average, grads, 0.1)
    ...         for w, a in zip(bundle.params, average):
    ...             w.sub_(lr * a.sign())
    >>> w = torch.nn.Parameter(torch.zeros(2))
    >>> SignDescent(0.5).apply([torch.tensor([3.0, -2.0])], [w])
    >>> w.tolist()
    [-0.5, 0.5]

    Keras's way works too: `build` and `update_step(gradient, variable, learning_rate)`.
    """

    __signature__: ClassVar[inspect.Signature]
    deferred: list[Positions] | None = None  # a list takes what `count_micro_step` would be given
    weight_decay = Option()

    def __init__(
        self,
        learning_rate: Rate,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        **unknown: Any,
    ) -> None:
        if unknown:
            raise TypeError(self._unknown(unknown))
        rate = checked_rate(self, learning_rate)
        clips = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
        clips = {key: value for key, value in clips.items() if value is not None}
        if len(clips) > 1:
            raise ValueError(f"{type(self).__name__}: give only one of {', '.join(clips)}.")
        for key, value in {**clips, "weight_decay": weight_decay or 0.0}.items():
            in_range(self, key, value)
        in_range(self, "ema_momentum", ema_momentum, high=1.0)
        self._whole("ema_overwrite_frequency", ema_overwrite_frequency, 1)
        self._whole("gradient_accumulation_steps", gradient_accumulation_steps, 2)
        # torch.optim.Optimizer.__init__ wants parameters; this is the part of it that does not.
        super().__setstate__({"defaults": {}, "state": defaultdict(dict), "param_groups": []})
        self.defaults["lr"] = rate
        self.weight_decay = weight_decay
        self.clipnorm = clipnorm
        self.clipvalue = clipvalue
        self.global_clipnorm = global_clipnorm
        self.use_ema = use_ema
        self.ema_momentum = ema_momentum
        self.ema_overwrite_frequency = ema_overwrite_frequency
        self.loss_scale_factor = loss_scale_factor
        self.gradient_accumulation_steps = gradient_accumulation_steps
        self.name = name or snake_case(type(self).__name__)
        self._iterations = torch.zeros((), dtype=torch.int64, device="cpu")
        self._scheduled: list[tuple[dict[str, Any], Any]] = []
        self._undecayed: tuple[list[torch.Tensor], str] = ([], "")
        self._opt_called = True  # schedulers ask whether a step has come before theirs
        self._plan()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.__signature__ = _full_signature(cls)

    # -- what a rule defines ---------------------------------------------------------------------

    def slots(self, param: torch.Tensor, options: dict[str, Any]) -> dict[str, torch.Tensor]:
        """The state that the rule keeps for a parameter of a group with these `options`."""
        return {}

    def update(self, bundle: Bundle, grads: Tensors, lr: Scalar, step: Scalar) -> None:
        """Change ``bundle.params`` in place. `step` counts from 1.

        `lr` and `step` are numbers where the host has them, else 0-d tensors on the device.
        """
        for variable, gradient in zip(bundle.params, grads, strict=True):
            self.update_step(gradient, variable, lr)

    def update_step(self, gradient: torch.Tensor, variable: Any, learning_rate: Scalar) -> None:
        """The rule for a single variable, for optimizers written in Keras's way."""
        raise NotImplementedError(
            f"{type(self).__name__} must define update(bundle, grads, lr, step) "
            "or update_step(gradient, variable, learning_rate)."
        )

    def begin_update(self, step: Scalar) -> None:
        """What the rule does once for each update, before the parameters."""

    def decay_of(self, bundle: Bundle) -> float | None:
        """The weight decay of these parameters."""
        return bundle.options["weight_decay"]

    # -- building --------------------------------------------------------------------------------

    def build(self, variables: Iterable[Any]) -> None:
        """Take the variables (or torch's dicts of parameter groups) and make their state."""
        if self.built:
            return
        groups = list(variables)
        if not groups:
            raise ValueError(f"{type(self).__name__}: there are no variables to optimize.")
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            self.add_param_group(group)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with options of their own: ``{"params": [...], "lr": 1e-4}``."""
        group = dict(param_group)
        for theirs, ours in (("learning_rate", "lr"), ("eps", "epsilon")):
            if theirs in group:
                group[ours] = group.pop(theirs)
        rate = checked_rate(self, group.pop("lr", self.defaults["lr"]))
        super().add_param_group({"lr": rate, "pending": 0, "touched": None, **group})
        group = self.param_groups[-1]
        device = group["params"][0].device
        if len(self.param_groups) == 1:
            self._iterations = self._iterations.to(device)
        group["iterations"] = self._iterations
        if callable(rate) and not isinstance(rate, torch.Tensor):
            self._scheduled.append((group, rate))
            rate = self._evaluate(rate)
        group["lr"] = rate.to(device=device, dtype=torch.float32, copy=True)
        for param in group["params"]:
            if self.use_ema:
                self.state[param]["average"] = param.detach().clone()
            if self.gradient_accumulation_steps:
                self.state[param]["gradient_accumulator"] = torch.zeros_like(param)
            self.state[param].update(self.slots(param, group))
        self._plan()

    def exclude_from_weight_decay(
        self, var_list: Iterable[torch.Tensor] | None = None, var_names: Iterable[str] | None = None
    ) -> None:
        """No weight decay for these variables, and for those whose path matches a pattern.

        >>> import kerastorch as keras
        >>> keras.optimizers.AdamW().exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
        """
        self._undecayed = (list(var_list or ()), "|".join(var_names or ()))
        self._plan()

    def _plan(self) -> None:
        self._params = [p for group in self.param_groups for p in group["params"]]
        self._plans: dict[Positions, list[Bundle]] = {}
        if self._params:
            self._bundles()

    def _bundles(self, positions: Positions = None) -> list[Bundle]:
        if positions not in self._plans:
            self._plans[positions] = self._bundled(positions or range(len(self._params)))
        return self._plans[positions]

    def _bundled(self, positions: Sequence[int]) -> list[Bundle]:
        group_of = {id(p): g for g, group in enumerate(self.param_groups) for p in group["params"]}
        together: dict[Any, list[int]] = {}
        for place, position in enumerate(positions):
            p = self._params[position]
            key = (group_of[id(p)], p.device, p.dtype, tuple(self.state[p]))
            together.setdefault(key, []).append(place)
        bundles = []
        for (g, *_), places in together.items():
            params = [self._params[positions[place]] for place in places]
            bundle = Bundle(self.param_groups[g], params, places, self.state)
            bundle.decayed = [p for p in params if self._decays(p, self.param_groups[g])]
            bundles.append(bundle)
        return bundles

    def _decays(self, param: torch.Tensor, group: dict[str, Any]) -> bool:
        spared, pattern = self._undecayed
        if any(param is variable for variable in spared):
            return False
        return not pattern or not any(re.search(pattern, name) for name in names_of(param, group))

    # -- updating --------------------------------------------------------------------------------

    def apply(
        self,
        grads: Sequence[torch.Tensor | None],
        trainable_variables: Iterable[Any] | None = None,
    ) -> None:
        """Update the variables with their gradients; builds the optimizer if that has not happened.

        A variable whose gradient is None is left alone. The gradients are not changed.
        """
        if trainable_variables is None and not self.built:
            raise ValueError(
                f"{type(self).__name__}.apply: call build(variables) first, or pass the variables."
            )
        variables = self._params if trainable_variables is None else list(trainable_variables)
        if len(grads) != len(variables):
            raise ValueError(
                f"{type(self).__name__}.apply: `grads` has {len(grads)} entries for "
                f"{len(variables)} variables."
            )
        if not self.built and variables:
            self.build(variables)
        positions = None if trainable_variables is None else self._positions(variables)
        if not self._take(grads, positions) and len(grads):
            raise ValueError(f"{type(self).__name__}.apply: there is no gradient for any variable.")

    def _take(self, grads: Sequence[torch.Tensor | None], positions: Positions) -> bool:
        """One micro step with the gradients that are there; False if none is."""
        present = [g for g in grads if g is not None]
        if present:
            if len(present) < len(grads):
                order = positions or range(len(grads))
                positions = tuple(i for i, g in zip(order, grads, strict=True) if g is not None)
            self.micro_step(present, positions)
            if self.deferred is None:
                self.count_micro_step(positions)
            else:  # the step is one graph, and they come after it
                if self.deferred and self._accumulates:
                    raise RuntimeError("gradients are accumulated more than once a step")
                self.deferred.append(positions)
        return bool(present)

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Any]]) -> Variable:
        """`apply` for an iterable of pairs; gives `iterations`."""
        pairs = list(grads_and_vars)
        self.apply([g for g, _ in pairs], [v for _, v in pairs])
        return self.iterations

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """torch's form: update every parameter that has a ``.grad``; gives what `closure` gives."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self._take([p.grad for p in self._params], None)
        return loss

    def micro_step(self, grads: Sequence[torch.Tensor], positions: Positions = None) -> None:
        """The part of `apply` that runs on the device and can be captured: no branch on data.

        Without accumulation this is the update; with it, only the sum: `count_micro_step` follows.
        """
        if self.loss_scale_factor is not None:
            grads = torch._foreach_div(list(grads), self.loss_scale_factor)
        if self.gradient_accumulation_steps is None:
            self._update(grads, positions)
            return
        with torch.no_grad():
            for bundle in self._bundles(positions):
                torch._foreach_add_(bundle.slot("gradient_accumulator"), bundle.pick(grads))

    def count_micro_step(self, positions: Positions = None) -> None:
        """The part of `apply` on the host: update when enough gradients have been accumulated."""
        if self.gradient_accumulation_steps is not None:
            window = self.param_groups[0]
            seen = window["touched"] if window["pending"] else ()
            everything = positions is None or seen is None
            window["touched"] = None if everything else tuple(sorted({*seen, *(positions or ())}))
            window["pending"] += 1
            if window["pending"] == self.gradient_accumulation_steps:
                self.flush()

    @property
    def _accumulates(self) -> bool:
        return self.gradient_accumulation_steps is not None

    def flush(self) -> None:
        """Update with the mean of the gradients that are still accumulated, if there are any.

        For the end of an epoch whose length is no multiple of `gradient_accumulation_steps`.
        """
        if not self.pending:
            return
        window = self.param_groups[0]
        positions: Positions = window["touched"]
        params = self._params if positions is None else [self._params[i] for i in positions]
        with torch.no_grad():
            sums = [self.state[p]["gradient_accumulator"] for p in params]
            self._update(torch._foreach_div(sums, window["pending"]), positions)
            torch._foreach_zero_(sums)
        window["pending"] = 0

    def _positions(self, variables: list[Any]) -> Positions:
        if len(variables) == len(self._params) and all(
            a is b for a, b in zip(variables, self._params, strict=True)
        ):
            return None
        place = {id(p): i for i, p in enumerate(self._params)}
        unknown = [getattr(v, "path", tuple(v.shape)) for v in variables if id(v) not in place]
        if unknown:
            raise ValueError(
                f"{type(self).__name__}: unknown variables {unknown}. The optimizer was built for "
                "others: add them with add_param_group, or make a new optimizer."
            )
        return tuple(place[id(v)] for v in variables)

    @torch.no_grad()
    def _update(self, grads: Sequence[torch.Tensor], positions: Positions = None) -> None:
        bundles = self._bundles(positions)
        lists = self._clip([bundle.pick(grads) for bundle in bundles])
        for group, schedule in self._scheduled:
            group["lr"].copy_(self._scheduled_rate(group, schedule, self._last_micro_step()))
        step = number(self._iterations) + 1
        self.begin_update(step)
        for bundle, part in zip(bundles, lists, strict=True):
            lr = bundle.here(number(bundle.options["lr"]))
            decay = self.decay_of(bundle)
            if decay and bundle.decayed:
                torch._foreach_mul_(bundle.decayed, 1 - lr * decay)
            self.update(bundle, part, lr, bundle.here(step))
        if self.use_ema:
            self._average(step)
        for bundle in bundles:
            for p in bundle.constrained:
                p.copy_(p.constraint(p))  # type: ignore[attr-defined]
        self._iterations.add_(1)

    def _clip(self, lists: list[Tensors]) -> list[Tensors]:
        if self.clipnorm:
            return clip_by_norm(lists, self.clipnorm)
        if self.clipvalue:
            return clip_by_value(lists, self.clipvalue)
        if self.global_clipnorm:
            return clip_by_global_norm(lists, self.global_clipnorm)
        return lists

    # -- averages of the weights -------------------------------------------------------------------

    def _average(self, step: Scalar) -> None:
        for bundle in self._bundles():
            averages, here = bundle.slot("average"), bundle.here(step)
            weight = choose(here == 1, 1.0, 1 - self.ema_momentum)
            torch._foreach_mul_(averages, 1 - weight)
            add_scaled_(averages, bundle.params, weight)
            if self.ema_overwrite_frequency:
                copy_if_(here % self.ema_overwrite_frequency == 0, bundle.params, averages)

    @torch.no_grad()
    def finalize_variable_values(self, var_list: Iterable[Any]) -> None:
        """With `use_ema`, give the variables their averages: the end of training."""
        if self.use_ema:
            for variable in var_list:
                variable.copy_(self.state[variable]["average"])

    def scale_loss(self, loss: torch.Tensor) -> torch.Tensor:
        """The loss times `loss_scale_factor`: what to differentiate."""
        return loss if self.loss_scale_factor is None else loss * self.loss_scale_factor

    # -- configuration -----------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """The arguments that rebuild the optimizer; the learning rate as it is now."""
        config, given = {}, self._arguments()
        for name in type(self).__signature__.parameters:
            if name == "learning_rate":
                config[name] = self._rate_config(given)
            else:
                config[name] = serialize(getattr(self, name, given.get(name)))
        return config

    def _rate_config(self, given: dict[str, Any]) -> Any:
        if not isinstance(self.defaults["lr"], torch.Tensor):
            return serialize(self.defaults["lr"])
        if self._iterations.is_meta:
            return serialize(given["learning_rate"])
        return float(str(np.float32(float(self.learning_rate))))  # 0.001, not 0.0010000000474974513

    def _unknown(self, arguments: dict[str, Any]) -> str:
        known = list(type(self).__signature__.parameters)
        hint = " The learning rate is called `learning_rate`." if "lr" in arguments else ""
        return (
            f"{type(self).__name__}: unknown arguments {arguments}.{hint} "
            f"Expected some of: {', '.join(known)}."
        )

    def _whole(self, name: str, value: Any, low: int) -> None:
        if value is not None and (not is_number(value) or value != int(value) or value < low):
            raise ValueError(
                f"{type(self).__name__}: `{name}` must be None or a whole number of {low} or more, "
                f"received {value!r}."
            )


def names_of(param: torch.Tensor, group: dict[str, Any]) -> list[str]:
    """What a parameter is called: by its variable, and by torch's ``named_parameters``."""
    named = zip(group["params"], group.get("param_names", ()), strict=False)
    return [
        *(getattr(param, key) for key in ("path", "name") if getattr(param, key, None)),
        *(name for p, name in named if p is param),
    ]


def _full_signature(cls: type) -> inspect.Signature:
    """The constructor's signature with the options of every optimizer in place of ``**options``."""
    own = list(inspect.signature(cls.__init__).parameters.values())[1:]  # type: ignore[misc]
    if own and own[-1].kind is inspect.Parameter.VAR_KEYWORD:
        common = list(inspect.signature(Optimizer.__init__).parameters.values())[1:-1]
        names = {parameter.name for parameter in own}
        own[-1:] = [
            parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for parameter in common
            if parameter.name not in names
        ]
    return inspect.Signature(own)


Optimizer.__signature__ = _full_signature(Optimizer)
