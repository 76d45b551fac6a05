"""Sends a request once: through the user's own client, or through the shared connections."""

from __future__ import annotations

import httpx

from sunra_integrations.transport import connections
from sunra_integrations.transport.post import BearerAuth, Post
from sunra_integrations.transport.settings import Settings


def send(
    post: Post, settings: Settings, auth: BearerAuth, own: httpx.Client | None, time_left: float
) -> httpx.Response:
    """The answer, its body unread.

    Args:
        post: What to send.
        settings: Which connections to share.
        auth: Signs the request.
        own: The user's own client, if there is one.
        time_left: Seconds until the call must end.

    Raises:
        httpx.HTTPError, httpx.InvalidURL, RuntimeError: It could not be sent.
    """
    if own is not None:
        request = post.request_by(own, time_left)
        return own.send(request, auth=auth, stream=True, follow_redirects=False)
    request = post.request(time_left)
    auth.sign(request)
    return connections.sync_pools(settings).send(request)


async def send_async(
    post: Post,
    settings: Settings,
    auth: BearerAuth,
    own: httpx.AsyncClient | None,
    time_left: float,
) -> httpx.Response:
    """The answer, its body unread; see `send`."""
    if own is not None:
        request = post.request_by(own, time_left)
        return await own.send(request, auth=auth, stream=True, follow_redirects=False)
    request = post.request(time_left)
    auth.sign(request)
    pools = await connections.async_pools(settings)
    return await pools.send(request)
