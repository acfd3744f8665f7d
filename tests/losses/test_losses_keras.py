"""Every loss against Keras: values and gradients, per sample and reduced, weighted and masked."""

import inspect

import keras
import numpy as np
import pytest
import torch

from kerastorch import losses

RNG = np.random.default_rng(1)


def _probabilities(*shape):
    x = RNG.random(shape) + 0.05
    return x / x.sum(-1, keepdims=True)


def _one_hot(*shape):
    return np.eye(shape[-1])[RNG.integers(0, shape[-1], shape[:-1])]


def _unit(*shape):
    x = RNG.normal(size=shape)
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


NUMBERS = (RNG.normal(size=(6, 4)) * 2, RNG.normal(size=(6, 4)) * 2)
BITS = (RNG.integers(0, 2, (6, 4)), RNG.random((6, 4)))
BIT_LOGITS = (BITS[0], RNG.normal(size=(6, 4)) * 3)
HOT = (_one_hot(6, 4), _probabilities(6, 4))
HOT_LOGITS = (HOT[0], RNG.normal(size=(6, 4)) * 3)
CLASSES = (RNG.integers(0, 4, (6,)), _probabilities(6, 4))
CLASS_LOGITS = (CLASSES[0], HOT_LOGITS[1])
STEPS = (RNG.integers(0, 4, (3, 5)), RNG.normal(size=(3, 5, 4)))
FIRST = (RNG.integers(0, 4, (3, 5, 2)), RNG.random((3, 4, 5, 2)) + 0.1)

# name of the class: list of (arguments, (y_true, y_pred))
CASES = {
    "MeanSquaredError": [({}, NUMBERS), ({}, (NUMBERS[0][:, 0], NUMBERS[1][:, :1]))],
    "MeanAbsoluteError": [({}, NUMBERS), ({}, (NUMBERS[0][:, :1], NUMBERS[1][:, 0]))],
    "MeanAbsolutePercentageError": [({}, NUMBERS)],
    "MeanSquaredLogarithmicError": [({}, NUMBERS), ({}, (BITS[1], BITS[1][::-1] * 5))],
    "Huber": [({}, NUMBERS), ({"delta": 0.3}, NUMBERS)],
    "LogCosh": [({}, NUMBERS), ({}, (NUMBERS[0] * 30, NUMBERS[1]))],
    "CosineSimilarity": [({}, NUMBERS), ({"axis": 0}, NUMBERS)],
    "Hinge": [({}, (BITS[0], NUMBERS[1])), ({}, (2 * BITS[0] - 1, NUMBERS[1]))],
    "SquaredHinge": [({}, (BITS[0], NUMBERS[1])), ({}, (2 * BITS[0] - 1, NUMBERS[1]))],
    "CategoricalHinge": [({}, (HOT[0], NUMBERS[1]))],
    "KLDivergence": [({}, (_probabilities(6, 4), HOT[1])), ({}, HOT)],
    "Poisson": [({}, (RNG.poisson(2, (6, 4)), BITS[1] + 0.01))],
    "BinaryCrossentropy": [
        ({}, BITS),
        ({"label_smoothing": 0.2}, BITS),
        ({"from_logits": True}, BIT_LOGITS),
        ({"from_logits": True, "label_smoothing": 0.1, "axis": 0}, BIT_LOGITS),
        ({}, (BITS[0][:, 0], BITS[1][:, :1])),
    ],
    "BinaryFocalCrossentropy": [
        ({}, BITS),
        ({"apply_class_balancing": True, "alpha": 0.3, "gamma": 1.5}, BITS),
        ({"from_logits": True, "label_smoothing": 0.1}, BIT_LOGITS),
    ],
    "CategoricalCrossentropy": [
        ({}, HOT),
        ({}, (HOT[0], HOT[1] * 3)),
        ({"label_smoothing": 0.2}, HOT),
        ({"from_logits": True}, HOT_LOGITS),
        ({"from_logits": True, "label_smoothing": 0.1}, HOT_LOGITS),
        ({"axis": 0}, HOT),
    ],
    "CategoricalFocalCrossentropy": [
        ({}, HOT),
        ({"alpha": 0.5, "gamma": 1.0, "label_smoothing": 0.1}, HOT),
        ({"from_logits": True}, HOT_LOGITS),
    ],
    "SparseCategoricalCrossentropy": [
        ({}, CLASSES),
        ({}, (CLASSES[0], CLASSES[1] * 3)),
        ({}, (CLASSES[0][:, None], CLASSES[1])),
        ({"from_logits": True}, CLASS_LOGITS),
        ({"from_logits": True}, STEPS),
        ({"from_logits": True, "axis": 1}, FIRST),
        ({"axis": 1}, FIRST),
        ({"ignore_class": 2}, CLASSES),
        ({"ignore_class": 2, "from_logits": True}, STEPS),
        (
            {"ignore_class": -1, "from_logits": True},
            (np.where(STEPS[0] == 1, -1, STEPS[0]), STEPS[1]),
        ),
    ],
    "CategoricalGeneralizedCrossEntropy": [({}, CLASSES), ({"q": 0.2}, CLASSES)],
    "Dice": [({}, BITS), ({"axis": -1}, BITS)],
    "Tversky": [({}, BITS), ({"alpha": 0.2, "beta": 0.7, "axis": (1,)}, BITS)],
    "Circle": [
        ({}, (np.array([0, 0, 1, 1, 0]), _unit(5, 3))),
        ({"gamma": 20.0, "margin": 0.2}, (np.array([0, 0, 1, 1, 0]), _unit(5, 3))),
    ],
    "CTC": [({}, (np.array([[1, 2, 1, 0], [3, 1, 0, 0]]), RNG.normal(size=(2, 6, 4))))],
}
FLAT = [
    pytest.param(name, kwargs, *data, id=f"{name}-{i}")
    for name, cases in CASES.items()
    for i, (kwargs, data) in enumerate(cases)
]


def both(name, kwargs, y_true, y_pred, **options):
    """(value, gradient) of ours and of Keras's."""
    found = []
    for module in (losses, keras.losses):
        prediction = torch.tensor(y_pred, dtype=torch.float32, requires_grad=True)
        mask = options.get("mask")
        if mask is not None:
            prediction._keras_mask = torch.tensor(mask)
        target = torch.tensor(y_true)
        loss = getattr(module, name)(**kwargs, reduction=options.get("reduction"))
        weight = options.get("weight")
        value = loss(target, prediction, weight if weight is None else torch.tensor(weight))
        if value.requires_grad:
            value.sum().backward()
        found.append((value.detach(), prediction.grad))
    return found


def assert_same(pair, rtol=1e-5, atol=1e-5):
    (value, gradient), (expected, expected_gradient) = pair
    torch.testing.assert_close(value, expected, rtol=rtol, atol=atol)
    torch.testing.assert_close(gradient, expected_gradient, rtol=rtol, atol=atol)


@pytest.mark.parametrize(("name", "kwargs", "y_true", "y_pred"), FLAT)
def test_values_and_gradients(name, kwargs, y_true, y_pred):
    assert_same(both(name, kwargs, y_true, y_pred, reduction=None))
    assert_same(both(name, kwargs, y_true, y_pred, reduction="sum_over_batch_size"))


@pytest.mark.parametrize(("name", "kwargs", "y_true", "y_pred"), FLAT)
def test_function_equals_class(name, kwargs, y_true, y_pred):
    loss = getattr(losses, name)(**kwargs, reduction=None)
    y_pred = torch.tensor(y_pred, dtype=torch.float32)
    function = losses.get(loss.fn.__name__)
    torch.testing.assert_close(function(y_true, y_pred, **loss.kwargs), loss(y_true, y_pred))


def test_table_is_complete():
    exported = {
        name
        for name, value in vars(losses).items()
        if inspect.isclass(value) and issubclass(value, losses.Loss)
    }
    assert exported - {"Loss"} == set(CASES)


def test_names_and_signatures_are_those_of_keras():
    for name, value in vars(keras.losses).items():
        if name.startswith("_") or inspect.ismodule(value):
            continue
        ours = getattr(losses, name)
        if inspect.isclass(value):
            ours, value = ours.__init__, value.__init__
        expected = [(p.name, p.default) for p in inspect.signature(value).parameters.values()]
        assert [
            (p.name, p.default) for p in inspect.signature(ours).parameters.values()
        ] == expected


REDUCTIONS = ["sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none", None]


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(6,), (6, 1)])
def test_sample_weight(reduction, shape):
    weight = RNG.random(shape)
    pair = both("MeanSquaredError", {}, *NUMBERS, reduction=reduction, weight=weight)
    if reduction in ("none", None):  # Keras gives (6, 1) for weights of that shape
        pair = [(value.flatten(), gradient) for value, gradient in pair]
    assert_same(pair)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True])
def test_mask(reduction, weighted):
    mask = np.array([[1, 1, 0, 0, 0], [1, 1, 1, 1, 1], [1, 0, 0, 0, 0]], dtype=bool)
    weight = RNG.random((3, 5)) if weighted else None
    kwargs = {"from_logits": True}
    options = {"reduction": reduction, "mask": mask, "weight": weight}
    assert_same(both("SparseCategoricalCrossentropy", kwargs, *STEPS, **options))
    with_ignored = {"from_logits": True, "ignore_class": 1}
    assert_same(both("SparseCategoricalCrossentropy", with_ignored, *STEPS, **options))


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "mean_with_sample_weight"])
@pytest.mark.parametrize("options", [{"weight": [0.0] * 6}, {"mask": [False] * 6}])
def test_nothing_left_gives_zero_and_no_nan(reduction, options):
    (value, gradient), _ = both("MeanSquaredError", {}, *NUMBERS, reduction=reduction, **options)
    assert value == 0
    assert not gradient.any()


def test_extreme_probabilities():
    y_pred = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1e-9, 0.5, 0.5]])
    for labels in ([0, 1, 0], [1, 0, 0]):
        hot = np.eye(3)[labels]
        assert_same(both("SparseCategoricalCrossentropy", {}, np.array(labels), y_pred))
        assert_same(both("CategoricalCrossentropy", {}, hot, y_pred))
        assert_same(both("BinaryCrossentropy", {}, hot, y_pred))
