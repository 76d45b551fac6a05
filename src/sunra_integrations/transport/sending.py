"""Sends a request once: through the user's own client, or through the shared connections."""

from __future__ import annotations

import httpx

from sunra_integrations.transport.connections import registry
from sunra_integrations.transport.deadline import Bounded
from sunra_integrations.transport.deadline import Patience
from sunra_integrations.transport.prepared_request import BearerAuth, Post
from sunra_integrations.transport.settings import Settings


def send(
    post: Post, settings: Settings, auth: BearerAuth, own: httpx.Client | None, patience: Patience
) -> httpx.Response:
    """The answer, its body unread.

    Args:
        post: What to send.
        settings: Which connections to share.
        auth: Signs the request.
        own: The user's own client, if there is one.
        patience: The call's time; it also stands for the call as the holder of its connection.

    Raises:
        httpx.HTTPError, httpx.InvalidURL: It could not be sent.
    """
    patience.attempt_begins()
    if own is not None:
        request = post.request_by(own, patience)
        return own.send(request, auth=auth, stream=True, follow_redirects=False)
    request = post.request(patience)
    auth.sign(request)
    return connections.sync_pools(settings).send(request, holder=patience)


async def send_async(
    post: Post,
    settings: Settings,
    auth: BearerAuth,
    own: httpx.AsyncClient | None,
    patience: Patience,
) -> httpx.Response:
    """The answer, its body unread; see `send`.

    Raises:
        TimedOut: The call's time is up.
    """
    patience.attempt_begins()
    if own is not None:
        with Bounded(patience) as bounded:
            request = post.request_by(own, patience, trace=bounded.trace)
            return await own.send(request, auth=auth, stream=True, follow_redirects=False)
    pools = await connections.async_pools(settings)
    with Bounded(patience) as bounded:
        request = post.request(patience, trace=bounded.trace)
        auth.sign(request)
        return await pools.send(request)
