"""The way to the gateway, step by step: name, connection, certificate, answer, clock.

It goes no further than the first step that fails. The key is not sent.
"""

from __future__ import annotations

import base64
import http.client
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from email.utils import parsedate_to_datetime
from typing import Any

from sunra_integrations.cli.doctor.configuration import Hop, Route
from sunra_integrations.cli.doctor.findings import Finding, fail, ok, warn
from sunra_integrations.errors import ConfigurationError
from sunra_integrations.transport.connections.certificates import tls_context

_DAY = 86_400
_FEW_DAYS = 7
_SKEW_TO_TELL, _SKEW_TO_MEND = 30, 300
_OFFLINE = "Check that this machine is online, and that the host of the base URL is spelt right."
_BLOCKED = "Check the port, and whether a firewall or a VPN is in the way."
_SETS_THE_CLOCK = "w32tm /resync" if sys.platform == "win32" else "timedatectl set-ntp true"
_CLOCK = f"Set this machine's clock, as with `{_SETS_THE_CLOCK}`."
_CERTIFICATES = "Set SSL_CERT_FILE to a file of certificates in PEM form, or unset it."
_RESIGNED = (
    "If a proxy or a virus scanner opens the traffic here, point SSL_CERT_FILE at its root "
    "certificate."
)


def way(route: Route, timeout: float, now: Callable[[], float]) -> Iterator[Finding]:
    """The findings on the way to the gateway.

    Args:
        route: Where it leads.
        timeout: Seconds for each step.
        now: The clock, in seconds since the epoch.
    """
    trusted: ssl.SSLContext | None = None
    certificates: Finding | None = None
    try:
        if route.target.scheme == "https":
            trusted = tls_context()
    except ConfigurationError as error:
        certificates = fail("TLS", error.message, _CERTIFICATES)
    for step in (_name, _connection):
        finding = step(route.first, timeout)
        yield finding
        if finding.status == "fail":
            break
    if certificates:  # wrong whether or not the gateway can be reached
        yield certificates
    if certificates or finding.status == "fail":
        return
    if route.proxy is not None and route.proxy.scheme != "http":
        yield warn("TLS", "not looked at: the proxy is of another kind than http", "Use --model.")
        return
    connection = _http_connection(route, timeout, trusted)
    with closing(connection):
        finding = _certificate(route, connection, now)
        yield finding
        if finding.status != "fail":
            yield from _answer(route, connection, now)


def _name(hop: Hop, _timeout: float) -> Finding:
    try:
        found = socket.getaddrinfo(hop.host, hop.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        return fail("DNS", f"{hop.host} has no address: {_words(error)}", _OFFLINE)
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    more = f" and {len(addresses) - 1} more" if len(addresses) > 1 else ""
    return ok("DNS", f"{hop.host} is {addresses[0]}{more}")


def _connection(hop: Hop, timeout: float) -> Finding:
    begun = time.monotonic()
    try:
        socket.create_connection((hop.host, hop.port), timeout).close()
    except OSError as error:
        return fail("TCP", f"no connection to {hop.host}:{hop.port}: {_words(error)}", _BLOCKED)
    return ok("TCP", f"{hop.host}:{hop.port} connects in {_milliseconds(begun)}")


def _http_connection(
    route: Route, timeout: float, trusted: ssl.SSLContext | None
) -> http.client.HTTPConnection:
    first, target = route.first, route.target
    if trusted is None:
        return http.client.HTTPConnection(first.host, first.port, timeout=timeout)
    connection = http.client.HTTPSConnection(
        first.host, first.port, timeout=timeout, context=trusted
    )
    if route.proxy is not None:
        connection.set_tunnel(target.host, target.port, _proxy_headers(route.proxy))
    return connection


def _proxy_headers(proxy: Hop) -> dict[str, str]:
    if proxy.user is None:
        return {}
    credentials = base64.b64encode(f"{proxy.user}:{proxy.password or ''}".encode()).decode()
    return {"Proxy-Authorization": f"Basic {credentials}"}


def _certificate(
    route: Route, connection: http.client.HTTPConnection, now: Callable[[], float]
) -> Finding:
    try:
        connection.connect()
    except ssl.SSLCertVerificationError as error:
        said = f"the certificate of {route.target.host} is not trusted: {error.verify_message}"
        return fail("TLS", said, _mend_of_trust(error.verify_code))
    except ssl.SSLError as error:
        said = f"no encrypted connection: {_words(error)}"
        return fail("TLS", said, "Check that the base URL's port speaks https.")
    except OSError as error:
        mend = "Check the proxy's name and password." if route.proxy else _BLOCKED
        return fail("TLS", f"the connection ended: {_words(error)}", mend)
    if not isinstance(connection.sock, ssl.SSLSocket):
        where = "this machine" if route.target.is_here else "another machine"
        return ok("TLS", f"not used: plain http to {where}")
    certificate: Mapping[str, Any] = connection.sock.getpeercert() or {}
    return judged_certificate(certificate, connection.sock.version() or "TLS", now())


def judged_certificate(certificate: Mapping[str, Any], protocol: str, now: float) -> Finding:
    """The finding about a certificate that is trusted, as `getpeercert` gives it."""
    issuer = {name: value for part in certificate.get("issuer", ()) for name, value in part}
    by = issuer.get("organizationName") or issuer.get("commonName") or "an unnamed issuer"
    days = int((ssl.cert_time_to_seconds(certificate["notAfter"]) - now) // _DAY)
    found = f"{protocol}, a certificate by {by}, valid for {days} more days"
    if days < _FEW_DAYS:
        return warn("TLS", found, "Whoever runs the gateway must renew it; check the clock here.")
    return ok("TLS", found)


def _answer(
    route: Route, connection: http.client.HTTPConnection, now: Callable[[], float]
) -> Iterator[Finding]:
    begun, before = time.monotonic(), now()
    through_proxy = route.proxy is not None and route.target.scheme == "http"
    path = f"http://{route.target.host}:{route.target.port}{route.path}"
    headers = _proxy_headers(route.proxy) if route.proxy is not None and through_proxy else {}
    try:
        connection.request("HEAD", path if through_proxy else route.path, headers=headers)
        response = connection.getresponse()
    except (OSError, http.client.HTTPException) as error:
        yield fail("HTTP", f"no answer that is HTTP: {_words(error)}", "Check the base URL.")
        return
    yield judged_status(response.status, _milliseconds(begun))
    yield judged_clock(response.getheader("Date"), (before + now()) / 2)


def judged_status(status: int, took: str) -> Finding:
    """The finding about what a question without a key or a body was answered with."""
    found = f"answers in {took}, with {status} to a question without a key"
    match status // 100:
        case 3:
            return warn("HTTP", found, "Redirects are not followed: set the base URL they lead to.")
        case 1 | 2 | 4:
            return ok("HTTP", found)
        case _:
            return warn("HTTP", found, "The gateway, or a proxy before it, has trouble: try later.")


def judged_clock(date: str | None, now: float) -> Finding:
    """The finding about this machine's clock, given a server's `Date`."""
    try:
        theirs = parsedate_to_datetime(date or "").timestamp()
    except ValueError:
        return warn("clock", "the server does not tell the time", "Look at the clock yourself.")
    skew = round(now - theirs)
    if abs(skew) <= _SKEW_TO_TELL:
        return ok("clock", "agrees with the server's")
    found = f"{abs(skew):,} s {'ahead of' if skew > 0 else 'behind'} the server's"
    return (fail if abs(skew) > _SKEW_TO_MEND else warn)("clock", found, _CLOCK)


def _mend_of_trust(code: int) -> str:
    match code:  # as OpenSSL numbers them
        case 9 | 10:
            return f"{_CLOCK} If it is right, whoever runs the gateway must renew the certificate."
        case 62 | 64:
            return "Check the host of the base URL: the certificate is for another one."
        case _:
            return _RESIGNED


def _words(error: Exception) -> str:
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return said or type(error).__name__


def _milliseconds(begun: float) -> str:
    return f"{(time.monotonic() - begun) * 1000:.0f} ms"
