"""Connections, made at first use and shared by all clients that are set alike.

Sync calls share one set of pools per process. Async calls share one per running event loop,
because an async connection belongs to the loop it was opened in; it is closed when that loop shuts
down. Calls with different keys share nothing, so bytes that a server sends behind one answer can
reach no one else. Clients that a user hands in never come here and are never closed by us.
"""

from __future__ import annotations

import asyncio
import atexit
import math
import os
import sys
import threading
import time
from collections.abc import AsyncGenerator, Callable
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakKeyDictionary

import httpx
from pydantic import SecretStr

from sunra_integrations.errors import ConfigurationError
from sunra_integrations.transport.allocation import Allocation, Carrier
from sunra_integrations.transport.connections.certificates import tls_context
from sunra_integrations.transport.connections.pool import AsyncPools, SyncPools
from sunra_integrations.transport.connections.proxies import Proxy, proxy_for
from sunra_integrations.transport.settings import AsyncTransport, Settings

if TYPE_CHECKING:  # Pyodide before 314 has no ssl until it is loaded
    from ssl import SSLContext

_WITHOUT_SOCKETS = ("emscripten", "wasi")
_KEEPALIVE_EXPIRY = 30.0
_PLACES_PER_POOL = 4
# Under a limit a pool that waits to be replaced must not hold places that others wait for.
_PLACES_UNDER_LIMIT = 1


class _Kind(NamedTuple):
    """What clients must have in common to share connections."""

    api_key: SecretStr
    base_url: str
    max_connections: int | None
    library: AsyncTransport = "httpx"

    @property
    def is_https(self) -> bool:
        return not self.base_url.lower().startswith("http:")


class _LoopPools(NamedTuple):
    pools: AsyncPools
    keeper: AsyncGenerator[None, None]


class _Shared:
    """All that one process shares."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.sync: dict[_Kind, SyncPools] = {}
        self.by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[_Kind, _LoopPools]] = (
            WeakKeyDictionary()
        )


_shared = _Shared()
_left_to_the_parent: list[_Shared] = []


def sync_pools(settings: Settings) -> SyncPools:
    """The process's pools for these settings.

    Raises:
        ConfigurationError: This platform has no sockets.
    """
    _check_sockets("Client", "`http_client`")
    kind = _Kind(settings.api_key, settings.base_url, settings.max_connections)
    pools = _shared.sync.get(kind)
    if pools is None or pools.is_closed:
        with _shared.lock:
            pools = _shared.sync.get(kind)
            if pools is None or pools.is_closed:
                _close_unused()
                pools = _shared.sync[kind] = _make_sync(kind)
    return pools


def give_up(holder: object) -> None:
    """Releases every place of a sync call that ended in an exception."""
    for pools in list(_shared.sync.values()):
        pools.give_up(holder)


async def async_pools(settings: Settings) -> AsyncPools:
    """The running event loop's pools for these settings.

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
    if found is None or found.pools.is_closed:
        await _load(kind)
        await _close_unused_of(of_loop)
        found = of_loop.get(kind)  # another task may have been quicker
    if found is None or found.pools.is_closed:
        pools = _make_async(kind)
        found = of_loop[kind] = _LoopPools(pools, _close_with_loop(pools))
        # From its first step on the loop knows the generator, and closes it at shutdown.
        await found.keeper.__anext__()
    return found.pools


def _check_sockets(client: str, argument: str) -> None:
    """Fails early on WebAssembly: httpcore and anyio would fail there with untyped errors."""
    if sys.platform in _WITHOUT_SOCKETS:
        raise ConfigurationError(
            f"This Python runs on WebAssembly ({sys.platform}), which has no sockets. Pass an "
            f"httpx.{client} as {argument}, with a transport that uses JavaScript's fetch. "
            "The httpx package that is part of Pyodide has such a transport built in."
        )


def _make_sync(kind: _Kind) -> SyncPools:
    from sunra_integrations.transport.connections.httpx_transport import (  # noqa: PLC0415 - of httpcore, late
        BoundedTransport,
    )

    tls, proxy = _tls_for(kind), proxy_for(kind.base_url)

    def make(places: float) -> httpx.BaseTransport:
        return BoundedTransport(
            verify=tls, limits=_limits(kind, places), proxy=_httpx_proxy(proxy, tls)
        )

    return SyncPools(_allocation(make, kind))


async def _load(kind: _Kind) -> None:
    """Does in a thread what would hold up the event loop: importing, and reading the roots."""
    if kind.library != "httpx" and not _aiohttp_transport.cache_info().currsize:
        await asyncio.to_thread(_aiohttp_transport)
    if kind.library == "httpx" or _aiohttp_transport() is None:
        await _import("httpcore", "anyio")
    if kind.is_https and not tls_context.cache_info().currsize:
        await asyncio.to_thread(tls_context)


async def _import(*names: str) -> None:
    for name in names:
        if name not in sys.modules:
            await asyncio.to_thread(import_module, name)


def _make_async(kind: _Kind) -> AsyncPools:
    tls, proxy = _tls_for(kind), proxy_for(kind.base_url)

    def make(places: float) -> httpx.AsyncBaseTransport:
        return httpx.AsyncHTTPTransport(
            verify=tls, limits=_limits(kind, places), proxy=_httpx_proxy(proxy, tls)
        )

    if kind.library == "aiohttp" or (kind.library == "auto" and proxy is None):
        of_aiohttp = _aiohttp_transport()
        if of_aiohttp is not None:
            if proxy is not None and proxy.scheme.startswith("socks"):
                raise ConfigurationError(
                    f"The proxy {proxy} cannot be used with aiohttp; "
                    "set `async_transport` to httpx."
                )
            # Its pool is quick however many connections it has, so one is enough.
            pools = _allocation(
                lambda _: of_aiohttp(
                    tls, keepalive_expiry=_KEEPALIVE_EXPIRY, proxy=proxy and proxy.url
                ),
                kind,
                math.inf,
            )
            return AsyncPools(pools, spoiled_by_cancelling=False)
        if kind.library == "aiohttp":
            raise ConfigurationError(
                "`async_transport` is aiohttp, whose version here is too old; "
                "install sunra-integrations[aiohttp]."
            )
    # A call cancelled as it connects leaves a connection that httpcore neither uses nor closes.
    return AsyncPools(_allocation(make, kind), spoiled_by_cancelling=True)


def _httpx_proxy(proxy: Proxy | None, tls: SSLContext) -> httpx.Proxy | None:
    if proxy is None:
        return None
    return httpx.Proxy(proxy.url, ssl_context=tls if proxy.scheme == "https" else None)


def _allocation(
    make: Callable[[float], Carrier], kind: _Kind, places_per_pool: float | None = None
) -> Allocation[Carrier]:
    of_httpx = _PLACES_PER_POOL if kind.max_connections is None else _PLACES_UNDER_LIMIT
    return Allocation(
        make,
        limit=kind.max_connections,
        places_per_pool=places_per_pool or of_httpx,
        expiry=_KEEPALIVE_EXPIRY,
        clock=time.monotonic,
    )


@lru_cache(maxsize=1)
def _aiohttp_transport() -> Callable[..., httpx.AsyncBaseTransport] | None:
    try:
        from sunra_integrations.transport.connections.aiohttp_transport import (  # noqa: PLC0415 - an extra
            AiohttpTransport,
        )
    except ImportError:  # not installed, or too old
        return None
    return AiohttpTransport


def _limits(kind: _Kind, places: float) -> httpx.Limits:
    # The places of all pools add up to the limit, so their connections, idle ones too, keep to it.
    return httpx.Limits(
        max_connections=None if kind.max_connections is None else int(places),
        max_keepalive_connections=int(places),
        keepalive_expiry=_KEEPALIVE_EXPIRY,
    )


def _close_unused() -> None:
    """Closes connections of unused keys, so that they do not accumulate."""
    for kind, pools in list(_shared.sync.items()):
        if pools.allocation.is_idle():
            del _shared.sync[kind]
            pools.close()


async def _close_unused_of(of_loop: dict[_Kind, _LoopPools]) -> None:
    for kind, found in list(of_loop.items()):
        if found.pools.allocation.is_idle():
            del of_loop[kind]
            await found.keeper.aclose()


async def _close_with_loop(pools: AsyncPools) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        await pools.aclose()


def _forget_closed_loops() -> None:
    # A pool holds its loop through its connections, so a weak key alone would never be dropped.
    for loop in [loop for loop in _shared.by_loop if loop.is_closed()]:
        del _shared.by_loop[loop]


def _tls_for(kind: _Kind) -> SSLContext:
    from ssl import PROTOCOL_TLS_CLIENT, SSLContext  # noqa: PLC0415 - see above

    # Plain http never uses TLS, so pass an empty context instead of loading the real one.
    return tls_context() if kind.is_https else SSLContext(PROTOCOL_TLS_CLIENT)


@atexit.register
def _close_at_exit() -> None:
    for pools in _shared.sync.values():
        pools.close()
    # Event loops that were left open can no longer close anything, and must not try: their
    # resources are released together with them.
    for of_loop in _shared.by_loop.values():
        for found in of_loop.values():
            found.pools.is_closed = True


def _start_afresh_in_child() -> None:
    """After a fork: the sockets are the parent's, so they are kept untouched and never used."""
    global _shared  # noqa: PLW0603 - the one place where a process's state begins anew
    _left_to_the_parent.append(_shared)
    _shared = _Shared()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_afresh_in_child)
