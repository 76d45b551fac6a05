"""httpx clients, made at first use and shared by all that are set alike.

Sync calls share one client per process. Async calls share one per running event loop, because the
connections of an async client belong to the loop they were opened in; it is closed when that loop
shuts down. Clients that a user hands in never come here and are never closed by us.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import AsyncGenerator
from functools import lru_cache
from ssl import SSLContext
from typing import NamedTuple
from weakref import WeakKeyDictionary

import httpx

_KEEPALIVE_EXPIRY = 30.0
_MAX_IDLE = 100


class _LoopClient(NamedTuple):
    client: httpx.AsyncClient
    keeper: AsyncGenerator[None, None]


class _Shared:
    """All that one process shares."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.sync: dict[int | None, httpx.Client] = {}
        self.by_loop: WeakKeyDictionary[
            asyncio.AbstractEventLoop, dict[int | None, _LoopClient]
        ] = WeakKeyDictionary()


_shared = _Shared()
_left_to_the_parent: list[_Shared] = []


def sync_client(max_connections: int | None) -> httpx.Client:
    """The process's client for this limit of connections (None for no limit)."""
    client = _shared.sync.get(max_connections)
    if client is None or client.is_closed:
        with _shared.lock:
            client = _shared.sync.get(max_connections)
            if client is None or client.is_closed:
                client = httpx.Client(verify=_tls(), limits=_limits(max_connections))
                _shared.sync[max_connections] = client
    return client


async def async_client(max_connections: int | None) -> httpx.AsyncClient:
    """The running event loop's client for this limit of connections (None for no limit)."""
    loop = asyncio.get_running_loop()
    clients = _shared.by_loop.get(loop)
    if clients is None:
        with _shared.lock:
            _forget_closed_loops()
            clients = _shared.by_loop.setdefault(loop, {})
    found = clients.get(max_connections)
    if found is None or found.client.is_closed:
        client = httpx.AsyncClient(verify=_tls(), limits=_limits(max_connections))
        found = clients[max_connections] = _LoopClient(client, _close_with_loop(client))
        # From its first step on the loop knows the generator, and closes it at shutdown.
        await found.keeper.__anext__()
    return found.client


async def _close_with_loop(client: httpx.AsyncClient) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        await client.aclose()


def _forget_closed_loops() -> None:
    # A client holds its loop through its connections, so a weak key alone would never be dropped.
    for loop in [loop for loop in _shared.by_loop if loop.is_closed()]:
        del _shared.by_loop[loop]


@lru_cache(maxsize=1)
def _tls() -> SSLContext:
    """The TLS context, made once per process: reading the root certificates takes milliseconds."""
    return httpx.create_ssl_context()


def _limits(max_connections: int | None) -> httpx.Limits:
    return httpx.Limits(
        max_connections=max_connections,
        max_keepalive_connections=_MAX_IDLE,
        keepalive_expiry=_KEEPALIVE_EXPIRY,
    )


@atexit.register
def _close_at_exit() -> None:
    for client in _shared.sync.values():
        client.close()


def _start_afresh_in_child() -> None:
    """After a fork: the sockets are the parent's, so they are kept untouched and never used."""
    global _shared  # noqa: PLW0603 - the one place where a process's state begins anew
    _left_to_the_parent.append(_shared)
    _shared = _Shared()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_afresh_in_child)
