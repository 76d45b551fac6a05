"""Decoded JSON to chunks and replies: one parser for streamed and whole completions.

A whole completion is parsed as one chunk whose `message` is its delta, so both kinds are always
understood alike. Parsing is by hand, without validating models, because a stream has thousands of
events. Unknown fields are kept. A field of the wrong type counts as missing, and stays in
`Chunk.raw`.
"""

from __future__ import annotations

from collections.abc import Mapping
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
from sunra_integrations.protocol.parameters import Api
from sunra_integrations.protocol.reply import (
    IN_CONTENT,
    ChoiceDelta,
    Chunk,
    Reply,
    ToolCallDelta,
    parse_usage,
)
from sunra_integrations.protocol.responses_parser import ResponsesParser
from sunra_integrations.protocol.tool_call_tracker import ToolCallTracker, short_id

_CHUNK_FIELDS = frozenset(
    ("id", "object", "created", "model", "choices", "usage", "system_fingerprint", "error")
)
_CHOICE_FIELDS = frozenset(
    ("index", "delta", "message", "finish_reason", "logprobs", "error", "usage")
)
_COMMON_FIELDS = frozenset(("role", "content", "tool_calls"))
_REASONING_FIELDS = ("reasoning", "reasoning_content")
_MESSAGE_FIELDS = frozenset(
    (
        *_COMMON_FIELDS,
        "refusal",
        *_REASONING_FIELDS,
        "reasoning_details",
        "annotations",
        "images",
    )
)
_EXCERPT_BYTES = 300


def parse_completion(
    body: bytes,
    *,
    request_id: str | None = None,
    headers: Mapping[str, str] = EMPTY,
    requested_model: str | None = None,
    fallback_id: str = "sunra",
    tool_names: Mapping[str, str] = EMPTY,
    api: Api | None = None,
) -> Reply:
    """The reply in the body of a successful response that is not a stream.

    Args:
        body: The body.
        request_id: The response's `x-request-id`.
        headers: The `headers` of the reply.
        requested_model: The request's model, for a completion that does not name one.
        fallback_id: See `CompletionParser`.
        tool_names: The original tool names; see `ChatRequest.own_tool_names`.
        api: `responses` for a body of `/v1/responses`.

    Raises:
        SunraError: The body contains an error.
        UnreadableResponse: The body is not a completion: invalid JSON, a stream, or no choices.
    """
    value, invalid = None, ""
    try:
        value = read_json(body)
    except ValueError as error:
        invalid = _invalid_json(body, error)
    if invalid:  # raised outside of `except`: a JSONDecodeError keeps the whole body alive
        raise UnreadableResponse(invalid, request_id=request_id)
    if isinstance(value, list) and has_error(value):
        raise error_from_body(value, request_id=request_id)
    if not isinstance(value, dict):
        raise UnreadableResponse(
            f"Sunra returned a JSON {type(value).__name__} instead of a completion: "
            f"{excerpt(body)}",
            request_id=request_id,
        )
    if api == "responses":
        response_parser = ResponsesParser(
            request_id=request_id,
            headers=headers,
            requested_model=requested_model,
            accumulator=ReplyAccumulator(whole=True),
            fallback_id=fallback_id,
            tool_names=tool_names,
        )
        return _parse_response(value, body, response_parser)
    parser = CompletionParser(
        "message",
        request_id=request_id,
        headers=headers,
        requested_model=requested_model,
        fallback_id=fallback_id,
        tool_names=tool_names,
    )
    parser.parse(value)
    if not parser.accumulator.choices:
        if is_bare_error(value):
            raise parser.error(value, top_level=True)
        raise UnreadableResponse(
            f"Sunra returned a completion without choices: {excerpt(body)}",
            request_id=request_id,
            details=value,
        )
    return parser.accumulator.reply(raw=value)


def _parse_response(value: Json, body: bytes, parser: ResponsesParser) -> Reply:
    if is_bare_error(value):
        raise parser.error(value, top_level=True)
    has_failed = value.get("status") == "failed" or has_error(value)
    if not isinstance(value.get("output"), list) and not has_failed:
        raise UnreadableResponse(
            f"Sunra returned a response without output: {excerpt(body)}",
            request_id=parser.request_id,
            details=value,
        )
    chunk = parser.parse_whole(value)
    return parser.accumulator.reply(raw=chunk.raw)


class CompletionParser:
    """Parses the objects of one response in order, and accumulates them.

    Args:
        message_field: The field of a choice that has the message: `delta` in a stream,
            otherwise `message`.
        request_id: The response's `x-request-id`, set on every chunk.
        headers: The `headers` of every chunk.
        requested_model: The request's model, for a response that does not name one.
        accumulator: Accumulates the chunks. Defaults to a new one.
        fallback_id: Part of the ids made for tool calls without one, if neither the response nor
            its headers have an id.
        tool_names: The original tool names; see `ChatRequest.own_tool_names`.
    """

    def __init__(
        self,
        message_field: str = "delta",
        *,
        request_id: str | None = None,
        headers: Mapping[str, str] = EMPTY,
        requested_model: str | None = None,
        accumulator: ReplyAccumulator | None = None,
        fallback_id: str = "sunra",
        tool_names: Mapping[str, str] = EMPTY,
    ) -> None:
        self._is_stream = message_field == "delta"
        self._message_field = message_field
        self._request_id = request_id
        self._headers = headers
        self._fallback_id = request_id or fallback_id
        self._tool_names = tool_names
        self._trackers: dict[int, ToolCallTracker] = {}
        if accumulator is None:
            accumulator = ReplyAccumulator(whole=not self._is_stream)
        self.accumulator: ReplyAccumulator = accumulator
        self.accumulator.requested_model = requested_model

    def parse(self, body: Json) -> Chunk:
        """One event of a stream, or one whole completion, as a chunk.

        Raises:
            SunraError: The body contains an error, on its own, beside choices or in a choice. Its
                `partial` includes the content of this body.
        """
        choices = dicts_in(body.get("choices"))
        deltas = [self._parse_choice(body, choice, place) for place, choice in enumerate(choices)]
        chunk = _parse_chunk(body, tuple(deltas), self._request_id, self._headers)
        self.accumulator.add(chunk)
        if has_error(body):
            raise self.error(body)
        for choice in choices:
            if choice.get("finish_reason") == "error" or choice.get("error"):
                raise self.error(choice)
        return chunk

    def error(self, body: object, *, top_level: bool = False) -> SunraError:
        """The error in a body, with what was received before it; see `error_from_body`."""
        return error_from_body(
            body,
            request_id=self._request_id,
            partial=self.accumulator.reply() if self.accumulator.choices else None,
            top_level=top_level,
        )

    def _parse_choice(self, body: Json, choice: Json, place: int) -> ChoiceDelta:
        index = as_int(choice.get("index"))
        if index is None:
            index = place
        message = choice.get(self._message_field)
        if message is None and index not in self.accumulator.choices:
            # Some gateways send a whole completion as the only event, or an event as a body.
            message = choice.get("message", choice.get("delta"))
        if not isinstance(message, dict):
            message = EMPTY
        return _parse_message(
            choice, index, message, self._parse_calls(body, choice, index, message)
        )

    def _parse_calls(
        self, body: Json, choice: Json, index: int, message: Json
    ) -> tuple[ToolCallDelta, ...]:
        entries = message.get("tool_calls")
        tracker = self._trackers.get(index)
        if entries and tracker is None:
            response_id = short_id(as_str(body.get("id")) or self._fallback_id)
            tracker = ToolCallTracker(f"call_{response_id}_{index}", self._tool_names)
            self._trackers[index] = tracker
        if tracker is None:
            return ()
        calls = tracker.process(entries, whole=not self._is_stream) if entries else ()
        if self._tool_names and choice.get("finish_reason") is not None:
            calls += tracker.release_names()
        return calls


def excerpt(body: bytes) -> str:
    """The beginning of a body, as text for an error message."""
    return sanitize(body[:_EXCERPT_BYTES].decode("utf-8", "replace")) or "(an empty body)"


def _invalid_json(body: bytes, error: ValueError) -> str:
    if body.lstrip().startswith((b"data:", b":", b"event:")):
        return (
            "Sunra returned a stream instead of a completion. Use the streaming call with this "
            f"server. The stream begins: {excerpt(body)}"
        )
    return f"Sunra returned invalid JSON ({error}): {excerpt(body)}"


def _parse_chunk(
    event: Json,
    choices: tuple[ChoiceDelta, ...],
    request_id: str | None,
    headers: Mapping[str, str],
) -> Chunk:
    get = event.get
    usage = get("usage") or _usage_in_choices(get("choices")) or _usage_from_groq(get("x_groq"))
    return Chunk(
        choices,
        as_str(get("id")),
        as_str(get("model")),
        as_int(get("created")),
        as_str(get("system_fingerprint")),
        parse_usage(usage) if usage else None,
        request_id,
        headers,
        without_keys(event, _CHUNK_FIELDS),
        event,
    )


def _usage_from_groq(x_groq: object) -> object:
    """Groq reports it in `x_groq`: https://github.com/vercel/ai/issues/1651."""
    return x_groq.get("usage") if isinstance(x_groq, dict) else None


def _usage_in_choices(choices: object) -> object:
    """Moonshot reports it in the last choice: https://github.com/northes/go-moonshot/issues/17."""
    if type(choices) is list:
        for choice in reversed(choices):
            if type(choice) is dict and "usage" in choice:
                return choice["usage"]
    return None


def _parse_message(
    choice: Json, index: int, message: Json, tool_calls: tuple[ToolCallDelta, ...]
) -> ChoiceDelta:
    """A choice as a delta.

    Args:
        choice: An element of `choices`.
        index: Its index.
        message: Its `delta` or `message`; empty if that was null or missing.
        tool_calls: Its tool calls, each with a definite index.
    """
    get = message.get
    content, logprobs = get("content"), choice.get("logprobs")
    finish_reason = as_str(choice.get("finish_reason"))
    logprobs = logprobs if isinstance(logprobs, dict) else None
    extra = without_keys(choice, _CHOICE_FIELDS)
    if _COMMON_FIELDS.issuperset(message) and (content is None or isinstance(content, str)):
        return ChoiceDelta(
            index, content or "", "", tool_calls, finish_reason, logprobs, extra=extra
        )
    parts = _content_parts(content) if content else ()
    details = dicts_in(get("reasoning_details"))
    reasoning, reasoning_field = _reasoning(message, details, parts)
    return ChoiceDelta(
        index,
        content if isinstance(content, str) else "".join(map(text_of_part, parts)),
        reasoning,
        tool_calls,
        finish_reason,
        logprobs,
        as_str(get("refusal")) or "",
        parts,
        details,
        dicts_in(get("annotations")),
        dicts_in(get("images")),
        extra,
        without_keys(message, _MESSAGE_FIELDS),
        reasoning_field,
    )


def _content_parts(content: object) -> tuple[Json, ...]:
    """Content given as a list of parts, or as a single part. Strings become text parts."""
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
    """The reasoning text and the name of its field. A text sent under both names counts once."""
    empty_field = None
    for name in _REASONING_FIELDS:
        value = message.get(name)
        if isinstance(value, str):
            if value:
                return value, name
            empty_field = empty_field or name
    text = "".join(map(_text_of_detail, details))
    if text:
        return text, None
    if any(map(thinking_text, parts)):
        thoughts = [part for part in parts if part.get("type") == "thinking"]
        text = "".join(map(thinking_text, thoughts))
        return text, None if all(map(is_plain_thinking, thoughts)) else IN_CONTENT
    # DeepSeek requires even empty reasoning back with its tool calls:
    # https://github.com/deepseek-ai/deepseek-harness/discussions/739
    return "", empty_field


def _text_of_detail(detail: Json) -> str:
    return as_str(detail.get("text")) or as_str(detail.get("summary")) or ""
