"""The proxy that the environment sets for a URL."""

from __future__ import annotations

import ipaddress
import os
from importlib.util import find_spec
from typing import NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from sunra_integrations.errors import ConfigurationError

_SCHEMES = ("http", "https", "socks5", "socks5h")


class Proxy(NamedTuple):
    """A proxy. Its `str()` and `repr()` leave out user and password."""

    url: str
    variable: str

    @property
    def scheme(self) -> str:
        """The protocol spoken to the proxy."""
        return urlsplit(self.url).scheme.lower()

    def __str__(self) -> str:
        parts = urlsplit(self.url)
        host = parts.netloc.rpartition("@")[2]
        return f"{parts.scheme}://{host} ({self.variable})"

    def __repr__(self) -> str:
        return str(self)


def proxy_for(url: str) -> Proxy | None:
    """The proxy for requests to a URL, or None.

    Raises:
        ConfigurationError: The proxy is invalid.
    """
    target = urlsplit(url)
    named = getproxies()
    found = named.get(target.scheme) or named.get("all")
    if not found or _bypasses_proxies(target.netloc, target.hostname or ""):
        return None
    proxy = Proxy(
        found if "://" in found else f"http://{found}",
        _variable(target.scheme if named.get(target.scheme) else "all"),
    )
    _check(proxy)
    return proxy


def _bypasses_proxies(netloc: str, host: str) -> bool:
    return bool(proxy_bypass(netloc)) or _is_in_no_proxy_network(host)


def _is_in_no_proxy_network(host: str) -> bool:
    """Whether NO_PROXY has a network with this address, such as 10.0.0.0/8.

    The standard library ignores networks (https://github.com/python/cpython/issues/149746).
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    for entry in (os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or "").split(","):
        try:
            network = ipaddress.ip_network(entry.strip().strip("[]"), strict=False)
        except ValueError:  # a name
            continue
        if address in network:
            return True
    return False


def _variable(kind: str) -> str:
    lower = f"{kind}_proxy"
    if os.environ.get(lower):
        return lower
    return lower.upper() if os.environ.get(lower.upper()) else "the system's settings"


def _check(proxy: Proxy) -> None:
    try:
        parts = urlsplit(proxy.url)
        host, _ = parts.hostname, parts.port
    except ValueError:  # its message may quote a password
        host = None
    if not host:
        raise ConfigurationError(
            f"The proxy in {proxy.variable} is not a URL; write it as http://host:port."
        )
    if proxy.scheme not in _SCHEMES:
        raise ConfigurationError(
            f"The proxy {proxy} cannot be used: its scheme must be one of {', '.join(_SCHEMES)}."
        )
    if proxy.scheme.startswith("socks") and find_spec("socksio") is None:
        raise ConfigurationError(
            f"The proxy {proxy} cannot be used without the package socksio: "
            "pip install 'httpx[socks]'."
        )
