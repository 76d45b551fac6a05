"""What httpx does by itself, aiohttp must do too: each of these runs over both."""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import ExitStack, contextmanager, suppress

import httpx
import pytest

from sunra_integrations.errors import (
    ConfigurationError,
    ConnectionFailed,
    StreamInterrupted,
    TimedOut,
)
from sunra_integrations.langchain import ChatSunra
from sunra_integrations.llama_index import Sunra
from sunra_integrations.protocol.reply import fold
from sunra_integrations.protocol.requests import ChatRequest
from sunra_integrations.transport import AsyncSunraClient, Settings, Timeouts, connections
from sunra_integrations.transport.aiohttp_transport import AiohttpTransport
from tests.faults.cases import BEGUN, EVENTS, GOOD, PLAIN
from tests.faults.server import FaultServer, answer, chunks, raw

ASKED = ChatRequest(model="a/b", messages=[{"role": "user", "content": "Hi"}])
LARGE = ChatRequest(model="a/b", messages=[{"role": "user", "content": "x" * 20_000_000}])


@pytest.fixture(params=["httpx", "aiohttp"])
def library(request):
    return request.param


@pytest.fixture(autouse=True)
def _fresh_pools(monkeypatch):
    monkeypatch.setattr(connections, "_shared", connections._Shared())


@pytest.fixture
def client(library):
    def make(server, **more):
        more = {"max_retries": 0, **more}
        return AsyncSunraClient(
            Settings.resolve("k", server.base_url, async_transport=library, **more)
        )

    return make


def create(client, asked=ASKED):
    return asyncio.run(client.create(asked))


def stream(client):
    async def read():
        return [chunk async for chunk in client.stream(ASKED)]

    return asyncio.run(read())


class Listener:
    """Accepts connections and does nothing with them."""

    def __init__(self, backlog: int = 10) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=backlog)
        self.base_url = "http://{}:{}".format(*self.socket.getsockname())


@contextmanager
def nobody_there():
    """An address whose connections are never made: its queue is full."""
    with ExitStack() as stack:
        listener = Listener(backlog=0)
        stack.enter_context(listener.socket)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.socket.getsockname())
        yield listener


def test_a_connection_that_is_not_made_in_time_is_a_connect_timeout(client):
    with nobody_there() as listener, pytest.raises(TimedOut) as caught:
        create(client(listener, timeout=Timeouts(connect=0.2)))
    assert caught.value.phase == "connect"


def test_a_request_that_is_not_taken_in_is_a_write_timeout(client):
    listener = Listener()
    with listener.socket, pytest.raises(TimedOut) as caught:
        create(client(listener, timeout=Timeouts(write=0.2)), LARGE)
    assert caught.value.phase == "write"


def test_an_answer_that_does_not_begin_is_a_read_timeout(client):
    listener = Listener()
    with listener.socket, pytest.raises(TimedOut) as caught:
        create(client(listener, timeout=Timeouts(read=0.2)))
    assert caught.value.phase == "read"


def test_a_large_request_arrives_whole(client):
    with FaultServer(GOOD) as server:
        assert create(client(server), LARGE).text == "Hello"
    assert server.requests[0].body == LARGE.encode(stream=False)


def test_an_answer_may_pause_longer_than_it_may_take_to_begin(client):
    with FaultServer(chunks(*EVENTS, pause=0.4)) as server:
        chunks_read = stream(client(server, timeout=Timeouts(read=0.2, stall=10)))
    assert fold(chunks_read).text == "Hello"


def test_and_no_longer_than_stall_though_it_may_take_longer_to_begin(client):
    with FaultServer(chunks(BEGUN, then="hold")) as server:
        reading = client(server, timeout=Timeouts(read=60, stall=0.2))
        with pytest.raises(StreamInterrupted) as caught:
            stream(reading)
    assert isinstance(caught.value.__cause__, TimedOut)
    assert caught.value.partial.text == "Hel"


@pytest.mark.parametrize("then", ["close", "reset"])
def test_what_came_before_a_connection_broke_is_kept(client, then):
    with FaultServer(chunks(BEGUN, then=then)) as server:
        for _ in range(10):
            with pytest.raises(StreamInterrupted) as caught:
                stream(client(server))
            assert caught.value.partial.text == "Hel"


def test_and_so_it_is_when_both_were_there_before_the_reader_looked(client):
    async def read_late():
        reading = client(server).stream(ASKED)
        first = await anext(reading)
        await asyncio.sleep(0.2)
        return [first] + [chunk async for chunk in reading]

    act = chunks(*EVENTS[:2], pause=0.05, then="close")
    with FaultServer(act) as server, pytest.raises(StreamInterrupted) as caught:
        asyncio.run(read_late())
    assert caught.value.partial.text == "Hel"


def test_cookies_are_not_kept(client):
    async def twice():
        calling = client(server)
        await calling.create(ASKED)
        await calling.create(ASKED)

    with FaultServer(answer(200, PLAIN, set_cookie="session=secret; Path=/")) as server:
        asyncio.run(twice())
    assert len(server.requests) == 2
    assert all(b"cookie" not in request.head.lower() for request in server.requests)


def test_long_headers_are_read_and_endless_ones_are_not(client):
    with FaultServer(answer(200, PLAIN, x_long="x" * 20_000)) as server:
        assert create(client(server)).text == "Hello"
    endless = b"HTTP/1.1 200 OK\r\nx-long: " + b"x" * 1_000_000
    with FaultServer(raw(endless, then="hold")) as server, pytest.raises(ConnectionFailed):
        create(client(server))


def test_the_proxy_of_the_environment_is_used_and_past_it_go_the_hosts_of_no_proxy(
    client, monkeypatch
):
    with FaultServer(GOOD) as proxy, FaultServer(GOOD) as server:
        monkeypatch.setenv("HTTP_PROXY", proxy.base_url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert create(client(server)).text == "Hello"
        assert (len(proxy.requests), len(server.requests)) == (0, 1)
        server.base_url = "http://sunra.example"
        assert create(client(server, allow_http=True)).text == "Hello"
    assert b"POST http://sunra.example/v1/chat/completions" in proxy.requests[0].head


def test_a_proxy_that_is_not_there_is_a_failed_connection(client, monkeypatch, unused_tcp_port):
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{unused_tcp_port}")
    with FaultServer(GOOD) as server:
        server.base_url = "http://sunra.example"
        with pytest.raises(ConnectionFailed):
            create(client(server, allow_http=True))


@pytest.mark.parametrize("adapter", ["langchain", "llama_index"])
def test_both_adapters_pass_on_what_carries_their_async_calls(library, adapter):
    async def call():
        more = {"api_key": "k", "async_transport": library}
        if adapter == "langchain":
            answer = await ChatSunra(model="a/b", base_url=server.base_url, **more).ainvoke("Hi")
        else:
            answer = await Sunra(model="a/b", api_base=server.base_url, **more).acomplete("Hi")
        (kind,) = connections._shared.by_loop[asyncio.get_running_loop()]
        return answer.text, kind.library

    with FaultServer(GOOD) as server:
        assert asyncio.run(call()) == ("Hello", library)


def test_pools_that_were_closed_under_way_are_replaced(client):
    async def call():
        with FaultServer(GOOD) as server:
            await client(server).create(ASKED)
            (found,) = connections._shared.by_loop[asyncio.get_running_loop()].values()
            await found.pools.aclose()
            return (await client(server).create(ASKED)).text

    assert asyncio.run(call()) == "Hello"


async def test_a_closed_session_of_aiohttp_is_named_as_the_trouble():
    transport = AiohttpTransport(ssl.create_default_context(), keepalive_expiry=1)
    await transport.aclose()
    calling = AsyncSunraClient(
        Settings.resolve("k"), http_client=httpx.AsyncClient(transport=transport)
    )
    with pytest.raises(ConfigurationError, match="cannot be used"):
        await calling.create(ASKED)


@pytest.mark.parametrize("asked", [ASKED, LARGE], ids=["a small request", "a large request"])
def test_a_call_that_is_cancelled_before_its_answer_closes_its_connection(client, asked):
    listener = Listener()

    async def cancel():
        call = asyncio.create_task(client(listener).create(asked))
        connection, _ = await asyncio.to_thread(listener.socket.accept)
        await asyncio.sleep(0.2)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await asyncio.to_thread(read_to_the_end, connection)

    with listener.socket:
        asyncio.run(cancel())


def read_to_the_end(connection):
    connection.settimeout(5)
    with connection, suppress(ConnectionError):
        while connection.recv(1_000_000):
            pass
