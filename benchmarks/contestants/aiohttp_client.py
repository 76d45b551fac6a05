"""What a contestant of ours needs to run on aiohttp."""

from __future__ import annotations

from importlib.metadata import metadata
from typing import Any


def handed_in(parameter: str) -> dict[str, Any]:
    """An argument that hands in a client on aiohttp, unless the package chooses it by itself.

    It does where it declares the extra `aiohttp`.
    """
    extras = metadata("sunra-integrations").get_all("Provides-Extra") or []
    if "aiohttp" in extras:
        return {}
    import httpx
    import httpx_aiohttp

    limits = httpx.Limits(max_connections=1000, max_keepalive_connections=100)
    transport = httpx_aiohttp.AiohttpTransport(limits=limits)
    return {parameter: httpx.AsyncClient(transport=transport)}
