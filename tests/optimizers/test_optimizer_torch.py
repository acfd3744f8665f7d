"""The optimizers as torch.optim optimizers: step, groups, schedulers, GradScaler, state."""

import copy
import io
import pickle
import warnings

import pytest
import torch

from kerastorch import optimizers
from kerastorch._variable import wrap

NAMES = [
    *("SGD", "Lion", "RMSprop", "Adagrad", "Adadelta", "Adam", "AdamW", "Adamax", "Nadam"),
    *("Lamb", "ScheduleFreeAdamW", "Adafactor", "Ftrl", "Muon"),
]
FULL = {"use_ema": True, "gradient_accumulation_steps": 3, "weight_decay": 0.01, "clipnorm": 1.0}


def net(seed=0, dtype=torch.float32):
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1)).to(
        dtype
    )


def backward(model, seed):
    x = torch.randn(8, 3, generator=torch.Generator().manual_seed(seed))
    loss = model(x.to(next(model.parameters()).dtype)).square().mean()
    loss.backward()
    return loss


def train(model, optimizer, steps, first=0):
    for step in range(first, first + steps):
        optimizer.zero_grad()
        backward(model, step)
        optimizer.step()
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def built(name, model, **options):
    optimizer = getattr(optimizers, name)(**options)
    optimizer.build(model.parameters())
    return optimizer


def test_before_building():
    optimizer = optimizers.Adam()
    assert isinstance(optimizer, torch.optim.Optimizer)
    assert optimizer.param_groups == []
    assert not optimizer.state
    assert not optimizer.built
    assert float(optimizer.learning_rate) == pytest.approx(0.001)
    assert int(optimizer.iterations) == 0
    optimizer.learning_rate.assign(0.5)
    optimizer.build(net().parameters())
    assert optimizer.param_groups[0]["lr"].item() == 0.5
    assert len(optimizer.state) == 4


def test_step_equals_apply_and_torch():
    ours, theirs, applied = net(), net(), net()
    optimizer, applying = built("SGD", ours, learning_rate=0.1), optimizers.SGD(0.1)
    reference = torch.optim.SGD(theirs.parameters(), lr=0.1)
    for step in range(5):
        for model in (ours, theirs, applied):
            model.zero_grad()
            backward(model, step)
        optimizer.step()
        reference.step()
        before = [p.grad.clone() for p in applied.parameters()]
        pairs = [(p.grad, p) for p in applied.parameters()]
        assert int(applying.apply_gradients(pairs)) == step + 1
        for p, g in zip(applied.parameters(), before, strict=True):
            assert torch.equal(p.grad, g)
    for a, b, c in zip(ours.parameters(), theirs.parameters(), applied.parameters(), strict=True):
        torch.testing.assert_close(a, b)
        assert torch.equal(a, c)


def test_step_with_closure_and_without_gradients():
    model = net()
    optimizer = built("Adam", model, weight_decay=0.5)
    before = train(model, optimizer, 0)
    optimizer.step()
    assert torch.equal(before, train(model, optimizer, 0))
    assert int(optimizer.iterations) == 0

    def closure():
        optimizer.zero_grad()
        return backward(model, 0)

    first, second = optimizer.step(closure), optimizer.step(closure)
    assert second < first
    model[0].requires_grad_(False)  # frozen later: no decay, no momentum
    optimizer.zero_grad()
    kept = model[0].weight.clone()
    optimizer.step(closure)
    assert torch.equal(kept, model[0].weight)


def test_step_hooks_survive_building():
    optimizer, seen = optimizers.SGD(), []
    optimizer.register_step_post_hook(lambda *_: seen.append(1))
    model = net()
    optimizer.build(model.parameters())
    train(model, optimizer, 2)
    assert seen == [1, 1]


def test_parameter_groups():
    model, alone = net(), [net(), net()]
    options = [{"lr": 0.1, "momentum": 0.5, "weight_decay": 0.1}, {"learning_rate": 0.01}]
    optimizer = optimizers.SGD(0.5, momentum=0.9)
    optimizer.build([{"params": model[0].parameters(), **options[0]}])
    optimizer.add_param_group({"params": model[2].parameters(), **options[1]})
    train(model, optimizer, 5)
    # The same two layers, each with an optimizer of its own.
    parts = [
        (optimizers.SGD(0.1, momentum=0.5, weight_decay=0.1), optimizers.SGD(0.01, momentum=0.9))
    ]
    for first, second in parts:
        first.build(alone[0][0].parameters())
        second.build(alone[0][2].parameters())
        for step in range(5):
            alone[0].zero_grad()
            backward(alone[0], step)
            first.step()
            second.step()
    for a, b in zip(model.parameters(), alone[0].parameters(), strict=True):
        assert torch.equal(a, b)
    optimizer.learning_rate = 0.25
    assert [g["lr"].item() for g in optimizer.param_groups] == [0.25, 0.25]
    optimizer.momentum = 0.0
    assert [g["momentum"] for g in optimizer.param_groups] == [0.0, 0.0]


def test_groups_with_betas_names_and_a_schedule():
    model = net()
    schedule = optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)
    optimizer = optimizers.Adam(0.01)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    named = list(model.named_parameters())
    optimizer.build([{"params": named, "betas": (0.5, 0.6), "lr": schedule, "weight_decay": 1.0}])
    assert optimizer.param_groups[0]["param_names"] == [name for name, _ in named]
    before = [p.detach().clone() for _, p in named]
    optimizer.apply([torch.zeros_like(p) for _, p in named])
    for (name, p), old in zip(named, before, strict=True):
        torch.testing.assert_close(p.detach(), old if "bias" in name else 0.9 * old)
    optimizer.apply([torch.zeros_like(p) for _, p in named])
    assert optimizer.param_groups[0]["lr"].item() == pytest.approx(0.05)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_dtypes(name, dtype):
    w = torch.nn.Parameter(torch.tensor([[1.0, -2.0], [3.0, 0.5]], dtype=dtype))
    b = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = getattr(optimizers, name)(0.1, global_clipnorm=1.0, use_ema=True)
    before = w.detach().clone()
    for _ in range(3):
        optimizer.apply([torch.ones(2, 2), torch.ones(2)], [w, b])  # float32 gradients
    assert w.dtype == dtype
    assert w.isfinite().all()
    assert not torch.equal(w, before) or name == "Adadelta"
    assert all(t.dtype == dtype for t in optimizer.state[w].values())


SCHEDULERS = [
    lambda o: torch.optim.lr_scheduler.StepLR(o, 2, gamma=0.5),
    lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=6),
    lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda epoch: 1 / (1 + epoch)),
    lambda o: torch.optim.lr_scheduler.OneCycleLR(o, max_lr=0.3, total_steps=10),
    lambda o: torch.optim.lr_scheduler.CyclicLR(o, 0.01, 0.1, step_size_up=3),
    lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.7),
    lambda o: torch.optim.lr_scheduler.SequentialLR(
        o,
        [
            torch.optim.lr_scheduler.LinearLR(o, 0.1, total_iters=3),
            torch.optim.lr_scheduler.ConstantLR(o, 0.5),
        ],
        [3],
    ),
]


@pytest.mark.parametrize("make", SCHEDULERS)
def test_torch_schedulers(make):
    ours, theirs = net(), net()
    pair = [
        built("SGD", ours, learning_rate=0.1, momentum=0.9),
        torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=0.9),
    ]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Detected call of")
        schedulers = [make(optimizer) for optimizer in pair]
        for step in range(8):
            rates = [float(o.param_groups[0]["lr"]) for o in pair]
            assert rates[0] == pytest.approx(rates[1], rel=1e-5, abs=1e-9)
            assert float(pair[0].learning_rate) == pytest.approx(rates[0])
            for model, optimizer, scheduler in zip((ours, theirs), pair, schedulers, strict=True):
                train(model, optimizer, 1, step)
                scheduler.step()
    momenta = [o.param_groups[0]["momentum"] for o in pair]
    assert momenta[0] == pytest.approx(momenta[1])


def test_schedulers_cycle_the_first_beta_and_late_momentum():
    model = net()
    adam = built("Adam", model)
    torch.optim.lr_scheduler.OneCycleLR(adam, max_lr=0.1, total_steps=10)
    assert adam.param_groups[0]["betas"][0] == pytest.approx(0.95)
    train(model, adam, 1)
    sgd = built("SGD", model, learning_rate=0.1)  # no momentum so far: the slot comes when needed
    torch.optim.lr_scheduler.OneCycleLR(sgd, max_lr=0.1, total_steps=10)
    train(model, sgd, 2)
    assert all("momentum" in state for state in sgd.state.values())


def test_plateau_and_a_rate_written_into_the_group():
    model = net()
    optimizer = built("SGD", model, learning_rate=0.1)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=0)
    for _ in range(3):
        plateau.step(1.0)
    assert float(optimizer.learning_rate) == pytest.approx(0.025)
    for value in (0.5, torch.tensor(0.5)):
        optimizer.param_groups[0]["lr"] = value
        before = train(model, optimizer, 0)
        optimizer.zero_grad()
        backward(model, 0)
        expected = before - 0.5 * torch.cat([p.grad.flatten() for p in model.parameters()])
        optimizer.step()
        torch.testing.assert_close(train(model, optimizer, 0), expected)
        assert float(optimizer.learning_rate) == 0.5
    optimizer.learning_rate = 0.1
    assert float(optimizer.learning_rate) == pytest.approx(0.1)


def test_grad_scaler():
    model, plain = net(), net()
    optimizer, reference = built("Adam", model), built("Adam", plain)
    scaler = torch.amp.GradScaler("cpu", init_scale=64.0)
    for step in range(4):
        optimizer.zero_grad()
        x = torch.full((8, 3), 1.0 + step) if step != 2 else torch.full((8, 3), float("inf"))
        loss = model(x).square().mean()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        if step != 2:
            reference.zero_grad()
            plain(x).square().mean().backward()
            reference.step()
    assert int(optimizer.iterations) == 3
    assert scaler.get_scale() == 32.0
    for a, b in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("name", NAMES)
def test_state_dict_continues_exactly(name):
    model, other = net(), net(1)
    optimizer = built(name, model, **FULL)
    train(model, optimizer, 7)  # two updates and a gradient pending
    optimizer.learning_rate = 0.005
    file = io.BytesIO()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)

    resumed = built(name, other, **FULL)
    other.load_state_dict(saved["model"])
    resumed.load_state_dict(saved["optimizer"])
    assert int(resumed.iterations) == 2
    assert resumed.pending == 1
    assert float(resumed.learning_rate) == pytest.approx(0.005)
    assert torch.equal(train(model, optimizer, 7, 7), train(other, resumed, 7, 7))
    for a, b in zip(optimizer.variables, resumed.variables, strict=True):
        assert torch.equal(a, b)


def test_loading_keeps_every_tensor_in_place():
    model = net()
    optimizer = built("Nadam", model, **FULL)
    state = copy.deepcopy(optimizer.state_dict())
    before = [
        id(t) for s in (*optimizer.state.values(), *optimizer.param_groups) for t in s.values()
    ]
    train(model, optimizer, 4)
    optimizer.load_state_dict(state)
    after = [
        id(t) for s in (*optimizer.state.values(), *optimizer.param_groups) for t in s.values()
    ]
    kept = [a == b for a, b in zip(before, after, strict=True)]
    values = [t for s in (*optimizer.state.values(), *optimizer.param_groups) for t in s.values()]
    assert all(k for k, t in zip(kept, values, strict=True) if isinstance(t, torch.Tensor))
    assert int(optimizer.iterations) == 0


def test_loading_another_kind_of_state_is_refused():
    first, second = built("SGD", net(), momentum=0.9), built("Adam", net())
    with pytest.raises(ValueError, match=r"no \['velocity'\].*other options"):
        second.load_state_dict(first.state_dict())
    with pytest.raises(ValueError, match="different number of parameter groups"):
        optimizers.SGD().load_state_dict(first.state_dict())


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
@pytest.mark.parametrize(
    "make",
    [
        lambda: optimizers.Adam(optimizers.schedules.ExponentialDecay(0.1, 3, 0.5), **FULL),
        lambda: optimizers.LossScaleOptimizer(optimizers.Adam(), initial_scale=4.0),
    ],
)
def test_copies_are_independent_and_continue(duplicate, make):
    model, optimizer = net(), make()
    optimizer.exclude_from_weight_decay(var_list=[model[0].weight])
    optimizer.build(model.parameters())
    torch.optim.lr_scheduler.StepLR(optimizer, 1)  # it puts a wrapper at optimizer.step
    train(model, optimizer, 4)
    other_model, other = duplicate((model, optimizer))
    expected = train(model, optimizer, 4, 4)
    assert not torch.equal(expected, train(other_model, other, 0))
    assert torch.equal(expected, train(other_model, other, 4, 4))
    assert other.get_config() == optimizer.get_config()
    assert int(other.iterations) == int(optimizer.iterations)


def test_variables_share_memory_and_round_trip():
    model, other = net(), net()
    optimizer, second = built("Adam", model), built("Adam", other)
    train(model, optimizer, 3)
    store = {}
    optimizer.save_own_variables(store)
    second.load_own_variables(store)
    second.variables[0].assign_add(1)
    assert int(second.iterations) == 4
    assert second.variables[2].path.endswith("momentum")
    with pytest.raises(ValueError, match=r"expected arrays of shapes \[\(\), \(\), \(5, 3\)"):
        second.set_weights([torch.zeros(())])


def test_distributed_checkpoint_functions():
    from torch.distributed.checkpoint.state_dict import (
        get_optimizer_state_dict,
        set_optimizer_state_dict,
    )

    model, other = net(), net()
    optimizer, resumed = built("Adam", model), built("Adam", other)
    train(model, optimizer, 3)
    other.load_state_dict(model.state_dict())
    set_optimizer_state_dict(other, resumed, get_optimizer_state_dict(model, optimizer))
    assert int(resumed.iterations) == 3
    assert torch.equal(train(model, optimizer, 3), train(other, resumed, 3))


class KerasStyleMomentum(optimizers.Optimizer):
    """Written as the Keras documentation does."""

    def __init__(self, learning_rate=0.01, momentum=0.9, name="style", **kwargs):
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        self.momentum = momentum

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self.momentums = self.add_optimizer_variables(variables, "momentum")
        self.count = self.add_variable((), initializer="ones", dtype="float32", name="count")

    def update_step(self, gradient, variable, learning_rate):
        m = self.momentums[self._get_variable_index(variable)]
        self.assign(m, self.momentum * m - learning_rate * gradient)
        self.assign_add(variable, m)
        self.assign_add(self.count, 1)


def test_an_optimizer_written_for_keras():
    ours, reference = net(), net()
    optimizer, sgd = (
        KerasStyleMomentum(0.1),
        built("SGD", reference, learning_rate=0.1, momentum=0.9),
    )
    optimizer.build(list(ours.parameters()))
    expected = train(reference, sgd, 3)
    torch.testing.assert_close(train(ours, optimizer, 3), expected)
    assert float(optimizer.count) == 13
    assert [v.shape for v in optimizer.variables[2:]] == [
        *(p.shape for p in ours.parameters()),
        (),
    ]
    again = KerasStyleMomentum.from_config(optimizer.get_config())
    assert again.momentum == 0.9
    other = net()
    again.build(list(other.parameters()))
    again.load_state_dict(optimizer.state_dict())
    assert float(again.count) == 13
    assert torch.equal(again.momentums[0], optimizer.momentums[0])


def test_keras_variables_and_torch_parameters_alike():
    variable, parameter = wrap(torch.ones(2), True), torch.nn.Parameter(torch.ones(2))
    optimizer = optimizers.Adam(0.1)
    optimizer.apply([torch.ones(2)] * 2, [variable, parameter])
    assert torch.equal(variable, parameter)


@pytest.mark.parametrize("options", [{}, {"gradient_accumulation_steps": 2}])
def test_sparse_gradients(options):
    table = torch.nn.Embedding(5, 2, sparse=True)
    optimizer, before = optimizers.Adam(0.1, **options), table.weight.detach().clone()
    optimizer.build(table.parameters())
    for _ in range(2):
        optimizer.zero_grad()
        table(torch.tensor([1, 1, 3])).sum().backward()
        optimizer.step()
    moved = (table.weight != before).all(dim=1)
    assert moved.tolist() == [False, True, False, True, False]
