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
_SIGNED = frozenset(("signature", "data", "encrypted_content"))
"""What a vendor signed or encrypted in a reasoning detail: it is valid only as it came."""
_WRITTEN_ON = frozenset(("text", "summary", "thinking"))
"""Strings of these names in a reasoning detail are continued; all others are its own."""
_LISTS_OF_DETAILS = frozenset(("thinking_blocks",))
"""Unknown lists that hold reasoning details: LiteLLM streams Claude's thinking in these."""


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
                if name not in _LISTS_OF_DETAILS:
                    total[name] = list(chain.from_iterable(run))
                    continue
                first, *more = run
                # What is before the last detail is finished: joined again at each piece of a
                # stream, it would take time in the square of the number of details.
                total[name] = [
                    *first[:-1],
                    *joined_details(chain(first[-1:], chain.from_iterable(more))),
                ]
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
            return name not in _SAID_ONCE and not name.endswith("signature")
        case (list(), list()) | (dict(), dict()):
            return True
        case _:
            return False


def joined_details(pieces: Iterable[Any]) -> list[Any]:
    """Reasoning details of a stream put together, ready to be replayed.

    Text and summaries are continued. A detail that is signed or encrypted is finished, because
    its vendor checks the signature against exactly what was signed.
    """
    # Gathered first and joined once: joining at each piece would copy all that came before it.
    details: list[tuple[Any, list[Any]]] = []
    for piece in pieces:
        if details and _continues(details[-1][0], piece):
            known, run = details[-1]
            known.update(
                {name: value for name, value in piece.items() if value or not known.get(name)}
            )
            run.append(piece)
        else:
            details.append((dict(piece) if isinstance(piece, dict) else piece, [piece]))
    return [run[0] if len(run) == 1 else _continued(known, run) for known, run in details]


def _continues(known: Any, piece: Any) -> bool:
    """Whether a piece continues a detail, without a field that differs."""
    if not isinstance(known, dict) or not isinstance(piece, dict):
        return False
    # Some servers repeat the signature with each piece of the text that it signs.
    same_signature = known.get("signature") and known["signature"] == piece.get("signature")
    is_finished = any(known.get(name) for name in _SIGNED) or piece.get("data")
    if is_finished and not same_signature:
        return False
    if piece.get("id") and known.get("id") != piece["id"]:
        return False
    return all(known.get(name) == piece.get(name) for name in ("type", "index")) and all(
        not value
        or not known.get(name)
        or known[name] == value
        or (name in _WRITTEN_ON and isinstance(value, str) and isinstance(known[name], str))
        for name, value in piece.items()
    )


def _continued(known: dict[str, Any], run: list[Json]) -> Json:
    """The pieces of one detail as one."""
    written = {
        name: "".join(piece[name] for piece in run if isinstance(piece.get(name), str))
        for name in _WRITTEN_ON
        if isinstance(known.get(name), str)
    }
    return {**known, **written}


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
