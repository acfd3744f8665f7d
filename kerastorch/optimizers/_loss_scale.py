"""Dynamic loss scaling around another optimizer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch

from kerastorch._variable import Variable, wrap
from kerastorch.optimizers._arithmetic import Tensors, choose, copy_if_, number
from kerastorch.optimizers._optimizer import Optimizer, Positions
from kerastorch.optimizers._options import in_range


class LossScaleOptimizer(Optimizer):
    """Keeps float16 gradients from underflow: scales the loss, and unscales what comes back.

    Differentiate ``scale_loss(loss)``; `apply` divides by the scale and updates with
    `inner_optimizer`. A gradient that is not finite halves the scale and skips the update;
    `dynamic_growth_steps` good ones in a row double it. Nothing waits for the device. If the inner
    optimizer accumulates gradients, one that is not finite counts as zero.

    >>> import kerastorch as keras, torch
    >>> w = torch.nn.Parameter(torch.tensor([1.0]))
    >>> inner = keras.optimizers.SGD(0.5)
    >>> optimizer = keras.optimizers.LossScaleOptimizer(inner, initial_scale=4.0)
    >>> optimizer.apply([torch.tensor([float("inf")])], [w])
    >>> optimizer.apply([torch.tensor([2.0])])
    >>> w.item(), float(optimizer.dynamic_scale)
    (0.5, 2.0)
    """

    def __init__(
        self,
        inner_optimizer: Optimizer,
        initial_scale: float = 2.0**15,
        dynamic_growth_steps: int = 2000,
        name: str | None = None,
    ) -> None:
        if not isinstance(inner_optimizer, Optimizer):
            raise TypeError(
                "LossScaleOptimizer: `inner_optimizer` must be an optimizer of kerastorch, "
                f"received {inner_optimizer!r}. For one of torch.optim use torch.amp.GradScaler."
            )
        self.inner_optimizer = inner_optimizer
        super().__init__(0.0, name=name)
        self._whole("dynamic_growth_steps", dynamic_growth_steps, 1)
        self.initial_scale = in_range(self, "initial_scale", initial_scale)
        self.dynamic_growth_steps = dynamic_growth_steps
        self._scale = torch.tensor(float(initial_scale), dtype=torch.float32, device="cpu")
        self._good_steps = torch.zeros((), dtype=torch.int64, device="cpu")
        inner_optimizer.loss_scale_factor = None  # one scale is enough
        # One state, seen from both optimizers.
        self.param_groups, self.state = inner_optimizer.param_groups, inner_optimizer.state
        self._adopt()

    def build(self, variables: Iterable[Any]) -> None:
        if not self.built:
            self.inner_optimizer.build(variables)
            self._adopt()

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        self.inner_optimizer.add_param_group(param_group)
        self._adopt()

    def _adopt(self) -> None:
        device = self.inner_optimizer.iterations.device
        self._scale, self._good_steps = self._scale.to(device), self._good_steps.to(device)
        for group in self.param_groups:
            group["dynamic_scale"], group["step_counter"] = self._scale, self._good_steps
        self._plan()

    def _plan(self) -> None:
        self._params = self.inner_optimizer._params
        # What an update may change, each tensor once.
        states = [*self.state.values(), *self.inner_optimizer.param_groups]
        tensors = [t for state in states for t in state.values() if isinstance(t, torch.Tensor)]
        own = {id(getattr(self, name, None)) for name in ("_scale", "_good_steps")}
        changed = {id(t): t for t in (*self._params, *tensors) if id(t) not in own}
        self._changed = list(changed.values())

    def micro_step(self, grads: Sequence[torch.Tensor], positions: Positions = None) -> None:
        device, inner = self._scale.device, self.inner_optimizer
        with torch.no_grad():
            finite = number(torch.stack([g.isfinite().all().to(device) for g in grads]).all())
            unscaled = [g / self._scale.to(g.device) for g in grads]
            if inner.gradient_accumulation_steps is not None:
                inner.micro_step(_or_zero(finite, unscaled), positions)
            elif isinstance(finite, torch.Tensor):
                before = [t.clone() for t in self._changed]
                inner.micro_step(_or_zero(finite, unscaled), positions)
                for target, old in zip(self._changed, before, strict=True):
                    copy_if_(~finite.to(target.device), [target], [old])
            elif finite:
                inner.micro_step(unscaled, positions)
            grown = number(self._good_steps) + 1 == self.dynamic_growth_steps
            self._scale.mul_(choose(finite, choose(grown, 2.0, 1.0), 0.5))
            self._good_steps.add_(1).mul_(choose(finite, choose(grown, 0, 1), 0))

    def count_micro_step(self, positions: Positions = None) -> None:
        self.inner_optimizer.count_micro_step(positions)

    @property
    def _accumulates(self) -> bool:
        return self.inner_optimizer._accumulates

    def flush(self) -> None:
        self.inner_optimizer.flush()

    def scale_loss(self, loss: torch.Tensor) -> torch.Tensor:
        return loss * self._scale.to(loss.device)

    @property
    def dynamic_scale(self) -> Variable:
        """The factor of the loss."""
        return wrap(self._scale, False, name="dynamic_scale")

    @property
    def step_counter(self) -> Variable:
        """How many updates have gone well since the scale last changed."""
        return wrap(self._good_steps, False, name="step_counter")

    @property
    def learning_rate(self) -> Any:
        """The inner optimizer's."""
        return self.inner_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, learning_rate: Any) -> None:
        self.inner_optimizer.learning_rate = learning_rate

    lr = learning_rate

    def reduce_learning_rate(self, factor: float, minimum: float = 0.0) -> bool:
        return self.inner_optimizer.reduce_learning_rate(factor, minimum)

    @property
    def iterations(self) -> Variable:
        """The inner optimizer's: updates that were not skipped."""
        return self.inner_optimizer.iterations

    @property
    def variables(self) -> list[Variable]:
        """In Keras's order: an unused counter and rate, the scale's two, then the inner ones."""
        own = [wrap(self._iterations, False), wrap(self.defaults["lr"], False)]
        return [*own, self.step_counter, self.dynamic_scale, *self.inner_optimizer.variables]

    def exclude_from_weight_decay(self, var_list: Any = None, var_names: Any = None) -> None:
        self.inner_optimizer.exclude_from_weight_decay(var_list, var_names)

    def finalize_variable_values(self, var_list: Iterable[Any]) -> None:
        self.inner_optimizer.finalize_variable_values(var_list)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.inner_optimizer.load_state_dict(state_dict)

    def fingerprint(self) -> tuple[Any, ...]:
        return self.inner_optimizer.fingerprint()


def _or_zero(condition: Any, grads: Tensors) -> Tensors:
    if isinstance(condition, torch.Tensor):
        return [torch.where(condition.to(g.device), g, 0.0) for g in grads]
    return grads if condition else [torch.zeros_like(g) for g in grads]
