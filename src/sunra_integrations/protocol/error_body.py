"""Error bodies of any known shape to `ErrorFields`.

The shapes:

- `{"error": {…}, "request_id": …}` from Sunra, and `{"error": {…}}` from OpenAI;
- `{"error": "text"}`, also with a sentence (`{"error": "Bad Request", "message": …}`);
- `{"detail": …}`, with text or a list of findings;
- `{"object": "error", "message": …}` and `{"status": "failure", …}`;
- `[{"error": {…}}]` from Gemini, and `{"errors": [{…}]}`.

An error may contain the message of the server behind the gateway. Often only that message says
what went wrong.
"""

from __future__ import annotations

import html
import re
from typing import Any, NamedTuple

from sunra_integrations.protocol.json_text import EMPTY, Json, as_int, as_str, dicts_in, read_json

_KNOWN_FIELDS = frozenset(
    ("code", "type", "error_type", "reason", "details", "detail", "retryable", "request_id")
)
_COMPLETION_FIELDS = frozenset(
    [
        "id",
        "object",
        "created",
        "model",
        "choices",
        "usage",
        "system_fingerprint",
        "index",
        "delta",
        "message",
        "finish_reason",
        "logprobs",
    ]
)


_MAX_LEVELS = 4
_MAX_ERRORS = 20
_MAX_PAGE = 4096
_DIGITS = re.compile("[0-9]{3}")
_MARKUP = re.compile(r"<(script|style)\b.*?(?:</\1>|$)|<[^>]*>?", re.IGNORECASE | re.DOTALL)


MODEL_OUTPUT = "The model wrote: "
"""The model's output follows these words in `ErrorFields.upstream`."""


class ErrorFields(NamedTuple):
    """The content of an error body, whatever its shape."""

    message: str | None = None
    code: str | None = None
    type: str | None = None
    reason: str | None = None
    details: Any = None
    retryable: bool | None = None
    request_id: str | None = None
    status: int | None = None
    upstream: str | None = None
    """The upstream server's message, and the model's output that it rejected."""
    upstream_code: str | None = None
    param: str | None = None
    """The request parameter that the error is about; the upstream server's if there is none."""


def has_error(body: object) -> bool:
    """Whether a decoded body of status 200, a stream event or a choice contains an error."""
    if isinstance(body, list):
        return any(map(has_error, dicts_in(body)))
    if not isinstance(body, dict):
        return False
    return (
        bool(body.get("error") or _error_from_groq(body))
        or body.get("object") == "error"
        or (not body.get("choices") and (body.get("status") == "failure" or _errors_in(body) != ()))
    )


def is_bare_error(body: Json) -> bool:
    """Whether an object instead of a completion is itself an error: `{"message": "…"}`."""
    words = (
        as_str(body.get(name)) for name in ("message", "Message", "error_msg", "error_message")
    )
    return "choices" not in body and ("detail" in body or any(words))


def parse_error_body(body: object, *, top_level: bool, levels: int = _MAX_LEVELS) -> ErrorFields:
    """The content of an error body.

    Args:
        body: The decoded body.
        top_level: An object without `error` is itself the error: `{"message": …}`.
        levels: How many levels of nested errors are read.
    """
    if isinstance(body, str):
        return ErrorFields(message=body)
    if levels == 0:
        return ErrorFields()
    if isinstance(body, list):
        return _parse_list(body, levels, top_level=top_level)
    if not isinstance(body, dict):
        return ErrorFields()
    request_id = as_str(body.get("request_id"))
    match body.get("error") or _error_from_groq(body) or list(_errors_in(body)):
        case dict() as error:
            fields = _parse_object(error, levels)
        case str() as short:
            beside = {k: v for k, v in body.items() if k not in _COMPLETION_FIELDS and k != "error"}
            fields = _parse_object({**beside, "message": _with_sentence(short, body)}, levels)
        case list() as several if several:
            fields = _parse_list(several, levels, top_level=True)
        case _ if top_level or has_error(body):
            fields = _parse_object(body, levels)
        case _:
            fields = ErrorFields()
    return fields._replace(request_id=request_id or fields.request_id)


def _error_from_groq(body: Json) -> object:
    """Groq reports errors within a stream in the event's `x_groq` field."""
    given = body.get("x_groq")
    return given.get("error") if isinstance(given, dict) else None


def _with_sentence(short: str, body: Json) -> str:
    """An error given as text, with the sentence that some servers put beside it."""
    message = body.get("message")
    sentence = as_str(message) or _detail_text(message) or as_str(body.get("error_description"))
    return f"{short}: {sentence}" if sentence and sentence != short else short


def _errors_in(body: Json) -> tuple[Json, ...]:
    return dicts_in(body.get("errors"))


def _parse_list(several: list[Any], levels: int, *, top_level: bool) -> ErrorFields:
    """The fields of the first of these errors, with the messages of all of them."""
    found = [
        fields
        for one in several[:_MAX_ERRORS]
        if isinstance(one, (dict, str))
        and (fields := parse_error_body(one, top_level=top_level, levels=levels - 1)).message
    ]
    if not found:
        return ErrorFields()
    first = found[0]
    if len(found) == 1:
        return first
    return first._replace(
        message="; ".join(one.message for one in found if one.message), details=several
    )


def _parse_object(error: Json, levels: int) -> ErrorFields:
    code = error.get("code")
    message = error.get("message")
    words = as_str(message) or parse_error_body(message, top_level=True, levels=levels - 1).message
    details = error.get("details", error.get("detail"))
    retryable = error.get("retryable")
    upstream = _upstream(error, levels - 1)
    return ErrorFields(
        message=words or _detail_text(details) or _other_message(error),
        code=code if isinstance(code, str) and code else None if code is None else str(code),
        type=_type(error),
        reason=as_str(error.get("reason")),
        details=_details(error, details),
        retryable=retryable if isinstance(retryable, bool) else None,
        request_id=as_str(error.get("request_id")),
        status=_status(error),
        upstream=_upstream_message(error, upstream),
        upstream_code=upstream.code or upstream.type,
        param=as_str(error.get("param")) or upstream.param,
    )


def _details(error: Json, details: Any) -> Any:
    """The error's `details`, and all its fields that are not known."""
    others = {
        name: value
        for name, value in error.items()
        if name not in _KNOWN_FIELDS
        and value is not None
        and not (name in {"message", "object", "status"} and isinstance(value, str))
    }
    if not others:
        return details
    if isinstance(details, dict):
        return {**others, **details}
    return others if details is None else {**others, "details": details}


def _upstream(error: Json, levels: int) -> ErrorFields:
    """The upstream error: `metadata.raw` of OpenRouter, or `innererror` of Azure."""
    raw = _metadata(error).get("raw")
    if not isinstance(raw, str):
        return parse_error_body(
            error.get("innererror") if raw is None else raw, top_level=True, levels=levels
        )
    try:
        value = read_json(raw)
    except ValueError:
        value = page_text(raw) or raw
    fields = parse_error_body(value, top_level=True, levels=levels)
    return fields if fields.message else ErrorFields(message=raw or None)


def _upstream_message(error: Json, upstream: ErrorFields) -> str | None:
    words = ""
    if upstream.message:
        words = f"{as_str(_metadata(error).get('provider_name')) or 'Upstream'}: {upstream.message}"
    if written := as_str(error.get("failed_generation")):
        # Groq's field for output that its own validation rejected
        words = f"{words.rstrip('.')}. {MODEL_OUTPUT}{written}".lstrip(". ")
    return words or None


def _metadata(error: Json) -> Json:
    metadata = error.get("metadata")
    return metadata if isinstance(metadata, dict) else EMPTY


def page_text(page: str) -> str | None:
    """The title of an HTML or XML page, or its text if it has none; None if this is not a page."""
    page = page[:_MAX_PAGE].lstrip()
    if not page.startswith("<"):
        return None
    title = re.search(r"<title[^>]*>(.*?)</title>", page, re.IGNORECASE | re.DOTALL)
    text = html.unescape(title[1] if title else _MARKUP.sub(" ", page)).strip()
    return f"Received a page instead of JSON: {text}" if text else "Received a page instead of JSON"


def _type(error: Json) -> str | None:
    """The error's type, under the names of several vendors. AWS puts a namespace before it."""
    from_aws = (as_str(error.get("__type")) or "").rpartition("#")[2]
    named = as_str(error.get("type")) or as_str(error.get("error_type")) or from_aws
    status = as_str(error.get("status"))  # Google's name of the error, such as RESOURCE_EXHAUSTED
    return named or (status if status is not None and status.isupper() else None)


def _status(error: Json) -> int | None:
    """The HTTP status in an error, which is the only one for an error in a stream or a 200."""
    for name in ("code", "status", "statusCode"):
        given = error.get(name)
        status = (
            int(given) if isinstance(given, str) and _DIGITS.fullmatch(given) else as_int(given)
        )
        if status is not None and 400 <= status < 600:  # noqa: PLR2004 - the error statuses of HTTP
            return status
    return None


def _detail_text(details: object) -> str | None:
    """A `detail` given as text, or as a list of findings with a location and a message each."""
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


def _other_message(error: Json) -> str | None:
    names = ("msg", "error_msg", "error_message", "Message", "title", "reason")
    return next(filter(None, (as_str(error.get(name)) for name in names)), None)
