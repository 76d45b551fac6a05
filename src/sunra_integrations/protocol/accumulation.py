"""Adds up fields that come in pieces, all pieces at once.

Joined at each piece, everything that came before would be copied each time.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any

from sunra_integrations.protocol.responses import Json

_SAID_ONCE = frozenset(("id", "type", "format", "role", "name", "index"))
"""Strings of these names are repeated by servers, not continued."""


def accumulated(pieces: Iterable[Json]) -> dict[str, Any]:
    """Unknown delta fields added up as deltas are: text continued, lists and objects joined."""
    runs: dict[str, list[Any]] = {}
    for piece in pieces:
        for name, value in piece.items():
            if value is None:
                continue
            run = runs.get(name)
            if run is not None and _goes_on(name, run[-1], value):
                run.append(value)
            else:
                runs[name] = [value]
    total: dict[str, Any] = {}
    for name, run in runs.items():
        match run:
            case [alone]:
                total[name] = alone
            case [str(), *_]:
                total[name] = "".join(run)
            case [list(), *_]:
                total[name] = list(chain.from_iterable(run))
            case _:
                total[name] = accumulated(run)
    return total


def _goes_on(name: str, last: object, value: object) -> bool:
    match last, value:
        case (str(), str()):
            return name not in _SAID_ONCE
        case (list(), list()) | (dict(), dict()):
            return True
        case _:
            return False


def with_joined_text(parts: Iterable[Json]) -> tuple[Json, ...]:
    """The parts in their order, runs of plain text made one part."""
    joined: list[Json] = []
    texts: list[str] = []
    for part in parts:
        if _is_plain_text(part):
            texts.append(part["text"])
            continue
        if texts:
            joined.append(text_part("".join(texts)))
            texts = []
        joined.append(part)
    return (*joined, text_part("".join(texts))) if texts else tuple(joined)


def text_part(value: str) -> Json:
    """A content part that is plain text."""
    return {"type": "text", "text": value}


def _is_plain_text(part: Json) -> bool:
    return (
        len(part) == len(("type", "text"))
        and part.get("type") == "text"
        and isinstance(part.get("text"), str)
    )
