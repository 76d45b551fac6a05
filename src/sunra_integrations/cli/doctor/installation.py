"""Which versions are installed, and whether they are ones this package works with."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from importlib import metadata

from sunra_integrations import __version__, requirements
from sunra_integrations.cli.doctor.findings import Finding, fail, ok

_PACKAGE = "sunra-integrations"
_NEEDED = ("httpx", "pydantic")
_BY_EXTRA = {
    "langchain-core": "langchain",
    "llama-index-core": "llama-index",
    "aiohttp": "aiohttp",
    "uvicorn": "sandbox",
}
_REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)\s*(?:\[[^]]*\])?\s*(?P<bounds>[^;]*)")
_BOUND = re.compile(r"(?P<operator>>=|<)(?P<version>[\d.]+)")


def versions() -> Iterator[Finding]:
    """A finding for Python, this package, and each package that it works with."""
    yield ok("python", f"{platform.python_version()} on {platform.system()}")
    yield ok(_PACKAGE, __version__)
    bounds = _bounds()
    for name in (*_NEEDED, *_BY_EXTRA):
        yield _version(name, bounds.get(name, ""))


def _version(name: str, bounds: str) -> Finding:
    extra = f"[{_BY_EXTRA[name]}]" if name in _BY_EXTRA else ""
    version = requirements.version(name)
    if version is None:
        return ok(name, f"not installed (the extra {extra} brings it)")
    if not version:  # in a program that was frozen without metadata
        return ok(name, "part of this program, which does not record its version")
    if is_within(version, bounds):
        return ok(name, version)
    return fail(
        name,
        f"{version}, where {bounds} is needed",
        f"pip install --upgrade '{_PACKAGE}{extra}'",
    )


def is_within(version: str, bounds: str) -> bool:
    """Whether a version keeps to bounds such as `>=1.4,<2`; others are not judged."""
    own = requirements.release(version)
    for bound in _BOUND.finditer(bounds) if own else ():
        other = requirements.release(bound["version"])
        if own < other if bound["operator"] == ">=" else own >= other:
            return False
    return True


def _bounds() -> dict[str, str]:
    try:
        required = metadata.requires(_PACKAGE) or []
    except metadata.PackageNotFoundError:  # run from a source tree that was not installed
        return {}
    found = filter(None, map(_REQUIREMENT.match, required))
    return {match["name"].lower(): match["bounds"].strip() for match in found}
