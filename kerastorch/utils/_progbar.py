"""The progress bar: three pure formatting functions and the class that decides when to print.

A terminal or notebook shows one line that is rewritten, at most ten times a second::

    ``  85/1563 [>.............................] - ETA: 2s - loss: 1.4465 - accuracy: 0.5717``
    ``1563/1563 [==============================] - 9s 5ms/step - loss: 0.4965 - accuracy: 0.8570``

Anywhere else (a file, a pipe, a CI log) only the last line is printed.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

Values = Mapping[str, Any] | Iterable[tuple[str, Any]]


def format_value(value: Any) -> str:
    """Four decimals, or exponent form up to 0.001; a list as its mean; a string as it is.

    >>> format_value(0.57694), format_value(0.0), format_value([1, 2])
    ('0.5769', '0.0000e+00', '1.5000')
    """
    if isinstance(value, str):
        return value
    number = _mean(value)
    return f"{number:.4f}" if abs(number) > 1e-3 else f"{number:.4e}"


def _mean(value: Any) -> float:
    return float(np.mean(value) if isinstance(value, (list, tuple, np.ndarray)) else value)


def format_step_time(seconds: float, unit_name: str = "step") -> str:
    """Seconds per step in the unit that gives at least one digit.

    >>> format_step_time(2.4), format_step_time(0.2222), format_step_time(0.00031)
    ('2s/step', '222ms/step', '310us/step')
    """
    if seconds >= 1 or seconds == 0:
        return f"{seconds:.0f}s/{unit_name}"
    if seconds >= 1e-3:
        return f"{seconds * 1e3:.0f}ms/{unit_name}"
    return f"{seconds * 1e6:.0f}us/{unit_name}"


def format_line(
    step: int,
    target: int | None,
    elapsed: float,
    step_time: float,
    values: Values = (),
    *,
    done: bool = False,
    bar: bool = True,
    width: int = 30,
    unit_name: str = "step",
) -> str:
    """One line of progress; times are in seconds, ``target=None`` is an unknown total.

    Until `done` it tells the time left, then the time taken. ``bar=False`` leaves the bar out.

    >>> format_line(2, 4, 1.0, 0.5, {"loss": 2.0}, width=8)
    '2/4 [===>....] - ETA: 1s - loss: 2.0000'
    >>> format_line(4, 4, 2.0, 0.5, {"loss": 1.5}, width=8, done=True)
    '4/4 [========] - 2s 500ms/step - loss: 1.5000'
    >>> format_line(4, 4, 2.0, 0.5, {"loss": 1.5}, bar=False, done=True)
    '4/4 - 2s - 500ms/step - loss: 1.5000'
    >>> format_line(12, None, 1.0, 0.003)
    '  12/Unknown - 1s 3ms/step'
    """
    if target is None:
        head = f"{step:4d}/Unknown"
    else:
        head = f"{step:{len(str(target))}d}/{target}"
        if bar:
            filled = min(width, width * step // target) if target else width
            arrow = "=" * (filled - 1) + ("=" if step >= target else ">") if filled else ""
            head += f" [{arrow:.<{width}}]"
    if done or target is None:
        joint = " " if bar else " - "
        when = f"{elapsed:.0f}s{joint}{format_step_time(step_time, unit_name)}"
    else:
        when = f"ETA: {_format_eta(step_time * max(target - step, 0))}"
    shown = [f"{name}: {format_value(value)}" for name, value in _pairs(values)]
    return " - ".join([head, when, *shown])


def _format_eta(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02d}:{rest:02d}"
    return f"{minutes}:{rest:02d}" if minutes else f"{rest}s"


def _pairs(values: Values) -> Iterable[tuple[str, Any]]:
    return values.items() if isinstance(values, Mapping) else values


def rewritable_width(stream: Any) -> int:
    """How many characters a carriage return takes back: 0 unless in a terminal or a notebook."""
    if type(stream).__module__.startswith(("ipykernel.", "google.colab.")):
        return sys.maxsize
    if getattr(stream, "isatty", lambda: False)():
        return shutil.get_terminal_size((250, 24)).columns - 1
    return 0


class Progbar:
    """A bar on standard output for a loop of `target` steps (None: unknown).

    `verbose` is 0 (silent), 1 (bar) or 2 (one line at the end). The line is refreshed at most every
    `interval` seconds; ``interval=0`` shows every update, also where lines cannot be rewritten.
    Values are averaged over the steps unless named in `stateful_metrics`; or, the other way round,
    shown as they are unless named in `stateless_metrics`. With ``stateless_metrics=()`` they are
    read only at a refresh: a 0-d tensor on a device costs nothing in between.
    Keras: ``keras.utils.Progbar``, drawn as in TensorFlow 2.4.

    >>> import kerastorch as keras
    >>> bar = keras.utils.Progbar(2, verbose=2)
    >>> for step in (1, 2):
    ...     bar.update(step, [("loss", 1.0 / step)])
    2/2 - 0s - ...us/step - loss: 0.7500
    """

    def __init__(
        self,
        target: int | None,
        width: int = 30,
        verbose: int = 1,
        interval: float = 0.1,
        stateful_metrics: Iterable[str] | None = None,
        stateless_metrics: Iterable[str] | None = None,
        unit_name: str = "step",
    ) -> None:
        if stateful_metrics is not None and stateless_metrics is not None:
            raise ValueError("Only one of stateful_metrics and stateless_metrics can be given.")
        self.target = target
        self.width = width
        self.verbose = verbose
        self.interval = interval
        self.unit_name = unit_name
        self._is_averaged = _averaging_rule(stateful_metrics, stateless_metrics)
        self._sums: dict[str, tuple[float, int]] = {}  # name -> (sum of values, number of steps)
        self._shown: dict[str, Any] = {}
        self._step = 0
        self._start = time.perf_counter()
        self._warm: tuple[int, float] | None = None  # the first step that was seen, and its time
        self._last_refresh = -float("inf")
        self._drawn = 0  # length of the line that stands on the terminal

    def update(
        self, current: int, values: Values | None = None, finalize: bool | None = None
    ) -> None:
        """Say that `current` steps are done. `finalize` (default: when all are) ends the line."""
        if finalize is None:
            finalize = self.target is not None and current >= self.target
        if current and self._warm is None:
            self._warm = current, time.perf_counter()
        values = () if values is None else values  # asking for its truth might read it
        if self._is_averaged is not None:
            values = self._average(current - self._step, values, self._is_averaged)
        self._step = current
        if self.verbose == 1:
            self._draw(values, finalize)
        elif self.verbose == 2 and finalize:
            print(self._line(values, done=True, bar=False), flush=True)

    def add(self, n: int, values: Values | None = None) -> None:
        """Say that `n` more steps are done."""
        self.update(self._step + n, values)

    def _average(
        self, steps: int, values: Values, is_averaged: Callable[[str], bool]
    ) -> dict[str, Any]:
        for name, value in _pairs(values):
            if is_averaged(name):
                total, count = self._sums.get(name, (0.0, 0))
                weight = steps if count else max(steps, 1)
                self._sums[name] = total, count = total + weight * _mean(value), count + weight
                value = total / count
            self._shown[name] = value
        return self._shown

    def _draw(self, values: Values, finalize: bool) -> None:
        now = time.perf_counter()
        if now - self._last_refresh < self.interval and not finalize:
            return
        self._last_refresh = now
        room = rewritable_width(sys.stdout)
        if not (room or finalize or self.interval == 0):
            return
        line = self._line(values, done=finalize, bar=True)
        if not room:
            print(line, flush=True)
            return
        if not finalize:
            line = line[:room]  # a line that wraps could not be rewritten
        print("\r" + line.ljust(self._drawn), end="\n" if finalize else "", flush=True)
        self._drawn = 0 if finalize else len(line)

    def _line(self, values: Values, *, done: bool, bar: bool) -> str:
        values = [(name, format_value(value)) for name, value in _pairs(values)]
        now = time.perf_counter()  # after the values were read, which waits for the device
        target = self._step if done and self.target is None else self.target
        return format_line(
            self._step,
            target,
            now - self._start,
            self._step_time(now),
            values,
            done=done,
            bar=bar,
            width=self.width,
            unit_name=self.unit_name,
        )

    def _step_time(self, now: float) -> float:
        """Seconds per step; the first, which compiles and allocates, counts only when alone."""
        step, begin = self._warm or (0, self._start)
        if step == self._step:
            step, begin = 0, self._start
        return (now - begin) / max(self._step - step, 1)


def _averaging_rule(
    stateful: Iterable[str] | None, stateless: Iterable[str] | None
) -> Callable[[str], bool] | None:
    """Which names are averaged; None when none is."""
    if stateless is not None:
        names = frozenset(stateless)
        return names.__contains__ if names else None
    kept = frozenset(stateful or ())
    return lambda name: name not in kept
