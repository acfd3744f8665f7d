"""Accumulation, configs, names and errors."""

import functools
import inspect

import keras
import numpy as np
import pytest
import torch

from kerastorch import optimizers
from kerastorch.optimizers import SGD, Adam, AdamW, LossScaleOptimizer, RMSprop

NAMES = [
    *("SGD", "Lion", "RMSprop", "Adagrad", "Adadelta", "Adam", "AdamW", "Adamax", "Nadam"),
    *("ScheduleFreeAdamW", "Adafactor", "Ftrl", "Muon"),
]


def parameter(*values):
    return torch.nn.Parameter(torch.tensor(values))


@pytest.mark.parametrize("options", [{}, {"clipnorm": 0.1}, {"weight_decay": 0.1, "use_ema": True}])
def test_flush_equals_the_large_batch(options):
    x, y = torch.randn(22, 3), torch.randn(22)
    small, large = torch.nn.Parameter(torch.zeros(3)), torch.nn.Parameter(torch.zeros(3))
    accumulating = Adam(0.1, gradient_accumulation_steps=4, **options)
    plain = Adam(0.1, **options)

    def gradient(w, rows):
        return torch.autograd.grad((x[rows] @ w - y[rows]).square().mean(), w)

    for _ in range(3):  # 11 batches of 2 rows: updates after 4, 8 and, by flush, 3
        for start in range(0, 22, 2):
            accumulating.apply(gradient(small, slice(start, start + 2)), [small])
        accumulating.flush()
        accumulating.flush()
        for rows in (slice(0, 8), slice(8, 16), slice(16, 22)):
            plain.apply(gradient(large, rows), [large])
    assert int(accumulating.iterations) == int(plain.iterations) == 9
    torch.testing.assert_close(small, large, rtol=1e-5, atol=1e-5)


def test_accumulation_touches_only_what_had_gradients():
    seen, unseen = parameter(1.0), parameter(1.0)
    optimizer = SGD(0.5, weight_decay=0.1, gradient_accumulation_steps=2)
    optimizer.build([seen, unseen])
    for grads in ([None, torch.ones(1)], [None, torch.ones(1)]):
        optimizer.apply(grads[::-1])
    torch.testing.assert_close(seen.detach(), torch.tensor([0.45]))
    assert unseen.item() == 1.0
    optimizer.apply([torch.ones(1), None])
    optimizer.apply([None, torch.ones(1)])  # half a window each: the mean counts a zero
    torch.testing.assert_close(unseen.detach(), torch.tensor([0.7]))


def test_loss_scaling_of_accumulated_gradients():
    w = parameter(0.0)
    inner = SGD(1.0, gradient_accumulation_steps=2)
    optimizer = LossScaleOptimizer(inner, initial_scale=4.0)
    for g in (8.0, float("nan"), 2.0, 6.0):
        optimizer.apply([torch.tensor([g])], [w])
    assert int(optimizer.iterations) == 2
    assert float(optimizer.dynamic_scale) == 2.0
    assert w.item() == -1.0 - 2.0
    optimizer.apply([torch.tensor([2.0])])
    assert optimizer.pending == 1
    optimizer.flush()
    assert w.item() == -4.0


def test_loss_scale_optimizer_is_its_inner_optimizer():
    w = parameter(1.0)
    optimizer = LossScaleOptimizer(Adam(0.1, weight_decay=1.0), initial_scale=2.0)
    optimizer.exclude_from_weight_decay(var_list=[w])
    optimizer.build([w])
    optimizer.learning_rate = 0.5
    torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5).step()
    assert float(optimizer.inner_optimizer.learning_rate) == 0.25
    (optimizer.scale_loss(w * 3.0)).sum().backward()
    optimizer.step()
    torch.testing.assert_close(w.detach(), torch.tensor([0.75]))
    state = optimizer.state_dict()
    other = LossScaleOptimizer(Adam(0.1), initial_scale=16.0)
    other.build([parameter(1.0)])
    other.load_state_dict(state)
    assert float(other.dynamic_scale) == 2.0
    assert int(other.step_counter) == 1
    data = optimizers.serialize(optimizer)
    again = optimizers.deserialize(data)
    assert again.inner_optimizer.get_config() == optimizer.inner_optimizer.get_config()
    assert again.initial_scale == 2.0


@pytest.mark.parametrize("name", NAMES)
def test_config_is_keras_config(name):
    options = {"learning_rate": 0.25, "clipnorm": 1.0, "use_ema": True, "name": "mine"}
    ours = getattr(optimizers, name)(**options)
    theirs = getattr(keras.optimizers, name)(**options)
    assert ours.get_config() == {
        **theirs.get_config(),
        **{k: ours.get_config()[k] for k in ("name",)},
    }
    data = optimizers.serialize(ours)
    assert data["module"] == "keras.optimizers"
    assert optimizers.deserialize(data).get_config() == ours.get_config()
    assert optimizers.get(data).get_config() == ours.get_config()
    assert keras.optimizers.deserialize(dict(data)).get_config() == theirs.get_config()


@pytest.mark.parametrize("name", NAMES)
def test_signature_is_keras_signature(name):
    def defaults(cls):
        found = inspect.signature(cls).parameters.values()
        return {p.name: p.default for p in found if p.kind is not p.VAR_KEYWORD}

    ours, theirs = (defaults(getattr(o, name)) for o in (optimizers, keras.optimizers))
    assert ours == theirs
    if name != "Muon":  # Keras has Muon's own arguments behind the common ones
        assert list(ours) == list(theirs)


def test_options_are_live():
    optimizer = Adam(0.1, beta_1=0.8)
    optimizer.beta_1 = 0.5
    optimizer.epsilon = 1e-3
    optimizer.weight_decay = 0.1
    assert optimizer.betas == (0.5, 0.999)
    config = optimizer.get_config()
    assert (config["beta_1"], config["epsilon"], config["weight_decay"]) == (0.5, 1e-3, 0.1)
    assert optimizer.lr == optimizer.learning_rate
    assert optimizers.Optimizer(0.1).name == "optimizer"


def test_get():
    assert isinstance(optimizers.get("rmsprop"), RMSprop)
    assert isinstance(optimizers.get("RMSprop"), RMSprop)
    assert isinstance(optimizers.get("ADAMW"), AdamW)
    assert isinstance(optimizers.get(SGD), SGD)
    assert optimizers.get(functools.partial(SGD, 0.5)).get_config()["learning_rate"] == 0.5
    assert isinstance(optimizers.get({"class_name": "adam", "config": {"epsilon": 1.0}}), Adam)
    assert optimizers.get(None) is None
    ours = SGD()
    theirs = torch.optim.SGD([parameter(1.0)])
    partial = functools.partial(torch.optim.AdamW, lr=0.1)
    for same in (ours, theirs, torch.optim.Adam, partial):
        assert optimizers.get(same) is same


PIECES = [
    (lambda: SGD(-0.1), ValueError, "`learning_rate` must be a number of 0 or more.*received -0.1"),
    (lambda: SGD("fast"), ValueError, "`learning_rate`.*received 'fast'"),
    (lambda: SGD(float("nan")), ValueError, "`learning_rate`.*nan"),
    (lambda: SGD(True), ValueError, "`learning_rate`"),
    (lambda: SGD(momentum=1.5), ValueError, "SGD: `momentum` must be a number from 0 to 1"),
    (lambda: Adam(beta_1=1.0), ValueError, "`beta_1` must be a number from 0 to below 1.*1.0"),
    (lambda: Adam(beta_2=-0.1), ValueError, "`beta_2`"),
    (lambda: Adam(epsilon=-1), ValueError, "`epsilon`"),
    (lambda: RMSprop(rho="x"), ValueError, "`rho`.*received 'x'"),
    (lambda: AdamW(weight_decay=None), ValueError, "`weight_decay`.*received None"),
    (lambda: SGD(weight_decay=-1.0), ValueError, "`weight_decay`"),
    (lambda: SGD(clipnorm=1.0, clipvalue=1.0), ValueError, "only one of clipnorm, clipvalue"),
    (lambda: SGD(clipvalue=1.0, global_clipnorm=1.0), ValueError, "only one of"),
    (lambda: SGD(clipnorm=-1.0), ValueError, "`clipnorm`"),
    (lambda: SGD(gradient_accumulation_steps=1), ValueError, "whole number of 2 or more"),
    (lambda: SGD(gradient_accumulation_steps=2.5), ValueError, "`gradient_accumulation_steps`"),
    (lambda: SGD(ema_momentum=1.1), ValueError, "`ema_momentum`"),
    (lambda: SGD(ema_overwrite_frequency=0), ValueError, "`ema_overwrite_frequency`"),
    (lambda: SGD(lr=0.1), TypeError, "unknown arguments {'lr': 0.1}.*called `learning_rate`"),
    (lambda: SGD(decay=0.1), TypeError, "unknown arguments.*learning_rate, momentum, nesterov"),
    (lambda: optimizers.Ftrl(learning_rate_power=0.5), ValueError, "`learning_rate_power`"),
    (lambda: LossScaleOptimizer(torch.optim.SGD), TypeError, "`inner_optimizer`"),
    (lambda: optimizers.get("admm"), ValueError, "Unknown optimizer 'admm'. Did you mean"),
    (lambda: optimizers.get(3), TypeError, "optimizer: expected a name.*received 3"),
    (lambda: optimizers.get(len), TypeError, "optimizer: expected"),
    (lambda: SGD().apply([torch.ones(1)]), ValueError, "call build"),
    (lambda: SGD().build([]), ValueError, "no variables"),
    (lambda: SGD().apply([None], [parameter(1.0)]), ValueError, "no gradient for any variable"),
    (lambda: SGD().apply([], [parameter(1.0)]), ValueError, "0 entries for 1 variables"),
    (lambda: SGD().build([parameter(1.0) * 2]), ValueError, "non-leaf"),
    (
        lambda: optimizers.Optimizer(0.1).apply([torch.ones(1)], [parameter(1.0)]),
        NotImplementedError,
        "must define update",
    ),
]


@pytest.mark.parametrize(("make", "kind", "message"), PIECES)
def test_errors(make, kind, message):
    with pytest.raises(kind, match=message):
        make()


def test_unknown_variables_change_nothing():
    w, other = parameter(1.0), parameter(1.0)
    optimizer = SGD(0.5)
    optimizer.build([w])
    with pytest.raises(ValueError, match="unknown variables"):
        optimizer.apply([torch.ones(1)], [other])
    with pytest.raises(ValueError, match="`learning_rate`"):
        optimizer.learning_rate = -1.0
    with pytest.raises(ValueError, match="`learning_rate`"):
        optimizer.add_param_group({"params": [other], "lr": -1.0})
    assert w.item() == 1.0
    assert float(optimizer.learning_rate) == 0.5
    assert len(optimizer.param_groups) == 1


def test_numpy_and_tensor_rates():
    assert float(SGD(np.float32(0.5)).learning_rate) == 0.5
    assert float(SGD(torch.tensor(0.5)).learning_rate) == 0.5
    assert float(SGD(1).learning_rate) == 1.0


def test_subsets_and_orders_of_variables():
    a, b = parameter(1.0), parameter(1.0)
    optimizer = Adam(0.1)
    optimizer.build([a, b])
    optimizer.apply([torch.ones(1)], [b])
    optimizer.apply([-torch.ones(1), torch.ones(1)], [b, a])
    assert a.item() < 1.0
    assert optimizer.state[b]["momentum"].item() == pytest.approx(0.9 * 0.1 - 0.1)
    assert int(optimizer.iterations) == 2
