"""What httpx raises, as SunraErrors that hold no key.

An httpx exception carries its request, headers and all, and the frames of its traceback hold the
request as it was written to the wire. The cause is kept for its type and words; these two go.
"""

from __future__ import annotations

import re
import time
from contextlib import suppress
from urllib.parse import urlsplit

import httpx

from sunra_integrations.errors import ConfigurationError, ConnectionFailed, SunraError
from sunra_integrations.protocol.error_parsing import error_from_response, sanitize
from sunra_integrations.transport.deadline import Patience
from sunra_integrations.transport.connections.proxies import Proxy
from sunra_integrations.transport.settings import is_loopback

HttpFault = httpx.HTTPError | httpx.InvalidURL | RuntimeError

SENDING_FAULTS = (httpx.HTTPError, httpx.InvalidURL, RuntimeError)
"""Exceptions of sending; HTTP libraries raise RuntimeError if a client is closed."""

_OF_A_CLOSED_CLIENT = re.compile(
    "client has been closed|session is closed|event loop is closed|different (event )?loop",
    re.IGNORECASE,
)
_NO_HEAD = re.compile("disconnected|status line|response line|^<")
"""The connection ended before an answer, in HTTP/1.1 or as an event of HTTP/2; or is not HTTP."""
_QUOTED_BYTES = re.compile(r"""[:\s]*(bytearray\()?\bb(['"]).*""", re.DOTALL)


def typed_fault(
    error: HttpFault, url: str, patience: Patience, proxy: Proxy | None = None
) -> SunraError:
    """The SunraError that an exception of the HTTP library stands for, that one its cause.

    Args:
        error: The exception.
        url: Where the request was sent.
        patience: The call's deadlines.
        proxy: The proxy that it was sent through, where one is known.

    Raises:
        RuntimeError: The exception itself, where it is the user's own: of a hook, or a transport.
    """
    if isinstance(error, RuntimeError) and not _OF_A_CLOSED_CLIENT.search(str(error)):
        raise error
    typed = _typed(error, url, patience, proxy)
    typed.__cause__ = _without_secrets(error, url)
    return typed


def _typed(error: Exception, url: str, patience: Patience, proxy: Proxy | None) -> SunraError:
    words = _words(error)
    through = f" through the proxy {proxy}" if proxy else ""
    past = _past_the_proxy(url) if proxy else ""
    match error:
        case httpx.ConnectTimeout():
            return patience.timed_out("connect", f"{words}{through}")
        case httpx.WriteTimeout():
            return patience.timed_out("write", words)
        case httpx.PoolTimeout():
            return patience.timed_out("pool", words)
        case httpx.TimeoutException():
            return patience.timed_out(None, words)
        case httpx.UnsupportedProtocol() | httpx.LocalProtocolError() | httpx.InvalidURL():
            return ConfigurationError(f"A request to {url} cannot be made: {words}.")
        case httpx.ProxyError():
            return ConnectionFailed(
                f"The proxy {proxy or ''} on the way to {url} failed: {words}.{past}"
            )
        case httpx.HTTPStatusError() if error.response.is_error:  # `raise_for_status` in a hook
            return _of_status(error.response)
        case httpx.DecodingError():
            return ConnectionFailed(f"The response from {url} could not be decompressed: {words}.")
        case httpx.HTTPError():
            return ConnectionFailed(
                f"The connection to {url}{through} failed: {words}.{past}",
                retryable=False if _is_unreadable_head(error) else None,
            )
        case _:
            return ConfigurationError(f"The HTTP client cannot be used: {words}.")


def _is_unreadable_head(error: Exception) -> bool:
    # The server did answer, and an answer is paid for, though its head breaks a rule of HTTP.
    return isinstance(error, httpx.RemoteProtocolError) and not _NO_HEAD.search(str(error))


def _of_status(response: httpx.Response) -> SunraError:
    body = b""
    with suppress(httpx.ResponseNotRead):
        body = response.content
    return error_from_response(response.status_code, dict(response.headers), body, now=time.time())


def _past_the_proxy(url: str) -> str:
    """What to do where a proxy is asked for this very machine, such as for the sandbox."""
    host = urlsplit(url).hostname or ""
    return (
        f" Add {host} to NO_PROXY to connect to this machine directly." if is_loopback(host) else ""
    )


def _words(error: BaseException) -> str:
    # A line of the head may be quoted, and be a cookie.
    words = sanitize(_QUOTED_BYTES.sub("", str(error)))
    return words.rstrip(".") or type(error).__name__  # the sentence around it has a full stop


def _without_secrets(error: Exception, url: str) -> Exception:
    chain: list[BaseException] = [error]
    for link in chain:  # grows while it is walked
        link.__traceback__ = None
        if isinstance(link, Exception) and _QUOTED_BYTES.search(str(link)):
            link.args = (_words(link),)
        if isinstance(link, httpx.RequestError):
            link.request = httpx.Request("POST", url)
        if isinstance(link, httpx.HTTPStatusError):
            link.request = link.response.request = httpx.Request("POST", url)
        chain += [
            following
            for following in (link.__cause__, link.__context__)
            if following is not None and following not in chain
        ]
    return error
