"""The base class, and the list that calls only what a callback overrides."""

from __future__ import annotations

import inspect
from collections.abc import Callable as Function
from collections.abc import MutableMapping
from typing import Any

from kerastorch.saving._state import is_state

Logs = MutableMapping[str, Any]

_MODES = ("train", "test", "predict")
_RUN_HOOKS = [f"on_{mode}_{edge}" for mode in _MODES for edge in ("begin", "end")]
_INDEXED_HOOKS = ["on_epoch_begin", "on_epoch_end", "on_batch_begin", "on_batch_end"] + [
    f"on_{mode}_batch_{edge}" for mode in _MODES for edge in ("begin", "end")
]
HOOKS = (*_RUN_HOOKS, *_INDEXED_HOOKS)


class Callback:
    """What happens besides the arithmetic: subclass it, override some hooks, pass it to `fit`.

    The loop, with every hook in its place::

        on_train_begin(logs)
        for epoch in range(initial_epoch, epochs):
            on_epoch_begin(epoch, logs)
            for batch in range(steps):
                on_train_batch_begin(batch, logs)     # by default calls on_batch_begin
                forward, loss, backward, update, metrics
                on_train_batch_end(batch, logs)       # by default calls on_batch_end
                if model.stop_training: break
            on_test_begin(logs)                       # only with validation data
            for batch in range(validation_steps):
                on_test_batch_begin(batch, logs); forward, metrics; on_test_batch_end(batch, logs)
            on_test_end(logs)
            on_epoch_end(epoch, logs)
            if model.stop_training: break
        on_train_end(logs)

    `evaluate` is the ``test`` part alone; `predict` has the same shape with ``on_predict_...``.
    Epochs and batches count from 0. `logs` maps names to values: after a batch the running values
    since the epoch began, possibly 0-d tensors on the device (``float(value)`` waits for it);
    after an epoch Python floats, with ``val_`` values, in a dict that callbacks may add to.

    Attributes: `model`; `params`, a dict with ``epochs``, ``steps`` (None if unknown), ``verbose``.

    >>> import kerastorch as keras
    >>> class Losses(keras.callbacks.Callback):
    ...     def on_train_begin(self, logs=None):
    ...         self.values = []
    ...
    ...     def on_batch_end(self, batch, logs=None):
    ...         self.values.append(float(logs["loss"]))
    """

    def __init__(self) -> None:
        self.model: Any = None
        self.params: dict[str, Any] = {}

    def set_model(self, model: Any) -> None:
        """Called once before training, with the model that is trained."""
        self.model = model

    def set_params(self, params: dict[str, Any]) -> None:
        """Called once before training, with what `params` is to hold."""
        self.params = params

    def state_dict(self) -> dict[str, Any]:
        """What a continued run needs to know: the attributes that are tensors, plain values or nests
        of them, and that are not arguments of the constructor."""
        given = {"model", "params", *inspect.signature(type(self).__init__).parameters}
        found = vars(self).items()
        return {name: value for name, value in found if name not in given and is_state(value)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take what `state_dict` gave, after `on_train_begin`."""
        vars(self).update(state)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Before `fit` begins."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """When `fit` ends; `logs` are those of the last epoch."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Before an epoch of `fit`."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """After an epoch of `fit` and its validation."""

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """The same as `on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """The same as `on_train_batch_end`."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a training step."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a training step."""
        self.on_batch_end(batch, logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Before `evaluate`, or validation within `fit`."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """After `evaluate`, or validation within `fit`."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of `evaluate`, or of validation within `fit`."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of `evaluate`, or of validation within `fit`."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Before `predict`."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """After `predict`."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of `predict`."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of `predict`; ``logs["outputs"]`` holds its output."""


class LambdaCallback(Callback):
    """A callback from functions, each given under the name of its hook.

    Epoch and batch hooks are called as ``f(index, logs)``, the others as ``f(logs)``. Other keyword
    arguments become attributes. Keras: ``keras.callbacks.LambdaCallback``.

    >>> import kerastorch as keras
    >>> tell = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs))
    >>> keras.callbacks.CallbackList([tell]).on_epoch_end(3, {"loss": 0.5})
    3 {'loss': 0.5}
    """

    def __init__(
        self,
        on_epoch_begin: Function[[int, Logs], Any] | None = None,
        on_epoch_end: Function[[int, Logs], Any] | None = None,
        on_train_begin: Function[[Logs], Any] | None = None,
        on_train_end: Function[[Logs], Any] | None = None,
        on_train_batch_begin: Function[[int, Logs], Any] | None = None,
        on_train_batch_end: Function[[int, Logs], Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        named = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
        }
        for name, value in {**named, **kwargs}.items():
            if name.startswith("on_") and name not in HOOKS:
                raise ValueError(f"LambdaCallback: {name!r} is not a hook. Hooks: {list(HOOKS)}.")
            if value is not None:
                setattr(self, name, value)
