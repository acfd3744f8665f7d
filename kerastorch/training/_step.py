"""`Stepper`: compile, and the steps on one batch that a user may override."""

from __future__ import annotations

import contextlib
import inspect
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from kerastorch import optimizers as optimizers_module
from kerastorch._registry import deserialize, serialize
from kerastorch.callbacks import CallbackList
from kerastorch.data import unpack_x_y_sample_weight
from kerastorch.layers._layer import Layer, collecting
from kerastorch.metrics import Mean, Metric
from kerastorch.training._capture import CapturedSteps, release
from kerastorch.training._grading import Grader
from kerastorch.training._logs import Logs
from kerastorch.training._outputs import CompiledLoss, CompiledMetrics, leaves
from kerastorch.training._worth import is_settled, model_is_settled, pays

_GRADES = ("test_step", "compute_loss", "compute_metrics")


class Stepper(Layer):
    """What a model is compiled with, and what it does with one batch."""

    optimizer: Any = None
    _compiled: _Compiled | None = None
    _compile_arguments: dict[str, Any]

    # -- compile -----------------------------------------------------------------------------------

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: bool | str = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Choose optimizer, loss and metrics.

        Args:
            optimizer: name or object of `kerastorch.optimizers`, or a `torch.optim` instance or
                class (or ``functools.partial``), which is made on the model's parameters.
            loss: name, `Loss`, torch loss, or function ``(y_true, y_pred)``; a list or dict of them
                by output; None if the layers' ``add_loss`` is all there is.
            loss_weights: factors by output (list or dict); missing ones are 1.
            metrics: list of names, objects or functions for every output, a list of lists, or a dict
                by output. They never see sample weights.
            weighted_metrics: likewise; they do.
            jit_compile: True compiles a whole step (forward, loss, backward, update, metrics) into one
                graph with `torch.compile`, for each shape of batch; False runs eagerly; "auto" compiles
                where the run is long enough to gain by it (see docs/performance.md).
            run_eagerly: never compile, whatever `jit_compile` says.
            steps_per_execution: run this many steps between the hooks of callbacks.
            auto_scale_loss: with a ``mixed_float16`` policy, wrap the optimizer into a
                `LossScaleOptimizer`.

        >>> import kerastorch as keras
        >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
        >>> model.compile(optimizer="adam", loss="mse", metrics=["mae"])
        """
        if jit_compile not in (True, False, "auto"):
            raise ValueError(
                f"compile: `jit_compile` must be True, False or 'auto', received {jit_compile!r}."
            )
        if not isinstance(steps_per_execution, int) or steps_per_execution < 1:
            raise ValueError(
                "compile: `steps_per_execution` must be a number of steps of 1 or more, "
                f"received {steps_per_execution!r}."
            )
        chosen = optimizers_module.get(optimizer)
        if chosen is None:
            raise ValueError("compile: `optimizer` must not be None.")
        if (
            auto_scale_loss
            and self.dtype_policy.name == "mixed_float16"
            and isinstance(chosen, optimizers_module.Optimizer)
            and not isinstance(chosen, optimizers_module.LossScaleOptimizer)
        ):
            chosen = optimizers_module.LossScaleOptimizer(chosen)
        compiled = _Compiled(
            CompiledLoss(loss, loss_weights) if loss is not None else None,
            CompiledMetrics(metrics, weighted_metrics),
            Mean(name="loss"),
        )
        self.optimizer = chosen
        self._compiled = compiled
        release(self)
        # Past __setattr__, which would take metrics and loss modules for parts of the model.
        self.__dict__["_compile_arguments"] = {
            "optimizer": optimizer,
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
            "run_eagerly": run_eagerly,
            "steps_per_execution": steps_per_execution,
            "jit_compile": jit_compile,
            "auto_scale_loss": auto_scale_loss,
        }

    @property
    def compiled(self) -> bool:
        """Whether `compile` has been called."""
        return self._compiled is not None

    def get_compile_config(self) -> dict[str, Any]:
        """What `compile` was called with, as plain data; empty if it was not."""
        if not self.compiled:
            return {}
        return serialize(self._compile_arguments | {"optimizer": self.optimizer})

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile with what `get_compile_config` gave, and make the optimizer's state."""
        if type(self).compile is not Stepper.compile:
            warnings.warn(
                f"{self._title()} is not compiled: its compile() is its own, and what it takes is not in "
                "the file. Call compile() after loading, or override get_compile_config() and "
                "compile_from_config(config) too.",
                stacklevel=3,
            )
            return
        known = inspect.signature(self.compile).parameters
        self.compile(**{k: deserialize(v) for k, v in config.items() if k in known})
        trained = self.trainable_variables if self.built else []
        if trained and hasattr(self.optimizer, "build"):
            self.optimizer.build(trained)

    @property
    def run_eagerly(self) -> bool:
        """What was passed to `compile`; may be set afterwards."""
        return bool(self.compiled and self._compile_arguments["run_eagerly"])

    @run_eagerly.setter
    def run_eagerly(self, value: bool) -> None:
        self._require_compiled("run_eagerly = ...")
        self._compile_arguments["run_eagerly"] = value

    @property
    def jit_compile(self) -> bool | str:
        """What was passed to `compile`; may be set afterwards."""
        return self._compile_arguments["jit_compile"] if self.compiled else "auto"

    @jit_compile.setter
    def jit_compile(self, value: bool | str) -> None:
        self._require_compiled("jit_compile = ...")
        self._compile_arguments["jit_compile"] = value

    @property
    def loss(self) -> Any:
        """What was passed to `compile` as loss."""
        return self._compile_arguments["loss"] if self.compiled else None

    def _require_compiled(self, method: str) -> _Compiled:
        if self._compiled is None:
            raise ValueError(
                f"{self._title()}: call compile(optimizer=..., loss=...) before {method}()."
            )
        return self._compiled

    # -- metrics -----------------------------------------------------------------------------------

    @property
    def metrics(self) -> list[Any]:
        """The loss, then the losses by output, the compiled metrics, and metrics held by layers."""
        return [metric for _, metric in self._named_metrics()]

    @property
    def metrics_names(self) -> list[str]:
        """Names in the order of what `evaluate` gives."""
        return [name for name, _ in self._named_metrics()]

    def _named_metrics(self) -> list[tuple[str, Any]]:
        named: list[tuple[str, Any]] = []
        compiled = self._compiled
        if compiled is not None:
            named.append(("loss", compiled.tracker))
            if compiled.loss is not None and compiled.loss.built:
                named += [(m.name, m) for m in compiled.loss.trackers]
            if compiled.metrics.built:
                named += zip(compiled.metrics.labels, compiled.metrics.metrics, strict=True)
        held = [m for m in self.modules() if isinstance(m, Metric)]
        inner = {id(part) for m in held for part in m.modules() if part is not m}
        named += [(m.name, m) for m in held if id(m) not in inner]
        if compiled is not None:
            known = {id(metric) for _, metric in named}
            named += [(m.name, m) for m in compiled.reports.values() if id(m) not in known]
        return named

    def reset_metrics(self) -> None:
        """Start every metric anew."""
        for metric in self.metrics:
            metric.reset_state()

    def get_metrics_result(self) -> Mapping[str, Any]:
        """Running values by name; computed and fetched when first read."""
        if torch.compiler.is_compiling():  # a captured step of one's own gives tensors
            return {} if type(self).train_step is Stepper.train_step else self._results()
        return Logs(self._results)

    def _results(self) -> dict[str, Any]:
        compiled = self._compiled
        cached = compiled is not None and not torch.compiler.is_compiling()
        epoch = compiled.epoch if compiled is not None and cached else None
        named = (epoch and epoch.named) or self._named_metrics()
        if epoch is not None:
            epoch.named = named
        results: dict[str, Any] = {}
        with torch.no_grad():
            for name, metric in named:
                value = metric.result()
                if isinstance(value, Mapping):
                    results.update(value)
                else:
                    results[name] = value
        return results

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> Mapping[str, Any]:
        """Update the compiled metrics with a batch and give all running values. May be overridden."""
        compiled = self._compiled
        if compiled is not None:
            if not compiled.metrics.built:
                self._build_metrics(y, y_pred)
            if compiled.metrics.metrics and y is not None:
                graded = torch.is_grad_enabled()
                torch._C._set_grad_enabled(False)  # a tenth of what torch.no_grad() costs
                try:
                    compiled.metrics.update(y, y_pred, sample_weight)
                finally:
                    torch._C._set_grad_enabled(graded)
            self._collect_reports(compiled)
        return self.get_metrics_result()

    def _collect_reports(self, compiled: _Compiled) -> None:
        """What layers gave to `add_metric` in the last forward pass."""
        for layer in self._layers() if compiled.epoch is None else compiled.epoch.layers:
            for name, value in layer._reports:
                key = (layer.name, name)
                metric = getattr(value, "_metric", None)
                if key not in compiled.reports:
                    compiled.reports[key] = metric or Mean(name=name).to(value.device)
                    if compiled.epoch is not None:
                        compiled.epoch.named = None
                if metric is None:
                    compiled.reports[key].update_state(value)
            layer._reports.clear()

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The loss of a batch: compiled losses plus ``self.losses``. May be overridden."""
        compiled = self._require_compiled("compute_loss")
        total = None
        if compiled.loss is not None and y_pred is not None:
            if not compiled.loss.built:
                compiled.loss.build(y_pred, self._declared_names())
                self._place_metrics()
            total = compiled.loss(y, y_pred, sample_weight)
        if not compiled.metrics.built and y is not None:
            self._build_metrics(y, y_pred)
        for extra in self._extra_losses():
            total = extra if total is None else total + extra
        if total is None:
            raise ValueError(
                f"{self._title()} has nothing to minimise: give compile() a `loss`, "
                "or call add_loss() in a layer."
            )
        return total

    def _extra_losses(self) -> list[Any]:
        epoch = self._compiled.epoch if self._compiled is not None else None
        if epoch is None:
            return self.losses
        added = [loss for layer in epoch.layers for loss in layer._losses]
        return added + [variable.regularizer(variable) for variable in epoch.penalized]

    def _forget_losses(self) -> None:
        epoch = self._compiled.epoch if self._compiled is not None else None
        for layer in self._layers() if epoch is None else epoch.layers:
            if layer._adds:
                layer.forget()

    def _layers(self) -> list[Layer]:
        return [module for module in self.modules() if isinstance(module, Layer)]

    def _build_metrics(self, y: Any, y_pred: Any) -> None:
        compiled = self._require_compiled("compute_metrics")
        used = compiled.loss.used if compiled.loss is not None and compiled.loss.built else None
        compiled.metrics.build(y, y_pred, self._declared_names(), used)
        self._place_metrics()

    def _declared_names(self) -> Sequence[str] | None:
        return getattr(self, "output_names", None)

    def _place_metrics(self) -> None:
        """Metrics live where the model lives."""
        compiled = self._compiled
        device = self._device()
        if compiled is not None and device is not None:
            for _, metric in self._named_metrics():
                metric.to(device)

    # -- steps -------------------------------------------------------------------------------------

    def train_step(self, data: Any) -> Mapping[str, Any]:
        """One update from one batch. May be overridden; gives the logs."""
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        compiled = self._require_compiled("train_step")
        self._forget_losses()
        y_pred = (compiled.epoch.call if compiled.epoch is not None else self)(x)
        loss = self.compute_loss(x, y, y_pred, sample_weight)
        compiled.track(loss, x)
        parameters = compiled.epoch.trained if compiled.epoch is not None else self._trained()
        if parameters:
            if not loss.requires_grad:
                raise ValueError(
                    f"{self._title()}: the loss does not depend on any trainable weight, so there is no "
                    "gradient. Does the loss use y_pred, and does the model keep its graph (no detach, "
                    "no numpy) from weights to output?"
                )
            own = isinstance(self.optimizer, optimizers_module.Optimizer)
            scaled = self.optimizer.scale_loss(loss) if own else loss
            gradients = torch.autograd.grad(scaled, parameters, allow_unused=True)
            self._update(gradients, parameters)
        return self.compute_metrics(x, y, y_pred, sample_weight)

    def test_step(self, data: Any) -> Mapping[str, Any]:
        """Loss and metrics of one batch. May be overridden; gives the logs."""
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        compiled = self._require_compiled("test_step")
        self._forget_losses()
        y_pred = (compiled.epoch.call if compiled.epoch is not None else self)(x)
        return self._grade(x, y, y_pred, sample_weight)

    def _grade(self, x: Any, y: Any, y_pred: Any, sample_weight: Any) -> Mapping[str, Any]:
        """Loss and metrics of outputs."""
        loss = self.compute_loss(x, y, y_pred, sample_weight, training=False)
        self._require_compiled("test_step").track(loss, x)
        return self.compute_metrics(x, y, y_pred, sample_weight)

    def predict_step(self, data: Any) -> Any:
        """The outputs for one batch. May be overridden."""
        x, _, _ = unpack_x_y_sample_weight(data)
        return self(x)

    def _update(self, gradients: Any, parameters: list[nn.Parameter]) -> None:
        if isinstance(self.optimizer, optimizers_module.Optimizer):
            self.optimizer.apply(gradients, parameters)
            return
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        self.optimizer.step()
        for parameter in parameters:
            parameter.grad = None

    def _trained(self) -> list[nn.Parameter]:
        return [] if self._waiting() else [p for p in self.parameters() if p.requires_grad]

    def _step_function(self, kind: str, steps: float | None, callbacks: CallbackList) -> Any:
        """The step of an epoch: captured if `compile` asks for it, else as it is written. `steps`: of the
        whole run, as far as that is known."""
        compiled, step = self._compiled, self._afresh(kind)
        if compiled is not None:
            if self._compile_arguments["run_eagerly"]:
                return step
            wanted = self._compile_arguments["jit_compile"]
            if wanted is True or (wanted and pays(self, kind, steps, callbacks)):
                fixed = is_settled(self, kind, callbacks)
                return compiled.captured.of(self, kind, wanted is not True, fixed)
        if model_is_settled(self, kind, callbacks):
            call = self._directly()
            if kind == "predict" and self._is_built_in("predict_step"):
                return lambda data: call(unpack_x_y_sample_weight(data)[0])
            if compiled is not None and compiled.epoch is not None:
                compiled.epoch.call = call
                if kind == "test" and self._is_built_in(*_GRADES):
                    return Grader(self, call)
        return step

    def _afresh(self, kind: str) -> Any:
        """A step that forgets what layers added in the one before; the built-in ones do so themselves."""
        step = getattr(self, f"{kind}_step")
        if kind == "predict" or self._is_built_in(f"{kind}_step"):
            return step

        def afresh(data: Any) -> Any:
            self._forget_losses()
            return step(data)

        return afresh

    def _is_built_in(self, *methods: str) -> bool:
        """Whether nobody has written these methods anew."""
        return all(getattr(type(self), name) is getattr(Stepper, name) for name in methods)

    def _directly(self) -> Any:
        """What gives the outputs of this model while nobody changes it."""
        return self

    # -- once an epoch -----------------------------------------------------------------------------

    @contextlib.contextmanager
    def _epoch(self) -> Iterator[None]:
        """Compute once an epoch what would be computed every step."""
        compiled = self._compiled
        collecting.append(True)
        try:
            if compiled is None:
                yield
                return
            outer, compiled.epoch = compiled.epoch, self._make_epoch()
            try:
                yield
            finally:
                self._forget_losses()
                compiled.epoch = outer
        finally:
            collecting.pop()

    def _make_epoch(self) -> _Epoch:
        trained = self._trained()
        penalized = [p for p in trained if getattr(p, "regularizer", None) is not None]
        return _Epoch(self, trained, penalized, self._layers())


class _Compiled:
    """What `compile` made. It is no module, so that metrics stay out of the model's module tree."""

    def __init__(self, loss: CompiledLoss | None, metrics: CompiledMetrics, tracker: Mean) -> None:
        self.loss = loss
        self.metrics = metrics
        self.tracker = tracker
        self.reports: dict[tuple[str, str], Metric] = {}  # of add_metric, by layer and name
        self.epoch: _Epoch | None = None  # None outside of the loop
        self.captured = CapturedSteps()

    def judges(self) -> list[Any]:
        """The losses and metrics, once they are made."""
        losses = (
            [loss for _, _, loss, _ in self.loss.terms] if self.loss and self.loss.built else []
        )
        return [*losses, *self.metrics.metrics]

    def track(self, loss: torch.Tensor, x: Any) -> None:
        """Count the loss of a batch by its number of rows."""
        rows = (x if isinstance(x, torch.Tensor) else leaves(x)[0]).shape[0]
        state = self.tracker._buffers
        state["total"].add_(loss.detach(), alpha=rows)  # type: ignore[union-attr]
        state["count"].add_(rows)  # type: ignore[union-attr]


@dataclass
class _Epoch:
    """What stays the same during an epoch."""

    call: Any  # gives the outputs for inputs: the model, or what comes to the same
    trained: list[nn.Parameter]
    penalized: list[Any]
    layers: list[Layer]
    named: list[tuple[str, Any]] | None = None
