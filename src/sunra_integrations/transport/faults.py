"""What httpx raises, as SunraErrors that hold no key.

An httpx exception carries its request, headers and all, and the frames of its traceback hold the
request as it was written to the wire. The cause is kept for its type and words; these two go.
"""

from __future__ import annotations

import re

import httpx

from sunra_integrations.errors import ConfigurationError, ConnectionFailed, SunraError
from sunra_integrations.protocol.failures import clean
from sunra_integrations.transport.patience import Patience
from sunra_integrations.transport.proxies import Proxy

HttpFault = httpx.HTTPError | httpx.InvalidURL | RuntimeError

SENDING_FAULTS = (httpx.HTTPError, httpx.InvalidURL, RuntimeError)
"""What sending may raise; a RuntimeError is HTTP libraries' word for a client that is closed."""

_OF_A_CLOSED_CLIENT = re.compile(
    "client has been closed|session is closed|event loop is closed|different (event )?loop",
    re.IGNORECASE,
)
_QUOTED_BYTES = re.compile(r"""[:\s]*(bytearray\()?\bb(['"]).*""", re.DOTALL)


def typed_fault(
    error: HttpFault, url: str, patience: Patience, proxy: Proxy | None = None
) -> SunraError:
    """The SunraError that an exception of the HTTP library stands for, that one its cause.

    Args:
        error: The exception.
        url: Where the request was sent.
        patience: The call's time.
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
            return ConnectionFailed(f"The proxy {proxy or ''} on the way to {url} failed: {words}.")
        case httpx.DecodingError():
            return ConnectionFailed(f"The answer of {url} could not be decompressed: {words}.")
        case httpx.HTTPError():
            return ConnectionFailed(f"The connection to {url}{through} failed: {words}.")
        case _:
            return ConfigurationError(f"The HTTP client cannot be used: {words}.")


def _words(error: BaseException) -> str:
    # A line of the head may be quoted, and be a cookie.
    return clean(_QUOTED_BYTES.sub("", str(error))).rstrip(".") or type(error).__name__


def _without_secrets(error: Exception, url: str) -> Exception:
    chain: list[BaseException] = [error]
    for link in chain:  # grows while it is walked
        link.__traceback__ = None
        if isinstance(link, Exception) and _QUOTED_BYTES.search(str(link)):
            link.args = (_words(link),)
        if isinstance(link, httpx.RequestError):
            link.request = httpx.Request("POST", url)
        chain += [
            following
            for following in (link.__cause__, link.__context__)
            if following is not None and following not in chain
        ]
    return error
