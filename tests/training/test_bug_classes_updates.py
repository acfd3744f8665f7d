"""Mistakes that training loops are known for, one test each: accumulation, clipping, scaling, rates."""

import keras as oracle
import numpy as np
import pytest
import torch

import kerastorch as keras
from kerastorch import layers

ROWS = np.random.default_rng(2).normal(size=(67, 4)).astype("float32")


def dense(optimizer) -> keras.Model:
    """A linear model without bias, all weights 0.5."""
    inputs = keras.Input((4,))
    outputs = layers.Dense(1, use_bias=False, kernel_initializer=keras.initializers.Constant(0.5))
    model = keras.Model(inputs, outputs(inputs))
    model.compile(optimizer, "mse")
    return model


def fit_linear(optimizer, batch_size: int, rows: int) -> keras.Model:
    inputs = ROWS[:rows]
    model = dense(optimizer)
    model.fit(inputs, inputs.sum(1), batch_size=batch_size, shuffle=False, verbose=0)
    return model


def test_accumulation_counts_updates_not_batches() -> None:
    model = fit_linear(keras.optimizers.SGD(0.01, gradient_accumulation_steps=3), 1, rows=67)
    assert int(model.optimizer.iterations) == 23  # 22 of three batches, and the tail of one


def test_accumulation_equals_a_big_batch_tail_included() -> None:
    """Clipping and decay once an update: 5 batches are 3 and 2."""

    def make(**more):
        return keras.optimizers.AdamW(0.1, weight_decay=0.1, clipnorm=0.5, **more)

    small = fit_linear(make(gradient_accumulation_steps=3), 4, rows=20)
    inputs = ROWS[:20]
    big = dense(make())
    for rows in (slice(0, 12), slice(12, 20)):
        big.train_on_batch(inputs[rows], inputs[rows].sum(1))
    np.testing.assert_allclose(small.get_weights()[0], big.get_weights()[0], rtol=1e-5)
    assert int(small.optimizer.iterations) == int(big.optimizer.iterations) == 2


def test_a_schedule_under_accumulation_counts_batches_as_in_keras() -> None:
    rates = {}
    for library in (keras, oracle):
        schedule = library.optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)
        optimizer = library.optimizers.SGD(schedule, gradient_accumulation_steps=3)
        weight = keras.Variable(torch.ones(1)) if library is keras else oracle.Variable([1.0])
        values = []
        for _ in range(7):
            optimizer.apply([torch.ones(1)], [weight])
            values.append(float(weight.numpy()[0]))
        rates[library] = values
    np.testing.assert_allclose(rates[keras], rates[oracle], rtol=1e-6)
    assert len(set(rates[keras])) == 3


def test_accumulation_over_uneven_counts_is_exact_with_sums() -> None:
    """Means of uneven batches are not the mean of all; sums are: divide by what you want."""
    steps = np.array([5, 1, 2, 4, 3, 5])
    weights = (np.arange(5) < steps[:, None]).astype("float32")
    x = np.random.default_rng(3).normal(size=(6, 5, 4)).astype("float32")
    y = x.sum(-1, keepdims=True)

    def train(batch_size, accumulate):
        inputs = keras.Input((5, 4))
        outputs = layers.Dense(1, use_bias=False, kernel_initializer="zeros")(inputs)
        model = keras.Model(inputs, outputs)
        options = {"gradient_accumulation_steps": accumulate} if accumulate > 1 else {}
        rate = 0.1 * accumulate / steps.sum()
        model.compile(
            keras.optimizers.SGD(rate, **options), keras.losses.MeanSquaredError(reduction="sum")
        )
        model.fit(x, y, sample_weight=weights, batch_size=batch_size, shuffle=False, verbose=0)
        return model.get_weights()[0]

    whole = train(6, 1)
    assert np.abs(whole).max() > 0
    np.testing.assert_allclose(train(1, 6), whole, rtol=1e-5)
    np.testing.assert_allclose(train(2, 3), whole, rtol=1e-5)


def test_gradients_are_unscaled_before_they_are_clipped() -> None:
    gradient = torch.tensor([3.0, 4.0])  # of norm 5
    weight = torch.nn.Parameter(torch.zeros(2))
    inner = keras.optimizers.SGD(1.0, global_clipnorm=1.0)
    optimizer = keras.optimizers.LossScaleOptimizer(inner, initial_scale=1024.0)
    optimizer.apply([gradient * 1024], [weight])
    torch.testing.assert_close(weight.data, -gradient / 5)


@pytest.mark.parametrize("scaled", ["by an optimizer around it", "by a fixed factor"])
def test_fit_scales_the_loss_whose_gradients_are_unscaled(scaled: str) -> None:
    plain = fit_linear(keras.optimizers.SGD(0.1, global_clipnorm=0.5), 8, rows=24)
    if scaled == "by a fixed factor":
        optimizer = keras.optimizers.SGD(0.1, global_clipnorm=0.5, loss_scale_factor=64.0)
    else:
        inner = keras.optimizers.SGD(0.1, global_clipnorm=0.5)
        optimizer = keras.optimizers.LossScaleOptimizer(inner, initial_scale=1024.0)
    model = fit_linear(optimizer, 8, rows=24)
    np.testing.assert_allclose(model.get_weights()[0], plain.get_weights()[0], rtol=1e-5)


def test_a_skipped_update_moves_neither_schedule_nor_counter() -> None:
    weight = torch.nn.Parameter(torch.ones(2))
    schedule = keras.optimizers.schedules.InverseTimeDecay(1.0, 1, 1.0)
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(schedule))
    optimizer.apply([torch.tensor([1.0, float("inf")])], [weight])
    assert int(optimizer.iterations) == 0
    assert float(optimizer.learning_rate) == 1.0
    assert weight.tolist() == [1.0, 1.0]
    optimizer.apply([torch.zeros(2)], [weight])
    assert int(optimizer.iterations) == 1
    assert float(optimizer.learning_rate) == 0.5


def test_a_plateau_scales_a_schedule() -> None:
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 4, 0.5)
    model = dense(keras.optimizers.SGD(schedule))
    plateau = keras.callbacks.ReduceLROnPlateau("loss", factor=0.1, patience=1, min_delta=100.0)
    history = model.fit(
        ROWS, ROWS[:, 0], batch_size=67, epochs=4, verbose=0, callbacks=[plateau]
    ).history
    expected = [
        0.1 * 0.5 ** (t / 4) * f for t, f in zip([1, 2, 3, 4], [1, 1, 0.1, 0.01], strict=True)
    ]
    np.testing.assert_allclose(history["learning_rate"], expected, rtol=1e-5)
