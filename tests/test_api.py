"""The public names are Keras's, take what Keras's take, and importing them is cheap.

Each table below holds what differs, with the reason; what is in no table must agree.
"""

import inspect
import operator
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import keras as oracle
import pytest

import kerastorch as keras

SPACES = [
    "", "layers", "losses", "metrics", "optimizers", "optimizers.schedules", "activations",
    "initializers", "regularizers", "constraints", "callbacks", "models", "config", "tree", "random",
    "utils", "saving", "dtype_policies",
]  # fmt: skip

#: Names that Keras does not have at that place.
ADDED = {
    "Functional": "Keras has the class, but not under a public name",
    "models.Functional": "Keras has the class, but not under a public name",
    "losses.check_targets": "used by the training loop",
    "metrics.resolve_accuracy": "used by the training loop",
    "optimizers.schedules.get": "as in every other family",
    "callbacks.MonitorCallback": "Keras has the class, but not under a public name",
    "config.standardize_dtype": "Keras has it as backend.standardize_dtype",
    "config.standardize_data_format": "used by layers of images",
    "tree.flatten_with_spec": "torch's pytree hands out a spec",
    "tree.unflatten": "the inverse of flatten_with_spec",
    "tree.TreeSpec": "the type of a spec",
    "dtype_policies.dtype_policy": "Keras has it in config, which is below policies here",
    "dtype_policies.set_dtype_policy": "Keras has it in config, which is below policies here",
}

#: Parameters of Keras's that are not taken.
NOT_TAKEN = {
    "lora_rank": "no LoRA inside layers",
    "lora_alpha": "no LoRA inside layers",
    "quantization_config": "no quantization inside layers",
    "gptq_unpacked_column_size": "no quantization inside layers",
    "ragged": "no ragged tensors",
    "layout": "no layouts of keras.distribution; DTensor places weights",
    "renorm": "no batch renormalization",
    "renorm_clipping": "no batch renormalization",
    "renorm_momentum": "no batch renormalization",
    "check_types": "structures of torch's pytree have types",
    "none_is_leaf": "None is a leaf",
}

INTERNAL = {"KerasTensor": "made by Input and by calls, not by hand"}

#: Parameters that Keras takes by position, and that are keywords here.
KEYWORDS = {"optimizers.Muon": "the arguments that all optimizers take come last"}

DEFAULTS = {
    ("utils.Progbar", "width"): "the bar of the guide",
    ("utils.Progbar", "interval"): "the screen is written to less often",
    ("utils.plot_model", "show_layer_names"): "the picture of the guide",
    ("dtype_policies.DTypePolicy", "name"): "a policy without a name means nothing",
    ("DTypePolicy", "name"): "a policy without a name means nothing",
}


def space(root: Any, name: str) -> Any:
    return operator.attrgetter(name)(root) if name else root


def public(name: str) -> Iterator[tuple[str, Any]]:
    """Own public objects of a package: full name and object."""
    for key, thing in sorted(vars(space(keras, name)).items()):
        ours = getattr(thing, "__module__", "kerastorch").startswith("kerastorch")
        if key[0] != "_" and callable(thing) and not inspect.ismodule(thing) and ours:
            yield f"{name}.{key}".lstrip("."), thing


NAMES = [pair for name in SPACES for pair in public(name)]
COMMON = [pair for pair in NAMES if pair[0] not in ADDED]
by_name = pytest.mark.parametrize(("name", "ours"), COMMON, ids=[name for name, _ in COMMON])


def signature(thing: Any) -> dict[str, inspect.Parameter]:
    """Named parameters of a call, without self and without * and **."""
    target = thing
    if inspect.isclass(thing):
        target = thing.__new__ if thing is keras.Variable else thing.__init__
    return {
        key: p
        for key, p in inspect.signature(target).parameters.items()
        if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) and key not in ("self", "cls")
    }


def accepted(thing: Any) -> set[str]:
    """Every name that is taken: with ``**kwargs`` also what the bases take."""
    names = set(signature(thing))
    for base in thing.__mro__ if inspect.isclass(thing) else ():
        if "__init__" in vars(base):
            names |= set(signature(base))
            kinds = [p.kind for p in inspect.signature(base.__init__).parameters.values()]
            if inspect.Parameter.VAR_KEYWORD not in kinds:
                break
    return names


@by_name
def test_names_are_keras_s(name: str, ours: Any) -> None:
    theirs = space(oracle, name)
    if name.rpartition(".")[2] != "custom_object_scope":  # a class there, a context manager here
        assert inspect.isclass(ours) == inspect.isclass(theirs) or "ObjectScope" in name


@by_name
def test_signatures_take_what_keras_s_take(name: str, ours: Any) -> None:
    if name in INTERNAL:
        return
    try:
        theirs = [key for key in signature(space(oracle, name)) if key not in NOT_TAKEN]
    except ValueError:
        pytest.skip("an enumeration or builtin without a signature")
    assert set(theirs) <= accepted(ours)
    mine = [key for key in signature(ours) if key not in NOT_TAKEN]
    shared = [key for key in theirs if key in mine]
    assert mine[: len(shared)] == shared, "extra parameters come last"
    if name not in KEYWORDS:
        assert theirs[: len(shared)] == shared, "what is left to **kwargs comes last"


@by_name
def test_defaults_are_keras_s(name: str, ours: Any) -> None:
    try:
        theirs = signature(space(oracle, name))
    except ValueError:
        pytest.skip("an enumeration or builtin without a signature")
    for key, parameter in signature(ours).items():
        if key in theirs and (name, key) not in DEFAULTS:
            default, expected = parameter.default, theirs[key].default
            if isinstance(expected, tuple) and not isinstance(default, tuple):
                expected = expected[0] if len(set(expected)) == 1 else expected
            assert default == expected or default is expected, key


@pytest.mark.parametrize(("name", "ours"), NAMES, ids=[name for name, _ in NAMES])
def test_docstrings(name: str, ours: Any) -> None:
    text = inspect.getdoc(ours)
    assert text, name
    assert text[0].isupper() or text[0] in "`'\"(0123456789", text.splitlines()[0]


def test_tables_hold_nothing_that_agrees() -> None:
    names = {name for name, _ in NAMES} | {"tree.TreeSpec"}
    assert set(ADDED) <= names
    for name in ADDED:
        with pytest.raises(AttributeError):
            space(oracle, name)
    for name, key in DEFAULTS:
        ours, theirs = signature(space(keras, name))[key], signature(space(oracle, name))[key]
        assert ours.default != theirs.default, (name, key)


HEAVY = {
    "tensorboard", "rich", "pandas", "h5py", "sympy", "keras", "tensorflow", "jax", "matplotlib",
    "torchvision", "scipy", "sklearn", "PIL", "IPython", "torch._dynamo", "torch._inductor",
    "torch.utils.tensorboard",
}  # fmt: skip


def test_import_is_light() -> None:
    code = (
        "import sys, torch, numpy; before = set(sys.modules); import kerastorch\n"
        "print(' '.join(set(sys.modules) - before))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    loaded = set(result.stdout.split())
    assert not loaded & HEAVY
    assert "kerastorch.layers" in loaded


def test_versions() -> None:
    assert keras.version == keras.__version__
