"""Connections are made late, shared, reused, and closed with their event loop."""

from __future__ import annotations

import asyncio
import gc
import threading
import warnings

import pytest

from sunra_integrations.protocol.accumulator import accumulate
from sunra_integrations.protocol.request import ChatRequest
from sunra_integrations.transport import AsyncSunraClient, Settings, SunraClient
from sunra_integrations.transport.connections import registry
from tests import children, platforms
from tests.transport.counting_server import serving
from tests.waiting import DEADLINE

pytestmark = pytest.mark.usefixtures("loop_pools")

ASKED = ChatRequest(model="openai/gpt-4o", messages=[{"role": "user", "content": "Hi"}])


LONG = {"timeout": 10 * DEADLINE, "stall_timeout": 10 * DEADLINE}


def settings(server, **more):
    return Settings.resolve("k", server.base_url, **more)


def test_making_a_client_opens_nothing():
    SunraClient(Settings.resolve("k"))
    AsyncSunraClient(Settings.resolve("k"))
    assert registry._shared.sync == {}
    assert len(registry._shared.by_loop) == 0


def test_clients_with_equal_settings_share_one_connection():
    with serving() as server:
        for _ in range(5):
            SunraClient(settings(server)).create(ASKED)
        assert server.connections == 1


def test_a_different_limit_of_connections_has_a_pool_of_its_own():
    with serving() as server:
        SunraClient(settings(server)).create(ASKED)
        SunraClient(settings(server, max_connections=3)).create(ASKED)
        assert server.connections == 2


@pytest.mark.parametrize("in_one_write", [True, False])
def test_streams_that_end_in_the_ordinary_way_reuse_their_connection(in_one_write):
    with serving(in_one_write=in_one_write) as server:
        client = SunraClient(settings(server))
        for _ in range(5):
            assert accumulate(client.stream(ASKED)).text == "Hello"
        assert server.connections == 1


@pytest.mark.parametrize("in_one_write", [True, False])
async def test_and_so_do_async_streams(in_one_write, library):
    with serving(in_one_write=in_one_write) as server:
        client = AsyncSunraClient(settings(server, async_transport=library))
        for _ in range(5):
            assert accumulate([chunk async for chunk in client.stream(ASKED)]).text == "Hello"
        assert server.connections == 1


def test_a_server_that_leaves_the_connection_open_after_done_is_not_waited_for():
    with serving(ends_bodies=False) as server:
        client = SunraClient(settings(server, **LONG))
        assert accumulate(client.stream(ASKED)).text == "Hello"
        assert server.closed.wait(DEADLINE)


async def test_nor_is_it_in_async(library):
    with serving(ends_bodies=False) as server:
        asked = settings(server, **LONG, async_transport=library)
        client = AsyncSunraClient(asked)
        assert accumulate([chunk async for chunk in client.stream(ASKED)]).text == "Hello"
        assert await asyncio.to_thread(server.closed.wait, DEADLINE)


def test_event_loops_one_after_another_each_get_pools_that_are_closed_with_them(library):
    with serving() as server, warnings.catch_warnings():
        warnings.simplefilter("error")
        client = AsyncSunraClient(settings(server, async_transport=library))

        async def twice():
            await client.create(ASKED)
            (found,) = registry._shared.by_loop[asyncio.get_running_loop()].values()
            return (await client.create(ASKED)).text, found.pool

        for loops in (1, 2, 3):
            text, pools = asyncio.run(twice())
            assert text == "Hello"
            assert pools.is_closed
            assert server.connections == loops
        gc.collect()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_loop_that_is_closed_without_being_shut_down_makes_no_noise(library, caplog, fresh_pools):
    with serving() as server:
        client = AsyncSunraClient(settings(server, async_transport=library))
        for loops in (1, 2, 3):
            loop = asyncio.new_event_loop()
            for _ in range(2):
                assert loop.run_until_complete(client.create(ASKED)).text == "Hello"
            loop.close()
            assert (server.connections, len(fresh_pools.by_loop)) == (loops, 1)
        fresh_pools.by_loop.clear()
        del loop
        gc.collect()
    assert [record for record in caplog.records if record.levelname != "INFO"] == []


def test_event_loops_at_once_do_not_share_connections(library):
    with serving() as server:
        client = AsyncSunraClient(settings(server, async_transport=library))
        texts = []

        async def several():
            replies = await asyncio.gather(*(client.create(ASKED) for _ in range(5)))
            texts.extend(reply.text for reply in replies)

        threads = [threading.Thread(target=lambda: asyncio.run(several())) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert texts == ["Hello"] * 20


def test_threads_share_one_client():
    with serving() as server:
        client = SunraClient(settings(server))
        texts = []

        def call():
            texts.append(client.create(ASKED).text)

        threads = [threading.Thread(target=call) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert texts == ["Hello"] * 16
        assert len(registry._shared.sync) == 1


@platforms.forks
def test_after_a_fork_parent_and_child_have_connections_of_their_own():
    program = """
import os, sys
from sunra_integrations.protocol.request import ChatRequest
from sunra_integrations.transport import Settings, SunraClient
asked = ChatRequest(model="a/b", messages=[{"role": "user", "content": "Hi"}])
client = SunraClient(Settings.resolve("k", sys.argv[1]))
assert client.create(asked).text == "Hello"
child = os.fork()
assert client.create(asked).text == "Hello"
if child:
    assert os.waitpid(child, 0)[1] == 0
    assert client.create(asked).text == "Hello"
"""
    with serving() as server:
        ran = children.python("-c", program, server.base_url)
        assert ran.returncode == 0, ran.stderr
        assert server.connections == 2


def test_keys_that_are_no_longer_used_leave_no_connections(fresh_pools, monkeypatch):
    with serving() as server:
        for key in ("one", "two", "three"):
            SunraClient(Settings.resolve(key, server.base_url)).create(ASKED)
        assert (server.connections, len(fresh_pools.sync)) == (3, 3)
        for pools in fresh_pools.sync.values():
            pools.last_used -= 31
        SunraClient(Settings.resolve("four", server.base_url)).create(ASKED)
        assert len(fresh_pools.sync) == 1


async def test_nor_do_they_in_async(loop_pools, library):
    with serving() as server:
        for key in ("one", "two", "three"):
            asked = Settings.resolve(key, server.base_url, async_transport=library)
            await AsyncSunraClient(asked).create(ASKED)
        unused = loop_pools()
        for pools in unused:
            pools.last_used -= 31
        asked = Settings.resolve("four", server.base_url, async_transport=library)
        await AsyncSunraClient(asked).create(ASKED)
        assert [pools.is_closed for pools in (*unused, *loop_pools())] == [True] * 3 + [False]


@platforms.forks
def test_a_stream_that_was_open_at_a_fork_can_be_left_in_the_child():
    program = """
import os, signal, sys, threading
from sunra_integrations.protocol.request import ChatRequest
from sunra_integrations.transport import Settings, SunraClient
from sunra_integrations.transport.connections import registry
asked = ChatRequest(model="a/b", messages=[{"role": "user", "content": "Hi"}])
stream = SunraClient(Settings.resolve("k", sys.argv[1])).stream(asked)
assert next(stream)
(pools,) = registry._shared.sync.values()
held, done = threading.Event(), threading.Event()
def hold():
    (transport,) = pools.all_transports()
    with pools._lock, transport._pool._optional_thread_lock:
        held.set()
        done.wait()
threading.Thread(target=hold, daemon=True).start()
held.wait()
child = os.fork()
if not child:
    signal.alarm(100)  # ends it if it hangs
    stream.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
done.set()
assert len(list(stream)) > 0
"""
    with serving() as server:
        ran = children.python("-c", program, server.base_url)
        assert ran.returncode == 0, ran.stderr
        assert server.connections == 1
