"""Reads a request body as strict JSON: what most servers let pass by chance is refused here."""

import json
import math
import re
from typing import Any, NoReturn

MAX_DEPTH = 96

_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class NotJson(ValueError):
    """The body is not JSON; the message says where and why."""


def read(body: bytes) -> Any:
    """The value a body holds.

    Refused: an empty body, bytes that are not UTF-8 (a byte order mark included), NaN, Infinity
    and numbers beyond a float, a key given twice, half a surrogate pair, and nesting deeper than
    `MAX_DEPTH`.

    Args:
        body: The bytes as received.

    Raises:
        NotJson: With the reason.
    """
    if not body.strip():
        raise NotJson("the body is empty")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotJson(f"the body is not UTF-8: byte {error.start}") from error
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_float=_float,
        )
    except RecursionError:
        raise NotJson(_TOO_DEEP) from None
    except NotJson:
        raise
    except ValueError as error:
        raise NotJson(str(error)) from error
    _refuse_depth(value)
    if _ESCAPED_SURROGATE.search(body):
        _refuse_lone_surrogates(value)
    return value


_TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise NotJson(f"the key {twice!r} is given twice in one object")
    return found


def _constant(name: str) -> NoReturn:
    raise NotJson(f"{name} is not JSON")


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise NotJson(f"{digits[:40]} is beyond the range of a number")
    return value


def _refuse_depth(value: Any) -> None:
    """Looks level by level, so that depth itself cannot exhaust the stack."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return
    raise NotJson(_TOO_DEEP)


def _inside(value: Any) -> list[Any]:
    match value:
        case dict():
            children = list(value.values())
        case list():
            children = value
        case _:
            children = []
    return [child for child in children if isinstance(child, dict | list)]


def _refuse_lone_surrogates(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise NotJson("a string holds half of a surrogate pair") from None
