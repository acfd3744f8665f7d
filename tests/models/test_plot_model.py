"""`plot_model` and `model_to_dot`: what the pictures show, and that they are drawn without graphviz."""

import copy
import itertools
import random
import re
import sys
import types
from xml.etree import ElementTree

import pytest
import torch
from PIL import Image

import kerastorch as kt
from kerastorch import layers
from kerastorch.models._layout import Box, arrange
from kerastorch.utils import model_to_dot, plot_model

SVG = "{http://www.w3.org/2000/svg}"


def two_towers():
    image = kt.Input((32, 32, 3), name="img_input")
    series = kt.Input((None, 10), name="ts_input")
    x1 = layers.Conv2D(3, 3, name="conv2d")(image)
    x1 = layers.GlobalMaxPooling2D(name="pool2d")(x1)
    x2 = layers.Conv1D(3, 3, name="conv1d")(series)
    x2 = layers.GlobalMaxPooling1D(name="pool1d")(x2)
    x = layers.Concatenate(name="both")([x1, x2])
    score, label = layers.Dense(1, name="score_output")(x), layers.Dense(5, name="class_output")(x)
    return kt.Model([image, series], [score, label], name="towers")


def siamese():
    encoder = kt.Sequential(
        [kt.Input((6,)), layers.Dense(4, name="first"), layers.Dense(3, name="second")],
        name="encoder",
    )
    left, right = kt.Input((6,), name="left"), kt.Input((6,), name="right")
    distance = torch.abs(encoder(left) - encoder(right))
    return kt.Model([left, right], layers.Dense(1, name="same")(distance), name="siamese")


def nested():
    """Two levels, a sequential frame that begins with a functional one, several inputs and outputs."""
    a, b = kt.Input((4,), name="a"), kt.Input((2,), name="b")
    inner = kt.Model([a, b], [torch.cat([a, b], -1), layers.Dense(3, name="side")(a)], name="inner")
    h = kt.Input((6,), name="h")
    head = kt.Model(h, layers.Dense(2, name="deep")(h), name="head")
    stack = kt.Sequential([head, layers.Dense(2, name="last")], name="stack")
    x, y = kt.Input((4,), name="x"), kt.Input((2,), name="y")
    joined, side = inner([x, y])
    return kt.Model([x, y], [stack(joined), side], name="outer")


def edges_of(dot):
    return re.findall(r'^"([^"]+)" -> "([^"]+)";$', dot.to_string(), re.MULTILINE)


def boxes_of(dot):
    """Titles by key."""
    pattern = r'^"([^"]+)" \[label=<<table[^>]*><tr><td [^>]*><font [^>]*>([^<]*)</font>'
    return dict(re.findall(pattern, dot.to_string(), re.MULTILINE))


def groups_of(dot):
    """Texts in the groups of the SVG by class and title."""
    root = ElementTree.fromstring(dot.to_svg())
    found = {}
    for group in root.iter(f"{SVG}g"):
        key = group.get("class"), group.find(f"{SVG}title").text
        assert key not in found
        found[key] = [text.text for text in group.iter(f"{SVG}text")]
    return found


# -- what is shown ---------------------------------------------------------------------------------


def test_two_towers():
    dot = model_to_dot(two_towers(), show_shapes=True)
    assert boxes_of(dot) == {
        "img_input": "img_input: InputLayer",
        "ts_input": "ts_input: InputLayer",
        "conv2d": "conv2d: Conv2D",
        "pool2d": "pool2d: GlobalMaxPooling2D",
        "conv1d": "conv1d: Conv1D",
        "pool1d": "pool1d: GlobalMaxPooling1D",
        "both": "both: Concatenate",
        "score_output": "score_output: Dense",
        "class_output": "class_output: Dense",
    }
    assert sorted(edges_of(dot)) == [
        ("both", "class_output"),
        ("both", "score_output"),
        ("conv1d", "pool1d"),
        ("conv2d", "pool2d"),
        ("img_input", "conv2d"),
        ("pool1d", "both"),
        ("pool2d", "both"),
        ("ts_input", "conv1d"),
    ]
    groups = groups_of(dot)
    assert groups["layer", "img_input"][1:] == ["Output shape", "(None, 32, 32, 3)"]
    assert groups["layer", "conv1d"][1:] == [
        *("Input shape", "(None, None, 10)"),
        *("Output shape", "(None, None, 3)"),
    ]
    assert groups["layer", "both"][2] == "[(None, 3), (None, 3)]"


@pytest.mark.parametrize("make", [two_towers, siamese, nested])
def test_boxes_and_edges_are_those_of_the_fx_graph(make):
    model = make()
    dot = model_to_dot(model)
    nodes = {node for node in model.graph.nodes if node.op != "output"}
    items = {node for node in nodes if "getitem" in node.name}  # one of several results
    modules = {node.target for node in nodes if node.op == "call_module"}
    rest = [node for node in nodes - items if node.op != "call_module"]
    assert len(boxes_of(dot)) == len(modules) + len(rest)

    def origin(node):
        node = node.args[0] if node in items else node
        return node.target if node.op == "call_module" else node

    expected = {(origin(s), origin(n)) for n in nodes - items for s in n.all_input_nodes}
    assert len(edges_of(dot)) == len(expected)


@pytest.mark.parametrize("make", [two_towers, siamese, nested])
@pytest.mark.parametrize("rankdir", ["TB", "LR"])
@pytest.mark.parametrize("expand", [False, True])
def test_dot_and_svg_show_the_same(make, rankdir, expand):
    dot = model_to_dot(make(), rankdir=rankdir, expand_nested=expand)
    groups = groups_of(dot)
    drawn = {
        key: texts[0] for (kind, key), texts in groups.items() if kind in ("layer", "function")
    }
    assert drawn == boxes_of(dot)
    assert {key for kind, key in groups if kind == "edge"} == {
        f"{a} -> {b}" for a, b in edges_of(dot)
    }
    assert f"rankdir={rankdir}" in dot.to_string()


def test_sequential_has_no_input_box():
    model = kt.Sequential(
        [kt.Input((4,)), layers.Dense(3, name="one"), torch.nn.ReLU(), layers.Dense(2, name="two")]
    )
    dot = model_to_dot(model)
    assert boxes_of(dot) == {"one": "one: Dense", "re_lu": "re_lu: ReLU", "two": "two: Dense"}
    assert edges_of(dot) == [("one", "re_lu"), ("re_lu", "two")]


def test_subclassed_model_is_one_box():
    class Mine(kt.Model):
        def __init__(self):
            super().__init__(name="mine")
            self.dense = layers.Dense(3)

        def call(self, inputs):
            return self.dense(inputs)

    model = Mine()
    with pytest.raises(ValueError, match="'mine' is not built yet"):
        model_to_dot(model)
    model(torch.zeros(2, 4))
    dot = model_to_dot(model, show_shapes=True)
    assert boxes_of(dot) == {"mine": "mine: Mine"}
    assert edges_of(dot) == []


def test_functions_are_boxes_of_their_own():
    x = kt.Input((5, 4), name="x")
    y = torch.cat([x[:, 0], torch.relu(x.mean(1)) + 1], -1)
    dot = model_to_dot(kt.Model(x, y), show_shapes=True)
    groups = groups_of(dot)
    assert {key for kind, key in groups if kind == "function"} == {
        "getitem", "mean", "relu", "add", "cat",
    }  # fmt: skip
    assert groups["function", "cat"] == ["cat", "Output shape", "(None, 8)"]
    assert set(edges_of(dot)) == {
        ("x", "getitem"), ("x", "mean"), ("mean", "relu"), ("relu", "add"),
        ("getitem", "cat"), ("add", "cat"),
    }  # fmt: skip


def test_a_shared_layer_is_one_box_and_its_calls_are_arrows():
    x = kt.Input((4,), name="x")
    shared, relu = layers.Dense(4, name="shared"), torch.nn.ReLU()
    model = kt.Model(x, layers.Dense(1, name="out")(shared(shared(relu(shared(x))))))
    dot = model_to_dot(model)
    assert list(boxes_of(dot)) == ["x", "shared", "re_lu", "out"]
    assert sorted(edges_of(dot)) == [
        ("re_lu", "shared"), ("shared", "out"), ("shared", "re_lu"), ("shared", "shared"),
        ("x", "shared"),
    ]  # fmt: skip
    assert ("edge", "shared -> shared") in groups_of(dot)


def test_shapes_of_all_calls_of_a_shared_layer():
    pool = layers.GlobalMaxPooling1D(name="pool")
    a, b = kt.Input((9, 2)), kt.Input((9, 3))
    model = kt.Model([a, b], torch.cat([pool(a), pool(b)], -1))
    texts = groups_of(model_to_dot(model, show_shapes=True, show_dtype=True))["layer", "pool"]
    assert texts[2] == "(None, 9, 2), (None, 9, 3)"
    assert texts[4] == "(None, 2), (None, 3)"
    assert texts[5:] == ["Output dtype", "float32"]


def test_masks_that_go_along_are_not_shown():
    class Mean(layers.Layer):
        def call(self, inputs, mask=None):
            return inputs.mean(1) if mask is None else (inputs * mask[..., None]).sum(1)

    tokens = kt.Input((None,), dtype="int32", name="tokens")
    x = layers.Embedding(9, 4, mask_zero=True, name="embedding")(tokens)
    model = kt.Model(tokens, Mean(name="mean")(x))
    assert len(model.graph.nodes) > 4  # the mask is computed
    assert edges_of(model_to_dot(model)) == [("tokens", "embedding"), ("embedding", "mean")]
    given = kt.Input((None,), dtype="bool", name="given")
    model = kt.Model([tokens, given], Mean(name="mean")(x, mask=given))
    assert ("given", "mean") in edges_of(model_to_dot(model))


def test_nested_models_are_boxes_or_clusters():
    model = nested()
    assert list(boxes_of(model_to_dot(model))) == ["x", "y", "inner", "stack"]
    dot = model_to_dot(model, expand_nested=True)
    text = dot.to_string()
    clusters = re.findall(r'^subgraph "cluster_([^"]+)"', text, re.MULTILINE)
    assert clusters == ["inner", "stack", "stack/head"]
    assert [text.count("{"), text.count("}")] == [4, 4]
    head = text[text.index('"cluster_stack/head"') :]
    assert head.index('"stack/head/deep"') < head.index("}") < head.index('"stack/last"')
    assert set(edges_of(dot)) == {
        ("x", "inner/a"), ("y", "inner/b"), ("inner/a", "inner/cat"), ("inner/b", "inner/cat"),
        ("inner/a", "inner/side"), ("inner/cat", "stack/head/h"),
        ("stack/head/h", "stack/head/deep"), ("stack/head/deep", "stack/last"),
    }  # fmt: skip


def test_a_nested_model_that_is_called_twice():
    assert set(edges_of(model_to_dot(siamese(), expand_nested=True))) == {
        ("left", "encoder/first"), ("right", "encoder/first"), ("encoder/first", "encoder/second"),
        ("encoder/second", "sub"), ("sub", "abs"), ("abs", "same"),
    }  # fmt: skip


@pytest.mark.parametrize("rankdir", ["TB", "LR"])
def test_frames_hold_their_boxes(rankdir):
    dot = model_to_dot(nested(), expand_nested=True, rankdir=rankdir, show_shapes=True)
    corners = {}
    for group in ElementTree.fromstring(dot.to_svg()).iter(f"{SVG}g"):
        rects = [
            [float(rect.get(key)) for key in ("x", "y", "width", "height")]
            for rect in group.iter(f"{SVG}rect")
        ]
        if rects:
            x, y, w, h = zip(*rects, strict=True)
            ends = (
                [a + b for a, b in zip(x, w, strict=True)],
                [a + b for a, b in zip(y, h, strict=True)],
            )
            corners[group.find(f"{SVG}title").text] = (min(x), min(y), max(ends[0]), max(ends[1]))
    for frame in ("inner", "stack", "stack/head"):
        a = corners[frame]
        for key, b in corners.items():
            if key.startswith(f"{frame}/"):
                assert a[0] < b[0]
                assert a[1] < b[1]
                assert b[2] < a[2]
                assert b[3] < a[3]
            elif not frame.startswith(key):  # apart
                assert b[2] <= a[0] or a[2] <= b[0] or b[3] <= a[1] or a[3] <= b[1]


def test_rows():
    model = kt.Sequential(
        [
            kt.Input((4,)),
            layers.Dense(3, "relu", name="a"),
            layers.Dense(2, name="b"),
            layers.Flatten(),
        ]
    )
    model.get_layer("b").trainable = False
    dot = model_to_dot(
        model,
        show_layer_names=False,
        show_layer_activations=True,
        show_trainable=True,
        show_dtype=True,
    )
    assert list(groups_of(dot).values())[-3:] == [
        ["Dense", "Activation", "relu", "Output dtype", "float32", "Trainable"],
        ["Dense", "Activation", "linear", "Output dtype", "float32", "Non-trainable"],
        ["Flatten", "Output dtype", "float32"],
    ]


def test_names_are_escaped():
    x = kt.Input((4,), name='a<b>&"c"')
    dot = model_to_dot(kt.Model(x, torch.relu(x)))
    assert ("layer", 'a<b>&"c"') in groups_of(dot)
    assert r'"a<b>&\"c\"" -> "relu";' in dot.to_string()
    assert "a&lt;b&gt;&amp;" in dot.to_string()


def test_subgraph_is_a_cluster():
    text = model_to_dot(two_towers(), subgraph=True).to_string()
    assert 'subgraph "cluster_towers" {' in text


def test_a_copy_looks_the_same():
    model = nested()
    expected = model_to_dot(model, expand_nested=True, show_shapes=True).to_string()
    again = model_to_dot(copy.deepcopy(model), expand_nested=True, show_shapes=True)
    assert again.to_string() == expected


# -- files -----------------------------------------------------------------------------------------


def test_png_without_programs(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    path = tmp_path / "x.png"
    assert plot_model(two_towers(), path, show_shapes=True) is None
    with Image.open(path) as image:
        image.load()
        assert (image.format, image.mode) == ("PNG", "RGB")
        assert image.info["dpi"] == pytest.approx((200, 200), abs=0.1)
        assert min(image.size) > 1000
        colours = {colour for _, colour in image.getcolors(1 << 16)}
        assert {(255, 255, 255), (0x24, 0x29, 0x2F)} <= colours
        assert image.getbbox() == (0, 0, *image.size)
    small = tmp_path / "small.png"
    plot_model(two_towers(), str(small), show_shapes=True, dpi=50)
    with Image.open(small) as half:
        assert half.width == pytest.approx(image.width / 4, rel=0.1)


def test_svg_and_dot_files(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    model = siamese()
    plot_model(model, tmp_path / "x.svg", show_shapes=True)
    assert ElementTree.parse(tmp_path / "x.svg").getroot().tag == f"{SVG}svg"
    plot_model(model, tmp_path / "x.dot", show_shapes=True)
    assert (tmp_path / "x.dot").read_text() == model_to_dot(model, show_shapes=True).to_string()
    plot_model(model, tmp_path / "plain")
    with Image.open(tmp_path / "plain") as image:
        assert image.format == "PNG"


def test_drawing_twice_gives_the_same():
    dot = model_to_dot(nested(), expand_nested=True)
    assert dot.to_svg() == dot.to_svg()
    assert dot.to_image().tobytes() == dot.to_image().tobytes()


def test_a_notebook_gets_the_image(tmp_path, monkeypatch):
    display = types.SimpleNamespace(Image=lambda filename: ("image", filename))
    monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    path = str(tmp_path / "x.png")
    assert plot_model(siamese(), path, dpi=50) == ("image", path)
    assert plot_model(siamese(), tmp_path / "x.svg") is None


def test_dot_text_needs_no_pillow(monkeypatch):
    monkeypatch.delitem(sys.modules, "kerastorch.models._plot")
    monkeypatch.setitem(sys.modules, "PIL", None)  # importing it raises
    assert '"both" -> "class_output";' in kt.utils.model_to_dot(two_towers()).to_string()
    with pytest.raises(ImportError, match="PIL"):
        kt.utils.model_to_dot(two_towers()).to_image()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"to_file": "model.gif"}, ValueError, r"\.png, \.svg or \.dot, received 'model\.gif'"),
        ({"rankdir": "BT"}, ValueError, "received 'BT'"),
        ({"dpi": 0}, ValueError, "dpi"),
        ({"layer_range": ("a", "b")}, ValueError, "layer_range"),
    ],
)
def test_bad_arguments(arguments, error, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        plot_model(siamese(), **arguments)
    assert not list(tmp_path.iterdir())


def test_bad_models():
    with pytest.raises(TypeError, match="must be a Model, received Linear"):
        plot_model(torch.nn.Linear(2, 3))
    with pytest.raises(ValueError, match="not built yet"):
        plot_model(kt.Sequential([layers.Dense(3)]))


def test_unknown_names_of_the_package():
    assert "plot_model" in dir(kt.utils)
    with pytest.raises(AttributeError, match="no attribute 'plot_modell'"):
        _ = kt.utils.plot_modell


# -- layout ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
def test_nothing_overlaps(seed):
    draw = random.Random(seed)
    boxes = [Box(str(i), draw.choice([60, 150, 300]), draw.choice([20, 70])) for i in range(25)]
    edges = [
        (boxes[j], boxes[i])
        for i in range(1, 25)
        for j in draw.sample(range(max(0, i - 6), i), min(i, draw.choice([1, 1, 2, 3])))
    ]
    edges += [(boxes[20], boxes[3]), (boxes[9], boxes[8])]  # back, as layers used twice lead
    edges = list(dict.fromkeys(edges))
    frame, flipped = Box(inside=boxes), set()
    arrange(frame, edges, (0, 0), flipped)
    assert flipped
    for a, b in itertools.combinations(boxes, 2):
        apart = abs(a.x - b.x) - (a.width + b.width) / 2
        assert apart > 10 or a.y + a.height < b.y or b.y + b.height < a.y
    levels = []
    for edge, route in frame.routes.items():
        top, bottom = edge[::-1] if edge in flipped else edge
        assert route[0][1] == top.y + top.height
        assert route[-1][1] == bottom.y
        for (x, y), (u, v) in itertools.pairwise(route):
            assert abs(x - u) < 0.2 or y == v  # right angles
            if y == v:
                levels.append((y, min(x, u), max(x, u), top))
            for box in boxes:
                beside = max(x, u) <= box.x - box.width / 2 or min(x, u) >= box.x + box.width / 2
                assert beside or max(y, v) <= box.y or min(y, v) >= box.y + box.height
    for a, b in itertools.combinations(levels, 2):  # only what comes from one box runs together
        assert a[0] != b[0] or a[1] >= b[2] or b[1] >= a[2] or a[3] is b[3]


def test_a_chain_is_straight():
    boxes = [Box(str(i), width, 20) for i, width in enumerate([60, 300, 100, 150])]
    edges = [*itertools.pairwise(boxes), (boxes[0], boxes[3])]  # with a way past it
    frame = Box(inside=boxes)
    arrange(frame, edges, (0, 0), set())
    assert len({box.x for box in boxes}) == 1
    assert all(len({x for x, _ in frame.routes[edge]}) == 1 for edge in edges[:3])
