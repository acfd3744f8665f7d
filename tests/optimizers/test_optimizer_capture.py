"""One graph: torch.compile(fullgraph=True) equals eager, and the meta device takes every step."""

import pytest
import torch

from kerastorch import optimizers
from kerastorch._variable import wrap

SHAPES = [(3, 4), (4,), (4, 2)]
CASES = [
    *(("SGD", {}), ("SGD", {"momentum": 0.9}), ("SGD", {"momentum": 0.9, "nesterov": True})),
    *(("RMSprop", {}), ("RMSprop", {"momentum": 0.5, "centered": True})),
    *(("Adam", {}), ("Adam", {"amsgrad": True, "clipnorm": 0.5})),
    ("Adam", {"use_ema": True, "ema_overwrite_frequency": 3, "weight_decay": 0.1}),
    ("Adam", {"gradient_accumulation_steps": 3, "global_clipnorm": 0.5}),
    ("SGD", {"learning_rate": optimizers.schedules.CosineDecay(0.1, 8), "clipvalue": 0.3}),
    *((name, {}) for name in ("AdamW", "Adagrad", "Adadelta", "Adamax", "Nadam", "Lamb", "Lion")),
    *((name, {}) for name in ("ScheduleFreeAdamW", "Adafactor", "Ftrl", "Muon")),
    ("LossScaleOptimizer", {}),
    ("LossScaleOptimizer", {"gradient_accumulation_steps": 2}),
]


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
    step = torch.compile(captured.apply, fullgraph=True, backend="aot_eager")
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


@pytest.mark.parametrize(("name", "options"), CASES)
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
    part = torch.compile(captured.micro_step, fullgraph=True, backend="aot_eager")
    for _ in range(7):
        grads = [torch.randn(s) for s in SHAPES]
        eager.apply(grads)
        part(grads)
        captured.count_micro_step()
    eager.flush()
    captured.flush()
    assert int(captured.iterations) == 3
    torch.testing.assert_close(params, expected)
