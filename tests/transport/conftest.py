from __future__ import annotations

import asyncio

import pytest

from sunra_integrations.transport.connections import registry


@pytest.fixture
def fresh_pools(monkeypatch):
    """Connections that no other test has used."""
    shared = registry._Shared()
    monkeypatch.setattr(registry, "_shared", shared)
    yield shared
    for pool in shared.sync.values():
        pool.close()


@pytest.fixture(params=["httpx", "aiohttp"])
def library(request):
    """What carries async calls."""
    return request.param


@pytest.fixture
async def loop_pools(fresh_pools):
    """The pools of the test's own event loop, closed at its end."""
    yield lambda: [
        found.pool for found in fresh_pools.by_loop.get(asyncio.get_running_loop(), {}).values()
    ]
    for found in list(fresh_pools.by_loop.get(asyncio.get_running_loop(), {}).values()):
        await found.keeper.aclose()
