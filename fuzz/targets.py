# ruff: noqa: S101 - a property is an assertion
"""What must hold for any bytes a server may send, one function each: bytes in, nothing out.

A function raises where its property is broken. Each is run by the suite, over the recordings, the
corpus and what Hypothesis makes up, and by a coverage-guided fuzzer, over what that one finds.
"""

from collections.abc import Callable, Mapping

from sunra_integrations.errors import SunraError
from sunra_integrations.protocol.accumulator import accumulate
from sunra_integrations.protocol.completion import parse_completion
from sunra_integrations.protocol.error_parsing import error_from_response, parse_retry_after
from sunra_integrations.protocol.reply import Chunk, Reply
from sunra_integrations.protocol.sse import Event, SSEDecoder
from sunra_integrations.protocol.stream import ChunkStream

SMALL_EVENT = 128
"""An event limit that short inputs reach."""

LONGEST_MESSAGE = 4000
"""Upstream's words are cut to 2,000 characters, and quoted once or twice beside our own."""

_CONTROLS = {*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029}
_OVERRIDES = {*range(0x202A, 0x202F), *range(0x2066, 0x206A)}
_UNFIT = frozenset(map(chr, _CONTROLS | _OVERRIDES))

# What a body adds up to may repeat some of it, and names what has no name: this much and no more.
_GROWTH = 8
_ALLOWANCE = 4096

Outcome = object


# ── what the properties share ────────────────────────────────────────────────


def pieces_of(body: bytes, seed: int) -> list[bytes]:
    """The body cut into pieces of lengths that the seed decides, some of them empty."""
    pieces: list[bytes] = []
    start = 0
    while start < len(body):
        seed = (seed * 1_103_515_245 + 12_345) & 0x7FFFFFFF
        length = (seed >> 8) % 19
        pieces.append(body[start : start + length])
        start += length
    return pieces


def expect_fit_message(error: SunraError) -> None:
    """A message can go to a terminal or a log: no control characters, and an end."""
    unfit = sorted(set(error.message) & _UNFIT)
    assert not unfit, f"{unfit} in {error.message!r}"
    assert len(error.message) <= LONGEST_MESSAGE, len(error.message)
    error.message.encode()


def _told(error: SunraError) -> Outcome:
    expect_fit_message(error)
    return type(error), error.message, error.code, error.retryable, repr(error.partial)


def _expect_bounded(reply: Reply, body: bytes) -> None:
    """A reply is of the order of what it was read from, and can be shown and used."""
    size = len(repr(reply))
    assert size <= _GROWTH * len(body) + _ALLOWANCE, (size, len(body))
    for choice in reply.choices:
        for call in choice.tool_calls:
            call.parsed()


# ── the properties ───────────────────────────────────────────────────────────


def event_stream(data: bytes) -> None:
    """Events are the same however the bytes are cut, and no larger than the bytes."""
    body, seed = data[1:], data[0] if data else 0
    whole = _events([body], 1 << 20)
    assert _events(pieces_of(body, seed), 1 << 20) == whole
    if isinstance(whole, list):
        assert sum(len(event.data) for event in whole) <= len(body)
    assert _events(pieces_of(body, seed), SMALL_EVENT) == _events([body], SMALL_EVENT)


def _events(pieces: list[bytes], limit: int) -> Outcome:
    stream = SSEDecoder(max_event_bytes=limit)
    events: list[Event] = []
    try:
        for piece in pieces:
            events += stream.feed(piece)
        events += stream.close()
    except SunraError as error:
        return _told(error)
    return events


def chunk_stream(data: bytes) -> None:
    """A streamed answer is the same however it is cut, and its chunks add up to its reply."""
    body, seed = data[1:], data[0] if data else 0
    chunks, reply, failed = _streamed([body])
    again = _streamed(pieces_of(body, seed))
    assert (repr(again[0]), repr(again[1]), again[2]) == (repr(chunks), repr(reply), failed)
    _expect_bounded(reply, body)
    if failed is None:
        assert repr(accumulate(chunks)) == repr(reply)


def _streamed(pieces: list[bytes]) -> tuple[list[Chunk], Reply, Outcome]:
    stream = ChunkStream(request_id="request-1")
    chunks: list[Chunk] = []
    try:
        for piece in pieces:
            chunks += stream.feed(piece)
            if stream.done:
                break
        chunks += stream.close()
    except SunraError as error:
        told = _told(error)
        # Behind [DONE] nothing is read, but lines of no event in its very piece are still quoted.
        return chunks, stream.so_far(), "nothing but [DONE]" if stream.done else told
    return chunks, stream.so_far(), None


def completion(data: bytes) -> None:
    """A whole answer is a reply of its size, or a SunraError."""
    try:
        reply = parse_completion(data)
    except SunraError as error:
        expect_fit_message(error)
        if error.partial is not None:
            _expect_bounded(error.partial, data)
        return
    _expect_bounded(reply, data)


def error_answer(data: bytes) -> None:
    """Any status, headers and body are a SunraError that can be shown."""
    head, _, body = data.partition(b"\n\n")
    first, *lines = head.decode("latin-1").split("\n")
    status = 300 + sum(map(ord, first)) % 300
    headers = _headers(lines)
    error = error_from_response(status, headers, body, now=1_750_000_000.0)
    assert isinstance(error, SunraError)
    expect_fit_message(error)
    assert error.status == status
    assert error.response is not None
    assert error.response.body == body
    expect_sensible_wait(error.retry_after)


def waiting(data: bytes) -> None:
    """A server's wish to wait is a finite number of seconds, or None."""
    expect_sensible_wait(
        parse_retry_after(_headers(data.decode("latin-1").split("\n")), now=1_750_000_000.0)
    )


def _headers(lines: list[str]) -> Mapping[str, str]:
    pairs = (line.partition(":") for line in lines)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def expect_sensible_wait(seconds: float | None) -> None:
    """A wait is a finite number of seconds, not below zero, or none is asked for."""
    assert seconds is None or 0 <= seconds < float("inf"), seconds


TARGETS: dict[str, Callable[[bytes], None]] = {
    "event_stream": event_stream,
    "chunk_stream": chunk_stream,
    "completion": completion,
    "error_answer": error_answer,
    "waiting": waiting,
}
