"""Follows the brackets of JSON that comes in pieces, so that each piece is looked at once."""

from __future__ import annotations

import re

_MARK = re.compile(r'\\.|\\\Z|["{}\[\]]', re.DOTALL)


class Brackets:
    """Whether the JSON so far has closed every bracket it opened.

    It says when parsing is worth the try, not whether the JSON is valid.
    """

    __slots__ = ("_beyond", "_depth", "_in_string", "_opened", "_unfinished_escape")

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = False
        self._opened = False
        self._beyond = False  # something came after the value had ended: no parser will take it
        self._unfinished_escape = ""

    @property
    def closed(self) -> bool:
        """One value was opened and has ended, with nothing behind it."""
        return self._opened and not self._depth and not self._in_string and not self._beyond

    def feed(self, piece: str) -> None:
        """Takes in the next piece."""
        if self.closed and piece.strip():
            self._beyond = True
        text = self._unfinished_escape + piece
        self._unfinished_escape = ""
        for match in _MARK.finditer(text):
            mark = match.group()
            if mark == '"':
                self._in_string = not self._in_string
            elif mark == "\\":
                self._unfinished_escape = mark
            elif not self._in_string and mark in "{[":
                self._beyond = self._beyond or (self._opened and not self._depth)
                self._opened = True
                self._depth += 1
            elif not self._in_string and mark in "}]":
                self._depth -= 1
