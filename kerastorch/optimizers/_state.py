"""What an optimizer holds: counters, learning rate, slots, and how they are saved."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch

from kerastorch._registry import Recorded
from kerastorch._variable import Variable, wrap
from kerastorch.optimizers._options import Rate, checked_rate, reduced_rate
from kerastorch.optimizers.schedules import LearningRateSchedule


class OptimizerState(Recorded, torch.optim.Optimizer):
    """Abstract: the part of `Optimizer` that has to do with state.

    Slots are in ``state[param]``; learning rate, iterations and the accumulation window in each
    parameter group. The tensors stay the same objects for life: loading copies into them.
    """

    group_state: tuple[str, ...] = ()  # tensors that the rule keeps for a whole group
    late_slots: tuple[str, ...] = ()  # slots that Keras lists after the others of all variables

    name: str
    gradient_accumulation_steps: int | None
    _iterations: torch.Tensor
    _params: list[torch.Tensor]
    _scheduled: list[tuple[dict[str, Any], Any]]  # groups whose rate is a schedule

    def _plan(self) -> None:
        raise NotImplementedError

    @property
    def built(self) -> bool:
        """Whether the optimizer knows its parameters."""
        return bool(self.param_groups)

    # -- learning rate and counters ----------------------------------------------------------------

    @property
    def learning_rate(self) -> Any:
        """The learning rate as a scalar tensor (of the first group); a schedule's current value.

        It is set with a number, which changes all groups in place and replaces a schedule, or with
        a schedule. A rate that is set by number can also be changed with ``learning_rate.assign``.
        """
        rate = self.defaults["lr"]
        if not isinstance(rate, torch.Tensor):
            return self._scheduled_rate(self.param_groups[0] if self.built else {}, rate)
        rate = self.param_groups[0]["lr"] if self.built else rate
        if not isinstance(rate, torch.Tensor):  # somebody wrote a number into the group
            rate = torch.tensor(rate, dtype=torch.float32)
        return wrap(rate, False, name="learning_rate")

    @learning_rate.setter
    def learning_rate(self, learning_rate: Rate) -> None:
        rate = checked_rate(self, learning_rate)
        self.defaults["lr"] = rate
        if isinstance(rate, torch.Tensor):
            self._scheduled = []
        else:
            self._scheduled = [(group, rate) for group in self.param_groups]
            rate = self._evaluate(rate)
        for group in self.param_groups:
            group.pop("lr_factor", None)
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].copy_(rate)
            else:
                group["lr"] = rate.to(group["params"][0].device, copy=True)

    lr = learning_rate

    def reduce_learning_rate(self, factor: float, minimum: float = 0.0) -> bool:
        """Multiply the rate of every group by `factor`, down to `minimum`; False if all are there.

        A schedule goes on, times the factor, which is part of the optimizer's state and not of its
        configuration. A new `learning_rate` ends it.

        >>> import kerastorch as keras, torch
        >>> optimizer = keras.optimizers.SGD(keras.optimizers.schedules.InverseTimeDecay(1.0, 1, 1))
        >>> optimizer.build([torch.nn.Parameter(torch.zeros(1))])
        >>> optimizer.reduce_learning_rate(0.5)
        True
        >>> optimizer.apply([torch.ones(1)])
        >>> float(optimizer.learning_rate)
        0.25
        """
        schedules = {id(group): schedule for group, schedule in self._scheduled}
        changed = False
        for group in self.param_groups:
            schedule = schedules.get(id(group))
            rate = float(group["lr"] if schedule is None else self._scheduled_rate(group, schedule))
            reduced = reduced_rate(rate, factor, minimum)
            if reduced == rate:
                continue
            changed = True
            if schedule is not None:
                before = group.get("lr_factor", 1.0)
                group["lr_factor"] = torch.full_like(group["lr"], float(before) * reduced / rate)
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].fill_(reduced)
            else:
                group["lr"] = reduced
        return changed

    @property
    def iterations(self) -> Variable:
        """How many updates there have been: a 0-d integer tensor on the parameters' device."""
        return wrap(self._iterations, False, name="iteration")

    def _evaluate(self, schedule: Any, step: torch.Tensor | None = None) -> torch.Tensor:
        if isinstance(schedule, LearningRateSchedule):
            value = schedule(self._first_micro_step() if step is None else step)
        else:
            value = schedule()
        return torch.as_tensor(value, dtype=torch.float32, device=self._iterations.device)

    def _scheduled_rate(
        self, group: dict[str, Any], schedule: Any, step: torch.Tensor | None = None
    ) -> torch.Tensor:
        rate = self._evaluate(schedule, step)
        return rate * group["lr_factor"] if "lr_factor" in group else rate

    # Schedules count calls of `apply`, as in Keras: an update ends k of them.
    def _first_micro_step(self) -> torch.Tensor:
        return self._iterations * (self.gradient_accumulation_steps or 1)

    def _last_micro_step(self) -> torch.Tensor:
        return self._first_micro_step() + ((self.gradient_accumulation_steps or 1) - 1)

    @property
    def pending(self) -> int:
        """How many gradients have been accumulated since the last update."""
        return self.param_groups[0]["pending"] if self.built else 0

    def fingerprint(self) -> tuple[Any, ...]:
        """What a captured graph of `micro_step` takes for granted: capture anew when it changes."""
        return tuple(
            (key, id(value) if isinstance(value, torch.Tensor) else value)
            for group in self.param_groups
            for key, value in group.items()
            if key not in ("params", "param_names", "pending", "touched")
        ) + tuple(id(schedule) for _, schedule in self._scheduled)

    # -- state -------------------------------------------------------------------------------------

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the state of an optimizer of the same kind into the tensors that are here."""
        groups, state = self.param_groups, self.state
        super().load_state_dict(state_dict)
        loaded_groups, loaded_state = self.param_groups, self.state
        self.param_groups, self.state = groups, state
        self._plan()
        missing = {name for p in self._params for name in state[p] if name not in loaded_state[p]}
        if missing:
            raise ValueError(
                f"{type(self).__name__}.load_state_dict: the state has no {sorted(missing)}: "
                "it comes from an optimizer with other options."
            )
        for group, loaded in zip(groups, loaded_groups, strict=True):
            group.pop("lr_factor", None)
            if "lr_factor" in loaded:
                group["lr_factor"] = torch.empty_like(group["lr"])
            _restore(group, {key: value for key, value in loaded.items() if key != "params"})
        for p in self._params:
            _restore(state[p], loaded_state[p])
        self._plan()

    def __getstate__(self) -> dict[str, Any]:
        derived = ("_plans", "_params", "_changed", "step")  # at `step`: a scheduler's wrapper
        return {
            key: value
            for key, value in self.__dict__.items()
            if key not in derived and not key.startswith("_optimizer_")
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._plan()

    @property
    def variables(self) -> list[Variable]:
        """Iterations, learning rate and slots in Keras's order, in the optimizer's own memory."""
        found = [self.iterations]
        if isinstance(self.defaults["lr"], torch.Tensor):
            found.append(self.learning_rate)
        early, late = ("average", "gradient_accumulator"), self.late_slots
        for name in early:
            found += [self._variable(p, name) for p in self._params if name in self.state[p]]
        for p in self._params:
            found += [self._variable(p, name) for name in self.state[p] if name not in early + late]
        for name in late:
            found += [self._variable(p, name) for p in self._params if name in self.state[p]]
        found += [wrap(self.param_groups[0][name], False, name=name) for name in self.group_state]
        return found

    def _variable(self, param: Any, name: str) -> Variable:
        path = getattr(param, "path", "variable").replace("/", "_")
        return wrap(self.state[param][name], False, name=f"{self.name}/{path}_{name}")

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Assign a list of arrays to `variables`."""
        variables = self.variables
        expected, received = ([tuple(np.shape(x)) for x in xs] for xs in (variables, weights))
        if expected != received:
            raise ValueError(
                f"{type(self).__name__}.set_weights: expected arrays of shapes {expected}, "
                f"received {received}. Build the optimizer first."
            )
        for variable, weight in zip(variables, weights, strict=True):
            variable.assign(weight)

    def save_own_variables(self, store: Any) -> None:
        """Write `variables` into a mapping under the keys "0", "1", ...

        Where a schedule has been reduced its factor follows, as "lr_factor_0" for the first group.
        """
        for i, variable in enumerate(self.variables):
            store[str(i)] = variable.numpy()
        # Keras counts the calls of `apply`
        store["0"] = store["0"] * (self.gradient_accumulation_steps or 1) + self.pending
        for i, group in enumerate(self.param_groups):
            if "lr_factor" in group:
                store[f"lr_factor_{i}"] = group["lr_factor"].cpu().numpy()

    def load_own_variables(self, store: Any) -> None:
        """Read what `save_own_variables` wrote."""
        calls, *rest = (store[str(i)][()] for i in range(sum(map(str.isdigit, store.keys()))))
        updates, pending = divmod(calls, self.gradient_accumulation_steps or 1)
        self.set_weights([updates, *rest])
        self.param_groups[0].update(pending=int(pending), touched=None)
        for i, group in enumerate(self.param_groups):
            group.pop("lr_factor", None)
            if f"lr_factor_{i}" in store:
                factor = float(store[f"lr_factor_{i}"][()])
                group["lr_factor"] = torch.full_like(group["lr"], factor)

    # -- for optimizers written in Keras's way -----------------------------------------------------

    def add_variable(
        self,
        shape: Sequence[int],
        initializer: Any = "zeros",
        dtype: Any = None,
        name: str | None = None,
    ) -> Variable:
        """State that belongs to no variable: kept in the first parameter group."""
        group = self.param_groups[0]
        name = name or f"variable_{len(self.group_state)}"
        self.group_state += (name,)
        group[name] = _initial(initializer, tuple(shape), dtype, self._iterations.device)
        return wrap(group[name], False, name=f"{self.name}/{name}")

    def add_variable_from_reference(
        self, reference_variable: Any, name: str | None = None, initializer: Any = "zeros"
    ) -> Variable:
        """State of the shape, dtype and device of a variable."""
        name = name or "var"
        like = reference_variable
        self.state[like][name] = torch.zeros_like(like).copy_(
            _initial(initializer, tuple(like.shape), like.dtype, like.device)
        )
        return self._variable(like, name)

    def add_optimizer_variables(
        self, trainable_variables: Iterable[Any], name: Any, initializer: Any = "zeros"
    ) -> Any:
        """A list of such states, one for each variable; for several names a tuple of lists."""
        names = [name] if isinstance(name, str) else list(name)
        starts = (
            initializer if isinstance(initializer, (list, tuple)) else [initializer] * len(names)
        )
        made: tuple[list[Variable], ...] = tuple([] for _ in names)
        for variable in trainable_variables:
            for into, key, start in zip(made, names, starts, strict=True):
                into.append(self.add_variable_from_reference(variable, key, start))
        return made[0] if isinstance(name, str) else made

    def _get_variable_index(self, variable: Any) -> int:
        return next(i for i, p in enumerate(self._params) if p is variable)

    def assign(self, variable: torch.Tensor, value: Any) -> None:
        """``variable = value`` in place."""
        variable.copy_(torch.as_tensor(value))

    def assign_add(self, variable: torch.Tensor, value: Any) -> None:
        """``variable += value`` in place."""
        variable.add_(value)

    def assign_sub(self, variable: torch.Tensor, value: Any) -> None:
        """``variable -= value`` in place."""
        variable.sub_(value)


def _restore(here: dict[str, Any], loaded: dict[str, Any]) -> None:
    """Update a dict so that its tensors stay the same objects."""
    for key, value in loaded.items():
        kept = here.get(key)
        if isinstance(kept, torch.Tensor) and not isinstance(value, str):
            kept.copy_(torch.as_tensor(value))
        else:
            here[key] = value


def _initial(initializer: Any, shape: tuple[int, ...], dtype: Any, device: Any) -> torch.Tensor:
    from kerastorch import initializers
    from kerastorch.config import standardize_dtype

    make: Any = initializers.get(initializer)
    return torch.as_tensor(make(shape, dtype=standardize_dtype(dtype))).to(device)
