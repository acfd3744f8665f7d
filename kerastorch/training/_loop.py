"""`Trainer`: fit, evaluate, predict, and their single-batch forms."""

from __future__ import annotations

import contextlib
import itertools
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from kerastorch import data as data_module
from kerastorch import optimizers as optimizers_module
from kerastorch import tree
from kerastorch.callbacks import CallbackList, History
from kerastorch.data import Batches, unpack_x_y_sample_weight
from kerastorch.layers._mode import in_mode
from kerastorch.losses import Loss, check_targets
from kerastorch.training._class_weight import ClassWeight
from kerastorch.training._logs import Logs, to_floats
from kerastorch.training._outputs import match
from kerastorch.training._step import Stepper, device_of


class Trainer(Stepper):
    """The loops of a model."""

    stop_training: bool = False
    history: History | None = None

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
            made = optimizer(parameters)
            if not isinstance(made, torch.optim.Optimizer):
                raise TypeError(
                    f"compile: `optimizer` {optimizer!r} was called with the parameters and gave "
                    f"{type(made).__name__}, not a torch optimizer."
                )
            self.optimizer = made

    def _placed(self, batch: Any) -> Any:
        device = device_of(self)
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
        device = device_of(self)
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
        class_weight: Any = None,
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
            class_weight: ``{class: weight}``, or by output name; classes left out weigh 1.
            sample_weight: one weight a row, or a list or dict of them by output.
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
        train, validation = self._training_data(
            x, y, sample_weight, batch_size, shuffle, validation_split, validation_data,
            validation_batch_size or batch_size,
        )  # fmt: skip
        self._prepare(train)
        if class_weight is not None:
            train = ClassWeight(class_weight, self._names()).apply(train)
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

    def _names(self) -> list[str] | None:
        declared = self._declared_names()
        return None if declared is None else list(declared)

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
                doubt = check_targets(loss, targets[i], outputs[i].shape)
                if doubt is not None:
                    warnings.warn(doubt, stacklevel=3)

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
        batch = self._single(x, y, sample_weight)
        if class_weight is not None:
            batch = self._placed(ClassWeight(class_weight, self._names()).weigh(batch))
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


def _flush(optimizer: Any) -> None:
    """Apply gradients that are still accumulating, so that the tail of an epoch counts."""
    flush = getattr(optimizer, "flush", None)
    if flush is not None:
        flush()


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
