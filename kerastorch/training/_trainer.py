"""`Trainer`: compile, fit, evaluate, predict, and the steps that a user may override."""

from __future__ import annotations

import contextlib
import itertools
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from kerastorch import data as data_module
from kerastorch import optimizers as optimizers_module
from kerastorch import tree
from kerastorch.callbacks import CallbackList, History
from kerastorch.data import Batches, unpack_x_y_sample_weight
from kerastorch.layers._layer import Layer, collecting
from kerastorch.layers._mode import in_mode
from kerastorch.losses import Loss, check_targets
from kerastorch.metrics import Mean, Metric
from kerastorch.training._logs import Logs, to_floats
from kerastorch.training._outputs import CompiledLoss, CompiledMetrics, leaves, match


class Trainer(Layer):
    """The training half of `Model`."""

    optimizer: Any = None
    stop_training: bool = False
    history: History | None = None
    _compiled: _Compiled | None = None

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
            run_eagerly, steps_per_execution, jit_compile, auto_scale_loss: steps run eagerly;
                ``jit_compile=True`` is not available yet.

        >>> import kerastorch as keras
        >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
        >>> model.compile(optimizer="adam", loss="mse", metrics=["mae"])
        """
        if jit_compile is True:
            raise NotImplementedError(
                "compile(jit_compile=True): whole-step compilation is not available yet. "
                "torch.compile(model) compiles the forward pass."
            )
        if steps_per_execution != 1:
            raise NotImplementedError("compile(steps_per_execution=...): only 1 is available yet.")
        chosen = optimizers_module.get(optimizer)
        if chosen is None:
            raise ValueError("compile: `optimizer` must not be None.")
        compiled = _Compiled(
            CompiledLoss(loss, loss_weights) if loss is not None else None,
            CompiledMetrics(metrics, weighted_metrics),
            Mean(name="loss"),
        )
        self.optimizer = chosen
        self._compiled = compiled
        self._compile_arguments = {
            "optimizer": optimizer,
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
        }

    @property
    def compiled(self) -> bool:
        """Whether `compile` has been called."""
        return self._compiled is not None

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
        return named

    def reset_metrics(self) -> None:
        """Start every metric anew."""
        for metric in self.metrics:
            metric.reset_state()

    def get_metrics_result(self) -> Mapping[str, Any]:
        """Running values by name; computed and fetched when first read."""
        return Logs(self._results)

    def _results(self) -> dict[str, Any]:
        compiled = self._compiled
        epoch = compiled.epoch if compiled is not None else None
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
                with torch.no_grad():
                    compiled.metrics.update(y, y_pred, sample_weight)
        return self.get_metrics_result()

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
            if layer._losses:
                layer._losses.clear()

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
        device = _device_of(self)
        if compiled is not None and device is not None:
            for _, metric in self._named_metrics():
                metric.to(device)

    # -- steps -------------------------------------------------------------------------------------

    def train_step(self, data: Any) -> Mapping[str, Any]:
        """One update from one batch. May be overridden; gives the logs."""
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        compiled = self._require_compiled("train_step")
        self._forget_losses()
        y_pred = self(x)
        loss = self.compute_loss(x, y, y_pred, sample_weight)
        compiled.tracker.update_state(loss.detach(), sample_weight=_rows(x))
        parameters = compiled.epoch.trained if compiled.epoch is not None else self._trained()
        if parameters:
            if not loss.requires_grad:
                raise ValueError(
                    f"{self._title()}: the loss does not depend on any trainable weight, so there is no "
                    "gradient. Does the loss use y_pred, and does the model keep its graph (no detach, "
                    "no numpy) from weights to output?"
                )
            gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
            self._update(gradients, parameters)
        return self.compute_metrics(x, y, y_pred, sample_weight)

    def test_step(self, data: Any) -> Mapping[str, Any]:
        """Loss and metrics of one batch. May be overridden; gives the logs."""
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        compiled = self._require_compiled("test_step")
        self._forget_losses()
        y_pred = self(x)
        loss = self.compute_loss(x, y, y_pred, sample_weight, training=False)
        compiled.tracker.update_state(loss.detach(), sample_weight=_rows(x))
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

    # -- before the loop -----------------------------------------------------------------------------

    def _prepare(self, batches: Batches) -> None:
        """Build weights, check the first rows, and build the optimizer, before anything changes."""
        first = batches.first()
        if first is not None:
            x, _, _ = unpack_x_y_sample_weight(first)
            self._build_from(x)
            self._check_inputs(x)
        self._place_metrics()
        if self.compiled:
            self._build_optimizer()

    def _build_from(self, x: Any) -> None:
        """Make all weights from a batch without running it through the model where possible."""
        if all(getattr(module, "built", True) for module in self.modules()):
            return
        shapes = tree.map_structure(lambda t: (None, *t.shape[1:]), x)
        try:
            self.build(shapes)
        except Exception:
            # A call() that needs values (not only shapes) is built by running it.
            with in_mode(self, False), torch.no_grad():
                self(self._placed(x))

    def _check_inputs(self, x: Any) -> None:
        """Raise unless `x` is what the model takes; a model whose inputs are known can tell."""

    def _symbolic_outputs(self) -> list[Any]:
        """The outputs with their shapes, where they are known before any data is seen."""
        return []

    def _build_optimizer(self) -> None:
        optimizer = self.optimizer
        if self._waiting():
            return
        parameters = list(self.parameters())
        if isinstance(optimizer, optimizers_module.Optimizer):
            if not optimizer.built and parameters:
                optimizer.build(parameters)
        elif not isinstance(optimizer, torch.optim.Optimizer):
            self.optimizer = optimizer(parameters)

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
        return _Epoch(trained, penalized, self._layers())

    def _placed(self, batch: Any) -> Any:
        device = _device_of(self)
        if device is None:
            return batch
        return tree.map_structure(
            lambda t: t.to(device, non_blocking=True) if isinstance(t, torch.Tensor) else t, batch
        )

    def _batches(self, batches: Batches) -> Iterable[Any]:
        """The batches of one epoch, on the device of the model."""
        if self._waiting():  # the data could not be looked at before: build from its first batch
            rest = iter(batches)
            for batch in itertools.islice(rest, 1):
                self._build_from(unpack_x_y_sample_weight(batch)[0])
                self._place_metrics()
                if self.compiled:
                    self._build_optimizer()
                if self._compiled is not None and self._compiled.epoch is not None:
                    self._compiled.epoch = self._make_epoch()
                batches = itertools.chain([batch], rest)  # type: ignore[assignment]
        device = _device_of(self)
        if device is None or device.type == "cpu":
            return batches
        return map(self._placed, batches)

    # -- fit -----------------------------------------------------------------------------------------

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: int | str = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool | str = True,
        class_weight: dict[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int = 1,
    ) -> History:
        """Train for a number of epochs.

        Args:
            x, y: arrays, tensors, or lists or dicts of them by input and output; or a DataLoader.
            batch_size: rows a step (default 32). The last batch of an epoch may be smaller.
            epochs: the epoch to stop after, counted from 0: with `initial_epoch` 2, ``epochs=5``
                runs three.
            verbose: 0 silent, 1 progress bar, 2 one line an epoch, "auto" 1.
            callbacks: list of `kerastorch.callbacks.Callback`.
            validation_split: this last fraction of the rows is held out, before any shuffle.
            validation_data: ``(x, y)`` or ``(x, y, sample_weight)`` or a DataLoader.
            shuffle: new order of the rows each epoch; ``"batch"`` shuffles whole batches.
            sample_weight: one weight a row.
            steps_per_epoch: read only this many batches an epoch.

        Returns:
            `History`: ``history.history[name]`` has one float an epoch.

        >>> import numpy as np, kerastorch as keras
        >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> history = model.fit(np.ones((8, 3)), np.ones(8), epochs=2, verbose=0)
        >>> sorted(history.history), history.epoch
        (['loss'], [0, 1])
        """
        self._require_compiled("fit")
        _check_count("epochs", epochs, 0)
        _check_count("initial_epoch", initial_epoch, 0)
        _check_optional("steps_per_epoch", steps_per_epoch)
        _check_optional("validation_steps", validation_steps)
        _check_optional("validation_batch_size", validation_batch_size)
        if class_weight is not None:
            raise NotImplementedError(
                "fit: `class_weight` is not available yet; pass `sample_weight`."
            )
        train, validation = self._training_data(
            x, y, sample_weight, batch_size, shuffle, validation_split, validation_data,
            validation_batch_size or batch_size,
        )  # fmt: skip
        self._prepare(train)
        for batches in (validation, train):
            if batches is not None:
                self._check_targets(batches)

        steps = train.steps if steps_per_epoch is None else steps_per_epoch
        notify = _callbacks(
            self, callbacks, history=True, verbose=verbose, epochs=epochs, steps=steps
        )
        self.stop_training = False
        logs: dict[str, Any] = {}
        notify.on_train_begin()
        try:
            for epoch in range(initial_epoch, epochs):
                self.reset_metrics()
                notify.on_epoch_begin(epoch)
                with in_mode(self, True), self._epoch():
                    own = self._run_epoch(
                        self._batches(train), steps, self.train_step, notify, "train"
                    )
                    _flush(self.optimizer)
                    logs = to_floats(self._results() if own is None else own)
                if validation is not None and (epoch + 1 - initial_epoch) % validation_freq == 0:
                    results = self._run_evaluation(validation, validation_steps, notify)
                    logs |= {f"val_{name}": value for name, value in results.items()}
                notify.on_epoch_end(epoch, logs)
                if self.stop_training:
                    break
            if hasattr(self.optimizer, "finalize_variable_values"):
                self.optimizer.finalize_variable_values(self._trained())
        finally:
            notify.on_train_end(logs)
        self.history = notify.history
        return self.history  # type: ignore[return-value]

    def _training_data(
        self,
        x: Any,
        y: Any,
        sample_weight: Any,
        batch_size: int | None,
        shuffle: bool | str,
        validation_split: float,
        validation_data: Any,
        validation_batch_size: int | None,
    ) -> tuple[Batches, Batches | None]:
        if not isinstance(validation_split, (int, float)) or not 0 <= validation_split < 1:
            raise ValueError(
                "`validation_split` must be in (0, 1), the fraction of rows to hold out, "
                f"received {validation_split!r}."
            )
        train = data_module.adapt(x, y, sample_weight, batch_size=batch_size, shuffle=shuffle)
        validation = None
        if validation_data is not None:
            validation = self._evaluation_data(validation_data, validation_batch_size)
        elif validation_split:
            if not isinstance(train, data_module.ArrayBatches):
                raise ValueError(
                    "`validation_split` needs arrays, whose last rows it holds out; "
                    f"received {type(x).__name__}. Use `validation_data`."
                )
            whole = data_module.to_tensors(x, y, sample_weight)
            first, last = data_module.split(whole, validation_split)
            train = data_module.ArrayBatches(first, batch_size or 32, shuffle)
            validation = data_module.ArrayBatches(last, validation_batch_size or 32)
        return train, validation

    @staticmethod
    def _evaluation_data(given: Any, batch_size: int | None) -> Batches:
        if isinstance(given, (tuple, list)):
            if not 2 <= len(given) <= 3:
                raise ValueError(
                    "`validation_data` must be (x, y) or (x, y, sample_weight), "
                    f"received {len(given)} entries."
                )
            x, y, weight = (*given, None)[:3]
            return data_module.adapt(x, y, weight, batch_size=batch_size)
        return data_module.adapt(given, batch_size=None)

    def _check_targets(self, batches: Batches) -> None:
        """Targets that no loss could mean, found before the first step rather than in silence."""
        compiled, outputs = self._compiled, self._symbolic_outputs()
        if compiled is None or compiled.loss is None or not outputs:
            return
        if not isinstance(batches, data_module.ArrayBatches):
            return
        if not compiled.loss.built:
            compiled.loss.build(outputs, self._declared_names())
        _, y, _ = unpack_x_y_sample_weight(batches.whole())
        targets = match("y", y, compiled.loss.names, compiled.loss.used)
        for i, _, loss, _ in compiled.loss.terms:
            if isinstance(targets[i], torch.Tensor) and isinstance(loss, Loss):
                check_targets(loss, targets[i], outputs[i].shape)

    def _run_epoch(
        self,
        batches: Iterable[Any],
        steps: int | None,
        step_function: Callable[[Any], Any],
        notify: CallbackList,
        mode: str,
    ) -> Any:
        """Step through the batches, with the hooks of `mode` around each. Gives what an own step
        function gave last, None for the built-in one."""
        begin = getattr(notify, f"on_{mode}_batch_begin")
        end = getattr(notify, f"on_{mode}_batch_end")
        heard = notify.has_batch_hooks(mode)
        own: Any = None
        kept: Any = None
        for step, batch in enumerate(batches):
            if step == steps:
                break
            if heard:
                begin(step)
                logs = kept() if kept is not None else None
                if logs is not None:  # somebody kept the logs of the last step
                    logs.fetch()
            logs = step_function(batch)
            if heard:
                end(step, logs)
            if isinstance(logs, Logs):
                kept = weakref.ref(logs)
            else:
                own = logs
            logs = None
            if self.stop_training and mode == "train":
                break
        return own

    # -- evaluate and predict ------------------------------------------------------------------------

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """Loss and metrics on data, in evaluation mode.

        Returns:
            ``[loss, metric, ...]`` in the order of `metrics_names`; a float if there is only the
            loss; a dict if `return_dict`.
        """
        self._require_compiled("evaluate")
        _check_optional("steps", steps)
        batches = data_module.adapt(x, y, sample_weight, batch_size=batch_size)
        self._prepare(batches)
        self._check_targets(batches)
        notify = _callbacks(
            self, callbacks, history=False, verbose=verbose, steps=steps or batches.steps
        )
        with self._metrics_kept():
            results = self._run_evaluation(batches, steps, notify)
        if return_dict:
            return results
        values = list(results.values())
        return values[0] if len(values) == 1 else values

    @contextlib.contextmanager
    def _metrics_kept(self) -> Iterator[None]:
        """Within a training epoch: its metrics go on afterwards as if nothing had been evaluated."""
        if self._compiled is None or self._compiled.epoch is None:
            yield
            return
        states = [(b, b.clone()) for metric in self.metrics for b in metric.buffers()]
        try:
            yield
        finally:
            with torch.no_grad():
                for buffer, value in states:
                    buffer.copy_(value)

    def _run_evaluation(
        self, batches: Batches, steps: int | None, notify: CallbackList
    ) -> dict[str, Any]:
        self.reset_metrics()
        notify.on_test_begin()
        with in_mode(self, False), torch.no_grad(), self._epoch():
            own = self._run_epoch(self._batches(batches), steps, self.test_step, notify, "test")
            logs = to_floats(self._results() if own is None else own)
        notify.on_test_end(logs)
        return logs

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: int | str = 0,
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """Outputs for all rows as numpy arrays, in evaluation mode.

        Returns:
            An array; for several outputs a list or dict of them, as the model gives them.
        """
        _check_optional("steps", steps)
        batches = data_module.adapt(x, batch_size=batch_size)
        if batches.first() is not None:
            self._prepare(batches)
        notify = _callbacks(
            self, callbacks, history=False, verbose=verbose, steps=steps or batches.steps
        )
        parts: list[list[torch.Tensor]] = []
        spec: Any = None

        def step(batch: Any) -> dict[str, Any]:
            nonlocal spec
            outputs, spec = tree.flatten_with_spec(self.predict_step(batch))
            parts.append([output.detach().cpu() for output in outputs])
            return {"outputs": outputs}

        notify.on_predict_begin()
        with in_mode(self, False), torch.no_grad():
            self._run_epoch(self._batches(batches), steps, step, notify, "predict")
        notify.on_predict_end()
        if not parts:
            raise ValueError("predict: the data gave no batch.")
        return tree.unflatten([_array(column) for column in zip(*parts, strict=True)], spec)

    # -- single batches ------------------------------------------------------------------------------

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Any = None,
        return_dict: bool = False,
        reset_metrics: bool = True,
    ) -> Any:
        """One update from one batch. Gives loss and metrics, over several batches if metrics are not reset."""
        self._require_compiled("train_on_batch")
        if class_weight is not None:
            raise NotImplementedError("train_on_batch: `class_weight` is not available yet.")
        batch = self._single(x, y, sample_weight)
        if reset_metrics:
            self.reset_metrics()
        self._build_optimizer()
        with in_mode(self, True):
            logs = self.train_step(batch)
        return _scalars(logs, return_dict)

    def test_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        return_dict: bool = False,
        reset_metrics: bool = True,
    ) -> Any:
        """Loss and metrics of one batch, in evaluation mode."""
        self._require_compiled("test_on_batch")
        batch = self._single(x, y, sample_weight)
        if reset_metrics:
            self.reset_metrics()
        with in_mode(self, False), torch.no_grad():
            logs = self.test_step(batch)
        return _scalars(logs, return_dict)

    def predict_on_batch(self, x: Any) -> Any:
        """Outputs for one batch as numpy arrays, in evaluation mode."""
        batch = self._single(x, None, None)
        with in_mode(self, False), torch.no_grad():
            outputs = self.predict_step(batch)
        return tree.map_structure(lambda t: _array([t.detach().cpu()]), outputs)

    def _single(self, x: Any, y: Any, sample_weight: Any) -> Any:
        batches = data_module.ArrayBatches(data_module.to_tensors(x, y, sample_weight), 1 << 62)
        self._prepare(batches)
        return next(iter(self._batches(batches)))


class _Compiled:
    """What `compile` made. It is no module, so that metrics stay out of the model's module tree."""

    def __init__(self, loss: CompiledLoss | None, metrics: CompiledMetrics, tracker: Mean) -> None:
        self.loss = loss
        self.metrics = metrics
        self.tracker = tracker
        self.epoch: _Epoch | None = None  # None outside of the loop


@dataclass
class _Epoch:
    """What stays the same during an epoch."""

    trained: list[nn.Parameter]
    penalized: list[Any]
    layers: list[Layer]
    named: list[tuple[str, Any]] | None = None


def _callbacks(
    model: Any, callbacks: Any, *, history: bool, verbose: int | str, **params: Any
) -> CallbackList:
    if isinstance(callbacks, CallbackList):
        return callbacks
    level = 1 if verbose == "auto" else verbose
    if level not in (0, 1, 2):
        raise ValueError(f"`verbose` must be 0, 1, 2 or 'auto', received {verbose!r}.")
    return CallbackList(
        callbacks, add_history=history, add_progbar=level != 0, model=model, verbose=level, **params
    )


def _rows(x: Any) -> int:
    return leaves(x)[0].shape[0]


def _flush(optimizer: Any) -> None:
    """Apply gradients that are still accumulating, so that the tail of an epoch counts."""
    flush = getattr(optimizer, "flush", None)
    if flush is not None:
        flush()


def _device_of(model: Any) -> torch.device | None:
    for module in model.modules():
        for tensor in (*module._parameters.values(), *module._buffers.values()):
            if tensor is not None:
                return tensor.device
    return None


def _array(parts: Sequence[torch.Tensor]) -> np.ndarray[Any, Any]:
    whole = parts[0] if len(parts) == 1 else torch.cat(list(parts))
    return (whole.float() if whole.dtype == torch.bfloat16 else whole).numpy()


def _scalars(logs: Mapping[str, Any], return_dict: bool) -> Any:
    values = dict(to_floats(dict(logs)))
    if return_dict:
        return values
    flat = list(values.values())
    return flat[0] if len(flat) == 1 else flat


def _check_count(name: str, value: Any, lowest: int) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < lowest:
        raise ValueError(f"`{name}` must be an integer >= {lowest}, received {value!r}.")


def _check_optional(name: str, value: Any) -> None:
    if value is not None:
        _check_count(name, value, 1)
