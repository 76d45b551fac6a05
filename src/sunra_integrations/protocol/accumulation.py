"""Adds up fields that come in pieces, all pieces at once.

Joined at each piece, everything that came before would be copied each time.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any

from sunra_integrations.protocol.json_values import Json

_SAID_ONCE = frozenset(("id", "type", "format", "role", "name", "index"))
"""Strings of these names are repeated by servers, not continued."""
_WRITTEN_ON = frozenset(("text", "summary", "data"))
"""Strings of these names in a reasoning detail are continued; all others are its own."""


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


def merge(total: dict[str, Any], fields: Json) -> None:
    """Puts unknown fields of an event, a choice or a call over those of the ones before.

    Objects are merged; of anything else the last value counts, and null is not a value. The fields
    themselves stay as they are.
    """
    for name, value in fields.items():
        if value is None:
            continue
        before = total.get(name)
        if isinstance(value, dict) and isinstance(before, dict):
            total[name] = merged = dict(before)
            merge(merged, value)
        else:
            total[name] = value


def _goes_on(name: str, last: object, value: object) -> bool:
    match last, value:
        case (str(), str()):
            return name not in _SAID_ONCE
        case (list(), list()) | (dict(), dict()):
            return True
        case _:
            return False


def join_details(joined: list[Json], pieces: Iterable[Json]) -> None:
    """Appends reasoning details piece to piece, unchanged in all else, ready to be replayed.

    Pieces of one detail share type and index; their text, summary and data are continued.
    """
    # Gathered first and joined once: joining at each piece would copy all that came before it.
    details = [[joined.pop()]] if joined else []
    for piece in pieces:
        if details and _continues(details[-1][0], piece):
            details[-1].append(piece)
        else:
            details.append([piece])
    joined.extend(pieces[0] if len(pieces) == 1 else _continued(pieces) for pieces in details)


def _continues(first: Json, piece: Json) -> bool:
    same_id = not piece.get("id") or first.get("id") == piece.get("id")
    return same_id and all(first.get(name) == piece.get(name) for name in ("type", "index"))


def _continued(pieces: list[Json]) -> Json:
    """The pieces of one detail as one; of a field that is no text, the last one said counts."""
    joined: dict[str, Any] = {}
    written: dict[str, list[str]] = {}
    for piece in pieces:
        for name, value in piece.items():
            if name in _WRITTEN_ON and isinstance(value, str):
                written.setdefault(name, []).append(value)
            if value is not None or name not in joined:
                joined[name] = value
    return joined | {
        name: "".join(texts) for name, texts in written.items() if isinstance(joined[name], str)
    }


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
