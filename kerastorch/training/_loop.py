"""`Trainer`: fit, evaluate, predict, and their single-batch forms."""

from __future__ import annotations

import contextlib
import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from kerastorch import config, tree
from kerastorch import data as data_module
from kerastorch.callbacks import CallbackList, History
from kerastorch.data import (
    ArrayBatches,
    Batches,
    Epochs,
    carried,
    settle,
    unpack_x_y_sample_weight,
)
from kerastorch.layers._mode import in_mode
from kerastorch.saving._state import read_state
from kerastorch.training._class_weight import ClassWeight
from kerastorch.training._finite import LossWatch
from kerastorch.training._grading import Grader
from kerastorch.training._inputs import (
    check_frequency,
    check_optional,
    checked_epochs,
    checking_validation,
    epoch_steps,
    say_if_one_of_many,
    training_data,
    use_workers,
)
from kerastorch.training._logs import Logs, to_floats
from kerastorch.training._resume import Resumable
from kerastorch.training._state import (
    Progress,
    check,
    random_state,
    rewind,
)

_RAN_OUT = (
    "Your input ran out of data; interrupting training. Make sure that your dataset or generator can "
    "generate at least `steps_per_epoch * epochs` batches. You may need to use the `repeat()` method "
    "when building your dataset."
)
_TOO_FEW = "Your input ran out of data: it gave {} batches where {} were asked for."


class Trainer(Resumable):
    """The loops of a model."""

    stop_training: bool = False
    history: History | None = None

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
        validation_freq: Any = 1,
        max_queue_size: int = 10,
        workers: int = 1,
        use_multiprocessing: bool = False,
        *,
        resume_from: Any = None,
    ) -> History:
        """Train for a number of epochs.

        Args:
            x, y: arrays, tensors or data frames, or lists or dicts of them by input and output. Or `x`
                alone: a `Dataset`, `PyDataset`, torch DataLoader or Dataset, or a generator, whose items
                are batches ``(x, y)`` or ``(x, y, sample_weight)``.
            batch_size: rows a step (default 32). The last batch of an epoch may be smaller.
            epochs: the epoch to stop after, counted from 0: with `initial_epoch` 2, ``epochs=5``
                runs three.
            verbose: 0 silent, 1 progress bar, 2 one line an epoch, "auto" 1, or 2 after
                `config.disable_interactive_logging`.
            callbacks: list of `kerastorch.callbacks.Callback`.
            validation_split: this last fraction of the rows is held out, before any shuffle.
            validation_data: ``(x, y)`` or ``(x, y, sample_weight)``, or what `x` alone may be.
            shuffle: new order of the rows each epoch; ``"batch"`` shuffles whole batches. A `PyDataset`
                is read in a new order of batches; other data bring their own order.
            class_weight: ``{class: weight}``, or by output name; classes left out weigh 1.
            sample_weight: one weight a row, or a list or dict of them by output.
            steps_per_epoch: batches an epoch. A `Dataset`, DataLoader or generator goes on where the
                epoch before stopped, unless this is its whole length; when it has no batches left,
                training ends with a warning. Nothing is read twice.
            validation_steps: read only this many batches, the same ones each time.
            validation_freq: validate every so many epochs, or after the epochs in a list.
            max_queue_size, workers, use_multiprocessing: for a `PyDataset`, see there.
            resume_from: a file that `callbacks.BackupAndRestore` wrote. The run continues at the batch
                where it was taken and ends as if it had never been interrupted. The callback finds
                its own file by itself.

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
        if self._is_built_in("train_step"):
            say_if_one_of_many()
        epochs = checked_epochs(epochs, initial_epoch)
        check_optional("validation_batch_size", validation_batch_size)
        check_frequency(validation_freq)
        train, validation = training_data(
            x, y, sample_weight, batch_size, shuffle, validation_split, validation_data,
            validation_batch_size,
        )  # fmt: skip
        use_workers(train, workers, use_multiprocessing, max_queue_size)
        steps_per_epoch = epoch_steps("steps_per_epoch", steps_per_epoch, train)
        if validation is not None:
            use_workers(validation, workers, use_multiprocessing, max_queue_size)
            validation_steps = epoch_steps("validation_steps", validation_steps, validation)
        notify = _callbacks(self, callbacks, history=True, verbose=verbose, epochs=epochs)
        state = notify.find_state() if resume_from is None else read_state(resume_from)
        if state is not None:
            check(state, train)
            rewind(state, train)
        source = Epochs(train, steps_per_epoch, snapshot=random_state)
        source.prepare()
        with contextlib.ExitStack() as ends:
            for batches in filter(None, (train, validation)):
                ends.callback(batches.close)
            drawn = None
            if state is not None and train.first() is not None and train.opened:
                drawn = random_state()
            self._prepare(train, "train_step")
            if state is not None:
                self._make_metrics(train)
            if class_weight is not None:
                weights = ClassWeight(class_weight, self._names())
                weights.check(self._symbolic_outputs())
                if isinstance(train, ArrayBatches):
                    source.batches = train = weights.apply(train)
                else:
                    source.transform = weights.weigh
            self._check_targets(train)
            if isinstance(validation, ArrayBatches):
                with checking_validation():
                    if self._is_built_in("test_step"):
                        self._check_inputs(unpack_x_y_sample_weight(validation.first())[0])
                    self._check_targets(validation)
            for batches in filter(None, (train, validation)):
                settle(batches, self._device())
            resumed = {} if state is None else {"resumed": True}
            notify.set_params({**notify.params, "steps": steps_per_epoch or train.steps, **resumed})
            ends.callback(source.close)
            self._progress = Progress(source, notify, initial_epoch)
            ends.callback(setattr, self, "_progress", None)
            if state is not None:
                self._rewound(state, drawn)
            self._train(epochs, validation, validation_steps, validation_freq, state)
        self.history = notify.history
        return self.history  # type: ignore[return-value]

    def _train(
        self,
        epochs: int,
        validation: Batches | None,
        validation_steps: int | None,
        validation_freq: Any,
        state: Any,
    ) -> None:
        progress = self._progress
        assert progress is not None
        source, notify = progress.source, progress.callbacks
        self.stop_training = False
        logs: dict[str, Any] = {}
        watch = LossWatch(source.batches)
        runs = epochs - progress.epoch
        length = _product(source.steps or source.batches.steps, runs)
        notify.on_train_begin()
        try:
            if state is not None:
                progress.epoch, self.stop_training = state["epoch"], state["stop"]
                if not state["batch"]:
                    self._restore(state)
                    state = None
            while progress.epoch < epochs and not self.stop_training:
                epoch = progress.epoch
                if state is None:
                    if not source.begin():
                        break
                    self.reset_metrics()
                notify.on_epoch_begin(epoch)
                if state is not None:  # in the middle of an epoch
                    self._restore(state)
                    state = None
                with in_mode(self, True), self._epoch():
                    step = self._step_function("train", length, notify)
                    own, seen = self._run_epoch(source, step, notify, "train", watch)
                    _flush(self.optimizer)
                    logs = to_floats(self._results() if own is None else own)
                if not self.stop_training:
                    watch.look(logs, f"epoch {epoch + 1}")
                source.end(seen)
                if not seen:
                    break
                if validation is not None and _due(epoch + 1, validation_freq):
                    results = self._run_evaluation(validation, validation_steps, notify, runs)
                    logs |= {f"val_{name}": value for name, value in results.items()}
                progress.epoch, progress.batch = epoch + 1, 0
                notify.on_epoch_end(epoch, logs)
                if source.exhausted:
                    break
            if hasattr(self.optimizer, "finalize_variable_values"):
                self.optimizer.finalize_variable_values(self._trained())
            if source.exhausted and not self.stop_training:
                warnings.warn(_RAN_OUT, stacklevel=3)
            progress.finished = True
        finally:
            notify.on_train_end(logs)

    def _run_epoch(
        self,
        source: Epochs,
        step_function: Callable[[Any], Any],
        notify: CallbackList,
        mode: str,
        watch: LossWatch | None = None,
    ) -> tuple[Any, int]:
        """Step through the batches of an epoch, with the hooks of `mode` around each. Gives what an own
        step function gave last, None for the built-in one, and the number of batches of the epoch, those
        included that a run before this one has seen."""
        begin = getattr(notify, f"on_{mode}_batch_begin")
        end = getattr(notify, f"on_{mode}_batch_end")
        heard = notify.has_batch_hooks(mode)
        every = self._compile_arguments["steps_per_execution"] if self.compiled else 1
        logs: Any = None
        own: Any = None
        kept: Any = None
        progress = self._progress if mode == "train" else None
        start = progress.batch if progress is not None else 0
        seen = start
        for step, batch in enumerate(carried(source, self._device()), start):
            starts, ends = heard and step % every == 0, (step + 1) % every == 0
            if starts:
                begin(step)
                logs = kept() if kept is not None else None
                if logs is not None:  # somebody kept the logs of the last step
                    logs.fetch()
            logs = step_function(batch)
            if progress is not None:
                progress.batch = step + 1
            if heard and ends:
                end(step, logs)
                if watch is not None and not self.stop_training:
                    watch.look(logs, f"step {step + 1} of an epoch", batch)
            if isinstance(logs, Logs):
                kept = weakref.ref(logs)
            else:
                own = logs
            seen = step + 1
            if every == 1 or ends:
                logs = None
                if self.stop_training and mode == "train":
                    break
        if heard and seen % every:
            end(seen - 1, logs)
        return own, seen

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
        max_queue_size: int = 10,
        workers: int = 1,
        use_multiprocessing: bool = False,
    ) -> Any:
        """Loss and metrics on data, in evaluation mode. The arguments are those of `fit`; `steps` is the
        number of batches to read.

        Returns:
            ``[loss, metric, ...]`` in the order of `metrics_names`; a float if there is only the
            loss; a dict if `return_dict`.
        """
        self._require_compiled("evaluate")
        batches = data_module.adapt(x, y, sample_weight, batch_size=batch_size)
        use_workers(batches, workers, use_multiprocessing, max_queue_size)
        steps = epoch_steps("steps", steps, batches)
        with contextlib.closing(batches):
            self._prepare(batches, "test_step")
            self._check_targets(batches)
            settle(batches, self._device())
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
        self, batches: Batches, steps: int | None, notify: CallbackList, runs: int = 1
    ) -> dict[str, Any]:
        length = _product(steps or batches.steps, runs)
        self.reset_metrics()
        notify.on_test_begin()
        with contextlib.closing(Epochs(batches, steps)) as source:
            source.begin()
            with in_mode(self, False), torch.no_grad(), self._epoch():
                step = self._step_function("test", length, notify)
                own, seen = self._run_epoch(source, step, notify, "test")
                if isinstance(step, Grader):
                    step.finish()
                results = self._results() if own is None else own
                logs = to_floats(results) if seen else {}
            source.end(seen)
        if source.exhausted:
            warnings.warn(_TOO_FEW.format(seen, steps or "at least one"), stacklevel=4)
        notify.on_test_end(logs)
        return logs

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: int | str = 0,
        steps: int | None = None,
        callbacks: Any = None,
        max_queue_size: int = 10,
        workers: int = 1,
        use_multiprocessing: bool = False,
    ) -> Any:
        """Outputs for all rows as numpy arrays, in evaluation mode. The arguments are those of `evaluate`;
        targets and weights in the items of `x` are left aside.

        Returns:
            An array; for several outputs a list or dict of them, as the model gives them.
        """
        batches = data_module.adapt(x, batch_size=batch_size)
        use_workers(batches, workers, use_multiprocessing, max_queue_size)
        steps = epoch_steps("steps", steps, batches)
        parts: list[list[torch.Tensor]] = []
        spec: Any = None

        def step(batch: Any) -> dict[str, Any]:
            nonlocal spec
            outputs = predict_step(batch)
            if type(outputs) is torch.Tensor:
                flat = [outputs]
            else:
                flat, spec = tree.flatten_with_spec(outputs)
            parts.append([output.detach().cpu() for output in flat])
            return {"outputs": flat}

        with contextlib.closing(batches):
            self._prepare(batches, "predict_step")
            settle(batches, self._device())
            notify = _callbacks(
                self, callbacks, history=False, verbose=verbose, steps=steps or batches.steps
            )
            notify.on_predict_begin()
            with contextlib.closing(Epochs(batches, steps)) as source:
                source.begin()
                with in_mode(self, False), torch.no_grad():
                    length = steps or batches.steps
                    predict_step = self._step_function("predict", length, notify)
                    _, seen = self._run_epoch(source, step, notify, "predict")
                source.end(seen)
            notify.on_predict_end()
        if source.exhausted:
            warnings.warn(_TOO_FEW.format(seen, steps), stacklevel=2)
        arrays = [_array(column) for column in zip(*parts, strict=True)]
        return arrays[0] if spec is None else tree.unflatten(arrays, spec)

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
        batch = self._single("train_step", x, y, sample_weight)
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
        batch = self._single("test_step", x, y, sample_weight)
        with self._metrics_kept():
            if reset_metrics:
                self.reset_metrics()
            with in_mode(self, False), torch.no_grad():
                logs = self.test_step(batch)
            return _scalars(logs, return_dict)

    def predict_on_batch(self, x: Any) -> Any:
        """Outputs for one batch as numpy arrays, in evaluation mode."""
        batch = self._single("predict_step", x)
        with in_mode(self, False), torch.no_grad():
            outputs = self.predict_step(batch)
        return tree.map_structure(lambda t: _array([t.detach().cpu()]), outputs)

    def _single(self, step: str, x: Any, y: Any = None, sample_weight: Any = None) -> Any:
        batches = ArrayBatches(data_module.to_tensors(x, y, sample_weight), 1 << 62)
        self._prepare(batches, step)
        return self._placed(next(iter(batches)))


def _callbacks(
    model: Any, callbacks: Any, *, history: bool, verbose: int | str, **params: Any
) -> CallbackList:
    if isinstance(callbacks, CallbackList):
        return callbacks
    level = config._verbosity(verbose)
    if level not in (0, 1, 2):
        raise ValueError(f"`verbose` must be 0, 1, 2 or 'auto', received {verbose!r}.")
    return CallbackList(
        callbacks, add_history=history, add_progbar=level != 0, model=model, verbose=level, **params
    )


def _product(steps: float | None, runs: int) -> float | None:
    """The number of steps of several epochs, if it is known."""
    return None if steps is None else steps * runs


def _due(epoch: int, frequency: Any) -> bool:
    """Whether to validate after this epoch, counted from 1."""
    return (
        epoch % frequency == 0 if isinstance(frequency, (int, np.integer)) else epoch in frequency
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
