"""JSON of a request that carries files, without a second copy of them in memory.

`to_json` writes into a buffer and copies that into the bytes it returns. For ten megabytes of image
the second copy matters, so long strings are written part by part into the bytes to be.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Any

from pydantic_core import to_json

LONG = 256 * 1024
"""Characters from which on a string is written in parts."""
_PART = 64 * 1024
_DEEPEST = 7
"""How deep a file lies in a body, with one to spare; what lies deeper is not looked at."""


def json_bytes(value: Any) -> bytes:
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


def plain_json_bytes(value: Any) -> bytes:
    """As `json_bytes`, for values that hold no long string."""
    return to_json(value, inf_nan_mode="constants")


def holds_long(value: Any, depth: int) -> bool:
    """Whether plain JSON is or holds a long string, no more than so many lists and dicts deep."""
    if type(value) is str:
        return len(value) >= LONG
    return any(holds_long(item, depth - 1) for item in _items(value, depth))


def _pieces(value: Any, depth: int) -> Iterator[bytes | str]:
    """JSON, but for the insides of long strings, which are given as they are."""
    if not holds_long(value, depth):
        yield plain_json_bytes(value)
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
