"""`scripts/check_style.py` finds what the style guide discourages, and nothing else."""

from __future__ import annotations

import json
import re

import pytest

from scripts.check_style import GUIDE, Guide, files

TABLES = r"""
| Avoid | Match | Use |
|---|---|---|
| mend, of its own accord | word | fix |
| `\bis no (?!longer\b\|more\b)[a-z]+` | regex | is not a |
| `(^\|[.] )What [^.?!]*\.` | regex | a sentence with an agent |
| `said` | name | what it is |
| `take` | method | acquire |
| `parts` | module, class | content_parts |

| File | Avoid | Reason |
|---|---|---|
| `src/kept.py` | `said` | a public name |
"""


def found(path, text, name=None):
    path.write_text(text, encoding="utf-8")
    return [(hit.line, hit.found) for hit in Guide(TABLES).hits(path, name or path.name)]


@pytest.mark.parametrize(
    ("text", "hits"),
    [
        ("Mend it.", [(1, "Mend")]),
        ("Run `mend`. Recommend it.", []),
        ("```console\nmend it\n```\n", []),
        ("```python\nx = 1  # mend it\n\nsaid = await x\n```\n", [(2, "mend"), (4, "said")]),
        ('=== "A"\n\n    ```python\n    if 1:\n        said = 1\n    ```\n', [(5, "said")]),
        ("a\n\nIt retries of its\nown accord.", [(3, "of its own accord")]),
        ("It is no\nlist. This no list.", [(1, "is no list")]),
        ("It is no longer so. There is no `[mend](mend.md)`.", []),
        ("[a](mend.md) https://a.example/mend <!-- mend -->", []),
        ("| a | What is not set is not sent. |", [(1, "What is not set is not sent.")]),
        ("# Why\n\n- What came of it.\n- What is it?\n", [(3, "What came of it.")]),
    ],
)
def test_prose_of_a_page(tmp_path, text, hits):
    assert found(tmp_path / "page.md", text) == hits


@pytest.mark.parametrize(
    ("code", "hits"),
    [
        ('"""Mend it."""', [(1, "Mend")]),
        ('"""Says.\n\nWhat is\nset is sent.\n"""', [(3, "What is set is sent.")]),
        ("x = 1\n# it is\n# no list\n", [(2, "is no list")]),
        ('raise ValueError(f"{x} is no list")', [(1, "is no list")]),
        ('x = {"mend": 1}', []),
        ("said = 1", [(1, "said")]),
        ("x.said = 1", [(1, "said")]),
        ("def f(said): ...", [(1, "said")]),
        ("x = said", []),
        ("class A:\n    def take(self): ...", [(2, "take")]),
        ("def take(): ...", []),
        ("class parts: ...", [(1, "parts")]),
        ("parts = 1", []),
    ],
)
def test_names_comments_and_strings_of_python(tmp_path, code, hits):
    assert found(tmp_path / "module.py", code) == hits


def test_a_module_is_found_by_its_file_or_folder(tmp_path):
    (tmp_path / "parts").mkdir()
    assert found(tmp_path / "parts.py", "") == [(1, "parts")]
    assert found(tmp_path / "parts" / "__init__.py", "") == [(1, "parts")]


def test_a_notebook_is_reported_by_the_lines_of_its_file(tmp_path):
    cells = [
        {"cell_type": "markdown", "source": ["# „Title“\n", "\n", "Mend it."]},
        {"cell_type": "code", "source": ["%pip mend\n", "said = 1"], "outputs": []},
        {"cell_type": "code", "source": [], "outputs": []},
        {"cell_type": "code", "source": ["%%writefile a.ini\n", "[mend]"], "outputs": []},
    ]
    text = json.dumps({"cells": cells}, indent=1, ensure_ascii=False)
    lines = text.splitlines()
    assert found(tmp_path / "a.ipynb", text) == [
        (next(n for n, line in enumerate(lines, 1) if "Mend it" in line), "Mend"),
        (next(n for n, line in enumerate(lines, 1) if "said = 1" in line), "said"),
    ]


def test_an_exception_is_for_one_file(tmp_path):
    assert found(tmp_path / "a.py", "said = 1", "src/kept.py") == []
    assert found(tmp_path / "a.py", "said = 1", "src/other.py") == [(1, "said")]


def test_an_unknown_kind_of_match_is_an_error():
    with pytest.raises(ValueError, match="noun"):
        Guide(TABLES.replace("| word |", "| noun |"))


def test_folders_are_searched_for_python_and_pages_but_not_the_style_guide():
    names = {path.name for path in files([GUIDE.parent])}
    assert {"index.md", "langchain_chat.mdx", "llama_index.ipynb"} <= names
    assert not names & {GUIDE.name, "demo.svg", "benchmarks.json"}


def test_the_improved_examples_of_the_style_guide_follow_it(tmp_path):
    page = GUIDE.read_text(encoding="utf-8")
    after = re.findall(r"^\| .* \| (.*) \|$", page.partition("## Examples")[2], re.MULTILINE)[1:]
    path = tmp_path / "page.md"
    path.write_text("\n\n".join(after), encoding="utf-8")
    assert len(after) > 20
    assert [str(hit) for hit in Guide(page).hits(path, path.name)] == []


def test_every_exception_of_the_style_guide_is_needed():
    guide = Guide(GUIDE.read_text(encoding="utf-8"))
    excepted, guide.exceptions = guide.exceptions, frozenset()
    root = GUIDE.parents[1]
    needed = {
        (name, hit.rule.avoid)
        for name in {name for name, _ in excepted}
        for hit in guide.hits(root / name, name)
    }
    assert excepted <= needed


def test_no_entry_recommends_what_it_discourages():
    rules = Guide(GUIDE.read_text(encoding="utf-8")).rules
    assert len(rules) > 100
    assert [one.avoid for one in rules if re.search(rf"`{re.escape(one.avoid)}\b", one.use)] == []
