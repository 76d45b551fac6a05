"""Text of others made fit for a terminal, which obeys what it is shown."""

from __future__ import annotations

import json
import re
from typing import Any

# C0 and C1 controls but for the tab and the line feed, the bidirectional overrides that show text
# in another order than it has, line separators, and halves of surrogate pairs.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """The text without what a terminal would obey; line feeds and tabs stay."""
    return _CONTROLS.sub("", text)


def one_line(text: str, longest: int = 4000) -> str:
    """The same on one line, cut to a length that can be taken in."""
    line = " ".join(printable(text).split())
    return f"{line[:longest]}…" if len(line) > longest else line


def as_json(value: Any) -> str:
    r"""JSON that can be read by people and cannot harm a terminal, with nothing lost.

    Controls can only stand within its strings, where they are written as `\uXXXX`.
    """
    text = json.dumps(value, ensure_ascii=False, indent=2)
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
