r"""Writes a short string that matches a regular expression, for ``pattern`` in a JSON Schema.

Covers what schemas use: literals, classes, escapes, groups, alternatives, repetition, anchors.
What it does not cover (look-around, back-references) gives None.
"""

import re
import string
from dataclasses import dataclass

from sunra_integrations.sandbox.patterns import is_found, is_readable

_CLASSES = {"d": string.digits, "w": string.ascii_letters + string.digits + "_", "s": " "}
_NEGATED = {"D": "a", "W": "-", "S": "a"}
_CONTROL = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v"}
_ANY = string.ascii_lowercase + string.ascii_uppercase + string.digits + "-_ .:/@#"
_REPEAT = re.compile(r"\{(\d+)(?:,\d*)?\}")
_LONGEST = 5_000


class _Unsupported(ValueError):
    """The pattern uses something this module does not write."""


def matching(pattern: str) -> str | None:
    """A string that the pattern finds, or None where none is found by these simple means."""
    try:
        written = _Reader(pattern).alternatives()
    except (_Unsupported, RecursionError, OverflowError):
        return None
    return written if is_readable(pattern) and is_found(pattern, written) else None


@dataclass
class _Reader:
    """A position in a pattern; each method reads on from it and returns text that matches."""

    pattern: str
    at: int = 0

    def alternatives(self) -> str:
        chosen = self._sequence()
        while self._peek() == "|":
            self.at += 1
            other = self._sequence()
            chosen = chosen or other
        return chosen

    def _sequence(self) -> str:
        written = ""
        while self._peek() not in {"", "|", ")"}:
            atom, times = self._atom(), self._repeats()
            if len(written) + len(atom) * times > _LONGEST:
                raise _Unsupported
            written += atom * times
        return written

    def _atom(self) -> str:
        sign = self._take()
        match sign:
            case "^" | "$":
                return ""
            case ".":
                return "a"
            case "(":
                return self._group()
            case "[":
                return self._class()
            case "\\":
                return self._escape()[:1]
            case "*" | "+" | "?":
                raise _Unsupported
            case _:
                return sign

    def _group(self) -> str:
        if self._peek() == "?":
            self.at += 1
            self._group_kind()
        written = self.alternatives()
        if self._take() != ")":
            raise _Unsupported
        return written

    def _group_kind(self) -> None:
        kind = self._take()
        if kind == "P" and self._peek() == "<":
            self.at = self.pattern.index(">", self.at) + 1
        elif kind != ":":
            raise _Unsupported

    def _class(self) -> str:
        negated = self._peek() == "^"
        self.at += negated
        members: list[str] = []
        while self._peek() != "]" or not members:
            sign = self._take()
            if sign == "":
                raise _Unsupported
            options = self._escape() if sign == "\\" else sign
            following = self.pattern[self.at : self.at + 2]
            if following[:1] == "-" and following[1:] not in {"", "]"} and len(options) == 1:
                self.at += 1
                last = self._take()
                last = self._escape() if last == "\\" else last
                options = _from_to(options, last)
            members.append(options)
        self.at += 1
        allowed = "".join(members)
        if not negated:
            return _plain(allowed)
        return next((sign for sign in _ANY if sign not in allowed), "~")

    def _escape(self) -> str:
        """The characters an escape stands for; for a word boundary, none."""
        sign = self._take()
        if sign in _CLASSES:
            return _CLASSES[sign]
        if sign in _NEGATED:
            return _NEGATED[sign]
        if sign in _CONTROL:
            return _CONTROL[sign]
        if sign in {"b", "A", "Z"}:
            return ""
        if sign.isalnum() or not sign:
            raise _Unsupported
        return sign

    def _repeats(self) -> int:
        match self._peek():
            case "*" | "?":
                self.at += 1
                times = 0
            case "+":
                self.at += 1
                times = 1
            case "{" if found := _REPEAT.match(self.pattern, self.at):
                self.at = found.end()
                times = int(found[1])
            case _:
                return 1
        if self._peek() in {"?", "+"}:
            self.at += 1
        return times

    def _peek(self) -> str:
        return self.pattern[self.at : self.at + 1]

    def _take(self) -> str:
        sign = self._peek()
        self.at += 1
        return sign


def _from_to(first: str, last: str) -> str:
    """The characters of a range, the first two hundred of a wide one."""
    if len(last) != 1:
        raise _Unsupported
    return "".join(map(chr, range(ord(first), min(ord(last), ord(first) + 200) + 1)))


def _plain(allowed: str) -> str:
    """The most ordinary of the characters allowed."""
    return next((sign for sign in allowed if sign.isalnum()), allowed[:1])
