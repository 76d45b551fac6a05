"""aiohttp as a transport of httpx (the extra `aiohttp`).

httpx-aiohttp is not enough (`docs/decisions/aiohttp.md`). It reports a disconnect as a connect
timeout, ignores the write timeout, loses bytes that arrived before a connection broke, and its
exceptions hold the key.
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

_PART = 64 * 1024
_MAX_HEADER = 64 * 1024

_BROKEN_BY = (aiohttp.ClientError, HttpProcessingError, asyncio.TimeoutError, OSError)
_FAILED_BY = (*_BROKEN_BY, RuntimeError, ValueError)  # a closed session; a proxy it cannot use


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Sends through aiohttp. Create it in the event loop that uses it.

    It does not limit connections; `AsyncPool` does.

    Args:
        tls: The TLS context.
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
            max_line_size=_MAX_HEADER,
            max_field_size=_MAX_HEADER,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Sends a request; the response's body is unread.

        Raises:
            httpx.HTTPError: The request failed.
            RuntimeError: The transport is closed.
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
        except _FAILED_BY as error:
            body.abort()
            converted = _as_httpx(error)
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
        await _leave_except()
        raise converted  # outside of `except`, so that it has no context

    async def aclose(self) -> None:
        """Closes all connections."""
        await self._session.close()
        await asyncio.sleep(0)  # the loop closes the sockets in its next step


class _Connector(aiohttp.TCPConnector):
    """Makes our connections, and counts as closed once its event loop no longer runs.

    aiohttp logs an error for a session that was not closed. A program that closes its event loop
    without shutting it down cannot close a session that it does not know.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._own_loop = asyncio.get_running_loop()
        # aiohttp has no argument for the class of its connections.
        self._factory = partial(_Connection, loop=self._own_loop)  # type: ignore[assignment]

    def _is_closed(self) -> bool:
        return super().closed or not self._own_loop.is_running()

    closed = property(_is_closed)  # pyright: ignore[reportIncompatibleMethodOverride]

    def __del__(self, _warnings: Any = None) -> None:
        """Does not warn: asyncio itself warns of sockets that were left open."""


_END_OF_HEAD = re.compile(rb"\n\r?\n")


class _Connection(ResponseHandler):
    """A connection that parses a head before the bytes behind it.

    aiohttp 3.14 parses all bytes that arrived together. An error behind the head then discards the
    head as well: a response that is billed would look like none, and be requested again.
    """

    _is_in_head = False
    _status_line = b""
    """The beginning of the head, up to its status."""
    _before = b""
    """The last bytes before these, which may begin the end of the head."""

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
            self._pass_error_to_body()

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

    def _pass_error_to_body(self) -> None:
        body = self._payload
        if self.exception() is not None and body is not None and not body.is_eof():
            body.set_exception(aiohttp.ClientPayloadError())

    def _is_idle(self) -> bool:
        body = self._payload
        return self.exception() is not None or body is None or body.is_eof()


class _RequestBody(aiohttp.Payload):
    """A request body with a timeout for each part that is written."""

    def __init__(self, content: bytes, write_timeout: float | None, trace: Any) -> None:
        super().__init__(content)
        self._content = content
        self._write_timeout = write_timeout
        self._trace = trace
        self._socket: asyncio.WriteTransport | None = None

    @property
    def size(self) -> int:
        """For the header Content-Length."""
        return len(self._content)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """The body as text."""
        return str(self._content, encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Sends it."""
        if isinstance(writer, StreamWriter):
            self._socket = writer.transport
        if len(self._content) <= _PART:  # fits in the socket's buffer
            await writer.write(self._content)
        else:
            await self._write_large(writer)
        if self._trace is not None:
            await self._trace("receive_response_headers.started", {})

    async def _write_large(self, writer: AbstractStreamWriter) -> None:
        content = memoryview(self._content)
        for start in range(0, len(content), _PART):
            sending = self._send(writer, content[start : start + _PART])
            try:
                await asyncio.wait_for(sending, self._write_timeout)
            except asyncio.TimeoutError:
                raise _WriteTimedOut from None

    async def _send(self, writer: AbstractStreamWriter, part: memoryview) -> None:
        await writer.write(part)
        await writer.drain()

    def abort(self) -> None:
        """Aborts the connection. Closing it would wait for unsent bytes."""
        if self._socket is not None:
            self._socket.abort()


class _WriteTimedOut(Exception):
    """A part of the request could not be written in time."""


class _ResponseBody(httpx.AsyncByteStream):
    """The body of a response, as it arrives."""

    def __init__(
        self, response: aiohttp.ClientResponse, request: httpx.Request, sent: _RequestBody
    ) -> None:
        self._response = response
        self._request = request
        self._sent = sent

        self._error: Exception | None = None
        self._has_started = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self._has_started:
            self._has_started = True
            self._use_current_read_timeout()
        part = b"" if self._error else await self._next()
        if not part and self._error is not None:
            await _leave_except()
            raise self._error
        if not part:
            raise StopAsyncIteration
        return part

    async def _next(self) -> bytes:
        content = self._response.content
        try:
            return await content.readany()
        except _BROKEN_BY as error:
            self._error = _as_httpx(error)
        # aiohttp raises at once, but the bytes received before are still there.
        content.set_exception(None)  # type: ignore[arg-type]  # its default, and the way back to it
        return content.read_nowait()

    def _use_current_read_timeout(self) -> None:
        connection = self._response.connection
        if connection is not None and connection.protocol is not None:
            connection.protocol.read_timeout = self._request.extensions["timeout"]["read"]
            connection.protocol.start_timeout()

    def get_extra_info(self, name: str) -> Any:
        """As of a network stream; None once the body has ended and another call may use it."""
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
            await asyncio.sleep(0)  # the loop closes the socket in its next step


async def _leave_except() -> None:
    """Yields once, because Python 3.10 may chain the next exception to the one just handled."""
    if sys.version_info < (3, 11):
        await asyncio.sleep(0)


def _as_httpx(error: Exception) -> Exception:
    """The exception that httpx's own transport would raise, without headers in its message."""
    if isinstance(error.__cause__, _WriteTimedOut):
        return httpx.WriteTimeout("a part of the request could not be written")
    converted = next(
        equivalent(_message(error)) for kind, equivalent in _EQUIVALENTS if isinstance(error, kind)
    )
    if isinstance(error, aiohttp.ClientConnectorError):
        converted.__cause__ = error.os_error  # such as socket.gaierror
    return converted


def _message(error: Exception) -> str:
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


_EQUIVALENTS: tuple[tuple[type[Exception], type[Exception]], ...] = (
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
