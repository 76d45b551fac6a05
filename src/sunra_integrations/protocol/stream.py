"""Bytes of a streamed answer to ordered Chunks, with the proof that the answer is whole.

An answer is whole when every choice that began has a finish_reason. `[DONE]` is neither needed
(some servers never send it) nor proof (aborted streams send it bare). Before that, a damaged line
means that something may be missing; after it, what cannot be read is ignored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sunra_integrations.errors import StreamInterrupted, SunraError, TimedOut, UnreadableResponse
from sunra_integrations.protocol.accumulator import ReplyAccumulator
from sunra_integrations.protocol.completion import CompletionParser, excerpt, parse_completion
from sunra_integrations.protocol.error_body import has_error, is_bare_error
from sunra_integrations.protocol.fast_path import RepeatedEvent
from sunra_integrations.protocol.json_text import EMPTY, EventJsonReader, Json
from sunra_integrations.protocol.reply import Chunk, Reply
from sunra_integrations.protocol.sse import DEFAULT_MAX_EVENT_BYTES, STRAY, Event, SSEDecoder


class ChunkStream:
    """Reads one streamed answer, in pieces of any size.

    Args:
        request_id: The answer's `x-request-id`, put on every chunk.
        requested_choices: The request's `n`: a connection that breaks before all of them were seen
            has cut the answer short.
        requested_model: The request's model, for answers that name none.
        max_event_bytes: An event, or a stream, longer than this raises `UnreadableResponse`.
        accumulator: Where the chunks are added up, for a reader who wants the sum as well.
        fallback_id: As `AnswerReader` takes it.
        tool_names: The tools' own names; see `ChatRequest.own_tool_names`.
    """

    def __init__(
        self,
        *,
        request_id: str | None = None,
        requested_choices: int = 1,
        requested_model: str | None = None,
        max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES,
        accumulator: ReplyAccumulator | None = None,
        fallback_id: str = "sunra",
        tool_names: Mapping[str, str] = EMPTY,
    ) -> None:
        self._request_id = request_id
        self._tool_names = tool_names
        self._requested_choices = requested_choices
        self._max_bytes = self._bytes_left = max_event_bytes
        self._events = SSEDecoder(max_event_bytes=max_event_bytes)
        self._json = EventJsonReader()
        self._reader = CompletionParser(
            request_id=request_id,
            requested_model=requested_model,
            accumulator=accumulator,
            fallback_id=fallback_id,
            tool_names=tool_names,
        )
        self._reader.accumulator.requested_choices = requested_choices
        self._repeated = RepeatedEvent(self._reader.calls_of)
        self._damaged_before: bytes | None = (
            None  # a line in place of which an event may be missing
        )
        self._bare_error: Json | None = None
        self.done: bool = False
        """`[DONE]` came: nothing more is worth waiting for."""

    @property
    def data_received(self) -> int:
        """Bytes of data so far; comments and blank lines do not count as progress."""
        return self._events.data_received

    def so_far(self) -> Reply:
        """What has arrived, as a Reply."""
        return self._reader.accumulator.reply()

    def feed(self, piece: bytes) -> Iterator[Chunk]:
        """The chunks that this piece of the body completes, in order.

        Raises:
            SunraError: The stream carries an error; `partial` holds what had arrived.
            StreamInterrupted: An event is damaged, and the answer was not whole before it.
            UnreadableResponse: An event is longer than allowed, before the answer was whole.
        """
        self._bytes_left -= len(piece)
        if self._bytes_left < 0:
            return self._read_to_the_limit(piece)
        return self._read(self._events_in(piece))

    def close(self, broken_by: SunraError | None = None) -> Iterator[Chunk]:
        """The last chunks, after the body ended, in the ordinary way or by a fault.

        Args:
            broken_by: What broke the connection; None where the body ended by itself. A fault
                after the answer was whole does no harm.

        Raises:
            StreamInterrupted: The answer is not whole.
            UnreadableResponse: There was no answer in the stream at all.
            SunraError: The body was an error in place of a stream.
        """
        if broken_by is not None:
            if not self._whole():
                late = isinstance(broken_by, TimedOut)
                why = broken_by.message if late else f"the connection broke. {broken_by.message}"
                raise self._interrupted(why) from broken_by
            return
        if not self.done:
            yield from self._read(self._last_events())
        so_far = self._reader.accumulator
        if self._bare_error is not None and (not so_far.started_choices or so_far.unfinished):
            raise self._reader.failure(self._bare_error, top_level=True)
        if not so_far.started_choices:
            raise self._no_answer()
        if so_far.unfinished:
            raise self._interrupted(f"choice {so_far.unfinished[0]} ended without a finish_reason")

    def _whole(self) -> bool:
        so_far = self._reader.accumulator
        return len(so_far.started_choices) >= self._requested_choices and not so_far.unfinished

    def _events_in(self, piece: bytes) -> list[Event]:
        try:
            return self._events.feed(piece)
        except UnreadableResponse as error:
            return self._done_unless_cut_short(error)

    def _read_to_the_limit(self, piece: bytes) -> Iterator[Chunk]:
        yield from self._read(self._events_in(piece[: self._bytes_left]))
        if not self.done:
            too_long = UnreadableResponse(
                f"The stream is longer than {self._max_bytes:,} bytes; "
                "raise `max_response_bytes` if answers of that size are expected.",
                retryable=False,
            )
            self._done_unless_cut_short(too_long)

    def _last_events(self) -> list[Event]:
        try:
            return self._events.close()
        except UnreadableResponse as error:
            return self._done_unless_cut_short(error)

    def _done_unless_cut_short(self, error: UnreadableResponse) -> list[Event]:
        """Ends the reading at unreadable data if the answer is complete, and raises otherwise."""
        if not self._whole():
            error.request_id = self._request_id
            error.partial = self.so_far() if self._reader.accumulator.started_choices else None
            raise error
        self.done = True
        return []

    def _read(self, events: list[Event]) -> Iterator[Chunk]:
        for name, data in events:
            if self.done:
                return
            if name == STRAY:
                self._read_stray(data)
                continue
            if data.strip() == b"[DONE]":
                self.done = True
                return
            chunk = None if name or self._json.halves else self._repeated.read(data)
            if chunk is not None:
                self._reader.accumulator.add(chunk)
                yield chunk
            elif (chunk := self._chunk(name, data)) is not None:
                if self._json.read_strictly:
                    self._repeated.learn(data, chunk)
                yield chunk

    def _read_stray(self, line: bytes) -> None:
        """Notes a line that is not a field: the answer may be incomplete without it."""
        if self._reader.accumulator.started_choices:
            self._refuse_before_the_end(f"a line is damaged: {excerpt(line)}")
        self._damaged_before = line  # before any choice it may as well be a body of another kind

    def _chunk(self, name: str, data: bytes) -> Chunk | None:
        """The event's chunk; None for a damaged one behind a complete answer."""
        body, not_json = None, ""
        try:
            body = self._json.read(data)
        except ValueError as error:
            not_json = f"an event is not valid JSON ({error}): {excerpt(data)}"
        if not_json:  # looked at out here, because a JSONDecodeError carries the whole event
            if name == "error":
                raise self._reader.failure(excerpt(data))
            self._refuse_before_the_end(not_json)
            return None
        if name == "error":
            raise self._reader.failure(body, top_level=True)
        if isinstance(body, list) and has_error(body):
            raise self._reader.failure(body)
        if not isinstance(body, dict):
            self._refuse_before_the_end(f"an event is not a JSON object: {excerpt(data)}")
            return None
        if self._damaged_before is not None and body.get("choices") and not has_error(body):
            self._refuse_before_the_end(f"a line is damaged: {excerpt(self._damaged_before)}")
        if is_bare_error(body):  # or a word of the server's own: the end of the stream decides
            self._bare_error = body
        return self._reader.read(body)

    def _refuse_before_the_end(self, why: str) -> None:
        """Raises unless the answer is complete: a damaged tail does not change it."""
        if not self._whole():
            raise self._interrupted(why)

    def _no_answer(self) -> SunraError:
        stray = self._events.stray
        if not stray.strip():
            return UnreadableResponse(
                "Sunra opened a stream and ended it without any choice, so there is no answer.",
                request_id=self._request_id,
            )
        try:
            reply = parse_completion(
                stray, request_id=self._request_id, tool_names=self._tool_names
            )
        except SunraError as error:
            return error
        return UnreadableResponse(
            "A stream was asked for and a plain answer was sent; it is kept in `partial`. "
            "Use the call that does not stream with this server.",
            request_id=self._request_id,
            retryable=False,
            partial=reply,
        )

    def _interrupted(self, why: str) -> StreamInterrupted:
        begun = self._reader.accumulator.started_choices
        kept = "What had arrived is kept in `partial`." if begun else "Nothing had arrived."
        return StreamInterrupted(
            f"The answer is not whole: {why.rstrip('.')}. {kept}",
            request_id=self._request_id,
            partial=self.so_far() if begun else None,
        )
