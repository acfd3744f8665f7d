"""Layers for pictures against Keras: with parameters that leave no choice, and with what was drawn given to Keras."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import pytest
import torch
from image_layers import RANDOM, SAME_SIZE, pictures

import kerastorch as kt
from kerastorch import layers

torch.set_num_threads(1)
Config = dict[str, Any]


def assert_close(mine: Any, other: Any, scale: float = 255.0) -> None:
    assert mine.dtype is other.dtype
    assert mine.shape == other.shape
    np.testing.assert_allclose(mine.float(), other.float(), rtol=1e-5, atol=1e-5 * scale)


# -- nothing is drawn ------------------------------------------------------------------------------

RESIZED: list[Config] = [
    *({"interpolation": kind} for kind in ("bilinear", "nearest", "bicubic")),
    {"antialias": True},
    {"crop_to_aspect_ratio": True},
    {"pad_to_aspect_ratio": True, "fill_value": 7.0},
]


@pytest.mark.parametrize("config", RESIZED, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_resizing(config: Config, dtype: str) -> None:
    x = pictures(dtype)
    for size in ((5, 11), (13, 4)):
        mine, other = (library.layers.Resizing(*size, **config)(x) for library in (kt, keras))
        assert mine.dtype is other.dtype
        # bytes: halves are rounded to either side
        step = 1.0 if dtype == "uint8" else 1e-3
        np.testing.assert_allclose(mine.float(), other.float(), rtol=1e-5, atol=step)


@pytest.mark.parametrize("size", [(4, 3), (5, 4), (9, 7), (12, 5), (3, 14), (20, 20)])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_center_crop(size: tuple[int, int], data_format: str) -> None:
    x = pictures()
    x = x.transpose(0, 3, 1, 2) if data_format == "channels_first" else x
    for given in (x, x[0]):
        mine, other = (
            library.layers.CenterCrop(*size, data_format=data_format)(given)
            for library in (kt, keras)
        )
        assert_close(mine, other)


def test_auto_contrast() -> None:
    for value_range in ((0, 255), (0, 1), (-1, 1)):
        x = pictures() / 300 * (value_range[1] - value_range[0]) + value_range[0]
        x[0, ..., 1] = x[0, 0, 0, 1]
        mine, other = (library.layers.AutoContrast(value_range)(x) for library in (kt, keras))
        assert_close(mine, other)
    first = layers.AutoContrast(data_format="channels_first")(x.transpose(0, 3, 1, 2))
    torch.testing.assert_close(first.movedim(1, -1), layers.AutoContrast()(x))


@pytest.mark.parametrize("bins", [256, 16])
def test_equalization(bins: int) -> None:
    x = (pictures() / 4).round()
    x[1, ..., 2] = 9.0
    for scale in (1, 255):
        ours, theirs = (
            library.layers.Equalization((0, 255 / scale), bins=bins) for library in (kt, keras)
        )
        mine = ours(x / np.float32(scale))
        if scale == 1 or bins == 16:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of Keras's use of torch
                other = torch.stack([theirs(one / np.float32(scale)) for one in x])
            assert_close(mine, other)


# -- parameters that leave no choice ---------------------------------------------------------------

FIXED: list[tuple[str, Config]] = [
    *(
        ("RandomTranslation", {"height_factor": (0.2, 0.2), "width_factor": (-0.3, -0.3), **more})
        for fill in ("reflect", "wrap", "constant", "nearest")
        for more in (
            {"fill_mode": fill, "fill_value": 3.0},
            {"fill_mode": fill, "interpolation": "nearest"},
        )
    ),
    ("RandomRotation", {"factor": (0.1, 0.1)}),
    ("RandomRotation", {"factor": (-0.3, -0.3), "fill_mode": "constant", "fill_value": 9.0}),
    ("RandomZoom", {"height_factor": (0.3, 0.3)}),
    ("RandomZoom", {"height_factor": (-0.3, -0.3), "width_factor": (0.2, 0.2)}),
    ("RandomShear", {}),
    ("RandomBrightness", {"factor": (0.3, 0.3)}),
    ("RandomBrightness", {"factor": (-0.1, -0.1), "value_range": (0, 200)}),
    ("RandomContrast", {"factor": 0.0}),
    ("RandomGrayscale", {"factor": 1.0}),
    ("RandomGrayscale", {"factor": 0.0}),
    ("RandomInvert", {"factor": (1.0, 1.0)}),
    ("RandomGaussianBlur", {"factor": (1.0, 1.0), "sigma": (0.8, 0.8), "kernel_size": 5}),
    ("RandomColorDegeneration", {"factor": (0.6, 0.6)}),
    ("RandomPosterization", {"factor": (3, 3)}),
    ("RandomSharpness", {"factor": (0.8, 0.8)}),
    ("RandomSharpness", {"factor": (0.1, 0.1)}),
    ("Solarization", {}),
    ("RandomErasing", {"factor": (1.0, 1.0), "scale": (1.0, 1.0), "fill_value": (1, 2, 3)}),
    ("RandomHue", {"factor": (0.0, 0.0)}),
    ("RandomPerspective", {"scale": 0.0}),
    ("RandomElasticTransform", {"scale": (0.0, 0.0)}),
    ("RandomColorJitter", {"brightness_factor": (0.2, 0.2), "hue_factor": 0.0}),
]


@pytest.mark.parametrize(("name", "config"), FIXED, ids=str)
def test_no_choice(name: str, config: Config) -> None:
    x = pictures()
    ours, theirs = (getattr(library.layers, name)(**config) for library in (kt, keras))
    assert_close(ours(x, training=True), theirs(x, training=True))


def test_saturation() -> None:
    x = pictures() / 255
    for factor in (0.0, 0.3, 0.5, 0.9):
        ours, theirs = (
            library.layers.RandomSaturation((factor, factor), value_range=(0, 1))
            for library in (kt, keras)
        )
        mine = ours(x, training=True)
        assert_close(mine, theirs(x, training=True), 1.0)
        bytes_ = layers.RandomSaturation((factor, factor))(x * 255, training=True)
        assert_close(bytes_, mine * 255)


# -- what was drawn, given to Keras ----------------------------------------------------------------


def column(number: torch.Tensor) -> torch.Tensor:
    return number.reshape(-1, 1, 1, 1)


def last(x: torch.Tensor) -> torch.Tensor:
    return x.movedim(1, -1)


GIVEN: dict[str, tuple[Config, Callable[..., Any]]] = {
    "RandomFlip": ({}, lambda d: {"flips": column(d[0])}),
    "RandomShear": (
        {"x_factor": 0.4, "y_factor": 0.3},
        lambda d: {"shear_factor": torch.stack(d, -1)},
    ),
    "RandomContrast": ({"factor": 0.5}, lambda d: {"contrast_factor": column(d[0])}),
    "RandomHue": ({"factor": 0.7}, lambda d: {"factor": d[0]}),
    "RandomInvert": ({"factor": 0.9}, lambda d: {"apply_inversion": d[0]}),
    "Solarization": (
        {"addition_factor": 0.3, "threshold_factor": 0.8},
        lambda d: {"additions": column(d[0]) * 255, "thresholds": column(d[1]) * 255},
    ),
    "RandomPosterization": (
        {"factor": (2, 7)},
        lambda d: {"shift_factor": d[0].log2().round().to(torch.uint8)},
    ),
    "MixUp": ({"alpha": 0.5}, lambda d: {"mix_weight": d[1], "permutation_order": d[0]}),
    "CutMix": (
        {},
        lambda d: {"permutation_order": d[0], "batch_masks": last(d[2]), "mix_weight": d[1]},
    ),
}


@pytest.mark.parametrize("name", GIVEN)
def test_given(name: str) -> None:
    config, given = GIVEN[name]
    x = torch.from_numpy(pictures(count=8))
    ours, theirs = (getattr(library.layers, name)(**config) for library in (kt, keras))
    torch.manual_seed(3)
    mine = ours(x, training=True)
    torch.manual_seed(3)
    drawn = ours._draw(x.movedim(-1, 1))
    assert_close(mine, theirs.transform_images(x.clone(), given(drawn), training=True))
    assert not torch.equal(mine, x)


def test_perspective() -> None:
    x = torch.from_numpy(pictures(count=8))
    ours, theirs = (library.layers.RandomPerspective(1.0, 0.4) for library in (kt, keras))
    torch.manual_seed(3)
    mine = ours(x, training=True)
    torch.manual_seed(3)
    chosen, moves = ours._draw(x.movedim(-1, 1))
    corners = torch.tensor([[0.0, 0.0], [6.0, 0.0], [0.0, 8.0], [6.0, 8.0]]).expand(8, 4, 2)
    given = {
        "apply_perspective": chosen,
        "start_points": corners,
        "end_points": corners + corners * moves,
    }
    other = theirs.transform_images(x, given, training=True)
    np.testing.assert_allclose(mine, other, atol=0.05)  # the places come from a linear system
    assert 0 < chosen.sum() < 8
    assert torch.equal(mine[~chosen], x[~chosen])


def test_crop() -> None:
    x = torch.arange(200.0).view(1, 10, 20, 1).expand(64, 10, 20, 1)
    y = layers.RandomCrop(4, 6)(x, training=True)[..., 0]
    assert y.shape == (64, 4, 6)
    tops, lefts = y[:, 0, 0] // 20, y[:, 0, 0] % 20
    whole = torch.arange(200.0).view(10, 20)
    for part, top, left in zip(y, tops.long().tolist(), lefts.long().tolist(), strict=True):
        assert torch.equal(part, whole[top : top + 4, left : left + 6])
    assert set(tops.tolist()) == set(range(7))
    assert lefts.max() > 11 > 3 > lefts.min()
    assert lefts.max() <= 14


def test_crop_of_what_is_too_small_or_outside_training() -> None:
    x = torch.from_numpy(pictures())
    for size, training in (((12, 5), True), ((4, 5), False), ((9, 8), True)):
        crop = layers.RandomCrop(*size)(x, training=training)
        assert_close(crop, kt.ops.image.resize(x, size, crop_to_aspect_ratio=True))


def test_erasing() -> None:
    x = torch.zeros(200, 20, 30, 3)
    y = layers.RandomErasing((0.5, 0.5), (0.1, 0.4), fill_value=(1.0, 2.0, 300.0))(x, training=True)
    erased = y.any(3)
    assert torch.equal(y[erased].unique(dim=0), torch.tensor([[1.0, 2.0, 255.0]]))
    there = erased.flatten(1).any(1)
    assert 60 < there.sum() < 140
    for hole in erased[there][:20]:
        rows, columns = hole.any(1), hole.any(0)
        assert torch.equal(hole, rows[:, None] & columns)  # a rectangle
        assert 0.3 * 20 - 1 < rows.sum() < 0.65 * 20 + 1
        assert 0.3 * 30 - 1 < columns.sum() < 0.65 * 30 + 1
    noise = layers.RandomErasing((1.0, 1.0), (1.0, 1.0), value_range=(0, 1))(x, training=True)
    assert noise.min() == 0
    assert noise.max() == 1
    assert abs((noise == 0).float().mean() - 0.5) < 0.02


def test_elastic() -> None:
    rows = torch.arange(24.0).view(24, 1, 1).expand(64, 24, 32, 1)
    y = layers.RandomElasticTransform((1.0, 1.0), (0.8, 0.8))(rows, training=True)
    shift = (y - rows)[:, 6:-6]
    # noise of deviation s, blurred over s pixels: its deviation is 1 / (2 sqrt(pi)); times alpha
    expected = 0.1 * 32 * 0.8 / (2 * np.pi**0.5)
    assert abs(shift.std() / expected - 1) < 0.25
    assert abs(shift.mean()) < 0.1
    half = layers.RandomElasticTransform((0.5, 0.5))(rows, training=True)
    kept = (half == rows).flatten(1).all(1).float().mean()
    assert 0.2 < kept < 0.8


# -- what is drawn ---------------------------------------------------------------------------------


@pytest.mark.parametrize("low", [0.0, 0.25])
def test_bounds(low: float) -> None:
    x = torch.full((4000, 1, 1, 1), 100.0)
    pair = (low, 0.5)
    added = (layers.RandomBrightness(pair)(x, training=True) - x).flatten() / 255
    assert low <= added.min() < low + 0.01
    assert 0.49 < added.max() <= 0.5
    assert abs(added.mean() - (low + 0.5) / 2) < 0.02


def test_a_number_is_a_pair() -> None:
    shapes: list[tuple[Any, tuple[float, float]]] = [
        (layers.RandomBrightness(0.2).factor, (-0.2, 0.2)),
        (layers.RandomContrast(0.2).factor, (0.2, 0.2)),
        (layers.RandomRotation(0.2).factor, (-0.2, 0.2)),
        (layers.RandomInvert(0.2).factor, (0.0, 0.2)),
        (layers.RandomHue(0.2).factor, (0.0, 0.2)),
        (layers.RandomColorDegeneration(0.2).factor, (0.0, 0.2)),
        (layers.RandomPosterization(5).factor, (1, 5)),
        (layers.Solarization(0.2, (0.4, 0.3)).addition_factor, (0.0, 0.2)),
        (layers.Solarization(0.2, (0.4, 0.3)).threshold_factor, (0.3, 0.4)),
        (layers.RandomGaussianBlur(sigma=0.5).sigma, (0.0, 0.5)),
    ]
    for found, expected in shapes:
        assert found == expected


def test_half_are_flipped() -> None:
    x = torch.tensor([[[0.0], [1.0]], [[2.0], [3.0]]]).expand(1000, 2, 2, 1)
    for mode, turned in (("horizontal", 1.0), ("vertical", 2.0), ("horizontal_and_vertical", 3.0)):
        corner = layers.RandomFlip(mode)(x, training=True)[:, 0, 0, 0]
        assert set(corner.tolist()) == {0.0, turned}
        assert 400 < (corner == 0).sum() < 600


def test_labels_are_mixed() -> None:
    x, labels = torch.eye(6).view(6, 1, 1, 6).expand(6, 8, 8, 6).contiguous(), torch.eye(6)
    for layer in (layers.MixUp(1.0), layers.CutMix()):
        result = layer({"images": x, "labels": labels}, training=True)
        torch.testing.assert_close(result["images"].mean((1, 2)), result["labels"])
        assert not torch.equal(result["labels"], labels)
        assert torch.equal(layer({"images": x, "labels": labels})["labels"], labels)


# -- files -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["theirs", "ours"])
def test_files(given: str, tmp_path: Path) -> None:
    """A model of all layers, saved by one side and read by the other."""
    names = [*SAME_SIZE, "RandomCrop", "CenterCrop", "Resizing", "AutoContrast"]
    # Keras cannot read what it writes for a number (RandomShear), or does not cut off (RandomGrayscale).
    configs = {**{name: RANDOM[name] for name in SAME_SIZE}}
    configs["RandomCrop"] = configs["CenterCrop"] = {"height": 9, "width": 7}
    configs["Resizing"], configs["AutoContrast"] = {"height": 9, "width": 7}, {}
    configs["RandomShear"] = {"x_factor": (0.1, 0.3)}

    def model(k: Any) -> Any:
        inputs = x = k.Input((9, 7, 3))
        for name in names:
            x = getattr(k.layers, name)(**configs[name], name=name.lower())(x)
        return k.Model(inputs, x)

    first, second = (keras, kt) if given == "theirs" else (kt, keras)
    before = model(first)
    before.save(tmp_path / "model.keras")
    after = second.models.load_model(tmp_path / "model.keras")
    x = torch.from_numpy(pictures())
    torch.testing.assert_close(
        before(x, training=False), after(x, training=False), atol=1e-3, rtol=1e-5
    )
    fresh = model(second)
    for name in names:
        found, expected = (one.get_layer(name.lower()) for one in (after, fresh))
        for key in ("factor", "height_factor", "x_factor", "value_range", "mode", "scale", "seed"):
            if name == "RandomCrop" and key == "seed":  # Keras makes one up
                continue
            if hasattr(found, key):
                assert as_list(getattr(found, key)) == as_list(getattr(expected, key)), (name, key)


def as_list(value: Any) -> Any:
    return list(value) if isinstance(value, (tuple, list)) else value


@pytest.mark.parametrize("given", ["theirs", "ours"])
def test_files_of_pipelines(given: str, tmp_path: Path) -> None:
    """With weights inside, in a model that has no others."""

    def model(k: Any) -> Any:
        scale = k.layers.BatchNormalization(name="n")
        learned = k.layers.Dense(3, name="d")
        steps = [scale, k.layers.RandomFlip(name="f"), learned, k.layers.RandomZoom(0.1, name="z")]
        inputs = k.Input((9, 7, 3))
        return k.Model(inputs, k.layers.Pipeline(steps, name="p")(inputs))

    first, second = (keras, kt) if given == "theirs" else (kt, keras)
    before = model(first)
    before.save(tmp_path / "model.keras")
    after = second.models.load_model(tmp_path / "model.keras")
    x = torch.from_numpy(pictures())
    torch.testing.assert_close(before(x, training=False), after(x, training=False))


def test_files_of_statistics_alone(tmp_path: Path) -> None:
    scale = keras.layers.Normalization()
    scale.adapt(pictures())
    inputs = keras.Input((9, 7, 3))
    theirs = keras.Model(inputs, scale(inputs))
    theirs.save(tmp_path / "model.keras")
    ours = kt.models.load_model(tmp_path / "model.keras")
    x = torch.from_numpy(pictures())
    torch.testing.assert_close(ours(x), theirs(x))
