"""The bar: lines of the guide to the character, and when they are printed."""

import io
import sys
from collections.abc import Mapping

import numpy as np
import pytest
import torch

from kerastorch.utils import Progbar
from kerastorch.utils._progbar import format_line, format_step_time, format_value

# (step, target, elapsed s, s per step, values, done) -> the line. From the guide's printed output.
GUIDE = [
    (
        (85, 1563, 0.2, 2 / 1478, {"loss": 1.4465, "sparse_categorical_accuracy": 0.5717}, False),
        "  85/1563 [>.............................] - ETA: 2s - loss: 1.4465 "
        "- sparse_categorical_accuracy: 0.5717",
    ),
    (
        (185, 1563, 0.7, 5 / 1378, {"loss": 1.1118}, False),
        " 185/1563 [==>...........................] - ETA: 5s - loss: 1.1118",
    ),
    (
        (985, 1563, 5.0, 3.5 / 578, {"loss": 0.5917}, False),
        " 985/1563 [=================>............] - ETA: 3s - loss: 0.5917",
    ),
    (
        (1484, 1563, 8.0, 0.005, {"loss": 0.5065, "sparse_categorical_accuracy": 0.8542}, False),
        "1484/1563 [===========================>..] - ETA: 0s - loss: 0.5065 "
        "- sparse_categorical_accuracy: 0.8542",
    ),
    (
        (1563, 1563, 9.2, 0.005, {"loss": 0.4965, "sparse_categorical_accuracy": 0.8570}, True),
        "1563/1563 [==============================] - 9s 5ms/step - loss: 0.4965 "
        "- sparse_categorical_accuracy: 0.8570",
    ),
    (
        (1, 1, 0.222, 0.222, {"loss": 0.9652, "binary_accuracy": 0.0}, True),
        "1/1 [==============================] - 0s 222ms/step - loss: 0.9652 "
        "- binary_accuracy: 0.0000e+00",
    ),
]


@pytest.mark.parametrize(("arguments", "line"), GUIDE)
def test_lines_of_the_guide(arguments, line):
    *positional, done = arguments
    assert format_line(*positional, done=done) == line


@pytest.mark.parametrize(
    ("arguments", "options", "line"),
    [
        ((0, 10, 0.0, 0.0), {}, " 0/10 [..............................] - ETA: 0s"),
        ((1, 10, 100.0, 100.0), {}, " 1/10 [==>...........................] - ETA: 15:00"),
        ((1, 2, 9e3, 9e3), {}, "1/2 [==============>...............] - ETA: 2:30:00"),
        ((12, 10, 1.0, 0.1), {}, "12/10 [==============================] - ETA: 0s"),
        ((0, 0, 0.0, 0.0), {"done": True}, "0/0 [==============================] - 0s 0s/step"),
        ((12, None, 1.0, 0.003, {"loss": 2.0}), {}, "  12/Unknown - 1s 3ms/step - loss: 2.0000"),
        ((5, 10, 1.0, 0.25), {"done": True, "width": 4}, " 5/10 [=>..] - 1s 250ms/step"),
        ((4, 4, 2.0, 0.5), {"done": True, "bar": False}, "4/4 - 2s - 500ms/step"),
    ],
)
def test_other_lines(arguments, options, line):
    assert format_line(*arguments, **options) == line


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1.0000"),
        (-0.5, "-0.5000"),
        (0.0011, "0.0011"),
        (0.001, "1.0000e-03"),
        (-2e-5, "-2.0000e-05"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        (12, "12.0000"),
        (torch.tensor(0.25), "0.2500"),
        (np.float32(0.25), "0.2500"),
        (np.array([1.0, 2.0]), "1.5000"),
        ("warm", "warm"),
    ],
)
def test_values(value, text):
    assert format_value(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s/step"),
        (1, "1s/step"),
        (0.99, "990ms/step"),
        (1e-3, "1ms/step"),
        (4e-5, "40us/step"),
    ],
)
def test_step_times(seconds, text):
    assert format_step_time(seconds) == text


class Terminal(io.StringIO):
    def isatty(self):
        return True


Notebook = type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})


class Clock:
    """`time.perf_counter` by hand."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("kerastorch.utils._progbar.time.perf_counter", clock)
    return clock


class Unread(Mapping):
    """Logs that must not be touched: reading a value waits for the device."""

    def _refuse(self, *_):
        raise AssertionError("read between refreshes")

    __getitem__ = __iter__ = __len__ = _refuse


@pytest.mark.parametrize("stream", [Terminal, Notebook])
def test_a_terminal_line_is_rewritten_by_time(stream, clock, monkeypatch):
    monkeypatch.setattr(sys, "stdout", stream())
    bar = Progbar(1024, interval=1 / 8, stateless_metrics=())
    for step in range(1, 1025):
        clock.now = step / 1024
        bar.update(step, {"loss": 0.5} if step % 128 == 1 else Unread(), finalize=False)
    clock.now = 2.0
    bar.update(1024, {"loss": 0.25, "val_loss": 0.125}, finalize=True)
    shown = sys.stdout.getvalue()
    assert shown.startswith("\r   1/1024 [..............................] - ETA: ")
    assert shown.count("\r") == 8 + 1  # eight in the second of work, and the last
    assert shown.endswith("] - 2s 2ms/step - loss: 0.2500 - val_loss: 0.1250\n")
    assert shown.count("\n") == 1


def test_a_shorter_line_covers_the_longer_one(clock, monkeypatch):
    monkeypatch.setattr(sys, "stdout", Terminal())
    bar = Progbar(2, stateless_metrics=())
    bar.update(1, {"a_long_name": 0.5})
    before = len(sys.stdout.getvalue())
    bar.update(2, {})
    last = sys.stdout.getvalue().split("\r")[-1]
    assert len(last.rstrip("\n")) >= before - 1


def test_a_narrow_terminal_is_not_wrapped(clock, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr(sys, "stdout", Terminal())
    Progbar(9, stateless_metrics=()).update(1, {"loss": 0.5})
    assert len(sys.stdout.getvalue()) == 40  # a carriage return and 39 characters


def test_a_file_gets_the_last_line_only(capsys):
    bar = Progbar(3)
    for step in range(1, 4):
        bar.update(step, [("loss", float(step))])
    out = capsys.readouterr().out
    assert out.startswith("3/3 [==============================] - 0s ")
    assert out.endswith("/step - loss: 2.0000\n")
    assert out.count("\n") == 1


def test_interval_zero_shows_every_update(capsys):
    bar = Progbar(2, interval=0)
    bar.update(1)
    bar.update(2)
    assert capsys.readouterr().out.count("\n") == 2


def test_silent(capsys):
    bar = Progbar(2, verbose=0, stateless_metrics=())
    bar.add(2, Unread())
    assert capsys.readouterr().out == ""


def test_the_first_step_does_not_count(clock, capsys):
    """As in the guide's ``4/4 - 10s 10ms/step``."""
    bar = Progbar(4)
    for step, clock.now in [(1, 9.97), (2, 9.98), (3, 9.99), (4, 10.0)]:
        bar.update(step)
    assert capsys.readouterr().out == "4/4 [==============================] - 10s 10ms/step\n"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "1.0000"),
        ({"stateful_metrics": ["value"]}, "2.0000"),
        ({"stateful_metrics": ["other"]}, "1.0000"),
        ({"stateless_metrics": ["value"]}, "1.0000"),
        ({"stateless_metrics": []}, "2.0000"),
    ],
)
def test_averages(options, expected, capsys):
    bar = Progbar(2, verbose=2, **options)
    bar.update(1, [("value", 0.0)])
    bar.update(2, [("value", 2.0)])
    assert f"value: {expected}" in capsys.readouterr().out


def test_averages_weigh_by_steps(capsys):
    bar = Progbar(4, verbose=2)
    bar.add(3, [("value", 1.0)])
    bar.add(1, [("value", 5.0)])
    assert "value: 2.0000" in capsys.readouterr().out


def test_unknown_total(clock, monkeypatch):
    monkeypatch.setattr(sys, "stdout", Terminal())
    bar = Progbar(None)
    bar.update(7)
    assert sys.stdout.getvalue() == "\r   7/Unknown - 0s 0s/step"
    bar.update(7, finalize=True)
    assert sys.stdout.getvalue().endswith("\r7/7 [==============================] - 0s 0s/step\n")


def test_only_one_kind_of_metric_list():
    with pytest.raises(ValueError, match="Only one of"):
        Progbar(1, stateful_metrics=[], stateless_metrics=[])
