"""Variables: torch parameters and buffers with Keras's face."""

import copy
import io
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import kerastorch as keras
from kerastorch import layers


def matrix(**attributes: Any) -> keras.Variable:
    return keras.Variable(np.arange(6.0).reshape(2, 3), name="v", **attributes)


# -- making ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("initializer", "arguments", "dtype", "trainable"),
    [
        (3, {}, torch.int64, False),
        (3.0, {}, torch.float32, True),
        ([1.0, 2.0], {}, torch.float32, True),
        ([True, False], {}, torch.bool, False),
        (np.ones(2), {}, torch.float32, True),
        (np.ones(2), {"dtype": "float64"}, torch.float64, True),
        (np.ones(2, "float16"), {}, torch.float16, True),
        (np.arange(2), {"dtype": "float32"}, torch.float32, True),
        (torch.ones(2, dtype=torch.float64), {}, torch.float64, True),
        (torch.ones(2), {"dtype": torch.bfloat16, "trainable": False}, torch.bfloat16, False),
        (keras.initializers.Zeros(), {"shape": (2, 2)}, torch.float32, True),
        (
            lambda shape, dtype: torch.ones(shape, dtype=dtype),
            {"shape": (2,), "dtype": "int32"},
            torch.int32,
            False,
        ),
    ],
)
def test_initial_values(initializer, arguments, dtype, trainable) -> None:
    variable = keras.Variable(initializer, **arguments)
    assert variable.dtype is dtype
    assert variable.trainable is trainable
    assert isinstance(variable, keras.Variable)
    assert isinstance(variable, torch.Tensor)
    assert isinstance(variable, nn.Parameter) is trainable
    assert isinstance(variable, nn.Buffer) is not trainable
    assert variable.value is variable


def test_the_initial_value_is_copied() -> None:
    for source in (np.ones(2, "float32"), torch.ones(2)):
        variable = keras.Variable(source)
        source[0] = 5
        assert variable.tolist() == [1.0, 1.0]


def test_mistakes_in_making() -> None:
    with pytest.raises(ValueError, match="`shape` is required"):
        keras.Variable(keras.initializers.Zeros())
    with pytest.raises(ValueError, match=r"`shape` is \(2,\).*has \(3,\)"):
        keras.Variable(np.ones(3), shape=(2,))
    with pytest.raises(ValueError, match="'v' is a buffer"):
        keras.Variable(3, name="v").trainable = True


# -- assigning -------------------------------------------------------------------------------------


def test_assignment_is_in_place() -> None:
    variable = matrix()
    address = variable.data_ptr()
    assert variable.assign(np.ones((2, 3))) is variable
    assert variable.assign_add(torch.full((2, 3), 2.0)) is variable
    assert variable.assign_sub([[1.0, 1.0, 1.0]] * 2) is variable
    assert variable.tolist() == [[2.0] * 3] * 2
    variable.assign_add(1.0)
    variable.assign_sub([1.0, 2.0, 3.0])
    assert variable.tolist() == [[2.0, 1.0, 0.0]] * 2
    variable.assign(keras.Variable(np.zeros((2, 3)), dtype="float16"))
    assert variable.dtype is torch.float32
    assert variable.data_ptr() == address
    assert variable.requires_grad
    assert keras.Variable(3).assign(4.7).item() == 4


def test_assignment_checks_shapes_before_it_writes() -> None:
    variable = matrix()
    before = variable.tolist()
    for value in (np.zeros(3), 0.0, torch.zeros(3, 2)):
        with pytest.raises(ValueError, match=r"'v' has shape \(2, 3\)"):
            variable.assign(value)
    with pytest.raises(RuntimeError):
        variable.assign_add(np.zeros((4, 2, 3)))
    assert variable.tolist() == before


def test_assignment_within_a_compiled_function() -> None:
    count = keras.Variable(0, name="count")

    @torch.compile(fullgraph=True, backend="eager")
    def step(x: torch.Tensor) -> torch.Tensor:
        count.assign_add(torch.ones_like(count))
        return x * 2

    for _ in range(3):
        step(torch.ones(2))
    assert count.item() == 3


# -- reading ---------------------------------------------------------------------------------------


def test_operations_give_plain_tensors() -> None:
    v, w = matrix(), np.float32(2)
    results = [
        v + 1, 1 + v, v * v, v @ v.T, -v, v[0], v.sum(), torch.exp(v), v.T, v.reshape(-1), w * v,
        v == v, torch.cat([v, v]), torch.stack([v]), abs(v), v.detach(), v.clone(), v.data,
        v.to(torch.float64), v.double(), *v,
    ]  # fmt: skip
    assert {type(result) for result in results} == {torch.Tensor}
    (v * 2).sum().backward()
    assert type(v.grad) is torch.Tensor
    assert type(torch.autograd.grad((v * v).sum(), v)[0]) is torch.Tensor


def test_numpy() -> None:
    v = matrix()
    array = v.numpy()
    array[0, 0] = 9
    assert v[0, 0] == 9  # the memory is shared
    assert np.asarray(v).dtype == np.float32
    assert np.array(v, dtype="float64").dtype == np.float64
    copied = np.array(v)
    copied[0, 0] = 0
    assert v[0, 0] == 9
    assert keras.Variable([1.5], dtype="bfloat16").numpy().dtype == np.float32


def test_scalars_convert() -> None:
    rate = keras.Variable(0.25, name="rate")
    assert float(rate) == 0.25
    assert f"{rate:.1f}" == "0.2"
    assert int(keras.Variable(3)) == 3
    assert f"{keras.Variable(3):03d}" == "003"


def test_repr_says_what_matters() -> None:
    assert repr(keras.Variable(3.5, name="v")) == (
        "<Variable path=v, shape=(), dtype=float32, trainable, value=3.5>"
    )
    assert repr(keras.Variable(np.ones(1000, int))) == (
        "<Variable path=variable, shape=(1000,), dtype=int64, non-trainable, device=cpu>"
    )
    dense = layers.Dense(2, name="d")
    dense.build((None, 3))
    assert repr(dense.to("meta").kernel) == (
        "<Variable path=d/kernel, shape=(3, 2), dtype=float32, trainable, device=meta>"
    )


# -- staying what it is ------------------------------------------------------------------------------


def _saved(variable: Any) -> Any:
    buffer = io.BytesIO()
    torch.save(variable, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=False)


COPIERS = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda v: pickle.loads(pickle.dumps(v)),
    "torch.save": _saved,
}


@pytest.mark.parametrize("how", COPIERS)
@pytest.mark.parametrize("trainable", [True, False])
def test_copies(how: str, trainable: bool) -> None:
    original = matrix(trainable=trainable, constraint="c")
    original.path = "layer/v"
    twin = COPIERS[how](original)
    assert type(twin) is type(original)
    assert torch.equal(twin, original)
    assert (twin.name, twin.path, twin.constraint) == ("v", "layer/v", "c")
    assert twin.requires_grad is trainable
    twin.assign_add(1.0)
    assert not torch.equal(twin, original)


def test_copies_within_one_structure_stay_one() -> None:
    v = matrix()
    a, b = copy.deepcopy([v, v])
    assert a is b


def kernel_of(layer: Any, shape: tuple[int | None, ...]) -> Any:
    layer.build(shape)
    return layer.kernel


STRIDED = {
    "Dense": (lambda: layers.Dense(3), (None, 4), (3, 1)),
    "Conv2D": (lambda: layers.Conv2D(4, 3), (None, 8, 8, 2), (6, 2, 1, 18)),
}


@pytest.mark.parametrize("name", STRIDED)
def test_memory_order_survives(name: str) -> None:
    """Kernels have Keras's shape, those of convolutions the memory order that torch's want."""
    make, shape, strides = STRIDED[name]
    layer = make()
    kernel = kernel_of(layer, shape)
    assert kernel.stride() == strides
    for convert in (torch.nn.Module.double, torch.nn.Module.half, torch.nn.Module.float):
        convert(layer)
        assert layer.kernel is kernel
        assert kernel.stride() == strides
    assert copy.deepcopy(layer).kernel.stride() == strides
    assert pickle.loads(pickle.dumps(layer)).kernel.stride() == strides
    layer.load_state_dict({k: v.clone() for k, v in layer.state_dict().items()})
    assert layer.kernel.stride() == strides
    meta = copy.deepcopy(layer).to("meta").kernel
    assert (meta.stride(), meta.name, meta.is_meta) == (strides, "kernel", True)
    assert isinstance(meta, keras.Variable)
    assert isinstance(meta, nn.Parameter)


def test_optimizer_slots_have_the_memory_order_of_the_weights() -> None:
    model = keras.Sequential([keras.Input((4, 2)), layers.Conv1D(3, 2)])
    model.compile("adam", "mse")
    model.fit(torch.ones(4, 4, 2), torch.ones(4, 3, 3), verbose=0)
    slots = [v for v in model.optimizer.variables if tuple(v.shape) == (2, 2, 3)]
    assert len(slots) == 2
    assert {slot.stride() for slot in slots} == {model.layers[0].kernel.stride()}


def test_as_parameter_or_buffer_of_any_module() -> None:
    module = nn.Module()
    module.weight, module.count = matrix(), keras.Variable(3)
    module.register_buffer("other", keras.Variable(4))
    assert [name for name, _ in module.named_parameters()] == ["weight"]
    assert list(module.state_dict()) == ["weight", "count", "other"]
    module.load_state_dict(module.state_dict())
    assert type(module.weight) is type(matrix())


def test_trainable_is_requires_grad() -> None:
    v = matrix()
    v.trainable = False
    assert not v.requires_grad
    v.requires_grad_(True)
    assert v.trainable
