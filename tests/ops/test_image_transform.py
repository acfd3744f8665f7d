"""Images read at other places, against Keras and by their definition."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import torch
from oracle import check

import kerastorch as kt

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.uniform(size=(2, 6, 5, 3)).astype("float32")
BYTES = RANDOM.integers(0, 256, size=(2, 6, 5, 3)).astype("uint8")
MODES = ("constant", "nearest", "wrap", "mirror", "reflect")


# -- map_coordinates ---------------------------------------------------------------------------------

PLACES = RANDOM.uniform(-9, 15, size=(2, 4, 7)).astype("float32")


@pytest.mark.parametrize("fill_mode", MODES)
@pytest.mark.parametrize("order", [0, 1])
def test_map_coordinates(order: int, fill_mode: str) -> None:
    options = {"order": order, "fill_mode": fill_mode, "fill_value": 0.5}
    x = IMAGES[0, ..., 0]
    check(
        "image.map_coordinates", x, PLACES, symbolic=fill_mode == "wrap", unknown=False, **options
    )
    more = {**options, "symbolic": False, "gradients": False}
    check("image.map_coordinates", BYTES[0, ..., 0], PLACES, **more)
    check("image.map_coordinates", x, PLACES.astype("int32"), **more)


def test_map_coordinates_of_other_ranks() -> None:
    check("image.map_coordinates", IMAGES[0, 0, :, 0], PLACES[:1], 1, unknown=False)
    places = RANDOM.uniform(-1, 5, size=(3, 8)).astype("float32")
    check("image.map_coordinates", IMAGES[0], places, 1, unknown=False, fill_mode="mirror")
    check("image.map_coordinates", IMAGES[0, ..., 0], list(PLACES), 1, symbolic=False)


def test_an_axis_of_one_entry_mirrors_itself() -> None:
    for mode in MODES[1:]:
        y = kt.ops.image.map_coordinates([5.0], [[-2.0, 0.3, 4.0]], 1, mode)
        assert torch.equal(y, torch.full((3,), 5.0))


def test_map_coordinates_errors() -> None:
    with pytest.raises(ValueError, match=r"`coordinates` must have shape \(2, ...\)"):
        kt.ops.image.map_coordinates(IMAGES[0, ..., 0], PLACES[:1], 1)
    with pytest.raises(ValueError, match="`order` must be 0"):
        kt.ops.image.map_coordinates(IMAGES[0, ..., 0], PLACES, 2)
    with pytest.raises(ValueError, match="`fill_mode` must be one of"):
        kt.ops.image.map_coordinates(IMAGES[0, ..., 0], PLACES, 1, "edge")


# -- affine and projective ---------------------------------------------------------------------------

#: Keras's torch backend exchanges entries of `transform` in place; these stay as they are.
SYMMETRIC = np.array(
    [[0.8, 0.3, 0.7, -0.2, 0.8, 0.7, 0, 0], [1.2, 0, 1, 0.1, 1.2, 1, 0, 0]], "float32"
)
TRANSFORMS = np.array(
    [[0.9, 0.3, 1.3, -0.2, 0.7, -0.6, 0, 0], [1.1, 0, -20, 0, 1.4, 3, 0, 0]], "float32"
)


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
@pytest.mark.parametrize("fill_mode", MODES)
def test_affine_transform(interpolation: str, fill_mode: str) -> None:
    options: Any = {"interpolation": interpolation, "fill_mode": fill_mode, "fill_value": 0.5}
    for images in (IMAGES, BYTES, IMAGES[0]):
        transforms = TRANSFORMS if images.ndim == 4 else TRANSFORMS[0]
        wanted = keras.ops.image.affine_transform(images, transforms.copy(), **options)
        result = kt.ops.image.affine_transform(images, transforms, **options)
        assert result.dtype is wanted.dtype
        # what lies half-way between two bytes may be rounded either way
        far = np.asarray(result, "float64") - np.asarray(wanted, "float64")
        assert np.abs(far).max() <= (1 if images is BYTES else 1e-5)


def test_affine_transform_in_models() -> None:
    # in Keras no gradients can flow, as `transform` is changed in place
    check("image.affine_transform", IMAGES, SYMMETRIC, gradients=False)
    first = np.ascontiguousarray(np.moveaxis(IMAGES, -1, 1))
    options = {"data_format": "channels_first", "fill_mode": "reflect", "gradients": False}
    check("image.affine_transform", first, SYMMETRIC, **options)
    check("image.affine_transform", IMAGES[0], SYMMETRIC[0], gradients=False, unknown=False)


def test_one_transform_for_all_images() -> None:
    wanted = kt.ops.image.affine_transform(IMAGES, np.repeat(TRANSFORMS[:1], 2, 0))
    assert torch.equal(kt.ops.image.affine_transform(IMAGES, TRANSFORMS[0]), wanted)


def test_affine_gradients() -> None:
    images = torch.rand(1, 4, 5, 2, dtype=torch.float64, requires_grad=True)
    transform = torch.tensor(
        [0.9, 0.31, 0.4, -0.21, 0.77, 0.6, 0.01, 0.02], dtype=torch.float64, requires_grad=True
    )
    for mode in ("constant", "reflect"):

        def function(x: torch.Tensor, t: torch.Tensor, mode: str = mode) -> torch.Tensor:
            return kt.ops.image.affine_transform(x, t, fill_mode=mode)

        assert torch.autograd.gradcheck(function, (images, transform))


def test_projections_divide() -> None:
    """c0 and c1, which only Keras's TensorFlow backend knows."""
    a = np.array([1.1, 0.1, -0.5, 0.05, 0.9, 0.3, 0.03, -0.02])
    y, x = np.mgrid[:6, :5]
    k = a[6] * x + a[7] * y + 1
    places = np.stack([(a[3] * x + a[4] * y + a[5]) / k, (a[0] * x + a[1] * y + a[2]) / k])
    wanted = kt.ops.image.map_coordinates(IMAGES[0, ..., 1], places, 1)
    result = kt.ops.image.affine_transform(IMAGES[0], a)[..., 1]
    np.testing.assert_allclose(result, wanted, rtol=1e-5, atol=1e-6)


START = np.array([[[0, 0], [4, 0], [0, 5], [4, 5]]] * 2, "float32")
END = START + np.array(
    [[[1, 0.5], [-1, 1], [0.3, -1], [-0.6, -0.8]], [[0, 1], [1, 0], [0, 0], [2, 1]]], "float32"
)


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_perspective_transform(interpolation: str) -> None:
    options: Any = {"interpolation": interpolation, "fill_value": 0.5}
    # both solve a system of equations by float32 arithmetic in its own order
    check(
        "image.perspective_transform",
        IMAGES,
        START,
        END,
        tolerance=1e-4,
        gradients=False,
        **options,
    )
    check("image.perspective_transform", IMAGES[0], START[0], END[0], symbolic=False, gradients=False,
          tolerance=1e-4, **options)  # fmt: skip
    first = np.ascontiguousarray(np.moveaxis(IMAGES, -1, 1))
    check("image.perspective_transform", first, START, END, data_format="channels_first",
          symbolic=False, gradients=False, tolerance=1e-4, **options)  # fmt: skip


def test_perspective_gradients() -> None:
    images = torch.rand(1, 4, 5, 1, dtype=torch.float64, requires_grad=True)
    end = torch.tensor(END[:1] + 0.13, dtype=torch.float64, requires_grad=True)
    start = torch.tensor(START[:1], dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda x, e: kt.ops.image.perspective_transform(x, start, e), (images, end)
    )


def test_points_that_stay_move_nothing() -> None:
    result = kt.ops.image.perspective_transform(BYTES, START[0], START[0])
    assert torch.equal(result, torch.from_numpy(BYTES))


def test_transform_errors() -> None:
    with pytest.raises(ValueError, match=r"`transform` must have shape \(8,\)"):
        kt.ops.image.affine_transform(IMAGES, TRANSFORMS[:, :6])
    with pytest.raises(ValueError, match="`interpolation` must be one of"):
        kt.ops.image.affine_transform(IMAGES, TRANSFORMS, "cubic")
    with pytest.raises(ValueError, match="must both have shape"):
        kt.ops.image.perspective_transform(IMAGES, START, END[0])


# -- elastic -----------------------------------------------------------------------------------------


def test_elastic_transform_moves_pixels() -> None:
    ours = kt.ops.image.elastic_transform(IMAGES, alpha=0.0, sigma=2.0, seed=1)
    np.testing.assert_allclose(ours, IMAGES, rtol=1e-6)
    moved = kt.ops.image.elastic_transform(IMAGES, alpha=3.0, sigma=1.0, seed=1)
    assert moved.shape == IMAGES.shape
    assert not np.allclose(moved, IMAGES)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_elastic_transform_of_a_ramp_shows_the_displacement(data_format: str) -> None:
    """What was x in each pixel is x + alpha * blurred noise."""
    ramp = torch.arange(40.0).expand(30, 40).unsqueeze(-1)
    ramp = ramp.movedim(-1, 0) if data_format == "channels_first" else ramp
    options: Any = {"sigma": 1.0, "seed": 3, "fill_mode": "nearest", "data_format": data_format}
    y = kt.ops.image.elastic_transform(ramp, alpha=1.0, **options)
    inner: Any = (
        (slice(None), slice(3, -3))
        if data_format == "channels_last"
        else (0, slice(None), slice(3, -3))
    )
    moves = (y - ramp)[inner]
    # noise of deviation 1 after a normalised Gaussian of deviation 1: 1 / (2 sqrt(pi))
    assert abs(float(moves.std()) - 0.2821) < 0.03
    assert abs(float(moves.mean())) < 0.05
    twice = kt.ops.image.elastic_transform(ramp, alpha=2.0, **options)
    np.testing.assert_allclose((twice - ramp)[inner], 2 * moves, rtol=1e-3, atol=1e-3)


def test_elastic_seeds_dtypes_and_models() -> None:
    one, same, other = (kt.ops.image.elastic_transform(IMAGES, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert kt.ops.image.elastic_transform(BYTES[0]).dtype is torch.uint8
    x = kt.Input(batch_shape=(None, 6, 5, 3))
    model = kt.Model(x, kt.ops.image.elastic_transform(x, seed=1))
    again = kt.models.model_from_json(model.to_json())
    assert torch.equal(again(IMAGES), one)
    there = keras.models.model_from_json(model.to_json())
    assert there.output_shape == (None, 6, 5, 3)
