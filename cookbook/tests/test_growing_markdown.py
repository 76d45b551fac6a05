"""Markdown that is rendered while it grows is, at the end, what rendering all of it gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from cookbook.web_app.growing_markdown import RENDERER, GrowingMarkdown

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
CASES = {
    "the README": README,
    "a list after an empty line": "1. one\n\n2. two\n\ntext\n\n- a\n\n  more of a\n- b\n",
    "a tag that looks like a heading": "text\n#tag\n\n#\n# heading\n",
    "emphasis that looks like a rule": "text\n***bold***\n\n***\n- x\n-\n-- y\n",
    "a table and code": "a | b\n--|--\n1 | 2\n\n    code\n\n```py\nx\n\ny\n```\nz\n~~~\nopen",
    "markup": "<div>\n\n<script>1</script> <img src=x>\n\n<!-- a\n\ncomment -->\n",
    "Windows lines": "one\r\ntwo\r\n\r\n- three\r\n",
    "nothing but space": " \n\n \n",
}


def grown(text: str, step: int) -> tuple[str, list[int]]:
    """The HTML of the page at the end, and the index of each block that was sent."""
    page: list[str] = []
    indexes = []
    markdown = GrowingMarkdown()
    pieces = [text[at : at + step] for at in range(0, len(text), step)]
    for block in (*(block for one in pieces for block in markdown.add(one)), *markdown.changes()):
        page[block["index"] :] = [block["html"]]
        indexes.append(block["index"])
    return "".join(page), indexes


@pytest.mark.parametrize("step", [1, 2, 7, 1_000_000])
@pytest.mark.parametrize("text", CASES.values(), ids=CASES)
def test_text_that_grows_becomes_the_same_html_as_all_of_it(text: str, step: int):
    assert grown(text, step)[0] == RENDERER.render(text)


def test_each_part_of_a_text_is_shown_as_soon_as_it_is_there():
    markdown = GrowingMarkdown()
    shown = [list(markdown.add(word)) for word in ("One", " **two", "**", "\n\nthree")]
    assert shown == [
        [{"index": 0, "html": "<p>One</p>\n"}],
        [{"index": 0, "html": "<p>One **two</p>\n"}],
        [{"index": 0, "html": "<p>One <strong>two</strong></p>\n"}],
        [{"index": 1, "html": "<p>three</p>\n"}],
    ]


@pytest.mark.parametrize("before", ["", "text\n", "text\n\n", "- text\n"])
@pytest.mark.parametrize("marks", ["*", "**", "- ", "2", "1.", "#", "```", "> ", "|"])
def test_marks_are_not_shown_before_their_text(before: str, marks: str):
    markdown = GrowingMarkdown()
    list(markdown.add(before))
    assert list(markdown.add(marks)) == []
    assert list(markdown.changes()) != []


def test_a_long_block_is_not_rendered_for_each_of_its_words():
    assert len(grown("word " * 10_000, 5)[1]) < 500


def test_finished_blocks_are_not_sent_again():
    _, indexes = grown("paragraph\n\n" * 50, 1)
    assert indexes == sorted(indexes)


@pytest.mark.parametrize(
    "markup",
    [
        "<script>alert(1)</script>",
        '<img src="x" onerror="alert(1)">',
        "[a](javascript:alert(1))",
        "[a](  JavaScript:alert(1))",
        "[a](data:text/html,<script>alert(1)</script>)",
        "![a](https://example.org/?secret)",
        '[a](https://example.org "" onclick="alert(1)")',
        '<https://example.org/"onclick="alert(1)>',
        "`<script>` ```<script>",
        "```<script>\n<script>\n",
        "| <script> |\n|---|\n| <img src=x> |\n",
    ],
)
def test_html_of_the_text_is_escaped_and_nothing_is_loaded(markup: str):
    html, _ = grown(markup, 1)
    for part in ("<script", "<img", ' onclick="', 'href="javascript:', 'href="data:'):
        assert part not in html.lower()
