"""Leaving early, in every way there is: the server sees it at once, and the pool stays usable."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import threading

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from llama_index.core.base.llms.types import ChatMessage

from sunra_integrations.errors import TimedOut
from sunra_integrations.langchain import ChatSunra
from sunra_integrations.llama_index import Sunra
from sunra_integrations.protocol.request import ChatRequest
from sunra_integrations.transport import AsyncSunraClient, Settings, SunraClient
from tests import children, platforms
from tests.faults.cases import BEGUN, GOOD
from tests.faults.server import FaultServer, chunks
from tests.waiting import DEADLINE, until_async

ASKED = ChatRequest(model="a/b", messages=[{"role": "user", "content": "Hi"}])
STAYS_OPEN = chunks(BEGUN, then="hold")


@pytest.fixture(params=["httpx", "aiohttp"])
def library(request):
    """What carries async calls."""
    return request.param


@pytest.fixture
def server():
    """Begins an answer and leaves it open, then answers well."""
    with FaultServer(STAYS_OPEN, GOOD) as running:
        yield running


def chat(server, **more):
    return ChatSunra(model="a/b", api_key="k", base_url=server.base_url, **more)


def llm(server, **more):
    return Sunra(model="a/b", api_key="k", api_base=server.base_url, **more)


def client(server):
    return SunraClient(Settings.resolve("k", server.base_url))


def left(server):
    return server.requests[0].left.wait(DEADLINE)


class Stop(Exception):
    """Raised by the tests' own callback."""


class Raising(BaseCallbackHandler):
    raise_error = True

    def on_llm_new_token(self, token, **_):
        if token:
            raise Stop


def break_langchain(server):
    for _ in chat(server).stream("Hi"):
        break


def break_llama_index(server):
    for _ in llm(server).stream_chat([ChatMessage("Hi")]):
        break


def close_a_generator(server):
    stream = client(server).stream(ASKED)
    next(stream)
    stream.close()


def drop_a_generator(server):
    stream = client(server).stream(ASKED)
    next(stream)
    del stream


def raise_in_the_loop(server):
    def read():
        for _ in chat(server).stream("Hi"):
            raise Stop

    with pytest.raises(Stop):
        read()


def raise_in_a_callback(server):
    with pytest.raises(Stop):
        list(chat(server).stream("Hi", config={"callbacks": [Raising()]}))


def press_ctrl_c(server):
    main = threading.main_thread().ident
    assert main is not None

    def read():
        for chunk in chat(server).stream("Hi"):
            if chunk.text:
                threading.Timer(0.2, signal.pthread_kill, (main, signal.SIGINT)).start()

    with pytest.raises(KeyboardInterrupt):
        read()


@pytest.mark.parametrize(
    "leave",
    [
        break_langchain,
        break_llama_index,
        close_a_generator,
        drop_a_generator,
        raise_in_the_loop,
        raise_in_a_callback,
        pytest.param(press_ctrl_c, marks=platforms.signals),
    ],
)
def test_a_stream_that_is_left_closes_its_connection_and_the_next_call_works(server, leave):
    leave(server)
    assert left(server)
    assert chat(server).invoke("Hi").text == "Hello"


async def abreak_langchain(server, library):
    async for _ in chat(server, async_transport=library).astream("Hi"):
        break


async def abreak_llama_index(server, library):
    async for _ in await llm(server, async_transport=library).astream_chat([ChatMessage("Hi")]):
        break


async def aclose_a_generator(server, library):
    stream = AsyncSunraClient(
        Settings.resolve("k", server.base_url, async_transport=library)
    ).stream(ASKED)
    await anext(stream)
    await stream.aclose()


async def cancel_a_task(server, library):
    async def read():
        async for _ in chat(server, async_transport=library).astream("Hi"):
            pass

    task = asyncio.create_task(read())
    await until_async(lambda: server.requests)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def cancel_a_plain_call(server, library):
    task = asyncio.create_task(chat(server, async_transport=library).ainvoke("Hi"))
    await until_async(lambda: server.requests)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def run_out_of_time(server, library):
    stream = chat(server, async_transport=library).astream("Hi")

    async def read():
        return [chunk async for chunk in stream]

    await anext(stream)
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(read(), 0.1)


async def araise_in_the_loop(server, library):
    async def read():
        async for _ in await llm(server, async_transport=library).astream_chat([ChatMessage("Hi")]):
            raise Stop

    with pytest.raises(Stop):
        await read()


@pytest.mark.parametrize(
    "leave",
    [
        abreak_langchain,
        abreak_llama_index,
        aclose_a_generator,
        cancel_a_task,
        cancel_a_plain_call,
        run_out_of_time,
        araise_in_the_loop,
    ],
)
async def test_an_async_stream_that_is_left_closes_its_connection_too(server, leave, library):
    await leave(server, library)
    assert await asyncio.to_thread(left, server)
    assert (await chat(server, async_transport=library).ainvoke("Hi")).text == "Hello"


async def test_an_async_stream_that_is_closed_ends_its_request_without_a_step_of_the_loop(
    server, library
):
    await aclose_a_generator(server, library)
    assert left(server)  # blocks the event loop


def test_a_connection_that_the_server_closed_while_idle_is_not_used_again():
    def answer_and_close(connection):
        GOOD(connection)
        connection.close()

    with FaultServer(answer_and_close) as server:
        for number in range(5):
            assert chat(server, max_retries=0).invoke("Hi").text == "Hello"
            server.wait_until_closed(number + 1)
        assert len(server.requests) == 5


def test_a_system_clock_that_jumps_changes_no_timeout(server):
    program = """
import itertools, sys, time
from sunra_integrations.langchain import ChatSunra
real, jumps = time.time, itertools.count()
time.time = lambda: real() + 86_400 * next(jumps)
limits = {"timeout": 300, "stall_timeout": 300, "total_timeout": 600}
chat = ChatSunra(model="a/b", api_key="k", base_url=sys.argv[1], **limits)
print(next(iter(chat.stream("Hi"))).type)
"""
    ran = children.python("-c", program, server.base_url)
    assert ran.stdout.strip() == "AIMessageChunk", ran.stderr


@pytest.mark.parametrize("make", [chat, llm])
def test_a_pickled_instance_works_in_another_process(make):
    program = (
        "import pickle, sys; model = pickle.loads(sys.stdin.buffer.read()); "
        "call = getattr(model, 'invoke', None) or model.complete; print(call('Hi').text)"
    )
    with FaultServer(GOOD) as server:
        model = make(server)
        ran = children.python(
            "-c",
            program,
            input=pickle.dumps(model),
            encoding=None,
            env={**os.environ, "SUNRA_KEY": "k"},
        )
    assert ran.stdout.decode().strip() == "Hello", ran.stderr.decode()


async def test_a_notebook_s_running_loop_takes_plain_calls_and_async_ones(library):
    with FaultServer(GOOD) as server:
        assert chat(server).invoke("Hi").text == llm(server).complete("Hi").text == "Hello"
        assert (await chat(server, async_transport=library).ainvoke("Hi")).text == "Hello"
        assert (await llm(server, async_transport=library).acomplete("Hi")).text == "Hello"


def test_tasks_of_calls_that_ended_are_gone(library):
    async def several() -> int:
        with FaultServer(GOOD) as server:
            calling = chat(server, async_transport=library)
            await asyncio.gather(*(calling.ainvoke("Hi") for _ in range(50)))
            async for _ in calling.astream("Hi"):
                pass
        return len(asyncio.all_tasks())

    assert asyncio.run(several()) == 1


def test_a_total_timeout_bounds_a_call_with_retries():
    with FaultServer(lambda connection: connection.hold()) as server:
        with pytest.raises(TimedOut, match="total_timeout"):
            chat(server, timeout=DEADLINE, total_timeout=0.5).invoke("Hi")
        assert len(server.requests) <= 1
