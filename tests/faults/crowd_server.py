"""Answers crowds: an asyncio server in a process of its own. Prints its port, serves until killed.

Streams wait a moment half way, so that all that were begun together are open together.
"""

from __future__ import annotations

import asyncio
import sys

from tests.wire_cases import completion_bytes, stream_bytes

STREAM, PLAIN = stream_bytes("plain"), completion_bytes("plain")
HALF = STREAM.index(b"\n\n") + 2
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
PLAIN_HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(PLAIN)


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = head.partition(b"content-length:")[2].split(b"\r\n")[0]
            await reader.readexactly(int(length))
            if b"text/event-stream" in head:
                writer.write(HEAD + b"%x\r\n%s\r\n" % (HALF, STREAM[:HALF]))
                await writer.drain()
                await asyncio.sleep(0.5)
                rest = STREAM[HALF:]
                writer.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(rest), rest))
            else:
                writer.write(PLAIN_HEAD + PLAIN)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=4096)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
