"""Models with operations of `keras.ops` as plain torch code, and as files for other programs."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import kerastorch as keras
from kerastorch import ops

SHAPE = (4, 6)
CASES: dict[str, Any] = {
    "add a number": lambda x: ops.add(x, 2),
    "maximum of a number": lambda x: ops.maximum(x, 0.5),
    "sum": lambda x: ops.sum(x, axis=(1, -1)),
    "mean": lambda x: ops.mean(x, axis=1, keepdims=True),
    "std": lambda x: ops.std(x, axis=-1),
    "max": lambda x: ops.max(x, axis=1),
    "argmax": lambda x: ops.argmax(x, axis=-1),
    "clip": lambda x: ops.clip(x, -0.5, 0.5),
    "concatenate": lambda x: ops.concatenate([x, ops.exp(x)], axis=-1),
    "stack": lambda x: ops.stack([x, x + 1], axis=1),
    "expand_dims": lambda x: ops.expand_dims(x, 1),
    "swapaxes": lambda x: ops.swapaxes(x, 1, 2),
    "transpose": lambda x: ops.transpose(x, (0, 2, 1)),
    "softmax": lambda x: ops.softmax(x, axis=-1),
    "gelu": lambda x: ops.gelu(x),
    "einsum": lambda x: ops.einsum("bij,bkj->bik", x, x),
    "matmul": lambda x: ops.matmul(x, ops.swapaxes(x, 1, 2)),
    "where": lambda x: ops.where(x > 0, x, 0.0),
    "split": lambda x: ops.split(x, 2, axis=-1)[1],
    "cast": lambda x: ops.cast(x > 0, "float32"),
    "moments": lambda x: ops.moments(x, axes=[1])[1],
    "one_hot": lambda x: ops.one_hot(ops.argmax(x, axis=-1), 6),
    "logsumexp": lambda x: ops.logsumexp(x, axis=-1),
    "norm": lambda x: ops.norm(x, axis=-1),
    "reshape": lambda x: ops.reshape(x, (-1, 24)),
    "shape": lambda x: ops.reshape(x, (ops.shape(x)[0], -1)),
}


def model_of(function: Any) -> Any:
    x = keras.Input(SHAPE, name="x")
    return keras.Model(x, function(keras.layers.Dense(6, name="dense")(x)))


@pytest.mark.parametrize("name", CASES)
def test_to_torch(name: str) -> None:
    model, x = model_of(CASES[name]), torch.randn(3, *SHAPE)
    module = model.to_torch()
    assert "keras" not in module.source.replace("made from a Keras model", "")
    torch.testing.assert_close(module(x), model(x))


def test_what_asks_for_unknown_sizes_is_refused() -> None:
    with pytest.raises(NotImplementedError, match=r"ops\.take of tensors of unknown sizes"):
        model_of(lambda x: ops.take(x, [0, 2], axis=1)).to_torch()


def test_source_reads_well() -> None:
    source = model_of(lambda x: ops.softmax(ops.sum(x, axis=1))).to_torch().source
    body = source[source.index("def forward") :].split()
    assert "torch.sum(dense," in " ".join(body)


@pytest.mark.parametrize("name", ["mean", "concatenate", "einsum", "where", "moments"])
def test_export(name: str, tmp_path: Any) -> None:
    model, x = model_of(CASES[name]), torch.randn(5, *SHAPE)
    model.export(tmp_path / "model.pt2")
    program = torch.export.load(tmp_path / "model.pt2").module()
    torch.testing.assert_close(program(x), model(x))
