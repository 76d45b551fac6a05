"""What httpx does by itself, aiohttp must do too: each of these runs over both."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import threading
import time
import traceback
from contextlib import ExitStack, contextmanager, suppress

import httpx
import pytest

from sunra_integrations.errors import (
    ConfigurationError,
    ConnectionFailed,
    StreamInterrupted,
    SunraError,
    TimedOut,
    UnreadableResponse,
)
from sunra_integrations.langchain import ChatSunra
from sunra_integrations.llama_index import Sunra
from sunra_integrations.protocol.accumulator import accumulate
from sunra_integrations.protocol.request import ChatRequest
from sunra_integrations.transport import AsyncSunraClient, Settings, SunraClient, Timeouts
from sunra_integrations.transport.connections import registry
from sunra_integrations.transport.connections.aiohttp_transport import AiohttpTransport
from tests import children, platforms
from tests.faults.cases import BEGUN, EVENTS, GOOD, IN_CHUNKS, PLAIN
from tests.faults.server import FaultServer, answer, chunks, drip, raw
from tests.waiting import DEADLINE, growing_limits

ASKED = ChatRequest(model="a/b", messages=[{"role": "user", "content": "Hi"}])
LARGE = ChatRequest(model="a/b", messages=[{"role": "user", "content": "x" * 20_000_000}])


@pytest.fixture(params=["httpx", "aiohttp"])
def library(request):
    return request.param


@pytest.fixture(autouse=True)
def _fresh_pools(monkeypatch):
    monkeypatch.setattr(registry, "_shared", registry._Shared())


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


@platforms.linux
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
    def check(scale):
        with FaultServer(chunks(*EVENTS, pause=0.4 * scale)) as server:
            limits = Timeouts(read=0.2 * scale, stall=DEADLINE)
            assert accumulate(stream(client(server, timeout=limits))).text == "Hello"

    growing_limits(check, ran_out=TimedOut)  # a pause that is too long interrupts the stream


def test_and_no_longer_than_stall_though_it_may_take_longer_to_begin(client):
    with FaultServer(raw(IN_CHUNKS % (len(BEGUN), BEGUN), "hold")) as server:
        reading = client(server, timeout=Timeouts(read=DEADLINE, stall=0.2))
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
        await asyncio.to_thread(server.wait_until_closed, 1)
        await asyncio.sleep(0.05)  # so that the event loop sees it before the reader does
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
        (kind,) = registry._shared.by_loop[asyncio.get_running_loop()]
        return answer.text, kind.library

    with FaultServer(GOOD) as server:
        assert asyncio.run(call()) == ("Hello", library)


def test_pools_that_were_closed_under_way_are_replaced(client):
    async def call():
        with FaultServer(GOOD) as server:
            await client(server).create(ASKED)
            (found,) = registry._shared.by_loop[asyncio.get_running_loop()].values()
            await found.pool.aclose()
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
    connection.settimeout(DEADLINE)
    with connection, suppress(ConnectionError):
        while connection.recv(1_000_000):
            pass


def framed(head: bytes, body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\n%s\r\n%s" % (head, body)


LENGTH = b"content-length: %d\r\n" % len(PLAIN)
CHUNKED = b"transfer-encoding: chunked\r\n"
IN_ONE_CHUNK = b"%x\r\n%s\r\n" % (len(PLAIN), PLAIN)
TRAILERS = b"0\r\n" + b"x: y\r\n" * 100_000 + b"\r\n"
AFTER_A_2XX = {
    "a stray byte": (framed(LENGTH, PLAIN + b"\0"), "Hello"),
    "a stray line": (framed(LENGTH, PLAIN + b"\r\n"), "Hello"),
    "stray text": (framed(LENGTH, PLAIN + b"garbage"), "Hello"),
    "another answer": (framed(LENGTH, PLAIN) + framed(LENGTH, PLAIN), "Hello"),
    "a broken last chunk": (framed(CHUNKED, IN_ONE_CHUNK + b"zz\r\n\r\n"), "Hello"),
    "too many trailers": (framed(CHUNKED, IN_ONE_CHUNK + TRAILERS), "Hello"),
    "a length too short": (
        framed(b"content-length: %d\r\n" % (len(PLAIN) - 9), PLAIN),
        UnreadableResponse,
    ),
    "a chunk too short": (
        framed(CHUNKED, b"%x\r\n%s\r\n0\r\n\r\n" % (len(PLAIN) - 9, PLAIN)),
        StreamInterrupted,
    ),
    "a chunk size beyond reason": (
        framed(CHUNKED, b"1%s\r\n%s" % (b"0" * 16, PLAIN[:-9])),
        StreamInterrupted,
    ),
    "no chunk at all": (framed(CHUNKED, b"no chunk\r\n"), StreamInterrupted),
    "a length that is not a number": (framed(b"content-length: x\r\n", PLAIN), ConnectionFailed),
    "a head with a bad line": (framed(b"x\0y\r\n" + LENGTH, PLAIN), ConnectionFailed),
    "an interim answer before it": (
        b"HTTP/1.1 103 Early\r\nlink: x\r\n\r\n" + framed(LENGTH, PLAIN + b"\0"),
        "Hello",
    ),
    "a body with 204": (b"HTTP/1.1 204 X\r\n" + LENGTH + b"\r\n" + PLAIN, UnreadableResponse),
}


@pytest.mark.parametrize(("sent", "outcome"), AFTER_A_2XX.values(), ids=AFTER_A_2XX)
@pytest.mark.parametrize("split", [None, 20, -len(PLAIN) // 2, "at the head's end"])
def test_what_a_2xx_head_has_begun_is_asked_for_once(client, sent, outcome, split):
    at = sent.index(b"\r\n\r\n") + 2 if split == "at the head's end" else split

    def act(connection):
        connection.send(sent[:at])
        if at is not None:
            time.sleep(0.05)
            connection.send(sent[at:])
        connection.close()

    with FaultServer(act) as server:
        calling = client(server, max_retries=2)
        if isinstance(outcome, str):
            assert create(calling).text == outcome
        else:
            with pytest.raises(outcome):
                create(calling)
    assert len(server.requests) == 1


TORN_HEADS = {
    "cut": b"HTTP/1.1 200 OK\r\nSet-Cookie: session=HUSH\r\nX-Token: HUSH\r\nContent-Ty",
    "with a bad line": b"HTTP/1.1 200 OK\r\nX-Tok\0en: HUSH\r\n\r\n",
    "with a bad value": b"HTTP/1.1 200 OK\r\nX-Token: HU\0SH\r\n\r\n",
    "without an end": b"HTTP/1.1 200 OK\r\nX-Token: HUSH" + b"x" * 200_000,
    "with a bad length": b"HTTP/1.1 200 OK\r\nX: HUSH\r\nContent-Length: HUSH\r\n\r\n",
}


@pytest.mark.parametrize("head", TORN_HEADS.values(), ids=TORN_HEADS)
def test_no_header_of_a_torn_head_is_in_the_exception_or_its_causes(client, head):
    with FaultServer(raw(head)) as server:
        for calling in (create, lambda one: SunraClient(one.settings).create(ASKED)):
            with pytest.raises(SunraError) as caught:
                calling(client(server))
            shown = "".join(traceback.format_exception(caught.value))
            assert not {"HUSH", "HU", "SH"} & set(re.findall(r"[A-Z]+", shown))


def surplus(connection):
    """Answers, and sends along what the next request would be answered with."""
    own, next_one = (PLAIN.replace(b"Hello", word) for word in (b"Mine!", b"Yours"))
    both = [
        b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(b), b) for b in (own, next_one)
    ]
    connection.send(both[0] + both[1])


def test_bytes_behind_an_answer_are_not_the_next_call_s_answer(client):
    async def twice():
        return [(await client(server).create(ASKED)).text for _ in range(2)]

    with FaultServer(surplus) as server:
        assert asyncio.run(twice()) == ["Mine!", "Mine!"]
        assert server.connections == 2
    with FaultServer(surplus) as server:
        calling = SunraClient(client(server).settings)
        assert [calling.create(ASKED).text for _ in range(2)] == ["Mine!", "Mine!"]
        assert server.connections == 2


def test_nor_are_those_that_come_while_a_connection_is_idle(client):
    sent = threading.Event()

    def late(connection):
        GOOD(connection)
        if len(server.requests) == 1:
            time.sleep(0.05)
            connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
            sent.set()

    async def twice():
        calling = client(server)
        first = await calling.create(ASKED)
        await asyncio.to_thread(sent.wait, DEADLINE)
        await asyncio.sleep(0.1)
        return first.text, (await calling.create(ASKED)).text

    with FaultServer(late) as server:
        assert asyncio.run(twice()) == ("Hello", "Hello")
        assert server.connections == 2


def test_calls_with_different_keys_share_no_connection(library):
    async def both():
        for key in ("one", "two", "one"):
            asked = Settings.resolve(key, server.base_url, async_transport=library)
            await AsyncSunraClient(asked).create(ASKED)

    with FaultServer(GOOD) as server:
        asyncio.run(both())
        assert server.connections == 2


@pytest.mark.parametrize("adapter", ["langchain", "llama_index"])
def test_an_event_loop_that_ends_with_a_stream_open_says_nothing(library, adapter, caplog):
    kept = []

    async def leave():
        more = {"api_key": "k", "async_transport": library}
        if adapter == "langchain":
            stream = ChatSunra(model="a/b", base_url=server.base_url, **more).astream("Hi")
        else:
            stream = await Sunra(model="a/b", api_base=server.base_url, **more).astream_complete(
                "Hi"
            )
        kept.append(stream)
        await anext(stream)

    with FaultServer(chunks(BEGUN, then="hold")) as server:
        for _ in range(5):  # which generator is closed first is a matter of chance
            asyncio.run(leave())
        assert server.requests[0].left.wait(DEADLINE)
    assert [record for record in caplog.records if record.levelname != "INFO"] == []


def test_a_total_time_is_the_call_s_and_a_cancellation_the_caller_s(client):
    async def cancel():
        call = asyncio.create_task(client(listener, total_timeout=DEADLINE).create(ASKED))
        connection, _ = await asyncio.to_thread(listener.socket.accept)
        call.cancel()
        with connection:
            await call

    async def time_out():
        await asyncio.wait_for(client(listener, total_timeout=DEADLINE).create(ASKED), 0.1)

    listener = Listener()
    with listener.socket:
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(cancel())
        with pytest.raises(asyncio.TimeoutError):
            asyncio.run(time_out())


@pytest.mark.parametrize("begin", [b"HTTP/1.1 200 OK\r\n", framed(b"", b"{")], ids=["head", "body"])
def test_an_async_client_of_one_s_own_is_bounded_too(begin):
    async def call():
        async with httpx.AsyncClient() as http:
            asked = Settings.resolve("k", server.base_url, total_timeout=0.3, max_retries=0)
            await AsyncSunraClient(asked, http_client=http).create(ASKED)

    with FaultServer(drip(begin, b" ")) as server, pytest.raises(TimedOut, match="total_timeout"):
        asyncio.run(call())


IMPORTED_IN_A_THREAD: dict[str, list[str]] = {
    "with aiohttp": ["aiohttp"],
    "without aiohttp": ["aiohttp", "httpcore", "anyio"],
}


@pytest.mark.parametrize("case", IMPORTED_IN_A_THREAD)
def test_http_libraries_are_imported_in_a_thread_and_not_in_the_event_loop(case):
    program = """
import asyncio, sys, threading
from sunra_integrations.protocol.request import ChatRequest
from sunra_integrations.transport import AsyncSunraClient, Settings

class Watch:
    def find_spec(self, name, *_):
        if name in ("aiohttp", "httpcore", "anyio"):
            print(name, threading.current_thread() is threading.main_thread())
        if name == "aiohttp" and sys.argv[2] == "without aiohttp":
            raise ModuleNotFoundError(name=name)

sys.meta_path.insert(0, Watch())
asked = ChatRequest(model="a/b", messages=[{"role": "user", "content": "Hi"}])
print(asyncio.run(AsyncSunraClient(Settings.resolve("k", sys.argv[1])).create(asked)).text)
"""
    with FaultServer(GOOD) as server:
        ran = children.python("-c", program, server.base_url, case)
    imported = [f"{name} False" for name in IMPORTED_IN_A_THREAD[case]]
    assert ran.stdout.splitlines() == [*imported, "Hello"], ran.stderr


def test_an_event_loop_that_is_never_closed_leaves_no_trace_at_the_program_s_end(library):
    program = """
import asyncio, sys
from sunra_integrations.protocol.request import ChatRequest
from sunra_integrations.transport import AsyncSunraClient, Settings
asked = ChatRequest(model="a/b", messages=[{"role": "user", "content": "Hi"}])
loop = asyncio.new_event_loop()
client = AsyncSunraClient(Settings.resolve("k", sys.argv[1], async_transport=sys.argv[2]))
print(loop.run_until_complete(client.create(asked)).text)
"""
    with FaultServer(GOOD) as server:
        ran = children.python("-c", program, server.base_url, library)
    assert (ran.stdout.strip(), ran.stderr) == ("Hello", "")
