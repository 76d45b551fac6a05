"""``python -m benchmarks.server``: sends prebuilt bytes as fast as a socket takes them.

Says which port it listens on in its first line of output and serves until its input ends. The
scenario is the first part of the path: ``/<scenario>/v1/chat/completions``.
"""

from __future__ import annotations

import asyncio
import gc
import json
import re
import sys
import time
from functools import partial

from benchmarks.scenarios import (
    CLOCK_DIGITS,
    Scenario,
    completion,
    paced_event,
    paced_frame,
    writes,
)

PACE = 0.003
"""Seconds between the events of a paced stream: more than any contestant needs for one."""

_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"x-request-id: req-benchmark\r\ntransfer-encoding: chunked\r\n\r\n"
)
_BODY = json.dumps(completion()).encode()
_COMPLETION = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req-benchmark\r\n"
    b"content-length: %d\r\n\r\n%b" % (len(_BODY), _BODY)
)
_NOT_FOUND = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"
_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_HEAD_END = b"\r\n\r\n"


class Connection(asyncio.Protocol):
    """One client's connection: reads a request to its end, answers by its path, and again."""

    def __init__(self) -> None:
        self._head = b""
        self._missing = 0
        self._scenario: Scenario | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps where to write."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Counts a body down, keeping none of it; answers when the request is whole."""
        if self._missing:
            self._missing -= len(data)
        else:
            self._head += data
            end = self._head.find(_HEAD_END)
            if end < 0:
                return
            body = len(self._head) - end - len(_HEAD_END)
            self._scenario, length = read_head(self._head[: end + len(_HEAD_END)])
            self._head = b""
            self._missing = length - body
        if not self._missing:
            self._answer(time.monotonic_ns())

    def _answer(self, whole_at: int) -> None:
        transport, scenario = self._transport, self._scenario
        if transport is None:
            return
        if scenario is None:
            transport.write(_NOT_FOUND)
        elif scenario.kind == "completion":
            transport.write(_COMPLETION)
        elif scenario.kind == "late":
            seconds = scenario.events / 1000
            asyncio.get_running_loop().call_later(seconds, transport.write, _COMPLETION)
        elif scenario.kind == "paced":
            before, _ = paced_frame()
            transport.write(_STREAM_HEAD + before)
            self._pace(scenario.events, whole_at)
        else:
            transport.write(_STREAM_HEAD)
            for piece in writes(scenario):
                transport.write(piece)

    def _pace(self, left: int, clock: int | None = None) -> None:
        """Sends one event whose text is a clock reading: first the request's end, then its own."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if left:
            before, after = paced_event()
            reading = clock or time.monotonic_ns()
            transport.write(b"%b%0*d%b" % (before, CLOCK_DIGITS, reading, after))
            asyncio.get_running_loop().call_later(PACE, partial(self._pace, left - 1))
        else:
            transport.write(paced_frame()[1])


def read_head(head: bytes) -> tuple[Scenario | None, int]:
    """What a request's head asks for, and the length of its body."""
    length = _CONTENT_LENGTH.search(head)
    path = head.split(b" ", 2)[1].decode("ascii", "replace")
    try:
        scenario = Scenario.parse(path.split("/")[1])
    except (ValueError, TypeError, IndexError):
        scenario = None
    return scenario, int(length[1]) if length else 0


async def serve() -> None:
    """Serves on a free port of the loopback interface until the standard input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0, backlog=1024)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    gc.freeze()
    gc.disable()
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve())
