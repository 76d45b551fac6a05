"""The body of a response: as it arrives, as a whole, or as much of it as an error has."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from contextlib import aclosing, suppress
from inspect import isasyncgen
from typing import Any

import httpx

from sunra_integrations.errors import TimedOut, UnreadableResponse
from sunra_integrations.protocol.json_text import read_json
from sunra_integrations.transport.deadline import AsyncTimeout, Deadline
from sunra_integrations.transport.http_library import http_errors, library_of

_MAX_ERROR_BYTES = 1024 * 1024
_DECODED = frozenset(("gzip", "deflate"))
_PLAIN = frozenset(("", "identity", "none", "utf-8"))  # some servers send the last two for text

_DRAIN_SECONDS = 0.02


def iter_body(response: httpx.Response) -> Iterator[bytes]:
    """The body, decompressed if it needs to be.

    Raises:
        UnreadableResponse: It has a Content-Encoding that was not requested.
    """
    _check_encoding(response)
    # A user's own transport may yield other buffers: Pyodide's yields memoryviews.
    if isinstance(response.stream, Iterable) and _is_plain(response):
        return map(bytes, response.stream)
    return map(bytes, response.iter_bytes())


class AsyncBodyIterator:
    """The body, decompressed if it needs to be. Each wait for a part of it is bounded.

    Raises:
        UnreadableResponse: It has a Content-Encoding that was not requested.
    """

    def __init__(self, response: httpx.Response, deadline: Deadline) -> None:
        _check_encoding(response)
        self._timeout = AsyncTimeout(deadline, reentered=True)
        self._parts: AsyncIterator[bytes] = (
            aiter(response.stream)
            if isinstance(response.stream, AsyncIterable) and _is_plain(response)
            else response.aiter_bytes()
        )

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        with self._timeout:
            return bytes(await anext(self._parts))  # see `iter_body`

    async def aclose(self) -> None:
        """Ends the reading. Garbage collection would close a generator left open too late."""
        self._timeout.stop()
        parts: object = self._parts
        if isasyncgen(parts):
            await parts.aclose()


def read_body(response: httpx.Response, limit: int, deadline: Deadline) -> bytes:
    """The whole body.

    Raises:
        UnreadableResponse: It is longer than the limit.
        TimedOut: It takes too long.
        httpx.HTTPError: The connection broke.
    """
    body = bytearray()
    try:
        for part in iter_body(response):
            body += part
            _check(body, limit, deadline)
    except http_errors(TimedOut) as error:
        _raise_unless_complete(error, body)
    return bytes(body)


async def read_body_async(response: httpx.Response, limit: int, deadline: Deadline) -> bytes:
    """The whole body; see `read_body`."""
    body = bytearray()
    try:
        async with aclosing(AsyncBodyIterator(response, deadline)) as parts:
            async for part in parts:
                body += part
                _check(body, limit, deadline)
    except http_errors(TimedOut) as error:
        _raise_unless_complete(error, body)
    return bytes(body)


def read_error_body(response: httpx.Response, deadline: Deadline) -> tuple[bytes, str]:
    """As much of an error's body as can be read, and a note if it could not be.

    A body that broke off has no note: the error matters more.
    """
    body, note = bytearray(), ""
    try:
        for part in iter_body(response):
            body += part
            if len(body) > _MAX_ERROR_BYTES or deadline.expired(len(body)):
                break
    except http_errors(TimedOut, UnreadableResponse) as error:
        note = _note(error)
    return _error_body(body, response, note)


async def read_error_body_async(response: httpx.Response, deadline: Deadline) -> tuple[bytes, str]:
    """As much of an error's body as can be read; see `read_error_body`."""
    body, note = bytearray(), ""
    try:
        async with aclosing(AsyncBodyIterator(response, deadline)) as parts:
            async for part in parts:
                body += part
                if len(body) > _MAX_ERROR_BYTES or deadline.expired(len(body)):
                    break
    except http_errors(TimedOut, UnreadableResponse) as error:
        note = _note(error)
    return _error_body(body, response, note)


def drain(response: httpx.Response, parts: Iterator[bytes]) -> None:
    """Reads the few bytes behind `[DONE]`, so that the connection can be used again.

    Most servers end the body right behind `[DONE]`; for one that leaves it open, this waits 20 ms.
    Without it, each streamed call would cost a new TLS handshake.

    httpcore took the read timeout from the request when the body began. So the connection's own
    `read` (the `network_stream` extension) gets a shorter one, this one time.
    """
    # The reply is complete: whatever goes wrong here, only the connection is lost.
    with suppress(Exception):
        network = response.extensions.get("network_stream")
        if network is not None and _has_own_connection(response):
            _read_briefly(network, parts)


async def drain_async(response: httpx.Response, parts: AsyncIterator[bytes]) -> None:
    """Reads the few bytes behind `[DONE]`; see `drain`."""
    with suppress(Exception):
        if _has_own_connection(response):
            await asyncio.wait_for(anext(parts, None), _DRAIN_SECONDS)


def _read_briefly(network: Any, parts: Iterator[bytes]) -> None:
    usual_read, reader = network.read, threading.get_ident()

    def read(max_bytes: int, timeout: float | None = None) -> Any:
        # Another thread may use the connection as soon as the body has ended.
        wait = _DRAIN_SECONDS if threading.get_ident() == reader else timeout
        return usual_read(max_bytes, timeout=wait)

    network.read = read
    try:
        next(parts, None)
    finally:
        del network.read


def _has_own_connection(response: httpx.Response) -> bool:
    """Whether no other call is on its connection. HTTP/2 shares one, and needs no draining."""
    return response.http_version.startswith("HTTP/1")


def _note(error: Exception) -> str:
    if isinstance(error, UnreadableResponse):
        return error.message
    is_decoding = isinstance(error, library_of(error).DecodingError)
    return "Its body could not be decompressed." if is_decoding else ""


def _error_body(body: bytearray, response: httpx.Response, note: str) -> tuple[bytes, str]:
    if len(body) > _MAX_ERROR_BYTES:
        verb = "decompresses to" if _encodings(response) else "is"
        return b"", f"Its body {verb} more than {_MAX_ERROR_BYTES:,} bytes, and was left out."
    return bytes(body), note


def _raise_unless_complete(error: Exception, body: bytearray) -> None:
    """Ignores errors behind the last byte of complete JSON, such as in trailers."""
    if isinstance(error, library_of(error).DecodingError):
        raise error
    try:
        read_json(bytes(body))
    except ValueError:
        raise error from error.__cause__


def _check(body: bytearray, limit: int, deadline: Deadline) -> None:
    if len(body) > limit:
        raise UnreadableResponse(
            f"The response is longer than {limit:,} bytes. Raise `max_response_bytes` if you "
            "expect responses of that size.",
            retryable=False,
        )
    if error := deadline.expired(len(body)):
        raise error


def _check_encoding(response: httpx.Response) -> None:
    encodings = _encodings(response)
    if encodings and not (len(encodings) == 1 and encodings[0] in _DECODED):
        raise UnreadableResponse(
            f"The body is compressed as {', '.join(encodings)!r} (Content-Encoding), which was not "
            "requested and is not supported. The server or a proxy ignores Accept-Encoding.",
            request_id=response.headers.get("x-request-id"),
            retryable=False,
        )


def _encodings(response: httpx.Response) -> list[str]:
    header = response.headers.get("content-encoding")
    if header is None:
        return []
    named = header.lower().split(",")
    return [one.strip() for one in named if one.strip() not in _PLAIN]


def _is_plain(response: httpx.Response) -> bool:
    """Whether httpx's decoding, a cost for each part, would do nothing."""
    # A hook of the user's own client may have read the body already; then only httpx has it.
    return not _encodings(response) and not response.is_stream_consumed
