"""The key, the address and the way there, as the environment has them."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies

from sunra_integrations.cli.advice import setting
from sunra_integrations.cli.doctor.findings import Finding, fail, ok, warn
from sunra_integrations.cli.session import Session
from sunra_integrations.errors import ConfigurationError
from sunra_integrations.transport.connections.proxies import proxy_for
from sunra_integrations.transport.settings import (
    BASE_URL_VARIABLE,
    DEFAULT_BASE_URL,
    KEY_VARIABLE,
    Settings,
)

_KEYS_ARE_MADE = "https://sunra.ai/dashboard/api-tokens"
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Hop:
    """A machine that is connected to."""

    scheme: str
    host: str
    port: int
    user: str | None = None
    password: str | None = None

    @property
    def is_here(self) -> bool:
        """Whether it is this machine."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost" or self.host.endswith(".localhost")


@dataclass(frozen=True)
class Route:
    """Where the gateway is, and the proxy on the way to it."""

    target: Hop
    path: str
    proxy: Hop | None

    @property
    def first(self) -> Hop:
        """The machine that this one connects to."""
        return self.proxy or self.target


def key(session: Session) -> Finding:
    """Whether there is a key that could be one; it is never shown."""
    try:
        # Another address, so that what is found is about the key.
        settings = session.settings(DEFAULT_BASE_URL, None)
    except ConfigurationError as error:
        return fail("key", error.message, f"{setting(KEY_VARIABLE, '…')}   # from {_KEYS_ARE_MADE}")
    value = settings.api_key.get_secret_value()
    if value[0] in "'\"" or value[-1] in "'\"":
        return warn(
            "key",
            f"{KEY_VARIABLE} is set, but begins or ends with a quotation mark",
            f"Set {KEY_VARIABLE} without the quotation marks.",
        )
    return ok("key", f"{KEY_VARIABLE} is set, and could be a key")


def address(session: Session, base_url: str | None) -> tuple[Finding, Route | None]:
    """Whether the base URL can be used, and the way that leads there."""
    try:
        # A key of no worth, so that what is found is about the address.
        settings = Settings.resolve("none", base_url, allow_http=session.allow_http)
    except ConfigurationError as error:
        mend = f"{setting(BASE_URL_VARIABLE, DEFAULT_BASE_URL)}   # or unset it"
        if "allow_http" in error.message:
            mend = "Use https, or pass --allow-http if others may read the key."
        return fail("base URL", error.message, mend), None
    parts = urlsplit(settings.endpoint)
    target = _hop(parts)
    try:
        proxy = proxy_for(settings.endpoint)
    except ConfigurationError as error:
        return fail("proxy", error.message, "Correct the variable, or unset it."), None
    route = Route(target, parts.path, None if proxy is None else _hop(urlsplit(proxy.url)))
    if target.scheme == "http" and not target.is_here:
        found = f"{settings.base_url}: plain http, so others can read the key on the way"
        return warn("base URL", found, "Use https if the gateway has it."), route
    return ok("base URL", settings.base_url), route


def proxies(route: Route) -> Finding:
    """Whether calls go through a proxy, and whether that can work."""
    if route.proxy is None:
        named = {"http", "https", "all"} & set(getproxies())
        aside = " for this address" if named else ""
        return ok("proxy", f"none{aside}")
    where = f"calls go through {route.proxy.scheme}://{route.proxy.host}:{route.proxy.port}"
    if route.target.is_here:
        mend = setting("NO_PROXY", route.target.host)
        return warn("proxy", f"{where}, though the gateway is on this machine", mend)
    return ok("proxy", where)


def _hop(parts: SplitResult) -> Hop:
    return Hop(
        parts.scheme,
        parts.hostname or "",
        parts.port or _PORTS.get(parts.scheme, 1080),
        unquote(parts.username) if parts.username else None,
        unquote(parts.password) if parts.password else None,
    )
