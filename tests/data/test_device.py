"""Where batches are when the model sees them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import kerastorch as keras
from kerastorch.data import ArrayBatches, IterableBatches, _device, carried, settle

META = torch.device("meta")
X = torch.arange(20.0).reshape(10, 2)
Y = torch.arange(10)

cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.mark.parametrize("shuffle", [False, True, "batch"])
def test_small_arrays_move_once(shuffle: Any) -> None:
    batches = ArrayBatches((X, Y), 4, shuffle)
    settle(batches, META)
    for first, second in zip(batches, carried(batches, META), strict=True):
        assert [t.device for t in (*first, *second)] == [META] * 4
        assert [t.shape[0] for t in first] == [t.shape[0] for t in second]
    whole = batches.whole()
    (again,) = carried([whole], META)
    assert all(a is b for a, b in zip(whole, again, strict=True)), "nothing moves twice"


def test_large_arrays_stay_and_their_batches_move(monkeypatch: pytest.MonkeyPatch) -> None:
    batches = ArrayBatches((X, Y), 4)
    assert batches.nbytes == 10 * (8 + 8)
    monkeypatch.setattr(_device, "_BYTES", batches.nbytes - 1)
    settle(batches, META)
    assert {t.device.type for t in batches.whole()} == {"cpu"}
    assert {t.device.type for batch in carried(batches, META) for t in batch} == {"meta"}


def test_on_the_host_nothing_is_copied() -> None:
    for device in (None, torch.device("cpu")):
        batches = ArrayBatches((X, None), 10)
        settle(batches, device)
        (batch,) = carried(batches, device)
        assert batch[0].data_ptr() == X.data_ptr()
        assert batch[1] is None


def test_streams_move_batch_by_batch() -> None:
    seen: list[int] = []

    def batches() -> Any:
        for i in range(3):
            seen.append(i)
            yield {"a": X, "b": [X, None]}, Y

    source = IterableBatches(batches())
    settle(source, META)
    assert seen == []
    for i, (x, y) in enumerate(carried(source, META)):
        assert seen == list(range(i + 1)), "no batch is read ahead of its step"
        assert x["a"].device == x["b"][0].device == y.device == META
        assert x["b"][1] is None


@cuda
@pytest.mark.parametrize("resident", [True, False])
def test_training_on_cuda_sees_the_same_batches(
    resident: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_device, "_PARTS", 4 if resident else 1 << 60)
    x = np.random.default_rng(0).random((1000, 8), dtype=np.float32)

    def losses(device: str) -> Any:
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)]).to(device)
        model.compile("sgd", "mse")
        return model.fit(x, x.sum(1), epochs=3, verbose=0).history["loss"]

    assert losses("cuda") == pytest.approx(losses("cpu"), rel=1e-4)
