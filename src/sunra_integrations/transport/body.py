"""The bytes of an answer's body, piece by piece as they come."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from typing import cast

import httpx


def pieces_of(response: httpx.Response) -> Iterator[bytes]:
    """The body, decompressed if it needs to be."""
    if isinstance(response.stream, httpx.SyncByteStream) and _comes_plain(response):
        return iter(response.stream)
    return response.iter_bytes()


def async_pieces_of(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    """The body, decompressed if it needs to be. To be closed, as a generator left open ends late."""
    if isinstance(response.stream, httpx.AsyncByteStream) and _comes_plain(response):
        pieces = aiter(response.stream)
        if hasattr(pieces, "aclose"):
            return cast("AsyncGenerator[bytes, None]", pieces)
    # httpx declares an iterator, but it is a generator.
    return cast("AsyncGenerator[bytes, None]", response.aiter_bytes())


def _comes_plain(response: httpx.Response) -> bool:
    """Whether httpx's layers for decompression and the like, a cost for each piece, do nothing."""
    # A hook of the user's own client may have read the body already; then only httpx has it.
    return "content-encoding" not in response.headers and not response.is_stream_consumed
