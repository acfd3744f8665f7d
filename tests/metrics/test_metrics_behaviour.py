"""What the table of metrics does not say: oracles besides Keras, own metrics, masks, odd inputs."""

import gc
import warnings
import weakref

import keras
import numpy as np
import pytest
import sklearn.metrics as sk
import torch
from test_metrics_table import CASES, make, tensors

from kerastorch import losses, metrics

RNG = np.random.default_rng(5)


def close(ours, theirs, tolerance=1e-5):
    theirs = torch.as_tensor(theirs, dtype=torch.float32)
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)


# -- scikit-learn ------------------------------------------------------------------------------------


def in_batches(metric, *arrays, size=17):
    for start in range(0, len(arrays[0]), size):
        batch = [torch.as_tensor(a[start : start + size]) for a in arrays]
        metric.update_state(*batch)
    return metric.result()


Y, P = RNG.integers(0, 2, 400), RNG.integers(0, 101, 400) / 100
W = RNG.random(400).astype("float32")


def test_auc_is_sklearns():
    # 101 different scores, a threshold between any two of them.
    cuts = list((np.arange(100) + 0.5) / 100)
    for weight in ((), (W,)):
        auc = in_batches(metrics.AUC(thresholds=cuts), Y, P, *weight)
        close(auc, sk.roc_auc_score(Y, P, sample_weight=weight[0] if weight else None))


def test_precision_recall_and_f_are_sklearns():
    hard = P > 0.5
    close(in_batches(metrics.Precision(), Y, P, W), sk.precision_score(Y, hard, sample_weight=W))
    close(in_batches(metrics.Recall(), Y, P, W), sk.recall_score(Y, hard, sample_weight=W))
    many_y, many_p = RNG.integers(0, 2, (200, 3)), RNG.random((200, 3))
    for average in (None, "macro", "micro", "weighted"):
        metric = metrics.FBetaScore(average=average, beta=2.0, threshold=0.5)
        expected = sk.fbeta_score(many_y, many_p > 0.5, beta=2.0, average=average)
        close(in_batches(metric, many_y, many_p), expected)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (None, "raw_values"),
        ("uniform_average", "uniform_average"),
        ("variance_weighted_average", "variance_weighted"),
    ],
)
def test_r2_is_sklearns(ours, theirs):
    y = RNG.normal(size=(90, 3)).astype("float32")
    p = y + RNG.normal(size=(90, 3)).astype("float32")
    close(
        in_batches(metrics.R2Score(ours), y, p, W[:90]),
        sk.r2_score(y, p, sample_weight=W[:90], multioutput=theirs),
    )
    y[:, 0], p[:, 0], y[:, 1] = 2.0, 2.0, 3.0
    if ours != "variance_weighted_average":
        close(in_batches(metrics.R2Score(ours), y, p), sk.r2_score(y, p, multioutput=theirs))


def test_confusion_counts_at_many_thresholds():
    cuts = list(np.linspace(0, 1, 30))
    kinds = ("TruePositives", "FalsePositives", "TrueNegatives", "FalseNegatives")
    found = {k: in_batches(getattr(metrics, k)(thresholds=cuts), Y, P, W).numpy() for k in kinds}
    for i, cut in enumerate(np.float32(cuts)):
        (tn, fp), (fn, tp) = sk.confusion_matrix(Y, np.float32(P) > cut, sample_weight=W)
        np.testing.assert_allclose(
            [found[k][i] for k in kinds], [tp, fp, tn, fn], rtol=1e-4, atol=1e-4
        )


def test_iou_is_sklearns():
    y, p = RNG.integers(0, 4, 300), RNG.integers(0, 4, 300)
    close(in_batches(metrics.MeanIoU(4), y, p), sk.jaccard_score(y, p, average="macro"))


# -- samples, weights, masks ---------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 3, 50])
@pytest.mark.parametrize("weight", [None, 2.5])
def test_the_batch_size_makes_no_difference(size, weight):
    y, p = RNG.normal(size=(50, 2)), RNG.normal(size=(50, 2))
    metric = metrics.MeanSquaredError()
    for start in range(0, 50, size):
        part = slice(start, start + size)
        metric.update_state(torch.tensor(y[part]), torch.tensor(p[part]), sample_weight=weight)
    close(metric.result(), np.mean((y - p) ** 2))


MASKED = [
    "MeanSquaredError",
    "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy",
    "Accuracy",
]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", MASKED)
def test_masks_as_in_keras(name, weighted):
    mask = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]], dtype=torch.bool)
    shape = (3, 4) if name == "Accuracy" else (3, 4, 3)
    y_pred = torch.tensor(RNG.random(shape)).softmax(-1)
    y_true = torch.tensor(RNG.random(shape) if name[0] == "M" else RNG.integers(0, 3, (3, 4)))
    y_pred._keras_mask = mask
    weight = torch.tensor(RNG.random((3, 4))) if weighted else None
    ours, theirs = getattr(metrics, name)(), getattr(keras.metrics, name)()
    for _ in range(2):
        ours.update_state(y_true, y_pred, sample_weight=weight)
        theirs.update_state(y_true, y_pred, sample_weight=weight)
    close(ours.result(), theirs.result())


def test_weights_of_every_rank():
    values = torch.tensor(RNG.random((4, 3)), dtype=torch.float32)
    for shape in ((), (4,), (4, 1), (1, 3), (4, 3)):
        weight = torch.tensor(RNG.random(shape), dtype=torch.float32)
        close(metrics.Mean()(values, weight), keras.metrics.Mean()(values, weight))
        if shape:
            close(metrics.Sum()(values, weight), keras.metrics.Sum()(values, weight))
    with pytest.raises(ValueError, match="sample_weight has shape"):
        metrics.Mean()(values, torch.ones(3))


def test_before_the_first_batch():
    for name, cases in CASES.items():
        result = make(name, cases[0][0])[0].result()
        assert not result.any(), name


def test_zero_weights_give_zero():
    for name in ("Mean", "AUC", "Precision", "MeanSquaredError"):
        metric = getattr(metrics, name)()
        batch = [torch.rand(4, 1)] if name == "Mean" else [torch.ones(4, 1), torch.rand(4, 1)]
        assert metric(*batch, sample_weight=torch.zeros(4)) == 0


# -- what is wrong shows ---------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [1.5, -0.5, float("nan")])
@pytest.mark.parametrize("curve", ["ROC", "PR"])
def test_auc_of_scores_that_are_no_probabilities_is_nan(bad, curve):
    for thresholds in (None, [0.5]):
        metric = metrics.AUC(curve=curve, thresholds=thresholds)
        y = torch.tensor([0.0, 1.0, 1.0])
        assert metric(y, torch.tensor([0.0, 1.0, 1.0 + 1e-6])).isfinite()
        assert metric(y, torch.tensor([0.2, 0.4, bad])).isnan()
        metric.reset_state()
        assert metric(y, torch.tensor([0.2, 0.4, 0.6])).isfinite()
    metric = metrics.PrecisionAtRecall(0.5)
    assert metric(y, torch.tensor([0.2, 0.4, 2.0])).isnan()


def test_iou_says_what_it_leaves_out():
    metric = metrics.MeanIoU(num_classes=2)
    metric.update_state([0, 5, 1], [0, 1, -1])
    with pytest.warns(UserWarning, match=r"left out 2 pairs with a class outside 0 to 1"):
        close(metric.result(), 1)
    metric.reset_state()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        close(metric([0, 1], [0, 1]), 1)
        close(metrics.MeanIoU(num_classes=2, ignore_class=255)([0, 255], [0, 1]), 1)
    with pytest.warns(UserWarning, match="float, the confusion matrix is int"):
        metric.update_state([0, 1], [0, 1], sample_weight=[0.5, 0.5])
    with pytest.raises(ValueError, match="Target class id 2 is out of range"):
        metrics.IoU(2, [2])


SHAPES = {
    "MeanSquaredError": ((6, 1), (6, 3)),
    "RootMeanSquaredError": ((6, 3), (6, 1)),
    "BinaryAccuracy": ((6, 1), (6, 3)),
    "CategoricalAccuracy": ((6, 1), (6, 3)),
    "TopKCategoricalAccuracy": ((6,), (6, 3)),
    "AUC": ((6,), (6, 2)),
    "Precision": ((6, 1), (6, 2)),
    "R2Score": ((6, 1), (6, 2)),
    "F1Score": ((6, 1), (6, 2)),
}


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_that_do_not_agree(name):
    metric = getattr(metrics, name)()
    y_true, y_pred = (torch.zeros(shape) for shape in SHAPES[name])
    with pytest.raises(ValueError, match=r"must have the same shape.*\(6.*\(6"):
        metric.update_state(y_true, y_pred)
    assert not any(v.any() for v in metric.variables)


@pytest.mark.parametrize("shape", [(6, 3), (5,), (6, 2)])
def test_class_numbers_that_do_not_agree(shape):
    for name in ("SparseCategoricalAccuracy", "SparseTopKCategoricalAccuracy"):
        with pytest.raises(ValueError, match=r"one class number per prediction.*\(6,\)"):
            getattr(metrics, name)()(torch.zeros(shape), torch.rand(6, 3))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: metrics.AUC(num_thresholds=1), "must be an integer > 1"),
        (lambda: metrics.AUC(curve="X"), 'Invalid AUC curve value: "X"'),
        (lambda: metrics.AUC(summation_method="X"), "Invalid AUC summation method"),
        (lambda: metrics.AUC(num_labels=3), "only when `multi_label`"),
        (lambda: metrics.AUC(multi_label=True)([0, 1], [0.0, 1.0]), "rank 2"),
        (lambda: metrics.Precision(thresholds=[0.5, 2]), r"must be in \[0, 1\]. Received: \[2\]"),
        (lambda: metrics.Recall(class_id=1)([0, 1], [0.0, 1.0]), "2D array"),
        (
            lambda: metrics.SensitivityAtSpecificity(1.5),
            r"`specificity` must be in the range \[0, 1\]",
        ),
        (lambda: metrics.PrecisionAtRecall(0.5, num_thresholds=0), "integer > 0"),
        (lambda: metrics.FBetaScore(beta=1), "Python float"),
        (lambda: metrics.FBetaScore(beta=-1.0), "> 0"),
        (lambda: metrics.FBetaScore(threshold=1.5), "0 < threshold <= 1"),
        (lambda: metrics.FBetaScore(average="x"), "Invalid `average`"),
        (lambda: metrics.F1Score()([0, 1], [0.0, 1.0]), "F1Score expects 2D inputs"),
        (lambda: metrics.R2Score("x"), "`class_aggregation`"),
        (lambda: metrics.R2Score(num_regressors=-1), "`num_regressors`"),
        (lambda: metrics.R2Score()([0.0, 1.0], [0.0, 1.0]), "expects 2D inputs with shape"),
    ],
)
def test_wrong_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# -- state -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["Mean", "SparseCategoricalAccuracy", "AUC", "BinaryAccuracy", "MeanIoU"]
)
def test_one_graph(name):
    kwargs, data = CASES[name][0]
    metric, _ = make(name, kwargs)
    eager, _ = make(name, kwargs)
    step = torch.compile(metric.update_state, fullgraph=True, backend="eager")
    for n in (6, 6, 6):
        batch = tensors(data(n))
        step(*batch)
        eager.update_state(*batch)
    close(metric.result(), eager.result())


def test_few_kernels():
    from torch.utils._python_dispatch import TorchDispatchMode

    class Count(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            calls.append(func.overloadpacket.__name__)
            return func(*args, **(kwargs or {}))

    calls: list[str] = []
    metric, y, p = metrics.SparseCategoricalAccuracy(), torch.tensor([[0], [1]]), torch.rand(2, 3)
    with Count():
        metric.update_state(y, p)
    views = {"view", "squeeze", "detach", "reshape", "alias", "_unsafe_view"}
    assert [c for c in calls if c not in views] == ["argmax", "eq", "sum", "add_", "add_"]


def test_no_graph_is_kept():
    metric = metrics.MeanSquaredError()
    leaf = torch.rand(4, 2, requires_grad=True)
    y_pred = leaf * 2
    gone = weakref.ref(y_pred)
    metric.update_state(torch.zeros(4, 2), y_pred)
    del y_pred
    gc.collect()
    assert gone() is None


def test_result_is_a_copy():
    for name in ("Mean", "Sum", "TruePositives"):
        metric = getattr(metrics, name)()
        batch = ([1.0, 1.0],) if name in ("Mean", "Sum") else ([1, 1], [1.0, 1.0])
        first = metric(*batch)
        value = first.clone()
        metric.reset_state()
        assert first == value


def test_state_lives_in_a_module_but_not_in_its_state_dict():
    model = torch.nn.Linear(2, 2)
    model.metric = metrics.AUC()
    assert list(model.state_dict()) == ["weight", "bias"]
    model.to(torch.bfloat16)
    model.metric.update_state([0, 1], [0.2, 0.7])
    assert model.metric.result() == 1


class TruePositives(metrics.Metric):  # as in the guide to training with the built-in methods
    def __init__(self, name="categorical_true_positives", **kwargs):
        super().__init__(name=name, **kwargs)
        self.true_positives = self.add_weight(name="ctp", initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        y_pred = y_pred.argmax(1).reshape(-1, 1)
        values = (y_true.int() == y_pred.int()).float()
        if sample_weight is not None:
            values = values * sample_weight
        self.true_positives.assign_add(values.sum())

    def result(self):
        return self.true_positives

    def reset_states(self):
        self.true_positives.assign(0.0)
        self.resets = getattr(self, "resets", 0) + 1


def test_own_metric():
    metric = TruePositives()
    y, p = torch.tensor([[0], [1], [1]]), torch.eye(2)[[0, 1, 0]]
    assert float(metric(y, p)) == 2.0
    assert float(metric(y, p)) == 4.0
    metric.reset_state()
    metric.reset_states()
    assert (float(metric.result()), metric.resets) == (0.0, 2)
    assert metric.name == "categorical_true_positives"
    again = TruePositives.from_config(metric.get_config())
    assert [v.name for v in again.variables] == ["ctp"]
    assert metrics.deserialize(metrics.serialize(metric), {"TruePositives": TruePositives}).name


def test_reset_state_overridden_at_any_level():
    calls = []

    class A(metrics.Mean):
        def reset_state(self):
            calls.append("A")
            super().reset_state()

    class B(A):
        def reset_states(self):
            calls.append("B")
            super().reset_states()

    for method in ("reset_state", "reset_states"):
        metric = B()
        metric.update_state([1.0])
        getattr(metric, method)()
        assert metric.result() == 0
    assert calls == ["B", "A", "B", "A"]


def test_add_weight_and_add_variable():
    metric = metrics.Metric(name="m", dtype="float16")
    assert (metric.name, metric.dtype) == ("m", "float16")
    metric.a = metric.add_weight("first", initializer="ones")
    metric.b = metric.add_weight(shape=(2,), dtype="int32", name="second")
    metric.c = metric.add_variable(
        (2,), lambda shape, dtype: torch.full(shape, 7, dtype=dtype), name="c"
    )
    metric.d = metric.add_variable((2,), torch.tensor([1.0, 2.0]), aggregation="mean", name="d")
    assert [v.name for v in metric.variables] == ["first", "second", "c", "d"]
    assert [v.dtype for v in metric.variables[:2]] == [torch.float32, torch.int32]
    assert (float(metric.a), metric.c.tolist(), metric.d.tolist()) == (1.0, [7.0, 7.0], [1.0, 2.0])
    assert (metric.d.aggregation, metric.d.path) == ("mean", "m/d")
    metric.reset_state()
    assert not any(v.any() for v in metric.variables)
    with pytest.raises(AttributeError):
        metric.dtype = "float32"
    with pytest.raises(NotImplementedError, match="update_state"):
        metric([1.0])


def test_metrics_inside_metrics():
    outer = metrics.Mean()
    outer.parts = [metrics.Mean(), metrics.Sum()]
    outer.other = metrics.Mean()
    assert len(outer.variables) == 2 + 2 + 1 + 2
    outer.parts[1].update_state([1.0])
    outer.reset_state()
    assert outer.parts[1].result() == 0


def test_forgotten_super():
    class Bad(metrics.Metric):
        def __init__(self):
            self.add_weight(name="x")

    with pytest.raises(RuntimeError, match=r"super\(\).__init__\(\)"):
        Bad()


# -- names -----------------------------------------------------------------------------------------------


def test_get():
    assert metrics.get(None) is None
    assert type(metrics.get("acc")) is type(metrics.get("accuracy")) is metrics.Accuracy
    for name in ("mse", "MSE", "mean_squared_error", "MeanSquaredError"):
        assert type(metrics.get(name)) is metrics.MeanSquaredError
    assert type(metrics.get("auc")) is type(metrics.get(metrics.AUC)) is metrics.AUC
    assert metrics.get("huber") is losses.huber
    assert metrics.get(losses.huber) is losses.huber
    config = {"class_name": "TopKCategoricalAccuracy", "config": {"k": 3}}
    assert metrics.get(config).k == 3
    with pytest.raises(ValueError, match="Did you mean"):
        metrics.get("acuracy")


@pytest.mark.parametrize(
    ("y_true", "y_pred", "kind"),
    [
        ((None, 1), (None, 1), "Binary"),
        ((None,), (None,), "Binary"),
        ((None, 1), (None, 10), "SparseCategorical"),
        ((None,), (None, 10), "SparseCategorical"),
        ((None, 7), (None, 7, 10), "SparseCategorical"),
        (None, (None, 10), "SparseCategorical"),
        ((None, 10), (None, 10), "Categorical"),
    ],
)
def test_resolve_accuracy(y_true, y_pred, kind):
    for crossentropy, word in ((False, "Accuracy"), (True, "Crossentropy")):
        metric = metrics.resolve_accuracy(y_true, y_pred, crossentropy=crossentropy)
        assert type(metric) is getattr(metrics, kind + word)
        assert metric.name == word.lower()


def test_direction():
    up = ("AUC", "BinaryAccuracy", "Precision", "CosineSimilarity", "R2Score", "MeanIoU", "F1Score")
    down = ("MeanSquaredError", "RootMeanSquaredError", "KLDivergence", "Hinge", "Poisson")
    for names, direction in ((up, "up"), (down, "down"), (("Mean", "TruePositives"), None)):
        for name in names:
            assert make(name, CASES[name][0][0])[0]._direction == direction, name


def test_a_metric_without_variables_can_be_reset():
    class Last(metrics.Metric):
        value = 0.0

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.value = float(y_pred[-1])

        def result(self):
            return self.value

    metric = Last()
    metric.update_state(None, [1.0, 3.0])
    metric.reset_state()
    assert metric.result() == 3.0
