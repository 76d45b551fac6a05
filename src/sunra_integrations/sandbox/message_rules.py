"""The rules of ``messages``: roles, their content, and tool calls that are answered in turn."""

from collections.abc import Iterator
from typing import Any

from sunra_integrations.sandbox.checks import (
    FUNCTION_NAME,
    NON_EMPTY,
    SPEAKER_NAME,
    TEXT,
    Check,
    Problem,
    anything,
    breaks_rule,
    by_word,
    list_of,
    nullable,
    object_of,
    one_of,
    stated_as,
    wrong_type,
)
from sunra_integrations.sandbox.media_rules import PARTS


def _content(*kinds: str) -> Check:
    """A check for content: a string, or a non-empty list of parts of these kinds."""
    allowed = {kind: PARTS[kind] for kind in kinds}
    parts = list_of(by_word("type", allowed, "a part type allowed here:"), least=1)

    @stated_as({"anyOf": [{"type": "string"}, parts.schema]})
    def check(path: str, value: Any) -> Iterator[Problem]:
        match value:
            case str():
                return
            case list():
                yield from parts(path, value)
            case _:
                yield wrong_type(path, value, "a string or a list of parts")

    return check


# ── roles ────────────────────────────────────────────────────────────────────

_CALL = object_of(
    {
        "id": NON_EMPTY,
        "type": one_of("function"),
        # Whether the arguments are JSON is not checked: models do write broken ones.
        "function": object_of({"name": FUNCTION_NAME, "arguments": TEXT}),
    },
)
_MEDIA = ("text", "image_url", "input_audio", "video_url", "file")
_EXTRAS: dict[str, Check] = {"name": SPEAKER_NAME, "cache_control": anything}


@stated_as({"type": "null", "description": "function_call is not part of this API."})
def _null(path: str, value: Any) -> Iterator[Problem]:
    if value is not None:
        yield wrong_type(path, value, "null (function_call is not part of this API)")


# A message that came out of a response may be sent back as it is, its null keys included.
_ASSISTANT_KEYS = object_of(
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
)
_SUBSTITUTES = ("tool_calls", "refusal", "reasoning", "reasoning_content", "audio")


def _holding(name: str, *nothing: Any) -> dict[str, Any]:
    return {"required": [name], "properties": {name: {"not": {"enum": list(nothing)}}}}


@stated_as(
    {
        **_ASSISTANT_KEYS.schema,
        "anyOf": [
            _holding("content", None),
            *(_holding(name, None, "", [], {}) for name in _SUBSTITUTES),
        ],
    }
)
def _assistant(path: str, message: Any) -> Iterator[Problem]:
    yield from _ASSISTANT_KEYS(path, message)
    # Content may be null or missing only where something else stands in its place.
    if message.get("content") is None and not any(message.get(name) for name in _SUBSTITUTES):
        yield breaks_rule(
            f"{path}.content", None, "present (it may be null only beside tool_calls or a refusal)"
        )


def _spoken_by(*kinds: str, **more: Check) -> Check:
    return object_of({"role": anything, "content": _content(*kinds), **more}, _EXTRAS, closed=True)


_MESSAGE = by_word(
    "role",
    {
        "system": _spoken_by("text"),
        "developer": _spoken_by("text"),
        "user": _spoken_by(*_MEDIA),
        "assistant": _assistant,
        "tool": _spoken_by(*_MEDIA, tool_call_id=NON_EMPTY),
    },
)
_MESSAGES = list_of(_MESSAGE, least=1)

# ── the conversation ─────────────────────────────────────────────────────────


@stated_as(
    {
        **_MESSAGES.schema,
        "description": "The conversation. Each tool call of an assistant message is answered by "
        "one tool message with its id before anyone else speaks.",
    }
)
def check_messages(path: str, value: Any) -> Iterator[Problem]:
    """Every problem of a conversation, in its order."""
    found = list(_MESSAGES(path, value))
    yield from found
    if not found:
        yield from _unanswered_calls(path, value)


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
