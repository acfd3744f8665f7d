"""Every page of the guide runs as it stands, and prints what it shows.

The ``python`` blocks of a page run in order in one namespace, after those of the index. A ``text``
block that follows one holds what it printed: compared line by line, numbers and times apart.
"""

import contextlib
import io
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
INDEX = DOCS / "guide" / "index.md"
PAGES = sorted((DOCS / "guide").glob("[0-9]*.md"))
DIGITS = DOCS.parent / "examples" / "data" / "mnist.npz"
BLOCK = re.compile(r"^```(python|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#]+)[^)]*\)")


def run(page: Path, namespace: dict[str, object]) -> None:
    """Run the blocks of a page; a traceback names the page and its line."""
    text = page.read_text(encoding="utf-8")
    printed = ""
    for block in BLOCK.finditer(text):
        kind, body = block.groups()
        if kind == "text":
            assert shape_of(printed) == shape_of(body), f"{page.name} shows:\n{body}"
            continue
        lines_before = text.count("\n", 0, block.start(2))
        code = compile("\n" * lines_before + body, str(page), "exec", dont_inherit=True)
        with contextlib.redirect_stdout(io.StringIO()) as stream:
            exec(code, namespace)
        printed = stream.getvalue()


def shape_of(output: str) -> list[str]:
    """Lines of output without what differs from run to run, and without empty lines."""
    numbers = re.sub(r"\b\d+(\.\d+)?(e[+-]?\d+)?(?=\b|[a-z])", "#", output)
    return re.sub(r"#(us|ms|s)/step", "#/step", numbers).replace("\n\n", "\n").strip().split("\n")


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> dict[str, object]:
    """What the index makes for all pages: the digits, found in a cache, and two functions."""
    cache = tmp_path_factory.mktemp("home") / "datasets"
    cache.mkdir()
    (cache / "mnist.npz").symlink_to(DIGITS)
    namespace: dict[str, object] = {"__name__": "guide"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_HOME", str(cache.parent))
        run(INDEX, namespace)
    return namespace


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page(page: Path, shared, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    run(page, dict(shared))


def test_every_page_is_in_the_index_and_in_order() -> None:
    assert [DOCS / "guide" / name for name in LINK.findall(INDEX.read_text())][
        : len(PAGES)
    ] == PAGES


@pytest.mark.parametrize("page", [INDEX, *PAGES], ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    targets = LINK.findall(page.read_text())
    missing = [t for t in targets if "://" not in t and not (page.parent / t).exists()]
    assert not missing


def test_a_page_that_does_not_hold_fails(tmp_path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n```python\nprint(1, 'step')\n```\n\n```text\n2 steps\n```\n")
    with pytest.raises(AssertionError, match=r"page\.md shows"):
        run(page, {})
    page.write_text("# Page\n\n```python\nassert 1 + 1 == 3\n```\n")
    with pytest.raises(AssertionError) as error:
        run(page, {})
    assert error.traceback[-1].path == page
    assert error.traceback[-1].lineno == 3  # counted from 0
