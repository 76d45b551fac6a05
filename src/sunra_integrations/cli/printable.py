"""Text of others made fit for a terminal, which obeys what it is shown."""

from __future__ import annotations

import codecs
import json
import re
from typing import IO, Any

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


def as_json(value: Any, *, ascii_only: bool = False) -> str:
    r"""JSON that can be read by people and cannot harm a terminal, with nothing lost.

    Controls can only stand within its strings, where they are written as `\uXXXX`.

    Args:
        value: The value.
        ascii_only: Write whatever is not ASCII in this form too.
    """
    text = json.dumps(value, ensure_ascii=ascii_only, indent=2)
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def is_utf8(stream: IO[str]) -> bool:
    """Whether every character can be written to a stream; one that encodes nothing takes all."""
    return codecs.lookup(getattr(stream, "encoding", None) or "utf-8").name == "utf-8"
