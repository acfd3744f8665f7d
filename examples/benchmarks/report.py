"""Results as text for the terminal, and as table and plot for docs/performance.md."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from frameworks import FRAMEWORKS, PEERS
from workloads import WORKLOADS

Row = dict[str, dict[str, Any]]
REFERENCE = "torch"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
TRAINING = ("mlp", "convnet", "lstm", "transformer", "multi_io", "resnet")
MEMORY = 1.05  # goal: the peak of kerastorch over that of the hand-written loop

#: Row, column, what it is compared with ("peers": the best of them), and the most the ratio may be.
GOALS = [
    *[(row, "kerastorch", "torch", 1.05) for row in (*TRAINING, "resnet-same")],
    *[(f"{kind}-32", "kerastorch", "torch", 1.10) for kind in ("predict", "evaluate")],
    *[(f"{kind}-1024", "kerastorch", "torch", 1.00) for kind in ("predict", "evaluate")],
    *[(row, "kerastorch", "torch", 1.00) for row in ("data", "data-loader")],
    ("overhead", "kerastorch", "torch", 1.50),
    ("overhead-3", "kerastorch", "torch", 1.50),
    ("mlp", "kerastorch-jit", "keras-jax", 0.80),
    ("convnet", "kerastorch-jit", "keras-tf", 1.00),
    ("lstm", "kerastorch-jit", "keras-jax", 0.75),
    ("transformer", "kerastorch-jit", "keras-jax", 1.00),
    ("multi_io", "kerastorch-jit", "peers", 0.60),
    ("resnet", "kerastorch-jit", "peers", 0.75),
    *[
        (f"{kind}-{batch}", "kerastorch-jit", "keras-jax", 1.00)
        for kind in ("predict", "evaluate")
        for batch in (32, 1024)
    ],
    *[(row, "kerastorch-jit", "peers", 1.00) for row in TRAINING],
    *[(row, "kerastorch-jit", "kerastorch", 1.00) for row in TRAINING],
]


def ratio(row: Row, name: str, other: str, of: str = "median") -> float | None:
    """Median of `name` over the median of `other`; None if one is absent."""
    pair = [row.get(n, {}).get(of) for n in (name, other)]
    return float(pair[0] / pair[1]) if all(pair) else None


def against(row: Row, name: str, other: str) -> str:
    """What `name` is compared with: `other`, or the best of the peers."""
    if other != "peers":
        return other
    return max(PEERS, key=lambda peer: ratio(row, name, peer) or 0.0)


def shown(row: Row, name: str, other: str, of: str = "median") -> str:
    """The ratio in two digits, with a star where the two did not take turns."""
    found = ratio(row, name, other, of)
    return "-" if found is None else f"{found:.2f}" + _star(row, name, other)


def _star(row: Row, name: str, other: str) -> str:
    return "" if row[name].get("call") == row[other].get("call") else "*"


def terminal(name: str, row: Row) -> str:
    """A row, one framework a line."""
    unit = "ms" if name == "import" else "µs/step"
    lines = [f"{name:<24}{unit:>10}{'fastest':>10}{'spread':>10}{'ratio':>8}{'start':>9}{'MB':>7}"]
    for framework, found in row.items():
        title = f"  {FRAMEWORKS[framework].title:<22}"
        if "rounds" not in found:
            why = found.get("absent") or found.get("error", "").strip().splitlines()[-1:]
            lines.append(f"{title}{'-':>10}   {why}")
            continue
        numbers = "".join(f"{found[key]:>10.1f}" for key in ("median", "fastest", "spread"))
        line = f"{title}{numbers}{shown(row, framework, REFERENCE):>8}"
        if "warm_up_s" in found:
            line += f"{start(found):>8.1f}s{found['peak_mb'] - found['before_mb']:>7.0f}"
        lines += [line, *(f"    warned: {w}" for w in found.get("warnings", []))]
    return "\n".join(lines)


def start(found: dict[str, Any]) -> float:
    """Seconds that the first two epochs took longer than later ones: mostly compilation."""
    usual = found["median"] * found["steps"] / 1e6
    return float(max(0.0, sum(found["warm_up_s"]) - 2 * usual))


def write(results: dict[str, Any], docs: Path) -> None:
    """Put the measured part into docs/performance.md, and the plot beside it."""
    page = docs / "performance.md"
    text = page.read_text()
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    page.write_text(f"{before}{BEGIN}\n{_measured(results)}\n{END}{after}")
    _plot(_ordered(results["workloads"]), docs / "images" / "performance.png")


def _ordered(rows: dict[str, Row]) -> dict[str, Row]:
    return {name: rows[name] for name in (*WORKLOADS, "import") if name in rows}


def _measured(results: dict[str, Any]) -> str:
    rows = _ordered(results["workloads"])
    names = [n for n in FRAMEWORKS if any("rounds" in row.get(n, {}) for row in rows.values())]
    parts = [
        _about(rows, results["calls"]),
        "### Time of a step",
        "Median µs a step, and in brackets the ratio to the hand-written loop. `import`: ms.",
        _table([""] + [FRAMEWORKS[n].title for n in names], [
            [f"**{row}**"] + [_cell(rows[row], n) for n in names] for row in rows
        ]),
        "![Ratios to the hand-written loop](images/performance.png)",
        "### Fastest epoch and spread",
        "Fastest round ± half the distance between the quartiles, µs a step.",
        _table([""] + [FRAMEWORKS[n].title for n in names], [
            [f"**{row}**"] + [_cell(rows[row], n, spread=True) for n in names] for row in rows
        ]),
        "### Before the first step",
        "Seconds that the first two epochs took longer than two later ones.",
        _table([""] + [FRAMEWORKS[n].title for n in names], [
            [f"**{row}**"] + [f"{start(rows[row][n]):.1f}" if "median" in rows[row].get(n, {}) else "-"
            for n in names] for row in rows if row != "import"
        ]),
        "### Memory",
        "MB that the process grew by while it ran, at its peak.",
        _table([""] + [FRAMEWORKS[n].title for n in names], [
            [f"**{row}**"] + [f"{rows[row][n]['peak_mb'] - rows[row][n]['before_mb']:.0f}"
            if "peak_mb" in rows[row].get(n, {}) else "-" for n in names]
            for row in rows if row != "import"
        ]),
        "### Import",
        "Milliseconds in a new process, and what is more than that of torch alone.",
        _table(["", "median", "fastest", "over torch"], _imports(rows.get("import", {}))),
        "### Goals",
        _table(["row", "ratio", "goal", "measured", ""], list(_goals(rows))),
        "Peak memory of the whole process, libraries included, in MB; in brackets how much of it came while it ran.",
        _table(["row", FRAMEWORKS[REFERENCE].title, "kerastorch", "ratio", "goal", ""], _memory(rows)),
    ]  # fmt: skip
    if any(re.search(r"\d\*[^*]", part) for part in parts):
        parts.append(
            "\\* The two were measured in different calls of run.py: they did not take turns."
        )
    return "\n\n".join(parts)


def _about(rows: dict[str, Row], calls: dict[str, Any]) -> str:
    """What the figures depend on, of all the calls that they come from."""
    cells = [cell for row in rows.values() for cell in row.values() if "rounds" in cell]
    used = [calls[name] for name in sorted({cell.get("call", "") for cell in cells} & calls.keys())]

    def every(key: str) -> str:
        return " / ".join(dict.fromkeys(str(call[key]) for call in used))

    versions = dict.fromkeys(f"{k} {v}" for call in used for k, v in call["versions"].items())
    return (
        f"{every('cpu')}, {every('cores')} cores, {every('threads')} threads, "
        f"{_span(len(cell['rounds']) for cell in cells)} rounds, {every('date')}, load "
        f"{_span(round(call['load'], 1) for call in used)} at the start; Python {every('python')}, "
        f"{', '.join(versions)}."
    )


def _span(values: Iterable[float]) -> str:
    ordered = sorted(set(values))
    return " to ".join(str(value) for value in dict.fromkeys(ordered[:1] + ordered[-1:]))


def _cell(row: Row, name: str, spread: bool = False) -> str:
    found = row.get(name, {})
    if "rounds" not in found:
        return "-"
    if spread:
        return f"{found['fastest']:,.0f} ± {found['spread'] / 2:,.0f}"
    times = shown(row, name, REFERENCE)
    return f"{found['median']:,.0f}" + (f" ({times})" if times != "-" else "")


def _goals(rows: dict[str, Row]) -> list[list[str]]:
    lines = []
    for row, name, other, most in GOALS:
        cells = rows.get(row, {})
        rival = against(cells, name, other)
        found = ratio(cells, name, rival)
        if found is not None:
            verdict = "met" if found <= most else "**missed**"
            title = "best peer" if other == "peers" else FRAMEWORKS[other].title
            what = f"{FRAMEWORKS[name].title} / {title}"
            lines.append([row, what, f"{most:.2f}", shown(cells, name, rival), verdict])
    imports = rows.get("import", {})
    if {"kerastorch", REFERENCE} <= imports.keys():
        extra = imports["kerastorch"]["median"] - imports[REFERENCE]["median"]
        verdict = "met" if extra <= 300 else "**missed**"
        star = _star(imports, "kerastorch", REFERENCE)
        lines.append(["import", "kerastorch - torch", "300 ms", f"{extra:.0f} ms{star}", verdict])
    return lines


def _imports(row: Row) -> list[list[str]]:
    lines = []
    for name in [n for n in FRAMEWORKS if n in row]:
        figures = [f"{row[name][key]:,.0f}" for key in ("median", "fastest")]
        over = "-"
        if REFERENCE in row:
            extra = row[name]["median"] - row[REFERENCE]["median"]
            over = f"{extra:,.0f}{_star(row, name, REFERENCE)}"
        title = "torch alone" if name == REFERENCE else FRAMEWORKS[name].title
        lines.append([f"**{title}**", *figures, over])
    return lines


def _memory(rows: dict[str, Row]) -> list[list[str]]:
    lines = []
    for name, row in rows.items():
        found = ratio(row, "kerastorch", REFERENCE, "peak_mb")
        if found is not None:
            cells = [row[n] for n in (REFERENCE, "kerastorch")]
            peaks = [f"{c['peak_mb']:.0f} ({c['peak_mb'] - c['before_mb']:.0f})" for c in cells]
            verdict = "met" if found <= MEMORY else "**missed**"
            lines.append([name, *peaks, f"{found:.2f}", f"{MEMORY:.2f}", verdict])
    return lines


def _table(head: list[str], body: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _plot(rows: dict[str, Row], path: Path) -> None:
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 6))
    shown = [row for row in rows if row != "import"]
    for name in FRAMEWORKS:
        points = [(ratio(rows[row], name, REFERENCE), i) for i, row in enumerate(shown)]
        points = [(x, y) for x, y in points if x is not None]
        if points and name != REFERENCE:
            ours = name.startswith("kerastorch")
            axes.scatter(
                *zip(*points, strict=True),
                label=FRAMEWORKS[name].title,
                marker="D" if ours else "o",
                s=70 if ours else 30,
                zorder=3 if ours else 2,
            )
    axes.axvline(1, color="black", linewidth=1)
    axes.set(xscale="log", yticks=range(len(shown)), yticklabels=shown)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("{x:g}")
    axes.tick_params(axis="x", which="both", labelsize=7)
    axes.set_xlabel("time of a step, hand-written eager loop = 1 (left is faster)")
    axes.invert_yaxis()
    axes.grid(alpha=0.3, which="both")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(path, dpi=110, bbox_inches="tight")
