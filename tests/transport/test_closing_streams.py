"""Async streams that are closed while a generator is being closed."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator

import httpx

from sunra_integrations.transport.connections.pool import _AsyncBody


class NeverClosed(httpx.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b""

    async def aclose(self) -> None:
        await asyncio.get_running_loop().create_future()


def test_a_loop_that_ends_while_a_stream_closes_logs_nothing(caplog):
    async def release(_):
        pass

    async def leave_a_stream_early():
        body = _AsyncBody(httpx.Response(200, stream=NeverClosed()), release, set())

        async def read():
            try:
                yield
            finally:
                await body.aclose()

        stream = read()
        await anext(stream)
        await stream.aclose()
        await asyncio.sleep(0)  # the task that closes it begins

    loop = asyncio.new_event_loop()
    loop.run_until_complete(leave_a_stream_early())
    loop.close()
    gc.collect()
    assert caplog.records == []
