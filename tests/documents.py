"""The Python of the documents: what tests run, and what type checkers read."""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(ROOT.glob("*.md"))
PAGES += sorted(DOCS.rglob("*.md"))

BLOCK = re.compile(r"^```python[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)


def python_of(document: Path) -> str:
    """The Python blocks of a page, each line where it is on the page; or a notebook's cells."""
    text = document.read_text(encoding="utf-8")
    if document.suffix == ".ipynb":
        return _cells(text)
    lines = [""] * text.count("\n")
    for block in BLOCK.finditer(text):
        first = text.count("\n", 0, block.start(1))
        code = block[1].splitlines()
        lines[first : first + len(code)] = code
    return "\n".join(lines) if any(lines) else ""


def _cells(text: str) -> str:
    cells = ["".join(c["source"]) for c in json.loads(text)["cells"] if c["cell_type"] == "code"]
    return "\n\n".join(cell for cell in cells if not cell.startswith(("%", "!")))


def documents() -> dict[str, Path]:
    """Every document with Python in it, by its path in the repository."""
    every = [*PAGES, *sorted(DOCS.rglob("*.mdx")), *sorted(DOCS.rglob("*.ipynb"))]
    return {str(one.relative_to(ROOT)): one for one in every if python_of(one)}
