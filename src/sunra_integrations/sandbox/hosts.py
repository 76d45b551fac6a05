"""Which `Host` headers are served: a web page whose own name leads here (DNS rebinding) is not."""

import ipaddress
import re

_EVERYWHERE = frozenset(("", "0.0.0.0", "::"))  # noqa: S104 - compared with, not bound to
_HOST = re.compile(r"(\[(?P<address>[0-9a-f:.]+)\]|(?P<name>[a-z0-9_-][a-z0-9._-]*))(:[0-9]*)?")


def is_served(header: str, bound: str) -> bool:
    """Whether a request for this host is meant for a sandbox that listens on an address.

    Args:
        header: The `Host` header.
        bound: The address; a sandbox that listens on all of them serves any name.
    """
    name = _name(header)
    return bound in _EVERYWHERE or name == bound.lower() or _is_loopback(name)


def _name(header: str) -> str:
    """The header without its port; empty where it is not a host."""
    found = _HOST.fullmatch(header.strip().lower())
    return "" if found is None else found["address"] or found["name"].removesuffix(".")


def _is_loopback(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
