"""The oldest supported versions of other packages, and an error that says what to install.

pip enforces the same bounds, from pyproject.toml. They can be broken later, by a downgrade or by
`pip install --no-deps`. With older versions imports or calls fail; before langchain-core 1.5.4 a
stream shows `extra_headers` to every tracer.
"""

import re
from collections.abc import Generator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from sunra_integrations.errors import RequirementNotMet

__all__ = ["LOWEST", "check", "release", "requiring", "version"]

LOWEST = {
    "httpx": "0.27.1",
    "httpcore": "1.0.3",
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
"""By distribution. A test compares them with pyproject.toml."""

_met: set[str] = set()  # others are checked again: users of a notebook install them and continue


@contextmanager
def requiring(what: str, *names: str, extra: str = "") -> Generator[None, None, None]:
    """Check packages before the imports in the block; see `check`."""
    check(what, *names, extra=extra)
    yield


def check(what: str, *names: str, extra: str = "") -> None:
    """Check that packages are installed in supported versions.

    Args:
        what: The code that needs the packages, named at the start of the error message.
        *names: Distributions that are in `LOWEST`.
        extra: The extra that installs them.

    Raises:
        RequirementNotMet: A package is missing, or older than in `LOWEST`.
    """
    for name in names:
        if name in _met:
            continue
        found = version(name)
        if found is None:
            raise _not_met(what, name, "which is not installed", extra)
        numbers = release(found)
        if numbers and numbers < release(LOWEST[name]):
            raise _not_met(what, name, f"but {found} is installed", extra)
        _met.add(name)


def release(version: str) -> tuple[int, ...]:
    """Return the numbers of a version, without trailing zeros: (1, 4) for 1.4.0rc1, () for "x"."""
    numbers = re.match(r"v?(\d+(?:\.\d+)*)", version)
    parts = [int(part) for part in numbers[1].split(".")] if numbers else []
    while parts and parts[-1] == 0:
        parts.pop()
    return tuple(parts)


def version(name: str) -> str | None:
    """Return the installed version; None if it is not installed, "" if the version is unknown."""
    module = _module(name)
    try:
        spec = find_spec(module)
    except ImportError:  # of its parent package
        return None
    except ValueError:  # a module without a spec, as a program or a test may create it
        return ""
    if spec is None or spec.origin is None:  # any folder on the path is a namespace package
        return None
    if not spec.has_location:  # built into the program
        return _recorded(name)
    # Read the name of the .dist-info folder beside the module: importlib.metadata imports slowly,
    # and its first match on the path may belong to another copy of the package. A failed update can
    # leave several folders.
    packages = Path(spec.origin).parents[module.count(".") + 1]
    folders = packages.glob(f"{name.replace('-', '_')}-*.dist-info")
    versions = [folder.name.split("-")[1].removesuffix(".dist") for folder in folders]
    return max(versions, key=release) if versions else _recorded(name)


def _module(name: str) -> str:
    return "llama_index.core" if name == "llama-index-core" else name.replace("-", "_")


def _recorded(name: str) -> str:
    """Return the version that importlib.metadata finds: editable installations, Debian packages."""
    from importlib import metadata  # noqa: PLC0415 - slow, and rarely needed

    try:
        return metadata.version(name) or ""  # type: ignore[redundant-expr,unused-ignore]
    except Exception:  # noqa: BLE001 - none in frozen programs; damaged metadata raises anything
        return ""


def _not_met(what: str, name: str, found: str, extra: str) -> RequirementNotMet:
    package = f"sunra-integrations[{extra}]" if extra else "sunra-integrations"
    return RequirementNotMet(
        f"{what} needs {name} >= {LOWEST[name]}, {found}: pip install '{package}'",
        name=_module(name),
    )
