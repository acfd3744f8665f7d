"""A save is there whole or not at all, whatever happens to the process, the disk or the folder."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import kerastorch as kt

FORMATS = ["model.keras", "model.weights.h5", "model.safetensors", "model.pt", "model"]


def new_model() -> Any:
    return kt.Sequential([kt.Input((3,)), kt.layers.Dense(4), kt.layers.Dense(2)])


def save(model: Any, path: Path) -> None:
    (model.save if path.suffix in (".keras", "") else model.save_weights)(path)


def run(script: str, *arguments: Any) -> str:
    """What a script prints, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        capture_output=True, text=True, cwd=Path(kt.__file__).parents[1],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


KILLS = """
import os, random, sys, time
import torch
torch.set_num_threads(1)
import kerastorch as kt

path, kills = sys.argv[1], int(sys.argv[2])
folder, name = os.path.split(path)
model = kt.Sequential([kt.Input((64,)), kt.layers.Dense(512), kt.layers.Dense(64)])
save = model.save if path.endswith(".keras") else model.save_weights

def fill(value):
    for weight in model.weights:
        weight.detach().fill_(value)

fill(0); save(path)
litter, seen, kill = 0, set(), 0
while kill < kills or len(seen) < 2 and kill < 20 * kills:  # more on a busy machine
    kill += 1
    child = os.fork()
    if not child:
        number = 0
        while True:
            number += 1
            fill(1000 * kill + number)
            save(path)
    time.sleep(random.uniform(0.01, 0.1))
    os.kill(child, 9)
    os.waitpid(child, 0)
    litter += os.listdir(folder) != [name]
    model.load_weights(path)
    values = torch.cat([weight.detach().flatten() for weight in model.weights])
    assert (values == values[0]).all()  # all of one save
    seen.add(float(values[0]))
save(path)
assert os.listdir(folder) == [name]
print(litter, len(seen))
"""


@pytest.mark.parametrize("name", ["model.keras", "model.weights.h5"])
def test_killed_while_saving(name: str, tmp_path: Path) -> None:
    """kill -9 at random moments of saving over a file: a whole one is there, and nothing else but,
    once in some hundred kills, a hidden name, which the next save removes."""
    litter, seen = map(int, run(KILLS, tmp_path / name, 5).split())
    assert litter <= 1
    assert seen > 1  # there were saves between the kills


FULL_DISK = """
import os, resource, sys
import numpy as np
import kerastorch as kt

folder, unlimited = sys.argv[1], resource.RLIM_INFINITY
model = kt.Sequential([kt.Input((64,)), kt.layers.Dense(512), kt.layers.Dense(64)])
for name in sys.argv[2:]:
    path = os.path.join(folder, name)
    save = model.save_weights if "." in name and not name.endswith(".keras") else model.save
    save(path)
    before = open(path, "rb").read()
    for weight in model.weights:
        weight.assign(np.ones(weight.shape))
    for limit in (0, 5_000, 100_000, 250_000):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, unlimited))
        try:
            save(path)
        except OSError as error:
            print(error)
        else:
            sys.exit(f"{name} was saved")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (unlimited, unlimited))
        assert open(path, "rb").read() == before
        assert os.listdir(folder) == [name]
    os.unlink(path)
"""


def test_full_disk(tmp_path: Path) -> None:
    """No room: the old file stays, an `OSError` says so, no litter."""
    said = run(FULL_DISK, tmp_path, *FORMATS).splitlines()
    assert len(said) == 4 * len(FORMATS)
    assert all("File too large" in line for line in said)


@pytest.mark.parametrize("name", FORMATS)
def test_an_error_while_saving(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, path = new_model(), tmp_path / name
    save(model, path)
    before = path.read_bytes()

    def fail(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(KeyboardInterrupt):
        save(model, path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [name]


def test_a_layer_that_cannot_be_saved(tmp_path: Path) -> None:
    class Odd(kt.layers.Layer):
        def save_own_variables(self, store: Any) -> None:
            raise RuntimeError("not me")

        def call(self, inputs: Any) -> Any:
            return inputs

    model, path = new_model(), tmp_path / "model.weights.h5"
    model.save_weights(path)
    before = path.read_bytes()
    model.add(Odd())
    with pytest.raises(RuntimeError, match="not me"):
        model.save_weights(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("name", FORMATS)
def test_savers_at_once(name: str, tmp_path: Path) -> None:
    """Several threads save over one file: the last one wins, whole."""
    path = tmp_path / name
    models = [new_model() for _ in range(4)]
    errors: list[BaseException] = []

    def work(model: Any, value: float) -> None:
        try:
            model.set_weights([np.full(w.shape, value) for w in model.weights])
            for _ in range(3):
                save(model, path)
        except BaseException as error:
            errors.append(error)

    threads = [
        threading.Thread(target=work, args=pair) for pair in zip(models, range(4), strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    model = new_model()
    model.load_weights(path)
    assert len(torch.cat([w.detach().flatten() for w in model.weights]).unique()) == 1
    assert os.listdir(tmp_path) == [name]


def test_no_hidden_files_of_the_dead_stay(tmp_path: Path) -> None:
    """Where files without a name do not exist, a killed writer leaves a hidden one: the next save
    removes it, but not that of a writer that lives."""
    dead = subprocess.run(["sh", "-c", "echo $$"], capture_output=True, text=True).stdout.strip()
    for process in (dead, os.getpid()):
        (tmp_path / f".model.keras.{process}.01234567.tmp").touch()
    new_model().save(tmp_path / "model.keras")
    assert sorted(os.listdir(tmp_path)) == [
        f".model.keras.{os.getpid()}.01234567.tmp",
        "model.keras",
    ]


def test_without_nameless_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kerastorch.saving._durable._open_nameless", lambda folder: None)
    for name in FORMATS:
        save(new_model(), tmp_path / name)
        new_model().load_weights(tmp_path / name)
    assert sorted(os.listdir(tmp_path)) == sorted(FORMATS)


@pytest.mark.parametrize("name", FORMATS)
def test_overwrite(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text("mine")
    method = new_model().save if path.suffix in (".keras", "") else new_model().save_weights
    with pytest.raises(FileExistsError, match="overwrite=True"):
        method(path, overwrite=False)
    assert path.read_text() == "mine"
    method(path)
    assert path.read_bytes()[:4] != b"mine"


def test_a_folder_that_cannot_be_written() -> None:
    with pytest.raises(OSError):
        new_model().save("/proc/model.keras")


def test_a_folder_in_place_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError, match="Give the name of a file"):
        new_model().save(tmp_path)
    with pytest.raises(IsADirectoryError, match="expected a file"):
        kt.models.load_model(tmp_path)


def test_links_are_followed(tmp_path: Path) -> None:
    target, link = tmp_path / "target.keras", tmp_path / "link.keras"
    target.write_text("old")
    link.symlink_to(target)
    new_model().save(link)
    assert link.is_symlink()
    assert kt.models.load_model(target).output_shape == (None, 2)


def test_permissions(tmp_path: Path) -> None:
    """A new file gets what the umask leaves; one that is replaced keeps its own."""
    path = tmp_path / "model.keras"
    before = os.umask(0o027)
    try:
        new_model().save(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    path.chmod(0o604)
    new_model().save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o604
