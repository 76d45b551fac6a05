"""Calls that come and go leave nothing behind: no descriptor, thread, object or connection."""

from __future__ import annotations

import asyncio
import gc
import threading
from contextlib import suppress

import pytest

from sunra_integrations.langchain import ChatSunra
from sunra_integrations.llama_index import Sunra
from sunra_integrations.protocol.request import ChatRequest
from sunra_integrations.transport import AsyncSunraClient, Settings, SunraClient
from tests import platforms
from tests.faults.cases import GOOD
from tests.faults.server import FaultServer
from tests.platforms import open_descriptors
from tests.waiting import until_async

pytestmark = platforms.descriptors
ASKED = ChatRequest(model="a/b", messages=[{"role": "user", "content": "Hi"}])


def chat(server):
    return ChatSunra(model="a/b", api_key="k", base_url=server.base_url)


def llm(server):
    return Sunra(model="a/b", api_key="k", api_base=server.base_url)


def test_instances_and_calls_that_come_and_go_leave_nothing_behind():
    with FaultServer(GOOD) as server:
        chat(server).invoke("Hi")
        llm(server).complete("Hi")
        threads, descriptors = threading.active_count(), open_descriptors()
        for number in range(1000):
            model = chat(server) if number % 2 else llm(server)
            if number % 10 == 0:
                assert model is not None
                (model.complete if isinstance(model, Sunra) else model.invoke)("Hi")
        assert open_descriptors() <= descriptors + 2
        assert threading.active_count() <= threads + 2
        assert server.connections == 1


def test_three_thousand_calls_leave_memory_and_descriptors_where_they_were():
    with FaultServer(GOOD, keep_requests=False) as server:
        calling = SunraClient(Settings.resolve("k", server.base_url))
        for _ in range(200):
            calling.create(ASKED)
        gc.collect()
        descriptors, objects = open_descriptors(), len(gc.get_objects())
        for _ in range(1_500):
            calling.create(ASKED)
            for _ in calling.stream(ASKED):
                pass
        gc.collect()
        assert open_descriptors() <= descriptors + 1
        assert len(gc.get_objects()) <= objects + 300
        assert server.connections <= 2


@pytest.mark.parametrize("library", ["httpx", "aiohttp"])
def test_nor_do_async_ones_however_they_end(library):
    async def calls() -> None:
        resolved = Settings.resolve("k", server.base_url, async_transport=library)
        calling, early = AsyncSunraClient(resolved), 0
        for number in range(400):
            stream = calling.stream(ASKED)
            if number % 4 == 0:
                await calling.create(ASKED)
            elif number % 4 == 1:
                assert [chunk async for chunk in stream]
            elif number % 4 == 2:
                await anext(stream)
                await stream.aclose()
            else:
                call = asyncio.create_task(calling.create(ASKED))
                await asyncio.sleep(0.0005)
                call.cancel()
                with suppress(asyncio.CancelledError):
                    await call
            if number == 100:
                await asyncio.sleep(0.1)
                gc.collect()
                early = open_descriptors()
        gc.collect()
        await until_async(lambda: open_descriptors() <= early + 4)

    with FaultServer(GOOD, keep_requests=False) as server:
        asyncio.run(calls())
