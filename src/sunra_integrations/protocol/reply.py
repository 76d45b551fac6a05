"""The values of a response: stream chunks, and the reply that they add up to."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sunra_integrations.protocol.json_text import EMPTY, Json, as_int, parse_arguments


def nothing() -> Json:
    """The default of a field for what is unknown."""
    return EMPTY


IN_CONTENT = "content"
"""The `reasoning_field` of reasoning that is a content part with more than its text."""
_PROMPT_COUNTS = {
    "prompt_cache_hit_tokens": "cached_tokens",  # DeepSeek
    "cached_tokens": "cached_tokens",  # Moonshot
    "cache_read_input_tokens": "cached_tokens",  # proxies before Anthropic
    "cache_creation_input_tokens": "cache_write_tokens",
}
_COMPLETION_COUNTS = {"reasoning_tokens": "reasoning_tokens"}  # Perplexity
"""Details that some servers count in `usage` itself, and their names in its details."""


class Usage(NamedTuple):
    """Tokens and cost of a call, as the server counted them; None where it did not."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_details: Json = EMPTY
    completion_details: Json = EMPTY
    cost: float | None = None
    raw: Json = EMPTY
    """The usage object as it came, unknown fields included."""


class ToolCallDelta(NamedTuple):
    """A piece of one tool call, with its call's definite index.

    `id` and `name` stand on the first piece only, so pieces can be joined without doubling them.
    """

    call_index: int
    id: str | None
    name: str | None
    arguments: str
    extra: Json = EMPTY
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
    extra: Json = EMPTY
    """Unknown fields of the choice (`native_finish_reason`, …)."""
    message_extra: Json = EMPTY
    """Unknown fields of the delta or message (`audio`, …)."""
    reasoning_field: str | None = None
    """The name `reasoning` came under, to be replayed under: a field's, or `content` where it is a
    part of that. None where it came in details only, or as a part that holds nothing but words.
    """

    @property
    def has_text_only(self) -> bool:
        """Whether nothing is set but the text, as in nearly every event of a stream."""
        return self[_BEHIND_TEXT:] == _TEXT_ONLY

    @property
    def has_rare_fields(self) -> bool:
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
    extra: Json = EMPTY
    """Unknown top-level fields (`provider`, `service_tier`, `citations`, …)."""
    raw: Json = EMPTY
    """The event as it came."""


@dataclass(frozen=True)
class ToolCall:
    """One finished call of a tool."""

    id: str
    name: str
    arguments: str
    """The arguments exactly as the model wrote them; see `parsed`."""
    extra: Json = field(default_factory=nothing)
    cut_off: bool = False
    """The answer was cut off before the arguments began."""

    def parsed(self) -> dict[str, Any] | None:
        """The arguments as a dict (`{}` where there were none); None where `flaw` says why."""
        is_readable = self.name and not self.cut_off and self.extra.get("type") != "custom"
        return parse_arguments(self.arguments) if is_readable else None

    @property
    def flaw(self) -> str | None:
        """Why no tool can be run for this call; None if one can."""
        if not self.name:
            return "The call does not name a function."
        if self.extra.get("type") == "custom":
            return "A custom tool takes text in place of a JSON object."
        if self.cut_off:
            return "The answer was cut off before the arguments."
        return None if self.parsed() is not None else "The arguments are not a JSON object."


@dataclass(frozen=True)
class Choice:
    """One answer; a reply to a request with `n` above 1 has several."""

    index: int
    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str | None = None
    logprobs: Json | None = None
    refusal: str = ""
    parts: tuple[Json, ...] = ()
    """Content in its parts, where it came as parts; empty where it came as plain text."""
    reasoning_details: tuple[Json, ...] = ()
    annotations: tuple[Json, ...] = ()
    images: tuple[Json, ...] = ()
    extra: Json = field(default_factory=nothing)
    message_extra: Json = field(default_factory=nothing)
    reasoning_field: str | None = None
    """The name `reasoning` came under; see `replay`."""


@dataclass(frozen=True)
class Reply:
    """A whole answer, streamed or not."""

    choices: tuple[Choice, ...]
    id: str | None = None
    model: str | None = None
    created: int | None = None
    system_fingerprint: str | None = None
    usage: Usage | None = None
    request_id: str | None = None
    extra: Json = field(default_factory=nothing)
    raw: Json = field(default_factory=nothing, repr=False)
    """The completion as it came; empty for a reply that came as a stream."""

    @property
    def choice(self) -> Choice:
        """The first choice; an empty one where there is none."""
        return self.choices[0] if self.choices else Choice(0)

    @property
    def text(self) -> str:
        """The text of the first choice."""
        return self.choice.text


def parse_usage(value: object) -> Usage | None:
    """The usage object as `Usage`; None where there is none.

    Counts that came as whole floats are read as integers; the total is summed where it is missing.
    """
    if not isinstance(value, dict) or not value:
        return None
    prompt = as_int(value.get("prompt_tokens"))
    completion = as_int(value.get("completion_tokens"))
    total = as_int(value.get("total_tokens"))
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


def _details(usage: Json, field: str, beside: Json) -> Json:
    """The details of a count, with those that the server counts beside them."""
    details = usage.get(field)
    details = details if isinstance(details, dict) else EMPTY
    found = {
        name: usage[theirs]
        for theirs, name in beside.items()
        if theirs in usage and name not in details and as_int(usage[theirs]) is not None
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
