"""What holds for all losses, and what is stricter or wider than in Keras."""

import copy
import math
import pickle
import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from test_losses_keras import CASES, FLAT

from kerastorch import Input, config, losses
from kerastorch.losses import check_targets
from kerastorch.losses._base import LossFunctionWrapper

FIRST = [pytest.param(p.values[0], *p.values[1:], id=p.id) for p in FLAT if p.id.endswith("-0")]
ELEMENTWISE = sorted(
    set(CASES)
    - {"SparseCategoricalCrossentropy", "CategoricalGeneralizedCrossEntropy", "Circle", "CTC"}
)


class CubicError(losses.Loss):
    def __init__(self, scale=2.0, name="cubic", **kwargs):
        super().__init__(name=name, **kwargs)
        self.scale = scale

    def call(self, y_true, y_pred):
        return self.scale * (y_pred - y_true).abs().pow(3).mean(-1)


# -- every loss --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "kwargs", "y_true", "y_pred"), FIRST)
def test_config_copy_and_pickle(name, kwargs, y_true, y_pred):
    loss = getattr(losses, name)(reduction="sum", name="mine")
    y_pred = torch.tensor(y_pred, dtype=torch.float32)
    value = loss(y_true, y_pred)
    for other in (
        type(loss).from_config(loss.get_config()),
        losses.deserialize(losses.serialize(loss)),
        copy.deepcopy(loss),
        pickle.loads(pickle.dumps(loss)),
    ):
        assert (other.name, other.reduction) == ("mine", "sum")
        torch.testing.assert_close(other(y_true, y_pred), value)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize(("name", "kwargs", "y_true", "y_pred"), FIRST)
def test_half_precision(name, kwargs, y_true, y_pred, dtype):
    exact = torch.tensor(y_pred, dtype=dtype)
    expected = getattr(losses, name)(**kwargs)(y_true, exact.float())
    raised = getattr(losses, name)(**kwargs)(y_true, exact)
    assert raised.dtype == torch.float32
    torch.testing.assert_close(raised, expected)
    computed = getattr(losses, name)(**kwargs, dtype=str(dtype)[6:])(y_true, exact)
    assert computed.dtype == dtype
    torch.testing.assert_close(computed.float(), expected, rtol=0.05, atol=0.05)


@pytest.mark.parametrize(("name", "kwargs", "y_true", "y_pred"), FIRST)
def test_float64_predictions_stay_float64(name, kwargs, y_true, y_pred):
    loss = getattr(losses, name)(**kwargs)
    y_pred = torch.tensor(y_pred, dtype=torch.float64, requires_grad=True)
    value = loss(torch.tensor(y_true), y_pred)
    assert value.dtype == torch.float64
    if name not in ("Circle", "MeanSquaredLogarithmicError", "CTC"):  # kinks, and CTC's own kernel
        assert torch.autograd.gradcheck(lambda p: loss(torch.tensor(y_true), p), y_pred)


@pytest.mark.parametrize(  # torch's CTC kernel reads the lengths on the host
    ("name", "kwargs", "y_true", "y_pred"), [p for p in FIRST if p.values[0] != "CTC"]
)
def test_meta_device(name, kwargs, y_true, y_pred):
    y_true = torch.tensor(y_true, device="meta")
    y_pred = torch.tensor(y_pred, dtype=torch.float32, device="meta", requires_grad=True)
    weight = None if name in ("Dice", "Tversky") else torch.ones(len(y_pred), device="meta")
    value = getattr(losses, name)(**kwargs)(y_true, y_pred, weight)
    value.backward()
    assert (value.shape, y_pred.grad.device.type) == ((), "meta")


@pytest.mark.parametrize("name", ELEMENTWISE)
@pytest.mark.parametrize(
    "shapes", [((6, 1), (6, 3)), ((6, 3), (6, 1)), ((6,), (6, 3)), ((6, 3), (3,))]
)
def test_shapes_that_broadcasting_would_hide(name, shapes):
    y_true, y_pred = (torch.full(shape, 0.5) for shape in shapes)
    expected = r"must have the same shape.*\({}.*\({}".format(*(s[0] for s in shapes))
    with pytest.raises(ValueError, match=expected):
        getattr(losses, name)()(y_true, y_pred)
    with pytest.raises(ValueError, match=expected):
        losses.get(getattr(losses, name)().fn.__name__)(y_true, y_pred)


@pytest.mark.parametrize(
    "name", ["SparseCategoricalCrossentropy", "CategoricalGeneralizedCrossEntropy"]
)
def test_sparse_shapes(name):
    with pytest.raises(ValueError, match=r"expected shape \(6,\).*received \(6, 3\)"):
        getattr(losses, name)()(torch.zeros(6, 3), torch.rand(6, 3))


def test_one_class():
    with pytest.warns(SyntaxWarning, match="always 0"):
        losses.categorical_crossentropy([[1.0]], [[0.5]])


# -- fullgraph ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("MeanSquaredError", {}),
        ("SparseCategoricalCrossentropy", {}),
        ("SparseCategoricalCrossentropy", {"from_logits": True, "ignore_class": 0}),
        ("CategoricalCrossentropy", {"label_smoothing": 0.1}),
        ("Hinge", {}),
    ],
)
def test_one_graph(name, kwargs):
    loss = getattr(losses, name)(**kwargs)
    y_true, y_pred = CASES[name][0][1]
    y_true, y_pred = torch.tensor(y_true), torch.tensor(y_pred, dtype=torch.float32)
    weight = torch.rand(len(y_pred))
    compiled = torch.compile(loss.__call__, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(y_true, y_pred, weight), loss(y_true, y_pred, weight))


# -- conversion ----------------------------------------------------------------------------------------


def test_lists_arrays_and_tensors():
    expected = torch.tensor(2.5)
    for convert in (list, np.array, torch.tensor, lambda x: np.array(x, dtype="float64")[::-1]):
        y_true, y_pred = convert([[0.0, 1.0]] * 2), convert([[1.0, 3.0]] * 2)
        torch.testing.assert_close(losses.MeanSquaredError()(y_true, y_pred), expected)
        torch.testing.assert_close(losses.mean_squared_error(y_true, y_pred).mean(), expected)


def test_read_only_and_integer_arrays():
    y_true = np.array([[0, 1]], dtype="uint8")
    y_true.flags.writeable = False
    torch.testing.assert_close(losses.MeanSquaredError()(y_true, [[1, 3]]), torch.tensor(2.5))


def test_floatx_rules_arrays():
    config.set_floatx("float16")
    try:
        assert losses.MeanSquaredError()([0.0], np.float32([1.0])).dtype == torch.float16
    finally:
        config.set_floatx("float32")


def test_large_class_numbers_are_not_rounded():
    y_pred = F.one_hot(torch.tensor([257]), 300).float()
    loss = losses.SparseCategoricalCrossentropy(dtype="bfloat16")  # 257 would round to 256
    assert loss(torch.tensor([257]), y_pred) < 1e-3


def test_structures_reach_call():
    class Pair(losses.Loss):
        def call(self, y_true, y_pred):
            return (y_pred["a"] - y_true["a"]).square() + (y_pred["b"] - y_true["b"]).abs()

    value = Pair()({"a": [1, 2], "b": [0, 0]}, {"a": torch.zeros(2), "b": np.ones(2)})
    torch.testing.assert_close(value, torch.tensor(3.5))


def test_symbolic_tensors():
    x, y, weight = Input((3,)), Input((3,)), Input((1,))
    assert losses.mean_squared_error(x, y).shape == (None,)
    assert losses.MeanSquaredError()(x, y, weight).shape == ()
    labels = Input((1,), dtype="int64")
    assert losses.SparseCategoricalCrossentropy(reduction=None)(labels, y).shape == (None,)


# -- reduction -----------------------------------------------------------------------------------------


def test_weights_are_never_divided_by_their_sum():
    y_true, y_pred = torch.zeros(4, 1), torch.tensor([[1.0], [2.0], [3.0], [4.0]])
    weight = torch.tensor([0.0, 0.0, 1.0, 1.0])
    by_reduction = {"sum_over_batch_size": 6.25, "mean_with_sample_weight": 12.5, "sum": 25.0}
    for reduction, expected in by_reduction.items():
        loss = losses.MeanSquaredError(reduction=reduction)
        assert loss(y_true, y_pred, weight) == expected


def test_mask_equals_weights_equals_both():
    y_true, y_pred = torch.zeros(3, 2), torch.rand(3, 2)
    valid = torch.tensor([1.0, 0.0, 1.0])
    weighed = losses.MeanSquaredError(reduction="mean_with_sample_weight")(y_true, y_pred, valid)
    y_pred._keras_mask = valid.bool()
    for weight in (None, valid, 1.0):
        torch.testing.assert_close(losses.MeanSquaredError()(y_true, y_pred, weight), weighed)


def test_sample_weight_of_samples_of_sequences():
    values = torch.rand(3, 3)
    weight = torch.tensor([1.0, 0.0, 2.0])
    expected = (values.square() * weight[:, None]).mean()
    for shape in ((3,), (3, 1)):
        got = losses.MeanSquaredError()(
            torch.zeros(3, 3, 1), values.unsqueeze(-1), weight.view(shape)
        )
        torch.testing.assert_close(got, expected)


def test_scalar_weight():
    loss = losses.MeanSquaredError()
    assert loss([[0.0]], [[2.0]], sample_weight=2.5) == 10.0
    mean = losses.MeanSquaredError(reduction="mean_with_sample_weight")
    assert mean([[0.0], [0.0]], [[2.0], [4.0]], sample_weight=2.5) == 10.0


@pytest.mark.parametrize("shape", [(4,), (7,), (6, 2), (1, 6)])
def test_weights_that_do_not_fit(shape):
    with pytest.raises(ValueError, match=r"sample_weight has shape.*one weight per sample"):
        losses.MeanSquaredError()(torch.zeros(6, 3), torch.zeros(6, 3), torch.ones(shape))


def test_masked_nan_does_not_spread():
    y_pred = torch.tensor([[1.0], [math.nan]])
    y_pred._keras_mask = torch.tensor([True, False])
    assert losses.MeanSquaredError()(torch.zeros(2, 1), y_pred) == 1.0


def test_nan_is_shown():
    y_pred = torch.tensor([[math.nan, 0.5]])
    for name in ("MeanSquaredError", "BinaryCrossentropy", "CategoricalCrossentropy", "Poisson"):
        assert getattr(losses, name)()(torch.tensor([[0.0, 1.0]]), y_pred).isnan()


def test_empty_batch():
    assert losses.MeanSquaredError()(torch.zeros(0, 3), torch.zeros(0, 3)) == 0


def test_circle_without_pairs_has_a_finite_gradient():
    y_pred = F.normalize(torch.randn(4, 3), dim=1).requires_grad_()
    value = losses.Circle()(torch.tensor([0, 0, 1, 2]), y_pred)
    value.backward()
    assert y_pred.grad.isfinite().all()


def test_torch_default_of_minus_100_is_no_free_pass():
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    with pytest.raises((IndexError, RuntimeError)):
        loss(torch.tensor([-100, 1]), torch.randn(2, 3))


def test_wrong_reduction():
    with pytest.raises(ValueError, match=r"Invalid value for argument `reduction`.*'abc'"):
        losses.MeanSquaredError(reduction="abc")


# -- own losses ----------------------------------------------------------------------------------------


def test_subclass():
    loss = CubicError(scale=3.0)
    assert loss([[0.0], [1.0]], [[1.0], [3.0]]) == 13.5
    again = CubicError.from_config(loss.get_config())
    assert (again.scale, again.name) == (3.0, "cubic")
    assert losses.deserialize(losses.serialize(loss), {"CubicError": CubicError}).scale == 3.0
    assert type("SomeLoss", (losses.Loss,), {})().name == "some_loss"
    with pytest.raises(AttributeError):
        loss.dtype = "float16"
    with pytest.raises(NotImplementedError, match="call"):
        losses.Loss()([0.0], [0.0])


def test_function_wrapper():
    def scaled(y_true, y_pred, scale):
        return scale * (y_true - y_pred).square().mean(-1)

    loss = LossFunctionWrapper(scaled, scale=2.0)
    assert loss.name == "scaled"
    assert loss(torch.zeros(2), torch.tensor([[1.0], [2.0]])) == 5.0
    named = LossFunctionWrapper(losses.mean_squared_error)
    assert LossFunctionWrapper.from_config(named.get_config()).fn is losses.mean_squared_error


def test_get():
    assert losses.get(None) is None
    for name in ("mse", "MSE", "mean_squared_error"):
        assert losses.get(name) is losses.mean_squared_error
    for name in ("kld", "KLD", "kl_divergence"):
        assert losses.get(name) is losses.kl_divergence
    assert losses.get("bce") is losses.binary_crossentropy
    assert isinstance(losses.get("MeanSquaredError"), losses.MeanSquaredError)
    assert isinstance(losses.get(losses.Huber), losses.Huber)
    config = {"class_name": "CategoricalCrossentropy", "config": {"from_logits": True}}
    assert losses.get(config).from_logits is True
    with pytest.raises(ValueError, match="Did you mean 'mean_squared_error'"):
        losses.get("mean_square_error")


# -- check_targets ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "targets", "shape", "message"),
    [
        (
            "sparse_categorical_crossentropy",
            [0, 1.5],
            (None, 3),
            r"1.5 at position \(1,\) is not an",
        ),
        ("sparse_categorical_crossentropy", [0, math.nan], (None, 3), "nan.*is not an integer"),
        ("SparseCategoricalCrossentropy", [[0], [-1]], (2, 3), r"-1 at position \(1, 0\).*0 to 2"),
        ("SparseCategoricalCrossentropy", [3], (None, 3), "3 at position.*0 to 2"),
        ("SparseCategoricalCrossentropy", np.eye(3), (None, 3), "'categorical_crossentropy'"),
        ("categorical_crossentropy", np.eye(4), (None, 3), r"\(4, 4\), the output \(None, 3\)"),
        ("categorical_crossentropy", [[1], [2]], (None, 3), "'sparse_categorical_crossentropy'"),
        ("mse", np.zeros((5, 1)), (None, 3), "as many units"),
        ("mse", np.zeros((5, 3)), (None, 1), "as many units"),
    ],
)
def test_check_targets_refuses(loss, targets, shape, message):
    with pytest.raises(ValueError, match=message):
        check_targets(losses.get(loss), targets, shape)
    with pytest.raises(ValueError, match=message):
        check_targets(loss, torch.as_tensor(np.asarray(targets)), shape)


@pytest.mark.parametrize(
    ("loss", "targets", "shape", "message"),
    [
        ("mse", [1.0, math.nan], (None, 1), "1 of 2 targets are NaN"),
        ("binary_crossentropy", [-1.0, 1.0], (None, 1), r"\[0, 1\], found from -1 to 1"),
        ("categorical_crossentropy", [[1.0, 1.0]], (None, 2), "sum to 1"),
        (CubicError(), [math.inf], (None, 1), "1 of 1"),
    ],
)
def test_check_targets_warns(loss, targets, shape, message):
    assert re.search(message, check_targets(loss, targets, shape))


@pytest.mark.parametrize(
    ("loss", "targets", "shape"),
    [
        ("sparse_categorical_crossentropy", [0, 1, 2], (None, 3)),
        ("sparse_categorical_crossentropy", [[0.0], [2.0]], (None, 3)),
        (losses.SparseCategoricalCrossentropy(ignore_class=-1), [[0, -1]], (None, 2, 3)),
        (losses.SparseCategoricalCrossentropy(axis=1), [[0, 2]], (None, 3, 2)),
        ("categorical_crossentropy", np.eye(3), (None, 3)),
        ("mse", np.zeros(5), (None, 1)),
        ("mse", np.zeros((5, 1)), (None, 1)),
        ("binary_crossentropy", np.zeros((5, 2), dtype=bool), (None, 2)),
        (CubicError(), np.zeros((5, 2)), (None, 7)),
    ],
)
def test_check_targets_accepts(loss, targets, shape):
    assert check_targets(loss, targets, shape) is None
