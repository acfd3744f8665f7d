"""One table of all metrics; each invariant once over the whole table, with Keras as the oracle."""

import copy
import inspect
import pickle

import keras
import numpy as np
import pytest
import torch

from kerastorch import losses, metrics

RNG = np.random.default_rng(3)
SIZES = (5, 8, 1)


def _probabilities(n, c=4):
    x = RNG.random((n, c)).astype("float32") + 0.05
    return x / x.sum(-1, keepdims=True)


def _one_hot(n, c=4):
    return np.eye(c, dtype="float32")[RNG.integers(0, c, n)]


def numbers(n):
    return RNG.normal(size=(n, 3)).astype("float32"), RNG.normal(size=(n, 3)).astype("float32")


def bits(n):
    return RNG.integers(0, 2, (n, 1)), RNG.random((n, 1)).astype("float32")


def vectors(n):
    return RNG.integers(0, 2, n), RNG.random(n).astype("float32")


def labels(n):
    return RNG.integers(0, 2, (n, 4)), RNG.random((n, 4)).astype("float32")


def hot(n):
    return _one_hot(n), _probabilities(n)


def classes(n):
    return RNG.integers(0, 4, (n, 1)), _probabilities(n)


def flat_classes(n):
    return RNG.integers(0, 4, n), _probabilities(n)


def steps(n):
    return RNG.integers(0, 4, (n, 3)), _probabilities(3 * n).reshape(n, 3, 4)


def logits(n):
    y, p = labels(n)
    return y, np.float32(6 * p - 3)


def equal(n):
    return RNG.integers(0, 3, (n, 1)), RNG.integers(0, 3, (n, 1))


def pixels(n):
    return RNG.integers(0, 3, (n, 4)), RNG.integers(0, 3, (n, 4))


def counts(n):
    return RNG.poisson(2.0, (n, 3)).astype("float32"), RNG.random((n, 3)).astype("float32") + 0.1


def values(n):
    return (RNG.normal(size=n).astype("float32"),)


def value_rows(n):
    return (RNG.normal(size=(n, 3)).astype("float32"),)


ROW = [0.2, 0.7]
CASES = {
    "Sum": [({}, values), ({}, value_rows)],
    "Mean": [({}, values), ({}, value_rows)],
    "MeanMetricWrapper": [({"fn": "mean_absolute_error"}, numbers)],
    "Accuracy": [({}, equal)],
    "BinaryAccuracy": [({}, bits), ({"threshold": 0.3}, labels), ({}, vectors)],
    "CategoricalAccuracy": [({}, hot)],
    "SparseCategoricalAccuracy": [({}, classes), ({}, flat_classes), ({}, steps)],
    "TopKCategoricalAccuracy": [({"k": 2}, hot)],
    "SparseTopKCategoricalAccuracy": [({"k": 2}, classes), ({"k": 3}, steps)],
    "TruePositives": [({}, bits), ({"thresholds": ROW}, labels)],
    "FalsePositives": [({}, bits), ({"thresholds": ROW}, labels)],
    "TrueNegatives": [({}, vectors), ({"thresholds": ROW[::-1]}, labels)],
    "FalseNegatives": [({}, bits), ({"thresholds": list(np.linspace(0, 1, 20))}, labels)],
    "Precision": [
        ({}, bits),
        ({"thresholds": ROW}, labels),
        ({"top_k": 2}, labels),
        ({"class_id": 1, "thresholds": 0.3}, labels),
        ({"class_id": 2, "top_k": 2}, labels),
    ],
    "Recall": [({}, bits), ({"thresholds": ROW}, labels), ({"top_k": 2, "class_id": 3}, labels)],
    "SensitivityAtSpecificity": [({"specificity": 0.4}, bits), ({"specificity": 0.6}, labels)],
    "SpecificityAtSensitivity": [({"sensitivity": 0.4, "num_thresholds": 50}, labels)],
    "PrecisionAtRecall": [({"recall": 0.3}, labels), ({"recall": 0.3, "num_thresholds": 1}, bits)],
    "RecallAtPrecision": [({"precision": 0.5, "class_id": 1}, labels)],
    "AUC": [
        ({}, bits),
        ({"num_thresholds": 5}, vectors),
        ({"curve": "PR"}, labels),
        ({"curve": "PR", "summation_method": "majoring"}, labels),
        ({"summation_method": "minoring", "thresholds": [0.1, 0.2, 0.75]}, labels),
        ({"curve": "PRGAIN"}, labels),
        ({"from_logits": True}, logits),
        ({"multi_label": True}, labels),
        ({"multi_label": True, "num_labels": 4, "label_weights": [1.0, 2.0, 0.5, 1.0]}, labels),
        ({"label_weights": [1.0, 2.0, 0.5, 1.0]}, labels),
        ({"multi_label": True, "curve": "PR", "thresholds": [0.5]}, labels),
    ],
    "FBetaScore": [
        ({}, hot),
        ({"beta": 2.0, "threshold": 0.4, "average": "macro"}, labels),
        ({"average": "weighted"}, hot),
        ({"average": "micro", "threshold": 0.5}, labels),
    ],
    "F1Score": [({"average": "macro"}, hot)],
    "MeanSquaredError": [({}, numbers)],
    "RootMeanSquaredError": [({}, numbers)],
    "MeanAbsoluteError": [({}, numbers)],
    "MeanAbsolutePercentageError": [({}, numbers)],
    "MeanSquaredLogarithmicError": [({}, counts)],
    "LogCoshError": [({}, numbers)],
    "CosineSimilarity": [({}, numbers)],
    "R2Score": [
        ({}, numbers),
        ({"class_aggregation": None}, numbers),
        ({"class_aggregation": "variance_weighted_average", "num_regressors": 3}, numbers),
    ],
    "KLDivergence": [({}, lambda n: (_probabilities(n), _probabilities(n)))],
    "Poisson": [({}, counts)],
    "BinaryCrossentropy": [({}, labels), ({"from_logits": True, "label_smoothing": 0.1}, logits)],
    "CategoricalCrossentropy": [({}, hot), ({"label_smoothing": 0.1}, hot)],
    "SparseCategoricalCrossentropy": [
        ({}, classes),
        ({"from_logits": True}, steps),
        ({"ignore_class": 1}, flat_classes),
    ],
    "Hinge": [({}, bits)],
    "SquaredHinge": [({}, bits)],
    "CategoricalHinge": [({}, hot)],
    "IoU": [({"num_classes": 3, "target_class_ids": [0, 2]}, pixels)],
    "BinaryIoU": [({"threshold": 0.4}, labels), ({"target_class_ids": [1]}, bits)],
    "MeanIoU": [({"num_classes": 3}, pixels), ({"num_classes": 3, "ignore_class": 1}, pixels)],
    "OneHotIoU": [({"num_classes": 4, "target_class_ids": [1]}, hot)],
    "OneHotMeanIoU": [({"num_classes": 4}, hot)],
    "PearsonCorrelation": [({}, numbers)],
    "ConcordanceCorrelation": [({}, numbers)],
}
FLAT = [
    pytest.param(name, kwargs, data, id=f"{name}-{i}")
    for name, cases in CASES.items()
    for i, (kwargs, data) in enumerate(cases)
]
table = pytest.mark.parametrize(("name", "kwargs", "data"), FLAT)


def make(name, kwargs, /, **more):
    """Our metric and Keras's. Confusion matrices are float, so that weights are not cut off."""
    if "IoU" in name:
        more["dtype"] = "float32"
    theirs = dict(kwargs)
    if "fn" in kwargs:
        theirs["fn"] = getattr(keras.losses, kwargs["fn"])
    return getattr(metrics, name)(**kwargs, **more), getattr(keras.metrics, name)(**theirs, **more)


def tensors(batch):
    return [torch.as_tensor(x) for x in batch]


def close(ours, theirs):
    torch.testing.assert_close(torch.as_tensor(ours), torch.as_tensor(theirs), rtol=1e-5, atol=1e-5)


@table
@pytest.mark.parametrize("weighted", ["unweighted", "mixed"])
def test_keras(name, kwargs, data, weighted):
    ours, theirs = make(name, kwargs)
    for _ in range(2):  # the second time after a reset
        for i, n in enumerate(SIZES):
            batch = tensors(data(n))
            weight = torch.tensor(RNG.random(n), dtype=torch.float32)
            if weighted == "mixed" and i != 1:
                own = weight.unsqueeze(-1).expand(batch[0].shape) if "IoU" in name else weight
                own = weight if "OneHot" in name else own
                ours.update_state(*batch, sample_weight=own)
                theirs.update_state(*batch, sample_weight=own)
            else:
                ours.update_state(*batch)
                theirs.update_state(*batch)
        close(ours.result(), theirs.result())
        ours.reset_state()
        theirs.reset_state()
    assert not any(v.any() for v in ours.variables)


def test_table_is_complete():
    exported = {
        name
        for name, value in vars(metrics).items()
        if inspect.isclass(value) and issubclass(value, metrics.Metric)
    }
    assert exported - {"Metric"} == set(CASES)


def test_names_and_signatures_are_those_of_keras():
    for name, value in vars(keras.metrics).items():
        if name.startswith("_") or inspect.ismodule(value):
            continue
        ours = getattr(metrics, name)
        if inspect.isclass(value):
            ours, value = ours.__init__, value.__init__
        expected = [(p.name, p.default) for p in inspect.signature(value).parameters.values()]
        assert [
            (p.name, p.default) for p in inspect.signature(ours).parameters.values()
        ] == expected


FUNCTIONS = {
    "binary_accuracy": labels,
    "categorical_accuracy": hot,
    "sparse_categorical_accuracy": flat_classes,
    "top_k_categorical_accuracy": lambda n: (_one_hot(n, 9), _probabilities(n, 9)),
    "sparse_top_k_categorical_accuracy": lambda n: (RNG.integers(0, 9, n), _probabilities(n, 9)),
    "pearson_correlation": numbers,
    "concordance_correlation": numbers,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name):
    batch = tensors(FUNCTIONS[name](20))
    close(getattr(metrics, name)(*batch), getattr(keras.metrics, name)(*batch))


def test_functions_are_those_of_losses_or_tested_here():
    found = {n for n, f in vars(metrics).items() if inspect.isfunction(f)} - set(FUNCTIONS)
    assert found - {"get", "serialize", "deserialize", "resolve_accuracy"} <= set(dir(losses))


@table
def test_meta_device(name, kwargs, data):
    metric, _ = make(name, kwargs)
    batch = [x.to("meta") for x in tensors(data(6))]
    metric.update_state(*batch)
    metric.update_state(
        *batch, sample_weight=torch.ones(6, device="meta") if "IoU" not in name else None
    )
    assert metric.result().device.type == "meta"
    assert {v.device.type for v in metric.variables} == {"meta"}
    batch = tensors(data(6))  # and back: as good as new
    new, _ = make(name, kwargs)
    close(metric(*batch), new(*batch))


@table
def test_arrays_and_lists(name, kwargs, data):
    batch = data(6)
    expected = make(name, kwargs)[0](*tensors(batch))
    close(make(name, kwargs)[0](*batch), expected)
    close(make(name, kwargs)[0](*[x.tolist() for x in batch]), expected)


@table
def test_config_copy_and_pickle(name, kwargs, data):
    metric, _ = make(name, kwargs, name="mine")
    batch = tensors(data(6))
    value = metric(*batch)
    for other in (copy.deepcopy(metric), pickle.loads(pickle.dumps(metric))):
        close(other.result(), value)
        other(*batch)
        other.reset_state()
        close(metric.result(), value)
    for other in (
        type(metric).from_config(metric.get_config()),
        metrics.deserialize(metrics.serialize(metric)),
    ):
        assert (other.name, type(other)) == ("mine", type(metric))
        close(other(*batch), value)


@table
def test_module(name, kwargs, data):
    metric, _ = make(name, kwargs)
    batch = tensors(data(6))
    batch[-1] = batch[-1].requires_grad_() if batch[-1].is_floating_point() else batch[-1]
    result = metric(*batch)
    assert not metric.state_dict()
    assert not list(metric.parameters())
    assert not result.requires_grad
    assert not any(v.requires_grad for v in metric.variables)
    assert metric.variables
    assert result.dtype == torch.float32


@table
def test_half_precision_is_not_rounded_further(name, kwargs, data):
    batch = tensors(data(6))
    if not batch[-1].is_floating_point():
        return
    batch[-1] = batch[-1].to(torch.bfloat16)
    metric, _ = make(name, kwargs)
    exact, _ = make(name, kwargs)
    close(metric(*batch), exact(*batch[:-1], batch[-1].float()))
