"""MNIST from the cache, and from mirrors that are local files."""

import gzip
import hashlib
import sys

import numpy as np
import pytest
from torchvision.datasets import MNIST

from kerastorch.datasets import mnist

NAMES = ["x_train", "y_train", "x_test", "y_test"]
SHAPES = [(6, 28, 28), (6,), (2, 28, 28), (2,)]


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, shape, dtype="uint8") for shape in SHAPES]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder of data sets, in a home that does not exist yet."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(MNIST, "mirrors", [])
    return tmp_path / "home" / "datasets"


@pytest.fixture
def mirror(tmp_path, arrays, monkeypatch, folder):
    """A folder that serves the four files in IDX format, in place of the network."""
    served = tmp_path / "mirror"
    served.mkdir()
    resources = []
    for (name, _), array in zip(MNIST.resources, arrays, strict=True):
        header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
        data = gzip.compress(header + array.tobytes())
        (served / name).write_bytes(data)
        resources.append((name, hashlib.md5(data).hexdigest()))
    monkeypatch.setattr(MNIST, "resources", resources)
    monkeypatch.setattr(MNIST, "mirrors", [served.as_uri() + "/"])
    return served


def check(loaded, arrays):
    (x_train, y_train), (x_test, y_test) = loaded
    for ours, expected in zip((x_train, y_train, x_test, y_test), arrays, strict=True):
        assert ours.dtype == np.uint8
        np.testing.assert_array_equal(ours, expected)


def test_an_archive_in_the_cache_is_used_without_network(folder, arrays):
    folder.mkdir(parents=True)
    np.savez(folder / "mnist.npz", **dict(zip(NAMES, arrays, strict=True)))
    check(mnist.load_data(), arrays)


def test_another_path(tmp_path, folder, arrays):
    np.savez(tmp_path / "own.npz", **dict(zip(NAMES, arrays, strict=True)))
    check(mnist.load_data(tmp_path / "own.npz"), arrays)


def test_the_default_home(tmp_path, monkeypatch, arrays):
    monkeypatch.delenv("KERAS_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".keras" / "datasets").mkdir(parents=True)
    np.savez(tmp_path / ".keras/datasets/mnist.npz", **dict(zip(NAMES, arrays, strict=True)))
    check(mnist.load_data(), arrays)


def test_download_then_cache(mirror, folder, arrays, monkeypatch):
    check(mnist.load_data(), arrays)
    assert [file.name for file in folder.iterdir()] == ["mnist.npz"]
    monkeypatch.setattr(MNIST, "mirrors", [])
    check(mnist.load_data(), arrays)


def test_a_dead_or_lying_mirror_is_passed_over(mirror, folder, arrays, tmp_path, monkeypatch):
    lying = tmp_path / "lying"
    lying.mkdir()
    for file in mirror.iterdir():
        (lying / file.name).write_bytes(b"not the file")
    dead = tmp_path / "dead"
    mirrors = [f"{place.as_uri()}/" for place in (dead, lying, mirror)]
    monkeypatch.setattr(MNIST, "mirrors", mirrors)
    check(mnist.load_data(), arrays)


def test_offline_the_error_names_the_folder_and_the_file(mirror, folder):
    next(mirror.glob("t10k-labels*")).unlink()
    with pytest.raises(ConnectionError) as caught:
        mnist.load_data()
    assert f"mnist.npz (arrays x_train, y_train, x_test, y_test) into the folder {folder}" in str(
        caught.value
    )
    assert "t10k-labels" in str(caught.value)
    assert not folder.exists()


def test_a_wrong_checksum_is_an_error(mirror, folder):
    next(mirror.glob("train-labels*")).write_bytes(b"x")
    with pytest.raises(ConnectionError, match="wrong checksum"):
        mnist.load_data()


def test_an_interrupted_write_leaves_nothing(mirror, folder, monkeypatch):
    def full_disk(file, **arrays):
        file.write(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full_disk)
    with pytest.raises(OSError, match="No space left"):
        mnist.load_data()
    assert list(folder.iterdir()) == []


def without_labels(file, arrays):
    np.savez(file, x_train=arrays[0], x_test=arrays[2])


def truncated(file, arrays):
    np.savez(file, **dict(zip(NAMES, arrays, strict=True)))
    file.write_bytes(file.read_bytes()[:-100])


def one_array(file, arrays):
    with open(file, "wb") as out:
        np.save(out, arrays[0])


def pickled(file, arrays):
    np.savez(file, **dict.fromkeys(NAMES, np.array([{}], dtype=object)))


@pytest.mark.parametrize(
    "damage",
    [
        without_labels,
        truncated,
        one_array,
        pickled,
        lambda file, _: file.write_bytes(b""),
        lambda file, _: file.write_bytes(b"<html>404</html>"),
    ],
)
def test_a_damaged_archive_is_a_clear_error(folder, arrays, damage):
    folder.mkdir(parents=True)
    file = folder / "mnist.npz"
    damage(file, arrays)
    with pytest.raises(ValueError, match=r"mnist\.npz is not a complete archive") as caught:
        mnist.load_data()
    assert "Delete it" in str(caught.value)
    assert file.exists()


def test_without_torchvision(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision.datasets", None)
    with pytest.raises(ImportError, match="pip install torchvision"):
        mnist.load_data()
