"""What fit, evaluate and predict print, driven by hand."""

import re

import pytest

from kerastorch.callbacks import CallbackList


def run_fit(verbose, epochs=2, steps=3, known=True, validate=True, made=None):
    """The calls of the training loop."""
    total = steps if known else None
    callbacks = CallbackList(add_progbar=True, verbose=verbose, epochs=epochs, steps=total)
    callbacks.on_train_begin()
    for epoch in range(epochs):
        callbacks.on_epoch_begin(epoch)
        for step in range(made or steps):
            callbacks.on_train_batch_begin(step)
            callbacks.on_train_batch_end(step, {"loss": 9.0})
        logs = {"loss": 0.5769}
        if validate:
            callbacks.on_test_begin()
            for step in range(2):
                callbacks.on_test_batch_end(step, {"loss": 8.0})
            callbacks.on_test_end({"loss": 0.1833})
            logs["val_loss"] = 0.1833
        callbacks.on_epoch_end(epoch, logs)
    callbacks.on_train_end(logs)


def printed(capsys):
    """The lines, with the times that vary replaced."""
    out = capsys.readouterr().out
    return re.sub(r"\d+(us|ms|s)/step", "T/step", out).splitlines()


BAR = "=" * 30


@pytest.mark.parametrize("verbose", [1, "auto", True])
def test_fit(verbose, capsys):
    run_fit(verbose)
    line = f"3/3 [{BAR}] - 0s T/step - loss: 0.5769 - val_loss: 0.1833"
    assert printed(capsys) == ["Epoch 1/2", line, "Epoch 2/2", line]


def test_fit_one_epoch_has_no_header(capsys):
    run_fit(1, epochs=1, validate=False)
    assert printed(capsys) == [f"3/3 [{BAR}] - 0s T/step - loss: 0.5769"]


def test_fit_a_line_an_epoch(capsys):
    run_fit(2)
    line = "3/3 - 0s - T/step - loss: 0.5769 - val_loss: 0.1833"
    assert printed(capsys) == ["Epoch 1/2", line, "Epoch 2/2", line]


def test_fit_silent(capsys):
    run_fit(0)
    assert printed(capsys) == []


def test_fit_unknown_steps(capsys):
    run_fit(1, known=False, epochs=1)
    assert printed(capsys)[0].startswith(f"3/3 [{BAR}] - 0s")


def test_a_short_epoch_tells_the_steps_that_were_made(capsys):
    run_fit(1, epochs=1, steps=6, made=3, validate=False)
    assert printed(capsys) == [f"3/6 [{'=' * 14}>{'.' * 15}] - 0s T/step - loss: 0.5769"]


def test_evaluate(capsys):
    callbacks = CallbackList(add_progbar=True, verbose=1, steps=79)
    callbacks.on_test_begin()
    for step in range(79):
        callbacks.on_test_batch_end(step, {"loss": 9.0})
    callbacks.on_test_end({"loss": 0.1449, "sparse_categorical_accuracy": 0.9539})
    expected = f"79/79 [{BAR}] - 0s T/step - loss: 0.1449 - sparse_categorical_accuracy: 0.9539"
    assert printed(capsys) == [expected]


def test_predict_shows_no_outputs(capsys):
    callbacks = CallbackList(add_progbar=True, verbose=1, steps=1)
    callbacks.on_predict_begin()
    callbacks.on_predict_batch_end(0, {"outputs": [[1.0]]})
    callbacks.on_predict_end()
    assert printed(capsys) == [f"1/1 [{BAR}] - 0s T/step"]
