r"""JSON as models and servers write it: one policy for bodies, events and tool arguments.

Nearly all of it is valid, so pydantic-core reads it first. The readers of LangChain and LlamaIndex
(`json.loads(…, strict=False)`) accept more, and this module reads that too:

- Raw control characters in a string, as models write them in tool arguments.
- Half of a surrogate pair (`"\\ud83d"`). It is valid JSON, but the text cannot be encoded. Two
  halves in two events of a stream are joined; any other half becomes U+FFFD.
- A byte order mark, UTF-16 and UTF-32.

NaN and Infinity are numbers, the last of two equal keys counts, and an integer has up to 4,300
digits. Nesting beyond pydantic-core's limit is rejected, because copying, printing or storing such
a value reaches Python's recursion limit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from pydantic_core import from_json

MAX_DEPTH = 201
"""Deepest nesting that pydantic-core reads."""
_TOO_DEEP = f"it is nested more than {MAX_DEPTH} levels deep"

NO_ARGUMENTS = frozenset(("", "null", "false", "[]", '""'))
"""Spellings of no arguments. `[]` is an empty object encoded by PHP.

https://github.com/nextcloud/integration_openai/pull/243, https://github.com/agno-agi/agno/pull/6303
"""


def read_json(data: bytes | str) -> Any:
    """The value of this JSON.

    Raises:
        ValueError: The JSON is not valid by the policy of this module.
    """
    try:
        return from_json(data)
    except (ValueError, TypeError) as error:  # TypeError: half of a surrogate pair in a str
        return well_formed_value(_read_leniently(data, error))


def parse_arguments(arguments: str) -> dict[str, Any] | None:
    """The arguments of a tool call as a dict; None if they are not a JSON object.

    The spellings in `NO_ARGUMENTS` give an empty dict.
    """
    if arguments.strip() in NO_ARGUMENTS:
        return {}
    try:
        value = read_json(arguments)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def parse_partial_object(text: str) -> dict[str, Any]:
    """The fields so far of a JSON object that is still being written.

    Unfinished strings are left out at any depth, as LangChain and LlamaIndex leave them out.

    Args:
        text: The JSON received so far. Anything but an object has no fields.
    """
    try:
        try:
            fields = from_json(text, allow_partial=True)
        except (ValueError, TypeError):
            fields = from_json(to_strict_json(text), allow_partial=True)
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}


def _read_leniently(data: bytes | str, rejection: Exception) -> Any:
    """The value as the frameworks read it. Halves of surrogate pairs stay in it.

    Raises:
        ValueError: The frameworks reject it too. The message is pydantic-core's.
    """
    try:
        value = json.loads(data, strict=False)
    except ValueError:
        raise ValueError(str(rejection)) from None
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    if _is_deeper(value, MAX_DEPTH):
        raise ValueError(_TOO_DEEP)
    return value


def _is_deeper(value: Any, levels: int) -> bool:
    level, depth = [value], 0
    while level and depth <= levels:
        depth += 1
        level = [
            inner
            for outer in level
            if isinstance(outer, list | dict)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return depth > levels


# ── tolerant access to decoded JSON ──────────────────────────────────────────

Json = Mapping[str, Any]


class _Empty(dict[str, Any]):
    """An immutable empty dict. A MappingProxyType cannot be pickled or encoded as JSON."""

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("this shared empty mapping is immutable; make a copy")

    __setitem__ = __ior__ = setdefault = update = _refuse  # pyright: ignore[reportAssignmentType]

    def __hash__(self) -> int:  # type: ignore[override]
        return 0

    def __reduce__(self) -> str:
        return "EMPTY"


EMPTY: Json = _Empty()
"""The shared empty mapping."""

_INT64 = 2**63


def as_str(value: object) -> str | None:
    """The value if it is a non-empty string; otherwise None."""
    return value if isinstance(value, str) and value else None


def as_int(value: object) -> int | None:
    """The value as an int, or None unless it is an integer that fits in 64 bits.

    Python refuses to print integers of thousands of digits, so longer ones count as missing.
    """
    # `type()` rather than `match`: this runs for every event, and bool is a subclass of int.
    if type(value) is int:
        return value if -_INT64 <= value < _INT64 else None
    if type(value) is float and -_INT64 <= value < _INT64 and value.is_integer():
        return int(value)
    return None


def dicts_in(value: object) -> tuple[Json, ...]:
    """The dicts in a list; empty if the value is not a list."""
    if not value or not isinstance(value, list):
        return ()
    return tuple(item for item in value if isinstance(item, dict))


def without_keys(fields: Json, keys: frozenset[str]) -> Json:
    """The fields with other names than these."""
    if keys.issuperset(fields):
        return EMPTY
    return {name: value for name, value in fields.items() if name not in keys}


def copy_json(value: Any) -> Any:
    """A deep copy of decoded JSON."""
    if isinstance(value, dict):
        return {name: copy_json(item) for name, item in value.items()}
    return [copy_json(item) for item in value] if isinstance(value, list) else value


# ── text that can be encoded ─────────────────────────────────────────────────

_SURROGATE = re.compile("[\ud800-\udfff]")
_FIRST_HALF = re.compile("[\ud800-\udbff]\\Z")
_SECOND_HALF = re.compile("[\udc00-\udfff]")
_REPLACEMENT = "\ufffd"
_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*\\?"?', re.DOTALL)
_NOT_STRICT = re.compile(
    r"(?P<pair>\\u[dD][89abAB]\w\w\\u[dD][c-fC-F]\w\w)|(?P<half>\\u[dD][89a-fA-F]\w\w)"
    r"|(?P<escape>\\.)|(?P<control>[\x00-\x1f])",
    re.DOTALL,
)


def to_strict_json(text: str) -> str:
    """The same JSON for strict readers, with escapes for the characters tolerated here.

    In text that is not JSON, only the insides of quotes change.
    """
    return _STRING.sub(_escape_string, well_formed(text))


def well_formed(text: str) -> str:
    """The text with halves of surrogate pairs joined. A half without its other becomes U+FFFD."""
    if not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def well_formed_value(value: Any) -> Any:
    """The value with `well_formed` applied to every text in it."""
    match value:
        case str():
            return well_formed(value)
        case dict():
            return {well_formed(name): well_formed_value(item) for name, item in value.items()}
        case list():
            return [well_formed_value(item) for item in value]
        case _:
            return value


def _escape_string(string: re.Match[str]) -> str:
    return _NOT_STRICT.sub(_escape_character, string.group())


def _escape_character(found: re.Match[str]) -> str:
    match found.lastgroup:
        case "half":
            return "\\ufffd"
        case "control":
            return f"\\u{ord(found.group()):04x}"
        case _:
            return found.group()


# ── events of a stream ───────────────────────────────────────────────────────

Path = tuple[object, ...]
"""A choice's index, and the names from its delta down to a value."""
_FIELD_DEPTH = len(("choice", "field"))

_NEVER_CONTINUED = frozenset(("id", "type", "format", "role", "name", "index"))
"""Strings that every event repeats, or that come in one event."""
_CONTINUED: Mapping[str, frozenset[str]] = {
    "content": frozenset(("text",)),
    "tool_calls": frozenset(("arguments",)),
    "reasoning_details": frozenset(("text", "summary", "data")),
    "annotations": frozenset(),
    "images": frozenset(),
}
"""Strings that the next event continues, within lists of a delta. For unknown fields, all but
`_NEVER_CONTINUED`."""


class EventJsonReader:
    """Reads the events of one stream, and joins surrogate pairs that two events share.

    Half of a pair at the end of a text is held until the text continues or its choice finishes.
    """

    def __init__(self) -> None:
        self.held_surrogates: dict[Path, str] = {}
        """First halves of pairs. The next event may complete them."""
        self.was_strict: bool = False
        """Whether the last event was valid, so that nothing in it was changed."""

    def read(self, data: bytes) -> Any:
        """The value of one event.

        Raises:
            ValueError: The event is not valid JSON.
        """
        self.was_strict = False
        try:
            value = from_json(data)
        except ValueError as error:
            value = _read_leniently(data, error)
        else:
            if not self.held_surrogates:
                self.was_strict = True
                return value
        if isinstance(value, dict):
            self._join(value)
            if isinstance(value.get("delta"), str):  # an event of `/v1/responses`
                self._join_delta(value)
        return well_formed_value(value)

    def _join_delta(self, event: dict[str, Any]) -> None:
        item = event.get("output_index", event.get("item_id"))
        part = event.get("content_index", event.get("summary_index"))
        path = (str(event.get("type")), str(item), str(part))
        text = self.held_surrogates.pop(path, "") + event["delta"]
        if _FIRST_HALF.search(text):
            self.held_surrogates[path] = text[-1]
            text = text[:-1]
        event["delta"] = text

    def _join(self, event: dict[str, Any]) -> None:
        for place, choice in enumerate(dicts_in(event.get("choices"))):
            given = choice.get("index")
            index = given if type(given) is int else place
            delta = choice.get("delta")
            delta = delta if isinstance(delta, dict) else {}
            for name, value in delta.items():
                delta[name] = self._join_value(value, (index, name))
            if choice.get("finish_reason"):
                self._finish(index, delta)
            if delta:
                choice["delta"] = delta  # type: ignore[index]  # decoded just now, so a dict

    def _join_value(self, value: Any, path: Path) -> Any:
        """The value with the half held for its place, and without a half at its own end."""
        match value:
            case str() if _is_continued(path):
                text = self._held_half(value, path) + value
                if _FIRST_HALF.search(text):
                    self.held_surrogates[path] = text[-1]
                    return text[:-1]
                return text
            case dict():
                return {name: self._join_value(one, (*path, name)) for name, one in value.items()}
            case list():
                return [self._join_value(one, (*path, _identity(one))) for one in value]
            case _:
                return value

    def _held_half(self, text: str, path: Path) -> str:
        """The half held for a place. Only the first delta of a call may have its id."""
        is_anonymous = len(path) > _FIELD_DEPTH and path[_FIELD_DEPTH] is None
        if is_anonymous and path not in self.held_surrogates and _SECOND_HALF.match(text):
            place = (*path[:_FIELD_DEPTH], path[-1])
            similar = (
                held for held in self.held_surrogates if (*held[:_FIELD_DEPTH], held[-1]) == place
            )
            path = next(similar, path)
        return self.held_surrogates.pop(path, "")

    def _finish(self, index: int, delta: dict[str, Any]) -> None:
        """Releases the halves of a finished choice, which nothing can complete.

        Only text gets a replacement character. JSON or base64 that ends in a half is broken anyway.
        """
        for path in [path for path in self.held_surrogates if path[0] == index]:
            del self.held_surrogates[path]
            name = str(path[1])
            before = delta.get(name)
            if len(path) > _FIELD_DEPTH and (name != "content" or path[_FIELD_DEPTH] != "text"):
                continue
            if isinstance(before, list):
                delta[name] = [*before, {"type": "text", "text": _REPLACEMENT}]
            elif isinstance(before or "", str):
                delta[name] = (before or "") + _REPLACEMENT


def _is_continued(path: Path) -> bool:
    """Whether the next event may continue the text at this place of a delta."""
    _, field, *_, name = *path, path[-1]
    continued = _CONTINUED.get(str(field)) if len(path) > _FIELD_DEPTH else None
    return name not in _NEVER_CONTINUED if continued is None else name in continued


def _identity(item: Any) -> object:
    """The field that identifies an element of a list throughout a stream."""
    fields = item if isinstance(item, dict) else EMPTY
    for name in ("index", "id"):
        if isinstance(fields.get(name), int | str):
            return fields[name]
    kind = None if "function" in fields else fields.get("type")  # calls have a type only once
    return kind if isinstance(kind, str) else None


# ── JSON in several parts ────────────────────────────────────────────────────

_MARK = re.compile(r'\\.|\\\Z|["{}\[\]]', re.DOTALL)


class JsonBalance:
    """Whether the JSON so far has closed every bracket it opened.

    It tells when parsing is worthwhile, not whether the JSON is valid. It reads each part once.
    """

    __slots__ = ("_depth", "_has_excess", "_in_string", "_open_escape", "_was_opened")

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = False
        self._was_opened = False
        self._has_excess = False  # text after the end of the value, which no parser accepts
        self._open_escape = ""

    @property
    def is_closed(self) -> bool:
        """Whether one value began and ended, and nothing follows it."""
        return self._was_opened and not self._depth and not self._in_string and not self._has_excess

    def feed(self, part: str) -> None:
        """Reads the next part."""
        if self.is_closed and part.strip():
            self._has_excess = True
        text = self._open_escape + part
        self._open_escape = ""
        for match in _MARK.finditer(text):
            mark = match.group()
            if mark == '"':
                self._in_string = not self._in_string
            elif mark == "\\":
                self._open_escape = mark
            elif not self._in_string and mark in "{[":
                self._has_excess = self._has_excess or (self._was_opened and not self._depth)
                self._was_opened = True
                self._depth += 1
            elif not self._in_string and mark in "}]":
                self._depth -= 1
