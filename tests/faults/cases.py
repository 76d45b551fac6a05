"""Every fault with its expected outcome; `docs/faults.md` is generated from this table."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass

from sunra_integrations import errors
from tests import responses_events
from tests.faults.server import (
    Act,
    Connection,
    answer,
    by_kind,
    chunks,
    cut,
    drip,
    in_chunk,
    raw,
)
from tests.wire_cases import completion_bytes, stream_bytes

READ, STALL, TOTAL = 0.5, 0.3, 1.0
"""The timeouts of these tests, in seconds.

Data before a pause is sent together with the headers, so that `STALL` covers only the pause, even
on a slow machine.
"""

UNKNOWN_HOST = "nowhere.invalid"


@dataclass(frozen=True)
class Wire:
    """The reply "Hello" in one of the two APIs.

    Args:
        plain: The body of a call that is not streamed.
        events: The events of a stream.
        first_delta: The index of the event with "Hel".
        last: The index of the event that ends the reply.
    """

    plain: bytes
    events: list[bytes]
    first_delta: int
    last: int

    @property
    def stream(self) -> bytes:
        return b"".join(self.events)

    @property
    def begun(self) -> bytes:
        """The events up to "Hel"."""
        return b"".join(self.events[: self.first_delta + 1])

    @property
    def delta(self) -> bytes:
        return self.events[self.first_delta]

    @property
    def rest(self) -> list[bytes]:
        """The events after "Hel"."""
        return self.events[self.first_delta + 1 :]

    @property
    def finished(self) -> list[bytes]:
        """The events up to the one that ends the reply."""
        return self.events[: self.last + 1]


def events_of(name: str) -> list[bytes]:
    return [event + b"\n\n" for event in stream_bytes(name).split(b"\n\n") if event]


CHAT = Wire(completion_bytes("plain"), events_of("plain"), 1, 3)
RESPONSE = Wire(completion_bytes("responses/plain"), events_of("responses/plain"), 3, 8)


def on_both(make: Callable[[Wire], Act]) -> Act:
    """An act in the form of the API that was called."""
    chat, response = make(CHAT), make(RESPONSE)

    def act(connection: Connection) -> None:
        is_response = b"/responses HTTP" in connection.request.head
        (response if is_response else chat)(connection)

    return act


GOOD = on_both(lambda wire: by_kind(answer(200, wire.plain), chunks(wire.stream)))
PLAIN, STREAM, EVENTS, BEGUN = CHAT.plain, CHAT.stream, CHAT.events, CHAT.begun


@dataclass(frozen=True)
class Fault:
    """A fault and its expected outcome.

    Args:
        acts: What the server does, per request.
        outcome: Text of the response, or class of the error.
        attempts: Number of requests.
        bound: Time limit of the call, in words.
        says: Expected part of the error message.
        partial: Expected partial text of a streamed call.
        only: `plain`, `streamed` or `structured`, if the fault applies to one kind of call.
        waits: Waits between attempts that the server requests.
        total: `total_timeout` of the call.
        base_url: URL to call instead of the server.
    """

    acts: tuple[Act, ...]
    outcome: str | type[errors.SunraError]
    attempts: int = 1
    bound: str = "immediate"
    says: str = ""
    partial: str | None = None
    only: str | None = None
    waits: tuple[float, ...] | None = None
    total: float | None = None
    base_url: str | None = None


def refused(status: int, body: bytes = b"", **headers: str) -> tuple[Act, ...]:
    return (answer(status, body, **headers),)


def once(act: Act) -> tuple[Act, ...]:
    """The fault, then a normal response."""
    return (act, GOOD)


def error_body(**error: object) -> bytes:
    return json.dumps({"error": {"message": "It failed", **error}}).encode()


RETRIES = "retry waits (at most 0.5 s and 1 s)"
OVERFLOW = error_body(code="context_length_exceeded")
UNSUPPORTED = error_body(
    message="Unsupported parameter: 'parallel_tool_calls' is not supported with this model.",
    code="unsupported_parameter",
)
BROKEN = errors.StreamInterrupted
IN_CHUNKS = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n"

STATUSES: dict[str, Fault] = {
    "400": Fault(refused(400, error_body()), errors.BadRequest, says="It failed"),
    "400, context overflow": Fault(refused(400, OVERFLOW), errors.ContextOverflow),
    "400, unsupported parameter": Fault(
        refused(400, UNSUPPORTED), errors.UnsupportedParameter, says="Leave out"
    ),
    "401": Fault(refused(401, error_body()), errors.AuthenticationFailed, says="SUNRA_KEY"),
    "402": Fault(refused(402, error_body()), errors.InsufficientCredit, says="credit"),
    "403": Fault(refused(403, error_body()), errors.PermissionDenied),
    "404": Fault(refused(404, error_body()), errors.NotFound),
    "404, model": Fault(refused(404, error_body(code="MODEL_NOT_FOUND")), errors.ModelNotFound),
    "408": Fault(refused(408), errors.TimedOut, 3, RETRIES),
    "409": Fault(refused(409), errors.BadRequest, 3, RETRIES),
    "413": Fault(refused(413), errors.BadRequest),
    "422": Fault(refused(422, b'{"detail": "n is odd"}'), errors.BadRequest, says="n is odd"),
    "429": Fault(refused(429), errors.RateLimited, 3, RETRIES),
    "429 once": Fault(once(answer(429)), "Hello", 2, "retry wait (at most 0.5 s)"),
    "500": Fault(refused(500, error_body()), errors.ServerFailed, 3, RETRIES),
    "502 with an HTML page": Fault(
        refused(502, b"<html><title>Bad Gateway</title></html>", content_type="text/html"),
        errors.ServerFailed,
        3,
        RETRIES,
        "Bad Gateway",
    ),
    "503": Fault(refused(503), errors.Overloaded, 3, RETRIES),
    "503 once": Fault(once(answer(503)), "Hello", 2, "retry wait (at most 0.5 s)"),
    "504": Fault(refused(504), errors.TimedOut, 3, RETRIES),
    "529": Fault(refused(529), errors.Overloaded, 3, RETRIES),
    "503 with `retryable: false`": Fault(
        refused(503, error_body(retryable=False)), errors.Overloaded
    ),
    "400 with `retryable: true`": Fault(
        refused(400, error_body(retryable=True)), errors.BadRequest, 3, RETRIES
    ),
    "redirect": Fault(
        refused(307, location="https://elsewhere.example/"),
        errors.ConfigurationError,
        says="not followed",
    ),
    "error without a body": Fault(refused(500), errors.ServerFailed, 3, RETRIES, "no body"),
    "error that is not JSON": Fault(
        refused(400, b"plain words"), errors.BadRequest, says="plain words"
    ),
}

WAITS: dict[str, Fault] = {
    "Retry-After: 7": Fault(
        once(answer(429, retry_after="7")), "Hello", 2, "the requested wait", waits=(7.0,)
    ),
    "Retry-After: 0": Fault(
        once(answer(429, retry_after="0")), "Hello", 2, "the requested wait", waits=(0.0,)
    ),
    "Retry-After: -5": Fault(
        once(answer(429, retry_after="-5")), "Hello", 2, "the requested wait", waits=(0.0,)
    ),
    "Retry-After: soon": Fault(
        once(answer(429, retry_after="soon")), "Hello", 2, "retry wait (at most 0.5 s)"
    ),
    "retry-after-ms: 250": Fault(
        once(answer(429, retry_after_ms="250")), "Hello", 2, "the requested wait", waits=(0.25,)
    ),
    "Retry-After as a date": Fault(
        once(
            answer(
                429,
                date="Fri, 15 Jan 2027 08:00:00 GMT",
                retry_after="Fri, 15 Jan 2027 08:00:30 GMT",
            )
        ),
        "Hello",
        2,
        "the requested wait",
        waits=(30.0,),
    ),
    "Retry-After: 3600": Fault(refused(429, retry_after="3600"), errors.RateLimited, says="429"),
}

CONNECTIONS: dict[str, Fault] = {
    "connection refused": Fault(
        (),
        errors.ConnectionFailed,
        3,
        RETRIES,
        base_url="http://127.0.0.1:9",
    ),
    "unknown host name": Fault(
        (),
        errors.ConnectionFailed,
        3,
        RETRIES,
        "not known",
        base_url=f"https://{UNKNOWN_HOST}",
    ),
    "closed before the headers": Fault((cut("close"),), errors.ConnectionFailed, 3, RETRIES),
    "reset before the headers": Fault((cut("reset"),), errors.ConnectionFailed, 3, RETRIES),
    "reset once": Fault(once(cut("reset")), "Hello", 2, "retry wait (at most 0.5 s)"),
    "no data before the headers": Fault(
        (cut("hold"),), errors.TimedOut, 3, f"3 times `timeout`, and {RETRIES}"
    ),
    "truncated headers": Fault(
        (raw(b"HTTP/1.1 200 OK\r\ncontent-ty"),), errors.ConnectionFailed, 3, RETRIES
    ),
    "endless headers": Fault(
        (drip(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n"),),
        errors.TimedOut,
        3,
        f"3 times `timeout`, and {RETRIES}",
        says="`timeout`",
    ),
    "endless status line": Fault(
        (drip(b"HTTP/1.1 200 OK", b"K"),),
        errors.TimedOut,
        bound="`total_timeout`",
        says="`total_timeout`",
        total=READ,
    ),
    "endless 1xx responses": Fault(
        (drip(b"", b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"),),
        errors.TimedOut,
        bound="`total_timeout`",
        says="`total_timeout`",
        total=READ,
    ),
    "not HTTP": Fault((raw(b"SSH-2.0-OpenSSH\r\n"),), errors.ConnectionFailed, 3, RETRIES),
}

RESPONSES: dict[str, Fault] = {
    "200 with an error": Fault(
        refused(200, error_body(code="service_provider_error")), errors.ServerFailed
    ),
    "200 with an empty body": Fault(refused(200), errors.UnreadableResponse),
    "200 with an HTML page": Fault(
        refused(200, b"<html><title>Sign in</title>", content_type="text/html"),
        errors.UnreadableResponse,
        says="Sign in",
    ),
    "200 that is not JSON": Fault(refused(200, b"hello"), errors.UnreadableResponse, only="plain"),
    "choices null": Fault(refused(200, b'{"choices": null}'), errors.UnreadableResponse),
    "choices missing": Fault(refused(200, b'{"id": "x"}'), errors.UnreadableResponse),
    "choices empty": Fault(refused(200, b'{"choices": []}'), errors.UnreadableResponse),
    "truncated JSON": Fault(
        refused(200, b'{"choices": [{"mess'), errors.UnreadableResponse, only="plain"
    ),
    "wrong content type": Fault(
        (
            on_both(
                lambda wire: by_kind(
                    answer(200, wire.plain, content_type="text/plain"),
                    chunks(wire.stream, content_type="application/octet-stream"),
                )
            ),
        ),
        "Hello",
    ),
    "fewer bytes than Content-Length": Fault(
        (
            on_both(
                lambda wire: raw(
                    b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n" + wire.plain[:50]
                )
            ),
        ),
        BROKEN,
        only="plain",
    ),
    "response reset halfway": Fault(
        (
            on_both(
                lambda wire: raw(
                    b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n" + wire.plain[:50], "reset"
                )
            ),
        ),
        BROKEN,
        only="plain",
    ),
    "response that stalls": Fault(
        (
            on_both(
                lambda wire: raw(
                    b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n" + wire.plain[:50], "hold"
                )
            ),
        ),
        BROKEN,
        bound="`stall_timeout`",
        only="plain",
    ),
    "response that trickles endlessly": Fault(
        (drip(IN_CHUNKS % (1, b" "), in_chunk(b" ")),),
        errors.TimedOut,
        bound="`total_timeout`",
        only="plain",
        total=TOTAL,
    ),
    "compressed response": Fault(
        (on_both(lambda wire: answer(200, gzip.compress(wire.plain), content_encoding="gzip")),),
        "Hello",
        only="plain",
    ),
    "endless trailers": Fault(
        (
            on_both(
                lambda wire: drip(IN_CHUNKS % (len(wire.plain), wire.plain) + b"0\r\n", b"x: y\r\n")
            ),
        ),
        "Hello",
        bound="`stall_timeout`",
        only="plain",
    ),
    "endless chunk size": Fault(
        (on_both(lambda wire: drip(IN_CHUNKS % (20, wire.plain[:20]), b"0")),),
        BROKEN,
        bound="`stall_timeout`",
        only="plain",
    ),
    "complete response, then invalid chunked encoding": Fault(
        (on_both(lambda wire: raw(IN_CHUNKS % (len(wire.plain), wire.plain) + b"zz\r\n\r\n")),),
        "Hello",
        only="plain",
    ),
    "complete response, then extra bytes": Fault(
        (
            on_both(
                lambda wire: raw(
                    b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%sxyz"
                    % (len(wire.plain), wire.plain)
                )
            ),
        ),
        "Hello",
        only="plain",
    ),
    "Content-Length too small": Fault(
        (
            on_both(
                lambda wire: raw(
                    b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s"
                    % (len(wire.plain) - 5, wire.plain)
                )
            ),
        ),
        errors.UnreadableResponse,
        only="plain",
    ),
    "unrequested compression": Fault(
        (
            on_both(
                lambda wire: by_kind(
                    answer(200, wire.plain, content_encoding="br"),
                    chunks(wire.stream, content_encoding="br"),
                )
            ),
        ),
        errors.UnreadableResponse,
        says="'br'",
    ),
    "unknown compression": Fault(
        (
            on_both(
                lambda wire: by_kind(
                    answer(200, wire.plain, content_encoding="x"),
                    chunks(wire.stream, content_encoding="x"),
                )
            ),
        ),
        errors.UnreadableResponse,
        says="'x'",
    ),
    "two compressions": Fault(
        (
            on_both(
                lambda wire: by_kind(
                    answer(
                        200, gzip.compress(gzip.compress(wire.plain)), content_encoding="gzip, gzip"
                    ),
                    chunks(
                        gzip.compress(gzip.compress(wire.stream)), content_encoding="gzip, gzip"
                    ),
                )
            ),
        ),
        errors.UnreadableResponse,
        says="'gzip, gzip'",
    ),
    "error body that is a decompression bomb": Fault(
        refused(400, gzip.compress(b"x" * 5_000_000), content_encoding="gzip"),
        errors.BadRequest,
        says="decompresses to more than",
    ),
    "error body with unrequested compression": Fault(
        refused(400, b"\xff\xfe", content_encoding="zstd"), errors.BadRequest, says="'zstd'"
    ),
    "corrupt compressed response": Fault(
        (answer(200, b"not gzip at all", content_encoding="gzip"),), BROKEN, only="plain"
    ),
}


def streamed(
    make: Callable[[Wire], Act],
    *,
    outcome: str | type[errors.SunraError] = BROKEN,
    **more: object,
) -> Fault:
    return Fault((on_both(make),), outcome, only="streamed", **more)  # type: ignore[arg-type]


STREAMS: dict[str, Fault] = {
    "stream reset halfway": streamed(lambda wire: chunks(wire.begun, then="reset"), partial="Hel"),
    "stream closed halfway": streamed(lambda wire: chunks(wire.begun, then="close"), partial="Hel"),
    "end of stream without `finish_reason`": streamed(
        lambda wire: chunks(wire.begun), partial="Hel"
    ),
    "`[DONE]` without `finish_reason`": streamed(
        lambda wire: chunks(wire.begun, b"data: [DONE]\n\n"), partial="Hel"
    ),
    "stream that stalls": streamed(
        lambda wire: raw(IN_CHUNKS % (len(wire.begun), wire.begun), "hold"),
        partial="Hel",
        bound="`stall_timeout`",
    ),
    "keep-alive comments only": streamed(
        lambda wire: drip(IN_CHUNKS % (len(wire.begun), wire.begun), in_chunk(b": ping\n\n")),
        partial="Hel",
        bound="`stall_timeout`",
    ),
    "endless stream": streamed(
        lambda wire: drip(IN_CHUNKS % (len(wire.begun), wire.begun), in_chunk(wire.delta)),
        bound="`total_timeout`",
        total=TOTAL,
    ),
    "endless chunk size in a stream": streamed(
        lambda wire: drip(IN_CHUNKS % (len(wire.begun), wire.begun), b"0"),
        partial="Hel",
        bound="`stall_timeout`",
    ),
    "endless trailers after a stream": streamed(
        lambda wire: drip(IN_CHUNKS % (len(wire.stream), wire.stream) + b"0\r\n", b"x: y\r\n"),
        outcome="Hello",
    ),
    "`event: error`": streamed(
        lambda wire: chunks(wire.begun, b'event: error\ndata: {"message": "It failed"}\n\n'),
        outcome=errors.ServerFailed,
        partial="Hel",
    ),
    "error object in the stream": streamed(
        lambda wire: chunks(wire.begun, b"data: " + error_body(code=429) + b"\n\n"),
        outcome=errors.RateLimited,
        partial="Hel",
    ),
    "event that is not valid JSON": streamed(
        lambda wire: chunks(wire.begun, b"data: {oops\n\n"), partial="Hel"
    ),
    "corrupt line": streamed(
        lambda wire: chunks(wire.begun, b"x" + wire.rest[0], *wire.rest[1:]), partial="Hel"
    ),
    "corrupt line after `finish_reason`": streamed(
        lambda wire: chunks(
            *wire.finished, b"x" + wire.delta, b"data: keep-alive\n\n", b'data: {"id'
        ),
        outcome="Hello",
    ),
    "`error:` field in the stream": streamed(
        lambda wire: chunks(wire.begun, b'error: {"message": "It failed"}\n\n'),
        outcome=errors.ServerFailed,
        partial="Hel",
    ),
    "connection lost after `finish_reason`": streamed(
        lambda wire: chunks(*wire.finished, then="reset"), outcome="Hello"
    ),
    "connection left open after `[DONE]`": streamed(
        lambda wire: chunks(wire.stream, then="hold"), outcome="Hello"
    ),
    "one byte at a time": streamed(
        lambda wire: chunks(*(wire.stream[i : i + 1] for i in range(len(wire.stream)))),
        outcome="Hello",
    ),
    "compressed stream": streamed(
        lambda wire: chunks(gzip.compress(wire.stream), content_encoding="gzip"), outcome="Hello"
    ),
    "JSON response instead of a stream": streamed(
        lambda wire: answer(200, wire.plain), outcome=errors.UnreadableResponse, partial="Hello"
    ),
    "`[DONE]` only": streamed(
        lambda wire: chunks(b"data: [DONE]\n\n"), outcome=errors.UnreadableResponse
    ),
}


def structured(written: str | None, reason: str, outcome: str | type[errors.SunraError]) -> Fault:
    """Structured output with this finish reason, streamed or not."""
    message = {"role": "assistant", "content": written}
    ended = {"index": 0, "finish_reason": reason}
    whole = {"id": "gen-1", "choices": [{**ended, "message": message}]}
    event = {"id": "gen-1", "choices": [{**ended, "delta": message}]}
    chat = by_kind(
        answer(200, json.dumps(whole).encode()),
        chunks(b"data: " + json.dumps(event).encode() + b"\n\ndata: [DONE]\n\n"),
    )
    output = [] if written is None else [responses_events.message(written)]
    reason = {"length": "max_output_tokens"}.get(reason, reason)
    given = responses_events.response(
        *output, status="incomplete", incomplete_details={"reason": reason}
    )
    response = by_kind(
        answer(200, json.dumps(given).encode()),
        chunks(responses_events.sse(*responses_events.events(given))),
    )
    act = on_both(lambda wire: chat if wire is CHAT else response)
    return Fault((act,), outcome, only="structured")


WORDS = '{"words": "Hello"}'
CUT = errors.ResponseTruncated

STRUCTURED: dict[str, Fault] = {
    "truncated by a token limit (`length`)": structured('{"words": "Hel', "length", CUT),
    "truncated by a filter (`content_filter`)": structured('{"words": "Hel', "content_filter", CUT),
    "no content, `length`": structured(None, "length", CUT),
    "incomplete JSON, unknown finish reason": structured(WORDS[:9], "odd", CUT),
    "complete JSON, unknown finish reason": structured(WORDS, "odd", "Hello"),
}

FAULTS: dict[str, dict[str, Fault]] = {
    "Statuses": STATUSES,
    "Retry-After": WAITS,
    "Connections": CONNECTIONS,
    "Responses": RESPONSES,
    "Streams": STREAMS,
    "Structured output": STRUCTURED,
}
