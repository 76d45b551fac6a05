"""`sunra doctor`: checks what a call depends on, and suggests fixes."""

from __future__ import annotations

import base64
import http.client
import platform
import re
import socket
import ssl
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from importlib import metadata
from ipaddress import ip_address
from time import time as _now
from typing import Any, Literal
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies

import click
from pydantic import SecretStr

from sunra_integrations import __version__, errors, requirements
from sunra_integrations.cli import options
from sunra_integrations.cli.chat import format_usage
from sunra_integrations.cli.hints import KEYS_URL, hint, is_missing_key, set_variable
from sunra_integrations.cli.options import Session
from sunra_integrations.cli.terminal import Terminal, one_line
from sunra_integrations.data import last_updated
from sunra_integrations.errors import ConfigurationError
from sunra_integrations.protocol.parameters import Api
from sunra_integrations.protocol.request import ChatRequest
from sunra_integrations.transport import Settings, SunraClient
from sunra_integrations.transport.api_key import KEY_VARIABLE
from sunra_integrations.transport.connections.certificates import tls_context
from sunra_integrations.transport.connections.proxies import proxy_for
from sunra_integrations.transport.settings import (
    BASE_URL_VARIABLE,
    DEFAULT_BASE_URL,
)

_PACKAGE = "sunra-integrations"
_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}
_QUOTES = ("'", '"')
_CHECK_WIDTH = 18
_MIN_CALL_TIMEOUT = 120.0  # a model may reason before it replies

_EXAMPLES = """
sunra doctor                      # free: the key is not sent
sunra doctor -m openai/gpt-4o     # also send a short prompt to this model
sunra doctor --json | jq '.findings[] | select(.status != "ok")'
"""


@click.command(
    epilog=options.epilog(
        _EXAMPLES, success="no check failed, though some may warn", failure="a check failed"
    )
)
@options.model("Also send a short prompt to this model.")
@options.api
@options.base_url
@options.allow_http
@options.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    metavar="SECONDS",
    help="Seconds that each check may take. Defaults to 10.",
)
@options.json_output
@options.debug
@click.pass_obj
def doctor(
    session: Session,
    /,
    *,
    model: str | None,
    api: Api | None,
    base_url: str | None,
    timeout: float,
    as_json: bool,
) -> int:
    """Diagnose configuration and connection problems.

    Checks versions, model data, key, base URL, proxy, DNS, TCP, TLS, HTTP and clock. With --model,
    also sends a short prompt. Each problem is shown with a next step.
    """
    findings: list[Finding] = []
    for raw in _findings(session, model, api, base_url, timeout):
        finding = replace(raw, found=session.terminal.safe_line(raw.found))
        findings.append(finding)
        if not as_json:
            _show(session.terminal, finding)
    failed = sum(finding.status == "fail" for finding in findings)
    next_step = _next_step(failed, model, api)
    if as_json:
        session.terminal.json(
            {
                "ok": not failed,
                "findings": [asdict(finding) for finding in findings],
                "next": next_step,
            }
        )
    else:
        session.terminal.note(f"{failed} failed." if failed else "Nothing failed.")
        session.terminal.note(f"Next: {next_step}")
    return 1 if failed else 0


def _next_step(failed: int, model: str | None, api: Api | None) -> str:
    if failed:
        return "fix the first failure, and run `sunra doctor` again."
    if model is None:
        return "run `sunra doctor -m VENDOR/NAME` to test a call."
    return f"run `sunra chat -m {model}{f' --api {api}' if api else ''}`."


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Args:
        check: The name of the check.
        status: `ok`; `warn` if calls may work all the same; `fail` if they cannot work.
        found: The observation, in words.
        fix: The next step; None if there is nothing to do.
    """

    check: str
    status: Literal["ok", "warn", "fail"]
    found: str
    fix: str | None = None


def _ok(check: str, found: str) -> Finding:
    return Finding(check, "ok", found)


def _warn(check: str, found: str, fix: str) -> Finding:
    return Finding(check, "warn", found, fix)


def _fail(check: str, found: str, fix: str) -> Finding:
    return Finding(check, "fail", found, fix)


def _findings(
    session: Session, model: str | None, api: Api | None, base_url: str | None, timeout: float
) -> Iterator[Finding]:
    yield from check_versions()
    yield check_model_data(_now())
    key = check_key(session)
    yield key
    address, route = check_base_url(session, base_url)
    yield address
    if route is not None:
        yield check_proxy(route)
        yield from check_connection(route, timeout)
    if model is None:
        return
    if route is None or key.status == "fail":
        yield _fail("call", "skipped: no usable key or base URL", "Fix those first.")
    else:
        yield check_call(session.settings(base_url, max(timeout, _MIN_CALL_TIMEOUT)), model, api)


def _show(terminal: Terminal, finding: Finding) -> None:
    head = (f"{finding.status:<5}", _STYLES[finding.status])
    terminal.entry(
        [head, (f"{finding.check:<{_CHECK_WIDTH}} ", "bold")],
        (finding.found, ""),
        *([(f"→ {finding.fix}", "")] if finding.fix else []),
    )


# ── installation ─────────────────────────────────────────────────────────────

_REQUIRED = ("httpx", "pydantic")
_BY_EXTRA = {
    "langchain-core": "langchain",
    "llama-index-core": "llama-index",
    "aiohttp": "aiohttp",
    "uvicorn": "sandbox",
}
_REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)\s*(?:\[[^]]*\])?\s*(?P<bounds>[^;]*)")
_BOUND = re.compile(r"(?P<operator>>=|<)(?P<version>[\d.]+)")
_OLD_DATA = timedelta(days=183)


def check_versions() -> Iterator[Finding]:
    """Check Python, this package, and each package that it works with."""
    yield _ok("python", f"{platform.python_version()} on {platform.system()}")
    yield _ok(_PACKAGE, __version__)
    bounds = _declared_bounds()
    for name in (*_REQUIRED, *_BY_EXTRA):
        yield _check_version(name, bounds.get(name, ""))


def _check_version(name: str, bounds: str) -> Finding:
    extra = f"[{_BY_EXTRA[name]}]" if name in _BY_EXTRA else ""
    version = requirements.version(name)
    if version is None:
        install = f"pip install '{_PACKAGE}{extra}'   # to use it"
        return Finding(name, "ok", "not installed, and optional", install)
    if not version:  # in a program that was frozen without metadata
        return _ok(name, "installed, version unknown")
    if is_within(version, bounds):
        return _ok(name, version)
    return _fail(
        name,
        f"{version} is installed, but {bounds} is required",
        f"pip install --upgrade '{_PACKAGE}{extra}'",
    )


def is_within(version: str, bounds: str) -> bool:
    """Whether a version is within bounds such as `>=1.4,<2`; other operators are ignored."""
    own = requirements.release(version)
    for bound in _BOUND.finditer(bounds) if own else ():
        other = requirements.release(bound["version"])
        if own < other if bound["operator"] == ">=" else own >= other:
            return False
    return True


def _declared_bounds() -> dict[str, str]:
    try:
        required = metadata.requires(_PACKAGE) or []
    except metadata.PackageNotFoundError:  # run from a source tree that is not installed
        return {}
    found = filter(None, map(_REQUIREMENT.match, required))
    return {match["name"].lower(): match["bounds"].strip() for match in found}


def check_model_data(now: float) -> Finding:
    """Check the age of the facts about models."""
    newest = last_updated()
    age = max(datetime.fromtimestamp(now, tz=timezone.utc).date() - newest, timedelta(0))
    found = f"newest entry {newest} ({age.days} days old)"
    if age > _OLD_DATA:
        return _warn("model data", found, f"pip install --upgrade {_PACKAGE}")
    return _ok("model data", found)


# ── configuration ────────────────────────────────────────────────────────────

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Host:
    """A machine to connect to."""

    scheme: str
    name: str
    port: int
    user: str | None = None
    password: str | None = None

    @property
    def is_local(self) -> bool:
        """Whether it is this machine."""
        try:
            return ip_address(self.name).is_loopback
        except ValueError:
            return self.name == "localhost" or self.name.endswith(".localhost")


@dataclass(frozen=True)
class Route:
    """The gateway, and the proxy in front of it."""

    target: Host
    path: str
    proxy: Host | None

    @property
    def first(self) -> Host:
        """The machine that this one connects to."""
        return self.proxy or self.target


def check_key(session: Session) -> Finding:
    """Check whether the key has a valid format; it is never shown."""
    try:
        # With the default base URL, so that an error is about the key.
        settings = session.settings(DEFAULT_BASE_URL, None)
    except ConfigurationError as error:
        found = f"{KEY_VARIABLE} is not set" if is_missing_key(error) else error.message
        return _fail("key", found, f"{set_variable(KEY_VARIABLE, '…')}   # from {KEYS_URL}")
    key = settings.api_key
    value = key.get_secret_value() if isinstance(key, SecretStr) else ""
    if value.startswith(_QUOTES) or value.endswith(_QUOTES):
        return _warn(
            "key",
            f"{KEY_VARIABLE} is set, but begins or ends with a quotation mark",
            f"Set {KEY_VARIABLE} without the quotation marks.",
        )
    return _ok("key", f"{KEY_VARIABLE} is set (format looks valid)")


def check_base_url(session: Session, base_url: str | None) -> tuple[Finding, Route | None]:
    """Check whether the base URL is usable, and find the route to it."""
    try:
        # With a placeholder key, so that an error is about the base URL.
        settings = Settings.resolve("none", base_url, allow_http=session.allow_http)
    except ConfigurationError as error:
        fix = f"{set_variable(BASE_URL_VARIABLE, DEFAULT_BASE_URL)}   # or unset it"
        if "allow_http" in error.message:
            fix = "Use https, or pass --allow-http if others may read the key."
        return _fail("base URL", error.message, fix), None
    parts = urlsplit(settings.endpoint)
    target = _host(parts)
    try:
        proxy = proxy_for(settings.endpoint)
    except ConfigurationError as error:
        return _fail("proxy", error.message, "Correct the variable, or unset it."), None
    route = Route(target, parts.path, None if proxy is None else _host(urlsplit(proxy.url)))
    if target.scheme == "http" and not target.is_local:
        found = f"{settings.base_url} is plain http: others on the network can read the key"
        return _warn("base URL", found, "Use https if the gateway supports it."), route
    return _ok("base URL", settings.base_url), route


def check_proxy(route: Route) -> Finding:
    """Check whether requests go through a proxy, and whether that can work."""
    if route.proxy is None:
        is_configured = {"http", "https", "all"} & set(getproxies())
        return _ok("proxy", "none for this address" if is_configured else "none")
    found = f"requests go through {route.proxy.scheme}://{route.proxy.name}:{route.proxy.port}"
    if route.target.is_local:
        fix = set_variable("NO_PROXY", route.target.name)
        return _warn("proxy", f"{found}, but the gateway is on this machine", fix)
    return _ok("proxy", found)


def _host(parts: SplitResult) -> Host:
    return Host(
        parts.scheme,
        parts.hostname or "",
        parts.port or _PORTS.get(parts.scheme, 1080),
        unquote(parts.username) if parts.username else None,
        unquote(parts.password) if parts.password else None,
    )


# ── connection ───────────────────────────────────────────────────────────────

_DAY = 86_400
_MIN_CERTIFICATE_DAYS = 7
_WARN_SKEW, _FAIL_SKEW = 30, 300
_OFFLINE = "Check that this machine is online, and that the host of the base URL is correct."
_BLOCKED = "Check the port, and whether a firewall or a VPN blocks it."
_SYNC_CLOCK = "w32tm /resync" if sys.platform == "win32" else "timedatectl set-ntp true"
_CLOCK = f"Set this machine's clock, for example with `{_SYNC_CLOCK}`."
_CERTIFICATES = "Set SSL_CERT_FILE to a PEM file of certificates, or unset it."
_UNTRUSTED = (
    "If a proxy or a virus scanner decrypts the traffic, set SSL_CERT_FILE to its root certificate."
)


def check_connection(route: Route, timeout: float) -> Iterator[Finding]:
    """Check DNS, TCP, TLS, HTTP and clock, up to the first that fails. The key is not sent.

    Args:
        route: The gateway and the proxy in front of it.
        timeout: Seconds for each check.
    """
    context: ssl.SSLContext | None = None
    certificates: Finding | None = None
    try:
        if route.target.scheme == "https":
            context = tls_context()
    except ConfigurationError as error:
        certificates = _fail("TLS", error.message, _CERTIFICATES)
    for check in (_check_dns, _check_tcp):
        finding = check(route.first, timeout)
        yield finding
        if finding.status == "fail":
            break
    if certificates:  # a problem even if the gateway cannot be reached
        yield certificates
    if certificates or finding.status == "fail":
        return
    if route.proxy is not None and route.proxy.scheme != "http":
        found = "skipped: not supported with this proxy type"
        yield _warn("TLS", found, "Use --model to check the connection with a call.")
        return
    connection = _http_connection(route, timeout, context)
    with closing(connection):
        finding = _check_tls(route, connection)
        yield finding
        if finding.status != "fail":
            yield from _check_http(route, connection)


def _check_dns(host: Host, _timeout: float) -> Finding:
    try:
        found = socket.getaddrinfo(host.name, host.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        return _fail("DNS", f"cannot resolve {host.name}: {_reason(error)}", _OFFLINE)
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    more = f" and {len(addresses) - 1} more" if len(addresses) > 1 else ""
    return _ok("DNS", f"{host.name} resolves to {addresses[0]}{more}")


def _check_tcp(host: Host, timeout: float) -> Finding:
    start = time.monotonic()
    try:
        socket.create_connection((host.name, host.port), timeout).close()
    except OSError as error:
        found = f"cannot connect to {host.name}:{host.port}: {_reason(error)}"
        return _fail("TCP", found, _BLOCKED)
    return _ok("TCP", f"connected to {host.name}:{host.port} in {_elapsed(start)}")


def _http_connection(
    route: Route, timeout: float, context: ssl.SSLContext | None
) -> http.client.HTTPConnection:
    first, target = route.first, route.target
    if context is None:
        return http.client.HTTPConnection(first.name, first.port, timeout=timeout)
    connection = http.client.HTTPSConnection(
        first.name, first.port, timeout=timeout, context=context
    )
    if route.proxy is not None:
        connection.set_tunnel(target.name, target.port, _proxy_headers(route.proxy))
    return connection


def _proxy_headers(proxy: Host) -> dict[str, str]:
    if proxy.user is None:
        return {}
    credentials = base64.b64encode(f"{proxy.user}:{proxy.password or ''}".encode()).decode()
    return {"Proxy-Authorization": f"Basic {credentials}"}


def _check_tls(route: Route, connection: http.client.HTTPConnection) -> Finding:
    try:
        connection.connect()
    except ssl.SSLCertVerificationError as error:
        found = f"the certificate of {route.target.name} is not trusted: {error.verify_message}"
        return _fail("TLS", found, _fix_for_certificate(error.verify_code))
    except ssl.SSLError as error:
        fix = "Check that the port of the base URL uses https."
        return _fail("TLS", f"TLS handshake failed: {_reason(error)}", fix)
    except OSError as error:
        fix = "Check the proxy's user name and password." if route.proxy else _BLOCKED
        return _fail("TLS", f"the connection was closed: {_reason(error)}", fix)
    if not isinstance(connection.sock, ssl.SSLSocket):
        where = "this machine" if route.target.is_local else "another machine"
        return _ok("TLS", f"not used: plain http to {where}")
    certificate: Mapping[str, Any] = connection.sock.getpeercert() or {}
    return judge_certificate(certificate, connection.sock.version() or "TLS", _now())


def judge_certificate(certificate: Mapping[str, Any], protocol: str, now: float) -> Finding:
    """Return the finding for a trusted certificate, as `getpeercert` returns it."""
    issuer = {name: value for part in certificate.get("issuer", ()) for name, value in part}
    by = issuer.get("organizationName") or issuer.get("commonName") or "an unnamed issuer"
    days = int((ssl.cert_time_to_seconds(certificate["notAfter"]) - now) // _DAY)
    unit = "day" if days == 1 else "days"
    found = f"{protocol}, certificate issued by {by}, valid for {days} more {unit}"
    if days < _MIN_CERTIFICATE_DAYS:
        fix = "The gateway's operator must renew the certificate. Check this machine's clock, too."
        return _warn("TLS", found, fix)
    return _ok("TLS", found)


def _fix_for_certificate(code: int) -> str:
    match code:  # OpenSSL's X509_V_ERR_*: 9 and 10 are dates, 62 and 64 host name and IP address
        case 9 | 10:
            return f"{_CLOCK} If it is correct, the gateway's operator must renew the certificate."
        case 62 | 64:
            return "Check the host of the base URL: the certificate is for another host."
        case _:
            return _UNTRUSTED


def _check_http(route: Route, connection: http.client.HTTPConnection) -> Iterator[Finding]:
    start, before = time.monotonic(), _now()
    through_proxy = route.proxy is not None and route.target.scheme == "http"
    path = f"http://{route.target.name}:{route.target.port}{route.path}"
    headers = _proxy_headers(route.proxy) if route.proxy is not None and through_proxy else {}
    try:
        connection.request("HEAD", path if through_proxy else route.path, headers=headers)
        response = connection.getresponse()
    except (OSError, http.client.HTTPException) as error:
        yield _fail("HTTP", f"no valid HTTP response: {_reason(error)}", "Check the base URL.")
        return
    yield judge_status(response.status, _elapsed(start))
    yield judge_clock(response.getheader("Date"), (before + _now()) / 2)


def judge_status(status: int, elapsed: str) -> Finding:
    """Return the finding for the response to a request without key and body."""
    match status // 100:
        case 1 | 2 | 4:  # 401 or 405 is usual: there is neither a key nor a body
            return _ok("HTTP", f"reachable ({elapsed})")
        case 3:
            fix = "Redirects are not followed. Set the base URL to the address they lead to."
            return _warn("HTTP", f"redirects (HTTP {status}, {elapsed})", fix)
        case _:
            fix = "The gateway or a proxy in front of it has a problem. Try again later."
            return _warn("HTTP", f"responds with an error (HTTP {status}, {elapsed})", fix)


def judge_clock(header: str | None, now: float) -> Finding:
    """Return the finding for this machine's clock, given the `Date` header of a response."""
    try:
        server = parsedate_to_datetime(header or "").timestamp()
    except ValueError:
        return _warn("clock", "the server sent no valid date", "Check this machine's clock.")
    skew = round(now - server)
    if abs(skew) <= _WARN_SKEW:
        return _ok("clock", "agrees with the server's")
    found = f"{abs(skew):,} s {'ahead of' if skew > 0 else 'behind'} the server's"
    return (_fail if abs(skew) > _FAIL_SKEW else _warn)("clock", found, _CLOCK)


def _reason(error: Exception) -> str:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return reason or type(error).__name__


def _elapsed(start: float) -> str:
    return f"{(time.monotonic() - start) * 1000:.0f} ms"


# ── call ─────────────────────────────────────────────────────────────────────

_CALL_PROMPT = "Answer with the one word: hello"
_LONGEST_REPLY = 40


def check_call(settings: Settings, model: str, api: Api | None = None) -> Finding:
    """Send a short prompt to a model."""
    request = ChatRequest(
        model=model, api=api, messages=[{"role": "user", "content": _CALL_PROMPT}]
    )
    start = time.monotonic()
    try:
        reply = SunraClient(settings).create(request)
    except errors.SunraError as error:
        return _fail("call", error.message, _fix_for_call(error))
    text = one_line(reply.text, _LONGEST_REPLY)
    usage = format_usage(reply.usage)
    return _ok("call", f"{model} replied {text!r} in {_elapsed(start)} ({usage})")


def _fix_for_call(error: errors.SunraError) -> str:
    match error:
        case errors.AuthenticationFailed():
            return f"Set {KEY_VARIABLE} to a key from {KEYS_URL}."
        case errors.InsufficientCredit():
            return "Add credit to the Sunra account."
        case errors.ModelNotFound():
            return "Choose a model from https://sunra.ai/models."
        case errors.ConnectionFailed():
            return "Fix the failures above first. If there are none, try again."
        case _:
            return hint(error) or error.fix
