"""aiohttp as a transport of httpx: the extra `aiohttp`.

What it does as httpx's own transport does, aiohttp by itself would not: a timeout for each kind of
wait, bytes that came before a connection broke are not lost, cookies are not kept, and exceptions,
which hold the request with its key, do not leave this file.
"""

from __future__ import annotations

import asyncio
import math
import re
import sys
from collections.abc import AsyncIterator
from functools import partial
from ssl import SSLContext
from typing import Any

import aiohttp
import httpx
from aiohttp import ConnectionTimeoutError  # of 3.10; what is older lacks it and is not used
from aiohttp.abc import AbstractStreamWriter
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import HttpProcessingError, StreamWriter
from yarl import URL

_PIECE = 64 * 1024
_LONGEST_HEADER = 64 * 1024

_BREAKS = (aiohttp.ClientError, HttpProcessingError, asyncio.TimeoutError, OSError)
_FAULTS = (*_BREAKS, RuntimeError, ValueError)  # a closed session; a proxy it cannot use


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Sends through aiohttp. To be made in the event loop that it is used in.

    It limits no connections: whoever sends through it does.

    Args:
        tls: How servers prove who they are.
        keepalive_expiry: Seconds until an idle connection is closed.
        proxy: The URL of the proxy to go through.
    """

    def __init__(
        self, tls: SSLContext, *, keepalive_expiry: float, proxy: str | None = None
    ) -> None:
        self._proxy = proxy
        self._session = aiohttp.ClientSession(
            connector=_Connector(
                ssl=tls,
                limit=0,
                keepalive_timeout=keepalive_expiry,
                resolver=aiohttp.ThreadedResolver(),
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            max_line_size=_LONGEST_HEADER,
            max_field_size=_LONGEST_HEADER,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The answer, its body unread.

        Raises:
            httpx.HTTPError: It could not be had.
            RuntimeError: This was closed.
        """
        waits = request.extensions["timeout"]
        body = _RequestBody(request.content, waits["write"], request.extensions.get("trace"))
        try:
            response = await self._session.request(
                request.method,
                URL(str(request.url), encoded=True),
                headers=request.headers.multi_items(),
                data=body,
                proxy=self._proxy,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(
                    connect=waits["connect"], sock_read=waits["read"], ceil_threshold=math.inf
                ),
            )
        except _FAULTS as error:
            body.abort()
            fault = _as_httpx(error)
        except BaseException:  # the task was cancelled
            body.abort()
            raise
        else:
            stream = _ResponseBody(response, request, body)
            return httpx.Response(
                response.status,
                headers=list(response.raw_headers),
                stream=stream,
                extensions={"network_stream": stream},
            )
        await _nothing_is_handled()
        raise fault  # here, where it takes no context along

    async def aclose(self) -> None:
        """Closes all connections."""
        await self._session.close()
        await asyncio.sleep(0)  # in this step the loop closes the sockets


class _Connector(aiohttp.TCPConnector):
    """Counts as closed when its event loop has ended, shut down in order or not.

    aiohttp logs an error for a session that was not closed. Many a program closes its loop without
    shutting it down first; there is nothing it could do about a session that it knows nothing of.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._factory = partial(_Connection, loop=self._loop)  # type: ignore[assignment]

    @property
    def closed(self) -> bool:
        return super().closed or not self._loop.is_running()

    def __del__(self, _warnings: Any = None) -> None:
        """Says nothing: asyncio itself warns of sockets that were left open."""


_END_OF_HEAD = re.compile(rb"\n\r?\n")


class _Connection(ResponseHandler):
    """A connection that hands a head over before it reads what comes behind it.

    aiohttp reads all that came at once, and a fault in it, or behind it, takes the head and the
    whole body along: a billed response would look like none, and be requested again.
    """

    _is_in_head = False
    _status_line = b""
    """The beginning of the head, as far as its status."""
    _before = b""
    """The last bytes before, which may be a part of the head's end."""

    def set_response_params(self, **params: Any) -> None:
        self._is_in_head, self._status_line, self._before = True, b"", b""
        super().set_response_params(**params)

    def connection_lost(self, exc: BaseException | None) -> None:
        # Python 3.10 warns of a TLS transport that only the server closed.
        if self.transport is not None:
            self.transport.close()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        while data and self._is_in_head:
            head, data = self._head_of(data)
            super().data_received(head)
        if data and self._is_idle():
            # Unsolicited bytes must not become the next call's response.
            self.force_close()
            if self.transport is not None:
                self.transport.close()
        elif data:
            super().data_received(data)
            self._tell_the_body_of_a_fault()

    def _head_of(self, data: bytes) -> tuple[bytes, bytes]:
        joined = self._before + data
        found = _END_OF_HEAD.search(joined)
        end = found.end() - len(self._before) if found else len(data)
        self._status_line = (self._status_line + data[:end]).lstrip()[:12]
        if found:  # 1xx is followed by another head
            self._is_in_head = self._status_line[9:10] == b"1"
            self._status_line = b""
        self._before = b"" if found else joined[-2:]
        return data[:end], data[end:]

    def _tell_the_body_of_a_fault(self) -> None:
        body, fault = self._payload, self._exception
        if fault is not None and body is not None and not body.is_eof():
            body.set_exception(aiohttp.ClientPayloadError())

    def _is_idle(self) -> bool:
        return self._exception is not None or self._payload is None or self._payload.is_eof()


class _RequestBody(aiohttp.Payload):
    """A request body with a timeout for each piece that is written."""

    def __init__(self, content: bytes, patience: float | None, trace: Any) -> None:
        super().__init__(content)
        self._size = len(content)
        self._patience = patience
        self._trace = trace
        self._way: asyncio.WriteTransport | None = None

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """The body as text."""
        return str(self._value, encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Sends it."""
        if isinstance(writer, StreamWriter):
            self._way = writer.transport
        if len(self._value) <= _PIECE:  # fits in the socket's buffer
            await writer.write(self._value)
        else:
            await self._write_large(writer)
        if self._trace is not None:
            await self._trace("receive_response_headers.started", {})

    async def _write_large(self, writer: AbstractStreamWriter) -> None:
        content = memoryview(self._value)
        for start in range(0, len(content), _PIECE):
            sending = self._send(writer, content[start : start + _PIECE])
            try:
                await asyncio.wait_for(sending, self._patience)
            except asyncio.TimeoutError:
                raise _NotTakenIn from None

    async def _send(self, writer: AbstractStreamWriter, piece: memoryview) -> None:
        await writer.write(piece)
        await writer.drain()

    def abort(self) -> None:
        """Ends the connection that this is sent on; closing it would wait for what is unsent."""
        if self._way is not None:
            self._way.abort()


class _NotTakenIn(Exception):
    """The server did not take in a piece of the request in time."""


class _ResponseBody(httpx.AsyncByteStream):
    """The body of an answer, as it comes."""

    def __init__(
        self, response: aiohttp.ClientResponse, request: httpx.Request, sent: _RequestBody
    ) -> None:
        self._response = response
        self._request = request
        self._sent = sent

        self._fault: Exception | None = None
        self._has_begun = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self._has_begun:
            self._has_begun = True
            self._wait_as_long_as_the_request_says_now()
        piece = b"" if self._fault else await self._next()
        if not piece and self._fault is not None:
            await _nothing_is_handled()
            raise self._fault
        if not piece:
            raise StopAsyncIteration
        return piece

    async def _next(self) -> bytes:
        content = self._response.content
        try:
            return await content.readany()
        except _BREAKS as error:
            self._fault = _as_httpx(error)
        # aiohttp raises at once; what had come before is still there.
        content.set_exception(None)  # type: ignore[arg-type]  # its default, and the way back to it
        return content.read_nowait()

    def _wait_as_long_as_the_request_says_now(self) -> None:
        connection = self._response.connection
        if connection is not None and connection.protocol is not None:
            connection.protocol.read_timeout = self._request.extensions["timeout"]["read"]
            connection.protocol.start_timeout()

    def get_extra_info(self, name: str) -> Any:
        """What is known of the connection; None once the body has ended and another may use it."""
        connection = self._response.connection
        if connection is None or connection.transport is None:
            return None
        return connection.transport.get_extra_info(name)

    async def aclose(self) -> None:
        was_left_early = self._response.connection is not None
        if was_left_early:
            self._sent.abort()
        self._response.close()
        if was_left_early:
            await asyncio.sleep(0)  # in this step the loop closes the socket


async def _nothing_is_handled() -> None:
    """Makes sure that an exception which was caught is no context of the next one.

    In Python 3.10 it can be, behind its `except`, until the coroutine is resumed.
    """
    if sys.version_info < (3, 11):
        await asyncio.sleep(0)


def _as_httpx(error: Exception) -> Exception:
    """The exception of httpx's own transport, without headers in its message."""
    if isinstance(error.__cause__, _NotTakenIn):
        return httpx.WriteTimeout("a piece of the request was not taken in")
    return next(meant(_words(error)) for kind, meant in _MEANINGS if isinstance(error, kind))


def _words(error: Exception) -> str:
    match error:
        case aiohttp.ServerDisconnectedError():  # its message may be the head
            return "the server disconnected before the end of the headers"
        case aiohttp.ClientHttpProxyError():
            return f"it returned status {error.status}"
        case (
            aiohttp.ClientResponseError() | HttpProcessingError()
        ):  # they quote what they could not read
            is_of_status = "status line" in error.message.lower()
            return f"the {'status line' if is_of_status else 'head of the answer'} is not HTTP"
        case aiohttp.ClientPayloadError():
            return "the body ended before it was complete, or is not HTTP"
        case _:
            return str(error) or type(error).__name__


_MEANINGS: tuple[tuple[type[Exception], type[Exception]], ...] = (
    (ConnectionTimeoutError, httpx.ConnectTimeout),
    (asyncio.TimeoutError, httpx.ReadTimeout),
    (aiohttp.ClientProxyConnectionError, httpx.ProxyError),
    (aiohttp.ClientHttpProxyError, httpx.ProxyError),
    (aiohttp.ClientConnectorError, httpx.ConnectError),
    (aiohttp.ServerDisconnectedError, httpx.RemoteProtocolError),
    (aiohttp.InvalidURL, httpx.UnsupportedProtocol),
    (aiohttp.ClientResponseError, httpx.RemoteProtocolError),
    (aiohttp.ClientPayloadError, httpx.RemoteProtocolError),
    (HttpProcessingError, httpx.RemoteProtocolError),
    (aiohttp.ClientError, httpx.ReadError),
    (OSError, httpx.ReadError),
    (RuntimeError, RuntimeError),
    (ValueError, httpx.UnsupportedProtocol),
)
