"""Which hooks are called, with what, and what is free."""

from types import SimpleNamespace

import pytest
import torch

from kerastorch.callbacks import (
    Callback,
    CallbackList,
    History,
    LambdaCallback,
    ProgbarLogger,
    TerminateOnNaN,
)
from kerastorch.callbacks._callback import HOOKS

INDEXED = [hook for hook in HOOKS if "batch" in hook or "epoch" in hook]


class Recorder(Callback):
    """Overrides every hook and notes the calls."""

    def __init__(self):
        super().__init__()
        self.calls = []


def _note(hook):
    return lambda self, *arguments: self.calls.append((hook, *arguments))


for _hook in HOOKS:
    setattr(Recorder, _hook, _note(_hook))


def call(callback, hook, logs):
    getattr(callback, hook)(*([7] if hook in INDEXED else []), *logs)


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_arrives_with_its_logs(hook):
    recorder = Recorder()
    callbacks = CallbackList([recorder])
    logs = {"loss": 1.0}
    call(callbacks, hook, [logs])
    call(callbacks, hook, [])
    index = (7,) if hook in INDEXED else ()
    assert recorder.calls == [(hook, *index, logs), (hook, *index, {})]
    assert recorder.calls[0][-1] is logs


@pytest.mark.parametrize("hook", HOOKS)
def test_a_callback_that_overrides_nothing_costs_nothing(hook):
    callbacks = CallbackList([Callback(), Callback()])
    assert hook not in vars(callbacks)
    call(callbacks, hook, [])


@pytest.mark.parametrize("mode", ["train", "test", "predict"])
def test_has_batch_hooks(mode):
    modes = ["train", "test", "predict"]
    for edge in ("begin", "end"):
        listener = LambdaCallback(**{f"on_{mode}_batch_{edge}": lambda batch, logs: None})
        heard = [m for m in modes if CallbackList([Callback(), listener]).has_batch_hooks(m)]
        assert heard == [mode]
    assert not CallbackList([History()]).has_batch_hooks(mode)
    assert CallbackList(add_progbar=True).has_batch_hooks(mode)


@pytest.mark.parametrize("edge", ["begin", "end"])
def test_the_short_batch_hooks_are_training_hooks(edge):
    class Short(Callback):
        calls = 0

        def note(self, batch, logs):
            self.calls += 1

    setattr(Short, f"on_batch_{edge}", Short.note)
    short = Short()
    callbacks = CallbackList([short])
    assert callbacks.has_batch_hooks("train")
    assert not callbacks.has_batch_hooks("test")
    getattr(callbacks, f"on_train_batch_{edge}")(0, {})
    assert short.calls == 1


def test_a_hook_on_the_object_counts():
    callback, seen = Callback(), []
    callback.on_epoch_begin = lambda epoch, logs: seen.append(epoch)
    CallbackList([callback]).on_epoch_begin(3)
    assert seen == [3]


def test_callbacks_share_the_logs():
    add = LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(more=2.0))
    callbacks = CallbackList([add], add_history=True)
    callbacks.on_epoch_end(0, {"loss": 1.0})
    assert callbacks.history.history == {"loss": [1.0], "more": [2.0]}


def test_bar_first_history_last_neither_twice():
    mine = Callback()
    kinds = [type(c) for c in CallbackList([mine], add_history=True, add_progbar=True).callbacks]
    assert kinds == [ProgbarLogger, Callback, History]
    bar, history = ProgbarLogger(), History()
    callbacks = CallbackList([history, mine, bar], add_history=True, add_progbar=True)
    assert callbacks.callbacks == [history, mine, bar]
    assert callbacks.history is history
    assert CallbackList().history is None


def test_model_and_params_reach_every_callback():
    model = SimpleNamespace()
    first, second = Callback(), Callback()
    nested = CallbackList([second])
    callbacks = CallbackList([first, nested], model=model, epochs=2, steps=None, verbose=0)
    for callback in (callbacks, first, second):
        assert callback.model is model
        assert callback.params == {"epochs": 2, "steps": None, "verbose": 0}


def test_a_list_is_a_callback():
    recorder = Recorder()
    outer = CallbackList(CallbackList([recorder]))
    outer.on_train_batch_end(1, {})
    outer.on_test_begin()
    assert recorder.calls == [("on_train_batch_end", 1, {}), ("on_test_begin", {})]


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (History, r"Write History\(\)"),
        (print, "LambdaCallback"),
        ("history", "received 'history' of type str"),
        (None, "received None"),
    ],
)
def test_anything_else_is_a_type_error(wrong, hint):
    with pytest.raises(TypeError, match=rf"callbacks\[1\]: expected a .*Callback.*{hint}"):
        CallbackList([Callback(), wrong])


def test_lambda_callback():
    seen = []
    callback = LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append((epoch, logs)),
        on_predict_begin=lambda logs: seen.append("predict"),
        custom=3,
    )
    callback.on_epoch_end(1, {"loss": 2})
    CallbackList([callback]).on_predict_begin()
    assert seen == [(1, {"loss": 2}), "predict"]
    assert callback.custom == 3
    with pytest.raises(ValueError, match="'on_epoch_ends' is not a hook"):
        LambdaCallback(on_epoch_ends=print)


def test_history_holds_plain_floats_and_starts_anew():
    model = SimpleNamespace()
    history = History()
    history.set_model(model)
    assert model.history is history
    for _ in range(2):
        history.on_train_begin()
        history.on_epoch_end(0, {"loss": torch.tensor(0.5), "n": 3, "rows": torch.tensor([1.0, 2])})
        history.on_epoch_end(1, {"loss": 0.25, "val_loss": 1.0})
    assert history.epoch == [0, 1]
    assert history.history == {
        "loss": [0.5, 0.25],
        "n": [3.0],
        "rows": [[1.0, 2.0]],
        "val_loss": [1.0],
    }
    assert [type(v) for v in (*history.history["loss"], *history.history["n"])] == [float] * 3


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), torch.tensor(float("nan"))])
def test_terminate_on_nan(loss, capsys):
    model = SimpleNamespace(stop_training=False)
    gentle = CallbackList([TerminateOnNaN()], model=model)
    for logs in ({"loss": 1.0}, {"loss": torch.tensor(1.0)}, {}):
        gentle.on_train_batch_end(0, logs)
        assert not model.stop_training
    gentle.on_train_batch_end(3, {"loss": loss})
    assert model.stop_training
    assert capsys.readouterr().out == "Batch 3: Invalid loss, terminating training\n"
    with pytest.raises(RuntimeError, match="NaN or Inf loss encountered at batch 5"):
        TerminateOnNaN(raise_error=True).on_batch_end(5, {"loss": loss})
