"""A layer on symbolic tensors: their shapes are the data's and Keras's, and so is the graph's result."""

import keras
import torch
from layer_table import CASES, FEW, Case, over

import kerastorch as kt


def symbols(case: Case, library, free: tuple[int, ...]) -> list:
    """Symbolic inputs with an unknown batch axis, and unknown `free` axes."""
    dtype = "int64" if case.indices else "float32"
    shapes = ([None if i in free else n for i, n in enumerate(shape)] for shape in case.shapes)
    return [library.Input(shape[1:], dtype=dtype) for shape in shapes]


def agree(symbolic, real) -> bool:
    return len(symbolic) == len(real) and all(
        m in (None, n) for m, n in zip(symbolic, real, strict=True)
    )


@over(CASES)
def test_symbolic_shape_is_that_of_data_and_of_keras(case: Case) -> None:
    layer, theirs = case.new(), case.theirs()
    real = layer(*case.packed(case.tensors()))
    for free in {(), case.free}:
        symbolic = layer(*case.packed(symbols(case, kt, free)))
        expected = theirs(*case.packed(symbols(case, keras, free)))
        assert symbolic.shape == tuple(expected.shape)
        assert agree(symbolic.shape, real.shape)
        assert symbolic.dtype == real.dtype
        assert free or None not in symbolic.shape[1:]


@over(FEW)
def test_compute_output_shape(case: Case) -> None:
    shapes = [(None, *shape[1:]) for shape in case.shapes]
    layer = case.new()
    found = layer.compute_output_shape(*case.packed(shapes))
    real = layer(*case.packed(case.tensors()))
    assert agree(found, real.shape)


@over(FEW)
def test_symbolic_call_builds_as_data_does(case: Case) -> None:
    symbolic, real = case.new(), case.new()
    symbolic(*case.packed(symbols(case, kt, ())))
    real(*case.packed(case.tensors()))
    assert symbolic.built
    assert [tuple(w.shape) for w in symbolic.weights] == [tuple(w.shape) for w in real.weights]


@over(FEW)
def test_functional_model_is_the_layer(case: Case) -> None:
    layer = case.ours()
    inputs = symbols(case, kt, case.free)
    model = kt.Model(inputs, layer(*case.packed(inputs)))
    for rows in (1, 3):  # other sizes of the batch
        data = [torch.cat([x[:1]] * rows) for x in case.tensors()]
        torch.testing.assert_close(model(data), layer(*case.packed(data)), rtol=0, atol=0)


@over([case for case in FEW if case.free])
def test_functional_model_takes_other_sizes_of_unknown_axes(case: Case) -> None:
    layer = case.ours()
    inputs = symbols(case, kt, case.free)
    model = kt.Model(inputs, layer(*case.packed(inputs)))
    data = case.tensors()
    for axis in case.free:
        data = [torch.cat([x, x], axis) for x in data]
    torch.testing.assert_close(model(data), layer(*case.packed(data)), rtol=0, atol=0)
