"""Takes in the few bytes that follow `[DONE]`, so that the connection can be used again.

Most servers end the body right behind it; some leave the connection open, and for them nothing is
waited for beyond a moment. What is at stake is a new TLS handshake for every streamed call.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

import httpx

_MOMENT = 0.02


def take(response: httpx.Response, pieces: Iterator[bytes]) -> None:
    """Reads once more, for a moment at most.

    The wait that httpcore took from the request is the one for an answer, so the connection's own
    `read` (the public interface behind the `network_stream` extension) is made to wait less for
    this one time. Without that interface the connection is left to be closed.
    """
    # The answer is whole: whatever goes wrong here, only the connection would be lost.
    with suppress(Exception):
        network = response.extensions.get("network_stream")
        if network is not None and _has_connection_of_its_own(response):
            _read_for_a_moment(network, pieces)


def _read_for_a_moment(network: Any, pieces: Iterator[bytes]) -> None:
    patient_read, reader = network.read, threading.get_ident()

    def read(max_bytes: int, timeout: float | None = None) -> Any:
        # The connection may be in another thread's hands the moment its body has ended.
        wait = _MOMENT if threading.get_ident() == reader else timeout
        return patient_read(max_bytes, timeout=wait)

    network.read = read
    try:
        next(pieces, None)
    finally:
        del network.read


async def take_async(response: httpx.Response, pieces: AsyncIterator[bytes]) -> None:
    """Reads once more, for a moment at most."""
    with suppress(Exception):
        if _has_connection_of_its_own(response):
            await asyncio.wait_for(anext(pieces, None), _MOMENT)


def _has_connection_of_its_own(response: httpx.Response) -> bool:
    """Whether nothing else is on its connection; HTTP/2 shares one, and needs no end to go on."""
    return response.http_version.startswith("HTTP/1")
