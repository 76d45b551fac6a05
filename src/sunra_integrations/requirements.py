"""The oldest versions that work of the packages used here, and an error that names the fix.

An installer reads the same bounds in pyproject.toml, but other packages can undo what it did, with
`pip install --no-deps` or a later downgrade. Below these versions imports fail, or calls do; under
langchain-core 1.5.4 a stream shows `extra_headers` to every tracer.
"""

import re
from collections.abc import Generator
from contextlib import contextmanager
from functools import lru_cache
from importlib import metadata
from importlib.util import find_spec

from sunra_integrations.errors import RequirementNotMet

__all__ = ["LOWEST", "check", "installed_version", "release", "requiring"]

LOWEST = {
    "httpx": "0.27.1",
    "pydantic": "2.9.2",
    "langchain-core": "1.5.4",
    "llama-index-core": "0.14.23",
    "aiohttp": "3.10",
    "uvicorn": "0.34",
    "jsonschema": "4.23",
    "referencing": "0.31",
    "click": "8.2",
    "rich": "13.9",
    "pytest": "8.3",
}
"""By distribution; a test holds it to pyproject.toml."""

_MODULES = {"langchain-core": "langchain_core", "llama-index-core": "llama_index.core"}


@contextmanager
def requiring(what: str, *names: str, extra: str = "") -> Generator[None, None, None]:
    """Checks packages before the imports in its block; see `check`."""
    check(what, *names, extra=extra)
    yield


def check(what: str, *names: str, extra: str = "") -> None:
    """Checks that packages are installed, in versions that work.

    Args:
        what: What needs the packages, to begin a sentence with.
        *names: The distributions, from `LOWEST`.
        extra: The extra that installs them.

    Raises:
        RequirementNotMet: One is not installed, or older than in `LOWEST`.
    """
    for name in names:
        found = installed_version(name)
        if found is None:
            raise _not_met(what, name, "which is not installed", extra)
        if found and release(found) < release(LOWEST[name]):
            raise _not_met(what, name, f"but {found} is installed", extra)


def release(version: str) -> tuple[int, ...]:
    """The numbers of a version, trailing zeros aside: 1.4.0rc1 counts as 1.4."""
    numbers = re.match(r"\d+(?:\.\d+)*", version)
    parts = [int(part) for part in numbers[0].split(".")] if numbers else []
    while parts and parts[-1] == 0:
        parts.pop()
    return tuple(parts)


@lru_cache
def installed_version(name: str) -> str | None:
    """The installed version; None if it is not installed, "" if its version is not recorded."""
    try:
        # Some damaged installations record a package without a version.
        return metadata.version(name) or ""  # type: ignore[redundant-expr,unused-ignore]
    except metadata.PackageNotFoundError:  # frozen programs often hold no metadata
        return "" if _is_there(_MODULES.get(name, name)) else None


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ImportError:  # not even the package that it is in
        return False


def _not_met(what: str, name: str, found: str, extra: str) -> RequirementNotMet:
    package = f"sunra-integrations[{extra}]" if extra else "sunra-integrations"
    return RequirementNotMet(
        f"{what} needs {name} >= {LOWEST[name]}, {found}: pip install '{package}'",
        name=_MODULES.get(name, name),
    )
