"""Pools, made at first use and shared by all clients with the same settings.

Sync calls share one pool per process. Async calls share one per running event loop, because an
async connection belongs to the loop that opened it; it is closed when that loop shuts down. Calls
with different keys never share a connection: bytes that a server sends behind one response cannot
reach another key's caller. A key function stands for one account, so all its tokens share
connections. A user's own client is never used here, nor closed.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import sys
import threading
from collections.abc import AsyncGenerator, Callable
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

import httpx

from sunra_integrations.errors import ConfigurationError
from sunra_integrations.transport.api_key import StoredKey
from sunra_integrations.transport.connections.certificates import tls_context
from sunra_integrations.transport.connections.pool import KEEPALIVE_EXPIRY, AsyncPool, SyncPool
from sunra_integrations.transport.connections.proxies import proxy_for
from sunra_integrations.transport.settings import AsyncTransport, Settings

if TYPE_CHECKING:  # Pyodide before 314 has no ssl until it is loaded
    from ssl import SSLContext

_WITHOUT_SOCKETS = ("emscripten", "wasi")


class _Kind(NamedTuple):
    """Clients of the same kind share connections."""

    api_key: StoredKey
    base_url: str
    max_connections: int | None
    library: AsyncTransport = "httpx"

    @property
    def is_https(self) -> bool:
        return not self.base_url.lower().startswith("http:")


class _LoopPool(NamedTuple):
    pool: AsyncPool
    keeper: AsyncGenerator[None, None]
    """Closes the pool when the event loop shuts down its generators."""


class _Shared:
    """The pools of one process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.sync: dict[_Kind, SyncPool] = {}
        self.by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[_Kind, _LoopPool]] = (
            WeakKeyDictionary()
        )


_shared = _Shared()
_left_to_the_parent: list[_Shared] = []


def sync_pool(settings: Settings) -> SyncPool:
    """The process's pool for these settings.

    Raises:
        ConfigurationError: This platform has no sockets.
    """
    _check_sockets("Client", "`http_client`")
    kind = _Kind(settings.api_key, settings.base_url, settings.max_connections)
    pool = _shared.sync.get(kind)
    if pool is None or pool.is_closed:
        with _shared.lock:
            pool = _shared.sync.get(kind)
            if pool is None or pool.is_closed:
                _close_unused()
                pool = _shared.sync[kind] = _make_sync(kind)
    return pool


def give_up(holder: object) -> None:
    """Ends a sync call that raised an exception, in whichever pool it is."""
    for pool in list(_shared.sync.values()):
        pool.give_up(holder)


async def async_pool(settings: Settings) -> AsyncPool:
    """The running event loop's pool for these settings.

    Raises:
        ConfigurationError: This platform has no sockets.
    """
    _check_sockets(
        "AsyncClient",
        "`http_client` (`http_async_client` in ChatSunra, `async_http_client` in LlamaIndex)",
    )
    kind = _Kind(
        settings.api_key, settings.base_url, settings.max_connections, settings.async_transport
    )
    loop = asyncio.get_running_loop()
    of_loop = _shared.by_loop.get(loop)
    if of_loop is None:
        with _shared.lock:
            _forget_closed_loops()
            of_loop = _shared.by_loop.setdefault(loop, {})
    found = of_loop.get(kind)
    if found is None or found.pool.is_closed:
        await _load(kind)
        await _close_unused_of(of_loop)
        found = of_loop.get(kind)  # another task may have been quicker
    if found is None or found.pool.is_closed:
        pool = _make_async(kind)
        found = of_loop[kind] = _LoopPool(pool, _close_with_loop(pool))
        # From its first step on the loop knows the generator, and closes it at shutdown.
        await found.keeper.__anext__()
    return found.pool


def _check_sockets(client: str, argument: str) -> None:
    """Fails early on WebAssembly: httpcore and anyio would fail there with untyped errors."""
    if sys.platform in _WITHOUT_SOCKETS:
        raise ConfigurationError(
            f"This Python runs on WebAssembly ({sys.platform}), which has no sockets. Pass an "
            f"httpx.{client} as {argument}, with a transport that uses JavaScript's fetch. "
            "The httpx package that is part of Pyodide has such a transport built in."
        )


def _make_sync(kind: _Kind) -> SyncPool:
    from sunra_integrations.transport.connections.httpx_transport import (  # noqa: PLC0415 - of httpcore, late
        BoundedTransport,
    )

    options = _httpx_options(kind)
    return SyncPool(lambda: BoundedTransport(**options), capacity=kind.max_connections)


def _make_async(kind: _Kind) -> AsyncPool:
    proxy = proxy_for(kind.base_url)
    if kind.library == "aiohttp" or (kind.library == "auto" and proxy is None):
        of_aiohttp = _aiohttp_transport()
        if of_aiohttp is not None:
            if proxy is not None and proxy.scheme.startswith("socks"):
                raise ConfigurationError(
                    f"The proxy {proxy} cannot be used with aiohttp; "
                    "set `async_transport` to httpx."
                )
            # aiohttp's pool is quick however many connections it has, so one is enough.
            transport = of_aiohttp(
                _tls_for(kind), keepalive_expiry=KEEPALIVE_EXPIRY, proxy=proxy and proxy.url
            )
            return AsyncPool(lambda: transport, capacity=kind.max_connections, is_shared=True)
        if kind.library == "aiohttp":
            raise ConfigurationError(
                "`async_transport` is aiohttp, whose version here is too old; "
                "install sunra-integrations[aiohttp]."
            )
    options = _httpx_options(kind)
    return AsyncPool(lambda: httpx.AsyncHTTPTransport(**options), capacity=kind.max_connections)


def _httpx_options(kind: _Kind) -> dict[str, Any]:
    """Arguments for a transport of one connection."""
    tls, proxy = _tls_for(kind), proxy_for(kind.base_url)
    of_proxy = tls if proxy is not None and proxy.scheme == "https" else None
    return {
        "verify": tls,
        "limits": httpx.Limits(
            max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEEPALIVE_EXPIRY
        ),
        "proxy": proxy and httpx.Proxy(proxy.url, ssl_context=of_proxy),
    }


async def _load(kind: _Kind) -> None:
    """Does in a thread what would hold up the event loop: importing, and reading the roots."""
    if kind.library != "httpx" and not _aiohttp_transport.cache_info().currsize:
        await asyncio.to_thread(_aiohttp_transport)
    if kind.library == "httpx" or _aiohttp_transport() is None:
        for name in ("httpcore", "anyio"):
            if name not in sys.modules:
                await asyncio.to_thread(import_module, name)
    if kind.is_https and not tls_context.cache_info().currsize:
        await asyncio.to_thread(tls_context)


@lru_cache(maxsize=1)
def _aiohttp_transport() -> Callable[..., httpx.AsyncBaseTransport] | None:
    try:
        from sunra_integrations.transport.connections.aiohttp_transport import (  # noqa: PLC0415 - an extra
            AiohttpTransport,
        )
    except ImportError:  # not installed, or too old
        return None
    return AiohttpTransport


def _tls_for(kind: _Kind) -> SSLContext:
    from ssl import PROTOCOL_TLS_CLIENT, SSLContext  # noqa: PLC0415 - see above

    # Plain http never uses TLS, so pass an empty context instead of loading the real one.
    return tls_context() if kind.is_https else SSLContext(PROTOCOL_TLS_CLIENT)


def _close_unused() -> None:
    """Closes connections of unused keys, so that they do not accumulate."""
    for kind, pool in list(_shared.sync.items()):
        if pool.is_unused():
            del _shared.sync[kind]
            pool.close()


async def _close_unused_of(of_loop: dict[_Kind, _LoopPool]) -> None:
    for kind, found in list(of_loop.items()):
        if found.pool.is_unused():
            del of_loop[kind]
            await found.keeper.aclose()


async def _close_with_loop(pool: AsyncPool) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        await pool.aclose()


def _forget_closed_loops() -> None:
    # A pool holds its loop through its connections, so a weak key alone would never be dropped.
    for loop in [loop for loop in _shared.by_loop if loop.is_closed()]:
        del _shared.by_loop[loop]


@atexit.register
def _close_at_exit() -> None:
    for pool in _shared.sync.values():
        pool.close()
    # Event loops that were left open can no longer close anything, and must not try: their
    # resources are released together with them.
    for of_loop in _shared.by_loop.values():
        for found in of_loop.values():
            found.pool.is_closed = True


def _start_afresh_in_child() -> None:
    """After a fork: the sockets are the parent's, so they are kept untouched and never used."""
    global _shared  # noqa: PLW0603 - the one place where a process's state begins anew
    _left_to_the_parent.append(_shared)
    _shared = _Shared()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_afresh_in_child)
