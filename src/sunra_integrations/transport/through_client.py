"""Sends through an `httpx.Client`, which reads from the environment which proxy a host has."""

from __future__ import annotations

import httpx


class ThroughClient(httpx.BaseTransport):
    """A client where a transport is asked for.

    Args:
        client: Taken over: it is closed with this.
    """

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Sends as it is."""
        return self._client.send(request, stream=True, auth=None, follow_redirects=False)

    def close(self) -> None:
        """Closes the client."""
        self._client.close()


class AsyncThroughClient(httpx.AsyncBaseTransport):
    """An async client where a transport is asked for; see `ThroughClient`."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Sends as it is."""
        return await self._client.send(request, stream=True, auth=None, follow_redirects=False)

    async def aclose(self) -> None:
        """Closes the client."""
        await self._client.aclose()
