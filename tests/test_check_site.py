"""`scripts/check_site.py` finds what is wrong in a built site, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts.check_site import (
    FIRST_AGENT,
    clicks_to_agent,
    list_problems,
    main,
    problems,
    read,
    search_problems,
)

AGENT = f"<h1>Agents</h1><article><code>agent = {FIRST_AGENT}model)</code></article>"
FILES = {
    "index.html": "<h1>Home</h1><nav><a href='deep/agents.html'></a></nav>"
    "<article><a href='quickstart.html#next'>Quickstart</a> <a href='mention.html'>Errors</a> TEXT"
    "</article>",
    "quickstart.html": "<h1>Quickstart</h1>"
    "<article><p id='next'><a href='deep/agents.html'>Agents</a></p></article>",
    "mention.html": AGENT.replace("Agents", "Errors"),
    "deep/agents.html": AGENT,
    "404.html": "<a href='/lost'>",
    "a picture.png": "",
}


def site(folder: Path, **changed: str) -> Path:
    """A small site without faults, but for `TEXT` on the home page and the files that changed."""
    for name, html in FILES.items():
        file = folder / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(html.replace("TEXT", changed.get("text", "")), encoding="utf-8")
    return folder


def found(folder: Path) -> list[str]:
    return list(problems(read(folder), folder))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("<a href='lost.html'>", "index.html: lost.html does not exist"),
        ("<a href='quickstart.html#lost'>", "index.html: quickstart.html#lost has no such anchor"),
        ("<a href='#lost'>", "index.html: #lost has no such anchor"),
        ("<img src='lost.png'>", "index.html: lost.png does not exist"),
        ("<img src='https://a.test/b.svg'>", "index.html: loads https://a.test/b.svg from another"),
        ("<script src='//a.test/b.js'></script>", "index.html: loads //a.test/b.js from another"),
        ("<link rel='stylesheet' href='https://a.test/b.css'>", "index.html: loads https://a.test"),
        ("<h1>Again</h1>", "index.html: 2 main headings instead of one"),
    ],
)
def test_a_fault_is_found(tmp_path, text, problem):
    [line] = found(site(tmp_path, text=text))
    assert line.startswith(problem)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<a href='https://elsewhere.test/page#part'>",
        "<a href='mailto:a@b.test'>",
        "<a href='#'>",
        "<a href='deep/../quickstart.html?q=1#next'>",
        "<img src='a%20picture.png'> <img src='data:image/gif;base64,R0lGODlhAQABAAAAACw='>",
        "<link rel='canonical' href='https://elsewhere.test/'>",
    ],
)
def test_a_site_without_faults_passes(tmp_path, text):
    assert found(site(tmp_path, text=text)) == []


def test_the_way_to_an_agent_uses_the_links_of_the_text(tmp_path):
    way = clicks_to_agent(read(site(tmp_path)))
    assert way == ["quickstart.html#next", "deep/agents.html"]


def test_a_way_that_is_too_long_is_found(tmp_path):
    site(tmp_path)
    names = ["quickstart", "a", "b", "c"]
    for name, following in zip(names, [*names[1:], "deep/agents"], strict=True):
        text = f"<h1>x</h1><article id='next'><a href='{following}.html'>x</a></article>"
        (tmp_path / f"{name}.html").write_text(text, encoding="utf-8")
    [line] = found(tmp_path)
    assert line.startswith("index.html: more than 3 clicks to create_agent(…)")


def test_what_the_search_does_not_find_is_reported(tmp_path):
    (tmp_path / "search").mkdir()
    index = {"docs": [{"location": "errors.html#NoCredit", "title": "NoCredit", "text": "402"}]}
    (tmp_path / "search" / "search_index.json").write_text(json.dumps(index), encoding="utf-8")
    assert list(search_problems(tmp_path, {"402": "errors.html#NoCredit"})) == []
    [line] = search_problems(
        tmp_path, {"402": "errors.html#Other", "NoCredit": "errors.html#NoCredit"}
    )
    assert line == "the search does not find errors.html#Other by '402'"


def test_a_folder_without_a_site_is_reported(tmp_path, capsys):
    assert main(tmp_path) == 1
    assert "is not a built site" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# Site\n\n- [Home](index.html)\n- [Elsewhere](https://a.b/c.md)\n", []),
        ("- [Gone](gone.md)\n", ["llms.txt links to gone.md, which does not exist"]),
        ("# Site\n", ["llms.txt lists no pages"]),
        (None, ["llms.txt lists no pages"]),
    ],
)
def test_a_link_of_the_list_for_language_models_leads_to_a_file(text, expected, tmp_path):
    folder = site(tmp_path)
    if text is not None:
        (folder / "llms.txt").write_text(text, encoding="utf-8")
    assert list(list_problems(folder)) == expected
