"""The values of a response: stream chunks, and the reply that they add up to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sunra_integrations.protocol.arguments import looks_like_credential
from sunra_integrations.protocol.json_text import EMPTY, Json, as_int, parse_arguments

__all__ = [
    "Choice",
    "ChoiceDelta",
    "Chunk",
    "Reply",
    "ToolCall",
    "ToolCallDelta",
    "Usage",
]

IN_CONTENT = "content"
"""The `reasoning_field` of reasoning that is a content part with more than its text."""

# ── chunks ───────────────────────────────────────────────────────────────────


class Usage(NamedTuple):
    """Tokens and cost of a call as the server reports them; None if it does not."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_details: Json = EMPTY
    completion_details: Json = EMPTY
    cost: float | None = None
    raw: Json = EMPTY
    """The usage object of the response, unknown fields included."""


class ToolCallDelta(NamedTuple):
    """A part of one tool call, with the index of its call.

    Only the first part has the `id`, and the parts of the `name` are never repeated. So parts can
    be concatenated.
    """

    call_index: int
    id: str | None
    name: str | None
    arguments: str
    extra: Json = EMPTY
    """Unknown fields, such as signatures that some vendors require back."""


class ChoiceDelta(NamedTuple):
    """The part of one choice in one event."""

    choice_index: int
    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCallDelta, ...] = ()
    finish_reason: str | None = None
    logprobs: Json | None = None
    refusal: str = ""
    parts: tuple[Json, ...] = ()
    """Content sent as a list of parts, including text parts. `text` has their text too."""
    reasoning_details: tuple[Json, ...] = ()
    annotations: tuple[Json, ...] = ()
    images: tuple[Json, ...] = ()
    extra: Json = EMPTY
    """Unknown fields of the choice, such as `native_finish_reason`."""
    message_extra: Json = EMPTY
    """Unknown fields of the delta or message, such as `audio`."""
    reasoning_field: str | None = None
    """The field to send `reasoning` back in: the one it was received in, or `content` if it was a
    part of that. None if it was received only in details, or in a part with nothing but text."""

    @property
    def has_text_only(self) -> bool:
        """Whether only the text is set, as in nearly every event of a stream."""
        return self[_AFTER_TEXT:] == _NOTHING_AFTER_TEXT

    @property
    def has_rare_fields(self) -> bool:
        """Whether `refusal` or a later field is set."""
        return self[_RARE:] != _NOTHING_RARE


_AFTER_TEXT = ChoiceDelta._fields.index("reasoning")
_NOTHING_AFTER_TEXT = ChoiceDelta(0)[_AFTER_TEXT:]
_RARE = ChoiceDelta._fields.index("refusal")
_NOTHING_RARE = ChoiceDelta(0)[_RARE:]


class Chunk(NamedTuple):
    """One event of a stream, or a whole completion."""

    choices: tuple[ChoiceDelta, ...]
    id: str | None = None
    model: str | None = None
    created: int | None = None
    system_fingerprint: str | None = None
    usage: Usage | None = None
    request_id: str | None = None
    headers: Mapping[str, str] = EMPTY
    """Headers of the response; see `Reply`."""
    extra: Json = EMPTY
    """Unknown fields of the event, such as `provider`, `service_tier` and `citations`."""
    raw: Json = EMPTY
    """The event."""


# ── replies ──────────────────────────────────────────────────────────────────


def _empty() -> Json:
    return EMPTY  # immutable, but Python 3.10 refuses every dict as the default of a field


@dataclass(frozen=True)
class ToolCall:
    """One finished tool call."""

    id: str
    name: str
    arguments: str
    """The arguments exactly as the model wrote them; see `parsed`."""
    extra: Json = field(default_factory=_empty)
    cut_off: bool = False
    """Whether the reply was cut off before the arguments began."""

    def parsed(self) -> dict[str, Any] | None:
        """The arguments as a dict, `{}` if there are none. None if the call has a `flaw`."""
        is_readable = self.name and not self.cut_off and self.extra.get("type") != "custom"
        return parse_arguments(self.arguments) if is_readable else None

    @property
    def flaw(self) -> str | None:
        """Why no tool can be run for this call; None if one can."""
        if not self.name:
            return "The call does not name a function."
        if self.extra.get("type") == "custom":
            return "A custom tool takes text instead of a JSON object."
        if self.cut_off:
            return "The response was cut off before the arguments."
        return None if self.parsed() is not None else "The arguments are not a JSON object."


@dataclass(frozen=True)
class Choice:
    """One of the alternatives of a reply. There are several if the request has `n` above 1."""

    index: int
    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str | None = None
    logprobs: Json | None = None
    refusal: str = ""
    parts: tuple[Json, ...] = ()
    """The parts of the content if it was sent as parts; empty if it was sent as plain text."""
    reasoning_details: tuple[Json, ...] = ()
    annotations: tuple[Json, ...] = ()
    images: tuple[Json, ...] = ()
    extra: Json = field(default_factory=_empty)
    """Unknown fields of the choice."""
    message_extra: Json = field(default_factory=_empty)
    """Unknown fields of the message."""
    reasoning_field: str | None = None
    """The field to send `reasoning` back in; see `ChoiceDelta`."""


@dataclass(frozen=True)
class Reply:
    """A whole reply, streamed or not."""

    choices: tuple[Choice, ...]
    id: str | None = None
    model: str | None = None
    created: int | None = None
    system_fingerprint: str | None = None
    usage: Usage | None = None
    request_id: str | None = None
    extra: Json = field(default_factory=_empty)
    """Unknown fields of the completion, or of the events."""
    raw: Json = field(default_factory=_empty, repr=False)
    """The completion; empty for a stream."""
    headers: Mapping[str, str] = field(default_factory=_empty, repr=False)
    """Headers of the response about rate limits, names in lower case. All harmless headers if
    `include_response_headers` is set."""

    @property
    def choice(self) -> Choice:
        """The first choice; an empty one if there is none."""
        return self.choices[0] if self.choices else Choice(0)

    @property
    def text(self) -> str:
        """The text of the first choice."""
        return self.choice.text


# ── headers ──────────────────────────────────────────────────────────────────

_UNSAFE_HEADERS = frozenset(
    ("authorization", "cookie", "proxy-authorization", "set-cookie", "set-cookie2")
)
_RATE_LIMITS = ("ratelimit", "rate-limit", "retry-after")


def safe_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that may be shown: without cookies and credentials.

    Args:
        headers: The headers of a response, with names in lower case.
    """
    return {
        name: value
        for name, value in headers.items()
        if name not in _UNSAFE_HEADERS and not looks_like_credential(name)
    }


def rate_limit_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers about rate limits, such as `x-ratelimit-remaining` and `retry-after`.

    Args:
        headers: The headers of a response, with names in lower case.
    """
    return {
        name: value for name, value in headers.items() if any(word in name for word in _RATE_LIMITS)
    }


# ── usage ────────────────────────────────────────────────────────────────────

# OpenAI's names of details, by those of other servers, in the details or in `usage` itself.
_PROMPT_DETAILS = {
    "prompt_cache_hit_tokens": "cached_tokens",  # DeepSeek
    "cached_tokens": "cached_tokens",  # Moonshot
    "num_cached_tokens": "cached_tokens",  # Mistral
    "cache_read_input_tokens": "cached_tokens",  # proxies of Anthropic
    "cache_creation_input_tokens": "cache_write_tokens",  # proxies of Anthropic, DashScope
    "cache_creation_tokens": "cache_write_tokens",  # LiteLLM
}
_COMPLETION_DETAILS = {"reasoning_tokens": "reasoning_tokens"}  # Perplexity


def parse_usage(value: object) -> Usage | None:
    """The usage object as `Usage`; None if the value is not a usage object.

    Integers sent as floats are read as integers. A missing total is the sum of the other counts.
    `/v1/responses` says `input_tokens` and `output_tokens`.
    """
    if not isinstance(value, dict) or not value:
        return None
    prompt = as_int(value.get("prompt_tokens", value.get("input_tokens")))
    completion = as_int(value.get("completion_tokens", value.get("output_tokens")))
    total = as_int(value.get("total_tokens"))
    if total is None and prompt is not None and completion is not None:
        total = prompt + completion
    return Usage(
        prompt,
        completion,
        total,
        _details(value, ("prompt_tokens_details", "input_tokens_details"), _PROMPT_DETAILS),
        _details(
            value, ("completion_tokens_details", "output_tokens_details"), _COMPLETION_DETAILS
        ),
        as_amount(value.get("cost")),
        value,
    )


def _details(usage: Json, keys: tuple[str, str], names: Mapping[str, str]) -> Json:
    """The details of a count, with those that the server names otherwise or has outside of them."""
    given = (usage.get(key) for key in keys)
    details: Json = next((one for one in given if isinstance(one, dict)), EMPTY)
    found = {
        name: place[server_name]
        for place in (usage, details)
        for server_name, name in names.items()
        if as_int(details.get(name)) is None and as_int(place.get(server_name)) is not None
    }
    return {**details, **found} if found else details


def as_amount(value: object) -> float | None:
    """A cost as a float; None if the value is not a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        amount = float(value)
    except OverflowError:
        return None
    return amount if math.isfinite(amount) else None
