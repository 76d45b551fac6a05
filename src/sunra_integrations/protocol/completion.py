"""Decoded JSON of one answer to Chunks: the only reader, for streamed and whole answers alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sunra_integrations.errors import SunraError, UnreadableResponse
from sunra_integrations.protocol.accumulator import ReplyAccumulator
from sunra_integrations.protocol.content import is_plain_thinking, text_of_part, thinking_text
from sunra_integrations.protocol.error_body import has_error, is_bare_error
from sunra_integrations.protocol.error_parsing import error_from_body, sanitize
from sunra_integrations.protocol.json_text import (
    EMPTY,
    Json,
    as_int,
    as_str,
    dicts_in,
    read_json,
    without_keys,
)
from sunra_integrations.protocol.reply import (
    IN_CONTENT,
    ChoiceDelta,
    Chunk,
    Reply,
    ToolCallDelta,
    Usage,
    parse_usage,
)
from sunra_integrations.protocol.tool_call_tracker import ToolCallTracker, short_id


class CompletionParser:
    """Reads the objects of one answer in order, and keeps what they add up to.

    Args:
        message_field: Where a choice holds what it says: `delta` in a stream, else `message`.
        request_id: The answer's `x-request-id`, put on every chunk.
        requested_model: The request's model, for an answer that names none.
        accumulator: Where the chunks are added up.
        fallback_id: Distinguishes this answer from others in the ids made for calls without one,
            where neither the answer's own id nor `request_id` does.
        tool_names: The tools' own names; see `ChatRequest.own_tool_names`.
    """

    def __init__(
        self,
        message_field: str = "delta",
        *,
        request_id: str | None = None,
        requested_model: str | None = None,
        accumulator: ReplyAccumulator | None = None,
        fallback_id: str = "sunra",
        tool_names: Mapping[str, str] = EMPTY,
    ) -> None:
        self._fallback_id = request_id or fallback_id
        self._message_field = message_field
        self._request_id = request_id
        self._tool_names = tool_names
        self._tool_calls: dict[int, ToolCallTracker] = {}
        self.accumulator: ReplyAccumulator = (
            ReplyAccumulator(whole=message_field == "message")
            if accumulator is None
            else accumulator
        )
        self.accumulator.requested_model = requested_model

    def read(self, body: Json) -> Chunk:
        """One event of a stream, or one whole completion, as a Chunk.

        Raises:
            SunraError: The body carries an error, alone, beside choices or in one. The error's
                `partial` holds all that had arrived, this body's own content included.
        """
        text_only = parse_text_choice(body) if self._message_field == "delta" else None
        choices = () if text_only is not None else dicts_in(body.get("choices"))
        deltas = (text_only,) if text_only is not None else self._deltas(body, choices)
        chunk = parse_chunk(body, deltas, self._request_id)
        self.accumulator.add(chunk)
        if has_error(body):
            raise self.failure(body)
        for choice in choices:
            if choice.get("finish_reason") == "error" or choice.get("error"):
                raise self.failure(choice)
        return chunk

    def calls_of(self, choice_index: int) -> ToolCallTracker | None:
        """The order of the tool calls of a choice; None while it has none."""
        return self._tool_calls.get(choice_index)

    def failure(self, body: object, *, top_level: bool = False) -> SunraError:
        """The error that a body stands for, with what had arrived before it."""
        return error_from_body(
            body,
            request_id=self._request_id,
            partial=self.accumulator.reply() if self.accumulator.started_choices else None,
            top_level=top_level,
        )

    def _deltas(self, body: Json, choices: Iterable[Json]) -> tuple[ChoiceDelta, ...]:
        return tuple([self._choice(body, choice, place) for place, choice in enumerate(choices)])

    def _choice(self, body: Json, choice: Json, place: int) -> ChoiceDelta:
        index = as_int(choice.get("index"))
        if index is None:
            index = place
        message = choice.get(self._message_field)
        if message is None and index not in self.accumulator.started_choices:
            # Some gateways send a whole answer as the one event of a stream, or an event as a body.
            message = choice.get("message", choice.get("delta"))
        if not isinstance(message, dict):
            message = EMPTY
        entries = message.get("tool_calls")
        order = self._tool_calls.get(index)
        has_ended = bool(self._tool_names) and choice.get("finish_reason") is not None
        if not entries:
            held = order.release() if order is not None and has_ended else ()
            return parse_choice(choice, index, message, held)
        if order is None:
            fallback_id = short_id(as_str(body.get("id")) or self._fallback_id)
            prefix = f"call_{fallback_id}_{index}"
            order = self._tool_calls[index] = ToolCallTracker(prefix, self._tool_names)
        whole = self._message_field == "message"
        calls = order.process(entries, whole=whole)
        if has_ended:
            calls += order.release()
        return parse_choice(choice, index, message, calls)


def parse_completion(
    body: bytes,
    *,
    request_id: str | None = None,
    requested_model: str | None = None,
    fallback_id: str = "sunra",
    tool_names: Mapping[str, str] = EMPTY,
) -> Reply:
    """The Reply in the body of a successful unstreamed answer.

    Args:
        body: The body as it came.
        request_id: The answer's `x-request-id`.
        requested_model: The request's model, for an answer that names none.
        fallback_id: As `AnswerReader` takes it.
        tool_names: The tools' own names; see `ChatRequest.own_tool_names`.

    Raises:
        SunraError: The body carries an error instead.
        UnreadableResponse: The body is no completion: not JSON, a stream, or without choices.
    """
    value, not_json = None, ""
    try:
        value = read_json(body)
    except ValueError as error:
        not_json = _not_json(body, error)
    if not_json:  # raised out here, because a JSONDecodeError carries the whole body
        raise UnreadableResponse(not_json, request_id=request_id)
    if isinstance(value, list) and has_error(value):
        raise error_from_body(value, request_id=request_id)
    if not isinstance(value, dict):
        raise UnreadableResponse(
            f"Sunra answered with a JSON {type(value).__name__} in place of a completion: "
            f"{excerpt(body)}",
            request_id=request_id,
        )
    reader = CompletionParser(
        "message",
        request_id=request_id,
        requested_model=requested_model,
        fallback_id=fallback_id,
        tool_names=tool_names,
    )
    reader.read(value)
    if not reader.accumulator.started_choices:
        if is_bare_error(value):
            raise reader.failure(value, top_level=True)
        raise UnreadableResponse(
            "Sunra answered with a completion that has no choices, so there is no answer in it: "
            f"{excerpt(body)}",
            request_id=request_id,
            details=value,
        )
    return reader.accumulator.reply(raw=value)


def excerpt(body: bytes) -> str:
    """The beginning of a body, fit for a message."""
    return sanitize(body[:300].decode("utf-8", "replace")) or "(an empty body)"


def _not_json(body: bytes, error: ValueError) -> str:
    if body.lstrip().startswith((b"data:", b":", b"event:")):
        return (
            "A plain answer was asked for and a stream was sent; use the streaming call with "
            f"this server. The stream begins: {excerpt(body)}"
        )
    return f"Sunra answered with a body that is no JSON ({error}): {excerpt(body)}"


_CHUNK_FIELDS = frozenset(
    ("id", "object", "created", "model", "choices", "usage", "system_fingerprint", "error")
)
_CHOICE_FIELDS = frozenset(
    ("index", "delta", "message", "finish_reason", "logprobs", "error", "usage")
)
_TEXT_CHOICE_FIELDS = frozenset(("index", "delta", "finish_reason", "logprobs"))
_REASONING_FIELDS = ("reasoning", "reasoning_content")
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


def parse_text_choice(event: Json) -> ChoiceDelta | None:
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
    index = as_int(choice.get("index"))
    return ChoiceDelta(0 if index is None else index, content)


def parse_choice(
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
    extra = without_keys(choice, _CHOICE_FIELDS)
    if (
        (content is None or isinstance(content, str))
        and extra is EMPTY
        and _MESSAGE_FIELDS.issuperset(message)
        and not any(map(message.get, _RARE_FIELDS))
        and not _has_empty_reasoning(message)
    ):
        finish_reason, logprobs = as_str(choice.get("finish_reason")), _logprobs(choice)
        return ChoiceDelta(index, content or "", "", tool_calls, finish_reason, logprobs)
    return parse_rich_choice(choice, index, message, tool_calls)


def parse_rich_choice(
    choice: Json, index: int, message: Json, tool_calls: tuple[ToolCallDelta, ...]
) -> ChoiceDelta:
    """What `read_choice` gives, where anything but text and tool calls may be there."""
    said = message.get
    content = said("content")
    parts = _content_parts(content) if content else ()
    details = dicts_in(said("reasoning_details"))
    reasoning, reasoning_field = _reasoning(message, details, parts)
    return ChoiceDelta(
        index,
        content if isinstance(content, str) else "".join(map(text_of_part, parts)),
        reasoning,
        tool_calls,
        as_str(choice.get("finish_reason")),
        _logprobs(choice),
        as_str(said("refusal")) or "",
        parts,
        details,
        dicts_in(said("annotations")),
        dicts_in(said("images")),
        without_keys(choice, _CHOICE_FIELDS),
        without_keys(message, _MESSAGE_FIELDS),
        reasoning_field,
    )


def _logprobs(choice: Json) -> Json | None:
    logprobs = choice.get("logprobs")
    return logprobs if isinstance(logprobs, dict) else None


def parse_chunk(event: Json, choices: tuple[ChoiceDelta, ...], request_id: str | None) -> Chunk:
    """The whole event as a `Chunk`, given its choices."""
    get = event.get
    usage = get("usage") or _usage_in_a_choice(get("choices"))
    return Chunk(
        choices,
        as_str(get("id")),
        as_str(get("model")),
        as_int(get("created")),
        as_str(get("system_fingerprint")),
        parse_usage(usage) if usage else _usage_of_groq(event),
        request_id,
        without_keys(event, _CHUNK_FIELDS),
        event,
    )


def _usage_of_groq(event: Json) -> Usage | None:
    """The usage that Groq's streams bring within a field of their own."""
    given = event.get("x_groq")
    return parse_usage(given.get("usage")) if isinstance(given, dict) else None


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
    return dicts_in([_content_part(part) for part in content])


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


def _text_of_detail(detail: Json) -> str:
    return as_str(detail.get("text")) or as_str(detail.get("summary")) or ""
