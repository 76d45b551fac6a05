"""The rules of ``messages``: roles, content parts, and the order of tool calls and results."""

from collections.abc import Iterator
from typing import Any

from sunra_integrations.sandbox.contract.checks import (
    ANYTHING,
    FUNCTION_NAME,
    NON_EMPTY,
    SPEAKER_NAME,
    TEXT,
    Check,
    KeyRule,
    Problem,
    Schema,
    broken_rule,
    by_json_type,
    exactly_one,
    left_out,
    list_of,
    nullable,
    object_of,
    one_of,
    requires,
    string,
    tagged_union,
    then,
)
from sunra_integrations.sandbox.contract.media import BASE64, WEB_URL, data_url_or

# ── content ──────────────────────────────────────────────────────────────────

_AUDIO_FORMAT = string(r"[a-z0-9_]{1,16}", "a short format name such as wav or mp3")
_IMAGE = object_of(
    {"url": data_url_or(WEB_URL, "image")}, {"detail": one_of("auto", "low", "high")}
)
_FILE = object_of(
    optional={"filename": NON_EMPTY, "file_data": data_url_or(BASE64), "file_id": NON_EMPTY},
    rules=[exactly_one("file_data", "file_id"), requires("file_data", "filename")],
)
_PARTS: dict[str, Check] = {
    "text": object_of({"text": TEXT}),
    "refusal": object_of({"refusal": TEXT}),
    "thinking": object_of(),
    "image_url": object_of({"image_url": _IMAGE}),
    "input_audio": object_of({"input_audio": object_of({"data": BASE64, "format": _AUDIO_FORMAT})}),
    "video_url": object_of({"video_url": object_of({"url": data_url_or(WEB_URL, "video")})}),
    "file": object_of({"file": _FILE}),
}
_MEDIA = ("text", "image_url", "input_audio", "video_url", "file")


def _content(*kinds: str) -> Check:
    """Accepts a string, or a non-empty list of parts of these kinds."""
    allowed = {kind: _PARTS[kind] for kind in kinds}
    parts = list_of(
        tagged_union("type", allowed, "one of the part types allowed here:"), min_items=1
    )
    return by_json_type("a string or a list of parts", TEXT, parts)


# ── roles ────────────────────────────────────────────────────────────────────

_OPTIONAL_KEYS: dict[str, Check] = {"name": SPEAKER_NAME, "cache_control": ANYTHING}
_TOOL_CALL = object_of(
    {
        "id": NON_EMPTY,
        "type": one_of("function"),
        # Not checked for JSON: models do write invalid arguments, and clients send them back.
        "function": object_of({"name": FUNCTION_NAME, "arguments": TEXT}),
    },
)
_INSTEAD_OF_CONTENT = ("tool_calls", "refusal", "reasoning", "reasoning_content", "audio")


def _content_or_substitute(path: str, message: dict[str, Any]) -> Iterator[Problem]:
    if message.get("content") is None and not any(message.get(n) for n in _INSTEAD_OF_CONTENT):
        rule = "present (null is allowed only beside tool_calls or a refusal)"
        yield broken_rule(f"{path}.content", None, rule)


def _has(name: str, *empty: Any) -> Schema:
    return {"required": [name], "properties": {name: {"not": {"enum": list(empty)}}}}


# A message of a response may be sent back as it is, with null keys and with fields of its vendor:
# some vendors refuse a turn without the signatures that they put into the message.
_ASSISTANT = object_of(
    {"role": ANYTHING},
    {
        **_OPTIONAL_KEYS,
        "content": nullable(_content("text", "refusal", "thinking")),
        "tool_calls": nullable(list_of(_TOOL_CALL, min_items=1)),
        "refusal": nullable(TEXT),
        "reasoning": nullable(TEXT),
        "reasoning_content": nullable(TEXT),
        "reasoning_details": nullable(list_of(object_of({"type": NON_EMPTY}))),
        "annotations": nullable(list_of(object_of())),
        "audio": nullable(object_of()),
        "images": nullable(list_of(object_of())),
        "prefix": ANYTHING,
        "partial": ANYTHING,
        "function_call": left_out("it is not part of this API"),
    },
    rules=[
        KeyRule(
            _content_or_substitute,
            {
                "anyOf": [
                    _has("content", None),
                    *(_has(name, None, "", [], {}) for name in _INSTEAD_OF_CONTENT),
                ]
            },
        )
    ],
)


def _message(*kinds: str, **more: Check) -> Check:
    """Accepts messages of any role but the assistant's, with content parts of these kinds."""
    required = {"role": ANYTHING, "content": _content(*kinds), **more}
    return object_of(required, _OPTIONAL_KEYS, closed=True)


_MESSAGE = tagged_union(
    "role",
    {
        "system": _message("text"),
        "developer": _message("text"),
        "user": _message(*_MEDIA),
        "assistant": _ASSISTANT,
        "tool": _message(*_MEDIA, tool_call_id=NON_EMPTY),
    },
)

# ── the conversation ─────────────────────────────────────────────────────────


def _order_problems(path: str, messages: list[dict[str, Any]]) -> Iterator[Problem]:
    pending: dict[str, int] = {}
    for index, message in enumerate(messages):
        where = f"{path}[{index}]"
        if message["role"] == "tool":
            call_id = message["tool_call_id"]
            if pending.pop(call_id, None) is None:
                rule = "the id of an unanswered tool call of the assistant message before it"
                yield broken_rule(f"{where}.tool_call_id", call_id, rule)
            continue
        yield from _pending_problems(path, pending, f" before {where}")
        ids = [call["id"] for call in message.get("tool_calls") or ()]
        pending = dict.fromkeys(ids, index)
        if len(pending) != len(ids):
            yield broken_rule(f"{where}.tool_calls", ids, "a list of distinct ids")
    yield from _pending_problems(path, pending, "")


def _pending_problems(path: str, pending: dict[str, int], when: str) -> Iterator[Problem]:
    for call_id, index in pending.items():
        rule = f"followed by a tool message for each call{when}"
        yield broken_rule(f"{path}[{index}].tool_calls", call_id, rule)


MESSAGES = then(
    list_of(_MESSAGE, min_items=1),
    _order_problems,
    "The conversation. One tool message answers each tool call of an assistant message, before "
    "any other message.",
)
"""The rules of ``messages``."""
