"""Steps compiled into one graph against the same steps run eagerly."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torch._dynamo
from torch import nn

import kerastorch as keras
from kerastorch import layers
from kerastorch.training import _capture

X = np.random.default_rng(0).normal(size=(36, 6)).astype("float32")
Y = np.random.default_rng(1).normal(size=(36, 1)).astype("float32")
LABELS = np.random.default_rng(2).integers(0, 3, 36)
WEIGHTS = np.random.default_rng(3).uniform(size=36).astype("float32")


@pytest.fixture(autouse=True)
def capture_everything(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each shape at once, and without code generation: what is captured is the same."""
    monkeypatch.setattr(_capture, "PATIENCE", 1)
    monkeypatch.setattr(_capture, "BACKEND", "aot_eager")
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def mlp(*middle: Any, units: int = 1, **options: Any) -> keras.Model:
    inputs = keras.Input((6,), name="x")
    h = layers.Dense(5, "tanh", **options)(inputs)
    for layer in middle:
        h = layer(h)
    return keras.Model(inputs, layers.Dense(units, name="out")(h))


class Penalty(layers.Layer):
    def call(self, x: Any) -> Any:
        self.add_loss(x.square().sum() * 0.01)
        self.add_metric(x.std(), name="spread")
        return x


class Own(keras.Model):
    """Own `call`, `train_step` and `test_step`."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(6, 5)
        self.scores = layers.Dense(1)
        self.mae = keras.metrics.MeanAbsoluteError(name="own_mae")

    def call(self, inputs: Any) -> Any:
        return self.scores(torch.tanh(self.hidden(inputs)))

    def train_step(self, data: Any) -> Any:
        x, y = data[:2]
        y_pred = self(x)
        loss = self.compute_loss(y=y, y_pred=y_pred)
        parameters = self.trainable_weights
        self.optimizer.apply(torch.autograd.grad(loss, parameters), parameters)
        self.mae.update_state(y, y_pred.detach())
        return {"own_loss": loss.detach(), "own_mae": self.mae.result()}


def two_outputs() -> keras.Model:
    x = keras.Input((6,), name="x")
    h = layers.Dense(4, "relu")(x)
    outputs = {"a": layers.Dense(1, name="a")(h), "b": layers.Dense(3, name="b")(h)}
    return keras.Model(x, outputs)


def embedded() -> keras.Model:
    ids = keras.Input((6,), dtype="int64", name="ids")
    h = layers.Embedding(5, 4, mask_zero=True)(ids)
    return keras.Model(ids, layers.Dense(1)(h))


def added() -> keras.Model:
    model = mlp()
    hidden = model.layers[1].output
    model.add_loss(torch.sum(hidden) * 0.1)
    model.add_metric(keras.backend.std(hidden), name="std", aggregation="mean")
    return model


def regularized() -> keras.Model:
    return mlp(
        kernel_regularizer="l2",
        activity_regularizer="l1",
        kernel_constraint=keras.constraints.MaxNorm(1),
    )


SGD, Adam = keras.optimizers.SGD, keras.optimizers.Adam
IDS = np.random.default_rng(5).integers(0, 5, (36, 6))
Case = tuple[Callable[[], keras.Model], dict[str, Any], dict[str, Any]]
REGRESSION = {"loss": "mse", "metrics": ["mae"]}
CASES: dict[str, Case] = {
    "mlp": (mlp, {"optimizer": "rmsprop", **REGRESSION}, {}),
    "batch normalization": (lambda: mlp(layers.BatchNormalization()), REGRESSION, {}),
    "classes": (
        lambda: mlp(units=3),
        {
            "loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            "metrics": ["accuracy"],
        },
        {"y": LABELS},
    ),
    "sample weights": (
        mlp,
        {"loss": "mse", "weighted_metrics": ["mae"]},
        {"sample_weight": WEIGHTS},
    ),
    "class weights": (
        lambda: mlp(units=3),
        {"loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True)},
        {"y": LABELS, "class_weight": {0: 1.0, 1: 2.0, 2: 0.5}},
    ),
    "add_loss and add_metric in a layer": (lambda: mlp(Penalty()), REGRESSION, {}),
    "add_loss and add_metric on the model": (added, REGRESSION, {}),
    "regularizers and constraints": (regularized, REGRESSION, {}),
    "mask": (embedded, REGRESSION, {"x": IDS, "y": np.ones((36, 6, 1), "float32")}),
    "several outputs": (
        two_outputs,
        {"loss": {"a": "mse", "b": "mae"}, "loss_weights": {"a": 2.0}, "metrics": {"a": ["mae"]}},
        {"y": {"a": Y, "b": np.ones((36, 3), "float32")}},
    ),
    "nested model": (lambda: mlp(keras.Sequential([layers.Dense(5), nn.ReLU()])), REGRESSION, {}),
    "own train_step": (Own, {"loss": "mse"}, {}),
    "clipping": (mlp, {"optimizer": SGD(0.1, global_clipnorm=0.1), "loss": "mse"}, {}),
    "moving average of weights": (
        mlp,
        {"optimizer": Adam(use_ema=True, ema_overwrite_frequency=3), "loss": "mse"},
        {},
    ),
    "gradient accumulation": (
        mlp,
        {"optimizer": Adam(gradient_accumulation_steps=3), "loss": "mse"},
        {},
    ),
    "schedule": (
        mlp,
        {"optimizer": SGD(keras.optimizers.schedules.CosineDecay(0.1, 8)), "loss": "mse"},
        {},
    ),
    "bfloat16": (lambda: mlp(dtype="mixed_bfloat16"), REGRESSION, {}),
    "loss scale": (
        mlp,
        {"optimizer": keras.optimizers.LossScaleOptimizer(SGD(0.1)), "loss": "mse"},
        {},
    ),
    "steps per execution": (mlp, {"steps_per_execution": 3, **REGRESSION}, {}),
    "no gradient for a weight": (
        lambda: mlp(layers.Dense(5, trainable=False)),
        {"optimizer": Adam(weight_decay=0.1), "loss": "mse"},
        {},
    ),
}


#: Cases with a last batch of its own size and validation: four graphs instead of one.
UNEVEN = ("mlp", "batch normalization", "several outputs", "steps per execution")


def fitted(case: str, jit: bool, **options: Any) -> tuple[keras.Model, dict[str, list[float]]]:
    make, compiling, fitting = CASES[case]
    keras.utils.set_random_seed(7)
    model = make()
    if not model.built:
        model.build((None, 6))
    model.compile(**copy.deepcopy(compiling), jit_compile=jit)
    data = {"x": X, "y": Y, **fitting}
    rows = 36 if case in UNEVEN else 32
    for name in ("x", "y", "sample_weight"):
        if name in data:
            data[name] = keras.tree.map_structure(lambda a: a[:rows], data[name])
    if case in UNEVEN:
        data["validation_data"] = tuple(
            keras.tree.map_structure(lambda a: a[:12], data[name]) for name in ("x", "y")
        )
    history = model.fit(**data, batch_size=8, epochs=3, verbose=0, **options)
    return model, history.history


@pytest.mark.parametrize("case", CASES)
def test_captured_steps_do_what_eager_ones_do(case: str) -> None:
    eager, expected = fitted(case, jit=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a step that is not captured warns
        model, history = fitted(case, jit=True)
    assert list(history) == list(expected)
    tolerance = 2e-2 if case == "bfloat16" else 1e-5
    for name, values in expected.items():
        np.testing.assert_allclose(history[name], values, rtol=tolerance, atol=1e-6, err_msg=name)
    state = model.state_dict()
    assert list(state) == list(eager.state_dict())
    for name, value in eager.state_dict().items():
        torch.testing.assert_close(state[name], value, rtol=tolerance, atol=1e-5)
    assert int(model.optimizer.iterations) == int(eager.optimizer.iterations)
    captured = model._compiled.captured
    graphs = {kind: len(steps.graphs) for kind, steps in captured.items()}
    assert graphs == ({"train": 2, "test": 2} if case in UNEVEN else {"train": 1})


def test_two_graphs_a_kind_of_step() -> None:
    torch._dynamo.utils.counters.clear()
    model, _ = fitted("mlp", jit=True)
    first = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    assert first == 4  # full and last batch, training and validation
    model.fit(X, Y, batch_size=8, epochs=2, verbose=0)
    model.evaluate(X[:12], Y[:12], batch_size=8, verbose=0)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == first
    assert not torch._dynamo.utils.counters["graph_break"]


def test_a_shape_that_comes_seldom_runs_eagerly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_capture, "PATIENCE", 4)
    model, _ = fitted("clipping", jit=True)
    model.fit(X, Y, batch_size=8, epochs=3, verbose=0)
    assert len(model._compiled.captured["train"].graphs) == 1
    model.fit(X, Y, batch_size=8, epochs=2, verbose=0)
    assert len(model._compiled.captured["train"].graphs) == 2


def test_dropout_draws_anew_in_each_step_and_is_governed_by_the_seed() -> None:
    def run(seed: int) -> list[float]:
        torch.manual_seed(0)
        model = mlp(layers.Dropout(0.5))
        model.compile(SGD(0.0), "mse", jit_compile=True)
        torch.manual_seed(seed)
        return model.fit(X[:8], Y[:8], batch_size=8, epochs=5, verbose=0).history["loss"]

    losses = run(1)
    assert len(set(losses)) == 5
    assert run(1) == losses
    assert run(2) != losses


def test_changes_between_epochs_count() -> None:
    model = mlp(layers.Dropout(0.5, name="drop"))
    model.compile(SGD(0.0), "mse", jit_compile=True)

    class Ease(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.model.get_layer("drop").rate = 0.0 if epoch >= 2 else 0.5

    losses = model.fit(X[:32], Y[:32], batch_size=8, epochs=4, verbose=0, callbacks=[Ease()])
    assert losses.history["loss"][2] == pytest.approx(losses.history["loss"][3], rel=1e-6)
    assert losses.history["loss"][0] != losses.history["loss"][1]
    expected = np.square(model.predict(X[:32]) - Y[:32]).mean()
    assert losses.history["loss"][3] == pytest.approx(expected, rel=1e-5)


def test_freezing_and_the_learning_rate_between_fits() -> None:
    model = mlp()
    model.compile(SGD(0.1), "mse", jit_compile=True)
    model.fit(X, Y, verbose=0)
    hidden = model.layers[1]
    hidden.trainable = False
    before, last = hidden.get_weights(), model.layers[2].get_weights()
    model.fit(X, Y, verbose=0)
    assert all((a == b).all() for a, b in zip(before, hidden.get_weights(), strict=True))
    assert any((a != b).any() for a, b in zip(last, model.layers[2].get_weights(), strict=True))
    model.optimizer.learning_rate = 0.0
    last = model.layers[2].get_weights()
    model.fit(X, Y, verbose=0)
    assert all((a == b).all() for a, b in zip(last, model.layers[2].get_weights(), strict=True))


def test_python_values_that_are_in_the_graph_count_between_epochs() -> None:
    def run(jit: bool) -> list[float]:
        keras.utils.set_random_seed(0)
        penalty, rate = keras.regularizers.L2(0.01), {"now": 0.1}
        model = mlp(kernel_regularizer=penalty)
        optimizer = SGD(lambda: rate["now"], clipnorm=0.5, weight_decay=0.1)
        changes = [
            lambda: None,
            lambda: rate.update(now=0.05),
            lambda: setattr(penalty, "l2", 1.0),
            lambda: setattr(optimizer, "clipnorm", 0.1),
            lambda: optimizer.exclude_from_weight_decay(var_names=["kernel"]),
        ]
        begin = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: changes[epoch]())
        model.compile(optimizer, "mse", jit_compile=jit)
        return model.fit(
            X[:32], Y[:32], batch_size=8, epochs=5, verbose=0, shuffle=False, callbacks=[begin]
        ).history["loss"]

    assert run(True) == pytest.approx(run(False), rel=1e-5)


class Metered(Own):
    """Has the logs of the built-in step."""

    def train_step(self, data: Any) -> Any:
        logs = keras.Model.train_step(self, data)
        return {**logs, "twice": 2 * logs["loss"]}


class Idiom(Own):
    """The step of Keras's guide, around layers that add losses."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = layers.Dense(5, activity_regularizer="l2")

    def train_step(self, data: Any) -> Any:
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        y_pred = self(x, training=True)
        loss = self.compute_loss(x, y, y_pred, weight)
        variables = self.trainable_variables
        gradients = torch.autograd.grad(loss, variables)
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return {**self.compute_metrics(x, y, y_pred, weight), "own_loss": loss.detach()}


class Partly(Own):
    """Updates some of the weights, as often as it is told to."""

    times = 1

    def train_step(self, data: Any) -> Any:
        for _ in range(self.times):
            loss = (self(data[0]) - data[1]).square().mean()
            some = self.scores.trainable_weights
            self.optimizer.apply(torch.autograd.grad(loss, some), some)
        return {"own_loss": loss.detach()}


class Twice(Partly):
    times = 2


@pytest.mark.parametrize("kind", [Metered, Idiom, Partly, Twice])
def test_own_steps(kind: Any) -> None:
    def run(jit: bool) -> Any:
        keras.utils.set_random_seed(0)
        model = kind()
        model.build((None, 6))
        optimizer = Adam(0.1, gradient_accumulation_steps=3, weight_decay=0.1)
        model.compile(optimizer, "mse", jit_compile=jit)
        history = model.fit(X[:32], Y[:32], batch_size=8, epochs=2, verbose=0, shuffle=False)
        return history.history, int(optimizer.iterations), optimizer.pending

    history, *counts = run(False)
    with warnings.catch_warnings():
        if kind is Twice:  # an update in the middle of a step cannot be put off
            warnings.filterwarnings("ignore", "Twice.* cannot be one compiled graph")
        found, *others = run(True)
    assert counts == others
    for name, values in history.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-5)


def test_one_tensor_in_two_places_is_another_batch_than_two_tensors() -> None:
    x, y = torch.zeros(2, 3), torch.zeros(2, 3)
    assert _capture._key((x, y, None)) == _capture._key((y, x, None))
    assert _capture._key((x, x, None)) != _capture._key((x, y, None))
    assert _capture._key(({"a": x, "b": x}, y)) != _capture._key(({"a": x, "b": y}, y))


class Counting(layers.Layer):
    """Behaves by a Python number that changes with each call."""

    calls = 0

    def call(self, x: Any) -> Any:
        self.calls += 1
        return x * self.calls


class Counts:
    calls = 0


class Elsewhere(layers.Layer):
    """The same, where attributes of the layer do not show it."""

    def build(self, shape: Any) -> None:
        self.counts = Counts()

    def call(self, x: Any) -> Any:
        self.counts.calls += 1
        return x * self.counts.calls


class Reading(layers.Layer):
    def call(self, x: Any) -> Any:
        return x * (1.0 if x.is_meta or x.sum().item() > -1e9 else 0.0)


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (Counting, r"eagerly: .*calls changes with every step"),
        (Elsewhere, r"eagerly: .*counts.calls changes with every step"),
        (Reading, r"test_captured.py:\d+"),
    ],
)
def test_what_cannot_be_captured_warns_and_runs(layer: Any, reason: str) -> None:
    def run(jit: bool) -> Any:
        keras.utils.set_random_seed(3)
        model = mlp(layer(name="odd"))
        model.compile(SGD(0.01), "mse", jit_compile=jit)
        return model.fit(X, Y, batch_size=8, shuffle=False, verbose=0).history["loss"]

    expected = run(False)
    with pytest.warns(UserWarning, match=reason):
        assert run(True) == pytest.approx(expected, rel=1e-5)


def test_an_error_of_the_model_is_raised_as_it_is() -> None:
    class Wrong(layers.Layer):
        def call(self, x: Any) -> Any:
            if x.shape[0] == 4 and not x.is_meta:
                raise ArithmeticError("four rows")
            return x

    model = mlp(Wrong())
    model.compile(SGD(0.01), "mse", jit_compile=True)
    with pytest.raises(ArithmeticError, match="four rows"):
        model.fit(X, Y, batch_size=8, verbose=0)


def test_torch_optimizers_run_with_a_compiled_forward_pass() -> None:
    model = mlp()
    model.compile(torch.optim.SGD(model.parameters(), 0.1), "mse", jit_compile=True)
    with pytest.warns(UserWarning, match="cannot be one compiled graph"):
        losses = model.fit(X, Y, batch_size=8, epochs=2, verbose=0).history["loss"]
    assert losses[1] < losses[0]
    assert model._compiled_call_impl is not None
    model.compile("sgd", "mse", jit_compile=False)
    assert model._compiled_call_impl is None
    assert not any("_orig_mod" in name for name in model.state_dict())


def test_a_copy_compiles_for_itself() -> None:
    model, _ = fitted("clipping", jit=True)
    twin = copy.deepcopy(model)
    before = model.get_weights()
    twin.fit(X, Y, batch_size=8, verbose=0)
    assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))
    assert any((a != b).any() for a, b in zip(before, twin.get_weights(), strict=True))


def test_predict_and_evaluate() -> None:
    model, _ = fitted("several outputs", jit=True)
    outputs = model.predict(X, batch_size=10)
    with torch.no_grad():
        expected = model(torch.from_numpy(X))
    for name, value in expected.items():
        np.testing.assert_allclose(outputs[name], value.numpy(), rtol=1e-5, atol=1e-6)
    assert len(model._compiled.captured["predict"].graphs) == 2


def test_run_eagerly_wins() -> None:
    model = mlp()
    model.compile("sgd", "mse", jit_compile=True, run_eagerly=True)
    model.fit(X, Y, verbose=0)
    assert not model._compiled.captured


def test_code_of_inductor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_capture, "BACKEND", "inductor")
    _, expected = fitted("batch normalization", jit=False)
    model, history = fitted("batch normalization", jit=True)
    assert len(model._compiled.captured["train"].graphs) == 2
    for name, values in expected.items():
        np.testing.assert_allclose(history[name], values, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("jit", [False, True])
def test_hooks_between_executions_of_several_steps(jit: bool) -> None:
    model = mlp()
    model.compile("sgd", "mse", steps_per_execution=2, jit_compile=jit)
    seen: list[tuple[str, int]] = []
    hooks = keras.callbacks.LambdaCallback(
        on_train_batch_begin=lambda batch, logs: seen.append(("begin", batch)),
        on_train_batch_end=lambda batch, logs: seen.append(("end", batch)),
    )
    model.fit(X, Y, batch_size=8, verbose=0, callbacks=[hooks])
    assert seen == [("begin", 0), ("end", 1), ("begin", 2), ("end", 3), ("begin", 4), ("end", 4)]
    assert int(model.optimizer.iterations) == 5


@pytest.mark.parametrize(
    ("option", "value"),
    [("jit_compile", "yes"), ("steps_per_execution", 0), ("steps_per_execution", 1.5)],
)
def test_options_are_checked(option: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"`{option}` must be .* received {value!r}"):
        mlp().compile("sgd", "mse", **{option: value})


# -- graphs that are bound to their tensors for an epoch ----------------------------------------------


def calls_of_graphs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each call that looks for its tensors."""
    calls: list[int] = []
    call = _capture._Graph.__call__

    def counting(graph: Any, model: Any, batch: Any) -> Any:
        calls.append(1)
        return call(graph, model, batch)

    monkeypatch.setattr(_capture._Graph, "__call__", counting)
    return calls


def test_an_epoch_looks_for_its_tensors_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = calls_of_graphs(monkeypatch)
    model = mlp()
    model.compile("sgd", "mse", metrics=["mae"], jit_compile=True)
    model.fit(X, Y, batch_size=4, epochs=3, verbose=0, shuffle=False)
    assert len(calls) == 3  # the capture in the first epoch, a look in each of the others
    model.evaluate(X, Y, batch_size=4, verbose=0)
    model.predict(X, batch_size=4)
    assert len(calls) == 5


class Replacing(keras.callbacks.Callback):
    """Puts other tensors where those of the metric were."""

    def replace(self) -> None:
        for metric in self.model.metrics:
            for name, buffer in metric._buffers.items():
                metric._buffers[name] = copy.deepcopy(buffer)


class BetweenEpochs(Replacing):
    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.replace()


class BetweenBatches(Replacing):
    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.replace()


@pytest.mark.parametrize("callback", [BetweenEpochs, BetweenBatches])
def test_tensors_that_take_the_place_of_others_are_found(
    monkeypatch: pytest.MonkeyPatch, callback: Any
) -> None:
    histories = []
    for jit in (False, True):
        calls = calls_of_graphs(monkeypatch)
        keras.utils.set_random_seed(0)
        model = mlp()
        model.compile("sgd", "mse", metrics=["mae"], jit_compile=jit)
        histories.append(
            model.fit(
                X, Y, batch_size=4, epochs=3, verbose=0, shuffle=False, callbacks=[callback()]
            ).history
        )
    assert len(calls) == (3 if callback is BetweenEpochs else 25)
    for name, values in histories[0].items():
        np.testing.assert_allclose(histories[1][name], values, rtol=1e-5)


def test_several_tensors_in_a_batch_keep_their_places(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = calls_of_graphs(monkeypatch)
    a, b = keras.Input((6,), name="a"), keras.Input((6,), name="b")
    model = keras.Model({"a": a, "b": b}, layers.Dense(1)(a - 2 * b))
    model.compile("sgd", "mse", jit_compile=True)
    data = {"b": X[::-1].copy(), "a": X}
    outputs = model.predict(data, batch_size=6)
    assert len(calls) == 1
    with torch.no_grad():
        expected = model({name: torch.from_numpy(x) for name, x in data.items()})
    np.testing.assert_allclose(outputs, expected.numpy(), rtol=1e-5, atol=1e-6)
