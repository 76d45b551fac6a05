"""The shapes an error body comes in, read into one.

Sunra's own `{"error": {…}, "request_id": …}`, OpenAI's, `{"error": "text"}`, `{"detail": …}` as
text or as a list of findings, `{"object": "error", "message": …}`, `{"status": "failure", …}`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sunra_integrations.protocol.json_values import Json, count, text


class Told(NamedTuple):
    """What an error body says, whichever shape it has."""

    message: str | None = None
    code: str | None = None
    type: str | None = None
    reason: str | None = None
    details: Any = None
    retryable: bool | None = None
    request_id: str | None = None
    status: int | None = None


def has_error(body: Json) -> bool:
    """Whether a decoded 200 body or stream event carries an error."""
    return (
        bool(body.get("error"))
        or body.get("object") == "error"
        or (body.get("status") == "failure" and not body.get("choices"))
    )


def tell(body: object, *, top_level: bool) -> Told:
    """What an error body says.

    Args:
        body: The decoded body, of any shape.
        top_level: An object without `error` is itself the error: `{"message": …}`.
    """
    if isinstance(body, str):
        return Told(message=body)
    if not isinstance(body, dict):
        return Told()
    request_id = text(body.get("request_id"))
    match body.get("error"):
        case dict() as error:
            return _tell_object(error)._replace(
                request_id=request_id or text(error.get("request_id"))
            )
        case str() as message if message:
            return Told(message=message, code=text(body.get("code")), request_id=request_id)
        case _ if top_level or has_error(body):
            return _tell_object(body)
        case _:
            return Told(request_id=request_id)


def _tell_object(error: Json) -> Told:
    code = error.get("code")
    status = count(code) if not isinstance(code, str) else _status_in(code)
    details = error.get("details", error.get("detail"))
    retryable = error.get("retryable")
    return Told(
        message=text(error.get("message")) or _words_of(details) or _upstream_words(error),
        code=code if isinstance(code, str) and code else None if code is None else str(code),
        type=text(error.get("type")),
        reason=text(error.get("reason")),
        details=details,
        retryable=retryable if isinstance(retryable, bool) else None,
        request_id=text(error.get("request_id")),
        status=status if status is not None and 400 <= status < 600 else None,  # noqa: PLR2004 - HTTP's classes of errors
    )


def _words_of(details: object) -> str | None:
    """A `detail` given as text, or as a list of findings with a place and a message each."""
    match details:
        case str():
            return details or None
        case list():
            return "; ".join(map(_finding, details)) or None
        case _:
            return None


def _finding(item: object) -> str:
    if not isinstance(item, dict):
        return str(item)
    place = item.get("loc") or item.get("path") or item.get("param") or ()
    where = ".".join(map(str, place)) if isinstance(place, list) else str(place or "")
    message = str(item.get("msg") or item.get("message") or item)
    return f"{where}: {message}" if where else message


def _upstream_words(error: Json) -> str | None:
    return text(error.get("msg")) or text(error.get("error_message")) or text(error.get("reason"))


def _status_in(code: str) -> int | None:
    return int(code) if code.isdecimal() and len(code) == 3 else None  # noqa: PLR2004 - digits of an HTTP status
