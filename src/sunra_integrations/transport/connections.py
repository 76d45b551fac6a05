"""Connections, made at first use and shared by all clients that are set alike.

Sync calls share one set of pools per process. Async calls share one per running event loop,
because an async connection belongs to the loop it was opened in; it is closed when that loop shuts
down. Clients that a user hands in never come here and are never closed by us.
"""

from __future__ import annotations

import asyncio
import atexit
import math
import os
import threading
import time
from collections.abc import AsyncGenerator, Callable
from functools import lru_cache
from ssl import PROTOCOL_TLS_CLIENT, SSLContext
from typing import NamedTuple
from urllib.request import getproxies
from weakref import WeakKeyDictionary

import httpx

from sunra_integrations.errors import ConfigurationError
from sunra_integrations.transport.allocation import Allocation, Carrier
from sunra_integrations.transport.pools import AsyncPools, SyncPools
from sunra_integrations.transport.settings import AsyncTransport, Settings
from sunra_integrations.transport.through_client import AsyncThroughClient, ThroughClient

_KEEPALIVE_EXPIRY = 30.0
_PLACES_PER_POOL = 4
# Under a limit a pool that waits to be replaced must not hold places that others wait for.
_PLACES_UNDER_LIMIT = 1


class _Kind(NamedTuple):
    """What clients must have in common to share connections."""

    max_connections: int | None
    is_https: bool
    library: AsyncTransport = "httpx"


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
    """The process's pools for these settings."""
    kind = _Kind(settings.max_connections, settings.is_https)
    pools = _shared.sync.get(kind)
    if pools is None or pools.is_closed:
        with _shared.lock:
            pools = _shared.sync.get(kind)
            if pools is None or pools.is_closed:
                pools = _shared.sync[kind] = _make_sync(kind)
    return pools


async def async_pools(settings: Settings) -> AsyncPools:
    """The running event loop's pools for these settings."""
    kind = _Kind(settings.max_connections, settings.is_https, settings.async_transport)
    loop = asyncio.get_running_loop()
    of_loop = _shared.by_loop.get(loop)
    if of_loop is None:
        with _shared.lock:
            _forget_closed_loops()
            of_loop = _shared.by_loop.setdefault(loop, {})
    found = of_loop.get(kind)
    if found is None or found.pools.is_closed:
        pools = _make_async(kind)
        found = of_loop[kind] = _LoopPools(pools, _close_with_loop(pools))
        # From its first step on the loop knows the generator, and closes it at shutdown.
        await found.keeper.__anext__()
    return found.pools


def _make_sync(kind: _Kind) -> SyncPools:
    tls, through_proxy = _tls_for(kind), _has_proxies()

    def make(places: float) -> httpx.BaseTransport:
        limits = _limits(kind, places)
        if through_proxy:
            return ThroughClient(httpx.Client(verify=tls, limits=limits))
        return httpx.HTTPTransport(verify=tls, limits=limits)

    return SyncPools(_allocation(make, kind))


def _make_async(kind: _Kind) -> AsyncPools:
    tls, through_proxy = _tls_for(kind), _has_proxies()

    def make(places: float) -> httpx.AsyncBaseTransport:
        limits = _limits(kind, places)
        if through_proxy:
            return AsyncThroughClient(httpx.AsyncClient(verify=tls, limits=limits))
        return httpx.AsyncHTTPTransport(verify=tls, limits=limits)

    if kind.library == "aiohttp" or (kind.library == "auto" and not through_proxy):
        of_aiohttp = _aiohttp_transport()
        if of_aiohttp is not None:
            # Its pool is quick however many connections it has, so one is enough.
            pools = _allocation(
                lambda _: of_aiohttp(tls, keepalive_expiry=_KEEPALIVE_EXPIRY), kind, math.inf
            )
            return AsyncPools(pools, spoiled_by_cancelling=False)
        if kind.library == "aiohttp":
            raise ConfigurationError(
                "`async_transport` is aiohttp, whose version here is too old; "
                "install sunra-integrations[aiohttp]."
            )
    # A call cancelled as it connects leaves a connection that httpcore neither uses nor closes.
    return AsyncPools(_allocation(make, kind), spoiled_by_cancelling=True)


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
        from sunra_integrations.transport.aiohttp_transport import (  # noqa: PLC0415 - an extra
            AiohttpTransport,
        )
    except ImportError:  # not installed, or too old
        return None
    return AiohttpTransport


def _has_proxies() -> bool:
    """Whether the environment names a proxy; httpx finds out which hosts go through it."""
    return not {"http", "https", "all"}.isdisjoint(getproxies())


def _limits(kind: _Kind, places: float) -> httpx.Limits:
    # The places of all pools add up to the limit, so their connections, idle ones too, keep to it.
    return httpx.Limits(
        max_connections=None if kind.max_connections is None else int(places),
        max_keepalive_connections=int(places),
        keepalive_expiry=_KEEPALIVE_EXPIRY,
    )


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
    # Plain http needs none; what stands in its place trusts nobody, and takes no time to make.
    return _tls() if kind.is_https else SSLContext(PROTOCOL_TLS_CLIENT)


@lru_cache(maxsize=1)
def _tls() -> SSLContext:
    """The TLS context, made once per process: reading the root certificates takes milliseconds."""
    return httpx.create_ssl_context()


@atexit.register
def _close_at_exit() -> None:
    for pools in _shared.sync.values():
        pools.close()


def _start_afresh_in_child() -> None:
    """After a fork: the sockets are the parent's, so they are kept untouched and never used."""
    global _shared  # noqa: PLW0603 - the one place where a process's state begins anew
    _left_to_the_parent.append(_shared)
    _shared = _Shared()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_afresh_in_child)
