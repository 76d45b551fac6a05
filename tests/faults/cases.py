"""Every fault with its best outcome; `docs/faults.md` is this table."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass

from sunra_integrations import errors
from tests.faults.server import Act, answer, by_kind, chunks, cut, drip, in_chunk, raw
from tests.wire_cases import completion_bytes, stream_bytes

READ, STALL, TOTAL = 0.5, 0.3, 1.0
"""The timeouts of these tests, in seconds.

What comes before a silence is sent in one piece with the headers, so that `STALL` measures that
silence alone, on a slow machine too.
"""

UNKNOWN_HOST = "nowhere.invalid"

PLAIN, STREAM = completion_bytes("plain"), stream_bytes("plain")
GOOD = by_kind(answer(200, PLAIN), chunks(STREAM))
EVENTS = [event + b"\n\n" for event in STREAM.split(b"\n\n") if event]
BEGUN = b"".join(EVENTS[:2])  # the role, and "Hel"


@dataclass(frozen=True)
class Fault:
    """A fault, and what a caller gets of it.

    Args:
        acts: What the server does, request by request.
        outcome: The answer's text, or the error's class.
        attempts: How many requests are sent.
        bound: The longest it may take beyond the waits the server asks for, in words.
        says: Words the error's message has.
        partial: The text that had arrived, kept with the error of a streamed call.
        only: `plain`, `streamed` or `structured`, where a fault is of one kind of call.
        waits: The waits between attempts that are told by the server.
        total: The `total_timeout` of the call.
        base_url: Where the call goes instead of the server, which then sees nothing of it.
    """

    acts: tuple[Act, ...]
    outcome: str | type[errors.SunraError]
    attempts: int = 1
    bound: str = "at once"
    says: str = ""
    partial: str | None = None
    only: str | None = None
    waits: tuple[float, ...] | None = None
    total: float | None = None
    base_url: str | None = None


def refused(status: int, body: bytes = b"", **headers: str) -> tuple[Act, ...]:
    return (answer(status, body, **headers),)


def once(act: Act) -> tuple[Act, ...]:
    """The fault, then a good answer."""
    return (act, GOOD)


def told(**error: object) -> bytes:
    return json.dumps({"error": {"message": "It failed", **error}}).encode()


RETRIES = "two waits of at most 0.5 s and 1 s"
OVERFLOW = told(code="context_length_exceeded")
BROKEN = errors.StreamInterrupted
IN_CHUNKS = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n"

STATUSES: dict[str, Fault] = {
    "400": Fault(refused(400, told()), errors.BadRequest, says="It failed"),
    "400, context overflow": Fault(refused(400, OVERFLOW), errors.ContextOverflow),
    "401": Fault(refused(401, told()), errors.AuthenticationFailed, says="SUNRA_KEY"),
    "402": Fault(refused(402, told()), errors.InsufficientCredit, says="credit"),
    "403": Fault(refused(403, told()), errors.PermissionDenied),
    "404": Fault(refused(404, told()), errors.NotFound),
    "404, model": Fault(refused(404, told(code="MODEL_NOT_FOUND")), errors.ModelNotFound),
    "408": Fault(refused(408), errors.TimedOut, 3, RETRIES),
    "409": Fault(refused(409), errors.BadRequest, 3, RETRIES),
    "413": Fault(refused(413), errors.BadRequest),
    "422": Fault(refused(422, b'{"detail": "n is odd"}'), errors.BadRequest, says="n is odd"),
    "429": Fault(refused(429), errors.RateLimited, 3, RETRIES),
    "429 once": Fault(once(answer(429)), "Hello", 2, "a wait of at most 0.5 s"),
    "500": Fault(refused(500, told()), errors.ServerFailed, 3, RETRIES),
    "502 with a page": Fault(
        refused(502, b"<html><title>Bad Gateway</title></html>", content_type="text/html"),
        errors.ServerFailed,
        3,
        RETRIES,
        "Bad Gateway",
    ),
    "503": Fault(refused(503), errors.Overloaded, 3, RETRIES),
    "503 once": Fault(once(answer(503)), "Hello", 2, "a wait of at most 0.5 s"),
    "504": Fault(refused(504), errors.TimedOut, 3, RETRIES),
    "529": Fault(refused(529), errors.Overloaded, 3, RETRIES),
    "503 that is not retryable": Fault(refused(503, told(retryable=False)), errors.Overloaded),
    "400 that is retryable": Fault(
        refused(400, told(retryable=True)), errors.BadRequest, 3, RETRIES
    ),
    "a redirect": Fault(
        refused(307, location="https://elsewhere.example/"),
        errors.ConfigurationError,
        says="not followed",
    ),
    "an error without a body": Fault(refused(500), errors.ServerFailed, 3, RETRIES, "no body"),
    "an error that is not JSON": Fault(
        refused(400, b"plain words"), errors.BadRequest, says="plain words"
    ),
}

WAITS: dict[str, Fault] = {
    "Retry-After: 7": Fault(
        once(answer(429, retry_after="7")), "Hello", 2, "as asked", waits=(7.0,)
    ),
    "Retry-After: 0": Fault(
        once(answer(429, retry_after="0")), "Hello", 2, "as asked", waits=(0.0,)
    ),
    "Retry-After: -5": Fault(
        once(answer(429, retry_after="-5")), "Hello", 2, "as asked", waits=(0.0,)
    ),
    "Retry-After: soon": Fault(
        once(answer(429, retry_after="soon")), "Hello", 2, "a wait of at most 0.5 s"
    ),
    "retry-after-ms: 250": Fault(
        once(answer(429, retry_after_ms="250")), "Hello", 2, "as asked", waits=(0.25,)
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
        "as asked",
        waits=(30.0,),
    ),
    "Retry-After: 3600": Fault(refused(429, retry_after="3600"), errors.RateLimited, says="429"),
}

CONNECTIONS: dict[str, Fault] = {
    "nobody listens": Fault(
        (),
        errors.ConnectionFailed,
        3,
        RETRIES,
        base_url="http://127.0.0.1:9",
    ),
    "the name is unknown": Fault(
        (),
        errors.ConnectionFailed,
        3,
        RETRIES,
        "not known",
        base_url=f"https://{UNKNOWN_HOST}",
    ),
    "closed before the headers": Fault((cut("close"),), errors.ConnectionFailed, 3, RETRIES),
    "reset before the headers": Fault((cut("reset"),), errors.ConnectionFailed, 3, RETRIES),
    "reset once": Fault(once(cut("reset")), "Hello", 2, "a wait of at most 0.5 s"),
    "silence before the headers": Fault(
        (cut("hold"),), errors.TimedOut, 3, f"3 times `timeout`, and {RETRIES}"
    ),
    "headers cut short": Fault(
        (raw(b"HTTP/1.1 200 OK\r\ncontent-ty"),), errors.ConnectionFailed, 3, RETRIES
    ),
    "headers that never end": Fault(
        (drip(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n"),),
        errors.TimedOut,
        3,
        f"3 times `timeout`, and {RETRIES}",
        says="`timeout`",
    ),
    "a status line that never ends": Fault(
        (drip(b"HTTP/1.1 200 OK", b"K"),),
        errors.TimedOut,
        bound="`total_timeout`",
        says="`total_timeout`",
        total=READ,
    ),
    "1xx without an end": Fault(
        (drip(b"", b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"),),
        errors.TimedOut,
        bound="`total_timeout`",
        says="`total_timeout`",
        total=READ,
    ),
    "no HTTP at all": Fault((raw(b"SSH-2.0-OpenSSH\r\n"),), errors.ConnectionFailed, 3, RETRIES),
}

ANSWERS: dict[str, Fault] = {
    "200 with an error": Fault(
        refused(200, told(code="service_provider_error")), errors.ServerFailed
    ),
    "200 with an empty body": Fault(refused(200), errors.UnreadableResponse),
    "200 with a page": Fault(
        refused(200, b"<html><title>Sign in</title>", content_type="text/html"),
        errors.UnreadableResponse,
        says="Sign in",
    ),
    "200 that is not JSON": Fault(refused(200, b"hello"), errors.UnreadableResponse, only="plain"),
    "choices null": Fault(refused(200, b'{"choices": null}'), errors.UnreadableResponse),
    "choices missing": Fault(refused(200, b'{"id": "x"}'), errors.UnreadableResponse),
    "choices empty": Fault(refused(200, b'{"choices": []}'), errors.UnreadableResponse),
    "JSON cut short": Fault(
        refused(200, b'{"choices": [{"mess'), errors.UnreadableResponse, only="plain"
    ),
    "a wrong content type": Fault(
        (
            by_kind(
                answer(200, PLAIN, content_type="text/plain"),
                chunks(STREAM, content_type="application/octet-stream"),
            ),
        ),
        "Hello",
    ),
    "fewer bytes than promised": Fault(
        (raw(b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n" + PLAIN[:50]),),
        BROKEN,
        only="plain",
    ),
    "a plain answer reset half way": Fault(
        (raw(b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n" + PLAIN[:50], "reset"),),
        BROKEN,
        only="plain",
    ),
    "a plain answer that stalls": Fault(
        (raw(b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n" + PLAIN[:50], "hold"),),
        BROKEN,
        bound="`stall_timeout`",
        only="plain",
    ),
    "a plain answer that drips for ever": Fault(
        (drip(IN_CHUNKS % (1, b" "), in_chunk(b" ")),),
        errors.TimedOut,
        bound="`total_timeout`",
        only="plain",
        total=TOTAL,
    ),
    "a plain answer, compressed": Fault(
        (answer(200, gzip.compress(PLAIN), content_encoding="gzip"),), "Hello", only="plain"
    ),
    "trailers that never end": Fault(
        (drip(IN_CHUNKS % (len(PLAIN), PLAIN) + b"0\r\n", b"x: y\r\n"),),
        "Hello",
        bound="`stall_timeout`",
        only="plain",
    ),
    "a chunk size that never ends": Fault(
        (drip(IN_CHUNKS % (20, PLAIN[:20]), b"0"),), BROKEN, bound="`stall_timeout`", only="plain"
    ),
    "a whole answer and a broken end": Fault(
        (raw(IN_CHUNKS % (len(PLAIN), PLAIN) + b"zz\r\n\r\n"),), "Hello", only="plain"
    ),
    "a whole answer and bytes behind it": Fault(
        (raw(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%sxyz" % (len(PLAIN), PLAIN)),),
        "Hello",
        only="plain",
    ),
    "a length that is too short": Fault(
        (raw(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(PLAIN) - 5, PLAIN)),),
        errors.UnreadableResponse,
        only="plain",
    ),
    "a compression that was not asked for": Fault(
        (
            by_kind(
                answer(200, PLAIN, content_encoding="br"), chunks(STREAM, content_encoding="br")
            ),
        ),
        errors.UnreadableResponse,
        says="'br'",
    ),
    "an unknown compression": Fault(
        (by_kind(answer(200, PLAIN, content_encoding="x"), chunks(STREAM, content_encoding="x")),),
        errors.UnreadableResponse,
        says="'x'",
    ),
    "two compressions at once": Fault(
        (
            by_kind(
                answer(200, gzip.compress(gzip.compress(PLAIN)), content_encoding="gzip, gzip"),
                chunks(gzip.compress(gzip.compress(STREAM)), content_encoding="gzip, gzip"),
            ),
        ),
        errors.UnreadableResponse,
        says="'gzip, gzip'",
    ),
    "an error in a decompression bomb": Fault(
        refused(400, gzip.compress(b"x" * 5_000_000), content_encoding="gzip"),
        errors.BadRequest,
        says="decompresses to more than",
    ),
    "an error in a compression that was not asked for": Fault(
        refused(400, b"\xff\xfe", content_encoding="zstd"), errors.BadRequest, says="'zstd'"
    ),
    "a compressed answer that is damaged": Fault(
        (answer(200, b"not gzip at all", content_encoding="gzip"),), BROKEN, only="plain"
    ),
}


def streamed(*acts: Act, outcome: str | type[errors.SunraError] = BROKEN, **more: object) -> Fault:
    return Fault(acts, outcome, only="streamed", **more)  # type: ignore[arg-type]


STREAMS: dict[str, Fault] = {
    "a stream reset half way": streamed(chunks(BEGUN, then="reset"), partial="Hel"),
    "a stream closed half way": streamed(chunks(BEGUN, then="close"), partial="Hel"),
    "a stream ended without finish_reason": streamed(chunks(BEGUN), partial="Hel"),
    "[DONE] without finish_reason": streamed(chunks(BEGUN, b"data: [DONE]\n\n"), partial="Hel"),
    "a stream that stalls": streamed(
        raw(IN_CHUNKS % (len(BEGUN), BEGUN), "hold"), partial="Hel", bound="`stall_timeout`"
    ),
    "pings and no data": streamed(
        drip(IN_CHUNKS % (len(BEGUN), BEGUN), in_chunk(b": ping\n\n")),
        partial="Hel",
        bound="`stall_timeout`",
    ),
    "data that drips for ever": streamed(
        drip(IN_CHUNKS % (len(EVENTS[1]), EVENTS[1]), in_chunk(EVENTS[1])),
        bound="`total_timeout`",
        total=TOTAL,
    ),
    "a chunk size that never ends in a stream": streamed(
        drip(IN_CHUNKS % (len(BEGUN), BEGUN), b"0"), partial="Hel", bound="`stall_timeout`"
    ),
    "trailers that never end after a stream": streamed(
        drip(IN_CHUNKS % (len(STREAM), STREAM) + b"0\r\n", b"x: y\r\n"), outcome="Hello"
    ),
    "an error event": streamed(
        chunks(BEGUN, b'event: error\ndata: {"message": "It failed"}\n\n'),
        outcome=errors.ServerFailed,
        partial="Hel",
    ),
    "an error in the stream": streamed(
        chunks(BEGUN, b"data: " + told(code=429) + b"\n\n"),
        outcome=errors.RateLimited,
        partial="Hel",
    ),
    "an event that is not JSON": streamed(chunks(BEGUN, b"data: {oops\n\n"), partial="Hel"),
    "a damaged line": streamed(chunks(BEGUN, b"x" + EVENTS[2], *EVENTS[3:]), partial="Hel"),
    "a line that is damaged after finish_reason": streamed(
        chunks(*EVENTS[:4], b"x" + EVENTS[4], b"data: keep-alive\n\n", b'data: {"id'),
        outcome="Hello",
    ),
    "an error in a field of its own": streamed(
        chunks(BEGUN, b'error: {"message": "It failed"}\n\n'),
        outcome=errors.ServerFailed,
        partial="Hel",
    ),
    "cut off after finish_reason": streamed(chunks(*EVENTS[:4], then="reset"), outcome="Hello"),
    "left open after [DONE]": streamed(chunks(STREAM, then="hold"), outcome="Hello"),
    "one byte at a time": streamed(
        chunks(*(STREAM[i : i + 1] for i in range(len(STREAM)))), outcome="Hello"
    ),
    "a compressed stream": streamed(
        chunks(gzip.compress(STREAM), content_encoding="gzip"), outcome="Hello"
    ),
    "a plain answer in place of a stream": streamed(
        answer(200, PLAIN), outcome=errors.UnreadableResponse, partial="Hello"
    ),
    "nothing but [DONE]": streamed(chunks(b"data: [DONE]\n\n"), outcome=errors.UnreadableResponse),
}


def structured(written: str | None, reason: str, outcome: str | type[errors.SunraError]) -> Fault:
    """An answer of a given schema, whole or streamed, that ended for this reason."""
    said = {"role": "assistant", "content": written}
    ended = {"index": 0, "finish_reason": reason}
    whole = {"id": "gen-1", "choices": [{**ended, "message": said}]}
    event = {"id": "gen-1", "choices": [{**ended, "delta": said}]}
    acts = by_kind(
        answer(200, json.dumps(whole).encode()),
        chunks(b"data: " + json.dumps(event).encode() + b"\n\ndata: [DONE]\n\n"),
    )
    return Fault((acts,), outcome, only="structured")


WORDS = '{"words": "Hello"}'
CUT = errors.ResponseTruncated

STRUCTURED: dict[str, Fault] = {
    "cut off by the limit (`length`)": structured('{"words": "Hel', "length", CUT),
    "cut off by a filter (`content_filter`)": structured('{"words": "Hel', "content_filter", CUT),
    "no content, and `length`": structured(None, "length", CUT),
    "half an object with a finish_reason never seen before": structured(WORDS[:9], "odd", CUT),
    "a whole object with a finish_reason never seen before": structured(WORDS, "odd", "Hello"),
}

FAULTS: dict[str, dict[str, Fault]] = {
    "Statuses": STATUSES,
    "Waits that the server asks for": WAITS,
    "Connections": CONNECTIONS,
    "Answers": ANSWERS,
    "Streams": STREAMS,
    "Structured answers": STRUCTURED,
}
