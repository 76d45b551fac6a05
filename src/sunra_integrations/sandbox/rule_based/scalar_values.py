r"""Numbers and strings for JSON Schemas: within bounds, of a format, matching a pattern.

`string_matching` covers what the patterns of schemas use: literals, classes, escapes, groups,
alternatives, repetition, anchors. It does not cover look-around and back-references.
"""

import math
import re
import string
from dataclasses import dataclass
from typing import Any

from sunra_integrations.sandbox.contract.json_schema import is_supported_pattern, matches_pattern
from sunra_integrations.sandbox.rule_based.entities import Kind

# ── numbers ──────────────────────────────────────────────────────────────────


def parse_number(text: str, *, whole: bool) -> int | float | None:
    """The number that a text writes, or None.

    Args:
        text: The digits.
        whole: Whether to return 2.0 as 2.
    """
    digits = text.replace(",", "").strip()
    try:
        return int(digits)
    except ValueError:
        pass
    try:
        value = float(digits)
    except ValueError:
        return None
    if not math.isfinite(value):
        return None
    return int(value) if whole and value.is_integer() else value


def number_in_range(schema: dict[str, Any], *, whole: bool) -> int | float:
    """The number closest to zero within a schema's bounds and step."""
    try:
        low, high = _bounds(schema, whole=whole)
        step = schema.get("multipleOf")
        if step:
            return _multiple(low, high, step, whole=whole)
        nearest = min(max(0, low), high)
        if whole:
            return math.ceil(nearest) if nearest == low else math.floor(nearest)
    except (ArithmeticError, ValueError):  # bounds that no float can tell apart
        return 0
    return nearest


def _bounds(schema: dict[str, Any], *, whole: bool) -> tuple[float, float]:
    low = schema.get("minimum", -math.inf)
    high = schema.get("maximum", math.inf)
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if above is not None:
        low = max(low, math.floor(above) + 1 if whole else _inside(above, below, high, +1))
    if below is not None:
        high = min(high, math.ceil(below) - 1 if whole else _inside(below, above, low, -1))
    return low, high


def _inside(edge: float, other: float | None, far: float, direction: int) -> float:
    """A number inside an exclusive bound: one further, or halfway to the other bound."""
    limit = far if other is None else other
    if math.isfinite(limit) and abs(limit - edge) <= 1:
        return edge + (limit - edge) / 2
    return edge + direction


def _multiple(low: float, high: float, step: float, *, whole: bool) -> int | float:
    if whole and isinstance(step, float) and not step.is_integer():
        step = step * 10
    if low <= 0 <= high:
        return 0
    times = math.ceil(low / step) if low > 0 else math.floor(high / step)
    value = times * step
    return int(value) if whole else value


# ── formats ──────────────────────────────────────────────────────────────────

EXAMPLE_BY_FORMAT = {
    "date-time": "2025-01-01T00:00:00Z",
    "date": "2025-01-01",
    "time": "00:00:00Z",
    "duration": "P1D",
    "email": "someone@example.com",
    "idn-email": "someone@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uri-reference": "/example",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "json-pointer": "/example",
    "regex": ".*",
}
"""A string of each format, for texts that have none."""

ENTITY_BY_FORMAT: dict[str, Kind] = {
    "date-time": "datetime",
    "date": "date",
    "time": "time",
    "email": "email",
    "uri": "url",
    "uuid": "uuid",
}
"""The kind of entity that a format corresponds to."""


def is_in_format(text: str) -> bool:
    """Whether a date, time or address is written in its format, unlike *tomorrow* or 1/2/2025."""
    return not any(sign.isspace() for sign in text) and not text.isalpha() and text[2:3] != "/"


# ── patterns ─────────────────────────────────────────────────────────────────

_CLASSES = {"d": string.digits, "w": string.ascii_letters + string.digits + "_", "s": " "}
_NEGATED_CLASSES = {"D": "a", "W": "-", "S": "a"}
_CONTROL = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v"}
_ALPHABET = string.ascii_lowercase + string.ascii_uppercase + string.digits + "-_ .:/@#"
_REPEAT = re.compile(r"\{(\d+)(?:,\d*)?\}")
_MAX_LENGTH = 5_000
_MAX_RANGE = 200


class _UnsupportedPattern(ValueError):
    """The pattern uses something that is not covered."""


def string_matching(pattern: str) -> str | None:
    """A short string that a pattern matches, or None if the pattern is not covered."""
    try:
        text = _PatternReader(pattern).alternatives()
    except (_UnsupportedPattern, RecursionError, OverflowError):
        return None
    return text if is_supported_pattern(pattern) and matches_pattern(pattern, text) else None


@dataclass
class _PatternReader:
    """A position in a pattern. Each method reads on and returns text that matches."""

    pattern: str
    position: int = 0

    def alternatives(self) -> str:
        chosen = self._sequence()
        while self._peek() == "|":
            self.position += 1
            other = self._sequence()
            chosen = chosen or other
        return chosen

    def _sequence(self) -> str:
        text = ""
        while self._peek() not in {"", "|", ")"}:
            atom, times = self._atom(), self._repeats()
            if len(text) + len(atom) * times > _MAX_LENGTH:
                raise _UnsupportedPattern
            text += atom * times
        return text

    def _atom(self) -> str:
        sign = self._next()
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
                raise _UnsupportedPattern
            case _:
                return sign

    def _group(self) -> str:
        if self._peek() == "?":
            self.position += 1
            self._group_kind()
        text = self.alternatives()
        if self._next() != ")":
            raise _UnsupportedPattern
        return text

    def _group_kind(self) -> None:
        kind = self._next()
        if kind == "P" and self._peek() == "<":
            self.position = self.pattern.index(">", self.position) + 1
        elif kind != ":":
            raise _UnsupportedPattern

    def _class(self) -> str:
        negated = self._peek() == "^"
        self.position += negated
        members: list[str] = []
        while self._peek() != "]" or not members:
            sign = self._next()
            if sign == "":
                raise _UnsupportedPattern
            options = self._escape() if sign == "\\" else sign
            following = self.pattern[self.position : self.position + 2]
            if following[:1] == "-" and following[1:] not in {"", "]"} and len(options) == 1:
                self.position += 1
                last = self._next()
                last = self._escape() if last == "\\" else last
                options = _character_range(options, last)
            members.append(options)
        self.position += 1
        allowed = "".join(members)
        if negated:
            return next((sign for sign in _ALPHABET if sign not in allowed), "~")
        return next((sign for sign in allowed if sign.isalnum()), allowed[:1])

    def _escape(self) -> str:
        """The characters that an escape matches. Empty for a word boundary."""
        sign = self._next()
        if sign in _CLASSES:
            return _CLASSES[sign]
        if sign in _NEGATED_CLASSES:
            return _NEGATED_CLASSES[sign]
        if sign in _CONTROL:
            return _CONTROL[sign]
        if sign in {"b", "A", "Z"}:
            return ""
        if sign.isalnum() or not sign:
            raise _UnsupportedPattern
        return sign

    def _repeats(self) -> int:
        match self._peek():
            case "*" | "?":
                self.position += 1
                times = 0
            case "+":
                self.position += 1
                times = 1
            case "{" if found := _REPEAT.match(self.pattern, self.position):
                self.position = found.end()
                times = int(found[1])
            case _:
                return 1
        if self._peek() in {"?", "+"}:
            self.position += 1
        return times

    def _peek(self) -> str:
        return self.pattern[self.position : self.position + 1]

    def _next(self) -> str:
        sign = self._peek()
        self.position += 1
        return sign


def _character_range(first: str, last: str) -> str:
    if len(last) != 1:
        raise _UnsupportedPattern
    return "".join(map(chr, range(ord(first), min(ord(last), ord(first) + _MAX_RANGE) + 1)))
