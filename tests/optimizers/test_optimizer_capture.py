"""One graph: torch.compile(fullgraph=True) equals eager, and the meta device takes every step."""

import pytest
import torch

from kerastorch import optimizers
from kerastorch._variable import wrap

SHAPES = [(3, 4), (4,), (4, 2)]
CASES = [
    *(("SGD", {"momentum": 0.9}), ("RMSprop", {}), ("Adam", {})),
    *((name, {}) for name in ("Adagrad", "Adadelta", "Adamax", "Nadam", "Lamb", "Lion")),
    *((name, {}) for name in ("ScheduleFreeAdamW", "Adafactor", "Ftrl", "Muon")),
    ("RMSprop", {"momentum": 0.5, "centered": True, "clipnorm": 0.5}),
    ("AdamW", {"amsgrad": True, "use_ema": True, "ema_overwrite_frequency": 3, "clipvalue": 0.3}),
    ("SGD", {"learning_rate": optimizers.schedules.CosineDecay(0.1, 8), "global_clipnorm": 0.5}),
    ("SGD", {"gradient_accumulation_steps": 3, "momentum": 0.9, "nesterov": True}),
    ("LossScaleOptimizer", {}),
]
ON_META = [*CASES, ("SGD", {}), ("LossScaleOptimizer", {"gradient_accumulation_steps": 2})]


def make(name, options):
    if name != "LossScaleOptimizer":
        return getattr(optimizers, name)(**options)
    inner = optimizers.Adam(0.01, **options)
    return optimizers.LossScaleOptimizer(inner, initial_scale=4.0, dynamic_growth_steps=3)


def built(name, options, device="cpu"):
    generator = torch.Generator().manual_seed(0)
    params = [wrap(torch.randn(s, generator=generator).to(device), True) for s in SHAPES]
    optimizer = make(name, options)
    optimizer.build(params)
    return optimizer, params


@pytest.fixture(autouse=True)
def _fresh_compiler():
    torch._dynamo.reset()


@pytest.mark.parametrize(("name", "options"), CASES)
def test_compiled_equals_eager(name, options):
    (eager, expected), (captured, params) = built(name, options), built(name, options)
    # The graph is what is tested; three rules go further, through AOTAutograd.
    further = (name, options) in CASES[:3]
    backend = "aot_eager" if further else "eager"
    step = torch.compile(captured.apply, fullgraph=True, backend=backend)
    for i in range(10):
        grads = [torch.randn(s) for s in SHAPES]
        if name == "LossScaleOptimizer" and i == 4:
            grads[1][0] = torch.inf
        eager.apply(grads)
        step(grads)
    assert int(captured.iterations) == int(eager.iterations)
    assert captured.pending == eager.pending
    for a, b in zip((*params, *captured.variables), (*expected, *eager.variables), strict=True):
        torch.testing.assert_close(a.detach(), b.detach(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "options"), ON_META)
def test_meta_device(name, options):
    optimizer, params = built(name, options, "meta")
    for _ in range(3):
        optimizer.apply([torch.empty(s, device="meta") for s in SHAPES], params)
        optimizer.apply([torch.empty(SHAPES[0], device="meta"), None, None], params)
    optimizer.flush()
    optimizer.finalize_variable_values(params)
    assert all(v.is_meta for v in optimizer.variables if v.ndim)
    assert optimizer.iterations.is_meta
    assert optimizer.get_config() == make(name, options).get_config()


def test_a_changed_rate_needs_no_new_graph():
    optimizer, params = built("RMSprop", {})
    graphs = []

    def backend(module, _):
        graphs.append(module)
        return module.forward

    step = torch.compile(optimizer.apply, fullgraph=True, backend=backend)
    grads = [torch.ones(s) for s in SHAPES]
    step(grads)
    fingerprint = optimizer.fingerprint()
    optimizer.learning_rate = 0.0
    before = params[0].detach().clone()
    step(grads)
    assert torch.equal(before, params[0])
    assert len(graphs) == 1
    assert optimizer.fingerprint() == fingerprint
    optimizer.rho = 0.5
    assert optimizer.fingerprint() != fingerprint


def test_the_device_part_alone():
    eager, expected = built("SGD", {"gradient_accumulation_steps": 3})
    captured, params = built("SGD", {"gradient_accumulation_steps": 3})
    part = torch.compile(captured.micro_step, fullgraph=True, backend="eager")
    for _ in range(7):
        grads = [torch.randn(s) for s in SHAPES]
        eager.apply(grads)
        part(grads)
        captured.count_micro_step()
    eager.flush()
    captured.flush()
    assert int(captured.iterations) == 3
    torch.testing.assert_close(params, expected)


def test_missing_gradients_and_subsets_in_the_graph():
    optimizer, params = built("Adam", {})
    before = [p.detach().clone() for p in params]
    step = torch.compile(optimizer.apply, fullgraph=True, backend="eager")
    step([torch.ones(SHAPES[0]), None, None])
    step([torch.ones(SHAPES[2])], params[2:])
    changed = [not torch.equal(p, old) for p, old in zip(params, before, strict=True)]
    assert changed == [True, False, True]
