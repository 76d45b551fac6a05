"""`docs/private-parts.md` lists every private name of another package that the source uses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "sunra_integrations"
PAGE = (ROOT / "docs" / "private-parts.md").read_text(encoding="utf-8")
ROWS = [line.split(" | ") for line in PAGE.splitlines() if line.count(" | ") == 4 and "`" in line]
# Ruff finds access to private members of other objects, unless it is by `getattr`.
USES = (
    (re.compile(r"^.*# noqa: SLF001", re.MULTILINE), re.compile(r"\.(_[a-z]\w+)")),
    (re.compile(r"getattr\(.*", re.MULTILINE), re.compile(r'"(_[a-z]\w+)"')),
    (re.compile(r"__pydantic_\w+__"), re.compile(r"__pydantic_\w+__")),
)


def test_every_private_name_is_listed():
    missing = {
        f"{name} in {path.relative_to(SOURCE)}"
        for path in sorted(SOURCE.rglob("*.py"))
        for line, names in USES
        for found in line.findall(path.read_text(encoding="utf-8"))
        for name in names.findall(found)
        if not re.search(rf"[`.]{name}`", PAGE)
    }
    assert sorted(missing) == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:40])
def test_a_row_names_a_file_and_a_test_that_exist(row):
    _, used_in, _, test, _ = row
    assert (SOURCE / used_in.strip("`")).is_file(), used_in
    assert (ROOT / test.strip("`")).is_file(), test
