"""Bytes of a streamed response to chunks, and whether the reply is whole.

A reply is whole once every choice that began has a finish_reason. In a stream of `/v1/responses`,
that is the last event: `response.completed` or `response.incomplete`. `[DONE]` is neither required
(some servers never send it) nor sufficient (aborted streams send it without a finish_reason).
Before the reply is whole, a damaged line means that part of it may be missing. After that,
whatever cannot be read is ignored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sunra_integrations.errors import (
    StreamInterrupted,
    SunraError,
    TimedOut,
    UnreadableResponse,
)
from sunra_integrations.protocol.accumulator import ReplyAccumulator
from sunra_integrations.protocol.completion import CompletionParser, excerpt, parse_completion
from sunra_integrations.protocol.error_body import has_error, is_bare_error
from sunra_integrations.protocol.fast_path import RepeatedText
from sunra_integrations.protocol.json_text import EMPTY, EventJsonReader, Json
from sunra_integrations.protocol.parameters import Api
from sunra_integrations.protocol.reply import Chunk, Reply
from sunra_integrations.protocol.responses_parser import ResponsesParser
from sunra_integrations.protocol.sse import DEFAULT_MAX_EVENT_BYTES, STRAY, Event, SSEDecoder


class ChunkStream:
    """Reads one streamed response, in blocks of any size.

    Args:
        request_id: The response's `x-request-id`, set on every chunk.
        headers: The `headers` of every chunk.
        requested_choices: The request's `n`. If the connection breaks before all of them began,
            the reply is not whole.
        requested_model: The request's model, for a response that does not name one.
        max_event_bytes: Longest event, and longest stream. Exceeding it raises
            `UnreadableResponse`.
        accumulator: Accumulates the chunks. Defaults to a new one.
        fallback_id: See `CompletionParser`.
        tool_names: The original tool names; see `ChatRequest.own_tool_names`.
        api: `responses` for a stream of `/v1/responses`.
    """

    def __init__(
        self,
        *,
        request_id: str | None = None,
        headers: Mapping[str, str] = EMPTY,
        requested_choices: int = 1,
        requested_model: str | None = None,
        max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES,
        accumulator: ReplyAccumulator | None = None,
        fallback_id: str = "sunra",
        tool_names: Mapping[str, str] = EMPTY,
        api: Api | None = None,
    ) -> None:
        self._api: Api | None = api
        self._request_id = request_id
        self._tool_names = tool_names
        self._max_bytes = self._bytes_left = max_event_bytes
        self._decoder = SSEDecoder(max_event_bytes=max_event_bytes)
        self._json = EventJsonReader()
        self._parser: CompletionParser | ResponsesParser
        if api == "responses":
            self._parser = ResponsesParser(
                request_id=request_id,
                headers=headers,
                requested_model=requested_model,
                accumulator=accumulator,
                fallback_id=fallback_id,
                tool_names=tool_names,
            )
        else:
            self._parser = CompletionParser(
                request_id=request_id,
                headers=headers,
                requested_model=requested_model,
                accumulator=accumulator,
                fallback_id=fallback_id,
                tool_names=tool_names,
            )
        self._accumulator = self._parser.accumulator
        self._accumulator.requested_choices = requested_choices
        self._repeated = RepeatedText()
        self._damaged_line: bytes | None = None  # received before any choice began
        self._bare_error: Json | None = None
        self.done: bool = False
        """The end was received: the rest of the body can be ignored."""

    @property
    def data_received(self) -> int:
        """Bytes of data so far. Comments and blank lines do not count."""
        return self._decoder.data_received

    def so_far(self) -> Reply:
        """The reply received so far."""
        return self._accumulator.reply()

    def feed(self, block: bytes) -> Iterator[Chunk]:
        """The chunks that this block of the body completes, in order.

        Raises:
            SunraError: The stream contains an error. Its `partial` is the reply received so far.
            StreamInterrupted: An event is damaged, and the reply was not whole before it.
            UnreadableResponse: An event is too long, and the reply was not whole before it.
        """
        self._bytes_left -= len(block)
        if self._bytes_left < 0:
            return self._read_up_to_limit(block)
        return self._read(self._decode(block))

    def close(self, broken_by: SunraError | None = None) -> Iterator[Chunk]:
        """The last chunks, after the body ended or the connection broke.

        Args:
            broken_by: The error that broke the connection, if any. It is ignored if the reply is
                whole.

        Raises:
            StreamInterrupted: The reply is not whole.
            UnreadableResponse: The stream contained no choice.
            SunraError: The body was an error instead of a stream.
        """
        if broken_by is not None:
            if not self._accumulator.all_finished:
                is_timeout = isinstance(broken_by, TimedOut)
                cause = broken_by.message
                why = cause if is_timeout else f"the connection broke. {cause}"
                raise self._interrupted(why) from broken_by
            return
        if not self.done:
            yield from self._read(self._decode_rest())
        started, unfinished = self._accumulator.choices, self._accumulator.unfinished
        if self._bare_error is not None and (not started or unfinished):
            raise self._parser.error(self._bare_error, top_level=True)
        if not started:
            raise self._no_choices()
        if unfinished:
            raise self._interrupted(self._what_is_missing(unfinished[0]))

    def _what_is_missing(self, choice: int) -> str:
        if self._api == "responses":
            return "there was no response.completed event"
        return f"choice {choice} has no finish_reason"

    def _decode(self, block: bytes) -> list[Event]:
        try:
            return self._decoder.feed(block)
        except UnreadableResponse as error:
            return self._end_or_raise(error)

    def _decode_rest(self) -> list[Event]:
        try:
            return self._decoder.close()
        except UnreadableResponse as error:
            return self._end_or_raise(error)

    def _read_up_to_limit(self, block: bytes) -> Iterator[Chunk]:
        yield from self._read(self._decode(block[: self._bytes_left]))
        if not self.done:
            too_long = UnreadableResponse(
                f"The stream is longer than {self._max_bytes:,} bytes. "
                "Raise `max_response_bytes` if you expect replies of this size.",
                retryable=False,
            )
            self._end_or_raise(too_long)

    def _end_or_raise(self, error: UnreadableResponse) -> list[Event]:
        """Stops reading if the reply is whole; otherwise raises the error."""
        if not self._accumulator.all_finished:
            error.request_id = self._request_id
            error.partial = self._partial()
            raise error
        self.done = True
        return []

    def _read(self, events: list[Event]) -> Iterator[Chunk]:
        for name, data in events:
            if self.done:
                return
            if name == STRAY:
                self._read_stray_line(data)
                continue
            if data.strip() == b"[DONE]":
                self.done = True
                return
            is_plain = not name and not self._json.held_surrogates and self._api != "responses"
            chunk = self._repeated.read(data) if is_plain else None
            if chunk is not None:
                self._accumulator.add(chunk)
                yield chunk
            elif (chunk := self._parse(name, data)) is not None:
                if is_plain and self._json.was_strict:
                    self._repeated.learn(data, chunk)
                # `[DONE]` is not part of this API: its last event ends the stream.
                self.done = self._api == "responses" and self._accumulator.all_finished
                yield chunk

    def _read_stray_line(self, line: bytes) -> None:
        """Handles a line that is not a field: the reply may be incomplete without it."""
        if self._accumulator.choices:
            self._raise_unless_whole(f"a line is damaged: {excerpt(line)}")
        self._damaged_line = line  # or a body of another kind: the first choice decides

    def _parse(self, name: str, data: bytes) -> Chunk | None:
        """The event's chunk; None if it is damaged and the reply is whole without it."""
        body, invalid = None, ""
        try:
            body = self._json.read(data)
        except ValueError as error:
            invalid = f"an event is not valid JSON ({error}): {excerpt(data)}"
        if invalid:  # raised outside of `except`: a JSONDecodeError keeps the whole event alive
            if name == "error":
                raise self._parser.error(excerpt(data))
            self._raise_unless_whole(invalid)
            return None
        if name == "error":
            raise self._parser.error(body, top_level=True)
        if isinstance(body, list) and has_error(body):
            raise self._parser.error(body)
        if not isinstance(body, dict):
            self._raise_unless_whole(f"an event is not a JSON object: {excerpt(data)}")
            return None
        if self._damaged_line is not None and body.get("choices") and not has_error(body):
            self._raise_unless_whole(f"a line is damaged: {excerpt(self._damaged_line)}")
        if name and self._api == "responses" and not body.get("type"):
            body = {**body, "type": name}
        if is_bare_error(body):  # or a notice of the server: the end of the stream decides
            self._bare_error = body
        return self._parser.parse(body)

    def _raise_unless_whole(self, why: str) -> None:
        if not self._accumulator.all_finished:
            raise self._interrupted(why)

    def _partial(self) -> Reply | None:
        return self.so_far() if self._accumulator.choices else None

    def _interrupted(self, why: str) -> StreamInterrupted:
        partial = self._partial()
        hint = (
            "Nothing was received."
            if partial is None
            else "The partial reply is available as `error.partial`."
        )
        return StreamInterrupted(
            f"The stream ended early: {why.rstrip('.')}. {hint}",
            request_id=self._request_id,
            partial=partial,
        )

    def _no_choices(self) -> SunraError:
        stray = self._decoder.stray
        if not stray.strip():
            return UnreadableResponse(
                "Sunra ended the stream without sending a choice.",
                request_id=self._request_id,
            )
        try:
            reply = parse_completion(
                stray, request_id=self._request_id, tool_names=self._tool_names, api=self._api
            )
        except SunraError as error:
            return error
        return UnreadableResponse(
            "Sunra returned a completion instead of a stream. It is available as `error.partial`. "
            "Use the call that does not stream with this server.",
            request_id=self._request_id,
            retryable=False,
            partial=reply,
        )
