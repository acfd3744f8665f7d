"""Files that were made to do harm, or are damaged: refused, and nothing has happened.

One test per published advisory about loading Keras or PyTorch files, with a payload that would only
write a marker file. (Those about downloads and archives of data sets belong to `get_file`.)
"""

from __future__ import annotations

import ast
import base64
import io
import json
import marshal
import os
import pickle
import subprocess
import sys
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

import kerastorch as kt

# -- what happens while a file is loaded ---------------------------------------------------------------

_watching: list[list[str]] = []
_FORBIDDEN = ("socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork", "exec",
              "marshal.", "pickle.find_class", "urllib.", "shutil.", "ctypes.dlopen", "import")  # fmt: skip


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if not _watching:
        return
    if event == "open" and isinstance(args[0], (str, bytes)):
        _watching[-1].append(f"open {args[0]!r}")
    elif event.startswith(_FORBIDDEN):
        what = str(args[0] if args else "")
        if "<eval_with_key>" not in what:  # torch.fx: the code of a graph
            _watching[-1].append(f"{event} {what}")


sys.addaudithook(_hook)


class Refused:
    """Within the block: a `ValueError` that says `match`, and no import, call, file or network
    besides the file itself; the marker is not written."""

    def __init__(self, path: Path, match: str = "") -> None:
        self.path, self.match = path, match

    def __enter__(self) -> None:
        _watching.append([])

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        seen = [event for event in _watching.pop() if repr(str(self.path)) not in event]
        assert MARKER not in os.listdir(self.path.parent), "the payload ran"
        assert seen == []
        assert kind is not None, "it was loaded"
        if not issubclass(kind, ValueError):
            return False
        assert self.match in str(error), str(error)
        return True


MARKER = "marker"


def new_model() -> Any:
    model = kt.Sequential(
        [kt.Input((3,)), kt.layers.Dense(4, name="first"), kt.layers.Dense(2, name="last")]
    )
    model.compile("adam", "mse")
    return model


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A good file; it has been loaded once, so that what is imported late has been imported."""
    torch.manual_seed(1)
    path = tmp_path / "model.keras"
    model = new_model()
    model.train_on_batch(np.ones((2, 3), "float32"), np.ones((2, 2), "float32"))
    model.save(path)
    kt.models.load_model(path)
    return path


def config_of(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("config.json"))


def rewritten(path: Path, config: Any = None, **members: bytes) -> None:
    """Put another configuration, or other members, into an archive."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    if config is not None:
        content["config.json"] = (
            config if isinstance(config, bytes) else json.dumps(config).encode()
        )
    content.update(members)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)


def entry(cls: str, module: str = "keras.layers", **config: Any) -> dict[str, Any]:
    return {"module": module, "class_name": cls, "config": config, "registered_name": None}


def python_lambda(folder: Path) -> dict[str, Any]:
    """A lambda as Keras writes one: code that, when run, leaves the marker."""
    source = f"lambda *a, **k: open({str(folder / MARKER)!r}, 'w')"
    code = base64.b64encode(marshal.dumps(eval(source).__code__)).decode()
    return {"class_name": "__lambda__", "config": {"code": code, "defaults": None, "closure": None}}


def function(module: str, name: str) -> dict[str, Any]:
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


# -- code in files (1.1) -------------------------------------------------------------------------------

SLOTS: dict[str, Callable[[Any], Any]] = {
    "function": lambda f: entry("Lambda", function=f),
    "output_shape": lambda f: entry("Lambda", function="relu", output_shape=f),
    "mask": lambda f: entry("Lambda", function="relu", mask=f),
    "arguments": lambda f: entry("Lambda", function="relu", arguments={"a": f}),
    "activation": lambda f: entry("Dense", units=2, activation=f),
    "initializer": lambda f: entry("Dense", units=2, kernel_initializer=f),
    "regularizer": lambda f: entry("Dense", units=2, kernel_regularizer=f),
    "constraint": lambda f: entry("Dense", units=2, kernel_constraint=f),
    "wrapped": lambda f: entry("TimeDistributed", layer=entry("Lambda", function=f)),
    "nested": lambda f: entry(
        "Sequential", "keras", name="in", layers=[entry("Lambda", function=f)]
    ),
}


@pytest.mark.parametrize("slot", SLOTS)
@pytest.mark.parametrize("safe_mode", [True, False, None])
def test_lambda_code_is_never_run(slot: str, safe_mode: Any, path: Path) -> None:
    """CVE-2024-3660, CVE-2026-12481: in every slot, whatever `safe_mode` says."""
    config = config_of(path)
    config["config"]["layers"].insert(1, SLOTS[slot](python_lambda(path.parent)))
    rewritten(path, config)
    with Refused(path, "lambda"):
        kt.models.load_model(path, safe_mode=safe_mode)
    with Refused(path, "lambda"):
        kt.models.model_from_json(json.dumps(config))
    with Refused(path, "lambda"):
        kt.saving.deserialize_keras_object(config, safe_mode=safe_mode)
    with Refused(path, "lambda"):
        kt.Sequential.from_config(config["config"])


@pytest.mark.parametrize("slot", ["loss", "metrics", "optimizer"])
def test_lambda_code_in_compile_config(slot: str, path: Path) -> None:
    config = config_of(path)
    code = python_lambda(path.parent)
    config["compile_config"][slot] = [code] if slot == "metrics" else code
    rewritten(path, config)
    with Refused(path, "lambda"):
        kt.models.load_model(path)


FOREIGN = [
    ("os", "system"), ("posix", "system"), ("builtins", "eval"), ("builtins", "exec"),
    ("subprocess", "Popen"), ("subprocess", "run"), ("importlib", "import_module"),
    ("keras.utils", "get_file"), ("keras.src.utils.file_utils", "get_file"),  # CVE-2025-8747
    ("keras.config", "enable_unsafe_deserialization"), ("keras.saving", "load_model"),  # CVE-2025-9906
    ("keras.models", "load_model"), ("keras.backend", "set_floatx"), ("keras.utils", "set_random_seed"),
    ("hostile_module_on_the_path", "run"), ("torch", "load"), ("torch.hub", "load"),
    ("kerastorch.saving", "load_model"), ("numpy", "load"), ("pickle", "loads"),
]  # fmt: skip


@pytest.mark.parametrize(("module", "name"), FOREIGN, ids=str)
def test_nothing_is_imported_or_called_by_name(module: str, name: str, path: Path) -> None:
    """CVE-2025-1550, CVE-2025-8747, CVE-2025-9906: functions and classes of other modules."""
    (path.parent / "hostile_module_on_the_path.py").write_text(
        f"open({str(path.parent / MARKER)!r}, 'w')\ndef run(*a): pass\n"
    )
    sys.path.insert(0, str(path.parent))
    try:
        for layer in (
            entry("Lambda", function=function(module, name)),
            entry("Dense", units=2, activation=function(module, name)),
            entry("Lambda", function=name),
            entry(name, module, name="x"),
        ):
            config = config_of(path)
            config["config"]["layers"].insert(1, layer)
            rewritten(path, config)
            with Refused(path):
                try:
                    kt.models.load_model(path)
                except TypeError as error:  # Lambda's own: a name is no function
                    raise ValueError(str(error)) from error
    finally:
        sys.path.remove(str(path.parent))


REFUSED_CLASSES = {
    "CVE-2025-49655": entry("TorchModuleWrapper", module="cGlja2xl"),
    "CVE-2025-12058": entry("StringLookup", vocabulary="/etc/hostname"),
    "CVE-2026-1462": entry("TFSMLayer", filepath="/tmp/saved_model"),
    "PR 22729": {**entry("Dense", units=2), "registered_name": "other>Thing"},
    "not a layer": entry("Popen", "subprocess", args="true"),
}


@pytest.mark.parametrize("name", REFUSED_CLASSES)
def test_classes_that_reach_outside(name: str, path: Path) -> None:
    config = config_of(path)
    config["config"]["layers"].insert(1, REFUSED_CLASSES[name])
    rewritten(path, config)
    text = "are never opened" if name == "CVE-2025-12058" else "is not known"
    with Refused(path, text):
        kt.models.load_model(path)


def graph_config(*more: Any) -> dict[str, Any]:
    x = kt.Input((3,), name="x")
    config: dict[str, Any] = json.loads(kt.Model(x, kt.layers.Dense(2, name="d")(x)).to_json())
    config["config"]["layers"] += more
    return config


def node(target: str, *args: Any, kind: str = "call_function", **kwargs: Any) -> dict[str, Any]:
    config = {"name": "n", "target": target}
    calls = [{"args": list(args), "kwargs": kwargs}]
    return {"module": "torch", "class_name": kind, "config": config, "name": "n", "inbound_nodes": calls}  # fmt: skip


def operation(cls: str, space: str = "numpy", **options: Any) -> dict[str, Any]:
    call = {"args": [SYMBOL], "kwargs": {}}
    config, module = {"name": "n", **options}, f"keras.src.ops.{space}"
    return {
        "module": module, "class_name": cls, "config": config, "name": "n", "inbound_nodes": [call],
    }  # fmt: skip


@pytest.mark.parametrize("cls", ["Map", "Cond", "Switch", "Scan", "WhileLoop", "VectorizedMap"])
def test_operations_that_call_functions_are_not_read(cls: str) -> None:
    call = operation(cls, "core")
    call["inbound_nodes"][0]["args"].insert(0, function("keras.activations", "relu"))
    config = graph_config(call)
    config["config"]["output_layers"] = [["n", 0, 0]]
    with pytest.raises(ValueError, match=f"operation '{cls}' of Keras"):
        kt.models.model_from_json(json.dumps(config))


def test_unconnected_calls_are_not_made() -> None:
    """keras-dead-op-function-call: a call that no output needs changes nothing."""
    call = {**entry("Switch", "keras.src.ops.core"), "name": "n"}
    call["inbound_nodes"] = [{"args": [0, [function("keras.backend", "set_floatx")], "float64"]}]
    model = kt.models.model_from_json(json.dumps(graph_config(call)))
    assert model(torch.zeros(1, 3)).shape == (1, 2)
    assert kt.backend.floatx() == "float32"


SYMBOL = {"class_name": "__keras_tensor__", "config": {"keras_history": ["x", 0, 0]}}


@pytest.mark.parametrize(
    "call",
    [
        node("torch.load", SYMBOL), node("os.system", SYMBOL), node("torch.zeros", [10**12]),
        node("torch.from_file", "/etc/hostname"), node("torch.manual_seed", 3),
        node("__class__", SYMBOL, kind="call_method"), node("share_memory_", SYMBOL, kind="call_method"),
        node("getattr", SYMBOL, "__class__"),
        node("torch.relu", SYMBOL, **{"a=print(1), b": 1}), node("register_hook_", SYMBOL, kind="call_method"),
    ],
    ids=lambda call: call["config"]["target"],
)  # fmt: skip
def test_calls_of_a_graph(call: Any, path: Path) -> None:
    """A graph calls torch's functions of tensors on symbolic tensors, and nothing else."""
    config = graph_config(call)
    config["config"]["output_layers"] = [["n", 0, 0]]
    rewritten(path, config)
    with Refused(path, "config has a"):
        kt.models.load_model(path)


def test_names_are_data(path: Path) -> None:
    """CVE-2026-12479: a layer whose name is a path writes nothing there."""
    config = config_of(path)
    config["config"]["layers"][1]["config"]["name"] = "../../escaped"
    rewritten(path, config)
    before = sorted(os.listdir(path.parent.parent))
    kt.models.load_model(path).save(path)
    assert sorted(os.listdir(path.parent.parent)) == before
    assert os.listdir(path.parent) == [path.name]


# -- archives ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["../x", "/etc/x", "a/../../x", "a\\b", "..", "C:/x", "a//b", "a" * 300, "model.weights.h5"],
)
def test_odd_members(name: str, path: Path) -> None:
    """Names that lead outside, and a second member of one name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(name, b"x")
    with Refused(path, "model.keras"):
        kt.models.load_model(path)
    with Refused(path, "model.keras"):
        new_model().load_weights(path)


def test_no_yaml_and_no_npz(tmp_path: Path) -> None:
    """CVE-2021-37678; object arrays in .npz (PR 23026)."""
    assert not hasattr(kt.models, "model_from_yaml")
    np.savez(tmp_path / "w.npz", a=np.array([print], dtype=object))
    with Refused(tmp_path / "w.npz", "w.npz"):
        new_model().load_weights(tmp_path / "w.npz")


# -- HDF5 (CVE-2026-1669, CVE-2026-12480) --------------------------------------------------------------

WHERE = "layers/dense/vars"


def _external_group(file: Any, other: Path) -> None:
    file["layers/dense"] = h5py.ExternalLink(str(other), "/layers/dense")


def _external_data(file: Any, other: Path) -> None:
    file[f"{WHERE}/0"] = h5py.ExternalLink(str(other), f"/{WHERE}/0")


def _soft(file: Any, other: Path) -> None:
    file[f"{WHERE}/0"] = h5py.SoftLink(f"/{WHERE}/1")
    file[f"{WHERE}/1"] = np.zeros(4, "float32")


def _virtual(file: Any, other: Path) -> None:
    layout = h5py.VirtualLayout((3, 4), "float32")
    layout[:] = h5py.VirtualSource(str(other), f"/{WHERE}/0", (3, 4))
    file.create_group(WHERE).create_virtual_dataset("0", layout)


def _storage(file: Any, other: Path) -> None:
    group = file.create_group(WHERE)
    group.create_dataset("0", (3, 4), "float32", external=[(str(other), 0, 48)])


def _circle(file: Any, other: Path) -> None:
    group = file.create_group("layers/dense")
    group["vars"] = group


def _reference(file: Any, other: Path) -> None:
    file.create_group(WHERE).create_dataset("0", (2,), h5py.ref_dtype)


def _huge(file: Any, other: Path) -> None:
    group = file.create_group(WHERE)
    group.create_dataset("0", (10**6, 10**6), "f4", chunks=(1000, 1000), compression="gzip")


def _large(file: Any, other: Path) -> None:
    file.create_group(WHERE).create_dataset("0", (3 * 2**28,), "f4", chunks=(2**20,), compression="gzip")  # fmt: skip


def _large_chunk(file: Any, other: Path) -> None:
    data = file.create_group(WHERE).create_dataset(
        "0", (1,), "f4", chunks=(2**28,), maxshape=(None,), compression="gzip", compression_opts=1
    )
    data.id.write_direct_chunk((0,), b"x")


HOSTILE = [
    *(_external_group, _external_data, _soft, _virtual, _storage, _circle, _reference),
    *(_huge, _large, _large_chunk),
]


@pytest.mark.parametrize("inside", [False, True], ids=["weights", "archive"])
@pytest.mark.parametrize("make", HOSTILE, ids=lambda f: f.__name__)
def test_hdf5_reads_nothing_else(make: Any, inside: bool, path: Path) -> None:
    """Links, references, storage elsewhere, and sizes that are only declared."""
    other, weights = path.parent / "other.h5", path.parent / "x.weights.h5"
    new_model().save_weights(other)
    with h5py.File(weights, "w") as file:
        make(file, other)
    model = new_model()
    before = model.get_weights()
    if inside:
        rewritten(path, **{"model.weights.h5": weights.read_bytes()})
        with Refused(path, "model.keras"):
            kt.models.load_model(path)
    else:
        with Refused(weights, "x.weights.h5"):
            model.load_weights(weights)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


# -- torch files (1.3) ---------------------------------------------------------------------------------


class _Payload:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.folder / MARKER),)


def _torch_zip(path: Path, pickled: bytes, **records: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", pickled)
        archive.writestr("x/version", b"3\n")
        for name, data in records.items():
            archive.writestr(f"x/data/{name.strip('_')}", data)


def test_pickles_are_not_run(tmp_path: Path) -> None:
    """CVE-2025-32434, and pickle itself: no fall-back from ``weights_only``."""
    path = tmp_path / "w.pt"
    model = new_model()
    model.save_weights(path)
    model.load_weights(path)
    payload = pickle.dumps(_Payload(tmp_path), 2)
    _torch_zip(path, payload)
    with Refused(path, "w.pt"):
        model.load_weights(path)
    path.write_bytes(payload)  # as old as torch 0.4
    with Refused(path, "w.pt"):
        model.load_weights(path)
    with tarfile.open(path, "w") as archive:  # and older
        for name in ("storages", "tensors", "pickle"):
            info = tarfile.TarInfo(name)
            info.size = len(payload)
            archive.addfile(info, io.BytesIO(payload))
    with Refused(path, "w.pt"):
        model.load_weights(path)


def test_storage_is_as_long_as_it_says(tmp_path: Path) -> None:
    """CVE-2026-24747: fixed in torch 2.10, which is the lowest we take."""
    path = tmp_path / "w.pt"
    model = new_model()
    model.save_weights(path)
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, b"" if "/data/" in name else data)
    before = model.get_weights()
    with Refused(path, "w.pt"):
        model.load_weights(path)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    requirement = Path(kt.__file__).parents[1].joinpath("pyproject.toml").read_text()
    assert "torch>=2.10" in requirement


@pytest.mark.parametrize(
    "text",
    [
        'x", print("{code}"))(input_layer) #',
        "x', {code}) #",
        "x\n    {code}\n#",
        "x\\",
        'x"""; {code} #',
        "x(); {code}",
        "{code}",
        "é; {code}",
    ],
)
def test_names_in_a_file_are_no_code(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A functional model becomes Python code (torch.fx): of inputs, layers, outputs and models the file
    gives the names."""
    monkeypatch.chdir(tmp_path)
    name = text.replace("{code}", f"open('{MARKER}', 'w')")
    x = kt.Input((3,), name="first")
    inner = kt.Model(x, kt.layers.Dense(3, name="second")(x), name="third")
    y = kt.layers.Dense(2, name="fourth")(inner(x))
    path = tmp_path / "model.keras"
    kt.Model(x, {"fifth": y, "sixth": torch.relu(y)}, name="seventh").save(path)
    for old in ("first", "second", "third", "fourth", "fifth", "seventh"):
        hostile = tmp_path / f"{old}.keras"
        hostile.write_bytes(path.read_bytes())
        rewritten(
            hostile, json.loads(json.dumps(config_of(path)).replace(old, json.dumps(name)[1:-1]))
        )
        model = kt.models.load_model(hostile)
        outputs = model(torch.ones(2, 3))
        assert [tuple(t.shape) for t in outputs.values()] == [(2, 2)] * 2
        model.predict(np.ones((2, 3), "float32"))
        model.to_torch()(torch.ones(2, 3))
        model.get_config()
        repr(model)
        assert not Path(MARKER).exists(), old


def test_the_package_has_no_unsafe_loader() -> None:
    """Nothing is unpickled or evaluated; ``torch.load`` with weights alone, ``np.load`` without objects.
    The one `exec` runs what `to_torch` has written from a live model, the one `eval` what dynamo has
    written from one; `_plain.py` reads data sets with records in place of all that a pickle could call."""
    for file in Path(kt.__file__).parent.rglob("*.py"):
        for item in ast.walk(ast.parse(file.read_text())):
            if isinstance(item, ast.Import | ast.ImportFrom):
                names = {alias.name.split(".")[0] for alias in item.names}
                names.add((getattr(item, "module", None) or "").split(".")[0])
                assert not names & {"marshal", "yaml", "dill", "cloudpickle", "shelve"}, file
            if isinstance(item, ast.Call):
                called = ast.unparse(item.func)
                keywords = {k.arg: ast.unparse(k.value) for k in item.keywords}
                assert called != "__import__", file
                assert called != "eval" or file.name == "_granted.py", file
                assert called != "exec" or file.name == "_to_torch.py", file
                assert called not in ("pickle.load", "pickle.loads", "pickle.Unpickler"), file
                assert "npickl" not in called or file.parent.name == "datasets", file
                if called == "torch.load":
                    assert keywords.get("weights_only") == "True", file
                if called in ("np.load", "numpy.load"):
                    assert keywords.get("allow_pickle", "False") == "False", file


# -- memory (1.2) --------------------------------------------------------------------------------------

BOMBS = """
import json, resource, sys, zipfile, h5py, numpy as np
import kerastorch as kt
from pathlib import Path
folder = Path(sys.argv[1])
sys.path.insert(0, sys.argv[2])
import test_hostile_files as t

path, weights = folder / "model.keras", folder / "x.weights.h5"
good = path.read_bytes()
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
kt.models.load_model(path)

def layer(entry):
    config = t.config_of(path)
    config["config"]["layers"][1] = entry
    t.rewritten(path, config)

def inflated(name):
    with zipfile.ZipFile(path) as archive:
        content = {n: archive.read(n) for n in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for n, data in content.items():
            if n != name:
                archive.writestr(n, data)
        with archive.open(name, "w", force_zip64=True) as member:
            for _ in range(400):
                member.write(bytes(2**20))

def hdf5(make):
    with h5py.File(weights, "w") as file:
        make(file, None)
    t.rewritten(path, **{"model.weights.h5": weights.read_bytes()})

lookup = t.entry("Lambda", function="relu")
array = lambda dtype: {"class_name": "__numpy__", "config": {"value": 0, "dtype": dtype}}
def graph(cut, size):
    config = t.graph_config(cut)
    config["config"]["layers"][0]["config"]["batch_shape"] = [None, size]
    config["config"]["output_layers"] = [["n", 0, 0]]
    t.rewritten(path, config)

bombs = {
    "Dense": lambda: layer(t.entry("Dense", units=3 * 10**8)),
    "Embedding": lambda: layer(t.entry("Embedding", input_dim=10**9, output_dim=4)),
    "Depthwise": lambda: layer(t.entry("Dense", units=10**7, name="a")),
    "array": lambda: layer({**lookup, "config": {"function": "relu", "arguments": {"a": array("(500000000,)f4")}}}),
    "lists": lambda: t.rewritten(path, b"[" + b"[]," * (20 * 10**6) + b"[]]"),
    "deflated lists": lambda: inflated("config.json"),
    "deflated weights": lambda: inflated("model.weights.h5"),
    "huge": lambda: hdf5(t._huge), "large": lambda: hdf5(t._large), "chunk": lambda: hdf5(t._large_chunk),
    "unbind": lambda: graph(t.node("unbind", t.SYMBOL, 1, kind="call_method"), 10**8),
    "sections": lambda: graph(t.node("torch.tensor_split", t.SYMBOL, 10**8, 1), 3),
    "operation": lambda: graph(t.operation("ArraySplit", indices_or_sections=10**8, axis=1), 3),
}
for name, bomb in bombs.items():
    path.write_bytes(good)
    bomb()
    before = peak()  # what making it took
    try:
        kt.models.load_model(path)
    except ValueError as error:
        print(name, round(peak() - before), path.stat().st_size >> 20, str(error)[:90].replace("\\n", " "), sep="|")
    else:
        print(name, "LOADED")
"""


def test_memory_bombs(path: Path) -> None:
    """CVE-2026-0897, CVE-2026-12570, members that inflate, sizes in configurations: the process stays
    within 300 MB of what it had, and says what is wrong."""
    run = subprocess.run(
        [sys.executable, "-c", BOMBS, str(path.parent), str(Path(__file__).parent)],
        capture_output=True, text=True, cwd=Path(kt.__file__).parents[1],
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-2000:]
    lines = [line.split("|") for line in run.stdout.splitlines()]
    assert len(lines) == 13
    for name, megabytes, *_ in lines:
        assert int(megabytes) < 300, name


# -- damage --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [900, 200_000])
def test_deep_nesting(depth: int, path: Path) -> None:
    rewritten(path, b"[" * depth + b"]" * depth)
    with Refused(path, "config.json"):
        kt.models.load_model(path)
    deep: Any = entry("Dense", units=1)
    for _ in range(300):
        deep = entry("Sequential", "keras", layers=[deep])
    rewritten(path, deep)
    with Refused(path, "model.keras"):
        kt.models.load_model(path)


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5", ".safetensors", ".pt"])
def test_cut_short(suffix: str, tmp_path: Path) -> None:
    """At any length a file is refused by name, and the model keeps its weights."""
    path = tmp_path / f"cut{suffix}"
    model = new_model()
    save(model, path)
    before, content = model.get_weights(), path.read_bytes()
    lengths = {*range(1, 33), *range(33, len(content), max(1, len(content) // 60))}
    for length in sorted(lengths):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=path.name):
            model.load_weights(path)
        if suffix == ".keras":
            with pytest.raises(ValueError, match=path.name):
                kt.models.load_model(path)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def save(model: Any, path: Path) -> None:
    (model.save if path.suffix == ".keras" else model.save_weights)(path)


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5", ".safetensors", ".pt"])
def test_single_bits(suffix: str, tmp_path: Path) -> None:
    """One flipped bit: refused by name with the model untouched, or it did not touch the values."""
    path = tmp_path / f"bits{suffix}"
    model = new_model()
    model.set_weights([np.full(w.shape, 0.5, "float32") for w in model.get_weights()])
    save(model, path)
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    other = new_model()
    before, right = other.get_weights(), model.get_weights()
    refused = 0
    for place in rng.integers(0, len(content) * 8, 150):
        damaged = bytearray(content)
        damaged[place // 8] ^= 1 << (place % 8)
        path.write_bytes(bytes(damaged))
        said, expected = "", right
        try:
            other.load_weights(path)
        except ValueError as error:
            said, expected = str(error), before
        if said:
            assert path.name in said
            refused += 1
        for value, wanted in zip(other.get_weights(), expected, strict=True):
            np.testing.assert_array_equal(value, wanted)
        other.set_weights(before)
    assert refused > 15
