"""Every notebook runs as it is, and was saved with what it prints."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest

from cookbook import notebooks

NOTEBOOKS = notebooks.paths()


@pytest.fixture(autouse=True)
def _without_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SUNRA_KEY", "SUNRA_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def code(path: Path) -> list[nbformat.NotebookNode]:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_as_it_is_and_uses_nothing_deprecated(path: Path):
    if path.stem == "deep_agents":
        pytest.importorskip("deepagents", reason="needs Python 3.11")
    cells = [cell for cell in notebooks.executed(path).cells if cell.cell_type == "code"]
    outputs = [output for cell in cells for output in cell.outputs]
    # IPython shows the deprecations that a cell's own lines cause.
    warned = [one.text for one in outputs if one.get("name") == "stderr"]
    assert not [text for text in warned if "Deprecat" in text]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_was_saved_with_its_outputs(path: Path):
    assert [cell.execution_count for cell in code(path)] == list(range(1, len(code(path)) + 1))
    assert any(cell.outputs for cell in code(path))
    kinds = {output.output_type for cell in code(path) for output in cell.outputs}
    assert "error" not in kinds


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_begins_with_its_title_and_purpose(path: Path):
    first = nbformat.read(path, as_version=4).cells[0]
    assert first.cell_type == "markdown"
    assert re.match(r"# .+\n\n\S.{80,}", first.source, re.DOTALL)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_live_with_a_key_and_says_who_answered(path: Path):
    sources = "\n".join(cell.source for cell in code(path))
    assert "stand_in()" in sources
    printed = "".join(output.get("text", "") for cell in code(path) for output in cell.outputs)
    assert "local sandbox" in printed


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_holds_no_path_of_the_machine_it_was_saved_on(path: Path):
    assert not re.search(r"/(home|root|tmp|work|Users)/", path.read_text("utf-8"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_links_of_a_notebook_lead_to_a_file_or_to_an_address(path: Path):
    cells = nbformat.read(path, as_version=4).cells
    texts = [cell.source for cell in cells if cell.cell_type == "markdown"]
    for link in re.findall(r"\]\(([^)\s#]+)", "\n".join(texts)):
        assert link.startswith("https://") or (path.parent / link).exists(), link
