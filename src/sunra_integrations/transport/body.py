"""The body of an answer: piece by piece as it comes, whole, or what there is of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, suppress
from typing import cast

import httpx

from sunra_integrations.errors import UnreadableResponse
from sunra_integrations.transport.patience import Patience

_LONGEST_ERROR = 1024 * 1024


def pieces(response: httpx.Response) -> Iterator[bytes]:
    """The body, decompressed if it needs to be."""
    if isinstance(response.stream, httpx.SyncByteStream) and _comes_plain(response):
        return iter(response.stream)
    return response.iter_bytes()


def pieces_async(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    """The body, decompressed if it needs to be. A generator left open ends late: close it."""
    if isinstance(response.stream, httpx.AsyncByteStream) and _comes_plain(response):
        plain = aiter(response.stream)
        if hasattr(plain, "aclose"):
            return cast("AsyncGenerator[bytes, None]", plain)
    # httpx declares an iterator, but it is a generator.
    return cast("AsyncGenerator[bytes, None]", response.aiter_bytes())


def whole(response: httpx.Response, limit: int, patience: Patience) -> bytes:
    """All of it.

    Raises:
        UnreadableResponse: It is longer than the limit.
        TimedOut: It takes too long.
        httpx.HTTPError: It broke off.
    """
    body = bytearray()
    for piece in pieces(response):
        body += piece
        _check(body, limit, patience)
    return bytes(body)


async def whole_async(response: httpx.Response, limit: int, patience: Patience) -> bytes:
    """All of it; see `whole`."""
    body = bytearray()
    async with aclosing(pieces_async(response)) as coming:
        async for piece in coming:
            body += piece
            _check(body, limit, patience)
    return bytes(body)


def of_error(response: httpx.Response, patience: Patience) -> bytes:
    """As much as comes of an error's body; that it broke off is no news beside the error."""
    body = bytearray()
    with suppress(httpx.HTTPError):
        for piece in pieces(response):
            body += piece
            if len(body) > _LONGEST_ERROR or patience.run_out(len(body)):
                break
    return bytes(body)


async def of_error_async(response: httpx.Response, patience: Patience) -> bytes:
    """As much as comes of an error's body; see `of_error`."""
    body = bytearray()
    async with aclosing(pieces_async(response)) as coming:
        with suppress(httpx.HTTPError):
            async for piece in coming:
                body += piece
                if len(body) > _LONGEST_ERROR or patience.run_out(len(body)):
                    break
    return bytes(body)


def _check(body: bytearray, limit: int, patience: Patience) -> None:
    if len(body) > limit:
        raise UnreadableResponse(
            f"The answer is longer than {limit:,} bytes; "
            "raise `max_response_bytes` if answers of that size are expected.",
            retryable=False,
        )
    if late := patience.run_out(len(body)):
        raise late


def _comes_plain(response: httpx.Response) -> bool:
    """Whether httpx's layers for decompression and the like, a cost for each piece, do nothing."""
    # A hook of the user's own client may have read the body already; then only httpx has it.
    return "content-encoding" not in response.headers and not response.is_stream_consumed
