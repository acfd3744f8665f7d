"""Averages in and out: Keras on the same model and data is the oracle."""

import keras as oracle
import numpy as np
import pytest
import torch

import kerastorch as keras
from kerastorch.callbacks import EarlyStopping, LambdaCallback, SwapEMAWeights

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(24, 3)).astype("float32"), RNG.normal(size=(24, 1)).astype("float32")
KERNEL, BIAS = RNG.normal(size=(3, 1)).astype("float32"), np.array([0.5], "float32")


def made(library, optimizer=None):
    model = library.Sequential([library.Input((3,)), library.layers.Dense(1)])
    model.set_weights([KERNEL, BIAS])
    model.compile(
        optimizer or library.optimizers.SGD(0.1, 0.5, use_ema=True, ema_momentum=0.9), "mse"
    )
    return model


def flat(model):
    return np.concatenate([np.ravel(w) for w in model.get_weights()])


def fit(library, *callbacks, swap_on_epoch=False, validate=True, **options):
    """The model, its history and its weights at several moments of every epoch."""
    model, seen = made(library), []

    def note(*_, **__):
        seen.append(flat(model))

    notes = library.callbacks.LambdaCallback(on_epoch_end=note, on_train_batch_begin=note)
    notes.on_test_begin = note
    swap = library.callbacks.SwapEMAWeights(swap_on_epoch)
    history = model.fit(
        X, Y, batch_size=8, shuffle=False, verbose=0,
        validation_data=(X, Y) if validate else None,
        callbacks=[swap, notes, *callbacks], **{"epochs": 3, **options},
    )  # fmt: skip
    return model, history.history, seen


@pytest.mark.parametrize("swap_on_epoch", [False, True])
@pytest.mark.parametrize("validate", [False, True])
def test_like_keras(swap_on_epoch, validate):
    ours, theirs = (
        fit(library, swap_on_epoch=swap_on_epoch, validate=validate) for library in (keras, oracle)
    )
    for key, values in theirs[1].items():
        np.testing.assert_allclose(ours[1][key], values, rtol=1e-5)
    assert len(ours[2]) == len(theirs[2]) > 9
    for a, b in zip(ours[2], theirs[2], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(flat(ours[0]), flat(theirs[0]), rtol=1e-5, atol=1e-6)


def averages(model):
    optimizer = model.optimizer
    return torch.cat([optimizer.state[w]["average"].ravel() for w in model.weights]).numpy()


@pytest.mark.parametrize("swap_on_epoch", [False, True])
def test_a_training_that_is_stopped_ends_with_the_averages(swap_on_epoch):
    """In Keras, with `swap_on_epoch`, it would end with the weights of the last step."""
    stop = LambdaCallback()
    stop.on_epoch_end = lambda epoch, logs: setattr(stop.model, "stop_training", epoch == 1)
    stopped, history, _ = fit(keras, stop, swap_on_epoch=swap_on_epoch, epochs=9)
    assert len(history["loss"]) == 2
    planned, _, _ = fit(keras, epochs=2)
    np.testing.assert_array_equal(flat(stopped), flat(planned))
    np.testing.assert_array_equal(flat(stopped), averages(stopped))


def interrupt(hook):
    def stop(*_):
        raise KeyboardInterrupt

    return LambdaCallback(**{hook: stop})


def test_an_interrupted_evaluation_leaves_the_trained_weights():
    models = []
    remember = LambdaCallback(on_train_begin=lambda logs: models.append(remember.model))
    with pytest.raises(KeyboardInterrupt):
        fit(keras, remember, interrupt("on_test_batch_end"))
    plain = made(keras, keras.optimizers.SGD(0.1, 0.5))
    plain.fit(X, Y, batch_size=8, shuffle=False, verbose=0)
    np.testing.assert_allclose(flat(models[0]), flat(plain), rtol=1e-6)


def test_an_interrupted_prediction_is_undone_when_training_goes_on():
    model, swap = made(keras), SwapEMAWeights()
    model.fit(X, Y, batch_size=8, verbose=0)
    with torch.no_grad():
        model.weights[0].add_(1.0)
    trained = flat(model)
    with pytest.raises(KeyboardInterrupt):
        model.predict(X, callbacks=[swap, interrupt("on_predict_batch_end")])
    assert not np.array_equal(flat(model), trained)
    seen = []
    note = LambdaCallback(on_train_begin=lambda logs: seen.append(flat(model)))
    model.fit(X, Y, verbose=0, callbacks=[swap, note])
    np.testing.assert_array_equal(seen[0], trained)


def test_evaluate_and_predict_by_themselves():
    model = made(keras)
    model.fit(X, Y, batch_size=8, epochs=2, verbose=0)
    with torch.no_grad():
        model.weights[0].add_(1.0)
    trained = flat(model)
    expected = X @ averages(model)[:3, None] + averages(model)[3]
    np.testing.assert_allclose(
        model.predict(X, callbacks=[SwapEMAWeights()]), expected, rtol=1e-4, atol=1e-6
    )
    loss = model.evaluate(X, Y, verbose=0, callbacks=[SwapEMAWeights(swap_on_epoch=True)])
    assert loss == pytest.approx(float(((expected - Y) ** 2).mean()), rel=1e-5)
    np.testing.assert_array_equal(flat(model), trained)


def test_before_any_step_the_averages_are_the_weights():
    """In Keras they are zeros."""
    model = made(keras)
    model.evaluate(X, Y, verbose=0, callbacks=[SwapEMAWeights()])
    np.testing.assert_array_equal(flat(model), [*KERNEL.ravel(), *BIAS])


def test_with_loss_scaling_and_a_frozen_layer():
    inner = keras.optimizers.SGD(0.1, use_ema=True)
    model = made(keras, keras.optimizers.LossScaleOptimizer(inner))
    model.layers[0].bias.requires_grad_(False)
    model.fit(X, Y, verbose=0, validation_data=(X, Y), callbacks=[SwapEMAWeights()])
    assert flat(model)[3] == BIAS[0]
    np.testing.assert_array_equal(flat(model), averages(model))


def test_the_best_weights_are_averages():
    stop = EarlyStopping("val_loss", patience=9, restore_best_weights=True)
    model, history, _ = fit(keras, stop, swap_on_epoch=True, epochs=4)
    best = int(np.argmin(history["val_loss"]))
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(history["val_loss"][best], rel=1e-6)


@pytest.mark.parametrize("optimizer", ["sgd", torch.optim.SGD])
def test_an_optimizer_without_averages_is_refused(optimizer):
    model = made(keras, optimizer)
    before = flat(model)
    with pytest.raises(ValueError, match="needs an optimizer of kerastorch with use_ema=True"):
        model.fit(X, Y, verbose=0, callbacks=[SwapEMAWeights()])
    np.testing.assert_array_equal(flat(model), before)
