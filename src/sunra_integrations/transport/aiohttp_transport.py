"""aiohttp as a transport of httpx: the extra `aiohttp`.

What it does as httpx's own transport does, aiohttp by itself would not: a timeout for each kind of
wait, bytes that came before a connection broke are not lost, cookies are not kept, and exceptions,
which hold the request with its key, do not leave this file.
"""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import AsyncGenerator
from ssl import SSLContext
from typing import Any
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx
from aiohttp import ConnectionTimeoutError  # of 3.10; what is older lacks it and is not used
from aiohttp.abc import AbstractStreamWriter
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
    """

    def __init__(self, tls: SSLContext, *, keepalive_expiry: float) -> None:
        self._proxies = getproxies()
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
        body = _LargeBody(request.content, waits["write"])
        try:
            response = await self._session.request(
                request.method,
                URL(str(request.url), encoded=True),
                headers=request.headers.multi_items(),
                data=body if len(request.content) > _PIECE else request.content,
                proxy=self._proxy_for(request.url) if self._proxies else None,
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
            return httpx.Response(
                response.status,
                headers=list(response.raw_headers),
                stream=_ResponseBody(response, request, body),
            )
        await _nothing_is_handled()
        raise fault  # here, where it takes no context along

    async def aclose(self) -> None:
        """Closes all connections."""
        await self._session.close()
        await asyncio.sleep(0)  # in this step the loop closes the sockets

    def _proxy_for(self, url: httpx.URL) -> str | None:
        if proxy_bypass(url.netloc.decode("ascii")):
            return None
        proxy = self._proxies.get(url.scheme) or self._proxies.get("all")
        return f"http://{proxy}" if proxy and "://" not in proxy else proxy


class _Connector(aiohttp.TCPConnector):
    """Counts as closed when its event loop has ended, shut down in order or not.

    aiohttp logs an error for a session that was not closed. Many a program closes its loop without
    shutting it down first; there is nothing it could do about a session that it knows nothing of.
    """

    @property
    def closed(self) -> bool:
        return super().closed or not self._loop.is_running()

    def __del__(self, _warnings: Any = None) -> None:
        """Says nothing: asyncio itself warns of sockets that were left open."""


class _LargeBody(aiohttp.Payload):
    """A request's body whose every piece must be taken in in time.

    A small one needs no watching: the system takes it in at once.
    """

    def __init__(self, content: bytes, patience: float | None) -> None:
        super().__init__(content)
        self._size = len(content)
        self._patience = patience
        self._way: asyncio.WriteTransport | None = None

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """The body as text."""
        return str(self._value, encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Sends it."""
        if isinstance(writer, StreamWriter):
            self._way = writer.transport
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
        self, response: aiohttp.ClientResponse, request: httpx.Request, sent: _LargeBody
    ) -> None:
        self._response = response
        self._request = request
        self._sent = sent

    async def __aiter__(self) -> AsyncGenerator[bytes, None]:
        self._wait_as_long_as_the_request_says_now()
        content = self._response.content
        try:
            while piece := await content.readany():
                yield piece
        except _BREAKS as error:
            fault = _as_httpx(error)
        else:
            return
        # aiohttp raises at once; what had come before is still there.
        content.set_exception(None)  # type: ignore[arg-type]  # its default, and the way back to it
        if piece := content.read_nowait():
            yield piece
        await _nothing_is_handled()
        raise fault

    def _wait_as_long_as_the_request_says_now(self) -> None:
        connection = self._response.connection
        if connection is not None and connection.protocol is not None:
            connection.protocol.read_timeout = self._request.extensions["timeout"]["read"]
            connection.protocol.start_timeout()

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
    """The exception that httpx's own transport would have raised."""
    if isinstance(error.__cause__, _NotTakenIn):
        return httpx.WriteTimeout("a piece of the request was not taken in")
    said = getattr(error, "message", "") or str(error) or type(error).__name__
    return next(meant(str(said)) for kind, meant in _MEANINGS if isinstance(error, kind))


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
