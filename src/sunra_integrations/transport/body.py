"""The body of an answer: piece by piece as it comes, whole, or what there is of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from inspect import isasyncgen

import httpx

from sunra_integrations.errors import TimedOut, UnreadableResponse
from sunra_integrations.protocol.json_text import read_json
from sunra_integrations.transport.deadline import Bounded
from sunra_integrations.transport.deadline import Patience

_LONGEST_ERROR = 1024 * 1024
_DECODED = frozenset(("gzip", "deflate"))
_PLAIN = frozenset(("", "identity", "none", "utf-8"))  # two of them are said by mistake, of text


def pieces(response: httpx.Response) -> Iterator[bytes]:
    """The body, decompressed if it needs to be.

    Raises:
        UnreadableResponse: It has a Content-Encoding that was not requested.
    """
    _check_coding(response)
    # A transport of the user's own may give other buffers: in Pyodide they are memoryviews.
    if isinstance(response.stream, httpx.SyncByteStream) and _comes_plain(response):
        return map(bytes, response.stream)
    return map(bytes, response.iter_bytes())


class AsyncPieces:
    """The body, decompressed if it needs to be; each wait for a piece of it ends in time.

    Raises:
        UnreadableResponse: It has a Content-Encoding that was not requested.
    """

    def __init__(self, response: httpx.Response, patience: Patience) -> None:
        _check_coding(response)
        self._bounded = Bounded(patience, again=True)
        self._pieces: AsyncIterator[bytes] = (
            aiter(response.stream)
            if isinstance(response.stream, httpx.AsyncByteStream) and _comes_plain(response)
            else response.aiter_bytes()
        )

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        with self._bounded:
            return bytes(await anext(self._pieces))  # see `pieces`

    async def aclose(self) -> None:
        """Ends the reading; a generator that is left open would end late."""
        self._bounded.stop()
        pieces: object = self._pieces
        if isasyncgen(pieces):
            await pieces.aclose()


def whole(response: httpx.Response, limit: int, patience: Patience) -> bytes:
    """All of it.

    Raises:
        UnreadableResponse: It is longer than the limit.
        TimedOut: It takes too long.
        httpx.HTTPError: It broke off.
    """
    body = bytearray()
    try:
        for piece in pieces(response):
            body += piece
            _check(body, limit, patience)
    except (httpx.HTTPError, TimedOut) as fault:
        _raise_unless_complete(fault, body)
    return bytes(body)


async def whole_async(response: httpx.Response, limit: int, patience: Patience) -> bytes:
    """All of it; see `whole`."""
    body = bytearray()
    try:
        async with aclosing(AsyncPieces(response, patience)) as coming:
            async for piece in coming:
                body += piece
                _check(body, limit, patience)
    except (httpx.HTTPError, TimedOut) as fault:
        _raise_unless_complete(fault, body)
    return bytes(body)


def of_error(response: httpx.Response, patience: Patience) -> tuple[bytes, str]:
    """As much of an error's body as can be read, and why it is incomplete, if that matters.

    That the body broke off does not matter beside the error.
    """
    body, note = bytearray(), ""
    try:
        for piece in pieces(response):
            body += piece
            if len(body) > _LONGEST_ERROR or patience.run_out(len(body)):
                break
    except (httpx.HTTPError, TimedOut, UnreadableResponse) as fault:
        note = _note(fault)
    return _readable(body, response, note)


async def of_error_async(response: httpx.Response, patience: Patience) -> tuple[bytes, str]:
    """As much as comes of an error's body; see `of_error`."""
    body, note = bytearray(), ""
    try:
        async with aclosing(AsyncPieces(response, patience)) as coming:
            async for piece in coming:
                body += piece
                if len(body) > _LONGEST_ERROR or patience.run_out(len(body)):
                    break
    except (httpx.HTTPError, TimedOut, UnreadableResponse) as fault:
        note = _note(fault)
    return _readable(body, response, note)


def _note(fault: Exception) -> str:
    match fault:
        case UnreadableResponse():
            return fault.message
        case httpx.DecodingError():
            return "Its body could not be decompressed."
        case _:
            return ""


def _readable(body: bytearray, response: httpx.Response, note: str) -> tuple[bytes, str]:
    if len(body) > _LONGEST_ERROR:
        packed = " decompresses to" if _coding(response) else " is"
        return b"", f"Its body{packed} more than {_LONGEST_ERROR:,} bytes, and was left out."
    return bytes(body), note


def _raise_unless_complete(fault: Exception, body: bytearray) -> None:
    """Ignores faults behind the last byte of a complete answer, such as in trailers."""
    if isinstance(fault, httpx.DecodingError):
        raise fault
    try:
        read_json(bytes(body))
    except ValueError:
        raise fault from fault.__cause__


def _check(body: bytearray, limit: int, patience: Patience) -> None:
    if len(body) > limit:
        raise UnreadableResponse(
            f"The answer is longer than {limit:,} bytes; "
            "raise `max_response_bytes` if answers of that size are expected.",
            retryable=False,
        )
    if late := patience.run_out(len(body)):
        raise late


def _check_coding(response: httpx.Response) -> None:
    coding = _coding(response)
    if coding and not (len(coding) == 1 and coding[0] in _DECODED):
        raise UnreadableResponse(
            f"The body is compressed as {', '.join(coding)!r} (Content-Encoding), which was not "
            "requested and is not supported; the server or a proxy ignores Accept-Encoding.",
            request_id=response.headers.get("x-request-id"),
            retryable=False,
        )


def _coding(response: httpx.Response) -> list[str]:
    header = response.headers.get("content-encoding")
    if header is None:
        return []
    named = header.lower().split(",")
    return [one.strip() for one in named if one.strip() not in _PLAIN]


def _comes_plain(response: httpx.Response) -> bool:
    """Whether httpx's layers for decompression and the like, a cost for each piece, do nothing."""
    # A hook of the user's own client may have read the body already; then only httpx has it.
    return not _coding(response) and not response.is_stream_consumed
