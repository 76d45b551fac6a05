"""What httpx raises, as SunraErrors that hold no key.

An httpx exception carries its request, headers and all, and the frames of its traceback hold the
request as it was written to the wire. The cause is kept for its type and words; these two go.
"""

from __future__ import annotations

import httpx

from sunra_integrations.errors import (
    ConfigurationError,
    ConnectionFailed,
    SunraError,
    TimedOut,
)
from sunra_integrations.protocol.failures import clean

SENDING_FAULTS = (httpx.HTTPError, httpx.InvalidURL, RuntimeError)
"""What sending may raise; RuntimeError is httpx's word for a client that was closed."""

HttpFault = httpx.HTTPError | httpx.InvalidURL | RuntimeError


def typed_fault(error: HttpFault, url: str) -> SunraError:
    """The SunraError that an exception of the HTTP library stands for, that one its cause."""
    typed = _typed(error, url)
    typed.__cause__ = _without_secrets(error, url)
    return typed


def _typed(error: Exception, url: str) -> SunraError:
    said = clean(str(error)) or type(error).__name__
    match error:
        case httpx.ConnectTimeout():
            return _timed_out("connect", "No connection to", url, said)
        case httpx.ReadTimeout():
            return _timed_out("read", "No answer in time from", url, said)
        case httpx.WriteTimeout():
            return _timed_out("write", "The request was not taken in time by", url, said)
        case httpx.PoolTimeout():
            return _timed_out("pool", "No free connection in time for", url, said)
        case httpx.TimeoutException():
            return _timed_out("", "No answer in time from", url, said)
        case httpx.UnsupportedProtocol() | httpx.LocalProtocolError() | httpx.InvalidURL():
            return ConfigurationError(f"A request to {url} cannot be made: {said}.")
        case httpx.ProxyError():
            return ConnectionFailed(f"The proxy on the way to {url} failed: {said}.")
        case httpx.DecodingError():
            return ConnectionFailed(f"The answer of {url} could not be decompressed: {said}.")
        case httpx.HTTPError():
            return ConnectionFailed(f"The connection to {url} failed: {said}.")
        case _:
            return ConfigurationError(f"The HTTP client cannot be used: {said}.")


def _timed_out(phase: str, what: str, url: str, said: str) -> TimedOut:
    return TimedOut(f"{what} {url} ({said}).", phase=phase)


def _without_secrets(error: Exception, url: str) -> Exception:
    chain: list[BaseException] = [error]
    for link in chain:  # grows while it is walked
        link.__traceback__ = None
        if isinstance(link, httpx.RequestError):
            link.request = httpx.Request("POST", url)
        chain += [
            following
            for following in (link.__cause__, link.__context__)
            if following is not None and following not in chain
        ]
    return error
