"""What carries async calls of ours: httpx's own transport, or aiohttp."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal

import httpx


def carried_by(
    library: Literal["httpx", "aiohttp"], fields: Collection[str], client: str
) -> dict[str, Any]:
    """The argument that chooses it.

    Args:
        library: What is to carry the calls.
        fields: What the class can be set to. Where it has no setting for this, it is on httpx.
        client: The field that takes an httpx client.
    """
    if "async_transport" in fields:
        return {"async_transport": library}
    if library == "httpx":
        return {}
    from httpx_aiohttp import AiohttpTransport

    limits = httpx.Limits(max_connections=1000, max_keepalive_connections=100)
    return {client: httpx.AsyncClient(transport=AiohttpTransport(limits=limits))}
