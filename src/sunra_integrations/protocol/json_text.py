r"""JSON as models and servers write it: one policy for bodies, events and tool arguments.

Nearly all of it is valid, so pydantic-core reads first. What only the frameworks' own readers take
(`json.loads(…, strict=False)`) is read too:

- raw control characters in a string, as models write them in tool arguments;
- half of a surrogate pair (`"\ud83d"`), which is valid JSON but not text: it cannot be encoded.
  Two halves that a stream brings in two events are joined, any other half becomes U+FFFD;
- a byte order mark, and UTF-16 or UTF-32, before or of a whole body.

NaN and Infinity are numbers, the last of two equal keys counts, and an integer may have 4,300
digits, for both readers. Nesting beyond pydantic-core's limit is refused by both: whatever copies,
prints or stores such a value later would run into Python's recursion limit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import Any, NoReturn

from pydantic_core import from_json, to_json

Json = Mapping[str, Any]


class _Empty(dict[str, Any]):
    """An empty dict that stays empty (a MappingProxyType could be neither pickled nor encoded)."""

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("this shared empty mapping cannot be changed; make a copy")

    __setitem__ = __ior__ = setdefault = update = _refuse  # pyright: ignore[reportAssignmentType]

    def __hash__(self) -> int:  # type: ignore[override]
        return 0

    def __reduce__(self) -> str:
        return "EMPTY"


EMPTY: Json = _Empty()
"""The one empty mapping, shared by all that has nothing to say."""

_WORD = 2**63


def as_str(value: object) -> str | None:
    """The value if it is a non-empty string, else None."""
    return value if isinstance(value, str) and value else None


def dicts_in(value: object) -> tuple[Json, ...]:
    """The JSON objects of a list; empty where the value is no list."""
    if not value or not isinstance(value, list):
        return ()
    return tuple(item for item in value if isinstance(item, dict))


def without_keys(given: Json, known: frozenset[str]) -> Json:
    """The fields of other names than the known ones."""
    if known.issuperset(given):
        return EMPTY
    return {name: value for name, value in given.items() if name not in known}


def copy_json(value: Any) -> Any:
    """Decoded JSON again, sharing nothing that could be changed."""
    if isinstance(value, dict):
        return {name: copy_json(item) for name, item in value.items()}
    return [copy_json(item) for item in value] if isinstance(value, list) else value


def as_int(value: object) -> int | None:
    """A token count as an int; None where the value is no whole number, or none of 64 bits.

    Nothing is counted in more, and Python refuses to print an integer of thousands of digits.
    """
    # By type and not by `match`: this runs for every event, and bool is a subclass of int.
    if type(value) is int:
        return value if -_WORD <= value < _WORD else None
    if type(value) is float and -_WORD <= value < _WORD and value.is_integer():
        return int(value)
    return None


NO_ARGUMENTS = frozenset(("", "null", "false", "[]", '""'))
"""What servers send for a call without arguments; PHP writes an empty object as `[]`."""

MAX_DEPTH = 201
"""Levels of values within values that pydantic-core reads; more are refused."""

Path = tuple[object, ...]
"""A choice's index, and the names from its delta down to a value."""
_OF_A_DELTA = len(("choice", "field"))

_HALF = re.compile("[\ud800-\udfff]")
_FIRST_HALF = re.compile("[\ud800-\udbff]\\Z")
_SECOND_HALF = re.compile("[\udc00-\udfff]")
_REPLACEMENT = "\ufffd"
_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*\\?"?', re.DOTALL)
_UNFIT = re.compile(
    r"(?P<fit>\\u[dD][89abAB]\w\w\\u[dD][c-fC-F]\w\w)|(?P<half>\\u[dD][89a-fA-F]\w\w)"
    r"|(?P<escape>\\.)|(?P<control>[\x00-\x1f])",
    re.DOTALL,
)

_TOO_DEEP = f"it is nested more than {MAX_DEPTH} levels deep"

_WHOLE = frozenset(("id", "type", "format", "role", "name", "index"))
"""Strings of these names are repeated from event to event, or brought whole."""
_CONTINUED: Mapping[str, frozenset[str]] = {
    "content": frozenset(("text",)),
    "tool_calls": frozenset(("arguments",)),
    "reasoning_details": frozenset(("text", "summary", "data")),
    "annotations": frozenset(),
    "images": frozenset(),
}
"""The strings that go on within lists of a delta; of unknown fields, all but `_WHOLE` may."""


def read_json(data: bytes | str) -> Any:
    """The value that this JSON stands for.

    Raises:
        ValueError: It is not valid JSON by this module's policy.
    """
    try:
        return from_json(data)
    except (ValueError, TypeError) as error:  # TypeError: half a surrogate pair in a str
        return well_formed_value(_leniently_read(data, error))


def parse_partial_object(text: str) -> dict[str, Any]:
    """The fields so far of a JSON object that is still being written.

    Strings that have no end yet are left out, at any depth, as the frameworks' readers do.

    Args:
        text: The JSON as far as it was received. What is not an object has no fields.
    """
    try:
        try:
            fields = from_json(text, allow_partial=True)
        except (ValueError, TypeError):
            fields = from_json(to_strict_json(text), allow_partial=True)
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}


def to_strict_json(text: str) -> str:
    """The same JSON for strict readers, with escapes for the characters tolerated here.

    Text that is not JSON is changed inside its quotes at most.
    """
    return _STRING.sub(_strict_string, well_formed(text))


def well_formed(text: str) -> str:
    """The text with the halves of surrogate pairs joined, or replaced by U+FFFD where one lacks."""
    if not _HALF.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def well_formed_value(value: Any) -> Any:
    """The value with every text in it `well_formed`."""
    match value:
        case str():
            return well_formed(value)
        case dict():
            return {well_formed(name): well_formed_value(item) for name, item in value.items()}
        case list():
            return [well_formed_value(item) for item in value]
        case _:
            return value


class EventJsonReader:
    """Reads the events of one stream, and joins surrogate pairs that are split between two events.

    Half of a pair at the end of a text is held back until the text goes on, or until its choice is
    finished.
    """

    def __init__(self) -> None:
        self.halves: dict[Path, str] = {}
        """What is held back: the next event may complete it."""
        self.read_strictly: bool = False
        """Whether the last event was valid as it came, so that nothing in it was changed."""

    def read(self, data: bytes) -> Any:
        """The value of one event.

        Raises:
            ValueError: It is not valid JSON.
        """
        self.read_strictly = False
        try:
            value = from_json(data)
        except ValueError as error:
            value = _leniently_read(data, error)
        else:
            if not self.halves:
                self.read_strictly = True
                return value
        if isinstance(value, dict):
            self._join(value)
        return well_formed_value(value)

    def _join(self, event: dict[str, Any]) -> None:
        for place, choice in enumerate(dicts_in(event.get("choices"))):
            given = choice.get("index")
            index = given if type(given) is int else place
            delta = choice.get("delta")
            delta = delta if isinstance(delta, dict) else {}
            for name, value in delta.items():
                delta[name] = self._continued(value, (index, name))
            if choice.get("finish_reason"):
                self._finish(index, delta)
            if delta:
                choice["delta"] = delta  # type: ignore[index]  # decoded just now, so a dict

    def _continued(self, value: Any, path: Path) -> Any:
        """The value with the half held back for its place, without one at its own end."""
        match value:
            case str() if _goes_on(path):
                text = self._half_before(value, path) + value
                if _FIRST_HALF.search(text):
                    self.halves[path] = text[-1]
                    return text[:-1]
                return text
            case dict():
                return {name: self._continued(one, (*path, name)) for name, one in value.items()}
            case list():
                return [self._continued(one, (*path, _identity(one))) for one in value]
            case _:
                return value

    def _half_before(self, text: str, path: Path) -> str:
        """The half held back for a place; of a call, only the first piece may say which it is."""
        nameless = len(path) > _OF_A_DELTA and path[_OF_A_DELTA] is None
        if nameless and path not in self.halves and _SECOND_HALF.match(text):
            place = (*path[:_OF_A_DELTA], path[-1])
            alike = (held for held in self.halves if (*held[:_OF_A_DELTA], held[-1]) == place)
            path = next(alike, path)
        return self.halves.pop(path, "")

    def _finish(self, index: int, delta: dict[str, Any]) -> None:
        """Releases the halves of a finished choice, which nothing can complete.

        Only those of texts are shown: JSON or base64 that ends in one is broken as it is.
        """
        for path in [path for path in self.halves if path[0] == index]:
            del self.halves[path]
            name = str(path[1])
            before = delta.get(name)
            if len(path) > _OF_A_DELTA and (name != "content" or path[_OF_A_DELTA] != "text"):
                continue
            if isinstance(before, list):
                delta[name] = [*before, {"type": "text", "text": _REPLACEMENT}]
            elif isinstance(before or "", str):
                delta[name] = (before or "") + _REPLACEMENT


def _goes_on(path: Path) -> bool:
    """Whether the text in this place of a delta is continued by the next event's."""
    _, field, *_, name = *path, path[-1]
    continued = _CONTINUED.get(str(field)) if len(path) > _OF_A_DELTA else None
    return name not in _WHOLE if continued is None else name in continued


def _identity(item: Any) -> object:
    """The field that identifies an element of a list in the events of a stream."""
    given = item if isinstance(item, dict) else EMPTY
    for name in ("index", "id"):
        if isinstance(given.get(name), int | str):
            return given[name]
    kind = None if "function" in given else given.get("type")  # calls name theirs only once
    return kind if isinstance(kind, str) else None


def _leniently_read(data: bytes | str, refusal: Exception) -> Any:
    """The value as the frameworks read it; halves of surrogate pairs are left in it.

    Raises:
        ValueError: They refuse it too. The message is pydantic-core's.
    """
    try:
        value = json.loads(data, strict=False)
    except ValueError:
        raise ValueError(str(refusal)) from None
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    if _is_deeper(value, MAX_DEPTH):
        raise ValueError(_TOO_DEEP)
    return value


def _is_deeper(value: Any, levels: int) -> bool:
    level, deep = [value], 0
    while level and deep <= levels:
        deep += 1
        level = [
            inner
            for outer in level
            if isinstance(outer, list | dict)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return deep > levels


def _strict_string(string: re.Match[str]) -> str:
    return _UNFIT.sub(_strict_character, string.group())


def _strict_character(found: re.Match[str]) -> str:
    match found.lastgroup:
        case "half":
            return "\\ufffd"
        case "control":
            return f"\\u{ord(found.group()):04x}"
        case _:
            return found.group()


def parse_arguments(arguments: str) -> dict[str, Any] | None:
    """A call's arguments as a dict; None where they are no JSON object.

    There are none in what servers send for a call without arguments (`NO_ARGUMENTS`).
    """
    if arguments.strip() in NO_ARGUMENTS:
        return {}
    try:
        value = read_json(arguments)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


_MARK = re.compile(r'\\.|\\\Z|["{}\[\]]', re.DOTALL)


class JsonBalance:
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


LONG_STRING = 256 * 1024
"""Characters from which on a string is written in parts."""
_PART = 64 * 1024
_DEEPEST = 7
"""How deep a file lies in a body, with one to spare; what lies deeper is not looked at."""


def encode_json(value: Any) -> bytes:
    """What `to_json` makes of plain JSON; NaN and infinity are written as such.

    Raises:
        ValueError: Something in it has no JSON form.
    """
    pieces = list(_pieces(value, _DEEPEST))
    if len(pieces) == 1 and isinstance(pieces[0], bytes):
        return pieces[0]
    out = BytesIO()
    out.seek(sum(map(len, pieces)))  # room at once; grown step by step, it would be copied
    out.write(b"\0")
    out.seek(0)
    for piece in pieces:
        out.writelines((piece,) if isinstance(piece, bytes) else _inside_quotes(piece))
    out.truncate()
    return out.getvalue()


def encode_plain_json(value: Any) -> bytes:
    """As `json_bytes`, for values that hold no long string."""
    return to_json(value, inf_nan_mode="constants")


def has_long_string(value: Any, depth: int) -> bool:
    """Whether plain JSON is or holds a long string, no more than so many lists and dicts deep."""
    if type(value) is str:
        return len(value) >= LONG_STRING
    return any(has_long_string(item, depth - 1) for item in _items(value, depth))


def _pieces(value: Any, depth: int) -> Iterator[bytes | str]:
    """JSON, but for the insides of long strings, which are given as they are."""
    if not has_long_string(value, depth):
        yield encode_plain_json(value)
    elif type(value) is str:
        yield from (b'"', value, b'"')
    elif type(value) is list:
        for place, item in enumerate(value):
            yield b"," if place else b"["
            yield from _pieces(item, depth - 1)
        yield b"]"
    else:
        for place, (key, item) in enumerate(value.items()):
            yield (b"," if place else b"{") + to_json(key) + b":"
            yield from _pieces(item, depth - 1)
        yield b"}"


def _inside_quotes(text: str) -> Iterator[bytes]:
    """JSON escapes each character by itself, so what is made of parts is made of the whole."""
    for start in range(0, len(text), _PART):
        yield to_json(text[start : start + _PART])[1:-1]


def _items(value: Any, depth: int) -> Any:
    """What lies within; nothing where that is not plain JSON, and `to_json` decides."""
    if depth and type(value) is list:
        return value
    if depth and type(value) is dict and all(type(key) is str for key in value):
        return value.values()
    return ()
