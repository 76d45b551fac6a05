"""Markdown to HTML, block by block, while the text grows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import TypedDict

from markdown_it import MarkdownIt

# A model's text is not trusted. The preset escapes HTML and refuses links such as `javascript:`.
# An image would load a URL that the model chose, and such a URL can contain the conversation.
# Underlined headings and link references would change blocks that are already on the page.
RENDERER = MarkdownIt("js-default").disable(["image", "lheading", "reference"])
_STEPS = 50
_MARKS = re.compile(r"[\s>#*+_`~|-]*(\d+[.)]?)?\s*")
"""A line that can become a list, a rule or bold text. Showing it as one of them would flicker."""


class Block(TypedDict):
    """The HTML of a block, such as a paragraph. It replaces the blocks from its index on."""

    index: int
    html: str


class GrowingMarkdown:
    """Renders only the end of the text again; finished blocks stay as they are."""

    def __init__(self) -> None:
        """Start with an empty text."""
        self._tail = ""
        self._index = 0  # of the first block in the tail
        self._blocks: list[str] = []  # of the tail
        self._due = 0

    def add(self, text: str) -> Iterator[Block]:
        """Add text. The tail is rendered each time that it has grown by two percent.

        A list of a thousand lines is one block. Rendering it for each token would take too long.
        """
        self._tail += text.replace("\r", "")
        line = self._tail.rpartition("\n")[2]
        if len(self._tail) >= self._due and not _MARKS.fullmatch(line):
            yield from self.changes()
            self._due = len(self._tail) + len(self._tail) // _STEPS

    def changes(self) -> Iterator[Block]:
        """The blocks that changed. Call this also at the end of the text."""
        lines = self._tail.split("\n")
        starts = [
            token.map[0] for token in RENDERER.parse(self._tail) if token.map and token.level == 0
        ]
        blocks = [
            RENDERER.render("\n".join(lines[start:end]))
            for start, end in pairwise([*starts, len(lines)])
        ]
        for position, html in enumerate(blocks):
            if blocks[: position + 1] != self._blocks[: position + 1]:
                yield Block(index=self._index + position, html=html)
        self._blocks = blocks
        # The last block can grow. While its first line is incomplete, it can still turn out to
        # belong to the block before: "1." continues a list only when its space arrives.
        growing = 1 if starts and starts[-1] + 1 < len(lines) else 2
        if finished := max(len(blocks) - growing, 0):
            self._tail = "\n".join(lines[starts[finished] :])
            self._index += finished
            self._blocks = blocks[finished:]
