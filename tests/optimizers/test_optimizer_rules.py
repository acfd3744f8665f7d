"""Every rule and option against Keras on the same gradients: weights and optimizer variables."""

import keras
import numpy as np
import pytest
import torch
from keras.src.optimizers.lamb import Lamb as KerasLamb

from kerastorch import optimizers
from kerastorch._variable import wrap

SHAPES = {"kernel": (3, 4), "bias": (4,), "embeddings": (4, 2)}
CASES = [
    ("SGD", {}),
    ("SGD", {"learning_rate": 0.05, "momentum": 0.9}),
    ("SGD", {"learning_rate": 0.05, "momentum": 0.9, "nesterov": True}),
    ("SGD", {"learning_rate": 0.05, "weight_decay": 0.1}),
    ("RMSprop", {}),
    ("RMSprop", {"learning_rate": 0.02, "rho": 0.7, "epsilon": 1e-3}),
    ("RMSprop", {"learning_rate": 0.02, "momentum": 0.5, "weight_decay": 0.1}),
    ("RMSprop", {"learning_rate": 0.02, "centered": True}),
    ("RMSprop", {"learning_rate": 0.02, "centered": True, "momentum": 0.5}),
    ("Adam", {}),
    ("Adam", {"learning_rate": 0.02, "beta_1": 0.8, "beta_2": 0.9, "epsilon": 1e-3}),
    ("Adam", {"learning_rate": 0.02, "amsgrad": True, "weight_decay": 0.1}),
    ("AdamW", {}),
    ("AdamW", {"learning_rate": 0.02, "weight_decay": 0.1}),
    ("Adagrad", {}),
    ("Adagrad", {"learning_rate": 0.1, "initial_accumulator_value": 0.5, "epsilon": 1e-2}),
    ("Adadelta", {}),
    ("Adadelta", {"learning_rate": 0.5, "rho": 0.8, "epsilon": 1e-4}),
    ("Adamax", {}),
    ("Adamax", {"learning_rate": 0.02, "beta_1": 0.8, "beta_2": 0.9}),
    ("Nadam", {}),
    ("Nadam", {"learning_rate": 0.01, "beta_1": 0.8, "beta_2": 0.9}),
    ("Lamb", {}),
    ("Lamb", {"learning_rate": 0.02, "weight_decay": 0.1}),
    ("Lion", {}),
    ("Lion", {"learning_rate": 0.01, "beta_1": 0.8, "weight_decay": 0.1}),
    ("Adafactor", {}),
    ("Adafactor", {"learning_rate": 0.05, "clip_threshold": 0.5, "relative_step": False}),
    ("Ftrl", {}),
    (
        "Ftrl",
        {
            "learning_rate": 0.1,
            "learning_rate_power": -0.4,
            "l1_regularization_strength": 0.05,
            "l2_regularization_strength": 0.1,
            "l2_shrinkage_regularization_strength": 0.1,
            "beta": 0.2,
        },
    ),
    ("Muon", {}),
    ("Muon", {"learning_rate": 0.02, "nesterov": False, "rms_rate": None, "adam_lr_ratio": 0.5}),
    ("Muon", {"exclude_layers": ["kern"], "exclude_embeddings": False, "ns_steps": 3}),
    ("SGD", {"learning_rate": 0.05, "clipnorm": 1.0}),
    ("Adam", {"learning_rate": 0.01, "clipvalue": 0.3}),
    ("SGD", {"learning_rate": 0.05, "global_clipnorm": 1.0}),
    ("SGD", {"learning_rate": 0.05, "global_clipnorm": 1e3}),
    ("SGD", {"learning_rate": 0.05, "loss_scale_factor": 8.0}),
    ("SGD", {"learning_rate": 0.05, "use_ema": True, "ema_momentum": 0.8}),
    ("RMSprop", {"learning_rate": 0.01, "use_ema": True, "ema_overwrite_frequency": 3}),
    ("SGD", {"learning_rate": 0.05, "gradient_accumulation_steps": 4, "clipnorm": 0.5}),
    ("Adam", {"gradient_accumulation_steps": 5}),
]


def keras_optimizer(name, options):
    return KerasLamb(**options) if name == "Lamb" else getattr(keras.optimizers, name)(**options)


def values(seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    return [scale * rng.normal(size=shape).astype("float32") for shape in SHAPES.values()]


def pair_of_variables(**attributes):
    theirs = [keras.Variable(x, name=n) for n, x in zip(SHAPES, values(), strict=True)]
    ours = [
        wrap(torch.tensor(x), True, name=n, **attributes)
        for n, x in zip(SHAPES, values(), strict=True)
    ]
    return theirs, ours


def assert_same(theirs, ours, tolerance=1e-5):
    assert len(theirs) == len(ours)
    for a, b in zip(theirs, ours, strict=True):
        a, b = a.value.detach().numpy(), b.detach().numpy()
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def run(theirs, ours, steps=50, variables=None):
    keras_variables, our_variables = variables or pair_of_variables()
    for step in range(steps):
        grads = values(step + 1)
        theirs.apply([torch.tensor(g) for g in grads], keras_variables)
        ours.apply([torch.tensor(g) for g in grads], our_variables)
    assert_same(keras_variables, our_variables)
    return keras_variables, our_variables


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")  # Keras's Nadam
@pytest.mark.parametrize(("name", "options"), CASES, ids=lambda x: str(x).strip("{}"))
def test_rule_equals_keras(name, options):
    theirs, ours = keras_optimizer(name, options), getattr(optimizers, name)(**options)
    run(theirs, ours)
    assert int(ours.iterations) == int(theirs.iterations)
    if "gradient_accumulation_steps" not in options:  # there Keras's own counter counts calls
        # Bias corrections in float32 cost Keras five digits at the start: the slots are exact.
        assert_same(theirs.variables, ours.variables)


@pytest.mark.parametrize(
    "schedule",
    [
        ("ExponentialDecay", (0.1, 10, 0.5)),
        ("PiecewiseConstantDecay", ([5, 20], [0.1, 0.05, 0.01])),
        ("CosineDecay", (0.01, 30, 0.1, "CosineDecay", 0.1, 10)),
    ],
    ids=lambda s: s[0],
)
@pytest.mark.parametrize("options", [{}, {"gradient_accumulation_steps": 3, "weight_decay": 0.1}])
def test_schedule_equals_keras(schedule, options):
    name, arguments = schedule
    theirs = getattr(keras.optimizers.schedules, name)(*arguments)
    ours = getattr(optimizers.schedules, name)(*arguments)
    run(
        keras.optimizers.SGD(theirs, momentum=0.9, **options),
        optimizers.SGD(ours, momentum=0.9, **options),
    )


def test_rate_changes_equal_keras():
    theirs, ours = keras.optimizers.Adam(0.1), optimizers.Adam(0.1)
    variables = run(theirs, ours, 5)
    theirs.learning_rate = ours.learning_rate = 0.02
    run(theirs, ours, 5, variables)
    theirs.learning_rate.assign(0.003)
    ours.learning_rate.assign(0.003)
    run(theirs, ours, 5, variables)
    assert float(ours.learning_rate) == pytest.approx(0.003)
    assert ours.get_config()["learning_rate"] == 0.003


def test_loss_scale_equals_keras():
    theirs = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.Adam(0.01), initial_scale=8.0, dynamic_growth_steps=3
    )
    ours = optimizers.LossScaleOptimizer(
        optimizers.Adam(0.01), initial_scale=8.0, dynamic_growth_steps=3
    )
    keras_variables, our_variables = pair_of_variables()
    for step in range(20):
        grads = values(step, 8.0)
        if step in (4, 5, 13):
            grads[1][0] = np.inf if step == 4 else np.nan
        theirs.apply([torch.tensor(g) for g in grads], keras_variables)
        ours.apply([torch.tensor(g) for g in grads], our_variables)
    assert_same(keras_variables, our_variables)
    assert_same(theirs.variables, ours.variables)
    assert float(ours.dynamic_scale) == float(theirs.dynamic_scale) == 32.0
    assert int(ours.iterations) == 17
    loss = torch.tensor(2.0)
    assert float(ours.scale_loss(loss)) == float(theirs.scale_loss(loss)) == 64.0


def test_constraint_equals_keras():
    theirs, ours = keras.optimizers.SGD(0.1), optimizers.SGD(0.1)
    variables = pair_of_variables(constraint=lambda w: w.clamp(min=0.0))
    for variable in variables[0]:
        variable.constraint = keras.constraints.NonNeg()
    _, ours_after = run(theirs, ours, 5, variables)
    assert all((v >= 0).all() for v in ours_after)


def test_exclude_from_weight_decay_equals_keras():
    theirs, ours = keras.optimizers.AdamW(0.01, 0.5), optimizers.AdamW(0.01, 0.5)
    keras_variables, our_variables = pair_of_variables()
    theirs.exclude_from_weight_decay(var_list=[keras_variables[2]], var_names=["bi.s"])
    ours.exclude_from_weight_decay(var_list=[our_variables[2]], var_names=["bi.s"])
    run(theirs, ours, 10, (keras_variables, our_variables))


def test_variables_without_gradient_are_left_alone():
    theirs, ours = keras.optimizers.AdamW(0.01, 0.5), optimizers.AdamW(0.01, 0.5)
    keras_variables, our_variables = pair_of_variables()
    for step in range(6):
        grads = values(step + 1)
        theirs.apply([torch.tensor(g) for g in grads[::2]], keras_variables[::2]) if step else (
            theirs.build(keras_variables)
        )
        ours.apply(
            [torch.tensor(grads[0]), None, torch.tensor(grads[2])], our_variables
        ) if step else (ours.build(our_variables))
    assert_same(keras_variables, our_variables)


def test_finalize_gives_the_average():
    options = {"learning_rate": 0.05, "use_ema": True, "ema_momentum": 0.9}
    theirs, ours = keras.optimizers.SGD(**options), optimizers.SGD(**options)
    keras_variables, our_variables = run(theirs, ours, 7)
    theirs.finalize_variable_values(keras_variables)
    ours.finalize_variable_values(our_variables)
    assert_same(keras_variables, our_variables)


def schedule_free(w, grads, lr=0.0025, beta_1=0.9, beta_2=0.999, epsilon=1e-8, warmup=0):
    """The paper's algorithm, in float64."""
    x, z, v, weights = w.copy(), w.copy(), np.zeros_like(w), []
    for t, g in enumerate(grads, 1):
        v = beta_2 * v + (1 - beta_2) * g * g
        rate = lr * min(1.0, t / warmup) if warmup else lr
        z = z - rate * g / (np.sqrt(v / (1 - beta_2**t)) + epsilon)
        x = (1 - 1 / t) * x + z / t
        weights.append((1 - beta_1) * z + beta_1 * x)
    return weights[-1]


@pytest.mark.parametrize("warmup", [0, 10])
def test_schedule_free_equals_the_paper(warmup):
    # Keras 3.15 on torch is no oracle: it reads the old iterate after it was overwritten.
    start, grads = values()[0], [values(step + 1)[0] for step in range(50)]
    w = torch.nn.Parameter(torch.tensor(start))
    ours = optimizers.ScheduleFreeAdamW(0.02, warmup_steps=warmup)
    for g in grads:
        ours.apply([torch.tensor(g)], [w])
    expected = schedule_free(start.astype(float), grads, lr=0.02, warmup=warmup)
    np.testing.assert_allclose(w.detach().numpy(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("amsgrad", [False, True])
def test_the_fused_kernel_gives_the_same(amsgrad):
    def after(strided):
        w = torch.nn.Parameter(torch.tensor(values()[0]))
        ours = optimizers.Adam(0.02, amsgrad=amsgrad)
        for step in range(20):
            g = torch.tensor(values(step)[0])
            ours.apply([g.T.contiguous().T if strided else g], [w])
        return w

    torch.testing.assert_close(after(False), after(True), rtol=1e-5, atol=1e-6)
