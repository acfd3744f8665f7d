"""Attention with masks, scores and other axes: Keras is the oracle, for gradients too."""

from typing import Any

import keras
import numpy as np
import pytest
import torch
from layer_table import random_weights

import kerastorch as kt
from kerastorch import layers

B, T, S = 2, 4, 5
ROWS = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0]]).bool()
COLUMNS = torch.tensor([[1, 1, 1, 1, 0], [1, 1, 1, 0, 0]]).bool()
PAIRS = torch.rand(B, T, S, generator=torch.Generator().manual_seed(3)) > 0.3
PAIRS[..., 0] = True  # every query may look somewhere

pytestmark = pytest.mark.filterwarnings("ignore:.*does not support masking")  # Keras warns


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def both(name: str, shapes: list[Any], *args: Any, **config: Any) -> tuple[Any, Any]:
    """Our layer and Keras's, built with the same weights."""
    ours, theirs = (getattr(library.layers, name)(*args, **config) for library in (kt, keras))
    for layer in (ours, theirs):
        layer.build(*shapes) if "Query" in name or "Head" in name else layer.build(shapes)
        layer.set_weights(random_weights(layer))
    return ours, theirs


def inputs(*shapes: tuple[int, ...]) -> list[torch.Tensor]:
    rng = np.random.default_rng(0)
    return [
        torch.from_numpy(rng.uniform(-1, 1, shape).astype("float32")).requires_grad_()
        for shape in shapes
    ]


def agree(ours: Any, theirs: Any, call: Any, tensors: list[torch.Tensor]) -> None:
    """Outputs and gradients of every output."""
    found, expected = call(ours), call(theirs)
    found, expected = (list(y) if isinstance(y, tuple) else [y] for y in (found, expected))
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        close(a, b)
        mine, wanted = (
            [*tensors, *ours.trainable_weights],
            [w.value for w in theirs.trainable_weights],
        )
        gradients = torch.autograd.grad(
            a.square().mean(), mine, retain_graph=True, allow_unused=True
        )
        oracle = torch.autograd.grad(
            b.square().mean(), [*tensors, *wanted], retain_graph=True, allow_unused=True
        )
        for g, h in zip(gradients, oracle, strict=True):
            assert (g is None) == (h is None)
            if g is not None:
                close(g, h)


LAYERS: dict[str, tuple[Any, ...]] = {
    "MultiHeadAttention": (2, 3),
    "GroupQueryAttention": (3, 4, 2),
}
MASKS: dict[str, dict[str, Any]] = {
    "none": {},
    "value": {"value_mask": COLUMNS},
    "key": {"key_mask": COLUMNS},
    "pairs": {"attention_mask": PAIRS},
    "all": {"value_mask": COLUMNS, "key_mask": COLUMNS, "attention_mask": PAIRS},
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("masks", MASKS)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("scores", [False, True])
def test_masks_and_scores(name: str, masks: str, causal: bool, scores: bool) -> None:
    query, value, key = inputs((B, T, 6), (B, S, 6), (B, S, 6))
    ours, theirs = both(name, [query.shape, value.shape, key.shape], *LAYERS[name])
    tensors = [query, value, key]

    def call(layer: Any) -> Any:
        if layer is ours:
            given = MASKS[masks]
        else:  # Keras takes them from the tensors alone
            given = {k: v for k, v in MASKS[masks].items() if k == "attention_mask"}
            marked = {"value_mask": value, "key_mask": key}
            for mask, tensor in marked.items():
                tensor._keras_mask = MASKS[masks].get(mask)
        options = {"use_causal_mask": causal, "return_attention_scores": scores}
        result = layer(query, value, key, **given, **options)
        for tensor in tensors:
            tensor._keras_mask = None
        return result

    agree(ours, theirs, call, tensors)


@pytest.mark.parametrize("name", LAYERS)
def test_implicit_masks(name: str) -> None:
    """The query's mask hides queries and goes on, those of key and value hide steps."""
    query, value = inputs((B, T, 6), (B, S, 6))
    ours, theirs = both(name, [query.shape, value.shape], *LAYERS[name])

    def call(layer: Any) -> Any:
        query._keras_mask, value._keras_mask = ROWS, COLUMNS
        return layer(query, value)

    agree(ours, theirs, lambda layer: call(layer)[ROWS], [query, value])
    assert torch.equal(call(ours)._keras_mask, ROWS)
    hidden = ours(query, value, return_attention_scores=True)[1].movedim(1, 2)[~ROWS]
    assert not hidden.any()


@pytest.mark.parametrize("scores", [False, True])
def test_a_query_that_may_look_nowhere_gets_nothing(scores: bool) -> None:
    """As in Keras with scores; without, Keras gives it the mean of all values."""
    query, value = inputs((B, T, 6), (B, S, 6))
    ours, theirs = both("MultiHeadAttention", [query.shape, value.shape], 2, 3)
    mask = PAIRS.clone()
    mask[0, 1] = False
    y = ours(query, value, attention_mask=mask, return_attention_scores=scores)
    expected = theirs(query, value, attention_mask=mask, return_attention_scores=True)
    close(y[0] if scores else y, expected[0])
    close(expected[0][0, 1], ours.output_dense.bias)


def test_implicit_masks_in_a_functional_model() -> None:
    layer = layers.MultiHeadAttention(2, 3)
    ids = kt.Input((4,), dtype="int64")
    x = layers.Embedding(5, 6, mask_zero=True)(ids)
    y = layer(x, x, use_causal_mask=True)
    assert y._keras_mask is not None
    model = kt.Model(ids, y)
    data = torch.tensor([[1, 2, 0, 0], [3, 4, 1, 0]])
    embedded = model.layers[1](data)
    close(model(data), layer(embedded, embedded, use_causal_mask=True))
    hidden = model(
        torch.tensor([[1, 2, 0, 0], [3, 4, 1, 0]]).clone().index_fill_(1, torch.tensor(3), 0)
    )
    close(hidden[:, :2], model(data)[:, :2])
    weights = layer(embedded, embedded, return_attention_scores=True)[1]
    assert not weights[0, :, :, 2:].any()


@pytest.mark.parametrize("axes", [(1,), (2,), (1, 2), -2])
def test_attention_over_other_axes_with_a_mask_and_scores(axes: Any) -> None:
    query, value = inputs((B, 3, 4, 6), (B, 3, 4, 6))
    ours, theirs = both("MultiHeadAttention", [query.shape] * 2, 2, 3, attention_axes=axes)
    shape = {(1,): (B, 4, 3, 3), (2,): (B, 3, 4, 4), -2: (B, 3, 4, 4)}.get(axes, (B, 3, 4, 3, 4))
    mask = torch.rand(shape, generator=torch.Generator().manual_seed(1)) > 0.3

    def call(layer: Any) -> Any:
        return layer(query, value, attention_mask=mask, return_attention_scores=True)

    agree(ours, theirs, call, [query, value])
    close(ours(query, value, attention_mask=mask), call(ours)[0])


def test_fused_path_is_the_explicit_one() -> None:
    query, value = inputs((B, T, 6), (B, S, 6))
    layer = layers.MultiHeadAttention(2, 3, sliding_window=2)
    for causal in (False, True):
        options: dict[str, Any] = {"attention_mask": PAIRS, "use_causal_mask": causal}
        y, scores = layer(query, value, **options, return_attention_scores=True)
        close(layer(query, value, **options), y)
        near = (torch.arange(T)[:, None] - torch.arange(S)).abs() < 2
        assert not scores[..., ~near].any()


@pytest.mark.parametrize("seed", [None, 4])
def test_dropout_of_attention_weights(seed: int | None) -> None:
    layer = layers.MultiHeadAttention(1, 400, dropout=0.25, seed=seed)
    x = torch.zeros(1, 2000, 1)
    layer.build(x.shape)
    layer.value_dense.bias.assign(torch.ones(1, 400))
    layer.output_dense.kernel.assign(torch.full((1, 400, 1), 1 / 400))
    y = layer(x[:, :50], x, training=True)  # a mean of 2000 values, of which 3 of 4 weigh 4 / 3
    assert y.mean().item() == pytest.approx(1, abs=0.01)
    assert y.std().item() == pytest.approx((0.25 / 0.75 / 2000) ** 0.5, rel=0.3)
    assert torch.equal(layer(x[:, :50], x), layer(x[:, :50], x))
    twin = layers.MultiHeadAttention.from_config(layer.get_config())
    twin.build(x.shape)
    twin.set_weights(layer.get_weights())
    torch.manual_seed(0)
    assert torch.equal(twin(x[:, :50], x, training=True), y) == (seed is not None)


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("Attention", {}),
        ("Attention", {"use_scale": True}),
        ("Attention", {"score_mode": "concat", "use_scale": True}),
        ("AdditiveAttention", {}),
    ],
)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_attention_of_lists(name: str, config: dict[str, Any], causal: bool, masked: bool) -> None:
    tensors = inputs((B, T, 6), (B, S, 3), (B, S, 6))
    ours, theirs = both(name, [x.shape for x in tensors], **config)
    columns = torch.tensor([[1, 1, 1, 1, 0], [1, 1, 0, 0, 0]]).bool()  # every query sees something
    mask = [ROWS, columns] if masked else None
    for scores in (False, True):

        def call(layer: Any, scores: bool = scores) -> Any:
            options = {"use_causal_mask": causal, "return_attention_scores": scores}
            return layer(tensors, mask=mask, **options)

        agree(ours, theirs, call, tensors)
    found = call(ours)[0]._keras_mask if masked else None
    assert found is None or torch.equal(found, ROWS)


@pytest.mark.parametrize(
    ("layer", "config", "message"),
    [
        ("MultiHeadAttention", {"num_heads": 0, "key_dim": 2}, "`num_heads` must be a positive"),
        ("MultiHeadAttention", {"num_heads": 2, "key_dim": 2, "dropout": 1.5}, "`dropout` must be"),
        (
            *("MultiHeadAttention", {"num_heads": 2, "key_dim": 2, "sliding_window": 0}),
            "`sliding_window` must be a positive",
        ),
        (
            "MultiHeadAttention",
            {"num_heads": 2, "key_dim": 2, "dropout": 0.1, "flash_attention": True},
            "flash_attention=True takes no dropout",
        ),
        (
            "GroupQueryAttention",
            {"head_dim": 2, "num_query_heads": 3, "num_key_value_heads": 2},
            "`num_query_heads` (3) must be a multiple",
        ),
        ("Attention", {"score_mode": "sum"}, "`score_mode` must be 'dot' or 'concat'"),
        ("EinsumDense", {"equation": "ab->a", "output_shape": 2}, "must be like 'ab,bc->ac'"),
    ],
)
def test_arguments(layer: str, config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        getattr(layers, layer)(**config)
    assert message in str(caught.value)


def test_shapes_that_do_not_fit() -> None:
    with pytest.raises(
        ValueError, match=r"MultiHeadAttention 'heads'.* value and key the same sizes"
    ):
        layers.MultiHeadAttention(2, 3, name="heads")(
            torch.rand(2, 4, 6), torch.rand(2, 5, 6), torch.rand(2, 4, 6)
        )
    with pytest.raises(ValueError, match=r"Attention 'look'.*expected \[query, value\]"):
        layers.Attention(name="look")(torch.rand(2, 4, 6))
    with pytest.raises(ValueError, match=r"'sum'.* is 3 in the input .* and 4 in `output_shape`"):
        layers.EinsumDense("abc,cd->abd", (4, 5), name="sum")(torch.rand(2, 3, 6))
    flash = layers.MultiHeadAttention(2, 3, flash_attention=True)
    x = torch.rand(2, 4, 6)
    assert flash(x, x).shape == x.shape
    with pytest.raises(ValueError, match="gives no attention scores"):
        flash(x, x, return_attention_scores=True)


def test_initial_kernels_have_the_variance_of_a_dense_layer() -> None:
    layer = layers.EinsumDense("abc,cde->abde", (None, 20, 30), kernel_initializer="glorot_normal")
    layer.build((2, 5, 100))
    assert layer.kernel.std().item() == pytest.approx((2 / (100 + 600)) ** 0.5, rel=0.02)
