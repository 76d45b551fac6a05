"""The files, make targets and pages that the maintainers' documents name exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "sunra_integrations"
FOLDERS = (ROOT, SOURCE, ROOT / "tests", ROOT / ".github" / "workflows")
DOCUMENTS = [
    *(ROOT / name for name in ("AGENTS.md", "CONTRIBUTING.md", "RELEASING.md", "SECURITY.md")),
    *(ROOT / "docs" / name for name in ("policy.md", "private-api.md")),
    *sorted((ROOT / "docs" / "decisions").glob("*.md")),
    *sorted((ROOT / "docs" / "upstream").glob("*.md")),
    *sorted((ROOT / ".github").rglob("*.md")),
]
# A path in one of the folders above; a folder ends in a slash.
PATH = re.compile(r"`((?:[\w.-]+/)+|(?:[\w.-]+/)*[\w-]+\.(?:py|md|toml|txt|yml|yaml))`")
ELSEWHERE = {"transport.py"}  # of httpx-aiohttp


def text_of(document: Path) -> str:
    return document.read_text(encoding="utf-8")


def is_there(path: str) -> bool:
    if any((folder / path).exists() for folder in FOLDERS):
        return True
    return "/" not in path and any(SOURCE.rglob(path))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_named_files_exist(document: Path):
    named = set(PATH.findall(text_of(document))) - ELSEWHERE
    assert [path for path in sorted(named) if not is_there(path)] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_named_make_targets_exist(document: Path):
    targets = set(re.findall(r"^([a-z][\w-]*):", text_of(ROOT / "Makefile"), re.MULTILINE))
    named = re.findall(
        r"(?:^|`)make ((?:[a-z][\w-]*)(?: [a-z][\w-]*)*)", text_of(document), re.MULTILINE
    )
    for target in (one for words in named for one in words.split()):
        assert target in targets, target


def test_every_decision_and_every_upstream_page_is_in_its_index_and_in_the_site():
    site = text_of(ROOT / "mkdocs.yml")
    for folder in ("decisions", "upstream"):
        index = text_of(ROOT / "docs" / folder / "index.md")
        for page in sorted((ROOT / "docs" / folder).glob("*.md")):
            assert f"{folder}/{page.name}" in site
            assert page.name == "index.md" or f"({page.name})" in index


def test_workflows_call_existing_make_targets():
    targets = set(re.findall(r"^([a-z][\w-]*):", text_of(ROOT / "Makefile"), re.MULTILINE))
    for workflow in sorted((ROOT / ".github" / "workflows").glob("*.yml")):
        called = set(re.findall(r"run: make ([\w-]+)", text_of(workflow)))
        assert called <= targets


def test_workflows_run_existing_tests_and_scripts():
    for workflow in sorted((ROOT / ".github" / "workflows").glob("*.yml")):
        for path in re.findall(r"\b((?:tests|scripts)/[\w./-]+)", text_of(workflow)):
            assert (ROOT / path).exists(), f"{workflow.name}: {path}"
