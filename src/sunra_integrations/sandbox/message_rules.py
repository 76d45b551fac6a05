"""The rules of ``messages``: roles, content parts, and tool calls that are answered in turn."""

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from .checks import (
    NON_EMPTY,
    TEXT,
    Check,
    Problem,
    anything,
    breaks_rule,
    list_of,
    nullable,
    object_of,
    one_of,
    string,
    wrong_type,
)

ROLES = ("system", "developer", "user", "assistant", "tool")

_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)(?:;[\w-]+=[^;,]*)*;base64,")


def check_messages(path: str, value: Any) -> Iterator[Problem]:
    """Every problem of a conversation, in its order."""
    found = list(list_of(_message, least=1)(path, value))
    yield from found
    if not found:
        yield from _unanswered_calls(path, value)


def _message(path: str, value: Any) -> Iterator[Problem]:
    if not isinstance(value, dict):
        yield wrong_type(path, value, "an object")
        return
    role = value.get("role")
    if role not in _MESSAGES:
        rule = "one of " + ", ".join(ROLES)
        wrong = breaks_rule if isinstance(role, str) else wrong_type
        yield wrong(f"{path}.role", role, rule)
        return
    yield from _MESSAGES[role](path, value)
    if role == "assistant":
        yield from _says_something(path, value)


def _says_something(path: str, message: dict[str, Any]) -> Iterator[Problem]:
    """Content may be null or missing only where something else stands in its place."""
    substitutes = ("tool_calls", "refusal", "reasoning", "reasoning_content", "audio")
    if message.get("content") is None and not any(message.get(key) for key in substitutes):
        yield breaks_rule(
            f"{path}.content", None, "present (it may be null only beside tool_calls or a refusal)"
        )


def _unanswered_calls(path: str, messages: list[dict[str, Any]]) -> Iterator[Problem]:
    """Each tool call is answered once, before anyone else speaks; each answer has its call."""
    waiting: dict[str, int] = {}
    for index, message in enumerate(messages):
        where = f"{path}[{index}]"
        if message["role"] == "tool":
            answered = message["tool_call_id"]
            if waiting.pop(answered, None) is None:
                rule = "the id of an unanswered tool call of the assistant message before it"
                yield breaks_rule(f"{where}.tool_call_id", answered, rule)
            continue
        yield from _still_waiting(path, waiting, f"before {where}")
        ids = [call["id"] for call in message.get("tool_calls") or ()]
        waiting = dict.fromkeys(ids, index)
        if len(waiting) != len(ids):
            yield breaks_rule(f"{where}.tool_calls", ids, "a list of distinct ids")
    yield from _still_waiting(path, waiting, "by the end")


def _still_waiting(path: str, waiting: dict[str, int], when: str) -> Iterator[Problem]:
    for call_id, index in waiting.items():
        rule = f"answered by a tool message {when}"
        yield breaks_rule(f"{path}[{index}].tool_calls", call_id, rule)


# ── content ──────────────────────────────────────────────────────────────────


def _content(*kinds: str) -> Check:
    """A check for content: a string, or a non-empty list of parts of these kinds."""
    part = _part(kinds)

    def check(path: str, value: Any) -> Iterator[Problem]:
        match value:
            case str():
                return
            case list():
                yield from list_of(part, least=1)(path, value)
            case _:
                yield wrong_type(path, value, "a string or a list of parts")

    return check


def _part(kinds: tuple[str, ...]) -> Check:
    def check(path: str, value: Any) -> Iterator[Problem]:
        if not isinstance(value, dict):
            yield wrong_type(path, value, "an object")
            return
        kind = value.get("type")
        if not isinstance(kind, str) or kind not in kinds:
            yield breaks_rule(f"{path}.type", kind, "a part type allowed here: " + ", ".join(kinds))
            return
        yield from _PARTS[kind](path, value)

    return check


def _media_url(family: str) -> Check:
    """A check for an http(s) URL or a base64 data URL of a media family."""

    def check(path: str, value: Any) -> Iterator[Problem]:
        if not isinstance(value, str):
            yield wrong_type(path, value, "a URL")
        elif value.startswith("data:"):
            yield from _data_url(path, value, family)
        elif not _is_web_url(value):
            yield breaks_rule(path, value, "an http:, https: or data: URL")

    return check


def _is_web_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.netloc) and " " not in value


def _data_url(path: str, value: str, family: str) -> Iterator[Problem]:
    head = _DATA_URL.match(value)
    if head is None:
        yield breaks_rule(path, value, "a data URL of the form data:<type>;base64,<data>")
        return
    if family and not head[1].startswith(family + "/"):
        yield breaks_rule(path, value, f"a data URL of type {family}/…")
    yield from _base64(path, value[head.end() :])


def _base64(path: str, value: Any) -> Iterator[Problem]:
    if not isinstance(value, str):
        yield wrong_type(path, value, "base64 text")
        return
    try:
        decoded = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        yield breaks_rule(path, value, "base64 that decodes")
        return
    if not decoded:
        yield breaks_rule(path, value, "base64 of at least one byte")


def _file_data(path: str, value: Any) -> Iterator[Problem]:
    if isinstance(value, str) and value.startswith("data:"):
        yield from _data_url(path, value, "")
    else:
        yield from _base64(path, value)


def _file(path: str, value: Any) -> Iterator[Problem]:
    known = {"filename": NON_EMPTY, "file_data": _file_data, "file_id": NON_EMPTY}
    yield from object_of(optional=known)(path, value)
    if not isinstance(value, dict):
        return
    if ("file_data" in value) == ("file_id" in value):
        yield breaks_rule(path, value, "an object with one of file_data and file_id")
    if "file_data" in value and "filename" not in value:
        yield breaks_rule(path, value, "an object with a filename beside its file_data")


_DETAIL = one_of("auto", "low", "high")
_AUDIO_FORMAT = string(r"[a-z0-9_]{1,16}", "a short format name such as wav or mp3")

_PARTS: dict[str, Check] = {
    "text": object_of({"text": TEXT}),
    "refusal": object_of({"refusal": TEXT}),
    "image_url": object_of(
        {"image_url": object_of({"url": _media_url("image")}, {"detail": _DETAIL})}
    ),
    "input_audio": object_of(
        {"input_audio": object_of({"data": _base64, "format": _AUDIO_FORMAT})}
    ),
    "video_url": object_of({"video_url": object_of({"url": _media_url("video")})}),
    "file": object_of({"file": _file}),
}

# ── roles ────────────────────────────────────────────────────────────────────

_CALL = object_of(
    {
        "id": NON_EMPTY,
        "type": one_of("function"),
        # Whether the arguments are JSON is not checked: models do write broken ones.
        "function": object_of({"name": NON_EMPTY, "arguments": TEXT}),
    },
)
_MEDIA = ("text", "image_url", "input_audio", "video_url", "file")
_EXTRAS: dict[str, Check] = {"name": NON_EMPTY, "cache_control": anything}
_SPOKEN = {"role": anything, "content": _content("text")}


def _null(path: str, value: Any) -> Iterator[Problem]:
    if value is not None:
        yield wrong_type(path, value, "null (function_call is not part of this API)")


_MESSAGES: dict[str, Check] = {
    "system": object_of(_SPOKEN, _EXTRAS, closed=True),
    "developer": object_of(_SPOKEN, _EXTRAS, closed=True),
    "user": object_of({"role": anything, "content": _content(*_MEDIA)}, _EXTRAS, closed=True),
    "tool": object_of(
        {"role": anything, "content": _content(*_MEDIA), "tool_call_id": NON_EMPTY},
        _EXTRAS,
        closed=True,
    ),
    # A message that came out of a response may be sent back as it is, its null keys included.
    "assistant": object_of(
        {"role": anything},
        {
            **_EXTRAS,
            "content": nullable(_content("text", "refusal")),
            "tool_calls": nullable(list_of(_CALL, least=1)),
            "refusal": nullable(TEXT),
            "reasoning": nullable(TEXT),
            "reasoning_content": nullable(TEXT),
            "reasoning_details": nullable(list_of(object_of({"type": NON_EMPTY}))),
            "annotations": nullable(list_of(object_of())),
            "audio": nullable(object_of()),
            "images": nullable(list_of(object_of())),
            "prefix": anything,
            "partial": anything,
            "function_call": _null,
        },
        closed=True,
    ),
}
