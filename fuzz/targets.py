# ruff: noqa: S101 - a property is an assertion
"""Properties that hold for any bytes of a server, one function each.

A function raises if its property is broken. The test suite runs it on the wire fixtures, the corpus
and inputs from Hypothesis. The fuzzer runs it on inputs that increase coverage.
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
"""A limit of events that short inputs reach."""

MAX_MESSAGE = 4000
"""Messages of servers are cut to 2,000 characters, and quoted up to twice."""

_CONTROLS = {*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029}
_OVERRIDES = {*range(0x202A, 0x202F), *range(0x2066, 0x206A)}
_UNSAFE = frozenset(map(chr, _CONTROLS | _OVERRIDES))

# A reply may repeat parts of its body, and contain names for what has none, up to these limits.
_GROWTH = 8
_ALLOWANCE = 4096

Outcome = object


# ── shared by the properties ─────────────────────────────────────────────────


def split(body: bytes, seed: int) -> list[bytes]:
    """The body in parts of lengths that depend on the seed. Some are empty."""
    parts: list[bytes] = []
    start = 0
    while start < len(body):
        seed = (seed * 1_103_515_245 + 12_345) & 0x7FFFFFFF
        length = (seed >> 8) % 19
        parts.append(body[start : start + length])
        start += length
    return parts


def check_message(error: SunraError) -> None:
    """A message is safe for terminals and logs: no control characters, and limited in length."""
    unsafe = sorted(set(error.message) & _UNSAFE)
    assert not unsafe, f"{unsafe} in {error.message!r}"
    assert len(error.message) <= MAX_MESSAGE, len(error.message)
    error.message.encode()


def _summary(error: SunraError) -> Outcome:
    check_message(error)
    return type(error), error.message, error.code, error.retryable, repr(error.partial)


def _check_size(reply: Reply, body: bytes) -> None:
    """A reply is not much larger than its body, and can be printed and used."""
    size = len(repr(reply))
    assert size <= _GROWTH * len(body) + _ALLOWANCE, (size, len(body))
    for choice in reply.choices:
        for call in choice.tool_calls:
            call.parsed()


# ── the properties ───────────────────────────────────────────────────────────


def event_stream(data: bytes) -> None:
    """Events do not depend on how the bytes are split, and are not larger than the bytes."""
    body, seed = data[1:], data[0] if data else 0
    whole = _events([body], 1 << 20)
    assert _events(split(body, seed), 1 << 20) == whole
    if isinstance(whole, list):
        assert sum(len(event.data) for event in whole) <= len(body)
    assert _events(split(body, seed), SMALL_EVENT) == _events([body], SMALL_EVENT)


def _events(parts: list[bytes], limit: int) -> Outcome:
    stream = SSEDecoder(max_event_bytes=limit)
    events: list[Event] = []
    try:
        for piece in parts:
            events += stream.feed(piece)
        events += stream.close()
    except SunraError as error:
        return _summary(error)
    return events


def chunk_stream(data: bytes) -> None:
    """A stream does not depend on how its bytes are split, and its chunks add up to its reply."""
    body, seed = data[1:], data[0] if data else 0
    chunks, reply, failed = _streamed([body])
    again = _streamed(split(body, seed))
    assert (repr(again[0]), repr(again[1]), again[2]) == (repr(chunks), repr(reply), failed)
    _check_size(reply, body)
    if failed is None:
        assert repr(accumulate(chunks)) == repr(reply)


def _streamed(parts: list[bytes]) -> tuple[list[Chunk], Reply, Outcome]:
    stream = ChunkStream(request_id="request-1")
    chunks: list[Chunk] = []
    try:
        for piece in parts:
            chunks += stream.feed(piece)
            if stream.done:
                break
        chunks += stream.close()
    except SunraError as error:
        summary = _summary(error)
        # After [DONE] nothing is read, but stray lines in the same part are still quoted.
        return chunks, stream.so_far(), "nothing but [DONE]" if stream.done else summary
    return chunks, stream.so_far(), None


def completion(data: bytes) -> None:
    """A completion becomes a reply of its size, or a `SunraError`."""
    try:
        reply = parse_completion(data)
    except SunraError as error:
        check_message(error)
        if error.partial is not None:
            _check_size(error.partial, data)
        return
    _check_size(reply, data)


def error_answer(data: bytes) -> None:
    """Any status, headers and body become a `SunraError` that can be printed."""
    head, _, body = data.partition(b"\n\n")
    first, *lines = head.decode("latin-1").split("\n")
    status = 300 + sum(map(ord, first)) % 300
    headers = _headers(lines)
    error = error_from_response(status, headers, body, now=1_750_000_000.0)
    assert isinstance(error, SunraError)
    check_message(error)
    assert error.status == status
    assert error.response is not None
    assert error.response.body == body
    check_wait(error.retry_after)


def waiting(data: bytes) -> None:
    """The time to wait before a retry is a finite number of seconds, or None."""
    check_wait(parse_retry_after(_headers(data.decode("latin-1").split("\n")), now=1_750_000_000.0))


def _headers(lines: list[str]) -> Mapping[str, str]:
    pairs = (line.partition(":") for line in lines)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def check_wait(seconds: float | None) -> None:
    """The time to wait is a finite number of seconds from zero, or None."""
    assert seconds is None or 0 <= seconds < float("inf"), seconds


TARGETS: dict[str, Callable[[bytes], None]] = {
    "event_stream": event_stream,
    "chunk_stream": chunk_stream,
    "completion": completion,
    "error_answer": error_answer,
    "waiting": waiting,
}
