"""`utils` for sequences, pictures, series, and files in folders."""

from __future__ import annotations

import io
import itertools
from pathlib import Path
from typing import Any

import keras as oracle
import numpy as np
import pytest
import torch

import kerastorch as keras

rng = np.random.default_rng(0)
SEQUENCES = [[1, 2, 3, 4], [], [5], [6, 7]]


@pytest.mark.parametrize(
    ("maxlen", "padding", "truncating"),
    list(itertools.product([None, 2, 6], ["pre", "post"], ["pre", "post"])),
)
def test_pad_sequences(maxlen: int | None, padding: str, truncating: str) -> None:
    for sequences, dtype, value in (
        (SEQUENCES, "int32", 0),
        ([np.ones((n, 2)) * n for n in (3, 1)], "float32", -1.5),
        ([["a", "b", "c"], ["d"]], object, "pad"),
    ):
        options = {"dtype": dtype, "padding": padding, "truncating": truncating, "value": value}
        mine = keras.utils.pad_sequences(sequences, maxlen, **options)
        theirs = oracle.utils.pad_sequences(sequences, maxlen, **options)
        np.testing.assert_array_equal(mine, theirs)
        assert mine.dtype == theirs.dtype


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1, 2],), "received 1 in it"),
        ((SEQUENCES, 2, "int32", "left"), "`padding` must be 'pre' or 'post'"),
        ((SEQUENCES, 2, "int32", "pre", "pre", "x"), "dtype=object"),
        (([np.ones((2, 3)), np.ones((2, 4))],), r"one shape, received \(3,\) and \(4,\)"),
    ],
)
def test_pad_sequences_refuses(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        keras.utils.pad_sequences(*arguments)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
def test_arrays_and_pictures(channels: int, scale: bool, layout: str) -> None:
    shape = (5, 4, channels) if layout == "channels_last" else (channels, 5, 4)
    x = rng.uniform(0, 200, shape).astype("float32")
    mine, theirs = (k.utils.array_to_img(x, layout, scale) for k in (keras, oracle))
    assert (mine.mode, mine.tobytes()) == (theirs.mode, theirs.tobytes())
    back, expected = (k.utils.img_to_array(mine, layout) for k in (keras, oracle))
    np.testing.assert_array_equal(back, expected)
    assert back.dtype == np.float32
    for k in (keras, oracle):
        k.utils.save_img(file := io.BytesIO(), x, layout, "png", scale)
        assert oracle.utils.load_img(file, "rgba").tobytes() == theirs.convert("RGBA").tobytes()


def test_pictures_of_odd_kinds(tmp_path: Path) -> None:
    wide = keras.utils.array_to_img(np.full((2, 2, 1), 300.0), scale=False)
    assert wide.mode == "I"
    with pytest.warns(UserWarning, match="no fourth channel"):
        keras.utils.save_img(tmp_path / "x.jpg", rng.uniform(0, 1, (4, 4, 4)))
    assert keras.utils.load_img(tmp_path / "x.jpg").mode == "RGB"
    for shape, message in (((2, 2), "three axes"), ((2, 2, 2), "received 2")):
        with pytest.raises(ValueError, match=message):
            keras.utils.array_to_img(np.ones(shape))


@pytest.mark.parametrize("size", [None, (4, 9), (9, 4)])
@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("color", ["rgb", "grayscale", "rgba"])
def test_load_img(tmp_path: Path, size: Any, keep: bool, color: str) -> None:
    path = tmp_path / "picture.png"
    keras.utils.save_img(path, rng.uniform(0, 255, (12, 10, 3)))
    arguments = (color, size, "bicubic", keep)
    mine, theirs = (k.utils.load_img(path, *arguments) for k in (keras, oracle))
    assert (mine.mode, mine.size) == (theirs.mode, theirs.size)
    assert mine.tobytes() == theirs.tobytes()
    with pytest.raises(ValueError, match="`color_mode`"):
        keras.utils.load_img(path, "bgr")


def test_smart_resize() -> None:
    x = rng.uniform(0, 255, (2, 10, 7, 3)).astype("float32")
    mine, theirs = (k.preprocessing.image.smart_resize(x, (4, 6)) for k in (keras, oracle))
    np.testing.assert_allclose(mine, np.array(theirs), rtol=1e-5, atol=1e-4)
    assert isinstance(
        keras.preprocessing.image.smart_resize(torch.ones(4, 4, 1), (2, 2)), torch.Tensor
    )


SERIES = [
    {},
    {"sequence_stride": 2},
    {"sampling_rate": 3},
    {"sequence_stride": 3, "sampling_rate": 2, "start_index": 4, "end_index": 18},
]


@pytest.mark.parametrize("options", SERIES)
@pytest.mark.parametrize("count", [None, 20, 9])
def test_timeseries(options: dict[str, int], count: int | None) -> None:
    data = rng.normal(size=(20, 2)).astype("float32")
    targets = None if count is None else np.arange(count)
    stride, rate = options.get("sequence_stride", 1), options.get("sampling_rate", 1)
    start, end = options.get("start_index", 0), options.get("end_index", 20)
    last = min(end - start - 3 * rate, count or 20)
    rows = [start + at for at in range(0, last, stride) if count is None or start + at < count]
    dataset = keras.utils.timeseries_dataset_from_array(data, targets, 4, batch_size=3, **options)
    batches = list(dataset)
    x = np.concatenate([batch if targets is None else batch[0] for batch in batches])
    np.testing.assert_array_equal(x, [data[row : row + 4 * rate : rate][:4] for row in rows])
    assert all(len(batch if targets is None else batch[0]) <= 3 for batch in batches)
    if targets is not None:
        assert np.concatenate([batch[1] for batch in batches]).tolist() == rows


def test_timeseries_in_a_drawn_order_and_wrong_arguments() -> None:
    data = np.arange(10.0)
    make = keras.utils.timeseries_dataset_from_array
    single = [x.tolist() for x in make(data, None, 2, batch_size=None, shuffle=True, seed=1)]
    assert sorted(single) == [[float(n), n + 1.0] for n in range(9)] != single
    for options, message in (
        ({"sampling_rate": 0}, "`sampling_rate` must be from 1 to 9"),
        ({"start_index": 10}, "`start_index`"),
        ({"start_index": 5, "end_index": 5}, "`end_index` must be from 6"),
        ({"sampling_rate": 9}, "takes 19 rows, and there are 10"),
    ):
        with pytest.raises(ValueError, match=message):
            make(data, None, 3, **options)


class Squares(torch.utils.data.Dataset):
    def __len__(self) -> int:
        return 10

    def __getitem__(self, at: int) -> tuple[int, int]:
        return at, at * at


@pytest.mark.parametrize("kind", ["arrays", "list", "dataset", "torch"])
def test_split_dataset(kind: str) -> None:
    x = np.arange(10)
    data = {
        "arrays": (x, x**2),
        "list": [x, x**2],
        "dataset": keras.data.Dataset.from_tensor_slices((x, x**2)),
        "torch": Squares(),
    }[kind]
    for sizes, lengths in (((0.7, None), (7, 3)), ((None, 2), (8, 2)), ((2, 0.5), (2, 5))):
        left, right = keras.utils.split_dataset(data, *sizes)
        numbers = [[int(a) for a, _ in part] for part in (left, right)]
        assert numbers == [list(range(lengths[0])), list(range(10 - lengths[1], 10))]
        assert all(b == a * a for part in (left, right) for a, b in part)
    left, right = keras.utils.split_dataset(data, 0.5, shuffle=True, seed=0)
    drawn = [int(a) for part in (left, right) for a, _ in part]
    assert sorted(drawn) == list(range(10)) != drawn


@pytest.mark.parametrize("sizes", [(None, None), (0, None), (1.5, None), (8, 8), (10, None)])
def test_split_dataset_refuses(sizes: Any) -> None:
    with pytest.raises(ValueError, match="split_dataset"):
        keras.utils.split_dataset(np.arange(10), *sizes)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes: 4 files of brightness 0 to 3, 6 of brightness 10 to 15, one of them in a folder below."""
    for name, numbers in (("cats", range(4)), ("dogs", range(10, 16))):
        for number in numbers:
            path = tmp_path / name / ("old" if number == 15 else "") / f"{number:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            keras.utils.save_img(path, np.full((6, 8, 3), number), scale=False)
            path.with_suffix(".txt").write_text(f"text ä {number}", encoding="utf-8")
    (tmp_path / ".hidden").mkdir()
    return tmp_path


def read(dataset: Any) -> dict[int, list[float]]:
    """Brightness and label of every picture."""
    found = {}
    for x, y in dataset:
        assert x.shape[1:] == (4, 5, 3)
        assert x.dtype is torch.float32
        found |= {int(a.mean()): b.tolist() for a, b in zip(x, y, strict=True)}
    return found


def test_pictures_from_folders(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make = keras.utils.image_dataset_from_directory
    data = make(folder, image_size=(4, 5), batch_size=4, shuffle=False)
    assert capsys.readouterr().out == "Found 10 files belonging to 2 classes.\n"
    assert read(data) == {n: int(n >= 10) for n in (0, 1, 2, 3, 10, 11, 12, 13, 14, 15)}
    assert list(read(data))[4] == 10
    assert data.class_names == ["cats", "dogs"]
    assert Path(data.file_paths[-1]) == folder / "dogs" / "old" / "15.png"
    options = {"image_size": (4, 5), "seed": 1, "verbose": False}
    binary = read(make(folder, label_mode="binary", class_names=["dogs", "cats"], **options))
    assert binary[0] == [1.0]
    categorical = read(make(folder, label_mode="categorical", **options))
    assert categorical[12] == [0.0, 1.0]
    given = read(make(folder, labels=list(range(10)), **options))
    assert given[15] == 9
    assert list(given) != sorted(given)
    alone = make(folder, labels=None, color_mode="grayscale", image_size=3, batch_size=None)
    assert next(x.shape for x in alone) == (3, 3, 1)
    assert capsys.readouterr().out == "Found 10 files.\n"


def test_split_of_a_folder(folder: Path) -> None:
    make = keras.preprocessing.image_dataset_from_directory
    options = {"image_size": (4, 5), "seed": 3, "validation_split": 0.3, "verbose": False}
    parts = [read(make(folder, subset=subset, **options)) for subset in ("training", "validation")]
    assert [len(part) for part in parts] == [7, 3]
    assert not set(parts[0]) & set(parts[1])
    both = make(folder, subset="both", **options)
    assert [set(read(part)) for part in both] == [set(part) for part in parts]


def test_text_from_folders(folder: Path) -> None:
    data = keras.utils.text_dataset_from_directory(
        folder, batch_size=3, max_length=8, shuffle=False, verbose=False
    )
    texts = np.concatenate([x for x, _ in data])
    assert texts.tolist()[:2] == ["text ä 0", "text ä 1"]
    assert texts.tolist()[-1] == "text ä 1"
    layer = keras.layers.TextVectorization()
    layer.adapt(data.map(lambda x, y: x))
    assert "ä" in layer.get_vocabulary()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label_mode": "one"}, "`label_mode`"),
        ({"labels": "none"}, "`labels` must be 'inferred'"),
        ({"labels": [1, 2]}, "each of the 10 files"),
        ({"class_names": ["birds"]}, r"folders \['cats', 'dogs'\]"),
        ({"class_names": ["cats"], "label_mode": "binary"}, "two classes"),
        ({"color_mode": "bgr"}, "`color_mode`"),
        ({"validation_split": 0.5}, "go together"),
        ({"validation_split": 0.5, "subset": "training"}, "`seed`"),
        ({"validation_split": 5, "subset": "both"}, r"fraction in \(0, 1\)"),
    ],
)
def test_folders_refuse(folder: Path, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        keras.utils.image_dataset_from_directory(folder, verbose=False, **options)
    with pytest.raises(ValueError, match="has no files"):
        keras.utils.image_dataset_from_directory(folder / ".hidden", labels=None)
