"""Safe output on a terminal: control characters and Markdown."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from sunra_integrations.cli.terminal import (
    LiveMarkdown,
    SafeMarkdown,
    as_json,
    one_line,
    printable,
    split_finished,
)

CONTROLS = "\x00\x07\x08\x0d\x1b\x7f\x9b\u2028\u202e\u2066\ud800"


def screen(height=24):
    return Console(
        file=io.StringIO(),
        force_terminal=True,
        width=60,
        height=height,
        markup=False,
        _environ={"TERM": "xterm"},
    )


def test_control_characters_are_removed():
    assert printable(f"a\tb{CONTROLS}\nc 好 é 👩‍👧") == "a\tb\nc 好 é 👩‍👧"
    assert one_line(f" a\n\tb{CONTROLS} ") == "a b"
    assert one_line("x" * 600, 500) == "x" * 500 + "…"


def test_control_characters_are_escaped_in_json():
    written = as_json({CONTROLS: CONTROLS, "好": 1})
    assert json.loads(written) == {CONTROLS: CONTROLS, "好": 1}
    assert not set(CONTROLS) & set(written)


@pytest.mark.parametrize(
    ("text", "finished"),
    [
        ("One.", ""),
        ("One.\n\n", ""),
        ("One.\n\nTwo", "One.\n\n"),
        ("One.\n\n  more", ""),
        ("- one\n\n  still one\n\n- two", "- one\n\n  still one\n\n"),
        ("```\na\n\nb", ""),
        ("```\na\n\nb\n```\n\nTwo", "```\na\n\nb\n```\n\n"),
        ("````\n```\n\na", ""),
        ("~~~\n```\n\na", ""),
        ("```\na\n``` x\n\nb", ""),
        ("", ""),
    ],
)
def test_a_block_is_finished_if_following_text_cannot_change_it(text, finished):
    assert split_finished(text) == (finished, text[len(finished) :])


@pytest.mark.parametrize("text", ["&#27;[2J", "&#x1b;", "&#155;", "a &#x202e; b", "&#13;"])
def test_control_characters_cannot_be_written_as_html_entities(text):
    console = screen()
    console.print(SafeMarkdown(text))
    drawn = console.file.getvalue()
    assert not {"\x9b", "\u202e", "\r"} & set(drawn)
    assert "\x1b[2J" not in drawn


def test_a_link_shows_its_address():
    console = screen()
    console.print(SafeMarkdown("[your bank](https://elsewhere.example)"))
    assert "https://elsewhere.example" in console.file.getvalue()
    assert "\x1b]8" not in console.file.getvalue()


def test_long_markdown_is_printed_completely_at_the_end():
    console = screen(height=6)
    drawing = LiveMarkdown(console)
    lines = [f"line {number}  \n" for number in range(40)]
    for line in ("# Title\n\n", *lines, "\n", "The **end**."):
        drawing.add(line)
    drawing.end()
    left = console.file.getvalue().rpartition("\x1b[2K")[2]
    assert "line 38" in console.file.getvalue()
    assert "The " in left
    assert "**" not in left


def test_at_most_a_screenful_of_a_long_block_is_redrawn():
    console = screen(height=6)
    drawing = LiveMarkdown(console)
    drawing.add("```\n" + "\n".join(f"code {number}" for number in range(2000)))
    drawing._live.refresh()
    drawn = console.file.getvalue()
    assert "code 1999" in drawn
    assert "code 1980" not in drawn
    drawing.end()
    assert "code 0" in console.file.getvalue()
