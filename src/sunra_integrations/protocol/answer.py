"""Decoded JSON of one answer to Chunks: the only reader, for streamed and whole answers alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sunra_integrations.errors import SunraError, UnreadableResponse
from sunra_integrations.protocol.error_body import has_error, is_bare_error
from sunra_integrations.protocol.failures import clean, failure_in_body
from sunra_integrations.protocol.json_text import read_json
from sunra_integrations.protocol.json_values import NOTHING, Json, count, objects, text
from sunra_integrations.protocol.reply import Fold, Reply
from sunra_integrations.protocol.responses import (
    ChoiceDelta,
    Chunk,
    read_choice,
    read_chunk,
    read_text,
)
from sunra_integrations.protocol.tool_call_order import ToolCallOrder, short_id


class AnswerReader:
    """Reads the objects of one answer in order, and keeps what they add up to.

    Args:
        message_field: Where a choice holds what it says: `delta` in a stream, else `message`.
        request_id: The answer's `x-request-id`, put on every chunk.
        model_asked: The request's model, for an answer that names none.
        so_far: Where the chunks are added up.
        answer_id: Distinguishes this answer from others in the ids made for calls without one,
            where neither the answer's own id nor `request_id` does.
        tool_names: The tools' own names; see `ChatRequest.own_tool_names`.
    """

    def __init__(
        self,
        message_field: str = "delta",
        *,
        request_id: str | None = None,
        model_asked: str | None = None,
        so_far: Fold | None = None,
        answer_id: str = "sunra",
        tool_names: Mapping[str, str] = NOTHING,
    ) -> None:
        self._answer_id = request_id or answer_id
        self._message_field = message_field
        self._request_id = request_id
        self._tool_names = tool_names
        self._tool_calls: dict[int, ToolCallOrder] = {}
        self.so_far: Fold = Fold(whole=message_field == "message") if so_far is None else so_far
        self.so_far.model_asked = model_asked

    def read(self, body: Json) -> Chunk:
        """One event of a stream, or one whole completion, as a Chunk.

        Raises:
            SunraError: The body carries an error, alone, beside choices or in one. The error's
                `partial` holds all that had arrived, this body's own content included.
        """
        text_only = read_text(body) if self._message_field == "delta" else None
        choices = () if text_only is not None else objects(body.get("choices"))
        deltas = (text_only,) if text_only is not None else self._deltas(body, choices)
        chunk = read_chunk(body, deltas, self._request_id)
        self.so_far.add(chunk)
        if has_error(body):
            raise self.failure(body)
        for choice in choices:
            if choice.get("finish_reason") == "error" or choice.get("error"):
                raise self.failure(choice)
        return chunk

    def calls_of(self, choice_index: int) -> ToolCallOrder | None:
        """The order of the tool calls of a choice; None while it has none."""
        return self._tool_calls.get(choice_index)

    def failure(self, body: object, *, top_level: bool = False) -> SunraError:
        """The error that a body stands for, with what had arrived before it."""
        return failure_in_body(
            body,
            request_id=self._request_id,
            partial=self.so_far.reply() if self.so_far.begun else None,
            top_level=top_level,
        )

    def _deltas(self, body: Json, choices: Iterable[Json]) -> tuple[ChoiceDelta, ...]:
        return tuple([self._choice(body, choice, place) for place, choice in enumerate(choices)])

    def _choice(self, body: Json, choice: Json, place: int) -> ChoiceDelta:
        index = count(choice.get("index"))
        if index is None:
            index = place
        message = choice.get(self._message_field)
        if message is None and index not in self.so_far.begun_choices:
            # Some gateways send a whole answer as the one event of a stream, or an event as a body.
            message = choice.get("message", choice.get("delta"))
        if not isinstance(message, dict):
            message = NOTHING
        entries = message.get("tool_calls")
        order = self._tool_calls.get(index)
        has_ended = bool(self._tool_names) and choice.get("finish_reason") is not None
        if not entries:
            held = order.release() if order is not None and has_ended else ()
            return read_choice(choice, index, message, held)
        if order is None:
            answer_id = short_id(text(body.get("id")) or self._answer_id)
            prefix = f"call_{answer_id}_{index}"
            order = self._tool_calls[index] = ToolCallOrder(prefix, self._tool_names)
        whole = self._message_field == "message"
        calls = order.place(entries, whole=whole)
        if has_ended:
            calls += order.release()
        return read_choice(choice, index, message, calls)


def read_completion(
    body: bytes,
    *,
    request_id: str | None = None,
    model_asked: str | None = None,
    answer_id: str = "sunra",
    tool_names: Mapping[str, str] = NOTHING,
) -> Reply:
    """The Reply in the body of a successful unstreamed answer.

    Args:
        body: The body as it came.
        request_id: The answer's `x-request-id`.
        model_asked: The request's model, for an answer that names none.
        answer_id: As `AnswerReader` takes it.
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
        raise failure_in_body(value, request_id=request_id)
    if not isinstance(value, dict):
        raise UnreadableResponse(
            f"Sunra answered with a JSON {type(value).__name__} in place of a completion: "
            f"{excerpt(body)}",
            request_id=request_id,
        )
    reader = AnswerReader(
        "message",
        request_id=request_id,
        model_asked=model_asked,
        answer_id=answer_id,
        tool_names=tool_names,
    )
    reader.read(value)
    if not reader.so_far.begun:
        if is_bare_error(value):
            raise reader.failure(value, top_level=True)
        raise UnreadableResponse(
            "Sunra answered with a completion that has no choices, so there is no answer in it: "
            f"{excerpt(body)}",
            request_id=request_id,
            details=value,
        )
    return reader.so_far.reply(raw=value)


def excerpt(body: bytes) -> str:
    """The beginning of a body, fit for a message."""
    return clean(body[:300].decode("utf-8", "replace")) or "(an empty body)"


def _not_json(body: bytes, error: ValueError) -> str:
    if body.lstrip().startswith((b"data:", b":", b"event:")):
        return (
            "A plain answer was asked for and a stream was sent; use the streaming call with "
            f"this server. The stream begins: {excerpt(body)}"
        )
    return f"Sunra answered with a body that is no JSON ({error}): {excerpt(body)}"
