"""The Python of the documents: what tests run, and what type checkers read."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(ROOT.glob("*.md"))
PAGES += sorted(DOCS.rglob("*.md"))

FENCE = re.compile(r"^( *)```(\w+)([^\n]*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
OUTPUT = ' title="Output"'
TAB = re.compile(r'( *)=== "([^"]+)"')


@dataclass(frozen=True)
class Block:
    """A Python block of a page.

    `line` is the index of its fence, `tab` the label of the content tab around it, or empty, and
    `shown` the output that the page shows below it.
    """

    code: str
    line: int
    tab: str
    shown: str = ""


def blocks_of(page: Path) -> list[Block]:
    """The Python blocks of a page."""
    text = page.read_text(encoding="utf-8")
    blocks: list[Block] = []
    for fence in FENCE.finditer(text):
        before = text[: fence.start()].splitlines()
        if fence[2] == "python":
            tab = _tab(before, len(fence[1]))
            blocks.append(Block(dedent(fence[4]), len(before), tab))
        elif fence[3] == OUTPUT:
            blocks[-1] = replace(blocks[-1], shown=dedent(fence[4]))
    return blocks


def _tab(before: list[str], indent: int) -> str:
    """The label of the tab that contains a line with this indent, from the lines before it."""
    for line in reversed(before):
        own = len(line) - len(line.lstrip())
        if line.strip() and own < indent:
            if found := TAB.fullmatch(line):
                return found[2]
            indent = own
    return ""


def python_of(document: Path, tab: str | None = None) -> str:
    """The Python blocks of a page, each line where it is on the page; or a notebook's cells.

    With `tab`, the blocks of the other tabs are left out: what a reader of this tab sees.
    """
    if document.suffix == ".ipynb":
        return _cells(document.read_text(encoding="utf-8"))
    blocks = [one for one in blocks_of(document) if tab is None or one.tab in {"", tab}]
    return as_program(blocks)


def as_program(blocks: list[Block], heading: str = "") -> str:
    """Blocks as one program, each line where it is on the page.

    Args:
        blocks: The blocks.
        heading: A line for the place of each fence, in which `{line}` is its index.
    """
    lines: list[str] = []
    for block in blocks:
        lines += [""] * (block.line - len(lines))
        lines += [heading.format(line=block.line), *block.code.splitlines()]
    return "\n".join(lines)


def _cells(text: str) -> str:
    cells = ["".join(c["source"]) for c in json.loads(text)["cells"] if c["cell_type"] == "code"]
    return "\n\n".join(cell for cell in cells if not cell.startswith(("%", "!")))


def documents() -> dict[str, Path]:
    """Every document with Python in it, by its path in the repository."""
    every = [*PAGES, *sorted(DOCS.rglob("*.mdx")), *sorted(DOCS.rglob("*.ipynb"))]
    return {str(one.relative_to(ROOT)): one for one in every if python_of(one)}


def tabs_of(document: Path) -> list[str | None]:
    """The tabs of a page that contain Python; only None if it has no tabs."""
    if document.suffix == ".ipynb":
        return [None]
    return list(dict.fromkeys(one.tab for one in blocks_of(document) if one.tab)) or [None]


def programs() -> dict[str, str]:
    """The Python of each document, by its path; of each tab if it has tabs."""
    return {
        f"{name}:{tab}" if tab else name: python_of(path, tab)
        for name, path in documents().items()
        for tab in tabs_of(path)
    }
