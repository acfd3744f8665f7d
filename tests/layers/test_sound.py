"""Spectrograms, and `ReversibleEmbedding`, as in Keras."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import keras as oracle
import numpy as np
import pytest
import torch

import kerastorch as keras

rng = np.random.default_rng(0)
MODES = ["log", "magnitude", "psd", "real", "imag", "angle", "stft"]


def close(mine: torch.Tensor, theirs: torch.Tensor, **tolerance: float) -> None:
    torch.testing.assert_close(mine, theirs, **{"rtol": 1e-5, "atol": 1e-5, **tolerance})


def both(name: str, x: np.ndarray, **options: Any) -> list[torch.Tensor]:
    layers = [getattr(library.layers, name)(**options) for library in (keras, oracle)]
    results = [layer(x) for layer in layers]
    assert [w.shape for w in layers[0].weights] == [w.shape for w in layers[1].weights]
    return results


@pytest.mark.parametrize(("mode", "expand"), list(itertools.product(MODES, [False, True])))
@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
def test_stft_spectrogram(mode: str, expand: bool, layout: str) -> None:
    x = rng.normal(size=(2, 90, 3)).astype("float32")
    x = x if layout == "channels_last" else x.transpose(0, 2, 1)
    options = {"mode": mode, "frame_length": 24, "frame_step": 10, "expand_dims": expand}
    for padding in ("valid", "same"):
        mine, theirs = both(
            "STFTSpectrogram", x, **options, padding=padding, data_format=layout, window="hamming"
        )
        if mode == "angle":  # the same to full turns, and anything where there is nothing
            mine, theirs = torch.exp(1j * mine)[..., 1:-1], torch.exp(1j * theirs)[..., 1:-1]
            assert (mine - theirs).abs().median() < 1e-5
        else:
            close(mine, theirs, atol=1e-4 if mode == "log" else 1e-5)


def test_stft_spectrogram_is_a_layer(tmp_path: Path) -> None:
    layer = keras.layers.STFTSpectrogram(frame_length=16, scaling="spectrum", periodic=True)
    model = keras.Sequential([keras.Input((None, 1)), layer, keras.layers.Dense(2)])
    assert model.output_shape == (None, None, 2)
    x = torch.randn(2, 64, 1)
    model(x).sum().backward()
    assert layer.real_kernel.grad is not None
    model.save(tmp_path / "m.keras")
    theirs = oracle.saving.load_model(tmp_path / "m.keras")
    close(model(x), theirs(x), rtol=1e-4, atol=1e-4)
    for options, message in (
        ({"mode": "power"}, "`mode`"),
        ({"frame_step": 300}, "`frame_step` must be from 1"),
        ({"fft_length": 8}, "`fft_length` must be at least"),
        ({"window": "glass"}, "glass"),
        ({"padding": "full"}, "`padding`"),
        ({"scaling": "x"}, "`scaling`"),
    ):
        with pytest.raises(ValueError, match=message):
            keras.layers.STFTSpectrogram(**options)
    with pytest.raises(ValueError, match=r"\(batch, time, channels\)"):
        layer(torch.ones(2, 64))


MEL: list[dict[str, Any]] = [
    {},
    {"power_to_db": False, "mag_exp": 1.0},
    {"sequence_length": 200, "num_mel_bins": 20, "min_freq": 100.0, "max_freq": 3000.0},
    {"top_db": 20.0, "ref_power": 0.5, "sampling_rate": 8000, "window": "hamming"},
]


@pytest.mark.parametrize("options", MEL)
@pytest.mark.parametrize("shape", [(2, 2000), (1500,)])
def test_mel_spectrogram(options: dict[str, Any], shape: tuple[int, ...]) -> None:
    x = rng.normal(size=shape).astype("float32")
    options = {"fft_length": 256, "sequence_stride": 100, "num_mel_bins": 30, **options}
    mine, theirs = both("MelSpectrogram", x, **options)
    close(mine, theirs, rtol=1e-4, atol=1e-4)  # the edges of bands in float32
    layer = keras.layers.MelSpectrogram(**options)
    again = keras.layers.MelSpectrogram.from_config(layer.get_config())
    assert torch.equal(again(x), mine)
    shapes = oracle.layers.MelSpectrogram(**options).compute_output_shape((None, 2000))
    assert keras.Model(s := keras.Input((2000,)), layer(s)).output_shape[1] == shapes[1]
    with pytest.raises(ValueError, match="at least `sequence_length`"):
        keras.layers.MelSpectrogram(128, sequence_length=129)


TOKENS = np.array([[1, 2, 0], [3, 0, 0]])
EMBEDDINGS: list[dict[str, Any]] = [
    {}, {"tie_weights": False}, {"mask_zero": True}, {"logit_soft_cap": 0.1},
    {"reverse_dtype": "bfloat16", "tie_weights": False},
]  # fmt: skip


@pytest.mark.parametrize("options", EMBEDDINGS)
def test_reversible_embedding(options: dict[str, Any], tmp_path: Path) -> None:
    layers = [k.layers.ReversibleEmbedding(5, 4, name="e", **options) for k in (keras, oracle)]
    for layer in layers:
        layer.build((None, 3))
    layers[0].set_weights([rng.normal(size=w.shape) for w in layers[1].weights])
    layers[1].set_weights(layers[0].get_weights())
    vectors = [layer(TOKENS) for layer in layers]
    close(*vectors)
    scores = [layer(v, reverse=True) for layer, v in zip(layers, vectors, strict=True)]
    close(*scores)
    assert scores[0].dtype is (torch.bfloat16 if "reverse_dtype" in options else torch.float32)
    mask = getattr(vectors[0], "_keras_mask", None)
    assert (mask is not None) == ("mask_zero" in options)
    tokens = keras.Input((3,), dtype="int64")
    model = keras.Model(tokens, layers[0](layers[0](tokens), reverse=True))
    close(model(TOKENS), scores[0])
    model.save(tmp_path / "m.keras")
    close(keras.saving.load_model(tmp_path / "m.keras")(TOKENS), scores[0])
    close(oracle.saving.load_model(tmp_path / "m.keras")(TOKENS), scores[0])
