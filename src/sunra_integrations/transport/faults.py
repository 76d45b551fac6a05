"""Converts exceptions of httpx and httpx2 to SunraErrors that hold no key.

Such an exception holds its request with all headers, and the frames of its traceback hold the
request as sent. It stays as the cause, for its type and message, without those two.
"""

from __future__ import annotations

import re
import socket
import time
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import httpx

from sunra_integrations.errors import ConfigurationError, ConnectionFailed, SunraError
from sunra_integrations.protocol.error_parsing import error_from_response, sanitize
from sunra_integrations.transport.connections.proxies import Proxy
from sunra_integrations.transport.deadline import Deadline
from sunra_integrations.transport.http_library import library_of
from sunra_integrations.transport.settings import is_loopback

_CLOSED_CLIENT = re.compile(
    "client has been closed|session is closed|event loop is closed|different (event )?loop",
    re.IGNORECASE,
)
_NOT_A_RESPONSE = re.compile("disconnected|status line|response line|^<")
"""The connection ended before a response (HTTP/1.1, or an event of HTTP/2), or is not HTTP."""
_QUOTED_BYTES = re.compile(r"""[:\s]*(bytearray\()?\bb(['"]).*""", re.DOTALL)


def typed_fault(
    error: Exception, url: str, deadline: Deadline, proxy: Proxy | None = None
) -> SunraError:
    """The SunraError for an exception of the HTTP library, which becomes its cause.

    Args:
        error: The exception.
        url: Where the request was sent.
        deadline: The call's deadline.
        proxy: The proxy it was sent through, if known.

    Raises:
        RuntimeError: The exception itself, if a hook or transport of the user raised it.
    """
    if isinstance(error, RuntimeError) and not _CLOSED_CLIENT.search(str(error)):
        raise error
    typed = _typed(error, url, deadline, proxy)
    typed.__cause__ = _without_secrets(error, url)
    return typed


def _typed(error: Exception, url: str, deadline: Deadline, proxy: Proxy | None) -> SunraError:
    message = _message(error)
    through = f" through the proxy {proxy}" if proxy else ""
    hint = _dns_hint(error, url, proxy) or (_no_proxy_hint(url) if proxy else "")
    http = library_of(error)
    match error:
        case http.ConnectTimeout():
            return deadline.timed_out("connect", f"{message}{through}")
        case http.WriteTimeout():
            return deadline.timed_out("write", message)
        case http.PoolTimeout():
            return deadline.timed_out("pool", message)
        case http.TimeoutException():
            return deadline.timed_out(None, message)
        case http.UnsupportedProtocol() | http.LocalProtocolError() | http.InvalidURL():
            return ConfigurationError(f"A request to {url} cannot be sent: {message}.")
        case http.ProxyError():
            return ConnectionFailed(
                f"The proxy {proxy or ''} on the way to {url} failed: {message}.{hint}"
            )
        case http.HTTPStatusError() if error.response.is_error:  # `raise_for_status` in a hook
            return _of_status(error.response)
        case http.DecodingError():
            return ConnectionFailed(
                f"The response from {url} could not be decompressed: {message}."
            )
        case http.HTTPError():
            return ConnectionFailed(
                f"The connection to {url}{through} failed: {message}.{hint}",
                retryable=False if _is_unreadable_head(error) else None,
            )
        case _:
            return ConfigurationError(f"The HTTP client cannot be used: {message}.")


def _is_unreadable_head(error: Exception) -> bool:
    # The server did respond, and may charge for it, though the head breaks a rule of HTTP.
    return isinstance(error, library_of(error).RemoteProtocolError) and not _NOT_A_RESPONSE.search(
        str(error)
    )


def _of_status(response: httpx.Response) -> SunraError:
    body = b""
    with suppress(RuntimeError):  # `ResponseNotRead`
        body = response.content
    return error_from_response(response.status_code, dict(response.headers), body, now=time.time())


def _no_proxy_hint(url: str) -> str:
    """A hint if a proxy is used for this machine, such as for the sandbox."""
    host = urlsplit(url).hostname or ""
    return (
        f" Add {host} to NO_PROXY to connect to this machine directly." if is_loopback(host) else ""
    )


def _dns_hint(error: Exception, url: str, proxy: Proxy | None) -> str:
    """A hint if a host name could not be resolved, which the system's words do not name."""
    if not any(isinstance(link, socket.gaierror) for link in _chain(error)):
        return ""
    host = urlsplit(proxy.url if proxy else url).hostname
    setting = proxy.variable if proxy else "the base URL"
    return (
        f" The host name {host!r} cannot be resolved: check that this machine is online, and that "
        f"the host in {setting} is correct."
    )


def _chain(error: BaseException) -> list[BaseException]:
    """The exception and those behind it."""
    chain = [error]
    for link in chain:  # grows while it is walked
        behind = (link.__cause__, link.__context__)
        chain += [one for one in behind if one is not None and one not in chain]
    return chain


def _message(error: BaseException) -> str:
    # It may quote a line of the head, such as a cookie.
    message = sanitize(_QUOTED_BYTES.sub("", str(error)))
    return message.rstrip(".") or type(error).__name__  # the sentence around it has a full stop


def _without_secrets(error: Exception, url: str) -> Exception:
    link: Any  # an exception
    for link in _chain(error):
        link.__traceback__ = None
        http = library_of(link)
        if _QUOTED_BYTES.search(str(link)):
            link.args = (_message(link),)
        if isinstance(link, http.RequestError):
            link.request = http.Request("POST", url)
        if isinstance(link, http.HTTPStatusError):
            link.request = link.response.request = http.Request("POST", url)
    return error
