"""Puts a response on the wire piece by piece: pauses, cuts, and noticing that nobody listens."""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from sunra_integrations.sandbox.ledger import Received
from sunra_integrations.sandbox.scripted import End

Event: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Event]]
Send: TypeAlias = Callable[[Event], Awaitable[None]]

# Closing with a linger time of zero sends a reset instead of an end.
_RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Response:
    """A response and the manner of its delivery.

    Args:
        status: The status; None hangs up before the headers.
        headers: The headers.
        pieces: The body, each piece flushed on its own.
        wait: Seconds before the headers.
        pause: Seconds between pieces.
        cut_after: Bytes of body after which to stop, None for all.
        cut: How a cut ends.
    """

    status: int | None
    headers: dict[str, str]
    pieces: Iterable[bytes]
    wait: float = 0.0
    pause: float = 0.0
    cut_after: int | None = None
    cut: End = "close"


async def deliver(
    response: Response,
    received: Received,
    receive: Receive,
    send: Send,
    connection: asyncio.Transport,
) -> None:
    """Sends a response, and stops as soon as the client is gone."""
    gone = asyncio.create_task(_gone(receive))
    try:
        finished = await _play(response, received, send, gone)
        if not finished and gone.done():
            received.disconnected.set()
        elif not finished:
            _hang_up(connection, reset=response.cut == "reset")
            await gone
    finally:
        gone.cancel()


async def _play(
    response: Response, received: Received, send: Send, gone: asyncio.Task[None]
) -> bool:
    """Plays the response; True when it was ended as HTTP ends a response."""
    if not await _waited(response.wait, gone) or response.status is None:
        return False
    received.status = response.status
    headers = [(name.encode(), value.encode("latin-1")) for name, value in response.headers.items()]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    first = True
    for piece in _up_to(response.pieces, response.cut_after):
        if not await _waited(0 if first else response.pause, gone):
            return False
        await send({"type": "http.response.body", "body": piece, "more_body": True})
        first = False
    if gone.done() or (response.cut_after is not None and response.cut != "complete"):
        return False
    await send({"type": "http.response.body", "body": b"", "more_body": False})
    return True


async def _waited(seconds: float, gone: asyncio.Task[None]) -> bool:
    """Waits, and tells whether the client is still there."""
    if seconds > 0:
        await asyncio.wait({gone}, timeout=seconds)
    else:
        await asyncio.sleep(0)
    return not gone.done()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _up_to(pieces: Iterable[bytes], limit: int | None) -> Iterator[bytes]:
    """The pieces, the last one shortened where the limit falls into it."""
    left = limit
    for piece in pieces:
        if left is None:
            yield piece
            continue
        if piece[:left]:
            yield piece[:left]
        left -= len(piece)
        if left <= 0:
            return


def _hang_up(connection: asyncio.Transport, *, reset: bool) -> None:
    if not reset:
        connection.close()
        return
    connection.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    connection.abort()
