"""A run that was interrupted anywhere and continued ends as one that was not, bit for bit."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import kerastorch as keras
from kerastorch import layers
from kerastorch.callbacks import BackupAndRestore, Callback, CSVLogger, EarlyStopping
from kerastorch.training import _capture

X = np.random.default_rng(0).normal(size=(44, 4)).astype("float32")
Y = np.random.default_rng(1).normal(size=(44, 1)).astype("float32")


class Batches(keras.utils.PyDataset):
    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> Any:
        rows = slice(8 * index, 8 * index + 8)
        return X[rows] + np.float32(0.0), Y[rows]


def dataset(**options: Any) -> keras.data.Dataset:
    slices = keras.data.Dataset.from_tensor_slices((X, Y))
    return slices.shuffle(20, **options).batch(8)


def noisy(x: Any, y: Any) -> Any:
    return x + 0.1 * torch.randn_like(x), y


def torch_rows() -> TensorDataset:
    return TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))


#: Arguments of fit; made anew for each run, as another process would.
DATA: dict[str, Any] = {
    "arrays": lambda: {"x": X, "y": Y, "batch_size": 8},
    "arrays in order": lambda: {"x": X, "y": Y, "batch_size": 8, "shuffle": False},
    "whole batches": lambda: {"x": X, "y": Y, "batch_size": 8, "shuffle": "batch"},
    "class weights": lambda: {
        "x": X,
        "y": (Y > 0) * 1,
        "batch_size": 8,
        "class_weight": {0: 2.0, 1: 1.0},
    },
    "validation": lambda: {"x": X, "y": Y, "batch_size": 8, "validation_data": (X[:9], Y[:9])},
    "Dataset": lambda: {"x": dataset()},
    "Dataset with a seed": lambda: {"x": dataset(seed=5)},
    "Dataset that draws": lambda: {"x": dataset().map(noisy)},
    "Dataset without end": lambda: {"x": dataset().repeat(), "steps_per_epoch": 5},
    "part of a Dataset an epoch": lambda: {"x": dataset().repeat(4), "steps_per_epoch": 5},
    "PyDataset": lambda: {"x": Batches()},
    "PyDataset with threads": lambda: {"x": Batches(), "workers": 2},
    "DataLoader": lambda: {"x": DataLoader(torch_rows(), 8, shuffle=True)},
    "generator": lambda: {
        "x": ((X[i : i + 8], Y[i : i + 8]) for i in list(range(0, 40, 8)) * 9),
        "steps_per_epoch": 6,
    },
}


class Interrupt(Exception):
    pass


class InterruptAt(Callback):
    """Stop as an accident would, after so many batches."""

    def __init__(self, batches: int) -> None:
        super().__init__()
        self.left = batches

    def state_dict(self) -> dict[str, Any]:
        return {}

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if self.left == 0:
            raise Interrupt
        self.left -= 1


def make(jit: bool = False) -> keras.Model:
    keras.utils.set_random_seed(11)
    random.seed(11)
    x = keras.Input((4,))
    h = layers.BatchNormalization()(layers.Dense(6, "tanh")(x))
    h = layers.Dropout(0.4)(h)
    model = keras.Model(x, layers.Dense(1)(h))
    model.compile("adam", "mse", metrics=["mae"], jit_compile=jit)
    return model


def run(
    kind: str, *callbacks: Any, epochs: int = 4, jit: bool = False, **options: Any
) -> tuple[Any, Any]:
    model = make(jit)
    history = model.fit(
        **DATA[kind](), epochs=epochs, verbose=0, callbacks=list(callbacks), **options
    )
    return model, history


def assert_same(a: keras.Model, b: keras.Model) -> None:
    for name, value in a.state_dict().items():
        assert torch.equal(value, b.state_dict()[name]), name
    for mine, theirs in zip(a.optimizer.variables, b.optimizer.variables, strict=True):
        assert torch.equal(mine, theirs), mine.name


def test_continued_run_is_the_same_when_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it is interrupted before and after steps that run eagerly."""
    monkeypatch.setattr(_capture, "PATIENCE", 3)
    expected, history = run("arrays", jit=True, validation_split=0.3)
    steps = len(expected._compiled.captured["train"].graphs)
    assert steps == 2
    for accident in (1, 4, 7, 12):
        folder = tmp_path / str(accident)
        options = {"jit": True, "validation_split": 0.3}
        with pytest.raises(Interrupt):
            run("arrays", InterruptAt(accident), BackupAndRestore(folder, 1), **options)
        torch.manual_seed(99)  # another process
        model, again = run("arrays", BackupAndRestore(folder, 1), **options)
        assert again.history == history.history
        assert_same(model, expected)


@pytest.mark.parametrize("kind", DATA)
@pytest.mark.parametrize("save_freq", ["epoch", 1, 4])
def test_continued_run_is_the_same(kind: str, save_freq: Any, tmp_path: Path) -> None:
    expected, history = run(kind)
    for accident in (3, 7, 12, 13):
        folder = tmp_path / str(accident)
        with pytest.raises(Interrupt):
            run(kind, InterruptAt(accident), BackupAndRestore(folder, save_freq))
        torch.manual_seed(99)  # another process
        model, again = run(kind, InterruptAt(10**9), BackupAndRestore(folder, save_freq))
        assert again.history == history.history
        assert again.epoch == history.epoch
        assert_same(model, expected)
        assert not folder.exists()


def test_interrupted_again_and_again(tmp_path: Path) -> None:
    expected, history = run("Dataset")
    for _ in range(7):
        with pytest.raises(Interrupt):
            run("Dataset", InterruptAt(4), BackupAndRestore(tmp_path, 3))
    model, again = run("Dataset", InterruptAt(99), BackupAndRestore(tmp_path, 3))
    assert again.history == history.history
    assert_same(model, expected)


def test_resume_from_a_file(tmp_path: Path) -> None:
    expected, history = run("arrays")
    keep = BackupAndRestore(tmp_path, 1, delete_checkpoint=False)
    with pytest.raises(Interrupt):
        run("arrays", keep, InterruptAt(8))
    (file,) = tmp_path.iterdir()
    for _ in range(2):
        model, again = run("arrays", resume_from=file)
        assert again.history == history.history
        assert_same(model, expected)


def test_other_callbacks_go_on_where_they_were(tmp_path: Path) -> None:
    def callbacks(name: str) -> list[Any]:
        stop = EarlyStopping("loss", patience=2, min_delta=10.0, restore_best_weights=True)
        return [stop, CSVLogger(tmp_path / name)]

    expected, history = run("arrays", *callbacks("a.csv"), epochs=9)
    assert 1 < len(history.epoch) < 9
    backup = BackupAndRestore(tmp_path / "backup", 4)
    with pytest.raises(Interrupt):
        run("arrays", *callbacks("b.csv"), InterruptAt(15), backup, epochs=9)
    model, again = run("arrays", *callbacks("b.csv"), InterruptAt(99), backup, epochs=9)
    assert again.history == history.history
    assert_same(model, expected)
    assert (tmp_path / "b.csv").read_text() == (tmp_path / "a.csv").read_text()


def test_damaged_newest_file(tmp_path: Path) -> None:
    expected, history = run("arrays")
    backup = BackupAndRestore(tmp_path, 1, double_checkpoint=True)
    with pytest.raises(Interrupt):
        run("arrays", InterruptAt(9), backup)
    newest = tmp_path / "training_state.safetensors"
    content = bytearray(newest.read_bytes())
    content[-5] ^= 1
    newest.write_bytes(content)
    with (
        pytest.warns(UserWarning, match="checksum"),
        pytest.warns(UserWarning, match="older .*previous"),
    ):
        model, again = run("arrays", InterruptAt(99), backup)
    assert again.history == history.history
    assert_same(model, expected)


def test_other_data_or_model(tmp_path: Path) -> None:
    with pytest.raises(Interrupt):
        run("arrays", InterruptAt(4), BackupAndRestore(tmp_path, 1))
    model = make()
    with pytest.raises(ValueError, match=r"6 batches a pass, these data give 11"):
        model.fit(X, Y, batch_size=4, verbose=0, callbacks=[BackupAndRestore(tmp_path)])
    other = keras.Sequential([keras.Input((4,)), layers.Dense(1)])
    other.compile("adam", "mse")
    before = other.get_weights()
    with pytest.raises(ValueError, match="of another model"):
        other.fit(X, Y, batch_size=8, verbose=0, callbacks=[BackupAndRestore(tmp_path)])
    assert all((a == b).all() for a, b in zip(before, other.get_weights(), strict=True))


def test_state_outside_of_fit() -> None:
    with pytest.raises(ValueError, match="not being trained"):
        make().run_state()


@pytest.mark.parametrize("options", [{"save_freq": 0}, {"save_freq": "batch"}, {"backup_dir": ""}])
def test_arguments_are_checked(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        BackupAndRestore(**{"backup_dir": "x", **options})


PROGRAM = textwrap.dedent(
    """
    import json, sys, time
    sys.path.insert(0, {here!r})
    import torch
    torch.set_num_threads(1)
    from test_resume import *

    class Slow(Callback):
        def on_train_batch_end(self, batch, logs=None):
            print("batch", flush=True)
            time.sleep(0.02)

    model, history = run({kind!r}, BackupAndRestore({folder!r}, 2), Slow())
    print(json.dumps([history.history, [w.tolist() for w in model.get_weights()]]))
    """
)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_signals(number: int, tmp_path: Path) -> None:
    kind = "arrays"
    expected, history = run(kind)
    here = str(Path(__file__).parent)
    program = PROGRAM.format(here=here, kind=kind, folder=str(tmp_path / "backup"))
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    first = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=environment,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    with first:
        assert first.stdout is not None
        for _ in range(9):
            assert first.stdout.readline().strip() == "batch"
        first.send_signal(number)
        first.stdout.read()
        code = first.wait(timeout=60)
    assert code == (-number if number == signal.SIGKILL else {15: 143, 2: -2}[number])
    second = subprocess.run(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=environment,
        timeout=120, check=True,
    )  # fmt: skip
    lines = second.stdout.split("\n")
    assert 24 - 10 <= lines.count("batch") <= 24 - 8
    record, weights = json.loads(lines[-2])
    assert record == history.history
    for value, own in zip(weights, expected.get_weights(), strict=True):
        assert np.array_equal(np.float32(value), own)
