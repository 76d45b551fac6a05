"""How many pools, connections and TLS contexts there are: counted, not timed."""

from __future__ import annotations

import asyncio
import ssl
import threading
from functools import cache

import pytest
from pydantic import SecretStr

from sunra_integrations.errors import ConfigurationError, ConnectionFailed, TimedOut
from sunra_integrations.protocol.request import ChatRequest
from sunra_integrations.transport import AsyncSunraClient, Settings, SunraClient, Timeouts
from sunra_integrations.transport.connections import registry
from sunra_integrations.transport.connections.certificates import tls_context
from tests.transport.counting_server import serving

pytestmark = pytest.mark.usefixtures("loop_pools")

ASKED = ChatRequest(model="openai/gpt-4o", messages=[{"role": "user", "content": "Hi"}])


def settings(server, **more):
    return Settings.resolve("k", server.base_url, **more)


def open_sockets():
    """Connections of this process's pools, in use or idle."""
    return sum(
        len(transport._pool.connections)
        for pool in registry._shared.sync.values()
        for transport in pool.all_transports()
    )


def test_a_thousand_instances_share_one_pool_and_one_connection():
    with serving() as server:
        clients = [SunraClient(settings(server)) for _ in range(1000)]
        for client in clients:
            client.create(ASKED)
        (pool,) = registry._shared.sync.values()
        assert (len(pool.all_transports()), open_sockets(), server.connections) == (1, 1, 1)


async def test_and_so_do_a_thousand_async_ones(library, loop_pools):
    with serving() as server:
        asked = settings(server, async_transport=library)
        clients = [AsyncSunraClient(asked) for _ in range(1000)]
        for client in clients:
            await client.create(ASKED)
        (pool,) = loop_pools()
        assert (len(pool.all_transports()), server.connections) == (1, 1)


def count_contexts(monkeypatch):
    made: list[str] = []
    create = ssl.create_default_context

    def counted(*args, **options):
        made.append("from the root certificates")
        return create(*args, **options)

    monkeypatch.setattr(ssl, "create_default_context", counted)
    tls_context.cache_clear()
    return made


async def test_all_https_calls_of_a_process_share_one_tls_context(
    monkeypatch, unused_tcp_port, library
):
    made = count_contexts(monkeypatch)
    for number in range(1, 50):
        asked = Settings.resolve(
            "k",
            f"https://127.0.0.1:{unused_tcp_port}",
            max_retries=0,
            max_connections=number,
            async_transport=library,
        )
        with pytest.raises(ConnectionFailed):
            SunraClient(asked).create(ASKED)
        with pytest.raises(ConnectionFailed):
            await AsyncSunraClient(asked).create(ASKED)
    assert len(made) == 1


async def test_plain_http_makes_no_tls_context(monkeypatch, library):
    made = count_contexts(monkeypatch)
    with serving() as server:
        SunraClient(settings(server)).create(ASKED)
        await AsyncSunraClient(settings(server, async_transport=library)).create(ASKED)
    assert made == []


def test_what_stands_for_it_trusts_nobody():
    kind = registry._Kind(SecretStr("k"), "http://localhost/v1", None)
    context = registry._tls_for(kind)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.get_ca_certs() == []


@pytest.mark.parametrize("limit", [1, 3, 10])
def test_a_limit_of_connections_is_kept_to_by_threads(limit):
    with serving() as server:
        client = SunraClient(settings(server, max_connections=limit))
        threads = [
            threading.Thread(target=client.create, args=(ASKED,), daemon=True) for _ in range(40)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert server.most_at_once <= limit
        assert open_sockets() <= limit


@pytest.mark.parametrize("limit", [1, 3, 10])
async def test_and_by_tasks(limit, library):
    with serving() as server:
        asked = settings(server, max_connections=limit, async_transport=library)
        client = AsyncSunraClient(asked)
        replies = await asyncio.gather(*(client.create(ASKED) for _ in range(40)))
        assert [reply.text for reply in replies] == ["Hello"] * 40
        assert server.most_at_once <= limit
        assert server.connections <= limit


async def test_who_finds_no_free_connection_in_time_is_told_so(library):
    with serving() as server:
        asked = settings(
            server,
            timeout=Timeouts(pool=0.05),
            max_connections=1,
            max_retries=0,
            async_transport=library,
        )
        stream = SunraClient(asked).stream(ASKED)
        next(stream)
        with pytest.raises(TimedOut) as caught:
            SunraClient(asked).create(ASKED)
        assert caught.value.phase == "pool"
        stream.close()
        assert SunraClient(asked).create(ASKED).text == "Hello"

        async_stream = AsyncSunraClient(asked).stream(ASKED)
        await anext(async_stream)
        with pytest.raises(TimedOut) as caught:
            await AsyncSunraClient(asked).create(ASKED)
        assert caught.value.phase == "pool"
        await async_stream.aclose()
        assert (await AsyncSunraClient(asked).create(ASKED)).text == "Hello"


async def test_async_calls_go_through_aiohttp_where_it_is_installed(monkeypatch):
    async def carrier(variable="UNUSED", **asked):
        with serving() as server:
            monkeypatch.setenv(variable, server.base_url)
            await AsyncSunraClient(settings(server, **asked)).create(ASKED)
            (found,) = registry._shared.by_loop[asyncio.get_running_loop()].values()
            (transport,) = found.pool.all_transports()
            await found.keeper.aclose()
            registry._shared.by_loop.clear()
            return type(transport).__name__

    assert await carrier() == "AiohttpTransport"
    assert await carrier(async_transport="httpx") == "AsyncHTTPTransport"
    assert await carrier("HTTPS_PROXY") == "AiohttpTransport"  # it is for other addresses
    assert await carrier("HTTP_PROXY") == "AsyncHTTPTransport"
    assert await carrier("HTTP_PROXY", async_transport="aiohttp") == "AiohttpTransport"
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert await carrier("HTTP_PROXY") == "AiohttpTransport"
    monkeypatch.setattr(registry, "_aiohttp_transport", cache(lambda: None))  # none, or old
    assert await carrier() == "AsyncHTTPTransport"
    with pytest.raises(ConfigurationError, match="too old"):
        await carrier(async_transport="aiohttp")
