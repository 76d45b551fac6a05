"""The text, cut into the passages that retrievers search."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

TEXT = Path(__file__).parent / "data" / "us_constitution.txt"
_HEADING = re.compile(r"^(Preamble|Article [IVX]+|Amendments?(?: [IVX]+)?|Section \d+)\.?$")


class Passage(NamedTuple):
    """A paragraph or a few, and where they stand."""

    place: str
    text: str


def passages() -> list[Passage]:
    """The text by paragraphs, each with its article and section."""
    article, section, found = "Title", "", []
    for block in re.split(r"\n\s*\n", TEXT.read_text(encoding="utf-8")):
        words = " ".join(block.split())
        heading = _HEADING.match(words)
        if not heading:
            place = ", ".join(filter(None, (article, section)))
            found.append(Passage(place, words))
        elif words.startswith("Section"):
            section = words
        else:
            article, section = words, ""
    return [passage for passage in found if passage.place != "Title"]
