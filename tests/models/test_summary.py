"""What `summary` prints."""

import pytest
import torch
from torch import nn

import kerastorch as keras
from kerastorch import layers


def branched() -> keras.Model:
    a, b = keras.Input((6,), name="a"), keras.Input((None, 5), name="b")
    h = layers.Dense(4, name="hidden")(a)
    last = nn.LSTM(5, 4, batch_first=True)(b)[0][:, -1]
    z = layers.BatchNormalization(name="norm")(torch.cat([h, last], -1))
    inner = keras.Sequential([keras.Input((8,)), layers.Dense(3, name="in"), nn.ReLU()], name="box")
    joint = layers.concatenate([inner(z), z * 2], name="joint")
    model = keras.Model([a, b], layers.Dense(2, name="out")(joint), name="big")
    model.get_layer("hidden").trainable = False
    return model


def text(model: keras.Model, **arguments: object) -> str:
    parts: list[str] = []
    model.summary(print_fn=parts.append, **arguments)
    assert len(parts) == 1
    return parts[0]


def table(content: str) -> list[list[str]]:
    """The cells of the rows of the table."""
    rows = [line for line in content.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in row.strip("│").split("│")] for row in rows]


def test_table_of_a_graph() -> None:
    content = text(branched())
    assert content.splitlines()[0] == 'Model: "big"'
    for title in ("Layer (type)", "Output Shape", "Param #", "Connected to"):
        assert title in content
    rows = {row[0]: row[1:] for row in table(content)}
    assert rows["a (InputLayer)"] == ["(None, 6)", "0", ""]
    assert rows["b (InputLayer)"] == ["(None, None, 5)", "0", ""]
    assert rows["hidden (Dense)"] == ["(None, 4)", "28", "a"]
    assert rows["norm (BatchNormalization)"] == ["(None, 8)", "32", "hidden, lstm"]
    assert rows["box (Sequential)"] == ["(None, 3)", "27", "norm"]
    assert rows["joint (Concatenate)"] == ["(None, 11)", "0", "box, norm"]
    assert rows["out (Dense)"] == ["(None, 2)", "24", "joint"]
    assert any(row[0] == "lstm (LSTM)" and row[2] == "176" for row in table(content))


def test_totals() -> None:
    lines = text(branched()).splitlines()
    assert lines[-3:] == [
        " Total params: 287 (1.12 KB)",
        " Trainable params: 243 (972.00 B)",
        " Non-trainable params: 44 (176.00 B)",
    ]
    half = keras.Sequential([keras.Input((1000,)), layers.Dense(1000)]).half()
    assert " Total params: 1,001,000 (1.91 MB)" in text(half)


def test_nested_layers_and_trainability() -> None:
    content = text(branched(), expand_nested=True, show_trainable=True)
    rows = table(content)
    names = [row[0] for row in rows]
    assert names.index("box (Sequential)") + 1 == names.index("in (Dense)")
    assert "re_lu (ReLU)" in names
    assert "│   in (Dense)" in content
    flags = {row[0]: row[-1] for row in rows if row[0]}
    assert flags["hidden (Dense)"] == "N"
    assert flags["in (Dense)"] == "Y"
    assert flags["joint (Concatenate)"] == "-"
    assert "in (Dense)" not in [row[0] for row in table(text(branched()))]


def test_layer_range() -> None:
    rows = [row[0] for row in table(text(branched(), layer_range=("norm", "joint")))]
    assert rows == ["norm (BatchNormalization)", "box (Sequential)", "joint (Concatenate)"]
    with pytest.raises(ValueError, match=r"layer_range names \['nothing'\].*'hidden'"):
        branched().summary(layer_range=("nothing", "joint"))


def test_printed_without_print_fn(capsys: pytest.CaptureFixture[str]) -> None:
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2, name="d")], name="s")
    assert model.summary() is None
    printed = capsys.readouterr().out
    assert printed == text(model)
    assert "Connected to" not in printed
    assert ["d (Dense)", "(None, 2)", "8"] in table(printed)


@pytest.mark.parametrize("width", [40, 60, 120])
def test_narrow_and_wide_terminals(width: int) -> None:
    lines = text(branched(), line_length=width).splitlines()
    assert max(map(len, lines)) <= width
    cells = [row[0] for row in table("\n".join(lines))]
    assert "(BatchNormalization)" in "".join(cells)
    assert all("…" not in line for line in lines)


def test_unbuilt_and_subclassed_models() -> None:
    class Net(keras.Model):
        def __init__(self) -> None:
            super().__init__(name="net")
            self.hidden = layers.Dense(4, name="hidden")
            self.blocks = [nn.Linear(4, 4), layers.Dense(2, name="last")]

        def call(self, inputs: torch.Tensor) -> torch.Tensor:
            return self.blocks[1](self.blocks[0](self.hidden(inputs)))

    model = Net()
    rows = table(text(model))
    assert ["hidden (Dense)", "?", "?"] in rows
    assert ["Linear (Linear)", "?", "20"] in rows
    model(torch.zeros(2, 3))
    assert ["hidden (Dense)", "?", "16"] in table(text(model))
    assert "Total params: 46" in text(model)
    unbuilt = keras.Sequential([layers.Dense(2, name="d")])
    assert ["d (Dense)", "?", "?"] in table(text(unbuilt))


def test_a_shared_layer_is_counted_once() -> None:
    x = keras.Input((4,), name="x")
    dense = layers.Dense(4, name="d")
    content = text(keras.Model(x, dense(dense(x))))
    assert len([row for row in table(content) if row[0] == "d (Dense)"]) == 1
    assert "Total params: 20 " in content
