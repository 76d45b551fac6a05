"""What Sunra answers, read by hand into light frozen values.

A stream delivers thousands of events, so nothing here is a validating model: a `Chunk` is built
from a decoded event in a few dictionary look-ups. Unknown fields are kept, nulls are tolerated,
and what is present but of the wrong type is read as absent (it stays in `Chunk.raw`).

An unstreamed completion is read as one chunk whose `message` is its delta, so streamed and
unstreamed answers cannot be understood differently.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from sunra_integrations.protocol.json_values import NOTHING, Json, count, objects, others, text

_CHUNK_FIELDS = frozenset(
    ("id", "object", "created", "model", "choices", "usage", "system_fingerprint", "error")
)
_CHOICE_FIELDS = frozenset(
    ("index", "delta", "message", "finish_reason", "logprobs", "error", "usage")
)
_TEXT_CHOICE_FIELDS = frozenset(("index", "delta", "finish_reason", "logprobs"))
_REASONING_FIELDS = ("reasoning", "reasoning_content")
IN_CONTENT = "content"
"""The `reasoning_field` of reasoning that is a content part with more than its text."""
_PLAIN_THINKING = frozenset(("type", "thinking", "closed"))
"""`closed` marks a thought as complete; Mistral's API sends it with each."""
_PROMPT_COUNTS = {
    "prompt_cache_hit_tokens": "cached_tokens",  # DeepSeek
    "cached_tokens": "cached_tokens",  # Moonshot
    "cache_read_input_tokens": "cached_tokens",  # proxies before Anthropic
    "cache_creation_input_tokens": "cache_write_tokens",
}
_COMPLETION_COUNTS = {"reasoning_tokens": "reasoning_tokens"}  # Perplexity
"""Details that some servers count in `usage` itself, and their names in its details."""
_MESSAGE_FIELDS = frozenset(
    (
        "role",
        "content",
        "refusal",
        "tool_calls",
        "reasoning",
        "reasoning_content",
        "reasoning_details",
        "annotations",
        "images",
    )
)
_RARE_FIELDS = tuple(_MESSAGE_FIELDS - {"role", "content", "tool_calls"})


class Usage(NamedTuple):
    """Tokens and cost of a call, as the server counted them; None where it did not."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_details: Json = NOTHING
    completion_details: Json = NOTHING
    cost: float | None = None
    raw: Json = NOTHING
    """The usage object as it came, unknown fields included."""


class ToolCallDelta(NamedTuple):
    """A piece of one tool call, with its call's definite index.

    `id` and `name` stand on the first piece only, so pieces can be joined without doubling them.
    """

    call_index: int
    id: str | None
    name: str | None
    arguments: str
    extra: Json = NOTHING
    """Unknown fields, such as the signatures some vendors want replayed."""


class ChoiceDelta(NamedTuple):
    """What one event adds to one choice."""

    choice_index: int
    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCallDelta, ...] = ()
    finish_reason: str | None = None
    logprobs: Json | None = None
    refusal: str = ""
    parts: tuple[Json, ...] = ()
    """Content that came as a list of parts, text parts included; `text` holds their text too."""
    reasoning_details: tuple[Json, ...] = ()
    annotations: tuple[Json, ...] = ()
    images: tuple[Json, ...] = ()
    extra: Json = NOTHING
    """Unknown fields of the choice (`native_finish_reason`, …)."""
    message_extra: Json = NOTHING
    """Unknown fields of the delta or message (`audio`, …)."""
    reasoning_field: str | None = None
    """The name `reasoning` came under, to be replayed under: a field's, or `content` where it is a
    part of that. None where it came in details only, or as a part that holds nothing but words.
    """

    @property
    def adds_text_only(self) -> bool:
        """Whether nothing is set but the text, as in nearly every event of a stream."""
        return self[_BEHIND_TEXT:] == _TEXT_ONLY

    @property
    def adds_rarities(self) -> bool:
        """Whether anything from `refusal` on is set."""
        return self[_RARITIES:] != _NO_RARITIES


_BEHIND_TEXT = ChoiceDelta._fields.index("reasoning")
_TEXT_ONLY = ChoiceDelta(0)[_BEHIND_TEXT:]
_RARITIES = ChoiceDelta._fields.index("refusal")
_NO_RARITIES = ChoiceDelta(0)[_RARITIES:]


class Chunk(NamedTuple):
    """One event of a stream, or a whole completion."""

    choices: tuple[ChoiceDelta, ...]
    id: str | None = None
    model: str | None = None
    created: int | None = None
    system_fingerprint: str | None = None
    usage: Usage | None = None
    request_id: str | None = None
    extra: Json = NOTHING
    """Unknown top-level fields (`provider`, `service_tier`, `citations`, …)."""
    raw: Json = NOTHING
    """The event as it came."""


def read_usage(value: object) -> Usage | None:
    """The usage object as `Usage`; None where there is none.

    Counts that came as whole floats are read as integers; the total is summed where it is missing.
    """
    if not isinstance(value, dict) or not value:
        return None
    prompt = count(value.get("prompt_tokens"))
    completion = count(value.get("completion_tokens"))
    total = count(value.get("total_tokens"))
    if total is None and prompt is not None and completion is not None:
        total = prompt + completion
    return Usage(
        prompt,
        completion,
        total,
        _details(value, "prompt_tokens_details", _PROMPT_COUNTS),
        _details(value, "completion_tokens_details", _COMPLETION_COUNTS),
        _amount(value.get("cost")),
        value,
    )


def _details(usage: Json, field: str, beside: Mapping[str, str]) -> Json:
    """The details of a count, with those that the server counts beside them."""
    details = _mapping(usage.get(field))
    found = {
        name: usage[theirs]
        for theirs, name in beside.items()
        if theirs in usage and name not in details and count(usage[theirs]) is not None
    }
    return {**details, **found} if found else details


def _amount(value: object) -> float | None:
    """A sum of money; None where the value is no number, or none that can be added up."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        amount = float(value)
    except OverflowError:
        return None
    return amount if math.isfinite(amount) else None


def read_text(event: Json) -> ChoiceDelta | None:
    """The one choice of a stream's event that adds a piece of text and nothing else, else None.

    Nearly every event of a stream is of this kind, so it is read in a few steps. What is made of it
    equals what `read_choice` makes of the same choice.
    """
    choices = event.get("choices")
    if type(choices) is not list or len(choices) != 1 or type(choices[0]) is not dict:
        return None
    choice = choices[0]
    delta = choice.get("delta")
    if type(delta) is not dict:
        return None
    content = delta.get("content")
    if (
        type(content) is not str
        or choice.get("logprobs") is not None
        or choice.get("finish_reason") is not None
        or len(delta) != 1 + ("role" in delta)
        or not _TEXT_CHOICE_FIELDS.issuperset(choice)
    ):
        return None
    index = count(choice.get("index"))
    return ChoiceDelta(0 if index is None else index, content)


def read_choice(
    choice: Json, index: int, message: Json, tool_calls: tuple[ToolCallDelta, ...]
) -> ChoiceDelta:
    """What a choice object adds, with its tool calls already put in order.

    Args:
        choice: An element of `choices`.
        index: Its definite index.
        message: Its `delta` or `message`; empty where that was null or missing.
        tool_calls: Its tool calls, each with a definite index.
    """
    content = message.get("content")
    extra = others(choice, _CHOICE_FIELDS)
    if (
        (content is None or isinstance(content, str))
        and extra is NOTHING
        and _MESSAGE_FIELDS.issuperset(message)
        and not any(map(message.get, _RARE_FIELDS))
        and not _has_empty_reasoning(message)
    ):
        finish_reason, logprobs = text(choice.get("finish_reason")), _logprobs(choice)
        return ChoiceDelta(index, content or "", "", tool_calls, finish_reason, logprobs)
    return read_rich_choice(choice, index, message, tool_calls)


def read_rich_choice(
    choice: Json, index: int, message: Json, tool_calls: tuple[ToolCallDelta, ...]
) -> ChoiceDelta:
    """What `read_choice` gives, where anything but text and tool calls may be there."""
    said = message.get
    content = said("content")
    parts = _content_parts(content) if content else ()
    details = objects(said("reasoning_details"))
    reasoning, reasoning_field = _reasoning(message, details, parts)
    return ChoiceDelta(
        index,
        content if isinstance(content, str) else "".join(map(text_of_part, parts)),
        reasoning,
        tool_calls,
        text(choice.get("finish_reason")),
        _logprobs(choice),
        text(said("refusal")) or "",
        parts,
        details,
        objects(said("annotations")),
        objects(said("images")),
        others(choice, _CHOICE_FIELDS),
        others(message, _MESSAGE_FIELDS),
        reasoning_field,
    )


def _logprobs(choice: Json) -> Json | None:
    logprobs = choice.get("logprobs")
    return logprobs if isinstance(logprobs, dict) else None


def read_chunk(event: Json, choices: tuple[ChoiceDelta, ...], request_id: str | None) -> Chunk:
    """The whole event as a `Chunk`, given its choices."""
    get = event.get
    usage = get("usage") or _usage_in_a_choice(get("choices"))
    return Chunk(
        choices,
        text(get("id")),
        text(get("model")),
        count(get("created")),
        text(get("system_fingerprint")),
        read_usage(usage) if usage else _usage_of_groq(event),
        request_id,
        others(event, _CHUNK_FIELDS),
        event,
    )


def _usage_of_groq(event: Json) -> Usage | None:
    """The usage that Groq's streams bring within a field of their own."""
    given = event.get("x_groq")
    return read_usage(given.get("usage")) if isinstance(given, dict) else None


def _usage_in_a_choice(choices: object) -> object:
    """Where Moonshot's streams have it: in the choice that ends the answer."""
    if type(choices) is list:
        for choice in reversed(choices):
            if type(choice) is dict and "usage" in choice:
                return choice["usage"]
    return None


def _content_parts(content: object) -> tuple[Json, ...]:
    """Content given as a list, or as its only part; text in it becomes text parts."""
    if isinstance(content, dict):
        content = [content]
    if not isinstance(content, list):
        return ()
    return objects([_content_part(part) for part in content])


def _content_part(part: Any) -> Any:
    match part:
        case str():
            return {"type": "text", "text": part}
        case {"text": str(), "type": None | "output_text"}:
            return {**part, "type": "text"}
        case {"text": str()} if "type" not in part:
            return {**part, "type": "text"}
        case _:
            return part


def text_of_part(part: Json) -> str:
    """The text of a part that is text; empty for any other."""
    value = part.get("text")
    return value if isinstance(value, str) and part.get("type") == "text" else ""


def _reasoning(
    message: Json, details: tuple[Json, ...], parts: tuple[Json, ...]
) -> tuple[str, str | None]:
    """The reasoning text and its field; servers that use two spellings send one text twice."""
    for name in _REASONING_FIELDS:
        spoken = message.get(name)
        if spoken and isinstance(spoken, str):
            return spoken, name
    spoken = "".join(map(_text_of_detail, details))
    if not spoken and any(map(thinking_text, parts)):
        thoughts = [part for part in parts if part.get("type") == "thinking"]
        spoken = "".join(map(thinking_text, thoughts))
        return spoken, None if all(map(is_plain_thinking, thoughts)) else IN_CONTENT
    empty = next((name for name in _REASONING_FIELDS if message.get(name) == ""), None)
    return spoken, None if spoken else empty


def _has_empty_reasoning(message: Json) -> bool:
    """Whether the reasoning is an empty text, which DeepSeek wants back with its tool calls."""
    return any(message.get(name) == "" for name in _REASONING_FIELDS)


def thinking_text(part: Json) -> str:
    """The words of a `thinking` part, given as text or, by Mistral, as a list of text parts."""
    if part.get("type") != "thinking":
        return ""
    thinking = part.get("thinking")
    if isinstance(thinking, str):
        return thinking
    return "".join(text(one.get("text")) or "" for one in objects(thinking))


def is_plain_thinking(part: Json) -> bool:
    """Whether a `thinking` part has only text, so plain text loses nothing."""
    thinking = part.get("thinking")
    return (
        part.get("type") == "thinking"
        and _PLAIN_THINKING.issuperset(part)
        and (
            isinstance(thinking, str)
            or (
                isinstance(thinking, list)
                and all(isinstance(one, dict) and set(one) == {"type", "text"} for one in thinking)
            )
        )
    )


def _text_of_detail(detail: Json) -> str:
    return text(detail.get("text")) or text(detail.get("summary")) or ""


def _mapping(value: object) -> Json:
    return value if isinstance(value, dict) else NOTHING
