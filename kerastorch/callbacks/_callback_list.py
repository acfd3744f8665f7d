"""A list of callbacks that is itself a callback: the only one the training loop talks to."""

from __future__ import annotations

from collections.abc import Callable as Function
from collections.abc import Iterable
from typing import Any

from kerastorch.callbacks._callback import _INDEXED_HOOKS, HOOKS, Callback, Logs
from kerastorch.callbacks._history import History
from kerastorch.callbacks._progbar_logger import ProgbarLogger

# A training hook also fires for the callbacks that override its short name.
_SHORT_NAMES = {"on_train_batch_begin": "on_batch_begin", "on_train_batch_end": "on_batch_end"}


class CallbackList(Callback):
    """Passes every hook on to the callbacks that override it, and to no others.

    The progress bar comes first, so that its line is complete when others print; the history comes
    last, so that it records what others add to the logs. Neither is added twice. A hook that nobody
    overrides stays the no-op of `Callback`; `has_batch_hooks` tells whether batches have listeners.

    `params` are ``verbose``, ``epochs`` and ``steps``. Keras: ``keras.callbacks.CallbackList``.

    >>> import kerastorch as keras
    >>> callbacks = keras.callbacks.CallbackList(add_history=True, epochs=1)
    >>> callbacks.on_train_begin()
    >>> callbacks.on_epoch_end(0, {"loss": 0.5})
    >>> callbacks.history.history, callbacks.has_batch_hooks("train")
    ({'loss': [0.5]}, False)
    """

    def __init__(
        self,
        callbacks: Callback | Iterable[Callback] | None = None,
        add_history: bool = False,
        add_progbar: bool = False,
        model: Any = None,
        **params: Any,
    ) -> None:
        super().__init__()
        given = [callbacks] if isinstance(callbacks, Callback) else list(callbacks or ())
        for position, callback in enumerate(given):
            _check(callback, position)
        self.callbacks: list[Callback] = given
        if add_progbar and not any(isinstance(c, ProgbarLogger) for c in given):
            self.callbacks.insert(0, ProgbarLogger())
        if add_history and not any(isinstance(c, History) for c in given):
            self.callbacks.append(History())
        self.callbacks.sort(key=lambda callback: getattr(callback, "runs_last", False))
        self._listened: set[str] = set()
        for hook in HOOKS:
            listeners = [getattr(c, hook) for c in self.callbacks if _overrides(c, hook)]
            if listeners:
                self._listened.add(hook)
                setattr(self, hook, (_each_indexed if hook in _INDEXED_HOOKS else _each)(listeners))
        if model is not None:
            self.set_model(model)
        if params:
            self.set_params(params)

    @property
    def history(self) -> History | None:
        """The `History` in the list, or None."""
        return next((c for c in self.callbacks if isinstance(c, History)), None)

    def find_state(self) -> Any:
        """The state of an interrupted run that one of the callbacks has kept, or None."""
        finders = (c.find_state for c in self.callbacks if hasattr(c, "find_state"))
        return next((state for find in finders if (state := find()) is not None), None)

    def has_batch_hooks(self, mode: str) -> bool:
        """Whether anybody listens to the batches of `mode`: "train", "test" or "predict"."""
        return not self._listened.isdisjoint(_batch_hooks(mode))

    def listeners(self, mode: str) -> list[Callback]:
        """The callbacks that listen to the batches of `mode`."""
        return [c for c in self.callbacks if any(_overrides(c, h) for h in _batch_hooks(mode))]

    def set_model(self, model: Any) -> None:
        """Hand the model to every callback."""
        super().set_model(model)
        for callback in self.callbacks:
            callback.set_model(model)

    def set_params(self, params: dict[str, Any]) -> None:
        """Hand the parameters to every callback."""
        super().set_params(params)
        for callback in self.callbacks:
            callback.set_params(params)


def _batch_hooks(mode: str) -> list[str]:
    return [f"on_{mode}_batch_{edge}" for edge in ("begin", "end")]


def _check(callback: Any, position: int) -> None:
    if isinstance(callback, Callback):
        return
    hint = ""
    if isinstance(callback, type) and issubclass(callback, Callback):
        hint = f" Write {callback.__name__}() to make an instance of the class."
    elif callable(callback):
        hint = " Wrap a function: LambdaCallback(on_epoch_end=function)."
    raise TypeError(
        f"callbacks[{position}]: expected a kerastorch.callbacks.Callback, "
        f"received {callback!r} of type {type(callback).__name__}.{hint}"
    )


def _overrides(callback: Callback, hook: str) -> bool:
    """Whether the callback's class, or the object itself, replaces the hook of `Callback`."""
    names = {hook, _SHORT_NAMES.get(hook, hook)}
    return any(
        name in vars(callback) or getattr(type(callback), name) is not getattr(Callback, name)
        for name in names
    )


def _each(listeners: list[Function[[Logs], Any]]) -> Function[..., None]:
    def call(logs: Logs | None = None) -> None:
        logs = {} if logs is None else logs
        for listener in listeners:
            listener(logs)

    return call


def _each_indexed(listeners: list[Function[[int, Logs], Any]]) -> Function[..., None]:
    def call(index: int, logs: Logs | None = None) -> None:
        logs = {} if logs is None else logs
        for listener in listeners:
            listener(index, logs)

    return call
