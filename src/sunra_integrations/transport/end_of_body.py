"""Takes in the few bytes that follow `[DONE]`, so that the connection can be used again.

Most servers end the body right behind it; some leave the connection open, and for them nothing is
waited for beyond a moment.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

import httpx

_MOMENT = 0.02


def take(response: httpx.Response, pieces: Iterator[bytes]) -> None:
    """Reads once more if something has come, or comes within a moment."""
    network = response.extensions.get("network_stream")
    connection = network.get_extra_info("socket") if network is not None else None
    if connection is None or not _readable(connection):
        return
    with suppress(httpx.HTTPError):  # the answer is whole; only the connection would be lost
        next(pieces, None)


async def take_async(pieces: AsyncIterator[bytes]) -> None:
    """Reads once more, for a moment at most."""
    with suppress(httpx.HTTPError, asyncio.TimeoutError):
        await asyncio.wait_for(anext(pieces, None), _MOMENT)


def _readable(connection: Any) -> bool:
    pending = getattr(connection, "pending", None)  # bytes that TLS has already decrypted
    if pending is not None and pending():
        return True
    try:
        ready, _, _ = select.select([connection], [], [], _MOMENT)
    except (OSError, ValueError):
        return False  # closed, or a number too high for select
    return bool(ready)
